//! The design's two tables: for each state its evidence and every exit, one case each.

use crate::support::*;
use runnersmith_plan::plan;
use runnersmith_types::{
    Action, FallbackOrder, JobStatus, MachineState, MachineStatus, Observed, RecordAction, RecordVersion,
    RunnerState as S, RunnerUpdate, Stalled, WaitingOn,
};

// ---- jobs ---------------------------------------------------------------------------------------------------------

#[test]
fn a_waiting_job_is_no_demand() {
    let mut world = snapshot();
    world.jobs.push(job(1, JobStatus::Waiting));
    let plan = planned(&world);
    assert_eq!(plan.demand, 0);
    assert!(plan.steps.is_empty());
    assert_eq!(waits(&plan, 1), Some(&WaitingOn::Gate));
}

#[test]
fn a_queued_job_gets_a_runner() {
    let mut world = snapshot();
    world.jobs.push(queued(1));
    let plan = planned(&world);
    assert_eq!((plan.demand, plan.supply), (1, 1));
    has(&plan, "intend 1: 1 job(s) and a minimum of 0 idle runner(s) need more runners than there are");
    has(&plan, "launch 1 local process");
    assert!(matches!(waits(&plan, 1), Some(WaitingOn::Runner { supply: 1 })));
}

#[test]
fn a_queued_job_waits_for_what_is_already_there() {
    for state in [S::Intended, S::Launching, S::Booting, S::Idle] {
        let mut world = snapshot();
        world.jobs.push(queued(1));
        let status = if state == S::Idle { MachineStatus::Listening } else { MachineStatus::Booting };
        with(&mut world, runner_at(1, state, ago(secs(20)), &acme()), Some(machine(1, Some(status))), None);
        has_not(&planned(&world), "intend");
    }
}

#[test]
fn a_job_that_runs_or_is_over_is_no_demand() {
    for status in [JobStatus::InProgress, JobStatus::Completed, JobStatus::Gone] {
        let mut world = snapshot();
        world.jobs.push(job(1, status));
        let plan = planned(&world);
        assert_eq!(plan.demand, 0, "{status:?}");
        has_not(&plan, "intend");
    }
}

#[test]
fn a_job_that_an_idle_runner_does_not_get_is_stalled_and_its_author_notified() {
    let mut world = snapshot();
    world.jobs.push(job_of("acme/shop", 1, JobStatus::Queued, ago(mins(3))));
    with(
        &mut world,
        runner(1, S::Idle),
        Some(machine(1, Some(MachineStatus::Listening))),
        Some(registration(1, true, false)),
    );
    let plan = planned(&world);
    has(&plan, "stall 1: a matching runner was idle and GitHub did not give it the job");
    assert_eq!(plan.demand, 0, "a stalled job is no demand");
    has(&plan, "notify ");
}

#[test]
fn a_job_is_not_stalled_before_two_minutes_of_idleness_and_waiting() {
    for (queued_for, idle_for) in [(secs(119), mins(10)), (mins(10), secs(119))] {
        let mut world = snapshot();
        world.jobs.push(job_of("acme/shop", 1, JobStatus::Queued, ago(queued_for)));
        let mut idle = runner(1, S::Idle);
        idle.idle_since = Some(ago(idle_for));
        with(&mut world, idle, Some(machine(1, Some(MachineStatus::Listening))), Some(registration(1, true, false)));
        has_not(&planned(&world), "stall");
    }
}

#[test]
fn a_stalled_job_is_tested_again_after_its_time() {
    let mut world = snapshot();
    let mut stalled = job_of("acme/shop", 1, JobStatus::Queued, ago(mins(20)));
    stalled.stalled = Some(Stalled { since: ago(mins(9)), until: NOW.plus(mins(1)) });
    world.jobs.push(stalled.clone());
    let plan = planned(&world);
    assert_eq!(plan.demand, 0);
    assert_eq!(waits(&plan, 1), Some(&WaitingOn::Stalled { until: NOW.plus(mins(1)) }));
    assert!(plan.next_wake.is_some_and(|wake| wake <= NOW.plus(mins(1))));
    stalled.stalled = Some(Stalled { since: ago(mins(10)), until: NOW });
    world.jobs[0] = stalled;
    assert_eq!(planned(&world).demand, 1);
}

