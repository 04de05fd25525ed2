//! Who acts, what they may do, and which teams they are in.

use serde_json::{Value, json};

use crate::api::Answer;
use crate::json as form;
use crate::model::State;

/// What somebody acts through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// An App's installation.
    App(u64),
    /// A workflow's own token.
    Actions,
}

/// Who acts.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    pub login: String,
    pub via: Option<Via>,
}

impl Actor {
    pub fn person(login: &str) -> Self {
        Self { login: login.to_owned(), via: None }
    }

    pub fn actions() -> Self {
        Self { login: "github-actions[bot]".into(), via: Some(Via::Actions) }
    }

    pub fn app(state: &State, app: u64) -> Self {
        let slug = state.apps.get(&app).map_or("app", |app| app.app.slug.as_str());
        Self { login: format!("{slug}[bot]"), via: Some(Via::App(app)) }
    }

    /// The App that it was done through, as comments show it.
    pub fn app_form(&self, state: &State) -> Value {
        match self.via {
            Some(Via::App(app)) => form::app(state, app),
            Some(Via::Actions) => form::actions_app(state),
            None => Value::Null,
        }
    }
}

/// Whom a token is of, beside an installation's.
#[derive(Clone, Debug)]
pub(crate) enum Holder {
    Person(String),
    /// A workflow of this repository.
    Actions(String),
}

/// GitHub's roles, the least first.
const ROLES: [&str; 6] = ["none", "read", "triage", "write", "maintain", "admin"];

/// A role as a number; a custom role's name counts as `read`.
pub(crate) fn rank(role: &str) -> usize {
    ROLES.iter().position(|known| *known == role).unwrap_or(1)
}

/// Makes sure that there is such an account.
pub(crate) fn know(state: &mut State, login: &str) {
    if !login.contains('@') && find(state, login).is_none() {
        state.add_owner(login, false);
    }
}

/// The account of a login, which is compared without case.
pub(crate) fn find<'s>(state: &'s State, login: &str) -> Option<&'s str> {
    state.owners.keys().find(|known| known.eq_ignore_ascii_case(login)).map(String::as_str)
}

/// The role of a login in a repository.
pub(crate) fn role(state: &State, repo: &str, login: &str) -> String {
    let given = state.board.roles.get(&(repo.to_owned(), login.to_lowercase()));
    let owner = repo.split('/').next().unwrap_or_default();
    let usual = match () {
        () if owner.eq_ignore_ascii_case(login) => "admin",
        () if state.board.is_public(repo) => "read",
        () => "none",
    };
    given.cloned().unwrap_or_else(|| usual.to_owned())
}

/// Whether somebody has at least this role; Apps and workflows have been given what they need.
pub(crate) fn may(state: &State, repo: &str, actor: &Actor, needed: &str) -> bool {
    actor.via.is_some() || rank(&role(state, repo, &actor.login)) >= rank(needed)
}

/// How GitHub describes an author.
pub(crate) fn association(state: &State, repo: &str, actor: &Actor) -> &'static str {
    let owner = repo.split('/').next().unwrap_or_default();
    match () {
        () if owner.eq_ignore_ascii_case(&actor.login) => "OWNER",
        () if actor.via.is_none() && may(state, repo, actor, "triage") => "COLLABORATOR",
        () => "NONE",
    }
}

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
