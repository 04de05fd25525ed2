//! Launching: making the directory is the claim, its record comes next, then the supervisor. Each step is made again by a
//! later call with the same batch if the earlier one was killed before it, and never twice.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use runnersmith_ports::{LaunchRequest, MachinesError};
use runnersmith_types::policy::LAUNCH_BATCH_MAX;
use runnersmith_types::{MachineId, Timestamp};

use crate::config::LocalConfig;
use crate::dir::{MachineDir, PENDING_FOR, Record, Standing, make_private_dir, remove_tree};
use crate::distribution::Distribution;
use crate::processes::MARKER;
use crate::sweep;

const OPERATION: &str = "launch";

/// The id of a batch's n-th machine. Sorted by text they are sorted by number.
fn machine_id(request: &LaunchRequest, n: usize) -> Result<MachineId, MachinesError> {
    MachineId::parse(&format!("{}.{n:03}", request.batch.id)).map_err(|error| bad(error.to_string()))
}

fn bad(what: String) -> MachinesError {
    MachinesError::BadRequest { operation: OPERATION, what }
}

fn trouble(what: &str, error: io::Error) -> MachinesError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            MachinesError::Quota { operation: OPERATION, what: format!("disk space for {what}") }
        }
        io::ErrorKind::WouldBlock => {
            MachinesError::Quota { operation: OPERATION, what: format!("processes for {what}") }
        }
        _ => MachinesError::Failed { operation: OPERATION, source: format!("{what}: {error}").into() },
    }
}

/// One call.
pub(crate) struct Launch<'a> {
    pub config: &'a LocalConfig,
    pub root: &'a Path,
    pub distribution: &'a Distribution,
    pub now: Timestamp,
}

impl Launch<'_> {
    /// Launches what the batch has not launched yet. Returns all its machines and the supervisors that were started now.
    ///
    /// # Errors
    /// Only when no machine of the batch exists: an error other than `Failed` says that nothing was launched.
    pub fn all(&self, request: &LaunchRequest) -> (Result<Vec<MachineId>, MachinesError>, Vec<Child>) {
        let wanted = request.batch.runners.len();
        if wanted > LAUNCH_BATCH_MAX {
            return (Err(bad(format!("{wanted} runners in one batch, the limit is {LAUNCH_BATCH_MAX}"))), Vec::new());
        }
        let (mut ids, mut children, mut failure) = (Vec::with_capacity(wanted), Vec::new(), None);
        // Every one is looked at, even after a failure: those of an earlier call must be in the answer.
        for n in 0..wanted {
            match machine_id(request, n).and_then(|id| Ok((self.one(request, &id)?, id))) {
                Ok((child, id)) => {
                    ids.push(id);
                    children.extend(child);
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            Some(error) if ids.is_empty() => (Err(error), children),
            Some(error @ MachinesError::Failed { .. }) => (Err(error), children),
            Some(error) => {
                tracing::warn!(batch = %request.batch.id, launched = ids.len(), wanted, %error, "launched fewer machines");
                (Ok(ids), children)
            }
            None => (Ok(ids), children),
        }
    }

    fn one(&self, request: &LaunchRequest, id: &MachineId) -> Result<Option<Child>, MachinesError> {
        if sweep::is_reclaimed(self.root, id) {
            return Ok(None);
        }
        let dir = MachineDir::new(self.root, id);
        let claimed = dir.claim().map_err(|error| trouble("a machine's directory", error))?;
        // Looked at again: it may have been swept between the look and the claim.
        if claimed && sweep::is_reclaimed(self.root, id) {
            let _ = remove_tree(dir.path());
            return Ok(None);
        }
        let result = self.start(request, &dir);
        if result.is_err() && claimed {
            // Nobody else has answered with this directory unless they found it in these few moments; then they lose it.
            if let Err(error) = remove_tree(dir.path()) {
                return Err(MachinesError::Failed {
                    operation: OPERATION,
                    source: format!("{id}: the claim cannot be undone: {error}").into(),
                });
            }
        }
        result
    }

    /// Starts the supervisor of a claimed directory, unless one has ever begun.
    fn start(&self, request: &LaunchRequest, dir: &MachineDir) -> Result<Option<Child>, MachinesError> {
        if dir.standing() != Standing::Claimed {
            return Ok(None);
        }
        let known = dir.record().map_err(|error| trouble("machine.json", error))?;
        if known.as_ref().is_none_or(|record| self.now.since(record.launched_at) >= PENDING_FOR) {
            let record = self.record(request)?;
            dir.write_record(&record).map_err(|error| trouble("machine.json", error))?;
        }
        for private in [dir.hand_off_dir(), dir.file("home")] {
            match make_private_dir(&private) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(trouble("its directories", error));
                }
                _ => {}
            }
        }
        self.spawn(dir).map(Some)
    }

    fn record(&self, request: &LaunchRequest) -> Result<Record, MachinesError> {
        let distribution = self.distribution.directory().map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => trouble("the distribution", error),
            _ => bad(format!("the distribution {}: {error}", self.config.distribution.display())),
        })?;
        let millis = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        Ok(Record {
            set: request.batch.set.clone(),
            control_plane: request.control_plane.clone(),
            batch: request.batch.id.clone(),
            pool: request.batch.pool.clone(),
            launched_at: self.now,
            hard_end_at: request.batch.hard_end_at,
            distribution,
            boot_deadline_ms: millis(self.config.boot_deadline),
            kill_grace_ms: millis(self.config.kill_grace),
        })
    }

    fn spawn(&self, dir: &MachineDir) -> Result<Child, MachinesError> {
        let Some((program, arguments)) = self.config.supervisor.split_first() else {
            return Err(bad("no supervisor command is configured".into()));
        };
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(dir.file("supervisor.log"))
            .map_err(|error| trouble("supervisor.log", error))?;
        let errors = log.try_clone().map_err(|error| trouble("supervisor.log", error))?;
        let environment = self.config.work_env.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        Command::new(program)
            .args(arguments)
            .arg(dir.path())
            .env_clear()
            .envs(environment)
            .env("HOME", dir.file("home"))
            .env(MARKER, dir.path())
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            // Its own group: it outlives us and our terminal's interrupts.
            .process_group(0)
            .spawn()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                    bad(format!("the supervisor {}: {error}", Path::new(program).display()))
                }
                _ => trouble("the supervisor", error),
            })
    }
}

/// Makes the root, and returns its absolute path without symbolic links.
pub(crate) fn prepare_root(root: &Path) -> io::Result<std::path::PathBuf> {
    fs::create_dir_all(root)?;
    root.canonicalize()
}
