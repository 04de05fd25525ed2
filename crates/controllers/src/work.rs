//! An action of a plan with what the ledger and the log will say of it: what executes actions, and what has their effects, point here.

use runnersmith_types::{
    Action, BootFailure, EffectAction, HandOffAction, JobId, MachineId, Reason, RecordAction, RunnerName,
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

    pub(crate) fn of(action: &Action) -> Self {
        match action {
            Action::Record(
                RecordAction::Withdraw { runner }
                | RecordAction::Update { runner, .. }
                | RecordAction::BootFailed(BootFailure { runner, .. })
                | RecordAction::Booted { runner },
            ) => Self::runner(runner),
            Action::Record(RecordAction::Silent { .. }) | Action::Intend { .. } | Action::Launch(_) => Self::default(),
            Action::HandOff(HandOffAction { runner, machine, .. }) => Self::machine(machine, Some(runner)),
            Action::Effect(action) => Self::of_effect(action),
            Action::Terminate { machine, runner } => Self::machine(machine, runner.as_ref()),
        }
    }

    fn of_effect(action: &EffectAction) -> Self {
        match action {
            EffectAction::ExpireHandOff { runner, machine } => Self::machine(machine, Some(runner)),
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
