//! History, and the end of what is old.

use async_trait::async_trait;
use runnersmith_ports::{HistoryLedger, LedgerError};
use runnersmith_types::{HistoryEvent, JobId, RunnerName, Timestamp};
use rusqlite::{Connection, params};

use super::{SqliteLedger, bound};
use crate::error::Fault;
use crate::rows::records;

#[async_trait]
impl HistoryLedger for SqliteLedger {
    async fn append(&self, events: Vec<HistoryEvent>) -> Result<(), LedgerError> {
        if events.is_empty() {
            return Ok(());
        }
        self.write("append history", move |connection| events.iter().try_for_each(|event| put_event(connection, event)))
            .await
    }

    async fn history_of_job(&self, job: JobId, limit: usize) -> Result<Vec<HistoryEvent>, LedgerError> {
        self.read("history of a job", move |connection| {
            let sql = "SELECT record FROM events WHERE job = ?1 OR runner IN (SELECT name FROM runners WHERE job = ?1) ORDER BY at, id LIMIT ?2";
            records(connection, sql, params![job.0.cast_signed(), bound(limit)])
        })
        .await
    }

    async fn history_of_runner(&self, runner: &RunnerName, limit: usize) -> Result<Vec<HistoryEvent>, LedgerError> {
        let runner = runner.clone();
        self.read("history of a runner", move |connection| {
            records(
                connection,
                "SELECT record FROM events WHERE runner = ?1 ORDER BY at, id LIMIT ?2",
                params![runner.as_str(), bound(limit)],
            )
        })
        .await
    }

    async fn recent_history(&self, limit: usize) -> Result<Vec<HistoryEvent>, LedgerError> {
        self.read("recent history", move |connection| {
            records(connection, "SELECT record FROM events ORDER BY id DESC LIMIT ?1", [bound(limit)])
        })
        .await
    }

    async fn ping(&self) -> Result<(), LedgerError> {
        self.read("ping", |connection| {
            let mut statement = connection.prepare_cached("SELECT 1 FROM kv WHERE key = 'plane'")?;
            Ok(statement.exists([]).map(|_| ())?)
        })
        .await
    }

    async fn prune(&self, before: Timestamp, limit: usize) -> Result<u64, LedgerError> {
        self.write("prune", move |connection| {
            let mut gone = 0;
            for sql in [
                "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE open IN (0, 2) AND ended_at < ?1 LIMIT ?2)",
                "DELETE FROM runners WHERE name IN (SELECT name FROM runners WHERE alive = 0 AND gone_at < ?1 LIMIT ?2)",
                "DELETE FROM batches WHERE id IN (SELECT id FROM batches WHERE settled = 1 AND stored_at < ?1 LIMIT ?2)",
                "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at < ?1 LIMIT ?2)",
                "DELETE FROM strikes WHERE rowid IN (SELECT rowid FROM strikes WHERE at < ?1 LIMIT ?2)",
                "DELETE FROM boot_failures WHERE rowid IN (SELECT rowid FROM boot_failures WHERE at < ?1 LIMIT ?2)",
                "DELETE FROM reruns WHERE (repo, run) IN (SELECT repo, run FROM reruns WHERE at < ?1 LIMIT ?2)",
                "DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE dead_at < ?1 LIMIT ?2)",
            ] {
                gone += connection.prepare_cached(sql)?.execute(params![before.as_millis(), bound(limit)])?;
            }
            Ok(gone as u64)
        })
        .await
    }
}

/// Writes one line of history.
pub(super) fn put_event(connection: &Connection, event: &HistoryEvent) -> Result<(), Fault> {
    let sql = "INSERT INTO events (at, job, runner, record) VALUES (?1, ?2, ?3, ?4)";
    connection.prepare_cached(sql)?.execute(params![
        event.at.as_millis(),
        event.job.map(|id| id.0.cast_signed()),
        event.runner.as_ref().map(RunnerName::as_str),
        serde_json::to_string(event)?
    ])?;
    Ok(())
}
