//! What the execution of one plan has at hand, and what comes of each of its actions.
//!
//! It is apart from the execution itself because every kind of action needs it: they point here, and the execution points to
//! them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use runnersmith_ports::{BudgetKind, GitHubError, LedgerError, chain};
use runnersmith_types::{Job, JobId, Runner, RunnerName, RunnerUpdate, ScaleSet, Snapshot};

use crate::world::{NOTIFICATIONS_PER_MINUTE, World};

/// What came of one action.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It had its effect.
    Done(String),
    /// It was put off (a budget, a limit) and is no failure.
    PutOff(String),
    /// It failed; the next pass tries again.
    Failed(String),
}

/// What came of one action, with what is to be recorded.
pub(crate) struct ActionResult {
    /// What came of it.
    pub outcome: Outcome,
    /// Changes of runners.
    pub updates: Vec<(RunnerName, RunnerUpdate)>,
}

impl ActionResult {
    pub(crate) fn done(text: impl Into<String>, updates: Vec<(RunnerName, RunnerUpdate)>) -> Self {
        Self { outcome: Outcome::Done(text.into()), updates }
    }
    pub(crate) fn put_off(text: impl Into<String>) -> Self {
        Self { outcome: Outcome::PutOff(text.into()), updates: Vec::new() }
    }
    pub(crate) fn failed(error: &(dyn std::error::Error + 'static)) -> Self {
        Self { outcome: Outcome::Failed(chain(error)), updates: Vec::new() }
    }
    /// A GitHub error: a limit puts off, anything else fails.
    pub(crate) fn github(error: &GitHubError) -> Self {
        match error {
            GitHubError::RateLimited { .. } => Self::put_off(error.to_string()),
            GitHubError::NotFound { .. }
            | GitHubError::Conflict { .. }
            | GitHubError::Busy { .. }
            | GitHubError::Refused { .. }
            | GitHubError::Unauthorized { .. }
            | GitHubError::NotInstalled { .. }
            | GitHubError::Transient { .. } => Self::failed(error),
        }
    }
}

/// The context of one execution: the world, the policy, and the records the plan was made from.
pub(crate) struct ExecutionContext<'a> {
    pub world: &'a World,
    pub policy: &'a ScaleSet,
    pub runners: BTreeMap<&'a RunnerName, &'a Runner>,
    pub jobs: BTreeMap<JobId, &'a Job>,
    pub snapshot: &'a Snapshot,
    /// Calls that were taken from the budget at once.
    prepaid_calls: AtomicU32,
}

impl<'a> ExecutionContext<'a> {
    pub(crate) fn new(world: &'a World, policy: &'a ScaleSet, snapshot: &'a Snapshot) -> Self {
        Self {
            world,
            policy,
            runners: snapshot.runners.iter().map(|runner| (&runner.name, runner)).collect(),
            jobs: snapshot.jobs.iter().map(|job| (job.id(), job)).collect(),
            snapshot,
            prepaid_calls: AtomicU32::new(0),
        }
    }

    /// Takes so many units of a budget at once, so that each call is not one to the ledger too. Returns whether they were
    /// granted; when not, each action takes its own as long as there is any.
    pub(crate) async fn take_together(&self, kind: BudgetKind, count: u32) -> bool {
        match self.world.ports.ledger.take_budget(kind, count, self.limit(kind)).await {
            Ok(granted) => granted.is_some(),
            Err(error) => {
                let set = &self.policy.name;
                tracing::warn!(error = %chain(&error), set = %set, count, "a budget could not be taken in one go");
                false
            }
        }
    }

    /// Takes so many calls at once; later calls use them up first.
    pub(crate) async fn prepay_calls(&self, count: u32) {
        if count > 1 && self.take_together(BudgetKind::Calls, count).await {
            self.prepaid_calls.store(count, Ordering::Relaxed);
        }
    }

    /// Takes one unit of a budget for content-creating writes. Returns `false` when nothing is left of it.
    ///
    /// # Errors
    /// When the ledger cannot say.
    pub(crate) async fn take_write(&self, kind: BudgetKind) -> Result<bool, LedgerError> {
        Ok(self.world.ports.ledger.take_budget(kind, 1, self.limit(kind)).await?.is_some())
    }

    /// Takes one call.
    ///
    /// # Errors
    /// What comes of the action that needs it: put off when nothing is left of the budget, failed when the ledger cannot say.
    pub(crate) async fn take_call(&self) -> Result<(), ActionResult> {
        let from_prepaid = |left: u32| left.checked_sub(1);
        if self.prepaid_calls.fetch_update(Ordering::Relaxed, Ordering::Relaxed, from_prepaid).is_ok() {
            return Ok(());
        }
        let kind = BudgetKind::Calls;
        match self.world.ports.ledger.take_budget(kind, 1, self.limit(kind)).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(ActionResult::put_off("this minute's call budget is used up")),
            Err(error) => Err(ActionResult::failed(&error)),
        }
    }

    const fn limit(&self, kind: BudgetKind) -> u32 {
        match kind {
            BudgetKind::Jit => self.world.limits.jit_per_minute,
            BudgetKind::Notifications => NOTIFICATIONS_PER_MINUTE,
            BudgetKind::Calls => self.world.limits.calls_per_minute,
        }
    }
}
