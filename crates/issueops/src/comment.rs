//! Every text that is posted.
//!
//! It exists apart so that two things hold for all of them: nobody else's text can be more than text (it stands in fences
//! and code spans that it cannot close), and every comment fits. What does not fit goes on in further comments and in a
//! file, and nothing that is lost goes unnamed.

mod drift;
mod layout;
mod markdown;
mod plan;
mod pull;
mod reply;

use runnersmith_types::Timestamp;

use crate::words::EnvironmentName;

pub use drift::{DriftIssue, drift_issue};
pub use layout::{Layout, TooLong};
pub use markdown::{code, fence, length};
pub use plan::{Differs, PlanView, state_comment};
pub use pull::{PullText, edited_too_late, pull_text, taken, valid_again};
pub use reply::{AppliedView, invalid, outcome, plan_ready, reply, webhook_failed, webhook_left};

/// The most characters of a comment, as GitHub says in its refusal. We count UTF-16 units, which is never less than it counts.
pub const CHARS_MAX: usize = 65_536;

/// What stands in the first line of a comment of ours, unseen, so that we find it again. Anybody can write one: it finds a
/// comment and proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Marker {
    /// The one comment that shows the record.
    State,
    /// A comment that goes on with the plan: its number from 1.
    Continuation(usize),
    /// An answer to a comment.
    Reply,
    /// What is said so that somebody gets a notification.
    Notice,
    /// What is wrong with an issue.
    Invalid,
    /// The issue that reports an environment's drift.
    Drift(String),
}

impl Marker {
    /// The line.
    #[must_use]
    pub fn line(&self) -> String {
        match self {
            Self::State => "<!-- runnersmith:state -->".to_owned(),
            Self::Continuation(number) => format!("<!-- runnersmith:plan:{number} -->"),
            Self::Reply => "<!-- runnersmith:reply -->".to_owned(),
            Self::Notice => "<!-- runnersmith:notice -->".to_owned(),
            Self::Invalid => "<!-- runnersmith:invalid -->".to_owned(),
            Self::Drift(environment) => format!("<!-- runnersmith:drift:{environment} -->"),
        }
    }

    /// Reads the first line of a comment. A marker anywhere else is somebody's text.
    #[must_use]
    pub fn of(comment: &str) -> Option<Self> {
        let line = comment.lines().next()?.trim_end();
        let word = line.strip_prefix("<!-- runnersmith:")?.strip_suffix(" -->")?;
        match word {
            "state" => Some(Self::State),
            "reply" => Some(Self::Reply),
            "notice" => Some(Self::Notice),
            "invalid" => Some(Self::Invalid),
            _ => match word.split_once(':')? {
                ("plan", number) => number.parse().ok().map(Self::Continuation),
                ("drift", name) => EnvironmentName::parse(name).ok().map(|name| Self::Drift(name.to_string())),
                _ => None,
            },
        }
    }
}

/// A moment for people, to the minute, UTC.
fn moment(at: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(at.as_millis()) {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        Err(_) => "at an unknown time".to_owned(),
    }
}

/// `1 job`, `2 jobs`.
fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
