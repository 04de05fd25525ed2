//! The shell of IssueOps: what the pure crate `issueops` decides is done here, step by step, through ports.

pub mod fleet;
pub mod provisioner;

pub use fleet::{Fleet, FleetError};
pub use provisioner::{
    Applied, LeftBy, MadePlan, PlanOptions, Progress, ProvisionError, Provisioner, StateId, Workspace,
};
