//! Every state has a deadline: however silent the world stays, something is done about each runner and each job, and the plan says
//! when it looks again.

use std::time::Duration;

use crate::support::passes::pass;
use crate::support::*;
use runnersmith_plan::plan;
use runnersmith_types::{
    Batch, FallbackOrder, Job, JobStatus, MachineStatus, Observed, RecordVersion, Runner, RunnerState as S,
    RunnerUpdate, ScaleSet, Snapshot, Stalled, Timestamp, WaitingOn,
};

const DAY: u64 = 24 * 60;

/// What a state's case is: a world in which nothing happens any more, seen at that age of the state.
type World = fn(Duration) -> Snapshot;

fn quiet(state: S, at: Timestamp, status: MachineStatus, registered: Option<(bool, bool)>) -> Snapshot {
    let mut world = snapshot();
    let mut machine = machine(1, Some(status));
    machine.launched_at = at;
    let runner = runner_at(1, state, at, &acme());
    with(&mut world, runner, Some(machine), registered.map(|(online, busy)| registration(1, online, busy)));
    world
}

fn launching(at: Timestamp) -> Snapshot {
    let mut world = snapshot();
    world.jobs.push(queued(1));
    let runner = runner_at(1, S::Launching, at, &acme());
    world.batches.push(batch(&[&runner], at));
    with(&mut world, runner, None, None);
    world
}

fn batch(runners: &[&Runner], at: Timestamp) -> Batch {
    Batch {
        id: runners[0].batch.clone().unwrap(),
        set: policy().name,
        pool: FallbackOrder::local().pools[0].clone(),
        runners: runners.iter().map(|runner| runner.name.clone()).collect(),
        stored_at: at,
        hard_end_at: at.plus(mins(121 * 60)),
        settled: false,
        record_version: RecordVersion::CURRENT,
    }
}

/// The longest that a runner stays in a state of which there is no more news, and what is done then. `None`: nothing remote is held.
fn of_runner(state: S) -> Option<(Duration, World, &'static str)> {
    Some(match state {
        // An intent holds nothing but a place below the maximum: it goes as soon as nothing wants it.
        S::Intended => (
            Duration::ZERO,
            |age| {
                let mut world = snapshot();
                with(&mut world, runner_at(1, S::Intended, ago(age), &acme()), None, None);
                world
            },
            "withdraw linux-abcdef-1",
        ),
        S::Launching => (mins(5), |age| launching(ago(age)), "update linux-abcdef-1 launch_failed"),
        S::Booting => (
            mins(7),
            |age| quiet(S::Booting, ago(age), MachineStatus::Booting, None),
            "update linux-abcdef-1 draining: it could not be given",
        ),
        S::Idle => (
            mins(5 * DAY),
            |age| {
                let mut world = quiet(S::Idle, ago(age), MachineStatus::Listening, Some((true, false)));
                world.jobs.push(queued(1));
                world
            },
            "update linux-abcdef-1 draining: it is past its lifetime",
        ),
        S::Busy => (
            mins(5 * DAY + 62),
            |age| {
                let mut world = quiet(S::Busy, ago(age), MachineStatus::Busy, Some((true, true)));
                world.jobs.push(on(job_of("acme/shop", 1, JobStatus::InProgress, ago(mins(9))), &world.runners[0]));
                world
            },
            "end m-1: it is past its hard end",
        ),
        S::Draining => (
            mins(5 * DAY + 62),
            |age| {
                let mut world = quiet(S::Draining, ago(age), MachineStatus::Listening, None);
                world.runners[0].removal_refused_at = None;
                // GitHub cannot be asked, and does not answer to a removal.
                world.registrations.insert(acme(), Observed::Unknown { why: "503".into() });
                world
            },
            "end m-1: it is past its hard end",
        ),
        S::Finished => (
            mins(5),
            |age| {
                let mut world = quiet(S::Finished, ago(age), MachineStatus::JobDone, None);
                world.jobs.push(on(job_of("acme/shop", 1, JobStatus::Completed, ago(age)), &world.runners[0]));
                world
            },
            "end m-1: its job is over",
        ),
        S::Lost => (
            mins(DAY),
            |age| {
                let mut world = quiet(S::Lost, ago(age), MachineStatus::Listening, Some((false, false)));
                let Observed::Seen { value, .. } = &mut world.machines else { panic!("machines are known") };
                value[0].state = runnersmith_types::MachineState::Ended;
                world
            },
            "update linux-abcdef-1 gone: its machine ended a day ago",
        ),
        S::Gone => return None,
    })
}

