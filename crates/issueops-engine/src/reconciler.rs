//! The reconciler: where requests are taken, looked at again, and carried through.
//!
//! It is level-triggered like the control plane's loop. A signal says where to look; what is done follows from what is there:
//! the issue as it reads now, the branch as it is now, the comments that were not read yet, and the record. A lost or doubled
//! webhook is made up for by the next look.

use runnersmith_issueops::change::{ChangeStep, Digest, LifecycleEvent, Liveness, State};
use runnersmith_issueops::request::RequestKind;
use runnersmith_ports::{GitHubError, chain};
use runnersmith_types::ChangeTrigger;

use crate::context::{ChangeReconciler, Work};
use crate::error::ReconcileError;
use crate::intake::change_kind;
use crate::record::{AskedFor, Record};

/// What a look left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handled {
    /// Environments whose change waits for somebody with the right to apply.
    pub needs_apply: Vec<String>,
    /// Environments that drain.
    pub draining: Vec<String>,
    /// Changes and issues that could not be looked at, with why; the others were.
    pub failed: Vec<String>,
}

impl Handled {
    fn add(&mut self, record: &Record) {
        let environment = record.change.environment.clone();
        if record.needs_apply() {
            self.needs_apply.push(environment.clone());
        }
        if record.change.state.is_draining() {
            self.draining.push(environment);
        }
    }
}

impl ChangeReconciler {
    /// Looks where a signal says, and does what follows and may be done here.
    ///
    /// # Errors
    /// When something cannot be read or written. What was decided is stored; looking again goes on.
    pub async fn handle(&self, signal: &ChangeTrigger) -> Result<Handled, ReconcileError> {
        let work = self.begin().await?;
        let mut handled = Handled::default();
        match signal {
            ChangeTrigger::Issue { number, editor } => {
                for key in self.on_issue(&work, *number, editor.as_ref()).await? {
                    self.add(&mut handled, &key).await?;
                }
            }
            ChangeTrigger::Pull { number } => {
                if let Some(key) = self.on_pull(&work, *number).await? {
                    self.add(&mut handled, &key).await?;
                }
            }
            ChangeTrigger::Branch { name } => {
                for (key, record) in self.change_store.open().await? {
                    if record.change.branch == *name {
                        self.look_and_advance(&work, &key, None).await?;
                        self.add(&mut handled, &key).await?;
                    }
                }
            }
            ChangeTrigger::Tick => return self.tick(&work).await,
        }
        Ok(handled)
    }

    async fn add(&self, handled: &mut Handled, key: &str) -> Result<(), ReconcileError> {
        if let Some((record, _)) = self.change_store.record(key).await? {
            handled.add(&record);
        }
        Ok(())
    }

    /// Does what only somebody with the right to apply may do, for every change that waits for it.
    ///
    /// # Errors
    /// As [`Self::handle`].
    pub async fn proceed(&self) -> Result<Handled, ReconcileError> {
        let work = self.begin().await?;
        let mut handled = Handled::default();
        for (key, record) in self.change_store.open().await? {
            if !record.needs_apply() && record.outbox.is_empty() {
                continue;
            }
            let looked = async {
                if record.change.state.is_draining() {
                    self.event(&work, &key, &LifecycleEvent::Tick).await?;
                }
                self.advance(&work, &key).await
            };
            if let Err(error) = looked.await {
                handled.failed.push(described(&record, &error));
            }
            self.add(&mut handled, &key).await?;
        }
        Ok(handled)
    }

    /// Everything: issues whose webhook was lost, branches that moved, comments that nobody read, plans that expire.
    async fn tick(&self, work: &Work) -> Result<Handled, ReconcileError> {
        let mut handled = Handled::default();
        for kind in RequestKind::ALL {
            for issue in self.parts.control.open_issues(kind.label()).await? {
                let looked = async {
                    let note = self.change_store.issue(issue.number).await?;
                    let is_same = note.body == Some(Digest::of(issue.body.as_bytes()))
                        && note.asked == Some(AskedFor::Change(change_kind(kind)));
                    let is_as_read = is_same && !note.waits();
                    if is_as_read && self.is_taken(&note, issue.number).await? {
                        return Ok(());
                    }
                    self.on_issue(work, issue.number, None).await.map(drop)
                };
                if let Err(error) = looked.await {
                    handled.failed.push(format!("issue #{}: {}", issue.number, chain(&error)));
                }
            }
        }
        for (key, record) in self.change_store.open().await? {
            let looked = async {
                self.look_at_issue(work, &key, &record).await?;
                let read = self.look(work, &key, None).await;
                self.look_at_apply(work, &key).await?;
                self.event(work, &key, &LifecycleEvent::Tick).await?;
                self.advance(work, &key).await?;
                read
            };
            if let Err(error) = looked.await {
                handled.failed.push(described(&record, &error));
            }
            self.add(&mut handled, &key).await?;
        }
        Ok(handled)
    }

    /// An apply of which nothing waits any more, and whose run is dead: what it did is not known.
    async fn look_at_apply(&self, work: &Work, key: &str) -> Result<(), ReconcileError> {
        let Some((record, _)) = self.change_store.record(key).await? else { return Ok(()) };
        let waits = record.outbox.iter().any(|todo| matches!(todo.step, ChangeStep::Apply { .. }));
        if let State::Applying { run, .. } = &record.change.state
            && !waits
            && self.parts.runs.liveness(run).await == Liveness::Dead
        {
            self.event(work, key, &LifecycleEvent::RunDied).await?;
        }
        Ok(())
    }

    /// Whether the issue of a change is still open and still asks for it.
    pub(crate) async fn look_at_issue(&self, work: &Work, key: &str, record: &Record) -> Result<(), ReconcileError> {
        match self.parts.control.issue(record.change.issue).await {
            Ok(issue) if issue.is_open => return Ok(()),
            // Closed; or deleted, or taken to another repository, so that nobody asks for it any more.
            Ok(_) | Err(GitHubError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.event(work, key, &LifecycleEvent::Closed).await.map(drop)
    }
}

fn described(record: &Record, error: &ReconcileError) -> String {
    format!("{} (#{}): {}", record.change.environment, record.change.pull, chain(error))
}
