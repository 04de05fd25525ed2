//! `runnersmith status`: scale sets, runners and open jobs, from ledger and policy alone.

use std::time::Duration;

use runnersmith_controllers::faults::of_task;
use runnersmith_controllers::tasks::{self, ProcessTasks};
use runnersmith_controllers::why::{duration, escaped, sentence};
use runnersmith_plan::fault::{Fault, FaultKind};
use runnersmith_types::{Job, JobStatus, Timestamp, WaitingOn};
use serde::Serialize;

use crate::cli;
use crate::exit::{CommandFailure, ExitStatus};
use crate::query::{LedgerAndPolicy, ReadSource, ledger_failed};
use crate::report;

/// A server records its tasks once a minute; one that has not for so long does not run.
const SERVER_STOPPED_AFTER: Duration = Duration::from_secs(180);

#[derive(Serialize)]
struct StatusJson {
    /// What was read.
    source: ReadSource,
    sets: Vec<SetJson>,
    jobs: Vec<JobJson>,
    /// The background tasks of each server on this ledger, as it last recorded them, and each function with which something is wrong.
    servers: Vec<ProcessTasks>,
    /// What is wrong; with anything here the exit code is 5.
    faults: Vec<Fault>,
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
    /// What it waits for, in the words of `why`.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits: Option<String>,
}

impl JobJson {
    fn of(job: Job, waiting: Option<&WaitingOn>) -> Self {
        let waits = job.fact.status <= JobStatus::Queued;
        Self {
            id: job.id().0,
            repository: job.fact.repo.to_string(),
            status: job.fact.status.word(),
            runner: job.fact.runner_name.clone(),
            waits: waits.then(|| sentence(&job, &[], waiting)),
            name: job.fact.name,
        }
    }

    /// Foreign text is escaped: a terminal obeys control characters.
    fn line(&self) -> String {
        let runner = self.runner.as_ref().map(|name| format!(" on {}", name.escape_debug())).unwrap_or_default();
        let waits = self.waits.as_ref().map(|waits| format!("; {}", escaped(waits))).unwrap_or_default();
        format!("job {} {} {}{runner}: {}{waits}", self.id, self.repository, self.status, escaped(&self.name))
    }
}

/// `runnersmith status`.
pub async fn command(options: cli::ReadOptions) -> Result<ExitStatus, CommandFailure> {
    let opened = LedgerAndPolicy::open_for(&options).await?;
    let snapshots = opened.snapshots().await?;
    let (now, waiting, mut of_sets) = (snapshots.now, snapshots.waiting(), snapshots.faults());
    of_sets.extend(opened.left_out(now));
    let LedgerAndPolicy { ledger, sets: policies, source, .. } = opened;
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
        .map(|job| {
            let on = waiting.get(&job.id());
            JobJson::of(job, on)
        })
        .collect();
    let servers = tasks::stored(ledger.as_ref()).await.map_err(ledger_failed)?;
    let mut faults = of_servers(&servers, now);
    // A running server has asked GitHub and the machines too; what the ledger alone says is for where none runs.
    let news: Vec<Fault> =
        of_sets.into_iter().filter(|fault| !faults.iter().any(|known| known.is_same(fault))).collect();
    faults.extend(news);
    let exit = if faults.is_empty() { ExitStatus::Success } else { ExitStatus::Faults };
    let status = StatusJson { source, sets, jobs, servers, faults };
    if options.query.json {
        report::json(&status)?;
    } else {
        print(status, now);
    }
    Ok(exit)
}

/// What is wrong with the servers and functions on this ledger. One that has stopped is a fault only when no other runs.
fn of_servers(processes: &[ProcessTasks], now: Timestamp) -> Vec<Fault> {
    let (functions, servers): (Vec<_>, Vec<_>) = processes.iter().partition(|process| process.is_function);
    let (running, stopped): (Vec<_>, Vec<_>) =
        servers.into_iter().partition(|server| now.since(server.at) <= SERVER_STOPPED_AFTER);
    let last = stopped.iter().max_by_key(|server| server.at).filter(|_| running.is_empty());
    let mut faults: Vec<Fault> = last
        .map(|server| {
            let cause = format!("the server was last seen {} ago", duration(now.since(server.at)));
            Fault::new(FaultKind::ServerStopped, server.holder.clone(), cause, now).since(server.at)
        })
        .into_iter()
        .collect();
    for server in running {
        // Two servers see the same of a scale set.
        let seen: Vec<&Fault> =
            server.faults.iter().filter(|fault| !faults.iter().any(|of| of.is_same(fault))).collect();
        let seen: Vec<Fault> = seen.into_iter().cloned().collect();
        faults.extend(seen);
        faults.extend(server.tasks.iter().filter_map(|task| of_task(task, now)));
    }
    // A function that is not invoked any more says no end of what it has said.
    for fault in functions.into_iter().flat_map(|function| &function.faults) {
        if now.since(fault.last_at) < fault.kind.lasts() && !faults.iter().any(|known| known.is_same(fault)) {
            faults.push(fault.clone());
        }
    }
    faults
}

