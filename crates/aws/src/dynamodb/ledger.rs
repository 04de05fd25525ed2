//! The port, word for word; what each call does is in the modules beside this one.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use runnersmith_ports::{BudgetKind, Lease, Ledger, LedgerError, Recorded, Release};
use runnersmith_types::{
    Batch, BatchId, BootFailure, ControlPlaneId, Event, Intent, Job, JobFact, JobId, Notified, PoolFailure,
    RepoFullName, RunId, Runner, RunnerName, RunnerUpdate, ScaleSetName, Stalled, Timestamp,
};

use super::DynamoLedger;
use super::table::{Fault, Page, Terms, key, nonce, number, read_text, text};

/// Returns the port's error for an operation.
fn as_ledger(operation: &'static str) -> impl Fn(Fault) -> LedgerError {
    move |fault| fault.ledger(operation)
}

#[async_trait]
impl Ledger for DynamoLedger {
    async fn control_plane(&self) -> Result<ControlPlaneId, LedgerError> {
        let known = self.control_plane.get_or_try_init(|| self.read_control_plane()).await;
        known.cloned().map_err(as_ledger("plane"))
    }

    async fn record_facts(&self, facts: Vec<JobFact>, wake: &[ScaleSetName]) -> Result<Vec<Recorded>, LedgerError> {
        self.record_all(facts, wake).await.map_err(as_ledger("record facts"))
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>, LedgerError> {
        self.read_job(id).await.map_err(as_ledger("job"))
    }

    async fn open_jobs(&self, ended_since: Timestamp) -> Result<Vec<Job>, LedgerError> {
        self.read_open_jobs(ended_since).await.map_err(as_ledger("open jobs"))
    }

    async fn recent_jobs(&self, limit: usize) -> Result<Vec<Job>, LedgerError> {
        self.read_recent_jobs(limit).await.map_err(as_ledger("recent jobs"))
    }

    async fn stall_job(&self, id: JobId, stalled: Stalled) -> Result<bool, LedgerError> {
        self.stall(id, stalled).await.map_err(as_ledger("hold a job"))
    }

    async fn record_notification(&self, id: JobId, notified: Notified) -> Result<bool, LedgerError> {
        let notify = |job: &mut Job| {
            job.notified = Some(notified.clone());
            true
        };
        self.change_job(id, notify).await.map_err(as_ledger("record a telling"))
    }

    async fn interrupted_job(&self, id: JobId, at: Timestamp) -> Result<bool, LedgerError> {
        let interrupt = |job: &mut Job| {
            let first = job.interrupted_at.is_none();
            job.interrupted_at.get_or_insert(at);
            first
        };
        self.change_job(id, interrupt).await.map_err(as_ledger("record an interruption"))
    }

    async fn wake(&self, set: &ScaleSetName) -> Result<(), LedgerError> {
        self.wake_set(set).await.map_err(as_ledger("wake a set"))
    }

    async fn acquire(&self, set: &ScaleSetName, holder: &str, ttl: Duration) -> Result<Option<Lease>, LedgerError> {
        self.take_lease(set, holder, ttl).await.map_err(as_ledger("acquire a lease"))
    }

    async fn release(&self, lease: &mut Lease, ttl: Duration) -> Result<Release, LedgerError> {
        self.let_go(lease, ttl).await.map_err(as_ledger("release a lease"))
    }

    async fn renew(&self, lease: &mut Lease, ttl: Duration) -> Result<(), LedgerError> {
        const OPERATION: &str = "renew a lease";
        if self.extend_lease(lease, ttl).await.map_err(as_ledger(OPERATION))? {
            return Ok(());
        }
        Err(LedgerError::LeaseLost { operation: OPERATION, set: lease.set.clone() })
    }

    async fn next_serial(&self) -> Result<u64, LedgerError> {
        self.read_serial().await.map_err(as_ledger("next serial"))
    }

    async fn intend(
        &self,
        lease: &Lease,
        runners: Vec<Intent>,
        ephemeral: bool,
        runners_max: u32,
    ) -> Result<(), LedgerError> {
        self.write_intents(lease, runners, ephemeral, runners_max).await
    }

    async fn store_batch(&self, lease: &Lease, batch: Batch) -> Result<(), LedgerError> {
        self.write_batch(lease, batch).await
    }

    async fn batch(&self, id: &BatchId) -> Result<Option<Batch>, LedgerError> {
        self.read_batch(id).await.map_err(as_ledger("batch"))
    }

    async fn open_batches(&self, set: &ScaleSetName) -> Result<Vec<Batch>, LedgerError> {
        self.read_open_batches(set).await.map_err(as_ledger("open batches"))
    }

    async fn settle_batch(&self, lease: &Lease, id: &BatchId) -> Result<(), LedgerError> {
        self.close_batch(lease, id).await
    }

    async fn update(
        &self,
        lease: &Lease,
        updates: Vec<(RunnerName, RunnerUpdate)>,
    ) -> Result<Vec<Runner>, LedgerError> {
        self.write_updates(lease, updates).await
    }

    async fn live_runners(&self, set: &ScaleSetName) -> Result<Vec<Runner>, LedgerError> {
        self.read_live_runners(set).await.map_err(as_ledger("live runners"))
    }

    async fn counts(&self) -> Result<Vec<(ScaleSetName, u32, u32)>, LedgerError> {
        self.set_counts().await.map_err(as_ledger("counts"))
    }

    async fn runner(&self, name: &RunnerName) -> Result<Option<Runner>, LedgerError> {
        self.read_runner(name).await.map_err(as_ledger("runner"))
    }

    async fn recent_runners(&self, limit: usize) -> Result<Vec<Runner>, LedgerError> {
        self.read_recent_runners(limit).await.map_err(as_ledger("recent runners"))
    }

    async fn take_budget(&self, kind: BudgetKind, cost: u32, limit: u32) -> Result<Option<u32>, LedgerError> {
        self.take(kind, cost, limit).await.map_err(as_ledger("take of a budget"))
    }

    async fn used_budget(&self, kind: BudgetKind) -> Result<u32, LedgerError> {
        self.used(kind).await.map_err(as_ledger("used budget"))
    }

    async fn pool_failure(&self, set: &ScaleSetName, pool_failure: PoolFailure) -> Result<(), LedgerError> {
        self.write_pool_failure(set, &pool_failure).await.map_err(as_ledger("strike"))
    }

    async fn pool_failures(&self, set: &ScaleSetName, since: Timestamp) -> Result<Vec<PoolFailure>, LedgerError> {
        self.read_pool_failures(set, since).await.map_err(as_ledger("strikes"))
    }

    async fn boot_failed(&self, set: &ScaleSetName, failure: BootFailure) -> Result<(), LedgerError> {
        self.write_boot_failure(set, &failure).await.map_err(as_ledger("boot failure"))
    }

    async fn boot_failures(&self, set: &ScaleSetName) -> Result<Vec<BootFailure>, LedgerError> {
        self.read_boot_failures(set).await.map_err(as_ledger("boot failures"))
    }

    async fn boot_succeeded(&self, set: &ScaleSetName) -> Result<(), LedgerError> {
        self.forget_boot_failures(set).await.map_err(as_ledger("boot success"))
    }

    async fn rerun(&self, repo: &RepoFullName, run: RunId) -> Result<bool, LedgerError> {
        let mut item = key("rerun", format!("{repo}#{run}"));
        item.insert("expires".into(), number(self.expires(self.clock.now())));
        match self.table.put(item, Terms::when("attribute_not_exists(pk)")).await {
            Ok(()) => Ok(true),
            Err(Fault::Condition(..)) => Ok(false),
            Err(fault) => Err(fault.ledger("re-run")),
        }
    }

    async fn reruns(&self) -> Result<Vec<(RepoFullName, RunId)>, LedgerError> {
        let items = self.table.query("rerun", "", Page::default()).await.map_err(as_ledger("re-runs"))?;
        let read = |item| {
            let (repo, run) = read_text(item, "sk")?.rsplit_once('#')?;
            Some((RepoFullName::parse(repo).ok()?, RunId(run.parse().ok()?)))
        };
        Ok(items.iter().filter_map(read).collect())
    }

    async fn close(&self, set: &ScaleSetName, closed: bool) -> Result<(), LedgerError> {
        self.close_set(set, closed).await.map_err(as_ledger("close"))
    }

    async fn closed(&self) -> Result<BTreeSet<ScaleSetName>, LedgerError> {
        self.closed_sets().await.map_err(as_ledger("closed"))
    }

    async fn get(&self, name: &str) -> Result<Option<String>, LedgerError> {
        let found = self.table.get(&format!("value#{name}"), "value").await.map_err(as_ledger("get"))?;
        Ok(found.as_ref().and_then(|item| read_text(item, "value")).map(str::to_owned))
    }

    async fn set(&self, name: &str, value: &str) -> Result<(), LedgerError> {
        let mut item = key(format!("value#{name}"), "value");
        item.insert("value".into(), text(value));
        self.table.put(item, Terms::default()).await.map_err(as_ledger("set"))
    }

    async fn append(&self, events: Vec<Event>) -> Result<(), LedgerError> {
        self.write_events(&events).await.map_err(as_ledger("append history"))
    }

    async fn history_of_job(&self, job: JobId, limit: usize) -> Result<Vec<Event>, LedgerError> {
        self.read_history_of_job(job, limit).await.map_err(as_ledger("history of a job"))
    }

    async fn history_of_runner(&self, runner: &RunnerName, limit: usize) -> Result<Vec<Event>, LedgerError> {
        self.read_history_of_runner(runner, limit).await.map_err(as_ledger("history of a runner"))
    }

    async fn recent_history(&self, limit: usize) -> Result<Vec<Event>, LedgerError> {
        self.read_recent_history(limit).await.map_err(as_ledger("recent history"))
    }

    async fn ping(&self) -> Result<(), LedgerError> {
        self.table.get("plane", "plane").await.map(|_| ()).map_err(as_ledger("ping"))
    }

    async fn prune(&self, before: Timestamp, limit: usize) -> Result<u64, LedgerError> {
        self.drop_old(before, limit).await.map_err(as_ledger("prune"))
    }
}

impl DynamoLedger {
    /// The ledger's identity; whoever asks first makes it.
    async fn read_control_plane(&self) -> Result<ControlPlaneId, Fault> {
        for _ in 0..2 {
            if let Some(found) = self.table.get("plane", "plane").await? {
                let word = read_text(&found, "value").unwrap_or_default();
                return ControlPlaneId::parse(word).map_err(|error| Fault::Failed(error.into()));
            }
            if self.is_for_reading {
                return Err(Fault::other("no control plane has used this table yet"));
            }
            let mut item = key("plane", "plane");
            item.insert("value".into(), text(&nonce()[..8]));
            match self.table.put(item, Terms::when("attribute_not_exists(pk)")).await {
                Ok(()) | Err(Fault::Condition(..)) => {}
                Err(fault) => return Err(fault),
            }
        }
        Err(Fault::other("the control plane's identity was made and is not there"))
    }
}
