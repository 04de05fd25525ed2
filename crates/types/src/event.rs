//! The ledger's history: everything seen, decided and done, with its reason.

use serde::{Deserialize, Serialize};

use crate::ids::{DeliveryId, JobId, MachineId, RunnerName, ScaleSetName};
use crate::time::Timestamp;
use crate::version::RecordVersion;

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A fact arrived.
    Seen,
    /// A decision was taken (an action or a refusal to act).
    Decided,
    /// An action succeeded.
    Done,
    /// An action failed.
    Failed,
    /// A delivery was dropped at the edge, with the reason.
    Dropped,
}

/// One line of history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEvent {
    /// When.
    pub at: Timestamp,
    /// What kind.
    pub kind: EventKind,
    /// A stable word: an action's kind, a fact's status.
    pub what: String,
    /// For people, at most 500 characters.
    pub text: String,
    /// The set, if it is about one.
    pub set: Option<ScaleSetName>,
    /// The job, if it is about one.
    pub job: Option<JobId>,
    /// The runner, if it is about one.
    pub runner: Option<RunnerName>,
    /// The machine, if it is about one.
    pub machine: Option<MachineId>,
    /// The delivery, if it came by one.
    pub delivery: Option<DeliveryId>,
    /// The version of the stored form.
    #[serde(default)]
    pub record_version: RecordVersion<1>,
}

impl HistoryEvent {
    /// The `what` of a line that a failed machine said. Many of them follow each other.
    pub const MACHINE_OUTPUT: &str = "machine_output";

    /// An event about nothing in particular yet.
    #[must_use]
    pub fn new(at: Timestamp, kind: EventKind, what: impl Into<String>, text: impl Into<String>) -> Self {
        let text: String = text.into();
        Self {
            at,
            kind,
            what: what.into(),
            text: text.chars().take(500).collect(),
            set: None,
            job: None,
            runner: None,
            machine: None,
            delivery: None,
            record_version: RecordVersion::CURRENT,
        }
    }
}
