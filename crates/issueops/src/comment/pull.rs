//! What is said when a request is taken: in the pull request's own text, and to who asked.

use super::Marker;
use super::markdown::code;
use crate::change::ChangeKind;
use crate::words::EnvironmentName;

/// A pull request's title and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullText {
    /// For people; the pull request is known by its number.
    pub title: String,
    /// The body.
    pub body: String,
}

/// The text of a change's pull request.
#[must_use]
pub fn pull_text(kind: ChangeKind, environment: &EnvironmentName, issue: u64) -> PullText {
    let (title, what) = match kind {
        ChangeKind::Set => {
            (format!("Runners: {environment}"), "The folder of this environment, rendered from the request")
        }
        ChangeKind::Delete => {
            (format!("Delete runners: {environment}"), "The folder of this environment moves to the archive")
        }
    };
    let body = format!(
        "{what} in #{issue}.\n\nThe plan is shown in a comment below, with what to write to approve exactly it. Nothing is applied before. It is merged by itself once it is applied: please do not merge it by hand. `/help` lists the commands.\n"
    );
    PullText { title, body }
}

/// The answer on an issue whose request was taken.
#[must_use]
pub fn taken(environment: &EnvironmentName, pull: u64) -> String {
    format!(
        "{}\nThe plan for {} is in #{pull}, where it can be approved. Editing this issue makes a new plan; closing it gives the request up.\n",
        Marker::Reply.line(),
        code(environment.as_str())
    )
}

/// What stands in place of the list of problems once they are fixed.
#[must_use]
pub fn valid_again() -> String {
    format!("{}\nThe request had problems; they are fixed.\n", Marker::Invalid.line())
}

/// The answer to an edit that came too late for the change that is being applied.
#[must_use]
pub fn edited_too_late(state: &str) -> String {
    format!(
        "{}\nThe change that this issue asked for is {state}, so this edit is no part of it. When it is over, reopen this issue or file a new one.\n",
        Marker::Reply.line()
    )
}
