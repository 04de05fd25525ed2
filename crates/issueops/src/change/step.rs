//! What follows from an event: steps for the shell, and what they say. They are stored with the change until they are done.

use std::borrow::Cow;

use runnersmith_types::{Account, Timestamp};
use serde::{Deserialize, Serialize};

#[cfg(doc)]
use super::event::LifecycleEvent;
use super::failure::ChangeFailure;
use super::lock::{HeldLock, Liveness, Lock};
use super::state::{Change, Left};
use super::who::Denial;
use crate::command::Misread;
use crate::digest::{Changed, Digest};

/// A reaction, as acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reaction {
    /// Seen.
    Eyes,
    /// Not understood.
    Confused,
    /// Not allowed.
    No,
}

impl Reaction {
    /// GitHub's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Eyes => "eyes",
            Self::Confused => "confused",
            Self::No => "-1",
        }
    }
}

/// What is answered by a comment of its own. The words are [`crate::comment`]'s.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The help, with what was not understood.
    Help(Vec<Misread>),
    /// The state, and what to do.
    Status {
        /// The lock.
        lock: Option<HeldLock>,
        /// The run of an apply.
        run: Liveness,
    },
    /// A command was refused.
    Denied {
        /// Which command, as its first word.
        command: Cow<'static, str>,
        /// By whom it was.
        actor: String,
        /// Why.
        why: Denial,
    },
    /// A comment that was edited orders nothing.
    Edited {
        /// Whose comment it is.
        author: String,
    },
    /// What was approved is not what is there now.
    Differs(Vec<Changed>),
    /// The lock was taken.
    Locked {
        /// By whom.
        by: String,
        /// Why. Foreign text.
        reason: String,
    },
    /// The lock was released.
    Unlocked(Lock),
    /// The change was given up.
    Cancelled(GivenUp),
    /// The plan is no longer valid.
    Void(VoidWhy),
    /// Draining began.
    Draining {
        /// When waiting ends.
        until: Timestamp,
    },
    /// Waiting has ended, and something is left.
    DrainOverdue {
        /// What is left.
        left: Left,
        /// The plan to approve again.
        digest: Digest,
    },
    /// Planning or applying failed.
    Failed(ChangeFailure),
    /// An apply was cut off.
    Interrupted {
        /// The dead run.
        run: String,
    },
    /// Applied, and not merged.
    NotMerged {
        /// The head that was applied.
        head: String,
        /// Why. Foreign text.
        why: String,
    },
    /// Applied: how to use it, or that it is gone.
    Applied,
    /// A plan waits for its approval: for those who are mentioned. The comment that shows the plan is edited, of which GitHub notifies
    /// nobody.
    PlanReady,
    /// Somebody merged it by hand before it was applied.
    MergedEarly {
        /// Whether a plan is being made of it.
        plans: bool,
    },
}

/// Why a change is given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GivenUp {
    /// By this person's command.
    By(String),
    /// The issue or the pull request was closed.
    Closed,
    /// The issue asks for another kind of change now.
    Superseded,
}

/// How a change came out, as far as who asked must know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestOutcome {
    /// It is applied.
    Applied,
    /// Planning failed.
    NotPlanned,
    /// Applying failed, was stopped or was cut off.
    NotApplied,
    /// It was given up by a command.
    GivenUp,
}

/// Why a plan is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VoidWhy {
    /// Not approved in time.
    Expired,
    /// Somebody pushed. Older versions knew another reason with the same consequence, which is read as this one.
    #[serde(alias = "other_applied")]
    Pushed,
    /// Somebody pushed, and files are not as rendered.
    HandEdited,
    /// The issue says something else now, which cannot be handled.
    RequestInvalid,
}

/// What is to be done. In order; each can be done twice without harm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeStep {
    /// Acknowledge a comment.
    React {
        /// Which.
        comment: u64,
        /// How.
        reaction: Reaction,
    },
    /// Answer.
    Say(Box<Reply>),
    /// Say on the issue how it came out: who asked takes no part in the pull request.
    NotifyIssue(RequestOutcome),
    /// Show the record in the one comment that is edited in place.
    ShowState,
    /// Make, store and post a plan; reported by [`LifecycleEvent::PlanPosted`] or [`LifecycleEvent::PlanFailed`].
    Plan {
        /// A dead run may have left Terraform's own lock: plan without taking it. It is never broken by a plan.
        without_terraform_lock: bool,
    },
    /// Delete the stored plan: it cannot be applied any more. In older records it may stand twice, the second time by the name of
    /// a step that did nothing.
    #[serde(alias = "void_others")]
    DropPlan,
    /// Take the lock for the run, and read everything in the digest again; reported by [`LifecycleEvent::Reread`].
    Reread {
        /// The digest that was approved.
        digest: Digest,
    },
    /// Take over a lock of this same change, whose run is proved dead; by this id, or not at all. Terraform's own lock goes
    /// with it, if that dead run left one: nothing would remember it once this lock is released.
    TakeOver {
        /// The lock's id.
        lock: String,
    },
    /// Apply exactly the stored plan of this digest; reported by [`LifecycleEvent::Applied`], [`LifecycleEvent::ApplyFailed`] or
    /// [`LifecycleEvent::NotApplied`], or by [`LifecycleEvent::RunDied`] of the run that was to do it.
    Apply {
        /// The digest.
        digest: Digest,
        /// The head commit that it is for.
        head: String,
    },
    /// Set maximum and floor to 0 in the running control plane, and look at what is left; reported by [`LifecycleEvent::Drained`].
    Drain {
        /// Whether running jobs are ended.
        kill_jobs: bool,
    },
    /// Give the running control plane its maximum and floor back.
    EndDrain,
    /// Merge, if the head is this; reported by [`LifecycleEvent::Merged`] or [`LifecycleEvent::MergeRefused`].
    Merge {
        /// The head that was applied.
        expected_head: String,
    },
    /// Take the lock for somebody, if nobody has it. If somebody has, that is said instead of what follows here.
    TakeLock {
        /// Who.
        by: Account,
        /// Why.
        reason: String,
    },
    /// Release the lock with this id, and Terraform's own if that dead run left one.
    ReleaseLock {
        /// The lock's id.
        id: String,
    },
    /// Release the lock that this change's run took.
    ReleaseOwnLock,
    /// Close the issue.
    CloseIssue,
    /// Close the pull request and delete its branch.
    ClosePull,
}

/// What follows from an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The record from now on; stored before any step is done.
    pub change: Change,
    /// What is to be done, in order. Empty: the event means nothing here.
    pub steps: Vec<ChangeStep>,
}
