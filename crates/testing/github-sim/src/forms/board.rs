//! Issues, comments, pull requests and commits in GitHub's form, with every field that its OpenAPI document requires.

use serde_json::{Value, json};

use crate::forms::objects::{app_of, full_repository, user};
use crate::git::Person;
use crate::rules::{people, pulls};
use crate::state::State;
use crate::state::board::{Comment, Issue, Key, REACTIONS, Reaction};
use crate::time;

pub(crate) fn label(state: &State, repo: &str, name: &str) -> Value {
    let id = name.bytes().fold(5_381_u32, |hash, byte| hash.wrapping_mul(33) ^ u32::from(byte));
    json!({
        "id": id, "node_id": format!("L_{id}"), "url": format!("{}/repos/{repo}/labels/{id}", state.base), "name": name,
        "color": "ededed", "default": false, "description": null,
    })
}

fn reactions(at: &str, found: &[Reaction]) -> Value {
    let mut shown = json!({"url": format!("{at}/reactions"), "total_count": found.len()});
    for content in REACTIONS {
        shown[content] = json!(found.iter().filter(|one| one.content == content).count());
    }
    shown
}

pub(crate) fn reaction(state: &State, reaction: &Reaction) -> Value {
    json!({
        "id": reaction.id, "node_id": format!("REA_{}", reaction.id), "user": user(state, &reaction.login),
        "content": reaction.content, "created_at": time::text(reaction.at_ms),
    })
}

pub(crate) fn comment(state: &State, (repo, number): &Key, comment: &Comment) -> Value {
    let at = format!("{}/repos/{repo}/issues/comments/{}", state.base, comment.id);
    // GitHub's address of a pull request's comment says so.
    let is_pull = state.board.issues.get(&(repo.clone(), *number)).is_some_and(|issue| issue.pull.is_some());
    let kind = if is_pull { "pull" } else { "issues" };
    json!({
        "id": comment.id, "node_id": format!("IC_{}", comment.id), "url": at, "body": comment.body,
        "html_url": format!("{}/{repo}/{kind}/{number}#issuecomment-{}", state.base, comment.id),
        "user": user(state, &comment.author.login), "created_at": time::text(comment.created_ms),
        "updated_at": time::text(comment.updated_ms), "issue_url": format!("{}/repos/{repo}/issues/{number}", state.base),
        "author_association": people::association(state, repo, &comment.author),
        "performed_via_github_app": app_of(state, &comment.author), "reactions": reactions(&at, &comment.reactions),
    })
}

pub(crate) fn issue(state: &State, repo: &str, issue: &Issue) -> Value {
    let at = format!("{}/repos/{repo}/issues/{}", state.base, issue.number);
    let mut shown = json!({
        "id": issue.id, "node_id": format!("I_{}", issue.id), "url": at, "repository_url": format!("{}/repos/{repo}", state.base),
        "labels_url": format!("{at}/labels{{/name}}"), "comments_url": format!("{at}/comments"), "events_url": format!("{at}/events"),
        "html_url": format!("{}/{repo}/issues/{}", state.base, issue.number), "number": issue.number,
        "state": if issue.closed_ms.is_some() { "closed" } else { "open" }, "title": issue.title, "body": issue.body,
        "user": user(state, &issue.author.login), "labels": issue.labels.iter().map(|name| label(state, repo, name)).collect::<Value>(),
        "assignee": null, "assignees": [], "milestone": null, "locked": false, "active_lock_reason": null,
        "comments": issue.comments.len(), "closed_at": issue.closed_ms.map(time::text), "created_at": time::text(issue.created_ms),
        "updated_at": time::text(issue.updated_ms), "author_association": people::association(state, repo, &issue.author),
        "state_reason": issue.closed_ms.map(|_| "completed"), "performed_via_github_app": app_of(state, &issue.author),
        "reactions": reactions(&at, &[]),
    });
    if let Some(pull) = &issue.pull {
        let at = format!("{}/repos/{repo}/pulls/{}", state.base, issue.number);
        shown["pull_request"] = json!({
            "url": at, "html_url": at, "diff_url": at, "patch_url": at, "merged_at": pull.merged_ms.map(time::text),
        });
        shown["draft"] = json!(false);
        shown["state_reason"] = Value::Null;
    }
    shown
}

/// One side of a pull request.
fn side(state: &State, repo: &str, branch: &str, sha: &str) -> Value {
    let owner = repo.split('/').next().unwrap_or_default();
    let there = state.repositories.contains_key(repo);
    json!({
        "label": format!("{owner}:{branch}"), "ref": branch, "sha": sha, "user": user(state, owner),
        "repo": if there { full_repository(state, repo) } else { Value::Null },
    })
}

