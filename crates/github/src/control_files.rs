//! The control repository's files: GitHub's Git data API, because only there are several files changed by one commit that
//! nobody sees until a branch is moved to it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runnersmith_ports::GitHubError;
use runnersmith_ports::control::{Blob, CommitPeople, Compared, FileChanges};
use serde_json::{Value, json};

use crate::answer::{gone_is_fine, if_there, unusable};
use crate::control::{ControlClient, escape, escape_value};
use crate::control_wire as wire;
use crate::operations as op;

impl ControlClient {
    pub(crate) async fn find_branch(&self, branch: &str) -> Result<Option<String>, GitHubError> {
        let rest = format!("/git/ref/heads/{}", escape(branch));
        let found = self.read::<wire::Ref>(op::REF, &rest, &self.subject("branch", branch)).await;
        Ok(if_there(found)?.map(|found| found.object.sha))
    }

    pub(crate) async fn read_tree(&self, commit: &str) -> Result<BTreeMap<String, Blob>, GitHubError> {
        let subject = self.subject("the files of", commit);
        let rest = format!("/git/trees/{}?recursive=1", escape(commit));
        let found: wire::Tree = self.read(op::TREE, &rest, &subject).await?;
        if found.truncated {
            return Err(unusable(op::TREE, subject, "GitHub cut the list: too many files"));
        }
        // A submodule is no file, but it is something that somebody put there.
        let files = found.tree.into_iter().filter(|entry| entry.kind != "tree");
        Ok(files.map(|entry| (entry.path, Blob { sha: entry.sha, mode: entry.mode })).collect())
    }

    pub(crate) async fn read_blob(&self, sha: &str) -> Result<Vec<u8>, GitHubError> {
        let subject = self.subject("blob", sha);
        let found: wire::Blob = self.read(op::BLOB, &format!("/git/blobs/{}", escape(sha)), &subject).await?;
        match found.encoding.as_str() {
            "utf-8" => Ok(found.content.into_bytes()),
            _ => {
                let text: String = found.content.split_ascii_whitespace().collect();
                STANDARD.decode(text).map_err(|error| GitHubError::Transient {
                    operation: op::BLOB.id,
                    subject,
                    source: Box::new(error),
                })
            }
        }
    }

    pub(crate) async fn make_commit(
        &self,
        parent: &str,
        message: &str,
        changes: &FileChanges,
    ) -> Result<String, GitHubError> {
        let subject = self.subject("a commit on", parent);
        let base: wire::GitCommit =
            self.read(op::COMMIT, &format!("/git/commits/{}", escape(parent)), &subject).await?;
        let mut entries = Vec::new();
        for (path, content) in changes {
            entries.push(self.entry(path, content.as_deref()).await?);
        }
        // GitHub refuses an empty list.
        let tree = if entries.is_empty() {
            base.tree
        } else {
            let body = json!({"base_tree": base.tree.sha, "tree": entries});
            self.write(op::TREE_CREATE, "/git/trees", &subject, body).await?
        };
        let body = json!({"message": message, "tree": tree.sha, "parents": [parent]});
        let made: wire::Sha = self.write(op::COMMIT_CREATE, "/git/commits", &subject, body).await?;
        Ok(made.sha)
    }

