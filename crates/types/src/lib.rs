//! The words of Runnersmith as types.
//!
//! This crate exists apart so that every other crate speaks of the same things with the same
//! names, and so that no decision can depend on tokio, HTTP, AWS, a clock or the environment:
//! nothing here can reach them. Records derive `serde` because the ledger stores exactly these
//! records and its form is a promise; wire types of GitHub and AWS live at the edges.

mod change_trigger;
pub mod ec2;
pub mod event;
mod hand_off;
mod hook;
pub mod ids;
pub mod job;
mod names;
mod number;
pub mod plan;
pub mod policy;
pub mod runner;
pub mod secret;
pub mod snapshot;
pub mod time;
mod version;
mod webhook_path;

pub use change_trigger::ChangeTrigger;
pub use ec2::Ec2Set;
pub use event::{EventKind, HistoryEvent};
pub use hand_off::HandOffEncryption;
pub use hook::HookAddress;
pub use ids::{
    BatchId, ControlPlaneId, DeliveryId, JobId, Label, MachineId, Owner, ParseError, RegistrationId, RepoFullName,
    RunId, RunnerGroupName, RunnerName, ScaleSetName,
};
pub use job::{Conclusion, FactSource, Job, JobFact, JobStatus, Notified, OwnerKind, Stalled, Wait, Waited};
pub use names::{RegistrationName, RunnerNameParts};
pub use number::saturating_u32;
pub use plan::{
    Action, EffectAction, HandOffMeans, Intent, LaunchAction, Notification, Plan, PlanStep, Reason, RecordAction,
    Waiting, WaitingOn,
};
pub use policy::{
    CapacityPool, Day, FallbackOrder, INTENTS_MAX, Market, MinIdleEntry, RepoPattern, RunnerScope, ScaleSet, Scope,
    ScopeLevel, Target, Timing,
};
pub use runner::{Batch, Runner, RunnerState, RunnerUpdate};
pub use secret::Secret;
pub use snapshot::{
    BootFailure, BootFailures, Budget, Machine, MachineState, MachineStatus, Observed, Peer, PoolFailure, Registration,
    Snapshot,
};
pub use time::Timestamp;
pub use version::RecordVersion;
pub use webhook_path::WebhookPath;
