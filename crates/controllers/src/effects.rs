//! The remote effects: each action that changes the world outside the ledger, with what its outcome means.

use runnersmith_ports::{BudgetKind, GitHubError};
use runnersmith_types::{
    Action, FactSource, Held, Job, JobFact, JobId, JobStatus, MachineId, Mark, RegisterAt, RegistrationId,
    RepoFullName, RunnerName,
};

use crate::execute::{Effect, Hands};
use crate::{hand_over, tell};

pub(crate) async fn run(hands: &Hands<'_>, action: Action) -> Effect {
    match action {
        Action::HandOff { runner, machine, means } => hand_over::hand_over(hands, &runner, &machine, means).await,
        Action::LookUp { runner, registration, at } => look_up(hands, runner, registration, &at).await,
        Action::Deregister { runner, registration, at } => deregister(hands, runner, registration, &at).await,
        Action::ExpireHandOff { runner, machine } => match hands.world.ports.hand_off.expire(&machine).await {
            Ok(()) | Err(runnersmith_ports::HandOffError::MachineGone { .. }) => {
                Effect::done("the hand-off is gone", vec![(runner, Mark::HandOffGone)])
            }
            Err(error) => Effect::failed(&error),
        },
        Action::Strike(strike) => {
            let text = format!("{} is left alone for a while: {}", strike.rung, strike.why);
            match hands.world.ports.ledger.strike(&hands.policy.name, strike).await {
                Ok(()) => Effect::done(text, Vec::new()),
                Err(error) => Effect::failed(&error),
            }
        }
        Action::VerifyJob { job, repo } => verify(hands, job, &repo).await,
        Action::Hold { job, until } => {
            let held = Held { since: hands.world.ports.clock.now(), until };
            match hands.world.ports.ledger.hold_job(job, held).await {
                Ok(true) => Effect::done("held", Vec::new()),
                Ok(false) => Effect::put_off("it is not queued any more"),
                Err(error) => Effect::failed(&error),
            }
        }
        Action::Tell { repo, head_sha, jobs } => tell::tell(hands, repo, head_sha, jobs).await,
        Action::Interrupted { job } => {
            let at = hands.world.ports.clock.now();
            match hands.world.ports.ledger.interrupted_job(job, at).await {
                Ok(_) => Effect::done("recorded", Vec::new()),
                Err(error) => Effect::failed(&error),
            }
        }
        Action::Rerun { repo, run } => rerun(hands, &repo, run).await,
        Action::Mark { .. }
        | Action::Withdraw { .. }
        | Action::Intend { .. }
        | Action::Launch { .. }
        | Action::Relaunch { .. }
        | Action::Terminate { .. } => Effect::put_off("done apart"),
    }
}

async fn look_up(hands: &Hands<'_>, runner: RunnerName, id: RegistrationId, at: &RegisterAt) -> Effect {
    if hands.take(BudgetKind::Calls).await.is_none() {
        return Effect::put_off("this minute's call budget is used up");
    }
    match hands.world.ports.github.registration(at, id).await {
        Ok(found) => {
            let mut marks = vec![(runner.clone(), Mark::RegistrationSeen)];
            if found.busy {
                marks.push((runner, Mark::Busy(None)));
            }
            Effect::done(format!("GitHub knows registration {id}"), marks)
        }
        Err(GitHubError::NotFound { .. }) => {
            Effect::done(format!("GitHub does not know registration {id}"), vec![(runner, Mark::RegistrationMissing)])
        }
        Err(error) => Effect::github(&error),
    }
}

async fn deregister(hands: &Hands<'_>, runner: RunnerName, id: RegistrationId, at: &RegisterAt) -> Effect {
    if hands.take(BudgetKind::Calls).await.is_none() {
        return Effect::put_off("this minute's call budget is used up");
    }
    match hands.world.ports.github.deregister(at, id).await {
        Ok(()) => Effect::done(format!("registration {id} is removed"), vec![(runner, Mark::Deregistered)]),
        // The App is not there any more: its registrations are the owner's now.
        Err(error @ GitHubError::NotInstalled { .. }) => {
            Effect::done(format!("registration {id} is not ours any more: {error}"), vec![(runner, Mark::Deregistered)])
        }
        Err(GitHubError::Busy { .. }) => {
            Effect::done("GitHub says that it has a job: kept", vec![(runner, Mark::RemovalRefused)])
        }
        Err(error) => Effect::github(&error),
    }
}

