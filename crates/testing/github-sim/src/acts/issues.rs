//! Issues: opened, edited, labelled, closed. A pull request is an issue too.

use serde_json::{Value, json};

use crate::body::{text, texts};
use crate::events;
use crate::forms::board as forms;
use crate::state::State;
use crate::state::actor::Actor;
use crate::state::board::{Issue, Key, Pull};

/// Adds an issue or a pull request, and reports nothing. Returns its place.
pub(crate) fn add(state: &mut State, repo: &str, actor: &Actor, title: &str, body: &str, pull: Option<Pull>) -> Key {
    let number = 1 + state.board.issues.keys().filter(|(at, _)| at == repo).map(|(_, n)| *n).max().unwrap_or(0);
    let now = state.now_ms();
    let issue = Issue {
        id: state.id(),
        number,
        author: actor.clone(),
        title: title.to_owned(),
        body: body.to_owned(),
        closed_ms: None,
        labels: Vec::new(),
        comments: Vec::new(),
        created_ms: now,
        updated_ms: now,
        edits: Vec::new(),
        timeline: Vec::new(),
        pull,
    };
    let key = (repo.to_owned(), number);
    state.board.issues.insert(key.clone(), issue);
    key
}

/// Opens an issue. GitHub reports it once, and of each label that it has from the beginning once more.
pub(crate) fn open(state: &mut State, repo: &str, actor: &Actor, title: &str, body: &str, labels: Vec<String>) -> u64 {
    let key = add(state, repo, actor, title, body, None);
    if let Some(issue) = state.board.issues.get_mut(&key) {
        issue.labels.clone_from(&labels);
        labels.iter().for_each(|_| issue.happened("LABELED_EVENT", actor));
    }
    events::about(state, &key, "opened", actor, json!({}));
    for label in labels {
        let label = forms::label(state, repo, &label);
        events::about(state, &key, "labeled", actor, json!({"label": label}));
    }
    key.1
}

/// Changes title and body.
pub(crate) fn edit(state: &mut State, key: &Key, actor: &Actor, title: Option<String>, body: Option<String>) {
    let now = state.now_ms();
    let Some(issue) = state.board.issues.get_mut(key) else { return };
    let mut changes = json!({});
    for (name, own, new) in [("title", &mut issue.title, title), ("body", &mut issue.body, body)] {
        if let Some(new) = new.filter(|new| new != own) {
            changes[name] = json!({"from": own});
            if name == "body" {
                if issue.edits.is_empty() {
                    issue.edits.push(issue.author.login.clone());
                }
                issue.edits.push(actor.login.clone());
            }
            *own = new;
        }
    }
    if changes != json!({}) {
        issue.updated_ms = now;
        events::about(state, key, "edited", actor, json!({"changes": changes}));
    }
}

/// Closes or reopens an issue; nothing happens when it is so.
pub(crate) fn set_open(state: &mut State, key: &Key, actor: &Actor, open: bool) {
    let now = state.now_ms();
    let Some(issue) = state.board.issues.get_mut(key) else { return };
    if issue.closed_ms.is_none() == open {
        return;
    }
    issue.closed_ms = (!open).then_some(now);
    issue.updated_ms = now;
    issue.happened(if open { "REOPENED_EVENT" } else { "CLOSED_EVENT" }, actor);
    events::about(state, key, if open { "reopened" } else { "closed" }, actor, json!({}));
}

/// Adds a label.
pub(crate) fn label(state: &mut State, key: &Key, actor: &Actor, name: &str) {
    let now = state.now_ms();
    let Some(issue) = state.board.issues.get_mut(key) else { return };
    if issue.labels.iter().any(|own| own == name) {
        return;
    }
    issue.labels.push(name.to_owned());
    issue.updated_ms = now;
    issue.happened("LABELED_EVENT", actor);
    let label = forms::label(state, &key.0, name);
    events::about(state, key, "labeled", actor, json!({"label": label}));
}

/// Takes a label away. Returns whether it was there.
pub(crate) fn unlabel(state: &mut State, key: &Key, actor: &Actor, name: &str) -> bool {
    let now = state.now_ms();
    let Some(issue) = state.board.issues.get_mut(key) else { return false };
    let before = issue.labels.len();
    issue.labels.retain(|own| own != name);
    if issue.labels.len() == before {
        return false;
    }
    issue.updated_ms = now;
    issue.happened("UNLABELED_EVENT", actor);
    let label = forms::label(state, &key.0, name);
    events::about(state, key, "unlabeled", actor, json!({"label": label}));
    true
}

/// Takes an issue to another repository. Returns its number there.
pub(crate) fn transfer(state: &mut State, from: &Key, actor: &Actor, to: &str) -> u64 {
    let Some(issue) = state.board.issues.remove(from) else { return 0 };
    let there = add(state, to, &issue.author, &issue.title, &issue.body, None);
    if let Some(moved) = state.board.issues.get_mut(&there) {
        moved.labels = issue.labels;
        moved.happened("TRANSFERRED_EVENT", actor);
    }
    state.board.transferred.insert(from.clone(), there.clone());
    there.1
}

fn relabel(state: &mut State, key: &Key, actor: &Actor, wanted: &[String]) {
    let own = state.board.issues.get(key).map(|issue| issue.labels.clone()).unwrap_or_default();
    for name in own.iter().filter(|name| !wanted.contains(name)) {
        unlabel(state, key, actor, name);
    }
    for name in wanted {
        label(state, key, actor, name);
    }
}

/// `PATCH` of an issue or of a pull request: what both have.
pub(crate) fn patch(state: &mut State, key: &Key, actor: &Actor, body: &Value) {
    edit(state, key, actor, text(body, "title"), text(body, "body"));
    if body.get("labels").is_some() {
        relabel(state, key, actor, &texts(body, "labels"));
    }
}
