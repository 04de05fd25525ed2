//! What is left of machines that have ended: kept for a while, then only a reclaimed mark, then nothing.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use runnersmith_types::{MachineId, MachineStatus, Timestamp};

use crate::dir::{MachineDir, STATUS_FILE, Standing, make_private_dir, read_small, remove_tree, write_atomically};
use crate::processes;

/// Most reclaimed marks that one call looks at.
const RECLAIMED_MAX: usize = 200;
/// A claim without a record says no hard end; its name is kept for so long.
const UNKNOWN_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

fn reclaimed_mark(root: &Path, id: &str) -> std::path::PathBuf {
    root.join(".ended").join(id)
}

/// Whether the machine existed and is gone: it is never launched again.
pub(crate) fn is_reclaimed(root: &Path, id: &MachineId) -> bool {
    reclaimed_mark(root, id.as_str()).exists()
}

/// Ends what a supervisor left that died, or that was asked to end before it began: its processes, its hand-off, its files.
/// Does nothing while the machine is claimed or alive.
pub(crate) fn reclaim(dir: &MachineDir) {
    if dir.standing() != Standing::Over || matches!(dir.status(), Some(MachineStatus::Ended(_))) {
        return;
    }
    let Ok(Some(_lock)) = dir.try_lock() else { return };
    let how = if dir.file("started").exists() {
        processes::kill_all(dir.path());
        "supervisor died"
    } else {
        "terminated before it began"
    };
    clear(dir);
    if let Err(error) = dir.report(&MachineStatus::Ended(how.into())) {
        tracing::warn!(dir = %dir.path().display(), %error, "cannot record a machine's end");
    }
}

/// Removes what an ended machine does not need: its hand-off first, and the runner but for its diagnostic files.
pub(crate) fn clear(dir: &MachineDir) {
    remove_or_warn(&dir.hand_off_dir());
    let diagnostics = dir.file("runner").join("_diag");
    if diagnostics.is_dir() {
        let _ = fs::rename(diagnostics, dir.file("diag"));
    }
    remove_or_warn(&dir.file("runner"));
    remove_or_warn(&dir.file("home"));
}

/// What cannot be removed now goes with the machine's directory; until then it may hold a secret.
fn remove_or_warn(left: &Path) {
    if let Err(error) = remove_tree(left) {
        tracing::warn!(path = %left.display(), %error, "cannot remove what an ended machine left");
    }
}

/// When the machine was last changed: its end, once it has ended.
pub(crate) fn changed_at(dir: &MachineDir) -> Option<Timestamp> {
    let meta = fs::metadata(dir.file(STATUS_FILE)).or_else(|_| fs::metadata(dir.path())).ok()?;
    let since = meta.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_millis(i64::try_from(since.as_millis()).ok()?))
}

/// Removes an ended machine's directory, leaving its name until its hard end, after which its batch is not launched any more.
///
/// # Errors
/// What the file system says; the next sweep tries again.
pub(crate) fn remove(root: &Path, dir: &MachineDir, keep_logs: bool, now: Timestamp) -> io::Result<()> {
    let Some(name) = dir.path().file_name().and_then(|name| name.to_str()) else { return Ok(()) };
    // Held until the directory is gone, so that no supervisor of it begins meanwhile.
    let Some(_lock): Option<File> = dir.try_lock()? else { return Ok(()) };
    let until = dir.record().ok().flatten().map_or(now.plus(UNKNOWN_KEPT), |record| record.hard_end_at);
    for made in [".ended", ".trash", ".logs"] {
        match make_private_dir(&root.join(made)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    write_atomically(&reclaimed_mark(root, name), until.as_millis().to_string().as_bytes(), true)?;
    if keep_logs {
        clear(dir);
        if let Err(error) = fs::rename(dir.path(), root.join(".logs").join(name)) {
            tracing::warn!(dir = %dir.path().display(), %error, "cannot keep an ended machine's logs");
        }
    }
    if dir.path().exists() {
        let trash = root.join(".trash").join(name);
        remove_tree(&trash)?;
        fs::rename(dir.path(), &trash)?;
        remove_tree(&trash)?;
    }
    Ok(())
}

/// Forgets names whose time is over and empties what a killed sweep left. Bounded.
pub(crate) fn tidy(root: &Path, now: Timestamp) {
    for entry in entries(&root.join(".ended")).take(RECLAIMED_MAX) {
        let until = read_small(&entry).ok().flatten().and_then(|text| text.trim().parse().ok());
        if until.is_some_and(|until| Timestamp::from_millis(until) < now) {
            let _ = fs::remove_file(entry);
        }
    }
    for entry in entries(&root.join(".trash")).take(RECLAIMED_MAX) {
        let _ = remove_tree(&entry);
    }
}

fn entries(dir: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}
