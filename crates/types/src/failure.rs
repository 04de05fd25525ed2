//! Machines that failed, by how they did, and the pauses that follow from failures.
//!
//! They are apart from what was seen (`snapshot`) because they are remembered from pass to pass, and because their arithmetic (what
//! one round is, how long a pause is) is the same where they are recorded and where they are decided from.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::RunnerName;
use crate::policy::CapacityPool;
use crate::time::Timestamp;
use crate::version::RecordVersion;

/// How a machine failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BootFailureCause {
    /// It got its configuration, or ended before it could get it, and its runner was never online.
    #[default]
    NeverOnline,
    /// Its runner was online and ended, or went offline, without a job.
    NoJob,
    /// The launch was refused for another reason than capacity.
    Refused,
}

impl BootFailureCause {
    /// What so many machines did, for people.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::NeverOnline => "did not boot",
            Self::NoJob => "came online and ended without a job",
            Self::Refused => "were refused when they were launched",
        }
    }
}

/// A machine that never came online or ended without a job, or a launch that failed for another reason than capacity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootFailure {
    /// The runner.
    pub runner: RunnerName,
    /// Where.
    #[serde(rename = "rung")]
    pub pool: CapacityPool,
    /// When.
    pub at: Timestamp,
    /// How.
    #[serde(default)]
    pub cause: BootFailureCause,
    /// The reason in words, the machine's own where it gave one; empty in old records.
    #[serde(default)]
    pub why: String,
    /// When its launch was stored; not known of old records.
    #[serde(default)]
    pub launched_at: Option<Timestamp>,
    /// The failed round it belongs to, from 1; 0 in old records, which are a round each.
    #[serde(default)]
    pub round: u32,
    /// When the first failure of its round was recorded: what was launched before belongs to the same round.
    #[serde(default)]
    pub round_at: Option<Timestamp>,
    /// The version of the stored form.
    #[serde(default)]
    pub record_version: RecordVersion<1>,
}

impl BootFailure {
    /// A failure of the present version's form, of a machine that was never online.
    #[must_use]
    pub const fn new(runner: RunnerName, pool: CapacityPool, at: Timestamp) -> Self {
        Self {
            runner,
            pool,
            at,
            cause: BootFailureCause::NeverOnline,
            why: String::new(),
            launched_at: None,
            round: 0,
            round_at: None,
            record_version: RecordVersion::CURRENT,
        }
    }

    /// The same, with its cause, its reason in words, and when its launch was stored.
    #[must_use]
    pub fn because(self, cause: BootFailureCause, why: impl Into<String>, launched_at: Timestamp) -> Self {
        Self { cause, why: why.into().chars().take(200).collect(), launched_at: Some(launched_at), ..self }
    }
}

/// The boot failures of a set since the last success: the newest, and how many are older than those.
///
/// The newest say when the last one was, and on which capacity pools; all together say whose turn the next probe is. Either alone
/// would stand still once there are more than a ledger returns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootFailures {
    /// Failures that are older than the newest.
    pub older: usize,
    /// The newest, oldest of them first. At most [`BootFailures::NEWEST_MAX`].
    pub newest: Vec<BootFailure>,
}

impl BootFailures {
    /// The most that a ledger returns as the newest.
    pub const NEWEST_MAX: usize = 100;

