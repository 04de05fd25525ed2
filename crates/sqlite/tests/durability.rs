//! What was acknowledged survives `kill -9`; opening at once, newer files, broken files and full disks end clearly.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use runnersmith_ports::{
    BudgetLedger as _, Expect, HistoryLedger as _, JobLedger as _, LedgerError, Queue as _, QueueError,
    RecordStore as _, RunnerLedger as _, SystemClock,
};
use runnersmith_sqlite::{OpenError, SqliteStore};

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, Arc::new(SystemClock)).unwrap()
}

/// The victim: it sends messages and says of each when it is durable. It runs only as a child of the test below.
#[tokio::test]
async fn victim() {
    let Some(path) = std::env::var_os("RUNNERSMITH_STORE_VICTIM") else { return };
    let store = open(&PathBuf::from(path));
    let begin: u64 = std::env::var("RUNNERSMITH_STORE_BEGIN").unwrap().parse().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for lane in 0..8_u64 {
        let queue = store.queue();
        tasks.spawn(async move {
            for n in 0.. {
                let body = format!("{}", begin + n * 8 + lane);
                queue.send(&body, Duration::ZERO).await.unwrap();
                let mut out = std::io::stdout();
                writeln!(out, "\ndurable {body}").unwrap();
                out.flush().unwrap();
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

/// B8: a load balancer, or anyone who asks for readiness, makes no scan.
#[tokio::test]
async fn readiness_reads_one_row_and_no_job() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger");
    let ledger = open(&path).ledger();
    let file = rusqlite::Connection::open(&path).unwrap();
    for table in ["jobs", "runners", "events"] {
        file.execute_batch(&format!("DROP TABLE {table}")).unwrap();
    }
    ledger.ping().await.unwrap();
    assert!(ledger.recent_jobs(1).await.is_err(), "what reads them fails");
}

#[tokio::test]
async fn a_file_of_the_first_version_gets_its_record_store_and_keeps_what_is_in_it() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger");
    let store = open(&path);
    store.queue().send("kept", Duration::ZERO).await.unwrap();
    drop(store);
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch("DROP TABLE shelf; DELETE FROM kv WHERE key = 'shelf_writes'; DROP INDEX messages_visible; ALTER TABLE messages DROP COLUMN queue; CREATE INDEX messages_visible ON messages (visible_at); PRAGMA user_version = 1;")
        .unwrap();
    drop(file);
    let store = open(&path);
    assert_eq!(store.queue().depth().await.unwrap().0, 1);
    let version = store.record_store().put("embedded/a.json", b"{}", &Expect::Absent).await.unwrap();
    drop(store);
    let found = open(&path).record_store().get("embedded/a.json").await.unwrap().unwrap();
    assert_eq!((found.bytes, found.version), (b"{}".to_vec(), version), "and keeps its records over a restart");
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9_at_any_moment() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger");
    let mut said: BTreeSet<u64> = BTreeSet::new();
    for round in 0..20_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["durability::victim", "--exact", "--nocapture"])
            .env("RUNNERSMITH_STORE_VICTIM", &path)
            .env("RUNNERSMITH_STORE_BEGIN", (round * 1_000_000).to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The moment of death varies with what it has said.
        let enough = 1 + usize::try_from(round).unwrap() * 7;
        let mut received = 0;
        for line in lines {
            let Some(number) = line.unwrap().strip_prefix("durable ").and_then(|n| n.parse().ok()) else { continue };
            said.insert(number);
            received += 1;
            if received == enough {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
    }
    let queue = open(&path).queue();
    let mut there = BTreeSet::new();
    loop {
        let batch = queue.receive(1_000, Duration::from_secs(3600)).await.unwrap();
        if batch.is_empty() {
            break;
        }
        for message in batch {
            assert!(there.insert(message.body.parse::<u64>().unwrap()), "doubled: {}", message.body);
        }
    }
    let lost: Vec<&u64> = said.difference(&there).collect();
    assert!(lost.is_empty(), "said to be durable and lost: {lost:?}");
    assert!(said.len() > 1_000, "the victims said too little for this to mean anything: {}", said.len());
}

#[test]
fn many_programs_may_open_a_new_file_at_once() {
    for _ in 0..30 {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger");
        let opened: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..6).map(|_| scope.spawn(|| SqliteStore::open(&path, Arc::new(SystemClock)))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for store in opened {
            assert!(store.is_ok(), "{:?}", store.err());
        }
    }
}

#[tokio::test]
async fn a_ledger_keeps_its_identity_and_another_has_another() {
    let home = tempfile::tempdir().unwrap();
    let control_plane = open(&home.path().join("a")).ledger().control_plane().await.unwrap();
    assert_eq!(open(&home.path().join("a")).ledger().control_plane().await.unwrap(), control_plane);
    assert_ne!(open(&home.path().join("b")).ledger().control_plane().await.unwrap(), control_plane);
}

#[test]
fn a_newer_file_is_refused_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger");
    drop(open(&path));
    let other = rusqlite::Connection::open(&path).unwrap();
    other.pragma_update(None, "user_version", 99).unwrap();
    let refused = SqliteStore::open(&path, Arc::new(SystemClock)).err().unwrap();
    assert!(matches!(refused, OpenError::Newer { found: 99, .. }), "{refused:?}");
    let version: u32 = other.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 99);
}

#[test]
fn a_file_that_is_no_ledger_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger");
    std::fs::write(&path, "this is not a database at all, however long it may be. ".repeat(40)).unwrap();
    assert!(matches!(SqliteStore::open(&path, Arc::new(SystemClock)), Err(OpenError::Sqlite(_))));
    assert!(SqliteStore::open(&home.path().join("no/such/directory"), Arc::new(SystemClock)).is_err());
}

#[tokio::test]
async fn a_full_disk_is_said_and_loses_nothing() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger");
    let store = SqliteStore::open_at_most(&path, Arc::new(SystemClock), 60).unwrap();
    let (queue, body) = (store.queue(), "x".repeat(8_000));
    let mut sent = 0;
    let full = loop {
        match queue.send(&body, Duration::ZERO).await {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 1_000, "the limit does not hold");
    };
    assert!(matches!(full, QueueError::Full { .. }), "{full:?}");
    let ledger = store.ledger().set("k", &"y".repeat(100_000)).await;
    assert!(matches!(ledger, Err(LedgerError::Full { .. })), "{ledger:?}");
    let (visible, _, _) = queue.depth().await.unwrap();
    assert_eq!(visible, sent, "what was accepted is there");
    let received = queue.receive(1, Duration::from_secs(60)).await.unwrap();
    assert_eq!(received.len(), 1, "reading goes on");
    assert_eq!(queue.acknowledge(&[received[0].receipt.clone()]).await.unwrap(), 1);
    queue.send(&body, Duration::ZERO).await.unwrap();
}
