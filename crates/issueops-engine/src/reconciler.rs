//! The reconciler: where requests are taken, looked at again, and carried through.
//!
//! It is level-triggered like the control plane's loop. A signal says where to look; what is done follows from what is there:
//! the issue as it reads now, the branch as it is now, the comments that were not read yet, and the record. A lost or doubled
//! webhook is mended by the next look.

use std::collections::BTreeMap;
use std::sync::Arc;

use runnersmith_issueops::change::{
    Actor, Digest, Event, HeldLock, Holder, Liveness, Membership, Permission, State, Step, decide,
};
use runnersmith_issueops::policy::Policy;
use runnersmith_issueops::request::Kind;
use runnersmith_ports::{Clock, ControlRepository, GitHubError, RecordStore, chain};
use runnersmith_types::ChangeTrigger;

use crate::base::{Base, BaseError, Reader};
use crate::change_store::{ChangeStore, ChangeStoreError};
use crate::fleet::{Fleet, FleetError};
use crate::provisioner::{Progress, ProvisionError, Provisioner};
use crate::record::{Record, Rights};
use crate::runs::{Run, Runs};
use crate::seal::{Seal, SealError};

/// Why a look did not come to its end. What was decided is stored, and the next look goes on.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// GitHub.
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    /// The default branch.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// The records.
    #[error(transparent)]
    ChangeStore(#[from] ChangeStoreError),
    /// The control plane.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// A plan file.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The provisioner could not even begin.
    #[error("provision {environment}")]
    Provision {
        /// Which environment.
        environment: String,
        /// Why.
        #[source]
        source: ProvisionError,
    },
    /// Something of ours does not fit.
    #[error("{0}")]
    Internal(String),
}

/// Sets where GitHub sends an environment's webhooks. A port, since the App's own identity is needed.
#[async_trait::async_trait]
pub trait Webhooks: Send + Sync + 'static {
    /// Sets address and secret, which lies in a parameter. Returns what to tell people.
    async fn point(&self, policy: &Policy, endpoint: &str, secret_parameter: &str) -> Result<String, String>;

    /// Removes what leads to an endpoint that is gone. Returns what to tell people; nothing when there was none.
    async fn forget(&self, policy: &Policy, endpoint: &str) -> Result<String, String>;
}

/// What a reconciler is made of.
pub struct Parts {
    /// The control repository.
    pub control: Arc<dyn ControlRepository>,
    /// Where records lie.
    pub record_store: Arc<dyn RecordStore>,
    /// How people are told where that is, such as `s3://bucket/prefix/`.
    pub record_store_name: String,
    /// Makes environments real.
    pub provisioner: Arc<dyn Provisioner>,
    /// The control plane.
    pub fleet: Arc<dyn Fleet>,
    /// Sets webhook addresses, if somebody can.
    pub webhooks: Option<Arc<dyn Webhooks>>,
    /// Who is at work.
    pub runs: Arc<dyn Runs>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Seals plan files.
    pub seal: Seal,
    /// What this home may do.
    pub rights: Rights,
    /// Told what is done.
    pub progress: Arc<dyn Progress>,
    /// How long to wait before GitHub is asked again whether a branch can be merged.
    pub merge_wait: std::time::Duration,
    /// Runnersmith's version.
    pub version: String,
}

/// The reconciler.
pub struct ChangeReconciler {
    pub(crate) parts: Parts,
    pub(crate) change_store: ChangeStore,
    pub(crate) reader: Reader,
}

