//! GitHub's REST paths. One function finds who asks, one finds what is asked; faults and counts apply to all alike.

pub(crate) mod actions;
pub(crate) mod answer;
pub(crate) mod apps;
pub(crate) mod call;
pub(crate) mod checks;
pub(crate) mod comments;
pub(crate) mod contents;
pub(crate) mod deliveries;
pub(crate) mod encoding;
pub(crate) mod git;
pub(crate) mod graphql;
pub(crate) mod groups;
pub(crate) mod issues;
pub(crate) mod people;
pub(crate) mod pulls;
pub(crate) mod releases;
pub(crate) mod runner;
pub(crate) mod settings;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, Method, Uri, header};
use serde_json::{Value, json};

use crate::deliveries::flush;
use crate::forms::objects as form;
use crate::http::answer::{Answer, Query, page, paged};
use crate::http::call::Call;
use crate::http::encoding::{decode, pairs};
use crate::rules::people::{app as app_actor, may};
use crate::state::actor::{Actor, Holder};
use crate::state::limits::Payer;
use crate::state::{State, World};
use crate::{keys, time};

/// Who asks.
enum Caller {
    App(u64),
    Installation(u64),
    /// A person, or a workflow.
    Holder(Holder),
    Nobody,
}

impl Caller {
    /// Whose limit the call counts against.
    fn payer(&self, token: &str) -> Payer {
        match self {
            Self::App(id) => Payer::App(*id),
            Self::Installation(id) => Payer::Installation(*id),
            Self::Holder(_) => Payer::Token(token.to_owned()),
            Self::Nobody => Payer::Nobody,
        }
    }
}

/// What is created by others than Apps' runners, and counts against the limit on creating content.
const CONTENT: [&str; 4] = ["check-runs", "issues", "comments", "pulls"];

pub(crate) async fn entry(
    Shared(world): Shared<Arc<World>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    // A GitHub Enterprise Server has GraphQL beside REST, and not below it.
    let path = match uri.path() {
        "/api/graphql" => "/graphql".to_owned(),
        path => path.strip_prefix("/api/v3").unwrap_or(path).to_owned(),
    };
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    if let Some(what) = path.strip_prefix("/_runner/") {
        let answer = runner::handle(&world, what, body).await;
        flush(&world);
        return answer;
    }
    let answer = {
        let mut state = world.lock();
        let query = pairs(uri.query().unwrap_or_default());
        let caller = caller(&state, &headers);
        let payer = caller.payer(token(&headers));
        let mut answer = rest(&mut state, &caller, &payer, (&method, &path, &query), &body)
            .with_links(&state.base, uri.path(), &query)
            .unless_known(&method, &headers);
        state.not_modified += u64::from(answer.status == 304);
        let is_counted = answer.status != 304 && answer.limit.is_none() && answer.retry_after.is_none();
        let now = state.now_ms();
        answer.rate = Some(state.limits.charge(&payer, is_counted, now));
        answer
    };
    flush(&world);
    world.changed.notify_waiters();
    answer
}

fn token(headers: &HeaderMap) -> &str {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.trim_start_matches("Bearer ").trim_start_matches("bearer ").trim_start_matches("token ")
}

fn caller(state: &State, headers: &HeaderMap) -> Caller {
    let token = token(headers);
    if let Some((installation, end)) = state.tokens.get(token) {
        return if *end > time::now_ms() { Caller::Installation(*installation) } else { Caller::Nobody };
    }
    if let Some(holder) = state.board.holders.get(token) {
        return Caller::Holder(holder.clone());
    }
    let Some((issuer, signed, signature)) = keys::issuer(token) else { return Caller::Nobody };
    let found = state.apps.iter().find(|(id, _)| id.to_string() == issuer || format!("Iv1.{:016x}", **id) == issuer);
    match found {
        Some((id, app)) if keys::verifies(&app.public, &signed, &signature) => Caller::App(*id),
        _ => Caller::Nobody,
    }
}

