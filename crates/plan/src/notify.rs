//! Rule 10: nobody waits in silence.

use std::collections::{BTreeMap, HashMap};

use runnersmith_types::{BootFailureCause, EffectAction, Job, JobId, JobStatus, Notification, RepoFullName, WaitingOn};

use crate::draft::{Draft, age};
use crate::share::Shared;
use crate::verify::is_mine;

/// Notifies authors why their jobs do not run, and closes notifications that are over: one check run per repository and commit.
pub(crate) fn notify(draft: &mut Draft<'_>, shared: &Shared<'_>) {
    if !draft.policy.notify {
        return;
    }
    let waits: HashMap<JobId, WaitingOn> =
        draft.waiting.iter().filter_map(|waiting| waiting.job.map(|job| (job, waiting.on.clone()))).collect();
    let impossible: HashMap<JobId, &str> =
        shared.impossible.iter().map(|(job, why)| (job.id(), why.as_str())).collect();
    let mut notifications: BTreeMap<(RepoFullName, String), Vec<(JobId, Notification)>> = BTreeMap::new();
    for job in draft.jobs.clone() {
        if job.fact.head_sha.is_empty() {
            continue;
        }
        let Some(notification) = notification(draft, job, &waits, &impossible) else { continue };
        if job.notified.as_ref().is_some_and(|notified| notified.text == notification.text()) {
            continue;
        }
        notifications
            .entry((job.fact.repo.clone(), job.fact.head_sha.clone()))
            .or_default()
            .push((job.id(), notification));
    }
    for ((repo, head_sha), jobs) in notifications {
        let reason = format!("{} job(s) of one commit have a notification to post or to update", jobs.len());
        draft.step(EffectAction::Notify { repo, head_sha, jobs }, reason);
    }
}

fn notification(
    draft: &mut Draft<'_>,
    job: &Job,
    waits: &HashMap<JobId, WaitingOn>,
    impossible: &HashMap<JobId, &str>,
) -> Option<Notification> {
    match job.fact.status {
        JobStatus::Queued => {
            let on = waits.get(&job.id())?;
            if let Some(why) = impossible.get(&job.id()) {
                return Some(Notification::Impossible(format!("no scale set serves it: {why}")));
            }
            let since = age(job);
            let at_once = matches!(on, WaitingOn::Stalled { .. });
            if !at_once && !draft.passed(since, draft.policy.timing.notify_after) {
                return None;
            }
            Some(Notification::Waiting(waiting_text(on)))
        }
        // Only jobs that were notified have something to close, and the set that follows the job closes it.
        JobStatus::InProgress | JobStatus::Completed | JobStatus::Gone => {
            let notified_by_us = job.notified.is_some() && is_mine(draft, job);
            notified_by_us.then(|| Notification::Settled(format!("it is {}", status_text(job.fact.status))))
        }
        JobStatus::Waiting => None,
    }
}

const fn status_text(status: JobStatus) -> &'static str {
    match status {
        JobStatus::Gone => "not known to GitHub any more",
        JobStatus::Waiting | JobStatus::Queued | JobStatus::InProgress | JobStatus::Completed => "running or over",
    }
}

/// What is notified changes only when the cause changes: a place in the line does not make a new notification.
fn waiting_text(on: &WaitingOn) -> String {
    match on {
        WaitingOn::Maximum { runners_max, .. } => {
            format!("the scale set is at its maximum of {runners_max} runners; the job keeps its place in the line")
        }
        WaitingOn::Breaker { cause: BootFailureCause::NoJob, .. } => {
            "runners of this scale set end without a job at the moment; one is tried at a time".to_owned()
        }
        WaitingOn::Breaker { .. } => {
            "machines of this scale set do not boot at the moment; one is tried at a time".to_owned()
        }
        WaitingOn::Runner { .. } => "a runner is on its way".to_owned(),
        WaitingOn::Delay { .. }
        | WaitingOn::Stalled { .. }
        | WaitingOn::Gate
        | WaitingOn::NoSet { .. }
        | WaitingOn::Capacity { .. }
        | WaitingOn::Budget { .. }
        | WaitingOn::HandOff { .. }
        | WaitingOn::UnknownSource { .. }
        | WaitingOn::MinIdle
        | WaitingOn::Grace { .. } => on.to_string(),
    }
}
