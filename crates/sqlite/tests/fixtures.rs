//! A file that an earlier version has written is opened, read and carried on.

#[path = "stored/mod.rs"]
mod stored;

use std::sync::Arc;
use std::time::Duration;

use runnersmith_ports::{
    Expect, JobLedger as _, ManualClock, Queue as _, RecordStore as _, RecordStoreError, Version, chain,
};
use runnersmith_sqlite::SqliteStore;
use runnersmith_types::{Batch, BootFailure, HistoryEvent, Job, JobFact, JobId, PoolFailure, Runner};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use stored::{NOW, fixture, goes_on, is_as_it_was_stored, lines};

/// A copy of the file, opened, with the clock that it reads.
fn opened() -> (tempfile::TempDir, SqliteStore, Arc<ManualClock>) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.sqlite");
    std::fs::copy(fixture("store.sqlite"), &path).unwrap();
    let clock = Arc::new(ManualClock::at(NOW));
    let store = SqliteStore::open(&path, clock.clone()).unwrap();
    (home, store, clock)
}

#[tokio::test]
async fn every_record_of_the_ledger_is_read_as_it_was_stored() {
    let (_home, store, _clock) = opened();
    is_as_it_was_stored(&store.ledger()).await;
}

#[tokio::test]
async fn a_ledger_of_an_earlier_version_is_carried_on() {
    let (_home, store, _clock) = opened();
    goes_on(&store.ledger()).await;
}

/// The records of a kind: the earlier ones are read, what is written has the number, and a newer one is refused.
fn has_a_version<T: DeserializeOwned + Serialize>(name: &str) {
    for line in lines(name) {
        let earlier: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(earlier.get("record_version"), None, "{name}");
        let mut written = serde_json::to_value(serde_json::from_str::<T>(&line).unwrap()).unwrap();
        assert_eq!(written["record_version"], json!(1), "{name}");
        written["record_version"] = json!(2);
        let refused = serde_json::from_value::<T>(written).err().unwrap().to_string();
        assert_eq!(refused, NEWER, "{name}");
    }
}

const NEWER: &str = "written by a newer version of Runnersmith (record version 2, this program knows 1)";

#[test]
fn each_record_has_a_version_and_a_newer_one_is_refused() {
    has_a_version::<Job>("jobs.jsonl");
    has_a_version::<Runner>("runners.jsonl");
    has_a_version::<Batch>("batches.jsonl");
    has_a_version::<HistoryEvent>("events.jsonl");
    has_a_version::<PoolFailure>("strikes.jsonl");
    has_a_version::<BootFailure>("boot_failures.jsonl");
}

#[tokio::test]
async fn a_ledger_with_a_record_of_a_newer_version_says_so_and_the_record_stays() {
    let (home, store, _clock) = opened();
    let ledger = store.ledger();
    let fact = ledger.job(JobId(104)).await.unwrap().unwrap().fact;
    ledger.record_facts(vec![JobFact { workflow: "renamed".into(), ..fact.clone() }], &[]).await.unwrap();
    let connection = rusqlite::Connection::open(home.path().join("store.sqlite")).unwrap();
    let stored = || -> i64 {
        let sql = "SELECT json_extract(record, '$.record_version') FROM jobs WHERE id = 104";
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(stored(), 1, "a record of an earlier version gets the number when it is next written");
    let sql = "UPDATE jobs SET record = json_set(record, '$.record_version', 2) WHERE id = 104";
    assert_eq!(connection.execute(sql, []).unwrap(), 1);
    let read = chain(&ledger.job(JobId(104)).await.unwrap_err());
    assert!(read.contains(NEWER), "{read}");
    let written = chain(&ledger.record_facts(vec![fact], &[]).await.unwrap_err());
    assert!(written.contains(NEWER), "{written}");
    assert_eq!(stored(), 2, "it is left to the newer program");
}

#[tokio::test]
async fn messages_that_wait_are_received_each_in_its_time() {
    let (_home, store, clock) = opened();
    let queue = store.queue();
    assert_eq!(queue.depth().await.unwrap(), (5, 2, 2));
    let bodies = async || {
        let received = queue.receive(10, Duration::from_secs(10)).await.unwrap();
        let receipts: Vec<_> = received.iter().map(|message| message.receipt.clone()).collect();
        assert_eq!(queue.acknowledge(&receipts).await.unwrap(), receipts.len());
        received.into_iter().map(|message| (message.body, message.receives)).collect::<Vec<_>>()
    };
    let visible: Vec<(String, u32)> = lines("signals.jsonl").into_iter().map(|body| (body, 1)).collect();
    assert_eq!(bodies().await, visible);
    let windows = r#"{"wake":{"set":"windows"}}"#.to_owned();
    clock.advance(Duration::from_secs(700));
    assert_eq!(bodies().await, [(windows.clone(), 2)], "its worker is gone");
    clock.advance(Duration::from_secs(3600));
    assert_eq!(bodies().await, [(windows, 1)], "the delayed one");
    assert_eq!(queue.depth().await.unwrap(), (0, 0, 2), "dead letters stay");
}

#[tokio::test]
async fn dead_letters_are_there_with_their_reasons() {
    let (home, store, _clock) = opened();
    drop(store);
    let connection = rusqlite::Connection::open(home.path().join("store.sqlite")).unwrap();
    let mut statement =
        connection.prepare("SELECT body, dead_why FROM messages WHERE dead_at IS NOT NULL ORDER BY id").unwrap();
    let dead: Vec<(String, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    let wanted = [("this is not a signal", "it cannot be read"), (r#"{"wake":{"set":"gpu"}}"#, "received too often")];
    assert_eq!(dead, wanted.map(|(body, why)| (body.to_owned(), why.to_owned())));
}

#[tokio::test]
async fn stored_records_are_read_and_replaced_by_the_version_that_they_have() {
    let (_home, store, _clock) = opened();
    let record_store = store.record_store();
    let keys = ["changes/team/0123456789abcdef-1.plan", "changes/team/change.json"];
    assert_eq!(record_store.list("").await.unwrap(), keys);
    assert_eq!(record_store.get(keys[0]).await.unwrap().unwrap().bytes, [0, 255, 1, 254]);
    let found = record_store.get(keys[1]).await.unwrap().unwrap();
    assert_eq!((found.bytes.as_slice(), found.version.0.as_str()), (b"{\"format\": 1}".as_slice(), "2"));
    let stale = record_store.put(keys[1], b"x", &Expect::Version(Version("1".into()))).await;
    assert!(matches!(stale, Err(RecordStoreError::Conflict { .. })), "{stale:?}");
    let next = record_store.put(keys[1], b"x", &Expect::Version(found.version)).await.unwrap();
    assert_eq!(next.0, "5", "a version is never used again");
    let other = store.record_store_at("other").get(keys[1]).await.unwrap().unwrap();
    assert_eq!(other.bytes, b"another");
}
