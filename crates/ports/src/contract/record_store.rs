//! What every implementation of [`RecordStore`] must do, as checks that panic with what was expected.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::record_store::{
    Expect, KEY_BYTES_MAX, RECORD_BYTES_MAX, RecordStore, RecordStoreError, StoredRecord, Version,
};

/// So many writers race for one record.
const WRITERS: usize = 20;
/// A plan of a large environment.
const LARGE_BYTES: usize = 5 * 1024 * 1024;

/// An implementation under test, empty.
pub struct RecordStoreWorld {
    /// The implementation.
    pub record_store: Arc<dyn RecordStore>,
    /// Another record store at the same place (its prefix is longer or shorter by a character, if there is one): neither sees the other's.
    pub neighbour: Arc<dyn RecordStore>,
}

impl RecordStoreWorld {
    async fn get(&self, key: &str) -> Option<StoredRecord> {
        match self.record_store.get(key).await {
            Ok(found) => found,
            Err(error) => panic!("get {key}: {error:?}"),
        }
    }
    async fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        self.get(key).await.map(|shelved| shelved.bytes)
    }
    async fn put(&self, key: &str, bytes: &[u8], expect: &Expect) -> Version {
        match self.record_store.put(key, bytes, expect).await {
            Ok(version) => version,
            Err(error) => panic!("put {key}: {error:?}"),
        }
    }
    async fn conflicts(&self, key: &str, expect: &Expect, why: &str) {
        let before = self.get(key).await;
        let refused = self.record_store.put(key, b"must not be written", expect).await;
        match refused {
            Err(RecordStoreError::Conflict { operation, key: notified }) => {
                assert_eq!((operation, notified.as_str()), ("put", key), "a conflict says which record");
            }
            other => panic!("{why}: a conflict was expected, not {other:?}"),
        }
        assert_eq!(self.get(key).await, before, "{why}: nothing was written");
    }
    async fn delete(&self, key: &str) {
        if let Err(error) = self.record_store.delete(key).await {
            panic!("delete {key}: {error:?}");
        }
    }
    async fn list(&self, prefix: &str) -> Vec<String> {
        match self.record_store.list(prefix).await {
            Ok(keys) => keys,
            Err(error) => panic!("list {prefix}: {error:?}"),
        }
    }
    async fn clear(&self) {
        for key in self.list("").await {
            self.delete(&key).await;
        }
    }
}

/// Runs every check.
pub async fn record_store(world: &RecordStoreWorld) {
    what_is_put_is_read_and_what_is_deleted_is_gone(world).await;
    a_write_that_expects_something_else_is_refused(world).await;
    a_version_is_never_used_again(world).await;
    of_racing_writers_exactly_one_wins(world).await;
    every_update_of_racing_writers_is_kept(world).await;
    contents_are_untouched(world).await;
    keys_are_distinct_and_listed_in_order(world).await;
    what_is_not_a_key_or_too_large_is_refused(world).await;
    neighbours_do_not_see_each_other(world).await;
    world.clear().await;
}

async fn what_is_put_is_read_and_what_is_deleted_is_gone(world: &RecordStoreWorld) {
    assert_eq!(world.get("changes/a/change.json").await, None, "an empty record store has no record");
    assert_eq!(world.list("").await, Vec::<String>::new(), "and lists none");
    let version = world.put("changes/a/change.json", b"one", &Expect::Absent).await;
    let read = world.get("changes/a/change.json").await;
    assert_eq!(
        read,
        Some(StoredRecord { bytes: b"one".to_vec(), version }),
        "the version that put answers is the one that is read"
    );
    let version = world.put("changes/a/change.json", b"two", &Expect::Any).await;
    assert_eq!(world.get("changes/a/change.json").await, Some(StoredRecord { bytes: b"two".to_vec(), version }));
    world.delete("changes/a/change.json").await;
    assert_eq!(world.get("changes/a/change.json").await, None, "it is deleted");
    world.delete("changes/a/change.json").await;
    world.put("changes/a/change.json", b"three", &Expect::Any).await;
    assert_eq!(world.bytes("changes/a/change.json").await.as_deref(), Some(b"three".as_slice()), "any includes none");
    world.clear().await;
}