#[test]
fn a_queued_job_without_news_for_long_is_asked_for() {
    let mut world = snapshot();
    world.jobs.push(job_of("acme/shop", 1, JobStatus::Queued, ago(mins(10))));
    has(&planned(&world), "verify 1: there was no news of it for a while");
    world.jobs[0].verified_at = Some(ago(mins(9)));
    has_not(&planned(&world), "verify");
}

#[test]
fn what_is_due_within_seconds_of_others_is_asked_for_with_them() {
    let mut world = snapshot();
    for (id, seconds) in [(1, 600), (2, 597), (3, 590)] {
        world.jobs.push(job_of("acme/shop", id, JobStatus::Queued, ago(secs(seconds))));
    }
    let plan = planned(&world);
    has(&plan, "verify 1");
    has(&plan, "verify 2");
    has_not(&plan, "verify 3");
    world.jobs.remove(0);
    has_not(&planned(&world), "verify");
}

#[test]
fn the_delay_of_reusable_runners_is_waited_out() {
    let mut set = policy();
    (set.ephemeral, set.timing.delay) = (false, secs(30));
    let mut world = snapshot();
    world.jobs.push(job_of("acme/shop", 1, JobStatus::Queued, ago(secs(29))));
    let young = plan(&set, &world, NOW);
    assert_eq!(young.demand, 0);
    assert_eq!(waits(&young, 1), Some(&WaitingOn::Delay { until: NOW.plus(secs(1)) }));
    world.jobs[0] = job_of("acme/shop", 1, JobStatus::Queued, ago(secs(30)));
    assert_eq!(plan(&set, &world, NOW).demand, 1);
}

// ---- runners ------------------------------------------------------------------------------------------------------

#[test]
fn an_intent_is_launched() {
    let mut world = snapshot();
    world.jobs.push(queued(1));
    with(&mut world, runner(1, S::Intended), None, None);
    let plan = planned(&world);
    has(&plan, "launch 1 local process");
    has_not(&plan, "intend");
}

#[test]
fn an_intent_that_nothing_wants_any_more_is_taken_back() {
    let mut world = snapshot();
    with(&mut world, runner(1, S::Intended), None, None);
    let plan = planned(&world);
    has(&plan, "withdraw linux-abcdef-1: never launched, and nothing wants it any more");
    has_not(&plan, "launch");
}

#[test]
fn intents_beyond_a_lowered_maximum_are_taken_back() {
    let mut set = policy();
    set.runners_max = 1;
    let mut world = snapshot();
    world.jobs.extend([queued(1), queued(2)]);
    with(&mut world, runner(1, S::Intended), None, None);
    with(&mut world, runner(2, S::Intended), None, None);
    let plan = plan(&set, &world, NOW);
    has(&plan, "withdraw linux-abcdef-2: never launched, and the maximum was lowered");
    has_not(&plan, "withdraw linux-abcdef-1");
}

#[test]
fn a_launch_without_an_answer_is_made_again_with_its_token_until_its_deadline() {
    let mut world = snapshot();
    with(&mut world, runner_at(1, S::Launching, ago(secs(299)), &acme()), None, None);
    has(&planned(&world), "relaunch batch-1: its answer is not known; the same token launches nothing twice");
}

#[test]
fn a_launching_runner_is_bound_when_all_machines_of_its_batch_are_seen() {
    let mut world = snapshot();
    let launching = |serial| runner_at(serial, S::Launching, ago(mins(1)), &acme());
    let (first, mut second) = (launching(1), launching(2));
    second.batch = first.batch.clone();
    world.batches.push(runnersmith_types::Batch {
        id: first.batch.clone().unwrap(),
        set: policy().name,
        pool: FallbackOrder::local().pools[0].clone(),
        runners: vec![name(1), name(2)],
        stored_at: ago(mins(1)),
        hard_end_at: NOW.plus(mins(100)),
        settled: false,
        record_version: RecordVersion::CURRENT,
    });
    with(&mut world, first, Some(machine(7, None)), None);
    with(&mut world, second, None, None);
    let Observed::Seen { value, .. } = &mut world.machines else { panic!() };
    value[0].batch = world.runners[0].batch.clone().unwrap();
    has_not(&planned(&world), "update");
    let Observed::Seen { value, .. } = &mut world.machines else { panic!() };
    let mut other = value[0].clone();
    other.id = machine_id(3);
    value.push(other);
    let plan = planned(&world);
    let bound: Vec<(String, String)> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::Record(RecordAction::Update { runner, update: RunnerUpdate::Machine(id) }) => {
                Some((runner.to_string(), id.to_string()))
            }
            _ => None,
        })
        .collect();
    let pair = |n: u64, m: &str| (name(n).to_string(), m.to_owned());
    assert_eq!(bound, [pair(1, "m-3"), pair(2, "m-7")], "sorted machines to sorted names");
}

