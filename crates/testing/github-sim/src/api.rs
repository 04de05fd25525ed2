//! GitHub's REST paths. One function finds who asks, one finds what is asked; faults and counts apply to all alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use serde_json::{Value, json};

use crate::model::{Check, State, World};
use crate::people::{self, Actor, Holder};
use crate::{Faults, Limit, auth, board, groups, hooks, json as form, protocol, releases, time};

/// A query, decoded.
pub(crate) type Query = BTreeMap<String, String>;

/// An answer in the making.
pub(crate) struct Answer {
    status: u16,
    body: Option<Value>,
    raw: Option<Vec<u8>>,
    link: Option<String>,
    limit: Option<Limit>,
    etag: Option<String>,
}

impl Answer {
    pub fn json(status: u16, body: Value) -> Self {
        Self { status, body: Some(body), raw: None, link: None, limit: None, etag: None }
    }
    pub fn empty(status: u16) -> Self {
        Self { status, body: None, raw: None, link: None, limit: None, etag: None }
    }
    pub fn message(status: u16, text: &str) -> Self {
        Self::json(status, json!({"message": text, "documentation_url": "https://docs.github.com/rest"}))
    }
    /// 422 in the form that names what was wrong.
    pub fn invalid(resource: &str, why: &str) -> Self {
        let error = json!({"resource": resource, "code": "custom", "message": why});
        let docs = "https://docs.github.com/rest";
        Self::json(422, json!({"message": "Validation Failed", "errors": [error], "documentation_url": docs}))
    }
    pub fn not_found() -> Self {
        Self::message(404, "Not Found")
    }
    /// A conditional GET whose answer has not changed is answered without a body.
    fn unless_known(mut self, method: &Method, headers: &HeaderMap) -> Self {
        if method != Method::GET || self.status != 200 {
            return self;
        }
        let Some(body) = &self.body else { return self };
        let etag = format!("W/\"{}\"", auth::hmac("etag", body.to_string().as_bytes(), ring::hmac::HMAC_SHA256));
        if headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok()) == Some(etag.as_str()) {
            (self.status, self.body) = (304, None);
        }
        self.etag = Some(etag);
        self
    }
    fn limited(limit: Limit) -> Self {
        let (status, text) = match limit {
            Limit::Primary(_) => (403, "API rate limit exceeded for installation."),
            Limit::RetryAfter(_) => {
                (429, "You have exceeded a rate limit. Please wait a few minutes before you try again.")
            }
            Limit::Secondary => (403, "You have exceeded a secondary rate limit. Please wait before you try again."),
        };
        Self { limit: Some(limit), ..Self::message(status, text) }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = match (self.raw, self.body) {
            (Some(raw), _) => (status, raw).into_response(),
            (None, Some(body)) => (status, axum::Json(body)).into_response(),
            (None, None) => status.into_response(),
        };
        let now = u64::try_from(time::now_ms() / 1000).unwrap_or(0);
        let (remaining, reset) = match self.limit {
            Some(Limit::Primary(seconds)) => (0, now + seconds),
            Some(Limit::RetryAfter(_) | Limit::Secondary) | None => (4_999, now + 3_600),
        };
        let headers = response.headers_mut();
        headers.insert("x-ratelimit-limit", 5_000.into());
        headers.insert("x-ratelimit-remaining", remaining.into());
        headers.insert("x-ratelimit-reset", reset.into());
        if let Some(Limit::RetryAfter(seconds)) = self.limit {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(etag) = self.etag.and_then(|etag| etag.parse().ok()) {
            headers.insert(header::ETAG, etag);
        }
        if let Some(link) = self.link.and_then(|link| link.parse().ok()) {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}

/// Who asks.
enum Caller {
    App(u64),
    Installation(u64),
    /// A person, or a workflow.
    Holder(Holder),
    Nobody,
}

pub(crate) async fn entry(
    Shared(world): Shared<Arc<World>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let path = uri.path().strip_prefix("/api/v3").unwrap_or(uri.path()).to_owned();
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    if let Some(what) = path.strip_prefix("/_runner/") {
        let answer = protocol::handle(&world, what, body).await;
        hooks::flush(&world);
        return answer;
    }
    let answer = {
        let mut state = world.lock();
        let query = query(uri.query().unwrap_or_default());
        let answer = rest(&mut state, &method, &path, &query, &headers, &body).unless_known(&method, &headers);
        state.not_modified += u64::from(answer.status == 304);
        answer
    };
    hooks::flush(&world);
    world.changed.notify_waiters();
    answer
}

fn query(text: &str) -> Query {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (decode(&key.replace('+', " ")), decode(&value.replace('+', " ")))).collect()
}

/// Percent-decoding.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match hex.filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn caller(state: &State, headers: &HeaderMap) -> Caller {
    let Some(value) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) else {
        return Caller::Nobody;
    };
    let token = value.trim_start_matches("Bearer ").trim_start_matches("bearer ").trim_start_matches("token ");
    if let Some((installation, end)) = state.tokens.get(token) {
        return if *end > time::now_ms() { Caller::Installation(*installation) } else { Caller::Nobody };
    }
    if let Some(holder) = state.board.holders.get(token) {
        return Caller::Holder(holder.clone());
    }
    let Some((issuer, signed, signature)) = auth::issuer(token) else { return Caller::Nobody };
    let found = state.apps.iter().find(|(id, _)| id.to_string() == issuer || format!("Iv1.{:016x}", **id) == issuer);
    match found {
        Some((id, app)) if auth::verifies(&app.public, &signed, &signature) => Caller::App(*id),
        _ => Caller::Nobody,
    }
}

