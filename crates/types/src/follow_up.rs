//! What is kept of a job beside GitHub's facts until it is done: why it waits, tries that failed, the re-run that it needs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// How a queued job's wait was explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitKind {
    /// By the set that serves it.
    Served,
    /// No set serves it, and no online runner that could be seen has its labels.
    Unserved,
    /// No set serves it, but an online runner of another fleet has its labels: its author is not notified.
    Elsewhere,
    /// No set serves it, and GitHub could not be asked for the runners of others.
    Unknown,
}

/// Why a queued job waits, recorded so that the pass which posts notifications knows it of the jobs of every set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitReason {
    /// When this was found out.
    pub at: Timestamp,
    /// How.
    pub kind: WaitKind,
    /// The reason, in words for its author.
    pub text: String,
}

/// Tries that failed one after the other. The pause before the next doubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedTries {
    /// How many.
    pub count: u32,
    /// The last of them.
    pub last_at: Timestamp,
    /// No other is made before this.
    pub next_at: Timestamp,
}

impl FailedTries {
    /// Returns the tries with one more, which failed at `at`. The pause is `first`, then twice as long each time, at most
    /// `longest`; it lasts until `not_before` if that is later, such as the end of a limit.
    #[must_use]
    pub fn again(
        before: Option<Self>,
        at: Timestamp,
        (first, longest): (Duration, Duration),
        not_before: Option<Timestamp>,
    ) -> Self {
        let count = before.map_or(1, |tries| tries.count.saturating_add(1));
        let pause = first.saturating_mul(1_u32.checked_shl(count - 1).unwrap_or(u32::MAX)).min(longest);
        let next_at = at.plus(pause);
        Self { count, last_at: at, next_at: not_before.map_or(next_at, |end| end.max(next_at)) }
    }
}

/// A job lost its machine while it ran, and its run is to be re-run for that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingRerun {
    /// The attempt of the run that was interrupted, from 1; 0 where it is not known. A run at a later attempt was re-run already.
    pub run_attempt: u32,
    /// Looks at the run that did not end with a re-run: it had not ended, or GitHub refused.
    pub tries: Option<FailedTries>,
    /// What came of it, in words; then nothing is left to do.
    pub outcome: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_the_longest_and_lasts_as_long_as_a_limit() {
        let pauses = (Duration::from_secs(60), Duration::from_secs(3_600));
        let mut tries = None;
        let mut seconds = Vec::new();
        for _ in 0..8 {
            let at = Timestamp::from_secs(1_000);
            let now = FailedTries::again(tries, at, pauses, None);
            seconds.push(now.next_at.since(at).as_secs());
            tries = Some(now);
        }
        assert_eq!(seconds, [60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
        let many = FailedTries { count: u32::MAX, last_at: Timestamp(0), next_at: Timestamp(0) };
        let next = FailedTries::again(Some(many), Timestamp(0), pauses, Some(Timestamp::from_secs(9_000)));
        assert_eq!(next.next_at, Timestamp::from_secs(9_000), "a limit's end is later");
    }
}
