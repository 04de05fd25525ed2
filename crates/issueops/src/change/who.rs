//! Who may do what. Each rule says why it denies, so that the answer can.

use std::borrow::Cow;

use runnersmith_types::Account;
use serde::{Deserialize, Serialize};

use super::lock::{Holder, Lock};
use super::state::Change;
use crate::policy::{ApprovalRules, PlanBy};

/// What GitHub lets somebody do with the control repository, as its own roles are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// Nothing.
    None,
    /// Read.
    Read,
    /// Triage.
    Triage,
    /// Write.
    Write,
    /// Maintain.
    Maintain,
    /// Admin.
    Admin,
}

/// Whether somebody is in the approvers' team.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// They are, and the membership is active.
    Member,
    /// They are not.
    Outsider,
    /// It could not be read, which is no yes.
    Unknown,
}

/// Who wrote a comment, with what GitHub says of them now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Their account.
    pub account: Account,
    /// Whether it is a person: GitHub's type `User`, and no App wrote for them.
    pub is_person: bool,
    /// The permission, read now and not taken from the event.
    pub permission: Permission,
    /// Membership of the approvers' team, when the policy names one.
    pub membership: Membership,
}

/// Why a command is not followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Denial {
    /// Too little permission.
    NeedsWrite,
    /// Not in the team.
    NeedsTeam(String),
    /// Membership could not be read.
    TeamUnknown(String),
    /// They asked for the change, edited, labelled or reopened its issue, or committed to it.
    IsAuthor,
    /// A bot asked for the change, or had another part in it: one person has it planned, another approves it.
    NeedsTwo,
    /// It is not known who edited, labelled or reopened the issue: of two who are not known to have taken part one has it planned, the other
    /// approves it.
    EditorsUnknown,
    /// Only an admin may, since files were edited by hand.
    NeedsAdmin,
    /// There is no plan.
    NoPlan,
    /// The digest is not the plan's.
    OtherDigest {
        /// The plan's digest, short.
        current: String,
    },
    /// A plain `/approve` is not enough.
    NeedsDigest {
        /// What to write.
        line: String,
    },
    /// Files were edited by hand: an order of a plan must name them.
    NeedsFiles {
        /// What to write.
        line: String,
    },
    /// The digest is not that of the files that are there now.
    OtherFiles {
        /// What to write.
        line: String,
    },
    /// The word is missing.
    NeedsDestroy {
        /// What to write.
        line: String,
    },
    /// `destroy` kills nothing here.
    NotADeletion,
    /// The environment is locked.
    IsLocked(Lock),
    /// The lock is another person's.
    NotYourLock(Lock),
    /// The run that holds the lock is not proved dead.
    RunNotDead(Lock),
    /// There is no lock.
    NotLocked,
    /// Something is being applied, or destroyed.
    Busy(Cow<'static, str>),
    /// Something was begun that giving up would not undo.
    HalfDone(Cow<'static, str>),
    /// The change is over.
    Over(Cow<'static, str>),
    /// GitHub would not merge. Foreign text.
    NotMergeable(String),
}

/// Writers may.
pub(super) fn may_write(actor: &Actor) -> Result<(), Denial> {
    if actor.permission >= Permission::Write { Ok(()) } else { Err(Denial::NeedsWrite) }
}

/// Who may cause a plan. A hand-edited folder runs what somebody wrote, with our credentials: an admin must ask for it.
pub(super) fn may_plan(
    actor: &Actor,
    change: &Change,
    rules: &ApprovalRules,
    is_hand_edited: bool,
) -> Result<(), Denial> {
    if is_hand_edited {
        return if actor.permission == Permission::Admin { Ok(()) } else { Err(Denial::NeedsAdmin) };
    }
    match rules.plan_by {
        PlanBy::AuthorsAndWriters if actor.account.is(&change.author) => Ok(()),
        PlanBy::AuthorsAndWriters | PlanBy::Writers => may_write(actor),
    }
}

/// Whether the author's request may be planned without anybody asking for it. An outsider's waits for a writer's `/plan`.
#[must_use]
pub fn plans_by_itself(author: &Actor, change: &Change, rules: &ApprovalRules) -> bool {
    author.is_person && may_plan(author, change, rules, false).is_ok()
}

/// Who may approve.
pub(super) fn may_approve(
    actor: &Actor,
    change: &Change,
    rules: &ApprovalRules,
    (is_hand_edited, knows_editors): (bool, bool),
) -> Result<(), Denial> {
    may_write(actor)?;
    if is_hand_edited && actor.permission != Permission::Admin {
        return Err(Denial::NeedsAdmin);
    }
    if let Some(team) = &rules.team {
        match actor.membership {
            Membership::Member => {}
            Membership::Outsider => return Err(Denial::NeedsTeam(team.clone())),
            Membership::Unknown => return Err(Denial::TeamUnknown(team.clone())),
        }
    }
    is_independent(&actor.account, change, rules, knows_editors)
}

/// Whether an approver is somebody else than who asked for the change, changed what its issue asks for or committed to its branch.
pub(super) fn is_independent(
    approver: &Account,
    change: &Change,
    rules: &ApprovalRules,
    knows_editors: bool,
) -> Result<(), Denial> {
    if rules.author_may_approve {
        return Ok(());
    }
    if change.took_part(approver) {
        return Err(Denial::IsAuthor);
    }
    // Who wrote in a bot's name is not known: any writer can have a workflow open an issue, or edit one. Who asked for its plan since
    // stands for them.
    let planner = change.planned_by.as_ref().filter(|planner| !approver.is(planner));
    let is_by_bot = change.author.is_bot() || change.committers.iter().any(Account::is_bot);
    if is_by_bot && planner.is_none() {
        return Err(Denial::NeedsTwo);
    }
    // Of those who may have edited the approver is one. Of two who took no part that is known one at least did not edit it.
    let has_witness = planner.is_some_and(|planner| !change.took_part(planner));
    if knows_editors || has_witness { Ok(()) } else { Err(Denial::EditorsUnknown) }
}

/// Whose lock keeps this actor from applying; one's own does not.
pub(super) fn is_locked_out(actor: &Account, lock: &Lock) -> bool {
    match &lock.holder {
        Holder::Person(holder) => !holder.is(actor),
        Holder::Run { .. } => true,
    }
}
