//! A webhook, pointed: the App's own, or one of an organisation.
//!
//! It is apart from the port: a fleet in operation never moves a webhook. A person does, once, by a command, and the program
//! that has just made an environment's stack does for it.

use runnersmith_ports::GitHubError;
use runnersmith_types::{HookAddress, Owner, RunnerScope, Secret};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::As;
use crate::answer::{gone_is_fine, if_there};
use crate::client::GitHubClient;
use crate::operations as op;

/// Lists are read to their end, but never further than this.
const PAGES_MAX: usize = 20;

/// Where deliveries go. The secret is never shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookConfig {
    /// The address; none if none was ever set.
    pub url: Option<String>,
    /// Whether bodies are JSON. GitHub's default is a form, which is not read here.
    pub json: bool,
    /// Whether certificates are not verified.
    pub insecure: bool,
    /// Whether there is a secret, as far as GitHub says.
    pub has_secret: bool,
}

/// A webhook of an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganizationHook {
    /// Its number.
    pub id: u64,
    /// Whether it sends anything.
    pub active: bool,
    /// Of what.
    pub events: Vec<String>,
    /// To where.
    pub config: HookConfig,
}

/// Which webhook is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookTarget {
    /// The App's own.
    App,
    /// One of an organisation, found by its address.
    Organization(Owner),
}

/// How a webhook was pointed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointed {
    /// Whether it was not there, or pointed elsewhere, or did not send what is needed in the form that is read here. The
    /// secret is set in any case: GitHub does not say whether it is the same.
    pub moved: bool,
    /// What the configuration calls the webhook; none for the App's own.
    pub hook: Option<HookAddress>,
}

/// Why a webhook could not be pointed.
#[derive(Debug, thiserror::Error)]
pub enum PointError {
    /// Not an address that GitHub takes.
    #[error("point the webhook to {0:?}: an address that begins with https:// or http:// is needed")]
    Address(String),
    /// An empty secret verifies nothing.
    #[error("point the webhook: its secret is empty")]
    Secret,
    /// GitHub says yes and shows something else.
    #[error("point the webhook to {wanted:?}: GitHub shows {found:?} afterwards")]
    NotTaken {
        /// What was asked for.
        wanted: String,
        /// What is there.
        found: Option<String>,
    },
    /// GitHub.
    #[error("point the webhook")]
    GitHub(#[from] GitHubError),
}

#[derive(Default, Deserialize)]
struct Config {
    url: Option<String>,
    content_type: Option<String>,
    insecure_ssl: Option<Value>,
    secret: Option<String>,
}

#[derive(Deserialize)]
struct Hook {
    id: u64,
    #[serde(default)]
    active: bool,
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    config: Config,
}

impl From<Config> for HookConfig {
    fn from(found: Config) -> Self {
        Self {
            url: found.url.filter(|url| !url.is_empty()),
            json: found.content_type.as_deref() == Some("json"),
            // A text or a number, by its schema.
            insecure: found.insecure_ssl.is_some_and(|value| value == "1" || value == 1),
            has_secret: found.secret.is_some_and(|mask| !mask.is_empty()),
        }
    }
}

impl From<Hook> for OrganizationHook {
    fn from(found: Hook) -> Self {
        Self { id: found.id, active: found.active, events: found.events, config: found.config.into() }
    }
}

fn config(url: &str, secret: &Secret) -> Value {
    json!({"url": url, "content_type": "json", "insecure_ssl": "0", "secret": secret.expose()})
}

impl GitHubClient {
    /// Where the App's deliveries go. An App without a webhook has no address.
    ///
    /// # Errors
    /// As any call.
    pub async fn hook_config(&self) -> Result<HookConfig, GitHubError> {
        let found = self.call::<Config>(op::APP_HOOK, As::App, "/app/hook/config", "the App's webhook", None).await;
        Ok(if_there(found)?.map(HookConfig::from).unwrap_or_default())
    }

    /// Sends the App's deliveries there from now on, as JSON, signed with this secret.
    ///
    /// # Errors
    /// As any call.
    pub async fn set_hook_config(&self, url: &str, secret: &Secret) -> Result<HookConfig, GitHubError> {
        let body = Some(config(url, secret));
        let found: Config =
            self.call(op::APP_HOOK_UPDATE, As::App, "/app/hook/config", "the App's webhook", body).await?;
        Ok(found.into())
    }

