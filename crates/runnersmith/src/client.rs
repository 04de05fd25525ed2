//! The client of GitHub, prepared in one place, so that what is wrong with it reads alike everywhere. What to check then is
//! known to each caller.

use std::sync::Arc;

use runnersmith_github::{GitHubClient, GitHubConfig};
use runnersmith_ports::{Clock, chain};

use crate::exit::CommandFailure;

/// A client.
///
/// # Errors
/// When the configuration cannot be used; `hint` says what to check.
pub fn github(config: GitHubConfig, clock: Arc<dyn Clock>, hint: &str) -> Result<GitHubClient, CommandFailure> {
    GitHubClient::new(config, clock)
        .map_err(|error| CommandFailure::config(format!("prepare the GitHub client: {}", chain(&error)), hint))
}
