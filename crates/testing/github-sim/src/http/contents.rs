//! Files one by one: read, written and deleted, each by a commit of its own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::acts::branches;
use crate::body::text;
use crate::forms::board as forms;
use crate::git::Person;
use crate::http::answer::Answer;
use crate::http::call::{Call, forbidden};
use crate::rules::people;
use crate::state::State;
use crate::state::board::DEFAULT_BRANCH;

/// `/repos/{owner}/{repo}/contents/{path}`.
pub(crate) fn handle(state: &mut State, call: &Call<'_>, path: &str) -> Answer {
    let Call { verb, repo, query, body, actor, .. } = *call;
    let branch = text(body, "branch").or_else(|| query.get("ref").cloned()).unwrap_or_else(|| DEFAULT_BRANCH.into());
    let tip = state.board.branch(repo, &branch).cloned();
    let tip = tip.or_else(|| state.board.objects.commit(&branch).map(|_| branch.clone()));
    let Some(tip) = tip else { return Answer::not_found() };
    let mut files = state.board.objects.files_of(&tip);
    let known = files.get(path).map(|entry| entry.sha.clone());
    if verb == "GET" {
        return known
            .map_or_else(Answer::not_found, |sha| Answer::json(200, file(state, repo, &branch, path, &sha, true)));
    }
    if !people::may(state, repo, actor, "write") {
        return forbidden();
    }
    if known != text(body, "sha") {
        let status = if known.is_some() && text(body, "sha").is_none() { 422 } else { 409 };
        return Answer::message(status, "sha does not match");
    }
    let content = match verb {
        "PUT" => {
            let encoded: String = text(body, "content").unwrap_or_default().split_whitespace().collect();
            let Ok(content) = STANDARD.decode(encoded) else {
                return Answer::message(422, "content is not valid Base64");
            };
            Some(content)
        }
        "DELETE" => None,
        _ => return Answer::not_found(),
    };
    branches::change(state, &mut files, [(path, content.as_deref())]);
    let author = Person::new(&actor.login, state.now_ms());
    let message = text(body, "message").unwrap_or_default();
    let commit = branches::commit(state, &files, vec![tip], &author, &message);
    branches::set(state, repo, &branch, Some(&commit), actor);
    let shown = files.get(path).map_or(Value::Null, |entry| file(state, repo, &branch, path, &entry.sha, false));
    let status = if verb == "PUT" && known.is_none() { 201 } else { 200 };
    Answer::json(status, json!({"content": shown, "commit": forms::git_commit(state, repo, &commit)}))
}

fn file(state: &State, repo: &str, branch: &str, path: &str, sha: &str, whole: bool) -> Value {
    let content = state.board.objects.blob(sha).unwrap_or_default();
    let at = format!("{}/repos/{repo}/contents/{path}?ref={branch}", state.base);
    let name = path.rsplit('/').next().unwrap_or(path);
    let mut file = json!({
        "name": name, "path": path, "sha": sha, "size": content.len(), "url": at, "html_url": at, "git_url": at,
        "download_url": at, "type": "file", "_links": {"self": at, "git": at, "html": at},
    });
    if whole {
        file["encoding"] = json!("base64");
        file["content"] = json!(STANDARD.encode(content));
    }
    file
}
