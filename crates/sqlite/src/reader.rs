//! A store that is open for reading alone.
//!
//! It exists for commands that a person runs beside a server, or after it, with no right to write: it makes no file, takes no
//! schema step, and refuses every change.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use runnersmith_ports::Clock;
use rusqlite::{Connection, OpenFlags};

use crate::open::{self, KNOWN, RECORD_STORE_SINCE};
use crate::writer::Writer;
use crate::{OpenError, SqliteLedger, SqliteRecordStore};

/// A store that is open for reading alone. Cheap to clone.
#[derive(Clone)]
pub struct SqliteReader {
    reader: Writer,
    clock: Arc<dyn Clock>,
    version: u32,
}

impl SqliteReader {
    pub(crate) fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        if std::fs::metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            return Err(OpenError::Missing);
        }
        let (connection, version) = open::again_while_busy(|| connect(path))?;
        Ok(Self { reader: Writer::start_read_only(connection, "ledger-reader"), clock, version })
    }

    /// Whether the file is of this program's version: to open it for writing upgrades nothing.
    #[must_use]
    pub const fn is_current(&self) -> bool {
        self.version == KNOWN
    }

    /// The ledger. Each of its writes fails and says that the store is open for reading only.
    #[must_use]
    pub fn ledger(&self) -> SqliteLedger {
        SqliteLedger { writer: self.reader.clone(), reader: self.reader.clone(), clock: self.clock.clone() }
    }

    /// The record store, as [`crate::SqliteStore::record_store`]; its writes fail. `None` for a file of a version that had none.
    #[must_use]
    pub fn record_store(&self) -> Option<SqliteRecordStore> {
        (self.version >= RECORD_STORE_SINCE).then(|| SqliteRecordStore {
            writer: self.reader.clone(),
            reader: self.reader.clone(),
            place: String::new(),
        })
    }
}

/// Opens the file and reads its version, which is the first read of the file and so shows whether it can be read at all.
///
/// A file in WAL mode is read through its `-shm` file, and a reader makes that file when it is not there. SQLite's documentation
/// (<https://sqlite.org/wal.html#readonly>): a read-only WAL-mode database can be opened if "the -shm and -wal files already
/// exists and can be read", "there is write permission on the directory containing the database so that the -shm and -wal files
/// can be created", or "the database connection is opened using the immutable query parameter". A server that stops takes both
/// files away, and a reader that made them again would leave them behind as its own: a server of another user could then no longer
/// write. So a file that was closed in order is opened by the last of the three, whatever the reader may write. That is sound only
/// while no change lies in a `-wal` file, since an immutable database is read without it, and while nobody writes: a server that
/// runs has both files, and then the file is opened the ordinary way, which makes none.
fn connect(path: &Path) -> Result<(Connection, u32), OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let beside = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        match std::fs::metadata(name) {
            Ok(found) => Ok(Some(found.len())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    };
    match (beside("-shm"), beside("-wal")) {
        (Ok(None), Ok(None | Some(0))) => {
            checked(Connection::open_with_flags(immutable(path), flags | OpenFlags::SQLITE_OPEN_URI)?)
        }
        // The last server was killed: who reads its last changes makes files, and must be who may write.
        (Ok(None), Ok(Some(_))) => Err(OpenError::Unclosed),
        _ => Connection::open_with_flags(path, flags).map_err(OpenError::from).and_then(checked),
    }
}

fn checked(connection: Connection) -> Result<(Connection, u32), OpenError> {
    connection.busy_timeout(Duration::from_secs(10))?;
    match connection.pragma_query_value(None, "user_version", |row| row.get(0))? {
        0 => Err(OpenError::Blank),
        found if found > KNOWN => Err(OpenError::Newer { found, known: KNOWN }),
        version => Ok((connection, version)),
    }
}

/// The address of a file that is taken as never changing (<https://sqlite.org/uri.html>). Every byte that has a meaning in an
/// address, or may have one, is escaped.
fn immutable(path: &Path) -> String {
    let mut address = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(byte) {
            address.push(char::from(*byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(address, "%{byte:02X}");
        }
    }
    address.push_str("?immutable=1");
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_immutable_file_is_found_whatever_its_name_has_in_it() {
        let home = tempfile::tempdir().unwrap();
        for name in ["ledger", "a b", "a?immutable=0", "a#b", "100%41", "ü&=;"] {
            let path = home.path().join(name);
            let file = Connection::open(&path).unwrap();
            file.pragma_update(None, "user_version", 1).unwrap();
            drop(file);
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            let (_, version) = checked(Connection::open_with_flags(immutable(&path), flags).unwrap()).unwrap();
            assert_eq!(version, 1, "{name}");
        }
    }
}
