//! Which job a runner takes.

use crate::rules::groups;
use crate::state::State;
use crate::state::runs::{Job, Runner};

/// The oldest queued job that this runner may take.
pub(crate) fn job_for(state: &State, runner: &Runner) -> Option<u64> {
    let serves = |job: &&Job| {
        let owner = job.repository.split('/').next().unwrap_or_default();
        let in_scope =
            runner.scope == owner || runner.scope == job.repository || runner.scope.starts_with("enterprises/");
        let labels =
            job.spec.labels.iter().all(|label| runner.labels.iter().any(|own| own.eq_ignore_ascii_case(label)));
        let group = groups::serves(state, runner.group, &job.repository);
        job.status == "queued" && in_scope && labels && group && !is_held_back(state, job)
    };
    state.jobs.values().find(serves).map(|job| job.id)
}

/// Whether `max-parallel` keeps a job waiting.
fn is_held_back(state: &State, job: &Job) -> bool {
    let Some((matrix, limit)) = &job.spec.max_parallel else { return false };
    let running = state.jobs.values().filter(|other| {
        other.run == job.run
            && other.status == "in_progress"
            && other.spec.max_parallel.as_ref().is_some_and(|(name, _)| name == matrix)
    });
    running.count() >= *limit
}
