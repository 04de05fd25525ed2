//! The manifest of an App: what it must have, and the App that is made of it. GitHub's page "Registering a GitHub App from a
//! manifest" says the one; that an event needs its permission, its page on events.

use serde_json::{Value, json};

use crate::keys;
use crate::options::App;
use crate::state::State;
use crate::state::apps::{Known, Permissions};

/// Permissions with which an App may subscribe to an event.
const EVENTS: [(&str, &str); 9] = [
    ("workflow_job", "actions"),
    ("workflow_run", "actions"),
    ("check_run", "checks"),
    ("check_suite", "checks"),
    ("issues", "issues"),
    ("issue_comment", "issues"),
    ("pull_request", "pull_requests"),
    ("push", "contents"),
    ("member", "members"),
];

/// The permissions of GitHub's schema `app-permissions` that anything here can be asked for.
const PERMISSIONS: [&str; 14] = [
    "actions",
    "administration",
    "checks",
    "contents",
    "issues",
    "metadata",
    "pull_requests",
    "repository_hooks",
    "statuses",
    "members",
    "organization_administration",
    "organization_hooks",
    "organization_self_hosted_runners",
    "secrets",
];

/// Whether GitHub would make an App of it; the error is in its words.
pub(crate) fn check(state: &State, manifest: &Value) -> Result<(), String> {
    let text = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    let name = text("/name").ok_or("\"name\" wasn't supplied")?;
    if name.chars().count() > 34 {
        return Err("Name is too long (maximum is 34 characters)".into());
    }
    if state.registry.apps.values().any(|app| app.name == name) {
        return Err("Name has already been taken".into());
    }
    text("/url").ok_or("\"url\" wasn't supplied")?;
    text("/redirect_url").ok_or("\"redirect_url\" wasn't supplied")?;
    if let Some(hook) = manifest.get("hook_attributes") {
        if hook.get("secret").is_some() {
            return Err("\"secret\" is not a permitted key of hook_attributes".into());
        }
        text("/hook_attributes/url").ok_or("Hook url wasn't supplied")?;
    }
    let permissions = permissions_of(manifest);
    for (name, word) in &permissions {
        if !PERMISSIONS.contains(&name.as_str()) || !matches!(word.as_str(), "read" | "write") {
            return Err(format!("Default permission records resource is not included in the list: {name}"));
        }
    }
    for event in events_of(manifest) {
        let needed = EVENTS.iter().find(|(name, _)| *name == event).map(|(_, permission)| *permission);
        if !needed.is_some_and(|permission| permissions.contains_key(permission)) {
            return Err(format!("Default events unsupported: {event}"));
        }
    }
    Ok(())
}

fn permissions_of(value: &Value) -> Permissions {
    let all = value.get("default_permissions").and_then(Value::as_object).into_iter().flatten();
    all.filter_map(|(name, word)| Some((name.clone(), word.as_str()?.to_owned()))).collect()
}

fn events_of(value: &Value) -> Vec<String> {
    let all = value.get("default_events").and_then(Value::as_array).into_iter().flatten();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Makes the App. Returns the code.
pub(crate) fn register(state: &mut State, owner: &str, manifest: &Value, key: &str) -> String {
    let text = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let name = text("/name").unwrap_or_default();
    let hook = text("/hook_attributes/url");
    let active = hook.is_some() && manifest.pointer("/hook_attributes/active").and_then(Value::as_bool).unwrap_or(true);
    let webhook_secret = hook.as_ref().map(|_| state.token("hook"));
    let slug: String = name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let app = App {
        slug,
        private_key_pem: key.to_owned(),
        webhook_secret: webhook_secret.clone().unwrap_or_default(),
        webhook_url: hook.clone().filter(|_| active),
    };
    // The key was made here, so it can be read.
    let public = keys::public_key(key).unwrap_or_default();
    let id = state.add_app(app, public);
    let mut permissions = permissions_of(manifest);
    permissions.insert("metadata".into(), "read".into());
    let known = Known {
        name,
        owner: owner.to_owned(),
        url: text("/url").unwrap_or_default(),
        permissions,
        events: events_of(manifest),
        silent_url: hook.filter(|_| !active),
        active,
    };
    state.registry.apps.insert(id, known);
    let code = state.token("");
    let secrets = json!({
        "client_id": format!("Iv1.{id:016x}"), "client_secret": state.token("client"), "webhook_secret": webhook_secret, "pem": key,
    });
    state.registry.codes.insert(code.clone(), (id, secrets));
    code
}
