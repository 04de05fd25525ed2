//! The embedded store keeps the ports' contracts.

use std::sync::Arc;

use runnersmith_ports::contract::ledger::{LedgerWorld, ledger};
use runnersmith_ports::contract::queue::{QueueWorld, queue};
use runnersmith_ports::contract::record_store::{RecordStoreWorld, record_store};
use runnersmith_ports::{ManualClock, Queue as _};
use runnersmith_sqlite::SqliteStore;
use runnersmith_types::Timestamp;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_secs(1_800_000_000)))
}

#[tokio::test]
async fn the_queue_keeps_its_contract() {
    let (home, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = SqliteStore::open(&home.path().join("ledger"), clock.clone()).unwrap();
    queue(&QueueWorld { queue: &store.queue(), clock: clock.as_ref(), receives_max: 50, reports_stale: true }).await;
}

#[tokio::test]
async fn the_ledger_keeps_its_contract() {
    let (home, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = SqliteStore::open(&home.path().join("ledger"), clock.clone()).unwrap();
    ledger(&LedgerWorld { ledger: &store.ledger(), clock: &clock, drops_old: None }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_store_keeps_its_contract() {
    let home = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&home.path().join("ledger"), clock()).unwrap();
    record_store(&RecordStoreWorld {
        record_store: Arc::new(store.record_store()),
        neighbour: Arc::new(store.record_store_at("x")),
    })
    .await;
    record_store(&RecordStoreWorld {
        record_store: Arc::new(store.record_store_at("xy")),
        neighbour: Arc::new(store.record_store_at("x")),
    })
    .await;
}

#[tokio::test]
async fn a_wait_ends_when_something_is_sent() {
    let home = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&home.path().join("ledger"), clock()).unwrap();
    let (waiting, sending) = (store.queue(), store.queue());
    let begun = tokio::time::Instant::now();
    let wait = tokio::spawn(async move { waiting.wait(std::time::Duration::from_secs(60)).await });
    sending.send("x", std::time::Duration::ZERO).await.unwrap();
    wait.await.unwrap();
    assert!(begun.elapsed() < std::time::Duration::from_secs(30), "it waited out its time");
}
