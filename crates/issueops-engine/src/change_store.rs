//! Where records lie on the record store, and how they are changed: read, decide, write if nobody else wrote meanwhile, else again.

use std::sync::Arc;

use runnersmith_issueops::change::{Holder, Lock};
use runnersmith_ports::{Expect, RecordStore, RecordStoreError, Version};
use runnersmith_types::{RecordVersion, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::record::{FORMAT, IssueNote, PullNote, Record};

/// How often a record is read again when others write it.
const ROUNDS_MAX: usize = 20;

/// The most changes that an environment's history keeps. A change that is over is read again only when an event of its pull
/// request comes late, and the last few are enough for that; people read the rest in the pull requests themselves. Every look
/// at all open changes lists these keys too: with 50, a hundred environments are five pages of a bucket's listing.
const HISTORY_MAX: usize = 50;

/// Why a record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ChangeStoreError {
    /// The record store.
    #[error(transparent)]
    RecordStore(#[from] RecordStoreError),
    /// It is not a record of ours.
    #[error("read the record {key}")]
    Broken {
        /// Which.
        key: String,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// It was written by a newer program.
    #[error("the record {key} has format {found}, this program knows up to {FORMAT}; hint: use the newer program")]
    Newer {
        /// Which.
        key: String,
        /// Its format.
        found: u32,
    },
    /// Others wrote it each time.
    #[error("the record {0} is written by others all the time; hint: try again")]
    Busy(String),
}

/// An environment's lock with what is needed to prove its holder dead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockNote {
    /// The lock.
    pub lock: Lock,
    /// `user@host` of the run that holds it, as Terraform's own lock would name it.
    pub host: String,
    /// An apply that was begun under it and has not come to its end: if its run is dead, the state's own lock may be there still,
    /// and only who takes this lock over, or releases it by its id, takes care of that.
    #[serde(default)]
    pub applies: Option<Applies>,
}

/// An apply under a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applies {
    /// The run.
    pub run: String,
    /// `user@host` of it.
    pub host: String,
    /// Since when.
    pub since: Timestamp,
}

#[derive(Default, Serialize, Deserialize)]
struct LockRecord {
    /// The form of this record.
    #[serde(default)]
    record_version: RecordVersion<2>,
    held: Option<LockNote>,
}

impl LockRecord {
    fn of(held: LockNote) -> Self {
        Self { record_version: RecordVersion::CURRENT, held: Some(held) }
    }
}

/// As much of a change's record as says whether its place is free.
#[derive(Serialize, Deserialize)]
struct Place {
    #[serde(default)]
    is_archived: bool,
}

/// What is stored as JSON.
pub(crate) trait Stored: Serialize + DeserializeOwned + Send {
    /// Reads it; `None`: what is there counts as nothing.
    fn decode(key: &str, bytes: &[u8]) -> Result<Option<Self>, ChangeStoreError> {
        serde_json::from_slice(bytes)
            .map(Some)
            .map_err(|source| ChangeStoreError::Broken { key: key.to_owned(), source })
    }
}

impl Stored for IssueNote {}
impl Stored for PullNote {}
impl Stored for LockRecord {}
impl Stored for Place {}
/// The number of an issue.
impl Stored for u64 {}
/// The name of an environment.
impl Stored for String {}

impl Stored for Record {
    fn decode(key: &str, bytes: &[u8]) -> Result<Option<Self>, ChangeStoreError> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let broken = |source| ChangeStoreError::Broken { key: key.to_owned(), source };
        let Format { format } = serde_json::from_slice(bytes).map_err(broken)?;
        if format > FORMAT {
            return Err(ChangeStoreError::Newer { key: key.to_owned(), found: format });
        }
        let record: Self = serde_json::from_slice(bytes).map_err(broken)?;
        Ok((!record.is_archived).then_some(record))
    }
}

/// What is to become of a value.
enum Swap<V, T> {
    /// It stays as it is.
    Keep(T),
    /// This takes its place.
    Write(V, T),
}

/// The records.
#[derive(Clone)]
pub struct ChangeStore {
    record_store: Arc<dyn RecordStore>,
}

