//! What happens is recorded for tests, and delivered to those who are subscribed.

use serde_json::{Value, json};

use crate::deliveries;
use crate::forms::{board as forms, objects as form};
use crate::state::State;
use crate::state::actor::Actor;
use crate::state::board::{Issue, Key};

/// So many events are kept for tests.
const EVENTS_MAX: usize = 20_000;

/// Keeps an event for tests.
pub(crate) fn record(state: &mut State, event: &str, action: &str, payload: &Value) {
    state.board.events.push_back((event.to_owned(), action.to_owned(), payload.clone()));
    if state.board.events.len() > EVENTS_MAX {
        state.board.events.pop_front();
    }
}

/// Reports an event. The action is empty for `push`, which has none.
pub(crate) fn emit(state: &mut State, repo: &str, event: &str, action: &str, actor: &Actor, mut payload: Value) {
    let owner = repo.split('/').next().unwrap_or_default().to_owned();
    if !action.is_empty() {
        payload["action"] = json!(action);
    }
    payload["repository"] = form::full_repository(state, repo);
    payload["sender"] = form::user(state, &actor.login);
    if state.owners.get(&owner).is_some_and(|(_, organization)| *organization) {
        payload["organization"] = form::organization(state, &owner);
    }
    record(state, event, action, &payload);
    deliveries::broadcast(state, repo, event, action, &payload);
}

/// Reports a job: `workflow_job`, and `check_run` if that fault is on.
pub(crate) fn job(state: &mut State, id: u64, action: &str) {
    let Some(job) = state.jobs.get(&id) else { return };
    let owner = job.repository.split('/').next().unwrap_or_default().to_owned();
    let workflow_job = form::workflow_job(state, job);
    let mut payload = json!({
        "action": action,
        "workflow_job": workflow_job,
        "repository": form::full_repository(state, &job.repository),
        "sender": form::user(state, &owner),
    });
    if state.owners.get(&owner).is_some_and(|(_, organization)| *organization) {
        payload["organization"] = form::organization(state, &owner);
    }
    let repository = job.repository.clone();
    record(state, "workflow_job", action, &payload);
    deliveries::broadcast(state, &repository, "workflow_job", action, &payload);
    if state.faults.check_runs && action == "queued" {
        payload["action"] = json!("created");
        let workflow_job = payload.as_object_mut().and_then(|payload| payload.remove("workflow_job"));
        payload["check_run"] = form::check_run_of_job(state, id, &workflow_job.unwrap_or_default());
        deliveries::broadcast(state, &repository, "check_run", "created", &payload);
    }
}

/// An issue as payloads carry it.
pub(crate) fn issue(state: &State, repo: &str, issue: &Issue) -> Value {
    let mut shown = forms::issue(state, repo, issue);
    // The documents' form of the App there is older than the one in answers, and refuses it.
    if let Value::Object(shown) = &mut shown {
        shown.remove("performed_via_github_app");
    }
    shown
}

/// Reports an issue or a pull request, whichever it is; `more` is what only this action has.
pub(crate) fn about(state: &mut State, key: &Key, action: &str, actor: &Actor, more: Value) {
    let Some(found) = state.board.issues.get(key).cloned() else { return };
    let (event, mut payload) = if found.pull.is_some() {
        // When GitHub sends it, it has not found out whether it could merge.
        let mut pull = forms::pull(state, &key.0, &found, true);
        (pull["mergeable"], pull["mergeable_state"]) = (Value::Null, json!("unknown"));
        ("pull_request", json!({"number": key.1, "pull_request": pull}))
    } else {
        ("issues", json!({"issue": issue(state, &key.0, &found)}))
    };
    if let (Value::Object(payload), Value::Object(more)) = (&mut payload, more) {
        payload.extend(more);
    }
    emit(state, &key.0, event, action, actor, payload);
}
