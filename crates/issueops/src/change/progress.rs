//! What follows from everything but comments. Each event is looked for in the states that it fits; in all others it is late
//! or double, and changes nothing.

use std::collections::BTreeSet;

use runnersmith_types::Account;

use super::draft::{Draft, expire, give_back, give_up, is_expired, run_died, undo_approval, void};
use super::event::{LifecycleEvent, Reread};
use super::failure::ChangeFailure;
use super::state::{Approval, ChangeKind, EditedFiles, Left, PlanRecord, State};
use super::step::{ChangeStep, GivenUp, Reply, RequestOutcome, VoidWhy};
use super::who::{Denial, is_independent, is_locked_out};

pub(super) fn progress(draft: &mut Draft<'_>, event: &LifecycleEvent) {
    match event {
        // Commands are elsewhere.
        LifecycleEvent::Comment { .. } => {}
        LifecycleEvent::Rendered | LifecycleEvent::RenderedOnly => rendered(draft, event),
        LifecycleEvent::Pushed { committers, edited } => pushed(draft, committers, edited.as_ref()),
        LifecycleEvent::PlanPosted(plan) => {
            if draft.change.state == State::Planning {
                draft.change.plans_posted = draft.change.plans_posted.saturating_add(1);
                draft.enter(State::Planned(plan.clone()));
                draft.say(Reply::PlanReady);
            }
        }
        LifecycleEvent::PlanFailed(failure) => {
            if draft.change.state == State::Planning {
                draft.enter(State::Failed(failure.clone()));
                draft.say(Reply::Failed(failure.clone()));
                draft.steps.push(ChangeStep::NotifyIssue(RequestOutcome::NotPlanned));
            }
        }
        LifecycleEvent::Reread(reread) => checked(draft, reread),
        LifecycleEvent::Drained(left) => drained(draft, *left),
        LifecycleEvent::Applied => applied(draft),
        LifecycleEvent::ApplyFailed(failure) => apply_failed(draft, failure, false),
        LifecycleEvent::NotApplied(failure) => apply_failed(draft, failure, true),
        LifecycleEvent::RunDied => {
            if let Some(run) = run_died(draft) {
                draft.say(Reply::Interrupted { run });
                draft.steps.push(ChangeStep::NotifyIssue(RequestOutcome::NotApplied));
            }
        }
        LifecycleEvent::Merged => merged(draft),
        LifecycleEvent::MergeRefused(why) => {
            if let State::Applied { head } = &draft.change.state {
                let (head, why) = (head.clone(), why.clone());
                draft.enter(State::NotMerged { head: head.clone(), why: why.clone() });
                draft.say(Reply::NotMerged { head, why });
                draft.steps.push(ChangeStep::ReleaseOwnLock);
            }
        }
        LifecycleEvent::Closed => closed(draft, GivenUp::Closed),
        LifecycleEvent::Superseded => closed(draft, GivenUp::Superseded),
        LifecycleEvent::RequestInvalid => unfit(draft),
        LifecycleEvent::Tick => tick(draft),
    }
}

/// The branch is as the request says: it can be planned without asking anybody.
fn rendered(draft: &mut Draft<'_>, event: &LifecycleEvent) {
    (draft.change.is_hand_edited, draft.change.edited_files, draft.change.ordered_files) = (false, None, None);
    draft.change.contents_changed(draft.now);
    match draft.change.state {
        State::Checking(..)
        | State::Draining { .. }
        | State::Applying { .. }
        | State::Applied { .. }
        | State::NotMerged { .. }
        | State::Interrupted { .. }
        | State::Done
        | State::Cancelled => {}
        State::Requested
        | State::HandEdited
        | State::Planning
        | State::Planned(_)
        | State::Expired
        | State::Failed(_) => {
            if let State::Planned(_) = draft.change.state {
                draft.steps.push(ChangeStep::DropPlan);
            }
            if *event == LifecycleEvent::RenderedOnly {
                draft.enter(State::Requested);
                return;
            }
            draft.enter(State::Planning);
            draft.steps.push(ChangeStep::Plan { without_terraform_lock: false });
        }
    }
}