/// Where the records of an environment begin; case makes no difference between environments.
fn place(environment: &str) -> String {
    format!("changes/{}", environment.to_ascii_lowercase())
}

/// The key of an environment's open change.
#[must_use]
pub fn open_key(environment: &str) -> String {
    format!("{}/change.json", place(environment))
}

/// The key of a change that is over.
#[must_use]
pub fn history_key(environment: &str, issue: u64, pull: u64) -> String {
    format!("{}{issue}-{pull}.json", history_prefix(environment))
}

/// Where the history of an environment is.
pub(crate) fn history_prefix(environment: &str) -> String {
    format!("{}/history/", place(environment))
}

/// The pull request of a change in the history, by its key.
pub(crate) fn pull_of(history_key: &str) -> Option<u64> {
    history_key.strip_suffix(".json")?.rsplit_once('-')?.1.parse().ok()
}

fn pull_key(number: u64) -> String {
    format!("pulls/{number}.json")
}

/// The key of a stored plan.
#[must_use]
pub fn plan_key(environment: &str, digest: &str) -> String {
    format!("{}/{digest}.plan", place(environment))
}

fn issue_key(number: u64) -> String {
    format!("issues/{number}.json")
}

fn lock_key(environment: &str) -> String {
    format!("{}/lock.json", place(environment))
}

impl ChangeStore {
    /// A change store on a record store.
    #[must_use]
    pub fn new(record_store: Arc<dyn RecordStore>) -> Self {
        Self { record_store }
    }

    /// The record store.
    #[must_use]
    pub fn record_store(&self) -> &Arc<dyn RecordStore> {
        &self.record_store
    }

    pub(crate) async fn read<T: Stored>(&self, key: &str) -> Result<Option<(T, Version)>, ChangeStoreError> {
        let Some(found) = self.record_store.get(key).await? else { return Ok(None) };
        Ok(T::decode(key, &found.bytes)?.map(|value| (value, found.version)))
    }

