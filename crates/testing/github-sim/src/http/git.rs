//! Git's objects and branches over HTTP, and comparisons.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::acts::branches;
use crate::body::{text, texts};
use crate::forms::board as forms;
use crate::git::{Commit, Entry, Files, Person, Sha};
use crate::http::answer::Answer;
use crate::http::call::{Call, forbidden};
use crate::rules::people;
use crate::state::State;

/// A comparison lists so many commits.
const COMPARED_MAX: usize = 250;

/// Everything below `/repos/{owner}/{repo}/git` and `…/compare`.
pub(crate) fn handle(state: &mut State, call: &Call<'_>) -> Answer {
    let Call { verb, repo, rest, query, body, actor } = *call;
    if verb != "GET" && !people::may(state, repo, actor, "write") {
        return forbidden();
    }
    match (verb, rest) {
        ("GET", ["compare", basehead @ ..]) => compare(state, repo, &basehead.join("/")),
        ("GET", ["git", "ref", "heads", branch @ ..]) => reference(state, repo, &branch.join("/"), 200),
        ("POST", ["git", "refs"]) => create_ref(state, call),
        (_, ["git", "refs", "heads", branch @ ..]) => change_ref(state, call, &branch.join("/")),
        ("GET", ["git", "blobs", sha]) => state.board.objects.blob(sha).map_or_else(Answer::not_found, |content| {
            let url = format!("{}/repos/{repo}/git/blobs/{sha}", state.base);
            // GitHub breaks the lines of what it encodes.
            let encoded = STANDARD.encode(content).into_bytes();
            let lines: Vec<&str> = encoded.chunks(60).filter_map(|line| std::str::from_utf8(line).ok()).collect();
            Answer::json(
                200,
                json!({
                    "sha": sha, "node_id": format!("B_{sha}"), "size": content.len(), "url": url, "encoding": "base64",
                    "content": lines.join("\n"),
                }),
            )
        }),
        ("POST", ["git", "blobs"]) => {
            let content = text(body, "content").unwrap_or_default();
            let content = match text(body, "encoding").as_deref() {
                Some("base64") => STANDARD.decode(content.split_whitespace().collect::<String>()).ok(),
                _ => Some(content.into_bytes()),
            };
            let Some(content) = content else { return Answer::invalid("Blob", "content is not valid Base64") };
            let sha = state.board.objects.put_blob(&content);
            let url = format!("{}/repos/{repo}/git/blobs/{sha}", state.base);
            Answer::json(201, json!({"sha": sha, "url": url}))
        }
        ("GET", ["git", "trees", name @ ..]) => {
            let Some(sha) = tree_of(state, repo, &name.join("/")) else { return Answer::not_found() };
            Answer::json(200, tree(state, repo, &sha, query.contains_key("recursive")))
        }
        ("POST", ["git", "trees"]) => create_tree(state, call),
        ("GET", ["git", "commits", sha]) => commit(state, repo, sha, 200),
        ("POST", ["git", "commits"]) => create_commit(state, call),
        _ => Answer::not_found(),
    }
}

fn reference(state: &State, repo: &str, branch: &str, status: u16) -> Answer {
    let Some(commit) = state.board.branch(repo, branch) else { return Answer::not_found() };
    let at = format!("{}/repos/{repo}/git", state.base);
    let shown = json!({
        "ref": format!("refs/heads/{branch}"), "node_id": format!("R_{branch}"), "url": format!("{at}/refs/heads/{branch}"),
        "object": {"sha": commit, "type": "commit", "url": format!("{at}/commits/{commit}")},
    });
    Answer::json(status, shown)
}

fn create_ref(state: &mut State, call: &Call<'_>) -> Answer {
    let Call { repo, body, actor, .. } = *call;
    let (name, sha) = (text(body, "ref").unwrap_or_default(), text(body, "sha").unwrap_or_default());
    let Some(branch) = name.strip_prefix("refs/heads/").filter(|branch| is_name(branch)) else {
        return Answer::message(422, "Reference name must start with 'refs' and have at least two slashes.");
    };
    if state.board.branch(repo, branch).is_some() {
        return Answer::message(422, "Reference already exists");
    }
    if state.board.objects.commit(&sha).is_none() {
        return Answer::message(422, "Object does not exist");
    }
    branches::set(state, repo, branch, Some(&sha), actor);
    reference(state, repo, branch, 201)
}

