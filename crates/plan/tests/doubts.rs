//! Where sources are silent, late or at odds. Each case was once decided wrongly, found by reading: a runner ended that may
//! have been busy, a job held or hidden by a runner that could not help it, a machine bought twice.

use crate::support::*;
use runnersmith_plan::plan;
use runnersmith_types::{
    BootFailure, BootFailures, JobStatus, MachineState, MachineStatus, Observed, Peer, PoolFailure, RunnerState as S,
    RunnerUpdate, ScaleSet, ScaleSetName, Snapshot, WaitingOn,
};

fn not_asked(world: &mut Snapshot) {
    world.registrations.insert(acme(), Observed::Unknown { why: "not asked for in this pass".into() });
}

// ---- I3: a busy runner is never ended ------------------------------------------------------------------------------

#[test]
fn a_job_that_github_does_not_show_ends_nothing_while_github_is_not_asked_for_the_runner() {
    let mut world = snapshot();
    let busy = runner(1, S::Busy);
    world.jobs.push(on(job(1, JobStatus::Gone), &busy));
    with(&mut world, busy, Some(machine(1, Some(MachineStatus::Listening))), Some(registration(1, true, true)));
    not_asked(&mut world);
    has_not(&planned(&world), "update linux-abcdef-1 finished");
    world.registrations.insert(acme(), Observed::seen(vec![registration(1, true, false)], NOW));
    has(&planned(&world), "update linux-abcdef-1 finished: GitHub does not know its job any more");
}

#[test]
fn a_runner_taken_for_finished_is_busy_again_when_a_source_says_so() {
    let mut world = snapshot();
    let finished = runner(1, S::Finished);
    world.jobs.push(on(job(1, JobStatus::Gone), &finished));
    with(&mut world, finished, Some(machine(1, Some(MachineStatus::Listening))), Some(registration(1, true, true)));
    let plan = planned(&world);
    has(&plan, "update linux-abcdef-1 busy: GitHub shows it busy");
    has_not(&plan, "end");
}

#[test]
fn a_finished_runner_whose_machine_says_that_its_job_is_done_stays_finished_whatever_github_shows() {
    for status in [MachineStatus::JobDone, MachineStatus::Ended("job 0".into())] {
        let mut world = snapshot();
        with(&mut world, runner(1, S::Finished), Some(machine(1, Some(status))), Some(registration(1, true, true)));
        let finished = runner(1, S::Finished);
        world.jobs.push(on(job(1, JobStatus::InProgress), &finished));
        has_not(&planned(&world), "update linux-abcdef-1 busy");
    }
}

#[test]
fn a_finished_runners_machine_is_ended_only_when_every_source_speaks_or_its_end_is_reported() {
    let mut world = snapshot();
    let finished = runner(1, S::Finished);
    world.jobs.push(on(job(1, JobStatus::Gone), &finished));
    with(&mut world, finished, Some(machine(1, Some(MachineStatus::Listening))), Some(registration(1, true, false)));
    has(&planned(&world), "end m-1");
    not_asked(&mut world);
    let plan = planned(&world);
    has_not(&plan, "end");
    assert!(matches!(keeps(&plan, 1), Some(WaitingOn::Grace { .. } | WaitingOn::UnknownSource { .. })));
    world.jobs[0] = on(job(1, JobStatus::Completed), &world.runners[0]);
    has(&planned(&world), "end m-1");
}

// ---- what counts as a boot failure ---------------------------------------------------------------------------------

