//! What one pass over a scale set saw and decided, for people.
//!
//! It is apart from the plan because nothing is decided from it: it counts and words what the snapshot and the plan say.

use std::collections::BTreeMap;

use runnersmith_types::{Observed, Plan, RunnerState, ScaleSet, Snapshot, Timestamp};

use crate::story::utc;

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
    let failures = snapshot.boot_failures.total();
    if failures > 0 {
        let open = usize::try_from(policy.timing.boot_failures_max).is_ok_and(|max| failures >= max);
        let breaker = if open { "; launches are held back to one probe at a time" } else { "" };
        let last = snapshot.boot_failures.newest.last();
        let what = last.map(|failure| failure.cause).unwrap_or_default().text();
        let why = last.filter(|failure| !failure.why.is_empty());
        let why = why.map(|failure| format!(" (the last, {}: {})", failure.runner, failure.why)).unwrap_or_default();
        faults.push(format!("{failures} machine(s) {what} since the last one that worked{why}{breaker}"));
    }
    for fault in snapshot.hand_off_faults.faults.iter().filter(|fault| fault.is_active()) {
        faults.push(format!("{fault}; tried again at {}", utc(fault.until)));
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
