//! Rules 8 and 10, and what is asked of GitHub about jobs: nobody waits in silence.

use std::collections::BTreeMap;

use runnersmith_types::{Action, Job, JobId, JobStatus, RepoFullName, Verdict, WaitingOn};

use crate::demand::Demand;
use crate::draft::Draft;

/// Tells authors, closes tellings that are over, verifies what was not heard of for long, re-runs what was interrupted.
pub(crate) fn tell(draft: &mut Draft<'_>, demand: &Demand<'_>) {
    verify(draft);
    rerun(draft);
    if !draft.policy.tell {
        return;
    }
    let waits: BTreeMap<JobId, WaitingOn> =
        draft.waiting.iter().filter_map(|waiting| waiting.job.map(|job| (job, waiting.on.clone()))).collect();
    let impossible: BTreeMap<JobId, &str> = demand.impossible.iter().map(|(job, why)| (job.id(), why.as_str())).collect();
    let mut tellings: BTreeMap<(RepoFullName, String), Vec<(JobId, Verdict)>> = BTreeMap::new();
    let mut jobs: Vec<&Job> = draft.snapshot.jobs.iter().collect();
    jobs.sort_by_key(|job| job.id());
    for job in jobs {
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

fn verdict(draft: &mut Draft<'_>, job: &Job, waits: &BTreeMap<JobId, WaitingOn>, impossible: &BTreeMap<JobId, &str>) -> Option<Verdict> {
    match job.fact.status {
        JobStatus::Queued => {
            let on = waits.get(&job.id())?;
            if let Some(why) = impossible.get(&job.id()) {
                return Some(Verdict::Impossible(format!("no scale set serves it: {why}")));
            }
            let since = job.queued_at.unwrap_or(job.first_seen_at);
            let at_once = matches!(on, WaitingOn::Held { .. });
            if !at_once && !draft.passed(since, draft.policy.timing.tell_after) {
                return None;
            }
            Some(Verdict::Waiting(said(on)))
        }
        // A telling is closed by whoever told: only jobs that were told have something to close.
        JobStatus::InProgress | JobStatus::Completed | JobStatus::Gone => {
            let told_by_us = job.told.is_some() && is_ours(draft, job);
            told_by_us.then(|| Verdict::Settled(format!("it is {}", settled(job.fact.status))))
        }
        JobStatus::Waiting => None,
    }
}

/// The set that closes a telling: the one whose runner has the job, else the first by name.
fn is_ours(draft: &Draft<'_>, job: &Job) -> bool {
    let named = job.fact.runner_name.as_deref().is_some_and(|name| name.starts_with(&format!("{}-", draft.policy.name)));
    named || (job.fact.runner_name.is_none() && draft.snapshot.peers.iter().all(|peer| peer.policy.name > draft.policy.name))
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
        WaitingOn::Maximum { runners_max, .. } => format!("the scale set is at its maximum of {runners_max} runners; the job keeps its place in the line"),
        WaitingOn::Breaker { .. } => "machines of this scale set do not boot at the moment; one is tried at a time".to_owned(),
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

/// Open jobs not heard of for long are asked for by id, a few in each pass, oldest first.
fn verify(draft: &mut Draft<'_>) {
    const JOBS_MAX: usize = 20;
    let after = draft.policy.timing.verify_after;
    let mine: Vec<JobId> = draft.waiting.iter().filter_map(|waiting| waiting.job).collect();
    let mine: std::collections::BTreeSet<JobId> = mine.into_iter().collect();
    let mut due = Vec::new();
    for job in &draft.snapshot.jobs {
        let runs_here = job.fact.status == JobStatus::InProgress && is_ours(draft, job);
        if !(mine.contains(&job.id()) || runs_here) {
            continue;
        }
        let heard = job.changed_at.max(job.verified_at.unwrap_or(job.changed_at));
        if draft.passed(heard, after) {
            due.push((heard, job.id(), job.fact.repo.clone()));
        }
    }
    due.sort();
    for (_, job, repo) in due.into_iter().take(JOBS_MAX) {
        draft.step(Action::VerifyJob { job, repo }, "nothing was heard of it for a while");
    }
}

fn rerun(draft: &mut Draft<'_>) {
    if !draft.policy.rerun_interrupted {
        return;
    }
    let mut runs = std::collections::BTreeSet::new();
    for job in &draft.snapshot.jobs {
        let failed = job.fact.status == JobStatus::Completed && job.fact.conclusion.as_ref().is_some_and(|c| c.0 != "success");
        if job.interrupted_at.is_some() && failed && is_ours(draft, job) {
            runs.insert((job.fact.repo.clone(), job.fact.run));
        }
    }
    for (repo, run) in runs {
        if !draft.snapshot.reruns.contains(&(repo.clone(), run)) {
            draft.step(Action::Rerun { repo, run }, "an interruption took a machine of this run");
        }
    }
}
