//! How a job's record keeps what it waited for: only changes, and only so many.

use crate::job::{Job, JobStatus};
use crate::time::Timestamp;
use crate::wait::{Wait, Waited};

impl Job {
    /// The most waits that are kept of a job.
    pub const WAITS_MAX: usize = 20;

    /// Returns whether to wait for this would be a change worth recording. That a runner is on its way is worth it only after
    /// something else was waited for.
    #[must_use]
    pub fn is_news(&self, on: &str) -> bool {
        let may_wait = matches!(self.fact.status, JobStatus::Waiting | JobStatus::Queued);
        may_wait && self.wait_history.last().map_or(Wait::RUNNER, |last| &last.on) != on
    }

    /// Records what it waits for from now on. Returns whether that is a change.
    pub fn waits_for(&mut self, wait: Wait) -> bool {
        if !self.is_news(&wait.on) {
            return false;
        }
        if self.wait_history.len() >= Self::WAITS_MAX {
            self.wait_history.remove(0);
        }
        self.wait_history.push(wait);
        true
    }

    /// Returns what it waited for, and how long, oldest first, without the usual way to its runner.
    #[must_use]
    pub fn waited(&self, now: Timestamp) -> Vec<Waited<'_>> {
        let over = self.in_progress_at.or(self.ended_at).unwrap_or(now);
        let ends = self.wait_history.iter().skip(1).map(|next| next.at).chain([over]);
        let all = self.wait_history.iter().zip(ends);
        let real = all.filter(|(wait, _)| wait.on != Wait::RUNNER);
        real.map(|(wait, end)| Waited { wait, took: end.since(wait.at) }).collect()
    }
}