#[test]
fn a_booting_machine_gets_its_config() {
    let mut world = snapshot();
    with(
        &mut world,
        runner_at(1, S::Booting, ago(secs(5)), &acme()),
        Some(machine(1, Some(MachineStatus::Booting))),
        None,
    );
    has(&planned(&world), "hand off linux-abcdef-1 jit: its machine is there");
}

#[test]
fn beyond_the_jit_budget_a_token_is_shared_or_the_budget_waited_for() {
    let mut world = snapshot();
    world.budget.jit_left = 1;
    for serial in [1, 2] {
        let booting = runner_at(serial, S::Booting, ago(secs(5)), &acme());
        with(&mut world, booting, Some(machine(serial, Some(MachineStatus::Booting))), None);
    }
    let shared = planned(&world);
    has(&shared, "hand off linux-abcdef-1 jit");
    has(&shared, "hand off linux-abcdef-2 token: its machine is there, and this minute's JIT budget is used up");
    let mut strict = policy();
    strict.token_when_jit_exhausted = false;
    let waiting = plan(&strict, &world, NOW);
    has_not(&waiting, "hand off linux-abcdef-2");
    assert_eq!(keeps(&waiting, 2), Some(&WaitingOn::Budget { until: world.budget.refills_at }));
}

#[test]
fn a_booting_runner_that_is_online_is_idle() {
    // By its own word before GitHub's list shows it, or by GitHub's; but not against GitHub's.
    for (status, online) in
        [(MachineStatus::Listening, None), (MachineStatus::Listening, Some(true)), (MachineStatus::Booting, Some(true))]
    {
        let mut world = snapshot();
        let shown = online.map(|online| registration(1, online, false));
        with(&mut world, handed(1, secs(20)), Some(machine(1, Some(status))), shown);
        has(&planned(&world), "update linux-abcdef-1 idle: it is online");
    }
}

fn handed(serial: u64, before: std::time::Duration) -> runnersmith_types::Runner {
    let mut runner = runner_at(serial, S::Booting, ago(before), &acme());
    for update in [
        RunnerUpdate::JitRequested,
        RunnerUpdate::Registered(registration(serial, false, false).id),
        RunnerUpdate::HandedOff,
    ] {
        assert!(runner.update(update, ago(before)));
    }
    runner
}

#[test]
fn an_orphan_is_drained_after_the_boot_deadline_which_runs_from_the_hand_off() {
    let mut world = snapshot();
    let mut late = handed(1, mins(4));
    late.machine_at = Some(ago(mins(30)));
    with(&mut world, late, Some(machine(1, Some(MachineStatus::Booting))), Some(registration(1, false, false)));
    has_not(&planned(&world), "update linux-abcdef-1 draining");
    world.runners[0] = handed(1, mins(5));
    let plan = planned(&world);
    has(
        &plan,
        "update linux-abcdef-1 draining: it was never seen online within the boot deadline, and no job names it",
    );
    has(&plan, "deregister linux-abcdef-1");
    has_not(&plan, "fail pool");
}

#[test]
fn an_orphans_pool_cools_down_only_while_others_boot() {
    let mut world = snapshot();
    with(
        &mut world,
        handed(1, mins(6)),
        Some(machine(1, Some(MachineStatus::Booting))),
        Some(registration(1, false, false)),
    );
    let other = runner_at(2, S::Idle, ago(mins(2)), &acme());
    with(&mut world, other, Some(machine(2, Some(MachineStatus::Listening))), Some(registration(2, true, false)));
    has(&planned(&world), "fail pool local process: boot failure");
}

#[test]
fn an_orphan_that_a_job_names_is_busy() {
    let mut world = snapshot();
    let orphan = handed(1, mins(6));
    world.jobs.push(on(job(1, JobStatus::InProgress), &orphan));
    with(&mut world, orphan, Some(machine(1, Some(MachineStatus::Booting))), Some(registration(1, false, false)));
    let plan = planned(&world);
    has(&plan, "update linux-abcdef-1 busy: job 1 runs on it");
    has_not(&plan, "update linux-abcdef-1 draining");
}

