//! Logs of deliveries over HTTP.

use serde_json::json;

use crate::deliveries;
use crate::forms::objects as form;
use crate::http::answer::{Answer, Query};
use crate::state::State;
use crate::state::apps::Delivery;

/// The log of an App's or a webhook's deliveries.
pub(crate) fn log(state: &mut State, verb: &str, of: u64, path: &str, rest: &[&str], query: &Query) -> Answer {
    match (verb, rest) {
        ("GET", []) => {
            let size = query.get("per_page").and_then(|text| text.parse().ok()).unwrap_or(30).min(100);
            let cursor: u64 = query.get("cursor").and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
            let failed = query.get("status").map(String::as_str);
            let matches = |d: &&Delivery| {
                // What is still under way is not in the log yet.
                let bad = d.status >= 300;
                d.of == of && d.status > 0 && d.id < cursor && failed.is_none_or(|wanted| (wanted == "failure") == bad)
            };
            let page: Vec<&Delivery> = state.deliveries.iter().rev().filter(matches).take(size).collect();
            let link = (page.len() == size).then(|| page.last().map(|d| d.id)).flatten();
            let link = link
                .map(|last| format!("<{}/{path}/deliveries?per_page={size}&cursor={last}>; rel=\"next\"", state.base));
            Answer { link, ..Answer::json(200, page.into_iter().map(form::delivery).collect()) }
        }
        ("POST", [id, "attempts"]) => {
            let known = id.parse().is_ok_and(|id| deliveries::redeliver(state, id));
            if known { Answer::json(202, json!({})) } else { Answer::not_found() }
        }
        _ => Answer::not_found(),
    }
}

/// The log of a webhook of an organisation or a repository.
pub(crate) fn hook_log(state: &mut State, verb: &str, scope: &str, rest: &[&str], query: &Query) -> Answer {
    let [id, "deliveries", rest @ ..] = rest else { return Answer::not_found() };
    let Some(id) = id.parse().ok().filter(|id| state.hooks.get(id).is_some_and(|hook| hook.scope == scope)) else {
        return Answer::not_found();
    };
    let kind = if scope.contains('/') { "repos" } else { "orgs" };
    log(state, verb, id, &format!("{kind}/{scope}/hooks/{id}"), rest, query)
}
