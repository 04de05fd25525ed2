//! Making a plan, storing it, and showing it.

use std::collections::BTreeMap;

use runnersmith_issueops::change::{ChangeKind, Digest, Event, Failure, Parts, PlanRecord, Stage, State, Stopped};
use runnersmith_issueops::comment::{Layout, PlanView, state_comment};
use runnersmith_issueops::policy::EnvironmentName;
use runnersmith_issueops::render::{LOCK_FILE, VALUES_FILE};
use runnersmith_issueops::summary::{Fleet, GroupAccess, cost};
use runnersmith_ports::control::FileChanges;
use runnersmith_ports::{Expect, GitHubError, chain};

use crate::base::{BaseError, Tree};
use crate::bundle::{Bundle, Made};
use crate::change_store::{ChangeStoreError, plan_key};
use crate::intake::environment_of;
use crate::provisioner::{MadePlan, PlanOptions, ProvisionError, StateId, Workspace};
use crate::reconciler::{ChangeReconciler, ReconcileError, Work};
use crate::record::{Posted, Record};
use crate::steps::{Done, Note};

/// How often the comment is written again when the change moved on meanwhile.
const SHOWS_MAX: usize = 5;

/// The key of the long text of a plan.
pub(crate) fn text_key(plan_key: &str) -> String {
    format!("{}.txt", plan_key.trim_end_matches(".plan"))
}

