//! Check runs over HTTP.

use serde_json::Value;

use crate::forms::objects as form;
use crate::http::answer::Answer;
use crate::state::State;
use crate::state::runs::Check;

/// Makes a check run, or changes the one of this number.
pub(crate) fn write(state: &mut State, repository: &str, id: Option<u64>, body: &Value) -> Answer {
    let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
    let output =
        |key: &str| body.get("output").and_then(|output| output.get(key)).and_then(Value::as_str).map(str::to_owned);
    let id = match id {
        Some(id) if state.checks.contains_key(&id) => id,
        Some(_) => return Answer::not_found(),
        None => {
            let id = state.id();
            let check = Check {
                id,
                repository: repository.to_owned(),
                head_sha: text("head_sha").unwrap_or_default(),
                name: text("name").unwrap_or_default(),
                title: String::new(),
                summary: String::new(),
                status: "queued".into(),
                conclusion: None,
                started_ms: state.now_ms(),
            };
            state.checks.insert(id, check);
            id
        }
    };
    let created = body.get("head_sha").is_some();
    if let Some(check) = state.checks.get_mut(&id) {
        check.title = output("title").unwrap_or_else(|| check.title.clone());
        check.summary = output("summary").unwrap_or_else(|| check.summary.clone());
        check.status = text("status").unwrap_or_else(|| check.status.clone());
        check.conclusion = text("conclusion");
        if check.conclusion.is_some() {
            check.status = "completed".into();
        }
    }
    Answer::json(if created { 201 } else { 200 }, form::check(state, &state.checks[&id]))
}
