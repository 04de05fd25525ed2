//! Rule 10: nobody waits in silence.

use std::collections::{BTreeMap, HashMap};

use runnersmith_types::{Action, Job, JobId, JobStatus, RepoFullName, Verdict, WaitingOn};

use crate::draft::{Draft, age};
use crate::share::Shared;
use crate::verify::is_mine;

/// Tells authors why their jobs do not run, and closes tellings that are over: one telling per repository and commit.
pub(crate) fn tell(draft: &mut Draft<'_>, shared: &Shared<'_>) {
    if !draft.policy.tell {
        return;
    }
    let waits: HashMap<JobId, WaitingOn> =
        draft.waiting.iter().filter_map(|waiting| waiting.job.map(|job| (job, waiting.on.clone()))).collect();
    let impossible: HashMap<JobId, &str> =
        shared.impossible.iter().map(|(job, why)| (job.id(), why.as_str())).collect();
    let mut tellings: BTreeMap<(RepoFullName, String), Vec<(JobId, Verdict)>> = BTreeMap::new();
    for job in draft.jobs.clone() {
        if job.fact.head_sha.is_empty() {
            continue;
        }
        let Some(verdict) = verdict(draft, job, &waits, &impossible) else { continue };
        if job.told.as_ref().is_some_and(|told| told.text == text(&verdict)) {
            continue;
        }
        tellings.entry((job.fact.repo.clone(), job.fact.head_sha.clone())).or_default().push((job.id(), verdict));
    }
    for ((repo, head_sha), jobs) in tellings {
        let reason = format!("{} job(s) of one commit have something to be told", jobs.len());
        draft.step(Action::Tell { repo, head_sha, jobs }, reason);
    }
}

fn text(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Waiting(text) | Verdict::Impossible(text) | Verdict::Settled(text) => text,
    }
}

fn verdict(
    draft: &mut Draft<'_>,
    job: &Job,
    waits: &HashMap<JobId, WaitingOn>,
    impossible: &HashMap<JobId, &str>,
) -> Option<Verdict> {
    match job.fact.status {
        JobStatus::Queued => {
            let on = waits.get(&job.id())?;
            if let Some(why) = impossible.get(&job.id()) {
                return Some(Verdict::Impossible(format!("no scale set serves it: {why}")));
            }
            let since = age(job);
            let at_once = matches!(on, WaitingOn::Held { .. });
            if !at_once && !draft.passed(since, draft.policy.timing.tell_after) {
                return None;
            }
            Some(Verdict::Waiting(said(on)))
        }
        // A telling is closed by whoever told: only jobs that were told have something to close.
        JobStatus::InProgress | JobStatus::Completed | JobStatus::Gone => {
            let told_by_us = job.told.is_some() && is_mine(draft, job);
            told_by_us.then(|| Verdict::Settled(format!("it is {}", settled(job.fact.status))))
        }
        JobStatus::Waiting => None,
    }
}

const fn settled(status: JobStatus) -> &'static str {
    match status {
        JobStatus::Gone => "not known to GitHub any more",
        JobStatus::Waiting | JobStatus::Queued | JobStatus::InProgress | JobStatus::Completed => "running or over",
    }
}

/// What is told changes only when the cause changes: a place in the line does not make a new telling.
fn said(on: &WaitingOn) -> String {
    match on {
        WaitingOn::Maximum { runners_max, .. } => {
            format!("the scale set is at its maximum of {runners_max} runners; the job keeps its place in the line")
        }
        WaitingOn::Breaker { .. } => {
            "machines of this scale set do not boot at the moment; one is tried at a time".to_owned()
        }
        WaitingOn::Runner { .. } => "a runner is on its way".to_owned(),
        WaitingOn::Delay { .. }
        | WaitingOn::Held { .. }
        | WaitingOn::Gate
        | WaitingOn::NoSet { .. }
        | WaitingOn::Capacity { .. }
        | WaitingOn::Budget { .. }
        | WaitingOn::UnknownSource { .. }
        | WaitingOn::Floor
        | WaitingOn::Grace { .. } => on.to_string(),
    }
}
