//! Apps that are made from a manifest, what they may do, and where deliveries go: the App's webhook and those of organisations.
//!
//! The page does at once what GitHub does after a person has confirmed.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};

use crate::forms::objects as form;
use crate::http::answer::{self, Answer};
use crate::http::encoding::pairs;
use crate::rules::apps::{every, of_installation};
use crate::rules::manifest::{check, register};
use crate::state::apps::Hook;
use crate::state::{State, World};
use crate::{keys, time};

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
    let form = std::str::from_utf8(&body).map(pairs).unwrap_or_default();
    let Some(manifest) = form.get("manifest").and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
        return page(422, "Invalid GitHub App configuration: the manifest is not JSON");
    };
    if let Err(why) = check(&world.lock(), &manifest) {
        return page(422, &format!("Invalid GitHub App configuration: {why}"));
    }
    // Making a key takes a while, so not under the lock.
    let key = keys::app_key();
    let code = register(&mut world.lock(), &owner, &manifest, &key);
    let redirect = manifest["redirect_url"].as_str().unwrap_or_default();
    let joint = if redirect.contains('?') { '&' } else { '?' };
    let mut location = format!("{redirect}{joint}code={code}");
    if let Some(state) = query.get("state") {
        location.push_str(&format!("&state={state}"));
    }
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
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
    (query, body): (&answer::Query, &Value),
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
            answer::page(ids.map(|id| org_hook(state, id)).collect(), query)
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
