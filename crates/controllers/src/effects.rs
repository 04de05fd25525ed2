//! The remote effects: each action that changes the world outside the ledger, with what its outcome means.

use runnersmith_plan::route;
use runnersmith_ports::{CheckRun, GitHubError};
use runnersmith_types::{
    EffectAction, FactSource, Job, JobFact, JobId, JobStatus, JobUpdate, MachineId, RegistrationId, RepoFullName,
    RunId, RunnerName, RunnerScope, RunnerUpdate, Stalled,
};

use crate::context::{ActionResult, Answer, ExecutionContext};
use crate::{notify, rerun};

/// Has one effect. Returns what came of it; nothing is retried.
pub(crate) async fn run(context: &ExecutionContext<'_>, action: EffectAction) -> ActionResult {
    match action {
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
        EffectAction::VerifyJob { job, repo, run } => verify(context, job, &repo, run).await,
        EffectAction::EndJob { job } => end_job(context, job).await,
        EffectAction::Stall { job, until } => {
            let stalled = Stalled { since: context.world.ports.clock.now(), until };
            match context.world.ports.ledger.stall_job(job, stalled).await {
                Ok(true) => ActionResult::done("stalled", Vec::new()),
                Ok(false) => ActionResult::put_off("it is not queued any more"),
                Err(error) => ActionResult::failed(&error),
            }
        }
        EffectAction::RecordWaits { jobs, notifier } => notify::record_waits(context, jobs, notifier).await,
        EffectAction::FindRunners { at, jobs } => notify::find_runners(context, &at, jobs).await,
        EffectAction::Notify { repo, head_sha, check_run: id, opens, text, jobs } => {
            let (title, summary, conclusion) = (text.title, text.summary, text.conclusion.map(str::to_owned));
            notify::notify(context, CheckRun { repo, head_sha, id, title, summary, conclusion }, opens, jobs).await
        }
        EffectAction::Interrupted { job, rerun } => {
            let at = context.world.ports.clock.now();
            update_jobs(context, vec![(job, JobUpdate::Interrupted { at, rerun })]).await
        }
        EffectAction::Rerun { repo, run, run_attempt, jobs } => {
            rerun::rerun(context, rerun::Interrupted { repo, run, run_attempt, jobs }).await
        }
        EffectAction::NoRerun { jobs, why } => {
            let settled = |job| (job, JobUpdate::RerunSettled(why.to_owned()));
            update_jobs(context, jobs.into_iter().map(settled).collect()).await
        }
    }
}

async fn update_jobs(context: &ExecutionContext<'_>, updates: Vec<(JobId, JobUpdate)>) -> ActionResult {
    match context.world.ports.ledger.update_jobs(updates).await {
        Ok(_) => ActionResult::done("recorded", Vec::new()),
        Err(error) => ActionResult::failed(&error),
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

async fn verify(context: &ExecutionContext<'_>, id: JobId, repo: &RepoFullName, run: Option<RunId>) -> ActionResult {
    let Some(job) = context.jobs.get(&id) else { return ActionResult::put_off("the job is not open any more") };
    if let Err(result) = context.take_call().await {
        return result;
    }
    let (now, at) = (context.world.ports.clock.now(), route::place(context.policy, &job.fact));
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
        Err(error @ GitHubError::Transient { .. }) => {
            let answer = Answer { at, asked_at: now, failure: Some(error.to_string()) };
            return ActionResult { answer: Some(answer), ..ActionResult::github(&error) };
        }
        Err(error) => return ActionResult::github(&error),
    };
    let said = format!("GitHub says: {}", fact.status.word());
    let (fact, said) = match run.filter(|_| fact.status == JobStatus::Queued) {
        Some(run) => match by_its_run(context, repo, run, fact, said).await {
            Ok(found) => found,
            Err(result) => return *result,
        },
        None => (fact, said),
    };
    match context.world.ports.ledger.record_facts(vec![fact], &[]).await {
        Ok(_) => {
            let answer = Some(Answer { at, asked_at: now, failure: None });
            ActionResult { answer, ..ActionResult::done(said, Vec::new()) }
        }
        Err(error) => ActionResult::failed(&error),
    }
}

/// What a queued job's run says of it. A run that GitHub cannot be asked for says nothing; the next time will do.
///
/// # Errors
/// What comes of the action when no call is left: nothing is recorded then, so that the run is asked for soon.
async fn by_its_run(
    context: &ExecutionContext<'_>,
    repo: &RepoFullName,
    run: RunId,
    fact: JobFact,
    said: String,
) -> Result<(JobFact, String), Box<ActionResult>> {
    context.take_call().await.map_err(Box::new)?;
    let now = context.world.ports.clock.now();
    Ok(match context.world.ports.github.run(repo, run).await {
        Ok(seen) => match fact.by_its_run(
            &seen.status,
            seen.run_attempt,
            seen.conclusion.as_ref().map(|conclusion| conclusion.0.as_str()),
            now,
        ) {
            Some(over) => (over, format!("{said}, but its run {run} is over")),
            None => (fact, format!("{said}, and its run is {}", seen.status)),
        },
        Err(GitHubError::NotFound { .. }) => {
            let gone = JobFact { status: JobStatus::Gone, ..fact };
            (gone, format!("{said}, but GitHub does not know its run {run} any more"))
        }
        Err(error) => (fact, format!("{said}; its run could not be asked for: {error}")),
    })
}

/// Ends a job that GitHub has left queued for longer than it does.
async fn end_job(context: &ExecutionContext<'_>, id: JobId) -> ActionResult {
    let Some(job) = context.jobs.get(&id) else { return ActionResult::put_off("the job is not open any more") };
    let fact = job.fact.ended("cancelled", context.world.ports.clock.now());
    match context.world.ports.ledger.record_facts(vec![fact], &[]).await {
        Ok(_) => ActionResult::done("recorded as over", Vec::new()),
        Err(error) => ActionResult::failed(&error),
    }
}

async fn refused(context: &ExecutionContext<'_>, job: &Job, error: &GitHubError) -> ActionResult {
    let ledger = &context.world.ports.ledger;
    let now = context.world.ports.clock.now();
    let asked = JobFact { source: FactSource::Get, received_at: now, ..job.fact.clone() };
    let mut recorded = ledger.record_facts(vec![asked], &[]).await.map(|_| ());
    if recorded.is_ok() && job.fact.status == JobStatus::Queued {
        // Not longer each time: the App may be allowed to look again at any moment.
        let stalled = Stalled { since: now, until: now.plus(context.policy.timing.stall_for) };
        recorded = ledger.stall_job(job.id(), stalled).await.map(|_| ());
    }
    match recorded {
        Ok(()) => ActionResult::done(format!("GitHub does not let us look: {error}"), Vec::new()),
        Err(error) => ActionResult::failed(&error),
    }
}
