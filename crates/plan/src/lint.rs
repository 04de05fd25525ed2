//! An independent look at a plan before anything is done: what must never be in one, checked from the snapshot alone.

use std::collections::{BTreeMap, BTreeSet};

use runnersmith_types::{
    Action, EffectAction, Intent, Job, JobStatus, LaunchAction, Machine, MachineId, MachineState, MachineStatus,
    Observed, Plan, RecordAction, Runner, RunnerName, RunnerUpdate, ScaleSet, Snapshot, Timestamp,
};

/// A rule that a plan breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanFault(pub String);

/// Checks a plan against the rules that must hold whatever the planner thinks. Returns what it breaks; nothing for a good plan.
#[must_use]
pub fn lint(policy: &ScaleSet, snapshot: &Snapshot, plan: &Plan) -> Vec<PlanFault> {
    let mut linter = Linter::new(policy, snapshot);
    for step in &plan.steps {
        linter.action(&step.action);
    }
    linter.total(snapshot)
}

/// What the snapshot says, and what the plan has done so far.
struct Linter<'a> {
    policy: &'a ScaleSet,
    /// When the machines were seen.
    seen_at: Timestamp,
    faults: Vec<PlanFault>,
    runners: BTreeMap<&'a RunnerName, &'a Runner>,
    /// Runners with a job, by GitHub's word.
    busy: BTreeSet<RunnerName>,
    machines: BTreeMap<&'a MachineId, &'a Machine>,
    intended: BTreeSet<&'a RunnerName>,
    withdrawn: BTreeSet<&'a RunnerName>,
    launched: BTreeSet<&'a RunnerName>,
    /// How many records the plan ends.
    gone: usize,
}

impl<'a> Linter<'a> {
    fn new(policy: &'a ScaleSet, snapshot: &'a Snapshot) -> Self {
        let running = snapshot.jobs.iter().filter(|job| job.fact.status == JobStatus::InProgress);
        let machines = snapshot.machines.value().into_iter().flatten();
        let seen_at = if let Observed::Seen { at, .. } = &snapshot.machines { *at } else { Timestamp::default() };
        Self {
            policy,
            seen_at,
            faults: Vec::new(),
            runners: snapshot.runners.iter().rev().map(|runner| (&runner.name, runner)).collect(),
            busy: running.filter_map(Job::runner).collect(),
            machines: machines.map(|machine| (&machine.id, machine)).collect(),
            intended: BTreeSet::new(),
            withdrawn: BTreeSet::new(),
            launched: BTreeSet::new(),
            gone: 0,
        }
    }

    fn fault(&mut self, text: String) {
        self.faults.push(PlanFault(text));
    }

    fn action(&mut self, action: &'a Action) {
        match action {
            Action::Record(RecordAction::Withdraw { runner }) => {
                self.withdrawn.insert(runner);
            }
            Action::Record(RecordAction::Update { update: RunnerUpdate::Gone(_), .. }) => self.gone += 1,
            Action::Record(
                RecordAction::Update { .. }
                | RecordAction::BootFailed(_)
                | RecordAction::Silent { .. }
                | RecordAction::Booted { .. },
            )
            | Action::Launch(LaunchAction::Again { .. })
            | Action::HandOff(_) => {}
            Action::Intend { runners } => self.intend(runners),
            Action::Launch(LaunchAction::First { runners, .. }) => self.launch(runners),
            Action::Effect(EffectAction::Deregister { runner, .. }) => self.deregister(runner),
            Action::Effect(
                EffectAction::LookUp { .. }
                | EffectAction::ExpireHandOff { .. }
                | EffectAction::PoolFailure(_)
                | EffectAction::VerifyJob { .. }
                | EffectAction::EndJob { .. }
                | EffectAction::Stall { .. }
                | EffectAction::RecordWaits { .. }
                | EffectAction::FindRunners { .. }
                | EffectAction::Notify { .. }
                | EffectAction::Interrupted { .. }
                | EffectAction::Rerun { .. }
                | EffectAction::NoRerun { .. },
            ) => {}
            Action::Terminate { machine, runner } => self.terminate(machine, runner.as_ref()),
        }
    }

    fn intend(&mut self, runners: &'a [Intent]) {
        for intent in runners {
            if self.runners.contains_key(&intent.name) || !self.intended.insert(&intent.name) {
                self.fault(format!("{} is intended twice", intent.name));
            }
        }
    }

    fn launch(&mut self, runners: &'a [RunnerName]) {
        for runner in runners {
            if !self.launched.insert(runner) {
                self.fault(format!("{runner} is launched twice"));
            }
            if !self.runners.contains_key(runner) && !self.intended.contains(runner) {
                self.fault(format!("{runner} is launched without an intent"));
            }
        }
    }

    fn deregister(&mut self, runner: &RunnerName) {
        let machine = self.runners.get(runner).and_then(|known| known.machine.as_ref());
        let alive =
            machine.and_then(|id| self.machines.get(id)).is_some_and(|machine| machine.state != MachineState::Ended);
        if alive && self.busy.contains(runner) {
            self.fault(format!("{runner} is to be deregistered and has a job"));
        }
    }

    fn terminate(&mut self, machine: &MachineId, runner: Option<&RunnerName>) {
        let Some(seen) = self.machines.get(machine) else {
            return self.fault(format!("{machine} is to be ended and is not in the list"));
        };
        // No word keeps a machine past its hard end, and one that was contradicted for long enough does not count.
        let timing = &self.policy.timing;
        let hard_end = seen.launched_at.plus(timing.lifetime_max + timing.hard_end_after);
        if hard_end <= self.seen_at {
            return;
        }
        let record = runner.and_then(|runner| self.runners.get(runner));
        // The plan was made a moment after the machines were seen.
        let at = self.seen_at.plus(timing.ghost_grace);
        let is_stale = record.is_some_and(|known| known.is_status_stale(timing.stale_status_after, at));
        let says_busy = seen.status == Some(MachineStatus::Busy) && !is_stale;
        if says_busy || runner.is_some_and(|runner| self.busy.contains(runner)) {
            self.fault(format!("{machine} is to be ended and has a job"));
        }
    }

    /// What only the whole plan can break. Returns all that was found.
    fn total(mut self, snapshot: &Snapshot) -> Vec<PlanFault> {
        let both: Vec<&RunnerName> = self.withdrawn.intersection(&self.launched).copied().collect();
        for runner in both {
            self.fault(format!("{runner} is both launched and withdrawn"));
        }
        let alive = snapshot.runners.iter().filter(|runner| runner.state.is_alive()).count();
        let (intended, runners_max) = (self.intended.len(), self.policy.runners_max);
        if intended > 0 && alive + intended > runners_max as usize + self.withdrawn.len() + self.gone {
            self.fault(format!("{alive} alive and {intended} intended are more than the maximum of {runners_max}"));
        }
        self.faults
    }
}
