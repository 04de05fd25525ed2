//! A workflow run, as GitHub shows it.

use crate::ids::RunId;
use crate::job::Conclusion;

/// A workflow run, as far as a sweep or a re-run needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSummary {
    /// Its number. A later run has a greater one.
    pub id: RunId,
    /// GitHub's word (`queued`, `in_progress`, `completed`, …).
    pub status: String,
    /// How it ended.
    pub conclusion: Option<Conclusion>,
    /// Its attempt, from 1; 0 where an old server does not say.
    pub run_attempt: u32,
    /// The number of its workflow; 0 where GitHub does not say.
    pub workflow: u64,
    /// Its branch; empty where it has none.
    pub branch: String,
    /// The event that started it.
    pub event: String,
    /// The number of the repository that its commit is in, which may be a fork; 0 where that is gone.
    pub head_repository: u64,
}
