//! From a payload of GitHub to where to look. A payload decides nothing: it is believed in nothing but which issue, pull
//! request or branch to read again.

use serde::Deserialize;

use crate::reconciler::ChangeTrigger;

/// Why a payload concerns no change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored(pub String);

#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    action: String,
    repository: Option<Repository>,
    issue: Option<Issue>,
    pull_request: Option<Numbered>,
    sender: Option<Account>,
    comment: Option<Comment>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    changes: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
}

#[derive(Deserialize)]
struct Numbered {
    number: u64,
}

#[derive(Deserialize)]
struct Issue {
    number: u64,
    pull_request: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Account {
    login: String,
    #[serde(rename = "type", default)]
    kind: String,
}

#[derive(Deserialize)]
struct Comment {
    user: Option<Account>,
}

/// Where an event of the control repository says to look.
///
/// # Errors
/// When it concerns no change: another repository's, another event, or our own doing.
pub fn change_trigger(event: &str, body: &[u8], repository: &str) -> Result<ChangeTrigger, Ignored> {
    let ignored = |why: &str| Err(Ignored(why.to_owned()));
    match event {
        "schedule" | "workflow_dispatch" => return Ok(ChangeTrigger::Tick),
        "issues" | "issue_comment" | "pull_request" | "push" => {}
        other => {
            let shown: String = other.chars().filter(|c| !c.is_control()).take(40).collect();
            return Err(Ignored(format!("the event {shown:?} concerns no change")));
        }
    }
    let payload: Payload = match serde_json::from_slice(body) {
        Ok(payload) => payload,
        Err(error) => return Err(Ignored(format!("the payload of {event} cannot be read: {error}"))),
    };
    if !payload.repository.is_some_and(|found| found.full_name.eq_ignore_ascii_case(repository)) {
        return ignored("it is another repository's");
    }
    let sender_is_person = payload.sender.as_ref().is_some_and(|sender| sender.kind == "User");
    match event {
        "issues" => {
            let Some(issue) = payload.issue else { return ignored("it names no issue") };
            if !["opened", "edited", "labeled", "unlabeled", "closed", "reopened"].contains(&payload.action.as_str()) {
                return ignored("nothing in it changes a request");
            }
            let has_new_text = payload.action == "edited"
                && payload.changes.as_ref().is_none_or(|changes| changes.get("body").is_some());
            let editor = payload.sender.filter(|_| has_new_text && sender_is_person).map(|sender| sender.login);
            Ok(ChangeTrigger::Issue { number: issue.number, editor })
        }
        "issue_comment" => {
            let Some(issue) = payload.issue else { return ignored("it names no issue") };
            if issue.pull_request.is_none() {
                return ignored("a comment on an issue; orders are given on the pull request");
            }
            let by_person = payload.comment.and_then(|comment| comment.user).is_some_and(|user| user.kind == "User");
            // What somebody did to a comment of ours is looked at; what we did ourselves is not.
            if !by_person && !sender_is_person {
                return ignored("a comment that no person wrote");
            }
            Ok(ChangeTrigger::Pull { number: issue.number })
        }
        "pull_request" => match payload.pull_request {
            Some(pull) if sender_is_person => Ok(ChangeTrigger::Pull { number: pull.number }),
            Some(_) => ignored("no person did it"),
            None => ignored("it names no pull request"),
        },
        _ => match payload.reference.as_deref().and_then(|name| name.strip_prefix("refs/heads/")) {
            Some(name) if sender_is_person && name.starts_with("runnersmith/") => {
                Ok(ChangeTrigger::Branch { name: name.to_owned() })
            }
            _ => ignored("a push to a branch that is no change's, or our own"),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(event: &str, more: Value) -> Result<ChangeTrigger, Ignored> {
        let mut payload =
            json!({"repository": {"full_name": "Acme/Control"}, "sender": {"login": "ann", "type": "User"}});
        payload.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        change_trigger(event, payload.to_string().as_bytes(), "acme/control")
    }

    #[test]
    fn events_say_where_to_look() {
        let issue = json!({"number": 5});
        assert_eq!(
            of("issues", json!({"action": "opened", "issue": issue})),
            Ok(ChangeTrigger::Issue { number: 5, editor: None })
        );
        assert_eq!(
            of("issues", json!({"action": "edited", "issue": issue, "changes": {"body": {"from": "x"}}})),
            Ok(ChangeTrigger::Issue { number: 5, editor: Some("ann".into()) })
        );
        assert_eq!(
            of("issues", json!({"action": "edited", "issue": issue, "changes": {"title": {"from": "x"}}})),
            Ok(ChangeTrigger::Issue { number: 5, editor: None })
        );
        let pull = json!({"number": 6, "pull_request": {}});
        let comment = json!({"user": {"login": "ann", "type": "User"}});
        assert_eq!(
            of("issue_comment", json!({"action": "created", "issue": pull, "comment": comment})),
            Ok(ChangeTrigger::Pull { number: 6 })
        );
        assert_eq!(
            of("push", json!({"ref": "refs/heads/runnersmith/linux"})),
            Ok(ChangeTrigger::Branch { name: "runnersmith/linux".into() })
        );
        assert_eq!(change_trigger("schedule", b"", "acme/control"), Ok(ChangeTrigger::Tick));
    }

    #[test]
    fn what_concerns_no_change_is_ignored_with_a_reason() {
        let bot = json!({"login": "x[bot]", "type": "Bot"});
        let pull = json!({"number": 6, "pull_request": {}});
        for (event, more) in [
            ("issues", json!({"action": "pinned", "issue": {"number": 5}})),
            ("issue_comment", json!({"issue": {"number": 5}, "comment": {"user": {"login": "ann", "type": "User"}}})),
            ("issue_comment", json!({"issue": pull, "comment": {"user": bot}, "sender": bot})),
            ("push", json!({"ref": "refs/heads/main"})),
            ("star", json!({})),
        ] {
            assert!(of(event, more.clone()).is_err(), "{event} {more}");
        }
        assert!(change_trigger("issues", b"{", "acme/control").is_err());
        let other = json!({"repository": {"full_name": "acme/other"}, "action": "opened", "issue": {"number": 5}});
        assert!(change_trigger("issues", other.to_string().as_bytes(), "acme/control").is_err());
    }
}
