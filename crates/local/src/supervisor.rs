//! The supervisor: one process per machine, whose lock is the machine's life.
//!
//! It outlives the program that launched it, so it decides by itself and by its directory alone: when to stop waiting for a hand-off, when a
//! runner that never listens is given up, when the hard end has come. Only the hard end and the request to terminate end a
//! machine that runs a job.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use runnersmith_ports::{Clock, RunnerConfig, SystemClock};
use runnersmith_types::{MachineStatus, Timestamp};
use tokio::signal::unix::{SignalKind, signal};

use crate::dir::{MachineDir, make_private_dir, write_atomically};
use crate::distribution::copy_tree;
use crate::hand_off;
use crate::processes;
use crate::runner::Runner;
use crate::sweep;
use crate::watch::{LOOK_EVERY, Watch};

/// Who looks whether the lock is free holds it for a moment; so many looks later it is truly taken.
const LOCK_TRIES: usize = 40;

/// How a supervisor's life went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The machine has, or had, another supervisor: nothing was done.
    NotMine,
    /// The machine has ended, and how: an exit code, or a reason in words.
    Ended(String),
}

/// Why a machine could not be supervised.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// The directory is not a launched machine's.
    #[error("supervise {}: it holds no machine.json", dir.display())]
    NoRecord {
        /// The directory.
        dir: PathBuf,
    },
    /// A file or a process.
    #[error("supervise {}: {what} failed", dir.display())]
    Io {
        /// The directory.
        dir: PathBuf,
        /// The step.
        what: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// Supervises the machine of this directory until it has ended. Blocks; must not be called from asynchronous code.
///
/// # Errors
/// When the directory is not a machine's, or the lock or the runtime cannot be had. What goes wrong later ends the machine.
pub fn supervise(dir: &Path) -> Result<Ending, SuperviseError> {
    supervise_with(dir, &SystemClock)
}

/// [`supervise`] by another clock.
///
/// # Errors
/// As [`supervise`].
pub fn supervise_with(dir: &Path, clock: &dyn Clock) -> Result<Ending, SuperviseError> {
    let fail = |what| move |source| SuperviseError::Io { dir: dir.to_owned(), what, source };
    let path = dir.canonicalize().map_err(fail("finding the directory"))?;
    let dir = MachineDir::at(path);
    let Some(lock) = lock(&dir).map_err(fail("locking"))? else { return Ok(Ending::NotMine) };
    if dir.file("started").exists() || matches!(dir.status(), Some(MachineStatus::Ended(_))) {
        return Ok(Ending::NotMine);
    }
    let record = dir.record().map_err(fail("reading machine.json"))?;
    let Some(record) = record else { return Err(SuperviseError::NoRecord { dir: dir.path().to_owned() }) };
    write_atomically(&dir.file("started"), b"", true).map_err(fail("marking the start"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fail("the runtime"))?;
    let how = runtime.block_on(async {
        let mut watch = Watch {
            dir: &dir,
            clock,
            record: &record,
            interrupt: [SignalKind::terminate(), SignalKind::interrupt()].map(|kind| signal(kind).ok()),
        };
        match live(&mut watch).await {
            Ok(how) | Err(how) => how,
        }
    });
    end(&dir, &how, lock);
    // A blocking copy that was asked to end may still be in its last file.
    runtime.shutdown_timeout(Duration::from_secs(5));
    Ok(Ending::Ended(how))
}

fn lock(dir: &MachineDir) -> io::Result<Option<File>> {
    for _ in 0..LOCK_TRIES {
        if let Some(lock) = dir.try_lock()? {
            return Ok(Some(lock));
        }
        if dir.file("started").exists() {
            return Ok(None);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(None)
}

/// No process and no secret outlives this; then the end is said, then the lock is given up.
fn end(dir: &MachineDir, how: &str, lock: File) {
    processes::kill_all(dir.path());
    sweep::clear(dir);
    if let Err(error) = dir.report(&MachineStatus::Ended(how.to_owned())) {
        tracing::warn!(dir = %dir.path().display(), %error, "cannot record the machine's end");
    }
    drop(lock);
    dir.changed();
}

/// From the copy of the distribution to the runner's end. Both results say how it ended.
async fn live(watch: &mut Watch<'_>) -> Result<String, String> {
    let dir = watch.dir;
    let boot_until = watch.boot_deadline();
    let said = |result: io::Result<()>, what: &str| result.map_err(|error| format!("{what}: {error}"));
    if let Some(reason) = watch.reason().await {
        return Ok(reason.into());
    }
    said(dir.report(&MachineStatus::Booting), "cannot write the machine status")?;
    copy(watch).await?;
    let config = wait_for_hand_off(watch, boot_until).await?;
    said(dir.report(&MachineStatus::Configured), "cannot write the machine status")?;
    let runner = Runner::prepare(dir, &config).map_err(|error| format!("cannot prepare the runner: {error}"))?;
    runner.run(watch, config).await
}

async fn copy(watch: &mut Watch<'_>) -> Result<(), String> {
    let (from, to) = (watch.record.distribution.clone(), watch.dir.file("runner"));
    let marker = watch.dir.file("terminate");
    let mut copying = tokio::task::spawn_blocking(move || {
        make_private_dir(&to).and_then(|()| copy_tree(&from, &to, &|| marker.exists()))
    });
    loop {
        tokio::select! {
            result = &mut copying => {
                let result = result.unwrap_or_else(|error| Err(io::Error::other(error)));
                return result.map_err(|error| match error.kind() {
                    io::ErrorKind::Interrupted => "terminated".into(),
                    _ => format!("cannot copy the distribution: {error}"),
                });
            }
            () = tokio::time::sleep(LOOK_EVERY) => {
                if let Some(reason) = watch.reason().await {
                    // The marker stops the copy, whatever the reason was.
                    let _ = write_atomically(&watch.dir.file("terminate"), b"", false);
                    let _ = copying.await;
                    return Err(reason.into());
                }
            }
        }
    }
}

async fn wait_for_hand_off(watch: &mut Watch<'_>, until: Timestamp) -> Result<RunnerConfig, String> {
    loop {
        match hand_off::take(watch.dir) {
            Ok(Some(config)) => return Ok(config),
            Ok(None) => {}
            Err(error) => return Err(format!("cannot read the hand-off: {error}")),
        }
        if let Some(reason) = watch.reason().await {
            return Err(reason.into());
        }
        if watch.clock.now() >= until {
            return Err("no hand-off within the boot deadline".into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
