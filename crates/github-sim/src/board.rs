//! Issues, pull requests and files, as far as IssueOps needs them: opened, edited, labelled, commented, merged; files read and
//! written on branches. There is no history behind a branch: a commit is a number that changes with each write.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::api::Answer;
use crate::json::user;
use crate::model::State;
use crate::{api, auth, time};

/// An issue, or a pull request (which is an issue with a branch).
#[derive(Clone)]
pub(crate) struct Issue {
    id: u64,
    number: u64,
    author: String,
    title: String,
    body: String,
    closed_ms: Option<i64>,
    labels: Vec<String>,
    comments: Vec<Comment>,
    created_ms: i64,
    pull: Option<Pull>,
}

#[derive(Clone)]
struct Comment {
    id: u64,
    author: String,
    body: String,
    at_ms: i64,
}

#[derive(Clone)]
struct Pull {
    head: String,
    base: String,
    merged_ms: Option<i64>,
}

/// The boards of all repositories.
#[derive(Default)]
pub(crate) struct Boards {
    issues: BTreeMap<(String, u64), Issue>,
    /// (repository, branch, path) to content.
    files: BTreeMap<(String, String, String), Vec<u8>>,
    /// (repository, branch) to commit.
    branches: BTreeMap<(String, String), String>,
}

type Query = BTreeMap<String, String>;

fn text(body: &Value, key: &str) -> Option<String> {
    body.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn texts(body: &Value, key: &str) -> Vec<String> {
    let list = body.get(key).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|item| item.as_str().or_else(|| item.get("name")?.as_str())).map(str::to_owned).collect()
}

fn sha(content: &[u8]) -> String {
    auth::hmac("sha", content, ring::hmac::HMAC_SHA256).chars().take(40).collect()
}

/// Opens an issue. Answers its number.
pub(crate) fn open(state: &mut State, repo: &str, author: &str, title: &str, body: &str, labels: Vec<String>) -> u64 {
    let number = 1 + state.boards.issues.keys().filter(|(at, _)| at == repo).map(|(_, n)| *n).max().unwrap_or(0);
    let issue = Issue {
        id: state.id(),
        number,
        author: author.to_owned(),
        title: title.to_owned(),
        body: body.to_owned(),
        closed_ms: None,
        labels,
        comments: Vec::new(),
        created_ms: time::now_ms(),
        pull: None,
    };
    state.boards.issues.insert((repo.to_owned(), number), issue);
    number
}

