//! The ledger and the queue of the world keep the ports' contracts: what is found with them is not a fault of theirs.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::sync::Arc;

use runnersmith_ports::ManualClock;
use runnersmith_ports::contract::ledger::{LedgerWorld, ledger};
use runnersmith_ports::contract::queue::{QueueWorld, queue};
use runnersmith_types::ControlPlaneId;
use runnersmith_world::ledger::MemoryLedger;
use runnersmith_world::queue::{MemoryQueue, RECEIVES_MAX};
use runnersmith_world::time::BEGIN;

#[tokio::test]
async fn the_ledger_in_memory_keeps_its_contract() {
    let clock = Arc::new(ManualClock::at(BEGIN));
    let of_world = MemoryLedger::new(clock.clone(), ControlPlaneId::parse("w0rld").unwrap());
    ledger(&LedgerWorld { ledger: &of_world, clock: &clock, drops_old: None }).await;
}

#[tokio::test]
async fn the_queue_in_memory_keeps_its_contract() {
    let clock = Arc::new(ManualClock::at(BEGIN));
    let of_world = MemoryQueue::new(clock.clone());
    let world = QueueWorld { queue: &of_world, clock: clock.as_ref(), receives_max: RECEIVES_MAX, reports_stale: true };
    queue(&world).await;
}
