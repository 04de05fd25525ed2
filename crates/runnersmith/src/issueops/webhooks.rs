//! After an apply, where GitHub sends an environment's webhooks: set by the App, with the secret from its parameter; and
//! removed after a deletion, where a webhook was made for the environment.

use std::sync::Arc;

use async_trait::async_trait;
use runnersmith_aws::{Parameters, Session};
use runnersmith_github::GitHubClient;
use runnersmith_github::webhook_admin::{HookTarget, point_webhook, remove_webhook};
use runnersmith_issueops::policy::{Policy, WebhookTarget};
use runnersmith_issueops_engine::Webhooks;
use runnersmith_ports::chain;
use runnersmith_types::Owner;

/// What a control plane listens to.
const EVENTS: [&str; 1] = ["workflow_job"];

/// Webhooks of environments on AWS.
pub struct CloudWebhooks {
    /// The App's client, if there is an App.
    pub github: Option<Arc<GitHubClient>>,
}

impl CloudWebhooks {
    fn client(&self) -> Result<&GitHubClient, String> {
        self.github.as_deref().ok_or_else(|| "there is no App in the environment (APP_ID, APP_KEY_BASE64)".to_owned())
    }
}

/// The organisations that a policy serves.
fn owners(policy: &Policy) -> Result<Vec<Owner>, String> {
    let owners = policy.organizations.iter().map(|organization| Owner::parse(organization.as_str()));
    owners.collect::<Result<_, _>>().map_err(|error| chain(&error))
}

#[async_trait]
impl Webhooks for CloudWebhooks {
    async fn point(
        &self,
        policy: &Policy,
        organization: &str,
        endpoint: &str,
        secret_parameter: &str,
    ) -> Result<String, String> {
        let (target, said) = match policy.webhook {
            WebhookTarget::None => return Ok(String::new()),
            WebhookTarget::App => (HookTarget::App, "The App's webhook points there now."),
            WebhookTarget::Organization => {
                let owner = Owner::parse(organization).map_err(|error| chain(&error))?;
                (HookTarget::Organization(owner), "The organisation's webhook points there now.")
            }
        };
        let client = self.client()?;
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
        let pointed = point_webhook(client, &target, endpoint, &secret, &EVENTS).await;
        pointed.map(|_| said.to_owned()).map_err(|error| format!("{}: {}", named(&target), chain(&error)))
    }

    async fn forget(&self, policy: &Policy, endpoint: &str) -> Result<String, String> {
        // The App's own webhook cannot be removed, nor switched off; the next environment sets it.
        if policy.webhook != WebhookTarget::Organization {
            return Ok(String::new());
        }
        let (client, mut tried) = (self.client()?, Vec::new());
        for owner in owners(policy)? {
            tried.push((owner.to_string(), remove_webhook(client, &owner, endpoint).await));
        }
        Ok(match all_or_what_failed(tried)?.into_iter().sum() {
            0 => String::new(),
            _ => "The organisation's webhook that led there is removed.".to_owned(),
        })
    }
}

fn named(target: &HookTarget) -> String {
    match target {
        HookTarget::App => "the App".to_owned(),
        HookTarget::Organization(owner) => owner.to_string(),
    }
}

/// What came of each, when all went well, and otherwise what failed where: one that fails keeps no other from being tried.
fn all_or_what_failed<T>(tried: Vec<(String, Result<T, impl std::error::Error>)>) -> Result<Vec<T>, String> {
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for (name, result) in tried {
        match result {
            Ok(one) => done.push(one),
            Err(error) => failed.push(format!("{name}: {}", chain(&error))),
        }
    }
    if failed.is_empty() { Ok(done) } else { Err(failed.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_said_of_each() {
        let one = |name: &str, result: Result<u32, &str>| (name.to_owned(), result.map_err(std::io::Error::other));
        assert_eq!(all_or_what_failed(vec![one("acme", Ok(1)), one("apex", Ok(2))]), Ok(vec![1, 2]));
        let failed = all_or_what_failed(vec![
            one("acme", Err("not found")),
            one("apex", Ok(2)),
            one("the App", Err("forbidden")),
        ]);
        assert_eq!(failed, Err("acme: not found; the App: forbidden".to_owned()));
    }
}
