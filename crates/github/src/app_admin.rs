//! The App itself: made from a manifest, and what it may do where it is installed.
//!
//! It is apart from the port: a fleet in operation never makes an App. A person does, once, by a command.

use std::collections::BTreeMap;

use runnersmith_ports::GitHubError;
use runnersmith_types::Secret;
use serde::Deserialize;
use serde_json::Value;

use crate::access::As;
use crate::client::GitHubClient;
use crate::operations as op;

/// Lists are read to their end, but never further than this.
const PAGES_MAX: usize = 20;
/// GitHub's codes have 40 characters; nothing much longer is put into a path.
const CODE_CHARS_MAX: usize = 200;

/// An App as GitHub shows it to itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct AppView {
    /// Its number.
    pub id: u64,
    /// Its name in addresses. GHES may leave it out.
    #[serde(default)]
    pub slug: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Whose it is. GHES may leave it out.
    pub owner: Option<OwnerView>,
    /// Its page, from which it is installed.
    #[serde(default)]
    pub html_url: String,
    /// What it asks for: GitHub's permission name and `read`, `write` or `admin`.
    #[serde(default)]
    pub permissions: BTreeMap<String, String>,
    /// The events that it is subscribed to.
    #[serde(default)]
    pub events: Vec<String>,
}

/// An App's owner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct OwnerView {
    /// The login.
    #[serde(default)]
    pub login: String,
    /// GitHub's word: `Organization`, `User`.
    #[serde(default, rename = "type")]
    pub kind: String,
}

impl AppView {
    /// The path of its settings in a browser, such as `/organizations/acme/settings/apps/runnersmith-acme`; none if the answer
    /// does not say it.
    #[must_use]
    pub fn settings_path(&self) -> Option<String> {
        let owner = self.owner.as_ref().filter(|owner| !owner.login.is_empty() && !self.slug.is_empty())?;
        Some(match owner.kind.as_str() {
            "Organization" => format!("/organizations/{}/settings/apps/{}", owner.login, self.slug),
            _ => format!("/settings/apps/{}", self.slug),
        })
    }
}

/// An installation. What it may do lags behind the App until an owner accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstallationView {
    /// The organisation or person, or an enterprise's slug.
    pub account: String,
    /// Its settings, where an owner accepts new permissions.
    pub html_url: String,
    /// What it may do.
    pub permissions: BTreeMap<String, String>,
    /// The events that it sends.
    pub events: Vec<String>,
    /// Whether somebody has suspended it.
    pub suspended: bool,
}

/// An App that was just made. It is the only time that GitHub shows these secrets.
#[derive(Clone, Debug)]
pub struct NewApp {
    /// What it is.
    pub view: AppView,
    /// Its client id.
    pub client_id: String,
    /// Its client secret.
    pub client_secret: Secret,
    /// The secret of its webhook; none if GitHub made no webhook.
    pub webhook_secret: Option<Secret>,
    /// Its private key, PEM.
    pub private_key_pem: Secret,
}

#[derive(Deserialize)]
struct Installation {
    account: Option<Account>,
    #[serde(default)]
    html_url: String,
    #[serde(default)]
    permissions: BTreeMap<String, Value>,
    #[serde(default)]
    events: Vec<String>,
    suspended_at: Option<String>,
}

/// A person or organisation has a login, an enterprise a slug.
#[derive(Deserialize)]
struct Account {
    login: Option<String>,
    slug: Option<String>,
}

#[derive(Deserialize)]
struct Made {
    #[serde(flatten)]
    view: AppView,
    client_id: String,
    client_secret: String,
    webhook_secret: Option<String>,
    pem: String,
}

impl From<Installation> for InstallationView {
    fn from(found: Installation) -> Self {
        // `null` stands for none.
        let given = |(name, word): (String, Value)| Some((name, word.as_str()?.to_owned()));
        Self {
            account: found.account.and_then(|account| account.login.or(account.slug)).unwrap_or_default(),
            html_url: found.html_url,
            permissions: found.permissions.into_iter().filter_map(given).collect(),
            events: found.events,
            suspended: found.suspended_at.is_some(),
        }
    }
}

impl GitHubClient {
    /// Exchanges the code of the manifest flow for the App's secrets. A code works once, within an hour; nobody's permission
    /// is needed, so a client without an App can do it.
    ///
    /// # Errors
    /// `NotFound` when the code was used, is too old or never was one.
    pub async fn convert_manifest(&self, code: &str) -> Result<NewApp, GitHubError> {
        let subject = "the manifest's code";
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if code.is_empty() || code.len() > CODE_CHARS_MAX || !code.chars().all(plain) || code.starts_with('.') {
            return Err(GitHubError::NotFound { operation: op::MANIFEST.id, subject: subject.into() });
        }
        let path = format!("/app-manifests/{code}/conversions");
        let made: Made = self.call(op::MANIFEST, As::Nobody, &path, subject, None).await?;
        Ok(NewApp {
            view: made.view,
            client_id: made.client_id,
            client_secret: Secret::new(made.client_secret),
            webhook_secret: made.webhook_secret.filter(|secret| !secret.is_empty()).map(Secret::new),
            private_key_pem: Secret::new(made.pem),
        })
    }

    /// The App as GitHub shows it.
    ///
    /// # Errors
    /// `Unauthorized` when the key is not this App's.
    pub async fn app(&self) -> Result<AppView, GitHubError> {
        self.call(op::APP, As::App, "/app", "the App", None).await
    }

    /// Where the App is installed, and what it may do there.
    ///
    /// # Errors
    /// As any call.
    pub async fn installations(&self) -> Result<Vec<InstallationView>, GitHubError> {
        let path = "/app/installations";
        let listed = self.pages::<Vec<Installation>>(op::INSTALLATIONS, &As::App, path, "the App", PAGES_MAX).await?;
        Ok(listed.items.into_iter().map(InstallationView::from).collect())
    }
}
