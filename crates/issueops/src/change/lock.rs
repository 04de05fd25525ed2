//! An environment's lock: one change of an environment is applied at a time, and a person can keep all of them out.

use runnersmith_types::{Account, Timestamp};
use serde::{Deserialize, Serialize};

/// Who holds an environment's lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// A run that applies a change.
    Run {
        /// The run.
        run: String,
        /// The pull request of its change.
        pull: u64,
    },
    /// Somebody, by `/lock`.
    Person(Account),
}

/// An environment's lock, as it is beside the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Which taking of the lock; it is released only by this id.
    pub id: String,
    /// Who holds it.
    pub holder: Holder,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// Whether a run goes on. What is not known is not dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Liveness {
    /// It does.
    Alive,
    /// It is proved that it does not: GitHub says that it ended, or its heartbeat's process is gone.
    Dead,
    /// Nobody knows.
    Unknown,
}

/// A lock, with what is known of its holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLock {
    /// The lock.
    pub lock: Lock,
    /// The run that holds it; a person is [`Liveness::Unknown`].
    pub liveness: Liveness,
}

impl HeldLock {
    /// Whether a dead run of this pull request holds the lock.
    pub(super) fn is_left_by(&self, pull: u64) -> bool {
        matches!(self.lock.holder, Holder::Run { pull: own, .. } if own == pull) && self.liveness == Liveness::Dead
    }
}