    /// Returns how many there are.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.older + self.newest.len()
    }

    /// Returns the newest of all failures, which are given oldest first, with the number of the others.
    #[must_use]
    pub fn of(mut all: Vec<BootFailure>) -> Self {
        let newest = all.split_off(all.len().saturating_sub(Self::NEWEST_MAX));
        Self { older: all.len(), newest }
    }

    /// Adds one failure, and returns it as it is to be recorded: with its round. What was launched before the first failure of a
    /// round was known belongs to that round, however many machines those are.
    pub fn add(&mut self, mut failure: BootFailure) -> BootFailure {
        let last = self.newest.last();
        let same = last
            .filter(|last| failure.launched_at.zip(last.round_at).is_some_and(|(launched, round)| launched < round));
        (failure.round, failure.round_at) = match same {
            Some(last) => (last.round, last.round_at),
            None => (self.round_of(self.newest.len().wrapping_sub(1)).saturating_add(1), Some(failure.at)),
        };
        self.newest.push(failure.clone());
        if self.newest.len() > Self::NEWEST_MAX {
            self.newest.remove(0);
            self.older += 1;
        }
        failure
    }

    /// The failures after a moment: an operator's reset forgets the others.
    #[must_use]
    pub fn after(mut self, moment: Timestamp) -> Self {
        let before = self.newest.len();
        self.newest.retain(|failure| failure.at > moment);
        // What is older than the newest is older than the moment, if any of the newest is.
        let older = if self.newest.len() < before { 0 } else { self.older };
        Self { older, newest: self.newest }
    }

    /// How many rounds have failed after the one in which the failures reached the threshold. It stays near the number of the newest
    /// failures once that round is older than they are: a pause has long been at its maximum then.
    #[must_use]
    pub fn rounds_beyond(&self, threshold: usize) -> u32 {
        let opened = threshold.saturating_sub(1).saturating_sub(self.older).min(self.newest.len().saturating_sub(1));
        let last = self.round_of(self.newest.len().wrapping_sub(1));
        last.saturating_sub(self.round_of(opened))
    }

    /// The number of a failure's round, by its place among the newest; old records are a round each. 0 where no failure is.
    fn round_of(&self, index: usize) -> u32 {
        match self.newest.get(index) {
            Some(failure) if failure.round > 0 => failure.round,
            Some(_) => crate::saturating_u32(self.older + index + 1),
            None => 0,
        }
    }
}

/// The pause after a pass of which something failed: passes that fail one after the other come slower and slower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPause {
    /// Passes in a row that failed.
    pub failures: u32,
    /// The next pass, if nothing else wakes one.
    pub until: Timestamp,
}

impl RetryPause {
    const PAUSE_MIN: Duration = Duration::from_secs(2);
    const PAUSE_MAX: Duration = Duration::from_secs(60);

    /// The pause after a failure now. A failure long after the last pause is another row's first.
    #[must_use]
    pub fn next(last: Option<Self>, now: Timestamp) -> Self {
        let row = last.filter(|last| now <= last.until.plus(Self::PAUSE_MAX));
        let failures = row.map_or(0, |last| last.failures).saturating_add(1);
        let pause = Self::PAUSE_MIN.saturating_mul(1 << (failures - 1).min(16)).min(Self::PAUSE_MAX);
        Self { failures, until: now.plus(pause) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::FallbackOrder;

    const START: Timestamp = Timestamp(1_800_000_000_000);

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn failure(launched: u64, failed: u64) -> BootFailure {
        let runner = RunnerName::parse("linux-abcdef-1").unwrap();
        let pool = FallbackOrder::local().pools[0].clone();
        BootFailure::new(runner, pool, START.plus(secs(failed))).because(
            BootFailureCause::NeverOnline,
            "",
            START.plus(secs(launched)),
        )
    }

    #[test]
    fn what_was_launched_before_a_rounds_first_failure_is_of_that_round() {
        let mut failures = BootFailures::default();
        // Two hundred machines in several batches, which fail one after the other.
        for n in 0..200 {
            assert_eq!(failures.add(failure(n / 10, 300 + n)).round, 1);
        }
        assert_eq!((failures.total(), failures.rounds_beyond(3)), (200, 0));
        for (probe, beyond) in (1..=90_u64).zip(1..) {
            failures.add(failure(1_000 * probe, 1_000 * probe + 300));
            assert_eq!(
                failures.rounds_beyond(3),
                beyond,
                "also when the first round is older than what a ledger returns"
            );
        }
    }

    #[test]
    fn old_records_are_a_round_each() {
        let old = |n: u64| BootFailure { launched_at: None, ..failure(0, n) };
        let mut failures = BootFailures::of((1..=5).map(old).collect());
        assert_eq!(failures.rounds_beyond(3), 2);
        assert_eq!(failures.add(failure(4, 10)).round, 6, "and what comes after them a new one");
    }

    #[test]
    fn a_reset_forgets_what_failed_before_it() {
        let mut failures = BootFailures::default();
        for n in 0..150 {
            failures.add(failure(n, n));
        }
        let left = failures.after(START.plus(secs(148)));
        assert_eq!((left.total(), left.rounds_beyond(1)), (1, 0));
    }
}
