//! A plan in the making: a working copy of the runners to which observations are applied at once, so that one round
//! both sees and decides, and the collected steps, refusals and deadlines.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use runnersmith_types::{
    Action, BootFailures, EffectAction, Job, JobId, JobStatus, LaunchAction, Machine, MachineId, MachineState,
    MachineStatus, Observed, Plan, PlanStep, Reason, RecordAction, Registration, Runner, RunnerName, RunnerScope,
    RunnerState, RunnerUpdate, ScaleSet, Snapshot, Timestamp, Waiting, WaitingOn, saturating_u32,
};

/// A runner of the working copy. Most of thousands do not change in a round, and copying them costs more than planning them.
pub(crate) enum DraftRunner<'a> {
    /// As it is recorded.
    Recorded(&'a Runner),
    /// As it will be, or one that is new.
    Changed(Box<Runner>),
}

impl std::ops::Deref for DraftRunner<'_> {
    type Target = Runner;

    fn deref(&self) -> &Runner {
        match self {
            Self::Recorded(runner) => runner,
            Self::Changed(runner) => runner,
        }
    }
}

pub(crate) struct Draft<'a> {
    pub policy: &'a ScaleSet,
    pub snapshot: &'a Snapshot,
    pub now: Timestamp,
    /// The working copy, by name; new intents come after.
    pub runners: Vec<DraftRunner<'a>>,
    /// All jobs, by id, each once.
    pub jobs: Vec<&'a Job>,
    /// Jobs by the runner that they name: the open one if there are several, else the newest.
    job_of: HashMap<RunnerName, &'a Job>,
    pub machines: BTreeMap<&'a MachineId, &'a Machine>,
    registrations: HashMap<(&'a RunnerScope, &'a str), &'a Registration>,
    /// What the sources say of the runner with the same index: every rule asks that of every runner, so it is looked up once.
    evidence: Vec<Evidence<'a>>,
    pub steps: Vec<PlanStep>,
    pub waiting: Vec<Waiting>,
    /// The boot failures, with those of this plan.
    pub boot_failures: BootFailures,
    wake: Option<Timestamp>,
    pub demand: u32,
    pub min_idle: u32,
}

/// What the sources say of one runner.
#[derive(Clone, Copy)]
pub(crate) struct Evidence<'a> {
    /// The job that names it.
    pub job: Option<&'a Job>,
    pub machine: Option<&'a Machine>,
    pub registration: Option<&'a Registration>,
}

impl<'a> Evidence<'a> {
    /// The job that it has now, by GitHub's word.
    pub fn running(&self) -> Option<&'a Job> {
        self.job.filter(|job| job.fact.status == JobStatus::InProgress)
    }
    /// A job of it that GitHub calls completed.
    pub fn completed(&self) -> Option<&'a Job> {
        self.job.filter(|job| job.fact.status == JobStatus::Completed)
    }
    pub fn status(&self) -> Option<&'a MachineStatus> {
        self.machine.and_then(|machine| machine.status.as_ref())
    }
    /// Whether the machine says that a job runs on it, believed or not.
    pub fn status_is_busy(&self) -> bool {
        self.status() == Some(&MachineStatus::Busy)
    }
    /// Whether GitHub or the machine itself says that an ephemeral runner's one job is over.
    pub fn ended_its_job(&self, ephemeral: bool) -> bool {
        ephemeral
            && (self.completed().is_some()
                || matches!(self.status(), Some(MachineStatus::JobDone | MachineStatus::Ended(_))))
    }
}

