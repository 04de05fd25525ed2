//! Where runners run.

use std::collections::BTreeSet;

use async_trait::async_trait;
use runnersmith_types::{Batch, CapacityPool, ControlPlaneId, Machine, MachineId, ScaleSetName};

use crate::message::MachineEvent;

/// One launch call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchRequest {
    /// The stored batch: its id is the idempotency token and a tag; its runners say how many.
    pub batch: Batch,
    /// The ledger's identity, a tag.
    pub control_plane: ControlPlaneId,
}

/// Why a machines call failed: what a caller does differently.
#[derive(Debug, thiserror::Error)]
pub enum MachinesError {
    /// No capacity on that capacity pool now: cool it down, try the next. Nothing was launched.
    #[error("machines {operation}: no capacity in {pool}")]
    NoCapacity {
        /// The call.
        operation: &'static str,
        /// The capacity pool.
        pool: CapacityPool,
    },
    /// Too many calls; try later.
    #[error("machines {operation}: throttled")]
    Throttled {
        /// The call.
        operation: &'static str,
    },
    /// Nothing was launched, for a reason that passes by itself, and the call's token is spent: the next try is another call, a little later.
    #[error("machines {operation}: nothing was launched: {what}")]
    NothingLaunched {
        /// The call.
        operation: &'static str,
        /// Why.
        what: String,
    },
    /// An account limit; a person must raise it. Nothing was launched.
    #[error("machines {operation}: a quota is used up: {what}")]
    Quota {
        /// The call.
        operation: &'static str,
        /// Which.
        what: String,
    },
    /// The request itself is wrong (image, type, configuration); repeating it cannot help. Nothing was launched.
    #[error("machines {operation}: refused: {what}")]
    BadRequest {
        /// The call.
        operation: &'static str,
        /// What is wrong.
        what: String,
    },
    /// Anything else; the effect may have happened, so the call is made again with the same token, for a bounded time.
    #[error("machines {operation} failed")]
    Failed {
        /// The call.
        operation: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The most lines that [`Machines::output`] returns.
pub const OUTPUT_LINES_MAX: usize = 20;

/// Machines. Contract: `launch` with a batch that was launched before launches nothing and answers the same machines
/// (also the ended ones); a partial answer is a success with fewer machines; `list` answers every machine of the set and control plane
/// that has not ended, and ended ones for a while; `terminate` of an unknown or ended machine succeeds.
#[async_trait]
pub trait Machines: Send + Sync + 'static {
    /// Launches as many machines as the batch has runners. Sorted ids.
    async fn launch(&self, request: &LaunchRequest) -> Result<Vec<MachineId>, MachinesError>;
    /// The sets of the control plane that have machines which have not ended, whether a policy names them or not.
    async fn sets(&self, control_plane: &ControlPlaneId) -> Result<BTreeSet<ScaleSetName>, MachinesError>;
    /// The machines of a set.
    async fn list(&self, set: &ScaleSetName, control_plane: &ControlPlaneId) -> Result<Vec<Machine>, MachinesError>;
    /// Takes down which of these machines the provider takes back, and returns the sets of those that are the control plane's: others
    /// are of no concern. Where the provider reports nothing by itself there is nothing to take down.
    async fn reported(
        &self,
        events: &[MachineEvent],
        control_plane: &ControlPlaneId,
    ) -> Result<BTreeSet<ScaleSetName>, MachinesError> {
        let _ = (events, control_plane);
        Ok(BTreeSet::new())
    }
    /// Returns the last lines of what a machine and its runner said, oldest first, at most [`OUTPUT_LINES_MAX`]; none where the provider
    /// keeps nothing of it. They may hold foreign text, which anyone who shows them escapes, and no secret that we gave the machine.
    async fn output(&self, machine: &MachineId) -> Result<Vec<String>, MachinesError> {
        let _ = machine;
        Ok(Vec::new())
    }
    /// Ends machines.
    async fn terminate(&self, ids: &[MachineId]) -> Result<(), MachinesError>;
    /// Returns when a machine may have changed, or after `timeout`: a hint. Where the provider has no such signal it waits the timeout.
    async fn wait(&self, timeout: std::time::Duration);
}