const STATES: [S; 9] =
    [S::Intended, S::Launching, S::Booting, S::Idle, S::Busy, S::Draining, S::Finished, S::Lost, S::Gone];

#[test]
fn every_state_of_a_runner_has_a_deadline() {
    for state in STATES {
        let Some((deadline, world, then)) = of_runner(state) else { continue };
        has(&planned(&world(deadline)), then);
        if deadline.is_zero() {
            continue;
        }
        let before = world(deadline - secs(1));
        let plan = planned(&before);
        has_not(&plan, then);
        assert!(
            plan.next_wake.is_some_and(|wake| wake <= NOW.plus(secs(1))),
            "{state:?}: looks again at {:?}, now is {NOW}",
            plan.next_wake
        );
    }
}

/// A job that has been in its state for so long.
type Aged = fn(Duration) -> Job;

/// The longest that a job is in a state without a question or a decision, and what comes then.
fn of_job(status: JobStatus) -> Option<(Duration, Aged, &'static str)> {
    Some(match status {
        JobStatus::Waiting => (mins(10), |age| job_of("acme/shop", 1, JobStatus::Waiting, ago(age)), "verify 1"),
        JobStatus::Queued => (mins(10), |age| job_of("acme/shop", 1, JobStatus::Queued, ago(age)), "verify 1"),
        JobStatus::InProgress => (mins(10), |age| job_of("acme/shop", 1, JobStatus::InProgress, ago(age)), "verify 1"),
        // It is over.
        JobStatus::Completed | JobStatus::Gone => return None,
    })
}

#[test]
fn every_state_of_a_job_has_a_deadline() {
    let set = ScaleSet { notify: false, runners_max: 0, ..policy() };
    for status in [JobStatus::Waiting, JobStatus::Queued, JobStatus::InProgress, JobStatus::Completed, JobStatus::Gone]
    {
        let Some((deadline, job, then)) = of_job(status) else { continue };
        let mut world = snapshot();
        world.jobs.push(job(deadline));
        has(&plan(&set, &world, NOW), then);
        world.jobs[0] = job(deadline - secs(1));
        let plan = plan(&set, &world, NOW);
        has_not(&plan, then);
        assert_eq!(plan.next_wake, Some(NOW.plus(secs(1))), "{status:?}");
    }
    let mut world = snapshot();
    let mut stalled = job_of("acme/shop", 1, JobStatus::Queued, ago(mins(3)));
    stalled.stalled = Some(Stalled { since: ago(mins(1)), until: NOW.plus(mins(5)) });
    world.jobs.push(stalled);
    assert_eq!(plan(&set, &world, NOW).next_wake, Some(NOW.plus(mins(5))), "a stalled job is tested again");
}

// ---- a launch call of which no answer comes --------------------------------------------------------------------------

fn tried(world: &mut Snapshot, times: u32, last: Timestamp) {
    for _ in 0..times {
        let cause = "IdempotentParameterMismatch".to_owned();
        assert!(world.runners[0].update(RunnerUpdate::LaunchTried(cause), last));
    }
}

#[test]
fn a_call_without_a_usable_answer_is_made_again_after_growing_pauses() {
    let mut world = launching(ago(secs(250)));
    for (times, pause) in [(1, 2), (2, 4), (3, 8), (6, 60), (30, 60)] {
        world.runners[0].launch_failures = 0;
        tried(&mut world, times, ago(secs(pause - 1)));
        let early = planned(&world);
        has_not(&early, "relaunch");
        assert_eq!(early.next_wake, Some(NOW.plus(secs(1))), "after {times}");
        assert!(matches!(keeps(&early, 1), Some(WaitingOn::Grace { .. })), "{:?}", early.waiting);
        world.runners[0].launch_tried_at = Some(ago(secs(pause)));
        has(&planned(&world), "relaunch batch-1");
    }
}

