//! What holds for every snapshot, however odd: the planner is total, order is irrelevant, the maximum holds, a busy runner
//! stays, no job is forgotten, and on a quiet world there is soon nothing more to do.

use std::collections::BTreeSet;

use crate::support::passes::pass;
use crate::support::{
    NOW, acme, execute, job_of, machine, name, on, org, policy, registration, runner_at, secs, snapshot,
};
use proptest::prelude::*;
use runnersmith_plan::{lint, plan};
use runnersmith_types::{
    Action, Batch, BootFailure, BootFailureCause, EffectAction, HandOffTrouble, JobStatus, LaunchAction, MachineState,
    MachineStatus, MinIdleEntry, Observed, Plan, RecordAction, RecordVersion, RunnerState, RunnerUpdate, ScaleSet,
    Snapshot, Timestamp, WaitingOn,
};

const STATES: [RunnerState; 8] = [
    RunnerState::Intended,
    RunnerState::Launching,
    RunnerState::Booting,
    RunnerState::Idle,
    RunnerState::Busy,
    RunnerState::Draining,
    RunnerState::Finished,
    RunnerState::Lost,
];

const STATUSES: [JobStatus; 5] =
    [JobStatus::Waiting, JobStatus::Queued, JobStatus::InProgress, JobStatus::Completed, JobStatus::Gone];

fn statuses() -> Vec<Option<MachineStatus>> {
    vec![
        None,
        Some(MachineStatus::Booting),
        Some(MachineStatus::Configured),
        Some(MachineStatus::Listening),
        Some(MachineStatus::Busy),
        Some(MachineStatus::JobDone),
        Some(MachineStatus::Ended("exit code 0".into())),
    ]
}

/// What is drawn for one runner: state, age, its place, its machine (gone, status, state), its registration, its job's status.
type OneRunner = (usize, u64, bool, Option<(usize, u8, bool)>, Option<(bool, bool)>, Option<usize>);

fn one_runner() -> impl Strategy<Value = OneRunner> {
    (
        0..STATES.len(),
        0..900_u64,
        any::<bool>(),
        proptest::option::of((0..7_usize, 0..3_u8, prop::bool::weighted(0.1))),
        proptest::option::of(any::<(bool, bool)>()),
        proptest::option::of(0..STATUSES.len()),
    )
}

fn one_job() -> impl Strategy<Value = (usize, u64, u8)> {
    (0..STATUSES.len(), 0..2_000_u64, 0..4_u8)
}

prop_compose! {
    fn worlds()(
        runners in proptest::collection::vec(one_runner(), 0..30),
        jobs in proptest::collection::vec(one_job(), 0..40),
        maximum in 1..25_u32,
        min_idle in 0..4_u32,
        jit_left in 0..5_u32,
        ephemeral in any::<bool>(),
        machines_known in prop::bool::weighted(0.85),
        machines_complete in prop::bool::weighted(0.9),
        registrations_known in prop::bool::weighted(0.85),
        (troubles, trouble_age, failures) in (0..8_u8, 0..200_u64, 0..8_u64),
    ) -> (ScaleSet, Snapshot) {
        let mut set = policy();
        set.ephemeral = ephemeral;
        set.runners_max = maximum;
        set.scope.at = Some(acme());
        set.scope.level = runnersmith_types::ScopeLevel::Organization;
        set.min_idle = vec![MinIdleEntry::Window { days: vec![], from_minute: 0, to_minute: 0, time_zone: "UTC".into(), count: min_idle }];
        let mut world = snapshot();
        world.budget.jit_left = jit_left;
        let (mut machines, mut registrations) = (Vec::new(), Vec::new());
        for (serial, (state, age, here, seen, registered, status)) in runners.into_iter().enumerate() {
            let serial = serial as u64 + 1;
            let place = if here { acme() } else { org("elsewhere") };
            let mut runner = runner_at(serial, STATES[state], NOW.minus(secs(age)), &place);
            runner.ephemeral = ephemeral;
            if let Some((status, life, warned)) = seen.filter(|_| STATES[state] != RunnerState::Intended) {
                let mut machine = machine(serial, statuses()[status].clone());
                machine.state = [MachineState::Pending, MachineState::Running, MachineState::Ended][life as usize];
                machine.interrupted_at = warned.then_some(NOW);
                machines.push(machine);
            }
            if let Some((online, busy)) = registered {
                registrations.push(registration(serial, online, busy));
            }
            if let Some(status) = status {
                world.jobs.push(on(job_of("acme/shop", 5_000 + serial, STATUSES[status], NOW.minus(secs(age))), &runner));
            }
            if let (RunnerState::Launching, Some(id), Some(pool)) = (runner.state, &runner.batch, &runner.pool) {
                world.batches.push(Batch {
                    id: id.clone(),
                    set: set.name.clone(),
                    pool: pool.clone(),
                    runners: vec![runner.name.clone()],
                    stored_at: runner.intended_at,
                    hard_end_at: NOW.plus(set.timing.lifetime_max),
                    settled: false,
                    record_version: RecordVersion::CURRENT,
                });
            }
            world.runners.push(runner);
        }
        for (n, (status, age, kind)) in jobs.into_iter().enumerate() {
            let repo = ["acme/shop", "acme/web", "elsewhere/app", "acme/shop"][kind as usize];
            let mut job = job_of(repo, n as u64 + 1, STATUSES[status], NOW.minus(secs(age)));
            if kind == 3 {
                job.fact.labels.push(runnersmith_types::Label::of_job("gpu"));
            }
            world.jobs.push(job);
        }
        world.machines = if machines_known {
            Observed::Seen { value: machines, at: NOW, complete: machines_complete }
        } else {
            Observed::Unknown { why: "timeout".into() }
        };
        world.registrations.clear();
        for place in [acme(), org("elsewhere")] {
            let seen = if registrations_known {
                let mine = registrations.iter().filter(|found| world.runners.iter().any(|runner| runner.target.at == place && runner.name.as_str() == found.name));
                Observed::seen(mine.cloned().collect(), NOW)
            } else {
                Observed::Unknown { why: "503".into() }
            };
            world.registrations.insert(place, seen);
        }
        // In most worlds nothing has failed.
        for n in 0..troubles.saturating_sub(4) {
            let trouble = [HandOffTrouble::Unavailable, HandOffTrouble::Refused, HandOffTrouble::Limited][n as usize % 3];
            let place = if n % 2 == 0 { acme() } else { org("elsewhere") };
            for at in [trouble_age, trouble_age / 2] {
                world.hand_off_faults.failed(&place, trouble, "502", None, NOW.minus(secs(at)));
            }
        }
        for n in 0..failures.saturating_sub(3) {
            let cause = if n % 2 == 0 { BootFailureCause::NeverOnline } else { BootFailureCause::NoJob };
            let (at, launched) = (NOW.minus(secs(400 - 60 * n)), NOW.minus(secs(700)));
            let pool = set.fallback_order.pools[0].clone();
            world.boot_failures.add(BootFailure::new(name(100 + n), pool, at).because(cause, "exit 3", launched));
        }
        (set, world)
    }
}