/// A failure of a plan or an apply, as a change has it.
pub(crate) fn failure(stage: Stage, error: &ProvisionError) -> Failure {
    match error {
        ProvisionError::Failed { resource, message } => {
            Failure { resource: resource.clone(), ..Failure::new(stage, message) }
        }
        ProvisionError::Locked { .. } => {
            let hint = "if a run that is dead left this lock, `/unlock` proves it and releases it";
            Failure::new(stage, format!("{error}; {hint}"))
        }
        ProvisionError::Cancelled => {
            Failure { stopped: Some(Stopped::AtWork), ..Failure::new(stage, error.to_string()) }
        }
        ProvisionError::NotBegun => {
            Failure { stopped: Some(Stopped::BeforeItBegan), ..Failure::new(stage, error.to_string()) }
        }
        ProvisionError::Stale | ProvisionError::Unable(_) => Failure::new(stage, error.to_string()),
    }
}

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
            // Somebody pushed meanwhile; what follows from that is another plan, or none.
            self.look(work, key, None).await?;
            return Ok(Done::default());
        }
        // What nobody edited follows the default branch, so that it can be merged; and the request is judged again, since the
        // policy may allow less by now.
        if !record.change.is_hand_edited && pull.is_open {
            match self.render_again(work, key, &record).await? {
                Ok(again) => record = again,
                Err(event) => return Ok(Done::event(event)),
            }
        }
        let environment = record.change.environment.clone();
        self.say(&format!("{environment}: planning #{}", record.change.pull));
        let workspace = match self.workspace(work, &record).await {
            Ok(workspace) => workspace,
            // Files that cannot be planned; what GitHub does not give now is asked for again.
            Err(ReconcileError::Base(error @ BaseError::File { .. })) => {
                let failure = Failure::new(Stage::Plan, chain(&error));
                return Ok(Done::event(Event::PlanFailed(failure)));
            }
            Err(error) => return Err(error),
        };
        let options = PlanOptions { destroy: record.change.kind == ChangeKind::Delete, without_lock };
        let made = match self.parts.provisioner.plan(&workspace, options, self.parts.progress.as_ref()).await {
            Ok(made) => made,
            Err(source @ ProvisionError::Cancelled) => return Err(ReconcileError::Provision { environment, source }),
            Err(error) => return Ok(Done::event(Event::PlanFailed(failure(Stage::Plan, &error)))),
        };
        let mut notes = Vec::new();
        match self.keep_lock_file(&record, &workspace, &made).await {
            Ok(None) => {}
            Ok(Some(head)) => {
                record.head.clone_from(&head);
                notes.push(Note::Head(head));
            }
            // Somebody pushed while it was planned.
            Err(ReconcileError::GitHub(GitHubError::Conflict { .. })) => {
                self.look(work, key, None).await?;
                return Ok(Done::default());
            }
            Err(error) => return Err(error),
        }
        self.store_plan(work, &record, &workspace, &made, (todo, notes)).await
    }

    /// What plan and apply work on: the environment's folder as the branch has it, and the module as the default branch has it. A
    /// deletion works on the folder as it is, since the branch has moved it away.
    pub(crate) async fn workspace(&self, work: &Work, record: &Record) -> Result<Workspace, ReconcileError> {
        let environment = environment_of(record)?;
        match record.change.kind {
            ChangeKind::Set => {
                let tree = self.parts.control.tree(&record.head).await?;
                self.workspace_of(work, &environment, &tree).await
            }
            ChangeKind::Delete => self.workspace_of(work, &environment, &work.base.tree).await,
        }
    }

    /// An environment's folder as a tree has it, with the module of the default branch.
    pub(crate) async fn workspace_of(
        &self,
        work: &Work,
        environment: &EnvironmentName,
        tree: &Tree,
    ) -> Result<Workspace, ReconcileError> {
        let folder = work.base.policy.environment_folder(environment);
        let mut files = match work.base.module_folder(environment) {
            Some(module) => self.reader.contents(&work.base.tree, &module).await?,
            None => Default::default(),
        };
        files.extend(self.folder_at(tree, &folder).await?);
        Ok(Workspace { environment: environment.to_string(), folder, files })
    }

    /// Commits Terraform's lock file of provider versions, so that the apply uses the same. Returns the new head.
    async fn keep_lock_file(
        &self,
        record: &Record,
        workspace: &Workspace,
        made: &MadePlan,
    ) -> Result<Option<String>, ReconcileError> {
        let Some(lock_file) = &made.lock_file else { return Ok(None) };
        let path = format!("{}/{LOCK_FILE}", workspace.folder);
        if record.change.kind == ChangeKind::Delete || workspace.files.get(&path) == Some(lock_file) {
            return Ok(None);
        }
        let changes = FileChanges::from([(path, Some(lock_file.clone()))]);
        let message = format!("Lock provider versions of {}", record.change.environment);
        let control = &self.parts.control;
        let commit = control.commit(&record.head, &message, &changes).await?;
        control.move_branch(&record.change.branch, &commit, false).await?;
        Ok(Some(commit))
    }

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
                let failure = Failure::new(Stage::Plan, error.to_string());
                return Ok(Done { event: Some(Event::PlanFailed(failure)), notes });
            }
        };
        let environment = environment_of(record)?;
        let differences = match record.change.is_hand_edited {
            true => self.judge(work, record, &record.head).await?.differences,
            false => Vec::new(),
        };
        let before = work.base.values(&self.reader, &environment).await?;
        let after = match record.change.kind {
            ChangeKind::Delete => None,
            ChangeKind::Set => workspace
                .files
                .get(&format!("{}/{VALUES_FILE}", workspace.folder))
                .map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
        };
        let access = self.access(after.as_ref().or(before.as_ref())).await;
        let lock_file = made
            .lock_file
            .as_deref()
            .or_else(|| workspace.files.get(&format!("{}/{LOCK_FILE}", workspace.folder)).map(Vec::as_slice));
        let parts = Parts {
            plan_file: Digest::of(&made.file),
            head: record.head.clone(),
            base: work.base.digest(&environment),
            state_lineage: made.state.lineage.clone(),
            state_serial: made.state.serial,
            lock_file: Digest::of(lock_file.unwrap_or_default()),
            terraform_version: self.provisioner_version(&record.change.environment).await?,
            runnersmith_version: self.parts.version.clone(),
            continuations: layout.digests(),
        };
        // Two runs may make the same plan at once; what one of them drops is not the other's.
        let key = plan_key(environment.as_str(), &format!("{}-{todo}", parts.digest().short()));
        let mut bundle = Bundle::new(Made {
            file: &made.file,
            summary,
            text: made.text.clone(),
            before,
            after,
            access,
            differences: &differences,
        });
        let record_store = self.change_store.record_store();
        if let Some(file) = &layout.file {
            let text = text_key(&key);
            record_store.put(&text, file.as_bytes(), &Expect::Any).await.map_err(ChangeStoreError::from)?;
            bundle.place = Some(format!("{}{text}", self.parts.record_store_name));
        }
        let sealed = self.parts.seal.seal(&key, &bundle.write()?)?;
        record_store.put(&key, &sealed, &Expect::Any).await.map_err(ChangeStoreError::from)?;
        let continuations = self.post_continuations(record, &layout).await?;
        // Once it is destroyed, and also when that is half done, nothing else tells what led there.
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
        };
        Ok(Done { event: Some(Event::PlanPosted(plan)), notes })
    }

    /// The provisioner's version.
    pub(crate) async fn provisioner_version(&self, environment: &str) -> Result<String, ReconcileError> {
        let version = self.parts.provisioner.version().await;
        version.map_err(|source| ReconcileError::Provision { environment: environment.to_owned(), source })
    }

    /// The state as it is now.
    pub(crate) async fn state_now(&self, workspace: &Workspace) -> Result<StateId, ReconcileError> {
        let state = self.parts.provisioner.state(workspace).await;
        state.map_err(|source| ReconcileError::Provision { environment: workspace.environment.clone(), source })
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
        let Some(fleet) = values.and_then(|text| Fleet::of_values(text).ok()) else { return GroupAccess::Unknown };
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

    /// The stored plan, opened.
    pub(crate) async fn bundle(&self, record: &Record) -> Result<Option<Bundle>, ReconcileError> {
        let Some(key) = &record.plan_key else { return Ok(None) };
        let Some(found) = self.change_store.record_store().get(key).await.map_err(ChangeStoreError::from)? else {
            return Ok(None);
        };
        match self.parts.seal.open(key, &found.bytes) {
            Ok(bytes) => match Bundle::read(&bytes).and_then(|bundle| bundle.summary().map(|_| bundle)) {
                Ok(bundle) => Ok(Some(bundle)),
                // An older program wrote it.
                Err(error) => {
                    tracing::error!(key = %key, error = %error, "a stored plan cannot be read");
                    Ok(None)
                }
            },
            // Somebody changed it, or the key is another one: it is no plan of ours, and reading again will say so.
            Err(error) => {
                tracing::error!(key = %key, error = %error, "a stored plan is not as it was written");
                Ok(None)
            }
        }
    }

    /// Takes a plan away: its file, its text, its further comments.
    pub(crate) async fn drop_plan(&self, record: &Record) -> Result<(), ReconcileError> {
        let record_store = self.change_store.record_store();
        if let Some(key) = &record.plan_key {
            record_store.delete(key).await.map_err(ChangeStoreError::from)?;
            record_store.delete(&text_key(key)).await.map_err(ChangeStoreError::from)?;
        }
        for posted in &record.continuations {
            self.parts.control.delete_comment(posted.id).await?;
        }
        Ok(())
    }

    /// Shows a change in its comment. Written again while the change moves on, so that the last writer shows the last state.
    pub(crate) async fn show_state(&self, work: &Work, key: &str) -> Result<Option<Posted>, ReconcileError> {
        let (mut posted, mut shown) = (None::<Posted>, None::<runnersmith_issueops::change::Change>);
        for _ in 0..SHOWS_MAX {
            let Some((record, _)) = self.change_store.record(key).await? else { return Ok(posted) };
            if record.change.pull == 0 || shown.as_ref() == Some(&record.change) {
                return Ok(posted);
            }
            let lock = self.held_lock(&record.change.environment).await?;
            let text = self.state_text(work, &record, lock.as_ref()).await?;
            let old = posted.as_ref().or(record.state_comment.as_ref());
            posted = Some(self.post(record.change.pull, old, &text).await?);
            shown = Some(record.change);
        }
        Ok(posted)
    }

    async fn state_text(
        &self,
        work: &Work,
        record: &Record,
        lock: Option<&runnersmith_issueops::change::HeldLock>,
    ) -> Result<String, ReconcileError> {
        let policy = &work.base.policy;
        let bundle = if record.change.state.plan().is_some() { self.bundle(record).await? } else { None };
        let Some(bundle) = bundle else { return Ok(state_comment(&record.change, policy, None, lock)) };
        let summary = bundle.summary()?;
        let (layout, fleet, differences) = (bundle.layout(&summary)?, bundle.fleet(), bundle.differences());
        let costs = cost(&summary, &fleet, policy);
        let view = PlanView {
            summary: &summary,
            layout: &layout,
            fleet: &fleet,
            cost: &costs,
            differences: &differences,
            file_url: bundle.place.as_deref(),
        };
        Ok(state_comment(&record.change, policy, Some(&view), lock))
    }

    /// The lock file of provider versions as it is now.
    pub(crate) async fn lock_file_now(&self, tree: &Tree, folder: &str) -> Result<Digest, ReconcileError> {
        let bytes = match tree.get(&format!("{folder}/{LOCK_FILE}")) {
            Some(blob) => self.reader.blob(&blob.sha).await?.as_ref().clone(),
            None => Vec::new(),
        };
        Ok(Digest::of(&bytes))
    }
}
