//! Passes as the controllers make them: GitHub's lists are read for the first round only, and GitHub may refuse to remove a runner.

use std::collections::BTreeSet;

use runnersmith_plan::{lint, plan};
use runnersmith_types::{
    Action, EffectAction, Observed, Plan, Runner, RunnerName, RunnerState, RunnerUpdate, ScaleSet, Snapshot, Timestamp,
};

use super::{execute, serial, shown};

/// More rounds than a quiet world needs (invariant I9).
const ROUNDS_MAX: usize = 8;

/// What a pass did, round by round, in the words of [`shown`].
pub struct Passed {
    pub rounds: Vec<Vec<String>>,
    /// What went wrong: a state that a runner left and came back to, an effect that was had twice, a plan that the linter refuses.
    pub faults: Vec<String>,
    /// The last plan, which has nothing to do.
    pub last: Plan,
}

impl Passed {
    pub fn count(&self, so: &str) -> usize {
        self.rounds.iter().flatten().filter(|line| line.starts_with(so)).count()
    }
}

/// Makes one pass at this moment. GitHub refuses to remove the runners of which `refuses` says so.
pub fn pass(set: &ScaleSet, world: &mut Snapshot, now: Timestamp, refuses: impl Fn(u64) -> bool) -> Passed {
    look(world, now);
    rounds(set, world, now, refuses)
}

/// All sources are read at this moment.
fn look(world: &mut Snapshot, now: Timestamp) {
    if let Observed::Seen { at, .. } = &mut world.machines {
        *at = now;
    }
    for seen in world.registrations.values_mut() {
        if let Observed::Seen { at, .. } = seen {
            *at = now;
        }
    }
}

/// A pass after a message: GitHub's lists are not read at all.
pub fn partial_pass(set: &ScaleSet, world: &mut Snapshot, now: Timestamp, refuses: impl Fn(u64) -> bool) -> Passed {
    let lists = world.registrations.clone();
    hide(world);
    let passed = rounds(set, world, now, refuses);
    world.registrations = lists;
    passed
}

fn rounds(set: &ScaleSet, world: &mut Snapshot, now: Timestamp, refuses: impl Fn(u64) -> bool) -> Passed {
    let mut lists = world.registrations.clone();
    let mut passed = Passed { rounds: Vec::new(), faults: Vec::new(), last: Plan::default() };
    let mut left: BTreeSet<(RunnerName, RunnerState)> = BTreeSet::new();
    let mut effects: BTreeSet<String> = BTreeSet::new();
    for round in 0.. {
        let made = plan(set, world, now);
        passed.faults.extend(lint(set, world, &made).into_iter().map(|fault| fault.0));
        if made.steps.is_empty() {
            passed.last = made;
            break;
        }
        if round == ROUNDS_MAX {
            passed.faults.push(format!("not at rest after {round} rounds"));
            break;
        }
        passed.rounds.push(shown(&made));
        for step in &made.steps {
            let effect = match &step.action {
                Action::Record(_) | Action::Intend { .. } => continue,
                // Its text is of the moment: what a question to GitHub brings changes who waits for what.
                Action::Effect(EffectAction::Notify { .. }) => continue,
                // A name that is intended, launched and refused is launched again: another call.
                Action::Launch(launch) => format!("{launch:?}"),
                Action::HandOff(hand_off) => format!("{hand_off:?}"),
                Action::Effect(effect) => format!("{effect:?}"),
                Action::Terminate { machine, .. } => format!("end {machine}"),
            };
            if !effects.insert(effect.clone()) {
                passed.faults.push(format!("round {round}: again: {effect}"));
            }
        }
        let before: Vec<Runner> = world.runners.clone();
        world.registrations = lists;
        record(world, &made, now, &mut left, &mut passed.faults);
        let (refused, granted) = split(&made, &refuses);
        execute(set, world, &granted, now);
        for name in refused {
            // That is news: what was left before it may be true again.
            left.retain(|(runner, _)| *runner != name);
            for runner in world.runners.iter_mut().filter(|runner| runner.name == name) {
                runner.update(RunnerUpdate::RemovalRefused, now);
            }
        }
        for runner in world.runners.iter().filter(|runner| runner.removal_refused_at != Some(now)) {
            let was = before.iter().find(|other| other.name == runner.name).map(|other| other.state);
            came_back(runner, was, &mut left, &mut passed.faults);
        }
        lists = world.registrations.clone();
        hide(world);
    }
    world.registrations = lists;
    passed
}

fn hide(world: &mut Snapshot) {
    for seen in world.registrations.values_mut() {
        *seen = Observed::Unknown { why: "not asked for in this pass".into() };
    }
}

/// Follows the records of one plan, of which several may be about one runner.
fn record(
    world: &Snapshot,
    made: &Plan,
    now: Timestamp,
    left: &mut BTreeSet<(RunnerName, RunnerState)>,
    faults: &mut Vec<String>,
) {
    let mut runners = world.runners.clone();
    for step in &made.steps {
        let Action::Record(runnersmith_types::RecordAction::Update { runner, update }) = &step.action else { continue };
        for found in runners.iter_mut().filter(|found| &found.name == runner) {
            let was = found.state;
            found.update(update.clone(), now);
            came_back(found, Some(was), left, faults);
        }
    }
}

fn came_back(
    runner: &Runner,
    was: Option<RunnerState>,
    left: &mut BTreeSet<(RunnerName, RunnerState)>,
    faults: &mut Vec<String>,
) {
    let Some(was) = was.filter(|was| *was != runner.state) else { return };
    left.insert((runner.name.clone(), was));
    if left.contains(&(runner.name.clone(), runner.state)) {
        faults.push(format!("{} is {} again", runner.name, runner.state.word()));
    }
}

fn split(made: &Plan, refuses: impl Fn(u64) -> bool) -> (Vec<RunnerName>, Plan) {
    let (mut refused, mut granted) = (Vec::new(), made.clone());
    granted.steps.retain(|step| match &step.action {
        Action::Effect(EffectAction::Deregister { runner, .. }) if refuses(serial(runner)) => {
            refused.push(runner.clone());
            false
        }
        _ => true,
    });
    (refused, granted)
}
