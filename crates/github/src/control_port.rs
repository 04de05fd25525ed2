//! The port's questions about the control repository: issues, comments, pull requests, people, runs. Its files are in
//! `control_files`.

use std::collections::BTreeMap;

use async_trait::async_trait;
use runnersmith_ports::control::{
    Blob, Compared, FileChanges, Group, Issue, IssueComment, IssueEditors, MergeError, MergeRules, Pull, Role, RunState,
};
use runnersmith_ports::{ControlRepository, GitHubError};
use runnersmith_types::{Owner, RunnerScope, Timestamp};
use serde_json::{Value, json};

use crate::access::As;
use crate::answer::{gone_is_fine, if_there, unusable};
use crate::calls::DEFAULT_GROUP;
use crate::control::{ControlClient, PAGES_MAX, escape, escape_value};
use crate::control_wire as wire;
use crate::operations as op;
use crate::wire::{Repositories, Run};

impl ControlClient {
    pub(crate) async fn repository(&self) -> Result<wire::FullRepository, GitHubError> {
        self.read(op::REPOSITORY, "", self.repo.as_str()).await
    }

    async fn update_issue(&self, number: u64, body: Value) -> Result<(), GitHubError> {
        let rest = format!("/issues/{number}");
        self.send(op::ISSUE_UPDATE, &rest, &self.subject("issue", number), Some(body)).await.map(|_| ())
    }

    /// The open pull request of a branch of this repository into a base.
    async fn open_pull_of(&self, head: &str, base: &str) -> Result<Option<u64>, GitHubError> {
        let label = escape_value(&format!("{}:{head}", self.repo.owner()));
        let rest = format!("/pulls?state=open&head={label}&base={}", escape_value(base));
        let found: Vec<wire::WirePull> = self.list(op::PULLS, &rest, &self.subject("pull request of", head)).await?;
        let own = |pull: &&wire::WirePull| pull.head.branch == head && !pull.is_fork_of(self.repo.as_str());
        Ok(found.iter().find(own).map(|pull| pull.number))
    }

    /// The rules of a branch. A server before 3.11 has none, and says 404; where the plan of a private repository's owner has none GitHub
    /// answers 403 and names what to buy.
    pub(crate) async fn rules_of(&self, branch: &str) -> Result<Vec<wire::BranchRule>, GitHubError> {
        let rest = format!("/rules/branches/{}", escape(branch));
        match if_there(self.list(op::BRANCH_RULES, &rest, &self.subject("rules of", branch)).await) {
            Err(GitHubError::Unauthorized { message, .. } | GitHubError::Refused { status: 403, message, .. })
                if message.starts_with(NO_RULES_HERE) =>
            {
                Ok(Vec::new())
            }
            rules => Ok(rules?.unwrap_or_default()),
        }
    }

    /// The repositories that may use a runner group.
    async fn repositories_of_group(
        &self,
        owner: &Owner,
        group: u64,
        subject: &str,
    ) -> Result<Vec<String>, GitHubError> {
        let (operation, who) = (op::GROUP_REPOSITORIES, As::organization(owner));
        let path = format!("/orgs/{owner}/actions/runner-groups/{group}/repositories");
        let listed = self.organization.pages::<Repositories>(operation, &who, &path, subject, PAGES_MAX).await?;
        let all = listed.whole(operation, subject)?;
        Ok(all.into_iter().map(|repository| repository.full_name).collect())
    }
}

/// How GitHub's answer begins where a plan has no rules for branches.
const NO_RULES_HERE: &str = "Upgrade to GitHub";
/// GitHub's words for a base that another merge has moved.
const BASE_MODIFIED: &str = "Base branch was modified";
/// GitHub's words for a way of merging that repository or branch do not allow; branch protection, which is not among the rules of a
/// branch, can forbid one too.
const NO_METHOD: [&str; 2] = ["not allowed", "must not contain merge commits"];

/// What it means that GitHub does not merge. Not mergeable, another head, a rule, a file that the token may not write:
/// trying again changes nothing of these.
fn not_merged(error: GitHubError) -> MergeError {
    match error {
        GitHubError::Refused { status: 405, message, .. } if message.contains(BASE_MODIFIED) => {
            MergeError::NotYet(message)
        }
        GitHubError::Refused { message, .. }
        | GitHubError::Conflict { message, .. }
        | GitHubError::Unauthorized { message, .. } => MergeError::Refused(message),
        GitHubError::NotFound { .. }
        | GitHubError::Busy { .. }
        | GitHubError::NotInstalled { .. }
        | GitHubError::RateLimited { .. }
        | GitHubError::Transient { .. } => error.into(),
    }
}

