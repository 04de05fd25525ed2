//! What IssueOps asks of GitHub: the control repository's issues, pull requests, comments, files, people and runs.
//!
//! It is apart from [`crate::GitHub`], which is about runners: another identity may serve it (a workflow's own token), and
//! who handles requests need not be allowed to register runners.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use runnersmith_types::{Account, Timestamp};

use crate::GitHubError;

/// An issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Its number.
    pub number: u64,
    /// Its title. Foreign text.
    pub title: String,
    /// Its body; empty if it has none. Foreign text.
    pub body: String,
    /// Names of its labels.
    pub labels: Vec<String>,
    /// Who opened it.
    pub author: Account,
    /// Whether it is open.
    pub is_open: bool,
    /// Whether it is a pull request.
    pub is_pull: bool,
}

/// A comment on an issue or a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueComment {
    /// Its id; later comments have larger ones.
    pub id: u64,
    /// Its id in GraphQL; empty on a server that gives none.
    pub node_id: String,
    /// The issue or pull request that it is on.
    pub issue: u64,
    /// Its text. Foreign text.
    pub body: String,
    /// Who wrote it; `ghost` when the account is gone.
    pub author: Account,
    /// Whether a person wrote it: an account of type `User`, and not through an App.
    pub is_person: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last in any way. It may differ from [`Self::created_at`] although nobody edited the text, and be the same
    /// although somebody did: [`ControlRepository::is_edited`] says that.
    pub updated_at: Timestamp,
}

/// A pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    /// Its number.
    pub number: u64,
    /// Whether it is open.
    pub is_open: bool,
    /// Whether it was merged.
    pub is_merged: bool,
    /// Its branch's name.
    pub head_branch: String,
    /// Its branch's commit.
    pub head: String,
    /// Whether its branch is in another repository; so it counts when that repository is gone.
    pub is_fork: bool,
    /// The branch that it would be merged into.
    pub base_branch: String,
    /// Whether GitHub would merge it; `None`: GitHub has not found out yet.
    pub mergeable: Option<bool>,
    /// GitHub's word for why or why not: `clean`, `dirty`, `blocked`, `behind`, `unstable`, `draft`, `unknown`.
    pub mergeable_state: String,
}

/// A file of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// The content's hash by git.
    pub sha: String,
    /// Git's mode: `100644`, `100755`, `120000` (a link), `160000` (a submodule, which has no content here).
    pub mode: String,
}

/// Who made a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitPeople {
    /// The commit.
    pub sha: String,
    /// Its author and its committer; `None`: GitHub knows no account for the address.
    pub accounts: Vec<Option<Account>>,
}

/// What one commit has that another has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// Where their ways part.
    pub merge_base: String,
    /// The commits that only the head has, oldest first.
    pub commits: Vec<CommitPeople>,
}

/// What a login may do with the repository, as GitHub says it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// `admin`, `write`, `read` or `none`; custom roles are folded into these.
    pub permission: String,
    /// `admin`, `maintain`, `write`, `triage`, `read`, or a custom role's name.
    pub role_name: String,
}

/// Who may use a runner group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Repositories, when only some may; `None`: all.
    pub selected: Option<Vec<String>>,
    /// Whether public repositories may use it.
    pub allows_public: bool,
}

/// A workflow run, as far as its end is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunState {
    /// GitHub's word: `queued`, `in_progress`, `completed`, `waiting` and others.
    pub status: String,
    /// Which attempt that is; earlier ones are over.
    pub attempt: u64,
}

/// What the rules of a branch say of merging into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MergeRules {
    /// The ways that repository and branch allow, the best first: a merge commit keeps the commit that was approved. Empty: none is
    /// allowed by both.
    pub methods: Vec<&'static str>,
    /// Whether everything must go through a merge queue, past which nothing can be merged.
    pub needs_queue: bool,
    /// Names of checks that must have passed. Foreign text.
    pub required_checks: Vec<String>,
}

/// Who had a part in what an issue asks for: who wrote its text, if it was edited, and who labelled it, took a label off, reopened it or
/// brought it from another repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IssueEditors {
    /// Those who are known; the author may be among them. A bot's login ends with `[bot]`.
    pub accounts: BTreeSet<Account>,
    /// Whether these are all. Else who asks may not read them, or there are too many.
    pub is_whole: bool,
}

/// Why a merge did not happen.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// GitHub refuses (405: not mergeable, a rule; 409: the head is another one). Foreign text.
    #[error("github merge: refused: {0}")]
    Refused(String),
    /// The branch that it goes to was moved meanwhile, and GitHub has not found out again whether it can be merged: trying again helps.
    #[error("github merge: not yet: {0}")]
    NotYet(String),
    /// Anything else.
    #[error(transparent)]
    GitHub(#[from] GitHubError),
}

/// Files to write: content, or `None` to delete.
pub type FileChanges = BTreeMap<String, Option<Vec<u8>>>;