/// Everything below `/repos/{owner}/{repo}` that is about issues, pulls, branches and files; `None` when it is about something else.
pub(crate) fn handle(
    state: &mut State,
    verb: &str,
    repo: &str,
    rest: &[&str],
    query: &Query,
    body: &Value,
) -> Option<Answer> {
    let me = "runnersmith[bot]";
    let numbered = |state: &State, number: &str| -> Option<(String, u64)> {
        let key = (repo.to_owned(), number.parse().ok()?);
        state.boards.issues.contains_key(&key).then_some(key)
    };
    let answer = match (verb, rest) {
        ("GET", ["issues"]) => {
            let wanted = query.get("state").map_or("open", String::as_str);
            let label = query.get("labels");
            let found = state.boards.issues.iter().filter(|((at, _), issue)| {
                at == repo
                    && (wanted == "all" || (wanted == "closed") == issue.closed_ms.is_some())
                    && label
                        .is_none_or(|label| label.split(',').all(|label| issue.labels.iter().any(|own| own == label)))
            });
            Answer::json(200, found.map(|(_, found)| issue(state, repo, found)).collect())
        }
        ("POST", ["issues"]) => {
            let Some(title) = text(body, "title") else { return Some(Answer::message(422, "title is missing")) };
            let words = text(body, "body").unwrap_or_default();
            let number = open(state, repo, me, &title, &words, texts(body, "labels"));
            Answer::json(201, issue(state, repo, &state.boards.issues[&(repo.to_owned(), number)]))
        }
        ("PATCH", ["issues", "comments", id]) => return Some(edit_comment(state, repo, id, body)),
        (_, ["issues" | "pulls", number, ..]) if *number != "comments" => {
            let Some(key) = numbered(state, number) else { return Some(Answer::not_found()) };
            return Some(one(state, verb, &key, rest, body, me));
        }
        ("GET", ["pulls"]) => {
            let wanted = query.get("state").map_or("open", String::as_str);
            let head = query.get("head").and_then(|head| head.split(':').next_back());
            let found = state.boards.issues.iter().filter(|((at, _), issue)| {
                at == repo
                    && issue.pull.as_ref().is_some_and(|pull| head.is_none_or(|head| pull.head == head))
                    && (wanted == "all" || (wanted == "closed") == issue.closed_ms.is_some())
            });
            Answer::json(200, found.map(|(_, found)| pull(state, repo, found, false)).collect())
        }
        ("POST", ["pulls"]) => {
            let (Some(title), Some(head), Some(base)) = (text(body, "title"), text(body, "head"), text(body, "base"))
            else {
                return Some(Answer::message(422, "title, head and base are needed"));
            };
            if !state.boards.branches.contains_key(&(repo.to_owned(), head.clone())) {
                return Some(Answer::message(422, "head is not a branch"));
            }
            let number = open(state, repo, me, &title, &text(body, "body").unwrap_or_default(), Vec::new());
            let key = (repo.to_owned(), number);
            if let Some(issue) = state.boards.issues.get_mut(&key) {
                issue.pull = Some(Pull { head, base, merged_ms: None });
            }
            Answer::json(201, pull(state, repo, &state.boards.issues[&key], true))
        }
        ("GET", ["git", "ref", "heads", branch @ ..]) => {
            reference(state, repo, &branch.join("/")).map_or_else(Answer::not_found, |found| Answer::json(200, found))
        }
        ("POST", ["git", "refs"]) => {
            let (name, commit) = (text(body, "ref").unwrap_or_default(), text(body, "sha").unwrap_or_default());
            let Some(branch) = name.strip_prefix("refs/heads/").filter(|branch| !branch.is_empty()) else {
                return Some(Answer::message(422, "ref must begin with refs/heads/"));
            };
            let key = (repo.to_owned(), branch.to_owned());
            if state.boards.branches.contains_key(&key) {
                return Some(Answer::message(422, "Reference already exists"));
            }
            let from: Vec<(String, Vec<u8>)> = files_of(state, repo, "main");
            for (path, content) in from {
                state.boards.files.insert((repo.to_owned(), branch.to_owned(), path), content);
            }
            state.boards.branches.insert(key, commit);
            Answer::json(201, reference(state, repo, branch).unwrap_or_default())
        }
        (_, ["contents", path @ ..]) => contents(state, verb, repo, &path.join("/"), query, body),
        _ => return None,
    };
    Some(answer)
}

fn files_of(state: &State, repo: &str, branch: &str) -> Vec<(String, Vec<u8>)> {
    let files = state.boards.files.iter().filter(|((at, on, _), _)| at == repo && on == branch);
    files.map(|((_, _, path), content)| (path.clone(), content.clone())).collect()
}