    /// The webhooks of an organisation. The App needs write access to them even to look.
    ///
    /// # Errors
    /// As any call; without the permission `NotFound` or `Unauthorized`.
    pub async fn organization_hooks(&self, org: &Owner) -> Result<Vec<OrganizationHook>, GitHubError> {
        let (path, subject) = (format!("/orgs/{org}/hooks"), format!("webhooks of {org}"));
        let listed = self.pages::<Vec<Hook>>(op::ORG_HOOKS, &As::organization(org), &path, &subject, PAGES_MAX).await?;
        Ok(listed.items.into_iter().map(OrganizationHook::from).collect())
    }

    /// Makes a webhook of an organisation. GitHub sends it a ping at once, and refuses when the organisation has 20 webhooks
    /// for an event already.
    async fn create_organization_hook(
        &self,
        org: &Owner,
        url: &str,
        secret: &Secret,
        events: &[&str],
    ) -> Result<(), GitHubError> {
        let body = json!({"name": "web", "active": true, "events": events, "config": config(url, secret)});
        let (path, subject) = (format!("/orgs/{org}/hooks"), format!("a webhook of {org}"));
        self.call::<Hook>(op::ORG_HOOK_CREATE, As::organization(org), &path, &subject, Some(body)).await.map(|_| ())
    }

    /// Changes a webhook's address and secret; with `events`, also what it sends, and switches it on.
    async fn update_organization_hook(
        &self,
        org: &Owner,
        id: u64,
        url: &str,
        secret: &Secret,
        events: Option<&[&str]>,
    ) -> Result<(), GitHubError> {
        let (path, subject) = (format!("/orgs/{org}/hooks/{id}"), format!("webhook {id} of {org}"));
        match events {
            Some(events) => {
                // GitHub removes the secret when this call leaves it out, so the whole configuration goes along.
                let body = json!({"active": true, "events": events, "config": config(url, secret)});
                self.send(op::ORG_HOOK_UPDATE, &As::organization(org), &path, &subject, Some(body)).await?;
            }
            None => {
                let (path, body) = (format!("{path}/config"), config(url, secret));
                self.send(op::ORG_HOOK_CONFIG, &As::organization(org), &path, &subject, Some(body)).await?;
            }
        }
        Ok(())
    }

    /// Removes a webhook. One that is gone already is no error.
    ///
    /// # Errors
    /// As any call.
    pub async fn delete_organization_hook(&self, org: &Owner, id: u64) -> Result<(), GitHubError> {
        let (path, subject) = (format!("/orgs/{org}/hooks/{id}"), format!("webhook {id} of {org}"));
        gone_is_fine(self.send(op::ORG_HOOK_DELETE, &As::organization(org), &path, &subject, None).await)
    }
}

/// What an organisation's webhook needs so that it sends what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// No webhook has this address.
    Create,
    /// It sends what is wanted: its address, form and secret are set. `moved`: they were others before.
    Configure { id: u64, moved: bool },
    /// It does not send what is wanted, or nothing at all: what it sends is set too.
    Change { id: u64 },
}

impl Step {
    /// What follows from how it was before.
    fn of(before: Option<&OrganizationHook>, url: &str, events: &[&str]) -> Self {
        let Some(hook) = before else { return Self::Create };
        let sends = |event: &&str| hook.events.iter().any(|own| own == event || own == "*");
        if hook.active && events.iter().all(sends) {
            Self::Configure { id: hook.id, moved: is_elsewhere(&hook.config, url) }
        } else {
            Self::Change { id: hook.id }
        }
    }

    fn moved(self) -> bool {
        match self {
            Self::Create | Self::Change { .. } => true,
            Self::Configure { moved, .. } => moved,
        }
    }
}

/// Whether a webhook does not go to this address, or goes there in a form that is not read.
fn is_elsewhere(before: &HookConfig, url: &str) -> bool {
    before.url.as_deref() != Some(url) || !before.json
}

/// Whether an address can be a webhook's: GitHub takes `https://` and `http://`, and a host must follow.
#[must_use]
pub fn is_hook_address(url: &str) -> bool {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    host.is_some_and(|host| !host.is_empty() && !host.starts_with('/')) && !url.contains(char::is_whitespace)
}

