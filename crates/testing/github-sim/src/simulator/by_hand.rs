//! What tests do as people, without HTTP. A call about something that is not there panics: it is a mistake of the test.

use serde_json::Value;

use crate::acts::branches::{self, push};
use crate::acts::{comments, issues, pulls};
use crate::deliveries;
use crate::rules::people;
use crate::rules::pulls::pull_mut;
use crate::simulator::Simulator;
use crate::state::State;
use crate::state::actor::Actor;
use crate::state::board::{DEFAULT_BRANCH, Key};

impl Simulator {
    /// Does something to the state, and sends what follows from it.
    pub(crate) fn act<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let done = act(&mut self.world.lock());
        deliveries::flush(&self.world);
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

    /// Transfers an issue to another repository, where it keeps its author and its labels. Returns its number there.
    pub fn transfer_issue_as(&self, repo: &str, number: u64, login: &str, to: &str) -> u64 {
        self.on(repo, number, login, |state, from, actor| issues::transfer(state, from, actor, to))
    }

    /// Gives a label another name, on every issue that has it.
    pub fn rename_label(&self, repo: &str, name: &str, new: &str) {
        self.act(|state| {
            let issues = state.board.issues.iter_mut().filter(|((at, _), _)| at == repo);
            let labels = issues.flat_map(|(_, issue)| &mut issue.labels);
            labels.filter(|label| label.as_str() == name).for_each(|label| new.clone_into(label));
        });
    }

    /// Takes a label away.
    pub fn unlabel_issue_as(&self, repo: &str, number: u64, login: &str, label: &str) {
        self.on(repo, number, login, |state, key, actor| {
            assert!(issues::unlabel(state, key, actor, label), "{repo}#{number} has no label {label}");
        });
    }

    /// Adds a label.
    pub fn label_issue_as(&self, repo: &str, number: u64, login: &str, label: &str) {
        self.on(repo, number, login, |state, key, actor| issues::label(state, key, actor, label));
    }

    /// Comments on an issue or a pull request. Returns the comment's number.
    pub fn comment_as(&self, repo: &str, number: u64, login: &str, body: &str) -> u64 {
        self.on(repo, number, login, |state, key, actor| {
            comments::add(state, key, actor, body).map_or(0, |comment| comment.id)
        })
    }

    /// Changes a comment, no matter who wrote it.
    pub fn edit_comment_as(&self, repo: &str, id: u64, login: &str, body: &str) {
        self.act(|state| {
            people::know(state, login);
            let edited = comments::edit(state, repo, id, &Actor::person(login), body);
            assert!(edited.is_some(), "{repo} has no comment {id}");
        });
    }

    /// Deletes a comment, no matter who wrote it.
    pub fn delete_comment_as(&self, repo: &str, id: u64, login: &str) {
        self.act(|state| {
            people::know(state, login);
            assert!(comments::delete(state, repo, id, &Actor::person(login)), "{repo} has no comment {id}");
        });
    }

    // --- branches and pull requests ---------------------------------------------

    /// Commits on a branch, which is made from the default branch if it is not there; `None` deletes a file. A login with
    /// an `@` is an address that no account has. Returns the commit.
    pub fn push_as(
        &self,
        repo: &str,
        branch: &str,
        login: &str,
        files: &[(&str, Option<&str>)],
        message: &str,
    ) -> String {
        self.act(|state| {
            let start = branches::start(state, repo, branch);
            push(state, repo, branch, (start, login), files, message)
        })
    }

    /// Writes files on a branch, which is made from the default branch if it is not there.
    pub fn write_files(&self, repository: &str, branch: &str, files: &[(&str, &str)]) {
        let files: Vec<(&str, Option<&str>)> = files.iter().map(|(path, content)| (*path, Some(*content))).collect();
        self.push_as(repository, branch, "seed@example.org", &files, "the beginning");
    }

    /// Moves a branch to a new commit on the default branch, whatever it had. Returns the commit.
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
        self.act(|state| branches::set(state, repo, branch, None, &Actor::person(login)));
    }

    /// Opens a pull request from a fork, which is made. Returns its number.
    pub fn open_fork_pull(
        &self,
        repo: &str,
        login: &str,
        files: &[(&str, Option<&str>)],
        title: &str,
        body: &str,
    ) -> u64 {
        let fork = format!("{login}/{}", repo.rsplit('/').next().unwrap_or(repo));
        self.open_pull_of_fork(repo, (&fork, "patch-1"), login, files, (title, body))
    }

    /// Opens a pull request from a branch of a fork, which is made; it may be in the repository's own organisation. Returns its number.
    pub fn open_pull_of_fork(
        &self,
        repo: &str,
        (fork, branch): (&str, &str),
        login: &str,
        files: &[(&str, Option<&str>)],
        (title, body): (&str, &str),
    ) -> u64 {
        self.act(|state| {
            people::know(state, login);
            state.add_repository(fork);
            let public = state.board.is_public(repo);
            let settings = state.board.settings(fork);
            (settings.fork_of, settings.public) = (Some(repo.to_owned()), public);
            let start = state.board.branch(repo, DEFAULT_BRANCH).cloned();
            push(state, fork, branch, (start, login), files, title);
            let actor = Actor::person(login);
            let opened = pulls::open(state, repo, &actor, (title, body), (fork, branch), DEFAULT_BRANCH);
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
                branches::set(state, name, &branch, None, &Actor::person("ghost"));
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

    /// Turns a pull request to another branch.
    pub fn retarget_pull_as(&self, repo: &str, number: u64, login: &str, base: &str) {
        self.on(repo, number, login, |state, key, _| {
            let pull = pull_mut(state, key).expect("an issue has no base");
            base.clone_into(&mut pull.base);
        });
    }

    /// Merges a pull request as its page does. Returns the commit.
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

    /// Changes the status of a run. One that was dispatched keeps it from now on, whatever becomes of its jobs.
    pub fn set_workflow_run_status(&self, id: u64, status: &str) {
        self.act(|state| {
            assert!(state.runs.contains_key(&id), "run {id} was not added");
            status.clone_into(&mut state.board.runs.entry(id).or_insert_with(|| (String::new(), 1)).0);
        });
    }

    /// Runs such a run again: the same number, the next attempt, in progress.
    pub fn rerun_workflow_run(&self, id: u64) {
        self.act(|state| {
            let run = state.board.runs.get_mut(&id).unwrap_or_else(|| panic!("run {id} was not added"));
            *run = ("in_progress".to_owned(), run.1 + 1);
        });
    }
}
