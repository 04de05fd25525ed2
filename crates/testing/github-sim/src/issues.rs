//! Issues: opened, edited, labelled, closed. A pull request is an issue too, with a [`Pull`].

use serde_json::{Value, json};

use crate::api::{self, Answer};
use crate::board::{Call, Key, forbidden, text, texts};
use crate::comments::Comment;
use crate::model::State;
use crate::people::{self, Actor};
use crate::pulls::Pull;
use crate::{events, forms};

#[derive(Clone)]
pub(crate) struct Issue {
    pub id: u64,
    pub number: u64,
    pub author: Actor,
    pub title: String,
    pub body: String,
    pub closed_ms: Option<i64>,
    pub labels: Vec<String>,
    pub comments: Vec<Comment>,
    pub created_ms: i64,
    pub updated_ms: i64,
    pub pull: Option<Pull>,
}

/// Adds an issue or a pull request, and tells nobody. Answers its number.
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
        pull,
    };
    let key = (repo.to_owned(), number);
    state.board.issues.insert(key.clone(), issue);
    key
}

/// Opens an issue. GitHub tells of it once, and of each label that it has from the beginning once more.
pub(crate) fn open(state: &mut State, repo: &str, actor: &Actor, title: &str, body: &str, labels: Vec<String>) -> u64 {
    let key = add(state, repo, actor, title, body, None);
    if let Some(issue) = state.board.issues.get_mut(&key) {
        issue.labels.clone_from(&labels);
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
    let label = forms::label(state, &key.0, name);
    events::about(state, key, "labeled", actor, json!({"label": label}));
}

/// Takes a label away. Answers whether it was there.
pub(crate) fn unlabel(state: &mut State, key: &Key, actor: &Actor, name: &str) -> bool {
    let now = state.now_ms();
    let Some(issue) = state.board.issues.get_mut(key) else { return false };
    let before = issue.labels.len();
    issue.labels.retain(|own| own != name);
    if issue.labels.len() == before {
        return false;
    }
    issue.updated_ms = now;
    let label = forms::label(state, &key.0, name);
    events::about(state, key, "unlabeled", actor, json!({"label": label}));
    true
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

/// Whether somebody may change an issue: its author may, and who has a role for it.
pub(crate) fn may_change(state: &State, key: &Key, actor: &Actor) -> bool {
    let own = state.board.issues.get(key).is_some_and(|issue| issue.author.login == actor.login);
    own || people::may(state, &key.0, actor, "triage")
}

/// Everything below `/repos/{owner}/{repo}/issues` but comments.
pub(crate) fn handle(state: &mut State, call: &Call<'_>) -> Answer {
    let Call { verb, repo, rest, query, body, actor } = *call;
    let [_, number, more @ ..] = rest else {
        return match verb {
            "GET" => list(state, call),
            "POST" => {
                let Some(title) = text(body, "title") else { return Answer::invalid("Issue", "title is missing") };
                let words = text(body, "body").unwrap_or_default();
                // Labels of those who may not set them are dropped silently.
                let labels = if people::may(state, repo, actor, "triage") { texts(body, "labels") } else { Vec::new() };
                let number = open(state, repo, actor, &title, &words, labels);
                show(state, &(repo.to_owned(), number), 201)
            }
            _ => Answer::not_found(),
        };
    };
    let _ = query;
    let Some(key) = key(state, repo, number) else { return Answer::not_found() };
    if verb != "GET" && !may_change(state, &key, actor) {
        return forbidden();
    }
    match (verb, more) {
        ("GET", []) => show(state, &key, 200),
        ("PATCH", []) => {
            patch(state, &key, actor, body);
            match body.get("state").and_then(Value::as_str) {
                Some("closed") => set_open(state, &key, actor, false),
                Some("open") => set_open(state, &key, actor, true),
                _ => {}
            }
            show(state, &key, 200)
        }
        ("POST", ["labels"]) => {
            for name in texts(body, "labels") {
                label(state, &key, actor, &name);
            }
            labels(state, &key)
        }
        ("DELETE", ["labels", name]) => {
            if unlabel(state, &key, actor, name) {
                labels(state, &key)
            } else {
                Answer::not_found()
            }
        }
        _ => Answer::not_found(),
    }
}

/// The place of an issue or pull request, if there is one.
pub(crate) fn key(state: &State, repo: &str, number: &str) -> Option<Key> {
    let key = (repo.to_owned(), number.parse().ok()?);
    state.board.issues.contains_key(&key).then_some(key)
}

fn show(state: &State, key: &Key, status: u16) -> Answer {
    Answer::json(status, forms::issue(state, &key.0, &state.board.issues[key]))
}

fn labels(state: &State, key: &Key) -> Answer {
    let labels = state.board.issues.get(key).map(|issue| issue.labels.as_slice()).unwrap_or_default();
    Answer::json(200, labels.iter().map(|name| forms::label(state, &key.0, name)).collect())
}

fn list(state: &State, call: &Call<'_>) -> Answer {
    let Call { repo, query, .. } = *call;
    let wanted = query.get("state").map_or("open", String::as_str);
    let label = query.get("labels");
    let found = state.board.issues.iter().filter(|((at, _), issue)| {
        at == repo
            && (wanted == "all" || (wanted == "closed") == issue.closed_ms.is_some())
            && label.is_none_or(|label| label.split(',').all(|label| issue.labels.iter().any(|own| own == label)))
    });
    let mut found: Vec<Value> = found.map(|(_, found)| forms::issue(state, repo, found)).collect();
    // GitHub's order is the newest first.
    if query.get("direction").map(String::as_str) != Some("asc") {
        found.reverse();
    }
    api::page(found, query)
}
