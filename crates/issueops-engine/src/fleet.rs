//! What a deletion asks of the running control plane: take no more jobs, and say what is left.

use async_trait::async_trait;
use runnersmith_issueops::change::Left;

/// Why a fleet could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("fleet {operation} {environment} failed")]
pub struct FleetError {
    /// The call.
    pub operation: &'static str,
    /// Which environment.
    pub environment: String,
    /// The cause.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Environments as the control plane runs them. Contract: every call can be made twice; nothing is drained that is not named.
#[async_trait]
pub trait Fleet: Send + Sync + 'static {
    /// Takes the environment's sets out of service: no new jobs, idle machines go, busy ones end their job. With `kill_jobs`
    /// busy machines are ended too. Returns what is left; nothing left means that everything may be destroyed. An environment
    /// that the control plane does not know has nothing left.
    async fn drain(&self, environment: &str, kill_jobs: bool) -> Result<Left, FleetError>;
    /// Puts it back into service, as it was. One that is not drained stays as it is.
    async fn end_drain(&self, environment: &str) -> Result<(), FleetError>;
    /// Forgets what was kept for [`Fleet::end_drain`]: the environment is gone.
    async fn forget(&self, environment: &str) -> Result<(), FleetError>;
}
