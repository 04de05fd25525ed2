//! Runners and batches, always under the lease of their set.

use std::collections::BTreeMap;

use async_trait::async_trait;
use runnersmith_ports::{Lease, LedgerError, RunnerLedger};
use runnersmith_types::{
    Batch, BatchId, ControlPlaneId, Intent, Runner, RunnerName, RunnerState, RunnerUpdate, ScaleSetName, Timestamp,
    saturating_u32,
};

use super::{MemoryLedger, Tables, conflict};

impl Tables {
    /// Updates runners of a lease's set, in order. Returns those that changed.
    fn update(&mut self, lease: &Lease, updates: Vec<(RunnerName, RunnerUpdate)>, now: Timestamp) -> Vec<Runner> {
        let mut changed: BTreeMap<RunnerName, Runner> = BTreeMap::new();
        for (name, update) in updates {
            let known = self.runners.get(&name).filter(|runner| runner.target.set == lease.set);
            let Some(mut runner) = known.cloned() else { continue };
            if runner.update(update, now) {
                runner.version += 1;
                self.put_runner(runner.clone());
                changed.insert(name, runner);
            }
        }
        changed.into_values().collect()
    }
}

#[async_trait]
impl RunnerLedger for MemoryLedger {
    async fn control_plane(&self) -> Result<ControlPlaneId, LedgerError> {
        Ok(self.control_plane.clone())
    }

    async fn next_serial(&self) -> Result<u64, LedgerError> {
        Ok(self.tables().serial)
    }

    async fn intend(
        &self,
        lease: &Lease,
        runners: Vec<Intent>,
        ephemeral: bool,
        runners_max: u32,
    ) -> Result<(), LedgerError> {
        const OPERATION: &str = "record intents";
        let now = self.clock.now();
        let mut tables = self.tables();
        tables.check(OPERATION, lease, now)?;
        let (alive, more) = (tables.alive.get(&lease.set).map_or(0, |alive| alive.len()), runners.len());
        if alive + more > runners_max as usize {
            return Err(conflict(OPERATION, format!("{alive} alive and {more} more are at most {runners_max}")));
        }
        let mut next = tables.serial;
        for intent in &runners {
            if intent.serial < next {
                return Err(conflict(OPERATION, format!("the serial of {} is free", intent.name)));
            }
            next = intent.serial + 1;
        }
        tables.serial = next;
        for intent in runners {
            tables.put_runner(Runner::intended(intent.name, intent.serial, intent.target, ephemeral, now));
        }
        Ok(())
    }

    async fn store_batch(&self, lease: &Lease, batch: Batch) -> Result<(), LedgerError> {
        const OPERATION: &str = "store a batch";
        let now = self.clock.now();
        let mut tables = self.tables();
        tables.check(OPERATION, lease, now)?;
        if tables.batches.contains_key(&batch.id) {
            return Err(conflict(OPERATION, format!("batch {} is new", batch.id)));
        }
        let mut changed = Vec::with_capacity(batch.runners.len());
        for name in &batch.runners {
            let known = tables.runners.get(name).filter(|runner| runner.state == RunnerState::Intended);
            let Some(mut runner) = known.cloned() else {
                return Err(conflict(OPERATION, format!("{name} is intended")));
            };
            runner.update(RunnerUpdate::Launching { batch: batch.id.clone(), pool: batch.pool.clone() }, now);
            runner.version += 1;
            changed.push(runner);
        }
        changed.into_iter().for_each(|runner| tables.put_runner(runner));
        tables.open_batches.insert(batch.id.clone());
        tables.batches.insert(batch.id.clone(), batch);
        Ok(())
    }

    async fn batch(&self, id: &BatchId) -> Result<Option<Batch>, LedgerError> {
        Ok(self.tables().batches.get(id).cloned())
    }

    async fn open_batches(&self, set: &ScaleSetName) -> Result<Vec<Batch>, LedgerError> {
        let tables = self.tables();
        let open = tables.open_batches.iter().filter_map(|id| tables.batches.get(id));
        Ok(open.filter(|batch| batch.set == *set).cloned().collect())
    }

    async fn complete_batch(
        &self,
        lease: &Lease,
        id: &BatchId,
        updates: Vec<(RunnerName, RunnerUpdate)>,
    ) -> Result<(), LedgerError> {
        let now = self.clock.now();
        let mut tables = self.tables();
        tables.check("complete a batch", lease, now)?;
        tables.update(lease, updates, now);
        tables.open_batches.remove(id);
        if let Some(batch) = tables.batches.get_mut(id) {
            batch.settled = true;
        }
        Ok(())
    }

    async fn update(
        &self,
        lease: &Lease,
        updates: Vec<(RunnerName, RunnerUpdate)>,
    ) -> Result<Vec<Runner>, LedgerError> {
        let now = self.clock.now();
        let mut tables = self.tables();
        tables.check("update runners", lease, now)?;
        Ok(tables.update(lease, updates, now))
    }

    async fn live_runners(&self, set: &ScaleSetName) -> Result<Vec<Runner>, LedgerError> {
        let tables = self.tables();
        let names = tables.alive.get(set).into_iter().flatten();
        Ok(names.filter_map(|name| tables.runners.get(name)).cloned().collect())
    }

    async fn counts(&self) -> Result<Vec<(ScaleSetName, u32, u32)>, LedgerError> {
        let tables = self.tables();
        let mut found = Vec::new();
        for (set, names) in tables.alive.iter().filter(|(_, names)| !names.is_empty()) {
            let records = names.iter().filter_map(|name| tables.runners.get(name));
            let supply = records.filter(|runner| runner.state.is_supply()).count();
            found.push((set.clone(), saturating_u32(names.len()), saturating_u32(supply)));
        }
        Ok(found)
    }

    async fn runner(&self, name: &RunnerName) -> Result<Option<Runner>, LedgerError> {
        Ok(self.tables().runners.get(name).cloned())
    }

    async fn recent_runners(&self, limit: usize) -> Result<Vec<Runner>, LedgerError> {
        let mut runners: Vec<Runner> = self.tables().runners.values().cloned().collect();
        runners.sort_by_key(|runner| std::cmp::Reverse(runner.serial));
        runners.truncate(limit);
        Ok(runners)
    }
}
