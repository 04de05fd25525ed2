//! IssueOps in its two modes: in a workflow of the control repository (here), and in a running `serve`.
//!
//! Both make the same reconciler and differ in who they are, what they may do, and how they prove a run dead.

#[cfg(feature = "aws")]
mod cloud;
mod connection;
mod doctor;
pub mod options;
pub mod runs;
pub mod server_mode;
#[cfg(feature = "aws")]
mod webhooks;
mod workflow;

use runnersmith_issueops_engine::{Drift, Handled, Rights};
use runnersmith_ports::chain;
use runnersmith_types::ChangeTrigger;
use runnersmith_webhook::{Ignored, change_trigger};

use crate::exit::{CommandFailure, ExitStatus};
use crate::report;

/// `runnersmith issueops …`. A failure may hold foreign text, so it is reported here, as long as no text can give orders.
pub async fn command(options: options::IssueOpsOptions) -> ExitStatus {
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

async fn run(options: options::IssueOpsOptions) -> Result<ExitStatus, CommandFailure> {
    let options::IssueOpsOptions { task, workflow: workflow_options } = options;
    match task {
        options::Task::Handle(event) => {
            let trigger = match read_event(&event, &workflow_options.repository) {
                Ok(trigger) => trigger,
                Err(NoTrigger::Ignored(Ignored(why))) => {
                    report::note(&format!("nothing to do: {why}"));
                    workflow::output(&workflow_options, &Handled::default())?;
                    return Ok(ExitStatus::Success);
                }
                Err(NoTrigger::Failed(failure)) => return Err(failure),
            };
            let (reconciler, stop) = workflow::reconciler(&workflow_options, Rights::Plan).await?;
            let handled = reconciler.handle(&trigger).await;
            finish(&workflow_options, stop, handled).await
        }
        options::Task::Tick => {
            let (reconciler, stop) = workflow::reconciler(&workflow_options, Rights::Plan).await?;
            let handled = reconciler.handle(&ChangeTrigger::Tick).await;
            finish(&workflow_options, stop, handled).await
        }
        options::Task::Continue { wait_minutes, look_seconds } => {
            let (reconciler, stop) = workflow::reconciler(&workflow_options, Rights::Apply).await?;
            let until = std::time::Instant::now() + std::time::Duration::from_secs(60 * wait_minutes);
            loop {
                let handled = reconciler.proceed().await;
                let waits = handled.as_ref().is_ok_and(|handled| !handled.draining.is_empty());
                if !waits || std::time::Instant::now() >= until || stop.is_stopped() {
                    return finish(&workflow_options, stop, handled).await;
                }
                report::note("a deletion waits for its jobs; looking again");
                stop.wait_at_most(std::time::Duration::from_secs(look_seconds)).await;
            }
        }
        options::Task::Doctor { json } => doctor::command(&workflow_options, json).await,
        options::Task::Drift => {
            let (reconciler, stop) = workflow::reconciler(&workflow_options, Rights::Plan).await?;
            let found = reconciler.drift().await.map_err(|error| failed(&error));
            stop.completed().await;
            let mut status = ExitStatus::Success;
            for (environment, drift) in found? {
                match drift {
                    Drift::None => report::line(&format!("{environment}: as it should be")),
                    Drift::Busy => report::line(&format!("{environment}: is being changed")),
                    Drift::HandEdited { files } => {
                        report::note(&format!(
                            "{environment}: {files} file(s) of its folder are not what its last request rendered, so nothing was \
                             planned; take them back, or open a request for it and have an admin comment /plan"
                        ));
                        status = ExitStatus::RequestFailed;
                    }
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

/// Why an event starts nothing.
enum NoTrigger {
    Ignored(Ignored),
    Failed(CommandFailure),
}

fn read_event(event: &options::RunEvent, repository: &str) -> Result<ChangeTrigger, NoTrigger> {
    let body = std::fs::read(&event.event_path).map_err(|error| {
        NoTrigger::Failed(CommandFailure::config(
            format!("read the event {}: {error}", event.event_path.display()),
            "in a workflow GITHUB_EVENT_PATH names it; elsewhere give --event-path and --event-name",
        ))
    })?;
    change_trigger(&event.event_name, &body, repository).map_err(NoTrigger::Ignored)
}

/// What failed, with a hint where one helps.
fn failed(error: &runnersmith_issueops_engine::ReconcileError) -> CommandFailure {
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
    CommandFailure::outside(chain(error), hint)
}

async fn finish(
    workflow_options: &options::WorkflowOptions,
    stop: workflow::Stop,
    handled: Result<Handled, runnersmith_issueops_engine::ReconcileError>,
) -> Result<ExitStatus, CommandFailure> {
    // Terraform may still be ending in order.
    stop.completed().await;
    let handled = handled.map_err(|error| failed(&error))?;
    workflow::output(workflow_options, &handled)?;
    if let Some(first) = handled.failed.first() {
        let count = handled.failed.len();
        handled.failed.iter().for_each(|failed| report::note(&format!("not looked at: {failed}")));
        let hint = "the others were looked at; what was decided is stored, and the next tick goes on";
        return Err(CommandFailure::outside(format!("{count} could not be looked at; the first: {first}"), hint));
    }
    for environment in &handled.needs_apply {
        report::note(&format!("{environment}: goes on in a job that may apply (`runnersmith issueops continue`)"));
    }
    Ok(ExitStatus::Success)
}
