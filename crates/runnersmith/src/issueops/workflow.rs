//! The workflow mode: one program, one step. The event comes by file, the token by the environment, and whether another
//! job must go on is said by an output.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use runnersmith_github::GitHubClient;
use runnersmith_issueops_engine::{ChangeReconciler, Handled, Rights};
use runnersmith_ports::ControlRepository;
use tokio::sync::watch;

use super::connection;
use super::options::WorkflowOptions;
use crate::exit::CommandFailure;
use crate::random::random_hex;
use crate::{report, startup};

/// GitHub reads orders from a step's output. Foreign text must not be able to give any, so they are switched off for as long
/// as this lives, by a word that nobody can guess.
pub struct StopCommands(Option<String>);

impl StopCommands {
    /// Switches them off, in a workflow.
    pub fn new() -> Self {
        let is_workflow = std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true");
        let word = random_hex::<16>().filter(|_| is_workflow);
        if let Some(word) = &word {
            report::line(&format!("::stop-commands::{word}"));
        }
        Self(word)
    }
}

impl Drop for StopCommands {
    fn drop(&mut self) {
        if let Some(word) = &self.0 {
            report::line(&format!("::{word}::"));
        }
    }
}

/// Progress as lines of the step's log.
#[cfg(feature = "aws")]
pub struct Shown;

#[cfg(feature = "aws")]
impl runnersmith_issueops_engine::Progress for Shown {
    fn line(&self, line: &str) {
        let clean: String = line.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect();
        report::note(&clean);
    }
}

/// The signal to stop, and what must come to its end before the program does.
pub struct Stop {
    stopped: watch::Receiver<bool>,
    #[cfg(feature = "aws")]
    terraform: Option<runnersmith_provision_terraform::Terraform>,
}

impl Stop {
    /// Whether it was given.
    pub fn is_stopped(&self) -> bool {
        *self.stopped.borrow()
    }

    /// Waits for it, at most so long.
    pub async fn wait_at_most(&self, most: Duration) {
        let mut stopped = self.stopped.clone();
        // Time over is an answer too.
        let _ = tokio::time::timeout(most, stopped.wait_for(|stopped| *stopped)).await;
    }

    /// Waits until nothing runs any more.
    pub async fn completed(&self) {
        #[cfg(feature = "aws")]
        if let Some(terraform) = &self.terraform {
            terraform.settled().await;
        }
    }
}

/// Says to the workflow whether a job with the right to apply must go on.
pub fn output(options: &WorkflowOptions, handled: &Handled) -> Result<(), CommandFailure> {
    let goes_on = !handled.needs_apply.is_empty();
    report::line(&format!("continue={goes_on}"));
    let Some(path) = &options.output else { return Ok(()) };
    let written = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .and_then(|mut file| writeln!(file, "continue={goes_on}"));
    written.map_err(|error| {
        CommandFailure::outside(format!("write {}: {error}", path.display()), "in a workflow GITHUB_OUTPUT names it")
    })
}

/// Who acts in a workflow.
#[cfg_attr(not(feature = "aws"), expect(dead_code, reason = "without AWS it is made, and goes no further"))]
pub struct Identity {
    /// Who writes to the control repository: the workflow's token; the App reads what that one may not.
    pub control: Arc<dyn ControlRepository>,
    /// The App, if there is one: it sets webhooks.
    pub app: Option<Arc<GitHubClient>>,
}

/// Who acts here, by the token and the App of the environment.
fn identity(options: &WorkflowOptions) -> Result<Identity, CommandFailure> {
    let (control, app) = connection::control(options, &["GITHUB_TOKEN"])?;
    Ok(Identity { control: Arc::new(control), app })
}

/// A stop signal from the terminal, the runner or the system.
fn stop_signal() -> Result<watch::Receiver<bool>, CommandFailure> {
    let (stop, stopped) = watch::channel(false);
    let mut signals = startup::StopSignals::new()?;
    tokio::spawn(async move {
        signals.next().await;
        report::note("shutting down gracefully; waiting for running operations");
        stop.send_replace(true);
        // Kept, so that anyone who waits sees the value and not a closed channel.
        std::future::pending::<()>().await;
    });
    Ok(stopped)
}

/// The reconciler of this mode.
pub async fn reconciler(
    options: &WorkflowOptions,
    rights: Rights,
) -> Result<(Arc<ChangeReconciler>, Stop), CommandFailure> {
    let identity = identity(options)?;
    let stopped = stop_signal()?;
    made(options, rights, identity, stopped).await
}

#[cfg(feature = "aws")]
async fn made(
    options: &WorkflowOptions,
    rights: Rights,
    identity: Identity,
    stopped: watch::Receiver<bool>,
) -> Result<(Arc<ChangeReconciler>, Stop), CommandFailure> {
    let (parts, terraform) = super::cloud::parts(options, rights, identity, stopped.clone()).await?;
    Ok((Arc::new(ChangeReconciler::new(parts)), Stop { stopped, terraform: Some(terraform) }))
}

#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "the same face with and without AWS")]
async fn made(
    _options: &WorkflowOptions,
    _rights: Rights,
    _identity: Identity,
    _stopped: watch::Receiver<bool>,
) -> Result<(Arc<ChangeReconciler>, Stop), CommandFailure> {
    Err(CommandFailure::config(
        "IssueOps in a workflow keeps its records on S3, and this program was built without AWS",
        "take a released program, or build it with `cargo build --profile dist --features aws`",
    ))
}
