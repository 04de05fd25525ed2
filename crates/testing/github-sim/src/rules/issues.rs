//! Which issues there are, and who may change one.

use crate::rules::people;
use crate::state::State;
use crate::state::actor::Actor;
use crate::state::board::Key;

/// The place of an issue or pull request, if there is one.
pub(crate) fn key(state: &State, repo: &str, number: &str) -> Option<Key> {
    let key = (repo.to_owned(), number.parse().ok()?);
    state.board.issues.contains_key(&key).then_some(key)
}

/// Whether somebody may change an issue: its author may, and who has a role for it.
pub(crate) fn may_change(state: &State, key: &Key, actor: &Actor) -> bool {
    let own = state.board.issues.get(key).is_some_and(|issue| issue.author.login == actor.login);
    own || people::may(state, &key.0, actor, "triage")
}