    async fn entry(&self, path: &str, content: Option<&[u8]>) -> Result<Value, GitHubError> {
        let mut entry = json!({"path": path, "mode": "100644", "type": "blob"});
        match content.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
            None => entry["sha"] = Value::Null,
            Some((_, Ok(text))) if !text.contains('\0') => entry["content"] = json!(text),
            Some((bytes, _)) => {
                let body = json!({"content": STANDARD.encode(bytes), "encoding": "base64"});
                let made: wire::Sha =
                    self.write(op::BLOB_CREATE, "/git/blobs", &self.subject("file", path), body).await?;
                entry["sha"] = json!(made.sha);
            }
        }
        Ok(entry)
    }

    pub(crate) async fn make_branch(&self, branch: &str, commit: &str) -> Result<(), GitHubError> {
        let subject = self.subject("branch", branch);
        let body = json!({"ref": format!("refs/heads/{branch}"), "sha": commit});
        match self.write::<Value>(op::REF_CREATE, "/git/refs", &subject, body).await {
            Ok(_) => Ok(()),
            Err(error @ GitHubError::Refused { status: 422, .. }) => {
                let is_there = self.find_branch(branch).await?.is_some();
                Err(not_made(error, is_there))
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn set_branch(&self, branch: &str, commit: &str, force: bool) -> Result<(), GitHubError> {
        let rest = format!("/git/refs/heads/{}", escape(branch));
        let body = json!({"sha": commit, "force": force});
        let moved = self.write::<Value>(op::REF_UPDATE, &rest, &self.subject("branch", branch), body).await;
        moved.map(|_| ()).map_err(not_moved)
    }

    pub(crate) async fn remove_branch(&self, branch: &str) -> Result<(), GitHubError> {
        let rest = format!("/git/refs/heads/{}", escape(branch));
        match gone_is_fine(self.send(op::REF_DELETE, &rest, &self.subject("branch", branch), None).await) {
            Err(error @ GitHubError::Refused { status: 422, .. }) => match self.find_branch(branch).await? {
                None => Ok(()),
                Some(_) => Err(error),
            },
            done => done,
        }
    }

    pub(crate) async fn compare_commits(&self, base: &str, head: &str) -> Result<Compared, GitHubError> {
        let subject = self.subject("the commits of", head);
        // Without a page GitHub lists 250 commits and no more.
        let rest = format!("/compare/{}...{}", escape_value(base), escape_value(head));
        let found: wire::Comparison = self.read(op::COMPARE, &rest, &subject).await?;
        if found.total_commits > u64::try_from(found.commits.len()).unwrap_or(u64::MAX) {
            return Err(unusable(op::COMPARE, subject, "GitHub cut the list: too many commits"));
        }
        let people = |commit: wire::ComparedCommit| CommitPeople {
            sha: commit.sha,
            accounts: vec![wire::account(commit.author), wire::account(commit.committer)],
        };
        Ok(Compared {
            merge_base: found.merge_base_commit.sha,
            commits: found.commits.into_iter().map(people).collect(),
        })
    }
}

/// What it means that a branch was not made. 422 has several meanings, and words change: whether it is there decides.
fn not_made(error: GitHubError, is_there: bool) -> GitHubError {
    match error {
        GitHubError::Refused { status: 422, operation, subject, message } if is_there => {
            GitHubError::Conflict { operation, subject, message }
        }
        error => error,
    }
}

/// What it means that a branch was not moved: 422 has several meanings, which only GitHub's words distinguish.
fn not_moved(error: GitHubError) -> GitHubError {
    match error {
        GitHubError::Refused { status: 422, operation, subject, message } => {
            let words = message.to_lowercase().replace('-', " ");
            match () {
                () if words.contains("fast forward") => GitHubError::Conflict { operation, subject, message },
                () if words.contains("reference does not exist") => GitHubError::NotFound { operation, subject },
                () => GitHubError::Refused { status: 422, operation, subject, message },
            }
        }
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, words: &str) -> GitHubError {
        let subject = "branch change of acme/control".to_owned();
        GitHubError::Refused { operation: op::REF_UPDATE.id, subject, status, message: words.to_owned() }
    }

    #[test]
    fn a_branch_that_was_not_made_is_a_conflict_only_if_it_is_there() {
        for (status, words, is_there, kind) in [
            (422, "Reference already exists", true, "conflict"),
            // Somebody has deleted it meanwhile.
            (422, "Reference already exists", false, "refused"),
            (422, "Object does not exist", false, "refused"),
            (422, "Object does not exist", true, "conflict"),
            (451, "Repository access blocked", true, "refused"),
        ] {
            assert_eq!(not_made(refused(status, words), is_there).kind(), kind, "{status} {words} {is_there}");
        }
    }

    #[test]
    fn a_branch_that_was_not_moved_is_a_conflict_or_gone_by_githubs_words() {
        for (status, words, kind) in [
            (422, "Update is not a fast forward", "conflict"),
            (422, "Update is not a fast-forward", "conflict"),
            (422, "Reference does not exist", "not_found"),
            (422, "Object does not exist", "refused"),
            (451, "Update is not a fast forward", "refused"),
        ] {
            let error = not_moved(refused(status, words));
            assert_eq!(error.kind(), kind, "{status} {words}");
            assert!(kind == "not_found" || error.to_string().contains(words), "GitHub's words stay: {error}");
        }
        let unanswered = unusable(op::REF_UPDATE, "branch change".to_owned(), "no answer");
        assert_eq!(not_moved(unanswered).kind(), "transient");
    }
}