fn alive(world: &Snapshot) -> usize {
    world.runners.iter().filter(|runner| runner.state.is_alive()).count()
}

fn intended(plan: &Plan) -> usize {
    plan.steps.iter().map(|step| if let Action::Intend { runners } = &step.action { runners.len() } else { 0 }).sum()
}

/// Whether a source says that the runner has a job; a stale flag after an ephemeral runner's one job is over does not count.
fn is_busy(world: &Snapshot, set: &ScaleSet, serial: u64) -> bool {
    let runner_name = name(serial);
    let job_is = |status| {
        world
            .jobs
            .iter()
            .any(|job| job.fact.runner_name.as_deref() == Some(runner_name.as_str()) && job.fact.status == status)
    };
    let machine =
        world.machines.value().and_then(|all| all.iter().find(|m| m.id == crate::support::machine_id(serial)));
    let machine_says = machine.is_some_and(|m| m.status == Some(MachineStatus::Busy) && m.state != MachineState::Ended);
    let gone = machine.is_some_and(|m| m.state == MachineState::Ended);
    let github_says = world
        .registrations
        .values()
        .filter_map(Observed::value)
        .flatten()
        .any(|r| r.name == runner_name.as_str() && r.busy);
    let over = set.ephemeral && job_is(JobStatus::Completed);
    !gone && (job_is(JobStatus::InProgress) || machine_says || (github_says && !over))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_planner_is_total_and_its_plans_pass_the_linter((set, world) in worlds()) {
        let made = plan(&set, &world, NOW);
        prop_assert_eq!(lint(&set, &world, &made), vec![]);
    }

    #[test]
    fn the_order_of_input_is_irrelevant((set, world) in worlds(), seed in any::<u64>()) {
        let mut other = world.clone();
        shuffle(&mut other.jobs, seed);
        shuffle(&mut other.runners, seed ^ 1);
        if let Observed::Seen { value, .. } = &mut other.machines {
            shuffle(value, seed ^ 2);
        }
        for seen in other.registrations.values_mut() {
            if let Observed::Seen { value, .. } = seen {
                shuffle(value, seed ^ 3);
            }
        }
        prop_assert_eq!(plan(&set, &world, NOW), plan(&set, &other, NOW));
    }

    #[test]
    fn the_maximum_holds((set, world) in worlds()) {
        let made = plan(&set, &world, NOW);
        // Records are executed first: what a plan marks as gone or takes back is not alive any more when it intends.
        let ends = |step: &&runnersmith_types::PlanStep| {
            matches!(&step.action, Action::Record(RecordAction::Withdraw { .. } | RecordAction::Update { update: RunnerUpdate::Gone(_), .. }))
        };
        let left = alive(&world) - made.steps.iter().filter(ends).count();
        let room = (set.runners_max as usize).saturating_sub(left);
        prop_assert!(intended(&made) <= room, "{} intended, room for {}", intended(&made), room);
    }

    #[test]
    fn a_busy_runner_is_never_removed((set, world) in worlds()) {
        let made = plan(&set, &world, NOW);
        for runner in &world.runners {
            if !is_busy(&world, &set, runner.serial) {
                continue;
            }
            for step in &made.steps {
                let removed = match &step.action {
                    Action::Effect(EffectAction::Deregister { runner: found, .. }) | Action::Record(RecordAction::Withdraw { runner: found }) => found == &runner.name,
                    Action::Terminate { machine, .. } => Some(machine) == runner.machine.as_ref(),
                    _ => false,
                };
                prop_assert!(!removed, "{:?} although {} is busy", step, runner.name);
            }
        }
    }

    #[test]
    fn nothing_is_removed_while_a_source_is_unknown((set, mut world) in worlds()) {
        world.machines = Observed::Unknown { why: "timeout".into() };
        for seen in world.registrations.values_mut() {
            *seen = Observed::Unknown { why: "503".into() };
        }
        // What was decided before may go on; nothing new is decided.
        world.runners.retain(|runner| !matches!(runner.state, RunnerState::Draining | RunnerState::Lost | RunnerState::Finished));
        let made = plan(&set, &world, NOW);
        for step in &made.steps {
            let removal = matches!(step.action, Action::Terminate { .. } | Action::Effect(EffectAction::Deregister { .. }));
            prop_assert!(!removal, "{:?}", step);
        }
    }

    #[test]
    fn jobs_are_conserved((set, world) in worlds()) {
        let made = plan(&set, &world, NOW);
        for job in world.jobs.iter().filter(|job| job.fact.status <= JobStatus::Queued) {
            let reasons: Vec<&WaitingOn> =
                made.waiting.iter().filter(|waiting| waiting.job == Some(job.id())).map(|waiting| &waiting.on).collect();
            prop_assert_eq!(reasons.len(), 1, "job {}: {:?}", job.id(), reasons);
        }
        for waiting in &made.waiting {
            let Some(id) = waiting.job else { continue };
            prop_assert!(world.jobs.iter().any(|job| job.id() == id && job.fact.status <= JobStatus::Queued));
        }
    }

    #[test]
    fn a_quiet_world_needs_at_most_four_rounds_and_nothing_twice((set, mut world) in worlds()) {
        let (mut launched, mut removed) = (BTreeSet::new(), BTreeSet::new());
        let mut last = Plan::default();
        // Where hand-offs failed, one machine tries for all first, and more are launched when it has succeeded.
        let rounds = if world.hand_off_faults.faults.is_empty() { 4 } else { 7 };
        for round in 0..=rounds {
            last = plan(&set, &world, NOW);
            if last.steps.is_empty() {
                return Ok(());
            }
            for step in &last.steps {
                match &step.action {
                    Action::Launch(LaunchAction::First { runners, .. }) => {
                        for runner in runners {
                            prop_assert!(launched.insert(runner.clone()), "round {}: {} is launched twice", round, runner);
                        }
                    }
                    Action::Terminate { machine, .. } => {
                        prop_assert!(removed.insert(machine.to_string()), "round {}: {} is ended twice", round, machine);
                    }
                    Action::Effect(EffectAction::Deregister { registration, .. }) => {
                        prop_assert!(removed.insert(format!("r{registration}")), "round {}: {} is removed twice", round, registration);
                    }
                    _ => {}
                }
            }
            execute(&set, &mut world, &last, NOW);
        }
        prop_assert!(false, "still busy after {rounds} rounds:\n{}", crate::support::shown(&last).join("\n"));
    }

    #[test]
    fn within_a_pass_nothing_is_marked_and_unmarked_and_no_effect_is_had_twice(
        (set, mut world) in worlds(),
        refused in any::<u64>(),
        jump in 0..900_u64,
    ) {
        for seconds in [0, 2, 2 + jump] {
            let passed = pass(&set, &mut world, NOW.plus(secs(seconds)), |serial| refused >> (serial % 64) & 1 == 1);
            prop_assert!(passed.faults.is_empty(), "after {} s: {:#?}\n{:#?}", seconds, passed.faults, passed.rounds);
        }
    }

    #[test]
    fn the_next_look_is_in_the_future((set, world) in worlds()) {
        let made = plan(&set, &world, NOW);
        prop_assert!(made.next_wake.is_none_or(|wake| wake > NOW));
        // A job that waits for a moment is looked at when it has come.
        for waiting in &made.waiting {
            if let WaitingOn::Stalled { until } | WaitingOn::Delay { until } = waiting.on {
                prop_assert!(made.next_wake.is_some_and(|wake| wake <= until.max(Timestamp(NOW.0 + 1))));
            }
        }
    }
}

fn shuffle<T>(items: &mut [T], mut seed: u64) {
    for n in (1..items.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(n, usize::try_from(seed >> 33).unwrap() % (n + 1));
    }
}
