//! Small records beside Terraform's state: changes, locks, plan files.
//!
//! It is a port of its own because the truth about a change must lie where every home of the handler can reach it, and
//! because one rule carries everything: **a write names the version that it has read**, or is refused.

use async_trait::async_trait;

/// Why a record store did not do something.
#[derive(Debug, thiserror::Error)]
pub enum RecordStoreError {
    /// The record is not the one that was read: nothing was written; read again.
    #[error("record store {operation} {key}: somebody else wrote it meanwhile")]
    Conflict {
        /// The call.
        operation: &'static str,
        /// Which record.
        key: String,
    },
    /// Access is refused.
    #[error("record store {operation} {key}: not allowed")]
    Denied {
        /// The call.
        operation: &'static str,
        /// Which record.
        key: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Anything else; may be tried again.
    #[error("record store {operation} {key} failed")]
    Failed {
        /// The call.
        operation: &'static str,
        /// Which record.
        key: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Which writing of a record; opaque, and different after every write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub String);

/// A record as it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its content.
    pub bytes: Vec<u8>,
    /// Which writing.
    pub version: Version,
}

impl std::fmt::Debug for StoredRecord {
    /// Plan files hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes, version {}", self.bytes.len(), self.version.0)
    }
}

/// What a write expects to find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing: the record is new.
    Absent,
    /// Exactly this writing.
    Version(Version),
    /// Whatever there is: for records that are named after their content.
    Any,
}

/// The largest record.
pub const RECORD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The longest key. S3 allows 1,024 bytes, and a record store has a prefix before it.
pub const KEY_BYTES_MAX: usize = 512;

/// Why a call cannot be made at all.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// The key could be another key's, or leave the record store.
    #[error("a key is words of letters, digits, '-', '_' and '.', with slashes between")]
    Key,
    /// The record is too large.
    #[error("a record of {bytes} bytes is too large, {RECORD_BYTES_MAX} are allowed")]
    Size {
        /// What it has.
        bytes: usize,
    },
}

impl Unfit {
    /// Returns a record store's error for it.
    #[must_use]
    pub fn error(self, operation: &'static str, key: &str) -> RecordStoreError {
        // The key is not one, so what is shown of it is bounded and escaped.
        let key = key.escape_debug().take(KEY_BYTES_MAX).collect();
        RecordStoreError::Failed { operation, key, source: self.into() }
    }
}

/// Checks a key. Words that are dots alone are refused: some clients resolve them as folders.
///
/// # Errors
/// When it is not a key.
pub fn check_key(operation: &'static str, key: &str) -> Result<(), RecordStoreError> {
    let is_word = |word: &str| {
        word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            && word.bytes().any(|b| b != b'.')
    };
    if key.len() <= KEY_BYTES_MAX && key.split('/').all(is_word) {
        Ok(())
    } else {
        Err(Unfit::Key.error(operation, key))
    }
}

/// Checks a record's size.
///
/// # Errors
/// When it is too large.
pub fn check_size(operation: &'static str, key: &str, bytes: &[u8]) -> Result<(), RecordStoreError> {
    if bytes.len() > RECORD_BYTES_MAX { Err(Unfit::Size { bytes: bytes.len() }.error(operation, key)) } else { Ok(()) }
}

/// A record store of records. Contract: a call is durable when it returns; reads see all writes that returned before; a conditional
/// write is atomic, so that of two writers with the same expectation exactly one succeeds. A version is never used again for
/// its key, even if the same bytes are written: who saw a record before it was changed to and fro must not win. Keys are
/// words of letters, digits, `-`, `_` and `.`, with slashes between, at most [`KEY_BYTES_MAX`]; [`check_key`] checks it. A record
/// has at most [`RECORD_BYTES_MAX`].
#[async_trait]
pub trait RecordStore: Send + Sync + 'static {
    /// One record.
    async fn get(&self, key: &str) -> Result<Option<StoredRecord>, RecordStoreError>;
    /// Writes a record if what is there is as expected. Returns its new version.
    async fn put(&self, key: &str, bytes: &[u8], expect: &Expect) -> Result<Version, RecordStoreError>;
    /// Deletes a record, whatever it is; one that is not there is fine.
    async fn delete(&self, key: &str) -> Result<(), RecordStoreError>;
    /// Keys that begin with these characters (not only whole words), in the order of their bytes; the empty text lists all.
    async fn list(&self, prefix: &str) -> Result<Vec<String>, RecordStoreError>;
}