#[test]
fn any_source_makes_a_runner_busy() {
    let cases: [(Option<JobStatus>, MachineStatus, bool); 3] = [
        (Some(JobStatus::InProgress), MachineStatus::Listening, false),
        (None, MachineStatus::Busy, false),
        (None, MachineStatus::Listening, true),
    ];
    for (job_status, status, flag) in cases {
        let mut world = snapshot();
        let idle = runner(1, S::Idle);
        world.jobs.extend(job_status.map(|status| on(job(1, status), &idle)));
        with(&mut world, idle, Some(machine(1, Some(status.clone()))), Some(registration(1, true, flag)));
        let plan = planned(&world);
        has(&plan, "update linux-abcdef-1 busy");
        has_not(&plan, "update linux-abcdef-1 draining");
    }
}

#[test]
fn a_surplus_idle_runner_goes_when_it_is_old_enough_and_confirmed() {
    let mut world = snapshot();
    with(
        &mut world,
        runner(1, S::Idle),
        Some(machine(1, Some(MachineStatus::Listening))),
        Some(registration(1, true, false)),
    );
    let plan = planned(&world);
    has(&plan, "update linux-abcdef-1 draining: surplus: idle by every source, and nothing wants it");
    has(&plan, "deregister linux-abcdef-1: it is draining");
    has_not(&plan, "end");
}

#[test]
fn a_surplus_idle_runner_stays_while_young_unconfirmed_or_unknown() {
    let listening = || Some(machine(1, Some(MachineStatus::Listening)));
    let mut young = snapshot();
    with(&mut young, runner_at(1, S::Idle, ago(mins(4)), &acme()), listening(), Some(registration(1, true, false)));
    has_not(&planned(&young), "update linux-abcdef-1 draining");
    assert!(matches!(keeps(&planned(&young), 1), Some(WaitingOn::Grace { .. })));
    let mut fresh = snapshot();
    let mut runner_1 = runner(1, S::Idle);
    runner_1.idle_since = Some(ago(secs(59)));
    with(&mut fresh, runner_1, listening(), Some(registration(1, true, false)));
    has_not(&planned(&fresh), "update linux-abcdef-1 draining");
    for unknown_machines in [true, false] {
        let mut unknown = snapshot();
        with(&mut unknown, runner(1, S::Idle), listening(), Some(registration(1, true, false)));
        if unknown_machines {
            unknown.machines = Observed::Unknown { why: "timeout".into() };
        } else {
            unknown.registrations.insert(acme(), Observed::Unknown { why: "503".into() });
        }
        let plan = planned(&unknown);
        has_not(&plan, "update linux-abcdef-1 draining");
        assert!(matches!(keeps(&plan, 1), Some(WaitingOn::UnknownSource { .. })), "{:?}", plan.waiting);
    }
}

#[test]
fn with_a_source_unknown_launches_go_by_the_ledger_alone() {
    let mut world = snapshot();
    world.machines = Observed::Unknown { why: "timeout".into() };
    world.registrations.insert(acme(), Observed::Unknown { why: "503".into() });
    world.jobs.extend([queued(1), queued(2)]);
    world.runners.push(runner(1, S::Idle));
    has(&planned(&world), "intend 1:");
}

#[test]
fn a_reusable_runner_whose_job_is_over_is_idle_again() {
    let mut set = policy();
    set.ephemeral = false;
    let mut world = snapshot();
    let mut busy = runner(1, S::Busy);
    (busy.ephemeral, busy.job) = (false, Some(runnersmith_types::JobId(1)));
    world.jobs.push(on(job(1, JobStatus::Completed), &busy));
    with(&mut world, busy, Some(machine(1, Some(MachineStatus::JobDone))), Some(registration(1, true, false)));
    has(&plan(&set, &world, NOW), "update linux-abcdef-1 idle: its job is over, and no source says busy");
}

#[test]
fn an_ephemeral_runner_whose_job_is_over_is_finished_although_githubs_flag_is_stale() {
    let mut world = snapshot();
    let busy = runner(1, S::Busy);
    world.jobs.push(on(job(1, JobStatus::Completed), &busy));
    with(&mut world, busy, Some(machine(1, Some(MachineStatus::JobDone))), Some(registration(1, true, true)));
    has(&planned(&world), "update linux-abcdef-1 finished: its one job is over");
}

