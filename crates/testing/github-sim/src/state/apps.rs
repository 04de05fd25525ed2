//! Apps, webhooks and the deliveries that they were sent.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::options::App;

pub(crate) struct AppState {
    pub app: App,
    pub public: Vec<u8>,
    pub webhook_url: Option<String>,
}

/// A webhook of an organisation or a repository.
pub(crate) struct Hook {
    /// `org` or `owner/repo`.
    pub scope: String,
    pub url: String,
    pub secret: String,
}

pub(crate) struct Delivery {
    pub id: u64,
    pub guid: String,
    pub event: String,
    pub action: String,
    pub at_ms: i64,
    pub status: u16,
    pub redelivery: bool,
    /// The App or the webhook that it is of.
    pub of: u64,
    pub body: String,
}

pub(crate) type Permissions = BTreeMap<String, String>;

/// What is known of Apps beyond their key, and of organisations' webhooks beyond their address.
#[derive(Default)]
pub(crate) struct Registry {
    pub apps: BTreeMap<u64, Known>,
    /// Code of the manifest flow: the App, and the secrets that its exchange shows.
    pub codes: BTreeMap<String, (u64, Value)>,
    /// What an installation may do while it lags behind its App.
    pub lagging: BTreeMap<u64, (Permissions, Vec<String>)>,
    pub hooks: BTreeMap<u64, (Vec<String>, bool)>,
}

pub(crate) struct Known {
    pub name: String,
    pub owner: String,
    pub url: String,
    pub permissions: Permissions,
    pub events: Vec<String>,
    /// The address of a webhook that is not active.
    pub silent_url: Option<String>,
    pub active: bool,
}
