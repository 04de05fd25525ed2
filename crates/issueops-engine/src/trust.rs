//! What of the default branch is planned with credentials: of an environment's folder only what a request rendered.
//!
//! A plan runs what its files name. Anybody who may write can merge a pull request of their own where no approval is required, so what
//! lies on the default branch is not believed for lying there: the records say what was rendered, and they are beside the state.

use runnersmith_issueops::change::{ChangeKind, State};
use runnersmith_issueops::policy::EnvironmentName;
use runnersmith_issueops::render::{Difference, LOCK_FILE};
use runnersmith_ports::GitHubError;

use crate::compared::{Compared, Own};
use crate::context::{ChangeReconciler, Work, environment_of};
use crate::error::ReconcileError;
use crate::record::Record;

impl ChangeReconciler {
    /// What the last change of an environment that is done brought to the default branch.
    pub(crate) async fn own_by_last(&self, work: &Work, environment: &EnvironmentName) -> Result<Own, ReconcileError> {
        let last = self.change_store.last_done(environment.as_str()).await?;
        let rendered = last.filter(|last| last.change.state == State::Done && last.change.kind == ChangeKind::Set);
        let Some(last) = rendered else { return Ok(Own::default()) };
        let lock_file = match (last.lock_file, last.applied_head) {
            // An earlier version has not stored it: it is the one of what was approved and applied.
            (None, Some(head)) => match self.parts.control.tree(&head).await {
                Ok(tree) => {
                    let folder = work.base.policy.environment_folder(environment);
                    tree.get(&format!("{folder}/{LOCK_FILE}")).map(|blob| blob.sha.clone())
                }
                Err(GitHubError::NotFound { .. }) => None,
                Err(error) => return Err(error.into()),
            },
            (lock_file, _) => lock_file,
        };
        Ok(Own { files: last.files, lock_files: lock_file.into_iter().collect() })
    }

    /// What a change brings itself: what its request renders, with the lock file of its plans or of the change before it.
    pub(crate) async fn own_of(&self, work: &Work, record: &Record) -> Result<Own, ReconcileError> {
        let mut own = self.own_by_last(work, &environment_of(record)?).await?;
        own.files.clone_from(&record.files);
        own.lock_files.extend(record.lock_file.clone());
        Ok(own)
    }

    /// What would be planned of a change and was not rendered by a request, as people are shown it: in its branch's folder, which is the
    /// default branch's but for what the request renders; a deletion works on the folder of the default branch.
    pub(crate) async fn strange_in_plan(
        &self,
        work: &Work,
        record: &Record,
    ) -> Result<Vec<Difference>, ReconcileError> {
        let environment = environment_of(record)?;
        let folder = work.base.policy.environment_folder(&environment);
        let compared = match record.change.kind {
            ChangeKind::Set => {
                let tree = self.parts.control.tree(&record.head).await?;
                Compared::with_rendered(&tree, &folder, &self.own_of(work, record).await?).map(drop)
            }
            ChangeKind::Delete => {
                let own = self.own_by_last(work, &environment).await?;
                Compared::with_rendered(&work.base.tree, &folder, &own).map(drop)
            }
        };
        Ok(compared.err().unwrap_or_default())
    }
}
