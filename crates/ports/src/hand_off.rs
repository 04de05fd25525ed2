//! Giving a machine its runner's configuration, once.

use async_trait::async_trait;
use runnersmith_types::{MachineId, RunnerName, RunnerScope, Secret, Timestamp};

/// What a machine needs to start its runner.
#[derive(Clone, Debug)]
pub enum RunnerConfig {
    /// `run.sh --jitconfig <this>`.
    Jit {
        /// The encoded config.
        encoded: Secret,
    },
    /// `config.sh --url … --token … --name … --labels …`, then `run.sh`.
    Token {
        /// The address that the runner registers with (`https://github.com/acme`).
        url: String,
        /// The registration token.
        token: Secret,
        /// The registration's name.
        name: String,
        /// All labels, joined by commas.
        labels: String,
        /// The runner group; `None` for a repository.
        group: Option<String>,
        /// `--ephemeral`.
        ephemeral: bool,
    },
}

/// Why a hand-off call failed.
#[derive(Debug, thiserror::Error)]
pub enum HandOffError {
    /// Too many calls; try later.
    #[error("hand-off {operation} for {machine}: throttled")]
    Throttled {
        /// The call.
        operation: &'static str,
        /// For whom.
        machine: MachineId,
    },
    /// The machine is not there (any more).
    #[error("hand-off {operation}: machine {machine} is gone")]
    MachineGone {
        /// The call.
        operation: &'static str,
        /// For whom.
        machine: MachineId,
    },
    /// They cannot be listed.
    #[error("hand-offs could not be listed")]
    NotListed {
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Anything else; may be tried again.
    #[error("hand-off {operation} for {machine} failed")]
    Failed {
        /// The call.
        operation: &'static str,
        /// For whom.
        machine: MachineId,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The hand-off. Contract: `put` replaces an earlier one of the same machine and is readable only by that machine; the machine reads it once and
/// deletes it; `expire` deletes it and succeeds when there is none; `pending` says whether it is still there, `waiting` lists all that are.
#[async_trait]
pub trait HandOff: Send + Sync + 'static {
    /// Puts the config.
    async fn put(
        &self,
        machine: &MachineId,
        runner: &RunnerName,
        at: &RunnerScope,
        config: &RunnerConfig,
    ) -> Result<(), HandOffError>;
    /// Whether a config waits to be read.
    async fn pending(&self, machine: &MachineId) -> Result<bool, HandOffError>;
    /// All that wait to be read, with when each was put.
    async fn waiting(&self) -> Result<Vec<(MachineId, Timestamp)>, HandOffError>;
    /// Deletes it.
    async fn expire(&self, machine: &MachineId) -> Result<(), HandOffError>;
}
