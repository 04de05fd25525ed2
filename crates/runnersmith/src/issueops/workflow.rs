//! The home in a workflow: one program, one step. The event comes by file, the token by the environment, and whether another
//! job must go on is said by an output.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use runnersmith_changes::{Desk, Handled, Rights};
use runnersmith_github::GitHubConfig;
use runnersmith_types::Secret;
use tokio::sync::watch;

use super::options::WorkflowHome;
use crate::exit::Failure;
use crate::report;

/// GitHub reads orders from a step's output. Foreign text must not be able to give any, so they are switched off for as long
/// as this lives, by a word that nobody can guess.
pub struct StopCommands(Option<String>);

impl StopCommands {
    /// Switches them off, in a workflow.
    pub fn new() -> Self {
        use ring::rand::SecureRandom as _;
        let mut random = [0; 16];
        let is_workflow = std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true");
        if !is_workflow || ring::rand::SystemRandom::new().fill(&mut random).is_err() {
            return Self(None);
        }
        let word = random.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        report::line(&format!("::stop-commands::{word}"));
        Self(Some(word))
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
impl runnersmith_changes::Progress for Shown {
    fn line(&self, line: &str) {
        let clean: String = line.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect();
        report::note(&clean);
    }
}

/// The signal to stop, and what must come to its end before the program does.
pub struct Stop {
    told: watch::Receiver<bool>,
    #[cfg(feature = "aws")]
    terraform: Option<runnersmith_terraform::Terraform>,
}

impl Stop {
    /// Whether it was given.
    pub fn is_told(&self) -> bool {
        *self.told.borrow()
    }

    /// Waits for it, at most so long.
    pub async fn told_within(&self, most: Duration) {
        let mut told = self.told.clone();
        // Time over is an answer too.
        let _ = tokio::time::timeout(most, told.wait_for(|told| *told)).await;
    }

    /// Waits until nothing runs any more.
    pub async fn settled(&self) {
        #[cfg(feature = "aws")]
        if let Some(terraform) = &self.terraform {
            terraform.settled().await;
        }
    }
}

/// Says to the workflow whether a job with the right to apply must go on.
pub fn output(home: &WorkflowHome, handled: &Handled) -> Result<(), Failure> {
    let goes_on = !handled.needs_apply.is_empty();
    report::line(&format!("continue={goes_on}"));
    let Some(path) = &home.output else { return Ok(()) };
    let written = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .and_then(|mut file| writeln!(file, "continue={goes_on}"));
    written.map_err(|error| {
        Failure::outside(format!("write {}: {error}", path.display()), "in a workflow GITHUB_OUTPUT names it")
    })
}

/// Who writes to the control repository: the workflow's token; the App reads what that one may not.
pub fn identity(home: &WorkflowHome) -> Result<Arc<dyn runnersmith_ports::ControlRepository>, Failure> {
    use runnersmith_github::{ControlClient, GitHubClient};
    let app = crate::credentials::from_environment()?;
    let token = std::env::var("GITHUB_TOKEN").ok().filter(|token| !token.trim().is_empty()).map(Secret::new);
    let server = crate::credentials::server_url(home.server_url.as_deref())?;
    let reach = |mut config: GitHubConfig| {
        config.api_base.clone_from(&home.api_url);
        config
    };
    let Some(token) = token else {
        let Some(app) = app else {
            return Err(Failure::config(
                "there is neither GITHUB_TOKEN nor an App in the environment",
                "pass `GITHUB_TOKEN: ${{ github.token }}` to the step, or APP_ID and APP_KEY_BASE64",
            ));
        };
        return super::control::control(reach(app.github), &home.repository);
    };
    let clock: Arc<dyn runnersmith_ports::Clock> = Arc::new(runnersmith_ports::SystemClock);
    let client = |config: GitHubConfig| {
        GitHubClient::new(config, clock.clone()).map(Arc::new).map_err(|error| {
            Failure::config(
                format!("prepare the GitHub client: {}", runnersmith_ports::chain(&error)),
                "check GITHUB_SERVER_URL, GITHUB_API_URL and the App's key",
            )
        })
    };
    let name = runnersmith_types::RepoFullName::parse(&home.repository)
        .map_err(|error| Failure::config(format!("the control repository: {error}"), "give it as owner/name"))?;
    let control = ControlClient::new(client(reach(GitHubConfig::with_token(&server, token)))?, name);
    Ok(match app {
        Some(app) => Arc::new(control.with_organization_reader(client(reach(app.github))?)),
        None => Arc::new(control),
    })
}

/// A stop signal from the terminal, the runner or the system.
fn stop_signal() -> Result<watch::Receiver<bool>, Failure> {
    let (stop, told) = watch::channel(false);
    let interrupted = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt());
    let ended = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    let (mut interrupted, mut ended) = interrupted
        .and_then(|interrupted| Ok((interrupted, ended?)))
        .map_err(|error| Failure::internal(format!("listen for signals: {error}")))?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = ended.recv() => {}
        }
        report::note("told to stop; what runs ends in order");
        stop.send_replace(true);
        // Kept, so that whoever waits sees the value and not a closed channel.
        std::future::pending::<()>().await;
    });
    Ok(told)
}

/// The desk of this home.
pub async fn desk(home: &WorkflowHome, rights: Rights) -> Result<(Arc<Desk>, Stop), Failure> {
    let control = identity(home)?;
    let told = stop_signal()?;
    made(home, rights, control, told).await
}

#[cfg(feature = "aws")]
async fn made(
    home: &WorkflowHome,
    rights: Rights,
    control: Arc<dyn runnersmith_ports::ControlRepository>,
    told: watch::Receiver<bool>,
) -> Result<(Arc<Desk>, Stop), Failure> {
    let (parts, terraform) = super::cloud::parts(home, rights, control, told.clone()).await?;
    Ok((Arc::new(Desk::new(parts)), Stop { told, terraform: Some(terraform) }))
}

#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "the same face with and without AWS")]
async fn made(
    _home: &WorkflowHome,
    _rights: Rights,
    _control: Arc<dyn runnersmith_ports::ControlRepository>,
    _told: watch::Receiver<bool>,
) -> Result<(Arc<Desk>, Stop), Failure> {
    Err(Failure::config(
        "IssueOps in a workflow keeps its records on S3, and this program was built without AWS",
        "take a released program, or build it with `cargo build --release --features aws`",
    ))
}
