//! Durable writes. The figure that is promised: accepted webhooks per second with 64 connections, each on disk before its
//! answer (`SPECIFICATION.md`).

#![allow(clippy::unwrap_used, reason = "a benchmark that fails panics")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use divan::counter::ItemsCount;
use runnersmith_ports::contract::ledger::fact;
use runnersmith_ports::{JobLedger as _, Queue as _, SystemClock};
use runnersmith_sqlite::SqliteStore;
use runnersmith_types::{FactSource, JobStatus, ScaleSetName, Timestamp};

const MESSAGES: usize = 6_400;

fn main() {
    divan::main();
}

struct World {
    runtime: tokio::runtime::Runtime,
    store: SqliteStore,
    _home: tempfile::TempDir,
}

fn world() -> World {
    // On the disk that holds the target directory: the temporary directory may be in memory.
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = SqliteStore::open(&home.path().join("ledger"), Arc::new(SystemClock)).unwrap();
    World { runtime: tokio::runtime::Runtime::new().unwrap(), store, _home: home }
}

#[divan::bench(args = [1, 8, 64], sample_count = 5, sample_size = 1)]
fn durable_messages(bencher: divan::Bencher<'_, '_>, senders: usize) {
    let count = if senders == 1 { MESSAGES / 16 } else { MESSAGES };
    bencher.counter(ItemsCount::new(count)).with_inputs(world).bench_refs(|world| {
        world.runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..senders {
                let queue = world.store.queue();
                tasks.spawn(async move {
                    let body = "x".repeat(900);
                    for _ in 0..count / senders {
                        queue.send(&body, Duration::ZERO).await.unwrap();
                    }
                });
            }
            while let Some(done) = tasks.join_next().await {
                done.unwrap();
            }
        });
    });
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn facts_recorded_in_batches_of_100(bencher: divan::Bencher<'_, '_>) {
    let set = ScaleSetName::parse("linux").unwrap();
    let next = AtomicU64::new(1);
    bencher.counter(ItemsCount::new(MESSAGES)).with_inputs(world).bench_refs(|world| {
        let ledger = world.store.ledger();
        world.runtime.block_on(async {
            for _ in 0..MESSAGES / 100 {
                let id = || next.fetch_add(1, Ordering::Relaxed);
                let facts = (0..100).map(|_| {
                    let id = id();
                    fact(id, id / 10, JobStatus::Queued, FactSource::Delivery, Timestamp::from_secs(1_800_000_000))
                });
                ledger.record_facts(facts.collect(), std::slice::from_ref(&set)).await.unwrap();
            }
        });
    });
}

#[divan::bench(args = [100, 1_000, 10_000], sample_count = 10, sample_size = 1)]
fn open_jobs(bencher: divan::Bencher<'_, '_>, jobs: u64) {
    let world = world();
    let ledger = world.store.ledger();
    let facts = (1..=jobs)
        .map(|id| fact(id, id / 10, JobStatus::Queued, FactSource::Delivery, Timestamp::from_secs(1_800_000_000)))
        .collect();
    world.runtime.block_on(ledger.record_facts(facts, &[])).unwrap();
    bencher.counter(ItemsCount::new(jobs)).bench_local(|| {
        world.runtime.block_on(ledger.open_jobs(Timestamp(i64::MAX))).unwrap();
    });
}
