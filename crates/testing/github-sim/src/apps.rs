//! Apps that are made from a manifest, what they may do, and where deliveries go: the App's webhook and those of organisations.
//!
//! The page does at once what GitHub does after a person has confirmed. What a manifest must have, GitHub's page
//! "Registering a GitHub App from a manifest" says; that an event needs its permission, its page on events.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};

use crate::api::Answer;
use crate::model::{Hook, State, World};
use crate::{App, auth, json as form, time};

type Permissions = BTreeMap<String, String>;

/// What is known of Apps beyond their key, and of organisations' webhooks beyond their address.
#[derive(Default)]
pub(crate) struct Registry {
    apps: BTreeMap<u64, Known>,
    /// Code of the manifest flow: the App, and the secrets that its exchange shows.
    codes: BTreeMap<String, (u64, Value)>,
    /// What an installation may do while it lags behind its App.
    lagging: BTreeMap<u64, (Permissions, Vec<String>)>,
    hooks: BTreeMap<u64, (Vec<String>, bool)>,
}

struct Known {
    name: String,
    owner: String,
    url: String,
    permissions: Permissions,
    events: Vec<String>,
    /// The address of a webhook that is not active.
    silent_url: Option<String>,
    active: bool,
}

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

fn page(status: u16, text: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Html(format!("<!doctype html><title>Register new GitHub App</title><p>{text}</p>"))).into_response()
}

