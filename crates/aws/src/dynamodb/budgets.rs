//! Budgets, pool failures, boot failures and small values.

use std::time::Duration;

use async_trait::async_trait;
use runnersmith_ports::{BudgetKind, BudgetLedger, LedgerError};
use runnersmith_types::{BootFailure, BootFailures, PoolFailure, ScaleSetName, Timestamp};

use super::DynamoLedger;
use super::table::{
    Fault, Item, Page, Terms, as_ledger, key, number, place, read_number, read_text, record, text, with_record,
};

/// A budget's minute is of no interest an hour later.
const BUDGET_KEPT: Duration = Duration::from_secs(3600);

#[async_trait]
impl BudgetLedger for DynamoLedger {
    async fn take_budget(&self, kind: BudgetKind, cost: u32, limit: u32) -> Result<Option<u32>, LedgerError> {
        self.take(kind, cost, limit).await.map_err(as_ledger("take of a budget"))
    }

    async fn used_budget(&self, kind: BudgetKind) -> Result<u32, LedgerError> {
        self.used(kind).await.map_err(as_ledger("used budget"))
    }

    async fn pool_failure(&self, set: &ScaleSetName, pool_failure: PoolFailure) -> Result<(), LedgerError> {
        self.write_pool_failure(set, &pool_failure).await.map_err(as_ledger("pool failure"))
    }

    async fn pool_failures(&self, set: &ScaleSetName, since: Timestamp) -> Result<Vec<PoolFailure>, LedgerError> {
        self.read_pool_failures(set, since).await.map_err(as_ledger("pool failures"))
    }

    async fn boot_failed(&self, set: &ScaleSetName, failure: BootFailure) -> Result<(), LedgerError> {
        self.write_boot_failure(set, &failure).await.map_err(as_ledger("boot failure"))
    }

    async fn boot_failures(&self, set: &ScaleSetName) -> Result<BootFailures, LedgerError> {
        self.read_boot_failures(set).await.map_err(as_ledger("boot failures"))
    }

    async fn boot_succeeded(&self, set: &ScaleSetName) -> Result<(), LedgerError> {
        self.forget_boot_failures(set).await.map_err(as_ledger("boot success"))
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
}

impl DynamoLedger {
    fn minute(&self, kind: BudgetKind) -> Item {
        key(format!("budget#{}#{}", kind.word(), self.clock.now().as_millis() / 60_000), "used")
    }

    pub(super) async fn take(&self, kind: BudgetKind, cost: u32, limit: u32) -> Result<Option<u32>, Fault> {
        let Some(room) = limit.checked_sub(cost) else { return Ok(None) };
        let ends = self.clock.now().plus(BUDGET_KEPT).as_millis() / 1000;
        let terms = Terms::when("attribute_not_exists(used) OR used <= :room")
            .value(":room", number(room))
            .value(":cost", number(cost))
            .value(":ends", number(ends));
        match self.table.update(self.minute(kind), "SET expires = :ends ADD used :cost", terms).await {
            Ok(item) => Ok(Some(limit.saturating_sub(u32::try_from(read_number(&item, "used")).unwrap_or(0)))),
            Err(Fault::Condition(..)) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    pub(super) async fn used(&self, kind: BudgetKind) -> Result<u32, Fault> {
        let place = format!("budget#{}#{}", kind.word(), self.clock.now().as_millis() / 60_000);
        let found = self.table.get(&place, "used").await?.unwrap_or_default();
        Ok(u32::try_from(read_number(&found, "used")).unwrap_or(0))
    }

    pub(super) async fn write_pool_failure(&self, set: &ScaleSetName, pool_failure: &PoolFailure) -> Result<(), Fault> {
        let place = key(format!("set#{set}"), format!("strike#{}", self.moment(pool_failure.at)));
        let item = self.expiring(with_record(place, pool_failure)?, pool_failure.at);
        self.table.put(item, Terms::default()).await
    }

    pub(super) async fn read_pool_failures(
        &self,
        set: &ScaleSetName,
        since: Timestamp,
    ) -> Result<Vec<PoolFailure>, Fault> {
        // Newest first and bounded: what a pass asks for are the last minutes.
        let page = Page { limit: Some(1_000), newest_first: true };
        let items = self.table.query(&format!("set#{set}"), "strike#", page).await?;
        let mut found = items.iter().map(record::<PoolFailure>).collect::<Result<Vec<_>, _>>()?;
        found.retain(|pool_failure| pool_failure.at >= since);
        found.reverse();
        Ok(found)
    }

    pub(super) async fn write_boot_failure(&self, set: &ScaleSetName, failure: &BootFailure) -> Result<(), Fault> {
        let place = key(format!("set#{set}"), format!("boot#{}", self.moment(failure.at)));
        let item = self.expiring(with_record(place, failure)?, failure.at);
        self.table.put(item, Terms::default()).await
    }

    pub(super) async fn read_boot_failures(&self, set: &ScaleSetName) -> Result<BootFailures, Fault> {
        let (partition, page) =
            (format!("set#{set}"), Page { limit: Some(BootFailures::NEWEST_MAX), newest_first: true });
        let items = self.table.query(&partition, "boot#", page).await?;
        let mut newest: Vec<BootFailure> = items.iter().map(record).collect::<Result<_, _>>()?;
        newest.reverse();
        let older = match newest.len() {
            BootFailures::NEWEST_MAX => self.table.count(&partition, "boot#").await?.saturating_sub(newest.len()),
            _ => 0,
        };
        Ok(BootFailures { older, newest })
    }

    pub(super) async fn forget_boot_failures(&self, set: &ScaleSetName) -> Result<(), Fault> {
        let items = self.table.query(&format!("set#{set}"), "boot#", Page::default()).await?;
        self.table.write_all(Vec::new(), items.iter().map(place).collect()).await
    }
}
