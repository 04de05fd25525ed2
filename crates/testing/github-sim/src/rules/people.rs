//! Which accounts there are, and what they may do.

use crate::state::State;
use crate::state::actor::{Actor, Via};

/// The App itself, which acts by its installation.
pub(crate) fn app(state: &State, app: u64) -> Actor {
    let slug = state.apps.get(&app).map_or("app", |app| app.app.slug.as_str());
    Actor { login: format!("{slug}[bot]"), via: Some(Via::App(app)) }
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
