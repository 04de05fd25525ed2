//! When the host of a server is at fault: its disk is full, or the runner on it is so old that GitHub gives it no jobs.
//!
//! It is apart from the planner because nothing is decided from it; it is here because a judgement belongs in a pure package.

use std::time::Duration;

use runnersmith_types::{RunnerVersion, Timestamp};

/// GitHub gives no jobs to a runner when a newer release has been out for so long (GitHub's documentation, "Self-hosted runners
/// reference", runner software updates).
pub const TOO_OLD_AFTER: Duration = Duration::from_secs(30 * 86_400);
/// The fault is shown this long before.
const SAID_BEFORE: Duration = Duration::from_secs(10 * 86_400);
/// Less room than this is a full disk: a ledger of a busy server grows by so much in some days, and a machine needs as much to start.
const ROOM_MIN: u64 = 1 << 30;
/// On a small disk this part of it, in percent, is enough.
const ROOM_MIN_PERCENT: u64 = 10;

/// When the newest release is asked for: four times a day, and soon again after a failure, which may be GitHub's hiccup.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReleaseChecks {
    next_at: Timestamp,
    failed_in_a_row: u32,
}

impl ReleaseChecks {
    /// From one success to the next check: one call of the 60 in an hour that an address has without a credential.
    const EVERY: Duration = Duration::from_secs(6 * 3_600);
    /// From a failure to the next check.
    const AGAIN_AFTER: Duration = Duration::from_secs(600);
    /// So many failures in a row are a fault.
    const FAULT_FROM: u32 = 3;

    /// Whether it is to be asked for now.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.next_at <= now
    }

    /// It was asked for. Returns whether that counts as a failure now.
    pub fn asked(&mut self, succeeded: bool, now: Timestamp) -> bool {
        self.failed_in_a_row = if succeeded { 0 } else { self.failed_in_a_row.saturating_add(1) };
        self.next_at = now.plus(if succeeded { Self::EVERY } else { Self::AGAIN_AFTER });
        self.failed_in_a_row >= Self::FAULT_FROM
    }
}

/// What is wrong with the runner's version, if anything: a newer one, published at `published_at`, has been out for long.
#[must_use]
pub fn outdated(
    used: &RunnerVersion,
    newest: &RunnerVersion,
    published_at: Timestamp,
    now: Timestamp,
) -> Option<String> {
    let out_for = now.since(published_at);
    if newest <= used || out_for.saturating_add(SAID_BEFORE) < TOO_OLD_AFTER {
        return None;
    }
    let days = |time: Duration| time.as_secs() / 86_400;
    let (out, most) = (days(out_for), days(TOO_OLD_AFTER));
    let then = if out_for < TOO_OLD_AFTER { "will give" } else { "gives" };
    Some(format!(
        "machines get version {used} of actions/runner, and {newest} has been out for {out} days: GitHub {then} them no jobs after {most}"
    ))
}

/// What is wrong with a disk, if anything: of `total` bytes only `free` are left to this program.
#[must_use]
pub fn full(free: u64, total: u64) -> Option<String> {
    let least = ROOM_MIN.min(total / 100 * ROOM_MIN_PERCENT);
    let shown = |bytes: u64| match bytes >> 20 {
        mebibytes @ 0..1_024 => format!("{mebibytes} MiB"),
        mebibytes => format!("{} GiB", mebibytes >> 10),
    };
    (free < least).then(|| format!("{} of {} are left on its disk", shown(free), shown(total)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn days_ago(days: u64) -> Timestamp {
        NOW.minus(Duration::from_secs(days * 86_400))
    }

    #[test]
    fn an_old_runner_is_said_before_github_gives_it_no_jobs() {
        let version = |text: &str| RunnerVersion::parse(text).unwrap();
        let (old, new) = (version("2.330.0"), version("2.331.0"));
        assert_eq!(outdated(&old, &new, days_ago(19), NOW), None);
        assert_eq!(outdated(&new, &new, days_ago(90), NOW), None, "the newest is never too old");
        assert_eq!(outdated(&new, &old, days_ago(90), NOW), None, "a prerelease neither");
        assert_eq!(
            outdated(&old, &new, days_ago(20), NOW).unwrap(),
            "machines get version 2.330.0 of actions/runner, and 2.331.0 has been out for 20 days: GitHub will give them no jobs after 30"
        );
        assert!(outdated(&old, &new, days_ago(30), NOW).unwrap().contains("GitHub gives them no jobs after 30"));
    }

    #[test]
    fn a_release_is_asked_for_again_soon_after_a_failure_and_only_several_of_them_are_a_fault() {
        let mut checks = ReleaseChecks::default();
        assert!(checks.is_due(NOW));
        let minutes = |minutes: u64| NOW.plus(Duration::from_secs(minutes * 60));
        assert_eq!([0, 10, 20].map(|at| checks.asked(false, minutes(at))), [false, false, true]);
        assert!(!checks.is_due(minutes(29)) && checks.is_due(minutes(30)));
        assert!(!checks.asked(true, minutes(30)));
        assert!(!checks.is_due(minutes(389)) && checks.is_due(minutes(390)));
        assert!(!checks.asked(false, minutes(390)), "counted from the beginning");
    }

    #[test]
    fn a_disk_is_full_below_a_gibibyte_or_a_tenth_of_a_small_one() {
        let mebibyte = 1 << 20;
        assert_eq!(full(1_024 * mebibyte, 100_000 * mebibyte), None);
        assert_eq!(full(1_023 * mebibyte, 100_000 * mebibyte).unwrap(), "1023 MiB of 97 GiB are left on its disk");
        assert_eq!(full(300 * mebibyte, 2_000 * mebibyte), None);
        assert_eq!(full(0, 2_000 * mebibyte).unwrap(), "0 MiB of 1 GiB are left on its disk");
        assert_eq!(full(0, 0), None, "a file system that does not say");
    }
}
