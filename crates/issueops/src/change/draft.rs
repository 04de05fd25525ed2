//! A record that is being changed, and the moves that both commands and events make: giving up, taking back an approval,
//! ending a plan's validity.

use runnersmith_types::Timestamp;

use super::state::{Approval, Change, PlanRecord, State};
use super::step::{ChangeStep, GivenUp, Reply, VoidWhy};
use crate::policy::ApprovalRules;

/// A record that is being changed, with the steps so far.
pub(super) struct Draft<'a> {
    pub(super) change: Change,
    pub(super) steps: Vec<ChangeStep>,
    pub(super) rules: &'a ApprovalRules,
    pub(super) now: Timestamp,
}

impl Draft<'_> {
    pub(super) fn say(&mut self, reply: Reply) {
        self.steps.push(ChangeStep::Say(Box::new(reply)));
    }

    /// Moves on, and shows it.
    pub(super) fn enter(&mut self, state: State) {
        self.change.state = state;
        self.steps.push(ChangeStep::ShowState);
    }
}

/// The run of this change is proved dead. Returns its name if it died while it applied, so that what it did is not known. One
/// that died while it checked has done nothing: its approval is used up, and what it had drained is given back.
pub(super) fn run_died(draft: &mut Draft<'_>) -> Option<String> {
    match &draft.change.state {
        State::Applying { run, .. } => {
            let run = run.clone();
            draft.change.is_half_done = true;
            draft.enter(State::Interrupted { run: run.clone() });
            Some(run)
        }
        State::Checking(plan, Approval { has_drained, .. }) => {
            let (plan, has_drained) = (plan.clone(), *has_drained);
            draft.enter(State::Planned(plan));
            give_back(draft, has_drained);
            None
        }
        State::Requested
        | State::HandEdited
        | State::Planning
        | State::Planned(_)
        | State::Expired
        | State::Draining { .. }
        | State::Applied { .. }
        | State::NotMerged { .. }
        | State::Done
        | State::Failed(_)
        | State::Interrupted { .. }
        | State::Cancelled => None,
    }
}

/// The plan cannot be approved any more. What can be planned without asking is planned again.
pub(super) fn void(draft: &mut Draft<'_>, why: VoidWhy) {
    draft.steps.push(ChangeStep::DropPlan);
    let (next, goes_on) = match why {
        VoidWhy::Expired => (State::Expired, false),
        VoidWhy::HandEdited => (State::HandEdited, false),
        VoidWhy::RequestInvalid => (State::Requested, false),
        VoidWhy::Pushed => (State::Planning, true),
    };
    draft.enter(next);
    draft.say(Reply::Void(why));
    if goes_on {
        draft.steps.push(ChangeStep::Plan { without_terraform_lock: false });
    }
}

pub(super) fn expire(draft: &mut Draft<'_>) {
    void(draft, VoidWhy::Expired);
}

/// Undoes what an approval of this change began and has not carried out, if there is one.
pub(super) fn undo_approval(draft: &mut Draft<'_>) {
    let has_drained = match &draft.change.state {
        State::Checking(_, approval) => approval.has_drained,
        State::Draining { .. } => true,
        State::Requested
        | State::HandEdited
        | State::Planning
        | State::Planned(_)
        | State::Expired
        | State::Applying { .. }
        | State::Applied { .. }
        | State::NotMerged { .. }
        | State::Done
        | State::Failed(_)
        | State::Interrupted { .. }
        | State::Cancelled => return,
    };
    give_back(draft, has_drained);
}

/// Gives up a change of which nothing is being carried out.
pub(super) fn give_up(draft: &mut Draft<'_>, why: GivenUp) {
    undo_approval(draft);
    draft.steps.push(ChangeStep::DropPlan);
    draft.enter(State::Cancelled);
    // The issue asks for something else now, which begins with it.
    let closes_issue = why != GivenUp::Superseded;
    draft.say(Reply::Cancelled(why));
    draft.steps.push(ChangeStep::ClosePull);
    draft.steps.extend(closes_issue.then_some(ChangeStep::CloseIssue));
}

/// Gives back what an approval took: the lock, and the service that was drained. The lock first: whatever keeps the control plane from
/// answering must not keep the environment locked as well.
pub(super) fn give_back(draft: &mut Draft<'_>, has_drained: bool) {
    draft.steps.push(ChangeStep::ReleaseOwnLock);
    draft.steps.extend(has_drained.then_some(ChangeStep::EndDrain));
}

/// Whether the plan was not approved in time.
pub(super) fn is_expired(plan: &PlanRecord, draft: &Draft<'_>) -> bool {
    draft.now.since(plan.posted_at) >= draft.rules.plan_expiry
}