/// A push voids the plan and every approval of it. Files that are not as rendered are not planned until an admin asks:
/// a plan runs code.
fn pushed(draft: &mut Draft<'_>, committers: &BTreeSet<Account>, edited: Option<&EditedFiles>) {
    draft.change.committers.extend(committers.iter().cloned());
    draft.change.is_hand_edited = edited.is_some();
    (draft.change.edited_files, draft.change.ordered_files) = (edited.cloned(), None);
    draft.change.contents_changed(draft.now);
    let why = if edited.is_some() { VoidWhy::HandEdited } else { VoidWhy::Pushed };
    match draft.change.state {
        // What is approved is not applied yet, and never to be: the reread that is under way finds another state.
        State::Checking(..)
        | State::Draining { .. }
        | State::Planned(_)
        | State::Planning
        | State::Requested
        | State::HandEdited
        | State::Expired
        | State::Failed(_) => {
            undo_approval(draft);
            void(draft, why);
        }
        // The apply goes on with what was approved; the merge names the head that was applied, and is refused.
        State::Applying { .. } | State::Applied { .. } | State::NotMerged { .. } | State::Interrupted { .. } => {}
        State::Done | State::Cancelled => {}
    }
}

/// Back to the plan, with the reason; the approval is used up.
fn refuse(draft: &mut Draft<'_>, plan: PlanRecord, approval: Approval, why: Denial) {
    draft.enter(State::Planned(plan));
    draft.say(Reply::Denied { command: "approve".into(), actor: approval.by.login, why });
    give_back(draft, approval.has_drained);
}

/// Everything was read again. Equal: on. Different: the plan is void, with what changed.
fn checked(draft: &mut Draft<'_>, reread: &Reread) {
    let State::Checking(plan, approval) = &draft.change.state else { return };
    let (plan, approval) = (plan.clone(), approval.clone());
    if let Some(held) = &reread.lock {
        if held.is_left_by(draft.change.pull) {
            draft.steps.push(ChangeStep::TakeOver { lock: held.lock.id.clone() });
        } else if is_locked_out(&approval.by, &held.lock) {
            return refuse(draft, plan, approval, Denial::IsLocked(held.lock.clone()));
        }
    }
    // The approver, or a bot, may have committed or edited since.
    draft.change.note_participants(reread.committers.iter().chain(&reread.editors.accounts));
    if let Err(why) = is_independent(&approval.by, &draft.change, draft.rules, reread.editors.is_whole) {
        return refuse(draft, plan, approval, why);
    }
    let changed = plan.parts.changed(&reread.parts);
    if !changed.is_empty() || approval.digest != reread.parts.digest() {
        draft.enter(State::Requested);
        draft.say(Reply::Differs(changed));
        draft.steps.push(ChangeStep::DropPlan);
        give_back(draft, approval.has_drained);
        return;
    }
    // What was approved in time and drained since is not too late.
    if is_expired(&plan, draft) && !approval.has_drained {
        give_back(draft, false);
        return expire(draft);
    }
    if let Err(why) = &reread.mergeable {
        return refuse(draft, plan, approval, Denial::NotMergeable(why.clone()));
    }
    match draft.change.kind {
        ChangeKind::Set => apply(draft, plan, approval, &reread.run),
        ChangeKind::Delete if approval.has_drained => apply(draft, plan, approval, &reread.run),
        ChangeKind::Delete => {
            let until = draft.now.plus(draft.rules.delete_wait);
            let kill_jobs = approval.kills_jobs;
            draft.enter(State::Draining { plan, approval, until, left: None, is_overdue: false });
            draft.say(Reply::Draining { until });
            draft.steps.push(ChangeStep::Drain { kill_jobs });
        }
    }
}

fn apply(draft: &mut Draft<'_>, plan: PlanRecord, approval: Approval, run: &str) {
    let (digest, head) = (approval.digest, plan.parts.head.clone());
    draft.enter(State::Applying { plan, approval, run: run.to_owned() });
    draft.steps.push(ChangeStep::Apply { digest, head });
}

/// Nothing is left: everything is read again, and then destroyed. Something is left after the wait: people are notified, once.
fn drained(draft: &mut Draft<'_>, now_left: Left) {
    let State::Draining { plan, approval, until, left, is_overdue } = draft.change.state.clone() else { return };
    if now_left.is_nothing() {
        let approval = Approval { has_drained: true, ..approval };
        let digest = approval.digest;
        draft.enter(State::Checking(plan, approval));
        draft.steps.push(ChangeStep::Reread { digest });
        return;
    }
    let ends_now = !is_overdue && draft.now >= until;
    if left == Some(now_left) && !ends_now {
        return;
    }
    let digest = approval.digest;
    let is_overdue = is_overdue || ends_now;
    draft.enter(State::Draining { plan, approval, until, left: Some(now_left), is_overdue });
    if ends_now {
        draft.say(Reply::DrainOverdue { left: now_left, digest });
    }
}

