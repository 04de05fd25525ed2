//! A ledger in memory that keeps the port's contract. It is apart from SQLite's because a world of a seed must cost milliseconds, and
//! because every call must be over at one moment of virtual time: no thread takes part.

mod budgets;
mod jobs;
mod leases;
mod runners;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runnersmith_ports::{BudgetKind, Clock, Lease, LedgerError};
use runnersmith_types::{
    Batch, BatchId, BootFailure, ControlPlaneId, HistoryEvent, Job, JobId, JobStatus, PoolFailure, RepoFullName, RunId,
    Runner, RunnerName, ScaleSetName, Timestamp,
};

/// A ledger.
pub struct MemoryLedger {
    clock: Arc<dyn Clock>,
    control_plane: ControlPlaneId,
    tables: Mutex<Tables>,
}

/// What it holds.
#[derive(Default)]
struct Tables {
    jobs: BTreeMap<JobId, Job>,
    /// Open ones, and those that are followed after their end.
    open: BTreeSet<JobId>,
    /// Ended jobs by the time of their end.
    ended: BTreeSet<(Timestamp, JobId)>,
    sets: BTreeMap<ScaleSetName, SetRow>,
    closed: BTreeSet<ScaleSetName>,
    serial: u64,
    runners: BTreeMap<RunnerName, Runner>,
    alive: BTreeMap<ScaleSetName, BTreeSet<RunnerName>>,
    batches: BTreeMap<BatchId, Batch>,
    open_batches: BTreeSet<BatchId>,
    budgets: BTreeMap<(&'static str, i64), u32>,
    pool_failures: Vec<(ScaleSetName, PoolFailure)>,
    boot_failures: Vec<(ScaleSetName, BootFailure)>,
    reruns: Vec<(Timestamp, RepoFullName, RunId)>,
    values: BTreeMap<String, String>,
    history: Vec<HistoryEvent>,
}

/// A set's lease and wake counter.
#[derive(Clone, Copy, Default)]
struct SetRow {
    generation: u64,
    until: Timestamp,
    wake_seq: u64,
}

impl MemoryLedger {
    /// An empty one.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, control_plane: ControlPlaneId) -> Self {
        let tables = Tables { serial: 1, ..Tables::default() };
        Self { clock, control_plane, tables: Mutex::new(tables) }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One job, for who checks what is recorded at a moment.
    #[must_use]
    pub fn recorded(&self, id: JobId) -> Option<Job> {
        self.tables().jobs.get(&id).cloned()
    }

    /// The jobs of a commit that are recorded as queued, each with since when.
    #[must_use]
    pub fn queued_of(&self, repo: &RepoFullName, sha: &str) -> Vec<(JobId, Timestamp)> {
        let tables = self.tables();
        let open = tables.open.iter().filter_map(|id| tables.jobs.get(id));
        let queued = open
            .filter(|job| job.fact.status == JobStatus::Queued && job.fact.repo == *repo && job.fact.head_sha == sha);
        queued.map(|job| (job.id(), job.changed_at)).collect()
    }

    /// How many failures to boot are recorded of a set, which may pause its launches.
    #[must_use]
    pub fn boot_failures_of(&self, set: &ScaleSetName) -> usize {
        self.tables().boot_failures.iter().filter(|(of, _)| of == set).count()
    }

    /// All runners that are not gone.
    #[must_use]
    pub fn alive(&self) -> Vec<Runner> {
        self.tables().runners.values().filter(|runner| runner.state.is_alive()).cloned().collect()
    }

    /// Everything in it as text, for who looks for what must not be there.
    #[must_use]
    pub fn text(&self) -> String {
        let tables = self.tables();
        format!(
            "{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
            tables.jobs,
            tables.runners,
            tables.batches,
            tables.pool_failures,
            tables.boot_failures,
            tables.values,
            tables.history
        )
    }
}

impl Tables {
    /// Whether the lease still holds.
    fn check(&self, operation: &'static str, lease: &Lease, now: Timestamp) -> Result<(), LedgerError> {
        let row = self.sets.get(&lease.set).copied().unwrap_or_default();
        if row.generation == lease.generation && row.until > now {
            return Ok(());
        }
        Err(LedgerError::LeaseLost { operation, set: lease.set.clone() })
    }

    fn wake(&mut self, set: &ScaleSetName) {
        self.sets.entry(set.clone()).or_default().wake_seq += 1;
    }

    fn put_job(&mut self, job: Job) {
        let id = job.id();
        if let Some(old) = self.jobs.get(&id)
            && let Some(at) = old.ended_at
        {
            self.ended.remove(&(at, id));
        }
        self.open.remove(&id);
        if job.fact.status.is_open() || job.is_followed() {
            self.open.insert(id);
        } else if let Some(at) = job.ended_at {
            self.ended.insert((at, id));
        }
        self.jobs.insert(id, job);
    }

    fn put_runner(&mut self, runner: Runner) {
        let alive = self.alive.entry(runner.target.set.clone()).or_default();
        if runner.state.is_alive() {
            alive.insert(runner.name.clone());
        } else {
            alive.remove(&runner.name);
        }
        self.runners.insert(runner.name.clone(), runner);
    }

    fn is_alive(&self, runner: &RunnerName) -> bool {
        self.runners.get(runner).is_some_and(|runner| runner.state.is_alive())
    }
}

/// A budget's bucket.
const fn bucket(kind: BudgetKind, now: Timestamp) -> (&'static str, i64) {
    (kind.word(), now.as_millis() / 60_000)
}

fn conflict(operation: &'static str, condition: String) -> LedgerError {
    LedgerError::Conflict { operation, condition }
}
