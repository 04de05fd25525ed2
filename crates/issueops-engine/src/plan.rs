//! Making a plan, and storing it with all that it is shown by.

use std::collections::{BTreeMap, BTreeSet};

use runnersmith_issueops::change::{
    ChangeFailure, ChangeKind, ChangeStage, ChangeStep, Digest, DigestInput, LifecycleEvent, PlanRecord, State,
};
use runnersmith_issueops::comment::Layout;
use runnersmith_issueops::render::{LOCK_FILE, VALUES_FILE};
use runnersmith_issueops::summary::{EnvironmentFleet, GroupAccess};
use runnersmith_ports::control::FileChanges;
use runnersmith_ports::record_store::RECORD_BYTES_MAX;
use runnersmith_ports::{Expect, GitHubError, chain};

use crate::base::{BaseError, git_blob};
use crate::bundle::{Bundle, Made};
use crate::change_store::{ChangeStoreError, plan_key};
use crate::compared::Workspace;
use crate::context::{ChangeReconciler, Work, environment_of};
use crate::error::ReconcileError;
use crate::outcome::{Done, Note, failure};
use crate::provisioner::{MadePlan, PlanOptions, ProvisionError};
use crate::record::{Posted, Record, Todo};
use crate::stored_plan::text_key;

impl ChangeReconciler {
    /// Makes a plan of the change's branch; what fails in it is an event, what fails around it an error.
    pub(crate) async fn plan(
        &self,
        work: &Work,
        key: &str,
        record: &Record,
        (todo, without_lock): (u64, bool),
    ) -> Result<Done, ReconcileError> {
        if record.change.state != State::Planning {
            return Ok(Done::default());
        }
        let mut record = record.clone();
        let pull = self.parts.control.pull(record.change.pull).await?;
        if self.head_of(&record, &pull).await? != record.head {
            // Somebody pushed meanwhile: what follows from that is another plan, or none. Of a commit that a run of ours put there before it
            // died nothing follows: it is planned here.
            self.look(work, key, None).await?;
            match self.still_to_plan(key, todo).await? {
                Some(now) => record = now,
                None => return Ok(Done::default()),
            }
        }
        // What nobody edited follows the default branch, so that it can be merged; and the request is checked again, since the
        // policy may allow less by now.
        if !record.change.is_hand_edited && pull.is_open {
            match self.render_again(work, key, &record).await? {
                Ok(again) => record = again,
                Err(event) => return Ok(Done::event(event)),
            }
        }
        let environment = record.change.environment.clone();
        let workspace = match self.workspace(work, &record).await {
            Ok(Some(workspace)) => workspace,
            // Somebody brought it to the default branch, or it is not what an admin has read: it runs with our credentials only if an
            // admin asks.
            Ok(None) => {
                let edited = Some(self.edited_files(work, &record, &record.head).await?);
                return Ok(Done::event(LifecycleEvent::Pushed { committers: BTreeSet::new(), edited }));
            }
            // Files that cannot be planned; what GitHub does not give now is asked for again.
            Err(ReconcileError::Base(error @ BaseError::File { .. })) => {
                let failure = ChangeFailure::new(ChangeStage::Plan, chain(&error));
                return Ok(Done::event(LifecycleEvent::PlanFailed(failure)));
            }
            Err(error) => return Err(error),
        };
        self.say(&format!("{environment}: planning #{}", record.change.pull));
        let options = PlanOptions { destroy: record.change.kind == ChangeKind::Delete, without_lock };
        let made = match self.parts.provisioner.plan(&workspace, options, self.parts.progress.as_ref()).await {
            Ok(made) => made,
            Err(source @ ProvisionError::Cancelled) => return Err(ReconcileError::Provision { environment, source }),
            Err(error) => return Ok(Done::event(LifecycleEvent::PlanFailed(failure(ChangeStage::Plan, &error)))),
        };
        let mut notes = Vec::new();
        match self.keep_lock_file(key, &record, &workspace, &made).await {
            Ok(None) => {}
            Ok(Some(head)) => notes.push(self.goes_on_with_lock_file(work, &mut record, head).await?),
            // Somebody pushed while it was planned, or merged and the branch is gone.
            Err(error @ ReconcileError::GitHub(GitHubError::Conflict { .. } | GitHubError::NotFound { .. })) => {
                self.look(work, key, None).await?;
                return match self.still_to_plan(key, todo).await? {
                    Some(now) if now.head != record.head => {
                        Box::pin(self.plan(work, key, &now, (todo, without_lock))).await
                    }
                    // Nothing explains it, and nothing would be different now: the step waits for the next look.
                    Some(_) => Err(error),
                    None => Ok(Done::default()),
                };
            }
            Err(error) => return Err(error),
        }
        self.store_plan(work, &record, &workspace, &made, (todo, notes)).await
    }

