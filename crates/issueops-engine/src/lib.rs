//! The shell of IssueOps: what the pure crate `issueops` decides is done here, step by step, through ports.
//!
//! It exists apart from its two homes, a workflow of the control repository and a running control plane, so that both handle
//! a request alike: they differ in who they are, what they may do, and how they prove a run dead, and in nothing else.

mod approve;
mod base;
mod branch;
mod bundle;
mod change_store;
mod compared;
mod context;
mod drift;
mod error;
pub mod fleet;
mod intake;
mod locks;
mod look;
mod outcome;
mod past;
mod plan;
pub mod provisioner;
mod reconciler;
mod record;
mod runs;
mod seal;
mod show;
mod steps;
mod stored_plan;
mod trust;
mod workspace;

pub use base::{Base, BaseError, Reader};
pub use change_store::{ChangeStore, ChangeStoreError, LockNote, open_key};
pub use compared::{StateBackend, Workspace};
pub use context::{ChangeReconciler, ReconcilerParts, Webhooks};
pub use drift::Drift;
pub use error::ReconcileError;
pub use fleet::{Fleet, FleetError};
pub use provisioner::{Applied, LeftBy, MadePlan, PlanOptions, Progress, ProvisionError, Provisioner, StateId};
pub use reconciler::Handled;
pub use record::{Record, Rights, Todo};
pub use runs::{Run, Runs};
pub use seal::{Seal, SealError};
