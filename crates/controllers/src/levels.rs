//! What the last pass over each scale set saw and decided, for people.
//!
//! It is apart from the ledger because it is not a record: it is lost at a restart and made again by the next pass,
//! and nothing is ever decided from it.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use runnersmith_types::{Observed, Plan, RunnerState, ScaleSet, ScaleSetName, Snapshot, Timestamp};
use tokio::sync::watch;

/// The most faults that are kept of one pass.
const FAULTS_MAX: usize = 20;

/// One scale set as its last pass saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetLevel {
    /// Its policy.
    pub policy: ScaleSet,
    /// What was decided.
    pub plan: Plan,
    /// Its runners that are not gone, counted by the word of their state.
    pub runners_by_state: BTreeMap<&'static str, u32>,
    /// When.
    pub at: Timestamp,
    /// What is wrong, in words: sources that did not answer, boot failures, capacity pools that failed lately, used-up budgets. At most 20.
    pub faults: Vec<String>,
}

impl SetLevel {
    /// The level that a pass saw.
    #[must_use]
    pub fn of(policy: &ScaleSet, snapshot: &Snapshot, plan: &Plan, at: Timestamp) -> Self {
        let mut level = Self::of_plan(policy, plan, at);
        for runner in snapshot.runners.iter().filter(|runner| runner.state != RunnerState::Gone) {
            *level.runners_by_state.entry(runner.state.word()).or_default() += 1;
        }
        level.faults = faults(policy, snapshot);
        level
    }

    /// A level of which only the plan is known.
    #[must_use]
    pub fn of_plan(policy: &ScaleSet, plan: &Plan, at: Timestamp) -> Self {
        Self { policy: policy.clone(), plan: plan.clone(), runners_by_state: BTreeMap::new(), at, faults: Vec::new() }
    }

    /// Runners in any of these states.
    #[must_use]
    pub fn count(&self, states: &[RunnerState]) -> u32 {
        states.iter().filter_map(|state| self.runners_by_state.get(state.word())).sum()
    }

    /// Runners that count against the maximum.
    #[must_use]
    pub fn alive(&self) -> u32 {
        self.runners_by_state.values().sum()
    }
}

fn faults(policy: &ScaleSet, snapshot: &Snapshot) -> Vec<String> {
    let mut faults = Vec::new();
    if let Observed::Unknown { why } = &snapshot.machines {
        faults.push(format!("machines are not known: {why}"));
    }
    for (at, observed) in &snapshot.registrations {
        // A signal's pass does not ask for registrations; that is no fault.
        if let Observed::Unknown { why } = observed
            && !why.starts_with("not asked")
        {
            faults.push(format!("registrations at {at} are not known: {why}"));
        }
    }
    let failures = snapshot.boot_failures.len();
    if failures > 0 {
        let open = usize::try_from(policy.timing.boot_failures_max).is_ok_and(|max| failures >= max);
        let breaker = if open { "; launches are held back to one probe at a time" } else { "" };
        faults.push(format!("{failures} machine(s) did not boot since the last one that did{breaker}"));
    }
    for pool_failure in &snapshot.pool_failures {
        faults.push(format!("{} is left alone for a while: {}", pool_failure.pool, pool_failure.why));
    }
    if snapshot.budget.jit_left == 0 {
        faults.push("this minute's budget for new registrations is used up".to_owned());
    }
    if snapshot.budget.calls_left == 0 {
        faults.push("this minute's budget for GitHub calls is used up".to_owned());
    }
    faults.dedup();
    faults.truncate(FAULTS_MAX);
    faults
}

/// The levels of all sets, shared between the loops that write them and the pages that show them.
#[derive(Debug)]
pub struct Levels {
    levels: RwLock<BTreeMap<ScaleSetName, SetLevel>>,
    version: watch::Sender<u64>,
}

impl Default for Levels {
    fn default() -> Self {
        Self { levels: RwLock::default(), version: watch::channel(0).0 }
    }
}

impl Levels {
    /// Replaces the level of the policy's set and notifies the subscribers.
    pub fn put(&self, level: SetLevel) {
        let name = level.policy.name.clone();
        self.levels.write().unwrap_or_else(PoisonError::into_inner).insert(name, level);
        self.touch();
    }

    /// Forgets a set of which nothing is left.
    pub fn forget(&self, set: &ScaleSetName) {
        self.levels.write().unwrap_or_else(PoisonError::into_inner).remove(set);
        self.touch();
    }

    /// Notifies the subscribers that something they show has changed.
    pub fn touch(&self) {
        self.version.send_modify(|version| *version = version.wrapping_add(1));
    }

    /// All levels, by name.
    #[must_use]
    pub fn all(&self) -> BTreeMap<ScaleSetName, SetLevel> {
        self.levels.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The level of one set.
    #[must_use]
    pub fn get(&self, set: &ScaleSetName) -> Option<SetLevel> {
        self.levels.read().unwrap_or_else(PoisonError::into_inner).get(set).cloned()
    }

    /// A counter that grows with each change; a receiver that lags sees only the newest.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_subscriber_learns_of_each_put() {
        let levels = Levels::default();
        let mut changes = levels.subscribe();
        assert!(!changes.has_changed().unwrap());
        levels.touch();
        changes.changed().await.unwrap();
        assert_eq!(*changes.borrow_and_update(), 1);
        assert!(levels.all().is_empty());
        assert_eq!(levels.get(&ScaleSetName::parse("small").unwrap()), None);
    }
}
