//! A change: what state it is in, what happens to it, and what follows.
//!
//! It exists apart so that the whole approval is one pure function: record and event in, record and steps out. The record
//! lies beside Terraform's state and is the truth; comments only show it. The shell stores the new record first (compare
//! and swap), then does the steps, and tells what came of them as further events. A step that is done twice does no harm.
//!
//! Facts that can change between a look and a deed are read again at the deed: an approval leads to [`Step::Reread`], and
//! only what comes back equal to what was approved leads to [`Step::Apply`].

mod commands;
mod decide;
mod failure;
mod progress;
mod who;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use runnersmith_types::Timestamp;
use serde::{Deserialize, Serialize};

pub use crate::command::{Command, Consent, Misread};
pub use crate::digest::{Changed, Digest, Parts};
pub use decide::decide;
pub use failure::{Failure, Stage, Stopped};
pub use who::{Actor, Denial, Membership, Permission, plans_by_itself};

/// The most comment ids that a record remembers. Ids rise, so one below the oldest remembered counts as handled.
pub const HANDLED_MAX: usize = 500;
/// How long the only plan must have been posted before a plain `/approve` counts: long enough to have been read.
pub const PLAIN_APPROVE_AFTER: Duration = Duration::from_secs(60);

/// What a change does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// Makes an environment or edits it.
    Set,
    /// Destroys one.
    Delete,
}

/// A plan that may be approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRecord {
    /// Everything that an approval is about.
    pub parts: Parts,
    /// When the comment that shows it was posted.
    pub posted_at: Timestamp,
    /// Whether it would lose something that holds state.
    pub loses_state: bool,
    /// Whether files differ from what the request renders.
    pub is_hand_edited: bool,
}

impl PlanRecord {
    /// What to write to approve it.
    #[must_use]
    pub fn approve_line(&self, kind: ChangeKind) -> String {
        let destroy = if self.loses_state || kind == ChangeKind::Delete { " destroy" } else { "" };
        format!("/approve {}{destroy}", self.parts.digest().short())
    }
}

/// An approval that was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// By whom.
    pub by: String,
    /// In which comment.
    pub comment: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub digest: Digest,
    /// Whether a deletion may go on while jobs run.
    pub kills_jobs: bool,
    /// Whether the deletion has drained; it is then checked a second time, right before it destroys.
    pub has_drained: bool,
}

/// What a change is waiting for, or how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The request is valid; there is no plan, and none is being made.
    Requested,
    /// Somebody edited the branch: only an admin's `/plan` goes on.
    HandEdited,
    /// A plan is being made.
    Planning,
    /// A plan waits for its approval.
    Planned(PlanRecord),
    /// The plan was not approved in time.
    Expired,
    /// Approved; everything in the digest is being read again.
    Checking(PlanRecord, Approval),
    /// A deletion: no new jobs are taken, running ones end.
    Draining {
        /// The plan.
        plan: PlanRecord,
        /// The approval.
        approval: Approval,
        /// When waiting ends.
        until: Timestamp,
        /// What was there when it was last looked at; `None`: nobody has looked.
        left: Option<Left>,
        /// Whether it was said that waiting has ended.
        is_overdue: bool,
    },
    /// Terraform applies the plan.
    Applying {
        /// The plan.
        plan: PlanRecord,
        /// The approval.
        approval: Approval,
        /// The run that applies.
        run: String,
    },
    /// Applied; the branch is being merged.
    Applied {
        /// The head that was applied.
        head: String,
    },
    /// Applied, and the merge was refused: what is there differs from the default branch.
    NotMerged {
        /// The head that was applied.
        head: String,
        /// Why it was not merged. Foreign text.
        why: String,
    },
    /// Applied and merged.
    Done,
    /// A plan or an apply failed.
    Failed(Failure),
    /// An apply was cut off: what it did is not known.
    Interrupted {
        /// The run that is dead.
        run: String,
    },
    /// Given up.
    Cancelled,
}

