//! The outbox: steps are claimed, done, and taken out together with what came of them.
//!
//! A step whose run is proved dead is done again by who comes next, since each can be done twice; an apply is the exception: what
//! a dead one did is not known, and the change says so.

use std::collections::BTreeSet;

use runnersmith_issueops::change::{ChangeStep, Denial, LifecycleEvent, Liveness, Reply, State, decide};
use runnersmith_issueops::comment::{outcome, plan_ready, pull_text, reply};
use runnersmith_ports::control::MergeError;
use runnersmith_ports::{GitHubError, chain};

use crate::approve::OTHER_BASE;
use crate::change_store::{ChangeStoreError, LockNote, is_of_pull};
use crate::context::{ChangeReconciler, Work, environment_of};
use crate::error::ReconcileError;
use crate::look::is_merged_into;
use crate::outcome::{Done, Note};
use crate::provisioner::LeftBy;
use crate::record::{Posted, Record, TRIES_MAX, Todo, is_once, only_notifies};
use crate::stored_plan::text_key;

/// How often a merge is tried in one look.
const MERGES_MAX: usize = 5;
/// The most steps of one look: a change that never comes to rest is a mistake of ours, and must end.
const STEPS_MAX: usize = 60;

/// A claimed step, and the record that it is of.
struct Claimed {
    record: Record,
    todo: Todo,
}

impl ChangeReconciler {
    /// Does what is in a change's outbox and may be done here.
    pub(crate) async fn advance(&self, work: &Work, key: &str) -> Result<(), ReconcileError> {
        for _ in 0..STEPS_MAX {
            let Some(Claimed { record, todo }) = self.claim(work, key).await? else {
                return self.close_if_over(key).await;
            };
            tracing::debug!(environment = %record.change.environment, step = ?todo.step, "step");
            match self.step(work, key, &record, &todo).await {
                Ok(done) => self.complete(work, key, todo.id, done).await?,
                Err(error) => {
                    let gives_up = only_notifies(&todo.step)
                        && (todo.tries + 1 >= TRIES_MAX
                            || matches!(error, ReconcileError::GitHub(GitHubError::NotFound { .. })));
                    if gives_up {
                        tracing::warn!(environment = %record.change.environment, error = %chain(&error), "a step is given up");
                        self.complete(work, key, todo.id, Done::default()).await?;
                        continue;
                    }
                    self.release(key, todo.id).await?;
                    return Err(error);
                }
            }
        }
        Err(ReconcileError::Internal(format!("{key}: more than {STEPS_MAX} steps in one look")))
    }

    /// The first step that is ours to do. Steps of a dead run become ours; its apply is called interrupted.
    async fn claim(&self, work: &Work, key: &str) -> Result<Option<Claimed>, ReconcileError> {
        let Some((record, _)) = self.change_store.record(key).await? else { return Ok(None) };
        let me = work.run.name();
        let others: BTreeSet<&String> =
            record.outbox.iter().filter_map(|todo| todo.by.as_ref()).filter(|by| *by != me).collect();
        let mut dead = BTreeSet::new();
        for run in others {
            if self.parts.runs.liveness(run).await == Liveness::Dead {
                dead.insert(run.clone());
            }
        }
        // What a dead run began to apply: nobody knows how far it came.
        let lost = record
            .outbox
            .iter()
            .find(|todo| is_once(&todo.step) && todo.by.as_ref().is_some_and(|by| dead.contains(by)));
        if let Some(lost) = lost {
            let id = lost.id;
            self.complete(work, key, id, Done::event(LifecycleEvent::RunDied)).await?;
            return Box::pin(self.claim(work, key)).await;
        }
        let (rights, now) = (self.parts.rights, self.parts.clock.now());
        let claimed = self.change_store.update(key, |record| {
            let todo = record.outbox.iter_mut().find(|todo| match &todo.by {
                Some(by) if by == me => true,
                Some(by) => dead.contains(by) && !is_once(&todo.step) && rights.may(&todo.step),
                None => rights.may(&todo.step),
            })?;
            let was_dead = todo.by.as_ref().is_some_and(|by| dead.contains(by));
            if was_dead {
                todo.left_by = todo.taken.take().or(todo.left_by.take());
            }
            todo.by = Some(me.to_owned());
            todo.taken.get_or_insert_with(|| (work.run.host().to_owned(), now));
            // The dead run may have left Terraform's own lock behind.
            if let (true, ChangeStep::Plan { without_terraform_lock }) = (was_dead, &mut todo.step) {
                *without_terraform_lock = true;
            }
            Some(todo.clone())
        });
        Ok(claimed.await?.map(|(record, todo)| Claimed { record, todo }))
    }

