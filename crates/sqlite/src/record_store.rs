//! The record store: records that a write replaces only if they are the ones that it has read.
//!
//! It is in the ledger's file so that an environment which was made real here is there again after a restart, by the same
//! one file that holds all else.

use async_trait::async_trait;
use runnersmith_ports::record_store::{check_key, check_size};
use runnersmith_ports::{Expect, RecordStore, RecordStoreError, StoredRecord, Version};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::error::Fault;
use crate::writer::Writer;

/// A record store of a store.
#[derive(Clone)]
pub struct SqliteRecordStore {
    pub(crate) writer: Writer,
    pub(crate) reader: Writer,
    /// Which record store of the file.
    pub(crate) place: String,
}

/// The next version. The counter is the file's, so that a version is never used again: not after a deletion, and for no other
/// record.
fn next_version(connection: &Connection) -> Result<i64, Fault> {
    let sql = "UPDATE kv SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) WHERE key = 'shelf_writes'
               RETURNING CAST(value AS INTEGER)";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

#[async_trait]
impl RecordStore for SqliteRecordStore {
    async fn get(&self, key: &str) -> Result<Option<StoredRecord>, RecordStoreError> {
        check_key("get", key)?;
        let (place, wanted) = (self.place.clone(), key.to_owned());
        let found = self.reader.read(move |connection| {
            let sql = "SELECT bytes, version FROM shelf WHERE place = ?1 AND key = ?2";
            let shelved = |row: &rusqlite::Row<'_>| {
                Ok(StoredRecord { bytes: row.get(0)?, version: Version(row.get::<_, i64>(1)?.to_string()) })
            };
            Ok(connection.prepare_cached(sql)?.query_row(params![place, wanted], shelved).optional()?)
        });
        found.await.map_err(|fault| fault.record_store("get", key))
    }

    async fn put(&self, key: &str, bytes: &[u8], expect: &Expect) -> Result<Version, RecordStoreError> {
        check_key("put", key)?;
        check_size("put", key, bytes)?;
        let (place, wanted, bytes, expect) = (self.place.clone(), key.to_owned(), bytes.to_vec(), expect.clone());
        let put = self.writer.write(move |connection| {
            let there: Option<i64> = connection
                .prepare_cached("SELECT version FROM shelf WHERE place = ?1 AND key = ?2")?
                .query_row(params![place, wanted], |row| row.get(0))
                .optional()?;
            let is_expected = match (&expect, there) {
                (Expect::Any, _) | (Expect::Absent, None) => true,
                (Expect::Version(version), Some(there)) => version.0 == there.to_string(),
                (Expect::Absent, Some(_)) | (Expect::Version(_), None) => false,
            };
            if !is_expected {
                return Err(Fault::Conflict(wanted));
            }
            let version = next_version(connection)?;
            connection
                .prepare_cached("INSERT OR REPLACE INTO shelf (place, key, version, bytes) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![place, wanted, version, bytes])?;
            Ok(Version(version.to_string()))
        });
        put.await.map_err(|fault| fault.record_store("put", key))
    }

    async fn delete(&self, key: &str) -> Result<(), RecordStoreError> {
        check_key("delete", key)?;
        let (place, wanted) = (self.place.clone(), key.to_owned());
        let deleted = self.writer.write(move |connection| {
            let sql = "DELETE FROM shelf WHERE place = ?1 AND key = ?2";
            connection.prepare_cached(sql)?.execute(params![place, wanted])?;
            Ok(())
        });
        deleted.await.map_err(|fault| fault.record_store("delete", key))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, RecordStoreError> {
        let (place, wanted) = (self.place.clone(), prefix.to_owned());
        let listed = self.reader.read(move |connection| {
            // Keys are ASCII, so that their order is the order of their bytes.
            let sql = "SELECT key FROM shelf WHERE place = ?1 AND key >= ?2 AND substr(key, 1, length(?2)) = ?2
                       ORDER BY key";
            let mut statement = connection.prepare_cached(sql)?;
            let keys = statement.query_map(params![place, wanted], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(keys)
        });
        listed.await.map_err(|fault| fault.record_store("list", prefix))
    }
}