fn rest(state: &mut State, method: &Method, path: &str, query: &Query, headers: &HeaderMap, body: &Value) -> Answer {
    let decoded: Vec<String> = path.trim_matches('/').split('/').map(decode).collect();
    let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let operation = format!("{method} {}", template(&segments));
    *state.calls.entry(operation.clone()).or_default() += 1;
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
        ("POST", ["app-manifests", code, "conversions"]) => return crate::apps::convert(state, code),
        _ => {}
    }
    match caller(state, headers) {
        Caller::Nobody => Answer::message(401, "Bad credentials"),
        Caller::App(app) => as_app(state, app, method, &segments, query, body),
        Caller::Installation(installation) => as_installation(state, installation, method, &segments, query, body),
        Caller::Holder(holder) => as_holder(state, &holder, method, &segments, query, body),
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
            Answer::json(200, ids.into_iter().map(|id| form::installation(state, id)).collect())
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
            let (token, end) = (state.token("ghs_"), time::now_ms() + 3_600_000);
            state.tokens.insert(token.clone(), (id, end));
            Answer::json(
                201,
                json!({"token": token, "expires_at": time::text(end), "permissions": {"actions": "read"}, "repository_selection": "all"}),
            )
        }
        (verb @ ("GET" | "PATCH"), ["app", "hook", "config"]) => crate::apps::hook_config(state, verb, app, body),
        (verb, ["app", "hook", "deliveries", rest @ ..]) => log(state, verb, app, "app/hook", rest, query),
        _ => Answer::not_found(),
    }
}

/// The log of an App's or a webhook's deliveries.
fn log(state: &mut State, verb: &str, of: u64, path: &str, rest: &[&str], query: &Query) -> Answer {
    match (verb, rest) {
        ("GET", []) => {
            let size = query.get("per_page").and_then(|text| text.parse().ok()).unwrap_or(30).min(100);
            let cursor: u64 = query.get("cursor").and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
            let failed = query.get("status").map(String::as_str);
            let matches = |d: &&crate::model::Delivery| {
                // What is still under way is not in the log yet.
                let bad = d.status >= 300;
                d.of == of && d.status > 0 && d.id < cursor && failed.is_none_or(|wanted| (wanted == "failure") == bad)
            };
            let page: Vec<&crate::model::Delivery> = state.deliveries.iter().rev().filter(matches).take(size).collect();
            let link = (page.len() == size).then(|| page.last().map(|d| d.id)).flatten();
            let link = link
                .map(|last| format!("<{}/{path}/deliveries?per_page={size}&cursor={last}>; rel=\"next\"", state.base));
            Answer { link, ..Answer::json(200, page.into_iter().map(form::delivery).collect()) }
        }
        ("POST", [id, "attempts"]) => {
            let known = id.parse().is_ok_and(|id| hooks::redeliver(state, id));
            if known { Answer::json(202, json!({})) } else { Answer::not_found() }
        }
        _ => Answer::not_found(),
    }
}

