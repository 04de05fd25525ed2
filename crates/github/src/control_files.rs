//! The control repository's files: GitHub's Git data API, because only there are several files changed by one commit that
//! nobody sees until a branch is moved to it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runnersmith_ports::GitHubError;
use runnersmith_ports::control::{Blob, CommitPeople, Compared, FileChanges};
use serde_json::{Value, json};

use crate::control::{ControlClient, escape, escape_value};
use crate::control_wire as wire;
use crate::operations as op;

impl ControlClient {
    pub(crate) async fn find_branch(&self, branch: &str) -> Result<Option<String>, GitHubError> {
        let rest = format!("/git/ref/heads/{}", escape(branch));
        match self.read::<wire::Ref>(op::REF, &rest, &self.subject("branch", branch)).await {
            Ok(found) => Ok(Some(found.object.sha)),
            Err(GitHubError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
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
            // 422 has several meanings, and words change: whether the branch is there decides.
            Err(GitHubError::Refused { status: 422, operation, subject, message }) => {
                Err(if self.find_branch(branch).await?.is_some() {
                    GitHubError::Conflict { operation, subject, message }
                } else {
                    GitHubError::Refused { status: 422, operation, subject, message }
                })
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn set_branch(&self, branch: &str, commit: &str, force: bool) -> Result<(), GitHubError> {
        let rest = format!("/git/refs/heads/{}", escape(branch));
        let body = json!({"sha": commit, "force": force});
        match self.write::<Value>(op::REF_UPDATE, &rest, &self.subject("branch", branch), body).await {
            Ok(_) => Ok(()),
            Err(GitHubError::Refused { status: 422, operation, subject, message }) => {
                let words = message.to_lowercase().replace('-', " ");
                Err(if words.contains("fast forward") {
                    GitHubError::Conflict { operation, subject, message }
                } else if words.contains("reference does not exist") {
                    GitHubError::NotFound { operation, subject }
                } else {
                    GitHubError::Refused { status: 422, operation, subject, message }
                })
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn remove_branch(&self, branch: &str) -> Result<(), GitHubError> {
        let rest = format!("/git/refs/heads/{}", escape(branch));
        match self.send(op::REF_DELETE, &rest, &self.subject("branch", branch), None).await {
            Ok(_) | Err(GitHubError::NotFound { .. }) => Ok(()),
            Err(error @ GitHubError::Refused { status: 422, .. }) => match self.find_branch(branch).await? {
                None => Ok(()),
                Some(_) => Err(error),
            },
            Err(error) => Err(error),
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
            logins: vec![wire::login(commit.author), wire::login(commit.committer)],
        };
        Ok(Compared {
            merge_base: found.merge_base_commit.sha,
            commits: found.commits.into_iter().map(people).collect(),
        })
    }
}

/// An answer that cannot be acted on.
pub(crate) fn unusable(operation: op::Operation, subject: String, why: &'static str) -> GitHubError {
    GitHubError::Transient { operation: operation.id, subject, source: why.into() }
}
