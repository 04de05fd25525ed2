//! What a plan does nothing about, and what that waits for.
//!
//! It is apart from the actions because nothing is done by it: it is shown, and recorded when it changes.

use std::fmt;

use crate::failure::BootFailureCause;
use crate::hand_off_fault::HandOffTrouble;
use crate::ids::{JobId, RunnerName};
use crate::time::Timestamp;
use crate::wait::Wait;

/// What nothing is done about, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The job, if it is about one.
    pub job: Option<JobId>,
    /// The runner, if it is about one.
    pub runner: Option<RunnerName>,
    /// What is waited for.
    pub on: WaitingOn,
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitingOn {
    /// The set's delay has not passed.
    Delay {
        /// When it has.
        until: Timestamp,
    },
    /// A runner is idle or on its way for it.
    Runner {
        /// How many runners are on their way or idle.
        supply: u32,
    },
    /// The set is at its maximum.
    Maximum {
        /// The maximum.
        runners_max: u32,
        /// Its place in the line, from 1; for display.
        position: u32,
    },
    /// It is stalled: a matching runner was idle and GitHub did not give it the job.
    Stalled {
        /// Tested again then.
        until: Timestamp,
    },
    /// GitHub still calls it queued although its own limit of 24 hours is over.
    Overdue {
        /// GitHub is asked for it again then.
        until: Timestamp,
    },
    /// The environment's gate or concurrency group (GitHub's `waiting`).
    Gate,
    /// No set serves its labels.
    NoSet {
        /// What is missing, in words.
        why: String,
    },
    /// Every capacity pool of the fallback order is cooling down.
    Capacity {
        /// Why the last one does, in words; empty when that is not known.
        why: String,
        /// A quota of the account refused the last one.
        is_quota: bool,
        /// The first is tried again then.
        until: Timestamp,
    },
    /// Launches are paused after boot failures.
    Breaker {
        /// The next probe.
        probe_at: Timestamp,
        /// Failures so far.
        failures: u32,
        /// What the last machine that failed did.
        cause: BootFailureCause,
        /// Which one that was, and its own words; empty when they are not known.
        why: String,
    },
    /// Runners cannot be given their configurations.
    HandOff {
        /// Whose failure it is.
        trouble: HandOffTrouble,
        /// What is wrong, in words.
        why: String,
        /// Tried again then.
        until: Timestamp,
    },
    /// GitHub's budget is used up.
    Budget {
        /// When it refills.
        until: Timestamp,
    },
    /// A source did not answer, so nothing is removed.
    UnknownSource {
        /// Which and why.
        why: String,
    },
    /// Kept by the minimum of idle runners.
    MinIdle,
    /// Not old enough to be removed, not confirmed idle long enough, settling, or in a grace time.
    Grace {
        /// What, in words.
        what: &'static str,
        /// Until when.
        until: Timestamp,
    },
}

impl WaitingOn {
    /// Returns a stable word, as in the ledger.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Delay { .. } => "delay",
            Self::Runner { .. } => Wait::RUNNER,
            Self::Maximum { .. } => "maximum",
            Self::Stalled { .. } => "stalled",
            Self::Overdue { .. } => "overdue",
            Self::Gate => "gate",
            Self::NoSet { .. } => "no_set",
            Self::Capacity { .. } => "capacity",
            Self::Breaker { .. } => "breaker",
            Self::Budget { .. } => "budget",
            Self::HandOff { .. } => "hand_off",
            Self::UnknownSource { .. } => "unknown_source",
            Self::MinIdle => "min_idle",
            Self::Grace { .. } => "grace",
        }
    }
}

impl fmt::Display for WaitingOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay { .. } => {
                write!(f, "a runner that ends its job may take it; another is launched after the scale set's delay")
            }
            Self::Runner { supply } => write!(f, "a runner is on its way ({supply} idle or booting)"),
            Self::Maximum { runners_max, position } => {
                write!(f, "the set is at its maximum of {runners_max}; place {position} in the line")
            }
            Self::Stalled { .. } => write!(
                f,
                "stalled: a matching runner was idle and GitHub did not assign the job (max-parallel, or the runner group excludes the repository)"
            ),
            Self::Overdue { .. } => {
                write!(
                    f,
                    "nobody took it within 24 hours, after which GitHub ends jobs, and GitHub still calls it queued"
                )
            }
            Self::Gate => {
                write!(f, "GitHub holds it back for an environment's approval or a concurrency group")
            }
            Self::NoSet { why } => write!(f, "no scale set serves it: {why}"),
            Self::Capacity { why, .. } => {
                write!(f, "no capacity: every capacity pool is cooling down after a failure{}", Last(why))
            }
            Self::Breaker { failures, cause, why, .. } => {
                let what = match cause {
                    BootFailureCause::NeverOnline => "boot failures",
                    BootFailureCause::NoJob => "runners that came online and ended without a job",
                    BootFailureCause::Refused => "refused launches",
                };
                let last = Last(why);
                write!(
                    f,
                    "launches are paused after {failures} {what}; one machine is launched at a time as a probe{last}"
                )
            }
            Self::HandOff { why, .. } => write!(f, "{why}"),
            Self::Budget { .. } => write!(f, "this minute's budget for new registrations is used up"),
            Self::UnknownSource { why } => write!(f, "a source did not answer: {why}"),
            Self::MinIdle => write!(f, "kept as one of the minimum of idle runners"),
            Self::Grace { what, .. } => write!(f, "{what}"),
        }
    }
}

/// The last failure, if its words are known.
struct Last<'a>(&'a str);

impl fmt::Display for Last<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "; the last: {}", self.0) }
    }
}
