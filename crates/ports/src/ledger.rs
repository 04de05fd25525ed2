//! The durable record of jobs, runners and every decision about them.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use runnersmith_types::job::Merged;
use runnersmith_types::{
    Batch, BatchId, BootFailure, BootFailures, ControlPlaneId, EventKind, HistoryEvent, Intent, Job, JobFact, JobId,
    JobUpdate, PoolFailure, RepoFullName, RunId, Runner, RunnerName, RunnerUpdate, ScaleSetName, Stalled, Timestamp,
};

/// Why a ledger call failed.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The lease is not ours any more (ended, or a newer generation exists): stop; nothing was written.
    #[error("ledger {operation}: the lease on {set} is lost")]
    LeaseLost {
        /// The call.
        operation: &'static str,
        /// The set.
        set: ScaleSetName,
    },
    /// A condition did not hold (alive count, version, existing name): nothing was written; look again.
    #[error("ledger {operation}: {condition} does not hold any more")]
    Conflict {
        /// The call.
        operation: &'static str,
        /// The condition.
        condition: String,
    },
    /// The store is full: nothing was written.
    #[error("ledger {operation}: the disk is full")]
    Full {
        /// The call.
        operation: &'static str,
    },
    /// The ledger was written by a newer version.
    #[error("ledger {operation}: its schema is version {found}, this program knows up to {known}")]
    Newer {
        /// The call.
        operation: &'static str,
        /// Found.
        found: u32,
        /// Known.
        known: u32,
    },
    /// Anything else; may be tried again.
    #[error("ledger {operation} failed")]
    Failed {
        /// The call.
        operation: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What recording a fact did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// What changed.
    pub merged: Merged,
    /// Whether the job is new to the ledger.
    pub new: bool,
    /// The job now.
    pub job: Job,
}

impl Recorded {
    /// Returns the line of history of what a fact changed; nothing when it brought no news. The ledger writes it with the job.
    #[must_use]
    pub fn event(&self) -> Option<HistoryEvent> {
        if self.merged == Merged::Nothing && !self.new {
            return None;
        }
        let fact = &self.job.fact;
        let on = fact.runner_name.as_ref().map_or_else(String::new, |runner| format!(" on {}", runner.escape_debug()));
        let text = format!("GitHub says {}{on}", fact.status.word());
        let mut event = HistoryEvent::new(fact.received_at, EventKind::Seen, fact.status.word(), text);
        event.job = Some(fact.id);
        event.delivery.clone_from(&fact.delivery);
        event.runner = self.job.runner();
        Some(event)
    }
}

/// The right to decide about one set for a while. Not `Clone`: there is one holder.
#[derive(Debug, PartialEq, Eq)]
pub struct Lease {
    /// The set.
    pub set: ScaleSetName,
    /// Grows with each acquisition; every conditional write names it.
    pub generation: u64,
    /// Its end; executors stop issuing near it.
    pub until: Timestamp,
    /// The set's wake counter when the lease was acquired or last re-read.
    pub wake_seq: u64,
}

/// What a release found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseOutcome {
    /// Released: nothing happened meanwhile.
    Released,
    /// The set was woken meanwhile; the lease is held for another ttl. It may have been somebody else's for a moment: what was read
    /// under it is old.
    WokenAgain,
    /// It was lost anyway.
    Lost,
}

/// An API budget of the App, counted per minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BudgetKind {
    /// JIT configs (GitHub grants about 180 content-creating writes a minute).
    Jit,
    /// Check runs: a storm of them must not take what hand-offs need.
    Notifications,
    /// Registration tokens: few, since one serves an hour of runners, and apart, so that their failures use up nothing else.
    Tokens,
    /// All other calls.
    Calls,
}

impl BudgetKind {
    /// A stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Jit => "jit",
            Self::Notifications => "notifications",
            Self::Tokens => "tokens",
            Self::Calls => "calls",
        }
    }
}

