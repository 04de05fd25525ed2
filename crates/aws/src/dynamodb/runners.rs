//! Runners and batches of a set, and the counts that go with them, always under the set's lease.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures_util::future::try_join_all;
use runnersmith_ports::{Lease, LedgerError, RunnerLedger};
use runnersmith_types::{
    Batch, BatchId, ControlPlaneId, Intent, Runner, RunnerName, RunnerState, RunnerUpdate, ScaleSetName,
};

use super::DynamoLedger;
use super::leases::row;
use super::table::{
    Fault, Item, Page, Terms, Times, as_ledger, key, nonce, number, read_number, read_text, record, text, with_record,
};

/// A transaction has at most 100 items; a changed runner that is gone needs two, and the lease's row one.
const UPDATED_AT_ONCE: usize = 45;

fn partition(set: &ScaleSetName) -> String {
    format!("set#{set}")
}

fn supply(runner: &Runner) -> i64 {
    i64::from(runner.state.is_supply())
}

fn alive(runner: &Runner) -> i64 {
    i64::from(runner.state.is_alive())
}

#[async_trait]
impl RunnerLedger for DynamoLedger {
    async fn control_plane(&self) -> Result<ControlPlaneId, LedgerError> {
        let known = self.control_plane.get_or_try_init(|| self.read_control_plane()).await;
        known.cloned().map_err(as_ledger("control plane"))
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

    async fn complete_batch(
        &self,
        lease: &Lease,
        id: &BatchId,
        updates: Vec<(RunnerName, RunnerUpdate)>,
    ) -> Result<(), LedgerError> {
        // The bindings first, then "complete": a crash between them makes the call again, which is harmless.
        if !updates.is_empty() {
            self.write_updates(lease, updates).await?;
        }
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
}

impl DynamoLedger {
    /// The ledger's identity; the first that asks makes it.
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

    fn runner_item(&self, runner: &Runner) -> Result<Item, Fault> {
        let place = if runner.state.is_alive() { "live" } else { "gone" };
        let key = key(partition(&runner.target.set), format!("{place}#{}", runner.name));
        let mut item = with_record(key, runner)?;
        item.insert("version".into(), number(runner.version));
        item.insert("kind".into(), text("runner"));
        item.insert("at".into(), number(runner.serial));
        match runner.gone_at {
            Some(gone_at) => Ok(self.expiring(item, gone_at)),
            None => Ok(item),
        }
    }

    pub(super) async fn read_runner(&self, name: &RunnerName) -> Result<Option<Runner>, Fault> {
        let Some(set) = name.set() else { return Ok(None) };
        let partition = partition(&set);
        for place in ["live", "gone"] {
            if let Some(item) = self.table.get(&partition, &format!("{place}#{name}")).await? {
                return record(&item).map(Some);
            }
        }
        Ok(None)
    }

    pub(super) async fn read_live_runners(&self, set: &ScaleSetName) -> Result<Vec<Runner>, Fault> {
        self.table.query(&partition(set), "live#", Page::default()).await?.iter().map(record).collect()
    }

    pub(super) async fn read_serial(&self) -> Result<u64, Fault> {
        let found = self.table.get("serial", "serial").await?.unwrap_or_default();
        Ok(read_number(&found, "next").cast_unsigned().max(1))
    }

    pub(super) async fn write_intents(
        &self,
        lease: &Lease,
        intents: Vec<Intent>,
        ephemeral: bool,
        runners_max: u32,
    ) -> Result<(), LedgerError> {
        const OPERATION: &str = "record intents";
        let (Some(first), Some(last)) =
            (intents.iter().map(|i| i.serial).min(), intents.iter().map(|i| i.serial).max())
        else {
            return Ok(());
        };
        let (count, now) = (intents.len(), self.clock.now());
        let condition = format!("{count} more are at most {runners_max}, and the serials from {first} are free");
        if count > runnersmith_types::INTENTS_MAX || count > runners_max as usize {
            return Err(LedgerError::Conflict { operation: OPERATION, condition });
        }
        let fault = |fault: Fault| fault.ledger(OPERATION);
        let room = i64::from(runners_max) - i64::try_from(count).unwrap_or(i64::MAX);
        let fence = self
            .fence(lease, " AND (attribute_not_exists(alive) OR alive <= :room)")
            .value(":room", number(room))
            .value(":count", number(count));
        let serial = Terms::when("attribute_not_exists(#next) OR #next <= :first")
            .name("#next", "next")
            .value(":first", number(first))
            .value(":then", number(last + 1));
        let mut items = vec![
            self.table.updating(row(&lease.set), "ADD alive :count, supply :count", fence).map_err(fault)?,
            self.table.updating(key("serial", "serial"), "SET #next = :then", serial).map_err(fault)?,
        ];
        for intent in intents {
            let runner = Runner::intended(intent.name, intent.serial, intent.target, ephemeral, now);
            let item = self.runner_item(&runner).map_err(fault)?;
            items.push(self.table.putting(item, Terms::when("attribute_not_exists(pk)")).map_err(fault)?);
        }
        self.transact_under(OPERATION, lease, items, condition).await
    }

    /// A transaction whose first item is the row of the lease.
    async fn transact_under(
        &self,
        operation: &'static str,
        lease: &Lease,
        items: Vec<aws_sdk_dynamodb::types::TransactWriteItem>,
        condition: String,
    ) -> Result<(), LedgerError> {
        match self.table.transact(items).await {
            Ok(()) => Ok(()),
            Err(Fault::Condition(failed, _)) => {
                let row_failed = failed.first() == Some(&true);
                // The row asks for more than the lease: which of it failed is only seen by looking.
                let lost = row_failed && self.holds(lease).await.map_err(|fault| fault.ledger(operation))?.is_none();
                Err(Self::refused(operation, lease, if lost { String::new() } else { condition }))
            }
            Err(fault) => Err(fault.ledger(operation)),
        }
    }

    pub(super) async fn write_batch(&self, lease: &Lease, batch: Batch) -> Result<(), LedgerError> {
        const OPERATION: &str = "store a batch";
        let fault = |fault: Fault| fault.ledger(OPERATION);
        let now = self.clock.now();
        let looked = try_join_all(batch.runners.iter().map(|name| self.read_runner(name))).await.map_err(fault)?;
        let new = || Terms::when("attribute_not_exists(pk)");
        let open = key(partition(&batch.set), format!("batch#{}", batch.id));
        let mut items = vec![
            self.table.checking(row(&lease.set), self.fence(lease, "")).map_err(fault)?,
            self.table.putting(self.batch_item(&batch).map_err(fault)?, new()).map_err(fault)?,
            self.table.putting(with_record(open, &batch).map_err(fault)?, new()).map_err(fault)?,
        ];
        for (name, found) in batch.runners.iter().zip(looked) {
            let Some(mut runner) = found.filter(|runner| runner.state == RunnerState::Intended) else {
                if self.holds(lease).await.map_err(fault)?.is_none() {
                    return Err(Self::refused(OPERATION, lease, ""));
                }
                return Err(Self::refused(OPERATION, lease, format!("{name} is intended")));
            };
            let version = runner.version;
            runner.update(RunnerUpdate::Launching { batch: batch.id.clone(), pool: batch.pool.clone() }, now);
            runner.version = version + 1;
            let terms = Terms::when("version = :version").value(":version", number(version));
            items.push(self.table.putting(self.runner_item(&runner).map_err(fault)?, terms).map_err(fault)?);
        }
        let condition = format!("batch {} is new and its runners are intended", batch.id);
        self.transact_under(OPERATION, lease, items, condition).await
    }

    fn batch_item(&self, batch: &Batch) -> Result<Item, Fault> {
        let item = with_record(key(format!("batch#{}", batch.id), "batch"), batch)?;
        Ok(if batch.settled { self.expiring(item, batch.stored_at) } else { item })
    }

    pub(super) async fn read_batch(&self, id: &BatchId) -> Result<Option<Batch>, Fault> {
        self.table.get(&format!("batch#{id}"), "batch").await?.as_ref().map(record).transpose()
    }

    pub(super) async fn read_open_batches(&self, set: &ScaleSetName) -> Result<Vec<Batch>, Fault> {
        self.table.query(&partition(set), "batch#", Page::default()).await?.iter().map(record).collect()
    }

    pub(super) async fn close_batch(&self, lease: &Lease, id: &BatchId) -> Result<(), LedgerError> {
        const OPERATION: &str = "complete a batch";
        let fault = |fault: Fault| fault.ledger(OPERATION);
        let check = self.table.checking(row(&lease.set), self.fence(lease, "")).map_err(fault)?;
        let mut items = vec![check];
        if let Some(batch) = self.read_batch(id).await.map_err(fault)? {
            let settled = self.batch_item(&Batch { settled: true, ..batch }).map_err(fault)?;
            items.push(self.table.putting(settled, Terms::default()).map_err(fault)?);
            items.push(self.table.deleting(key(partition(&lease.set), format!("batch#{id}"))).map_err(fault)?);
        }
        self.transact_under(OPERATION, lease, items, String::new()).await
    }

    pub(super) async fn write_updates(
        &self,
        lease: &Lease,
        updates: Vec<(RunnerName, RunnerUpdate)>,
    ) -> Result<Vec<Runner>, LedgerError> {
        const OPERATION: &str = "update runners";
        let fault = |fault: Fault| fault.ledger(OPERATION);
        let now = self.clock.now();
        if self.holds(lease).await.map_err(fault)?.is_none() {
            return Err(Self::refused(OPERATION, lease, ""));
        }
        let names: BTreeSet<&RunnerName> = updates.iter().map(|(name, _)| name).collect();
        // A set's live runners in one read when there are many, else one by one.
        let found: BTreeMap<RunnerName, Runner> = if names.len() > 3 {
            let all = self.read_live_runners(&lease.set).await.map_err(fault)?;
            all.into_iter().map(|runner| (runner.name.clone(), runner)).collect()
        } else {
            let looked = try_join_all(names.iter().map(|name| self.read_runner(name))).await.map_err(fault)?;
            looked.into_iter().flatten().map(|runner| (runner.name.clone(), runner)).collect()
        };
        let mut now_records = found.clone();
        let mut changed: BTreeSet<RunnerName> = BTreeSet::new();
        for (name, update) in updates {
            let Some(runner) = now_records.get_mut(&name).filter(|runner| runner.target.set == lease.set) else {
                continue;
            };
            let version = runner.version;
            if runner.update(update, now) {
                runner.version = version + 1;
                changed.insert(name);
            }
        }
        let changed: Vec<(Runner, Runner)> = changed
            .iter()
            .filter_map(|name| Some((found.get(name)?.clone(), now_records.get(name)?.clone())))
            .collect();
        for chunk in changed.chunks(UPDATED_AT_ONCE) {
            self.write_updated(OPERATION, lease, chunk).await?;
        }
        for (before, after) in &changed {
            if before.state.is_alive()
                && !after.state.is_alive()
                && let Some(job) = after.job
            {
                self.archive_job(job).await.map_err(fault)?;
            }
        }
        Ok(changed.into_iter().map(|(_, after)| after).collect())
    }

    async fn write_updated(
        &self,
        operation: &'static str,
        lease: &Lease,
        changed: &[(Runner, Runner)],
    ) -> Result<(), LedgerError> {
        let fault = |fault: Fault| fault.ledger(operation);
        let by = |count: fn(&Runner) -> i64| changed.iter().map(|(old, new)| count(new) - count(old)).sum::<i64>();
        let (alive_by, supply_by) = (by(alive), by(supply));
        let mut items = if alive_by == 0 && supply_by == 0 {
            vec![self.table.checking(row(&lease.set), self.fence(lease, "")).map_err(fault)?]
        } else {
            let fence = self.fence(lease, "").value(":alive", number(alive_by)).value(":supply", number(supply_by));
            let change = "ADD alive :alive, supply :supply";
            vec![self.table.updating(row(&lease.set), change, fence).map_err(fault)?]
        };
        for (before, after) in changed {
            let unchanged = Terms::when("version = :version").value(":version", number(before.version));
            let item = self.runner_item(after).map_err(fault)?;
            if before.state.is_alive() == after.state.is_alive() {
                items.push(self.table.putting(item, unchanged).map_err(fault)?);
            } else {
                let old = key(partition(&before.target.set), format!("live#{}", before.name));
                items.push(self.table.deleting_when(old, unchanged).map_err(fault)?);
                items.push(self.table.putting(item, Terms::default()).map_err(fault)?);
            }
        }
        self.transact_under(operation, lease, items, "the runners are as they were read".into()).await
    }

    pub(super) async fn read_recent_runners(&self, limit: usize) -> Result<Vec<Runner>, Fault> {
        let page = Page { limit: Some(limit), newest_first: true };
        self.table.by_kind("runner", Times::All, page).await?.iter().map(record).collect()
    }

    pub(super) async fn set_counts(&self) -> Result<Vec<(ScaleSetName, u32, u32)>, Fault> {
        let rows = self.table.query("sets", "", Page::default()).await?;
        let count = |row: &Item, name| u32::try_from(read_number(row, name)).unwrap_or(0);
        Ok(rows
            .iter()
            .filter_map(|row| {
                let set = ScaleSetName::parse(read_text(row, "sk")?).ok()?;
                let alive = count(row, "alive");
                (alive > 0).then(|| (set, alive, count(row, "supply")))
            })
            .collect())
    }
}