    /// Gives a step back after a failure: the next look tries again.
    async fn release(&self, key: &str, id: u64) -> Result<(), ReconcileError> {
        self.change_store
            .update(key, |record| {
                let todo = record.outbox.iter_mut().find(|todo| todo.id == id)?;
                todo.tries += 1;
                (todo.by, todo.taken) = (None, None);
                Some(())
            })
            .await?;
        Ok(())
    }

    /// Takes a step out, with what came of it.
    async fn complete(&self, work: &Work, key: &str, id: u64, done: Done) -> Result<(), ReconcileError> {
        let (now, rules, rights) = (self.parts.clock.now(), &work.base.policy.approval, self.parts.rights);
        let updated = self.change_store.update(key, |record| {
            let place = record.outbox.iter().position(|todo| todo.id == id)?;
            let todo = record.outbox.remove(place);
            // A plan that another one replaces meanwhile does not count.
            let is_replaced = matches!(todo.step, ChangeStep::Plan { .. })
                && record.outbox.iter().any(|other| matches!(other.step, ChangeStep::Plan { .. }) && other.id > id);
            let (mut dropped, mut orphans) = (Vec::new(), Vec::new());
            // Before what follows is decided: that is of the change with its new head.
            let (heads, notes): (Vec<&Note>, Vec<&Note>) =
                done.notes.iter().partition(|note| matches!(note, Note::Head { .. }));
            heads.into_iter().for_each(|note| take_note(record, place, note));
            // Shown is only what the change now waits for; a plan that came too late for its change does not count.
            let event = done.event.as_ref().filter(|_| !is_replaced);
            let decision = event.map(|event| decide(&record.change, event, rules, now));
            let is_shown = match (event, decision.as_ref().map(|decision| &decision.change.state)) {
                (Some(LifecycleEvent::PlanPosted(made)), Some(State::Planned(plan))) => made == plan,
                _ => false,
            };
            for note in notes {
                match note {
                    Note::Plan { key, continuations, .. } if !is_shown => {
                        dropped.push(key.clone());
                        // What was written into comments that the change has anyway is fixed by its next plan.
                        let own = |posted: &&Posted| record.continuations.iter().any(|own| own.id == posted.id);
                        orphans.extend(continuations.iter().filter(|posted| !own(posted)).map(|posted| posted.id));
                    }
                    Note::Plan { key, .. } => {
                        dropped.extend(record.plan_key.clone().filter(|old| old != key));
                        take_note(record, place, note);
                    }
                    Note::Unlocked => {
                        if !record.outbox.iter().any(|todo| todo.step == ChangeStep::ShowState) {
                            record.push(vec![ChangeStep::ShowState], work.run.name(), rights);
                        }
                    }
                    note => take_note(record, place, note),
                }
            }
            if let Some(decision) = decision {
                record.take(decision, work.run.name(), rights);
            }
            Some((dropped, orphans))
        });
        let (dropped, orphans) = updated.await?.map(|(_, left)| left).unwrap_or_default();
        // The step is completed, and nobody comes back for these: one that cannot be deleted does not keep the others.
        let mut failed = None;
        for dropped in dropped {
            for key in [text_key(&dropped), dropped] {
                let deleted = self.change_store.record_store().delete(&key).await;
                failed = failed.or(deleted.err().map(|error| ChangeStoreError::from(error).into()));
            }
        }
        for comment in orphans {
            let deleted = self.parts.control.delete_comment(comment).await;
            failed = failed.or(deleted.err().map(ReconcileError::from));
        }
        failed.map_or(Ok(()), Err)
    }

