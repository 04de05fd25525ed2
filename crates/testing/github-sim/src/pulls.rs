//! Pull requests: opened, closed, reopened, merged; and what happens to them when branches move.

use serde_json::{Value, json};

use crate::api::{self, Answer};
use crate::board::{Call, DEFAULT_BRANCH, Key, forbidden, text};
use crate::git::{Commit, Person, Sha};
use crate::issues::{self, Issue};
use crate::model::State;
use crate::people::{self, Actor, Via};
use crate::{Faults, events, forms, refs};

/// What makes an issue a pull request.
#[derive(Clone)]
pub(crate) struct Pull {
    /// The repository of its branch; it may be gone.
    pub head_repo: String,
    pub head: String,
    pub base: String,
    /// Its branch's commit while it is open; the last one when it is closed.
    pub head_sha: Sha,
    pub merged_ms: Option<i64>,
    pub merged_by: Option<String>,
    pub merge_sha: Option<Sha>,
}

/// The commit that it would be merged into.
pub(crate) fn base_sha(state: &State, repo: &str, pull: &Pull) -> Sha {
    state.board.branch(repo, &pull.base).cloned().unwrap_or_default()
}

/// Whether it can be merged, and GitHub's word for it.
pub(crate) fn mergeable(state: &State, repo: &str, issue: &Issue) -> (Option<bool>, &'static str) {
    let Some(pull) = issue.pull.as_ref().filter(|_| issue.closed_ms.is_none()) else { return (None, "unknown") };
    let protected = state.board.settings.get(repo).is_some_and(|settings| settings.protected.contains(&pull.base));
    match state.board.objects.merge(&base_sha(state, repo, pull), &pull.head_sha) {
        None => (Some(false), "dirty"),
        Some(_) if protected => (Some(true), "blocked"),
        Some(_) => (Some(true), "clean"),
    }
}

/// Opens one; the error is GitHub's words.
pub(crate) fn open(
    state: &mut State,
    repo: &str,
    actor: &Actor,
    (title, body): (&str, &str),
    (head_repo, head): (&str, &str),
    base: &str,
) -> Result<Key, String> {
    let Some(head_sha) = state.board.branch(head_repo, head).cloned() else {
        return Err("head is invalid".into());
    };
    let Some(base_sha) = state.board.branch(repo, base).cloned() else { return Err("base is invalid".into()) };
    let same =
        |key: &Key, pull: &Pull| key.0 == repo && pull.head_repo == head_repo && pull.head == head && pull.base == base;
    if !refs::open_pulls(state, same).is_empty() {
        let owner = head_repo.split('/').next().unwrap_or_default();
        return Err(format!("A pull request already exists for {owner}:{head}."));
    }
    if state.board.objects.between(&base_sha, &head_sha).is_empty() {
        return Err(format!("No commits between {base} and {head}"));
    }
    let pull = Pull {
        head_repo: head_repo.to_owned(),
        head: head.to_owned(),
        base: base.to_owned(),
        head_sha,
        merged_ms: None,
        merged_by: None,
        merge_sha: None,
    };
    let key = issues::add(state, repo, actor, title, body, Some(pull));
    events::about(state, &key, "opened", actor, json!({}));
    Ok(key)
}

/// Why it cannot be reopened, in GitHub's words.
fn stays_closed(state: &State, key: &Key) -> Option<String> {
    let pull = state.board.issues.get(key)?.pull.as_ref()?;
    let Some(now) = state.board.branch(&pull.head_repo, &pull.head) else {
        return Some(format!("state cannot be changed. The {} branch has been deleted.", pull.head));
    };
    let open = |other: &Key, found: &Pull| {
        other.0 == key.0 && found.head_repo == pull.head_repo && found.head == pull.head && found.base == pull.base
    };
    match () {
        () if pull.merged_ms.is_some() => Some("state cannot be changed. The pull request is merged.".into()),
        () if !refs::is_after(state, now, &pull.head_sha) => {
            Some(format!("state cannot be changed. The {} branch was force-pushed or recreated.", pull.head))
        }
        () if state.board.objects.between(&base_sha(state, &key.0, pull), now).is_empty() => {
            Some(format!("state cannot be changed. There are no new commits on the {} branch.", pull.head))
        }
        () if !refs::open_pulls(state, open).is_empty() => Some(format!(
            "state cannot be changed. There is already an open pull request from {} to {}.",
            pull.head, pull.base
        )),
        () => None,
    }
}

/// Opens or closes one; the error is GitHub's words.
pub(crate) fn set_open(state: &mut State, key: &Key, actor: &Actor, open: bool) -> Result<(), String> {
    let is_open = state.board.issues.get(key).is_some_and(|issue| issue.closed_ms.is_none());
    if open && !is_open {
        if let Some(why) = stays_closed(state, key) {
            return Err(why);
        }
        let pull = state.board.issues.get(key).and_then(|issue| issue.pull.clone());
        let now = pull.and_then(|pull| state.board.branch(&pull.head_repo, &pull.head).cloned());
        if let (Some(now), Some(pull)) = (now, pull_mut(state, key)) {
            pull.head_sha = now;
        }
    }
    issues::set_open(state, key, actor, open);
    Ok(())
}

