//! Records as rows: the record itself as JSON, and the few columns that queries need.

use runnersmith_types::{Job, Runner, ScaleSetName};
use rusqlite::{Connection, OptionalExtension, Params, params};
use serde::de::DeserializeOwned;

use crate::error::Fault;

/// Records of one column of JSON.
pub(crate) fn records<T: DeserializeOwned>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<Vec<T>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(serde_json::from_str(row.get_ref(0)?.as_str().map_err(|error| Fault::Commit(error.to_string()))?)?);
    }
    Ok(found)
}

/// One record.
pub(crate) fn record<T: DeserializeOwned>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<Option<T>, Fault> {
    Ok(records(connection, sql, params)?.into_iter().next())
}

/// What the column `open` says of a job: 1 while it is open, 2 while it is followed after its end, 0 when it is over.
fn open(job: &Job) -> u8 {
    match (job.fact.status.is_open(), job.is_followed()) {
        (true, _) => 1,
        (false, true) => 2,
        (false, false) => 0,
    }
}

pub(crate) fn put_job(connection: &Connection, job: &Job) -> Result<(), Fault> {
    let sql =
        "INSERT OR REPLACE INTO jobs (id, open, first_seen, ended_at, repo, run, status, runner, followed, record)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let runner = job.runner().map(|name| name.to_string());
    connection.prepare_cached(sql)?.execute(params![
        job.id().0.cast_signed(),
        open(job),
        job.first_seen_at.as_millis(),
        job.ended_at.map(runnersmith_types::Timestamp::as_millis),
        job.fact.repo.as_str(),
        job.fact.run.0.cast_signed(),
        job.fact.status.word(),
        runner,
        job.notified.is_some() || job.interrupted_at.is_some(),
        serde_json::to_string(job)?,
    ])?;
    Ok(())
}

pub(crate) fn put_runner(connection: &Connection, runner: &Runner) -> Result<(), Fault> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO runners (name, serial, set_name, state, alive, supply, job, gone_at, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
        .execute(params![
            runner.name.as_str(),
            runner.serial.cast_signed(),
            runner.target.set.as_str(),
            runner.state.word(),
            runner.state.is_alive(),
            runner.state.is_supply(),
            runner.job.map(|id| id.0.cast_signed()),
            runner.gone_at.map(runnersmith_types::Timestamp::as_millis),
            serde_json::to_string(runner)?,
        ])?;
    Ok(())
}

/// A small value.
pub(crate) fn value(connection: &Connection, key: &str) -> Result<Option<String>, Fault> {
    Ok(connection
        .prepare_cached("SELECT value FROM kv WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?)
}

pub(crate) fn set_value(connection: &Connection, key: &str, value: &str) -> Result<(), Fault> {
    connection.prepare_cached("INSERT OR REPLACE INTO kv VALUES (?1, ?2)")?.execute([key, value])?;
    Ok(())
}

/// The set's runners alive.
pub(crate) fn alive(connection: &Connection, set: &ScaleSetName) -> Result<u32, Fault> {
    Ok(connection
        .prepare_cached("SELECT count(*) FROM runners WHERE set_name = ?1 AND alive = 1")?
        .query_row([set.as_str()], |row| row.get(0))?)
}
