//! Jobs: a fact is merged in the transaction that read the job.

use async_trait::async_trait;
use runnersmith_ports::{JobLedger, LedgerError, Recorded};
use runnersmith_types::job::Merged;
use runnersmith_types::{
    FactSource, Job, JobFact, JobId, JobStatus, JobUpdate, RepoFullName, RunId, ScaleSetName, Stalled, Timestamp,
};
use rusqlite::{Connection, params};

use super::history::put_event;
use super::{SqliteLedger, bound, bump};
use crate::error::Fault;
use crate::rows::{put_job, record, records};

const JOB: &str = "SELECT record FROM jobs WHERE id = ?1";

#[async_trait]
impl JobLedger for SqliteLedger {
    async fn record_facts(&self, facts: Vec<JobFact>, wake: &[ScaleSetName]) -> Result<Vec<Recorded>, LedgerError> {
        let wake = wake.to_vec();
        self.write("record facts", move |connection| {
            let recorded = facts.into_iter().map(|fact| merge(connection, fact)).collect::<Result<Vec<_>, _>>()?;
            wake.iter().try_for_each(|set| bump(connection, set))?;
            Ok(recorded)
        })
        .await
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>, LedgerError> {
        self.read("job", move |connection| record(connection, JOB, [id.0.cast_signed()])).await
    }

    async fn open_jobs(&self, ended_since: Timestamp) -> Result<Vec<Job>, LedgerError> {
        self.read("open jobs", move |connection| {
            let sql = "SELECT record FROM jobs WHERE open IN (1, 2) OR (open = 0 AND ended_at >= ?1 AND
                (followed = 1 OR runner IN (SELECT name FROM runners WHERE alive = 1))) ORDER BY id";
            records(connection, sql, [ended_since.as_millis()])
        })
        .await
    }

    async fn recent_jobs(&self, limit: usize) -> Result<Vec<Job>, LedgerError> {
        self.read("recent jobs", move |connection| {
            records(connection, "SELECT record FROM jobs ORDER BY first_seen DESC, id DESC LIMIT ?1", [bound(limit)])
        })
        .await
    }

    async fn jobs_before(&self, before: Timestamp, limit: usize) -> Result<Vec<Job>, LedgerError> {
        self.read("jobs before", move |connection| {
            let sql = "SELECT record FROM jobs WHERE first_seen < ?1 AND first_seen >= COALESCE(
                (SELECT first_seen FROM jobs WHERE first_seen < ?1 ORDER BY first_seen DESC LIMIT 1 OFFSET ?2), ?3)
                ORDER BY first_seen DESC, id DESC";
            records(connection, sql, params![before.as_millis(), bound(limit.saturating_sub(1)), i64::MIN])
        })
        .await
    }

    async fn stall_job(&self, id: JobId, stalled: Stalled) -> Result<bool, LedgerError> {
        let stall = move |job: &mut Job| {
            let queued = job.fact.status == JobStatus::Queued;
            if queued {
                job.stalled = Some(stalled);
            }
            queued
        };
        self.change_job("mark a job stalled", id, stall).await
    }

    async fn update_jobs(&self, updates: Vec<(JobId, JobUpdate)>) -> Result<Vec<JobId>, LedgerError> {
        self.write("update jobs", move |connection| {
            let mut changed: Vec<JobId> = Vec::new();
            for (id, update) in updates {
                if change_in(connection, id, |job| job.update(update))? && !changed.contains(&id) {
                    changed.push(id);
                }
            }
            Ok(changed)
        })
        .await
    }

    async fn rerun(&self, repo: &RepoFullName, run: RunId) -> Result<bool, LedgerError> {
        let (repo, now) = (repo.clone(), self.clock.now().as_millis());
        self.write("re-run", move |connection| {
            Ok(connection.prepare_cached("INSERT OR IGNORE INTO reruns VALUES (?1, ?2, ?3)")?.execute(params![
                repo.as_str(),
                run.0.cast_signed(),
                now
            ])? > 0)
        })
        .await
    }

    async fn reruns(&self) -> Result<Vec<(RepoFullName, RunId)>, LedgerError> {
        self.read("re-runs", |connection| {
            let mut statement =
                connection.prepare_cached("SELECT repo, run FROM reruns ORDER BY at DESC LIMIT 1000")?;
            let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
            let mut found = Vec::new();
            for row in rows {
                let (repo, run) = row?;
                if let Ok(repo) = RepoFullName::parse(&repo) {
                    found.push((repo, RunId(run.cast_unsigned())));
                }
            }
            Ok(found)
        })
        .await
    }
}

impl SqliteLedger {
    async fn change_job(
        &self,
        operation: &'static str,
        id: JobId,
        change: impl FnOnce(&mut Job) -> bool + Send + 'static,
    ) -> Result<bool, LedgerError> {
        self.write(operation, move |connection| change_in(connection, id, change)).await
    }
}

fn change_in(connection: &Connection, id: JobId, change: impl FnOnce(&mut Job) -> bool) -> Result<bool, Fault> {
    let Some(mut job) = record::<Job>(connection, JOB, [id.0.cast_signed()])? else { return Ok(false) };
    if !change(&mut job) {
        return Ok(false);
    }
    job.version += 1;
    put_job(connection, &job)?;
    Ok(true)
}

fn merge(connection: &Connection, fact: JobFact) -> Result<Recorded, Fault> {
    let asked = fact.source != FactSource::Delivery;
    let Some(mut job) = record::<Job>(connection, JOB, [fact.id.0.cast_signed()])? else {
        let job = Job::first(fact);
        put_job(connection, &job)?;
        release_run(connection, &job)?;
        return with_history(connection, Recorded { merged: Merged::Status, new: true, job });
    };
    let merged = job.merge(fact);
    if merged != Merged::Nothing || asked {
        job.version += 1;
        put_job(connection, &job)?;
    }
    if merged == Merged::Status {
        release_run(connection, &job)?;
    }
    with_history(connection, Recorded { merged, new: false, job })
}

fn with_history(connection: &Connection, recorded: Recorded) -> Result<Recorded, Fault> {
    recorded.event().map_or(Ok(()), |event| put_event(connection, &event))?;
    Ok(recorded)
}

/// A run that changes may have freed its stalled jobs.
fn release_run(connection: &Connection, changed: &Job) -> Result<(), Fault> {
    let sql = "SELECT record FROM jobs WHERE repo = ?1 AND run = ?2 AND open = 1";
    for mut job in
        records::<Job>(connection, sql, params![changed.fact.repo.as_str(), changed.fact.run.0.cast_signed()])?
    {
        if job.id() != changed.id() && job.stalled.take().is_some() {
            job.version += 1;
            put_job(connection, &job)?;
        }
    }
    Ok(())
}
