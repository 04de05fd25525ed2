//! `runnersmith status`: scale sets, runners and open jobs, from ledger and policy alone.

use std::time::Duration;

use runnersmith_controllers::tasks::{self, ProcessTasks};
use runnersmith_controllers::why::duration;
use runnersmith_ports::{Clock as _, SystemClock};
use runnersmith_types::Timestamp;
use serde::Serialize;

use crate::cli;
use crate::exit::{CommandFailure, ExitStatus};
use crate::query::{LedgerAndPolicy, ledger_failed};
use crate::report;

/// A server records its tasks once a minute; one that has not for so long does not run.
const SERVER_STOPPED_AFTER: Duration = Duration::from_secs(180);

#[derive(Serialize)]
struct StatusJson {
    sets: Vec<SetJson>,
    jobs: Vec<JobJson>,
    /// The background tasks of each server on this ledger, as it last recorded them.
    servers: Vec<ProcessTasks>,
}

#[derive(Serialize)]
struct SetJson {
    name: String,
    alive: u32,
    supply: u32,
    runners_max: u32,
    runners: Vec<RunnerJson>,
}

#[derive(Serialize)]
struct RunnerJson {
    name: String,
    state: &'static str,
    job: Option<u64>,
}

#[derive(Serialize)]
struct JobJson {
    id: u64,
    repository: String,
    name: String,
    status: &'static str,
    runner: Option<String>,
}

/// `runnersmith status`.
pub async fn command(options: cli::Query) -> Result<ExitStatus, CommandFailure> {
    let LedgerAndPolicy { ledger, sets: policies, .. } = LedgerAndPolicy::open(&options).await?;
    let counts = ledger.counts().await.map_err(ledger_failed)?;
    let mut sets = Vec::new();
    for policy in &policies {
        let (alive, supply) = counts
            .iter()
            .find(|(name, ..)| name == &policy.name)
            .map_or((0, 0), |(_, alive, supply)| (*alive, *supply));
        let runners = ledger.live_runners(&policy.name).await.map_err(ledger_failed)?;
        sets.push(SetJson {
            name: policy.name.to_string(),
            alive,
            supply,
            runners_max: policy.runners_max,
            runners: runners
                .into_iter()
                .map(|runner| RunnerJson {
                    name: runner.name.to_string(),
                    state: runner.state.word(),
                    job: runner.job.map(|id| id.0),
                })
                .collect(),
        });
    }
    let open = ledger.open_jobs(Timestamp(i64::MAX)).await.map_err(ledger_failed)?;
    let jobs: Vec<JobJson> = open
        .into_iter()
        .filter(|job| job.fact.status.is_open())
        .map(|job| JobJson {
            id: job.id().0,
            repository: job.fact.repo.to_string(),
            status: job.fact.status.word(),
            runner: job.fact.runner_name.clone(),
            name: job.fact.name,
        })
        .collect();
    let servers = tasks::stored(ledger.as_ref()).await.map_err(ledger_failed)?;
    let status = StatusJson { sets, jobs, servers };
    if options.json {
        report::json(&status)?;
        return Ok(ExitStatus::Success);
    }
    for set in status.sets {
        report::line(&format!(
            "{}: {} of {} runners alive, {} can take a job",
            set.name, set.alive, set.runners_max, set.supply
        ));
        for runner in set.runners {
            let job = runner.job.map(|id| format!(" (job {id})")).unwrap_or_default();
            report::line(&format!("  {} {}{job}", runner.name, runner.state));
        }
    }
    if status.jobs.is_empty() {
        report::line("no job is open");
    }
    for job in status.jobs {
        let runner = job.runner.map(|name| format!(" on {}", name.escape_debug())).unwrap_or_default();
        report::line(&format!("job {} {} {}{runner}: {}", job.id, job.repository, job.status, job.name.escape_debug()));
    }
    let now = SystemClock.now();
    for server in status.servers {
        let (age, ago) = (now.since(server.at), duration(now.since(server.at)));
        if age > SERVER_STOPPED_AFTER {
            report::line(&format!("server {} was last seen {ago} ago; it has stopped", server.holder.escape_debug()));
            continue;
        }
        report::line(&format!("server {}, as it was {ago} ago:", server.holder.escape_debug()));
        for task in server.tasks {
            let (last, next) = (task.last_run(now), task.next_run(now));
            report::line(&format!("  {}: {last}; next run: {next}", task.name));
        }
    }
    Ok(ExitStatus::Success)
}
