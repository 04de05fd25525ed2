//! The remote effects: each action that changes the world outside the ledger, with what its outcome means.

use runnersmith_ports::GitHubError;
use runnersmith_types::{
    EffectAction, FactSource, Job, JobFact, JobId, JobStatus, MachineId, RegistrationId, RepoFullName, RunnerName,
    RunnerScope, RunnerUpdate, Stalled,
};

use crate::context::{ActionResult, ExecutionContext};
use crate::{hand_over, notify};

/// Has one effect. Returns what came of it; nothing is retried.
pub(crate) async fn run(context: &ExecutionContext<'_>, action: EffectAction) -> ActionResult {
    match action {
        EffectAction::HandOff { runner, machine, means } => {
            hand_over::hand_over(context, &runner, &machine, means).await
        }
        EffectAction::LookUp { runner, registration, at } => look_up(context, runner, registration, &at).await,
        EffectAction::Deregister { runner, registration, at } => deregister(context, runner, registration, &at).await,
        EffectAction::ExpireHandOff { runner, machine } => match context.world.ports.hand_off.expire(&machine).await {
            Ok(()) | Err(runnersmith_ports::HandOffError::MachineGone { .. }) => {
                ActionResult::done("the hand-off is gone", vec![(runner, RunnerUpdate::HandOffGone)])
            }
            Err(error) => ActionResult::failed(&error),
        },
        EffectAction::PoolFailure(pool_failure) => {
            let text = format!("{} is left alone for a while: {}", pool_failure.pool, pool_failure.why);
            match context.world.ports.ledger.pool_failure(&context.policy.name, pool_failure).await {
                Ok(()) => ActionResult::done(text, Vec::new()),
                Err(error) => ActionResult::failed(&error),
            }
        }
        EffectAction::VerifyJob { job, repo } => verify(context, job, &repo).await,
        EffectAction::Stall { job, until } => {
            let stalled = Stalled { since: context.world.ports.clock.now(), until };
            match context.world.ports.ledger.stall_job(job, stalled).await {
                Ok(true) => ActionResult::done("stalled", Vec::new()),
                Ok(false) => ActionResult::put_off("it is not queued any more"),
                Err(error) => ActionResult::failed(&error),
            }
        }
        EffectAction::Notify { repo, head_sha, jobs } => notify::notify(context, repo, head_sha, jobs).await,
        EffectAction::Interrupted { job } => {
            let at = context.world.ports.clock.now();
            match context.world.ports.ledger.interrupted_job(job, at).await {
                Ok(_) => ActionResult::done("recorded", Vec::new()),
                Err(error) => ActionResult::failed(&error),
            }
        }
        EffectAction::Rerun { repo, run } => rerun(context, &repo, run).await,
    }
}

async fn look_up(
    context: &ExecutionContext<'_>,
    runner: RunnerName,
    id: RegistrationId,
    at: &RunnerScope,
) -> ActionResult {
    if let Err(result) = context.take_call().await {
        return result;
    }
    let asked_at = context.world.ports.clock.now();
    match context.world.ports.github.registration(at, id).await {
        Ok(found) => {
            let mut updates = vec![(runner.clone(), RunnerUpdate::RegistrationSeen)];
            if found.busy {
                updates.push((runner, RunnerUpdate::BusyAtGitHub(asked_at)));
            }
            ActionResult::done(format!("GitHub knows registration {id}"), updates)
        }
        Err(GitHubError::NotFound { .. }) => ActionResult::done(
            format!("GitHub does not know registration {id}"),
            vec![(runner, RunnerUpdate::RegistrationMissing)],
        ),
        Err(error) => ActionResult::github(&error),
    }
}

async fn deregister(
    context: &ExecutionContext<'_>,
    runner: RunnerName,
    id: RegistrationId,
    at: &RunnerScope,
) -> ActionResult {
    if let Err(result) = context.take_call().await {
        return result;
    }
    match context.world.ports.github.deregister(at, id).await {
        Ok(()) => {
            ActionResult::done(format!("registration {id} is removed"), vec![(runner, RunnerUpdate::Deregistered)])
        }
        // The App is not there any more: its registrations are the owner's now.
        Err(error @ GitHubError::NotInstalled { .. }) => ActionResult::done(
            format!("registration {id} is not ours any more: {error}"),
            vec![(runner, RunnerUpdate::Deregistered)],
        ),
        Err(GitHubError::Busy { .. }) => {
            ActionResult::done("GitHub says that it has a job: kept", vec![(runner, RunnerUpdate::RemovalRefused)])
        }
        Err(error) => ActionResult::github(&error),
    }
}

