//! Who is at work, and whether somebody who was still is.
//!
//! A run that is dead left something half done; one that is only silent did not. The two must never be mixed up, so
//! liveness is a proof or it is not known.

use async_trait::async_trait;
use runnersmith_issueops::change::Liveness;

/// Runs of this home.
#[async_trait]
pub trait Runs: Send + Sync + 'static {
    /// Begins one. It counts as alive until the value is dropped.
    fn begin(&self) -> Box<dyn Run>;
    /// Whether a run goes on.
    async fn liveness(&self, run: &str) -> Liveness;
}

/// A run that is at work.
pub trait Run: Send + Sync {
    /// Its name, as records have it.
    fn name(&self) -> &str;
    /// `user@host`, as Terraform's own lock would name it.
    fn host(&self) -> &str;
}
