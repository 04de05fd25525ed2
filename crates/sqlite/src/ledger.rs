//! The ledger: each call is one transaction, and whatever it relies on is checked inside it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runnersmith_ports::{BudgetKind, Clock, Lease, Ledger, LedgerError, Recorded, Release};
use runnersmith_types::job::Merged;
use runnersmith_types::{
    Batch, BatchId, BootFailure, ControlPlaneId, Event, FactSource, Intent, Job, JobFact, JobId, Notified, PoolFailure,
    RepoFullName, RunId, Runner, RunnerName, RunnerState, RunnerUpdate, ScaleSetName, Stalled, Timestamp,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Fault;
use crate::rows::{alive, put_job, put_runner, record, records, set_value, value};
use crate::writer::Writer;

/// What the keys of sets that are out of service begin with; no small value of anybody else's does.
const CLOSED: &str = "closed-set:";

/// The ledger of a store.
#[derive(Clone)]
pub struct SqliteLedger {
    pub(crate) writer: Writer,
    pub(crate) reader: Writer,
    pub(crate) clock: Arc<dyn Clock>,
}

const JOB: &str = "SELECT record FROM jobs WHERE id = ?1";
const RUNNER: &str = "SELECT record FROM runners WHERE name = ?1";

/// What a write names of its lease.
struct Fence {
    set: ScaleSetName,
    generation: i64,
    now: i64,
}

impl SqliteLedger {
    fn fence(&self, lease: &Lease) -> Fence {
        Fence { set: lease.set.clone(), generation: lease.generation.cast_signed(), now: self.clock.now().as_millis() }
    }

    async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        change: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.writer.write(change).await.map_err(|fault| fault.ledger(operation))
    }

    async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        question: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.reader.read(question).await.map_err(|fault| fault.ledger(operation))
    }

    async fn change_job(
        &self,
        operation: &'static str,
        id: JobId,
        change: impl FnOnce(&mut Job) -> bool + Send + 'static,
    ) -> Result<bool, LedgerError> {
        self.write(operation, move |connection| {
            let Some(mut job) = record::<Job>(connection, JOB, [id.0.cast_signed()])? else { return Ok(false) };
            if !change(&mut job) {
                return Ok(false);
            }
            job.version += 1;
            put_job(connection, &job)?;
            Ok(true)
        })
        .await
    }
}

impl Fence {
    fn holds(&self, connection: &Connection) -> Result<(), Fault> {
        let sql = "SELECT 1 FROM sets WHERE name = ?1 AND generation = ?2 AND until > ?3";
        let held = connection
            .prepare_cached(sql)?
            .query_row(params![self.set.as_str(), self.generation, self.now], |_| Ok(()))
            .optional()?;
        held.ok_or_else(|| Fault::LeaseLost(self.set.clone()))
    }
}

fn bump(connection: &Connection, set: &ScaleSetName) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT INTO sets (name, wake_seq) VALUES (?1, 1) ON CONFLICT (name) DO UPDATE SET wake_seq = wake_seq + 1",
        )?
        .execute([set.as_str()])?;
    Ok(())
}

fn merge(connection: &Connection, fact: JobFact) -> Result<Recorded, Fault> {
    let asked = fact.source != FactSource::Delivery;
    let Some(mut job) = record::<Job>(connection, JOB, [fact.id.0.cast_signed()])? else {
        let job = Job::first(fact);
        put_job(connection, &job)?;
        release_run(connection, &job)?;
        return Ok(Recorded { merged: Merged::Status, new: true, job });
    };
    let merged = job.merge(fact);
    if merged != Merged::Nothing || asked {
        job.version += 1;
        put_job(connection, &job)?;
    }
    if merged == Merged::Status {
        release_run(connection, &job)?;
    }
    Ok(Recorded { merged, new: false, job })
}

/// A run that changes may have freed its held jobs.
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

#[async_trait]
impl Ledger for SqliteLedger {
    async fn control_plane(&self) -> Result<ControlPlaneId, LedgerError> {
        self.read("plane", |connection| {
            let text = value(connection, "plane")?.unwrap_or_default();
            ControlPlaneId::parse(&text).map_err(|error| Fault::Commit(error.to_string()))
        })
        .await
    }

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
            let sql = "SELECT record FROM jobs WHERE open = 1 OR (open = 0 AND ended_at >= ?1 AND
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

    async fn stall_job(&self, id: JobId, stalled: Stalled) -> Result<bool, LedgerError> {
        let stall = move |job: &mut Job| {
            let queued = job.fact.status == runnersmith_types::JobStatus::Queued;
            if queued {
                job.stalled = Some(stalled);
            }
            queued
        };
        self.change_job("hold a job", id, stall).await
    }

