//! Permissions of people and members of teams over HTTP.

use serde_json::json;

use crate::forms::objects as form;
use crate::http::answer::Answer;
use crate::rules::people::{find, rank, role};
use crate::state::State;

/// What anybody may ask about the people of a repository.
pub(crate) fn handle(state: &State, verb: &str, repo: &str, rest: &[&str]) -> Option<Answer> {
    let ("GET", ["collaborators", login, "permission"]) = (verb, rest) else { return None };
    let Some(login) = find(state, login) else { return Some(Answer::not_found()) };
    let role = role(state, repo, login);
    let rank = rank(&role);
    let permission = ["none", "read", "read", "write", "write", "admin"][rank];
    let mut user = form::user(state, login);
    user["role_name"] = json!(role);
    user["permissions"] = json!({
        "pull": rank >= 1, "triage": rank >= 2, "push": rank >= 3, "maintain": rank >= 4, "admin": rank >= 5,
    });
    Some(Answer::json(200, json!({"permission": permission, "role_name": role, "user": user})))
}

/// `/orgs/{org}/teams/{slug}/memberships/{login}`.
pub(crate) fn membership(state: &State, org: &str, slug: &str, login: &str) -> Answer {
    let team = state.board.teams.get(&(org.to_owned(), slug.to_owned()));
    let active = team.and_then(|members| members.get(&login.to_lowercase()));
    active.map_or_else(Answer::not_found, |active| {
        let url = format!("{}/organizations/1/team/1/memberships/{login}", state.base);
        let word = if *active { "active" } else { "pending" };
        Answer::json(200, json!({"url": url, "role": "member", "state": word}))
    })
}
