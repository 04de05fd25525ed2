//! The stored plan of a change: opened for what needs it, and taken away with all that shows it.

use crate::bundle::Bundle;
use crate::change_store::ChangeStoreError;
use crate::context::ChangeReconciler;
use crate::error::ReconcileError;
use crate::record::Record;

/// The key of the long text of a plan.
pub(crate) fn text_key(plan_key: &str) -> String {
    format!("{}.txt", plan_key.trim_end_matches(".plan"))
}

impl ChangeReconciler {
    /// The stored plan, opened.
    pub(crate) async fn bundle(&self, record: &Record) -> Result<Option<Bundle>, ReconcileError> {
        let Some(key) = &record.plan_key else { return Ok(None) };
        let Some(found) = self.change_store.record_store().get(key).await.map_err(ChangeStoreError::from)? else {
            return Ok(None);
        };
        match self.parts.seal.open(key, &found.bytes) {
            Ok(bytes) => match Bundle::read(&bytes).and_then(|bundle| bundle.summary().map(|_| bundle)) {
                Ok(bundle) => Ok(Some(bundle)),
                // A program of another version wrote it.
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
}