impl<'a> Draft<'a> {
    pub fn new(policy: &'a ScaleSet, snapshot: &'a Snapshot, now: Timestamp) -> Self {
        // The order of the input is irrelevant: everything is sorted, and of two records of one thing the newer counts.
        let mut runners: Vec<&Runner> = snapshot.runners.iter().filter(|runner| runner.state.is_alive()).collect();
        runners.sort_by(|a, b| (&a.name, b.version).cmp(&(&b.name, a.version)));
        runners.dedup_by(|a, b| a.name == b.name);
        let runners: Vec<DraftRunner<'_>> = runners.into_iter().map(DraftRunner::Recorded).collect();
        let mut jobs: Vec<&Job> = snapshot.jobs.iter().collect();
        jobs.sort_by_key(|job| (job.id(), std::cmp::Reverse(job.version)));
        jobs.dedup_by_key(|job| job.id());
        let mut job_of: HashMap<RunnerName, &Job> = HashMap::new();
        for job in jobs.iter().copied().filter(|job| job.fact.status >= JobStatus::InProgress) {
            let Some(name) = job.runner() else { continue };
            let rank = |job: &Job| (job.fact.status.is_open(), job.changed_at, job.id());
            let slot = job_of.entry(name).or_insert(job);
            if rank(job) > rank(slot) {
                *slot = job;
            }
        }
        let mut machines: BTreeMap<&MachineId, &Machine> = BTreeMap::new();
        for machine in snapshot.machines.value().into_iter().flatten() {
            // A list may show a machine twice while its pages shift; the later state of life counts.
            let slot = machines.entry(&machine.id).or_insert(machine);
            if life(machine) > life(slot) {
                *slot = machine;
            }
        }
        let mut registrations: HashMap<(&RunnerScope, &str), &Registration> = HashMap::new();
        for (at, seen) in &snapshot.registrations {
            for found in seen.value().into_iter().flatten() {
                let rank = |found: &Registration| (found.busy, found.online, found.id);
                let slot = registrations.entry((at, found.name.as_str())).or_insert(found);
                if rank(found) > rank(slot) {
                    *slot = found;
                }
            }
        }
        let mut draft = Self {
            policy,
            snapshot,
            now,
            runners,
            jobs,
            job_of,
            machines,
            registrations,
            evidence: Vec::new(),
            steps: Vec::new(),
            waiting: Vec::new(),
            boot_failures: snapshot.boot_failures.clone(),
            wake: None,
            demand: 0,
            min_idle: 0,
        };
        draft.evidence = draft.runners.iter().map(|runner| draft.look_up(runner)).collect();
        draft
    }

    /// The policies of all sets, this one's included.
    pub fn policies(&self) -> Vec<&'a ScaleSet> {
        let mut policies: Vec<&ScaleSet> = self.snapshot.peers.iter().map(|peer| &peer.policy).collect();
        policies.push(self.policy);
        policies
    }

    /// What the sources say of the runner with this index.
    pub fn evidence(&self, index: usize) -> Evidence<'a> {
        // Of an intent that is new nobody says anything yet.
        self.evidence.get(index).copied().unwrap_or(Evidence { job: None, machine: None, registration: None })
    }

    fn look_up(&self, runner: &Runner) -> Evidence<'a> {
        Evidence {
            job: self.job_of.get(&runner.name).copied(),
            machine: runner.machine.as_ref().and_then(|id| self.machines.get(id).copied()),
            registration: self
                .registrations
                .get(&(&runner.target.at, runner.registration_name().to_string().as_str()))
                .copied(),
        }
    }

    /// Whether GitHub's registrations at the runner's place were read in this pass.
    pub fn listed(&self, at: &RunnerScope) -> bool {
        self.snapshot.registrations.get(at).is_some_and(|seen| seen.value().is_some())
    }

    /// Which source could not speak about a runner at this place; removals need all of them.
    pub fn unknown(&self, at: &RunnerScope) -> Option<String> {
        if let Observed::Unknown { why } = &self.snapshot.machines {
            return Some(format!("machines: {why}"));
        }
        match self.snapshot.registrations.get(at) {
            Some(Observed::Seen { .. }) => None,
            Some(Observed::Unknown { why }) => Some(format!("registrations at {at}: {why}")),
            None => Some(format!("registrations at {at}: not asked for")),
        }
    }

    pub fn step(&mut self, action: impl Into<Action>, reason: impl Into<String>) {
        self.steps.push(PlanStep { action: action.into(), reason: Reason(reason.into()) });
    }

    /// Applies an update to the working copy and records it, if it changes anything.
    pub fn update(&mut self, index: usize, update: RunnerUpdate, reason: impl Into<String>) {
        let before = &self.runners[index];
        let mut runner = Runner::clone(before);
        if runner.update(update.clone(), self.now) {
            let name = runner.name.clone();
            if (before.attempt, before.machine.is_some()) != (runner.attempt, runner.machine.is_some()) {
                let seen = self.look_up(&runner);
                self.evidence.get_mut(index).into_iter().for_each(|slot| *slot = seen);
            }
            self.runners[index] = DraftRunner::Changed(Box::new(runner));
            self.step(RecordAction::Update { runner: name, update }, reason);
        }
    }

    /// Takes the intent back.
    pub fn withdraw(&mut self, index: usize, reason: &str) {
        let mut runner = Runner::clone(&self.runners[index]);
        runner.state = RunnerState::Gone;
        let name = runner.name.clone();
        self.runners[index] = DraftRunner::Changed(Box::new(runner));
        self.step(RecordAction::Withdraw { runner: name }, reason);
    }

    pub fn wait_job(&mut self, job: JobId, on: WaitingOn) {
        self.waiting.push(Waiting { job: Some(job), runner: None, on });
    }

    pub fn wait_runner(&mut self, index: usize, on: WaitingOn) {
        let runner = Some(self.runners[index].name.clone());
        self.waiting.push(Waiting { job: None, runner, on });
    }

    /// Looks again at `at` at the latest.
    pub fn wake_at(&mut self, at: Timestamp) {
        if at > self.now {
            self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
        }
    }

    /// Whether so much time has passed since then; if not, the plan looks again when it has.
    pub fn passed(&mut self, since: Timestamp, time: Duration) -> bool {
        let until = since.plus(time);
        self.wake_at(until);
        until <= self.now
    }

    /// Whether the runner's machine has ended, or has been missing from complete lists for a grace time.
    pub fn is_gone(&self, index: usize) -> bool {
        let grace = self.policy.timing.ghost_grace;
        let runner = &self.runners[index];
        match self.evidence(index).machine {
            Some(machine) => machine.state == MachineState::Ended,
            None => {
                self.snapshot.machines.complete().is_some()
                    && runner.machine_at.unwrap_or(runner.intended_at).plus(grace) <= self.now
                    && runner.machine_missing_since.is_some_and(|since| since.plus(grace) <= self.now)
            }
        }
    }

    /// Whether the provider gave no list of machines.
    pub const fn machines_unknown(&self) -> bool {
        matches!(self.snapshot.machines, Observed::Unknown { .. })
    }

    /// Runners that count against the maximum.
    pub fn alive(&self) -> usize {
        self.runners.iter().filter(|runner| runner.state.is_alive()).count()
    }

    /// Whether the runner will or can take the set's jobs: by its state, and by the labels that it really has.
    pub fn is_supply(&self, runner: &Runner) -> bool {
        runner.state.is_supply() && runner.lacks_label(&self.policy.labels).is_none()
    }

    /// The indexes of runners in a state.
    pub fn in_state(&self, state: RunnerState) -> Vec<usize> {
        (0..self.runners.len()).filter(|index| self.runners[*index].state == state).collect()
    }

    pub fn finish(mut self) -> Plan {
        let supply = self.runners.iter().filter(|runner| self.is_supply(runner)).count();
        self.steps.sort_by_key(|step| order(&step.action));
        Plan {
            steps: self.steps,
            waiting: self.waiting,
            next_wake: self.wake,
            demand: self.demand,
            supply: saturating_u32(supply),
            min_idle: self.min_idle,
        }
    }
}

