//! What tests do as people, without HTTP, and what they look at. A call about something that is not there panics: it is a
//! mistake of the test.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use crate::board::{DEFAULT_BRANCH, Event, Key};
use crate::git::Person;
use crate::groups::Group;
use crate::issues::Issue;
use crate::model::State;
use crate::people::{Actor, Holder};
use crate::{Simulator, comments, hooks, issues, people, pulls, refs};

/// A comment as tests see it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "GitHub's own field names")]
pub struct CommentView {
    pub id: u64,
    pub author: String,
    pub body: String,
    pub created_ms: i64,
    pub updated_ms: i64,
    /// What was reacted with, by whomever.
    pub reactions: Vec<String>,
}

/// An issue or a pull request as tests see it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "GitHub's own field names")]
pub struct IssueView {
    pub number: u64,
    pub author: String,
    pub title: String,
    pub body: String,
    pub open: bool,
    pub labels: Vec<String>,
    pub is_pull: bool,
    pub comments: Vec<CommentView>,
}

/// A pull request as tests see it, beside what it has as an issue.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "GitHub's own field names")]
pub struct PullView {
    pub number: u64,
    pub author: String,
    pub title: String,
    pub body: String,
    pub open: bool,
    pub merged: bool,
    pub head_branch: String,
    /// The branch's commit; the last one when it is closed.
    pub head: String,
    pub base_branch: String,
    pub mergeable: Option<bool>,
    pub mergeable_state: String,
    /// The commit on the base branch, when it is merged.
    pub merge_commit: Option<String>,
}