pub(crate) fn pull_mut<'s>(state: &'s mut State, key: &Key) -> Option<&'s mut Pull> {
    state.board.issues.get_mut(key)?.pull.as_mut()
}

/// What a branch's move means to the pull requests of that branch.
pub(crate) fn after_head(
    state: &mut State,
    repo: &str,
    branch: &str,
    from: Option<&str>,
    to: Option<&str>,
    actor: &Actor,
) {
    for key in refs::open_pulls(state, |_, pull| pull.head_repo == repo && pull.head == branch) {
        let Some(to) = to else {
            issues::set_open(state, &key, actor, false);
            continue;
        };
        if let Some(pull) = pull_mut(state, &key) {
            to.clone_into(&mut pull.head_sha);
        }
        let pull = state.board.issues.get(&key).and_then(|issue| issue.pull.clone());
        let base = pull.map(|pull| base_sha(state, &key.0, &pull)).unwrap_or_default();
        // A branch that is pushed back to its base has nothing to propose: GitHub closes the pull request.
        if state.board.objects.between(&base, to).is_empty() {
            issues::set_open(state, &key, actor, false);
        } else {
            let more = json!({"before": from.unwrap_or_default(), "after": to});
            events::about(state, &key, "synchronize", actor, more);
        }
    }
}

/// What a branch's move means to the pull requests into that branch.
pub(crate) fn after_base(state: &mut State, repo: &str, branch: &str, to: Option<&str>, actor: &Actor) {
    for key in refs::open_pulls(state, |key, pull| key.0 == repo && pull.base == branch) {
        let Some(to) = to else {
            issues::set_open(state, &key, actor, false);
            continue;
        };
        let head = state.board.issues.get(&key).and_then(|issue| issue.pull.clone()).map(|pull| pull.head_sha);
        // Somebody pushed its commits by hand.
        if head.is_some_and(|head| refs::is_after(state, to, &head)) {
            note_merge(state, &key, actor, to);
            issues::set_open(state, &key, actor, false);
        }
    }
}

fn note_merge(state: &mut State, key: &Key, actor: &Actor, sha: &str) {
    let now = state.now_ms();
    if let Some(pull) = pull_mut(state, key) {
        (pull.merged_ms, pull.merged_by, pull.merge_sha) = (Some(now), Some(actor.login.clone()), Some(sha.to_owned()));
    }
}

/// Merges; the error is status and GitHub's words.
pub(crate) fn merge(state: &mut State, key: &Key, actor: &Actor, body: &Value) -> Result<Sha, (u16, String)> {
    let found = state.board.issues.get(key).cloned();
    let Some((issue, pull)) = found.and_then(|issue| Some((issue.clone(), issue.pull?))) else {
        return Err((404, "Not Found".into()));
    };
    if issue.closed_ms.is_some() {
        return Err((405, "Pull Request is not mergeable".into()));
    }
    if text(body, "sha").is_some_and(|sha| sha != pull.head_sha) {
        return Err((409, "Head branch was modified. Review and try the merge again.".into()));
    }
    let base = base_sha(state, &key.0, &pull);
    let Some(files) = state.board.objects.merge(&base, &pull.head_sha) else {
        return Err((405, "Pull Request has merge conflicts".into()));
    };
    let settings = state.board.settings(&key.0).clone();
    if settings.protected.contains(&pull.base) {
        return Err((405, "At least 1 approving review is required by reviewers with write access.".into()));
    }
    let method = text(body, "merge_method").unwrap_or_else(|| "merge".into());
    if settings.squash_only && method != "squash" {
        return Err((405, "Merge commits are not allowed on this repository.".into()));
    }
    let owner = pull.head_repo.split('/').next().unwrap_or_default();
    let usual = format!("Merge pull request #{} from {owner}/{}", key.1, pull.head);
    let title = text(body, "commit_title").unwrap_or(usual);
    let more = text(body, "commit_message").unwrap_or_else(|| issue.title.clone());
    let now = state.now_ms();
    let commit = Commit {
        tree: state.board.objects.put_tree(&files),
        parents: if method == "merge" { vec![base, pull.head_sha.clone()] } else { vec![base] },
        author: Person::new(&actor.login, now),
        committer: Person::github(now),
        message: format!("{title}\n\n{more}"),
    };
    let sha = state.board.objects.put_commit(commit);
    note_merge(state, key, actor, &sha);
    // Closed first, or the moved branch would close it once more.
    issues::set_open(state, key, actor, false);
    refs::set(state, &key.0, &pull.base, Some(&sha), actor);
    if pull.base == DEFAULT_BRANCH {
        for number in closed_by(&issue.body) {
            issues::set_open(state, &(key.0.clone(), number), actor, false);
        }
    }
    Ok(sha)
}

