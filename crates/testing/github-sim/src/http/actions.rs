//! Runners, runs and jobs over HTTP.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::acts::{jobs, runners};
use crate::faults::Faults;
use crate::forms::objects as form;
use crate::http::answer::{Answer, Query, paged};
use crate::http::groups as group_calls;
use crate::rules::groups;
use crate::state::State;
use crate::time;

/// Everything under `…/actions` of a repository, organisation or enterprise; `scope` says which.
pub(crate) fn handle(state: &mut State, verb: &str, scope: &str, rest: &[&str], query: &Query, body: &Value) -> Answer {
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
        (_, ["runner-groups", rest @ ..]) => group_calls::handle(state, verb, scope, rest, query),
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
            let asked = |run: &Value| {
                let is = |parameter: &str, field: &str| {
                    query.get(parameter).is_none_or(|wanted| run[field].as_str() == Some(wanted.as_str()))
                };
                is("branch", "head_branch") && is("event", "event")
            };
            let runs = runs.map(|id| form::run(state, id)).filter(asked).collect();
            paged(runs, "workflow_runs", query, shift)
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
            jobs::rerun(state, id);
            Answer::json(201, json!({}))
        }
        _ => Answer::not_found(),
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
    let (id, key) = runners::add(state, name.clone(), scope.to_owned(), labels, true, group);
    if Faults::take(&mut state.faults.lose_jit_answers) {
        return Answer::message(502, "the answer was lost");
    }
    let config =
        json!({"server": state.base, "runner_id": id, "runner_name": name, "key": key, "ephemeral": true}).to_string();
    let encoded = base64::engine::general_purpose::STANDARD.encode(config);
    let runner = form::runner(&state.runners[&id], false);
    Answer::json(201, json!({"runner": runner, "encoded_jit_config": encoded}))
}