/// Ends machines, as many as there are in one call. When that fails each is tried by itself, so that one that cannot be ended
/// does not keep the others alive.
pub(crate) async fn terminate(
    context: &ExecutionContext<'_>,
    machines: Vec<(MachineId, Option<RunnerName>)>,
) -> Vec<ActionResult> {
    let port = &context.world.ports.machines;
    let ids: Vec<MachineId> = machines.iter().map(|(machine, _)| machine.clone()).collect();
    let together = port.terminate(&ids).await;
    let mut effects = Vec::with_capacity(machines.len());
    for (machine, runner) in machines {
        let ended = match &together {
            Ok(()) => Ok(()),
            Err(_) if ids.len() > 1 => port.terminate(std::slice::from_ref(&machine)).await,
            Err(error) => {
                effects.push(ActionResult::failed(error));
                continue;
            }
        };
        effects.push(match ended {
            Ok(()) => ActionResult::done(
                format!("machine {machine} is ended"),
                runner.into_iter().map(|name| (name, RunnerUpdate::Terminated)).collect(),
            ),
            Err(error) => ActionResult::failed(&error),
        });
    }
    effects
}

async fn verify(context: &ExecutionContext<'_>, id: JobId, repo: &RepoFullName) -> ActionResult {
    let Some(job) = context.jobs.get(&id) else { return ActionResult::put_off("the job is not open any more") };
    if let Err(result) = context.take_call().await {
        return result;
    }
    let now = context.world.ports.clock.now();
    let fact = match context.world.ports.github.job(repo, id).await {
        Ok(fact) => fact,
        Err(GitHubError::NotFound { .. }) => {
            JobFact { source: FactSource::Get, received_at: now, status: JobStatus::Gone, ..job.fact.clone() }
        }
        // The App may not look, or is not installed there now: that says nothing of the job. It is asked for again only after a
        // while, and until then nothing is bought for it, because nothing could be registered for it either.
        Err(error @ (GitHubError::Unauthorized { .. } | GitHubError::NotInstalled { .. })) => {
            return refused(context, job, &error).await;
        }
        Err(error) => return ActionResult::github(&error),
    };
    let word = fact.status.word();
    match context.world.ports.ledger.record_facts(vec![fact], &[]).await {
        Ok(_) => ActionResult::done(format!("GitHub says: {word}"), Vec::new()),
        Err(error) => ActionResult::failed(&error),
    }
}

async fn refused(context: &ExecutionContext<'_>, job: &Job, error: &GitHubError) -> ActionResult {
    let ledger = &context.world.ports.ledger;
    let now = context.world.ports.clock.now();
    let asked = JobFact { source: FactSource::Get, received_at: now, ..job.fact.clone() };
    let mut recorded = ledger.record_facts(vec![asked], &[]).await.map(|_| ());
    if recorded.is_ok() && job.fact.status == JobStatus::Queued {
        let stalled = Stalled { since: now, until: now.plus(context.policy.timing.stall_for) };
        recorded = ledger.stall_job(job.id(), stalled).await.map(|_| ());
    }
    match recorded {
        Ok(()) => ActionResult::done(format!("GitHub does not let us look: {error}"), Vec::new()),
        Err(error) => ActionResult::failed(&error),
    }
}

async fn rerun(context: &ExecutionContext<'_>, repo: &RepoFullName, run: runnersmith_types::RunId) -> ActionResult {
    let ports = &context.world.ports;
    match ports.github.run(repo, run).await {
        Ok(summary) if summary.status == "completed" => {}
        // GitHub answers 403 until the whole run has ended.
        Ok(_) => return ActionResult::put_off("the run has not ended yet"),
        Err(error) => return ActionResult::github(&error),
    }
    match ports.ledger.rerun(repo, run).await {
        Ok(true) => {}
        Ok(false) => return ActionResult::put_off("it was re-run before"),
        Err(error) => return ActionResult::failed(&error),
    }
    match ports.github.rerun_failed(repo, run).await {
        Ok(()) => ActionResult::done(format!("the failed jobs of run {run} are re-run"), Vec::new()),
        Err(error) => ActionResult::github(&error),
    }
}
