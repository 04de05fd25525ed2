//! How durations, moments and foreign texts are written for people.
//!
//! It is apart because stories and faults both write them, and neither is above the other.

use std::time::Duration;

use runnersmith_types::Timestamp;

/// A foreign text for a terminal: control characters and what cannot be seen are escaped, quotes stay as they are.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\'' | '"') { out.push(c) } else { out.extend(c.escape_debug()) }
    }
    out
}

/// A duration for people: two significant parts.
#[must_use]
pub fn duration(took: Duration) -> String {
    let seconds = took.as_secs();
    match seconds {
        0 if took.is_zero() => "0 s".to_owned(),
        0 => format!("{} ms", took.subsec_millis()),
        1..60 => format!("{}.{} s", seconds, took.subsec_millis() / 100),
        60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {:02} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {:02} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// A moment for people, in UTC to the millisecond.
#[must_use]
pub fn utc(at: Timestamp) -> String {
    at.to_string()
}

/// A moment for people, in UTC to the second.
#[must_use]
pub fn utc_seconds(at: Timestamp) -> String {
    const SECONDS: usize = "2026-11-29 01:48:57".len();
    let text = at.to_string();
    format!("{} UTC", text.get(..SECONDS).unwrap_or(&text))
}
