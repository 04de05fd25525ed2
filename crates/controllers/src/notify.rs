//! Posting notifications: within the bound a job runs, or its author can read in GitHub why not. One check run per repository and
//! commit, updated. What it says, and when, is the plan's decision.

use std::time::Duration;

use runnersmith_plan::wait_reason;
use runnersmith_ports::{BudgetKind, CheckRun, GitHubError, Message, chain};
use runnersmith_types::{
    FailedTries, Job, JobId, JobUpdate, Label, Notification, Notified, RunnerScope, ScaleSetName, Timestamp, WaitKind,
    WaitReason,
};

use crate::context::{ActionResult, ExecutionContext};

/// The pauses after a refusal: GitHub does not change its mind within seconds, and a permission is granted by people.
const PAUSES: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3_600));

/// Records why jobs wait, and wakes the set that posts it.
pub(crate) async fn record_waits(
    context: &ExecutionContext<'_>,
    jobs: Vec<(JobId, Option<WaitReason>)>,
    notifier: Option<ScaleSetName>,
) -> ActionResult {
    let ports = &context.world.ports;
    let updates = jobs.into_iter().map(|(job, reason)| (job, JobUpdate::Waits(reason))).collect();
    if let Err(error) = ports.ledger.update_jobs(updates).await {
        return ActionResult::failed(&error);
    }
    let Some(set) = notifier else { return ActionResult::done("recorded", Vec::new()) };
    if let Err(error) = ports.ledger.wake(&set).await {
        return ActionResult::failed(&error);
    }
    let text = format!("recorded; {set} posts it");
    if let Err(error) = ports.queue.send(&Message::Wake { set }.to_body(), Duration::ZERO).await {
        // The timer's pass comes anyway.
        tracing::warn!(error = %chain(&error), "the set that posts notifications could not be woken");
    }
    ActionResult::done(text, Vec::new())
}

/// Asks GitHub for the runners at some places, and records of each job whether one of them has its labels.
pub(crate) async fn find_runners(
    context: &ExecutionContext<'_>,
    at: &[RunnerScope],
    jobs: Vec<(JobId, String)>,
) -> ActionResult {
    let ports = &context.world.ports;
    let mut registrations = Vec::new();
    let mut silent = None;
    for place in at {
        if let Err(result) = context.take_call().await {
            return result;
        }
        match ports.github.registrations(place).await {
            Ok(found) => registrations.extend(found),
            // Runners that the App may not see are not visible, and its author reads just that.
            Err(
                GitHubError::Unauthorized { .. }
                | GitHubError::NotInstalled { .. }
                | GitHubError::NotFound { .. }
                | GitHubError::Refused { .. },
            ) => {}
            Err(error) => silent = Some(error),
        }
    }
    let now = ports.clock.now();
    let reason = |(job, text): (JobId, String)| {
        let labels: &[Label] = context.jobs.get(&job).map_or(&[], |job| &job.fact.labels);
        let reason = match silent {
            None => wait_reason(labels, &registrations, now, text),
            Some(_) => WaitReason { at: now, kind: WaitKind::Unknown, text },
        };
        (job, Some(reason))
    };
    let reasons: Vec<(JobId, Option<WaitReason>)> = jobs.into_iter().map(reason).collect();
    let elsewhere = |(_, reason): &&(JobId, Option<WaitReason>)| {
        reason.as_ref().is_some_and(|reason| reason.kind == WaitKind::Elsewhere)
    };
    let count = reasons.iter().filter(elsewhere).count();
    let text = format!("for {count} of {} job(s) there is an online runner of another fleet", reasons.len());
    let updates = reasons.into_iter().map(|(job, reason)| (job, JobUpdate::Waits(reason))).collect();
    match (ports.ledger.update_jobs(updates).await, silent) {
        (Err(error), _) => ActionResult::failed(&error),
        (Ok(_), Some(error)) => ActionResult::github(&error),
        (Ok(_), None) => ActionResult::done(text, Vec::new()),
    }
}

/// Creates or updates a commit's check run, and records what the authors of its jobs were notified of; or that GitHub refused, so that
/// it is not asked again soon. What `opens` one is recorded before: a process that ends in between would leave it open forever.
pub(crate) async fn notify(
    context: &ExecutionContext<'_>,
    check: CheckRun,
    opens: Option<JobId>,
    jobs: Vec<(JobId, Notification)>,
) -> ActionResult {
    match context.take_write(BudgetKind::Notifications).await {
        Ok(true) => {}
        Ok(false) => return ActionResult::put_off("this minute's budget for check runs is used up"),
        Err(error) => return ActionResult::failed(&error),
    }
    let ports = &context.world.ports;
    if let Some(job) = opens {
        let tries = tried(context, &check, ports.clock.now(), None);
        if let Err(error) = ports.ledger.update_jobs(vec![(job, JobUpdate::NotifyTried(tries))]).await {
            return ActionResult::failed(&error);
        }
    }
    let posted = ports.github.notify(&check).await;
    let at = ports.clock.now();
    let updates = match &posted {
        Ok(check_run) => {
            jobs.into_iter().map(|(job, notification)| (job, notified(*check_run, &notification, at))).collect()
        }
        Err(error) => refused(context, &check, &jobs, error, at),
    };
    if let Err(error) = ports.ledger.update_jobs(updates).await {
        return ActionResult::failed(&error);
    }
    match posted {
        Ok(check_run) => ActionResult::done(format!("{} by check run {check_run}", check.title), Vec::new()),
        Err(error) => ActionResult::github(&error),
    }
}

fn notified(check_run: u64, notification: &Notification, at: Timestamp) -> JobUpdate {
    let (text, closed) = (notification.text().to_owned(), notification.is_settled());
    JobUpdate::Notified(Notified { at, check_run, text, closed })
}

/// What is recorded of a check run that GitHub did not take. One job remembers it for the whole commit.
fn refused(
    context: &ExecutionContext<'_>,
    check: &CheckRun,
    jobs: &[(JobId, Notification)],
    error: &GitHubError,
    at: Timestamp,
) -> Vec<(JobId, JobUpdate)> {
    let not_before = match error {
        GitHubError::RateLimited { until, .. } => Some(*until),
        _ => None,
    };
    let tries = tried(context, check, at, not_before);
    let mut updates: Vec<(JobId, JobUpdate)> =
        jobs.iter().take(1).map(|(job, _)| (*job, JobUpdate::NotifyTried(tries))).collect();
    if check.id.is_some() && matches!(error, GitHubError::NotFound { .. }) {
        updates.extend(of_commit(context, check).map(|job| (job.id(), JobUpdate::CheckRunGone)));
    }
    updates
}

/// The tries to post a commit's check run, with the one at `at`.
fn tried(
    context: &ExecutionContext<'_>,
    check: &CheckRun,
    at: Timestamp,
    not_before: Option<Timestamp>,
) -> FailedTries {
    let before = of_commit(context, check).filter_map(|job| job.notify_failed).max_by_key(|tries| tries.last_at);
    FailedTries::again(before, at, PAUSES, not_before)
}

fn of_commit<'a>(context: &ExecutionContext<'a>, check: &CheckRun) -> impl Iterator<Item = &'a Job> {
    context.jobs.values().copied().filter(|job| job.fact.repo == check.repo && job.fact.head_sha == check.head_sha)
}
