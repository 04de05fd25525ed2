//! The one comment that shows a change, written again as it moves on.

use runnersmith_issueops::change::{Change, HeldLock};
use runnersmith_issueops::comment::{PlanView, state_comment};
use runnersmith_issueops::summary::cost;

use crate::context::{ChangeReconciler, Work};
use crate::error::ReconcileError;
use crate::record::{Posted, Record};

/// How often the comment is written again when the change moved on meanwhile.
const SHOWS_MAX: usize = 5;

impl ChangeReconciler {
    /// Shows a change in its comment. Written again while the change moves on, so that the last writer shows the last state.
    pub(crate) async fn show_state(&self, work: &Work, key: &str) -> Result<Option<Posted>, ReconcileError> {
        let (mut posted, mut shown) = (None::<Posted>, None::<Change>);
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
        lock: Option<&HeldLock>,
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
}
