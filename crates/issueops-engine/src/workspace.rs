//! What a plan, a check and an apply work on: the files, once they are compared, and the state behind them.

use runnersmith_issueops::change::{ChangeKind, Digest};
use runnersmith_issueops::policy::EnvironmentName;
use runnersmith_issueops::render::{Difference, LOCK_FILE};

use crate::base::Tree;
use crate::compared::{Compared, StateBackend, Workspace};
use crate::context::{ChangeReconciler, Work, environment_of};
use crate::error::ReconcileError;
use crate::provisioner::StateId;
use crate::record::Record;

impl ChangeReconciler {
    /// What plan and apply work on: the environment's folder as the branch has it, and the module as the default branch has it. A
    /// deletion works on the folder as it is, since the branch has moved it away. `Err`: how files differ from what a request rendered,
    /// when no admin ordered a plan of them.
    pub(crate) async fn workspace(
        &self,
        work: &Work,
        record: &Record,
    ) -> Result<Result<Workspace, Vec<Difference>>, ReconcileError> {
        let environment = environment_of(record)?;
        let folder = work.base.policy.environment_folder(&environment);
        let tree = match record.change.kind {
            ChangeKind::Set => self.parts.control.tree(&record.head).await?,
            ChangeKind::Delete => work.base.tree.clone(),
        };
        let compared = if record.change.is_hand_edited {
            Compared::with_order(&tree, &folder)
        } else {
            let rendered = match record.change.kind {
                ChangeKind::Set => record.files.clone(),
                ChangeKind::Delete => self.rendered_by_last(&environment).await?,
            };
            match Compared::with_rendered(&tree, &folder, rendered.as_ref()) {
                Ok(compared) => compared,
                Err(differences) => return Ok(Err(differences)),
            }
        };
        Ok(Ok(compared.read(&self.reader, &work.base, &environment).await?))
    }

    /// An environment's folder as the default branch has it, if it is what the last request that is done rendered.
    pub(crate) async fn workspace_of_default_branch(
        &self,
        work: &Work,
        environment: &EnvironmentName,
    ) -> Result<Result<Workspace, Vec<Difference>>, ReconcileError> {
        let folder = work.base.policy.environment_folder(environment);
        let rendered = self.rendered_by_last(environment).await?;
        match Compared::with_rendered(&work.base.tree, &folder, rendered.as_ref()) {
            Ok(compared) => Ok(Ok(compared.read(&self.reader, &work.base, environment).await?)),
            Err(differences) => Ok(Err(differences)),
        }
    }

    /// Where an environment's state is, by the policy alone.
    pub(crate) fn state_backend(&self, work: &Work, environment: &EnvironmentName) -> Result<StateBackend, ReconcileError> {
        StateBackend::of(&work.base.policy, environment)
            .map_err(|error| ReconcileError::Internal(format!("the backend of {environment}: {error}")))
    }

    /// The state as it is now.
    pub(crate) async fn state_now(&self, backend: &StateBackend) -> Result<StateId, ReconcileError> {
        let state = self.parts.provisioner.state(backend).await;
        let environment = || backend.environment().to_owned();
        state.map_err(|source| ReconcileError::Provision { environment: environment(), source })
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
