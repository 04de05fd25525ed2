//! The embedded store: queue, ledger and record store in one SQLite file.
//!
//! It exists so that one machine needs nothing else installed. Everything is durable when a call returns (WAL with full
//! synchronisation); concurrent writers share one commit, which is what makes thousands of durable writes a second possible.
//! Two processes may open the same file: every condition is checked inside the transaction that relies on it.

mod error;
mod ledger;
mod open;
mod queue;
mod reader;
mod record_store;
mod rows;
mod writer;

use std::path::Path;
use std::sync::Arc;

use runnersmith_ports::Clock;

pub use error::OpenError;
pub use ledger::SqliteLedger;
pub use queue::SqliteQueue;
pub use reader::SqliteReader;
pub use record_store::SqliteRecordStore;

/// An open store. Cheap to clone.
#[derive(Clone)]
pub struct SqliteStore {
    writer: writer::Writer,
    reader: writer::Writer,
    clock: Arc<dyn Clock>,
    sent: [Arc<tokio::sync::Notify>; 2],
}

impl SqliteStore {
    /// Opens a store, making or upgrading it.
    ///
    /// # Errors
    /// When the file is not a database of ours, is of a newer version, or cannot be written.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Self::open_at_most(path, clock, u32::MAX)
    }

    /// Opens a store whose file never grows beyond so many pages of 4 KiB: writing more answers that the disk is full.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_at_most(path: &Path, clock: Arc<dyn Clock>, pages_max: u32) -> Result<Self, OpenError> {
        let (writing, reading) = open::open(path)?;
        if pages_max < u32::MAX {
            writing.pragma_update(None, "max_page_count", pages_max)?;
        }
        let writer = writer::Writer::start(writing, "ledger-writer");
        let reader = writer::Writer::start(reading, "ledger-reader");
        Ok(Self { writer, reader, clock, sent: Default::default() })
    }

    /// Opens a store for reading alone, beside a program that writes it or when none does. Nothing is made and nothing is
    /// upgraded: a file of an older version is read as it is. The user need not be allowed to write the file or its directory.
    ///
    /// # Errors
    /// When there is no such file, it is not a database of ours, is of a newer version, or cannot be read.
    pub fn open_read_only(path: &Path, clock: Arc<dyn Clock>) -> Result<SqliteReader, OpenError> {
        SqliteReader::open(path, clock)
    }

    /// The queue of deliveries and wakes.
    #[must_use]
    pub fn queue(&self) -> SqliteQueue {
        self.queue_named("jobs", &self.sent[0])
    }

    /// The queue of look-ups, apart from the other.
    #[must_use]
    pub fn lookups(&self) -> SqliteQueue {
        self.queue_named("lookups", &self.sent[1])
    }

    fn queue_named(&self, name: &'static str, sent: &Arc<tokio::sync::Notify>) -> SqliteQueue {
        SqliteQueue { name, writer: self.writer.clone(), clock: self.clock.clone(), sent: sent.clone() }
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> SqliteLedger {
        SqliteLedger { writer: self.writer.clone(), reader: self.reader.clone(), clock: self.clock.clone() }
    }

    /// The record store.
    #[must_use]
    pub fn record_store(&self) -> SqliteRecordStore {
        self.record_store_at("")
    }

    /// Another record store of the same file: record stores with different names do not see each other's records.
    #[must_use]
    pub fn record_store_at(&self, place: &str) -> SqliteRecordStore {
        SqliteRecordStore { writer: self.writer.clone(), reader: self.reader.clone(), place: place.to_owned() }
    }
}