fn rest(
    state: &mut State,
    caller: &Caller,
    payer: &Payer,
    (method, path, query): (&Method, &str, &Query),
    body: &Value,
) -> Answer {
    let decoded: Vec<String> = path.trim_matches('/').split('/').map(decode).collect();
    let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let operation = format!("{method} {}", template(&segments));
    *state.calls.entry(operation.clone()).or_default() += 1;
    let creates_content = method == Method::POST && segments.last().is_some_and(|last| CONTENT.contains(last));
    let now = state.now_ms();
    if let Some(refusal) = state.limits.refusal(payer, creates_content, now) {
        return Answer::refused(refusal);
    }
    if let Some(limit) = state.faults.limited() {
        return Answer::limited(limit);
    }
    if let Some(status) = state.faults.failure(&operation) {
        return Answer::message(status, "a fault was switched on");
    }
    match (method.as_str(), segments.as_slice()) {
        ("GET", ["meta"]) => return Answer::json(200, json!({"verifiable_password_authentication": false})),
        ("GET", ["_release", name]) => {
            let of = if *name == "prerelease.tar.gz" { &state.prerelease } else { &state.release };
            let mut archive = of.as_ref().map(|(_, archive)| archive.clone());
            if let (true, Some(first)) = (state.faults.broken_download, archive.as_mut().and_then(|a| a.first_mut())) {
                *first = !*first;
            }
            return archive.map_or_else(Answer::not_found, |raw| Answer { raw: Some(raw), ..Answer::empty(200) });
        }
        ("GET", ["repos", "actions", "runner", "releases", ..]) => {
            return releases::answer(state, segments.last() == Some(&"latest"));
        }
        ("POST", ["app-manifests", code, "conversions"]) => return apps::convert(state, code),
        _ => {}
    }
    match caller {
        Caller::Nobody => Answer::message(401, "Bad credentials"),
        Caller::App(app) => as_app(state, *app, method, &segments, query, body),
        Caller::Installation(installation) => as_installation(state, *installation, method, &segments, query, body),
        Caller::Holder(holder) => as_holder(state, holder, method, &segments, query, body),
    }
}

/// The path with its variable parts named as in GitHub's documents.
fn template(segments: &[&str]) -> String {
    let mut parts: Vec<String> = segments.iter().map(|part| (*part).to_owned()).collect();
    for n in 0..parts.len() {
        let before = if n == 0 { "" } else { segments[n - 1] };
        let name = match (before, n) {
            ("repos", 1) => Some("{owner}"),
            ("orgs", 1) => Some("{org}"),
            ("app-manifests", 1) => Some("{code}"),
            ("users", 1) => Some("{username}"),
            ("enterprises", 1) => Some("{enterprise}"),
            ("collaborators" | "memberships", 3..) => Some("{username}"),
            ("teams", 3) => Some("{team_slug}"),
            ("trees" | "blobs" | "commits", 5) => Some("{sha}"),
            ("compare", 4) => Some("{basehead}"),
            _ if n == 2 && segments[0] == "repos" => Some("{repo}"),
            _ if !parts[n].is_empty() && parts[n].bytes().all(|b| b.is_ascii_digit()) => Some("{id}"),
            _ => None,
        };
        if let Some(name) = name {
            name.clone_into(&mut parts[n]);
        }
    }
    // What may hold slashes ends the path.
    match segments {
        ["repos", _, _, "git", "ref" | "refs", _, ..] => {
            parts.truncate(5);
            parts.push("{ref}".into());
        }
        ["repos", _, _, "contents", _, ..] => {
            parts.truncate(4);
            parts.push("{path}".into());
        }
        _ => {}
    }
    format!("/{}", parts.join("/"))
}

/// GitHub's words to whom an owner has suspended.
const SUSPENDED: &str = "This installation has been suspended";

