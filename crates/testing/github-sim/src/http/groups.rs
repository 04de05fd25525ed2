//! Runner groups over HTTP.

use serde_json::{Value, json};

use crate::forms::objects as form;
use crate::http::answer::{Answer, Query, paged};
use crate::state::State;
use crate::state::board::Group;

fn show(state: &State, scope: &str, id: u64, group: &Group) -> Value {
    let mut shown = form::group(state, scope);
    let at = format!("{}/orgs/{scope}/actions/runner-groups/{id}", state.base);
    shown["id"] = json!(id);
    shown["name"] = json!(group.name);
    shown["visibility"] = json!(group.visibility);
    shown["default"] = json!(false);
    shown["inherited"] = json!(group.inherited);
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
            paged(all, "runner_groups", query, false)
        }
        ("GET", ["1"]) => Answer::json(200, form::group(state, scope)),
        ("GET", [id]) => {
            one(id).map_or_else(Answer::not_found, |(id, group)| Answer::json(200, show(state, scope, id, group)))
        }
        ("GET", [id, "repositories"]) => one(id).map_or_else(Answer::not_found, |(_, group)| {
            let all = group.repositories.iter().map(|name| form::repository(state, name)).collect();
            paged(all, "repositories", query, false)
        }),
        _ => Answer::not_found(),
    }
}
