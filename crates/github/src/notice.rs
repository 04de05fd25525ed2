//! What an answer says beside what was asked: a permission that is missing, how much of the hour's calls is left, what time it is.
//!
//! It is read here because every answer passes here, and what shows faults sees no answers. Pure.
//!
//! Facts: `x-accepted-github-permissions` names what a call needs (GitHub's documentation, "Troubleshooting the REST API"); the
//! limits' headers are as in `limits`.

use runnersmith_ports::{Notice, NoticeKind};
use runnersmith_types::Timestamp;

use crate::answer::Raw;
use crate::operations::Operation;
use crate::payer::Payer;

/// A clock that is wrong by more may make the App's signatures invalid.
const CLOCK_SECONDS_MAX: i64 = 30;

/// Returns what an answer says of each thing that it says something of.
pub(crate) fn notices(operation: Operation, payer: Payer, raw: &Raw, now: Timestamp) -> Vec<Notice> {
    [permission(operation, payer, raw), rate_limit(payer, raw, now), clock(raw, now)].into_iter().flatten().collect()
}

/// Whose limit and permissions a call has, for people.
fn whose(payer: Payer) -> Option<String> {
    match payer {
        Payer::App => Some("the App".to_owned()),
        Payer::Installation(id) => Some(format!("installation {id}")),
        Payer::Token => Some("the token".to_owned()),
        Payer::Nobody => None,
    }
}

fn permission(operation: Operation, payer: Payer, raw: &Raw) -> Option<Notice> {
    let is_refused = raw.status == 403 && String::from_utf8_lossy(&raw.body).contains("not accessible by integration");
    if !is_refused && raw.status >= 400 {
        return None;
    }
    let wrong = is_refused.then(|| {
        let needs = raw.header("x-accepted-github-permissions").map(|needs| format!(": it needs {needs}"));
        format!("GitHub does not let the App make this call{}", needs.unwrap_or_default())
    });
    Some(Notice { kind: NoticeKind::Permission, about: format!("{}, {}", whose(payer)?, operation.id), wrong })
}

fn rate_limit(payer: Payer, raw: &Raw, now: Timestamp) -> Option<Notice> {
    let about = whose(payer)?;
    // A refused credential is counted against the caller's address; other resources have limits of their own.
    if raw.status == 401 || raw.header("x-ratelimit-resource").is_some_and(|resource| resource != "core") {
        return None;
    }
    let (limit, left) = (raw.number("x-ratelimit-limit")?, raw.number("x-ratelimit-remaining")?);
    let is_low = left.saturating_mul(10) < limit;
    let minutes = raw.resets_at(now).map_or(0, |at| at.since(now).as_secs().div_ceil(60));
    let wrong = is_low.then(|| format!("{left} of {limit} calls are left for the next {minutes} min"));
    Some(Notice { kind: NoticeKind::RateLimit, about, wrong })
}

fn clock(raw: &Raw, now: Timestamp) -> Option<Notice> {
    let date = raw.header("date").and_then(|date| jiff::fmt::rfc2822::parse(date).ok())?;
    let ahead = now.as_secs().saturating_sub(date.timestamp().as_second());
    let wrong = (ahead.abs() > CLOCK_SECONDS_MAX).then(|| {
        let way = if ahead > 0 { "ahead of" } else { "behind" };
        format!("this machine's clock is {} s {way} GitHub's", ahead.abs())
    });
    Some(Notice { kind: NoticeKind::Clock, about: String::new(), wrong })
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    use super::*;
    use crate::operations as op;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn said(
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: &str,
    ) -> Vec<(NoticeKind, String, Option<String>)> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let raw = Raw { status, headers: map, body: body.as_bytes().to_vec(), limited_until: None };
        let notices = notices(op::ORG_JIT, Payer::Installation(7), &raw, NOW);
        notices.into_iter().map(|notice| (notice.kind, notice.about, notice.wrong)).collect()
    }

    #[test]
    fn a_permission_that_is_missing_is_named_and_is_well_when_the_call_succeeds() {
        let body = r#"{"message":"Resource not accessible by integration"}"#;
        let needs = [("x-accepted-github-permissions", "organization_self_hosted_runners=write")];
        let [(kind, about, Some(wrong))] = &said(403, &needs, body)[..] else { panic!("one notice") };
        let whose = format!("installation 7, {}", op::ORG_JIT.id);
        assert_eq!((*kind, about), (NoticeKind::Permission, &whose), "another organisation may have granted it");
        assert!(wrong.ends_with(": it needs organization_self_hosted_runners=write"), "{wrong}");
        assert_eq!(said(201, &[], "{}"), [(NoticeKind::Permission, whose, None)]);
        assert_eq!(said(403, &[], "You have exceeded a secondary rate limit"), [], "a limit is no permission");
    }

    #[test]
    fn the_hours_calls_are_low_below_a_tenth() {
        let hour = |left| {
            let headers =
                [("x-ratelimit-limit", "5000"), ("x-ratelimit-remaining", left), ("x-ratelimit-reset", "1800000600")];
            said(404, &headers, "")
        };
        let about = || "installation 7".to_owned();
        let low = "499 of 5000 calls are left for the next 10 min".to_owned();
        assert_eq!(hour("499"), [(NoticeKind::RateLimit, about(), Some(low))]);
        assert_eq!(hour("500"), [(NoticeKind::RateLimit, about(), None)]);
    }

    #[test]
    fn a_clock_is_wrong_by_more_than_half_a_minute() {
        let at = |date| said(404, &[("date", date)], "").pop().and_then(|(_, _, wrong)| wrong);
        assert_eq!(at("Fri, 15 Jan 2027 08:00:30 GMT"), None);
        assert_eq!(at("Fri, 15 Jan 2027 08:15:00 GMT").unwrap(), "this machine's clock is 900 s behind GitHub's");
        assert_eq!(at("Fri, 15 Jan 2027 07:59:00 GMT").unwrap(), "this machine's clock is 60 s ahead of GitHub's");
    }
}
