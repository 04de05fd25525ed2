//! The design's rules beyond the states: lifetime, interruption, minimum of idle runners, maximum, breaker, fallback order, notification.

use std::collections::BTreeSet;

use crate::support::*;
use runnersmith_plan::plan;
use runnersmith_types::{
    Action, BootFailure, Conclusion, JobStatus, LaunchAction, MachineStatus, Notified, OwnerKind, PoolFailure,
    RunnerState as S, ScaleSet, Snapshot, WaitingOn,
};

#[test]
fn past_its_lifetime_an_idle_runner_goes_and_a_busy_one_is_reported() {
    let old = ago(mins(5 * 24 * 60));
    let mut idle = snapshot();
    idle.jobs.push(queued(1));
    with(
        &mut idle,
        runner_at(1, S::Idle, old, &acme()),
        Some(machine(1, Some(MachineStatus::Listening))),
        Some(registration(1, true, false)),
    );
    has(&planned(&idle), "update linux-abcdef-1 draining: it is past its lifetime and not busy");
    let mut busy = snapshot();
    with(
        &mut busy,
        runner_at(1, S::Busy, old, &acme()),
        Some(machine(1, Some(MachineStatus::Busy))),
        Some(registration(1, true, true)),
    );
    let plan = planned(&busy);
    has_not(&plan, "update linux-abcdef-1 draining");
    assert!(keeps(&plan, 1).is_some_and(|on| on.to_string().contains("past its lifetime")), "{:?}", plan.waiting);
}

#[test]
fn a_warned_machine_takes_no_job_and_its_job_is_recorded_and_run_again_once() {
    let warned = |status| {
        let mut machine = machine(1, Some(status));
        machine.interrupted_at = Some(NOW.plus(mins(2)));
        Some(machine)
    };
    let mut idle = snapshot();
    idle.jobs.push(queued(1));
    with(&mut idle, runner(1, S::Idle), warned(MachineStatus::Listening), Some(registration(1, true, false)));
    has(&planned(&idle), "update linux-abcdef-1 draining: its machine will be taken back");
    let mut busy = snapshot();
    let runner_1 = runner(1, S::Busy);
    busy.jobs.push(on(job(1, JobStatus::InProgress), &runner_1));
    with(&mut busy, runner_1, warned(MachineStatus::Busy), Some(registration(1, true, true)));
    let plan_1 = planned(&busy);
    has(&plan_1, "interrupt 1: the machine of linux-abcdef-1 will be taken back while the job runs");
    has_not(&plan_1, "deregister");
    let mut set = policy();
    set.rerun_interrupted = true;
    let mut over = snapshot();
    let mut failed = on(job(1, JobStatus::Completed), &runner(1, S::Busy));
    (failed.fact.conclusion, failed.interrupted_at) = (Some(Conclusion("failure".into())), Some(ago(mins(1))));
    over.jobs.extend([failed.clone(), queued(2)]);
    has_not(&plan(&set, &over, NOW), "rerun");
    over.jobs[1].fact.status = JobStatus::Completed;
    has(&plan(&set, &over, NOW), "rerun 1: an interruption took a machine of this run");
    has_not(&planned(&over), "rerun");
    over.reruns.push((failed.fact.repo.clone(), failed.fact.run));
    has_not(&plan(&set, &over, NOW), "rerun");
}

fn with_min_idle(count: u32) -> runnersmith_types::ScaleSet {
    let mut set = policy();
    set.scope.at = Some(acme());
    set.min_idle = vec![runnersmith_types::MinIdleEntry::Window {
        days: Vec::new(),
        from_minute: 0,
        to_minute: 0,
        time_zone: "UTC".into(),
        count,
    }];
    set
}

#[test]
fn min_idle_launches_and_spares_and_busy_runners_never_use_it_up() {
    let mut world = snapshot();
    has(&plan(&with_min_idle(2), &world, NOW), "intend 2: 0 job(s) and a minimum of 2 idle runner(s)");
    for serial in [1, 2, 3] {
        with(
            &mut world,
            runner(serial, S::Idle),
            Some(machine(serial, Some(MachineStatus::Listening))),
            Some(registration(serial, true, false)),
        );
    }
    let plan_1 = plan(&with_min_idle(2), &world, NOW);
    has(&plan_1, "update linux-abcdef-1 draining");
    has_not(&plan_1, "update linux-abcdef-2 draining");
    assert_eq!(keeps(&plan_1, 2), Some(&WaitingOn::MinIdle));
    let mut busy = snapshot();
    with(&mut busy, runner(1, S::Busy), Some(machine(1, Some(MachineStatus::Busy))), Some(registration(1, true, true)));
    has(&plan(&with_min_idle(1), &busy, NOW), "intend 1:");
}

#[test]
fn min_idle_without_a_place_only_spares() {
    let mut set = with_min_idle(1);
    set.scope.at = None;
    let mut world = snapshot();
    has_not(&plan(&set, &world, NOW), "intend");
    with(
        &mut world,
        runner(1, S::Idle),
        Some(machine(1, Some(MachineStatus::Listening))),
        Some(registration(1, true, false)),
    );
    has_not(&plan(&set, &world, NOW), "update linux-abcdef-1 draining");
}

