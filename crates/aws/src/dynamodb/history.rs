//! History. What is old goes by the table's time to live.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use runnersmith_ports::{HistoryLedger, LedgerError};
use runnersmith_types::{HistoryEvent, JobId, RunnerName, Timestamp};

use super::DynamoLedger;
use super::table::{Fault, Item, Page, Times, as_ledger, key, number, read_text, record, text, with_record};

#[async_trait]
impl HistoryLedger for DynamoLedger {
    async fn append(&self, events: Vec<HistoryEvent>) -> Result<(), LedgerError> {
        self.write_events(&events).await.map_err(as_ledger("append history"))
    }

    async fn history_of_job(&self, job: JobId, limit: usize) -> Result<Vec<HistoryEvent>, LedgerError> {
        self.read_history_of_job(job, limit).await.map_err(as_ledger("history of a job"))
    }

    async fn history_of_runner(&self, runner: &RunnerName, limit: usize) -> Result<Vec<HistoryEvent>, LedgerError> {
        self.read_history_of_runner(runner, limit).await.map_err(as_ledger("history of a runner"))
    }

    async fn recent_history(&self, limit: usize) -> Result<Vec<HistoryEvent>, LedgerError> {
        self.read_recent_history(limit).await.map_err(as_ledger("recent history"))
    }

    async fn ping(&self) -> Result<(), LedgerError> {
        self.table.get("plane", "plane").await.map(|_| ()).map_err(as_ledger("ping"))
    }

    async fn prune(&self, _before: Timestamp, _limit: usize) -> Result<u64, LedgerError> {
        // The table's time to live deletes what is old, and DynamoDB asks nothing for that.
        self.archive_old().await.map(|()| 0).map_err(as_ledger("prune"))
    }
}

impl DynamoLedger {
    pub(super) fn next_number(&self) -> u64 {
        self.events.fetch_add(1, Ordering::Relaxed)
    }

    /// The second from which the table's time to live deletes what ended then.
    pub(super) fn expires(&self, at: Timestamp) -> i64 {
        at.plus(self.keep).as_millis() / 1000
    }

    /// An item that is history from the beginning: it goes by its age.
    pub(super) fn expiring(&self, mut item: Item, at: Timestamp) -> Item {
        item.insert("expires".into(), number(self.expires(at)));
        item
    }

    /// A sort key in the order of time, different for each call.
    pub(super) fn moment(&self, at: Timestamp) -> String {
        format!("{:016}#{}#{:010}", at.as_millis().max(0), self.nonce, self.next_number())
    }

    pub(super) async fn write_events(&self, events: &[HistoryEvent]) -> Result<(), Fault> {
        let mut puts = Vec::with_capacity(events.len());
        for event in events {
            puts.append(&mut self.event_items(event)?);
        }
        self.table.write_all(puts, Vec::new()).await
    }

    /// The items of one line of history: one under each thing that it is about.
    pub(super) fn event_items(&self, event: &HistoryEvent) -> Result<Vec<Item>, Fault> {
        let moment = self.moment(event.at);
        let places = [
            event.job.map(|job| format!("events#job#{job}")),
            event.runner.as_ref().map(|runner| format!("events#runner#{runner}")),
        ];
        let mut places: Vec<String> = places.into_iter().flatten().collect();
        if places.is_empty() {
            places.push("events#other".into());
        }
        let item = |(n, place)| {
            let mut item = self.expiring(with_record(key(place, &moment), event)?, event.at);
            // Only the first is in the index, where the newest of all are read: each that is there costs a write more.
            if n == 0 {
                item.insert("kind".into(), text("event"));
                item.insert("at".into(), number(event.at.as_millis()));
            }
            Ok(item)
        };
        places.into_iter().enumerate().map(item).collect()
    }

    async fn events_at(&self, place: &str, limit: usize) -> Result<Vec<(String, HistoryEvent)>, Fault> {
        let items = self.table.query(place, "", Page { limit: Some(limit), newest_first: false }).await?;
        let read = |item: &Item| Ok((read_text(item, "sk").unwrap_or_default().to_owned(), record(item)?));
        items.iter().map(read).collect()
    }

    pub(super) async fn read_history_of_job(&self, job: JobId, limit: usize) -> Result<Vec<HistoryEvent>, Fault> {
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

    pub(super) async fn read_history_of_runner(
        &self,
        name: &RunnerName,
        limit: usize,
    ) -> Result<Vec<HistoryEvent>, Fault> {
        let found = self.events_at(&format!("events#runner#{name}"), limit).await?;
        Ok(found.into_iter().map(|(_, event)| event).collect())
    }

    pub(super) async fn read_recent_history(&self, limit: usize) -> Result<Vec<HistoryEvent>, Fault> {
        let page = Page { limit: Some(limit), newest_first: true };
        self.table.by_kind("event", Times::All, page).await?.iter().map(record).collect()
    }
}