/// Ends machines, as many as there are in one call. When that fails each is tried by itself, so that one that cannot be ended
/// does not keep the others alive.
pub(crate) async fn terminate(hands: &Hands<'_>, machines: Vec<(MachineId, Option<RunnerName>)>) -> Vec<Effect> {
    let port = &hands.world.ports.machines;
    let ids: Vec<MachineId> = machines.iter().map(|(machine, _)| machine.clone()).collect();
    let together = port.terminate(&ids).await;
    let mut effects = Vec::with_capacity(machines.len());
    for (machine, runner) in machines {
        let ended = match &together {
            Ok(()) => Ok(()),
            Err(_) if ids.len() > 1 => port.terminate(std::slice::from_ref(&machine)).await,
            Err(error) => {
                effects.push(Effect::failed(error));
                continue;
            }
        };
        effects.push(match ended {
            Ok(()) => Effect::done(
                format!("machine {machine} is ended"),
                runner.into_iter().map(|name| (name, Mark::Terminated)).collect(),
            ),
            Err(error) => Effect::failed(&error),
        });
    }
    effects
}

async fn verify(hands: &Hands<'_>, id: JobId, repo: &RepoFullName) -> Effect {
    let Some(job) = hands.jobs.get(&id) else { return Effect::put_off("the job is not open any more") };
    if hands.take(BudgetKind::Calls).await.is_none() {
        return Effect::put_off("this minute's call budget is used up");
    }
    let now = hands.world.ports.clock.now();
    let fact = match hands.world.ports.github.job(repo, id).await {
        Ok(fact) => fact,
        Err(GitHubError::NotFound { .. }) => {
            JobFact { source: FactSource::Get, received_at: now, status: JobStatus::Gone, ..job.fact.clone() }
        }
        // The App may not look, or is not installed there now: that says nothing of the job. It is asked for again only after a
        // while, and until then nothing is bought for it, because nothing could be registered for it either.
        Err(error @ (GitHubError::Unauthorized { .. } | GitHubError::NotInstalled { .. })) => {
            return refused(hands, job, &error).await;
        }
        Err(error) => return Effect::github(&error),
    };
    let word = fact.status.word();
    match hands.world.ports.ledger.record_facts(vec![fact], &[]).await {
        Ok(_) => Effect::done(format!("GitHub says: {word}"), Vec::new()),
        Err(error) => Effect::failed(&error),
    }
}

async fn refused(hands: &Hands<'_>, job: &Job, error: &GitHubError) -> Effect {
    let ledger = &hands.world.ports.ledger;
    let now = hands.world.ports.clock.now();
    let asked = JobFact { source: FactSource::Get, received_at: now, ..job.fact.clone() };
    let mut recorded = ledger.record_facts(vec![asked], &[]).await.map(|_| ());
    if recorded.is_ok() && job.fact.status == JobStatus::Queued {
        let held = Held { since: now, until: now.plus(hands.policy.timing.hold_for) };
        recorded = ledger.hold_job(job.id(), held).await.map(|_| ());
    }
    match recorded {
        Ok(()) => Effect::done(format!("GitHub does not let us look: {error}"), Vec::new()),
        Err(error) => Effect::failed(&error),
    }
}

async fn rerun(hands: &Hands<'_>, repo: &RepoFullName, run: runnersmith_types::RunId) -> Effect {
    let ports = &hands.world.ports;
    match ports.github.run(repo, run).await {
        Ok(summary) if summary.status == "completed" => {}
        // GitHub answers 403 until the whole run has ended.
        Ok(_) => return Effect::put_off("the run has not ended yet"),
        Err(error) => return Effect::github(&error),
    }
    match ports.ledger.rerun(repo, run).await {
        Ok(true) => {}
        Ok(false) => return Effect::put_off("it was re-run before"),
        Err(error) => return Effect::failed(&error),
    }
    match ports.github.rerun_failed(repo, run).await {
        Ok(()) => Effect::done(format!("the failed jobs of run {run} are re-run"), Vec::new()),
        Err(error) => Effect::github(&error),
    }
}
