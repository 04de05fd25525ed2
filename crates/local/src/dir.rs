//! One machine's directory: its files, its lock, and what they say about it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use runnersmith_types::{BatchId, CapacityPool, ControlPlaneId, MachineId, MachineStatus, ScaleSetName, Timestamp};
use serde::{Deserialize, Serialize};

/// The most bytes that are read of any of our small files.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// The file of the supervisor's status. Files on users' disks have this name, so it stays.
pub(crate) const STATUS_FILE: &str = "voice";
/// The file of the job hooks' status: it counts before the supervisor's until the machine has ended.
pub(crate) const JOB_STATUS_FILE: &str = "voice.job";
/// A claimed machine whose supervisor has not begun is pending for so long, then it counts as ended.
pub(crate) const PENDING_FOR: Duration = Duration::from_secs(30);

/// What is known of a machine before it starts: the content of `machine.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub set: ScaleSetName,
    #[serde(rename = "plane")]
    pub control_plane: ControlPlaneId,
    pub batch: BatchId,
    #[serde(rename = "rung")]
    pub pool: CapacityPool,
    pub launched_at: Timestamp,
    pub hard_end_at: Timestamp,
    /// The extracted distribution.
    pub distribution: PathBuf,
    pub boot_deadline_ms: u64,
    pub kill_grace_ms: u64,
}

/// Where a machine stands by its files and its lock alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its directory exists; no supervisor has begun.
    Claimed,
    /// Its supervisor lives.
    Live,
    /// Its supervisor has ended or died, or it was asked to end before it began.
    Over,
}

/// A machine's directory.
#[derive(Clone, Debug)]
pub(crate) struct MachineDir {
    path: PathBuf,
}

impl MachineDir {
    pub fn new(root: &Path, id: &MachineId) -> Self {
        Self { path: root.join(id.as_str()) }
    }
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }
    pub fn path(&self) -> &Path {
        &self.path
    }
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
    pub fn hand_off_dir(&self) -> PathBuf {
        self.file("handoff")
    }
    pub fn hand_off_file(&self) -> PathBuf {
        self.file("handoff").join("config.json")
    }

    /// Makes the directory, readable by its owner only. `false` when it exists.
    pub fn claim(&self) -> io::Result<bool> {
        match make_private_dir(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The record, or `None` when the claim's maker got no further.
    pub fn record(&self) -> io::Result<Option<Record>> {
        let Some(text) = read_small(&self.file("machine.json"))? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(io::Error::other)
    }

    pub fn write_record(&self, record: &Record) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(record).map_err(io::Error::other)?;
        write_atomically(&self.file("machine.json"), &text, true)
    }

    /// What the machine says now. The job hooks' word is a file of its own, so that it and the supervisor's cannot race.
    pub fn status(&self) -> Option<MachineStatus> {
        let own = self.word(STATUS_FILE);
        match own {
            Some(MachineStatus::Ended(_)) => own,
            own => self.word(JOB_STATUS_FILE).or(own),
        }
    }

    fn word(&self, file: &str) -> Option<MachineStatus> {
        let text = read_small(&self.file(file)).ok()??;
        parse_status(text.lines().rev().find(|line| !line.trim().is_empty())?.trim())
    }

    /// Says a word and marks the root as changed.
    pub fn report(&self, status: &MachineStatus) -> io::Result<()> {
        write_atomically(&self.file(STATUS_FILE), format!("{}\n", status_line(status)).as_bytes(), false)?;
        self.changed();
        Ok(())
    }

    /// Marks the root as changed, for those who wait. A hint: a failure is of no consequence.
    pub fn changed(&self) {
        if let Some(root) = self.path.parent() {
            let _ = fs::write(root.join(CHANGED), std::process::id().to_string());
        }
    }

    /// See [`Standing`]. `started` is looked at before the lock: it is only ever written under the lock.
    pub fn standing(&self) -> Standing {
        if matches!(self.status(), Some(MachineStatus::Ended(_))) {
            return Standing::Over;
        }
        let started = self.file("started").exists();
        if self.is_locked() {
            Standing::Live
        } else if started || self.file("terminate").exists() {
            Standing::Over
        } else {
            Standing::Claimed
        }
    }

    /// Whether somebody holds the lock exclusively. The probe is shared, so probes do not see each other.
    pub fn is_locked(&self) -> bool {
        let Ok(file) = File::open(self.file("lock")) else { return false };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// Takes the lock if it is free. It is held until the file is dropped.
    pub fn try_lock(&self) -> io::Result<Option<File>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(self.file("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// The file whose modification says that some status below the root changed.
pub(crate) const CHANGED: &str = ".changed";

fn status_line(status: &MachineStatus) -> String {
    match status {
        MachineStatus::Booting => "booting".into(),
        MachineStatus::Configured => "configured".into(),
        MachineStatus::Listening => "listening".into(),
        MachineStatus::Busy => "busy".into(),
        MachineStatus::JobDone => "job_done".into(),
        MachineStatus::Ended(how) => format!("ended {}", how.replace(char::is_control, " ")),
    }
}

fn parse_status(line: &str) -> Option<MachineStatus> {
    match line {
        "booting" => Some(MachineStatus::Booting),
        "configured" => Some(MachineStatus::Configured),
        "listening" => Some(MachineStatus::Listening),
        "busy" => Some(MachineStatus::Busy),
        "job_done" => Some(MachineStatus::JobDone),
        "ended" => Some(MachineStatus::Ended(String::new())),
        line => line.strip_prefix("ended ").map(|how| MachineStatus::Ended(how.chars().take(200).collect())),
    }
}

/// Reads a small text file; `None` when it is not there.
pub(crate) fn read_small(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(Some(text))
}

/// Writes a file so that readers see all of it or nothing, readable by the owner only. Durable when asked for.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8], durable: bool) -> io::Result<()> {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a file needs a directory and a name"));
    };
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let temporary = parent.join(format!(".{}.{}.{serial}", name.to_string_lossy(), std::process::id()));
    let written = (|| {
        // A file of this name can only be left over from an earlier process with our id.
        remove_file(&temporary)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        if durable {
            file.sync_all()?;
        }
        fs::rename(&temporary, path)?;
        if durable {
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Makes one directory that only its owner can enter.
pub(crate) fn make_private_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(path)
}

/// Removes a file; that it is not there is a success.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Err(error),
        _ => Ok(()),
    }
}

/// Removes a tree; that it is not there is a success.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