/// One look, from its begin to its end.
pub(crate) struct Work {
    pub base: Base,
    pub run: Box<dyn Run>,
}

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
    /// A reconciler.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let (change_store, reader) = (ChangeStore::new(parts.record_store.clone()), Reader::new(parts.control.clone()));
        Self { parts, change_store, reader }
    }

    /// The records.
    #[must_use]
    pub fn change_store(&self) -> &ChangeStore {
        &self.change_store
    }

    async fn begin(&self) -> Result<Work, ReconcileError> {
        let base = Base::read(self.parts.control.as_ref(), &self.reader).await?;
        Ok(Work { base, run: self.parts.runs.begin() })
    }

    /// Looks where a signal says, and does what follows and may be done here.
    ///
    /// # Errors
    /// When something cannot be read or written. What was decided is stored; looking again goes on.
    pub async fn handle(&self, signal: &ChangeTrigger) -> Result<Handled, ReconcileError> {
        let work = self.begin().await?;
        let mut handled = Handled::default();
        match signal {
            ChangeTrigger::Issue { number, editor } => {
                for key in self.on_issue(&work, *number, editor.as_deref()).await? {
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
                        self.look(&work, &key, None).await?;
                        self.advance(&work, &key).await?;
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
                    self.event(&work, &key, &Event::Tick).await?;
                }
                self.advance(&work, &key).await
            };
            if let Err(error) = looked.await {
                handled.failed.push(tell(&record, &error));
            }
            self.add(&mut handled, &key).await?;
        }
        Ok(handled)
    }

    /// Everything: issues whose webhook was lost, branches that moved, comments that nobody read, plans that expire.
    async fn tick(&self, work: &Work) -> Result<Handled, ReconcileError> {
        let mut handled = Handled::default();
        for kind in Kind::ALL {
            for issue in self.parts.control.open_issues(kind.label()).await? {
                let looked = async {
                    let note = self.change_store.issue(issue.number).await?;
                    let is_as_read = note.body == Some(Digest::of(issue.body.as_bytes())) && !note.waits();
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
                self.look(work, &key, None).await?;
                self.look_at_apply(work, &key).await?;
                self.event(work, &key, &Event::Tick).await?;
                self.advance(work, &key).await
            };
            if let Err(error) = looked.await {
                handled.failed.push(tell(&record, &error));
            }
            self.add(&mut handled, &key).await?;
        }
        Ok(handled)
    }

    /// An apply of which nothing waits any more, and whose run is dead: what it did is not known.
    async fn look_at_apply(&self, work: &Work, key: &str) -> Result<(), ReconcileError> {
        let Some((record, _)) = self.change_store.record(key).await? else { return Ok(()) };
        let waits = record.outbox.iter().any(|todo| matches!(todo.step, Step::Apply { .. }));
        if let State::Applying { run, .. } = &record.change.state
            && !waits
            && self.parts.runs.liveness(run).await == Liveness::Dead
        {
            self.event(work, key, &Event::RunDied).await?;
        }
        Ok(())
    }

    /// Decides what follows from an event, and stores it with its steps in one write. `None`: there is no such change.
    pub(crate) async fn event(&self, work: &Work, key: &str, event: &Event) -> Result<Option<Record>, ReconcileError> {
        let updated = self.change_store.update(key, |record| {
            self.follow(work, record, event);
            Some(())
        });
        Ok(updated.await?.map(|(record, ())| record))
    }

    /// Decides what follows from an event, and takes it into a record that is about to be stored.
    pub(crate) fn follow(&self, work: &Work, record: &mut Record, event: &Event) {
        let decision = decide(&record.change, event, &work.base.policy.approval, self.parts.clock.now());
        record.take(decision, work.run.name(), self.parts.rights);
    }

    /// Who somebody is, as GitHub says now.
    pub(crate) async fn actor(&self, work: &Work, login: &str, is_person: bool) -> Result<Actor, ReconcileError> {
        let role = self.parts.control.role(login).await?;
        let permission = match (role.role_name.as_str(), role.permission.as_str()) {
            ("admin", _) | (_, "admin") => Permission::Admin,
            ("maintain", _) => Permission::Maintain,
            ("triage", _) => Permission::Triage,
            ("write", _) | (_, "write") => Permission::Write,
            ("read", _) | (_, "read") => Permission::Read,
            _ => Permission::None,
        };
        let membership = match &work.base.policy.approval.team {
            None => Membership::Unknown,
            Some(team) => match self.parts.control.is_in_team(team, login).await {
                Ok(true) => Membership::Member,
                Ok(false) => Membership::Stranger,
                Err(error) => {
                    tracing::warn!(team = %team.escape_debug(), error = %chain(&error), "a team could not be read");
                    Membership::Unknown
                }
            },
        };
        Ok(Actor { login: login.to_owned(), is_person, permission, membership })
    }

    /// An environment's lock, with what is known of its holder.
    pub(crate) async fn held_lock(&self, environment: &str) -> Result<Option<HeldLock>, ReconcileError> {
        let Some(note) = self.change_store.lock(environment).await? else { return Ok(None) };
        let liveness = match &note.lock.holder {
            Holder::Person(_) => Liveness::Unknown,
            Holder::Run { run, .. } => self.parts.runs.liveness(run).await,
        };
        Ok(Some(HeldLock { lock: note.lock, liveness }))
    }

    /// Whether the run that plans, checks or applies a change goes on.
    pub(crate) async fn run_of(&self, record: &Record) -> Liveness {
        let works = |step: &Step| {
            matches!(step, Step::Plan { .. } | Step::Reread { .. } | Step::Apply { .. } | Step::Drain { .. })
        };
        let mut by = BTreeMap::new();
        for todo in record.outbox.iter().filter(|todo| works(&todo.step)) {
            match &todo.by {
                Some(run) => by.insert(run.clone(), self.parts.runs.liveness(run).await),
                // It waits for somebody who may.
                None => return Liveness::Unknown,
            };
        }
        if by.values().any(|liveness| *liveness == Liveness::Alive) {
            return Liveness::Alive;
        }
        if by.is_empty()
            && let State::Applying { run, .. } = &record.change.state
        {
            return self.parts.runs.liveness(run).await;
        }
        if !by.is_empty() && by.values().all(|liveness| *liveness == Liveness::Dead) {
            return Liveness::Dead;
        }
        Liveness::Unknown
    }

    pub(crate) fn say(&self, line: &str) {
        self.parts.progress.line(line);
    }
}

fn tell(record: &Record, error: &ReconcileError) -> String {
    format!("{} (#{}): {}", record.change.environment, record.change.pull, chain(error))
}
