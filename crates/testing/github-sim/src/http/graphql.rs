//! The questions that only GraphQL answers: who edited an issue's text, who labelled or reopened it, and whether a comment was edited.
//! What is asked is known by the fields that a query names; a query about anything else is refused as GitHub refuses a field that it does
//! not have.

use serde_json::{Value, json};

use crate::body::text;
use crate::forms::objects as form;
use crate::http::answer::Answer;
use crate::state::State;
use crate::state::board::{Issue, Key};
use crate::time;

/// GraphQL answers 200 also to what it refuses.
fn refused(kind: &str, message: &str) -> Answer {
    Answer::json(200, json!({"data": null, "errors": [{"type": kind, "message": message}]}))
}

/// Answers a query about repositories that who asks may read.
pub(crate) fn handle(state: &State, body: &Value, may_read: impl Fn(&State, &str) -> bool) -> Answer {
    let (query, variables) = (text(body, "query").unwrap_or_default(), &body["variables"]);
    let asks_for = ["userContentEdits", "timelineItems", "lastEditedAt"].map(|field| query.contains(field));
    match asks_for {
        [true, false, false] => of_issue(state, &query, variables, may_read, edits),
        [false, true, false] => of_issue(state, &query, variables, may_read, timeline),
        [false, false, true] => last_edited(state, variables, may_read),
        _ => refused("undefinedField", "a field of this query does not exist here"),
    }
}

/// A list of what an issue has, with the name of its field.
type Listed = (&'static str, Vec<Value>);

/// The most items of a page.
const PAGE_MAX: usize = 100;

/// A list of what an issue has, page by page as the query asks for it.
fn of_issue(
    state: &State,
    query: &str,
    variables: &Value,
    may_read: impl Fn(&State, &str) -> bool,
    list: impl Fn(&State, &str, &Issue) -> Result<Listed, Box<Answer>>,
) -> Answer {
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
    let (field, items) = match list(state, query, issue) {
        Ok(found) => found,
        Err(refused) => return *refused,
    };
    let size: Option<usize> = after(query, "first:").and_then(|size| size.parse().ok());
    let Some(size) = size.filter(|size| *size > 0) else {
        return refused("MISSING_PAGINATION_BOUNDARIES", "You must provide a `first` or `last` value.");
    };
    if size > PAGE_MAX {
        let message = format!("Requesting {size} records on the connection exceeds the limit of {PAGE_MAX} records.");
        return refused("EXCESSIVE_PAGINATION", &message);
    }
    let from: usize = text(variables, "after").and_then(|after| after.parse().ok()).unwrap_or(0);
    let total = items.len();
    let nodes: Vec<Value> = items.into_iter().skip(from).take(size).collect();
    let end = from + nodes.len();
    let page = json!({"hasNextPage": end < total, "endCursor": end.to_string()});
    let list = json!({"pageInfo": page, "nodes": nodes});
    Answer::json(200, json!({"data": {"repository": {"issue": {(field): list}}}}))
}

/// The word that follows another one in a query.
fn after<'q>(query: &'q str, word: &str) -> Option<&'q str> {
    let (_, rest) = query.split_once(word)?;
    rest.split(|c: char| !c.is_ascii_alphanumeric()).find(|word| !word.is_empty())
}

fn edits(state: &State, _: &str, issue: &Issue) -> Result<Listed, Box<Answer>> {
    if let Some(kind) = state.faults.refuse_edits {
        return Err(Box::new(refused(kind, "Something went wrong while executing your query.")));
    }
    if state.faults.hide_edits {
        let hidden = json!({"data": {"repository": {"issue": {"userContentEdits": null}}}});
        return Err(Box::new(Answer::json(200, hidden)));
    }
    // GraphQL gives the login of an App's account without what REST adds to it.
    let nodes = issue.edits.iter().map(|login| json!({"editor": editor(state, login)})).collect();
    Ok(("userContentEdits", nodes))
}

/// What happened, of the kinds that the query names.
fn timeline(state: &State, query: &str, issue: &Issue) -> Result<Listed, Box<Answer>> {
    if let Some(kind) = state.faults.refuse_timelines {
        return Err(Box::new(refused(kind, "Something went wrong while executing your query.")));
    }
    let kinds = query.split_once("itemTypes:").and_then(|(_, rest)| rest.split(['[', ']']).nth(1)).unwrap_or_default();
    let kinds: Vec<&str> =
        kinds.split(|c: char| c.is_whitespace() || c == ',').filter(|kind| !kind.is_empty()).collect();
    let asked = issue.timeline.iter().filter(|item| kinds.contains(&item.kind));
    Ok(("timelineItems", asked.map(|item| json!({"actor": editor(state, &item.login)})).collect()))
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
