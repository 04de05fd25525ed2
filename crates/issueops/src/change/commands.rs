//! Commands: each is checked for itself, in the order written, on what the ones before it left.

use std::time::Duration;

use super::draft::{Draft, expire, give_up, is_expired, run_died};
use super::event::Comment;
use super::lock::{HeldLock, Holder, Liveness};
use super::state::{Approval, ChangeKind, EditedFiles, PlanRecord, State};
use super::step::{ChangeStep, GivenUp, Reaction, Reply, RequestOutcome};
use super::who::{Denial, Permission, is_locked_out, may_approve, may_plan, may_write};
use crate::command::{CommentCommand, CommentLine, Consent};
use crate::digest::DigestPrefix;

/// How long the only plan must have been posted before a plain `/approve` counts: long enough to have been read.
pub const PLAIN_APPROVE_AFTER: Duration = Duration::from_secs(60);

/// What is known when a comment is handled.
pub(super) struct Facts<'a> {
    pub(super) comment: &'a Comment,
    pub(super) lock: Option<&'a HeldLock>,
    pub(super) run: Liveness,
    pub(super) edited: Option<&'a EditedFiles>,
    /// Whether all are known who had a part in what the issue asks for.
    pub(super) knows_editors: bool,
}

pub(super) fn follow(draft: &mut Draft<'_>, lines: Vec<CommentLine>, facts: &Facts<'_>) {
    // A run that is proved dead leaves an interrupted change, whatever is ordered. The answer is the command's own.
    if facts.run == Liveness::Dead {
        let _ = run_died(draft);
    }
    let (mut misread, mut asked) = (Vec::new(), false);
    for line in lines {
        let (name, done) = match line {
            CommentLine::Unknown(line) => {
                misread.push(line);
                continue;
            }
            CommentLine::Known(CommentCommand::Help) => {
                asked = true;
                continue;
            }
            CommentLine::Known(CommentCommand::Status) => {
                draft.say(Reply::Status { lock: facts.lock.cloned(), run: facts.run });
                continue;
            }
            CommentLine::Known(CommentCommand::Approve { digest, consent }) => {
                ("approve", approve(draft, digest.as_ref(), consent, facts))
            }
            CommentLine::Known(CommentCommand::Plan { files }) => ("plan", plan(draft, files.as_ref(), facts)),
            CommentLine::Known(CommentCommand::Cancel) => ("cancel", cancel(draft, facts)),
            CommentLine::Known(CommentCommand::Lock { reason }) => ("lock", lock(draft, reason, facts)),
            CommentLine::Known(CommentCommand::Unlock) => ("unlock", unlock(draft, facts)),
        };
        if let Err(why) = done {
            draft.steps.push(ChangeStep::React { comment: facts.comment.id, reaction: Reaction::No });
            draft.say(Reply::Denied { command: name.into(), actor: facts.comment.actor.account.login.clone(), why });
        }
    }
    if asked || !misread.is_empty() {
        draft.say(Reply::Help(misread));
    }
}

fn busy(state: &State) -> Result<(), Denial> {
    match state {
        State::Checking(..) | State::Draining { .. } | State::Applying { .. } | State::Applied { .. } => {
            Err(Denial::Busy(state.word().into()))
        }
        State::Done | State::Cancelled => Err(Denial::Over(state.word().into())),
        State::Requested
        | State::HandEdited
        | State::Planning
        | State::Planned(_)
        | State::Expired
        | State::NotMerged { .. }
        | State::Failed(_)
        | State::Interrupted { .. } => Ok(()),
    }
}

