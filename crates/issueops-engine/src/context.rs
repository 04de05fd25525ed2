//! What every part of a reconcile pass stands on: the ports, the records, the default branch as it is now, and the run that is
//! at work. It knows none of the parts.

use std::collections::BTreeMap;
use std::sync::Arc;

use runnersmith_issueops::change::{
    Actor, ChangeStep, Digest, HeldLock, Holder, LifecycleEvent, Liveness, Membership, Permission, State, decide,
};
use runnersmith_issueops::policy::{EnvironmentName, Policy};
use runnersmith_ports::{Clock, ControlRepository, GitHubError, RecordStore, chain};
use runnersmith_types::Account;

use crate::base::{Base, Reader};
use crate::change_store::ChangeStore;
use crate::error::ReconcileError;
use crate::fleet::Fleet;
use crate::provisioner::{Progress, Provisioner};
use crate::record::{Posted, Record, Rights};
use crate::runs::{Run, Runs};
use crate::seal::Seal;

/// Sets where GitHub sends an environment's webhooks. A port, since the App's own identity is needed.
#[async_trait::async_trait]
pub trait Webhooks: Send + Sync + 'static {
    /// Sets address and secret, which lies in a parameter, for the environment's own organisation, which is one of the policy's: GitHub
    /// allows 20 webhooks for an event in each. Returns what to say to people.
    async fn point(
        &self,
        policy: &Policy,
        organization: &str,
        endpoint: &str,
        secret_parameter: &str,
    ) -> Result<String, String>;

    /// Removes what leads to an endpoint that is gone, in all organisations of the policy: earlier versions made a webhook in each. Returns
    /// what to say to people; nothing when there was none.
    async fn forget(&self, policy: &Policy, endpoint: &str) -> Result<String, String>;
}

/// What a reconciler is made of.
pub struct ReconcilerParts {
    /// The control repository.
    pub control: Arc<dyn ControlRepository>,
    /// Where records lie.
    pub record_store: Arc<dyn RecordStore>,
    /// How people are shown where that is, such as `s3://bucket/prefix/`.
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
    /// Receives what is done.
    pub progress: Arc<dyn Progress>,
    /// How long to wait before GitHub is asked again whether a branch can be merged.
    pub merge_wait: std::time::Duration,
    /// Runnersmith's version.
    pub version: String,
}

/// The reconciler.
pub struct ChangeReconciler {
    pub(crate) parts: ReconcilerParts,
    pub(crate) change_store: ChangeStore,
    pub(crate) reader: Reader,
}

/// One look, from its begin to its end.
pub(crate) struct Work {
    pub base: Base,
    pub run: Box<dyn Run>,
}

impl ChangeReconciler {
    /// A reconciler.
    #[must_use]
    pub fn new(parts: ReconcilerParts) -> Self {
        let (change_store, reader) = (ChangeStore::new(parts.record_store.clone()), Reader::new(parts.control.clone()));
        Self { parts, change_store, reader }
    }

    /// The records.
    #[must_use]
    pub fn change_store(&self) -> &ChangeStore {
        &self.change_store
    }

    pub(crate) async fn begin(&self) -> Result<Work, ReconcileError> {
        let base = Base::read(self.parts.control.as_ref(), &self.reader).await?;
        Ok(Work { base, run: self.parts.runs.begin() })
    }

    /// Decides what follows from an event, and stores it with its steps in one write. `None`: there is no such change.
    pub(crate) async fn event(
        &self,
        work: &Work,
        key: &str,
        event: &LifecycleEvent,
    ) -> Result<Option<Record>, ReconcileError> {
        let updated = self.change_store.update(key, |record| {
            self.follow(work, record, event);
            Some(())
        });
        Ok(updated.await?.map(|(record, ())| record))
    }

    /// Decides what follows from an event, and takes it into a record that is about to be stored.
    pub(crate) fn follow(&self, work: &Work, record: &mut Record, event: &LifecycleEvent) {
        let decision = decide(&record.change, event, &work.base.policy.approval, self.parts.clock.now());
        record.take(decision, work.run.name(), self.parts.rights);
    }

    /// Who somebody is, as GitHub says now.
    pub(crate) async fn actor(&self, work: &Work, account: &Account, is_person: bool) -> Result<Actor, ReconcileError> {
        let login = account.login.as_str();
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
                Ok(false) => Membership::Outsider,
                Err(error) => {
                    tracing::warn!(team = %team.escape_debug(), error = %chain(&error), "a team could not be read");
                    Membership::Unknown
                }
            },
        };
        Ok(Actor { account: account.clone(), is_person, permission, membership })
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
        let works = |step: &ChangeStep| {
            matches!(
                step,
                ChangeStep::Plan { .. }
                    | ChangeStep::Reread { .. }
                    | ChangeStep::Apply { .. }
                    | ChangeStep::Drain { .. }
            )
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

    /// Posts a text, in place of an older one if there is one; one that says it already is left alone.
    pub(crate) async fn post(&self, issue: u64, old: Option<&Posted>, text: &str) -> Result<Posted, ReconcileError> {
        let hash = Digest::of(text.as_bytes());
        if let Some(old) = old {
            if old.text == hash {
                return Ok(old.clone());
            }
            match self.parts.control.edit_comment(old.id, text).await {
                Ok(()) => return Ok(Posted { id: old.id, text: hash }),
                // Somebody deleted it.
                Err(GitHubError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Posted { id: self.parts.control.add_comment(issue, text).await?, text: hash })
    }

    /// The provisioner's version.
    pub(crate) async fn provisioner_version(&self, environment: &str) -> Result<String, ReconcileError> {
        let version = self.parts.provisioner.version().await;
        version.map_err(|source| ReconcileError::Provision { environment: environment.to_owned(), source })
    }
}

/// The environment of a record, as a name again.
pub(crate) fn environment_of(record: &Record) -> Result<EnvironmentName, ReconcileError> {
    EnvironmentName::parse(&record.change.environment)
        .map_err(|error| ReconcileError::Internal(format!("the record of a change: {error}")))
}
