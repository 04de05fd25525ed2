//! The shell of IssueOps: what the pure crate `issueops` decides is done here, step by step, through ports.
//!
//! It exists apart from its two homes, a workflow of the control repository and a running control plane, so that both handle
//! a request alike: they differ in who they are, what they may do, and how they prove a run dead, and in nothing else.

mod approve;
mod base;
mod book;
mod bundle;
mod desk;
mod drift;
pub mod fleet;
mod intake;
mod look;
mod plan;
pub mod provisioner;
mod record;
mod runs;
mod seal;
mod signal;
mod steps;

pub use base::{Base, BaseError, Reader};
pub use book::{Book, BookError, LockNote, open_key};
pub use desk::{Desk, DeskError, Handled, Parts, Signal, Webhooks};
pub use drift::Drift;
pub use fleet::{Fleet, FleetError};
pub use provisioner::{
    Applied, LeftBy, MadePlan, PlanOptions, Progress, ProvisionError, Provisioner, StateId, Workspace,
};
pub use record::{Record, Rights, Todo};
pub use runs::{Run, Runs};
pub use seal::{Seal, SealError};
pub use signal::{Ignored, signal_of};
