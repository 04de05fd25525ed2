//! Where a runner stands: a module of its own, because it is what everything else of a runner is decided by.

use serde::{Deserialize, Serialize};

/// Where a runner stands. `design`: every state has evidence, an exit and a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunnerState {
    /// Recorded; nothing launched.
    Intended,
    /// Its batch is stored; the call may or may not have happened.
    Launching,
    /// Its machine is known; not seen online yet.
    Booting,
    /// Online, not busy by any source.
    Idle,
    /// Some source says that it has a job.
    Busy,
    /// Deregistered, or asked to end.
    Draining,
    /// Ephemeral, its job completed.
    Finished,
    /// Registration gone without a job, or machine gone with one.
    Lost,
    /// Nothing of it is left; history.
    Gone,
}

impl RunnerState {
    /// Whether it counts against the maximum: everything that has, or may have, a machine, and every intent.
    #[must_use]
    pub const fn is_alive(self) -> bool {
        match self {
            Self::Intended
            | Self::Launching
            | Self::Booting
            | Self::Idle
            | Self::Busy
            | Self::Draining
            | Self::Finished
            | Self::Lost => true,
            Self::Gone => false,
        }
    }
    /// Whether it will or can take a job: the supply of rule 2.
    #[must_use]
    pub const fn is_supply(self) -> bool {
        match self {
            Self::Intended | Self::Launching | Self::Booting | Self::Idle => true,
            Self::Busy | Self::Draining | Self::Finished | Self::Lost | Self::Gone => false,
        }
    }
    /// A word for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Launching => "launching",
            Self::Booting => "booting",
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Draining => "draining",
            Self::Finished => "finished",
            Self::Lost => "lost",
            Self::Gone => "gone",
        }
    }
}
