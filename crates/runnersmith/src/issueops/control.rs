//! Who we are to the control repository: a workflow's own token, or the App.

use std::sync::Arc;

use runnersmith_github::{ControlClient, GitHubClient, GitHubConfig};
use runnersmith_ports::{ControlRepository, SystemClock};
use runnersmith_types::RepoFullName;

use crate::exit::Failure;

/// The control repository by a GitHub client.
///
/// # Errors
/// When the name or the client's configuration cannot be used.
pub fn control(config: GitHubConfig, repository: &str) -> Result<Arc<dyn ControlRepository>, Failure> {
    let name = RepoFullName::parse(repository)
        .map_err(|error| Failure::config(format!("the control repository: {error}"), "give it as owner/name"))?;
    let client = GitHubClient::new(config, Arc::new(SystemClock)).map_err(|error| {
        Failure::config(
            format!("prepare the GitHub client: {}", runnersmith_ports::chain(&error)),
            "check the App's key, the server's address and the certificate file",
        )
    })?;
    Ok(Arc::new(ControlClient::new(Arc::new(client), name)))
}