/// The issues that a pull request's words close when it is merged into the default branch.
fn closed_by(body: &str) -> Vec<u64> {
    const WORDS: [&str; 9] = ["close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved"];
    let words: Vec<String> = body.split_whitespace().map(str::to_lowercase).collect();
    let pairs = words.iter().zip(words.iter().skip(1));
    pairs
        .filter(|(word, _)| WORDS.contains(&word.trim_end_matches(':')))
        .filter_map(|(_, number)| number.strip_prefix('#')?.trim_end_matches(['.', ',', ';', ')']).parse().ok())
        .collect()
}

/// Everything below `/repos/{owner}/{repo}/pulls`.
pub(crate) fn handle(state: &mut State, call: &Call<'_>) -> Answer {
    let Call { verb, repo, rest, body, actor, .. } = *call;
    let [_, number, more @ ..] = rest else {
        return match verb {
            "GET" => list(state, call),
            "POST" => create(state, call),
            _ => Answer::not_found(),
        };
    };
    let found = issues::key(state, repo, number).filter(|key| state.board.issues[key].pull.is_some());
    let Some(key) = found else { return Answer::not_found() };
    match (verb, more) {
        ("GET", []) => show(state, &key, 200),
        ("PATCH", []) => {
            if !issues::may_change(state, &key, actor) {
                return forbidden();
            }
            let wanted = body.get("state").and_then(Value::as_str);
            if let Some(word @ ("open" | "closed")) = wanted
                && let Err(why) = set_open(state, &key, actor, word == "open")
            {
                return Answer::invalid("PullRequest", &why);
            }
            issues::patch(state, &key, actor, body);
            show(state, &key, 200)
        }
        ("PUT", ["merge"]) => {
            if !people::may(state, repo, actor, "write") {
                return forbidden();
            }
            match merge(state, &key, actor, body) {
                Ok(sha) => {
                    let words = "Pull Request successfully merged";
                    Answer::json(200, json!({"sha": sha, "merged": true, "message": words}))
                }
                Err((status, words)) => Answer::message(status, &words),
            }
        }
        _ => Answer::not_found(),
    }
}

fn create(state: &mut State, call: &Call<'_>) -> Answer {
    let Call { repo, body, actor, .. } = *call;
    let (Some(title), Some(head), Some(base)) = (text(body, "title"), text(body, "head"), text(body, "base")) else {
        return Answer::invalid("PullRequest", "title, head and base are needed");
    };
    if actor.via == Some(Via::Actions) && state.board.settings(repo).no_pulls_by_actions {
        return Answer::message(403, "GitHub Actions is not permitted to create or approve pull requests.");
    }
    let (owner, name) = repo.split_once('/').unwrap_or((repo, ""));
    let (head_repo, head) = match head.split_once(':') {
        Some((other, head)) if other != owner => (format!("{other}/{name}"), head.to_owned()),
        Some((_, head)) => (repo.to_owned(), head.to_owned()),
        None => (repo.to_owned(), head),
    };
    let words = text(body, "body").unwrap_or_default();
    match open(state, repo, actor, (&title, &words), (&head_repo, &head), &base) {
        Ok(key) => show(state, &key, 201),
        Err(why) => Answer::invalid("PullRequest", &why),
    }
}

fn show(state: &mut State, key: &Key, status: u16) -> Answer {
    let mut shown = forms::pull(state, &key.0, &state.board.issues[key], true);
    if Faults::take(&mut state.faults.unknown_mergeable) {
        (shown["mergeable"], shown["mergeable_state"]) = (Value::Null, json!("unknown"));
    }
    Answer::json(status, shown)
}

fn list(state: &State, call: &Call<'_>) -> Answer {
    let Call { repo, query, .. } = *call;
    let wanted = query.get("state").map_or("open", String::as_str);
    let fits = |pull: &Pull| {
        let owner = pull.head_repo.split('/').next().unwrap_or_default();
        // A head without an owner filters nothing: that is how GitHub takes it.
        let head = query.get("head").and_then(|head| head.split_once(':'));
        head.is_none_or(|(of, head)| of.eq_ignore_ascii_case(owner) && head == pull.head)
            && query.get("base").is_none_or(|base| *base == pull.base)
    };
    let found = state.board.issues.iter().filter(|((at, _), issue)| {
        at == repo
            && issue.pull.as_ref().is_some_and(fits)
            && (wanted == "all" || (wanted == "closed") == issue.closed_ms.is_some())
    });
    let mut found: Vec<Value> = found.map(|(_, found)| forms::pull(state, repo, found, false)).collect();
    if query.get("direction").map(String::as_str) != Some("asc") {
        found.reverse();
    }
    api::page(found, query)
}
