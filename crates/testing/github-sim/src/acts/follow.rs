//! What a branch's move means to pull requests: they get commits, are closed, or turn out to be merged.

use serde_json::json;

use crate::acts::issues;
use crate::events;
use crate::rules::pulls::{base_sha, open_pulls, pull_mut};
use crate::state::State;
use crate::state::actor::Actor;
use crate::state::board::Key;

/// What a branch's move means to the pull requests of that branch.
pub(crate) fn after_head(
    state: &mut State,
    repo: &str,
    branch: &str,
    from: Option<&str>,
    to: Option<&str>,
    actor: &Actor,
) {
    for key in open_pulls(state, |_, pull| pull.head_repo == repo && pull.head == branch) {
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
    for key in open_pulls(state, |key, pull| key.0 == repo && pull.base == branch) {
        let Some(to) = to else {
            issues::set_open(state, &key, actor, false);
            continue;
        };
        let head = state.board.issues.get(&key).and_then(|issue| issue.pull.clone()).map(|pull| pull.head_sha);
        // Somebody pushed its commits by hand.
        if head.is_some_and(|head| state.board.objects.is_after(to, &head)) {
            note_merge(state, &key, actor, to);
            issues::set_open(state, &key, actor, false);
        }
    }
}

/// Keeps who merged a pull request, and by which commit.
pub(crate) fn note_merge(state: &mut State, key: &Key, actor: &Actor, sha: &str) {
    let now = state.now_ms();
    if let Some(pull) = pull_mut(state, key) {
        (pull.merged_ms, pull.merged_by, pull.merge_sha) = (Some(now), Some(actor.login.clone()), Some(sha.to_owned()));
    }
}
