//! What of the default branch is planned with credentials: of an environment's folder only what a request rendered.
//!
//! A plan runs what its files name. Anybody who may write can merge a pull request of their own where no approval is required, so what
//! lies on the default branch is not believed for lying there: the records say what was rendered, and they are beside the state.

use std::collections::BTreeMap;

use runnersmith_issueops::change::{ChangeKind, State};
use runnersmith_issueops::policy::EnvironmentName;
use runnersmith_issueops::render::Difference;

use crate::compared::Compared;
use crate::context::{ChangeReconciler, Work, environment_of};
use crate::error::ReconcileError;
use crate::record::Record;

impl ChangeReconciler {
    /// What the last change of an environment that is done rendered, by git's hash; `None`: nothing, so that nothing is believed.
    pub(crate) async fn rendered_by_last(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Option<BTreeMap<String, Option<String>>>, ReconcileError> {
        let last = self.change_store.last_done(environment.as_str()).await?;
        let rendered = last.filter(|last| last.change.state == State::Done && last.change.kind == ChangeKind::Set);
        Ok(rendered.and_then(|last| last.files))
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
                Compared::with_rendered(&tree, &folder, record.files.as_ref()).map(drop)
            }
            ChangeKind::Delete => {
                let rendered = self.rendered_by_last(&environment).await?;
                Compared::with_rendered(&work.base.tree, &folder, rendered.as_ref()).map(drop)
            }
        };
        Ok(compared.err().unwrap_or_default())
    }
}