#[test]
fn what_exceeds_the_maximum_waits_in_line_by_age() {
    let mut set = policy();
    set.runners_max = 1;
    let mut world = snapshot();
    for (id, age) in [(1, 10), (2, 30), (3, 20)] {
        world.jobs.push(job_of("acme/shop", id, JobStatus::Queued, ago(secs(age))));
    }
    let plan = plan(&set, &world, NOW);
    has(&plan, "intend 1:");
    assert!(matches!(waits(&plan, 2), Some(WaitingOn::Runner { .. })));
    assert_eq!(waits(&plan, 3), Some(&WaitingOn::Maximum { runners_max: 1, position: 1 }));
    assert_eq!(waits(&plan, 1), Some(&WaitingOn::Maximum { runners_max: 1, position: 2 }));
}

#[test]
fn slots_go_round_robin_over_targets() {
    let mut set = policy();
    set.runners_max = 4;
    let mut world = snapshot();
    for id in 1..=10 {
        world.jobs.push(job_of("acme/shop", id, JobStatus::Queued, ago(mins(5))));
    }
    for id in 11..=12 {
        world.jobs.push(job_of("other/app", id, JobStatus::Queued, ago(mins(1))));
    }
    let plan = plan(&set, &world, NOW);
    let Some(Action::Intend { runners }) = plan.steps.iter().map(|step| &step.action).find(|a| a.kind() == "intend")
    else {
        panic!()
    };
    let of = |place| runners.iter().filter(|intent| intent.target.at == place).count();
    assert_eq!((of(acme()), of(org("other"))), (2, 2));
}

#[test]
fn the_breaker_opens_after_failures_in_two_pools_and_sends_one_probe_with_backoff() {
    let mut set = policy();
    set.fallback_order.pools = vec![pool(1), pool(2), pool(3)];
    let mut world = snapshot();
    world.jobs.extend([queued(1), queued(2), queued(3)]);
    let failure = |n: u64, on: u32, before: u64| BootFailure::new(name(n), pool(on), ago(secs(before)));
    world.boot_failures.newest = vec![failure(1, 1, 50), failure(2, 1, 40), failure(3, 1, 30)];
    let doubted = plan(&set, &world, NOW);
    has(&doubted, "launch 3 spot m2.large");
    world.boot_failures.newest[2].pool = pool(2);
    let open = plan(&set, &world, NOW);
    has_not(&open, "launch");
    has_not(&open, "intend");
    assert!(matches!(waits(&open, 1), Some(WaitingOn::Breaker { failures: 3, .. })));
    for (n, age) in [(0, 80), (1, 70), (2, 60)] {
        world.boot_failures.newest[n].at = ago(secs(age));
    }
    has(&plan(&set, &world, NOW), "launch 1 ");
    world.boot_failures.newest.push(failure(4, 3, 90));
    has_not(&plan(&set, &world, NOW), "launch");
    for (n, age) in [(0, 130), (1, 130), (2, 125), (3, 120)] {
        world.boot_failures.newest[n].at = ago(secs(age));
    }
    let probe = plan(&set, &world, NOW);
    has(&probe, "launch 1 ");
    has(&probe, "intend 1:");
}

#[test]
fn a_failed_pool_cools_down_and_the_next_is_taken() {
    let mut set = policy();
    set.fallback_order.pools = vec![pool(1), pool(2)];
    let mut world = snapshot();
    world.jobs.push(queued(1));
    world.pool_failures.push(PoolFailure::new(pool(1), ago(secs(10)), "no capacity".into()));
    has(&plan(&set, &world, NOW), "launch 1 spot m2.large");
    world.pool_failures.push(PoolFailure::new(pool(2), ago(secs(20)), "no capacity".into()));
    let shut = plan(&set, &world, NOW);
    has_not(&shut, "launch");
    let Some(WaitingOn::Capacity { until, .. }) = waits(&shut, 1) else { panic!("{:?}", shut.waiting) };
    assert_eq!(*until, NOW.plus(secs(40)));
    world.pool_failures[0].at = ago(secs(60));
    has(&plan(&set, &world, NOW), "launch 1 spot m1.large");
}

#[test]
fn a_busy_runner_whose_job_is_unknown_cancels_one_queued_job() {
    let mut world = snapshot();
    world.jobs.extend([queued(1), queued(2)]);
    with(
        &mut world,
        runner(1, S::Busy),
        Some(machine(1, Some(MachineStatus::Busy))),
        Some(registration(1, true, true)),
    );
    let plan = planned(&world);
    assert_eq!(plan.demand, 1);
    has(&plan, "intend 1:");
}