/// `/organizations/{org}/settings/apps/new` and `/settings/apps/new`, as a signed-in owner sees them.
pub(crate) async fn new_app(
    Shared(world): Shared<Arc<World>>,
    method: Method,
    path: Option<Path<String>>,
    Query(query): Query<BTreeMap<String, String>>,
    body: Bytes,
) -> Response {
    if method != Method::POST {
        return page(200, "Register new GitHub App");
    }
    let owner = match path {
        Some(Path(org)) if world.lock().owners.get(&org).is_some_and(|(_, organization)| *organization) => org,
        Some(_) => return page(404, "Not Found"),
        None => {
            let people: Vec<String> =
                world.lock().owners.iter().filter(|(_, (_, org))| !org).map(|(login, _)| login.clone()).collect();
            let Some(first) = people.into_iter().next() else { return page(404, "nobody is signed in") };
            first
        }
    };
    let field = field(&body, "manifest");
    let Some(manifest) = field.and_then(|text| serde_json::from_str::<Value>(&text).ok()) else {
        return page(422, "Invalid GitHub App configuration: the manifest is not JSON");
    };
    if let Err(why) = check(&world.lock(), &manifest) {
        return page(422, &format!("Invalid GitHub App configuration: {why}"));
    }
    // Making a key takes a while, so not under the lock.
    let key = auth::app_key();
    let code = register(&mut world.lock(), &owner, &manifest, &key);
    let redirect = manifest["redirect_url"].as_str().unwrap_or_default();
    let joint = if redirect.contains('?') { '&' } else { '?' };
    let mut location = format!("{redirect}{joint}code={code}");
    if let Some(state) = query.get("state") {
        location.push_str(&format!("&state={state}"));
    }
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

/// One field of a form.
fn field(body: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, value) = text.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?;
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let hex = [rest.next()?, rest.next()?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?);
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

fn check(state: &State, manifest: &Value) -> Result<(), String> {
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

/// Makes the App. Answers the code.
fn register(state: &mut State, owner: &str, manifest: &Value, key: &str) -> String {
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
    let public = auth::public_key(key).unwrap_or_default();
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

/// `POST /app-manifests/{code}/conversions`: once.
pub(crate) fn convert(state: &mut State, code: &str) -> Answer {
    let Some((id, secrets)) = state.registry.codes.remove(code) else { return Answer::not_found() };
    let mut made = form::app(state, id);
    if let (Value::Object(made), Value::Object(secrets)) = (&mut made, secrets) {
        made.extend(secrets);
    }
    Answer::json(201, made)
}

/// `/app/hook/config`.
pub(crate) fn hook_config(state: &mut State, verb: &str, app: u64, body: &Value) -> Answer {
    let Some(found) = state.apps.get_mut(&app) else { return Answer::not_found() };
    if verb == "PATCH" {
        if let Some(secret) = body.get("secret").and_then(Value::as_str) {
            secret.clone_into(&mut found.app.webhook_secret);
        }
        if let Some(url) = body.get("url").and_then(Value::as_str) {
            // The call cannot switch a webhook on.
            match state.registry.apps.get_mut(&app).filter(|known| !known.active) {
                Some(known) => known.silent_url = Some(url.to_owned()),
                None => found.webhook_url = Some(url.to_owned()),
            }
        }
    }
    let silent = state.registry.apps.get(&app).and_then(|known| known.silent_url.clone());
    Answer::json(200, config(found.webhook_url.clone().or(silent).as_deref(), &found.app.webhook_secret))
}

fn config(url: Option<&str>, secret: &str) -> Value {
    let mut config = json!({"content_type": "json", "insecure_ssl": "0"});
    if let Some(url) = url {
        config["url"] = json!(url);
    }
    if !secret.is_empty() {
        config["secret"] = json!("********");
    }
    config
}

/// `/orgs/{org}/hooks`, but for the logs of deliveries.
pub(crate) fn org_hooks(
    state: &mut State,
    verb: &str,
    installation: u64,
    org: &str,
    rest: &[&str],
    body: &Value,
) -> Option<Answer> {
    if rest.len() > 1 && rest.get(1) != Some(&"config") {
        return None;
    }
    let (permissions, _) = of_installation(state, installation)?;
    if permissions.get("organization_hooks").map(String::as_str) != Some("write") {
        return Some(Answer::message(403, "Resource not accessible by integration"));
    }
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let id = rest.first().and_then(|id| id.parse::<u64>().ok());
    let known = id.filter(|id| state.hooks.get(id).is_some_and(|hook| hook.scope == org));
    let events = body.get("events").and_then(Value::as_array);
    let events = events.map(|all| all.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>());
    Some(match (verb, rest, known) {
        ("GET", [], _) => {
            let ids = state.hooks.iter().filter(|(_, hook)| hook.scope == org).map(|(id, _)| *id);
            Answer::json(200, ids.map(|id| org_hook(state, id)).collect())
        }
        ("POST", [], _) => {
            let url = text("/config/url").unwrap_or_default();
            if text("/name").as_deref() != Some("web") || url.is_empty() {
                return Some(Answer::message(422, "Validation Failed"));
            }
            let hook = Hook { scope: org.to_owned(), url, secret: text("/config/secret").unwrap_or_default() };
            let id = state.add_hook(hook);
            let active = body.get("active").and_then(Value::as_bool).unwrap_or(true);
            state.registry.hooks.insert(id, (events.unwrap_or_else(|| vec!["push".into()]), active));
            Answer::json(201, org_hook(state, id))
        }
        ("GET", [_], Some(id)) => Answer::json(200, org_hook(state, id)),
        ("PATCH", [_], Some(id)) => {
            let entry = state.registry.hooks.entry(id).or_insert_with(every);
            if let Some(events) = events {
                entry.0 = events;
            }
            entry.1 = body.get("active").and_then(Value::as_bool).unwrap_or(entry.1);
            if let Some(hook) = state.hooks.get_mut(&id) {
                hook.url = text("/config/url").unwrap_or_else(|| hook.url.clone());
                // As GitHub warns: a secret that is left out is removed.
                hook.secret = text("/config/secret").unwrap_or_default();
            }
            Answer::json(200, org_hook(state, id))
        }
        ("PATCH", [_, "config"], Some(id)) => {
            let hook = state.hooks.get_mut(&id)?;
            hook.url = text("/url").unwrap_or_else(|| hook.url.clone());
            hook.secret = text("/secret").unwrap_or_else(|| hook.secret.clone());
            Answer::json(200, config(Some(&hook.url), &hook.secret))
        }
        ("DELETE", [_], Some(id)) => {
            state.hooks.remove(&id);
            state.registry.hooks.remove(&id);
            Answer::empty(204)
        }
        _ => Answer::not_found(),
    })
}

/// What a webhook sends that was set up by a test.
fn every() -> (Vec<String>, bool) {
    (vec!["*".into()], true)
}

fn org_hook(state: &State, id: u64) -> Value {
    let hook = state.hooks.get(&id);
    let (org, url, secret) = hook.map_or(("", "", ""), |hook| (&hook.scope, &hook.url, &hook.secret));
    let (events, active) = state.registry.hooks.get(&id).cloned().unwrap_or_else(every);
    let at = format!("{}/orgs/{org}/hooks/{id}", state.base);
    json!({
        "id": id, "url": at, "ping_url": format!("{at}/pings"), "deliveries_url": format!("{at}/deliveries"), "name": "web",
        "events": events, "active": active, "config": config(Some(url), secret), "type": "Organization",
        "created_at": time::text(0), "updated_at": time::text(time::now_ms()),
    })
}

/// Whether deliveries of an event go to this App or webhook.
pub(crate) fn listens(state: &State, of: u64, event: &str) -> bool {
    if let Some(events) = state.board.subscriptions.get(&of) {
        return events.contains(event);
    }
    let sends = |events: &[String]| events.iter().any(|own| own == event || own == "*");
    match (state.registry.apps.get(&of), state.registry.hooks.get(&of)) {
        (Some(app), _) => app.active && sends(&app.events),
        (None, Some((events, active))) => *active && sends(events),
        // What a test has set up by hand hears of jobs, unless it says more.
        (None, None) => matches!(event, "workflow_job" | "check_run"),
    }
}

/// What an App asks for, and the events that it is subscribed to.
pub(crate) fn of_app(state: &State, app: u64) -> (Permissions, Vec<String>) {
    if let Some(known) = state.registry.apps.get(&app) {
        return (known.permissions.clone(), known.events.clone());
    }
    let usual = [
        ("actions", "read"),
        ("checks", "write"),
        ("metadata", "read"),
        ("organization_hooks", "write"),
        ("organization_self_hosted_runners", "write"),
    ];
    let permissions = usual.into_iter().map(|(name, word)| (name.to_owned(), word.to_owned())).collect();
    let subscribed = state.board.subscriptions.get(&app).map(|events| events.iter().cloned().collect());
    (permissions, subscribed.unwrap_or_else(|| vec!["workflow_job".to_owned()]))
}

/// What an installation may do.
pub(crate) fn of_installation(state: &State, installation: u64) -> Option<(Permissions, Vec<String>)> {
    let (app, _) = state.installations.get(&installation)?;
    Some(state.registry.lagging.get(&installation).cloned().unwrap_or_else(|| of_app(state, *app)))
}

/// The App's name, owner and home page, if it was made from a manifest.
pub(crate) fn card(state: &State, app: u64) -> Option<(String, String, String)> {
    state.registry.apps.get(&app).map(|known| (known.name.clone(), known.owner.clone(), known.url.clone()))
}

/// Changes what an App asks for. Its installations keep what they may do until an owner accepts.
pub(crate) fn change(state: &mut State, app: u64, permissions: &[(&str, &str)], events: &[&str]) {
    let ids = state.installations.iter().filter(|(_, (of, _))| *of == app).map(|(id, _)| *id);
    for id in ids.collect::<Vec<_>>() {
        if let Some(now) = of_installation(state, id) {
            state.registry.lagging.insert(id, now);
        }
    }
    let slug = state.apps.get(&app).map(|found| found.app.slug.clone()).unwrap_or_default();
    let url = format!("{}/", state.base);
    let known = state.registry.apps.entry(app).or_insert_with(|| Known {
        name: slug,
        owner: state.owners.keys().next().cloned().unwrap_or_default(),
        url,
        permissions: Permissions::new(),
        events: Vec::new(),
        silent_url: None,
        active: true,
    });
    known.permissions = permissions.iter().map(|(name, word)| ((*name).to_owned(), (*word).to_owned())).collect();
    known.events = events.iter().map(|event| (*event).to_owned()).collect();
}

/// An owner accepts what the App asks for.
pub(crate) fn accept(state: &mut State, owner: &str) {
    let ids = state.installations.iter().filter(|(_, (_, at))| at == owner).map(|(id, _)| *id);
    for id in ids.collect::<Vec<_>>() {
        state.registry.lagging.remove(&id);
    }
}