impl State {
    /// Whether nothing more will happen.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Done | Self::Cancelled)
    }

    /// Whether its environment drains.
    #[must_use]
    pub const fn is_draining(&self) -> bool {
        matches!(self, Self::Draining { .. })
    }

    /// Whether an approval is being carried out, or was and is not at its end: what the issue says now must not disturb it.
    #[must_use]
    pub const fn is_under_way(&self) -> bool {
        matches!(self, Self::Checking(..)) || self.is_being_done()
    }

    /// Whether something is being done to what is there, or was and is not at its end.
    #[must_use]
    pub const fn is_being_done(&self) -> bool {
        match self {
            Self::Draining { .. }
            | Self::Applying { .. }
            | Self::Applied { .. }
            | Self::NotMerged { .. }
            | Self::Interrupted { .. } => true,
            Self::Requested
            | Self::HandEdited
            | Self::Planning
            | Self::Planned(_)
            | Self::Expired
            | Self::Checking(..)
            | Self::Done
            | Self::Failed(_)
            | Self::Cancelled => false,
        }
    }

    /// The plan that is shown, approved or carried out. None where there is none, or it may no longer be approved.
    #[must_use]
    pub const fn plan(&self) -> Option<&PlanRecord> {
        match self {
            Self::Planned(plan)
            | Self::Checking(plan, _)
            | Self::Draining { plan, .. }
            | Self::Applying { plan, .. } => Some(plan),
            Self::Requested
            | Self::HandEdited
            | Self::Planning
            | Self::Expired
            | Self::Applied { .. }
            | Self::NotMerged { .. }
            | Self::Done
            | Self::Failed(_)
            | Self::Interrupted { .. }
            | Self::Cancelled => None,
        }
    }

    /// One word or two, for people and metrics.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::HandEdited => "edited by hand",
            Self::Planning => "planning",
            Self::Planned(_) => "planned",
            Self::Expired => "expired",
            Self::Checking(..) => "approved",
            Self::Draining { .. } => "draining",
            Self::Applying { .. } => "applying",
            Self::Applied { .. } => "applied",
            Self::NotMerged { .. } => "applied, not merged",
            Self::Done => "done",
            Self::Failed(_) => "failed",
            Self::Interrupted { .. } => "interrupted",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a draining environment still has. Its end is that nothing is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Jobs that run.
    pub jobs: u32,
    /// Machines.
    pub machines: u32,
    /// Registrations with GitHub.
    pub registrations: u32,
    /// Hand-offs not yet read.
    pub hand_offs: u32,
    /// Log groups of machines.
    pub log_groups: u32,
}

impl Left {
    /// Whether nothing is left.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        let Self { jobs, machines, registrations, hand_offs, log_groups } = *self;
        jobs == 0 && machines == 0 && registrations == 0 && hand_offs == 0 && log_groups == 0
    }
}

/// The record of a change, as it is stored beside the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The environment.
    pub environment: String,
    /// What it does.
    pub kind: ChangeKind,
    /// The issue.
    pub issue: u64,
    /// The issue's author.
    pub author: String,
    /// The pull request, by number: never found by its title.
    pub pull: u64,
    /// The branch, which is the control repository's own.
    pub branch: String,
    /// Who committed to the branch or edited the issue, ourselves left out.
    pub committers: BTreeSet<String>,
    /// Whether the branch's files differ from what the request renders.
    pub is_hand_edited: bool,
    /// Whether an apply did something, or may have, and nothing was merged since: giving the change up does not undo it.
    pub is_half_done: bool,
    /// How it is.
    pub state: State,
    /// How many plans were ever posted.
    pub plans_posted: u32,
    /// Comments that were handled.
    pub handled: BTreeSet<u64>,
    /// Comments up to this id count as handled.
    pub handled_up_to: u64,
}

impl Change {
    /// A change whose pull request was just made.
    #[must_use]
    pub fn new(kind: ChangeKind, environment: &str, issue: u64, author: &str, pull: u64, branch: &str) -> Self {
        Self {
            environment: environment.to_owned(),
            kind,
            issue,
            author: author.to_owned(),
            pull,
            branch: branch.to_owned(),
            committers: BTreeSet::new(),
            is_hand_edited: false,
            is_half_done: false,
            state: State::Requested,
            plans_posted: 0,
            handled: BTreeSet::new(),
            handled_up_to: 0,
        }
    }

    /// Whether an order of this comment was followed, or refused, already.
    #[must_use]
    pub fn was_handled(&self, comment: u64) -> bool {
        comment <= self.handled_up_to || self.handled.contains(&comment)
    }

    fn remember(&mut self, comment: u64) {
        self.handled.insert(comment);
        while self.handled.len() > HANDLED_MAX {
            self.handled_up_to = self.handled.pop_first().unwrap_or_default().max(self.handled_up_to);
        }
    }
}

/// Who holds an environment's lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// A run that applies a change.
    Run {
        /// The run.
        run: String,
        /// The pull request of its change.
        pull: u64,
    },
    /// Somebody, by `/lock`.
    Person(String),
}

/// An environment's lock, as it is beside the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Which taking of the lock; it is released only by this id.
    pub id: String,
    /// Who holds it.
    pub holder: Holder,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// Whether a run goes on. What is not known is not dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Liveness {
    /// It does.
    Alive,
    /// It is proved that it does not: GitHub says that it ended, or its heartbeat's process is gone.
    Dead,
    /// Nobody can tell.
    Unknown,
}