/// Points a webhook to an address with a secret, and looks whether GitHub took it. Doing it twice is doing it once.
///
/// An organisation's webhook is found by its address and made if it is missing; it sends `events`. The App's own sends what
/// the App is subscribed to, and `events` is not used.
///
/// # Errors
/// When the address or the secret cannot be meant, GitHub refuses, or shows another address afterwards.
pub async fn point_webhook(
    client: &GitHubClient,
    target: &HookTarget,
    url: &str,
    secret: &Secret,
    events: &[&str],
) -> Result<Pointed, PointError> {
    if !is_hook_address(url) {
        return Err(PointError::Address(url.chars().take(200).collect()));
    }
    if secret.expose().is_empty() {
        return Err(PointError::Secret);
    }
    let taken = |found: Option<String>| {
        if found.as_deref() == Some(url) { Ok(()) } else { Err(PointError::NotTaken { wanted: url.into(), found }) }
    };
    match target {
        HookTarget::App => {
            let before = client.hook_config().await?;
            client.set_hook_config(url, secret).await?;
            let after = client.hook_config().await?;
            taken(after.url)?;
            Ok(Pointed { moved: is_elsewhere(&before, url), hook: None })
        }
        HookTarget::Organization(org) => {
            let at =
                |hooks: Vec<OrganizationHook>| hooks.into_iter().find(|hook| hook.config.url.as_deref() == Some(url));
            let before = at(client.organization_hooks(org).await?);
            let step = Step::of(before.as_ref(), url, events);
            match step {
                Step::Create => client.create_organization_hook(org, url, secret, events).await?,
                Step::Configure { id, .. } => client.update_organization_hook(org, id, url, secret, None).await?,
                Step::Change { id } => client.update_organization_hook(org, id, url, secret, Some(events)).await?,
            }
            let after = at(client.organization_hooks(org).await?);
            taken(after.as_ref().and_then(|hook| hook.config.url.clone()))?;
            let hook = after.map(|hook| HookAddress { at: RunnerScope::Organization(org.clone()), id: hook.id });
            Ok(Pointed { moved: step.moved(), hook })
        }
    }
}

/// Removes an organisation's webhooks with this address, for a deletion of an environment. Returns how many.
///
/// # Errors
/// As any call.
pub async fn remove_webhook(client: &GitHubClient, org: &Owner, url: &str) -> Result<usize, GitHubError> {
    let hooks = client.organization_hooks(org).await?;
    let mut removed = 0;
    for hook in hooks.into_iter().filter(|hook| hook.config.url.as_deref() == Some(url)) {
        client.delete_organization_hook(org, hook.id).await?;
        removed += 1;
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://runners.acme.example/webhook";

    fn config_of(url: &str, json: bool) -> HookConfig {
        HookConfig { url: Some(url.to_owned()), json, insecure: false, has_secret: true }
    }

    fn hook(active: bool, events: &[&str], json: bool) -> Option<OrganizationHook> {
        let events = events.iter().map(|event| (*event).to_owned()).collect();
        Some(OrganizationHook { id: 17, active, events, config: config_of(URL, json) })
    }

    #[test]
    fn what_an_organisations_webhook_needs_follows_from_how_it_was() {
        let wanted = ["workflow_job", "issues"];
        for (before, step, moved) in [
            (None, Step::Create, true),
            (hook(true, &["issues", "workflow_job"], true), Step::Configure { id: 17, moved: false }, false),
            (hook(true, &["push", "issues", "workflow_job"], true), Step::Configure { id: 17, moved: false }, false),
            (hook(true, &["*"], true), Step::Configure { id: 17, moved: false }, false),
            (hook(true, &["*"], false), Step::Configure { id: 17, moved: true }, true),
            (hook(true, &["workflow_job"], true), Step::Change { id: 17 }, true),
            (hook(true, &[], false), Step::Change { id: 17 }, true),
            (hook(false, &["*"], true), Step::Change { id: 17 }, true),
        ] {
            let found = Step::of(before.as_ref(), URL, &wanted);
            assert_eq!((found, found.moved()), (step, moved), "{before:?}");
        }
    }

    #[test]
    fn an_apps_webhook_is_elsewhere_by_its_address_and_by_its_form() {
        for (before, elsewhere) in [
            (config_of(URL, true), false),
            (config_of(URL, false), true),
            (config_of("https://old.acme.example/webhook", true), true),
            (HookConfig::default(), true),
        ] {
            assert_eq!(is_elsewhere(&before, URL), elsewhere, "{before:?}");
        }
    }
}
