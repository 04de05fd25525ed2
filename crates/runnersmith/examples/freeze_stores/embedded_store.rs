//! The SQLite file, and the records in it as lines of JSON.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use runnersmith_controllers::intake::Signal;
use runnersmith_ports::{Expect, Ledger as _, Queue as _, Shelf as _};
use runnersmith_store::SqliteStore;
use runnersmith_types::{BatchId, FactSource, JobId, JobStatus, RepoFullName};

use crate::population::{self, PLANE, START, StepClock, fact, full, runner, set};
use crate::write_lines;

/// One of each, a job's in two forms.
pub fn signals() -> Vec<Signal> {
    let repo = RepoFullName::parse("acme/shop").unwrap();
    vec![
        Signal::Job(Box::new(fact(201, JobStatus::Queued, FactSource::Delivery, START))),
        Signal::Job(Box::new(full(202, JobStatus::Completed, &runner("linux", 5), START))),
        Signal::CheckRun { repo: repo.clone(), job: JobId(203) },
        Signal::Sweep { repo },
        Signal::Wake { set: set("linux") },
    ]
}

async fn queue(store: &SqliteStore, clock: &StepClock) {
    let queue = store.queue();
    queue.send("this is not a signal", Duration::ZERO).await.unwrap();
    let wrong = queue.receive(1, Duration::from_secs(30)).await.unwrap().remove(0);
    queue.dead_letter(&wrong.receipt, "it cannot be read").await.unwrap();
    // Received more often than is allowed.
    queue.send(&Signal::Wake { set: set("gpu") }.to_body(), Duration::ZERO).await.unwrap();
    for _ in 0..11 {
        queue.receive(1, Duration::from_secs(1)).await.unwrap();
        clock.tick(2);
    }
    // Somebody works on this one.
    queue.send(&Signal::Wake { set: set("windows") }.to_body(), Duration::ZERO).await.unwrap();
    assert_eq!(queue.receive(5, Duration::from_secs(600)).await.unwrap().len(), 1);
    for signal in signals() {
        queue.send(&signal.to_body(), Duration::ZERO).await.unwrap();
    }
    queue.send(&Signal::Wake { set: set("windows") }.to_body(), Duration::from_secs(3600)).await.unwrap();
    assert_eq!(queue.depth().await.unwrap(), (5, 2, 2));
}

async fn shelf(store: &SqliteStore) {
    let shelf = store.shelf();
    let first = shelf.put("changes/team/change.json", b"{}", &Expect::Absent).await.unwrap();
    shelf.put("changes/team/change.json", b"{\"format\": 1}", &Expect::Version(first)).await.unwrap();
    shelf.put("changes/team/0123456789abcdef-1.plan", &[0, 255, 1, 254], &Expect::Any).await.unwrap();
    store.shelf_at("other").put("changes/team/change.json", b"another", &Expect::Absent).await.unwrap();
}

async fn lines(store: &SqliteStore, at: runnersmith_types::Timestamp, out: &Path) {
    let ledger = store.ledger();
    let bodies: String = signals()
        .iter()
        .map(|signal| {
            format!(
                "{}
",
                signal.to_body()
            )
        })
        .collect();
    std::fs::write(out.join("signals.jsonl"), bodies).unwrap();
    let value = |record: serde_json::Result<serde_json::Value>| record.unwrap();
    let mut jobs = ledger.recent_jobs(100).await.unwrap();
    jobs.sort_by_key(|job| job.id());
    write_lines(out, "jobs.jsonl", jobs.iter().map(|job| value(serde_json::to_value(job))));
    let mut runners = ledger.recent_runners(100).await.unwrap();
    runners.sort_by_key(|runner| runner.serial);
    write_lines(out, "runners.jsonl", runners.iter().map(|runner| value(serde_json::to_value(runner))));
    let mut batches = Vec::new();
    for id in ["batch-1", "batch-2"] {
        batches.push(ledger.batch(&BatchId::parse(id).unwrap()).await.unwrap().unwrap());
    }
    write_lines(out, "batches.jsonl", batches.iter().map(|batch| value(serde_json::to_value(batch))));
    let events = population::events(at);
    write_lines(out, "events.jsonl", events.iter().map(|event| value(serde_json::to_value(event))));
    let strikes = population::strikes(at);
    write_lines(out, "strikes.jsonl", strikes.iter().map(|strike| value(serde_json::to_value(strike))));
    let failures = population::boot_failures(at);
    write_lines(out, "boot_failures.jsonl", failures.iter().map(|failure| value(serde_json::to_value(failure))));
}

/// Writes the file and the lines.
pub async fn write(out: &Path) {
    let path = out.join("store.sqlite");
    let _ = std::fs::remove_file(&path);
    let clock = Arc::new(StepClock::at(START));
    let store = SqliteStore::open(&path, clock.clone()).unwrap();
    // A plane's name is random; this one is to be the same each time.
    store.ledger().set("plane", PLANE).await.unwrap();
    population::populate(&store.ledger(), &clock).await;
    let at = population::events(store.ledger().recent_history(5).await.unwrap().last().unwrap().at)[0].at;
    lines(&store, at, out).await;
    queue(&store, &clock).await;
    shelf(&store).await;
    drop(store);
    // All in one file, and no larger than need be. The store's threads end soon after it is dropped.
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    let mut tries = 0;
    while connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE; VACUUM;").is_err() {
        tries += 1;
        assert!(tries < 100, "the store does not let go of its file");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete");
}
