//! Rule 8: a machine is taken back (a spot interruption). It is apart because it is the one removal that is not ours to refuse.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use runnersmith_types::{
    EffectAction, Job, JobId, JobStatus, MachineState, RepoFullName, RunId, RunSummary, RunnerState as S, RunnerUpdate,
};

use crate::draft::Draft;
use crate::verify::is_mine;

/// A re-run asks for the run and for newer ones, and is a call itself.
const CALLS_OF_A_RERUN: u32 = 3;

/// For so long after an interrupted job's end an open job of its run shows that the run goes on. After that GitHub is asked: a
/// job of another fleet may be recorded as open because the delivery of its end was lost.
const OPEN_JOBS_COUNT_FOR: Duration = Duration::from_secs(3_600);

/// Machines that were warned: an idle runner takes no new job, a running job is recorded as lost.
pub(crate) fn warned(draft: &mut Draft<'_>) {
    for index in 0..draft.runners.len() {
        let seen = draft.evidence(index);
        let warned = seen.machine.is_some_and(|m| m.interrupted_at.is_some() && m.state != MachineState::Ended);
        if !warned {
            continue;
        }
        let runner = &draft.runners[index];
        match runner.state {
            S::Booting | S::Idle => draft.update(index, RunnerUpdate::Draining, "its machine will be taken back"),
            S::Busy => {
                if let Some(job) = seen.running().filter(|job| job.interrupted_at.is_none()) {
                    let reason = format!("the machine of {} will be taken back while the job runs", runner.name);
                    let rerun = draft.policy.rerun_interrupted;
                    draft.step(EffectAction::Interrupted { job: job.id(), rerun }, reason);
                }
            }
            S::Intended | S::Launching | S::Draining | S::Finished | S::Lost | S::Gone => {}
        }
    }
}

/// Why nothing is to be done about an interrupted job's run, as far as the job alone says.
fn is_fine(job: &Job) -> Option<&'static str> {
    if job.fact.status == JobStatus::Gone {
        return Some("GitHub does not know the job any more");
    }
    match job.fact.conclusion.as_ref().map(|conclusion| conclusion.0.as_str()) {
        Some("success") => Some("the job succeeded before its machine was taken"),
        // The runner reports a lost machine as a failure: only people and concurrency groups cancel.
        Some("cancelled") => Some("the job was cancelled"),
        Some("skipped" | "neutral") => Some("the job did not fail"),
        Some(_) | None => None,
    }
}

/// The failed jobs of a run that lost a machine are run again, once, when the run has ended, however long that takes.
pub(crate) fn rerun(draft: &mut Draft<'_>) {
    let mut settled: BTreeMap<&'static str, Vec<JobId>> = BTreeMap::new();
    let mut runs: BTreeMap<(RepoFullName, RunId), Vec<&Job>> = BTreeMap::new();
    let wanted = draft.policy.rerun_interrupted;
    for job in draft.jobs.clone().into_iter().filter(|job| job.interrupted_at.is_some()) {
        let done = job.rerun.as_ref().is_some_and(|rerun| rerun.outcome.is_some());
        // One that was recorded when nobody wanted it run again, or by an earlier version, is followed only while it is shown.
        let followed = job.rerun.is_some();
        if job.fact.status.is_open() || done || !(wanted || followed) || !is_mine(draft, job) {
            continue;
        }
        let run = (job.fact.repo.clone(), job.fact.run);
        let why = match is_fine(job) {
            Some(why) => Some(why),
            None if !wanted => Some("the scale set does not re-run jobs any more"),
            None if draft.snapshot.reruns.contains(&run) => Some("its run was re-run before"),
            None => None,
        };
        match why {
            Some(why) if followed => settled.entry(why).or_default().push(job.id()),
            Some(_) => {}
            None => runs.entry(run).or_default().push(job),
        }
    }
    for (why, jobs) in settled {
        draft.step(EffectAction::NoRerun { jobs, why }, why);
    }
    if runs.is_empty() {
        return;
    }
    let open: BTreeSet<_> =
        draft.jobs.iter().filter(|job| job.fact.status.is_open()).map(|job| (&job.fact.repo, job.fact.run)).collect();
    let mut ended = Vec::new();
    for ((repo, run), jobs) in runs {
        let asked_at = jobs.iter().filter_map(|job| job.ended_at).max().unwrap_or(draft.now).plus(OPEN_JOBS_COUNT_FOR);
        if open.contains(&(&repo, run)) && asked_at > draft.now {
            draft.wake_at(asked_at);
        } else {
            ended.push(((repo, run), jobs));
        }
    }
    let most = draft.snapshot.budget.calls_left / CALLS_OF_A_RERUN;
    let mut due = 0;
    for ((repo, run), jobs) in ended {
        let tries = jobs.iter().filter_map(|job| job.rerun.as_ref()?.tries).max_by_key(|tries| tries.next_at);
        if let Some(tries) = tries.filter(|tries| tries.next_at > draft.now) {
            draft.wake_at(tries.next_at);
            continue;
        }
        due += 1;
        if due > most {
            draft.wake_at(draft.snapshot.budget.refills_at);
            continue;
        }
        let attempt = |job: &&Job| job.rerun.as_ref().map_or(job.fact.run_attempt, |rerun| rerun.run_attempt);
        let run_attempt = jobs.iter().map(attempt).max().unwrap_or(0);
        let jobs = jobs.iter().map(|job| job.id()).collect();
        let action = EffectAction::Rerun { repo, run, run_attempt, jobs };
        draft.step(action, "an interruption took a machine of this run");
    }
}

/// What is done about a run that lost a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RerunDecision {
    /// Its failed jobs are run again, unless it is [superseded](is_superseded).
    Again,
    /// It has not ended: it is looked at again.
    NotYet,
    /// Nothing, and why.
    Leave(&'static str),
}

/// Decides about a run of which a job lost its machine at this attempt (0: not known), by what GitHub says of it now.
#[must_use]
pub fn decide_rerun(interrupted_attempt: u32, run: &RunSummary) -> RerunDecision {
    // GitHub counts a re-run when it accepts it: one whose answer was lost, or that a person asked for, shows here.
    if interrupted_attempt > 0 && run.run_attempt > interrupted_attempt {
        return RerunDecision::Leave("its run was re-run before");
    }
    if run.status != "completed" {
        return RerunDecision::NotYet;
    }
    match run.conclusion.as_ref().map(|conclusion| conclusion.0.as_str()) {
        Some("cancelled") => RerunDecision::Leave("its run was cancelled"),
        Some("success" | "skipped" | "neutral") => RerunDecision::Leave("its run did not fail"),
        Some("stale") => RerunDecision::Leave("its run is stale"),
        Some(_) | None => RerunDecision::Again,
    }
}

/// Whether a newer run of the same workflow is there for the same branch and event. A re-run would then report on an old commit,
/// deploy it again, or cancel the newer run where their concurrency group says so.
#[must_use]
pub fn is_superseded(run: &RunSummary, others: &[RunSummary]) -> bool {
    let key = |run: &RunSummary| (run.workflow, run.head_repository, run.branch.clone(), run.event.clone());
    !run.branch.is_empty() && others.iter().any(|other| other.id > run.id && key(other) == key(run))
}