#[test]
fn an_organisation_set_refuses_a_persons_job_with_the_reason() {
    let mut world = snapshot();
    let mut personal = job_of("octocat/app", 1, JobStatus::Queued, ago(mins(10)));
    personal.fact.owner_kind = OwnerKind::User;
    world.jobs.push(personal);
    let asked = planned(&world);
    has_not(&asked, "intend");
    assert!(waits(&asked, 1).unwrap().to_string().contains("octocat is a person"), "{:?}", waits(&asked, 1));
    has(&asked, "find runners at octocat/app for 1 jobs: no scale set serves them; another fleet may");
    has_not(&asked, "notify ");
    execute(&policy(), &mut world, &asked, NOW);
    let plan = planned(&world);
    has_not(&plan, "find");
    has(&plan, "notify job 1 is unserved, no scale set serves it, and no online runner that is visible here has all");
}

#[test]
fn an_author_is_notified_within_the_bound_and_again_only_when_the_cause_changes() {
    let mut set = policy();
    set.runners_max = 1;
    let mut world = snapshot();
    with(
        &mut world,
        runner(1, S::Busy),
        Some(machine(1, Some(MachineStatus::Busy))),
        Some(registration(1, true, true)),
    );
    world.runners[0].job = Some(runnersmith_types::JobId(9));
    let busy = on(job(9, JobStatus::InProgress), &world.runners[0]);
    world.jobs.push(busy);
    world.jobs.push(job_of("acme/shop", 1, JobStatus::Queued, ago(secs(599))));
    has_not(&plan(&set, &world, NOW), "notify");
    world.jobs[1] = job_of("acme/shop", 1, JobStatus::Queued, ago(mins(10)));
    let notified_1 = plan(&set, &world, NOW);
    has(&notified_1, "notify ");
    let text = "the scale set is at its maximum of 1 runner; the job keeps its place in the line";
    world.jobs[1].notified = Some(Notified { at: ago(mins(5)), check_run: 1, text: text.into(), closed: false });
    has_not(&plan(&set, &world, NOW), "notify");
    world.jobs[1].fact.status = JobStatus::Completed;
    has(&plan(&set, &world, NOW), "notify job 1 is over");
    set.notify = false;
    has_not(&plan(&set, &world, NOW), "notify");
}

/// Report 68: bursts that were launched one by one. Beyond ninety there is another call.
#[test]
fn a_burst_is_one_launch_call_for_up_to_ninety_machines() {
    let set = ScaleSet { runners_max: 200, ..policy() };
    let mut world = snapshot();
    world.jobs.extend((1..=90).map(queued));
    let calls = |world: &Snapshot| {
        let mut world = world.clone();
        let mut calls = Vec::new();
        for _ in 0..3 {
            let made = plan(&set, &world, NOW);
            calls.extend(shown(&made).into_iter().filter(|line| line.starts_with("launch ")));
            execute(&set, &mut world, &made, NOW);
        }
        calls
    };
    let made = calls(&world);
    assert!(made.len() == 1 && made[0].starts_with("launch 90 "), "{made:?}");
    world.jobs.extend((91..=120).map(queued));
    let made = calls(&world);
    assert!(made.len() == 2 && made[1].starts_with("launch 30 "), "{made:?}");
}

/// Report 23: one token with other parameters. A call's token is of its runners and of what is recorded of them: the same again makes
/// the same call, and after a refusal the record is another one.
#[test]
fn a_launch_calls_token_is_of_its_runners_and_their_records() {
    let token = |version: u64, serials: &[u64]| {
        let mut world = snapshot();
        world.jobs.extend((1..=serials.len() as u64).map(queued));
        for serial in serials {
            let mut intent = runner(*serial, S::Intended);
            intent.version = version;
            with(&mut world, intent, None, None);
        }
        let made = plan(&policy(), &world, NOW);
        let launched = made.steps.into_iter().find_map(|step| match step.action {
            Action::Launch(LaunchAction::First { batch, .. }) => Some(batch.to_string()),
            _ => None,
        });
        launched.unwrap()
    };
    assert_eq!(token(1, &[1, 2]), token(1, &[1, 2]));
    let all = [token(1, &[1, 2]), token(2, &[1, 2]), token(1, &[1]), token(1, &[1, 3])];
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{all:?}");
}

/// Report 55: a job that runs on the runner that was made for another. Runners are nobody's: the other job takes the next.
#[test]
fn a_job_that_runs_on_the_runner_of_another_leaves_that_job_the_next_runner() {
    let mut world = snapshot();
    let (first, second) = (runner(1, S::Busy), runner_at(2, S::Booting, ago(secs(20)), &acme()));
    world.jobs.extend([queued(1), on(job(2, JobStatus::InProgress), &first)]);
    with(&mut world, first, Some(machine(1, Some(MachineStatus::Busy))), Some(registration(1, true, true)));
    with(&mut world, second, Some(machine(2, Some(MachineStatus::Booting))), None);
    let made = plan(&policy(), &world, NOW);
    has_not(&made, "intend");
    assert_eq!(waits(&made, 1), Some(&WaitingOn::Runner { supply: 1 }));
}
