//! Branches: the one place where they move, and what follows from it for pull requests and those who are subscribed.

use serde_json::{Value, json};

use crate::acts::follow;
use crate::events;
use crate::git::{Commit, Entry, Files, Person, Sha};
use crate::rules::people;
use crate::state::State;
use crate::state::actor::Actor;
use crate::state::board::DEFAULT_BRANCH;
use crate::time;

/// What `push` writes for a commit that there is not.
const NOTHING: &str = "0000000000000000000000000000000000000000";

/// Where a new branch begins when nobody says: the default branch.
pub(crate) fn start(state: &State, repo: &str, branch: &str) -> Option<Sha> {
    state.board.branch(repo, branch).or_else(|| state.board.branch(repo, DEFAULT_BRANCH)).cloned()
}

/// Makes changes to files; `None` deletes.
pub(crate) fn change<'p>(
    state: &mut State,
    files: &mut Files,
    changes: impl IntoIterator<Item = (&'p str, Option<&'p [u8]>)>,
) {
    for (path, content) in changes {
        match content {
            Some(content) => {
                let sha = state.board.objects.put_blob(content);
                files.insert(path.to_owned(), Entry { mode: "100644".into(), sha });
            }
            None => _ = files.remove(path),
        }
    }
}

/// A commit of these files.
pub(crate) fn commit(state: &mut State, files: &Files, parents: Vec<Sha>, author: &Person, message: &str) -> Sha {
    let tree = state.board.objects.put_tree(files);
    let (author, committer) = (author.clone(), author.clone());
    state.board.objects.put_commit(Commit { tree, parents, author, committer, message: message.to_owned() })
}

/// Moves a branch, makes it, or (`None`) deletes it.
pub(crate) fn set(state: &mut State, repo: &str, branch: &str, to: Option<&str>, actor: &Actor) {
    let key = (repo.to_owned(), branch.to_owned());
    let from = state.board.branches.get(&key).cloned();
    if from.as_deref() == to {
        return;
    }
    match to {
        Some(to) => _ = state.board.branches.insert(key, to.to_owned()),
        None => _ = state.board.branches.remove(&key),
    }
    let payload = push_payload(state, repo, branch, from.as_deref(), to, actor);
    events::emit(state, repo, "push", "", actor, payload);
    follow::after_head(state, repo, branch, from.as_deref(), to, actor);
    follow::after_base(state, repo, branch, to, actor);
}

fn push_payload(state: &State, repo: &str, branch: &str, from: Option<&str>, to: Option<&str>, actor: &Actor) -> Value {
    let forced = matches!((from, to), (Some(from), Some(to)) if !state.board.objects.is_after(to, from));
    let before = from.unwrap_or(NOTHING);
    let new = match (from, to) {
        (Some(from), Some(to)) => state.board.objects.between(from, to),
        // A new branch shows what the default branch has not.
        (None, Some(to)) => {
            let base = state.board.branch(repo, DEFAULT_BRANCH).filter(|_| branch != DEFAULT_BRANCH);
            state.board.objects.between(base.map_or("", String::as_str), to)
        }
        (_, None) => Vec::new(),
    };
    let commits: Vec<Value> = new.iter().filter_map(|sha| pushed(state, repo, sha)).collect();
    json!({
        "ref": format!("refs/heads/{branch}"), "before": before, "after": to.unwrap_or(NOTHING), "base_ref": null,
        "created": from.is_none(), "deleted": to.is_none(), "forced": forced, "commits": commits,
        "head_commit": to.and_then(|to| pushed(state, repo, to)),
        "compare": format!("{}/{repo}/compare/{before}...{}", state.base, to.unwrap_or(NOTHING)),
        "pusher": {"name": actor.login, "email": Person::new(&actor.login, 0).email},
    })
}

fn pushed(state: &State, repo: &str, sha: &str) -> Option<Value> {
    let commit = state.board.objects.commit(sha)?;
    let person = |person: &Person| {
        let mut shown = json!({"name": person.name, "email": person.email, "date": time::text(person.at_ms)});
        if let Some(login) = &person.login {
            shown["username"] = json!(login);
        }
        shown
    };
    let now = state.board.objects.files(&commit.tree);
    let before = commit.parents.first().map(|parent| state.board.objects.files_of(parent)).unwrap_or_default();
    let added: Vec<&String> = now.keys().filter(|path| !before.contains_key(*path)).collect();
    let removed: Vec<&String> = before.keys().filter(|path| !now.contains_key(*path)).collect();
    let modified: Vec<&String> =
        now.iter().filter(|(path, entry)| before.get(*path).is_some_and(|old| old != *entry)).map(|(p, _)| p).collect();
    Some(json!({
        "id": sha, "tree_id": commit.tree, "distinct": true, "message": commit.message,
        "timestamp": time::text(commit.committer.at_ms), "url": format!("{}/{repo}/commit/{sha}", state.base),
        "author": person(&commit.author), "committer": person(&commit.committer),
        "added": added, "removed": removed, "modified": modified,
    }))
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
    change(state, &mut tree, files.iter().map(|(path, content)| (*path, content.map(str::as_bytes))));
    let author = Person::new(login, state.now_ms());
    let commit = commit(state, &tree, start.into_iter().collect(), &author, message);
    set(state, repo, branch, Some(&commit), &Actor::person(login));
    commit
}