/// A lock, with what is known of its holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLock {
    /// The lock.
    pub lock: Lock,
    /// The run that holds it; a person is [`Liveness::Unknown`].
    pub liveness: Liveness,
}

/// A comment on the pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// GitHub's id.
    pub id: u64,
    /// Its text.
    pub body: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether the event says that it was just made; edits and deletions are none.
    pub is_new: bool,
    /// Whether it was changed since (`updated_at` differs from `created_at`).
    pub is_edited: bool,
    /// The pull request that it is on.
    pub pull: u64,
    /// Whether the pull request's branch is in another repository.
    pub is_fork: bool,
    /// Who wrote it.
    pub actor: Actor,
}

/// What a look at everything in the digest gave, just before applying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reread {
    /// The parts now.
    pub parts: Parts,
    /// Whether GitHub would merge this head; `Err` says why not. Foreign text.
    pub mergeable: Result<(), String>,
    /// Who holds the environment's lock, if it is not the run that looks.
    pub lock: Option<HeldLock>,
    /// The run that looks, and would apply.
    pub run: String,
    /// Who committed to the branch, ourselves left out.
    pub committers: BTreeSet<String>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A comment was made.
    Comment {
        /// The comment.
        comment: Comment,
        /// The environment's lock.
        lock: Option<HeldLock>,
        /// The run that plans, checks or applies this change.
        run: Liveness,
    },
    /// The branch has what the request renders: plan it. Follows the making of the pull request and each edit of the issue.
    Rendered,
    /// The same, but who asked may not cause a plan: somebody who may must ask for it.
    RenderedOnly,
    /// The branch has another head, which is not our commit.
    Pushed {
        /// Who committed, ourselves left out.
        committers: BTreeSet<String>,
        /// Whether files differ from what the request renders.
        is_hand_edited: bool,
    },
    /// A plan was made, stored and posted.
    PlanPosted(PlanRecord),
    /// Planning failed.
    PlanFailed(Failure),
    /// Everything in the digest was read again.
    Reread(Box<Reread>),
    /// What is left of a draining environment.
    Drained(Left),
    /// The plan was applied.
    Applied,
    /// Applying failed; the run says so itself.
    ApplyFailed(Failure),
    /// Applying failed before anything was applied.
    NotApplied(Failure),
    /// The run that checked or applied is proved dead.
    RunDied,
    /// The branch was merged.
    Merged,
    /// GitHub did not merge. Foreign text.
    MergeRefused(String),
    /// The issue or the pull request was closed.
    Closed,
    /// The issue asks for another kind of change now.
    Superseded,
    /// The issue was edited, and what it says now cannot be handled.
    RequestInvalid,
    /// Time went by.
    Tick,
}

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
    Failed(Failure),
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
pub enum Step {
    /// Acknowledge a comment.
    React {
        /// Which.
        comment: u64,
        /// How.
        reaction: Reaction,
    },
    /// Answer.
    Say(Box<Reply>),
    /// Show the record in the one comment that is edited in place.
    ShowState,
    /// Make, store and post a plan; told by [`Event::PlanPosted`] or [`Event::PlanFailed`].
    Plan {
        /// A dead run may have left Terraform's own lock: plan without taking it. It is never broken by a plan.
        without_terraform_lock: bool,
    },
    /// Delete the stored plan: it cannot be applied any more. In older records it may stand twice, the second time by the name of
    /// a step that did nothing.
    #[serde(alias = "void_others")]
    DropPlan,
    /// Take the lock for the run, and read everything in the digest again; told by [`Event::Reread`].
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
    /// Apply exactly the stored plan of this digest; told by [`Event::Applied`], [`Event::ApplyFailed`] or
    /// [`Event::NotApplied`], or by [`Event::RunDied`] of the run that was to do it.
    Apply {
        /// The digest.
        digest: Digest,
        /// The head commit that it is for.
        head: String,
    },
    /// Set maximum and floor to 0 in the running control plane, and look at what is left; told by [`Event::Drained`].
    Drain {
        /// Whether running jobs are ended.
        kill_jobs: bool,
    },
    /// Give the running control plane its maximum and floor back.
    EndDrain,
    /// Merge, if the head is this; told by [`Event::Merged`] or [`Event::MergeRefused`].
    Merge {
        /// The head that was applied.
        expected_head: String,
    },
    /// Take the lock for somebody, if nobody has it. If somebody has, that is said instead of what follows here.
    TakeLock {
        /// Who.
        by: String,
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
    pub steps: Vec<Step>,
}
