//! The timer's duties: what heals a lost signal, and the end of what is old. Each is bounded, and goes on where it ended.

use std::time::Duration;

use runnersmith_ports::LedgerError;

pub use crate::redelivery::redeliver;
pub use crate::sweep::sweep;
use crate::world::World;

/// Rows of each table that one transaction drops: others wait for it meanwhile.
const PRUNED_AT_ONCE: usize = 2_000;
/// So many transactions in one round; what is left is for the next.
const PRUNES_MAX: usize = 100;

/// Drops old history, a bounded piece at a time, until nothing old is left. Returns how many rows went.
///
/// # Errors
/// When the ledger fails.
pub async fn prune(world: &World, keep: Duration) -> Result<u64, LedgerError> {
    let before = world.ports.clock.now().minus(keep);
    let mut gone = 0;
    for _ in 0..PRUNES_MAX {
        let more = world.ports.ledger.prune(before, PRUNED_AT_ONCE).await?;
        gone += more;
        if more == 0 {
            break;
        }
    }
    Ok(gone)
}