    /// What was ordered is there as it was, with our own lock file at a new head: the order is of that from now on.
    async fn goes_on_with_lock_file(
        &self,
        work: &Work,
        record: &mut Record,
        head: String,
    ) -> Result<Note, ReconcileError> {
        let ordered = match record.change.is_hand_edited {
            true => Some(self.edited_files(work, record, &head).await?),
            false => None,
        };
        record.head.clone_from(&head);
        if let Some(ordered) = &ordered {
            record.change.ordered_files = Some(ordered.digest);
        }
        Ok(Note::Head { head, ordered })
    }

    /// The change as it is now, if it is this step that has to plan it: none that came after it, and no look at the issue, which has put
    /// what it rendered on the branch and orders a plan of that when it has recorded it.
    async fn still_to_plan(&self, key: &str, todo: u64) -> Result<Option<Record>, ReconcileError> {
        let is_newer = |other: &Todo| matches!(other.step, ChangeStep::Plan { .. }) && other.id > todo;
        let is_own = |record: &Record| record.change.state == State::Planning && !record.outbox.iter().any(is_newer);
        let found = self.change_store.record(key).await?.map(|(record, _)| record);
        let Some(record) = found.filter(is_own) else { return Ok(None) };
        let is_rendering = record.rendering.as_ref() == Some(&record.head)
            && self.change_store.issue(record.change.issue).await?.busy.is_some();
        Ok((!is_rendering).then_some(record))
    }

    /// Commits Terraform's lock file of provider versions, so that the apply uses the same. Returns the new head.
    async fn keep_lock_file(
        &self,
        key: &str,
        record: &Record,
        workspace: &Workspace,
        made: &MadePlan,
    ) -> Result<Option<String>, ReconcileError> {
        let Some(lock_file) = &made.lock_file else { return Ok(None) };
        if record.change.kind == ChangeKind::Delete || workspace.file(LOCK_FILE) == Some(lock_file) {
            return Ok(None);
        }
        if !self.parts.control.pull(record.change.pull).await?.is_open {
            // It takes no commit any more: somebody merged it.
            return Ok(None);
        }
        let path = format!("{}/{LOCK_FILE}", workspace.folder());
        let changes = FileChanges::from([(path, Some(lock_file.clone()))]);
        let message = format!("Lock provider versions of {}", record.change.environment);
        let control = &self.parts.control;
        let commit = control.commit(&record.head, &message, &changes).await?;
        if !self.note_own_commit(key, &commit, |record| record.locking = Some(commit.clone())).await? {
            return Ok(None);
        }
        control.move_branch(&record.change.branch, &commit, false).await?;
        Ok(Some(commit))
    }

    /// Stores a plan and posts what does not fit into the comment of its change.
    async fn store_plan(
        &self,
        work: &Work,
        record: &Record,
        workspace: &Workspace,
        made: &MadePlan,
        (todo, mut notes): (u64, Vec<Note>),
    ) -> Result<Done, ReconcileError> {
        let summary = &made.summary;
        let layout = match Layout::of(summary, &made.text) {
            Ok(layout) => layout,
            Err(error) => {
                let failure = ChangeFailure::new(ChangeStage::Plan, error.to_string());
                return Ok(Done { event: Some(LifecycleEvent::PlanFailed(failure)), notes });
            }
        };
        let environment = environment_of(record)?;
        // Where it was not committed, there is the one that there was; the apply takes the one of the plan.
        let is_committed = notes.iter().any(|note| matches!(note, Note::Head { .. }));
        let lock_file = match &made.lock_file {
            Some(lock_file) if is_committed => Digest::of(lock_file),
            _ => self.lock_file_now(&self.tree_to_plan(work, record, &record.head).await?, workspace.folder()).await?,
        };
        notes.extend(made.lock_file.as_ref().map(|lock_file| Note::LockFile(git_blob(lock_file))));
        let parts = self.parts_of(work, record, lock_file, made, &layout).await?;
        // Two runs may make the same plan at once; what one of them drops is not the other's.
        let key = plan_key(environment.as_str(), &format!("{}-{todo}", parts.digest().short()));
        if let Some(too_large) = self.write_bundle(work, record, workspace, made, (&key, &layout)).await? {
            return Ok(Done { event: Some(LifecycleEvent::PlanFailed(too_large)), notes });
        }
        let continuations = self.post_continuations(record, &layout).await?;
        // Once it is destroyed, and also when that is half done, nothing else says what led there.
        let outputs = match record.change.kind {
            ChangeKind::Delete => summary.outputs_before.clone(),
            ChangeKind::Set => BTreeMap::new(),
        };
        notes.push(Note::Plan { key, continuations, outputs });
        self.say(&format!("{environment}: plan {}: {summary}", parts.digest().short()));
        let plan = PlanRecord {
            parts,
            posted_at: self.parts.clock.now(),
            loses_state: summary.losses().next().is_some(),
            is_hand_edited: record.change.is_hand_edited,
            ordered_files: record.change.ordered_files,
        };
        Ok(Done { event: Some(LifecycleEvent::PlanPosted(plan)), notes })
    }

