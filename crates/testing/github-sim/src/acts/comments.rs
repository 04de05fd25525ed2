//! Comments on issues and pull requests, and the reactions to them.

use serde_json::{Value, json};

use crate::events;
use crate::forms::board as forms;
use crate::state::State;
use crate::state::actor::Actor;
use crate::state::board::{Comment, Key, Reaction};

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

fn report(state: &mut State, key: &Key, comment: &Comment, action: &str, actor: &Actor, changes: Option<Value>) {
    let Some(issue) = state.board.issues.get(key).cloned() else { return };
    let mut payload = json!({
        "issue": events::issue(state, &key.0, &issue), "comment": forms::comment(state, key, comment),
    });
    if let Some(changes) = changes {
        payload["changes"] = changes;
    }
    events::emit(state, &key.0, "issue_comment", action, actor, payload);
}

/// GitHub does not promise that a comment that nobody changed has one time: `updated_at` was seen a second after `created_at`
/// (palantir/policy-bot, pull request 459). Here it always is.
const STAMP_LAG_MS: i64 = 1_000;

/// Comments. Returns the comment.
pub(crate) fn add(state: &mut State, key: &Key, actor: &Actor, body: &str) -> Option<Comment> {
    let (id, now) = (state.id(), state.now_ms());
    let comment = Comment {
        id,
        author: actor.clone(),
        body: body.to_owned(),
        created_ms: now,
        updated_ms: now + STAMP_LAG_MS,
        edited_ms: None,
        reactions: Vec::new(),
    };
    let issue = state.board.issues.get_mut(key)?;
    issue.comments.push(comment.clone());
    issue.updated_ms = now;
    report(state, key, &comment, "created", actor, None);
    Some(comment)
}

/// Changes a comment.
pub(crate) fn edit(state: &mut State, repo: &str, id: u64, actor: &Actor, body: &str) -> Option<(Key, Comment)> {
    let now = state.now_ms();
    let (key, old) = find(state, repo, id)?;
    let changed = change(state, &key, id, |comment| {
        body.clone_into(&mut comment.body);
        comment.updated_ms = now.max(comment.updated_ms);
        comment.edited_ms = Some(now);
        comment.clone()
    })?;
    report(state, &key, &changed, "edited", actor, Some(json!({"body": {"from": old.body}})));
    Some((key, changed))
}

/// Deletes a comment. Returns whether it was there.
pub(crate) fn delete(state: &mut State, repo: &str, id: u64, actor: &Actor) -> bool {
    let Some((key, comment)) = find(state, repo, id) else { return false };
    if let Some(issue) = state.board.issues.get_mut(&key) {
        issue.comments.retain(|comment| comment.id != id);
    }
    report(state, &key, &comment, "deleted", actor, None);
    true
}

/// Reacts to a comment. Returns the reaction; there is one of a kind for each account.
pub(crate) fn react(state: &mut State, key: &Key, found: &Comment, actor: &Actor, content: &str) -> Reaction {
    let made =
        Reaction { id: state.id(), login: actor.login.clone(), content: content.to_owned(), at_ms: state.now_ms() };
    change(state, key, found.id, |comment| comment.reactions.push(made.clone()));
    made
}
