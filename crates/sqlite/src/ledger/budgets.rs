//! Budgets, pool failures, boot failures and small values.

use async_trait::async_trait;
use runnersmith_ports::{BudgetKind, BudgetLedger, LedgerError};
use runnersmith_types::{BootFailure, BootFailures, PoolFailure, ScaleSetName, Timestamp};
use rusqlite::{OptionalExtension, params};

use super::SqliteLedger;
use crate::rows::{records, set_value, value};

#[async_trait]
impl BudgetLedger for SqliteLedger {
    async fn take_budget(&self, kind: BudgetKind, cost: u32, limit: u32) -> Result<Option<u32>, LedgerError> {
        let minute = self.clock.now().as_millis() / 60_000;
        self.write("take budget", move |connection| {
            connection.prepare_cached("DELETE FROM budgets WHERE minute < ?1")?.execute([minute])?;
            let sql = "INSERT INTO budgets VALUES (?1, ?2, ?3) ON CONFLICT (kind, minute) DO UPDATE SET used = used + ?3 RETURNING used";
            let used: u32 = connection.prepare_cached(sql)?.query_row(params![kind.word(), minute, cost], |row| row.get(0))?;
            if used > limit {
                connection.prepare_cached("UPDATE budgets SET used = used - ?3 WHERE kind = ?1 AND minute = ?2")?.execute(params![kind.word(), minute, cost])?;
                return Ok(None);
            }
            Ok(Some(limit - used))
        })
        .await
    }

    async fn used_budget(&self, kind: BudgetKind) -> Result<u32, LedgerError> {
        let minute = self.clock.now().as_millis() / 60_000;
        self.read("used budget", move |connection| {
            let used = connection
                .prepare_cached("SELECT used FROM budgets WHERE kind = ?1 AND minute = ?2")?
                .query_row(params![kind.word(), minute], |row| row.get(0))
                .optional()?;
            Ok(used.unwrap_or(0))
        })
        .await
    }

    async fn pool_failure(&self, set: &ScaleSetName, pool_failure: PoolFailure) -> Result<(), LedgerError> {
        self.add("pool failure", "strikes", set, pool_failure.at, serde_json::to_string(&pool_failure)).await
    }

    async fn pool_failures(&self, set: &ScaleSetName, since: Timestamp) -> Result<Vec<PoolFailure>, LedgerError> {
        let set = set.clone();
        self.read("pool failures", move |connection| {
            records(
                connection,
                "SELECT record FROM strikes WHERE set_name = ?1 AND at >= ?2 ORDER BY at LIMIT 1000",
                params![set.as_str(), since.as_millis()],
            )
        })
        .await
    }

    async fn boot_failed(&self, set: &ScaleSetName, failure: BootFailure) -> Result<(), LedgerError> {
        self.add("boot failure", "boot_failures", set, failure.at, serde_json::to_string(&failure)).await
    }

    async fn boot_failures(&self, set: &ScaleSetName) -> Result<BootFailures, LedgerError> {
        let set = set.clone();
        self.read("boot failures", move |connection| {
            let total: usize = connection
                .prepare_cached("SELECT count(*) FROM boot_failures WHERE set_name = ?1")?
                .query_row([set.as_str()], |row| row.get::<_, i64>(0))?
                .try_into()
                .unwrap_or(usize::MAX);
            let newest_first =
                "SELECT record FROM boot_failures WHERE set_name = ?1 ORDER BY at DESC, rowid DESC LIMIT ?2";
            let mut newest: Vec<BootFailure> =
                records(connection, newest_first, params![set.as_str(), BootFailures::NEWEST_MAX as i64])?;
            newest.reverse();
            Ok(BootFailures { older: total.saturating_sub(newest.len()), newest })
        })
        .await
    }

    async fn boot_succeeded(&self, set: &ScaleSetName) -> Result<(), LedgerError> {
        let set = set.clone();
        self.write("boot success", move |connection| {
            connection.prepare_cached("DELETE FROM boot_failures WHERE set_name = ?1")?.execute([set.as_str()])?;
            Ok(())
        })
        .await
    }

    async fn get(&self, key: &str) -> Result<Option<String>, LedgerError> {
        let key = key.to_owned();
        self.read("get", move |connection| value(connection, &key)).await
    }

    async fn set(&self, key: &str, text: &str) -> Result<(), LedgerError> {
        let (key, text) = (key.to_owned(), text.to_owned());
        self.write("set", move |connection| set_value(connection, &key, &text)).await
    }
}

impl SqliteLedger {
    async fn add(
        &self,
        operation: &'static str,
        table: &'static str,
        set: &ScaleSetName,
        at: Timestamp,
        record: Result<String, serde_json::Error>,
    ) -> Result<(), LedgerError> {
        let set = set.clone();
        self.write(operation, move |connection| {
            let record = record?;
            connection.prepare_cached(&format!("INSERT INTO {table} VALUES (?1, ?2, ?3)"))?.execute(params![
                set.as_str(),
                at.as_millis(),
                record
            ])?;
            Ok(())
        })
        .await
    }
}