fn approve(
    draft: &mut Draft<'_>,
    digest: Option<&DigestPrefix>,
    consent: Consent,
    facts: &Facts<'_>,
) -> Result<(), Denial> {
    let comment = facts.comment;
    may_write(&comment.actor)?;
    let kind = draft.change.kind;
    // A second word while it drains: end the jobs that still run.
    if let State::Draining { plan, approval, until, left, is_overdue } = &draft.change.state
        && consent == Consent::KillJobs
    {
        let (plan, mut approval, until, left, is_overdue) =
            (plan.clone(), approval.clone(), *until, *left, *is_overdue);
        may_approve(&comment.actor, &draft.change, draft.rules, (plan.is_hand_edited, facts.knows_editors))?;
        the_same(digest, &plan, kind)?;
        approval.kills_jobs = true;
        draft.enter(State::Draining { plan, approval, until, left, is_overdue });
        draft.steps.push(ChangeStep::Drain { kill_jobs: true });
        return Ok(());
    }
    busy(&draft.change.state)?;
    let State::Planned(plan) = &draft.change.state else { return Err(Denial::NoPlan) };
    let plan = plan.clone();
    if is_expired(&plan, draft) {
        expire(draft);
        return Err(Denial::NoPlan);
    }
    let is_hand_edited = plan.is_hand_edited || draft.change.is_hand_edited;
    may_approve(&comment.actor, &draft.change, draft.rules, (is_hand_edited, facts.knows_editors))?;
    let needs_destroy = plan.loses_state || kind == ChangeKind::Delete;
    match digest {
        Some(_) => the_same(digest, &plan, kind)?,
        None => {
            let was_read = comment.created_at.since(plan.posted_at) >= PLAIN_APPROVE_AFTER;
            let is_enough = draft.rules.plain_approve && draft.change.plans_posted == 1 && was_read;
            if !is_enough || needs_destroy {
                return Err(Denial::NeedsDigest { line: plan.approve_line(kind) });
            }
        }
    }
    if needs_destroy && consent < Consent::Destroy {
        return Err(Denial::NeedsDestroy { line: plan.approve_line(kind) });
    }
    if consent == Consent::KillJobs && kind != ChangeKind::Delete {
        return Err(Denial::NotADeletion);
    }
    locked_out(facts, draft)?;
    let approval = Approval {
        by: comment.actor.account.clone(),
        comment: comment.id,
        at: comment.created_at,
        digest: plan.parts.digest(),
        kills_jobs: consent == Consent::KillJobs,
        has_drained: false,
    };
    let digest = approval.digest;
    draft.enter(State::Checking(plan, approval));
    draft.steps.push(ChangeStep::Reread { digest });
    Ok(())
}

/// A lock of this same change whose run is proved dead is taken over later; every other one keeps out.
fn locked_out(facts: &Facts<'_>, draft: &Draft<'_>) -> Result<(), Denial> {
    let Some(held) = facts.lock else { return Ok(()) };
    if held.is_left_by(draft.change.pull) || !is_locked_out(&facts.comment.actor.account, &held.lock) {
        return Ok(());
    }
    Err(Denial::IsLocked(held.lock.clone()))
}

fn the_same(digest: Option<&DigestPrefix>, plan: &PlanRecord, kind: ChangeKind) -> Result<(), Denial> {
    let own = plan.parts.digest();
    match digest {
        None => Err(Denial::NeedsDigest { line: plan.approve_line(kind) }),
        Some(digest) if digest.names(&own) => Ok(()),
        Some(_) => Err(Denial::OtherDigest { current: own.short() }),
    }
}

/// Files that were edited by hand are planned if the order names exactly them: what is pushed between what an admin has read and the look
/// at their comment is not what they ordered.
fn order_files(draft: &mut Draft<'_>, files: Option<&DigestPrefix>, facts: &Facts<'_>) -> Result<(), Denial> {
    if let Some(there) = facts.edited
        && draft.change.edited_files.as_ref() != Some(there)
    {
        draft.change.edited_files = Some(there.clone());
        draft.steps.push(ChangeStep::ShowState);
    }
    let line = || draft.change.edited_files.as_ref().map_or_else(|| "/status".to_owned(), EditedFiles::plan_line);
    match (files, facts.edited) {
        (Some(files), Some(there)) if files.names(&there.digest) => {
            draft.change.ordered_files = Some(there.digest);
            Ok(())
        }
        (Some(_), _) => Err(Denial::OtherFiles { line: line() }),
        (None, _) => Err(Denial::NeedsFiles { line: line() }),
    }
}