#[async_trait]
impl ControlRepository for ControlClient {
    fn name(&self) -> String {
        self.repo.to_string()
    }
    async fn default_branch(&self) -> Result<String, GitHubError> {
        Ok(self.repository().await?.default_branch)
    }

    async fn branch(&self, branch: &str) -> Result<Option<String>, GitHubError> {
        self.find_branch(branch).await
    }
    async fn tree(&self, commit: &str) -> Result<BTreeMap<String, Blob>, GitHubError> {
        self.read_tree(commit).await
    }
    async fn blob(&self, sha: &str) -> Result<Vec<u8>, GitHubError> {
        self.read_blob(sha).await
    }
    async fn commit(&self, parent: &str, message: &str, changes: &FileChanges) -> Result<String, GitHubError> {
        self.make_commit(parent, message, changes).await
    }
    async fn create_branch(&self, branch: &str, commit: &str) -> Result<(), GitHubError> {
        self.make_branch(branch, commit).await
    }
    async fn move_branch(&self, branch: &str, commit: &str, force: bool) -> Result<(), GitHubError> {
        self.set_branch(branch, commit, force).await
    }
    async fn delete_branch(&self, branch: &str) -> Result<(), GitHubError> {
        self.remove_branch(branch).await
    }
    async fn compare(&self, base: &str, head: &str) -> Result<Compared, GitHubError> {
        self.compare_commits(base, head).await
    }

    async fn issue(&self, number: u64) -> Result<Issue, GitHubError> {
        let found: wire::WireIssue =
            self.read(op::ISSUE, &format!("/issues/{number}"), &self.subject("issue", number)).await?;
        // One that was transferred is answered by its new place, and what stands there is nobody's request here. A repository that was
        // renamed has another name than ours as well.
        if let Some(at) = found.repository()
            && !at.eq_ignore_ascii_case(self.repo.as_str())
            && !at.eq_ignore_ascii_case(&self.repository().await?.full_name)
        {
            return Err(GitHubError::NotFound { operation: op::ISSUE.id, subject: self.subject("issue", number) });
        }
        Ok(found.into())
    }

    async fn open_issues(&self, label: &str) -> Result<Vec<Issue>, GitHubError> {
        // From the oldest on: an issue that is opened meanwhile moves no other to another page.
        let rest = format!("/issues?state=open&labels={}&sort=created&direction=asc", escape_value(label));
        let subject = self.subject("issues with", label);
        let found: Vec<wire::WireIssue> = self.list(op::ISSUES, &rest, &subject).await?;
        let issues: BTreeMap<u64, Issue> = found.into_iter().map(|found| (found.number, found.into())).collect();
        Ok(issues.into_values().filter(|issue| !issue.is_pull).collect())
    }

    async fn open_issue(&self, title: &str, body: &str, labels: &[&str]) -> Result<u64, GitHubError> {
        let body = json!({"title": title, "body": body, "labels": labels});
        let made: wire::WireIssue =
            self.write(op::ISSUE_CREATE, "/issues", &self.subject("a new", "issue"), body).await?;
        Ok(made.number)
    }

    async fn edit_issue(&self, number: u64, title: &str, body: &str) -> Result<(), GitHubError> {
        self.update_issue(number, json!({"title": title, "body": body})).await
    }

    async fn close_issue(&self, number: u64) -> Result<(), GitHubError> {
        self.update_issue(number, json!({"state": "closed"})).await
    }

    async fn comments(&self, issue: u64, since: Option<Timestamp>) -> Result<Vec<IssueComment>, GitHubError> {
        let subject = self.subject("comments on", issue);
        // GitHub says "after" and means "at or after", in whole seconds; a second more costs nothing, and is filtered here.
        let since = since.map(|since| Timestamp::from_secs(since.as_secs()));
        let filter = since
            .and_then(|since| jiff::Timestamp::from_second(since.as_secs() - 1).ok())
            .map(|since| format!("?since={}", escape_value(&since.to_string())))
            .unwrap_or_default();
        let rest = format!("/issues/{issue}/comments{filter}");
        let mut comments = BTreeMap::new();
        for found in self.list::<wire::WireComment>(op::COMMENTS, &rest, &subject).await? {
            let comment = found.read().ok_or_else(|| unusable(op::COMMENTS, subject.clone(), "a date is invalid"))?;
            comments.insert(comment.id, comment);
        }
        let recent = |comment: &IssueComment| since.is_none_or(|since| comment.updated_at >= since);
        Ok(comments.into_values().filter(recent).collect())
    }

