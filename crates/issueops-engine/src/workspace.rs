//! What a plan, a check and an apply work on: the files, once they are compared, and the state behind them.

use runnersmith_issueops::change::{ChangeKind, Digest, EditedFiles};
use runnersmith_issueops::policy::EnvironmentName;
use runnersmith_issueops::render::{Difference, LOCK_FILE};

use crate::base::Tree;
use crate::compared::{Compared, StateBackend, Workspace, digest_of};
use crate::context::{ChangeReconciler, Work, environment_of};
use crate::error::ReconcileError;
use crate::provisioner::StateId;
use crate::record::Record;

impl ChangeReconciler {
    /// What plan and apply work on: the environment's folder as the branch has it, and the module as the default branch has it. A
    /// deletion works on the folder as it is, since the branch has moved it away. `None`: files are not what a request rendered, or not those
    /// that an admin ordered a plan of.
    pub(crate) async fn workspace(&self, work: &Work, record: &Record) -> Result<Option<Workspace>, ReconcileError> {
        let environment = environment_of(record)?;
        let folder = work.base.policy.environment_folder(&environment);
        let tree = self.tree_to_plan(work, record, &record.head).await?;
        let compared = if record.change.is_hand_edited {
            let is = digest_of(&self.parts.seal, &record.head, &tree, &folder);
            Compared::with_order(&tree, &folder, is, record.change.ordered_files)
        } else {
            let own = match record.change.kind {
                ChangeKind::Set => self.own_of(work, record).await?,
                ChangeKind::Delete => self.own_by_last(work, &environment).await?,
            };
            Compared::with_rendered(&tree, &folder, &own).ok()
        };
        match compared {
            Some(compared) => Ok(Some(compared.read(&self.reader, &work.base, &environment).await?)),
            None => Ok(None),
        }
    }

    /// The files that a plan of a change with this head is made from: the branch's, and of a deletion those of the default branch.
    pub(crate) async fn tree_to_plan(&self, work: &Work, record: &Record, head: &str) -> Result<Tree, ReconcileError> {
        match record.change.kind {
            ChangeKind::Set => Ok(self.parts.control.tree(head).await?),
            ChangeKind::Delete => Ok(work.base.tree.clone()),
        }
    }

    /// Files that were edited by hand, as an admin is asked to read them.
    pub(crate) async fn edited_files(
        &self,
        work: &Work,
        record: &Record,
        head: &str,
    ) -> Result<EditedFiles, ReconcileError> {
        let folder = work.base.policy.environment_folder(&environment_of(record)?);
        let tree = self.tree_to_plan(work, record, head).await?;
        let commit = match record.change.kind {
            ChangeKind::Set => head,
            ChangeKind::Delete => work.base.commit.as_str(),
        };
        let digest = digest_of(&self.parts.seal, head, &tree, &folder);
        Ok(EditedFiles { commit: commit.to_owned(), digest })
    }

    /// An environment's folder as the default branch has it, if it is what the last request that is done rendered.
    pub(crate) async fn workspace_of_default_branch(
        &self,
        work: &Work,
        environment: &EnvironmentName,
    ) -> Result<Result<Workspace, Vec<Difference>>, ReconcileError> {
        let folder = work.base.policy.environment_folder(environment);
        let own = self.own_by_last(work, environment).await?;
        match Compared::with_rendered(&work.base.tree, &folder, &own) {
            Ok(compared) => Ok(Ok(compared.read(&self.reader, &work.base, environment).await?)),
            Err(differences) => Ok(Err(differences)),
        }
    }

    /// Where an environment's state is, by the policy alone.
    pub(crate) fn state_backend(
        &self,
        work: &Work,
        environment: &EnvironmentName,
    ) -> Result<StateBackend, ReconcileError> {
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
