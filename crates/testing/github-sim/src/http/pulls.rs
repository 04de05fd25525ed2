//! Pull requests over HTTP.

use serde_json::{Value, json};

use crate::acts::issues;
use crate::acts::pulls::{merge, open, set_open};
use crate::body::text;
use crate::faults::Faults;
use crate::forms::board as forms;
use crate::http::answer::{Answer, page};
use crate::http::call::{Call, forbidden};
use crate::rules::issues::{key, may_change};
use crate::rules::people;
use crate::rules::pulls::{base_sha, pull_mut};
use crate::state::State;
use crate::state::actor::Via;
use crate::state::board::{Key, Pull};

/// Everything below `/repos/{owner}/{repo}/pulls`.
pub(crate) fn handle(state: &mut State, call: &Call<'_>) -> Answer {
    let Call { verb, repo, rest, body, actor, .. } = *call;
    let [_, number, more @ ..] = rest else {
        return match verb {
            "GET" => list(state, call),
            "POST" => create(state, call),
            _ => Answer::not_found(),
        };
    };
    let found = key(state, repo, number).filter(|key| state.board.issues[key].pull.is_some());
    let Some(key) = found else { return Answer::not_found() };
    match (verb, more) {
        ("GET", []) => show(state, &key, 200),
        ("PATCH", []) => {
            if !may_change(state, &key, actor) {
                return forbidden();
            }
            let wanted = body.get("state").and_then(Value::as_str);
            if let Some(word @ ("open" | "closed")) = wanted
                && let Err(why) = set_open(state, &key, actor, word == "open")
            {
                return Answer::invalid("PullRequest", &why);
            }
            issues::patch(state, &key, actor, body);
            show(state, &key, 200)
        }
        ("PUT", ["merge"]) => {
            if !people::may(state, repo, actor, "write") {
                return forbidden();
            }
            match merge(state, &key, actor, body) {
                Ok(sha) => {
                    let words = "Pull Request successfully merged";
                    Answer::json(200, json!({"sha": sha, "merged": true, "message": words}))
                }
                Err((status, words)) => Answer::message(status, &words),
            }
        }
        _ => Answer::not_found(),
    }
}

fn create(state: &mut State, call: &Call<'_>) -> Answer {
    let Call { repo, body, actor, .. } = *call;
    let (Some(title), Some(head), Some(base)) = (text(body, "title"), text(body, "head"), text(body, "base")) else {
        return Answer::invalid("PullRequest", "title, head and base are needed");
    };
    if actor.via == Some(Via::Actions) && state.board.settings(repo).no_pulls_by_actions {
        return Answer::message(403, "GitHub Actions is not permitted to create or approve pull requests.");
    }
    let (owner, name) = repo.split_once('/').unwrap_or((repo, ""));
    let (head_repo, head) = match head.split_once(':') {
        Some((other, head)) if other != owner => (format!("{other}/{name}"), head.to_owned()),
        Some((_, head)) => (repo.to_owned(), head.to_owned()),
        None => (repo.to_owned(), head),
    };
    let words = text(body, "body").unwrap_or_default();
    match open(state, repo, actor, (&title, &words), (&head_repo, &head), &base) {
        Ok(key) => show(state, &key, 201),
        Err(why) => Answer::invalid("PullRequest", &why),
    }
}

fn show(state: &mut State, key: &Key, status: u16) -> Answer {
    let mut shown = forms::pull(state, &key.0, &state.board.issues[key], true);
    let sides =
        state.board.issues[key].pull.as_ref().map(|pull| (base_sha(state, &key.0, pull), pull.head_sha.clone()));
    let is_open = state.board.issues[key].closed_ms.is_none();
    // It begins to find out when it is asked; the next answer has it.
    let is_new = match pull_mut(state, key) {
        Some(pull) if pull.checked != sides => {
            pull.checked = sides;
            is_open
        }
        _ => false,
    };
    if is_new || Faults::take(&mut state.faults.unknown_mergeable) {
        (shown["mergeable"], shown["mergeable_state"]) = (Value::Null, json!("unknown"));
    }
    Answer::json(status, shown)
}

fn list(state: &State, call: &Call<'_>) -> Answer {
    let Call { repo, query, .. } = *call;
    let wanted = query.get("state").map_or("open", String::as_str);
    let fits = |pull: &Pull| {
        let owner = pull.head_repo.split('/').next().unwrap_or_default();
        // A head without an owner filters nothing: that is how GitHub takes it.
        let head = query.get("head").and_then(|head| head.split_once(':'));
        head.is_none_or(|(of, head)| of.eq_ignore_ascii_case(owner) && head == pull.head)
            && query.get("base").is_none_or(|base| *base == pull.base)
    };
    let found = state.board.issues.iter().filter(|((at, _), issue)| {
        at == repo
            && issue.pull.as_ref().is_some_and(fits)
            && (wanted == "all" || (wanted == "closed") == issue.closed_ms.is_some())
    });
    let mut found: Vec<Value> = found.map(|(_, found)| forms::pull(state, repo, found, false)).collect();
    if query.get("direction").map(String::as_str) != Some("asc") {
        found.reverse();
    }
    page(found, query)
}
