//! GitHub's rate limits, kept for each who pays for a call: an installation, the App's own JWT, a token, nobody.
//!
//! They are here and not in a caller because only here every call is seen: pages, retries and tokens too. One organisation that is
//! over its limit stops no other, and what looks for lost jobs leaves a reserve to what runs jobs.
//!
//! The facts are from GitHub's documentation, "Rate limits for the REST API" and "Best practices for using the REST API": the
//! hourly limit is an installation's and is in each answer's headers; a secondary limit says `Retry-After`, or asks for a minute
//! and for longer each time; the limit on creating content says so in its text.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runnersmith_types::Timestamp;

use crate::answer::{LimitKind, Raw};
use crate::operations::{self as op, Operation};
use crate::payer::Payer;

/// What a call is for. It decides how much of the hourly limit the call leaves to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// To run jobs: JIT configs, registration tokens, removals, look-ups by id or name, and what these need.
    Runners,
    /// To find what no delivery reported, and lists.
    Search,
    /// Everything else: check runs, re-runs, the control repository.
    Other,
}

const RUNNERS: &[Operation] = &[
    op::ACCESS_TOKEN,
    op::ORG_INSTALLATION,
    op::REPO_INSTALLATION,
    op::ENTERPRISE_INSTALLATION,
    op::ORG_RUNNER,
    op::REPO_RUNNER,
    op::ENTERPRISE_RUNNER,
    op::ORG_RUNNER_DELETE,
    op::REPO_RUNNER_DELETE,
    op::ENTERPRISE_RUNNER_DELETE,
    op::ORG_JIT,
    op::REPO_JIT,
    op::ENTERPRISE_JIT,
    op::ORG_TOKEN,
    op::REPO_TOKEN,
    op::ENTERPRISE_TOKEN,
    op::ORG_GROUPS,
    op::ENTERPRISE_GROUPS,
    op::JOB,
    op::RUN,
];

const SEARCH: &[Operation] = &[
    op::INSTALLATIONS,
    op::REPOSITORIES,
    op::RUNS,
    op::RUN_JOBS,
    op::ORG_RUNNERS,
    op::REPO_RUNNERS,
    op::ENTERPRISE_RUNNERS,
    op::DELIVERIES,
    op::ORG_DELIVERIES,
    op::REPO_DELIVERIES,
    op::REDELIVER,
    op::ORG_REDELIVER,
    op::REPO_REDELIVER,
];

/// What makes something that people see.
const CONTENT: &[Operation] =
    &[op::CHECK_CREATE, op::CHECK_UPDATE, op::ISSUE_CREATE, op::COMMENT_CREATE, op::PULL_CREATE, op::REACT];

impl Purpose {
    fn of(operation: Operation, path: &str) -> Self {
        // One operation of GitHub lists runners and finds one by its name.
        let is_by_name = path.contains("/runners?name=");
        match operation {
            _ if is_by_name || RUNNERS.contains(&operation) => Self::Runners,
            _ if SEARCH.contains(&operation) => Self::Search,
            _ => Self::Other,
        }
    }

    /// Percent of the hourly limit that is not touched.
    const fn reserve_percent(self) -> i64 {
        match self {
            Self::Runners => 0,
            Self::Other => 10,
            Self::Search => 30,
        }
    }
}

/// GitHub's primary limits are per hour: no reset is further away, whatever a header says.
const HOUR: Duration = Duration::from_secs(3_600);
/// What a secondary limit without `Retry-After` asks for at first. It doubles while it is hit again.
const SECONDARY: Duration = Duration::from_secs(60);
/// What it grows to.
const SECONDARY_MAX: Duration = Duration::from_secs(15 * 60);

/// The hour's limit as the last answers said it.
#[derive(Clone, Copy, Debug)]
struct Hour {
    limit: i64,
    remaining: i64,
    resets_at: Timestamp,
}

#[derive(Debug, Default)]
struct Known {
    hour: Option<Hour>,
    primary_until: Option<Timestamp>,
    secondary_until: Option<Timestamp>,
    content_until: Option<Timestamp>,
    /// Secondary limits without `Retry-After` in a row.
    secondary_in_a_row: u32,
    /// The same for the limit on creating content, which only those calls meet.
    content_in_a_row: u32,
}

/// What is known of the limits of all who pay.
#[derive(Default)]
pub(crate) struct Limits(Mutex<HashMap<Payer, Known>>);

impl Limits {
    fn all(&self) -> MutexGuard<'_, HashMap<Payer, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until when this call must not be made; `None` if it may be made now.
    pub fn wait(&self, payer: Payer, operation: Operation, path: &str, now: Timestamp) -> Option<Timestamp> {
        let all = self.all();
        let known = all.get(&payer)?;
        let content = known.content_until.filter(|_| CONTENT.contains(&operation));
        let limits = [known.primary_until, known.secondary_until, content, known.reserved(payer, operation, path)];
        limits.into_iter().flatten().filter(|until| *until > now).max()
    }

