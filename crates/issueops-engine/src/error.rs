//! Why a reconcile pass did not come to its end: one error for all of them, beneath every module that can fail.

use runnersmith_ports::GitHubError;

use crate::base::BaseError;
use crate::change_store::ChangeStoreError;
use crate::fleet::FleetError;
use crate::provisioner::ProvisionError;
use crate::seal::SealError;

/// Why a look did not come to its end. What was decided is stored, and the next look goes on.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// GitHub.
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    /// The default branch.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// The records.
    #[error(transparent)]
    ChangeStore(#[from] ChangeStoreError),
    /// The control plane.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// A plan file.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// What is applied is not merged yet.
    #[error("merge #{pull}: {why}; hint: nothing is lost, the next tick merges it")]
    NotMergedYet {
        /// The pull request.
        pull: u64,
        /// Why. Foreign text.
        why: String,
    },
    /// The provisioner could not even begin.
    #[error("provision {environment}")]
    Provision {
        /// Which environment.
        environment: String,
        /// Why.
        #[source]
        source: ProvisionError,
    },
    /// Something of ours does not fit.
    #[error("{0}")]
    Internal(String),
}
