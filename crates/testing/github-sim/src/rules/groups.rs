//! Runner groups: which repositories' jobs go to which runners.

use crate::state::State;
use crate::state::board::{DEFAULT_GROUP, Group};

/// Whether runners of a place can be registered in the group of this number.
pub(crate) fn takes_runners(state: &State, scope: &str, group: u64) -> bool {
    let own = |group: &Group| group.org == scope && !group.inherited;
    group == DEFAULT_GROUP || state.board.groups.get(&group).is_some_and(own)
}

/// Whether jobs of a repository may go to a group's runners.
pub(crate) fn serves(state: &State, group: u64, repository: &str) -> bool {
    let Some(group) = state.board.groups.get(&group) else { return true };
    let public = state.board.is_public(repository);
    let visible = match group.visibility.as_str() {
        "selected" => group.repositories.iter().any(|name| name == repository),
        "private" => !public,
        _ => true,
    };
    visible && (group.allows_public || !public)
}

/// A group's name.
pub(crate) fn name(state: &State, group: u64) -> String {
    state.board.groups.get(&group).map_or_else(|| "Default".to_owned(), |group| group.name.clone())
}
