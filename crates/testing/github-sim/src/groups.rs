//! Runner groups: which repositories' jobs go to which runners.

use serde_json::{Value, json};

use crate::api::{self, Answer, Query};
use crate::json as form;
use crate::model::State;

/// A group beside the one that every place has.
#[derive(Clone)]
pub(crate) struct Group {
    pub org: String,
    pub name: String,
    /// `all`, `selected` or `private`.
    pub visibility: String,
    pub repositories: Vec<String>,
    pub allows_public: bool,
}

/// The group that every place has.
pub(crate) const DEFAULT: u64 = 1;

/// Whether a place has a group of this number.
pub(crate) fn is_known(state: &State, scope: &str, group: u64) -> bool {
    group == DEFAULT || state.board.groups.get(&group).is_some_and(|group| group.org == scope)
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

fn show(state: &State, scope: &str, id: u64, group: &Group) -> Value {
    let mut shown = form::group(state, scope);
    let at = format!("{}/orgs/{scope}/actions/runner-groups/{id}", state.base);
    shown["id"] = json!(id);
    shown["name"] = json!(group.name);
    shown["visibility"] = json!(group.visibility);
    shown["default"] = json!(false);
    shown["runners_url"] = json!(format!("{at}/runners"));
    shown["allows_public_repositories"] = json!(group.allows_public);
    if group.visibility == "selected" {
        shown["selected_repositories_url"] = json!(format!("{at}/repositories"));
    }
    shown
}

/// Everything under `…/actions/runner-groups` of a place.
pub(crate) fn handle(state: &State, verb: &str, scope: &str, rest: &[&str], query: &Query) -> Answer {
    let own = state.board.groups.iter().filter(|(_, group)| group.org == scope);
    let one = |id: &str| {
        let id = id.parse::<u64>().ok()?;
        state.board.groups.get(&id).filter(|group| group.org == scope).map(|group| (id, group))
    };
    match (verb, rest) {
        ("GET", []) => {
            let mut all = vec![form::group(state, scope)];
            all.extend(own.map(|(id, group)| show(state, scope, *id, group)));
            api::paged(all, "runner_groups", query, false)
        }
        ("GET", ["1"]) => Answer::json(200, form::group(state, scope)),
        ("GET", [id]) => {
            one(id).map_or_else(Answer::not_found, |(id, group)| Answer::json(200, show(state, scope, id, group)))
        }
        ("GET", [id, "repositories"]) => one(id).map_or_else(Answer::not_found, |(_, group)| {
            let all = group.repositories.iter().map(|name| form::repository(state, name)).collect();
            api::paged(all, "repositories", query, false)
        }),
        _ => Answer::not_found(),
    }
}
