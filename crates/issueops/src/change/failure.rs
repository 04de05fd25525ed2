//! What went wrong with a plan or an apply, as a change keeps it: anyone who asks later gets what was said then.

use serde::{Deserialize, Serialize};

/// What can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeStage {
    /// Making a plan.
    Plan,
    /// Applying it.
    Apply,
    /// Destroying what a deletion names.
    Destroy,
}

impl ChangeStage {
    /// As a noun.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Apply => "apply",
            Self::Destroy => "destroy",
        }
    }
}

/// Where something was when it was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// Nothing was done yet.
    BeforeItBegan,
    /// In the middle of it.
    AtWork,
}

/// What goes wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeFailure {
    /// What failed.
    pub stage: ChangeStage,
    /// Which resource, if that is known. Foreign text.
    pub resource: Option<String>,
    /// What was said, short. Foreign text.
    pub message: String,
    /// When it did not fail but was asked to stop, and did so in order: where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
}

impl ChangeFailure {
    /// One of no resource.
    #[must_use]
    pub fn new(stage: ChangeStage, message: impl Into<String>) -> Self {
        Self { stage, resource: None, message: message.into(), stopped: None }
    }
}