#[test]
fn a_machine_that_says_its_job_is_done_is_believed_without_a_delivery() {
    let mut world = snapshot();
    with(
        &mut world,
        runner(1, S::Busy),
        Some(machine(1, Some(MachineStatus::JobDone))),
        Some(registration(1, true, false)),
    );
    has(&planned(&world), "update linux-abcdef-1 finished: the machine says that its job is done");
}

#[test]
fn a_finished_runner_ends_by_itself_and_is_ended_after_its_grace() {
    let mut world = snapshot();
    let mut finished = runner(1, S::Finished);
    finished.finished_at = Some(ago(secs(299)));
    with(&mut world, finished, Some(machine(1, Some(MachineStatus::JobDone))), None);
    has_not(&planned(&world), "end");
    world.runners[0].finished_at = Some(ago(mins(5)));
    has(&planned(&world), "end m-1: its job is over and its machine does not end by itself");
    let Observed::Seen { value, .. } = &mut world.machines else { panic!() };
    value[0].state = MachineState::Ended;
    has(&planned(&world), "update linux-abcdef-1 gone");
}

#[test]
fn a_draining_runner_is_deregistered_settles_and_is_ended() {
    let mut world = snapshot();
    with(
        &mut world,
        runner(1, S::Draining),
        Some(machine(1, Some(MachineStatus::Listening))),
        Some(registration(1, true, false)),
    );
    has(&planned(&world), "deregister linux-abcdef-1: it is draining");
    let mut left = world.runners[0].clone();
    assert!(left.update(RunnerUpdate::Deregistered, ago(secs(59))));
    world.runners[0] = left.clone();
    world.registrations.insert(acme(), Observed::seen(Vec::new(), NOW));
    let settling = planned(&world);
    has_not(&settling, "end");
    assert!(matches!(keeps(&settling, 1), Some(WaitingOn::Grace { what: "settling", .. })));
    left.deregistered_at = Some(ago(mins(1)));
    world.runners[0] = left;
    has(&planned(&world), "end m-1: not registered any more, settled and still idle");
}

#[test]
fn a_draining_runner_that_turns_out_busy_is_kept() {
    let mut world = snapshot();
    let mut draining = runner(1, S::Draining);
    assert!(draining.update(RunnerUpdate::Deregistered, ago(mins(3))));
    with(&mut world, draining, Some(machine(1, Some(MachineStatus::Busy))), None);
    let plan = planned(&world);
    has(&plan, "update linux-abcdef-1 busy: the machine says that a job runs on it");
    has_not(&plan, "end");
}

#[test]
fn a_removal_that_github_refused_means_keep() {
    let mut refused = runner(1, S::Draining);
    assert!(refused.update(RunnerUpdate::RemovalRefused, ago(secs(5))));
    assert_eq!(refused.state, S::Busy);
    refused.looked_up_at = Some(ago(secs(5)));
    let mut world = snapshot();
    with(&mut world, refused, Some(machine(1, Some(MachineStatus::Listening))), Some(registration(1, true, false)));
    let plan = planned(&world);
    has_not(&plan, "deregister");
    has_not(&plan, "end");
    has_not(&plan, "update linux-abcdef-1 idle");
}

#[test]
fn a_registration_that_a_list_does_not_show_is_asked_for_by_id_and_lost_after_two_misses() {
    let mut world = snapshot();
    world.jobs.push(queued(1));
    with(&mut world, runner(1, S::Idle), Some(machine(1, None)), None);
    let first = planned(&world);
    has(&first, "look up linux-abcdef-1: GitHub's list does not show it; lists shift, so it is asked for by id");
    has_not(&first, "update linux-abcdef-1 lost");
    for missed in [1, 2] {
        world.runners[0].missing_registration = missed;
        world.runners[0].looked_up_at = Some(ago(mins(3)));
        if missed == 1 {
            has(&planned(&world), "look up linux-abcdef-1");
        }
    }
    let plan = planned(&world);
    has(
        &plan,
        "update linux-abcdef-1 lost: GitHub does not know its registration, asked twice by id, and it has no job",
    );
}

