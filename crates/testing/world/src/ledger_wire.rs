//! A process's way to the ledger: it may die at each call, a call may fail before or after it was stored, and the checkers see leases
//! and records.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runnersmith_ports::{
    BudgetKind, BudgetLedger, HistoryLedger, JobLedger, Lease, LeaseLedger, LedgerError, Recorded, ReleaseOutcome,
    RunnerLedger,
};
use runnersmith_types::{
    Batch, BatchId, BootFailure, BootFailures, ControlPlaneId, HistoryEvent, Intent, Job, JobFact, JobId, JobUpdate,
    PoolFailure, RepoFullName, RunId, Runner, RunnerName, RunnerUpdate, ScaleSetName, Stalled, Timestamp,
};

use crate::bugs::Bug;
use crate::ledger::MemoryLedger;
use crate::outside::Fails;
use crate::process::Process;

/// A process's way to the ledger.
pub struct LedgerWire {
    process: Arc<Process>,
    ledger: Arc<MemoryLedger>,
}

fn failed(operation: &'static str) -> LedgerError {
    LedgerError::Failed { operation, source: "the world's ledger failed".into() }
}

impl LedgerWire {
    /// The way of this process.
    #[must_use]
    pub fn new(process: Arc<Process>) -> Self {
        let ledger = process.shared.ledger.clone();
        Self { process, ledger }
    }

    /// Whether this call fails, and whether it takes time.
    async fn weather(&self) -> Fails {
        let (fails, ms) = self.process.shared.with(|outside| {
            let fails = outside.fails(|faults| faults.ledger_error);
            let random = &mut outside.random.calls;
            // Most calls are over at once; some give others the time to come between.
            (fails, if random.happens(50_000) { random.between(1, 40) } else { 0 })
        });
        if ms > 0 {
            self.process.takes(ms, ms).await;
        }
        fails
    }

    fn acquired(&self, lease: &Option<Lease>, _: &str) {
        let Some(lease) = lease else { return };
        self.process.shared.with(|outside| {
            let now = outside.now();
            outside.checks.pass_begins(&lease.set, now);
            outside.counts_a_pass(&lease.set);
            outside.note(format!("{} passes over {} (generation {})", self.process.name, lease.set, lease.generation));
        });
    }

    fn recorded(&self, recorded: &[Recorded], _: &str) {
        for one in recorded {
            self.process.note(&format!(
                "records job {} {}: {:?}",
                one.job.id(),
                one.job.fact.status.word(),
                one.merged
            ));
        }
    }

    fn updated(&self, changed: &[Runner], _: &str) {
        self.process.shared.with(|outside| {
            let now = outside.now();
            for runner in changed {
                outside.note(format!("{} records {} {}", self.process.name, runner.name, runner.state.word()));
            }
            outside.checks.records(changed, now);
        });
    }

    /// The records that the control plane is shown: a bug may have forgotten something of them.
    fn remembered(&self, mut runners: Vec<Runner>) -> Vec<Runner> {
        match self.bug() {
            Some(Bug::ForgetsRefusals) => runners.iter_mut().for_each(|runner| {
                (runner.removal_refused_at, runner.github_busy_at) = (None, None);
            }),
            Some(Bug::ForgetsDoubts) => runners.iter_mut().for_each(|runner| runner.status_doubted_since = None),
            Some(_) | None => {}
        }
        runners
    }

    /// The jobs that the control plane is shown.
    fn known(&self, mut jobs: Vec<Job>) -> Vec<Job> {
        if self.bug() == Some(Bug::ForgetsAnswers) {
            jobs.iter_mut().for_each(|job| job.verified_at = None);
        }
        jobs
    }

    /// The runs that the control plane is said to have re-run.
    fn rerun_before(&self, runs: Vec<(RepoFullName, RunId)>) -> Vec<(RepoFullName, RunId)> {
        if self.bug() == Some(Bug::ForgetsReruns) { Vec::new() } else { runs }
    }

    fn bug(&self) -> Option<Bug> {
        self.process.shared.with(|outside| outside.options.bug)
    }

    fn wrote<T>(&self, _: &T, what: &str) {
        self.process.note(what);
    }
}

/// Each method of a part of the ledger: through the process, with the weather, and with what the checkers see of its result.
macro_rules! wire {
    ($part:ident: $(fn $name:ident($($arg:ident: $kind:ty),*) -> $out:ty $(=> $seen:ident)? $(, shown by $shown:ident)?;)*) => {
        #[async_trait]
        impl $part for LedgerWire {
            $(async fn $name(&self, $($arg: $kind),*) -> Result<$out, LedgerError> {
                const NAME: &str = concat!("ledger ", stringify!($name));
                let call = self.process.begin(NAME).await;
                let fails = self.weather().await;
                let result = if fails == Fails::Before {
                    Err(failed(NAME))
                } else {
                    self.ledger.$name($($arg),*).await
                };
                $(let result = result.map(|found| self.$shown(found));)?
                $(if let Ok(result) = &result {
                    self.$seen(result, NAME);
                })?
                self.process.end(call, NAME).await;
                if fails == Fails::After { Err(failed(NAME)) } else { result }
            })*
        }
    };
}

