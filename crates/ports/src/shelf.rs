//! Small records beside Terraform's state: changes, locks, plan files.
//!
//! It is a port of its own because the truth about a change must lie where every home of the handler can reach it, and
//! because one rule carries everything: **a write names the version that it has read**, or is refused.

use async_trait::async_trait;

/// Why a shelf did not do something.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// The record is not the one that was read: nothing was written; read again.
    #[error("shelf {operation} {key}: somebody else wrote it meanwhile")]
    Conflict {
        /// The call.
        operation: &'static str,
        /// Which record.
        key: String,
    },
    /// Access is refused.
    #[error("shelf {operation} {key}: not allowed")]
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
    #[error("shelf {operation} {key} failed")]
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
pub struct Shelved {
    /// Its content.
    pub bytes: Vec<u8>,
    /// Which writing.
    pub version: Version,
}

impl std::fmt::Debug for Shelved {
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

/// A shelf of records. Contract: a call is durable when it returns; reads see all writes that returned before; a conditional
/// write is atomic, so that of two writers with the same expectation exactly one succeeds. Keys are words of letters, digits,
/// `-`, `_` and `.`, with slashes between. A record has at most 64 MiB.
#[async_trait]
pub trait Shelf: Send + Sync + 'static {
    /// One record.
    async fn get(&self, key: &str) -> Result<Option<Shelved>, ShelfError>;
    /// Writes a record if what is there is as expected; answers its new version.
    async fn put(&self, key: &str, bytes: &[u8], expect: &Expect) -> Result<Version, ShelfError>;
    /// Deletes a record, whatever it is; one that is not there is fine.
    async fn delete(&self, key: &str) -> Result<(), ShelfError>;
    /// Keys that begin with this, in order.
    async fn list(&self, prefix: &str) -> Result<Vec<String>, ShelfError>;
}
