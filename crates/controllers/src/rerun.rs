//! Re-running the failed jobs of a run of which an interruption took a machine. What is done is decided by `runnersmith_plan` from
//! what GitHub says of the run; here it is asked, called and recorded.

use std::time::Duration;

use runnersmith_plan::{RerunDecision, decide_rerun, is_superseded};
use runnersmith_ports::GitHubError;
use runnersmith_types::{FailedTries, JobId, JobUpdate, RepoFullName, RunId, RunSummary};

use crate::context::{ActionResult, ExecutionContext};

/// The pauses between looks at a run that has not ended.
const LOOKS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(600));
/// The pauses after GitHub refused, or did not answer.
const REFUSALS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3_600));

/// A run to be re-run: of which attempt, and for which jobs.
pub(crate) struct Interrupted {
    pub repo: RepoFullName,
    pub run: RunId,
    pub run_attempt: u32,
    pub jobs: Vec<JobId>,
}

/// What came of a look at the run.
enum Found {
    /// It was re-run.
    Rerun,
    /// Nothing is left to do, and why.
    Settled(String),
    /// It is looked at again.
    Later { pauses: (Duration, Duration), result: Box<ActionResult>, error: Option<GitHubError> },
}

/// Re-runs the failed jobs of the run if it has ended and nothing speaks against it. The success is recorded after the call: after a
/// crash in between, the run's attempt says that it was made.
pub(crate) async fn rerun(context: &ExecutionContext<'_>, interrupted: Interrupted) -> ActionResult {
    let ports = &context.world.ports;
    let (outcome, result) = match look(context, &interrupted).await {
        Ok(Found::Rerun) => {
            let text = format!("the failed jobs of run {} are re-run", interrupted.run);
            if let Err(error) = ports.ledger.rerun(&interrupted.repo, interrupted.run).await {
                return ActionResult::failed(&error);
            }
            (Ok(text.clone()), ActionResult::done(text, Vec::new()))
        }
        Ok(Found::Settled(why)) => (Ok(why.clone()), ActionResult::done(format!("not re-run: {why}"), Vec::new())),
        Ok(Found::Later { pauses, result, error }) => {
            let before = interrupted.jobs.iter().filter_map(|id| context.jobs.get(id)?.rerun.as_ref()?.tries);
            let not_before = match error {
                Some(GitHubError::RateLimited { until, .. }) => Some(until),
                Some(_) | None => None,
            };
            let before = before.max_by_key(|tries| tries.last_at);
            (Err(FailedTries::again(before, ports.clock.now(), pauses, not_before)), *result)
        }
        Err(result) => return result,
    };
    let update = match outcome {
        Ok(text) => JobUpdate::RerunSettled(text),
        Err(tries) => JobUpdate::RerunTried(tries),
    };
    let updates = interrupted.jobs.iter().map(|job| (*job, update.clone())).collect();
    match ports.ledger.update_jobs(updates).await {
        Ok(_) => result,
        Err(error) => ActionResult::failed(&error),
    }
}

/// Looks at the run, and re-runs its failed jobs if that is right.
///
/// # Errors
/// What comes of the action when no call may be made, or the ledger fails; nothing is recorded then.
async fn look(context: &ExecutionContext<'_>, interrupted: &Interrupted) -> Result<Found, ActionResult> {
    let ports = &context.world.ports;
    let Interrupted { repo, run: id, run_attempt, .. } = interrupted;
    context.take_call().await?;
    let run = match ports.github.run(repo, *id).await {
        Ok(run) => run,
        Err(GitHubError::NotFound { .. }) => {
            return Ok(Found::Settled("GitHub does not know its run any more".into()));
        }
        Err(error) => return Ok(later(error)),
    };
    match decide_rerun(*run_attempt, &run) {
        RerunDecision::Again => {}
        RerunDecision::Leave(why) => return Ok(Found::Settled(why.into())),
        RerunDecision::NotYet => {
            let result = Box::new(ActionResult::put_off("the run has not ended yet"));
            return Ok(Found::Later { pauses: LOOKS, result, error: None });
        }
    }
    if let Some(found) = superseded(context, repo, &run).await? {
        return Ok(found);
    }
    // Without a number of the attempt a lost answer would not show: then it is recorded first, and done at most once.
    let is_counted = *run_attempt > 0 && run.run_attempt > 0;
    if !is_counted && !ports.ledger.rerun(repo, *id).await.map_err(|error| ActionResult::failed(&error))? {
        return Ok(Found::Settled("its run was re-run before".into()));
    }
    context.take_call().await?;
    match ports.github.rerun_failed(repo, *id).await {
        Ok(()) => Ok(Found::Rerun),
        Err(error) => Ok(later(error)),
    }
}

async fn superseded(
    context: &ExecutionContext<'_>,
    repo: &RepoFullName,
    run: &RunSummary,
) -> Result<Option<Found>, ActionResult> {
    if run.branch.is_empty() {
        return Ok(None);
    }
    context.take_call().await?;
    match context.world.ports.github.runs_of_branch(repo, &run.branch, &run.event).await {
        Ok(others) if is_superseded(run, &others) => {
            Ok(Some(Found::Settled("a newer run of its workflow is there for its branch".into())))
        }
        Ok(_) => Ok(None),
        Err(error) => Ok(Some(later(error))),
    }
}

fn later(error: GitHubError) -> Found {
    Found::Later { pauses: REFUSALS, result: Box::new(ActionResult::github(&error)), error: Some(error) }
}