fn as_app(state: &mut State, app: u64, method: &Method, segments: &[&str], query: &Query, body: &Value) -> Answer {
    let installation_of = |state: &State, owner: &str| {
        let found = state
            .installations
            .iter()
            .find(|(_, (of, at))| *of == app && at.eq_ignore_ascii_case(owner))
            .map(|(id, _)| *id);
        found.map_or_else(Answer::not_found, |id| Answer::json(200, form::installation(state, id)))
    };
    match (method.as_str(), segments) {
        ("GET", ["app"]) => Answer::json(200, form::app(state, app)),
        ("GET", ["app", "installations"]) => {
            let ids: Vec<u64> =
                state.installations.iter().filter(|(_, (of, _))| *of == app).map(|(id, _)| *id).collect();
            page(ids.into_iter().map(|id| form::installation(state, id)).collect(), query)
        }
        ("GET", ["orgs", owner, "installation"]) if !state.owners.get(*owner).is_some_and(|(_, org)| *org) => {
            Answer::not_found()
        }
        ("GET", ["orgs" | "users" | "enterprises", owner, "installation"]) => installation_of(state, owner),
        ("GET", ["repos", owner, repo, "installation"]) => {
            if state.repositories.contains_key(&format!("{owner}/{repo}")) {
                installation_of(state, owner)
            } else {
                Answer::not_found()
            }
        }
        ("POST", ["app", "installations", id, "access_tokens"]) => {
            let Some(id) = id.parse().ok().filter(|id| state.installations.contains_key(id)) else {
                return Answer::not_found();
            };
            if state.suspended.contains(&id) {
                return Answer::message(403, SUSPENDED);
            }
            let (token, end) = (state.token("ghs_"), time::now_ms() + 3_600_000);
            state.tokens.insert(token.clone(), (id, end));
            Answer::json(
                201,
                json!({"token": token, "expires_at": time::text(end), "permissions": {"actions": "read"}, "repository_selection": "all"}),
            )
        }
        (verb @ ("GET" | "PATCH"), ["app", "hook", "config"]) => apps::hook_config(state, verb, app, body),
        (verb, ["app", "hook", "deliveries", rest @ ..]) => deliveries::log(state, verb, app, "app/hook", rest, query),
        _ => Answer::not_found(),
    }
}

fn as_installation(
    state: &mut State,
    installation: u64,
    method: &Method,
    segments: &[&str],
    query: &Query,
    body: &Value,
) -> Answer {
    let Some((app, owner)) = state.installations.get(&installation).cloned() else {
        return Answer::message(401, "Bad credentials");
    };
    if state.suspended.contains(&installation) {
        return Answer::message(403, SUSPENDED);
    }
    let allowed = match segments {
        ["orgs" | "repos", of, ..] => of.eq_ignore_ascii_case(&owner),
        _ => true,
    };
    if !allowed {
        return Answer::not_found();
    }
    match (method.as_str(), segments) {
        ("GET", ["installation", "repositories"]) => {
            let names: Vec<String> = state
                .repositories
                .keys()
                .filter(|name| name.split('/').next() == Some(owner.as_str()))
                .cloned()
                .collect();
            let repositories: Vec<Value> = names.iter().map(|name| form::full_repository(state, name)).collect();
            paged(repositories, "repositories", query, state.faults.shift_pages)
        }
        ("GET", ["users", login]) => state
            .owners
            .contains_key(*login)
            .then(|| form::user(state, login))
            .map_or_else(Answer::not_found, |user| Answer::json(200, user)),
        ("GET", ["rate_limit"]) => rate_limit(),
        ("POST", ["graphql"]) => graphql::handle(state, body, |_, repo| {
            repo.split('/').next().is_some_and(|at| at.eq_ignore_ascii_case(&owner))
        }),
        (verb, ["repos", owner, repo, rest @ ..]) => {
            let actor = app_actor(state, app);
            repository(state, verb, &format!("{owner}/{repo}"), rest, (query, body), &actor)
        }
        (verb, ["orgs", org, "hooks", rest @ ..]) => {
            apps::org_hooks(state, verb, installation, org, rest, (query, body))
                .unwrap_or_else(|| deliveries::hook_log(state, verb, org, rest, query))
        }
        (verb, segments) => organization(state, verb, segments, query, body),
    }
}

fn rate_limit() -> Answer {
    let bucket = json!({"limit": 5000, "used": 1, "remaining": 4999, "reset": 4_102_444_800_u64});
    Answer::json(200, json!({"resources": {"core": bucket, "search": bucket}, "rate": bucket}))
}

