//! A plan in the making: a working copy of the runners to which observations are applied at once, so that one round
//! both sees and decides, and the collected steps, refusals and deadlines.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use runnersmith_types::{
    Action, Job, JobId, JobStatus, Machine, MachineId, Mark, Plan, Reason, RegisterAt, Registration, Runner, RunnerName,
    ScaleSet, Snapshot, Step, Timestamp, Waiting, WaitingOn,
};

pub(crate) struct Draft<'a> {
    pub policy: &'a ScaleSet,
    pub snapshot: &'a Snapshot,
    pub now: Timestamp,
    /// The working copy.
    pub runners: BTreeMap<RunnerName, Runner>,
    /// Jobs by the runner that they name, the open one if there are several.
    pub job_of: HashMap<RunnerName, &'a Job>,
    pub machines: BTreeMap<&'a MachineId, &'a Machine>,
    pub registrations: HashMap<(&'a RegisterAt, &'a str), &'a Registration>,
    pub steps: Vec<Step>,
    pub waiting: Vec<Waiting>,
    pub wake: Option<Timestamp>,
    pub demand: u32,
    pub floor: u32,
}

impl<'a> Draft<'a> {
    pub fn new(policy: &'a ScaleSet, snapshot: &'a Snapshot, now: Timestamp) -> Self {
        let mut job_of: HashMap<RunnerName, &Job> = HashMap::new();
        for job in &snapshot.jobs {
            if job.fact.status < JobStatus::InProgress {
                continue;
            }
            let Some(name) = job.fact.runner_name.as_deref().and_then(own_name) else { continue };
            let slot = job_of.entry(name).or_insert(job);
            let newer = (job.fact.status.is_open(), job.changed_at, job.id()) > (slot.fact.status.is_open(), slot.changed_at, slot.id());
            if newer {
                *slot = job;
            }
        }
        let machines = snapshot.machines.value().into_iter().flatten().map(|machine| (&machine.id, machine)).collect();
        let registrations = snapshot
            .registrations
            .iter()
            .flat_map(|(at, seen)| seen.value().into_iter().flatten().map(move |found| ((at, found.name.as_str()), found)))
            .collect();
        Self {
            policy,
            snapshot,
            now,
            runners: snapshot.runners.iter().map(|runner| (runner.name.clone(), runner.clone())).collect(),
            job_of,
            machines,
            registrations,
            steps: Vec::new(),
            waiting: Vec::new(),
            wake: None,
            demand: 0,
            floor: 0,
        }
    }

    pub fn step(&mut self, action: Action, reason: impl Into<String>) {
        self.steps.push(Step { action, reason: Reason(reason.into()) });
    }

    /// Applies a mark to the working copy and records it, if it changes anything.
    pub fn mark(&mut self, name: &RunnerName, mark: Mark, reason: impl Into<String>) {
        let now = self.now;
        if self.runners.get_mut(name).is_some_and(|runner| runner.mark(mark.clone(), now)) {
            self.step(Action::Mark { runner: name.clone(), mark }, reason);
        }
    }

    pub fn wait_job(&mut self, job: JobId, on: WaitingOn) {
        self.waiting.push(Waiting { job: Some(job), runner: None, on });
    }

    pub fn wait_runner(&mut self, runner: &RunnerName, on: WaitingOn) {
        self.waiting.push(Waiting { job: None, runner: Some(runner.clone()), on });
    }

    /// Looks again at `at` at the latest.
    pub fn wake_at(&mut self, at: Timestamp) {
        if at > self.now {
            self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
        }
    }

    /// Whether `since + for_` has passed; if not, the plan looks again then.
    pub fn passed(&mut self, since: Timestamp, for_: Duration) -> bool {
        let until = since.plus(for_);
        self.wake_at(until);
        until <= self.now
    }

    pub fn alive(&self) -> usize {
        self.runners.values().filter(|runner| runner.state.is_alive()).count()
    }

    pub fn finish(mut self) -> Plan {
        let supply = self.runners.values().filter(|runner| runner.state.is_supply()).count();
        self.steps.sort_by_key(|step| order(&step.action));
        Plan {
            steps: self.steps,
            waiting: self.waiting,
            next_wake: self.wake,
            demand: self.demand,
            supply: u32::try_from(supply).unwrap_or(u32::MAX),
            floor: self.floor,
        }
    }
}

/// The runner of ours that a registration's name belongs to: a later attempt's name ends with `.<attempt>`.
pub(crate) fn own_name(name: &str) -> Option<RunnerName> {
    let base = match name.rsplit_once('.') {
        Some((base, attempt)) if !attempt.is_empty() && attempt.bytes().all(|b| b.is_ascii_digit()) => base,
        _ => name,
    };
    RunnerName::parse(base).ok()
}

/// Records first, then what makes runners, then what removes them, then the rest.
const fn order(action: &Action) -> u8 {
    match action {
        Action::Mark { .. } => 0,
        Action::Interrupted { .. } => 1,
        Action::Withdraw { .. } => 2,
        Action::Intend { .. } => 3,
        Action::Launch { .. } => 4,
        Action::Relaunch { .. } => 5,
        Action::HandOff { .. } => 6,
        Action::LookUp { .. } => 7,
        Action::Deregister { .. } => 8,
        Action::Terminate { .. } => 9,
        Action::ExpireHandOff { .. } => 10,
        Action::Strike(_) => 11,
        Action::VerifyJob { .. } => 12,
        Action::Hold { .. } => 13,
        Action::Tell { .. } => 14,
        Action::Rerun { .. } => 15,
    }
}
