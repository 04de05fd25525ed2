//! What was seen, with when it was seen and whether it was complete.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::failure::BootFailures;
use crate::hand_off_fault::HandOffFaults;
use crate::ids::{BatchId, ControlPlaneId, Label, MachineId, RegistrationId, RepoFullName, RunId, ScaleSetName};
use crate::job::Job;
use crate::policy::{CapacityPool, RunnerScope, ScaleSet};
use crate::runner::Runner;
use crate::time::Timestamp;
use crate::version::RecordVersion;

/// A source's answer, or that it gave none. Unknown is not empty, and never idle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed<T> {
    /// What the source said.
    Seen {
        /// The answer.
        value: T,
        /// When the question was asked.
        at: Timestamp,
        /// Whether the answer is known to be all there is.
        complete: bool,
    },
    /// No answer, and why (not asked in this pass, rate-limited, an error).
    Unknown {
        /// Why.
        why: String,
    },
}

impl<T> Observed<T> {
    /// A complete answer.
    pub const fn seen(value: T, at: Timestamp) -> Self {
        Self::Seen { value, at, complete: true }
    }
    /// The answer, complete or not.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Seen { value, .. } => Some(value),
            Self::Unknown { .. } => None,
        }
    }
    /// The answer, if it is all there is: only then does absence mean anything.
    pub const fn complete(&self) -> Option<&T> {
        match self {
            Self::Seen { value, complete: true, .. } => Some(value),
            Self::Seen { .. } | Self::Unknown { .. } => None,
        }
    }
}

/// Where a machine stands, by its own provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MachineState {
    /// Being made.
    Pending,
    /// Running.
    Running,
    /// Shutting down or ended; it will not come back.
    Ended,
}

/// What the machine itself says, independently of GitHub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MachineStatus {
    /// Started; the runner does not listen yet.
    Booting,
    /// The hand-off was read and its copy deleted.
    Configured,
    /// The runner listens for jobs.
    Listening,
    /// The job-started hook ran.
    Busy,
    /// The job-completed hook ran.
    JobDone,
    /// The runner process ended; the text says how.
    Ended(String),
}

/// A machine as its provider shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Its id.
    pub id: MachineId,
    /// The set in its tag.
    pub set: ScaleSetName,
    /// The control plane in its tag.
    #[serde(rename = "plane")]
    pub control_plane: ControlPlaneId,
    /// The batch in its tag.
    pub batch: BatchId,
    /// Where it stands.
    pub state: MachineState,
    /// What it says.
    #[serde(rename = "voice")]
    pub status: Option<MachineStatus>,
    /// When it was launched.
    pub launched_at: Timestamp,
    /// Where it was bought.
    #[serde(rename = "rung")]
    pub pool: CapacityPool,
    /// A warning that it will be taken back at this time.
    pub interrupted_at: Option<Timestamp>,
}

/// A registration as GitHub shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// GitHub's number.
    pub id: RegistrationId,
    /// Its name.
    pub name: String,
    /// GitHub's `status` is `online`.
    pub online: bool,
    /// GitHub's `busy`: may be stale for minutes (actions/runner#4422).
    pub busy: bool,
    /// Its labels.
    pub labels: Vec<Label>,
}

/// Another scale set, as far as it bears on this one: jobs are shared out among all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its policy.
    pub policy: ScaleSet,
    /// Its runners alive.
    pub alive: u32,
    /// Of these, the ones that can take a job.
    pub supply: u32,
}

/// What is left of the App's budgets in this minute and hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// JIT configs (each a content-creating write) that may still be asked for now.
    pub jit_left: u32,
    /// Other calls that may still be made now.
    pub calls_left: u32,
    /// Check runs that may still be posted now; counted only for the set whose pass posts them.
    pub notifications_left: u32,
    /// When the budgets are full again.
    pub refills_at: Timestamp,
}

/// A capacity pool that failed lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolFailure {
    /// The capacity pool.
    #[serde(rename = "rung")]
    pub pool: CapacityPool,
    /// When.
    pub at: Timestamp,
    /// Why, in words.
    pub why: String,
    /// A quota of the account refused it, which no other moment changes.
    #[serde(default)]
    pub is_quota: bool,
    /// The version of the stored form.
    #[serde(default)]
    pub record_version: RecordVersion<1>,
}

impl PoolFailure {
    /// A failure of the present version's form.
    #[must_use]
    pub const fn new(pool: CapacityPool, at: Timestamp, why: String) -> Self {
        Self { pool, at, why, is_quota: false, record_version: RecordVersion::CURRENT }
    }
}

/// Everything that one plan of one scale set is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The ledger's identity.
    pub control_plane: ControlPlaneId,
    /// The first serial that is free for new runner names.
    pub next_serial: u64,
    /// All open jobs of all sets, those that ended within the last minutes (for finished runners), and those that are followed
    /// after their end ([`Job::is_followed`]).
    pub jobs: Vec<Job>,
    /// This set's runners that are not gone.
    pub runners: Vec<Runner>,
    /// This set's batches that are not settled.
    pub batches: Vec<Batch>,
    /// The other sets.
    pub peers: Vec<Peer>,
    /// This set's machines, by tag.
    pub machines: Observed<Vec<Machine>>,
    /// Registrations, by place, as far as they were asked for in this pass.
    pub registrations: BTreeMap<RunnerScope, Observed<Vec<Registration>>>,
    /// Budgets.
    pub budget: Budget,
    /// Recent failures of capacity pools.
    pub pool_failures: Vec<PoolFailure>,
    /// Boot failures since the last success, or since an operator's reset.
    pub boot_failures: BootFailures,
    /// Places where hand-offs fail, or failed lately.
    pub hand_off_faults: HandOffFaults,
    /// Runs whose failed jobs were already re-run after an interruption.
    pub reruns: Vec<(RepoFullName, RunId)>,
}
