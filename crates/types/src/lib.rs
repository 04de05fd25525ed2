//! The words of Runnersmith as types.
//!
//! This crate exists apart so that every other crate speaks of the same things with the same
//! names, and so that no decision can depend on tokio, HTTP, AWS, a clock or the environment:
//! nothing here can reach them. Records derive `serde` because the ledger stores exactly these
//! records and its form is a promise; wire types of GitHub and AWS live at the edges.

mod account;
mod batch;
mod change_trigger;
mod delivery_cursor;
pub mod ec2;
pub mod event;
pub mod failure;
mod follow_up;
mod hand_off;
pub mod hand_off_fault;
mod hook;
pub mod ids;
pub mod job;
mod job_update;
mod job_waits;
mod names;
mod notification;
mod number;
pub mod plan;
pub mod policy;
mod run;
pub mod runner;
mod runner_state;
mod runner_update;
mod runner_version;
mod search;
pub mod secret;
pub mod snapshot;
pub mod time;
mod version;
mod wait;
mod waiting;
mod webhook_path;

pub use account::Account;
pub use batch::Batch;
pub use change_trigger::ChangeTrigger;
pub use delivery_cursor::{DeliveryCursor, FailedAgain};
pub use ec2::Ec2Set;
pub use event::{EventKind, HistoryEvent};
pub use failure::{BootFailure, BootFailureCause, BootFailures, RetryPause};
pub use follow_up::{FailedTries, PendingRerun, WaitKind, WaitReason};
pub use hand_off::HandOffEncryption;
pub use hand_off_fault::{HandOffFault, HandOffFaults, HandOffReport, HandOffTrouble};
pub use hook::HookAddress;
pub use ids::{
    BatchId, ControlPlaneId, DeliveryId, JobId, Label, MachineId, Owner, ParseError, RegistrationId, RepoFullName,
    RunId, RunnerGroupName, RunnerName, ScaleSetName,
};
pub use job::{Conclusion, FactSource, Job, JobFact, JobStatus, Notified, OwnerKind, Stalled};
pub use job_update::JobUpdate;
pub use names::{RegistrationName, RunnerNameParts};
pub use notification::{CheckRunText, Notification};
pub use number::saturating_u32;
pub use plan::{
    Action, EffectAction, HandOffAction, HandOffMeans, Intent, LaunchAction, Plan, PlanStep, Reason, RecordAction,
};
pub use policy::{
    CapacityPool, Day, FallbackOrder, INTENTS_MAX, Market, MinIdleEntry, RepoPattern, RunnerScope, ScaleSet, Scope,
    ScopeLevel, Target, Timing,
};
pub use run::RunSummary;
pub use runner::Runner;
pub use runner_state::RunnerState;
pub use runner_update::RunnerUpdate;
pub use runner_version::RunnerVersion;
pub use search::{ActiveRepositories, ActiveRepository, OwnerPage, SearchStep, SweepRound};
pub use secret::Secret;
pub use snapshot::{Budget, Machine, MachineState, MachineStatus, Observed, Peer, PoolFailure, Registration, Snapshot};
pub use time::Timestamp;
pub use version::RecordVersion;
pub use wait::{Wait, Waited};
pub use waiting::{Waiting, WaitingOn};
pub use webhook_path::WebhookPath;