wire! { JobLedger:
    fn record_facts(facts: Vec<JobFact>, wake: &[ScaleSetName]) -> Vec<Recorded> => recorded;
    fn job(id: JobId) -> Option<Job>;
    fn open_jobs(ended_since: Timestamp) -> Vec<Job>, shown by known;
    fn recent_jobs(limit: usize) -> Vec<Job>;
    fn jobs_before(before: Timestamp, limit: usize) -> Vec<Job>;
    fn stall_job(id: JobId, stalled: Stalled) -> bool => wrote;
    fn update_jobs(updates: Vec<(JobId, JobUpdate)>) -> Vec<JobId> => wrote;
    fn rerun(repo: &RepoFullName, run: RunId) -> bool => wrote;
    fn reruns() -> Vec<(RepoFullName, RunId)>, shown by rerun_before;
}

wire! { RunnerLedger:
    fn control_plane() -> ControlPlaneId;
    fn next_serial() -> u64;
    fn intend(lease: &Lease, runners: Vec<Intent>, ephemeral: bool, runners_max: u32) -> () => wrote;
    fn store_batch(lease: &Lease, batch: Batch) -> () => wrote;
    fn batch(id: &BatchId) -> Option<Batch>;
    fn open_batches(set: &ScaleSetName) -> Vec<Batch>;
    fn complete_batch(lease: &Lease, id: &BatchId, updates: Vec<(RunnerName, RunnerUpdate)>) -> () => wrote;
    fn update(lease: &Lease, updates: Vec<(RunnerName, RunnerUpdate)>) -> Vec<Runner> => updated;
    fn live_runners(set: &ScaleSetName) -> Vec<Runner>, shown by remembered;
    fn counts() -> Vec<(ScaleSetName, u32, u32)>;
    fn runner(name: &RunnerName) -> Option<Runner>;
    fn recent_runners(limit: usize) -> Vec<Runner>;
}

wire! { BudgetLedger:
    fn take_budget(kind: BudgetKind, cost: u32, limit: u32) -> Option<u32>;
    fn used_budget(kind: BudgetKind) -> u32;
    fn pool_failure(set: &ScaleSetName, pool_failure: PoolFailure) -> () => wrote;
    fn pool_failures(set: &ScaleSetName, since: Timestamp) -> Vec<PoolFailure>;
    fn boot_failed(set: &ScaleSetName, failure: BootFailure) -> () => wrote;
    fn boot_failures(set: &ScaleSetName) -> BootFailures;
    fn boot_succeeded(set: &ScaleSetName) -> () => wrote;
    fn get(key: &str) -> Option<String>;
    fn set(key: &str, value: &str) -> ();
}

wire! { HistoryLedger:
    fn append(events: Vec<HistoryEvent>) -> ();
    fn history_of_job(job: JobId, limit: usize) -> Vec<HistoryEvent>;
    fn history_of_runner(runner: &RunnerName, limit: usize) -> Vec<HistoryEvent>;
    fn recent_history(limit: usize) -> Vec<HistoryEvent>;
    fn ping() -> ();
    fn prune(before: Timestamp, limit: usize) -> u64;
}

/// Leases are apart: a release says to the checkers whether the pass goes on.
#[async_trait]
impl LeaseLedger for LedgerWire {
    async fn wake(&self, set: &ScaleSetName) -> Result<(), LedgerError> {
        let call = self.process.begin("ledger wake").await;
        let result = self.ledger.wake(set).await;
        self.process.end(call, "ledger wake").await;
        result
    }

    async fn acquire(&self, set: &ScaleSetName, holder: &str, ttl: Duration) -> Result<Option<Lease>, LedgerError> {
        let call = self.process.begin("ledger acquire").await;
        let fails = self.weather().await;
        let result =
            if fails == Fails::Before { Err(failed("acquire")) } else { self.ledger.acquire(set, holder, ttl).await };
        if let Ok(lease) = &result {
            self.acquired(lease, "acquire");
        }
        self.process.end(call, "ledger acquire").await;
        if fails == Fails::After { Err(failed("acquire")) } else { result }
    }

    async fn release(&self, lease: &mut Lease, ttl: Duration) -> Result<ReleaseOutcome, LedgerError> {
        let call = self.process.begin("ledger release").await;
        let fails = self.weather().await;
        if fails == Fails::Before {
            self.process.end(call, "ledger release").await;
            return Err(failed("release"));
        }
        let result = self.ledger.release(lease, ttl).await;
        if let Ok(ReleaseOutcome::WokenAgain) = &result {
            self.process.shared.with(|outside| {
                let now = outside.now();
                outside.checks.pass_woken(&lease.set, now);
                outside.counts_a_pass(&lease.set);
            });
        }
        self.process.end(call, "ledger release").await;
        if fails == Fails::After { Err(failed("release")) } else { result }
    }

    async fn renew(&self, lease: &mut Lease, ttl: Duration) -> Result<(), LedgerError> {
        let call = self.process.begin("ledger renew").await;
        let result = self.ledger.renew(lease, ttl).await;
        self.process.end(call, "ledger renew").await;
        result
    }

    async fn close(&self, set: &ScaleSetName, closed: bool) -> Result<(), LedgerError> {
        self.ledger.close(set, closed).await
    }

    async fn closed(&self) -> Result<BTreeSet<ScaleSetName>, LedgerError> {
        let call = self.process.begin("ledger closed").await;
        let result = self.ledger.closed().await;
        self.process.end(call, "ledger closed").await;
        result
    }
}
