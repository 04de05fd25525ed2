//! A ledger that counts: how many calls are made, and how many steps they are.
//!
//! Calls that begin before any of them has ended are one step: none of them can need what another says. On a ledger that is reached
//! by a network it is steps that take time, so it is steps that tests bound.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use runnersmith_types::{
    Batch, BatchId, BootFailure, BootFailures, ControlPlaneId, HistoryEvent, Intent, Job, JobFact, JobId, JobUpdate,
    PoolFailure, RepoFullName, RunId, Runner, RunnerName, RunnerUpdate, ScaleSetName, Stalled, Timestamp,
};

use crate::{
    BudgetKind, BudgetLedger, HistoryLedger, JobLedger, Lease, LeaseLedger, Ledger, LedgerError, Recorded,
    ReleaseOutcome, RunnerLedger,
};

/// Counts the calls to a ledger, and the steps that they are.
pub struct CountingLedger {
    ledger: Arc<dyn Ledger>,
    /// Calls that began and have not ended, and whether one has ended since the last step began.
    now: Mutex<(usize, bool)>,
    steps: AtomicUsize,
    calls: AtomicUsize,
}

impl CountingLedger {
    /// Counts from zero.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>) -> Self {
        let zero = || AtomicUsize::new(0);
        Self { ledger, now: Mutex::default(), steps: zero(), calls: zero() }
    }

    /// Returns the steps and the calls since the last time, and counts from zero again.
    pub fn take(&self) -> (usize, usize) {
        (self.steps.swap(0, Ordering::Relaxed), self.calls.swap(0, Ordering::Relaxed))
    }

    fn now(&self) -> MutexGuard<'_, (usize, bool)> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn begin(&self) -> UnderWay<'_> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        {
            let mut now = self.now();
            if now.0 == 0 || now.1 {
                self.steps.fetch_add(1, Ordering::Relaxed);
                now.1 = false;
            }
            now.0 += 1;
        }
        let call = UnderWay(self);
        // A call that is made together with this one begins now.
        tokio::task::yield_now().await;
        call
    }
}

/// A call that has begun; it ends when this is dropped, also when nobody waits for it any more.
struct UnderWay<'a>(&'a CountingLedger);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut now = self.0.now();
        *now = (now.0.saturating_sub(1), true);
    }
}

macro_rules! counted {
    ($part:ident: $(fn $name:ident($($arg:ident: $kind:ty),*) -> $out:ty;)*) => {
        #[async_trait]
        impl $part for CountingLedger {
            $(async fn $name(&self, $($arg: $kind),*) -> Result<$out, LedgerError> {
                let _call = self.begin().await;
                self.ledger.$name($($arg),*).await
            })*
        }
    };
}

counted! { JobLedger:
    fn record_facts(facts: Vec<JobFact>, wake: &[ScaleSetName]) -> Vec<Recorded>;
    fn job(id: JobId) -> Option<Job>;
    fn open_jobs(ended_since: Timestamp) -> Vec<Job>;
    fn recent_jobs(limit: usize) -> Vec<Job>;
    fn jobs_before(before: Timestamp, limit: usize) -> Vec<Job>;
    fn stall_job(id: JobId, stalled: Stalled) -> bool;
    fn update_jobs(updates: Vec<(JobId, JobUpdate)>) -> Vec<JobId>;
    fn rerun(repo: &RepoFullName, run: RunId) -> bool;
    fn reruns() -> Vec<(RepoFullName, RunId)>;
}

counted! { LeaseLedger:
    fn wake(set: &ScaleSetName) -> ();
    fn acquire(set: &ScaleSetName, holder: &str, ttl: Duration) -> Option<Lease>;
    fn release(lease: &mut Lease, ttl: Duration) -> ReleaseOutcome;
    fn renew(lease: &mut Lease, ttl: Duration) -> ();
    fn close(set: &ScaleSetName, closed: bool) -> ();
    fn closed() -> BTreeSet<ScaleSetName>;
}

counted! { RunnerLedger:
    fn control_plane() -> ControlPlaneId;
    fn next_serial() -> u64;
    fn intend(lease: &Lease, runners: Vec<Intent>, ephemeral: bool, runners_max: u32) -> ();
    fn store_batch(lease: &Lease, batch: Batch) -> ();
    fn batch(id: &BatchId) -> Option<Batch>;
    fn open_batches(set: &ScaleSetName) -> Vec<Batch>;
    fn complete_batch(lease: &Lease, id: &BatchId, updates: Vec<(RunnerName, RunnerUpdate)>) -> ();
    fn update(lease: &Lease, updates: Vec<(RunnerName, RunnerUpdate)>) -> Vec<Runner>;
    fn live_runners(set: &ScaleSetName) -> Vec<Runner>;
    fn counts() -> Vec<(ScaleSetName, u32, u32)>;
    fn runner(name: &RunnerName) -> Option<Runner>;
    fn recent_runners(limit: usize) -> Vec<Runner>;
}

counted! { BudgetLedger:
    fn take_budget(kind: BudgetKind, cost: u32, limit: u32) -> Option<u32>;
    fn used_budget(kind: BudgetKind) -> u32;
    fn pool_failure(set: &ScaleSetName, pool_failure: PoolFailure) -> ();
    fn pool_failures(set: &ScaleSetName, since: Timestamp) -> Vec<PoolFailure>;
    fn boot_failed(set: &ScaleSetName, failure: BootFailure) -> ();
    fn boot_failures(set: &ScaleSetName) -> BootFailures;
    fn boot_succeeded(set: &ScaleSetName) -> ();
    fn get(key: &str) -> Option<String>;
    fn set(key: &str, value: &str) -> ();
}

counted! { HistoryLedger:
    fn append(events: Vec<HistoryEvent>) -> ();
    fn history_of_job(job: JobId, limit: usize) -> Vec<HistoryEvent>;
    fn history_of_runner(runner: &RunnerName, limit: usize) -> Vec<HistoryEvent>;
    fn recent_history(limit: usize) -> Vec<HistoryEvent>;
    fn ping() -> ();
    fn prune(before: Timestamp, limit: usize) -> u64;
}