#[test]
fn a_call_without_a_usable_answer_is_given_up_with_its_reason_and_its_place_is_free() {
    let mut world = launching(ago(mins(5)));
    tried(&mut world, 8, ago(secs(30)));
    let set = policy();
    let passed = pass(&set, &mut world, NOW, |_| false);
    assert_eq!(passed.faults, Vec::<String>::new(), "{:?}", passed.rounds);
    let why = "no usable answer came to its launch call within 5 min, and no machine of it is there; \
               last: IdempotentParameterMismatch";
    assert_eq!(passed.count(&format!("update linux-abcdef-1 launch_failed: {why}")), 1, "{:?}", passed.rounds);
    assert_eq!(passed.count("fail pool local process"), 1);
    assert_eq!((passed.count("relaunch"), passed.count("launch")), (0, 0), "not at once: {:?}", passed.rounds);
    assert_eq!(world.pool_failures[0].why, why);
    assert_eq!(world.runners[0].state, S::Intended);
    // The next call has a token of its own, after a pause; its first batch may be forgotten.
    world.batches.clear();
    let token = world.runners[0].version;
    let later = pass(&set, &mut world, NOW.plus(mins(6)), |_| false);
    assert_eq!(later.count("launch 1"), 1, "{:?}", later.rounds);
    assert!(world.runners[0].version > token);
    // Nothing wants it any more: then it goes.
    let mut unwanted = launching(ago(mins(5)));
    unwanted.jobs.clear();
    pass(&set, &mut unwanted, NOW, |_| false);
    assert!(unwanted.runners.is_empty(), "{:?}", unwanted.runners);
}

#[test]
fn the_machines_of_a_call_that_is_given_up_are_looked_for_by_their_tag_first() {
    let at = ago(mins(6));
    let mut world = snapshot();
    world.jobs.extend([queued(1), queued(2), queued(3)]);
    let mut runners = [1, 2, 3].map(|serial| runner_at(serial, S::Launching, at, &acme()));
    let first = runners[0].batch.clone();
    runners.iter_mut().for_each(|runner| runner.batch.clone_from(&first));
    world.batches.push(batch(&runners.iter().collect::<Vec<_>>(), at));
    let mut there = machine(7, Some(MachineStatus::Booting));
    there.batch = first.unwrap();
    let [one, two, three] = runners;
    with(&mut world, one, Some(there), None);
    with(&mut world, two, None, None);
    with(&mut world, three, None, None);
    let complete = planned(&world);
    has(&complete, "update linux-abcdef-1 machine: ");
    has(&complete, "update linux-abcdef-2 launch_failed: ");
    has(&complete, "update linux-abcdef-3 launch_failed: ");
    has_not(&complete, "end");
    assert_eq!(shown(&complete).iter().filter(|line| line.starts_with("fail pool")).count(), 1, "one call failed");
    // A list that is not complete proves nothing.
    for unknown in [true, false] {
        let mut world = world.clone();
        world.machines = match (&world.machines, unknown) {
            (Observed::Seen { value, at, .. }, false) => {
                Observed::Seen { value: value.clone(), at: *at, complete: false }
            }
            _ => Observed::Unknown { why: "timeout".into() },
        };
        let plan = planned(&world);
        has_not(&plan, "update linux-abcdef-1 machine");
        has_not(&plan, "update linux-abcdef-2 launch_failed");
        has(&plan, "relaunch batch-1");
        assert!(plan.waiting.iter().any(|waiting| matches!(waiting.on, WaitingOn::UnknownSource { .. })));
    }
}

#[test]
fn a_machine_of_a_call_that_was_given_up_is_ended_when_it_comes_after_all() {
    let mut world = snapshot();
    let mut late = machine(1, Some(MachineStatus::Booting));
    late.launched_at = ago(secs(119));
    world.machines = Observed::seen(vec![late.clone()], NOW);
    has_not(&planned(&world), "end");
    late.launched_at = ago(mins(2));
    world.machines = Observed::seen(vec![late], NOW);
    has(&planned(&world), "end m-1: it has our tags and no record");
}

#[test]
fn an_untracked_machine_that_says_busy_forever_is_ended_at_its_hard_end() {
    let mut world = snapshot();
    let mut busy = machine(9, Some(MachineStatus::Busy));
    busy.launched_at = ago(mins(5 * DAY + 62));
    world.machines = Observed::seen(vec![busy], NOW);
    has(&planned(&world), "end m-9");
}
