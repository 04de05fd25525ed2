//! `runnersmith app`: make the GitHub App, check it, point its webhook.

mod check;
mod create;
mod keep;
pub mod options;
mod page;
mod vault;
mod webhook;

use std::path::Path;
use std::sync::Arc;

use runnersmith_config::Config;
use runnersmith_github::{GitHubClient, GitHubConfig};
use runnersmith_ports::chain;
use runnersmith_ports::{GitHubError, SystemClock};
use runnersmith_types::Secret;

use crate::credentials;
use crate::exit::{CommandFailure, ExitStatus};

/// Runs one of the commands.
///
/// # Errors
/// As each says.
pub async fn command(command: options::App) -> Result<ExitStatus, CommandFailure> {
    match command {
        options::App::Create(options) => create::command(options).await,
        options::App::Check(options) => check::command(options).await,
        options::App::Webhook(options) => webhook::command(options).await,
    }
}

/// An existing App, by a configuration or by the environment.
struct Known {
    github: GitHubConfig,
    webhook_secret: Option<Secret>,
    config: Option<Config>,
}

impl Known {
    async fn find(who: &options::Who) -> Result<Self, CommandFailure> {
        let default = Path::new("runnersmith.toml");
        let file = match &who.config {
            Some(file) => Some(file.as_path()),
            None => {
                if let Some(found) = credentials::from_environment()? {
                    return Ok(Self { github: found.github, webhook_secret: found.webhook_secret, config: None });
                }
                // One that cannot be looked for is read, which says why it cannot be.
                default.try_exists().unwrap_or(true).then_some(default)
            }
        };
        let Some(file) = file else {
            return Err(CommandFailure::config(
                "there is no App to look at: neither a configuration nor credentials in the environment",
                "name a file with --config, or set APP_ID and APP_KEY_BASE64; `runnersmith app create` makes an App",
            ));
        };
        let config = crate::query::read_config(file)?;
        let settings = crate::settings::from_config(&config).await?;
        let secret = settings.webhook_secrets.into_iter().next();
        Ok(Self { github: settings.github, webhook_secret: secret, config: Some(config) })
    }
}

fn client(config: GitHubConfig) -> Result<GitHubClient, CommandFailure> {
    let hint = "check the server's address, the App's private key and the CA file";
    crate::client::github(config, Arc::new(SystemClock), hint)
}

fn outside(error: &GitHubError) -> CommandFailure {
    let hint = match error {
        GitHubError::Unauthorized { .. } | GitHubError::NotInstalled { .. } => {
            "`runnersmith app check` shows what the App lacks"
        }
        GitHubError::RateLimited { .. } => "try again then",
        _ => "is GitHub reachable from here? behind a proxy set HTTPS_PROXY, or [github] proxy",
    };
    CommandFailure::outside(chain(error), hint)
}

/// GitHub's words as one harmless line.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
