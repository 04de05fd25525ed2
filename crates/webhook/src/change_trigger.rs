//! From a payload of GitHub to where to look. A payload decides nothing: it is believed in nothing but which issue, pull
//! request or branch to read again.

use runnersmith_types::{Account, ChangeTrigger};
use serde::Deserialize;

use crate::reading::{read, shown};

/// Why a payload concerns no change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored(pub String);

#[derive(Debug, Deserialize)]
struct Content {
    #[serde(default)]
    action: String,
    repository: Option<Repository>,
    issue: Option<Issue>,
    pull_request: Option<Numbered>,
    sender: Option<Sender>,
    comment: Option<Comment>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    changes: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Repository {
    full_name: String,
}

#[derive(Debug, Deserialize)]
struct Numbered {
    number: u64,
}

#[derive(Debug, Deserialize)]
struct Issue {
    number: u64,
    pull_request: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Sender {
    login: String,
    #[serde(default)]
    id: u64,
    #[serde(rename = "type", default)]
    kind: String,
}

#[derive(Debug, Deserialize)]
struct Comment {
    user: Option<Sender>,
}

impl Sender {
    fn is_person(&self) -> bool {
        self.kind == "User"
    }
}

/// What an event says that may concern a change: read once, and not yet compared with a control repository.
#[derive(Debug)]
pub struct ChangeEvent(Read);

#[derive(Debug)]
enum Read {
    Tick,
    About(Kind, Box<Content>),
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Issue,
    Comment,
    Pull,
    Push,
}

impl ChangeEvent {
    /// Reads the payload of an event. One that says only that time went by needs no payload.
    ///
    /// # Errors
    /// When the event concerns no change, or its payload cannot be read.
    pub fn parse(event: &str, body: &[u8]) -> Result<Self, Ignored> {
        let kind = match event {
            "schedule" | "workflow_dispatch" => return Ok(Self(Read::Tick)),
            "issues" => Kind::Issue,
            "issue_comment" => Kind::Comment,
            "pull_request" => Kind::Pull,
            "push" => Kind::Push,
            other => return Err(Ignored(format!("the event {:?} concerns no change", shown(other)))),
        };
        match read(body) {
            Ok(content) => Ok(Self(Read::About(kind, Box::new(content)))),
            Err(why) => Err(Ignored(format!("the payload of {event} cannot be read: {why}"))),
        }
    }

    /// Returns where it says to look, for those who carry changes of this control repository through.
    ///
    /// # Errors
    /// When it concerns no change: another repository's, nothing that changes a request, or our own doing.
    pub fn trigger(&self, repository: &str) -> Result<ChangeTrigger, Ignored> {
        let Read::About(kind, content) = &self.0 else { return Ok(ChangeTrigger::Tick) };
        if !content.repository.as_ref().is_some_and(|found| found.full_name.eq_ignore_ascii_case(repository)) {
            return ignored("it is another repository's");
        }
        match kind {
            Kind::Issue => content.issue(),
            Kind::Comment => content.comment(),
            Kind::Pull => content.pull(),
            Kind::Push => content.push(),
        }
    }
}

impl Content {
    fn sender_is_person(&self) -> bool {
        self.sender.as_ref().is_some_and(Sender::is_person)
    }

    fn issue(&self) -> Result<ChangeTrigger, Ignored> {
        let Some(issue) = &self.issue else { return ignored("it names no issue") };
        if !["opened", "edited", "labeled", "unlabeled", "closed", "reopened"].contains(&self.action.as_str()) {
            return ignored("nothing in it changes a request");
        }
        let asks_for_something_else = match self.action.as_str() {
            "edited" => self.changes.as_ref().is_none_or(|changes| changes.get("body").is_some()),
            "labeled" | "unlabeled" | "reopened" => true,
            _ => false,
        };
        let editor = self.sender.as_ref().filter(|sender| asks_for_something_else && sender.is_person());
        Ok(ChangeTrigger::Issue {
            number: issue.number,
            editor: editor.map(|sender| Account::new(sender.login.as_str(), sender.id)),
        })
    }

    fn comment(&self) -> Result<ChangeTrigger, Ignored> {
        let Some(issue) = &self.issue else { return ignored("it names no issue") };
        if issue.pull_request.is_none() {
            return ignored("a comment on an issue; orders are given on the pull request");
        }
        let by_person = self.comment.as_ref().and_then(|comment| comment.user.as_ref()).is_some_and(Sender::is_person);
        // What somebody did to a comment of ours is looked at; what we did ourselves is not.
        if !by_person && !self.sender_is_person() {
            return ignored("a comment that no person wrote");
        }
        Ok(ChangeTrigger::Pull { number: issue.number })
    }

    fn pull(&self) -> Result<ChangeTrigger, Ignored> {
        match &self.pull_request {
            Some(pull) if self.sender_is_person() => Ok(ChangeTrigger::Pull { number: pull.number }),
            Some(_) => ignored("no person did it"),
            None => ignored("it names no pull request"),
        }
    }

    fn push(&self) -> Result<ChangeTrigger, Ignored> {
        match self.reference.as_deref().and_then(|name| name.strip_prefix("refs/heads/")) {
            Some(name) if self.sender_is_person() && name.starts_with("runnersmith/") => {
                Ok(ChangeTrigger::Branch { name: name.to_owned() })
            }
            _ => ignored("a push to a branch that is no change's, or our own"),
        }
    }
}

fn ignored<T>(why: &str) -> Result<T, Ignored> {
    Err(Ignored(why.to_owned()))
}

/// Returns where an event of the control repository says to look, for a home that gets its events by file.
///
/// # Errors
/// When it concerns no change: another repository's, another event, our own doing, or a payload that cannot be read.
pub fn change_trigger(event: &str, body: &[u8], repository: &str) -> Result<ChangeTrigger, Ignored> {
    ChangeEvent::parse(event, body)?.trigger(repository)
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
        for (action, has_part) in [("labeled", true), ("unlabeled", true), ("reopened", true), ("closed", false)] {
            let editor = has_part.then(|| "ann".into());
            let read = of("issues", json!({"action": action, "issue": issue}));
            assert_eq!(read, Ok(ChangeTrigger::Issue { number: 5, editor }), "{action}");
        }
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