/// The log of a webhook of an organisation or a repository.
fn hook_log(state: &mut State, verb: &str, scope: &str, rest: &[&str], query: &Query) -> Answer {
    let [id, "deliveries", rest @ ..] = rest else { return Answer::not_found() };
    let Some(id) = id.parse().ok().filter(|id| state.hooks.get(id).is_some_and(|hook| hook.scope == scope)) else {
        return Answer::not_found();
    };
    let kind = if scope.contains('/') { "repos" } else { "orgs" };
    log(state, verb, id, &format!("{kind}/{scope}/hooks/{id}"), rest, query)
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
            let repositories: Vec<Value> = names.iter().map(|name| full_repository(state, name)).collect();
            Answer::json(200, json!({"total_count": repositories.len(), "repositories": repositories}))
        }
        ("GET", ["users", login]) => state
            .owners
            .contains_key(*login)
            .then(|| form::user(state, login))
            .map_or_else(Answer::not_found, |user| Answer::json(200, user)),
        ("GET", ["rate_limit"]) => rate_limit(),
        (verb, ["repos", owner, repo, rest @ ..]) => {
            let actor = Actor::app(state, app);
            repository(state, verb, &format!("{owner}/{repo}"), rest, (query, body), &actor)
        }
        (verb, ["orgs", org, "hooks", rest @ ..]) => crate::apps::org_hooks(state, verb, installation, org, rest, body)
            .unwrap_or_else(|| hook_log(state, verb, org, rest, query)),
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
        ("GET", ["orgs", org, "teams", slug, "memberships", login]) => people::membership(state, org, slug, login),
        (verb, ["orgs", org, "actions", rest @ ..]) => actions(state, verb, org, rest, query, body),
        (verb, ["enterprises", slug, "actions", rest @ ..]) => {
            actions(state, verb, &format!("enterprises/{slug}"), rest, query, body)
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
    if !state.repositories.contains_key(repository) || !people::may(state, repository, actor, "read") {
        return Answer::not_found();
    }
    if let Some(answer) = board::handle(state, &board::Call { verb, repo: repository, rest, query, body, actor }) {
        return answer;
    }
    match (verb, rest) {
        ("GET", []) => {
            let mut shown = full_repository(state, repository);
            let squash_only = state.board.settings(repository).squash_only;
            (shown["subscribers_count"], shown["network_count"]) = (json!(0), json!(0));
            shown["allow_merge_commit"] = json!(!squash_only);
            shown["allow_rebase_merge"] = json!(!squash_only);
            shown["allow_squash_merge"] = json!(true);
            Answer::json(200, shown)
        }
        (_, ["hooks", rest @ ..]) => hook_log(state, verb, repository, rest, query),
        (_, ["actions", rest @ ..]) => actions(state, verb, repository, rest, query, body),
        ("POST", ["check-runs"]) => check(state, repository, None, body),
        ("PATCH", ["check-runs", id]) => check(state, repository, id.parse().ok(), body),
        _ => Answer::not_found(),
    }
}

pub(crate) fn full_repository(state: &State, name: &str) -> Value {
    let mut repository = form::repository(state, name);
    let more = json!({
        "clone_url": format!("{}/{name}.git", state.base), "git_url": format!("git://localhost/{name}.git"), "ssh_url": format!("git@localhost:{name}.git"),
        "svn_url": format!("{}/{name}", state.base), "mirror_url": null, "homepage": null, "language": null, "license": null,
        "forks_count": 0, "stargazers_count": 0, "watchers_count": 0, "size": 1, "default_branch": "main", "open_issues_count": 0,
        "has_issues": true, "has_discussions": false, "topics": [],
        "visibility": if state.board.is_public(name) { "public" } else { "private" }, "has_projects": false, "has_wiki": false, "has_pages": false, "has_downloads": true, "archived": false,
        "disabled": false, "pushed_at": time::text(state.now_ms()), "created_at": time::text(0), "updated_at": time::text(0),
        "forks": 0, "open_issues": 0, "watchers": 0,
    });
    if let (Value::Object(repository), Value::Object(more)) = (&mut repository, more) {
        repository.extend(more);
    }
    repository
}

