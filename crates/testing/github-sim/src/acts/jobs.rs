//! Runs and jobs: started, given to runners, ended, run again.

use crate::events;
use crate::options::SimError;
use crate::state::board::DEFAULT_GROUP;
use crate::state::runs::{Job, WorkflowSpec};
use crate::state::{State, World};
use crate::time;

/// Starts a run and sends what GitHub would.
pub(crate) fn dispatch(world: &World, repository: &str, workflow: WorkflowSpec) -> Result<u64, SimError> {
    let mut state = world.lock();
    if !state.repositories.contains_key(repository) {
        return Err(SimError::Repository(repository.to_owned()));
    }
    let run = state.id();
    state.runs.insert(run, (repository.to_owned(), workflow.name.clone()));
    let now = state.now_ms();
    for spec in workflow.jobs {
        let id = state.id();
        let status = if spec.needs.is_empty() { "queued" } else { "pending" };
        let job = Job {
            id,
            run,
            repository: repository.to_owned(),
            spec,
            status,
            conclusion: None,
            runner: None,
            group: DEFAULT_GROUP,
            created_ms: now,
            started_ms: None,
            completed_ms: None,
            workflow: workflow.name.clone(),
        };
        state.jobs.insert(id, job);
        if status == "queued" {
            events::job(&mut state, id, "queued");
        }
    }
    drop(state);
    world.changed.notify_waiters();
    Ok(run)
}

/// Cancels the jobs of a run that are not over.
pub(crate) fn cancel(world: &World, run: u64) {
    let mut state = world.lock();
    let ids: Vec<u64> =
        state.jobs.values().filter(|job| job.run == run && job.status != "completed").map(|job| job.id).collect();
    for id in ids {
        complete(&mut state, id, "cancelled");
    }
}

/// Runners that have been silent for too long go offline; a job on such a runner fails.
pub(crate) fn expire(world: &World) {
    let mut state = world.lock();
    let now = time::now_ms();
    let timeout = i64::try_from(state.options.runner_timeout.as_millis()).unwrap_or(i64::MAX);
    let silent: Vec<(u64, Option<u64>)> = state
        .runners
        .values()
        .filter(|runner| {
            runner.session.is_some()
                && now - runner.seen_ms
                    > timeout
                        + runner
                            .job
                            .and_then(|job| state.jobs.get(&job))
                            .map_or(0, |job| i64::try_from(job.spec.duration.as_millis()).unwrap_or(0))
        })
        .map(|runner| (runner.id, runner.job))
        .collect();
    for (id, job) in silent {
        if let Some(runner) = state.runners.get_mut(&id) {
            runner.session = None;
        }
        if let Some(job) = job {
            complete(&mut state, job, "failure");
        }
    }
}

/// Gives a job to a runner.
pub(crate) fn assign(state: &mut State, runner: u64, job: u64) {
    let now = state.now_ms();
    let Some((name, group)) = state.runners.get_mut(&runner).map(|found| {
        found.job = Some(job);
        (found.name.clone(), found.group)
    }) else {
        return;
    };
    if let Some(found) = state.jobs.get_mut(&job) {
        found.status = "in_progress";
        found.started_ms = Some(now);
        found.runner = Some((runner, name));
        found.group = group;
    }
    events::job(state, job, "in_progress");
}

/// Ends a job: its ephemeral runner's registration goes, and jobs that needed it are queued or skipped.
pub(crate) fn complete(state: &mut State, id: u64, conclusion: &str) {
    let now = state.now_ms();
    let Some(job) = state.jobs.get_mut(&id) else { return };
    if job.status == "completed" {
        return;
    }
    job.status = "completed";
    job.conclusion = Some(conclusion.to_owned());
    job.completed_ms = Some(now);
    let (run, name, runner) = (job.run, job.spec.name.clone(), job.runner.clone());
    if let Some((runner, _)) = runner {
        if state.runners.get(&runner).is_some_and(|runner| runner.ephemeral) {
            state.runners.remove(&runner);
        } else if let Some(runner) = state.runners.get_mut(&runner) {
            runner.job = None;
        }
    }
    events::job(state, id, "completed");
    let followers: Vec<u64> = state
        .jobs
        .values()
        .filter(|job| job.run == run && job.status == "pending" && job.spec.needs.contains(&name))
        .map(|job| job.id)
        .collect();
    for follower in followers {
        if conclusion != "success" {
            complete(state, follower, "skipped");
            continue;
        }
        let done = |need: &String| {
            state
                .jobs
                .values()
                .any(|job| job.run == run && &job.spec.name == need && job.conclusion.as_deref() == Some("success"))
        };
        let ready = state.jobs.get(&follower).is_some_and(|job| job.spec.needs.iter().all(done));
        if ready && let Some(job) = state.jobs.get_mut(&follower) {
            job.status = "queued";
            job.created_ms = now;
            events::job(state, follower, "queued");
        }
    }
}

/// Failed jobs come again, as GitHub does it: as new jobs with numbers of their own.
pub(crate) fn rerun(state: &mut State, run: u64) {
    *state.attempts.entry(run).or_insert(1) += 1;
    let failed: Vec<u64> = state
        .jobs
        .values()
        .filter(|job| job.run == run && job.conclusion.as_deref() == Some("failure"))
        .map(|job| job.id)
        .collect();
    for old in failed {
        let id = state.id();
        let Some(mut job) = state.jobs.remove(&old) else { continue };
        (job.id, job.status, job.conclusion, job.runner) = (id, "queued", None, None);
        (job.created_ms, job.started_ms, job.completed_ms) = (state.now_ms(), None, None);
        state.jobs.insert(id, job);
        events::job(state, id, "queued");
    }
}
