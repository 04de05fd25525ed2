//! The simulator's own clock: it is an external world, so it reads the machine's.

/// Milliseconds since the epoch.
#[expect(clippy::disallowed_methods, reason = "an external world has its own clock")]
pub(crate) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// GitHub's form: `2026-11-24T03:00:00Z`. Whole seconds, as GitHub sends them.
pub(crate) fn text(ms: i64) -> String {
    jiff::Timestamp::from_second(ms.div_euclid(1000))
        .map_or_else(|_| "1970-01-01T00:00:00Z".into(), |at| at.to_string())
}