/// The control repository. Contract: as [`crate::GitHub`]; lists are read to their end (a bounded number of pages), and a
/// list that was cut is an error, never a short list.
#[async_trait]
pub trait ControlRepository: Send + Sync + 'static {
    /// `owner/name`.
    fn name(&self) -> String;
    /// The name of the default branch.
    async fn default_branch(&self) -> Result<String, GitHubError>;

    // --- files ------------------------------------------------------------
    /// A branch's commit.
    async fn branch(&self, branch: &str) -> Result<Option<String>, GitHubError>;
    /// All files of a commit, by path.
    async fn tree(&self, commit: &str) -> Result<BTreeMap<String, Blob>, GitHubError>;
    /// A file's content, by the hash that a tree says.
    async fn blob(&self, sha: &str) -> Result<Vec<u8>, GitHubError>;
    /// Makes a commit on top of another: that one's files, with these changes. No branch has it yet. Returns the commit.
    /// `Refused` when a file is to be deleted that is not there.
    async fn commit(&self, parent: &str, message: &str, changes: &FileChanges) -> Result<String, GitHubError>;
    /// Makes a branch. `Conflict` when it is there.
    async fn create_branch(&self, branch: &str, commit: &str) -> Result<(), GitHubError>;
    /// Moves a branch. Without `force` only forward, else `Conflict`.
    async fn move_branch(&self, branch: &str, commit: &str, force: bool) -> Result<(), GitHubError>;
    /// Deletes a branch; one that is not there is fine.
    async fn delete_branch(&self, branch: &str) -> Result<(), GitHubError>;
    /// What `head` has and `base` has not; at most 250 commits, more is an error.
    async fn compare(&self, base: &str, head: &str) -> Result<Compared, GitHubError>;

    // --- issues -----------------------------------------------------------
    /// One issue; a pull request is one too.
    async fn issue(&self, number: u64) -> Result<Issue, GitHubError>;
    /// Open issues with this label, pull requests left out.
    async fn open_issues(&self, label: &str) -> Result<Vec<Issue>, GitHubError>;
    /// Opens an issue; answers its number.
    async fn open_issue(&self, title: &str, body: &str, labels: &[&str]) -> Result<u64, GitHubError>;
    /// Changes an issue's title and body.
    async fn edit_issue(&self, number: u64, title: &str, body: &str) -> Result<(), GitHubError>;
    /// Closes an issue; one that is closed is fine.
    async fn close_issue(&self, number: u64) -> Result<(), GitHubError>;

    // --- comments ---------------------------------------------------------
    /// Comments on an issue or pull request that were made or changed at or after `since`, by id.
    async fn comments(&self, issue: u64, since: Option<Timestamp>) -> Result<Vec<IssueComment>, GitHubError>;
    /// One comment; `None` when it is gone.
    async fn comment(&self, id: u64) -> Result<Option<IssueComment>, GitHubError>;
    /// Who had a part in what an issue asks for, as GitHub says it now. That it may not be read, or not all of it, is no error: the answer
    /// says so. `NotFound` when there is no such issue.
    async fn editors(&self, issue: u64) -> Result<IssueEditors, GitHubError>;
    /// Whether a comment's text was edited since it was made; `None`: who asks may not read it. Asked after the comment was read: what was
    /// read then is what was written first.
    async fn is_edited(&self, comment: &IssueComment) -> Result<Option<bool>, GitHubError>;
    /// Comments; answers the id.
    async fn add_comment(&self, issue: u64, body: &str) -> Result<u64, GitHubError>;
    /// Changes a comment of our own. `NotFound` when it is gone.
    async fn edit_comment(&self, id: u64, body: &str) -> Result<(), GitHubError>;
    /// Deletes a comment of our own; one that is gone is fine.
    async fn delete_comment(&self, id: u64) -> Result<(), GitHubError>;
    /// Adds a reaction (`eyes`, `confused`, `-1`, `+1`, `rocket`) to a comment; one that is there is fine, and so is a comment
    /// that is gone.
    async fn react(&self, comment: u64, reaction: &str) -> Result<(), GitHubError>;

    // --- pull requests ----------------------------------------------------
    /// Opens a pull request of a branch of this repository; answers its number. When the branch has an open one, that one's.
    async fn open_pull(&self, title: &str, body: &str, head: &str, base: &str) -> Result<u64, GitHubError>;
    /// One pull request.
    async fn pull(&self, number: u64) -> Result<Pull, GitHubError>;
    /// Closes a pull request; one that is closed is fine.
    async fn close_pull(&self, number: u64) -> Result<(), GitHubError>;
    /// What the rules of a branch say of merging into it; a server that has no rulesets says nothing.
    async fn merge_rules(&self, branch: &str) -> Result<MergeRules, GitHubError>;
    /// Merges into the default branch, if the head is this commit, in a way that its rules allow. Returns the commit on the base branch.
    async fn merge(&self, number: u64, head: &str, title: &str) -> Result<String, MergeError>;

    // --- people, groups, runs ---------------------------------------------
    /// What somebody may do here.
    async fn role(&self, login: &str) -> Result<Role, GitHubError>;
    /// Whether somebody is an active member of a team of the repository's owner, by the team's slug.
    async fn is_in_team(&self, team: &str, login: &str) -> Result<bool, GitHubError>;
    /// Who may use a runner group of an organisation; `None`: there is no such group. Compared without case.
    async fn runner_group(&self, organization: &str, group: &str) -> Result<Option<Group>, GitHubError>;
    /// A workflow run of this repository; `None`: there is none of that number.
    async fn workflow_run(&self, id: u64) -> Result<Option<RunState>, GitHubError>;
}