/// Whether git would take a branch's name, as far as it matters here.
fn is_name(branch: &str) -> bool {
    let bad = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c);
    !branch.is_empty() && !branch.contains("..") && !branch.contains(bad) && !branch.ends_with(['/', '.'])
}

fn change_ref(state: &mut State, call: &Call<'_>, branch: &str) -> Answer {
    let Call { verb, repo, body, actor, .. } = *call;
    let Some(old) = state.board.branch(repo, branch).cloned() else {
        return Answer::message(422, "Reference does not exist");
    };
    match verb {
        "DELETE" => {
            branches::set(state, repo, branch, None, actor);
            Answer::empty(204)
        }
        "PATCH" => {
            let sha = text(body, "sha").unwrap_or_default();
            if state.board.objects.commit(&sha).is_none() {
                return Answer::message(422, "Object does not exist");
            }
            let forced = body.get("force").and_then(Value::as_bool).unwrap_or(false);
            if !forced && !state.board.objects.is_after(&sha, &old) {
                return Answer::message(422, "Update is not a fast forward");
            }
            branches::set(state, repo, branch, Some(&sha), actor);
            reference(state, repo, branch, 200)
        }
        _ => Answer::not_found(),
    }
}

/// The tree that a hash (of a tree or a commit) or a branch's name means.
fn tree_of(state: &State, repo: &str, name: &str) -> Option<Sha> {
    let name = state.board.branch(repo, name).map_or(name, String::as_str);
    let commit = state.board.objects.commit(name).map(|commit| commit.tree.clone());
    commit.or_else(|| state.board.objects.tree(name).map(|_| name.to_owned()))
}

fn tree(state: &State, repo: &str, sha: &str, recursive: bool) -> Value {
    let at = format!("{}/repos/{repo}/git", state.base);
    let mut entries = Vec::new();
    list(state, &at, sha, "", recursive, &mut entries);
    let cut = state.faults.truncate_trees && recursive;
    if cut {
        entries.truncate(entries.len() / 2);
    }
    json!({"sha": sha, "url": format!("{at}/trees/{sha}"), "tree": entries, "truncated": cut})
}

fn list(state: &State, at: &str, sha: &str, below: &str, recursive: bool, entries: &mut Vec<Value>) {
    for (name, entry) in state.board.objects.tree(sha).into_iter().flatten() {
        let (path, sha) = (format!("{below}{name}"), &entry.sha);
        if entry.mode == "40000" {
            entries.push(
                json!({"path": path, "mode": "040000", "type": "tree", "sha": sha, "url": format!("{at}/trees/{sha}")}),
            );
            if recursive {
                list(state, at, sha, &format!("{path}/"), true, entries);
            }
        } else {
            let size = state.board.objects.blob(sha).map_or(0, <[u8]>::len);
            entries.push(json!({
                "path": path, "mode": entry.mode, "type": "blob", "sha": sha, "size": size, "url": format!("{at}/blobs/{sha}"),
            }));
        }
    }
}

fn create_tree(state: &mut State, call: &Call<'_>) -> Answer {
    let Call { repo, body, .. } = *call;
    let mut files = match text(body, "base_tree") {
        Some(base) => match tree_of(state, repo, &base) {
            Some(tree) => state.board.objects.files(&tree),
            None => return Answer::invalid("Tree", "base_tree is not a valid tree oid"),
        },
        None => Files::new(),
    };
    let entries = body.get("tree").and_then(Value::as_array).cloned().unwrap_or_default();
    if entries.is_empty() {
        return Answer::message(422, "Invalid tree info");
    }
    for entry in &entries {
        if let Err(why) = put(state, &mut files, entry) {
            return Answer::invalid("Tree", why);
        }
    }
    let sha = state.board.objects.put_tree(&files);
    Answer::json(201, tree(state, repo, &sha, false))
}

