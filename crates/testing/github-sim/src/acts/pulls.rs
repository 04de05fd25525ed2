//! Pull requests: opened, closed, reopened, merged.

use serde_json::{Value, json};

use crate::acts::{branches, follow, issues};
use crate::body::text;
use crate::events;
use crate::faults::Faults;
use crate::git::{Commit, Person, Sha};
use crate::rules::pulls::{base_sha, open_pulls, pull_mut};
use crate::state::State;
use crate::state::actor::Actor;
use crate::state::board::{BranchRules, DEFAULT_BRANCH, Key, Pull};

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
    if !open_pulls(state, same).is_empty() {
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
        checked: None,
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
        () if !state.board.objects.is_after(now, &pull.head_sha) => {
            Some(format!("state cannot be changed. The {} branch was force-pushed or recreated.", pull.head))
        }
        () if state.board.objects.between(&base_sha(state, &key.0, pull), now).is_empty() => {
            Some(format!("state cannot be changed. There are no new commits on the {} branch.", pull.head))
        }
        () if !open_pulls(state, open).is_empty() => Some(format!(
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
    // Each merge moves the base, and whether the others can be merged is found out again: until then GitHub refuses them (cli/cli#8092).
    let is_known = pull.checked.as_ref().is_none_or(|(of, _)| *of == base);
    if !is_known || Faults::take(&mut state.faults.modified_bases) {
        if let Some(pull) = pull_mut(state, key) {
            pull.checked = None;
        }
        return Err((405, "Base branch was modified. Review and try the merge again.".into()));
    }
    let Some(files) = state.board.objects.merge(&base, &pull.head_sha) else {
        return Err((405, "Pull Request has merge conflicts".into()));
    };
    let settings = state.board.settings(&key.0).clone();
    if settings.protected.contains(&pull.base) {
        return Err((405, "At least 1 approving review is required by reviewers with write access.".into()));
    }
    let method = text(body, "merge_method").unwrap_or_else(|| "merge".into());
    if let Some(why) = ruled_out(&settings.rules, &method) {
        return Err((405, why));
    }
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
    follow::note_merge(state, key, actor, &sha);
    // Closed first, or the moved branch would close it once more.
    issues::set_open(state, key, actor, false);
    branches::set(state, &key.0, &pull.base, Some(&sha), actor);
    if pull.base == DEFAULT_BRANCH {
        for number in closed_by(&issue.body) {
            issues::set_open(state, &(key.0.clone(), number), actor, false);
        }
    }
    Ok(sha)
}

/// Why the rules of the branch do not allow a merge in this way, in GitHub's words as far as they are known.
fn ruled_out(rules: &BranchRules, method: &str) -> Option<String> {
    const VIOLATED: &str = "Repository rule violations found\n\n";
    match () {
        () if rules.merge_queue => Some(format!("{VIOLATED}Changes must be made through the merge queue")),
        () if let Some(check) = rules.required_checks.first() => {
            Some(format!("{VIOLATED}Required status check \"{check}\" is expected."))
        }
        () if rules.linear_history && method == "merge" => {
            Some(format!("{VIOLATED}This branch must not contain merge commits."))
        }
        () if rules.merge_methods.as_ref().is_some_and(|allowed| !allowed.contains(&method)) => {
            Some(format!("{VIOLATED}Merge method {method} is not allowed."))
        }
        () => None,
    }
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
