//! The two questions that only GraphQL answers: who edited an issue's text, and whether a comment was edited. What is asked is known by
//! the fields that a query names; a query about anything else is refused as GitHub refuses a field that it does not have.

use serde_json::{Value, json};

use crate::body::text;
use crate::forms::objects as form;
use crate::http::answer::Answer;
use crate::state::State;
use crate::state::board::Key;
use crate::time;

/// GraphQL answers 200 also to what it refuses.
fn refused(kind: &str, message: &str) -> Answer {
    Answer::json(200, json!({"data": null, "errors": [{"type": kind, "message": message}]}))
}

/// Answers a query about repositories that who asks may read.
pub(crate) fn handle(state: &State, body: &Value, may_read: impl Fn(&State, &str) -> bool) -> Answer {
    let (query, variables) = (text(body, "query").unwrap_or_default(), &body["variables"]);
    match (query.contains("userContentEdits"), query.contains("lastEditedAt")) {
        (true, false) => edits(state, variables, may_read),
        (false, true) => last_edited(state, variables, may_read),
        _ => refused("undefinedField", "a field of this query does not exist here"),
    }
}

fn edits(state: &State, variables: &Value, may_read: impl Fn(&State, &str) -> bool) -> Answer {
    let [owner, name] = ["owner", "name"].map(|field| text(variables, field).unwrap_or_default());
    let wanted = format!("{owner}/{name}");
    let found = state.repositories.keys().find(|own| own.eq_ignore_ascii_case(&wanted) && may_read(state, own));
    let Some(repo) = found else {
        let message = format!("Could not resolve to a Repository with the name '{wanted}'.");
        return refused("NOT_FOUND", &message);
    };
    let number = variables["number"].as_u64().unwrap_or_default();
    let key: Key = (repo.clone(), number);
    // A pull request is no issue to GraphQL.
    let Some(issue) = state.board.issues.get(&key).filter(|issue| issue.pull.is_none()) else {
        let message = format!("Could not resolve to an Issue with the number of {number}.");
        return refused("NOT_FOUND", &message);
    };
    if let Some(kind) = state.faults.refuse_edits {
        return refused(kind, "Something went wrong while executing your query.");
    }
    if state.faults.hide_edits {
        return Answer::json(200, json!({"data": {"repository": {"issue": {"userContentEdits": null}}}}));
    }
    const PAGE: usize = 100;
    let from: usize = text(variables, "after").and_then(|after| after.parse().ok()).unwrap_or(0);
    // GraphQL gives the login of an App's account without what REST adds to it.
    let nodes: Vec<Value> =
        issue.edits.iter().skip(from).take(PAGE).map(|login| json!({"editor": editor(state, login)})).collect();
    let end = from + nodes.len();
    let page = json!({"hasNextPage": end < issue.edits.len(), "endCursor": end.to_string()});
    Answer::json(
        200,
        json!({"data": {"repository": {"issue": {"userContentEdits": {"pageInfo": page, "nodes": nodes}}}}}),
    )
}

/// An actor; its number is asked for by its kind.
fn editor(state: &State, login: &str) -> Value {
    let user = form::user(state, login);
    json!({"__typename": user["type"], "login": login.trim_end_matches("[bot]"), "databaseId": user["id"]})
}

fn last_edited(state: &State, variables: &Value, may_read: impl Fn(&State, &str) -> bool) -> Answer {
    let id = text(variables, "id").unwrap_or_default();
    let number: Option<u64> = id.strip_prefix("IC_").and_then(|id| id.parse().ok());
    let of_repo = state.board.issues.iter().filter(|((repo, _), _)| may_read(state, repo));
    let mut comments = of_repo.flat_map(|(_, issue)| &issue.comments);
    match comments.find(|comment| Some(comment.id) == number) {
        Some(comment) => {
            Answer::json(200, json!({"data": {"node": {"lastEditedAt": comment.edited_ms.map(time::text)}}}))
        }
        None => refused("NOT_FOUND", &format!("Could not resolve to a node with the global id of '{id}'")),
    }
}