fn plan(draft: &mut Draft<'_>, files: Option<&DigestPrefix>, facts: &Facts<'_>) -> Result<(), Denial> {
    let is_hand_edited = draft.change.is_hand_edited;
    may_plan(&facts.comment.actor, &draft.change, draft.rules, is_hand_edited)?;
    busy(&draft.change.state)?;
    if draft.change.state == State::Planning && facts.run == Liveness::Alive {
        return Err(Denial::Busy(State::Planning.word().into()));
    }
    if is_hand_edited {
        order_files(draft, files, facts)?;
    }
    // Terraform's own lock of a dead run would stop the plan; it is left where it is, and the plan reads beside it.
    let is_left = facts.lock.is_some_and(|held| held.is_left_by(draft.change.pull));
    let without_terraform_lock = is_left || matches!(draft.change.state, State::Interrupted { .. });
    if let State::Planned(_) = draft.change.state {
        draft.steps.push(ChangeStep::DropPlan);
    }
    // A look reads the issue and the branch before the comments: an older order is of what was there before. It is planned all the same,
    // and nobody stands for it.
    let is_of_these = draft.change.is_of_these_contents(facts.comment.created_at);
    draft.change.planned_by = is_of_these.then(|| facts.comment.actor.account.clone());
    draft.enter(State::Planning);
    draft.steps.push(ChangeStep::Plan { without_terraform_lock });
    Ok(())
}

fn cancel(draft: &mut Draft<'_>, facts: &Facts<'_>) -> Result<(), Denial> {
    let actor = &facts.comment.actor;
    if !actor.account.is(&draft.change.author) {
        may_write(actor)?;
    }
    match &draft.change.state {
        State::Applying { .. } | State::Applied { .. } => return Err(Denial::Busy(draft.change.state.word().into())),
        // What is half done is not undone by forgetting it.
        State::Interrupted { .. } | State::NotMerged { .. } => {
            return Err(Denial::HalfDone(draft.change.state.word().into()));
        }
        State::Done | State::Cancelled => return Err(Denial::Over(draft.change.state.word().into())),
        State::Requested
        | State::HandEdited
        | State::Planning
        | State::Planned(_)
        | State::Expired
        | State::Failed(_)
        | State::Checking(..)
        | State::Draining { .. } => {}
    }
    draft.steps.push(ChangeStep::NotifyIssue(RequestOutcome::GivenUp));
    give_up(draft, GivenUp::By(actor.account.login.clone()));
    Ok(())
}

fn lock(draft: &mut Draft<'_>, reason: String, facts: &Facts<'_>) -> Result<(), Denial> {
    let actor = &facts.comment.actor;
    may_write(actor)?;
    if let Some(held) = facts.lock {
        return Err(Denial::IsLocked(held.lock.clone()));
    }
    draft.steps.push(ChangeStep::TakeLock { by: actor.account.clone(), reason: reason.clone() });
    draft.say(Reply::Locked { by: actor.account.login.clone(), reason });
    draft.steps.push(ChangeStep::ShowState);
    Ok(())
}

fn unlock(draft: &mut Draft<'_>, facts: &Facts<'_>) -> Result<(), Denial> {
    let actor = &facts.comment.actor;
    may_write(actor)?;
    let Some(HeldLock { lock, liveness }) = facts.lock else { return Err(Denial::NotLocked) };
    match &lock.holder {
        Holder::Person(holder) => {
            if !holder.is(&actor.account) && actor.permission != Permission::Admin {
                return Err(Denial::NotYourLock(lock.clone()));
            }
        }
        Holder::Run { .. } => match liveness {
            Liveness::Dead => {}
            Liveness::Alive | Liveness::Unknown => return Err(Denial::RunNotDead(lock.clone())),
        },
    }
    draft.steps.push(ChangeStep::ReleaseLock { id: lock.id.clone() });
    draft.say(Reply::Unlocked(lock.clone()));
    draft.steps.push(ChangeStep::ShowState);
    Ok(())
}
