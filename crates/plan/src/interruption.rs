//! Rule 8: a machine is taken back (a spot interruption). It is apart because it is the one removal that is not ours to refuse.

use std::collections::BTreeSet;

use runnersmith_types::{EffectAction, JobStatus, MachineState, RunnerState as S, RunnerUpdate};

use crate::draft::Draft;
use crate::verify::is_mine;

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
                    draft.step(EffectAction::Interrupted { job: job.id() }, reason);
                }
            }
            S::Intended | S::Launching | S::Draining | S::Finished | S::Lost | S::Gone => {}
        }
    }
}

/// The failed jobs of a run that lost a machine are run again, once, when the run has ended.
pub(crate) fn rerun(draft: &mut Draft<'_>) {
    if !draft.policy.rerun_interrupted {
        return;
    }
    let mut runs = BTreeSet::new();
    for job in draft.jobs.iter().filter(|job| job.interrupted_at.is_some()) {
        let succeeded = job.fact.conclusion.as_ref().is_some_and(|conclusion| conclusion.0 == "success");
        if job.fact.status == JobStatus::Completed && !succeeded && is_mine(draft, job) {
            runs.insert((&job.fact.repo, job.fact.run));
        }
    }
    if runs.is_empty() {
        return;
    }
    let open: BTreeSet<_> =
        draft.jobs.iter().filter(|job| job.fact.status.is_open()).map(|job| (&job.fact.repo, job.fact.run)).collect();
    for (repo, run) in runs.difference(&open) {
        let before = draft.snapshot.reruns.iter().any(|(at, again)| at == *repo && again == run);
        if !before {
            let action = EffectAction::Rerun { repo: (*repo).clone(), run: *run };
            draft.step(action, "an interruption took a machine of this run");
        }
    }
}
