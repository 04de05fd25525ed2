//! `runnersmith why`: the story of one job, from ledger and policy alone, for whatever form a person has of the job.

use std::fmt::Write as _;

use runnersmith_controllers::job_list::{find, outcome};
use runnersmith_controllers::why::{self as timeline, Asked, JobQuestion};
use runnersmith_types::{HistoryEvent, Job, JobId, RegistrationName, RunId, Runner, Timestamp};

use crate::cli;
use crate::exit::{CommandFailure, ExitStatus};
use crate::jobs;
use crate::query::{LedgerAndPolicy, ledger_failed};
use crate::report;

/// The most jobs of one name that are listed.
const NAMED_MAX: usize = 5;
/// Enough of a runner's history to have its last line.
const HISTORY_MAX: usize = 500;

/// `runnersmith why`.
pub async fn command(options: cli::WhyOptions) -> Result<ExitStatus, CommandFailure> {
    let question = JobQuestion::parse(&options.job).map_err(|error| CommandFailure {
        status: ExitStatus::Usage,
        what: error.to_string(),
        hint: Some("give the job's number, its address in GitHub, its runner's name, or its own name in quotes".into()),
    })?;
    let known = LedgerAndPolicy::open_for(&options.read).await?;
    let is_json = options.read.query.json;
    let id = match &question.asked {
        Asked::Job(id) => *id,
        Asked::Run(run) => return of_run(&known, &question, *run, is_json).await,
        Asked::Name(name) => of_name(&known, &question, name).await?,
    };
    if let Some(job) = known.ledger.job(id).await.map_err(ledger_failed)?
        && let Some(refusal) = question.refusal(id, &job.fact.repo)
    {
        let hint = format!("if the repository was renamed, ask by the number alone: runnersmith why {id}");
        return Err(failed(refusal, hint));
    }
    let waiting = known.snapshots().await?.waiting();
    match timeline::why(known.ledger.as_ref(), waiting.get(&id), id).await.map_err(ledger_failed)? {
        Some(why) if is_json => report::json(&timeline::JobStoryJson::from(&why))?,
        Some(why) => report::line(&why.to_string()),
        None => {
            return Err(failed(
                format!("job {id} is not in the ledger"),
                "no delivery that was accepted named it; check the App's webhook (Advanced → Recent deliveries) and that the App is installed in the repository",
            ));
        }
    }
    Ok(ExitStatus::Success)
}

fn failed(what: impl Into<String>, hint: impl Into<String>) -> CommandFailure {
    CommandFailure { status: ExitStatus::RequestFailed, what: what.into(), hint: Some(hint.into()) }
}

/// Lists the jobs of a run.
async fn of_run(
    known: &LedgerAndPolicy,
    question: &JobQuestion,
    run: RunId,
    is_json: bool,
) -> Result<ExitStatus, CommandFailure> {
    let found = named(known, question, usize::MAX).await?;
    if found.is_empty() {
        let of = question.repo.as_ref().map(|repo| format!(" of {repo}")).unwrap_or_default();
        return Err(failed(
            format!("no job of run {run}{of} is in the ledger"),
            "no delivery that was accepted named one; `runnersmith jobs` lists what is there",
        ));
    }
    jobs::show(known, &found, is_json)?;
    Ok(ExitStatus::Success)
}

/// Returns the one job that a name means, of a job or of a runner.
async fn of_name(known: &LedgerAndPolicy, question: &JobQuestion, name: &str) -> Result<JobId, CommandFailure> {
    let found = named(known, question, NAMED_MAX + 1).await?;
    match found.as_slice() {
        [job] => return Ok(job.id()),
        [] => {}
        jobs => return Err(failed(several(name, jobs), "give the number of one, or its address in GitHub")),
    }
    if let Some(asked) = RegistrationName::parse(name)
        && let Some(runner) = known.ledger.runner(asked.runner()).await.map_err(ledger_failed)?
    {
        if let Some(job) = runner.job {
            return Ok(job);
        }
        let history = known.ledger.history_of_runner(&runner.name, HISTORY_MAX).await.map_err(ledger_failed)?;
        return Err(failed(
            without_job(&runner, history.last()),
            "`runnersmith status` lists the runners that are alive",
        ));
    }
    Err(failed(
        format!("no job and no runner is named \"{}\" in the ledger", name.escape_debug()),
        "`runnersmith jobs` lists the jobs that are there",
    ))
}

async fn named(known: &LedgerAndPolicy, question: &JobQuestion, limit: usize) -> Result<Vec<Job>, CommandFailure> {
    let asked = |job: &Job| question.asks_for(job);
    find(known.ledger.as_ref(), Timestamp(0), limit, asked).await.map_err(ledger_failed)
}

/// What is said of a name that several jobs have. The list may be cut.
fn several(name: &str, jobs: &[Job]) -> String {
    let count = if jobs.len() > NAMED_MAX { format!("more than {NAMED_MAX}") } else { jobs.len().to_string() };
    let mut text = format!("{count} jobs go by \"{}\"; the newest:", name.escape_debug());
    for (n, job) in jobs.iter().take(NAMED_MAX).enumerate() {
        let before = if n == 0 { "" } else { "," };
        // Writing to a string does not fail.
        let _ = write!(text, "{before} {} ({}, {})", job.id(), job.fact.repo, outcome(job).escape_debug());
    }
    text
}

/// What is said of a runner that has had no job.
fn without_job(runner: &Runner, last: Option<&HistoryEvent>) -> String {
    let last = last.map(|event| format!("; last: {} ({})", event.what.escape_debug(), event.text.escape_debug()));
    format!("runner {} has had no job; it is {}{}", runner.name, runner.state.word(), last.unwrap_or_default())
}
