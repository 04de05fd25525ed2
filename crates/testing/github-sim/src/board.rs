//! What a repository has beside its runs: issues, pull requests, branches, people; and which module answers for which path.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use crate::api::{Answer, Query};
use crate::git::{Objects, Sha};
use crate::groups::Group;
use crate::issues::Issue;
use crate::model::State;
use crate::people::{self, Actor, Holder};
use crate::{comments, contents, git_api, issues, pulls};

/// An issue's or a pull request's place: repository and number.
pub(crate) type Key = (String, u64);

/// An event that happened: its name, its action (empty if it has none), its payload.
pub(crate) type Event = (String, String, Value);

/// How a repository is set up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub public: bool,
    /// The repository that it is a fork of.
    pub fork_of: Option<String>,
    /// Merge commits are not allowed.
    pub squash_only: bool,
    /// "Allow GitHub Actions to create and approve pull requests" is off.
    pub no_pulls_by_actions: bool,
    /// Branches into which nothing is merged without a review.
    pub protected: BTreeSet<String>,
}

/// The boards of all repositories.
#[derive(Default)]
pub(crate) struct Board {
    pub objects: Objects,
    /// (repository, branch) to commit.
    pub branches: BTreeMap<(String, String), Sha>,
    pub issues: BTreeMap<Key, Issue>,
    pub settings: BTreeMap<String, Settings>,
    /// (repository, login in lower case) to role.
    pub roles: BTreeMap<(String, String), String>,
    /// (organisation, slug) to members in lower case, and whether they have accepted.
    pub teams: BTreeMap<(String, String), BTreeMap<String, bool>>,
    pub groups: BTreeMap<u64, Group>,
    /// Tokens of people and workflows. They do not end.
    pub holders: BTreeMap<String, Holder>,
    /// Runs whose status a test says, with their attempt.
    pub runs: BTreeMap<u64, (String, u64)>,
    /// App or webhook to the events that it gets; `workflow_job` alone if it is not here.
    pub subscriptions: BTreeMap<u64, BTreeSet<String>>,
    pub events: VecDeque<Event>,
}

impl Board {
    pub fn is_public(&self, repo: &str) -> bool {
        self.settings.get(repo).is_some_and(|settings| settings.public)
    }

    pub fn branch(&self, repo: &str, branch: &str) -> Option<&Sha> {
        self.branches.get(&(repo.to_owned(), branch.to_owned()))
    }

    pub fn settings(&mut self, repo: &str) -> &mut Settings {
        self.settings.entry(repo.to_owned()).or_default()
    }
}

/// The branch that a repository begins with.
pub(crate) const DEFAULT_BRANCH: &str = "main";

/// A text of a body.
pub(crate) fn text(body: &Value, key: &str) -> Option<String> {
    body.get(key).and_then(Value::as_str).map(str::to_owned)
}

/// Texts of a body; an object counts by its `name`.
pub(crate) fn texts(body: &Value, key: &str) -> Vec<String> {
    let list = body.get(key).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|item| item.as_str().or_else(|| item.get("name")?.as_str())).map(str::to_owned).collect()
}

/// A call about a repository.
pub(crate) struct Call<'c> {
    pub verb: &'c str,
    pub repo: &'c str,
    /// The path below the repository, its segments decoded.
    pub rest: &'c [&'c str],
    pub query: &'c Query,
    pub body: &'c Value,
    pub actor: &'c Actor,
}

/// Everything below `/repos/{owner}/{repo}` that is about issues, pulls, branches, files and people; `None` when it is
/// about something else.
pub(crate) fn handle(state: &mut State, call: &Call<'_>) -> Option<Answer> {
    if !people::may(state, call.repo, call.actor, "read") {
        return Some(Answer::not_found());
    }
    match call.rest {
        ["issues", "comments", ..] | ["issues", _, "comments"] => Some(comments::handle(state, call)),
        ["issues", ..] => Some(issues::handle(state, call)),
        ["pulls", ..] => Some(pulls::handle(state, call)),
        ["git" | "compare", ..] => Some(git_api::handle(state, call)),
        ["contents", path @ ..] => Some(contents::handle(state, call, &path.join("/"))),
        ["collaborators", ..] => people::handle(state, call.verb, call.repo, call.rest),
        _ => None,
    }
}

/// The answer to who may read and not write.
pub(crate) fn forbidden() -> Answer {
    Answer::message(403, "Must have push access to repository.")
}