    /// Everything that an approval of this plan is about.
    async fn parts_of(
        &self,
        work: &Work,
        record: &Record,
        lock_file: Digest,
        made: &MadePlan,
        layout: &Layout,
    ) -> Result<DigestInput, ReconcileError> {
        Ok(DigestInput {
            plan_file: Digest::of(&made.file),
            head: record.head.clone(),
            base: work.base.digest(&environment_of(record)?),
            state_lineage: made.state.lineage.clone(),
            state_serial: made.state.serial,
            lock_file,
            terraform_version: self.provisioner_version(&record.change.environment).await?,
            runnersmith_version: self.parts.version.clone(),
            continuations: layout.digests(),
        })
    }

    /// Stores the plan under its key, sealed, with everything that its comment is made from; a text that is too long for
    /// comments lies beside it. A plan that is larger than a record can be is not stored: the failure is returned, since another
    /// plan of the same change would be as large.
    async fn write_bundle(
        &self,
        work: &Work,
        record: &Record,
        workspace: &Workspace,
        made: &MadePlan,
        (key, layout): (&str, &Layout),
    ) -> Result<Option<ChangeFailure>, ReconcileError> {
        let differences = match record.change.is_hand_edited {
            true => {
                let mut differences = self.check_head(work, record, &record.head).await?.differences;
                let strange = self.strange_in_plan(work, record).await?;
                differences.extend(strange.into_iter().filter(|one| !differences.contains(one)).collect::<Vec<_>>());
                differences
            }
            false => Vec::new(),
        };
        let before = work.base.values(&self.reader, &environment_of(record)?).await?;
        let after = match record.change.kind {
            ChangeKind::Delete => None,
            ChangeKind::Set => workspace.file(VALUES_FILE).map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
        };
        let access = self.access(after.as_ref().or(before.as_ref())).await;
        let mut bundle = Bundle::new(Made {
            file: &made.file,
            summary: &made.summary,
            text: made.text.clone(),
            before,
            after,
            access,
            differences: &differences,
        });
        let record_store = self.change_store.record_store();
        let text = layout.file.as_ref().map(|file| (text_key(key), file.as_bytes()));
        bundle.place = text.as_ref().map(|(text, _)| format!("{}{text}", self.parts.record_store_name));
        let sealed = self.parts.seal.seal(key, &bundle.write()?)?;
        let largest = text.as_ref().map_or(0, |(_, bytes)| bytes.len()).max(sealed.len());
        if largest > RECORD_BYTES_MAX {
            return Ok(Some(too_large(largest)));
        }
        if let Some((text, bytes)) = text {
            record_store.put(&text, bytes, &Expect::Any).await.map_err(ChangeStoreError::from)?;
        }
        record_store.put(key, &sealed, &Expect::Any).await.map_err(ChangeStoreError::from)?;
        Ok(None)
    }

    /// Further comments, each at its place; those that are too many go.
    async fn post_continuations(&self, record: &Record, layout: &Layout) -> Result<Vec<Posted>, ReconcileError> {
        let mut posted = Vec::new();
        for (place, text) in layout.continuations.iter().enumerate() {
            posted.push(self.post(record.change.pull, record.continuations.get(place), text).await?);
        }
        for old in record.continuations.iter().skip(layout.continuations.len()) {
            self.parts.control.delete_comment(old.id).await?;
        }
        Ok(posted)
    }

    /// Who may use the runner group that an environment's values name.
    async fn access(&self, values: Option<&String>) -> GroupAccess {
        let Some(fleet) = values.and_then(|text| EnvironmentFleet::of_values(text).ok()) else {
            return GroupAccess::Unknown;
        };
        match self.parts.control.runner_group(&fleet.organization, &fleet.group).await {
            Ok(None) => GroupAccess::Missing,
            Ok(Some(group)) => match group.selected {
                None => GroupAccess::All { public: group.allows_public },
                Some(repositories) => GroupAccess::Selected { repositories, public: group.allows_public },
            },
            Err(error) => {
                tracing::info!(error = %chain(&error), "who may use the runner group could not be read");
                GroupAccess::Unknown
            }
        }
    }
}

/// Why a plan that cannot be stored counts as failed, and what to do.
fn too_large(bytes: usize) -> ChangeFailure {
    const MIB: usize = 1024 * 1024;
    let message = format!(
        "the plan takes {} MB when it is stored, and {} MB can be stored; change the environment in smaller steps",
        bytes.div_ceil(MIB),
        RECORD_BYTES_MAX / MIB
    );
    ChangeFailure::new(ChangeStage::Plan, message)
}
