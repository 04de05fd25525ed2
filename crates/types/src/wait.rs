//! What a job waited for and how long, kept so that `why` can say it when the wait is over.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// What a job waited for, from a moment until its next wait, or until it ran or was over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// Since when.
    pub at: Timestamp,
    /// The stable word of what it waited for, as [`crate::WaitingOn::word`] returns it.
    pub on: String,
    /// For people, at most 300 characters.
    pub text: String,
}

impl Wait {
    /// The word of the usual wait: a runner is idle, or on its way.
    pub const RUNNER: &str = "runner";
}

/// A wait and how long it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waited<'a> {
    /// The wait.
    pub wait: &'a Wait,
    /// How long it was, or is so far.
    pub took: Duration,
}
