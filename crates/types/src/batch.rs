//! A launch call, as it is stored before it is made.

use serde::{Deserialize, Serialize};

use crate::ids::{BatchId, RunnerName, ScaleSetName};
use crate::policy::CapacityPool;
use crate::time::Timestamp;
use crate::version::RecordVersion;

/// One launch call, stored before it is made so that a crash can make it again with the same token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Its id, which is its idempotency token.
    pub id: BatchId,
    /// The target of its runners' set.
    pub set: ScaleSetName,
    /// Where it buys.
    #[serde(rename = "rung")]
    pub pool: CapacityPool,
    /// Its runners, sorted; machines are bound sorted id to sorted name.
    pub runners: Vec<RunnerName>,
    /// When stored.
    pub stored_at: Timestamp,
    /// The machine's own hard end, milliseconds since the epoch.
    pub hard_end_at: Timestamp,
    /// Every machine that the call gave is bound: the call need not be made again.
    pub settled: bool,
    /// The version of the stored form.
    #[serde(default)]
    pub record_version: RecordVersion<1>,
}