/// What a person or a workflow asks.
fn as_holder(
    state: &mut State,
    holder: &Holder,
    method: &Method,
    segments: &[&str],
    query: &Query,
    body: &Value,
) -> Answer {
    let refused = || Answer::message(403, "Resource not accessible by integration");
    match (method.as_str(), segments, holder) {
        ("GET", ["rate_limit"], _) => rate_limit(),
        ("POST", ["graphql"], Holder::Person(login)) => {
            graphql::handle(state, body, |state, repo| may(state, repo, &Actor::person(login), "read"))
        }
        ("POST", ["graphql"], Holder::Actions(own)) => {
            graphql::handle(state, body, |_, repo| repo.eq_ignore_ascii_case(own))
        }
        ("GET", ["user"], Holder::Person(login)) => Answer::json(200, form::user(state, login)),
        (verb, ["repos", owner, name, rest @ ..], holder) => {
            let wanted = format!("{owner}/{name}");
            let actor = match holder {
                Holder::Person(login) => Actor::person(login),
                Holder::Actions(repo) if repo.eq_ignore_ascii_case(&wanted) => Actor::actions(),
                Holder::Actions(_) => return Answer::not_found(),
            };
            repository(state, verb, &wanted, rest, (query, body), &actor)
        }
        (verb, segments, Holder::Person(_)) => organization(state, verb, segments, query, body),
        (_, _, Holder::Actions(_)) => refused(),
    }
}

/// What is asked about an organisation or an enterprise.
fn organization(state: &mut State, verb: &str, segments: &[&str], query: &Query, body: &Value) -> Answer {
    match (verb, segments) {
        ("GET", ["orgs", org]) => settings::organization(state, org),
        ("GET", ["orgs", org, "teams", slug, "memberships", login]) => people::membership(state, org, slug, login),
        (verb, ["orgs", org, "actions", rest @ ..]) => actions::handle(state, verb, org, rest, query, body),
        (verb, ["enterprises", slug, "actions", rest @ ..]) => {
            actions::handle(state, verb, &format!("enterprises/{slug}"), rest, query, body)
        }
        _ => Answer::not_found(),
    }
}

/// What is asked about a repository.
fn repository(
    state: &mut State,
    verb: &str,
    repository: &str,
    rest: &[&str],
    (query, body): (&Query, &Value),
    actor: &Actor,
) -> Answer {
    // GitHub finds a repository in any spelling, and answers in its own.
    let Some(repository) = state.repositories.keys().find(|own| own.eq_ignore_ascii_case(repository)).cloned() else {
        return Answer::not_found();
    };
    let repository = repository.as_str();
    if !may(state, repository, actor, "read") {
        return Answer::not_found();
    }
    if let Some(answer) = on_board(state, &Call { verb, repo: repository, rest, query, body, actor }) {
        return answer;
    }
    match (verb, rest) {
        ("GET", []) => {
            let mut shown = form::full_repository(state, repository);
            let squash_only = state.board.settings(repository).squash_only;
            (shown["subscribers_count"], shown["network_count"]) = (json!(0), json!(0));
            shown["allow_merge_commit"] = json!(!squash_only);
            shown["allow_rebase_merge"] = json!(!squash_only);
            shown["allow_squash_merge"] = json!(true);
            let setup = &state.board.settings(repository).setup;
            (shown["archived"], shown["has_issues"]) = (json!(setup.archived), json!(!setup.no_issues));
            if setup.internal {
                shown["visibility"] = json!("internal");
            }
            Answer::json(200, shown)
        }
        (_, ["hooks", rest @ ..]) => deliveries::hook_log(state, verb, repository, rest, query),
        (_, ["actions", rest @ ..]) => actions::handle(state, verb, repository, rest, query, body),
        ("POST", ["check-runs"]) => checks::write(state, repository, None, body),
        ("PATCH", ["check-runs", id]) => checks::write(state, repository, id.parse().ok(), body),
        _ => Answer::not_found(),
    }
}

/// Everything below `/repos/{owner}/{repo}` that is about issues, pulls, branches, files and people; `None` when it is
/// about something else.
fn on_board(state: &mut State, call: &Call<'_>) -> Option<Answer> {
    if !may(state, call.repo, call.actor, "read") {
        return Some(Answer::not_found());
    }
    match call.rest {
        ["issues", "comments", ..] | ["issues", _, "comments"] => Some(comments::handle(state, call)),
        ["issues", ..] => Some(issues::handle(state, call)),
        ["pulls", ..] => Some(pulls::handle(state, call)),
        ["git" | "compare", ..] => Some(git::handle(state, call)),
        ["contents", path @ ..] => Some(contents::handle(state, call, &path.join("/"))),
        ["collaborators", ..] => people::handle(state, call.verb, call.repo, call.rest),
        _ => settings::handle(state, call),
    }
}
