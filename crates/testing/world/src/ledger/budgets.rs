//! Budgets, pool failures, boot failures and small values.

use async_trait::async_trait;
use runnersmith_ports::{BudgetKind, BudgetLedger, LedgerError};
use runnersmith_types::{BootFailure, BootFailures, PoolFailure, ScaleSetName, Timestamp};

use super::{MemoryLedger, bucket};

#[async_trait]
impl BudgetLedger for MemoryLedger {
    async fn take_budget(&self, kind: BudgetKind, cost: u32, limit: u32) -> Result<Option<u32>, LedgerError> {
        let bucket = bucket(kind, self.clock.now());
        let mut tables = self.tables();
        tables.budgets.retain(|(_, minute), _| *minute >= bucket.1);
        let used = tables.budgets.get(&bucket).copied().unwrap_or(0).saturating_add(cost);
        if used > limit {
            return Ok(None);
        }
        tables.budgets.insert(bucket, used);
        Ok(Some(limit - used))
    }

    async fn used_budget(&self, kind: BudgetKind) -> Result<u32, LedgerError> {
        let bucket = bucket(kind, self.clock.now());
        Ok(self.tables().budgets.get(&bucket).copied().unwrap_or(0))
    }

    async fn pool_failure(&self, set: &ScaleSetName, pool_failure: PoolFailure) -> Result<(), LedgerError> {
        self.tables().pool_failures.push((set.clone(), pool_failure));
        Ok(())
    }

    async fn pool_failures(&self, set: &ScaleSetName, since: Timestamp) -> Result<Vec<PoolFailure>, LedgerError> {
        let tables = self.tables();
        let of_set = tables.pool_failures.iter().filter(|(of, failure)| of == set && failure.at >= since);
        Ok(of_set.map(|(_, failure)| failure.clone()).collect())
    }

    async fn boot_failed(&self, set: &ScaleSetName, failure: BootFailure) -> Result<(), LedgerError> {
        self.tables().boot_failures.push((set.clone(), failure));
        Ok(())
    }

    async fn boot_failures(&self, set: &ScaleSetName) -> Result<BootFailures, LedgerError> {
        let tables = self.tables();
        let of_set = tables.boot_failures.iter().filter(|(of, _)| of == set);
        let mut all: Vec<BootFailure> = of_set.map(|(_, failure)| failure.clone()).collect();
        all.sort_by_key(|failure| failure.at);
        Ok(BootFailures::of(all))
    }

    async fn boot_succeeded(&self, set: &ScaleSetName) -> Result<(), LedgerError> {
        self.tables().boot_failures.retain(|(of, _)| of != set);
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<String>, LedgerError> {
        Ok(self.tables().values.get(key).cloned())
    }

    async fn set(&self, key: &str, value: &str) -> Result<(), LedgerError> {
        self.tables().values.insert(key.to_owned(), value.to_owned());
        Ok(())
    }
}