/// Jobs: what is known of each, and what was done about it.
#[async_trait]
pub trait JobLedger: Send + Sync + 'static {
    /// Merges facts (by [`Job::merge`]), each in a transaction of its own or all in one, with its line of history
    /// ([`Recorded::event`]) in the same, and then wakes the given sets. When a job's status changes, other jobs of the same run
    /// that are stalled stop being stalled. After an error some facts may be recorded; recording them again changes nothing.
    /// Returns them in the order of the facts.
    async fn record_facts(&self, facts: Vec<JobFact>, wake: &[ScaleSetName]) -> Result<Vec<Recorded>, LedgerError>;
    /// One job.
    async fn job(&self, id: JobId) -> Result<Option<Job>, LedgerError>;
    /// All open jobs; those that are followed after their end ([`Job::is_followed`]), however long ago it was; and of those that
    /// ended at or after `ended_since` the ones that still matter: their runner is alive, their author was notified, or their
    /// machine was interrupted. By id.
    async fn open_jobs(&self, ended_since: Timestamp) -> Result<Vec<Job>, LedgerError>;
    /// The newest jobs by first sight, at most `limit`.
    async fn recent_jobs(&self, limit: usize) -> Result<Vec<Job>, LedgerError>;
    /// The newest jobs by first sight of those that were first seen before `before`, newest first: at least `limit`, unless there are
    /// no more. With the last one come all others of its moment, so that the next page begins before that moment and misses none.
    async fn jobs_before(&self, before: Timestamp, limit: usize) -> Result<Vec<Job>, LedgerError>;
    /// Marks a queued job stalled. `false` when it is not queued any more.
    async fn stall_job(&self, id: JobId, stalled: Stalled) -> Result<bool, LedgerError>;
    /// Records decisions about jobs (by [`Job::update`]), in order; each in a transaction of its own or all in one. Unknown jobs are
    /// skipped. After an error some may be recorded; recording them again changes nothing more. Returns the jobs that changed.
    async fn update_jobs(&self, updates: Vec<(JobId, JobUpdate)>) -> Result<Vec<JobId>, LedgerError>;
    /// Records that a run was re-run; `false` when that is recorded already.
    async fn rerun(&self, repo: &RepoFullName, run: RunId) -> Result<bool, LedgerError>;
    /// Runs that were re-run.
    async fn reruns(&self) -> Result<Vec<(RepoFullName, RunId)>, LedgerError>;
}

/// Who may decide about a set now, whether it should be looked at again, and whether it is in service.
#[async_trait]
pub trait LeaseLedger: Send + Sync + 'static {
    /// Bumps a set's wake counter.
    async fn wake(&self, set: &ScaleSetName) -> Result<(), LedgerError>;
    /// Takes the lease if it is free or ended. `None` when somebody else holds it.
    async fn acquire(&self, set: &ScaleSetName, holder: &str, ttl: Duration) -> Result<Option<Lease>, LedgerError>;
    /// Releases the lease, unless the set was woken since `lease.wake_seq`: then it is held on, or taken again where nobody else has
    /// taken it, with the new `wake_seq`, and says so.
    async fn release(&self, lease: &mut Lease, ttl: Duration) -> Result<ReleaseOutcome, LedgerError>;
    /// Extends the lease.
    async fn renew(&self, lease: &mut Lease, ttl: Duration) -> Result<(), LedgerError>;
    /// Takes a set out of service or puts it back; twice is once. Whether any policy names the set makes no difference, and
    /// nothing but this call changes it. Who has acquired the set's lease after this returned knows that every later pass sees it.
    async fn close(&self, set: &ScaleSetName, closed: bool) -> Result<(), LedgerError>;
    /// The sets that are out of service.
    async fn closed(&self) -> Result<BTreeSet<ScaleSetName>, LedgerError>;
}

/// Runners and the calls that launch them, with what their names are made of. Every write is conditional on the lease of the set;
/// one that is refused has written nothing.
#[async_trait]
pub trait RunnerLedger: Send + Sync + 'static {
    /// The ledger's identity, made once when it is created.
    async fn control_plane(&self) -> Result<ControlPlaneId, LedgerError>;
    /// The next free serial.
    async fn next_serial(&self) -> Result<u64, LedgerError>;
    /// Records intents (at most [`runnersmith_types::INTENTS_MAX`]) if the lease holds, the set's alive count plus theirs is at most
    /// `runners_max`, and no name exists. All or none.
    async fn intend(
        &self,
        lease: &Lease,
        runners: Vec<Intent>,
        ephemeral: bool,
        runners_max: u32,
    ) -> Result<(), LedgerError>;
    /// Stores a batch and marks its runners launching, if the lease holds and each is intended. All or none.
    async fn store_batch(&self, lease: &Lease, batch: Batch) -> Result<(), LedgerError>;
    /// One batch.
    async fn batch(&self, id: &BatchId) -> Result<Option<Batch>, LedgerError>;
    /// The set's batches that are not complete.
    async fn open_batches(&self, set: &ScaleSetName) -> Result<Vec<Batch>, LedgerError>;
    /// Applies what a batch's call did to its runners, as [`RunnerLedger::update`] does, and then marks the batch complete. After an
    /// error some updates may be applied and the batch be open; doing it again changes nothing more.
    async fn complete_batch(
        &self,
        lease: &Lease,
        id: &BatchId,
        updates: Vec<(RunnerName, RunnerUpdate)>,
    ) -> Result<(), LedgerError>;
    /// Applies updates (by [`Runner::update`]) under the lease, in order; the updates of one runner in one transaction, as many runners
    /// together as the store can. Unknown runners are skipped. Returns the changed records.
    async fn update(&self, lease: &Lease, updates: Vec<(RunnerName, RunnerUpdate)>)
    -> Result<Vec<Runner>, LedgerError>;
    /// The set's runners that are not gone, by name.
    async fn live_runners(&self, set: &ScaleSetName) -> Result<Vec<Runner>, LedgerError>;
    /// (alive, supply) of every set.
    async fn counts(&self) -> Result<Vec<(ScaleSetName, u32, u32)>, LedgerError>;
    /// One runner.
    async fn runner(&self, name: &RunnerName) -> Result<Option<Runner>, LedgerError>;
    /// The newest runners by serial, at most `limit`, gone ones included.
    async fn recent_runners(&self, limit: usize) -> Result<Vec<Runner>, LedgerError>;
}