async fn a_write_that_expects_something_else_is_refused(world: &RecordStoreWorld) {
    let unknown = Version("no such version".into());
    world.conflicts("lock.json", &Expect::Version(unknown.clone()), "there is no record").await;
    let first = world.put("lock.json", b"1", &Expect::Absent).await;
    world.conflicts("lock.json", &Expect::Absent, "there is a record").await;
    world.conflicts("lock.json", &Expect::Version(unknown), "it was never of that version").await;
    let second = world.put("lock.json", b"2", &Expect::Version(first.clone())).await;
    world.conflicts("lock.json", &Expect::Version(first.clone()), "it was written since").await;
    let other = world.put("other.json", b"2", &Expect::Absent).await;
    world.conflicts("lock.json", &Expect::Version(other), "that is another record's version").await;
    world.delete("lock.json").await;
    world.conflicts("lock.json", &Expect::Version(second.clone()), "it was deleted").await;
    world.put("lock.json", b"2", &Expect::Absent).await;
    world.conflicts("lock.json", &Expect::Version(second), "it was deleted and written again").await;
    world.clear().await;
}

async fn a_version_is_never_used_again(world: &RecordStoreWorld) {
    let mut versions = BTreeSet::new();
    let first = world.put("aba", b"A", &Expect::Absent).await;
    versions.insert(first.clone());
    for bytes in [b"A", b"B", b"A"] {
        assert!(versions.insert(world.put("aba", bytes, &Expect::Any).await), "each write has a version of its own");
    }
    world.conflicts("aba", &Expect::Version(first), "the bytes are the same, the writing is not").await;
    world.delete("aba").await;
    assert!(versions.insert(world.put("aba", b"A", &Expect::Absent).await), "also after a deletion");
    world.clear().await;
}

/// All at once, each with its own content; answers the winners.
async fn race(world: &RecordStoreWorld, key: &'static str, expect: &Expect) -> Vec<(usize, Version)> {
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (record_store, expect) = (world.record_store.clone(), expect.clone());
        writers.spawn(async move { (writer, record_store.put(key, writer.to_string().as_bytes(), &expect).await) });
    }
    let mut winners = Vec::new();
    while let Some(ended) = writers.join_next().await {
        match ended {
            Ok((writer, Ok(version))) => winners.push((writer, version)),
            Ok((_, Err(RecordStoreError::Conflict { .. }))) => {}
            other => panic!("a writer that loses gets a conflict, not {other:?}"),
        }
    }
    winners
}

async fn of_racing_writers_exactly_one_wins(world: &RecordStoreWorld) {
    let mut expect = Expect::Absent;
    for round in 0..3 {
        let winners = race(world, "race", &expect).await;
        assert_eq!(winners.len(), 1, "round {round}: of writers with the same expectation exactly one wins");
        let (writer, version) = winners[0].clone();
        let read = world.get("race").await;
        assert_eq!(read, Some(StoredRecord { bytes: writer.to_string().into_bytes(), version: version.clone() }));
        expect = Expect::Version(version);
    }
    assert_eq!(race(world, "any", &Expect::Any).await.len(), WRITERS, "who expects nothing is never refused");
    assert!(world.get("any").await.is_some());
    world.clear().await;
}

/// One that reads and writes until it has won once.
async fn append(record_store: Arc<dyn RecordStore>, writer: usize) {
    // Each failed attempt means that another writer has won, and each wins once.
    for _ in 0..=WRITERS {
        let (mut bytes, expect) = match record_store.get("log").await {
            Ok(Some(found)) => (found.bytes, Expect::Version(found.version)),
            Ok(None) => (Vec::new(), Expect::Absent),
            Err(error) => panic!("get: {error:?}"),
        };
        bytes.extend(format!("{writer};").bytes());
        match record_store.put("log", &bytes, &expect).await {
            Ok(_) => return,
            Err(RecordStoreError::Conflict { .. }) => {}
            Err(error) => panic!("put: {error:?}"),
        }
    }
    panic!("writer {writer} never won");
}

async fn every_update_of_racing_writers_is_kept(world: &RecordStoreWorld) {
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(append(world.record_store.clone(), writer));
    }
    while let Some(ended) = writers.join_next().await {
        if let Err(error) = ended {
            panic!("a writer failed: {error}");
        }
    }
    let log = world.bytes("log").await.unwrap_or_default();
    let text = String::from_utf8_lossy(&log).into_owned();
    let seen: BTreeSet<&str> = text.split_terminator(';').collect();
    assert_eq!((seen.len(), text.split_terminator(';').count()), (WRITERS, WRITERS), "each once: {text}");
    world.clear().await;
}