    /// Reads what is at a key, and writes it as `change` leaves it unless somebody else wrote meanwhile; then again with what
    /// is there now. Returns what `change` said at last.
    async fn swap<V: Stored, T>(
        &self,
        key: &str,
        mut change: impl FnMut(Option<V>) -> Swap<V, T> + Send,
    ) -> Result<T, ChangeStoreError> {
        for _ in 0..ROUNDS_MAX {
            let (there, expect) = match self.read::<V>(key).await? {
                Some((value, version)) => (Some(value), Expect::Version(version)),
                None => (None, Expect::Absent),
            };
            let (value, said) = match change(there) {
                Swap::Keep(said) => return Ok(said),
                Swap::Write(value, said) => (value, said),
            };
            match self.write(key, &value, &expect).await {
                Ok(_) => return Ok(said),
                Err(ChangeStoreError::RecordStore(RecordStoreError::Conflict { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Err(ChangeStoreError::Busy(key.to_owned()))
    }

    pub(crate) async fn write<T: Serialize>(
        &self,
        key: &str,
        value: &T,
        expect: &Expect,
    ) -> Result<Version, ChangeStoreError> {
        let bytes = serde_json::to_vec_pretty(value)
            .map_err(|source| ChangeStoreError::Broken { key: key.to_owned(), source })?;
        Ok(self.record_store.put(key, &bytes, expect).await?)
    }

    /// A change's record.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn record(&self, key: &str) -> Result<Option<(Record, Version)>, ChangeStoreError> {
        self.read(key).await
    }

    /// Stores a new record. `false`: there is one already.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn begin(&self, key: &str, record: &Record) -> Result<bool, ChangeStoreError> {
        let expect = match self.read::<Place>(key).await? {
            Some((place, version)) if place.is_archived => Expect::Version(version),
            Some(_) => return Ok(false),
            None => Expect::Absent,
        };
        match self.write(key, record, &expect).await {
            Ok(_) => Ok(true),
            Err(ChangeStoreError::RecordStore(RecordStoreError::Conflict { .. })) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Changes a record. `change` sees what is there now, and may be asked again when somebody else wrote meanwhile; when it
    /// returns `None` nothing is written. Returns the record and what `change` said; `None`: there is no record, or no wish.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub async fn update<T>(
        &self,
        key: &str,
        mut change: impl FnMut(&mut Record) -> Option<T> + Send,
    ) -> Result<Option<(Record, T)>, ChangeStoreError> {
        self.swap(key, |record: Option<Record>| {
            let Some(mut record) = record else { return Swap::Keep(None) };
            let before = record.clone();
            let Some(said) = change(&mut record) else { return Swap::Keep(None) };
            match record == before {
                true => Swap::Keep(Some((record, said))),
                false => {
                    // People have numbers in it, of which an earlier program can make nothing.
                    record.format = FORMAT;
                    Swap::Write(record.clone(), Some((record, said)))
                }
            }
        })
        .await
    }

    /// Moves a change that is over from the open ones to the history. Its place stays, marked, until the next change takes it:
    /// so nobody who has read it before can take another one away.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn archive(&self, key: &str, record: &Record) -> Result<(), ChangeStoreError> {
        let change = &record.change;
        let to = history_key(&change.environment, change.issue, change.pull);
        // Written first: a crash in between leaves both, and archiving again does no harm.
        self.write(&to, record, &Expect::Any).await?;
        let note = PullNote::new(&change.environment, Some(to));
        self.write(&pull_key(change.pull), &note, &Expect::Any).await?;
        self.update(key, |record| {
            record.is_archived = record.is_finished();
            Some(())
        })
        .await?;
        if let Err(error) = self.shorten_history(&change.environment).await {
            // The change is archived whatever comes of this, and the next one tries again.
            tracing::warn!(environment = %change.environment, error = %runnersmith_ports::chain(&error), "old changes stay in the history");
        }
        Ok(())
    }

    /// Takes the oldest changes out of an environment's history, so that the newest 50 are left, and the newest that was applied: what is
    /// there is compared with what it rendered. Pull requests are numbered in the order in which they were made.
    async fn shorten_history(&self, environment: &str) -> Result<(), ChangeStoreError> {
        let keys = self.record_store.list(&history_prefix(environment)).await?;
        let mut pulls: Vec<(u64, String)> = keys.into_iter().filter_map(|key| Some((pull_of(&key)?, key))).collect();
        pulls.sort();
        let too_many = pulls.len().saturating_sub(HISTORY_MAX);
        if too_many == 0 {
            return Ok(());
        }
        let last_done = self.last_done_with_key(environment).await?.map(|(key, _)| key);
        for (pull, key) in pulls.into_iter().take(too_many).filter(|(_, key)| Some(key) != last_done.as_ref()) {
            // What leads to the record goes first: when this ends in between, the record is still in the list.
            self.record_store.delete(&pull_key(pull)).await?;
            self.record_store.delete(&key).await?;
        }
        Ok(())
    }

    /// The records of all open changes, by key.
    ///
    /// # Errors
    /// When they cannot be listed or read.
    pub async fn open(&self) -> Result<Vec<(String, Record)>, ChangeStoreError> {
        let mut open = Vec::new();
        for key in self.record_store.list("changes/").await? {
            let is_open = key.ends_with("/change.json") && key.split('/').count() == 3;
            if !is_open {
                continue;
            }
            match self.record(&key).await {
                Ok(Some((record, _))) => open.push((key, record)),
                // One that was archived is not open.
                Ok(None) => {}
                // One that cannot be read must not stop the others; its place stays taken.
                Err(error @ (ChangeStoreError::Broken { .. } | ChangeStoreError::Newer { .. })) => {
                    tracing::error!(key = %key, error = %runnersmith_ports::chain(&error), "a change is left out");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(open)
    }

    /// What is known of an issue.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn issue(&self, number: u64) -> Result<IssueNote, ChangeStoreError> {
        Ok(self.read(&issue_key(number)).await?.map(|(note, _)| note).unwrap_or_default())
    }

    /// Changes what is known of an issue, as [`Self::update`] does with a change; what nobody has written begins empty.
    /// Returns it and what `change` said.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub async fn update_issue<T>(
        &self,
        number: u64,
        mut change: impl FnMut(&mut IssueNote) -> T + Send,
    ) -> Result<(IssueNote, T), ChangeStoreError> {
        self.swap(&issue_key(number), |note: Option<IssueNote>| {
            let mut note = note.unwrap_or_default();
            let before = note.clone();
            let said = change(&mut note);
            match note == before {
                true => Swap::Keep((note, said)),
                false => Swap::Write(note.clone(), (note, said)),
            }
        })
        .await
    }

    /// Which change a pull request is.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn pull(&self, number: u64) -> Result<Option<PullNote>, ChangeStoreError> {
        Ok(self.read(&pull_key(number)).await?.map(|(note, _)| note))
    }

    /// Remembers it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn note_pull(&self, number: u64, note: &PullNote) -> Result<(), ChangeStoreError> {
        self.write(&pull_key(number), note, &Expect::Any).await.map(|_| ())
    }

    /// The issue that reports an environment's drift, if one was opened.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn drift(&self, environment: &str) -> Result<Option<u64>, ChangeStoreError> {
        Ok(self.read(&format!("{}/drift.json", place(environment))).await?.map(|(issue, _)| issue))
    }

    /// Remembers it, or that there is none.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn note_drift(&self, environment: &str, issue: Option<u64>) -> Result<(), ChangeStoreError> {
        let key = format!("{}/drift.json", place(environment));
        match issue {
            Some(issue) => self.write(&key, &issue, &Expect::Any).await.map(|_| ()),
            None => Ok(self.record_store.delete(&key).await?),
        }
    }