/// One issue or pull request, by its number.
fn one(state: &mut State, verb: &str, key: &(String, u64), rest: &[&str], body: &Value, me: &str) -> Answer {
    let repo = key.0.clone();
    let id = state.id();
    let now = time::now_ms();
    let Some(found) = state.boards.issues.get_mut(key) else { return Answer::not_found() };
    match (verb, rest) {
        ("GET", ["issues", _]) => {}
        ("PATCH", ["issues" | "pulls", _]) => {
            found.title = text(body, "title").unwrap_or_else(|| found.title.clone());
            found.body = text(body, "body").unwrap_or_else(|| found.body.clone());
            match body.get("state").and_then(Value::as_str) {
                Some("closed") => found.closed_ms = Some(now),
                Some("open") => found.closed_ms = None,
                _ => {}
            }
            if body.get("labels").is_some() {
                found.labels = texts(body, "labels");
            }
        }
        ("GET", ["issues", _, "comments"]) => {
            let (number, all) = (found.number, found.comments.clone());
            return Answer::json(200, all.iter().map(|one| comment(state, &repo, number, one)).collect());
        }
        ("POST", ["issues", _, "comments"]) => {
            let (number, body) = (found.number, text(body, "body").unwrap_or_default());
            let made = Comment { id, author: me.to_owned(), body, at_ms: now };
            found.comments.push(made.clone());
            return Answer::json(201, comment(state, &repo, number, &made));
        }
        ("POST", ["issues", _, "labels"]) => {
            for label in texts(body, "labels") {
                if !found.labels.contains(&label) {
                    found.labels.push(label);
                }
            }
            let labels = found.labels.clone();
            return Answer::json(200, labels.iter().map(|name| label(state, &repo, name)).collect());
        }
        ("DELETE", ["issues", _, "labels", name]) => {
            let name = name.replace("%20", " ");
            let before = found.labels.len();
            found.labels.retain(|own| *own != name);
            let (labels, gone) = (found.labels.clone(), before > found.labels.len());
            let left: Value = labels.iter().map(|name| label(state, &repo, name)).collect();
            return if gone { Answer::json(200, left) } else { Answer::not_found() };
        }
        ("GET", ["pulls", _]) => {
            let found = found.clone();
            return if found.pull.is_some() {
                Answer::json(200, pull(state, &repo, &found, true))
            } else {
                Answer::not_found()
            };
        }
        ("PUT", ["pulls", _, "merge"]) => return merge(state, key, now),
        _ => return Answer::not_found(),
    }
    let found = found.clone();
    Answer::json(200, if rest[0] == "pulls" { pull(state, &repo, &found, true) } else { issue(state, &repo, &found) })
}

fn merge(state: &mut State, key: &(String, u64), now: i64) -> Answer {
    let Some(Pull { head, base, merged_ms }) = state.boards.issues.get(key).and_then(|issue| issue.pull.clone()) else {
        return Answer::not_found();
    };
    if merged_ms.is_some() || state.boards.issues[key].closed_ms.is_some() {
        return Answer::message(405, "Pull Request is not mergeable");
    }
    for (path, content) in files_of(state, &key.0, &head) {
        state.boards.files.insert((key.0.clone(), base.clone(), path), content);
    }
    let commit = commit(state, &key.0, &base);
    if let Some(issue) = state.boards.issues.get_mut(key) {
        issue.closed_ms = Some(now);
        issue.pull = Some(Pull { head, base, merged_ms: Some(now) });
    }
    Answer::json(200, json!({"sha": commit, "merged": true, "message": "Pull Request successfully merged"}))
}

fn edit_comment(state: &mut State, repo: &str, id: &str, body: &Value) -> Answer {
    let id: u64 = id.parse().unwrap_or(0);
    for ((at, number), issue) in &mut state.boards.issues {
        let Some(found) = issue.comments.iter_mut().find(|comment| at == repo && comment.id == id) else { continue };
        found.body = text(body, "body").unwrap_or_else(|| found.body.clone());
        let (number, found) = (*number, found.clone());
        return Answer::json(200, comment(state, repo, number, &found));
    }
    Answer::not_found()
}

/// A new commit on a branch.
fn commit(state: &mut State, repo: &str, branch: &str) -> String {
    let commit = sha(state.id().to_string().as_bytes());
    state.boards.branches.insert((repo.to_owned(), branch.to_owned()), commit.clone());
    commit
}