impl Simulator {
    /// Does something to the state, and sends what follows from it.
    fn act<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let done = act(&mut self.world.lock());
        hooks::flush(&self.world);
        self.world.changed.notify_waiters();
        done
    }

    /// The same about an issue or pull request, as somebody.
    fn on<T>(&self, repo: &str, number: u64, login: &str, act: impl FnOnce(&mut State, &Key, &Actor) -> T) -> T {
        self.act(|state| {
            let key = (repo.to_owned(), number);
            assert!(state.board.issues.contains_key(&key), "{repo} has no issue or pull request {number}");
            people::know(state, login);
            act(state, &key, &Actor::person(login))
        })
    }

    // --- set-up -------------------------------------------------------------

    /// Shifts the clock of everything that is stamped from now on. Tokens and JWTs keep to the machine's clock.
    pub fn advance(&self, by: Duration) {
        self.world.lock().ahead_ms += i64::try_from(by.as_millis()).unwrap_or(0);
    }

    /// Gives an account a role in a repository: `admin`, `maintain`, `write`, `triage`, `read` or `none`. Without one it
    /// has `read` in a public repository and `none` in a private one.
    pub fn set_role(&self, repo: &str, login: &str, role: &str) {
        self.act(|state| {
            people::know(state, login);
            state.board.roles.insert((repo.to_owned(), login.to_lowercase()), role.to_owned());
        });
    }

    /// Adds a team; its members have accepted.
    pub fn add_team(&self, org: &str, slug: &str, members: &[&str]) {
        self.act(|state| {
            members.iter().for_each(|login| people::know(state, login));
            let members = members.iter().map(|login| (login.to_lowercase(), true)).collect();
            state.board.teams.insert((org.to_owned(), slug.to_owned()), members);
        });
    }

    /// Invites somebody to a team, who has not accepted yet.
    pub fn invite_to_team(&self, org: &str, slug: &str, login: &str) {
        self.act(|state| {
            people::know(state, login);
            let team = state.board.teams.entry((org.to_owned(), slug.to_owned())).or_default();
            team.insert(login.to_lowercase(), false);
        });
    }

    /// Adds a runner group: visible to `all`, `selected` (then these repositories) or `private` ones. Answers its number.
    #[must_use]
    pub fn add_group(
        &self,
        org: &str,
        name: &str,
        visibility: &str,
        repositories: &[&str],
        allows_public: bool,
    ) -> u64 {
        self.act(|state| {
            let id = state.id();
            let group = Group {
                org: org.to_owned(),
                name: name.to_owned(),
                visibility: visibility.to_owned(),
                repositories: repositories.iter().map(|name| (*name).to_owned()).collect(),
                allows_public,
            };
            state.board.groups.insert(id, group);
            id
        })
    }

    /// Makes a repository public.
    pub fn make_public(&self, repo: &str) {
        self.act(|state| state.board.settings(repo).public = true);
    }

    /// Allows squash merges only.
    pub fn allow_squash_only(&self, repo: &str) {
        self.act(|state| state.board.settings(repo).squash_only = true);
    }

    /// Switches "Allow GitHub Actions to create and approve pull requests" off.
    pub fn forbid_pulls_by_actions(&self, repo: &str) {
        self.act(|state| state.board.settings(repo).no_pulls_by_actions = true);
    }

    /// Whether a branch's pull requests need a review, which nobody here can give: the API refuses to merge them.
    pub fn protect(&self, repo: &str, branch: &str, required_reviews: bool) {
        self.act(|state| {
            let protected = &mut state.board.settings(repo).protected;
            if required_reviews {
                protected.insert(branch.to_owned())
            } else {
                protected.remove(branch)
            };
        });
    }

    /// Subscribes an App or a webhook to exactly these events. Before that it gets `workflow_job` alone.
    pub fn subscribe(&self, to: u64, events: &[&str]) {
        let events: BTreeSet<String> = events.iter().map(|event| (*event).to_owned()).collect();
        self.act(|state| state.board.subscriptions.insert(to, events));
    }

    /// A token with which a test calls as a person. It does not end.
    #[must_use]
    pub fn user_token(&self, login: &str) -> String {
        self.act(|state| {
            people::know(state, login);
            let token = state.token("ghp_");
            state.board.holders.insert(token.clone(), Holder::Person(login.to_owned()));
            token
        })
    }

    /// A workflow's own token in a repository. It acts as `github-actions[bot]` and may do nothing elsewhere.
    #[must_use]
    pub fn actions_token(&self, repo: &str) -> String {
        self.act(|state| {
            let token = state.token("ghs_");
            state.board.holders.insert(token.clone(), Holder::Actions(repo.to_owned()));
            token
        })
    }

    // --- issues and comments --------------------------------------------------

    /// Changes an issue's body.
    pub fn edit_issue_as(&self, repo: &str, number: u64, login: &str, body: &str) {
        self.on(repo, number, login, |state, key, actor| issues::edit(state, key, actor, None, Some(body.to_owned())));
    }

    /// Closes an issue.
    pub fn close_issue_as(&self, repo: &str, number: u64, login: &str) {
        self.on(repo, number, login, |state, key, actor| issues::set_open(state, key, actor, false));
    }

    /// Reopens an issue.
    pub fn reopen_issue_as(&self, repo: &str, number: u64, login: &str) {
        self.on(repo, number, login, |state, key, actor| issues::set_open(state, key, actor, true));
    }

    /// Adds a label.
    pub fn label_issue_as(&self, repo: &str, number: u64, login: &str, label: &str) {
        self.on(repo, number, login, |state, key, actor| issues::label(state, key, actor, label));
    }

    /// Comments on an issue or a pull request. Answers the comment's number.
    pub fn comment_as(&self, repo: &str, number: u64, login: &str, body: &str) -> u64 {
        self.on(repo, number, login, |state, key, actor| {
            comments::add(state, key, actor, body).map_or(0, |comment| comment.id)
        })
    }

    /// Changes a comment, whoever wrote it.
    pub fn edit_comment_as(&self, repo: &str, id: u64, login: &str, body: &str) {
        self.act(|state| {
            people::know(state, login);
            let edited = comments::edit(state, repo, id, &Actor::person(login), body);
            assert!(edited.is_some(), "{repo} has no comment {id}");
        });
    }

    /// Deletes a comment, whoever wrote it.
    pub fn delete_comment_as(&self, repo: &str, id: u64, login: &str) {
        self.act(|state| {
            people::know(state, login);
            assert!(comments::delete(state, repo, id, &Actor::person(login)), "{repo} has no comment {id}");
        });
    }

    // --- branches and pull requests ---------------------------------------------

    /// Commits on a branch, which is made from the default branch if it is not there; `None` deletes a file. A login with
    /// an `@` is an address that no account has. Answers the commit.
    pub fn push_as(
        &self,
        repo: &str,
        branch: &str,
        login: &str,
        files: &[(&str, Option<&str>)],
        message: &str,
    ) -> String {
        self.act(|state| {
            let start = refs::start(state, repo, branch);
            push(state, repo, branch, (start, login), files, message)
        })
    }

    /// Moves a branch to a new commit on the default branch, whatever it had. Answers the commit.
    pub fn force_push_as(
        &self,
        repo: &str,
        branch: &str,
        login: &str,
        files: &[(&str, Option<&str>)],
        message: &str,
    ) -> String {
        self.act(|state| {
            let start = state.board.branch(repo, DEFAULT_BRANCH).cloned();
            push(state, repo, branch, (start, login), files, message)
        })
    }

    /// Deletes a branch.
    pub fn delete_branch_as(&self, repo: &str, branch: &str, login: &str) {
        self.act(|state| refs::set(state, repo, branch, None, &Actor::person(login)));
    }

    /// Opens a pull request from a fork, which is made. Answers its number.
    pub fn open_fork_pull(
        &self,
        repo: &str,
        login: &str,
        files: &[(&str, Option<&str>)],
        title: &str,
        body: &str,
    ) -> u64 {
        self.act(|state| {
            people::know(state, login);
            let fork = format!("{login}/{}", repo.rsplit('/').next().unwrap_or(repo));
            state.add_repository(&fork);
            let public = state.board.is_public(repo);
            let settings = state.board.settings(&fork);
            (settings.fork_of, settings.public) = (Some(repo.to_owned()), public);
            let start = state.board.branch(repo, DEFAULT_BRANCH).cloned();
            push(state, &fork, "patch-1", (start, login), files, title);
            let actor = Actor::person(login);
            let opened = pulls::open(state, repo, &actor, (title, body), (&fork, "patch-1"), DEFAULT_BRANCH);
            opened.unwrap_or_else(|why| panic!("the pull request cannot be opened: {why}")).1
        })
    }

    /// Deletes a repository, such as a fork.
    pub fn delete_repository(&self, name: &str) {
        self.act(|state| {
            state.repositories.remove(name);
            let branches: Vec<String> = state
                .board
                .branches
                .keys()
                .filter(|(repo, _)| repo == name)
                .map(|(_, branch)| branch.clone())
                .collect();
            for branch in branches {
                refs::set(state, name, &branch, None, &Actor::person("ghost"));
            }
        });
    }

    /// Closes a pull request.
    pub fn close_pull_as(&self, repo: &str, number: u64, login: &str) {
        self.close_issue_as(repo, number, login);
    }

    /// Reopens a pull request, if GitHub would.
    ///
    /// # Errors
    /// GitHub's words when it would not.
    pub fn reopen_pull_as(&self, repo: &str, number: u64, login: &str) -> Result<(), String> {
        self.on(repo, number, login, |state, key, actor| pulls::set_open(state, key, actor, true))
    }

    /// Merges a pull request as its page does. Answers the commit.
    ///
    /// # Errors
    /// GitHub's words when it would not.
    pub fn merge_pull_as(&self, repo: &str, number: u64, login: &str) -> Result<String, String> {
        let merge = |state: &mut State, key: &Key, actor: &Actor| pulls::merge(state, key, actor, &Value::Null);
        self.on(repo, number, login, merge).map_err(|(_, words)| words)
    }

    // --- runs -----------------------------------------------------------------

    /// Adds a workflow run of this number: `queued`, `in_progress`, `waiting`, `completed` and so on. It has no jobs.
    pub fn add_workflow_run(&self, repo: &str, id: u64, status: &str) {
        self.act(|state| {
            state.runs.insert(id, (repo.to_owned(), "control".to_owned()));
            state.board.runs.insert(id, (status.to_owned(), 1));
        });
    }

    /// Changes the status of such a run.
    pub fn set_workflow_run_status(&self, id: u64, status: &str) {
        self.act(|state| {
            let run = state.board.runs.get_mut(&id);
            status.clone_into(&mut run.unwrap_or_else(|| panic!("run {id} was not added")).0);
        });
    }

    /// Runs such a run again: the same number, the next attempt, in progress.
    pub fn rerun_workflow_run(&self, id: u64) {
        self.act(|state| {
            let run = state.board.runs.get_mut(&id).unwrap_or_else(|| panic!("run {id} was not added"));
            *run = ("in_progress".to_owned(), run.1 + 1);
        });
    }

    // --- views ----------------------------------------------------------------

    /// An issue or a pull request with its comments.
    #[must_use]
    pub fn issue(&self, repo: &str, number: u64) -> IssueView {
        self.see(repo, number, |_, issue| IssueView {
            number,
            author: issue.author.login.clone(),
            title: issue.title.clone(),
            body: issue.body.clone(),
            open: issue.closed_ms.is_none(),
            labels: issue.labels.clone(),
            is_pull: issue.pull.is_some(),
            comments: issue.comments.iter().map(view).collect(),
        })
    }

    /// A pull request.
    #[must_use]
    pub fn pull(&self, repo: &str, number: u64) -> PullView {
        self.see(repo, number, |state, issue| {
            let pull = issue.pull.as_ref().unwrap_or_else(|| panic!("{number} is no pull request"));
            let (mergeable, word) = pulls::mergeable(state, repo, issue);
            PullView {
                number,
                author: issue.author.login.clone(),
                title: issue.title.clone(),
                body: issue.body.clone(),
                open: issue.closed_ms.is_none(),
                merged: pull.merged_ms.is_some(),
                head_branch: pull.head.clone(),
                head: pull.head_sha.clone(),
                base_branch: pull.base.clone(),
                mergeable,
                mergeable_state: word.to_owned(),
                merge_commit: pull.merge_sha.clone(),
            }
        })
    }

    fn see<T>(&self, repo: &str, number: u64, see: impl FnOnce(&State, &Issue) -> T) -> T {
        let state = self.world.lock();
        let found = state.board.issues.get(&(repo.to_owned(), number));
        see(&state, found.unwrap_or_else(|| panic!("{repo} has no issue or pull request {number}")))
    }

    /// Numbers of all issues and pull requests of a repository.
    #[must_use]
    pub fn numbers(&self, repo: &str) -> Vec<u64> {
        self.world.lock().board.issues.keys().filter(|(at, _)| at == repo).map(|(_, number)| *number).collect()
    }

    /// The files of a branch by path; none when there is no such branch.
    #[must_use]
    pub fn files(&self, repo: &str, branch: &str) -> BTreeMap<String, Vec<u8>> {
        let state = self.world.lock();
        let files = state.board.branch(repo, branch).map(|tip| state.board.objects.files_of(tip)).unwrap_or_default();
        let content = |sha: &str| state.board.objects.blob(sha).unwrap_or_default().to_vec();
        files.iter().map(|(path, entry)| (path.clone(), content(&entry.sha))).collect()
    }

    /// A branch's commit.
    #[must_use]
    pub fn branch(&self, repo: &str, branch: &str) -> Option<String> {
        self.world.lock().board.branch(repo, branch).cloned()
    }

    /// Everything that happened so far: the event's name, its action (empty for `push`), its payload. The payload is what a
    /// workflow gets as its event file; an App's delivery has `installation` beside.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.world.lock().board.events.iter().cloned().collect()
    }

    /// The payload of the last such event.
    #[must_use]
    pub fn event_payload(&self, event: &str, action: &str) -> Option<Value> {
        let state = self.world.lock();
        let found = state.board.events.iter().rev().find(|(name, of, _)| name == event && of == action);
        found.map(|(_, _, payload)| payload.clone())
    }
}

fn view(comment: &comments::Comment) -> CommentView {
    CommentView {
        id: comment.id,
        author: comment.author.login.clone(),
        body: comment.body.clone(),
        created_ms: comment.created_ms,
        updated_ms: comment.updated_ms,
        reactions: comment.reactions.iter().map(|one| one.content.clone()).collect(),
    }
}

/// A commit of files on another, and a branch moved to it.
pub(crate) fn push(
    state: &mut State,
    repo: &str,
    branch: &str,
    (start, login): (Option<String>, &str),
    files: &[(&str, Option<&str>)],
    message: &str,
) -> String {
    assert!(state.repositories.contains_key(repo), "repository {repo:?} is not known here");
    people::know(state, login);
    let mut tree = start.as_ref().map(|start| state.board.objects.files_of(start)).unwrap_or_default();
    refs::change(state, &mut tree, files.iter().map(|(path, content)| (*path, content.map(str::as_bytes))));
    let author = Person::new(login, state.now_ms());
    let commit = refs::commit(state, &tree, start.into_iter().collect(), &author, message);
    refs::set(state, repo, branch, Some(&commit), &Actor::person(login));
    commit
}
