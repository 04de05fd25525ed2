//! The port: launch, list, terminate, wait.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use runnersmith_ports::{Clock, LaunchRequest, Machines, MachinesError, OUTPUT_LINES_MAX};
use runnersmith_types::{ControlPlaneId, Machine, MachineId, MachineState, ScaleSetName, Timestamp};

use crate::config::LocalConfig;
use crate::dir::{CHANGED, MachineDir, PENDING_FOR, Standing, write_atomically};
use crate::distribution::{Distribution, SUPERSEDED_FOR};
use crate::launch::{Launch, prepare_root};
use crate::log::last_lines;
use crate::processes;
use crate::sweep;

/// An ended machine is listed for so long.
const ENDED_KEPT: Duration = Duration::from_secs(600);
/// Most directories that one list reads.
const DIRECTORIES_MAX: usize = 20_000;
/// Most directories that one list removes.
const REMOVED_MAX: usize = 20;
/// How often a wait looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Machines that are processes of this computer.
#[derive(Clone)]
pub struct LocalMachines {
    inner: Arc<Inner>,
}

struct Inner {
    config: LocalConfig,
    root: PathBuf,
    distribution: Distribution,
    clock: Arc<dyn Clock>,
    /// Supervisors that we started, so that they are waited for when they end.
    children: Mutex<Vec<Child>>,
    /// The state of the root at the end of the last wait.
    seen: Mutex<Option<SystemTime>>,
}

impl LocalMachines {
    /// Machines below `config.root`, which is made if it is missing.
    ///
    /// # Errors
    /// When the root cannot be made.
    pub fn new(config: LocalConfig, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let root = prepare_root(&config.root)?;
        let distribution = Distribution::new(config.distribution.clone(), &root);
        let inner = Inner { config, root, distribution, clock, children: Mutex::default(), seen: Mutex::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Inner) -> Result<T, MachinesError> + Send + 'static,
    ) -> Result<T, MachinesError> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || {
            inner.reap();
            work(&inner)
        })
        .await
        .unwrap_or_else(|error| Err(MachinesError::Failed { operation, source: error.into() }))
    }
}

