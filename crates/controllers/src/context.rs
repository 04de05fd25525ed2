//! What the execution of one plan has at hand, and what comes of each of its actions.
//!
//! It is apart from the execution itself because every kind of action needs it: they point here, and the execution points to
//! them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use runnersmith_ports::{BudgetKind, GitHubError, LedgerError, RegistrationToken, chain};
use runnersmith_types::{
    HandOffReport, Job, JobId, Runner, RunnerName, RunnerScope, RunnerUpdate, ScaleSet, Snapshot, Timestamp,
};
use tokio::sync::Mutex;

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

/// Whether GitHub answered for a place.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Where runners register.
    pub at: RunnerScope,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// Why there was no answer; `None`: it answered.
    pub failure: Option<String>,
}

/// What came of one action, with what is to be recorded.
pub(crate) struct ActionResult {
    /// What came of it.
    pub outcome: Outcome,
    /// Changes of runners.
    pub updates: Vec<(RunnerName, RunnerUpdate)>,
    /// When it may succeed, if that is known of what was put off.
    pub retry_at: Option<Timestamp>,
    /// What it says of the hand-offs of its place.
    pub hand_off: Option<HandOffReport>,
    /// Whether GitHub answered for a place.
    pub answer: Option<Answer>,
}

impl ActionResult {
    pub(crate) fn done(text: impl Into<String>, updates: Vec<(RunnerName, RunnerUpdate)>) -> Self {
        Self { outcome: Outcome::Done(text.into()), updates, retry_at: None, hand_off: None, answer: None }
    }
    pub(crate) fn put_off(text: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::PutOff(text.into()),
            updates: Vec::new(),
            retry_at: None,
            hand_off: None,
            answer: None,
        }
    }
    /// Put off until a time that is known.
    pub(crate) fn put_off_until(text: impl Into<String>, until: Timestamp) -> Self {
        Self { retry_at: Some(until), ..Self::put_off(text) }
    }
    pub(crate) fn failed(error: &(dyn std::error::Error + 'static)) -> Self {
        Self {
            outcome: Outcome::Failed(chain(error)),
            updates: Vec::new(),
            retry_at: None,
            hand_off: None,
            answer: None,
        }
    }
    /// A GitHub error: a limit puts off, anything else fails.
    pub(crate) fn github(error: &GitHubError) -> Self {
        match error {
            GitHubError::RateLimited { until, .. } => Self::put_off_until(error.to_string(), *until),
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

/// Why there is no registration token.
pub(crate) enum TokenMissing {
    /// GitHub gave none.
    GitHub(GitHubError),
    /// It was not asked for.
    Other(ActionResult),
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
    /// Registration tokens of this round by place; nothing where one could not be had.
    tokens: Mutex<BTreeMap<RunnerScope, Option<RegistrationToken>>>,
}

/// Registration tokens that are asked for in a minute, by all loops together. The client keeps each for most of its hour.
const TOKENS_PER_MINUTE: u32 = 30;

impl<'a> ExecutionContext<'a> {
    pub(crate) fn new(world: &'a World, policy: &'a ScaleSet, snapshot: &'a Snapshot) -> Self {
        Self {
            world,
            policy,
            runners: snapshot.runners.iter().map(|runner| (&runner.name, runner)).collect(),
            jobs: snapshot.jobs.iter().map(|job| (job.id(), job)).collect(),
            snapshot,
            prepaid_calls: AtomicU32::new(0),
            tokens: Mutex::default(),
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
            Ok(None) => Err(ActionResult::put_off_until(
                "this minute's call budget is used up",
                self.snapshot.budget.refills_at,
            )),
            Err(error) => Err(ActionResult::failed(&error)),
        }
    }

    /// The registration token of a place: asked for once in a round, however many runners need it.
    ///
    /// # Errors
    /// What comes of the hand-off that needs it. Only the one that asked says why it failed.
    pub(crate) async fn registration_token(&self, at: &RunnerScope) -> Result<RegistrationToken, TokenMissing> {
        let mut tokens = self.tokens.lock().await;
        if let Some(known) = tokens.get(at) {
            let failed = || TokenMissing::Other(ActionResult::put_off("its place gets no registration token now"));
            return known.clone().ok_or_else(failed);
        }
        let kind = BudgetKind::Tokens;
        match self.world.ports.ledger.take_budget(kind, 1, self.limit(kind)).await {
            Ok(Some(_)) => {}
            Ok(None) => {
                let text = "this minute's budget for registration tokens is used up";
                let put_off = ActionResult::put_off_until(text, self.snapshot.budget.refills_at);
                return Err(TokenMissing::Other(put_off));
            }
            Err(error) => return Err(TokenMissing::Other(ActionResult::failed(&error))),
        }
        let asked = self.world.ports.github.registration_token(at).await;
        tokens.insert(at.clone(), asked.as_ref().ok().cloned());
        asked.map_err(TokenMissing::GitHub)
    }

    const fn limit(&self, kind: BudgetKind) -> u32 {
        match kind {
            BudgetKind::Jit => self.world.limits.jit_per_minute,
            BudgetKind::Notifications => NOTIFICATIONS_PER_MINUTE,
            BudgetKind::Tokens => TOKENS_PER_MINUTE,
            BudgetKind::Calls => self.world.limits.calls_per_minute,
        }
    }
}