    /// Learns from an answer. Returns until when calls like this one must wait, if the answer says that.
    pub fn learn(&self, payer: Payer, operation: Operation, raw: &Raw, now: Timestamp) -> Option<Timestamp> {
        let mut all = self.all();
        let known = all.entry(payer).or_default();
        known.learn_hour(raw, now);
        let makes_content = CONTENT.contains(&operation);
        let Some((kind, stated)) = raw.limit(now) else {
            let is_over = |until: Option<Timestamp>| raw.status < 400 && until.is_none_or(|until| until <= now);
            if is_over(known.secondary_until) {
                known.secondary_in_a_row = 0;
            }
            if makes_content && is_over(known.content_until) {
                known.content_in_a_row = 0;
            }
            return None;
        };
        let mut once = 0;
        let (slot, in_a_row) = match kind {
            LimitKind::Primary => (&mut known.primary_until, &mut once),
            LimitKind::Content if makes_content => (&mut known.content_until, &mut known.content_in_a_row),
            LimitKind::Content | LimitKind::Secondary => (&mut known.secondary_until, &mut known.secondary_in_a_row),
        };
        let until = match (stated, *slot) {
            // An answer that was overtaken does not shorten what holds.
            (Some(stated), held) => stated.max(held.filter(|until| *until > now).unwrap_or(stated)),
            // Calls that were under way when the limit was met say it once more: that is the same time.
            (None, Some(until)) if until > now => until,
            (None, _) => {
                let pause = SECONDARY.saturating_mul(1 << (*in_a_row).min(8)).min(SECONDARY_MAX);
                *in_a_row = in_a_row.saturating_add(1);
                now.plus(pause)
            }
        };
        let until = until.clamp(now.plus(Duration::from_secs(1)), now.plus(HOUR));
        *slot = Some(until);
        Some(until)
    }
}

impl Known {
    fn learn_hour(&mut self, raw: &Raw, now: Timestamp) {
        // A refused credential is counted against the caller's address, and its headers are that address's.
        if raw.status == 401 {
            return;
        }
        // Other resources (search, code scanning) have limits of their own, which are not used here.
        if raw.header("x-ratelimit-resource").is_some_and(|resource| resource != "core") {
            return;
        }
        let (Some(limit), Some(remaining), Some(resets_at)) =
            (raw.number("x-ratelimit-limit"), raw.number("x-ratelimit-remaining"), raw.resets_at(now))
        else {
            return;
        };
        let resets_at = resets_at.min(now.plus(HOUR));
        let same_hour = |hour: &Hour| {
            let is_near = resets_at.since(hour.resets_at) < Duration::from_secs(60);
            hour.limit == limit && hour.resets_at > now && is_near
        };
        // Answers overtake each other: within an hour the least that was said is true.
        let least = self.hour.filter(same_hour).map_or(remaining, |hour| hour.remaining.min(remaining));
        self.hour = Some(Hour { limit, remaining: least, resets_at });
    }

