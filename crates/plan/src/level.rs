//! What one pass over a scale set saw and decided, for people.
//!
//! It is apart from the plan because nothing is decided from it: it counts and words what the snapshot and the plan say.

use std::collections::BTreeMap;

use runnersmith_types::{Observed, Plan, RunnerState, ScaleSet, Snapshot, Timestamp, saturating_u32};

use crate::fault::{Fault, FaultKind};
use crate::words::utc;

/// The most faults that are kept of one pass.
const FAULTS_MAX: usize = 20;
/// Of them, of one kind.
const FAULTS_OF_A_KIND_MAX: usize = 8;

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
    /// What is wrong: sources that did not answer, boot failures, capacity pools that failed lately, used-up budgets. At most 20.
    pub faults: Vec<Fault>,
    /// Whether GitHub was asked for the registrations of every place.
    pub asked_github: bool,
}

impl SetLevel {
    /// The level that a pass saw.
    #[must_use]
    pub fn of(policy: &ScaleSet, snapshot: &Snapshot, plan: &Plan, at: Timestamp) -> Self {
        let mut level = Self::of_plan(policy, plan, at);
        for runner in snapshot.runners.iter().filter(|runner| runner.state != RunnerState::Gone) {
            *level.runners_by_state.entry(runner.state.word()).or_default() += 1;
        }
        level.faults = faults(policy, snapshot, at);
        level.asked_github = !snapshot.registrations.values().any(was_not_asked);
        level
    }

    /// A level of which only the plan is known.
    #[must_use]
    pub fn of_plan(policy: &ScaleSet, plan: &Plan, at: Timestamp) -> Self {
        Self {
            policy: policy.clone(),
            plan: plan.clone(),
            runners_by_state: BTreeMap::new(),
            at,
            faults: Vec::new(),
            asked_github: true,
        }
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

/// Returns what is wrong with a scale set, as its snapshot shows it. At most 20.
#[must_use]
pub fn faults(policy: &ScaleSet, snapshot: &Snapshot, now: Timestamp) -> Vec<Fault> {
    let set = policy.name.as_str();
    let mut faults = Vec::new();
    let mut add = |fault: Fault| faults.push(fault);
    if let Some(why) = unknown(&snapshot.machines) {
        add(Fault::new(FaultKind::MachinesUnknown, set, format!("machines are not known: {why}"), now));
    }
    for (at, observed) in &snapshot.registrations {
        if let Some(why) = unknown(observed) {
            let cause = format!("registrations at {at} are not known: {why}");
            add(Fault::new(FaultKind::RegistrationsUnknown, format!("{set}, {at}"), cause, now));
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
        let cause = format!("{failures} machine(s) {what} since the last one that worked{why}{breaker}");
        let since = snapshot.boot_failures.newest.iter().map(|failure| failure.at).min().unwrap_or(now);
        let fault = Fault::new(FaultKind::BootFailures, set, cause, now).since(since).times(saturating_u32(failures));
        add(Fault { runner: last.map(|failure| failure.runner.clone()), ..fault });
    }
    for fault in snapshot.hand_off_faults.faults.iter().filter(|fault| fault.is_current(now)) {
        let kind = FaultKind::of_hand_offs(fault.trouble);
        let cause = format!("{fault}; tried again at {}", utc(fault.until));
        add(Fault::new(kind, format!("{set}, {}", fault.at), cause, now).since(fault.since).times(fault.rounds));
    }
    for pool_failure in &snapshot.pool_failures {
        let until = utc(pool_failure.at.plus(policy.fallback_order.cool_down));
        let cause = format!("it had no capacity or failed, and is tried again at {until}: {}", pool_failure.why);
        let kind = if pool_failure.is_quota { FaultKind::Quota } else { FaultKind::Capacity };
        add(Fault::new(kind, format!("{set}, {}", pool_failure.pool), cause, now).since(pool_failure.at));
    }
    if snapshot.budget.jit_left == 0 {
        add(Fault::new(FaultKind::CallBudget, set, "this minute's budget for new registrations is used up", now));
    }
    if snapshot.budget.calls_left == 0 {
        add(Fault::new(FaultKind::CallBudget, set, "this minute's budget for GitHub calls is used up", now));
    }
    faults.dedup_by(|one, other| one.is_same(other) && one.cause == other.cause);
    // Many of one kind do not hide the others.
    let mut of_kind: BTreeMap<FaultKind, usize> = BTreeMap::new();
    faults.retain(|fault| {
        let count = of_kind.entry(fault.kind).or_default();
        *count += 1;
        *count <= FAULTS_OF_A_KIND_MAX
    });
    faults.truncate(FAULTS_MAX);
    faults
}

/// Why a source did not answer. That it was not asked, as in a message's pass, is no fault.
fn unknown<T>(observed: &Observed<T>) -> Option<&str> {
    match observed {
        Observed::Unknown { why } if !was_not_asked(observed) => Some(why),
        Observed::Unknown { .. } | Observed::Seen { .. } => None,
    }
}

/// Whether a source was not asked at all.
fn was_not_asked<T>(observed: &Observed<T>) -> bool {
    matches!(observed, Observed::Unknown { why } if why.starts_with("not asked"))
}
