//! What is decided about a job, and what came of it.
//!
//! A fact of GitHub's is merged by [`Job::merge`], a decision is recorded by [`Job::update`]: so every ledger agrees on the outcome
//! of both.

use crate::follow_up::{FailedTries, PendingRerun, WaitReason};
use crate::job::{Job, Notified};
use crate::time::Timestamp;
use crate::wait::Wait;

/// A decision about a job, or what came of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobUpdate {
    /// Why it waits; `None` when it does not any more.
    Waits(Option<WaitReason>),
    /// What it waits for from now on (by [`Job::waits_for`]).
    WaitsFor(Wait),
    /// A check run with a row for it was posted.
    Notified(Notified),
    /// A check run with a row for it is about to be posted, or was without a usable answer: until it is [`Self::Notified`], GitHub
    /// may have it or not.
    NotifyTried(FailedTries),
    /// GitHub does not know the check run any more: the next one is a new one.
    CheckRunGone,
    /// Its machine was interrupted while it ran.
    Interrupted {
        /// When.
        at: Timestamp,
        /// Whether its run is to be re-run for that.
        rerun: bool,
    },
    /// Its run was looked at and could not be re-run yet.
    RerunTried(FailedTries),
    /// Nothing is left to do about its run, and why.
    RerunSettled(String),
}

impl Job {
    /// Records a decision. Returns whether anything changed.
    pub fn update(&mut self, update: JobUpdate) -> bool {
        match update {
            JobUpdate::Waits(reason) => replace(&mut self.waits, reason),
            JobUpdate::WaitsFor(wait) => self.waits_for(wait),
            JobUpdate::Notified(notified) => {
                self.notify_failed = None;
                if notified.closed {
                    self.waits = None;
                }
                replace(&mut self.notified, Some(notified))
            }
            JobUpdate::NotifyTried(tries) => replace(&mut self.notify_failed, Some(tries)),
            JobUpdate::CheckRunGone => self.notified.take().is_some(),
            JobUpdate::Interrupted { at, rerun } => {
                let first = self.interrupted_at.is_none();
                if first {
                    self.interrupted_at = Some(at);
                    self.rerun = rerun.then(|| self.needed_rerun());
                }
                first
            }
            JobUpdate::RerunTried(tries) => {
                let mut rerun = self.rerun.take().unwrap_or_else(|| self.needed_rerun());
                rerun.tries = Some(tries);
                self.rerun = Some(rerun);
                true
            }
            JobUpdate::RerunSettled(outcome) => {
                let mut rerun = self.rerun.take().unwrap_or_else(|| self.needed_rerun());
                let first = rerun.outcome.is_none();
                rerun.outcome.get_or_insert(outcome);
                self.rerun = Some(rerun);
                first
            }
        }
    }

    const fn needed_rerun(&self) -> PendingRerun {
        PendingRerun { run_attempt: self.fact.run_attempt, tries: None, outcome: None }
    }

    /// Returns whether a post of its notification was tried since the last whose answer is known: it may have opened the check run. After about a day of tries it is left.
    #[must_use]
    pub fn may_have_opened(&self) -> bool {
        self.notify_failed.is_some_and(|tries| tries.count < 24)
    }

    /// Returns whether something is left to do about it after its end, however long ago that is: its check run is open, or its
    /// run is to be re-run.
    #[must_use]
    pub fn is_followed(&self) -> bool {
        let is_open = self.notified.as_ref().is_some_and(|last| !last.closed);
        is_open || self.may_have_opened() || self.rerun.as_ref().is_some_and(|rerun| rerun.outcome.is_none())
    }
}

fn replace<T: PartialEq>(slot: &mut Option<T>, value: Option<T>) -> bool {
    let changed = *slot != value;
    *slot = value;
    changed
}