    async fn comment(&self, id: u64) -> Result<Option<IssueComment>, GitHubError> {
        let subject = self.subject("comment", id);
        let found = self.read::<wire::WireComment>(op::COMMENT, &format!("/issues/comments/{id}"), &subject).await;
        let Some(found) = if_there(found)? else { return Ok(None) };
        found.read().map(Some).ok_or_else(|| unusable(op::COMMENT, subject, "a date is invalid"))
    }

    async fn editors(&self, issue: u64) -> Result<IssueEditors, GitHubError> {
        self.issue_editors(issue).await
    }
    async fn is_edited(&self, comment: &IssueComment) -> Result<Option<bool>, GitHubError> {
        self.is_comment_edited(comment).await
    }

    async fn add_comment(&self, issue: u64, body: &str) -> Result<u64, GitHubError> {
        let rest = format!("/issues/{issue}/comments");
        let made: crate::wire::Id =
            self.write(op::COMMENT_CREATE, &rest, &self.subject("comment on", issue), json!({"body": body})).await?;
        Ok(made.id)
    }

    async fn edit_comment(&self, id: u64, body: &str) -> Result<(), GitHubError> {
        let rest = format!("/issues/comments/{id}");
        let body = Some(json!({"body": body}));
        self.send(op::COMMENT_UPDATE, &rest, &self.subject("comment", id), body).await.map(|_| ())
    }

    async fn delete_comment(&self, id: u64) -> Result<(), GitHubError> {
        let rest = format!("/issues/comments/{id}");
        gone_is_fine(self.send(op::COMMENT_DELETE, &rest, &self.subject("comment", id), None).await)
    }

    async fn react(&self, comment: u64, reaction: &str) -> Result<(), GitHubError> {
        let rest = format!("/issues/comments/{comment}/reactions");
        let body = Some(json!({"content": reaction}));
        gone_is_fine(self.send(op::REACT, &rest, &self.subject("comment", comment), body).await)
    }

    async fn open_pull(&self, title: &str, body: &str, head: &str, base: &str) -> Result<u64, GitHubError> {
        let body = json!({"title": title, "body": body, "head": head, "base": base});
        let subject = self.subject("pull request of", head);
        match self.write::<wire::WirePull>(op::PULL_CREATE, "/pulls", &subject, body).await {
            Ok(made) => Ok(made.number),
            // 422 has several meanings: whether there is one decides, not the words.
            Err(error @ GitHubError::Refused { status: 422, .. }) => self.open_pull_of(head, base).await?.ok_or(error),
            Err(error) => Err(error),
        }
    }

    async fn pull(&self, number: u64) -> Result<Pull, GitHubError> {
        let rest = format!("/pulls/{number}");
        let found: wire::WirePull = self.read(op::PULL, &rest, &self.subject("pull request", number)).await?;
        Ok(found.read(self.repo.as_str()))
    }

    async fn close_pull(&self, number: u64) -> Result<(), GitHubError> {
        let (rest, body) = (format!("/pulls/{number}"), json!({"state": "closed"}));
        self.send(op::PULL_UPDATE, &rest, &self.subject("pull request", number), Some(body)).await.map(|_| ())
    }

    async fn merge(&self, number: u64, head: &str, title: &str) -> Result<String, MergeError> {
        let repository = self.repository().await?;
        let rules = repository.merge_rules(self.rules_of(&repository.default_branch).await?);
        let (rest, subject) = (format!("/pulls/{number}/merge"), self.subject("pull request", number));
        let mut refused = MergeError::Refused("repository and branch allow no common way of merging".to_owned());
        for method in rules.methods {
            let body = json!({"sha": head, "commit_title": title, "merge_method": method});
            match self.write::<wire::Sha>(op::MERGE, &rest, &subject, body).await.map_err(not_merged) {
                Ok(merged) => return Ok(merged.sha),
                Err(MergeError::Refused(why)) if NO_METHOD.iter().any(|words| why.contains(words)) => {
                    refused = MergeError::Refused(why);
                }
                Err(error) => return Err(error),
            }
        }
        Err(refused)
    }