/// What holds calls and launches back: the App's budgets, capacity pools that failed, machines that did not boot, and the small
/// values (cursors, `ETag`s, schedule marks) that spare calls.
#[async_trait]
pub trait BudgetLedger: Send + Sync + 'static {
    /// Takes `cost` from this minute's bucket. Returns how many units are left, or `None` when it would exceed `limit` (then nothing is taken).
    async fn take_budget(&self, kind: BudgetKind, cost: u32, limit: u32) -> Result<Option<u32>, LedgerError>;
    /// What is used of this minute's bucket.
    async fn used_budget(&self, kind: BudgetKind) -> Result<u32, LedgerError>;
    /// Records a pool failure against a capacity pool of a set.
    async fn pool_failure(&self, set: &ScaleSetName, pool_failure: PoolFailure) -> Result<(), LedgerError>;
    /// Pool failures of a set at or after `since`.
    async fn pool_failures(&self, set: &ScaleSetName, since: Timestamp) -> Result<Vec<PoolFailure>, LedgerError>;
    /// Records a boot failure of a set.
    async fn boot_failed(&self, set: &ScaleSetName, failure: BootFailure) -> Result<(), LedgerError>;
    /// Boot failures since the last success.
    async fn boot_failures(&self, set: &ScaleSetName) -> Result<BootFailures, LedgerError>;
    /// A runner of the set came online: forgets its boot failures.
    async fn boot_succeeded(&self, set: &ScaleSetName) -> Result<(), LedgerError>;
    /// A small named value (cursor, ETag, schedule mark).
    async fn get(&self, key: &str) -> Result<Option<String>, LedgerError>;
    /// Sets it.
    async fn set(&self, key: &str, value: &str) -> Result<(), LedgerError>;
}

/// Everything seen, decided and done, and the end of what is old.
#[async_trait]
pub trait HistoryLedger: Send + Sync + 'static {
    /// Appends history.
    async fn append(&self, events: Vec<HistoryEvent>) -> Result<(), LedgerError>;
    /// A job's history, oldest first: events that name it, and (for `runner`) its runner's.
    async fn history_of_job(&self, job: JobId, limit: usize) -> Result<Vec<HistoryEvent>, LedgerError>;
    /// A runner's history, oldest first.
    async fn history_of_runner(&self, runner: &RunnerName, limit: usize) -> Result<Vec<HistoryEvent>, LedgerError>;
    /// The newest history, newest first.
    async fn recent_history(&self, limit: usize) -> Result<Vec<HistoryEvent>, LedgerError>;
    /// Reads one small thing, and writes none. Returns `Ok` when the ledger answers, and the error of that read when it does not.
    async fn ping(&self) -> Result<(), LedgerError>;
    /// Drops ended jobs, gone runners, complete batches, history, failures of pools and boots, and marks of re-runs older than `before`,
    /// at most `limit` rows of each. Returns how many rows went; none where the store drops by itself what it was made to keep for so long.
    async fn prune(&self, before: Timestamp, limit: usize) -> Result<u64, LedgerError>;
}

/// Jobs, runners and their history: what `why`, `status` and the console read. They need no more of a ledger than this.
pub trait WorkLedger: JobLedger + RunnerLedger + HistoryLedger {}

impl<T: JobLedger + RunnerLedger + HistoryLedger + ?Sized> WorkLedger for T {}

/// The ledger: all of its parts. Contract of each: every call is one transaction, durable when it returns; reads see all writes
/// that returned before. Everything about a set's runners is conditional on that set's lease generation. Records are kept at least
/// `history` after they ended, then dropped by [`HistoryLedger::prune`].
pub trait Ledger: WorkLedger + LeaseLedger + BudgetLedger {}

impl<T: WorkLedger + LeaseLedger + BudgetLedger + ?Sized> Ledger for T {}