/// A pull request; `whole` with what only one by its number has.
pub(crate) fn pull(state: &State, repo: &str, issue: &Issue, whole: bool) -> Value {
    let Some(pull) = &issue.pull else { return Value::Null };
    let at = format!("{}/repos/{repo}/pulls/{}", state.base, issue.number);
    let html = format!("{}/{repo}/pull/{}", state.base, issue.number);
    let issues = format!("{}/repos/{repo}/issues/{}", state.base, issue.number);
    let link = |to: &str| json!({ "href": to });
    let base_sha = pulls::base_sha(state, repo, pull);
    let mut shown = json!({
        "url": at, "id": issue.id, "node_id": format!("PR_{}", issue.id), "html_url": html, "diff_url": format!("{html}.diff"),
        "patch_url": format!("{html}.patch"), "issue_url": issues, "commits_url": format!("{at}/commits"),
        "review_comments_url": format!("{at}/comments"), "review_comment_url": format!("{at}/comments{{/number}}"),
        "comments_url": format!("{issues}/comments"), "statuses_url": format!("{}/repos/{repo}/statuses/{}", state.base, pull.head_sha),
        "number": issue.number, "state": if issue.closed_ms.is_some() { "closed" } else { "open" }, "locked": false,
        "title": issue.title, "user": user(state, &issue.author.login), "body": issue.body, "milestone": null, "active_lock_reason": null,
        "labels": issue.labels.iter().map(|name| label(state, repo, name)).collect::<Value>(),
        "created_at": time::text(issue.created_ms), "updated_at": time::text(issue.updated_ms),
        "closed_at": issue.closed_ms.map(time::text), "merged_at": pull.merged_ms.map(time::text), "merge_commit_sha": pull.merge_sha,
        "assignee": null, "assignees": [], "requested_reviewers": [], "requested_teams": [], "draft": false,
        "head": side(state, &pull.head_repo, &pull.head, &pull.head_sha), "base": side(state, repo, &pull.base, &base_sha),
        "author_association": people::association(state, repo, &issue.author), "auto_merge": null,
    });
    shown["_links"] = json!({
        "self": link(&at), "html": link(&html), "issue": link(&issues), "comments": link(&format!("{issues}/comments")),
        "review_comments": link(&format!("{at}/comments")), "review_comment": link(&format!("{at}/comments{{/number}}")),
        "commits": link(&format!("{at}/commits")), "statuses": link(&format!("{at}/statuses")),
    });
    if let (true, Value::Object(shown)) = (whole, &mut shown) {
        let (mergeable, word) = pulls::mergeable(state, repo, issue);
        let commits = state.board.objects.between(&base_sha, &pull.head_sha).len();
        let more = json!({
            "merged": pull.merged_ms.is_some(), "mergeable": mergeable, "rebaseable": null, "mergeable_state": word,
            "merged_by": pull.merged_by.as_ref().map(|login| user(state, login)), "comments": issue.comments.len(),
            "review_comments": 0, "maintainer_can_modify": false, "commits": commits, "additions": 1, "deletions": 0,
            "changed_files": 1,
        });
        shown.extend(more.as_object().cloned().unwrap_or_default());
    }
    shown
}

fn person(person: &Person) -> Value {
    json!({"name": person.name, "email": person.email, "date": time::text(person.at_ms)})
}

/// A commit as git has it.
pub(crate) fn git_commit(state: &State, repo: &str, sha: &str) -> Option<Value> {
    let commit = state.board.objects.commit(sha)?;
    let at = format!("{}/repos/{repo}/git", state.base);
    let html = |sha: &str| format!("{}/{repo}/commit/{sha}", state.base);
    let parents: Vec<Value> = commit
        .parents
        .iter()
        .map(|sha| json!({"sha": sha, "url": format!("{at}/commits/{sha}"), "html_url": html(sha)}))
        .collect();
    Some(json!({
        "sha": sha, "node_id": format!("C_{sha}"), "url": format!("{at}/commits/{sha}"), "html_url": html(sha),
        "author": person(&commit.author), "committer": person(&commit.committer), "message": commit.message,
        "tree": {"sha": commit.tree, "url": format!("{at}/trees/{}", commit.tree)}, "parents": parents,
        "verification": {"verified": false, "reason": "unsigned", "signature": null, "payload": null, "verified_at": null},
    }))
}

/// A commit as GitHub has it: with the accounts of its people.
pub(crate) fn commit(state: &State, repo: &str, sha: &str) -> Option<Value> {
    let found = state.board.objects.commit(sha)?;
    let mut commit = git_commit(state, repo, sha)?;
    let at = format!("{}/repos/{repo}/commits/{sha}", state.base);
    let account = |person: &Person| person.login.as_ref().map(|login| user(state, login));
    let (parents, html) = (commit["parents"].take(), commit["html_url"].take());
    Some(json!({
        "sha": sha, "node_id": format!("C_{sha}"), "url": at, "html_url": html, "comments_url": format!("{at}/comments"),
        "author": account(&found.author), "committer": account(&found.committer), "parents": parents,
        "commit": {
            "url": commit["url"], "author": commit["author"], "committer": commit["committer"], "message": commit["message"],
            "tree": commit["tree"], "comment_count": 0, "verification": commit["verification"],
        },
    }))
}
