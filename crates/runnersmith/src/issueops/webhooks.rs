//! After an apply, where GitHub sends an environment's webhooks: set by the App, with the secret from its parameter.

use std::sync::Arc;

use async_trait::async_trait;
use runnersmith_aws::{Parameters, Session};
use runnersmith_changes::Webhooks;
use runnersmith_github::GitHubClient;
use runnersmith_github::app_admin::{HookTarget, point_webhook};
use runnersmith_issueops::policy::{Policy, Webhook};
use runnersmith_ports::SystemClock;
use runnersmith_ports::chain;
use runnersmith_types::Owner;

use crate::credentials;

/// What a control plane listens to.
const EVENTS: [&str; 1] = ["workflow_job"];

/// Webhooks of environments on AWS.
pub struct CloudWebhooks {
    /// The App's client; `None`: the App is the one of the environment.
    pub github: Option<Arc<GitHubClient>>,
}

#[async_trait]
impl Webhooks for CloudWebhooks {
    async fn point(&self, policy: &Policy, endpoint: &str, secret_parameter: &str) -> Result<String, String> {
        let targets: Vec<HookTarget> = match policy.webhook {
            Webhook::None => return Ok(String::new()),
            Webhook::App => vec![HookTarget::App],
            Webhook::Organization => policy
                .organizations
                .iter()
                .filter_map(|organization| Owner::parse(organization.as_str()).ok())
                .map(HookTarget::Organization)
                .collect(),
        };
        let client = match &self.github {
            Some(client) => client.clone(),
            None => {
                let app = credentials::from_environment().map_err(|failure| failure.what)?;
                let app =
                    app.ok_or_else(|| "there is no App in the environment (APP_ID, APP_KEY_BASE64)".to_owned())?;
                Arc::new(GitHubClient::new(app.github, Arc::new(SystemClock)).map_err(|error| chain(&error))?)
            }
        };
        let mut secret = None;
        for network in &policy.networks {
            let session = Session::from_environment(Some(network.region.as_str()), None).await;
            let found = Parameters::new(&session).named(&[secret_parameter.to_owned()]).await;
            secret = found.map_err(|error| chain(&error))?.remove(secret_parameter);
            if secret.is_some() {
                break;
            }
        }
        let secret = secret.ok_or_else(|| format!("there is no parameter {secret_parameter}"))?;
        for target in &targets {
            point_webhook(&client, target, endpoint, &secret, &EVENTS).await.map_err(|error| chain(&error))?;
        }
        Ok(match policy.webhook {
            Webhook::App => "The App's webhook points there now.".to_owned(),
            Webhook::Organization | Webhook::None => "The organisation's webhook points there now.".to_owned(),
        })
    }
}
