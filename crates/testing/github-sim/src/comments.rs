//! Comments on issues and pull requests, and the reactions to them.

use serde_json::{Value, json};

use crate::api::{self, Answer};
use crate::board::{Call, Key, forbidden, text};
use crate::model::State;
use crate::people::{self, Actor};
use crate::{events, forms, issues};

#[derive(Clone)]
pub(crate) struct Comment {
    pub id: u64,
    pub author: Actor,
    pub body: String,
    pub created_ms: i64,
    pub updated_ms: i64,
    pub reactions: Vec<Reaction>,
}

#[derive(Clone)]
pub(crate) struct Reaction {
    pub id: u64,
    pub login: String,
    pub content: String,
    pub at_ms: i64,
}

/// What one can react with.
pub(crate) const REACTIONS: [&str; 8] = ["+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"];

/// The longest comment, in characters.
const BODY_MAX: usize = 65_536;

/// Where a comment is.
pub(crate) fn find(state: &State, repo: &str, id: u64) -> Option<(Key, Comment)> {
    let mut of_repo = state.board.issues.iter().filter(|((at, _), _)| at == repo);
    of_repo.find_map(|(key, issue)| {
        let comment = issue.comments.iter().find(|comment| comment.id == id)?;
        Some((key.clone(), comment.clone()))
    })
}

fn change<T>(state: &mut State, key: &Key, id: u64, change: impl FnOnce(&mut Comment) -> T) -> Option<T> {
    let issue = state.board.issues.get_mut(key)?;
    issue.comments.iter_mut().find(|comment| comment.id == id).map(change)
}

fn tell(state: &mut State, key: &Key, comment: &Comment, action: &str, actor: &Actor, changes: Option<Value>) {
    let Some(issue) = state.board.issues.get(key).cloned() else { return };
    let mut payload = json!({
        "issue": events::issue(state, &key.0, &issue), "comment": forms::comment(state, key, comment),
    });
    if let Some(changes) = changes {
        payload["changes"] = changes;
    }
    events::emit(state, &key.0, "issue_comment", action, actor, payload);
}

/// Comments. Answers the comment.
pub(crate) fn add(state: &mut State, key: &Key, actor: &Actor, body: &str) -> Option<Comment> {
    let (id, now) = (state.id(), state.now_ms());
    let comment = Comment {
        id,
        author: actor.clone(),
        body: body.to_owned(),
        created_ms: now,
        updated_ms: now,
        reactions: Vec::new(),
    };
    let issue = state.board.issues.get_mut(key)?;
    issue.comments.push(comment.clone());
    issue.updated_ms = now;
    tell(state, key, &comment, "created", actor, None);
    Some(comment)
}

/// Changes a comment.
pub(crate) fn edit(state: &mut State, repo: &str, id: u64, actor: &Actor, body: &str) -> Option<(Key, Comment)> {
    let now = state.now_ms();
    let (key, old) = find(state, repo, id)?;
    let changed = change(state, &key, id, |comment| {
        body.clone_into(&mut comment.body);
        comment.updated_ms = now;
        comment.clone()
    })?;
    tell(state, &key, &changed, "edited", actor, Some(json!({"body": {"from": old.body}})));
    Some((key, changed))
}

/// Deletes a comment. Answers whether it was there.
pub(crate) fn delete(state: &mut State, repo: &str, id: u64, actor: &Actor) -> bool {
    let Some((key, comment)) = find(state, repo, id) else { return false };
    if let Some(issue) = state.board.issues.get_mut(&key) {
        issue.comments.retain(|comment| comment.id != id);
    }
    tell(state, &key, &comment, "deleted", actor, None);
    true
}

/// Everything about comments: below an issue, and by their own number.
pub(crate) fn handle(state: &mut State, call: &Call<'_>) -> Answer {
    let Call { verb, repo, rest, query, body, actor } = *call;
    let words = text(body, "body");
    if words.as_ref().is_some_and(|words| words.chars().count() > BODY_MAX) {
        return Answer::invalid("IssueComment", "body is too long (maximum is 65536 characters)");
    }
    match (verb, rest) {
        ("GET", ["issues", number, "comments"]) => {
            let Some(key) = issues::key(state, repo, number) else { return Answer::not_found() };
            let since = query.get("since").and_then(|text| text.parse::<jiff::Timestamp>().ok());
            let since = since.map_or(i64::MIN, jiff::Timestamp::as_second);
            let recent = |comment: &&Comment| comment.updated_ms.div_euclid(1000) >= since;
            let all = state.board.issues[&key].comments.iter().filter(recent);
            api::page(all.map(|comment| forms::comment(state, &key, comment)).collect(), query)
        }
        ("POST", ["issues", number, "comments"]) => {
            let Some(key) = issues::key(state, repo, number) else { return Answer::not_found() };
            let Some(words) = words.filter(|words| !words.is_empty()) else {
                return Answer::invalid("IssueComment", "body cannot be blank");
            };
            let made = add(state, &key, actor, &words);
            made.map_or_else(Answer::not_found, |made| Answer::json(201, forms::comment(state, &key, &made)))
        }
        (_, ["issues", "comments", id, more @ ..]) => {
            let Some((key, found)) = id.parse().ok().and_then(|id| find(state, repo, id)) else {
                return Answer::not_found();
            };
            by_id(state, call, &key, &found, more, words)
        }
        _ => Answer::not_found(),
    }
}

fn by_id(
    state: &mut State,
    call: &Call<'_>,
    key: &Key,
    found: &Comment,
    more: &[&str],
    words: Option<String>,
) -> Answer {
    let Call { verb, repo, actor, body, query, .. } = *call;
    let may_change = found.author.login == actor.login || people::may(state, repo, actor, "write");
    match (verb, more) {
        ("GET", []) => Answer::json(200, forms::comment(state, key, found)),
        ("PATCH" | "DELETE", []) if !may_change => forbidden(),
        ("PATCH", []) => {
            let words = words.unwrap_or_default();
            let changed = edit(state, repo, found.id, actor, &words);
            changed.map_or_else(Answer::not_found, |(key, changed)| {
                Answer::json(200, forms::comment(state, &key, &changed))
            })
        }
        ("DELETE", []) => {
            delete(state, repo, found.id, actor);
            Answer::empty(204)
        }
        ("GET", ["reactions"]) => {
            api::page(found.reactions.iter().map(|one| forms::reaction(state, one)).collect(), query)
        }
        ("POST", ["reactions"]) => react(state, key, found, actor, &text(body, "content").unwrap_or_default()),
        _ => Answer::not_found(),
    }
}

/// One reaction of a kind for each account.
fn react(state: &mut State, key: &Key, found: &Comment, actor: &Actor, content: &str) -> Answer {
    if !REACTIONS.contains(&content) {
        return Answer::invalid("Reaction", "content is not included in the list");
    }
    let same = |one: &&Reaction| one.login == actor.login && one.content == content;
    if let Some(known) = found.reactions.iter().find(same) {
        return Answer::json(200, forms::reaction(state, known));
    }
    let made =
        Reaction { id: state.id(), login: actor.login.clone(), content: content.to_owned(), at_ms: state.now_ms() };
    change(state, key, found.id, |comment| comment.reactions.push(made.clone()));
    Answer::json(201, forms::reaction(state, &made))
}
