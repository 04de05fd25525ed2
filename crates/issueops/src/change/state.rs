//! The record of a change and the states that it goes through: the part of it that is stored for as long as the change is open.

use std::collections::BTreeSet;

use runnersmith_types::{Account, Timestamp};
use serde::{Deserialize, Serialize};

use super::failure::ChangeFailure;
use crate::digest::{Digest, DigestInput};

/// The most comment ids that a record remembers. Ids rise, so one below the oldest remembered counts as handled.
pub const HANDLED_MAX: usize = 500;

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
    pub parts: DigestInput,
    /// When the comment that shows it was posted.
    pub posted_at: Timestamp,
    /// Whether it would lose something that holds state.
    pub loses_state: bool,
    /// Whether files differ from what the request renders.
    pub is_hand_edited: bool,
    /// Then: the digest of the files that an admin ordered it of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered_files: Option<Digest>,
}

/// Files that differ from what the request renders, as an admin is asked to read them before anything is planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditedFiles {
    /// The commit that has them.
    pub commit: String,
    /// What an order names them by. Nobody can look for other files that have the same first digits: it is made with a secret.
    pub digest: Digest,
}

impl EditedFiles {
    /// What to write to have exactly them planned.
    #[must_use]
    pub fn plan_line(&self) -> String {
        format!("/plan {}", self.digest.short())
    }
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
    pub by: Account,
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
    Failed(ChangeFailure),
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

    /// The plan that is shown, approved or carried out; absent when no plan was made, or when it may no longer be approved.
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
    pub author: Account,
    /// The pull request, by number: never found by its title.
    pub pull: u64,
    /// The branch, which is the control repository's own.
    pub branch: String,
    /// Who committed to the branch, or edited, labelled or reopened the issue, ourselves left out.
    pub committers: BTreeSet<Account>,
    /// Who asked by a command for the last plan of what is there now; `None`: nobody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_by: Option<Account>,
    /// When what is to be planned last became what it is, by a rendering that changed something or by a push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contents_since: Option<Timestamp>,
    /// Whether the branch's files differ from what the request renders.
    pub is_hand_edited: bool,
    /// Such files as they were when they were last looked at; what the comment shows an admin to write names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_files: Option<EditedFiles>,
    /// The digest of such files that an admin ordered a plan of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered_files: Option<Digest>,
    /// Whether somebody merged it by hand before it was applied: the default branch says what is not there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_merged_early: bool,
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
    pub fn new(
        kind: ChangeKind,
        environment: &str,
        issue: u64,
        author: impl Into<Account>,
        pull: u64,
        branch: &str,
    ) -> Self {
        Self {
            environment: environment.to_owned(),
            kind,
            issue,
            author: author.into(),
            pull,
            branch: branch.to_owned(),
            committers: BTreeSet::new(),
            planned_by: None,
            contents_since: None,
            is_merged_early: false,
            is_hand_edited: false,
            edited_files: None,
            ordered_files: None,
            is_half_done: false,
            state: State::Requested,
            plans_posted: 0,
            handled: BTreeSet::new(),
            handled_up_to: 0,
        }
    }

    /// Remembers who took part in it; who asked is known anyway.
    pub(super) fn note_participants<'a>(&mut self, accounts: impl IntoIterator<Item = &'a Account>) {
        let author = self.author.clone();
        self.committers.extend(accounts.into_iter().filter(|account| !account.is(&author)).cloned());
    }

    /// What is to be planned is something else from now on: who asked for a plan of what was there before has not asked for one of this.
    pub fn contents_changed(&mut self, now: Timestamp) {
        self.planned_by = None;
        self.contents_since = Some(now);
    }

    /// Whether an order of this moment can be of what is there now. GitHub's times are whole seconds.
    pub(super) fn is_of_these_contents(&self, ordered_at: Timestamp) -> bool {
        self.contents_since.is_none_or(|since| ordered_at.as_secs() >= since.as_secs())
    }

    /// Whether somebody asked for it, changed what its issue asks for or committed to its branch.
    #[must_use]
    pub fn took_part(&self, account: &Account) -> bool {
        self.author.is(account) || self.committers.iter().any(|one| one.is(account))
    }

    /// Whether an order of this comment was followed, or refused, already.
    #[must_use]
    pub fn was_handled(&self, comment: u64) -> bool {
        comment <= self.handled_up_to || self.handled.contains(&comment)
    }

    pub(super) fn remember(&mut self, comment: u64) {
        self.handled.insert(comment);
        while self.handled.len() > HANDLED_MAX {
            self.handled_up_to = self.handled.pop_first().unwrap_or_default().max(self.handled_up_to);
        }
    }
}
