//! Which pull requests are open, and whether one can be merged.

use crate::git::Sha;
use crate::state::State;
use crate::state::board::{Issue, Key, Pull};

/// The commit that it would be merged into.
pub(crate) fn base_sha(state: &State, repo: &str, pull: &Pull) -> Sha {
    state.board.branch(repo, &pull.base).cloned().unwrap_or_default()
}

/// Whether it can be merged, and GitHub's word for it.
pub(crate) fn mergeable(state: &State, repo: &str, issue: &Issue) -> (Option<bool>, &'static str) {
    let Some(pull) = issue.pull.as_ref().filter(|_| issue.closed_ms.is_none()) else { return (None, "unknown") };
    let rules = state.board.settings.get(repo).map(|settings| &settings.rules);
    let protected = state.board.settings.get(repo).is_some_and(|settings| settings.protected.contains(&pull.base))
        || rules.is_some_and(|rules| !rules.required_checks.is_empty());
    match state.board.objects.merge(&base_sha(state, repo, pull), &pull.head_sha) {
        None => (Some(false), "dirty"),
        Some(_) if protected => (Some(true), "blocked"),
        Some(_) => (Some(true), "clean"),
    }
}

pub(crate) fn pull_mut<'s>(state: &'s mut State, key: &Key) -> Option<&'s mut Pull> {
    state.board.issues.get_mut(key)?.pull.as_mut()
}

/// The open pull requests that a predicate holds for.
pub(crate) fn open_pulls(state: &State, holds: impl Fn(&Key, &Pull) -> bool) -> Vec<Key> {
    let open = state.board.issues.iter().filter(|(_, issue)| issue.closed_ms.is_none());
    open.filter(|(key, issue)| issue.pull.as_ref().is_some_and(|pull| holds(key, pull)))
        .map(|(key, _)| key.clone())
        .collect()
}