fn print(status: StatusJson, now: Timestamp) {
    if let ReadSource::Aws(environment) = &status.source {
        report::line(&environment.to_string());
    }
    if status.faults.is_empty() {
        report::line("no faults");
    }
    for fault in &status.faults {
        report::line(&fault.line(now));
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
        report::line(&job.line());
    }
    for server in status.servers.into_iter().filter(|process| !process.is_function) {
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
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use runnersmith_controllers::tasks::Tasks;
    use runnersmith_types::{FactSource, JobFact, JobId, OwnerKind, RepoFullName, RunId};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn server(holder: &str, seconds_ago: u64) -> ProcessTasks {
        let tasks = Arc::new(Tasks::default());
        let task = tasks.register("sweep", "finds jobs", None);
        task.begin(NOW);
        task.end(NOW, Err("GitHub is down".into()));
        let at = NOW.minus(Duration::from_secs(seconds_ago));
        let faults = vec![Fault::new(FaultKind::DeadLetters, "", "2 messages", at)];
        ProcessTasks { holder: holder.into(), at, tasks: tasks.all(), faults, is_function: false }
    }

    fn words(servers: &[ProcessTasks]) -> Vec<String> {
        of_servers(servers, NOW).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_server_that_stopped_is_a_fault_unless_another_runs() {
        assert!(words(&[]).is_empty(), "there never was one, as with functions");
        assert_eq!(words(&[server("old", 900), server("new", 600)]), ["new: the server was last seen 10 min 00 s ago"]);
        let own = ["2 messages", "background task sweep: failed: GitHub is down"];
        assert_eq!(words(&[server("old", 900), server("new", 60)]), own, "its own faults, and nothing of the old one");
    }

    #[test]
    fn what_functions_say_counts_until_it_is_old_and_none_is_a_server_that_stopped() {
        let function =
            |seconds_ago| ProcessTasks { is_function: true, tasks: Vec::new(), ..server("scale-down", seconds_ago) };
        assert_eq!(words(&[function(900)]), ["2 messages"]);
        assert_eq!(words(&[function(900), function(10)]), ["2 messages"], "the same of two functions");
        assert!(words(&[function(3_601)]).is_empty(), "an hour after it was last seen");
    }

    fn fact(status: JobStatus) -> JobFact {
        JobFact {
            source: FactSource::Delivery,
            received_at: NOW,
            delivery: None,
            id: JobId(7),
            run: RunId(1),
            run_attempt: 1,
            repo: RepoFullName::parse("acme/app").unwrap(),
            owner_kind: OwnerKind::Organization,
            head_sha: String::new(),
            name: "build".into(),
            workflow: "ci".into(),
            labels: Vec::new(),
            labels_cut: false,
            status,
            conclusion: None,
            runner_name: None,
            runner_id: None,
            created_at: None,
            started_at: None,
            completed_at: None,
        }
    }

    #[test]
    fn a_job_that_waits_says_for_what_in_the_words_of_why() {
        let on = WaitingOn::Maximum { runners_max: 4, position: 2 };
        let line = JobJson::of(Job::first(fact(JobStatus::Queued)), Some(&on)).line();
        assert_eq!(line, "job 7 acme/app queued: build; waits: the set is at its maximum of 4; place 2 in the line");
        let mut runs = Job::first(fact(JobStatus::InProgress));
        runs.fact.runner_name = Some("small-p1aa-1".into());
        runs.fact.name = "GitHub's \u{1b}[2J".into();
        let line = JobJson::of(runs, None).line();
        assert_eq!(line, "job 7 acme/app in progress on small-p1aa-1: GitHub's \\u{1b}[2J");
    }
}