#[test]
fn a_machine_that_ends_before_it_was_online_is_lost_with_or_without_its_configuration() {
    for (handed, status) in [
        (false, Some(MachineStatus::Ended("failed at hand-off".into()))),
        (true, Some(MachineStatus::Ended("0".into()))),
        (false, None),
    ] {
        let mut world = snapshot();
        let mut booting = runner_at(1, S::Booting, ago(mins(3)), &acme());
        if handed {
            for update in [RunnerUpdate::JitRequested, RunnerUpdate::HandedOff, RunnerUpdate::HandOffGone] {
                assert!(booting.update(update, ago(mins(3))));
            }
        }
        let mut ended = machine(1, status);
        ended.state = MachineState::Ended;
        with(&mut world, booting, Some(ended), None);
        has(&planned(&world), "update linux-abcdef-1 lost: its machine has ended and was never online");
    }
}

#[test]
fn a_machine_that_cannot_be_given_its_configuration_has_a_deadline_and_fails_no_pool() {
    let mut world = snapshot();
    world.jobs.extend([queued(1), queued(2)]);
    with(
        &mut world,
        runner_at(1, S::Booting, ago(secs(419)), &acme()),
        Some(machine(1, Some(MachineStatus::Booting))),
        None,
    );
    with(
        &mut world,
        runner(2, S::Idle),
        Some(machine(2, Some(MachineStatus::Listening))),
        Some(registration(2, true, false)),
    );
    has_not(&planned(&world), "update linux-abcdef-1 draining");
    world.runners[0] = runner_at(1, S::Booting, ago(mins(7)), &acme());
    let plan = planned(&world);
    has(&plan, "update linux-abcdef-1 draining: it could not be given its configuration within the boot deadline");
    has_not(&plan, "fail pool");
}

// ---- idle, but of no use -------------------------------------------------------------------------------------------

#[test]
fn an_idle_runner_that_github_shows_offline_holds_no_job_and_goes_after_the_boot_deadline() {
    let mut world = snapshot();
    world.jobs.push(job_of("acme/shop", 1, JobStatus::Queued, ago(mins(3))));
    with(
        &mut world,
        runner(1, S::Idle),
        Some(machine(1, Some(MachineStatus::Listening))),
        Some(registration(1, false, false)),
    );
    let first = planned(&world);
    has_not(&first, "stall");
    has(&first, "update linux-abcdef-1 offline: GitHub shows it offline");
    world.runners[0].offline_since = Some(ago(mins(5)));
    let then = planned(&world);
    has(&then, "update linux-abcdef-1 draining: GitHub shows it offline: it can take no job");
    has(&then, "intend 1:");
    world.registrations.insert(acme(), Observed::seen(vec![registration(1, true, false)], NOW));
    has(&planned(&world), "update linux-abcdef-1 idle: it is online again");
}

#[test]
fn a_listening_machine_that_github_shows_offline_is_not_online() {
    let mut world = snapshot();
    world.jobs.push(queued(1));
    let mut booting = runner_at(1, S::Booting, ago(mins(6)), &acme());
    for update in [
        RunnerUpdate::JitRequested,
        RunnerUpdate::Registered(registration(1, false, false).id),
        RunnerUpdate::HandedOff,
    ] {
        assert!(booting.update(update, ago(mins(6))));
    }
    with(&mut world, booting, Some(machine(1, Some(MachineStatus::Listening))), Some(registration(1, false, false)));
    has(&planned(&world), "update linux-abcdef-1 draining: it was never seen online within the boot deadline");
}

// ---- several sets --------------------------------------------------------------------------------------------------

fn second() -> ScaleSet {
    let mut set = policy();
    (set.name, set.priority, set.runners_max) = (ScaleSetName::parse("spare").unwrap(), -1, 10);
    set
}