    /// Who holds an environment's lock.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn lock(&self, environment: &str) -> Result<Option<LockNote>, ChangeStoreError> {
        Ok(self.read::<LockRecord>(&lock_key(environment)).await?.and_then(|(record, _)| record.held))
    }

    /// Takes the lock if nobody has it, or if who has it is `instead_of`. `Err`: who has it.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub async fn take_lock(
        &self,
        environment: &str,
        note: LockNote,
        instead_of: Option<&str>,
    ) -> Result<Result<(), LockNote>, ChangeStoreError> {
        self.swap(&lock_key(environment), |record: Option<LockRecord>| match record.and_then(|record| record.held) {
            Some(held) if held.lock.holder == note.lock.holder => Swap::Keep(Ok(())),
            Some(held) if instead_of != Some(held.lock.id.as_str()) => Swap::Keep(Err(held)),
            Some(_) | None => Swap::Write(LockRecord::of(note.clone()), Ok(())),
        })
        .await
    }

    /// Marks that an apply begins under the lock of this id, or has come to its end. `false`: it is not held any more.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub async fn mark_lock(
        &self,
        environment: &str,
        id: &str,
        applies: Option<&Applies>,
    ) -> Result<bool, ChangeStoreError> {
        self.swap(&lock_key(environment), |record: Option<LockRecord>| {
            let held = record.and_then(|record| record.held).filter(|held| held.lock.id == id);
            let Some(held) = held else { return Swap::Keep(false) };
            Swap::Write(LockRecord::of(LockNote { applies: applies.cloned(), ..held }), true)
        })
        .await
    }

    /// Releases the lock if it is the one meant; returns it if it was.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub async fn release_lock(
        &self,
        environment: &str,
        mut is_meant: impl FnMut(&LockNote) -> bool + Send,
    ) -> Result<Option<LockNote>, ChangeStoreError> {
        self.swap(&lock_key(environment), |record: Option<LockRecord>| {
            match record.and_then(|record| record.held).filter(|held| is_meant(held)) {
                Some(held) => Swap::Write(LockRecord::default(), Some(held)),
                None => Swap::Keep(None),
            }
        })
        .await
    }
}

/// Whether a run of this pull request holds the lock.
#[must_use]
pub fn is_of_pull(lock: &Lock, pull: u64) -> bool {
    matches!(lock.holder, Holder::Run { pull: other, .. } if other == pull)
}
