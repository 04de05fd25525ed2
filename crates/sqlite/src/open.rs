//! Opening and upgrading the file.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::OpenError;

/// Each step brings the schema from its index to the next version. Steps are never changed once released.
const STEPS: &[&str] = &["
CREATE TABLE kv (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL, visible_at INTEGER NOT NULL, receives INTEGER NOT NULL DEFAULT 0,
  sent_at INTEGER NOT NULL, dead_at INTEGER, dead_why TEXT);
CREATE INDEX messages_visible ON messages (visible_at) WHERE dead_at IS NULL;
CREATE TABLE jobs (id INTEGER PRIMARY KEY, open INTEGER NOT NULL, first_seen INTEGER NOT NULL, ended_at INTEGER, repo TEXT NOT NULL, run INTEGER NOT NULL,
  status TEXT NOT NULL, runner TEXT, followed INTEGER NOT NULL, record TEXT NOT NULL);
CREATE INDEX jobs_open ON jobs (open, ended_at);
CREATE INDEX jobs_first_seen ON jobs (first_seen);
CREATE INDEX jobs_run ON jobs (repo, run);
CREATE TABLE sets (name TEXT PRIMARY KEY, wake_seq INTEGER NOT NULL DEFAULT 0, generation INTEGER NOT NULL DEFAULT 0, holder TEXT, until INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE runners (name TEXT PRIMARY KEY, serial INTEGER NOT NULL UNIQUE, set_name TEXT NOT NULL, state TEXT NOT NULL, alive INTEGER NOT NULL, supply INTEGER NOT NULL,
  job INTEGER, gone_at INTEGER, record TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX runners_live ON runners (set_name, alive);
CREATE INDEX runners_job ON runners (job);
CREATE TABLE batches (id TEXT PRIMARY KEY, set_name TEXT NOT NULL, settled INTEGER NOT NULL, stored_at INTEGER NOT NULL, record TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX batches_open ON batches (set_name, settled);
CREATE TABLE budgets (kind TEXT NOT NULL, minute INTEGER NOT NULL, used INTEGER NOT NULL, PRIMARY KEY (kind, minute)) WITHOUT ROWID;
CREATE TABLE strikes (set_name TEXT NOT NULL, at INTEGER NOT NULL, record TEXT NOT NULL);
CREATE INDEX strikes_set ON strikes (set_name, at);
CREATE TABLE boot_failures (set_name TEXT NOT NULL, at INTEGER NOT NULL, record TEXT NOT NULL);
CREATE INDEX boot_failures_set ON boot_failures (set_name, at);
CREATE TABLE reruns (repo TEXT NOT NULL, run INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (repo, run)) WITHOUT ROWID;
CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, job INTEGER, runner TEXT, record TEXT NOT NULL);
CREATE INDEX events_job ON events (job);
CREATE INDEX events_runner ON events (runner);
CREATE INDEX events_at ON events (at);
INSERT INTO kv VALUES ('plane', lower(hex(randomblob(3)))), ('serial', '1');
", "
CREATE TABLE shelf (place TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (place, key));
INSERT INTO kv VALUES ('shelf_writes', '0');
", "
ALTER TABLE messages ADD COLUMN queue TEXT NOT NULL DEFAULT 'jobs';
DROP INDEX messages_visible;
CREATE INDEX messages_visible ON messages (queue, visible_at) WHERE dead_at IS NULL;
"];

/// The version of a file that has all steps.
pub(crate) const KNOWN: u32 = 3;
const _: () = assert!(STEPS.len() == KNOWN as usize, "the version is the number of steps");

/// The version that brought the record store.
pub(crate) const RECORD_STORE_SINCE: u32 = 2;

/// How often opening is tried again while another program makes or recovers the same file. `SQLite` does not always ask its
/// busy handler then (a change of the journal mode, a recovery), so it is done here.
const TRIES_MAX: u32 = 200;
const PAUSE: Duration = Duration::from_millis(25);

/// Opens the file for writing and for reading.
pub(crate) fn open(path: &Path) -> Result<(Connection, Connection), OpenError> {
    again_while_busy(|| Ok((writable(path)?, read_only(path)?)))
}

/// Opens, again while another program makes or recovers the file.
pub(crate) fn again_while_busy<T>(open: impl Fn() -> Result<T, OpenError>) -> Result<T, OpenError> {
    let mut tries = 0;
    loop {
        match open() {
            Err(OpenError::Sqlite(error)) if tries < TRIES_MAX && is_busy(&error) => {
                tries += 1;
                std::thread::sleep(PAUSE);
            }
            outcome => return outcome,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked))
}

fn writable(path: &Path) -> Result<Connection, OpenError> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    // Two programs may open a new file at once: the version is read inside the transaction.
    let step = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found: u32 = step.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > KNOWN {
        return Err(OpenError::Newer { found, known: KNOWN });
    }
    for sql in STEPS.iter().skip(found as usize) {
        step.execute_batch(sql)?;
    }
    step.pragma_update(None, "user_version", KNOWN)?;
    step.commit()?;
    Ok(connection)
}

fn read_only(path: &Path) -> Result<Connection, OpenError> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    Ok(connection)
}
