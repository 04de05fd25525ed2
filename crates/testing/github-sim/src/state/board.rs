//! What a repository has beside its runs: issues, pull requests, branches, people, and how it is set up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use crate::git::{Objects, Sha};
use crate::state::actor::{Actor, Holder};
use crate::state::setup::RepositorySetup;

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
    /// What a ruleset says of the default branch.
    pub rules: BranchRules,
    /// What an admin sees beside.
    pub setup: RepositorySetup,
}

/// Rules of a branch, as a ruleset has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BranchRules {
    /// "Require linear history": no merge commits.
    pub linear_history: bool,
    /// The methods by which a pull request may be merged, if not all.
    pub merge_methods: Option<Vec<&'static str>>,
    /// "Require a pull request before merging": so many approvals, and whether code owners must review.
    pub pull_request: Option<(u64, bool)>,
    /// "Dismiss stale pull request approvals when new commits are pushed" is off.
    pub keeps_stale_reviews: bool,
    /// "Require approval of the most recent reviewable push".
    pub last_push_approval: bool,
    /// Whom they do not bind: GitHub's word for the kind, the number, and GitHub's word for when.
    pub bypass: Vec<(&'static str, Option<u64>, &'static str)>,
    /// "Block force pushes".
    pub no_force_pushes: bool,
    /// "Restrict deletions".
    pub no_deletion: bool,
    /// "Require merge queue".
    pub merge_queue: bool,
    /// Checks that must have passed; nothing here reports one.
    pub required_checks: Vec<&'static str>,
    /// A private repository of an owner whose plan has no rules for branches.
    pub not_offered: bool,
}

/// The boards of all repositories.
#[derive(Default)]
pub(crate) struct Board {
    pub objects: Objects,
    /// (repository, branch) to commit.
    pub branches: BTreeMap<(String, String), Sha>,
    pub issues: BTreeMap<Key, Issue>,
    /// Issues that were transferred, with where they are now.
    pub transferred: BTreeMap<Key, Key>,
    pub settings: BTreeMap<String, Settings>,
    /// (repository, login in lower case) to role.
    pub roles: BTreeMap<(String, String), String>,
    /// (organisation, slug) to members in lower case, and whether they have accepted.
    pub teams: BTreeMap<(String, String), BTreeMap<String, bool>>,
    pub groups: BTreeMap<u64, Group>,
    /// The names of default groups that were given another.
    pub default_groups: BTreeMap<String, String>,
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

#[derive(Clone)]
pub(crate) struct Issue {
    pub id: u64,
    pub number: u64,
    pub author: Actor,
    pub title: String,
    pub body: String,
    pub closed_ms: Option<i64>,
    pub labels: Vec<String>,
    pub comments: Vec<Comment>,
    pub created_ms: i64,
    pub updated_ms: i64,
    /// Who changed the body, oldest first. The first one is the author, as of the body's first text, once there is another.
    pub edits: Vec<String>,
    /// What its timeline shows, oldest first.
    pub timeline: Vec<TimelineItem>,
    pub pull: Option<Pull>,
}

/// Something that somebody did to an issue, of what a query can ask for here.
#[derive(Clone)]
pub(crate) struct TimelineItem {
    /// GraphQL's word of `IssueTimelineItemsItemType`.
    pub kind: &'static str,
    pub login: String,
}

impl Issue {
    pub fn happened(&mut self, kind: &'static str, actor: &Actor) {
        self.timeline.push(TimelineItem { kind, login: actor.login.clone() });
    }
}

/// What makes an issue a pull request.
#[derive(Clone)]
pub(crate) struct Pull {
    /// The repository of its branch; it may be gone.
    pub head_repo: String,
    pub head: String,
    pub base: String,
    /// Its branch's commit while it is open; the last one when it is closed.
    pub head_sha: Sha,
    pub merged_ms: Option<i64>,
    pub merged_by: Option<String>,
    pub merge_sha: Option<Sha>,
    /// Of which base and head GitHub has found out whether they can be merged: it begins when it is asked, and answers the next time.
    pub checked: Option<(Sha, Sha)>,
}

#[derive(Clone)]
pub(crate) struct Comment {
    pub id: u64,
    pub author: Actor,
    pub body: String,
    pub created_ms: i64,
    pub updated_ms: i64,
    /// When it was last edited; REST does not say it.
    pub edited_ms: Option<i64>,
    pub reactions: Vec<Reaction>,
}

#[derive(Clone)]
pub(crate) struct Reaction {
    pub id: u64,
    pub login: String,
    pub content: String,
    pub at_ms: i64,
}

/// What one can react with.
pub(crate) const REACTIONS: [&str; 8] = ["+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"];

/// A group beside the one that every place has.
#[derive(Clone)]
pub(crate) struct Group {
    pub org: String,
    pub name: String,
    /// `all`, `selected` or `private`.
    pub visibility: String,
    pub repositories: Vec<String>,
    pub allows_public: bool,
    /// It is the enterprise's: an organisation sees it and cannot register runners in it.
    pub inherited: bool,
}

/// The group that every place has.
pub(crate) const DEFAULT_GROUP: u64 = 1;