    async fn step(&self, work: &Work, key: &str, record: &Record, todo: &Todo) -> Result<Done, ReconcileError> {
        let (control, change) = (&self.parts.control, &record.change);
        match &todo.step {
            ChangeStep::React { comment, reaction } => {
                control.react(*comment, reaction.word()).await?;
                Ok(Done::default())
            }
            ChangeStep::Say(said) => self.answer(work, record, said).await,
            ChangeStep::NotifyIssue(how) => {
                control.add_comment(change.issue, &outcome(*how, change)).await?;
                Ok(Done::default())
            }
            ChangeStep::ShowState => self.show_state(work, key).await.map(|posted| match posted {
                Some(posted) => Done::note(Note::StateComment(posted)),
                None => Done::default(),
            }),
            ChangeStep::Plan { without_terraform_lock } => {
                if let Some((host, since)) = &todo.left_by {
                    // A planner that died may have left the state's own lock, which would stop the apply.
                    self.release_state_lock(work, record, LeftBy { who: host.clone(), since: *since }).await;
                }
                self.plan(work, key, record, (todo.id, *without_terraform_lock)).await
            }
            ChangeStep::DropPlan => {
                // One that is waited for, or applied, is not the one that was meant.
                let is_needed = change.state.plan().is_some();
                let Some(key) = record.plan_key.clone().filter(|_| !is_needed) else { return Ok(Done::default()) };
                self.drop_plan(record).await?;
                Ok(Done::note(Note::NoPlan { key }))
            }
            ChangeStep::Reread { digest } => self.reread(work, key, record, *digest).await,
            ChangeStep::TakeOver { lock } => {
                self.take_over(work, record, lock).await?;
                Ok(Done::default())
            }
            ChangeStep::Apply { digest, head } => self.apply(work, record, *digest, head).await,
            ChangeStep::Drain { kill_jobs } => self.drain(record, *kill_jobs).await,
            ChangeStep::EndDrain => {
                self.parts.fleet.end_drain(&change.environment).await?;
                Ok(Done::default())
            }
            ChangeStep::Merge { expected_head } => self.merge(work, record, expected_head).await,
            ChangeStep::TakeLock { by, reason } => self.take_lock(work, change, by, reason).await,
            ChangeStep::ReleaseLock { id } => {
                let released = self.change_store.release_lock(&change.environment, |held| held.lock.id == *id).await?;
                let Some(note) = released else { return Ok(Done::default()) };
                self.release_left_lock(work, record, &note).await;
                Ok(Done::note(Note::Unlocked))
            }
            ChangeStep::ReleaseOwnLock => {
                // A lock under which a run died while it applied is not given back by the way: its take-over releases the
                // state's own lock too. This run's own apply is over; only its mark could not be taken away.
                let me = work.run.name();
                let is_over = |held: &LockNote| held.applies.as_ref().is_none_or(|applies| applies.run == me);
                let is_own = |held: &LockNote| is_of_pull(&held.lock, change.pull) && is_over(held);
                let released = self.change_store.release_lock(&change.environment, is_own).await?;
                Ok(released.map_or_else(Done::default, |_| Done::note(Note::Unlocked)))
            }
            ChangeStep::CloseIssue => {
                control.close_issue(change.issue).await?;
                Ok(Done::default())
            }
            ChangeStep::ClosePull => {
                control.close_pull(change.pull).await?;
                Ok(Done::default())
            }
        }
    }

    /// Answers on the pull request.
    async fn answer(&self, work: &Work, record: &Record, said: &Reply) -> Result<Done, ReconcileError> {
        let change = &record.change;
        let applied = match said {
            Reply::Applied => Some(self.applied_view(work, record).await?),
            _ => None,
        };
        let mut text = match said {
            Reply::PlanReady if !matches!(change.state, State::Planned(_)) => return Ok(Done::default()),
            Reply::PlanReady => plan_ready(change, self.approvers(work).as_deref()),
            said => reply(said, change, &work.base.policy, applied.as_ref()),
        };
        if matches!(said, Reply::Applied)
            && let Some(more) = self.set_webhook(work, record).await
        {
            text.push_str(&more);
        }
        self.parts.control.add_comment(change.pull, &text).await?;
        Ok(Done::default())
    }

    /// The team that approves, as it is mentioned.
    fn approvers(&self, work: &Work) -> Option<String> {
        let team = work.base.policy.approval.team.as_ref()?;
        let repository = self.parts.control.name();
        Some(format!("{}/{team}", repository.split('/').next()?))
    }

    async fn drain(&self, record: &Record, kill_jobs: bool) -> Result<Done, ReconcileError> {
        if !record.change.state.is_draining() {
            return Ok(Done::default());
        }
        let left = self.parts.fleet.drain(&record.change.environment, kill_jobs).await?;
        self.say(&format!("{}: drains; left: {left:?}", record.change.environment));
        Ok(Done::event(LifecycleEvent::Drained(left)))
    }

