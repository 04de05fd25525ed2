//! Runners and batches, always under the lease of their set.

use std::collections::BTreeMap;

use async_trait::async_trait;
use runnersmith_ports::{Lease, LedgerError, RunnerLedger};
use runnersmith_types::{
    Batch, BatchId, ControlPlaneId, Intent, Runner, RunnerName, RunnerState, RunnerUpdate, ScaleSetName, Timestamp,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{SqliteLedger, bound};
use crate::error::Fault;
use crate::rows::{alive, put_runner, record, records, set_value, value};

const RUNNER: &str = "SELECT record FROM runners WHERE name = ?1";

#[async_trait]
impl RunnerLedger for SqliteLedger {
    async fn control_plane(&self) -> Result<ControlPlaneId, LedgerError> {
        self.read("control plane", |connection| {
            let text = value(connection, "plane")?.unwrap_or_default();
            ControlPlaneId::parse(&text).map_err(|error| Fault::Commit(error.to_string()))
        })
        .await
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

    async fn complete_batch(
        &self,
        lease: &Lease,
        id: &BatchId,
        updates: Vec<(RunnerName, RunnerUpdate)>,
    ) -> Result<(), LedgerError> {
        let (fence, id, now) = (self.fence(lease), id.clone(), self.clock.now());
        self.write("complete a batch", move |connection| {
            fence.holds(connection)?;
            update_in(connection, &fence.set, updates, now)?;
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
        self.write("update runners", move |connection| {
            fence.holds(connection)?;
            update_in(connection, &fence.set, updates, now)
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
}

fn serial(connection: &Connection) -> Result<u64, Fault> {
    Ok(value(connection, "serial")?.and_then(|text| text.parse().ok()).unwrap_or(1))
}

/// Updates runners of a set, in order. Returns those that changed.
fn update_in(
    connection: &Connection,
    set: &ScaleSetName,
    updates: Vec<(RunnerName, RunnerUpdate)>,
    now: Timestamp,
) -> Result<Vec<Runner>, Fault> {
    let mut changed: BTreeMap<RunnerName, Runner> = BTreeMap::new();
    for (name, update) in updates {
        let found = match changed.get(&name) {
            Some(runner) => Some(runner.clone()),
            None => record::<Runner>(connection, RUNNER, [name.as_str()])?,
        };
        let Some(mut runner) = found.filter(|runner| runner.target.set == *set) else { continue };
        let version = runner.version;
        if runner.update(update, now) {
            runner.version = version + 1;
            put_runner(connection, &runner)?;
            changed.insert(name, runner);
        }
    }
    Ok(changed.into_values().collect())
}
