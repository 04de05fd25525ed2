//! How the control repository is reached: by a token of the workflow or of a person, or by the App. It is apart because the steps of a
//! workflow and the doctor reach it alike.

use std::sync::Arc;

use runnersmith_github::{ControlClient, GitHubClient, GitHubConfig};
use runnersmith_ports::SystemClock;
use runnersmith_types::{RepoFullName, Secret};

use super::options::WorkflowOptions;
use crate::credentials;
use crate::exit::CommandFailure;

/// The control repository, by the first of these variables that has a token, and else by the App; and the App, if there is one.
pub fn control(
    options: &WorkflowOptions,
    tokens: &[&str],
) -> Result<(ControlClient, Option<Arc<GitHubClient>>), CommandFailure> {
    let app = credentials::from_environment()?.map(|app| app.github);
    let token = tokens.iter().find_map(|name| credentials::variable(name)).map(Secret::new);
    let server = credentials::server_url(options.server_url.as_deref())?;
    let by_token = "check GITHUB_SERVER_URL, GITHUB_API_URL and the App's key";
    let by_app = "check the App's key, the server's address and the certificate file";
    let hint = if token.is_some() { by_token } else { by_app };
    let client = |mut config: GitHubConfig| {
        config.api_base.clone_from(&options.api_url);
        crate::client::github(config, Arc::new(SystemClock), hint).map(Arc::new)
    };
    let name = RepoFullName::parse(&options.repository)
        .map_err(|error| CommandFailure::config(format!("the control repository: {error}"), "give it as owner/name"))?;
    let app = app.map(client).transpose()?;
    let control = match (token, &app) {
        (Some(token), app) => {
            let control = ControlClient::new(client(GitHubConfig::with_token(&server, token))?, name);
            match app {
                Some(app) => control.with_organization_reader(app.clone()),
                None => control,
            }
        }
        (None, Some(app)) => ControlClient::new(app.clone(), name),
        (None, None) => {
            return Err(CommandFailure::config(
                format!("there is neither {} nor an App in the environment", tokens.join(" nor ")),
                "in a workflow pass `GITHUB_TOKEN: ${{ github.token }}` to the step, or APP_ID and APP_KEY_BASE64; elsewhere set \
                 GH_TOKEN to what `gh auth token` prints",
            ));
        }
    };
    Ok((control, app))
}