async fn contents_are_untouched(world: &RecordStoreWorld) {
    let every_byte: Vec<u8> = (0..=255).cycle().take(4096).collect();
    let large: Vec<u8> = (0..LARGE_BYTES).map(|n| u8::try_from(n % 251).unwrap_or_default()).collect();
    let contents: [&[u8]; 6] = [b"", b"\n", b"\r\n\0", "{\"k\": \"\u{1f980}\"}".as_bytes(), &every_byte, &large];
    for bytes in contents {
        let version = world.put("content", bytes, &Expect::Any).await;
        let read = world.get("content").await;
        let read = read.unwrap_or_else(|| panic!("a record of {} bytes is there", bytes.len()));
        assert!(read.bytes == bytes, "{} bytes come back unchanged, not {} bytes", bytes.len(), read.bytes.len());
        assert_eq!(read.version, version);
        // What is read can be put again: an implementation that adds to records does not add twice.
        world.put("content", &read.bytes, &Expect::Version(version)).await;
        assert!(world.bytes("content").await.as_deref() == Some(bytes), "also when it is put again");
    }
    assert!(!format!("{:?}", world.get("content").await).contains("1, 2, 3"), "a record is not printed");
    world.clear().await;
}

async fn keys_are_distinct_and_listed_in_order(world: &RecordStoreWorld) {
    let all = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    let longest = format!("z/{}", "k".repeat(KEY_BYTES_MAX - 2));
    // In the order of their bytes: '-' < '.' < '/' < digits < capitals < '_' < small letters.
    let keys = [
        all,
        "changes/a-b/change.json",
        "changes/a.b/change.json",
        "changes/a/change.json",
        "changes/a/history/1-1.json",
        "changes/a/history/1-10.json",
        "changes/a/history/1-2.json",
        "changes/a/lock.json",
        "changes/ab/change.json",
        "changes/a_b/change.json",
        "issues/1.json",
        "issues/10.json",
        "v..1/.hidden",
        longest.as_str(),
    ];
    let mut sorted = keys;
    sorted.sort_unstable();
    for key in keys.iter().rev() {
        world.put(key, key.as_bytes(), &Expect::Absent).await;
    }
    assert_eq!(world.list("").await, sorted, "all, in the order of their bytes");
    for key in keys {
        assert_eq!(world.bytes(key).await.as_deref(), Some(key.as_bytes()), "each its own");
    }
    for prefix in ["changes/a/", "changes/a", "changes/a/history/1-1", "issues/1", "issues/1.json", "none", "changes/A"]
    {
        let expected: Vec<&str> = sorted.into_iter().filter(|key| key.starts_with(prefix)).collect();
        assert_eq!(world.list(prefix).await, expected, "those that begin with {prefix}");
    }
    world.delete("changes/a").await;
    assert_eq!(world.list("").await, sorted, "deleting deletes one key, not what is below it");
    world.put("changes/a", b"both", &Expect::Absent).await;
    assert_eq!(world.list("changes/a/").await.len(), 5, "a key may be the beginning of others");
    world.clear().await;
    // More than a page of some implementations.
    for n in 0..30 {
        world.put(&format!("pages/{n:03}"), b"", &Expect::Absent).await;
    }
    let expected: Vec<String> = (0..30).map(|n| format!("pages/{n:03}")).collect();
    assert_eq!(world.list("pages/").await, expected, "however many there are");
    world.clear().await;
}

async fn what_is_not_a_key_or_too_large_is_refused(world: &RecordStoreWorld) {
    let long = "k".repeat(KEY_BYTES_MAX + 1);
    for key in [
        "", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a b", "a\\b", "a\nb", "a?b", "a%2fb",
        "\u{e4}", &long,
    ] {
        let failed = [
            world.record_store.get(key).await.err(),
            world.record_store.put(key, b"x", &Expect::Any).await.err(),
            world.record_store.delete(key).await.err(),
        ];
        for error in failed {
            assert!(matches!(error, Some(RecordStoreError::Failed { .. })), "{key:?} is not a key: {error:?}");
        }
    }
    let refused = world.record_store.put("large", &vec![0; RECORD_BYTES_MAX + 1], &Expect::Any).await;
    assert!(matches!(refused, Err(RecordStoreError::Failed { .. })), "{refused:?}");
    assert_eq!(world.list("").await, Vec::<String>::new(), "nothing was written");
}

async fn neighbours_do_not_see_each_other(world: &RecordStoreWorld) {
    let theirs = match world.neighbour.put("same", b"theirs", &Expect::Absent).await {
        Ok(version) => version,
        Err(error) => panic!("put: {error:?}"),
    };
    assert_eq!(world.get("same").await, None, "the neighbour's record is not ours");
    assert_eq!(world.list("").await, Vec::<String>::new(), "nor is it listed");
    world.put("same", b"ours", &Expect::Absent).await;
    world.conflicts("same", &Expect::Version(theirs), "that is the neighbour's version").await;
    world.delete("same").await;
    let kept = world.neighbour.get("same").await;
    assert!(matches!(&kept, Ok(Some(found)) if found.bytes == b"theirs"), "and stays: {kept:?}");
    if let Err(error) = world.neighbour.delete("same").await {
        panic!("delete: {error:?}");
    }
}
