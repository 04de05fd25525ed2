//! An independent look at a plan before anything is done: what must never be in one, checked from the snapshot alone.

use std::collections::{BTreeMap, BTreeSet};

use runnersmith_types::{Action, Job, JobStatus, MachineStatus, Plan, RunnerName, ScaleSet, Snapshot};

/// A rule that a plan breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding(pub String);

/// Checks a plan against the rules that must hold whatever the planner thinks.
#[must_use]
pub fn lint(policy: &ScaleSet, snapshot: &Snapshot, plan: &Plan) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |text: String| findings.push(Finding(text));
    let busy: BTreeSet<RunnerName> =
        snapshot.jobs.iter().filter(|job| job.fact.status == JobStatus::InProgress).filter_map(Job::runner).collect();
    let machines: BTreeMap<_, _> =
        snapshot.machines.value().into_iter().flatten().map(|machine| (&machine.id, machine)).collect();
    let mut intended: BTreeSet<&RunnerName> = BTreeSet::new();
    let mut withdrawn: BTreeSet<&RunnerName> = BTreeSet::new();
    let mut launched: BTreeSet<&RunnerName> = BTreeSet::new();
    let known: BTreeSet<&RunnerName> = snapshot.runners.iter().map(|runner| &runner.name).collect();
    for step in &plan.steps {
        match &step.action {
            Action::Intend { runners } => {
                for intent in runners {
                    if known.contains(&intent.name) || !intended.insert(&intent.name) {
                        find(format!("{} is intended twice", intent.name));
                    }
                }
            }
            Action::Withdraw { runner } => {
                withdrawn.insert(runner);
            }
            Action::Launch { runners, .. } => {
                for runner in runners {
                    if !launched.insert(runner) {
                        find(format!("{runner} is launched twice"));
                    }
                    if !known.contains(runner) && !intended.contains(runner) {
                        find(format!("{runner} is launched without an intent"));
                    }
                }
            }
            Action::Terminate { machine, runner } => {
                let Some(seen) = machines.get(machine) else {
                    find(format!("{machine} is to be ended and is not in the list"));
                    continue;
                };
                if seen.status == Some(MachineStatus::Busy)
                    || runner.as_ref().is_some_and(|runner| busy.contains(runner))
                {
                    find(format!("{machine} is to be ended and has a job"));
                }
            }
            Action::Deregister { runner, .. } => {
                let machine = snapshot
                    .runners
                    .iter()
                    .find(|known| &known.name == runner)
                    .and_then(|known| known.machine.as_ref());
                let alive = machine
                    .and_then(|id| machines.get(id))
                    .is_some_and(|m| m.state != runnersmith_types::MachineState::Ended);
                if alive && busy.contains(runner) {
                    find(format!("{runner} is to be deregistered and has a job"));
                }
            }
            Action::Relaunch { .. }
            | Action::HandOff { .. }
            | Action::Update { .. }
            | Action::LookUp { .. }
            | Action::ExpireHandOff { .. }
            | Action::PoolFailure(_)
            | Action::VerifyJob { .. }
            | Action::Stall { .. }
            | Action::Notify { .. }
            | Action::Interrupted { .. }
            | Action::Rerun { .. } => {}
        }
    }
    for runner in withdrawn.intersection(&launched) {
        find(format!("{runner} is both launched and withdrawn"));
    }
    let alive = snapshot.runners.iter().filter(|runner| runner.state.is_alive()).count();
    if !intended.is_empty() && alive + intended.len() > policy.runners_max as usize + withdrawn.len() + gone(plan) {
        find(format!(
            "{alive} alive and {} intended are more than the maximum of {}",
            intended.len(),
            policy.runners_max
        ));
    }
    findings
}

fn gone(plan: &Plan) -> usize {
    plan.steps
        .iter()
        .filter(|step| matches!(&step.action, Action::Update { update: runnersmith_types::RunnerUpdate::Gone(_), .. }))
        .count()
}