/// An apply ended without its end. What was drained for one that did nothing is in service again; of one that did something
/// only the next apply knows what is left.
fn apply_failed(draft: &mut Draft<'_>, failure: &ChangeFailure, did_nothing: bool) {
    let State::Applying { approval, .. } = &draft.change.state else { return };
    let ends_drain = did_nothing && approval.has_drained;
    draft.change.is_half_done |= !did_nothing;
    draft.enter(State::Failed(failure.clone()));
    draft.say(Reply::Failed(failure.clone()));
    draft.steps.push(ChangeStep::NotifyIssue(RequestOutcome::NotApplied));
    draft.steps.push(ChangeStep::DropPlan);
    give_back(draft, ends_drain);
}

fn applied(draft: &mut Draft<'_>) {
    let State::Applying { plan, .. } = &draft.change.state else { return };
    let head = plan.parts.head.clone();
    draft.change.is_half_done = true;
    draft.enter(State::Applied { head: head.clone() });
    draft.steps.push(ChangeStep::DropPlan);
    draft.say(Reply::Applied);
    draft.steps.push(ChangeStep::NotifyIssue(RequestOutcome::Applied));
    draft.steps.push(ChangeStep::Merge { expected_head: head });
}

fn merged(draft: &mut Draft<'_>) {
    match draft.change.state {
        State::Applied { .. } | State::NotMerged { .. } => {
            draft.change.is_half_done = false;
            draft.enter(State::Done);
            draft.steps.extend([ChangeStep::ReleaseOwnLock, ChangeStep::CloseIssue]);
        }
        State::Requested
        | State::HandEdited
        | State::Planning
        | State::Planned(_)
        | State::Expired
        | State::Failed(_)
        | State::Checking(..)
        | State::Draining { .. } => merged_early(draft),
        State::Applying { .. } | State::Interrupted { .. } | State::Done | State::Cancelled => {}
    }
}

/// Somebody merged by hand what is not applied. It is said at once, since nothing else would show it: the default branch and what is there
/// differ now. What was planned is void, because it was made from the branch as it was before. The same change can go on: its plan is
/// made of what was merged. A deletion cannot, since its folder is gone from where it would be planned.
fn merged_early(draft: &mut Draft<'_>) {
    if draft.change.is_merged_early {
        return;
    }
    draft.change.is_merged_early = true;
    let had_plan = match draft.change.state {
        State::Planned(_) | State::Planning | State::Checking(..) | State::Draining { .. } => true,
        State::Requested
        | State::HandEdited
        | State::Expired
        | State::Failed(_)
        | State::Applying { .. }
        | State::Applied { .. }
        | State::NotMerged { .. }
        | State::Interrupted { .. }
        | State::Done
        | State::Cancelled => false,
    };
    let plans = had_plan && draft.change.kind == ChangeKind::Set && !draft.change.is_hand_edited;
    if had_plan {
        undo_approval(draft);
        draft.steps.push(ChangeStep::DropPlan);
        let hand_edited = if draft.change.is_hand_edited { State::HandEdited } else { State::Requested };
        draft.enter(if plans { State::Planning } else { hand_edited });
    }
    draft.say(Reply::MergedEarly { plans });
    if plans {
        draft.steps.push(ChangeStep::Plan { without_terraform_lock: false });
    }
}

/// What a plan was made for is not what the issue says any more; nobody shall approve it.
fn unfit(draft: &mut Draft<'_>) {
    match draft.change.state {
        State::Planned(_)
        | State::Planning
        | State::HandEdited
        | State::Expired
        | State::Failed(_)
        | State::Checking(..)
        | State::Draining { .. } => {
            undo_approval(draft);
            void(draft, VoidWhy::RequestInvalid);
        }
        // What is approved and being done goes on; the rest has nothing to lose.
        State::Requested
        | State::Applying { .. }
        | State::Applied { .. }
        | State::NotMerged { .. }
        | State::Interrupted { .. }
        | State::Done
        | State::Cancelled => {}
    }
}

/// Given up from outside.
fn closed(draft: &mut Draft<'_>, why: GivenUp) {
    match draft.change.state {
        State::Requested
        | State::HandEdited
        | State::Planning
        | State::Planned(_)
        | State::Expired
        | State::Failed(_)
        | State::Checking(..)
        | State::Draining { .. } => give_up(draft, why),
        // What is half done, or done, is not undone by closing.
        State::Applying { .. }
        | State::Applied { .. }
        | State::NotMerged { .. }
        | State::Interrupted { .. }
        | State::Done
        | State::Cancelled => {}
    }
}

fn tick(draft: &mut Draft<'_>) {
    match &draft.change.state {
        State::Planned(plan) if is_expired(plan, draft) => expire(draft),
        State::Draining { approval, .. } => {
            let kill_jobs = approval.kills_jobs;
            draft.steps.push(ChangeStep::Drain { kill_jobs });
        }
        _ => {}
    }
}
