//! A store that is open for reading alone makes nothing, upgrades nothing and changes nothing.

use std::path::Path;
use std::sync::Arc;

use runnersmith_ports::{BudgetLedger as _, Expect, JobLedger as _, RecordStore as _, SystemClock, chain};
use runnersmith_sqlite::{OpenError, SqliteReader, SqliteStore};

fn read(path: &Path) -> Result<SqliteReader, OpenError> {
    SqliteStore::open_read_only(path, Arc::new(SystemClock))
}

#[tokio::test]
async fn a_reader_sees_what_a_writer_beside_it_writes_and_may_change_nothing() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger");
    let store = SqliteStore::open(&path, Arc::new(SystemClock)).unwrap();
    store.ledger().set("k", "first").await.unwrap();
    let reader = read(&path).unwrap();
    assert_eq!(reader.ledger().get("k").await.unwrap().as_deref(), Some("first"));
    store.ledger().set("k", "second").await.unwrap();
    assert_eq!(reader.ledger().get("k").await.unwrap().as_deref(), Some("second"));
    let refused = chain(&reader.ledger().set("k", "third").await.unwrap_err());
    assert!(refused.contains("open for reading only"), "{refused}");
    let records = reader.record_store().unwrap();
    assert!(records.list("").await.unwrap().is_empty());
    let refused = chain(&records.put("embedded/a.json", b"{}", &Expect::Absent).await.unwrap_err());
    assert!(refused.contains("open for reading only"), "{refused}");
    assert_eq!(store.ledger().get("k").await.unwrap().as_deref(), Some("second"));
}

#[tokio::test]
async fn a_file_of_the_first_version_is_read_and_not_upgraded() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger");
    let store = SqliteStore::open(&path, Arc::new(SystemClock)).unwrap();
    store.ledger().set("k", "kept").await.unwrap();
    drop(store);
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch("DROP TABLE shelf; DELETE FROM kv WHERE key = 'shelf_writes'; DROP INDEX messages_visible; ALTER TABLE messages DROP COLUMN queue; CREATE INDEX messages_visible ON messages (visible_at); PRAGMA user_version = 1;")
        .unwrap();
    let reader = read(&path).unwrap();
    assert_eq!(reader.ledger().get("k").await.unwrap().as_deref(), Some("kept"));
    assert!(reader.ledger().open_jobs(runnersmith_types::Timestamp(0)).await.unwrap().is_empty());
    assert!(reader.record_store().is_none(), "that version had none");
    let version: u32 = file.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 1);
}

#[test]
fn a_file_that_is_not_there_is_not_made_and_one_that_is_no_ledger_or_newer_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger");
    assert!(matches!(read(&path), Err(OpenError::Missing)));
    assert!(matches!(read(&home.path().join("no/such/directory")), Err(OpenError::Missing)));
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    std::fs::write(&path, "").unwrap();
    assert!(matches!(read(&path), Err(OpenError::Blank)));
    std::fs::write(&path, "this is not a database at all, however long it may be. ".repeat(40)).unwrap();
    assert!(matches!(read(&path), Err(OpenError::Sqlite(_))));
    let newer = home.path().join("newer");
    rusqlite::Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(read(&newer), Err(OpenError::Newer { found: 99, .. })));
}

#[tokio::test]
async fn a_reader_leaves_no_file_beside_a_ledger_that_was_closed() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger");
    let store = SqliteStore::open(&path, Arc::new(SystemClock)).unwrap();
    store.ledger().set("k", "kept").await.unwrap();
    drop(store);
    let listed = || {
        let names = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    // The store's threads close their connections after it was dropped; the last one takes both files away.
    let begun = std::time::Instant::now();
    while listed().len() > 1 && begun.elapsed() < std::time::Duration::from_secs(20) {
        std::thread::yield_now();
    }
    let before = listed();
    assert_eq!(before.len(), 1, "{before:?}");
    // A reader of another user who made -wal and -shm would stop the server from writing.
    let reader = read(&path).unwrap();
    assert_eq!(reader.ledger().get("k").await.unwrap().as_deref(), Some("kept"));
    drop(reader);
    assert_eq!(listed(), before);
}
