//! Drift: whether the cloud is still what the state says, for each environment; one issue each, which closes by itself.

use runnersmith_issueops::change::State;
use runnersmith_issueops::comment::{Marker, drift_issue};
use runnersmith_issueops::policy::EnvironmentName;
use runnersmith_issueops::summary::Summary;
use runnersmith_ports::{GitHubError, chain};

use crate::base::Base;
use crate::change_store::open_key;
use crate::context::{ChangeReconciler, Work};
use crate::error::ReconcileError;
use crate::record::Record;

/// What was found of an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drift {
    /// Nothing differs.
    None,
    /// So many resources differ; the issue says which.
    Differs {
        /// How many.
        resources: usize,
        /// The issue.
        issue: u64,
    },
    /// So many files of its folder on the default branch are not what its last request rendered, so nothing is planned: a plan runs
    /// what they say, with credentials. An admin's `/plan` on a request looks at them.
    HandEdited {
        /// How many.
        files: usize,
    },
    /// It is being changed, so nothing can be said.
    Busy,
    /// It could not be found out.
    Failed(String),
}

/// Whether something was done, or is, between two looks at an environment's open change.
fn has_changed(before: Option<&Record>, after: Option<&Record>) -> bool {
    let how = |record: Option<&Record>| record.map(|record| (record.change.pull, record.change.state.clone()));
    after.is_some_and(|record| record.change.state.is_being_done()) || how(before) != how(after)
}

impl ChangeReconciler {
    /// Looks at every environment of the default branch.
    ///
    /// # Errors
    /// When the default branch cannot be read; what fails for one environment is in its answer.
    pub async fn drift(&self) -> Result<Vec<(String, Drift)>, ReconcileError> {
        let base = Base::read(self.parts.control.as_ref(), &self.reader).await?;
        let work = Work { base, run: self.parts.runs.begin() };
        let mut found = Vec::new();
        let mut environments: Vec<EnvironmentName> = work.base.environments().collect();
        // A run that is cut off looks at the rest first the next time: with many environments none is never looked at.
        let last = self.change_store.drift_cursor().await?;
        let done = last.map_or(0, |last| environments.iter().take_while(|one| one.as_str() <= last.as_str()).count());
        let begin = done % environments.len().max(1);
        environments.rotate_left(begin);
        for environment in environments {
            let drift = match self.drift_of(&work, &environment).await {
                Ok(drift) => drift,
                Err(error) => Drift::Failed(chain(&error)),
            };
            self.say(&format!("{environment}: {drift:?}"));
            if let Err(error) = self.change_store.set_drift_cursor(environment.as_str()).await {
                // The next run begins where it would have begun without it.
                tracing::warn!(error = %chain(&error), %environment, "how far drift was looked for cannot be stored");
            }
            found.push((environment.to_string(), drift));
        }
        Ok(found)
    }

    async fn drift_of(&self, work: &Work, environment: &EnvironmentName) -> Result<Drift, ReconcileError> {
        let key = open_key(environment.as_str());
        let before = self.change_store.record(&key).await?.map(|(record, _)| record);
        // What was merged by hand and is not applied yet differs because of that. What is done and not in the history yet is on the default
        // branch, where it would be compared with what the change before it rendered.
        let is_busy = |record: &Record| {
            let change = &record.change;
            change.state.is_being_done() || change.state == State::Done || change.is_merged_early
        };
        if before.as_ref().is_some_and(is_busy) {
            return Ok(Drift::Busy);
        }
        let workspace = match self.workspace_of_default_branch(work, environment).await? {
            Ok(workspace) => workspace,
            Err(strange) => return Ok(Drift::HandEdited { files: strange.len() }),
        };
        let summary = self
            .parts
            .provisioner
            .drift(&workspace)
            .await
            .map_err(|source| ReconcileError::Provision { environment: environment.to_string(), source })?;
        // That took minutes: what somebody applied meanwhile is no drift. A change that is over has no record any more, but has
        // changed the default branch.
        let after = self.change_store.record(&key).await?.map(|(record, _)| record);
        let base = Base::read(self.parts.control.as_ref(), &self.reader).await?;
        let is_moved = base.digest(environment) != work.base.digest(environment);
        if is_moved || has_changed(before.as_ref(), after.as_ref()) {
            return Ok(Drift::Busy);
        }
        self.report_drift(environment, &summary).await
    }

    async fn report_drift(&self, environment: &EnvironmentName, summary: &Summary) -> Result<Drift, ReconcileError> {
        let control = &self.parts.control;
        let mut known = self.change_store.drift(environment.as_str()).await?;
        // Somebody may have closed or deleted it by hand, or opened another text in its place.
        if let Some(number) = known {
            let marker = Marker::Drift(environment.to_string());
            let is_ours = match control.issue(number).await {
                Ok(issue) => issue.is_open && Marker::of(&issue.body) == Some(marker),
                Err(GitHubError::NotFound { .. }) => false,
                Err(error) => return Err(error.into()),
            };
            known = known.filter(|_| is_ours);
        }
        let Some(text) = drift_issue(environment, summary) else {
            if let Some(number) = known {
                control.close_issue(number).await?;
            }
            self.change_store.note_drift(environment.as_str(), None).await?;
            return Ok(Drift::None);
        };
        let issue = match known {
            Some(number) => {
                control.edit_issue(number, &text.title, &text.body).await?;
                number
            }
            None => control.open_issue(&text.title, &text.body, &[]).await?,
        };
        self.change_store.note_drift(environment.as_str(), Some(issue)).await?;
        Ok(Drift::Differs { resources: summary.drifted.len(), issue })
    }
}
