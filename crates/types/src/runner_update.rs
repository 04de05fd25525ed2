//! What can happen to a runner's record: a list of its own, because planner, execution and ledgers speak of it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ids::{BatchId, JobId, Label, MachineId, RegistrationId};
use crate::policy::CapacityPool;
use crate::time::Timestamp;

/// One change of a runner's record. The planner or an execution's outcome gives it; [`Runner::update`](crate::Runner::update) is the only place that applies it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunnerUpdate {
    /// Its batch is stored.
    Launching {
        /// The batch.
        batch: BatchId,
        /// The capacity pool.
        #[serde(rename = "rung")]
        pool: CapacityPool,
    },
    /// Its batch certainly launched no machine for it (no capacity): back to an intent.
    NotLaunched,
    /// Its launch call had no usable answer, and this is the cause: it is made again.
    LaunchTried(String),
    /// Its launch call is given up, and this is the cause: back to an intent, which is launched again after a pause.
    LaunchFailed(String),
    /// Its machine is known.
    Machine(MachineId),
    /// A JIT config is about to be asked for.
    JitRequested,
    /// A registration exists.
    Registered(RegistrationId),
    /// Its registration has these labels.
    Labels(BTreeSet<Label>),
    /// The request for a JIT config certainly registered nothing: its mark goes, and the same name is asked for again.
    JitNotMade,
    /// A JIT config was lost; the next attempt begins.
    NextAttempt,
    /// The hand-off is put.
    HandedOff,
    /// Seen online and not busy by a source. `Some` registration when GitHub gave it.
    Idle(Option<RegistrationId>),
    /// Some source says busy.
    Busy(Option<JobId>),
    /// GitHub alone says busy, and said so at this time.
    BusyAtGitHub(Timestamp),
    /// The machine says busy, GitHub and the ledger the contrary.
    StatusDoubted,
    /// The machine does not say busy any more, or another source agrees with it.
    StatusBelieved,
    /// GitHub shows it offline.
    Offline,
    /// Removal decided.
    Draining,
    /// GitHub said 422: it has a job after all. Keep.
    RemovalRefused,
    /// GitHub answered 204 or 404.
    Deregistered,
    /// Its job completed.
    Finished,
    /// Something of it is missing.
    Lost,
    /// GitHub answered 404 for it by id.
    RegistrationMissing,
    /// GitHub knows it, by id.
    RegistrationSeen,
    /// Its machine is missing from a complete list.
    MachineMissing,
    /// Its machine is there.
    MachineSeen,
    /// Termination was asked for.
    Terminated,
    /// The hand-off is used or deleted.
    HandOffGone,
    /// Nothing is left of it.
    Gone(String),
}

impl RunnerUpdate {
    /// Returns a stable word, as in the ledger's history.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Launching { .. } => "launching",
            Self::NotLaunched => "not_launched",
            Self::LaunchTried(_) => "launch_tried",
            Self::LaunchFailed(_) => "launch_failed",
            Self::Machine(_) => "machine",
            Self::JitRequested => "jit_requested",
            Self::Registered(_) => "registered",
            Self::Labels(_) => "labels",
            Self::JitNotMade => "jit_not_made",
            Self::NextAttempt => "next_attempt",
            Self::HandedOff => "handed_off",
            Self::Idle(_) => "idle",
            Self::Busy(_) | Self::BusyAtGitHub(_) => "busy",
            Self::StatusDoubted => "status_doubted",
            Self::StatusBelieved => "status_believed",
            Self::Offline => "offline",
            Self::Draining => "draining",
            Self::RemovalRefused => "removal_refused",
            Self::Deregistered => "deregistered",
            Self::Finished => "finished",
            Self::Lost => "lost",
            Self::RegistrationMissing => "registration_missing",
            Self::RegistrationSeen => "registration_seen",
            Self::MachineMissing => "machine_missing",
            Self::MachineSeen => "machine_seen",
            Self::Terminated => "terminated",
            Self::HandOffGone => "hand_off_gone",
            Self::Gone(_) => "gone",
        }
    }
}