fn contents(state: &mut State, verb: &str, repo: &str, path: &str, query: &Query, body: &Value) -> Answer {
    let branch = text(body, "branch").or_else(|| query.get("ref").cloned()).unwrap_or_else(|| "main".into());
    let key = (repo.to_owned(), branch.clone(), path.to_owned());
    let known = state.boards.files.get(&key).map(|content| sha(content));
    match verb {
        "GET" => match state.boards.files.get(&key) {
            Some(content) => Answer::json(200, file(state, &key, content, true)),
            None => Answer::not_found(),
        },
        "PUT" | "DELETE" => {
            if known != text(body, "sha") {
                let status = if known.is_some() && text(body, "sha").is_none() { 422 } else { 409 };
                return Answer::message(status, "sha does not match");
            }
            let new = commit(state, repo, &branch);
            let shown = if verb == "PUT" {
                let encoded: String = text(body, "content").unwrap_or_default().split_whitespace().collect();
                let Ok(content) = STANDARD.decode(encoded) else {
                    return Answer::message(422, "content is not valid Base64");
                };
                state.boards.files.insert(key.clone(), content.clone());
                file(state, &key, &content, false)
            } else {
                state.boards.files.remove(&key);
                Value::Null
            };
            let status = if verb == "PUT" && known.is_none() { 201 } else { 200 };
            Answer::json(status, json!({"content": shown, "commit": {"sha": new, "message": text(body, "message")}}))
        }
        _ => Answer::not_found(),
    }
}

fn file(state: &State, (repo, branch, path): &(String, String, String), content: &[u8], whole: bool) -> Value {
    let at = format!("{}/repos/{repo}/contents/{path}?ref={branch}", state.base);
    let name = path.rsplit('/').next().unwrap_or(path);
    let mut file = json!({
        "name": name, "path": path, "sha": sha(content), "size": content.len(), "url": at, "html_url": at, "git_url": at,
        "download_url": at, "type": "file", "_links": {"self": at, "git": at, "html": at},
    });
    if whole {
        file["encoding"] = json!("base64");
        file["content"] = json!(STANDARD.encode(content));
    }
    file
}

fn reference(state: &State, repo: &str, branch: &str) -> Option<Value> {
    let commit = state.boards.branches.get(&(repo.to_owned(), branch.to_owned()))?;
    let at = format!("{}/repos/{repo}/git", state.base);
    Some(json!({
        "ref": format!("refs/heads/{branch}"), "node_id": format!("R_{branch}"), "url": format!("{at}/refs/heads/{branch}"),
        "object": {"sha": commit, "type": "commit", "url": format!("{at}/commits/{commit}")},
    }))
}

fn label(state: &State, repo: &str, name: &str) -> Value {
    let id = u64::from_str_radix(&sha(name.as_bytes())[..8], 16).unwrap_or(1);
    json!({
        "id": id, "node_id": format!("L_{id}"), "url": format!("{}/repos/{repo}/labels/{id}", state.base), "name": name,
        "color": "ededed", "default": false, "description": null,
    })
}

fn comment(state: &State, repo: &str, number: u64, comment: &Comment) -> Value {
    let at = format!("{}/repos/{repo}/issues/comments/{}", state.base, comment.id);
    json!({
        "id": comment.id, "node_id": format!("IC_{}", comment.id), "url": at, "body": comment.body,
        "html_url": format!("{}/{repo}/issues/{number}#issuecomment-{}", state.base, comment.id),
        "user": user(state, &comment.author), "created_at": time::text(comment.at_ms), "updated_at": time::text(comment.at_ms),
        "issue_url": format!("{}/repos/{repo}/issues/{number}", state.base), "author_association": "NONE",
    })
}

fn issue(state: &State, repo: &str, issue: &Issue) -> Value {
    let at = format!("{}/repos/{repo}/issues/{}", state.base, issue.number);
    let mut shown = json!({
        "id": issue.id, "node_id": format!("I_{}", issue.id), "url": at, "repository_url": format!("{}/repos/{repo}", state.base),
        "labels_url": format!("{at}/labels{{/name}}"), "comments_url": format!("{at}/comments"), "events_url": format!("{at}/events"),
        "html_url": format!("{}/{repo}/issues/{}", state.base, issue.number), "number": issue.number,
        "state": if issue.closed_ms.is_some() { "closed" } else { "open" }, "title": issue.title, "body": issue.body,
        "user": user(state, &issue.author), "labels": issue.labels.iter().map(|name| label(state, repo, name)).collect::<Value>(),
        "assignee": null, "assignees": [], "milestone": null, "locked": false, "active_lock_reason": null,
        "comments": issue.comments.len(), "closed_at": issue.closed_ms.map(time::text), "created_at": time::text(issue.created_ms),
        "updated_at": time::text(issue.created_ms), "author_association": "NONE", "state_reason": null,
    });
    if issue.pull.is_some() {
        let pull = format!("{}/repos/{repo}/pulls/{}", state.base, issue.number);
        shown["pull_request"] = json!({"url": pull, "html_url": pull, "diff_url": pull, "patch_url": pull});
    }
    shown
}