    async fn merge_rules(&self, branch: &str) -> Result<MergeRules, GitHubError> {
        Ok(self.repository().await?.merge_rules(self.rules_of(branch).await?))
    }

    async fn role(&self, login: &str) -> Result<Role, GitHubError> {
        let rest = format!("/collaborators/{}/permission", escape_value(login));
        let found = self.read::<wire::Permission>(op::ROLE, &rest, &self.subject("permission of", login)).await;
        let Some(found) = if_there(found)? else {
            return Ok(Role { permission: "none".into(), role_name: "none".into() });
        };
        let role_name = found.role_name.unwrap_or_else(|| found.permission.clone());
        Ok(Role { permission: found.permission, role_name })
    }

    async fn is_in_team(&self, team: &str, login: &str) -> Result<bool, GitHubError> {
        let owner = self.repo.owner();
        let path = format!("/orgs/{owner}/teams/{}/memberships/{}", escape_value(team), escape_value(login));
        let (who, subject) = (As::organization(&owner), format!("{login} in team {team}"));
        let found = self.organization.call::<wire::Membership>(op::TEAM_MEMBER, who, &path, &subject, None).await;
        // One who was invited and has not accepted is `pending`.
        Ok(if_there(found)?.is_some_and(|found| found.state == "active"))
    }

    async fn runner_group(&self, organization: &str, group: &str) -> Result<Option<Group>, GitHubError> {
        let subject = format!("runner group {group:?} of {organization}");
        let Ok(owner) = Owner::parse(organization) else {
            // No organisation has such a name, so GitHub need not be asked.
            return Err(GitHubError::NotFound { operation: op::ORG_GROUPS.id, subject });
        };
        let at = RunnerScope::Organization(owner.clone());
        let groups = self.organization.runner_groups(op::ORG_GROUPS, &at, &subject).await?;
        let wanted = group.to_lowercase();
        let named = groups.iter().find(|found| found.name.to_lowercase() == wanted);
        let renamed = || groups.iter().find(|found| found.is_default && wanted == DEFAULT_GROUP.to_lowercase());
        let Some(found) = named.or_else(renamed) else { return Ok(None) };
        let selected = if found.visibility == "selected" {
            Some(self.repositories_of_group(&owner, found.id, &subject).await?)
        } else {
            None
        };
        Ok(Some(Group { selected, allows_public: found.allows_public_repositories }))
    }

    async fn workflow_run(&self, id: u64) -> Result<Option<RunState>, GitHubError> {
        let found = self.read::<Run>(op::RUN, &format!("/actions/runs/{id}"), &self.subject("run", id)).await;
        let state =
            |found: Run| RunState { status: found.status.unwrap_or_default(), attempt: found.run_attempt.unwrap_or(1) };
        Ok(if_there(found)?.map(state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_that_github_does_not_allow_is_refused_in_its_words_and_anything_else_stays_an_error() {
        let (operation, subject) = (op::MERGE.id, || "pull request 7 of acme/control".to_owned());
        for (status, words) in [
            (403, "Resource not accessible by integration"),
            (405, "Pull Request is not mergeable"),
            (405, "At least 1 approving review is required by reviewers with write access."),
            (409, "Head branch was modified. Review and try the merge again."),
        ] {
            let (subject, message) = (subject(), words.to_owned());
            let merged = not_merged(match status {
                403 => GitHubError::Unauthorized { operation, subject, message },
                409 => GitHubError::Conflict { operation, subject, message },
                status => GitHubError::Refused { operation, subject, status, message },
            });
            assert!(matches!(&merged, MergeError::Refused(said) if said == words), "{status}: {merged}");
        }
        for error in [
            GitHubError::NotFound { operation, subject: subject() },
            GitHubError::NotInstalled { operation, subject: subject() },
            GitHubError::RateLimited { operation, subject: subject(), until: Timestamp(0) },
            unusable(op::MERGE, subject(), "no answer"),
        ] {
            let (kind, merged) = (error.kind(), not_merged(error));
            assert!(matches!(&merged, MergeError::GitHub(error) if error.kind() == kind), "{kind}: {merged}");
        }
    }
}
