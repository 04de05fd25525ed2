//! What the change store remembers beyond open changes: what an environment's last change made, and where a look for drift had come to.

use runnersmith_issueops::change::State;
use runnersmith_ports::Expect;

use crate::change_store::{ChangeStore, ChangeStoreError, history_prefix, pull_of};
use crate::record::Record;

/// Where it lies which environment's drift was looked for last; no environment's name begins with a dot.
const DRIFT_CURSOR: &str = "changes/.drift-cursor.json";

impl ChangeStore {
    /// The last change of an environment that is done: what the default branch has is what that one rendered. `None`: the history has
    /// none.
    ///
    /// # Errors
    /// When it cannot be listed or read.
    pub async fn last_done(&self, environment: &str) -> Result<Option<Record>, ChangeStoreError> {
        Ok(self.last_done_with_key(environment).await?.map(|(_, record)| record))
    }

    pub(crate) async fn last_done_with_key(
        &self,
        environment: &str,
    ) -> Result<Option<(String, Record)>, ChangeStoreError> {
        let keys = self.record_store().list(&history_prefix(environment)).await?;
        let mut pulls: Vec<(u64, String)> = keys.into_iter().filter_map(|key| Some((pull_of(&key)?, key))).collect();
        pulls.sort_by(|one, other| other.cmp(one));
        for (_, key) in pulls {
            if let Some((record, _)) = self.record(&key).await?
                && record.change.state == State::Done
            {
                return Ok(Some((key, record)));
            }
        }
        Ok(None)
    }

    /// The environment whose drift was looked for last.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn drift_cursor(&self) -> Result<Option<String>, ChangeStoreError> {
        Ok(self.read(DRIFT_CURSOR).await?.map(|(environment, _)| environment))
    }

    /// Remembers it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn set_drift_cursor(&self, environment: &str) -> Result<(), ChangeStoreError> {
        self.write(DRIFT_CURSOR, &environment, &Expect::Any).await.map(|_| ())
    }
}