    /// Until when a call is kept back so that others have what is left of the hour.
    fn reserved(&self, payer: Payer, operation: Operation, path: &str) -> Option<Timestamp> {
        // Nobody else has to share these.
        if matches!(payer, Payer::Token | Payer::Nobody) {
            return None;
        }
        let hour = self.hour?;
        let reserve = hour.limit * Purpose::of(operation, path).reserve_percent() / 100;
        (reserve > 0 && hour.remaining <= reserve).then_some(hour.resets_at)
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const ACME: Payer = Payer::Installation(1);
    const OTHER: Payer = Payer::Installation(2);

    fn answer(status: u16, headers: &[(&'static str, String)], text: &str) -> Raw {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        Raw { status, headers: map, body: text.as_bytes().to_vec(), limited_until: None }
    }

    fn hour(status: u16, limit: i64, remaining: i64, resets_in: i64) -> Raw {
        let headers = [
            ("x-ratelimit-limit", limit.to_string()),
            ("x-ratelimit-remaining", remaining.to_string()),
            ("x-ratelimit-reset", (NOW.as_secs() + resets_in).to_string()),
        ];
        answer(status, &headers, "")
    }

    fn seconds(until: Option<Timestamp>) -> Option<u64> {
        until.map(|until| until.since(NOW).as_secs())
    }

    #[test]
    fn a_limit_stops_who_hit_it_and_nobody_else() {
        let limits = Limits::default();
        limits.learn(ACME, op::RUNS, &hour(403, 5_000, 0, 1_200), NOW);
        let wait = |payer| seconds(limits.wait(payer, op::ORG_JIT, "", NOW));
        assert_eq!([ACME, OTHER, Payer::App, Payer::Nobody].map(wait), [Some(1_200), None, None, None]);
        let later = NOW.plus(Duration::from_secs(1_200));
        assert_eq!(limits.wait(ACME, op::ORG_JIT, "", later), None);
    }

    #[test]
    fn a_reset_is_never_further_away_than_an_hour_and_never_past() {
        for (says, waits) in [(86_400, 3_600), (3_600, 3_600), (90, 90), (-500, 1)] {
            let limits = Limits::default();
            let until = limits.learn(ACME, op::ORG_JIT, &hour(403, 5_000, 0, says), NOW);
            assert_eq!(seconds(until), Some(waits), "{says}");
        }
        let mut raw = hour(403, 5_000, 0, 7_200 + 60);
        raw.headers.insert("date", HeaderValue::from_static("Fri, 15 Jan 2027 10:00:00 GMT"));
        let until = Limits::default().learn(ACME, op::ORG_JIT, &raw, NOW);
        assert_eq!(seconds(until), Some(60), "our clock is two hours behind GitHub's");
    }

    #[test]
    fn a_refused_credential_says_nothing_of_the_hour() {
        let limits = Limits::default();
        limits.learn(Payer::App, op::INSTALLATIONS, &hour(200, 5_000, 4_900, 1_800), NOW);
        limits.learn(Payer::App, op::INSTALLATIONS, &hour(401, 60, 0, 1_800), NOW);
        assert_eq!(limits.wait(Payer::App, op::INSTALLATIONS, "", NOW), None);
    }

    #[test]
    fn calls_that_meet_a_limit_together_meet_it_once() {
        let limits = Limits::default();
        let limited = answer(403, &[], "You have exceeded a secondary rate limit");
        for _ in 0..6 {
            assert_eq!(seconds(limits.learn(ACME, op::ORG_JIT, &limited, NOW)), Some(60));
        }
        let later = NOW.plus(Duration::from_secs(61));
        let until = limits.learn(ACME, op::ORG_JIT, &limited, later);
        assert_eq!(until, Some(later.plus(Duration::from_secs(120))), "the next time it is longer");
    }

    #[test]
    fn what_searches_leaves_a_reserve_to_what_runs_jobs() {
        let by_name = "/orgs/acme/actions/runners?name=linux-1&per_page=100&page=1";
        let list = "/orgs/acme/actions/runners?per_page=100&page=1";
        for (operation, path, least) in [
            (op::RUNS, "", 1_501),
            (op::RUN_JOBS, "", 1_501),
            (op::REPOSITORIES, "", 1_501),
            (op::DELIVERIES, "", 1_501),
            (op::ORG_RUNNERS, list, 1_501),
            (op::CHECK_CREATE, "", 501),
            (op::COMMENTS, "", 501),
            (op::ORG_JIT, "", 0),
            (op::ORG_TOKEN, "", 0),
            (op::ORG_RUNNER_DELETE, "", 0),
            (op::ORG_RUNNERS, by_name, 0),
            (op::ORG_RUNNER, "", 0),
            (op::ACCESS_TOKEN, "", 0),
            (op::ORG_GROUPS, "", 0),
            (op::JOB, "", 0),
        ] {
            let waits = |payer, remaining| {
                let limits = Limits::default();
                limits.learn(payer, op::ORG_JIT, &hour(200, 5_000, remaining, 1_000), NOW);
                limits.wait(payer, operation, path, NOW).is_some()
            };
            assert!(!waits(ACME, least), "{} at {least}", operation.id);
            assert!(least == 0 || waits(ACME, least - 1), "{} below {least}", operation.id);
            assert!(!waits(Payer::Token, 1) && !waits(Payer::Nobody, 1), "a reserve is for who shares");
        }
    }

    #[test]
    fn answers_that_overtake_each_other_do_not_raise_what_is_left() {
        let limits = Limits::default();
        for remaining in [1_400, 1_600] {
            limits.learn(ACME, op::ORG_JIT, &hour(200, 5_000, remaining, 1_000), NOW);
        }
        assert!(limits.wait(ACME, op::RUNS, "", NOW).is_some());
        let later = NOW.plus(Duration::from_secs(1_000));
        assert!(limits.wait(ACME, op::RUNS, "", later).is_none(), "the next hour");
        limits.learn(ACME, op::ORG_JIT, &hour(200, 5_000, 4_999, 4_600), later);
        assert!(limits.wait(ACME, op::RUNS, "", later).is_none());
    }

    #[test]
    fn a_limit_on_content_stops_no_runner_and_a_secondary_one_grows() {
        let limits = Limits::default();
        let content =
            "You have exceeded a secondary rate limit and have been temporarily blocked from content creation.";
        limits.learn(ACME, op::CHECK_CREATE, &answer(403, &[("retry-after", "90".into())], content), NOW);
        assert_eq!(seconds(limits.wait(ACME, op::CHECK_CREATE, "", NOW)), Some(90));
        assert_eq!(limits.wait(ACME, op::ORG_JIT, "", NOW), None);

        let mut now = NOW;
        let secondary = answer(403, &[], "You have exceeded a secondary rate limit.");
        for pause in [60, 120, 240, 480, 900, 900] {
            let until = limits.learn(ACME, op::RUNS, &secondary, now).unwrap();
            assert_eq!(until.since(now).as_secs(), pause);
            assert_eq!(limits.wait(ACME, op::ORG_JIT, "", now), Some(until));
            now = until;
        }
        limits.learn(ACME, op::RUNS, &answer(200, &[], ""), now);
        let until = limits.learn(ACME, op::RUNS, &secondary, now).unwrap();
        assert_eq!(until.since(now).as_secs(), 60, "after a success it begins again");
    }
}
