//! A record store in memory, for tests: what the contract says and nothing more, so that a test of a handler needs no bucket.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::record_store::{Expect, RecordStore, RecordStoreError, StoredRecord, Version, check_key, check_size};

/// The record store.
#[derive(Debug, Default)]
pub struct MemoryRecordStore {
    records: Mutex<Records>,
}

#[derive(Debug, Default)]
struct Records {
    /// How many writes there were: the next version.
    writes: u64,
    by_key: BTreeMap<String, StoredRecord>,
}

impl MemoryRecordStore {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A test that panicked elsewhere must not hide behind a second panic here.
    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl RecordStore for MemoryRecordStore {
    async fn get(&self, key: &str) -> Result<Option<StoredRecord>, RecordStoreError> {
        check_key("get", key)?;
        Ok(self.records().by_key.get(key).cloned())
    }

    async fn put(&self, key: &str, bytes: &[u8], expect: &Expect) -> Result<Version, RecordStoreError> {
        check_key("put", key)?;
        check_size("put", key, bytes)?;
        let mut records = self.records();
        let is_expected = match (expect, records.by_key.get(key)) {
            (Expect::Any, _) | (Expect::Absent, None) => true,
            (Expect::Version(version), Some(found)) => found.version == *version,
            (Expect::Absent, Some(_)) | (Expect::Version(_), None) => false,
        };
        if !is_expected {
            return Err(RecordStoreError::Conflict { operation: "put", key: key.to_owned() });
        }
        records.writes += 1;
        let version = Version(records.writes.to_string());
        records.by_key.insert(key.to_owned(), StoredRecord { bytes: bytes.to_vec(), version: version.clone() });
        Ok(version)
    }

    async fn delete(&self, key: &str) -> Result<(), RecordStoreError> {
        check_key("delete", key)?;
        self.records().by_key.remove(key);
        Ok(())
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, RecordStoreError> {
        Ok(self.records().by_key.keys().filter(|key| key.starts_with(prefix)).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::contract::record_store::{RecordStoreWorld, record_store};

    #[tokio::test]
    async fn the_record_store_in_memory_keeps_its_contract() {
        record_store(&RecordStoreWorld {
            record_store: Arc::new(MemoryRecordStore::new()),
            neighbour: Arc::new(MemoryRecordStore::new()),
        })
        .await;
    }
}
