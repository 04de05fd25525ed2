//! Issues over HTTP.

use serde_json::Value;

use crate::acts::issues::{label, open, patch, set_open, unlabel};
use crate::body::{text, texts};
use crate::forms::board as forms;
use crate::http::answer::{Answer, page};
use crate::http::call::{Call, forbidden};
use crate::rules::issues::{key, may_change};
use crate::rules::people;
use crate::state::State;
use crate::state::board::Key;

/// The answer about an issue that is not here: it may have been transferred.
fn moved(state: &State, repo: &str, number: &str) -> Answer {
    let key: Option<Key> = number.parse().ok().map(|number| (repo.to_owned(), number));
    match key.and_then(|key| state.board.transferred.get(&key)) {
        Some((to, number)) => {
            let location = format!("{}/repos/{to}/issues/{number}", state.base);
            Answer { location: Some(location), ..Answer::message(301, "Moved Permanently") }
        }
        None => Answer::not_found(),
    }
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
    let Some(key) = key(state, repo, number) else { return moved(state, repo, number) };
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
    page(found, query)
}
