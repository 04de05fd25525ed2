//! The state of one environment: a record on a record store.
//!
//! It is small and has a form of its own, not the planner's policy, so that a newer program can read what an older one
//! wrote.

use runnersmith_ports::{Expect, RecordStore, RecordStoreError, Version};
use serde::{Deserialize, Serialize};

use crate::RecordError;
use crate::wanted::Wanted;

/// Where the records lie.
pub(crate) const PREFIX: &str = "embedded/";
const FORMAT: u32 = 1;

/// The record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    format: u32,
    /// The environment, as it was written.
    pub environment: String,
    /// Made once, when the environment is made: another environment of the same name has another.
    pub lineage: String,
    /// Grows with each apply.
    pub serial: u64,
    /// What was applied last; `None`: nothing any more.
    pub set: Option<Wanted>,
    /// It is taken out of service. This is not a part of what plans are made from: a plan to destroy is made before the
    /// drain and applied after it.
    pub draining: bool,
}

impl Record {
    pub fn new(environment: &str, lineage: String) -> Self {
        let environment = environment.to_owned();
        Self { format: FORMAT, environment, lineage, serial: 0, set: None, draining: false }
    }

    pub async fn write(&self, record_store: &dyn RecordStore, expect: &Expect) -> Result<Version, RecordError> {
        let key = key(&self.environment);
        let bytes = serde_json::to_vec_pretty(self).map_err(|source| RecordError::Json { key: key.clone(), source })?;
        Ok(record_store.put(&key, &bytes, expect).await?)
    }
}

/// Names are the same if they differ in case alone: they would be one name on AWS too.
pub(crate) fn key(environment: &str) -> String {
    format!("{PREFIX}{}.json", environment.to_lowercase())
}

pub(crate) async fn read(record_store: &dyn RecordStore, key: &str) -> Result<Option<(Record, Version)>, RecordError> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    let Some(found) = record_store.get(key).await? else { return Ok(None) };
    let failed = |source| RecordError::Json { key: key.to_owned(), source };
    let head: Head = serde_json::from_slice(&found.bytes).map_err(failed)?;
    if head.format > FORMAT {
        return Err(RecordError::Newer { key: key.to_owned(), found: head.format, known: FORMAT });
    }
    let record = serde_json::from_slice(&found.bytes).map_err(failed)?;
    Ok(Some((record, found.version)))
}

/// Whether the record store says that somebody else was quicker.
pub(crate) const fn is_conflict(error: &RecordError) -> bool {
    matches!(error, RecordError::RecordStore(RecordStoreError::Conflict { .. }))
}