/// Everything under `…/actions` of a repository, organisation or enterprise; `scope` says which.
fn actions(state: &mut State, verb: &str, scope: &str, rest: &[&str], query: &Query, body: &Value) -> Answer {
    let (stale, shift) = (state.faults.stale_busy, state.faults.shift_pages);
    match (verb, rest) {
        ("GET", ["runners"]) => {
            let name = query.get("name");
            let found = state
                .runners
                .values()
                .filter(|runner| runner.scope == scope && name.is_none_or(|name| runner.name.contains(name.as_str())));
            paged(found.map(|runner| form::runner(runner, stale)).collect(), "runners", query, shift)
        }
        ("GET", ["runners", id]) => {
            let found =
                id.parse().ok().and_then(|id: u64| state.runners.get(&id)).filter(|runner| runner.scope == scope);
            found.map_or_else(Answer::not_found, |runner| Answer::json(200, form::runner(runner, stale)))
        }
        ("DELETE", ["runners", id]) => {
            let Some(id) =
                id.parse().ok().filter(|id| state.runners.get(id).is_some_and(|runner| runner.scope == scope))
            else {
                return Answer::not_found();
            };
            if state.runners[&id].job.is_some() && !stale {
                return Answer::json(
                    422,
                    json!({"message": format!("Runner {id} is currently running a job and cannot be deleted."), "documentation_url": "https://docs.github.com/rest"}),
                );
            }
            state.runners.remove(&id);
            Answer::empty(204)
        }
        ("POST", ["runners", "generate-jitconfig"]) => jit(state, scope, body),
        ("POST", ["runners", kind @ ("registration-token" | "remove-token")]) => {
            let (token, end) = (state.token(kind.get(..2).unwrap_or("t")), time::now_ms() + 3_600_000);
            state.registration_tokens.insert(token.clone(), (scope.to_owned(), end));
            Answer::json(201, json!({"token": token, "expires_at": time::text(end)}))
        }
        (_, ["runner-groups", rest @ ..]) => groups::handle(state, verb, scope, rest, query),
        ("GET", ["jobs", id]) => {
            let found = id.parse().ok().and_then(|id: u64| state.jobs.get(&id)).filter(|job| job.repository == scope);
            found.map_or_else(Answer::not_found, |job| Answer::json(200, form::job(state, job)))
        }
        ("GET", ["runs"]) => {
            let wanted = query.get("status");
            let ids: Vec<u64> =
                state.runs.iter().filter(|(_, (repository, _))| repository == scope).map(|(id, _)| *id).collect();
            let runs =
                ids.into_iter().rev().filter(|id| wanted.is_none_or(|wanted| &form::run_status(state, *id) == wanted));
            paged(runs.map(|id| form::run(state, id)).collect(), "workflow_runs", query, shift)
        }
        ("GET", ["runs", id]) => id
            .parse()
            .ok()
            .filter(|id| state.runs.get(id).is_some_and(|(repository, _)| repository == scope))
            .map_or_else(Answer::not_found, |id| Answer::json(200, form::run(state, id))),
        ("GET", ["runs", id, "jobs"]) => {
            let Some(id) = id.parse().ok().filter(|id| state.runs.contains_key(id)) else { return Answer::not_found() };
            let jobs = state.jobs.values().filter(|job| job.run == id && job.status != "pending");
            paged(jobs.map(|job| form::job(state, job)).collect(), "jobs", query, shift)
        }
        ("POST", ["runs", id, "rerun-failed-jobs"]) => {
            let Some(id) = id.parse().ok().filter(|id| state.runs.contains_key(id)) else { return Answer::not_found() };
            if form::run_status(state, id) != "completed" {
                return Answer::message(403, "The workflow run is still in progress");
            }
            rerun(state, id);
            Answer::json(201, json!({}))
        }
        _ => Answer::not_found(),
    }
}