fn put(state: &mut State, files: &mut Files, entry: &Value) -> Result<(), &'static str> {
    let path = text(entry, "path").unwrap_or_default();
    if path.split('/').any(|part| matches!(part.to_lowercase().as_str(), "" | "." | ".." | ".git")) {
        return Err("tree.path contains a malformed path component");
    }
    let mode = text(entry, "mode").unwrap_or_else(|| "100644".into());
    match (entry.get("sha"), text(entry, "content")) {
        (Some(_), Some(_)) => return Err("Must supply either tree.sha or tree.content"),
        (Some(Value::Null), None) => _ = files.remove(&path).ok_or("GitRPC::BadObjectState")?,
        (Some(sha), None) => {
            let sha = sha.as_str().unwrap_or_default().to_owned();
            if state.board.objects.tree(&sha).is_some() {
                let below = state.board.objects.files(&sha).into_iter();
                files.extend(below.map(|(rest, entry)| (format!("{path}/{rest}"), entry)));
            } else if state.board.objects.blob(&sha).is_some() {
                files.insert(path, Entry { mode, sha });
            } else {
                return Err("tree.sha is not a valid object");
            }
        }
        (None, Some(content)) => {
            let sha = state.board.objects.put_blob(content.as_bytes());
            files.insert(path, Entry { mode, sha });
        }
        (None, None) => return Err("Must supply either tree.sha or tree.content"),
    }
    Ok(())
}

fn create_commit(state: &mut State, call: &Call<'_>) -> Answer {
    let Call { repo, body, actor, .. } = *call;
    let Some(tree) = text(body, "tree").filter(|tree| state.board.objects.tree(tree).is_some()) else {
        return Answer::invalid("Commit", "Tree SHA does not exist");
    };
    let parents = texts(body, "parents");
    if parents.iter().any(|parent| state.board.objects.commit(parent).is_none()) {
        return Answer::invalid("Commit", "Parent SHA does not exist or is not a commit object");
    }
    let now = state.now_ms();
    let person = |key: &str| {
        let given = body.get(key)?;
        Some(Person::by_email(&text(given, "name")?, &text(given, "email")?, now))
    };
    let author = person("author").unwrap_or_else(|| Person::new(&actor.login, now));
    let committer = person("committer").unwrap_or_else(|| author.clone());
    let message = text(body, "message").unwrap_or_default();
    let sha = state.board.objects.put_commit(Commit { tree, parents, author, committer, message });
    commit(state, repo, &sha, 201)
}

fn commit(state: &State, repo: &str, sha: &str, status: u16) -> Answer {
    forms::git_commit(state, repo, sha).map_or_else(Answer::not_found, |shown| Answer::json(status, shown))
}

fn compare(state: &State, repo: &str, basehead: &str) -> Answer {
    let resolve = |name: &str| -> Option<Sha> {
        let name = name.rsplit(':').next()?;
        let found = state.board.branch(repo, name).cloned();
        found.or_else(|| state.board.objects.commit(name).map(|_| name.to_owned()))
    };
    let found = basehead.split_once("...").and_then(|(base, head)| Some((resolve(base)?, resolve(head)?)));
    let Some((base, head)) = found else { return Answer::not_found() };
    let objects = &state.board.objects;
    let Some(common) = objects.merge_base(&base, &head) else { return Answer::not_found() };
    let (ahead, behind) = (objects.between(&base, &head), objects.between(&head, &base).len());
    let status = match (ahead.len(), behind) {
        (0, 0) => "identical",
        (_, 0) => "ahead",
        (0, _) => "behind",
        (_, _) => "diverged",
    };
    let at = format!("{}/repos/{repo}/compare/{base}...{head}", state.base);
    // Beyond its limit GitHub shows the newest.
    let skipped = ahead.len().saturating_sub(COMPARED_MAX);
    let commits: Vec<Value> = ahead.iter().skip(skipped).filter_map(|sha| forms::commit(state, repo, sha)).collect();
    Answer::json(
        200,
        json!({
            "url": at, "html_url": at, "permalink_url": at, "diff_url": at, "patch_url": at, "status": status,
            "base_commit": forms::commit(state, repo, &base), "merge_base_commit": forms::commit(state, repo, &common),
            "ahead_by": ahead.len(), "behind_by": behind, "total_commits": ahead.len(), "commits": commits, "files": [],
        }),
    )
}