/// Two sets for the same jobs, `linux` before `spare`: what each would buy for five jobs.
fn bought(linux: (u32, u32, u32), spare: (u32, u32)) -> (u32, u32) {
    let (max, alive, supply) = linux;
    let mut first = policy();
    first.runners_max = max;
    let jobs: Vec<_> = (1..=5).map(|id| job_of("acme/shop", id, JobStatus::Queued, ago(secs(60 - id)))).collect();
    let mut of_linux = snapshot();
    of_linux.jobs.clone_from(&jobs);
    for serial in 1..=u64::from(alive) {
        let idle = serial <= u64::from(supply);
        let mut runner = runner(serial, if idle { S::Idle } else { S::Busy });
        if !idle {
            let other = on(job(100 + serial, JobStatus::InProgress), &runner);
            runner.job = Some(other.id());
            of_linux.jobs.push(other);
        }
        let status = if idle { MachineStatus::Listening } else { MachineStatus::Busy };
        with(&mut of_linux, runner, Some(machine(serial, Some(status))), Some(registration(serial, true, !idle)));
    }
    of_linux.peers.push(Peer { policy: second(), alive: spare.0, supply: spare.1 });
    let mut of_spare = snapshot();
    of_spare.jobs = jobs;
    of_spare.peers.push(Peer { policy: first.clone(), alive, supply });
    for serial in 50..50 + u64::from(spare.0) {
        let state = if serial < 50 + u64::from(spare.1) { S::Idle } else { S::Draining };
        of_spare.runners.push(runner(serial, state));
    }
    let plan_1 = plan(&first, &of_linux, NOW);
    let plan_2 = plan(&second(), &of_spare, NOW);
    (plan_1.demand, plan_2.demand)
}

#[test]
fn what_exceeds_one_sets_maximum_goes_to_the_next_at_once_and_nothing_is_bought_twice() {
    assert_eq!(bought((10, 0, 0), (0, 0)), (5, 0), "the best set takes all");
    assert_eq!(bought((3, 0, 0), (0, 0)), (3, 2), "the rest goes to the next");
    assert_eq!(bought((3, 2, 0), (0, 0)), (1, 4), "busy runners take room");
    assert_eq!(bought((3, 3, 2), (0, 0)), (2, 3), "runners that are there take jobs");
    assert_eq!(bought((3, 0, 0), (2, 2)), (3, 2), "what was bought for them stays theirs");
    assert_eq!(bought((10, 0, 0), (2, 2)), (3, 2), "also when room comes");
    assert_eq!(bought((1, 1, 0), (10, 0)), (5, 0), "with both full the best keeps them in its line");
}

#[test]
fn a_job_is_somebodys_also_when_a_set_has_runners_at_another_place_only() {
    let job = job_of("acme/shop", 1, JobStatus::Queued, ago(mins(10)));
    let mut first = policy();
    first.scope.allowed = Vec::new();
    let mut of_linux = snapshot();
    of_linux.jobs.push(job.clone());
    of_linux.peers.push(Peer { policy: second(), alive: 1, supply: 1 });
    let mut of_spare = snapshot();
    of_spare.jobs.push(job);
    of_spare.peers.push(Peer { policy: first.clone(), alive: 0, supply: 0 });
    // The other set's one runner is registered elsewhere.
    of_spare.runners.push(runner_at(50, S::Idle, ago(mins(2)), &org("elsewhere")));
    let demand = (plan(&first, &of_linux, NOW).demand, plan(&second(), &of_spare, NOW).demand);
    assert_eq!(demand.0 + demand.1, 1, "one of them has it in its line: {demand:?}");
}

// ---- a runner whose job is unknown ---------------------------------------------------------------------------------

#[test]
fn a_job_that_was_still_queued_after_a_runner_became_busy_is_not_hidden_by_it() {
    let mut world = snapshot();
    world.jobs.push(queued(1));
    with(
        &mut world,
        runner(1, S::Busy),
        Some(machine(1, Some(MachineStatus::Busy))),
        Some(registration(1, true, true)),
    );
    let asked = planned(&world);
    assert_eq!(asked.demand, 0, "it may be the one");
    has(&asked, "verify 1");
    world.jobs[0].verified_at = Some(ago(secs(5)));
    let known = planned(&world);
    assert_eq!(known.demand, 1);
    has(&known, "intend 1:");
    has_not(&known, "verify");
}

// ---- what is said --------------------------------------------------------------------------------------------------

