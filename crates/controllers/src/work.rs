//! A plan's steps by the way in which they are executed, each with what the ledger and the log will say of it.

use runnersmith_types::{
    Action, BootFailure, EffectAction, Intent, JobId, LaunchAction, MachineId, PlanStep, Reason, RecordAction,
    RunnerName,
};

/// What an action is about.
#[derive(Default)]
pub(crate) struct Subject {
    pub job: Option<JobId>,
    pub runner: Option<RunnerName>,
    pub machine: Option<MachineId>,
}

impl Subject {
    pub(crate) fn runner(name: &RunnerName) -> Self {
        Self { runner: Some(name.clone()), ..Self::default() }
    }

    fn machine(machine: &MachineId, runner: Option<&RunnerName>) -> Self {
        Self { runner: runner.cloned(), machine: Some(machine.clone()), job: None }
    }

    fn of(action: &Action) -> Self {
        match action {
            Action::Record(
                RecordAction::Withdraw { runner }
                | RecordAction::Update { runner, .. }
                | RecordAction::BootFailed(BootFailure { runner, .. })
                | RecordAction::Booted { runner },
            ) => Self::runner(runner),
            Action::Record(RecordAction::Silent { .. }) | Action::Intend { .. } | Action::Launch(_) => Self::default(),
            Action::Effect(action) => Self::of_effect(action),
            Action::Terminate { machine, runner } => Self::machine(machine, runner.as_ref()),
        }
    }

    fn of_effect(action: &EffectAction) -> Self {
        match action {
            EffectAction::HandOff { runner, machine, .. } | EffectAction::ExpireHandOff { runner, machine } => {
                Self::machine(machine, Some(runner))
            }
            EffectAction::LookUp { runner, .. } | EffectAction::Deregister { runner, .. } => Self::runner(runner),
            EffectAction::VerifyJob { job, .. }
            | EffectAction::EndJob { job }
            | EffectAction::Stall { job, .. }
            | EffectAction::Interrupted { job, .. } => Self { job: Some(*job), ..Self::default() },
            EffectAction::Notify { jobs, .. } => Self { job: jobs.first().map(|(job, _)| *job), ..Self::default() },
            EffectAction::Rerun { jobs, .. } | EffectAction::NoRerun { jobs, .. } => {
                Self { job: jobs.first().copied(), ..Self::default() }
            }
            EffectAction::PoolFailure(_) | EffectAction::RecordWaits { .. } | EffectAction::FindRunners { .. } => {
                Self::default()
            }
        }
    }
}

/// What is recorded of an action, whatever comes of it.
pub(crate) struct About {
    /// Its stable word.
    pub kind: &'static str,
    pub reason: Reason,
    pub subject: Subject,
}

/// One action of a kind, and what it is about.
pub(crate) struct Task<A> {
    pub action: A,
    pub about: About,
}

/// A plan's steps by the way in which they are executed, each list in the plan's order.
#[derive(Default)]
pub(crate) struct Work {
    pub records: Vec<Task<RecordAction>>,
    pub intents: Vec<Task<Vec<Intent>>>,
    pub launches: Vec<Task<LaunchAction>>,
    pub effects: Vec<Task<EffectAction>>,
    /// Machines to be ended, with their runners.
    pub ends: Vec<Task<(MachineId, Option<RunnerName>)>>,
}

impl Work {
    pub(crate) fn of(steps: Vec<PlanStep>) -> Self {
        let mut work = Self::default();
        for PlanStep { action, reason } in steps {
            let about = About { kind: action.kind(), subject: Subject::of(&action), reason };
            match action {
                Action::Record(action) => work.records.push(Task { action, about }),
                Action::Intend { runners } => work.intents.push(Task { action: runners, about }),
                Action::Launch(action) => work.launches.push(Task { action, about }),
                Action::Effect(action) => work.effects.push(Task { action, about }),
                Action::Terminate { machine, runner } => work.ends.push(Task { action: (machine, runner), about }),
            }
        }
        work
    }
}
