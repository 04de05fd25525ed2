//! What makes an environment real: Terraform as a process, or the running control plane itself.
//!
//! It is a port so that the way of a change is the same for both: a plan that is stored and shown, and later exactly that
//! plan applied.

use std::collections::BTreeMap;

use async_trait::async_trait;
use runnersmith_issueops::summary::Summary;
use runnersmith_types::Timestamp;

use crate::compared::{StateBackend, Workspace};

/// Which state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateId {
    /// Its lineage; empty: there is none yet.
    pub lineage: String,
    /// Its serial; 0 when there is none yet.
    pub serial: u64,
}

/// What is to be planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanOptions {
    /// Plan the destruction of everything.
    pub destroy: bool,
    /// Do not take the state's own lock: a dead run may have left it. The lock itself is left where it is.
    pub without_lock: bool,
}

/// A plan that was made.
#[derive(Clone)]
pub struct MadePlan {
    /// The plan file. It can hold secrets.
    pub file: Vec<u8>,
    /// What it would do. It holds no secrets.
    pub summary: Summary,
    /// The plan as people read it, without colours. Sensitive values are hidden.
    pub text: String,
    /// The lock file of provider versions afterwards, if the provisioner has one.
    pub lock_file: Option<Vec<u8>>,
    /// The state that it was made from.
    pub state: StateId,
}

impl std::fmt::Debug for MadePlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a plan of {} bytes for state {:?}", self.file.len(), self.state)
    }
}

/// What an apply left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Outputs by name; sensitive ones are left out.
    pub outputs: BTreeMap<String, serde_json::Value>,
    /// What was printed, without colours.
    pub log: String,
}

/// Why provisioning failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProvisionError {
    /// It said no. What was done before stays, and is in the state.
    #[error("{message}")]
    Failed {
        /// The first resource that is named, if one is. Foreign text.
        resource: Option<String>,
        /// The errors, as people read them, at most 60,000 characters. Foreign text.
        message: String,
    },
    /// Somebody holds the state's own lock.
    #[error("the state is locked by {who} since {created}: {operation} (lock {id})")]
    Locked {
        /// The lock's id.
        id: String,
        /// `user@host`.
        who: String,
        /// What they do.
        operation: String,
        /// Since when, as it was said.
        created: String,
    },
    /// The plan is not for the state that is there now; nothing was done.
    #[error("the saved plan is stale: the state was changed after it was made")]
    Stale,
    /// It was asked to stop, and did so in order: what had ended is in the state, and no lock is held; a call that was under way
    /// may have its effect without being in the state. One that had to be killed is `Failed`.
    #[error("cancelled")]
    Cancelled,
    /// An apply was asked to stop before it began: nothing was done.
    #[error("cancelled before anything was done")]
    NotBegun,
    /// It could not even begin (no program, no disk).
    #[error("{0}")]
    Unable(String),
}

/// Receives what happens, line by line; foreign text without secrets.
pub trait Progress: Send + Sync {
    /// One line.
    fn line(&self, line: &str);
}

impl Progress for () {
    fn line(&self, _line: &str) {}
}

/// By which evidence a lock of the state itself is one that a dead run left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftBy {
    /// `user@host` of the dead run, as the provisioner writes it into its locks.
    pub who: String,
    /// When the dead run took our lock of the environment: a lock of the state that is older is not its.
    pub since: Timestamp,
}

/// Makes environments real. Contract: a plan changes nothing; an apply does exactly what the plan file says or fails; both end
/// in order when they are cancelled by dropping the future or by a stop signal; no secret is in an error or in a line of progress.
#[async_trait]
pub trait Provisioner: Send + Sync + 'static {
    /// Its version, for the digest.
    async fn version(&self) -> Result<String, ProvisionError>;
    /// Makes a plan.
    async fn plan(
        &self,
        workspace: &Workspace,
        options: PlanOptions,
        progress: &dyn Progress,
    ) -> Result<MadePlan, ProvisionError>;
    /// Which state is there now.
    async fn state(&self, backend: &StateBackend) -> Result<StateId, ProvisionError>;
    /// Applies a plan file.
    async fn apply(
        &self,
        workspace: &Workspace,
        plan_file: &[u8],
        progress: &dyn Progress,
    ) -> Result<Applied, ProvisionError>;
    /// What differs from the state without anybody having asked for it, found without the state's lock: in
    /// [`Summary::drifted`].
    async fn drift(&self, workspace: &Workspace) -> Result<Summary, ProvisionError>;
    /// Releases the state's own lock if it is one that the dead run left; returns its id. `Locked` when it is somebody else's.
    async fn release_left_lock(
        &self,
        backend: &StateBackend,
        left_by: &LeftBy,
    ) -> Result<Option<String>, ProvisionError>;
}