fn failures(world: &mut Snapshot, count: u64) {
    world.boot_failures =
        BootFailures::of((1..=count).map(|n| BootFailure::new(name(50 + n), pool(1), ago(secs(10)))).collect());
}

#[test]
fn nobody_is_notified_that_a_runner_comes_while_nothing_is_launched() {
    let mut set = policy();
    set.fallback_order.pools = vec![pool(1)];
    let mut world = snapshot();
    world.jobs.push(job_of("acme/shop", 1, JobStatus::Queued, ago(mins(10))));
    with(&mut world, runner(1, S::Intended), None, None);
    failures(&mut world, 3);
    let plan = plan(&set, &world, NOW);
    assert!(matches!(waits(&plan, 1), Some(WaitingOn::Breaker { .. })), "{:?}", plan.waiting);
    has(&plan, "notify job 1 waits, machines of this scale set do not boot");
}

// ---- the breaker ---------------------------------------------------------------------------------------------------

#[test]
fn the_breaker_opens_on_one_pool_when_the_other_lacks_capacity_and_at_twice_the_failures_in_any_case() {
    let mut set = policy();
    set.fallback_order.pools = vec![pool(1), pool(2)];
    let mut world = snapshot();
    world.jobs.extend((1..=5).map(queued));
    failures(&mut world, 3);
    has(&plan(&set, &world, NOW), "launch 5 spot m2.large");
    world.pool_failures.push(PoolFailure::new(pool(2), ago(secs(5)), "no capacity".into()));
    has_not(&plan(&set, &world, NOW), "launch");
    world.pool_failures.clear();
    failures(&mut world, 6);
    has_not(&plan(&set, &world, NOW), "launch");
}

#[test]
fn after_two_hundred_failures_probes_still_go_round_the_pools_and_back_off() {
    let mut set = policy();
    set.fallback_order.pools = vec![pool(1), pool(2)];
    let mut world = snapshot();
    world.jobs.push(queued(1));
    let launched = |world: &Snapshot, pool: &str| shown(&plan(&set, world, NOW)).join("\n").contains(pool);
    for (count, pool) in [(200, "m1.large"), (201, "m2.large"), (202, "m1.large")] {
        failures(&mut world, count);
        // The newest failure counts: an hour after it a probe is due, and not before.
        world.boot_failures.newest.iter_mut().for_each(|failure| failure.at = ago(mins(59)));
        assert!(!launched(&world, "large"), "{count}");
        world.boot_failures.newest.iter_mut().for_each(|failure| failure.at = ago(mins(61)));
        assert!(launched(&world, pool), "{count}: {:?}", shown(&plan(&set, &world, NOW)));
    }
}

#[test]
fn probes_go_round_the_places_so_that_one_that_cannot_boot_does_not_stop_the_others() {
    let mut set = policy();
    set.fallback_order.pools = vec![pool(1)];
    let mut world = snapshot();
    world.jobs.push(job_of("acme/shop", 1, JobStatus::Queued, ago(mins(30))));
    world.jobs.push(job_of("globex/shop", 2, JobStatus::Queued, ago(mins(20))));
    // Also when there are more failures than a ledger returns.
    for counts in [[3, 4], [203, 204]] {
        let mut places = std::collections::BTreeSet::new();
        for count in counts {
            failures(&mut world, count);
            world.boot_failures.newest.iter_mut().for_each(|failure| failure.at = ago(mins(90)));
            for step in plan(&set, &world, NOW).steps {
                if let runnersmith_types::Action::Intend { runners } = step.action {
                    places.extend(runners.into_iter().map(|intent| intent.target.at.to_string()));
                }
            }
        }
        assert_eq!(places.len(), 2, "{counts:?}: {places:?}");
    }
}

