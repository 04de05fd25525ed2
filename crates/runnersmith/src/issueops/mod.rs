//! IssueOps in its two homes: a workflow of the control repository (here), and a running `serve`.
//!
//! Both make the same reconciler and differ in who they are, what they may do, and how they prove a run dead.

#[cfg(feature = "aws")]
mod cloud;
pub mod home;
pub mod options;
pub mod runs;
#[cfg(feature = "aws")]
mod webhooks;
mod workflow;

use runnersmith_issueops_engine::{Drift, Handled, Rights};
use runnersmith_ports::chain;
use runnersmith_types::ChangeTrigger;
use runnersmith_webhook::{Ignored, change_trigger};

use crate::exit::{ExitStatus, Failure};
use crate::report;

/// `runnersmith issueops …`. A failure may hold foreign text, so it is told here, as long as no text can give orders.
pub async fn command(options: options::IssueOps) -> ExitStatus {
    crate::startup::logs(false, "warn");
    let _quiet = workflow::StopCommands::new();
    match run(options).await {
        Ok(status) => status,
        Err(failure) => {
            report::failure(&failure);
            failure.status
        }
    }
}

async fn run(options: options::IssueOps) -> Result<ExitStatus, Failure> {
    let options::IssueOps { task, home } = options;
    match task {
        options::Task::Handle(event) => {
            let signal = match read_event(&event, &home.repository) {
                Ok(signal) => signal,
                Err(Event::Ignored(Ignored(why))) => {
                    report::note(&format!("nothing to do: {why}"));
                    workflow::output(&home, &Handled::default())?;
                    return Ok(ExitStatus::Success);
                }
                Err(Event::Failure(failure)) => return Err(failure),
            };
            let (reconciler, stop) = workflow::reconciler(&home, Rights::Plan).await?;
            let handled = reconciler.handle(&signal).await;
            finish(&home, stop, handled).await
        }
        options::Task::Tick => {
            let (reconciler, stop) = workflow::reconciler(&home, Rights::Plan).await?;
            let handled = reconciler.handle(&ChangeTrigger::Tick).await;
            finish(&home, stop, handled).await
        }
        options::Task::Continue { wait_minutes, look_seconds } => {
            let (reconciler, stop) = workflow::reconciler(&home, Rights::Apply).await?;
            let until = std::time::Instant::now() + std::time::Duration::from_secs(60 * wait_minutes);
            loop {
                let handled = reconciler.proceed().await;
                let waits = handled.as_ref().is_ok_and(|handled| !handled.draining.is_empty());
                if !waits || std::time::Instant::now() >= until || stop.is_told() {
                    return finish(&home, stop, handled).await;
                }
                report::note("a deletion waits for its jobs; looking again");
                stop.told_within(std::time::Duration::from_secs(look_seconds)).await;
            }
        }
        options::Task::Drift => {
            let (reconciler, stop) = workflow::reconciler(&home, Rights::Plan).await?;
            let found = reconciler.drift().await.map_err(|error| failed(&error));
            stop.settled().await;
            let mut status = ExitStatus::Success;
            for (environment, drift) in found? {
                match drift {
                    Drift::None => report::line(&format!("{environment}: as it should be")),
                    Drift::Busy => report::line(&format!("{environment}: is being changed")),
                    Drift::Differs { resources, issue } => {
                        report::line(&format!("{environment}: {resources} differ, see #{issue}"));
                    }
                    Drift::Failed(why) => {
                        report::note(&format!("{environment}: {why}"));
                        status = ExitStatus::Outside;
                    }
                }
            }
            Ok(status)
        }
    }
}

enum Event {
    Ignored(Ignored),
    Failure(Failure),
}

fn read_event(event: &options::Event, repository: &str) -> Result<ChangeTrigger, Event> {
    let body = std::fs::read(&event.event_path).map_err(|error| {
        Event::Failure(Failure::config(
            format!("read the event {}: {error}", event.event_path.display()),
            "in a workflow GITHUB_EVENT_PATH names it; elsewhere give --event-path and --event-name",
        ))
    })?;
    change_trigger(&event.event_name, &body, repository).map_err(Event::Ignored)
}

/// What failed, with a hint where one helps.
fn failed(error: &runnersmith_issueops_engine::ReconcileError) -> Failure {
    use runnersmith_issueops_engine::{BaseError, ReconcileError};
    let hint = match error {
        ReconcileError::Base(BaseError::NoPolicy { .. } | BaseError::Policy { .. }) => {
            "the platform policy lies at the root of the control repository's default branch"
        }
        ReconcileError::GitHub(runnersmith_ports::GitHubError::Unauthorized { .. }) => {
            "the workflow needs the permissions contents, issues and pull-requests: write"
        }
        ReconcileError::ChangeStore(_) => {
            "the job's role must read and write the records beside the state (terraform/modules/github-oidc)"
        }
        _ => "what was decided is stored: running this again, or the next tick, goes on",
    };
    Failure::outside(chain(error), hint)
}

async fn finish(
    home: &options::WorkflowHome,
    stop: workflow::Stop,
    handled: Result<Handled, runnersmith_issueops_engine::ReconcileError>,
) -> Result<ExitStatus, Failure> {
    // Terraform may still be ending in order.
    stop.settled().await;
    let handled = handled.map_err(|error| failed(&error))?;
    workflow::output(home, &handled)?;
    if let Some(first) = handled.failed.first() {
        let count = handled.failed.len();
        handled.failed.iter().for_each(|failed| report::note(&format!("not looked at: {failed}")));
        let hint = "the others were looked at; what was decided is stored, and the next tick goes on";
        return Err(Failure::outside(format!("{count} could not be looked at; the first: {first}"), hint));
    }
    for environment in &handled.needs_apply {
        report::note(&format!("{environment}: goes on in a job that may apply (`runnersmith issueops continue`)"));
    }
    Ok(ExitStatus::Success)
}
