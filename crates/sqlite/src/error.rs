//! What SQLite says, as questions.

use runnersmith_ports::{LedgerError, QueueError, RecordStoreError};
use runnersmith_types::ScaleSetName;
use rusqlite::ErrorCode;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A newer program wrote it.
    #[error("the ledger's schema is version {found}, this program knows up to {known}")]
    Newer {
        /// Found.
        found: u32,
        /// Known.
        known: u32,
    },
    /// There is no such file, and opening for reading makes none.
    #[error("there is no ledger")]
    Missing,
    /// A database without a schema: no program has made a ledger of it.
    #[error("the file is no ledger: its schema has no version")]
    Blank,
    /// The last changes are in the `-wal` file, which cannot be read without a `-shm` file, and this user may not make one.
    #[error("the ledger was not closed, and this user may not make the -shm file that reading its last changes takes")]
    Unclosed,
    /// Not a database, or not readable or writable.
    #[error("the ledger cannot be opened")]
    Sqlite(#[from] rusqlite::Error),
}

/// Why a command failed, before it is known whose it was.
#[derive(Debug)]
pub(crate) enum Fault {
    Sqlite(rusqlite::Error),
    /// The commit failed for everybody in it.
    Commit(String),
    Full,
    LeaseLost(ScaleSetName),
    Conflict(String),
    TooLarge(usize),
    Json(serde_json::Error),
    /// The store's thread has ended.
    Closed,
    /// The store is open for reading alone.
    ReadOnly,
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        if error.sqlite_error_code() == Some(ErrorCode::DiskFull) { Self::Full } else { Self::Sqlite(error) }
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

impl Fault {
    fn source(self) -> Box<dyn std::error::Error + Send + Sync> {
        match self {
            Self::Sqlite(error) => error.into(),
            Self::Json(error) => error.into(),
            Self::Commit(text) | Self::Conflict(text) => text.into(),
            Self::Full => "the disk is full".into(),
            Self::LeaseLost(set) => format!("the lease on {set} is lost").into(),
            Self::TooLarge(bytes) => format!("{bytes} bytes").into(),
            Self::Closed => "the store is closed".into(),
            Self::ReadOnly => "the store is open for reading only".into(),
        }
    }

    pub fn ledger(self, operation: &'static str) -> LedgerError {
        match self {
            Self::LeaseLost(set) => LedgerError::LeaseLost { operation, set },
            Self::Conflict(condition) => LedgerError::Conflict { operation, condition },
            Self::Full => LedgerError::Full { operation },
            other => LedgerError::Failed { operation, source: other.source() },
        }
    }

    pub fn record_store(self, operation: &'static str, key: &str) -> RecordStoreError {
        let key = key.to_owned();
        match self {
            Self::Conflict(_) => RecordStoreError::Conflict { operation, key },
            other => RecordStoreError::Failed { operation, key, source: other.source() },
        }
    }

    pub fn queue(self, operation: &'static str) -> QueueError {
        match self {
            Self::Full => QueueError::Full { operation },
            Self::TooLarge(bytes) => QueueError::TooLarge { bytes, limit: runnersmith_ports::queue::BODY_BYTES_MAX },
            other => QueueError::Failed { operation, source: other.source() },
        }
    }
}