fn branch(state: &State, repo: &str, name: &str) -> Value {
    let owner = repo.split('/').next().unwrap_or_default();
    let commit =
        state.boards.branches.get(&(repo.to_owned(), name.to_owned())).cloned().unwrap_or_else(|| sha(name.as_bytes()));
    let repository = api::full_repository(state, repo);
    json!({"label": format!("{owner}:{name}"), "ref": name, "sha": commit, "user": user(state, owner), "repo": repository})
}

/// A pull request; `whole` with what only one by its number has.
fn pull(state: &State, repo: &str, issue: &Issue, whole: bool) -> Value {
    let Some(Pull { head, base, merged_ms }) = &issue.pull else { return Value::Null };
    let at = format!("{}/repos/{repo}/pulls/{}", state.base, issue.number);
    let html = format!("{}/{repo}/pull/{}", state.base, issue.number);
    let issues = format!("{}/repos/{repo}/issues/{}", state.base, issue.number);
    let link = |to: &str| json!({ "href": to });
    let mut shown = json!({
        "url": at, "id": issue.id, "node_id": format!("PR_{}", issue.id), "html_url": html, "diff_url": format!("{html}.diff"),
        "patch_url": format!("{html}.patch"), "issue_url": issues, "commits_url": format!("{at}/commits"),
        "review_comments_url": format!("{at}/comments"), "review_comment_url": format!("{at}/comments{{/number}}"),
        "comments_url": format!("{issues}/comments"), "statuses_url": format!("{}/repos/{repo}/statuses/{head}", state.base),
        "number": issue.number, "state": if issue.closed_ms.is_some() { "closed" } else { "open" }, "locked": false,
        "title": issue.title, "user": user(state, &issue.author), "body": issue.body, "milestone": null, "active_lock_reason": null,
        "labels": issue.labels.iter().map(|name| label(state, repo, name)).collect::<Value>(),
        "created_at": time::text(issue.created_ms), "updated_at": time::text(issue.created_ms),
        "closed_at": issue.closed_ms.map(time::text), "merged_at": merged_ms.map(time::text), "merge_commit_sha": null,
        "assignee": null, "assignees": [], "requested_reviewers": [], "requested_teams": [], "draft": false,
        "head": branch(state, repo, head), "base": branch(state, repo, base), "author_association": "NONE", "auto_merge": null,
    });
    shown["_links"] = json!({
        "self": link(&at), "html": link(&html), "issue": link(&issues), "comments": link(&format!("{issues}/comments")),
        "review_comments": link(&format!("{at}/comments")), "review_comment": link(&format!("{at}/comments{{/number}}")),
        "commits": link(&format!("{at}/commits")), "statuses": link(&format!("{at}/statuses")),
    });
    if let (true, Value::Object(shown)) = (whole, &mut shown) {
        let more = json!({
            "merged": merged_ms.is_some(), "mergeable": merged_ms.is_none(), "rebaseable": null, "mergeable_state": "clean",
            "merged_by": null, "comments": issue.comments.len(), "review_comments": 0, "maintainer_can_modify": false,
            "commits": 1, "additions": 1, "deletions": 0, "changed_files": 1,
        });
        shown.extend(more.as_object().cloned().unwrap_or_default());
    }
    shown
}

/// Makes a branch with files, for tests to begin with.
pub(crate) fn write(state: &mut State, repo: &str, name: &str, files: &[(&str, &str)]) {
    for (path, content) in files {
        state.boards.files.insert((repo.to_owned(), name.to_owned(), (*path).to_owned()), content.as_bytes().to_vec());
    }
    commit(state, repo, name);
}
