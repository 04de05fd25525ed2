//! The manifest: what a browser posts to GitHub so that a person only has to confirm.
//!
//! GitHub's page "Registering a GitHub App from a manifest" says which fields there are. `hook_attributes.url` is
//! required whenever the object is there, and it must not be an address of a private network.

use std::fmt;

use runnersmith_types::Owner;
use serde_json::{Map, Value, json};

use crate::need::Needs;

/// GitHub refuses a longer name of an App.
pub const NAME_CHARS_MAX: usize = 34;
/// The webhook's address until the real one is known. The webhook is active nevertheless: GitHub's API can change the address
/// and the secret of an App's webhook but cannot switch it on. The name is reserved (RFC 2606) and leads nowhere, so
/// nothing is delivered to anybody, and the failed deliveries can be asked for again.
pub const PLACEHOLDER_URL: &str = "https://address-not-set-yet.example.com/webhook";

/// Who will own the App.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppOwner {
    /// An organisation; the person in the browser must be an owner of it.
    Organization(Owner),
    /// A person: the one who is signed in.
    User(Owner),
}

impl fmt::Display for AppOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organization(owner) | Self::User(owner) => owner.fmt(f),
        }
    }
}

/// The texts of a manifest.
#[derive(Clone, Debug)]
pub struct ManifestText<'a> {
    /// The App's name, unique on its server, at most [`NAME_CHARS_MAX`] characters.
    pub name: &'a str,
    /// Its home page.
    pub url: &'a str,
    /// Where GitHub sends the browser with the code.
    pub redirect_url: &'a str,
    /// The webhook's address, if it is known. It matters only if deliveries come by the App's own webhook.
    pub webhook_url: Option<&'a str>,
}

/// The manifest.
#[must_use]
pub fn manifest(needs: &Needs, text: &ManifestText<'_>) -> Value {
    let permissions: Map<String, Value> =
        needs.permissions().into_iter().map(|(name, access)| (name.to_owned(), json!(access.word()))).collect();
    json!({
        "name": text.name,
        "url": text.url,
        "description": "Self-hosted runners that come when a job is queued and are gone when it is done.",
        "hook_attributes": {
            "url": text.webhook_url.unwrap_or(PLACEHOLDER_URL),
            "active": needs.app_webhook,
        },
        "redirect_url": text.redirect_url,
        "callback_urls": [],
        "public": false,
        "request_oauth_on_install": false,
        "default_permissions": permissions,
        "default_events": needs.events(),
    })
}

/// Where the form with the manifest is posted. `state` comes back with the code; it must be safe in an address.
#[must_use]
pub fn form_address(server_url: &str, owner: &AppOwner, state: &str) -> String {
    let server = server_url.trim_end_matches('/');
    match owner {
        AppOwner::Organization(org) => format!("{server}/organizations/{org}/settings/apps/new?state={state}"),
        AppOwner::User(_) => format!("{server}/settings/apps/new?state={state}"),
    }
}