#[test]
fn a_runner_that_github_had_shown_online_is_no_failure_to_boot() {
    let mut runner = runner(1, S::Idle);
    assert!(!runner.was_never_online(mins(2)));
    assert!(runner.update(RunnerUpdate::Offline, ago(mins(6))));
    assert!(!runner.was_never_online(mins(2)), "it was online for minutes");
    runner.offline_since = runner.online_at;
    assert!(runner.was_never_online(mins(2)), "by its own word only");
}

#[test]
fn a_lost_runner_is_not_kept_forever_by_what_github_does_not_say() {
    let mut world = snapshot();
    let mut lost = runner(1, S::Lost);
    lost.lost_at = Some(ago(mins(61)));
    world.jobs.push(on(job_of("acme/shop", 1, JobStatus::InProgress, ago(mins(90))), &lost));
    let mut ended = machine(1, Some(MachineStatus::Busy));
    ended.state = MachineState::Ended;
    with(&mut world, lost, Some(ended), None);
    has(&planned(&world), "deregister linux-abcdef-1");
    world.runners[0].lost_at = Some(ago(mins(24 * 60)));
    has(&planned(&world), "update linux-abcdef-1 gone: its machine ended a day ago");
}

#[test]
fn what_a_put_without_an_answer_may_have_left_is_deleted_before_its_runner_is_forgotten() {
    let mut world = snapshot();
    let mut busy = runner_at(1, S::Booting, ago(mins(2)), &acme());
    for update in [
        RunnerUpdate::JitRequested,
        RunnerUpdate::Registered(registration(1, false, false).id),
        RunnerUpdate::Busy(None),
    ] {
        assert!(busy.update(update, ago(mins(1))));
    }
    world.jobs.push(on(job(1, JobStatus::Completed), &busy));
    let mut ended = machine(1, Some(MachineStatus::Ended("job 0".into())));
    ended.state = MachineState::Ended;
    with(&mut world, busy, Some(ended), None);
    let first = planned(&world);
    has(&first, "expire linux-abcdef-1");
    has_not(&first, "update linux-abcdef-1 gone");
    assert!(world.runners[0].update(RunnerUpdate::HandOffGone, NOW));
    has(&planned(&world), "update linux-abcdef-1 gone");
}

// ---- ends ----------------------------------------------------------------------------------------------------------

#[test]
fn an_end_is_asked_for_again_only_after_a_quiet_time_each_time() {
    let mut gone = runner(1, S::Draining);
    assert!(gone.update(RunnerUpdate::Deregistered, ago(mins(9))));
    assert!(gone.update(RunnerUpdate::Terminated, ago(mins(8))));
    assert!(gone.update(RunnerUpdate::Terminated, ago(secs(10))));
    let mut world = snapshot();
    with(&mut world, gone, Some(machine(1, Some(MachineStatus::Listening))), None);
    has_not(&planned(&world), "end");
    world.runners[0].terminated_at = Some(ago(mins(1)));
    has(&planned(&world), "end m-1");
}

#[test]
fn a_runner_lost_again_is_lost_since_then() {
    let mut lost = runner(1, S::Lost);
    assert!(lost.update(RunnerUpdate::Busy(None), ago(mins(5))));
    assert_eq!(lost.lost_at, None);
    assert!(lost.update(RunnerUpdate::Lost, ago(mins(1))));
    assert_eq!(lost.lost_at, Some(ago(mins(1))));
}

#[test]
fn a_machine_that_said_that_its_job_was_done_and_ended_has_lost_nothing() {
    let mut world = snapshot();
    let busy = runner(1, S::Busy);
    world.jobs.push(on(job_of("acme/shop", 1, JobStatus::InProgress, ago(mins(8))), &busy));
    let mut ended = machine(1, Some(MachineStatus::JobDone));
    ended.state = MachineState::Ended;
    with(&mut world, busy, Some(ended), None);
    let plan = planned(&world);
    has_not(&plan, "update linux-abcdef-1 lost");
    has(&plan, "update linux-abcdef-1 gone");
}