/// A job's age counts from our receipt of its being queued.
pub(crate) fn age(job: &Job) -> Timestamp {
    job.queued_at.unwrap_or(job.first_seen_at)
}

fn life(machine: &Machine) -> (u8, bool, Timestamp) {
    let state = match machine.state {
        MachineState::Pending => 0,
        MachineState::Running => 1,
        MachineState::Ended => 2,
    };
    (state, machine.status == Some(MachineStatus::Busy), machine.launched_at)
}

/// Records first, then what makes runners, then what removes them, then what concerns jobs.
const fn order(action: &Action) -> u8 {
    match action {
        Action::Record(
            RecordAction::Update { .. }
            | RecordAction::BootFailed(_)
            | RecordAction::Silent { .. }
            | RecordAction::Booted { .. },
        ) => 0,
        Action::Effect(EffectAction::Interrupted { .. }) => 1,
        Action::Record(RecordAction::Withdraw { .. }) => 2,
        Action::Intend { .. } => 3,
        Action::Launch(LaunchAction::First { .. }) => 4,
        Action::Launch(LaunchAction::Again { .. }) => 5,
        Action::HandOff(_) => 6,
        Action::Effect(EffectAction::LookUp { .. }) => 7,
        Action::Effect(EffectAction::Deregister { .. }) => 8,
        Action::Terminate { .. } => 9,
        Action::Effect(EffectAction::ExpireHandOff { .. }) => 10,
        Action::Effect(EffectAction::PoolFailure(_)) => 11,
        Action::Effect(EffectAction::VerifyJob { .. }) => 12,
        Action::Effect(EffectAction::Stall { .. } | EffectAction::EndJob { .. }) => 13,
        Action::Effect(EffectAction::RecordWaits { .. } | EffectAction::FindRunners { .. }) => 14,
        Action::Effect(EffectAction::Notify { .. }) => 15,
        Action::Effect(EffectAction::Rerun { .. } | EffectAction::NoRerun { .. }) => 16,
    }
}