#[test]
fn a_machine_that_is_gone_with_its_job_is_lost_and_the_job_is_recorded_as_interrupted() {
    let mut world = snapshot();
    let busy = runner(1, S::Busy);
    world.jobs.push(on(job_of("acme/shop", 1, JobStatus::InProgress, ago(mins(8))), &busy));
    let mut ended = machine(1, Some(MachineStatus::Busy));
    ended.state = MachineState::Ended;
    with(&mut world, busy, Some(ended), Some(registration(1, false, true)));
    has(&planned(&world), "update linux-abcdef-1 lost: its machine has ended; its registration may be left");
    let mut lost = runner(1, S::Lost);
    lost.lost_at = Some(ago(mins(3)));
    world.runners[0] = lost;
    let asked = planned(&world);
    has(&asked, "verify 1");
    has_not(&asked, "interrupt");
    world.jobs[0].verified_at = Some(ago(mins(2)));
    has(
        &planned(&world),
        "interrupt 1: the machine of linux-abcdef-1 is gone while GitHub says that the job runs on it",
    );
}

#[test]
fn a_lost_runner_is_cleaned_up() {
    let mut world = snapshot();
    let mut ended = machine(1, None);
    ended.state = MachineState::Ended;
    with(&mut world, runner(1, S::Lost), Some(ended), Some(registration(1, false, false)));
    has(&planned(&world), "deregister linux-abcdef-1: it is lost");
    assert!(world.runners[0].update(RunnerUpdate::Deregistered, ago(mins(1))));
    world.registrations.insert(acme(), Observed::seen(Vec::new(), NOW));
    has(&planned(&world), "update linux-abcdef-1 gone");
}

#[test]
fn a_machine_missing_from_one_list_is_not_gone() {
    let mut world = snapshot();
    with(&mut world, runner(1, S::Busy), None, Some(registration(1, true, false)));
    let plan = planned(&world);
    has(&plan, "update linux-abcdef-1 machine_missing");
    has_not(&plan, "update linux-abcdef-1 lost");
    world.runners[0].machine_missing_since = Some(ago(mins(2)));
    has(&planned(&world), "update linux-abcdef-1 lost");
    world.machines = Observed::Seen { value: Vec::new(), at: NOW, complete: false };
    has_not(&planned(&world), "update linux-abcdef-1 lost");
}

#[test]
fn a_machine_with_our_tags_and_no_record_is_ended_past_grace() {
    let mut world = snapshot();
    world.machines = Observed::seen(vec![machine(9, None)], NOW);
    has(&planned(&world), "end m-9: it has our tags and no record");
    for young_busy_or_foreign in 0..3 {
        let mut untracked = machine(9, None);
        match young_busy_or_foreign {
            0 => untracked.launched_at = ago(secs(119)),
            1 => untracked.status = Some(MachineStatus::Busy),
            _ => untracked.control_plane = runnersmith_types::ControlPlaneId::parse("other").unwrap(),
        }
        world.machines = Observed::seen(vec![untracked], NOW);
        has_not(&planned(&world), "end");
    }
}

#[test]
fn registrations_that_are_not_in_the_ledger_are_never_touched() {
    let mut world = snapshot();
    let mut by_hand = registration(77, false, false);
    by_hand.name = "made-by-hand".into();
    world.registrations.insert(acme(), Observed::seen(vec![by_hand, registration(78, false, false)], NOW));
    assert!(planned(&world).steps.is_empty(), "{:?}", shown(&planned(&world)));
}

#[test]
fn a_runner_that_ended_before_any_delivery_named_its_job_still_stands_for_one_and_the_oldest_is_asked_for() {
    let mut world = snapshot();
    world.jobs.extend([queued(1), queued(2), queued(3)]);
    let mut ended = machine(1, Some(MachineStatus::Ended("exit code 0".into())));
    ended.state = MachineState::Ended;
    with(&mut world, runner(1, S::Busy), Some(ended), None);
    let first = planned(&world);
    has(&first, "update linux-abcdef-1 finished: its machine has ended; which job it had is not known yet");
    has_not(&first, "update linux-abcdef-1 gone");
    has(&first, "verify 1");
    has(&first, "verify 2");
    has_not(&first, "verify 3");
    assert_eq!(first.demand, 2, "one of the three was its");
    has(&first, "intend 2:");
    // The delivery comes: the job is over, and so is the runner.
    execute(&policy(), &mut world, &first, NOW);
    world.jobs[0].fact.status = JobStatus::Completed;
    world.jobs[0].fact.runner_name = Some(name(1).to_string());
    let then = planned(&world);
    has(&then, "update linux-abcdef-1 gone");
    assert_eq!(then.demand, 2);
    has_not(&then, "intend");
}