    async fn merge(&self, work: &Work, record: &Record, head: &str) -> Result<Done, ReconcileError> {
        let (control, pull) = (&self.parts.control, record.change.pull);
        let title = pull_text(record.change.kind, &environment_of(record)?, record.change.issue).title;
        let found = control.pull(pull).await?;
        if is_merged_into(&found, &work.base.branch) {
            return Ok(Done::event(LifecycleEvent::Merged));
        }
        if found.base_branch != work.base.branch {
            return Ok(Done::event(LifecycleEvent::MergeRefused(OTHER_BASE.to_owned())));
        }
        match self.merge_soon(record, head, &format!("{title} (#{pull})")).await {
            Ok(commit) => {
                // The head is pinned by the call, the branch that it goes to is not.
                let merged = control.pull(pull).await?;
                if merged.is_merged && !is_merged_into(&merged, &work.base.branch) {
                    return Ok(Done::event(LifecycleEvent::MergeRefused(OTHER_BASE.to_owned())));
                }
                self.say(&format!("#{pull}: merged to {} as {commit}", work.base.branch));
                Ok(Done::event(LifecycleEvent::Merged))
            }
            Err(MergeError::Refused(why)) => {
                // Somebody was quicker.
                if is_merged_into(&control.pull(pull).await?, &work.base.branch) {
                    return Ok(Done::event(LifecycleEvent::Merged));
                }
                Ok(Done::event(LifecycleEvent::MergeRefused(why)))
            }
            // The step stays in the outbox: the next tick tries again.
            Err(MergeError::NotYet(why)) => Err(ReconcileError::NotMergedYet { pull, why }),
            Err(MergeError::GitHub(error)) => Err(error.into()),
        }
    }

    /// Merges, some times if need be: each merge moves the default branch, and until GitHub has found out again whether the others can
    /// be merged it refuses them.
    async fn merge_soon(&self, record: &Record, head: &str, title: &str) -> Result<String, MergeError> {
        let (control, pull) = (&self.parts.control, record.change.pull);
        let mut refused = MergeError::NotYet("the default branch is moved all the time".to_owned());
        for _ in 0..MERGES_MAX {
            refused = match control.merge(pull, head, title).await {
                Err(MergeError::Refused(why)) => {
                    let found = control.pull(pull).await?;
                    let is_known = !found.is_open || found.head != head || found.mergeable.is_some();
                    if is_known {
                        return Err(MergeError::Refused(why));
                    }
                    MergeError::NotYet(why)
                }
                Err(error @ MergeError::NotYet(_)) => error,
                done => return done,
            };
            match self.pull_with_mergeability(record).await {
                Ok(_) => {}
                Err(ReconcileError::GitHub(error)) => return Err(error.into()),
                Err(_) => break,
            }
        }
        Err(refused)
    }

    /// Puts a change that is over to the history, and takes its branch away.
    async fn close_if_over(&self, key: &str) -> Result<(), ReconcileError> {
        let Some((record, _)) = self.change_store.record(key).await? else { return Ok(()) };
        if !record.is_finished() || !key.ends_with("/change.json") {
            return Ok(());
        }
        // Before its place is free: the next change has a branch of its own.
        self.parts.control.delete_branch(&record.change.branch).await?;
        self.change_store.archive(key, &record).await?;
        self.say(&format!("{}: {}", record.change.environment, record.change.state.word()));
        Ok(())
    }
}

/// What the record remembers of a step; `place` is where the step was in the outbox.
fn take_note(record: &mut Record, place: usize, note: &Note) {
    match note {
        Note::StateComment(posted) => record.state_comment = Some(posted.clone()),
        Note::Plan { key, continuations, outputs } => {
            record.plan_key = Some(key.clone());
            record.continuations.clone_from(continuations);
            record.outputs.extend(outputs.iter().map(|(name, text)| (name.clone(), text.clone().into())));
        }
        // A look has noted it already, or somebody pushed since, and it is not the head any more.
        Note::Head { head, .. } if record.locking.as_ref() != Some(head) => {}
        Note::Head { head, ordered } => record.has_lock_file_at(head, ordered.as_ref()),
        Note::LockFile(hash) => record.lock_file = Some(hash.clone()),
        // Shown by who completes the step.
        Note::Unlocked => {}
        Note::NoPlan { key } => {
            if record.plan_key.as_ref() == Some(key) {
                record.plan_key = None;
                record.continuations.clear();
            }
        }
        Note::Applied { head, outputs } => {
            record.applied_head = Some(head.clone());
            record.outputs.extend(outputs.clone());
        }
        Note::LockedInstead(lock) => {
            // What would have been said next is not true.
            let said = record.outbox.get_mut(place).map(|todo| &mut todo.step);
            if let Some(ChangeStep::Say(said)) = said
                && let Reply::Locked { by, .. } = said.as_ref()
            {
                let why = Denial::IsLocked(lock.clone());
                **said = Reply::Denied { command: "lock".into(), actor: by.clone(), why };
            }
        }
    }
}