impl Inner {
    /// Collects supervisors that have ended, so that they do not stay as zombies.
    fn reap(&self) {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    fn launch(&self, request: &LaunchRequest) -> Result<Vec<MachineId>, MachinesError> {
        let launch =
            Launch { config: &self.config, root: &self.root, distribution: &self.distribution, now: self.clock.now() };
        let (result, children) = launch.all(request);
        self.children.lock().unwrap_or_else(PoisonError::into_inner).extend(children);
        result
    }

    fn sets(&self, control_plane: &ControlPlaneId) -> Result<BTreeSet<ScaleSetName>, MachinesError> {
        let failed = |error: io::Error| MachinesError::Failed { operation: "sets", source: error.into() };
        let mut sets = BTreeSet::new();
        for entry in fs::read_dir(&self.root).map_err(failed)?.take(DIRECTORIES_MAX) {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_str().is_none_or(|name| MachineId::parse(name).is_err()) {
                continue;
            }
            let dir = MachineDir::at(entry.path());
            if dir.standing() != Standing::Over
                && let Some(record) = dir.record().map_err(failed)?
                && record.control_plane == *control_plane
            {
                sets.insert(record.set);
            }
        }
        Ok(sets)
    }

    fn list(&self, set: &ScaleSetName, control_plane: &ControlPlaneId) -> Result<Vec<Machine>, MachinesError> {
        let now = self.clock.now();
        let failed = |error: io::Error| MachinesError::Failed { operation: "list", source: error.into() };
        let (mut machines, mut removed, mut distributions) = (Vec::new(), 0, BTreeSet::new());
        for entry in fs::read_dir(&self.root).map_err(failed)?.take(DIRECTORIES_MAX) {
            let entry = entry.map_err(failed)?;
            let Some(id) = entry.file_name().to_str().and_then(|name| MachineId::parse(name).ok()) else { continue };
            let dir = MachineDir::at(entry.path());
            sweep::reclaim(&dir);
            let standing = dir.standing();
            if standing != Standing::Live && removed < REMOVED_MAX && is_old(&dir, now) {
                removed += 1;
                if let Err(error) = sweep::remove(&self.root, &dir, self.config.keep_logs, now) {
                    tracing::warn!(machine = %id, %error, "cannot remove an ended machine's directory");
                }
                continue;
            }
            // A claim without its record belongs to no set yet; one whose record is unreadable fails the list rather than
            // looking as if it were absent.
            let Some(record) = dir.record().map_err(failed)? else { continue };
            if standing != Standing::Over {
                distributions.insert(record.distribution.clone());
            }
            if record.set != *set || record.control_plane != *control_plane {
                continue;
            }
            let state = match standing {
                Standing::Live => MachineState::Running,
                Standing::Claimed if now.since(record.launched_at) < PENDING_FOR => MachineState::Pending,
                Standing::Claimed | Standing::Over => MachineState::Ended,
            };
            machines.push(Machine {
                id,
                set: record.set,
                control_plane: record.control_plane,
                batch: record.batch,
                state,
                status: dir.status(),
                launched_at: record.launched_at,
                pool: record.pool,
                interrupted_at: None,
            });
        }
        sweep::tidy(&self.root, now);
        self.distribution.forget_unused(&distributions, SUPERSEDED_FOR);
        machines.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(machines)
    }

    fn terminate(&self, id: &MachineId) -> Result<(), MachinesError> {
        let failed = |error: io::Error| MachinesError::Failed {
            operation: "terminate",
            source: format!("{id}: {error}").into(),
        };
        let dir = MachineDir::new(&self.root, id);
        if !dir.path().is_dir() || dir.standing() == Standing::Over {
            sweep::reclaim(&dir);
            return Ok(());
        }
        // Even when the disk is full a machine can be ended: the kill below is its second means.
        let marker = dir.file("terminate");
        let asked = fs::metadata(&marker).and_then(|meta| meta.modified()).ok();
        let marked = if asked.is_some() { Ok(()) } else { write_atomically(&marker, b"", false) };
        let hung = asked.is_some_and(|asked| {
            asked.elapsed().is_ok_and(|age| age > self.config.kill_grace.saturating_mul(2) + PENDING_FOR)
        });
        if hung || marked.is_err() {
            // Its supervisor does not do as it is asked, or cannot be asked.
            processes::kill_all(dir.path());
        }
        match marked {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(_) if dir.is_locked() => marked.map_err(failed),
            Err(_) | Ok(()) => {
                sweep::reclaim(&dir);
                Ok(())
            }
        }
    }
}

fn is_old(dir: &MachineDir, now: Timestamp) -> bool {
    sweep::changed_at(dir).is_some_and(|at| now.since(at) >= ENDED_KEPT)
}

async fn modified(root: &Path) -> Option<SystemTime> {
    tokio::fs::metadata(root.join(CHANGED)).await.and_then(|meta| meta.modified()).ok()
}

#[async_trait]
impl Machines for LocalMachines {
    async fn launch(&self, request: &LaunchRequest) -> Result<Vec<MachineId>, MachinesError> {
        let request = request.clone();
        self.blocking("launch", move |inner| inner.launch(&request)).await
    }

    async fn list(&self, set: &ScaleSetName, control_plane: &ControlPlaneId) -> Result<Vec<Machine>, MachinesError> {
        let (set, control_plane) = (set.clone(), control_plane.clone());
        self.blocking("list", move |inner| inner.list(&set, &control_plane)).await
    }

    async fn sets(&self, control_plane: &ControlPlaneId) -> Result<BTreeSet<ScaleSetName>, MachinesError> {
        let control_plane = control_plane.clone();
        self.blocking("sets", move |inner| inner.sets(&control_plane)).await
    }

    async fn terminate(&self, ids: &[MachineId]) -> Result<(), MachinesError> {
        let ids = ids.to_vec();
        self.blocking("terminate", move |inner| {
            // One that fails does not keep the others alive.
            let results: Vec<_> = ids.iter().map(|id| inner.terminate(id)).collect();
            results.into_iter().collect()
        })
        .await
    }

    async fn output(&self, machine: &MachineId) -> Result<Vec<String>, MachinesError> {
        let dir = MachineDir::new(&self.inner.root, machine);
        self.blocking("output", move |_| {
            let failed = |error: io::Error| MachinesError::Failed { operation: "output", source: error.into() };
            last_lines(&dir.file("runner.log"), OUTPUT_LINES_MAX).map_err(failed)
        })
        .await
    }

    async fn wait(&self, timeout: Duration) {
        let seen = |inner: &Inner| inner.seen.lock().map_or_else(|poisoned| *poisoned.into_inner(), |seen| *seen);
        let before = seen(&self.inner);
        let looks = timeout.as_millis() / LOOK_EVERY.as_millis() + 1;
        for _ in 0..looks {
            let now = modified(&self.inner.root).await;
            if now != before {
                *self.inner.seen.lock().unwrap_or_else(PoisonError::into_inner) = now;
                return;
            }
            tokio::time::sleep(LOOK_EVERY.min(timeout)).await;
        }
    }
}
