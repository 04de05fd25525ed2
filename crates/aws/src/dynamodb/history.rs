//! Events, budgets, pool failures and other small things, and the end of what is old.

use std::sync::atomic::Ordering;
use std::time::Duration;

use runnersmith_ports::BudgetKind;
use runnersmith_types::{BootFailure, Event, JobId, PoolFailure, RunnerName, ScaleSetName, Timestamp};

use super::DynamoLedger;
use super::table::{Fault, Item, Page, Terms, key, number, read_number, read_text, record, text, with_record};

/// A budget's minute is of no interest an hour later.
const BUDGET_KEPT: Duration = Duration::from_secs(3600);

impl DynamoLedger {
    pub(super) fn next_number(&self) -> u64 {
        self.events.fetch_add(1, Ordering::Relaxed)
    }

    /// The table's time to live, in seconds: a day after history says so, because pruning counts and this does not.
    pub(super) fn expires(&self, at: Timestamp) -> i64 {
        at.plus(self.keep).plus(Duration::from_secs(24 * 3600)).as_millis() / 1000
    }

    /// A sort key in the order of time, different for each call.
    fn moment(&self, at: Timestamp) -> String {
        format!("{:016}#{}#{:010}", at.as_millis().max(0), self.nonce, self.next_number())
    }

    pub(super) async fn write_events(&self, events: &[Event]) -> Result<(), Fault> {
        let mut puts = Vec::with_capacity(events.len());
        for event in events {
            let moment = self.moment(event.at);
            let places = [
                event.job.map(|job| format!("events#job#{job}")),
                event.runner.as_ref().map(|runner| format!("events#runner#{runner}")),
            ];
            let mut places: Vec<String> = places.into_iter().flatten().collect();
            if places.is_empty() {
                places.push("events#other".into());
            }
            for (n, place) in places.into_iter().enumerate() {
                let mut item = with_record(key(place, &moment), event)?;
                item.insert("expires".into(), number(self.expires(event.at)));
                // Every copy is pruned, the first is shown.
                let kind = if n == 0 { "event" } else { "event copy" };
                item.insert("kind".into(), text(kind));
                item.insert("at".into(), number(event.at.as_millis()));
                item.insert("ended".into(), number(event.at.as_millis()));
                puts.push(item);
            }
        }
        self.table.write_all(puts, Vec::new()).await
    }

    async fn events_at(&self, place: &str, limit: usize) -> Result<Vec<(String, Event)>, Fault> {
        let items = self.table.query(place, "", Page { limit: Some(limit), newest_first: false }).await?;
        let read = |item: &Item| Ok((read_text(item, "sk").unwrap_or_default().to_owned(), record(item)?));
        items.iter().map(read).collect()
    }

    pub(super) async fn read_history_of_job(&self, job: JobId, limit: usize) -> Result<Vec<Event>, Fault> {
        let mut found = self.events_at(&format!("events#job#{job}"), limit).await?;
        let mut runners: Vec<RunnerName> = found.iter().filter_map(|(_, event)| event.runner.clone()).collect();
        runners.extend(self.read_job(job).await?.and_then(|job| job.runner()));
        runners.sort();
        runners.dedup();
        for runner in runners {
            let ours = self.read_runner(&runner).await?.is_some_and(|runner| runner.job == Some(job));
            if ours {
                found.extend(self.events_at(&format!("events#runner#{runner}"), limit).await?);
            }
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found.dedup_by(|(a, _), (b, _)| a == b);
        found.truncate(limit);
        Ok(found.into_iter().map(|(_, event)| event).collect())
    }

    pub(super) async fn read_history_of_runner(&self, name: &RunnerName, limit: usize) -> Result<Vec<Event>, Fault> {
        let found = self.events_at(&format!("events#runner#{name}"), limit).await?;
        Ok(found.into_iter().map(|(_, event)| event).collect())
    }

    pub(super) async fn read_recent_history(&self, limit: usize) -> Result<Vec<Event>, Fault> {
        let page = Page { limit: Some(limit), newest_first: true };
        self.table.by_kind("event", None, page).await?.iter().map(record).collect()
    }

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
        let mut item = with_record(place, pool_failure)?;
        item.insert("kind".into(), text("strike"));
        item.insert("at".into(), number(pool_failure.at.as_millis()));
        item.insert("ended".into(), number(pool_failure.at.as_millis()));
        item.insert("expires".into(), number(self.expires(pool_failure.at)));
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
        self.table.put(with_record(place, failure)?, Terms::default()).await
    }

    pub(super) async fn read_boot_failures(&self, set: &ScaleSetName) -> Result<Vec<BootFailure>, Fault> {
        let page = Page { limit: Some(100), newest_first: false };
        self.table.query(&format!("set#{set}"), "boot#", page).await?.iter().map(record).collect()
    }

    pub(super) async fn forget_boot_failures(&self, set: &ScaleSetName) -> Result<(), Fault> {
        let items = self.table.query(&format!("set#{set}"), "boot#", Page::default()).await?;
        self.table.write_all(Vec::new(), items.iter().map(place).collect()).await
    }

    /// Drops what ended before a time. Returns how many items went.
    pub(super) async fn drop_old(&self, before: Timestamp, limit: usize) -> Result<u64, Fault> {
        self.archive_old().await?;
        let mut gone = 0;
        for kind in ["job", "batch", "event", "event copy", "strike"] {
            let page = Page { limit: Some(limit), newest_first: false };
            let items = self.table.by_kind(kind, Some(before.as_millis()), page).await?;
            gone += self.drop_items(items.iter().filter(|item| is_over(item, before))).await?;
        }
        // Runners are in the order of their serials, which is the order of their beginnings.
        let page = Page { limit: Some(limit), newest_first: false };
        let runners = self.table.by_kind("runner", None, page).await?;
        gone += self.drop_items(runners.iter().filter(|item| is_over(item, before))).await?;
        Ok(gone)
    }

    async fn drop_items<'a>(&self, items: impl Iterator<Item = &'a Item>) -> Result<u64, Fault> {
        let deletes: Vec<Item> = items.map(place).collect();
        let count = deletes.len() as u64;
        self.table.write_all(Vec::new(), deletes).await?;
        Ok(count)
    }
}

fn place(item: &Item) -> Item {
    item.iter()
        .filter(|(name, _)| *name == "pk" || *name == "sk")
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn is_over(item: &Item, before: Timestamp) -> bool {
    item.contains_key("ended") && read_number(item, "ended") < before.as_millis()
}
