//! What a plan, a check and an apply work on: the files, and the state behind them.

use std::collections::BTreeMap;

use runnersmith_issueops::change::{ChangeKind, Digest};
use runnersmith_issueops::policy::EnvironmentName;
use runnersmith_issueops::render::LOCK_FILE;

use crate::base::{BaseError, Tree, below};
use crate::context::{ChangeReconciler, Work, environment_of};
use crate::error::ReconcileError;
use crate::provisioner::{StateId, Workspace};
use crate::record::Record;

impl ChangeReconciler {
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

    /// Files below an environment's folder as a commit has them, for a workspace.
    pub(crate) async fn folder_at(
        &self,
        tree: &Tree,
        folder: &str,
    ) -> Result<BTreeMap<String, Vec<u8>>, ReconcileError> {
        if below(tree, folder).next().is_none() {
            let why = "has no files; hint: the branch was changed by hand".to_owned();
            return Err(BaseError::File { path: folder.to_owned(), why }.into());
        }
        Ok(self.reader.contents(tree, folder).await?)
    }

    /// The state as it is now.
    pub(crate) async fn state_now(&self, workspace: &Workspace) -> Result<StateId, ReconcileError> {
        let state = self.parts.provisioner.state(workspace).await;
        state.map_err(|source| ReconcileError::Provision { environment: workspace.environment.clone(), source })
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
