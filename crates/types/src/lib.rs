//! The words of Runnersmith as types.
//!
//! This crate exists apart so that every other crate speaks of the same things with the same
//! names, and so that no decision can depend on tokio, HTTP, AWS, a clock or the environment:
//! nothing here can reach them. Records derive `serde` because the ledger stores exactly these
//! records and its form is a promise; wire types of GitHub and AWS live at the edges.

pub mod ec2;
pub mod event;
mod hook;
pub mod ids;
pub mod job;
pub mod plan;
pub mod policy;
pub mod runner;
pub mod secret;
pub mod snapshot;
pub mod time;

pub use ec2::Ec2Set;
pub use event::{Event, EventKind};
pub use hook::HookAddress;
pub use ids::{
    BatchId, DeliveryId, JobId, Label, MachineId, Owner, ParseError, PlaneId, RegistrationId, RepoFullName, RunId,
    RunnerGroupName, RunnerName, ScaleSetName,
};
pub use job::{Conclusion, FactSource, Held, Job, JobFact, JobStatus, OwnerKind, Told};
pub use plan::{Action, HandOffMeans, Intent, Plan, Reason, Step, Verdict, Waiting, WaitingOn};
pub use policy::{
    Day, FloorEntry, INTENTS_MAX, Ladder, Level, Market, RegisterAt, RepoPattern, Rung, ScaleSet, Scope, Target, Timing,
};
pub use runner::{Batch, Mark, Runner, RunnerState};
pub use secret::Secret;
pub use snapshot::{BootFailure, Budget, Machine, MachineState, Observed, Peer, Registration, Snapshot, Strike, Voice};
pub use time::Timestamp;
