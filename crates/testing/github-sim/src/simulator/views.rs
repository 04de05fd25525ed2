//! What tests look at. A look at something that is not there panics: it is a mistake of the test.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::rules::pulls;
use crate::simulator::Simulator;
use crate::state::State;
use crate::state::board::{Comment, Event, Issue};

/// A comment as tests see it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "GitHub's own field names")]
pub struct CommentView {
    pub id: u64,
    pub author: String,
    pub body: String,
    pub created_ms: i64,
    pub updated_ms: i64,
    /// What was reacted with, by anyone.
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

fn view(comment: &Comment) -> CommentView {
    CommentView {
        id: comment.id,
        author: comment.author.login.clone(),
        body: comment.body.clone(),
        created_ms: comment.created_ms,
        updated_ms: comment.updated_ms,
        reactions: comment.reactions.iter().map(|one| one.content.clone()).collect(),
    }
}
