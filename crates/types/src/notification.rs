//! What the authors of jobs are notified of: the rows and the text of a commit's check run.
//!
//! It is apart from the plan because the text is a value of its own: the planner makes it whole, and what posts it adds nothing.

/// What the author of a job is notified of: one row of the check run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// Not yet, and why; the job is still demand.
    Waiting(String),
    /// No set serves it, and no other fleet was seen that does. Another fleet may come: it is no failure.
    Unserved(String),
    /// Never: no set serves it, and the operator says that there is no other fleet.
    Impossible(String),
    /// It runs, ended, or is gone: the notification is closed.
    Settled(String),
}

impl Notification {
    /// Returns what it says, in one sentence.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Waiting(text) | Self::Unserved(text) | Self::Impossible(text) | Self::Settled(text) => text,
        }
    }

    /// Returns whether nothing is waited for any more.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        match self {
            Self::Settled(_) => true,
            Self::Waiting(_) | Self::Unserved(_) | Self::Impossible(_) => false,
        }
    }
}

/// The text of a check run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRunText {
    /// One line.
    pub title: String,
    /// Markdown: a table of the jobs and why they wait.
    pub summary: String,
    /// GitHub's word for how it ended; `None` while any job waits.
    pub conclusion: Option<&'static str>,
}
