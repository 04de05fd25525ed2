//! An environment's lock, taken and given back by steps, and the state's own lock that a dead run may have left beside it.

use runnersmith_issueops::change::{Change, HeldLock, Holder, Liveness, Lock};
use runnersmith_ports::chain;
use runnersmith_types::Account;

use crate::change_store::LockNote;
use crate::context::{ChangeReconciler, Work, environment_of};
use crate::error::ReconcileError;
use crate::outcome::{Done, Note};
use crate::provisioner::LeftBy;
use crate::record::Record;

impl ChangeReconciler {
    /// A lock of somebody, as it is written.
    pub(crate) fn lock_note(&self, work: &Work, holder: Holder, reason: &str) -> Result<LockNote, ReconcileError> {
        use ring::rand::SecureRandom as _;
        let mut id = [0_u8; 8];
        ring::rand::SystemRandom::new()
            .fill(&mut id)
            .map_err(|_| ReconcileError::Internal("this machine has no random numbers".into()))?;
        let lock = Lock { id: hex::encode(id), holder, reason: reason.to_owned(), since: self.parts.clock.now() };
        Ok(LockNote { lock, host: work.run.host().to_owned(), applies: None })
    }

    pub(crate) async fn take_lock(
        &self,
        work: &Work,
        change: &Change,
        by: &Account,
        reason: &str,
    ) -> Result<Done, ReconcileError> {
        let note = self.lock_note(work, Holder::Person(by.clone()), reason)?;
        match self.change_store.take_lock(&change.environment, note, None).await? {
            Ok(()) => Ok(Done::default()),
            Err(held) => Ok(Done::note(Note::LockedInstead(held.lock))),
        }
    }

    /// Takes the lock for this run; returns who has it otherwise.
    pub(crate) async fn lock_for(&self, work: &Work, record: &Record) -> Result<Option<HeldLock>, ReconcileError> {
        let (environment, pull) = (&record.change.environment, record.change.pull);
        let note = self.lock_note(work, Holder::Run { run: work.run.name().to_owned(), pull }, "apply")?;
        match self.change_store.take_lock(environment, note, None).await? {
            Ok(()) => Ok(None),
            Err(held) => {
                let liveness = match &held.lock.holder {
                    Holder::Person(_) => Liveness::Unknown,
                    Holder::Run { run, .. } => self.parts.runs.liveness(run).await,
                };
                Ok(Some(HeldLock { lock: held.lock, liveness }))
            }
        }
    }

    /// Takes the lock over from a dead run of this change, with the state's own lock that it left.
    pub(crate) async fn take_over(&self, work: &Work, record: &Record, lock: &str) -> Result<(), ReconcileError> {
        let (environment, pull) = (&record.change.environment, record.change.pull);
        let Some(old) = self.change_store.lock(environment).await?.filter(|held| held.lock.id == lock) else {
            return Ok(());
        };
        let note = self.lock_note(work, Holder::Run { run: work.run.name().to_owned(), pull }, "apply")?;
        if self.change_store.take_lock(environment, note, Some(lock)).await?.is_ok() {
            self.release_left_lock(work, record, &old).await;
        }
        Ok(())
    }

    /// Terraform's own lock of a dead run goes with ours. When it cannot be released, the next plan says who holds it.
    pub(crate) async fn release_left_lock(&self, work: &Work, record: &Record, note: &LockNote) {
        let left_by = match (&note.applies, &note.lock.holder) {
            (Some(applies), _) => LeftBy { who: applies.host.clone(), since: applies.since },
            (None, Holder::Run { .. }) => LeftBy { who: note.host.clone(), since: note.lock.since },
            (None, Holder::Person(_)) => return,
        };
        self.release_state_lock(work, record, left_by).await;
    }

    /// Releases the state's own lock if that dead run left it. Which state that is the policy says: nobody has compared the files of the
    /// branch with anything when this is done.
    pub(crate) async fn release_state_lock(&self, work: &Work, record: &Record, left_by: LeftBy) {
        let released = async {
            let backend = self.state_backend(work, &environment_of(record)?)?;
            let environment = || record.change.environment.clone();
            let released = self.parts.provisioner.release_left_lock(&backend, &left_by).await;
            released.map_err(|source| ReconcileError::Provision { environment: environment(), source })
        };
        match released.await {
            Ok(Some(id)) => self.say(&format!("{}: the state's own lock {id} is released", record.change.environment)),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(environment = %record.change.environment, error = %chain(&error), "the state's own lock stays");
            }
        }
    }
}

/// Whether this run holds the lock.
pub(crate) fn is_of_run(held: &LockNote, name: &str) -> bool {
    matches!(&held.lock.holder, Holder::Run { run, .. } if run == name)
}
