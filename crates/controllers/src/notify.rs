//! Posting notifications: within the bound a job runs, or its author can read in GitHub why not. One check run per repository and commit, updated.

use runnersmith_plan::check_run_text;
use runnersmith_ports::CheckRun;
use runnersmith_types::{JobId, Notification, Notified, RepoFullName};

use crate::context::{ActionResult, ExecutionContext};

/// Creates or updates the commit's check run and records what each job's author was notified of.
pub(crate) async fn notify(
    context: &ExecutionContext<'_>,
    repo: RepoFullName,
    head_sha: String,
    jobs: Vec<(JobId, Notification)>,
) -> ActionResult {
    match context.take_write().await {
        Ok(true) => {}
        Ok(false) => return ActionResult::put_off("this minute's budget for writes is used up"),
        Err(error) => return ActionResult::failed(&error),
    }
    let ports = &context.world.ports;
    // Jobs of the commit that have a notification already share its check run.
    let id = context
        .jobs
        .values()
        .filter(|job| job.fact.repo == repo && job.fact.head_sha == head_sha)
        .find_map(|job| job.notified.as_ref().map(|notified| notified.check_run));
    let text = check_run_text(&jobs, |id| context.jobs.get(&id).map(|job| job.fact.name.as_str()));
    let conclusion = text.conclusion.map(str::to_owned);
    let check = CheckRun { repo, head_sha, id, title: text.title, summary: text.summary, conclusion };
    let check_run = match ports.github.notify(&check).await {
        Ok(id) => id,
        Err(error) => return ActionResult::github(&error),
    };
    let at = ports.clock.now();
    for (job, notification) in &jobs {
        let notified = Notified { at, check_run, text: notification.text().to_owned() };
        if let Err(error) = ports.ledger.record_notification(*job, notified).await {
            return ActionResult::failed(&error);
        }
    }
    ActionResult::done(format!("{} by check run {check_run}", check.title), Vec::new())
}