    async fn record_notification(&self, id: JobId, notified: Notified) -> Result<bool, LedgerError> {
        let notify = move |job: &mut Job| {
            job.notified = Some(notified);
            true
        };
        self.change_job("record a telling", id, notify).await
    }

    async fn interrupted_job(&self, id: JobId, at: Timestamp) -> Result<bool, LedgerError> {
        let interrupt = move |job: &mut Job| {
            let first = job.interrupted_at.is_none();
            job.interrupted_at.get_or_insert(at);
            first
        };
        self.change_job("record an interruption", id, interrupt).await
    }

    async fn wake(&self, set: &ScaleSetName) -> Result<(), LedgerError> {
        let set = set.clone();
        self.write("wake a set", move |connection| bump(connection, &set)).await
    }

    async fn acquire(&self, set: &ScaleSetName, holder: &str, ttl: Duration) -> Result<Option<Lease>, LedgerError> {
        let (set, holder, now) = (set.clone(), holder.to_owned(), self.clock.now());
        let until = now.plus(ttl);
        self.write("acquire a lease", move |connection| {
            connection.prepare_cached("INSERT OR IGNORE INTO sets (name) VALUES (?1)")?.execute([set.as_str()])?;
            let sql = "UPDATE sets SET generation = generation + 1, holder = ?2, until = ?3 WHERE name = ?1 AND until <= ?4 RETURNING generation, wake_seq";
            let found = connection
                .prepare_cached(sql)?
                .query_row(params![set.as_str(), holder, until.as_millis(), now.as_millis()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
                .optional()?;
            Ok(found.map(|(generation, wake_seq)| Lease { set, generation: generation.cast_unsigned(), until, wake_seq: wake_seq.cast_unsigned() }))
        })
        .await
    }

    async fn release(&self, lease: &mut Lease, ttl: Duration) -> Result<Release, LedgerError> {
        let (fence, seen, until) = (self.fence(lease), lease.wake_seq.cast_signed(), self.clock.now().plus(ttl));
        let outcome = self
            .write("release a lease", move |connection| {
                match fence.holds(connection) {
                    Ok(()) => {}
                    Err(Fault::LeaseLost(_)) => return Ok((Release::Lost, seen)),
                    Err(fault) => return Err(fault),
                }
                let now: i64 = connection
                    .prepare_cached("SELECT wake_seq FROM sets WHERE name = ?1")?
                    .query_row([fence.set.as_str()], |row| row.get(0))?;
                let (release, end) =
                    if now == seen { (Release::Released, 0) } else { (Release::WokenAgain, until.as_millis()) };
                connection
                    .prepare_cached("UPDATE sets SET until = ?2 WHERE name = ?1")?
                    .execute(params![fence.set.as_str(), end])?;
                Ok((release, now))
            })
            .await?;
        if outcome.0 == Release::WokenAgain {
            (lease.wake_seq, lease.until) = (outcome.1.cast_unsigned(), until);
        }
        Ok(outcome.0)
    }

    async fn renew(&self, lease: &mut Lease, ttl: Duration) -> Result<(), LedgerError> {
        let (fence, until) = (self.fence(lease), self.clock.now().plus(ttl));
        self.write("renew a lease", move |connection| {
            fence.holds(connection)?;
            connection
                .prepare_cached("UPDATE sets SET until = ?2 WHERE name = ?1")?
                .execute(params![fence.set.as_str(), until.as_millis()])?;
            Ok(())
        })
        .await?;
        lease.until = until;
        Ok(())
    }

    async fn next_serial(&self) -> Result<u64, LedgerError> {
        self.read("next serial", serial).await
    }

    async fn intend(
        &self,
        lease: &Lease,
        runners: Vec<Intent>,
        ephemeral: bool,
        runners_max: u32,
    ) -> Result<(), LedgerError> {
        let (fence, now) = (self.fence(lease), self.clock.now());
        self.write("record intents", move |connection| {
            fence.holds(connection)?;
            let there = alive(connection, &fence.set)? as usize;
            if there + runners.len() > runners_max as usize {
                return Err(Fault::Conflict(format!(
                    "{there} alive and {} more are at most {runners_max}",
                    runners.len()
                )));
            }
            let mut next = serial(connection)?;
            for intent in runners {
                if intent.serial < next {
                    return Err(Fault::Conflict(format!("the serial of {} is free", intent.name)));
                }
                next = intent.serial + 1;
                put_runner(connection, &Runner::intended(intent.name, intent.serial, intent.target, ephemeral, now))?;
            }
            set_value(connection, "serial", &next.to_string())
        })
        .await
    }

    async fn store_batch(&self, lease: &Lease, batch: Batch) -> Result<(), LedgerError> {
        let (fence, now) = (self.fence(lease), self.clock.now());
        self.write("store a batch", move |connection| {
            fence.holds(connection)?;
            let known = connection
                .prepare_cached("SELECT 1 FROM batches WHERE id = ?1")?
                .query_row([batch.id.as_str()], |_| Ok(()))
                .optional()?;
            if known.is_some() {
                return Err(Fault::Conflict(format!("batch {} is new", batch.id)));
            }
            for name in &batch.runners {
                let Some(mut runner) = record::<Runner>(connection, RUNNER, [name.as_str()])?
                    .filter(|runner| runner.state == RunnerState::Intended)
                else {
                    return Err(Fault::Conflict(format!("{name} is intended")));
                };
                runner.update(RunnerUpdate::Launching { batch: batch.id.clone(), pool: batch.pool.clone() }, now);
                runner.version += 1;
                put_runner(connection, &runner)?;
            }
            connection
                .prepare_cached(
                    "INSERT INTO batches (id, set_name, settled, stored_at, record) VALUES (?1, ?2, 0, ?3, ?4)",
                )?
                .execute(params![
                    batch.id.as_str(),
                    batch.set.as_str(),
                    now.as_millis(),
                    serde_json::to_string(&batch)?
                ])?;
            Ok(())
        })
        .await
    }

    async fn batch(&self, id: &BatchId) -> Result<Option<Batch>, LedgerError> {
        let id = id.clone();
        self.read("batch", move |connection| {
            record(connection, "SELECT record FROM batches WHERE id = ?1", [id.as_str()])
        })
        .await
    }

    async fn open_batches(&self, set: &ScaleSetName) -> Result<Vec<Batch>, LedgerError> {
        let set = set.clone();
        self.read("open batches", move |connection| {
            records(
                connection,
                "SELECT record FROM batches WHERE set_name = ?1 AND settled = 0 ORDER BY id",
                [set.as_str()],
            )
        })
        .await
    }

    async fn settle_batch(&self, lease: &Lease, id: &BatchId) -> Result<(), LedgerError> {
        let (fence, id) = (self.fence(lease), id.clone());
        self.write("settle a batch", move |connection| {
            fence.holds(connection)?;
            connection
                .prepare_cached("UPDATE batches SET settled = 1, record = json_set(record, '$.settled', json('true')) WHERE id = ?1")?
                .execute([id.as_str()])?;
            Ok(())
        })
        .await
    }

    async fn update(
        &self,
        lease: &Lease,
        updates: Vec<(RunnerName, RunnerUpdate)>,
    ) -> Result<Vec<Runner>, LedgerError> {
        let (fence, now) = (self.fence(lease), self.clock.now());
        self.write("mark runners", move |connection| {
            fence.holds(connection)?;
            let mut changed: std::collections::BTreeMap<RunnerName, Runner> = std::collections::BTreeMap::new();
            for (name, update) in updates {
                let found = match changed.remove(&name) {
                    Some(runner) => Some(runner),
                    None => record::<Runner>(connection, RUNNER, [name.as_str()])?,
                };
                let Some(mut runner) = found.filter(|runner| runner.target.set == fence.set) else { continue };
                let version = runner.version;
                if runner.update(update, now) {
                    runner.version = version + 1;
                    put_runner(connection, &runner)?;
                    changed.insert(name, runner);
                }
            }
            Ok(changed.into_values().collect())
        })
        .await
    }

    async fn live_runners(&self, set: &ScaleSetName) -> Result<Vec<Runner>, LedgerError> {
        let set = set.clone();
        self.read("live runners", move |connection| {
            records(
                connection,
                "SELECT record FROM runners WHERE set_name = ?1 AND alive = 1 ORDER BY name",
                [set.as_str()],
            )
        })
        .await
    }

    async fn counts(&self) -> Result<Vec<(ScaleSetName, u32, u32)>, LedgerError> {
        self.read("counts", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT set_name, count(*), sum(supply) FROM runners WHERE alive = 1 GROUP BY set_name",
            )?;
            let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?)))?;
            let mut found = Vec::new();
            for row in rows {
                let (name, alive, supply) = row?;
                if let Ok(name) = ScaleSetName::parse(&name) {
                    found.push((name, alive, supply));
                }
            }
            Ok(found)
        })
        .await
    }

    async fn runner(&self, name: &RunnerName) -> Result<Option<Runner>, LedgerError> {
        let name = name.clone();
        self.read("runner", move |connection| record(connection, RUNNER, [name.as_str()])).await
    }

    async fn recent_runners(&self, limit: usize) -> Result<Vec<Runner>, LedgerError> {
        self.read("recent runners", move |connection| {
            records(connection, "SELECT record FROM runners ORDER BY serial DESC LIMIT ?1", [bound(limit)])
        })
        .await
    }

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
        self.add("strike", "strikes", set, pool_failure.at, serde_json::to_string(&pool_failure)).await
    }

    async fn pool_failures(&self, set: &ScaleSetName, since: Timestamp) -> Result<Vec<PoolFailure>, LedgerError> {
        let set = set.clone();
        self.read("strikes", move |connection| {
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

    async fn boot_failures(&self, set: &ScaleSetName) -> Result<Vec<BootFailure>, LedgerError> {
        let set = set.clone();
        self.read("boot failures", move |connection| {
            records(
                connection,
                "SELECT record FROM boot_failures WHERE set_name = ?1 ORDER BY at LIMIT 100",
                [set.as_str()],
            )
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

    async fn close(&self, set: &ScaleSetName, closed: bool) -> Result<(), LedgerError> {
        let key = format!("{CLOSED}{set}");
        self.write("close", move |connection| {
            if closed {
                return set_value(connection, &key, "");
            }
            connection.prepare_cached("DELETE FROM kv WHERE key = ?1")?.execute([key])?;
            Ok(())
        })
        .await
    }

    async fn closed(&self) -> Result<BTreeSet<ScaleSetName>, LedgerError> {
        self.read("closed", |connection| {
            let mut statement = connection.prepare_cached("SELECT key FROM kv WHERE key GLOB ?1 || '*'")?;
            let keys = statement.query_map([CLOSED], |row| row.get::<_, String>(0))?;
            let mut sets = BTreeSet::new();
            for key in keys {
                sets.extend(key?.strip_prefix(CLOSED).and_then(|name| ScaleSetName::parse(name).ok()));
            }
            Ok(sets)
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

    async fn append(&self, events: Vec<Event>) -> Result<(), LedgerError> {
        if events.is_empty() {
            return Ok(());
        }
        self.write("append history", move |connection| {
            let mut statement =
                connection.prepare_cached("INSERT INTO events (at, job, runner, record) VALUES (?1, ?2, ?3, ?4)")?;
            for event in &events {
                let runner = event.runner.as_ref().map(RunnerName::as_str);
                statement.execute(params![
                    event.at.as_millis(),
                    event.job.map(|id| id.0.cast_signed()),
                    runner,
                    serde_json::to_string(event)?
                ])?;
            }
            Ok(())
        })
        .await
    }

    async fn history_of_job(&self, job: JobId, limit: usize) -> Result<Vec<Event>, LedgerError> {
        self.read("history of a job", move |connection| {
            let sql = "SELECT record FROM events WHERE job = ?1 OR runner IN (SELECT name FROM runners WHERE job = ?1) ORDER BY at, id LIMIT ?2";
            records(connection, sql, params![job.0.cast_signed(), bound(limit)])
        })
        .await
    }

    async fn history_of_runner(&self, runner: &RunnerName, limit: usize) -> Result<Vec<Event>, LedgerError> {
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

    async fn recent_history(&self, limit: usize) -> Result<Vec<Event>, LedgerError> {
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
                "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE open = 0 AND ended_at < ?1 LIMIT ?2)",
                "DELETE FROM runners WHERE name IN (SELECT name FROM runners WHERE alive = 0 AND gone_at < ?1 LIMIT ?2)",
                "DELETE FROM batches WHERE id IN (SELECT id FROM batches WHERE settled = 1 AND stored_at < ?1 LIMIT ?2)",
                "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at < ?1 LIMIT ?2)",
                "DELETE FROM strikes WHERE rowid IN (SELECT rowid FROM strikes WHERE at < ?1 LIMIT ?2)",
                "DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE dead_at < ?1 LIMIT ?2)",
            ] {
                gone += connection.prepare_cached(sql)?.execute(params![before.as_millis(), bound(limit)])?;
            }
            Ok(gone as u64)
        })
        .await
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

fn serial(connection: &Connection) -> Result<u64, Fault> {
    Ok(value(connection, "serial")?.and_then(|text| text.parse().ok()).unwrap_or(1))
}

fn bound(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