/// Failed jobs come again, as GitHub does it: as new jobs with numbers of their own.
fn rerun(state: &mut State, run: u64) {
    let failed: Vec<u64> = state
        .jobs
        .values()
        .filter(|job| job.run == run && job.conclusion.as_deref() == Some("failure"))
        .map(|job| job.id)
        .collect();
    for old in failed {
        let id = state.id();
        let Some(mut job) = state.jobs.remove(&old) else { continue };
        (job.id, job.status, job.conclusion, job.runner) = (id, "queued", None, None);
        (job.created_ms, job.started_ms, job.completed_ms) = (state.now_ms(), None, None);
        state.jobs.insert(id, job);
        hooks::job(state, id, "queued");
    }
}

fn jit(state: &mut State, scope: &str, body: &Value) -> Answer {
    let name = body.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let labels: Vec<String> = body
        .get("labels")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let Some(group) = body.get("runner_group_id").and_then(Value::as_u64) else {
        return Answer::message(422, "runner_group_id is missing");
    };
    if name.is_empty() || name.len() > 64 || labels.is_empty() || labels.len() > 100 {
        return Answer::message(422, "name or labels are not valid");
    }
    if state.runners.values().any(|runner| runner.scope == scope && runner.name == name) {
        return Answer::message(409, &format!("Already exists - A runner with the name {name} already exists."));
    }
    if !groups::is_known(state, scope, group) {
        return Answer::not_found();
    }
    let (id, key) = protocol::add(state, name.clone(), scope.to_owned(), labels, true, group);
    if Faults::take(&mut state.faults.lose_jit_answers) {
        return Answer::message(502, "the answer was lost");
    }
    let config =
        json!({"server": state.base, "runner_id": id, "runner_name": name, "key": key, "ephemeral": true}).to_string();
    let encoded = base64::engine::general_purpose::STANDARD.encode(config);
    let runner = form::runner(&state.runners[&id], false);
    Answer::json(201, json!({"runner": runner, "encoded_jit_config": encoded}))
}

/// One page of a list. When pages shift, somebody has left the list since the page before: all that follow moved up by one.
pub(crate) fn paged(items: Vec<Value>, name: &str, query: &Query, shift: bool) -> Answer {
    let (size, page) = window(query);
    let total = items.len();
    let items: Vec<Value> =
        items.into_iter().skip((page - 1) * size + usize::from(shift && page > 1)).take(size).collect();
    Answer::json(200, json!({"total_count": total, (name): items}))
}

/// One page of a list that says nothing of the whole.
pub(crate) fn page(items: Vec<Value>, query: &Query) -> Answer {
    let (size, page) = window(query);
    Answer::json(200, items.into_iter().skip((page - 1) * size).take(size).collect())
}

/// How long a page is, and which.
fn window(query: &Query) -> (usize, usize) {
    let number = |key: &str, default: usize| query.get(key).and_then(|text| text.parse().ok()).unwrap_or(default);
    (number("per_page", 30).clamp(1, 100), number("page", 1).max(1))
}

fn check(state: &mut State, repository: &str, id: Option<u64>, body: &Value) -> Answer {
    let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
    let output =
        |key: &str| body.get("output").and_then(|output| output.get(key)).and_then(Value::as_str).map(str::to_owned);
    let id = match id {
        Some(id) if state.checks.contains_key(&id) => id,
        Some(_) => return Answer::not_found(),
        None => {
            let id = state.id();
            let check = Check {
                id,
                repository: repository.to_owned(),
                head_sha: text("head_sha").unwrap_or_default(),
                name: text("name").unwrap_or_default(),
                title: String::new(),
                summary: String::new(),
                status: "queued".into(),
                conclusion: None,
                started_ms: state.now_ms(),
            };
            state.checks.insert(id, check);
            id
        }
    };
    let created = body.get("head_sha").is_some();
    if let Some(check) = state.checks.get_mut(&id) {
        check.title = output("title").unwrap_or_else(|| check.title.clone());
        check.summary = output("summary").unwrap_or_else(|| check.summary.clone());
        check.status = text("status").unwrap_or_else(|| check.status.clone());
        check.conclusion = text("conclusion");
        if check.conclusion.is_some() {
            check.status = "completed".into();
        }
    }
    Answer::json(if created { 201 } else { 200 }, form::check(state, &state.checks[&id]))
}
