//! Comments and reactions over HTTP.

use crate::acts::comments::{self, add, delete, edit, find};
use crate::body::text;
use crate::forms::board as forms;
use crate::http::answer::{Answer, page};
use crate::http::call::{Call, forbidden};
use crate::rules::{issues, people};
use crate::state::State;
use crate::state::actor::Actor;
use crate::state::board::{Comment, Key, REACTIONS, Reaction};

/// The longest comment, in characters.
const BODY_MAX: usize = 65_536;

/// Everything about comments: below an issue, and by their own number.
pub(crate) fn handle(state: &mut State, call: &Call<'_>) -> Answer {
    let Call { verb, repo, rest, query, body, actor } = *call;
    let words = text(body, "body");
    if words.as_ref().is_some_and(|words| words.chars().count() > BODY_MAX) {
        return Answer::invalid("IssueComment", "body is too long (maximum is 65536 characters)");
    }
    match (verb, rest) {
        ("GET", ["issues", number, "comments"]) => {
            let Some(key) = issues::key(state, repo, number) else { return Answer::not_found() };
            let since = query.get("since").and_then(|text| text.parse::<jiff::Timestamp>().ok());
            let since = since.map_or(i64::MIN, jiff::Timestamp::as_second);
            let recent = |comment: &&Comment| comment.updated_ms.div_euclid(1000) >= since;
            let all = state.board.issues[&key].comments.iter().filter(recent);
            page(all.map(|comment| forms::comment(state, &key, comment)).collect(), query)
        }
        ("POST", ["issues", number, "comments"]) => {
            let Some(key) = issues::key(state, repo, number) else { return Answer::not_found() };
            let Some(words) = words.filter(|words| !words.is_empty()) else {
                return Answer::invalid("IssueComment", "body cannot be blank");
            };
            let made = add(state, &key, actor, &words);
            made.map_or_else(Answer::not_found, |made| Answer::json(201, forms::comment(state, &key, &made)))
        }
        (_, ["issues", "comments", id, more @ ..]) => {
            let Some((key, found)) = id.parse().ok().and_then(|id| find(state, repo, id)) else {
                return Answer::not_found();
            };
            by_id(state, call, &key, &found, more, words)
        }
        _ => Answer::not_found(),
    }
}

fn by_id(
    state: &mut State,
    call: &Call<'_>,
    key: &Key,
    found: &Comment,
    more: &[&str],
    words: Option<String>,
) -> Answer {
    let Call { verb, repo, actor, body, query, .. } = *call;
    let may_change = found.author.login == actor.login || people::may(state, repo, actor, "write");
    match (verb, more) {
        ("GET", []) => Answer::json(200, forms::comment(state, key, found)),
        ("PATCH" | "DELETE", []) if !may_change => forbidden(),
        ("PATCH", []) => {
            let words = words.unwrap_or_default();
            let changed = edit(state, repo, found.id, actor, &words);
            changed.map_or_else(Answer::not_found, |(key, changed)| {
                Answer::json(200, forms::comment(state, &key, &changed))
            })
        }
        ("DELETE", []) => {
            delete(state, repo, found.id, actor);
            Answer::empty(204)
        }
        ("GET", ["reactions"]) => page(found.reactions.iter().map(|one| forms::reaction(state, one)).collect(), query),
        ("POST", ["reactions"]) => react(state, key, found, actor, &text(body, "content").unwrap_or_default()),
        _ => Answer::not_found(),
    }
}

/// One reaction of a kind for each account.
fn react(state: &mut State, key: &Key, found: &Comment, actor: &Actor, content: &str) -> Answer {
    if !REACTIONS.contains(&content) {
        return Answer::invalid("Reaction", "content is not included in the list");
    }
    let same = |one: &&Reaction| one.login == actor.login && one.content == content;
    if let Some(known) = found.reactions.iter().find(same) {
        return Answer::json(200, forms::reaction(state, known));
    }
    let made = comments::react(state, key, found, actor, content);
    Answer::json(201, forms::reaction(state, &made))
}
