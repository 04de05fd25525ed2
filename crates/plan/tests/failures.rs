//! Failures by their causes, and what is done about each: machines that fail, hand-offs that fail, jobs that GitHub does not give away.

use crate::support::*;
use runnersmith_plan::plan;
use runnersmith_types::{
    Action, BootFailure, BootFailureCause, BootFailures, EffectAction, HandOffTrouble, JobFact, JobStatus, Label,
    MachineState, MachineStatus, Observed, Plan, RecordAction, Registration, Runner, RunnerState as S, RunnerUpdate,
    ScaleSet, Snapshot, Stalled, Timestamp, WaitingOn,
};

// ---- whose failure it is -------------------------------------------------------------------------------------------

/// A machine that had its configuration so long ago, or waits for it.
fn booting(serial: u64, before: std::time::Duration, handed: bool) -> Runner {
    let mut runner = runner_at(serial, S::Booting, ago(before), &acme());
    if handed {
        for update in [RunnerUpdate::JitRequested, RunnerUpdate::HandedOff, RunnerUpdate::HandOffGone] {
            assert!(runner.update(update, ago(before)));
        }
    }
    runner
}

fn ended(serial: u64, how: &str) -> runnersmith_types::Machine {
    let mut machine = machine(serial, Some(MachineStatus::Ended(how.into())));
    machine.state = MachineState::Ended;
    machine
}

fn down_since(world: &mut Snapshot, before: std::time::Duration) {
    world.hand_off_faults.failed(&acme(), HandOffTrouble::Unavailable, "502", None, ago(before));
}

#[test]
fn a_machine_that_ends_is_a_failure_with_the_machines_own_reason() {
    for (runner, cause) in [
        (
            booting(1, mins(2), true),
            "fail linux-abcdef-1 NeverOnline: its machine ended and was never online, and said",
        ),
        (booting(1, mins(2), false), "fail linux-abcdef-1 NeverOnline: its machine ended before it was configured"),
        (runner_at(1, S::Idle, ago(mins(2)), &acme()), "fail linux-abcdef-1 NoJob: it came online and ended"),
    ] {
        let mut world = snapshot();
        with(&mut world, runner, Some(ended(1, "failed at run: exit 3")), None);
        has(&planned(&world), cause);
        assert!(shown(&planned(&world)).join("\n").contains("failed at run: exit 3"));
    }
}

#[test]
fn githubs_outage_and_our_own_delays_are_no_machines_failure() {
    // Hand-offs have failed since the machine was there.
    for (runner, how) in [
        (booting(1, mins(2), true), "1"),
        (booting(1, mins(2), false), "no hand-off"),
        (runner_at(1, S::Idle, ago(mins(2)), &acme()), "1"),
    ] {
        let mut world = snapshot();
        with(&mut world, runner, Some(ended(1, how)), None);
        has(&planned(&world), "fail linux-abcdef-1");
        down_since(&mut world, secs(30));
        has_not(&planned(&world), "fail linux-abcdef-1");
    }
    // It has waited so long that it ended by itself, or that we end it.
    let mut world = snapshot();
    with(&mut world, booting(1, mins(10), false), Some(ended(1, "no hand-off within the boot deadline")), None);
    has_not(&planned(&world), "fail");
    let mut world = snapshot();
    with(&mut world, booting(1, mins(8), false), Some(machine(1, Some(MachineStatus::Booting))), None);
    has(&planned(&world), "update linux-abcdef-1 draining: it could not be given its configuration");
    has_not(&planned(&world), "fail");
    // It was idle for a long time, or was taken back.
    let mut world = snapshot();
    with(&mut world, runner(1, S::Idle), Some(ended(1, "1")), None);
    has_not(&planned(&world), "fail");
    let mut warned = ended(1, "1");
    warned.interrupted_at = Some(ago(secs(60)));
    let mut world = snapshot();
    with(&mut world, booting(1, mins(2), true), Some(warned), None);
    has_not(&planned(&world), "fail");
}

#[test]
fn a_machine_that_waits_through_an_outage_is_kept_and_gets_its_configuration_at_its_end() {
    let mut world = snapshot();
    with(&mut world, booting(1, mins(9), false), Some(machine(1, Some(MachineStatus::Booting))), None);
    down_since(&mut world, secs(20));
    let kept = planned(&world);
    has_not(&kept, "update linux-abcdef-1 draining");
    has(&kept, "hand off linux-abcdef-1 jit");
    assert!(world.hand_off_faults.succeeded(&acme()));
    has(&planned(&world), "hand off linux-abcdef-1 jit");
    world.runners[0].machine_at = Some(ago(mins(12)));
    has(&planned(&world), "update linux-abcdef-1 draining");
}

#[test]
fn that_github_does_not_answer_is_remembered_once_in_a_while() {
    let mut world = snapshot();
    world.registrations.insert(acme(), Observed::Unknown { why: format!("{}502", runnersmith_plan::NO_ANSWER) });
    let plan = planned(&world);
    has(&plan, "update acme is silent");
    execute(&policy(), &mut world, &plan, NOW);
    assert!(world.hand_off_faults.failed_since(&acme(), NOW) && world.hand_off_faults.active(&acme()).is_none());
    assert!(planned(&world).steps.is_empty());
    // A refusal is an answer: it excuses no machine.
    world.hand_off_faults = Default::default();
    world.registrations.insert(acme(), Observed::Unknown { why: "registrations: 403".into() });
    assert!(planned(&world).steps.is_empty());
    world.hand_off_faults.failed(&acme(), HandOffTrouble::Refused, "403", None, NOW);
    with(&mut world, booting(1, mins(2), true), Some(ended(1, "1")), None);
    has(&planned(&world), "fail linux-abcdef-1 NeverOnline");
}

// ---- how long launches pause ---------------------------------------------------------------------------------------

/// Failures of a batch of so many machines that was launched then; they fail one after the other, a second apart.
fn batch(failures: &mut BootFailures, count: u64, launched: Timestamp, cause: BootFailureCause) {
    for n in 0..count {
        let at = launched.plus(secs(300 + n));
        failures.add(BootFailure::new(name(50 + n), pool(1), at).because(cause, "exit 3", launched));
    }
}

fn one_pool() -> ScaleSet {
    let mut set = policy();
    set.fallback_order.pools = vec![pool(1)];
    set
}

/// How long after the last failure a probe is due.
fn pause(world: &Snapshot) -> u64 {
    let made = plan(&one_pool(), world, NOW);
    let Some(WaitingOn::Breaker { probe_at, .. }) = waits(&made, 1) else { panic!("{:?}", made.waiting) };
    probe_at.since(world.boot_failures.newest.last().unwrap().at).as_secs()
}

#[test]
fn the_pause_doubles_with_each_failed_round_however_many_machines_are_in_one() {
    let mut world = snapshot();
    world.jobs.push(queued(1));
    batch(&mut world.boot_failures, 10, ago(secs(309)), BootFailureCause::NeverOnline);
    assert_eq!(pause(&world), 60, "ten machines of one batch are one failed round");
    for expected in [120, 240, 480, 960, 1_920, 3_600, 3_600] {
        let last = world.boot_failures.newest.last().unwrap().at;
        for failure in &mut world.boot_failures.newest {
            // Time goes on: what failed is longer ago, and the probe's failure is known now.
            let earlier = |at: Timestamp| at.minus(NOW.since(last) + secs(400));
            (failure.at, failure.round_at) = (earlier(failure.at), failure.round_at.map(earlier));
        }
        batch(&mut world.boot_failures, 1, ago(secs(300)), BootFailureCause::NeverOnline);
        assert_eq!(pause(&world), expected);
    }
}

#[test]
fn a_runner_that_comes_online_is_no_proof_where_others_ended_without_a_job() {
    let came_online = |cause, online_for| {
        let mut world = snapshot();
        batch(&mut world.boot_failures, 3, ago(mins(30)), cause);
        let mut runner = booting(1, mins(10), true);
        if online_for > secs(0) {
            assert!(runner.update(RunnerUpdate::Idle(Some(registration(1, true, false).id)), ago(online_for)));
        }
        with(&mut world, runner, Some(machine(1, Some(MachineStatus::Listening))), Some(registration(1, true, false)));
        world
    };
    has(&planned(&came_online(BootFailureCause::NeverOnline, secs(0))), "forget failures by linux-abcdef-1");
    has_not(&planned(&came_online(BootFailureCause::NoJob, secs(0))), "forget");
    has_not(&planned(&came_online(BootFailureCause::NoJob, secs(299))), "forget");
    has(&planned(&came_online(BootFailureCause::NoJob, mins(5))), "forget failures by linux-abcdef-1");
    let mut world = came_online(BootFailureCause::NoJob, mins(1));
    world.jobs.push(on(job(1, JobStatus::InProgress), &world.runners[0]));
    has(&planned(&world), "forget failures by linux-abcdef-1: a runner works");
    // One that is older than the last that failed proves nothing of what is launched now.
    world.runners[0].launching_at = Some(ago(mins(31)));
    has_not(&planned(&world), "forget");
}

#[test]
fn a_probe_that_is_online_is_waited_for_before_the_next_is_launched() {
    let mut world = snapshot();
    world.jobs.extend([queued(1), queued(2)]);
    batch(&mut world.boot_failures, 3, ago(mins(20)), BootFailureCause::NoJob);
    has(&plan(&one_pool(), &world, NOW), "launch 1 ");
    let probe = runner_at(1, S::Idle, ago(secs(20)), &acme());
    with(&mut world, probe, Some(machine(1, Some(MachineStatus::Listening))), Some(registration(1, true, false)));
    let made = plan(&one_pool(), &world, NOW);
    has_not(&made, "launch");
    let on = waits(&made, 2).unwrap().to_string();
    let said = "launches are paused after 3 runners that came online and ended without a job; one machine is launched at a time as a probe; the last: linux-abcdef-52, exit 3";
    assert_eq!(on, said);
}

#[test]
fn a_failure_counts_in_the_plan_that_finds_it() {
    let mut world = snapshot();
    world.jobs.push(queued(1));
    batch(&mut world.boot_failures, 2, ago(mins(8)), BootFailureCause::NeverOnline);
    has(&plan(&one_pool(), &world, NOW), "launch 1 ");
    let mut third = booting(1, mins(2), true);
    third.pool = Some(pool(1));
    with(&mut world, third, Some(ended(1, "1")), None);
    let made = plan(&one_pool(), &world, NOW);
    has(&made, "fail linux-abcdef-1 NeverOnline");
    has_not(&made, "launch");
}

// ---- hand-offs that fail -------------------------------------------------------------------------------------------

/// The runners that are handed over.
fn handed_over(plan: &Plan) -> Vec<String> {
    let hand_off = |step: &runnersmith_types::PlanStep| match &step.action {
        Action::HandOff(hand_off) => Some(hand_off.runner.to_string()),
        _ => None,
    };
    plan.steps.iter().filter_map(hand_off).collect()
}

#[test]
fn where_hand_offs_fail_one_machine_tries_for_all_and_they_take_turns() {
    let mut world = snapshot();
    for serial in 1..=3 {
        with(&mut world, booting(serial, secs(90), false), Some(machine(serial, Some(MachineStatus::Booting))), None);
    }
    let elsewhere = runner_at(4, S::Booting, ago(secs(90)), &org("globex"));
    with(&mut world, elsewhere, Some(machine(4, Some(MachineStatus::Booting))), None);
    let mut tried = std::collections::BTreeSet::new();
    for _ in 0..3 {
        down_since(&mut world, secs(30));
        let made = planned(&world);
        let mut names = handed_over(&made);
        assert_eq!(names.pop().unwrap(), "linux-abcdef-4", "another place's hand-offs go on");
        assert_eq!(names.len(), 1);
        tried.extend(names);
        world.hand_off_faults.faults[0].until = NOW.plus(secs(8));
        let paused = planned(&world);
        assert_eq!(handed_over(&paused), ["linux-abcdef-4"]);
        assert_eq!(paused.next_wake, Some(NOW.plus(secs(8))));
        let on = WaitingOn::HandOff {
            trouble: HandOffTrouble::Unavailable,
            why: "GitHub does not answer registrations at acme: 502".into(),
            until: NOW.plus(secs(8)),
        };
        assert_eq!(keeps(&paused, 1), Some(&on));
    }
    assert_eq!(tried.len(), 3, "{tried:?}");
}

#[test]
fn while_github_refuses_registrations_nothing_is_launched_but_one_machine_when_it_is_tried_again() {
    let mut world = snapshot();
    world.jobs.extend((1..=3).map(queued));
    for _ in 0..3 {
        world.hand_off_faults.failed(&acme(), HandOffTrouble::Refused, "group X: not found", None, ago(secs(60)));
    }
    let refused = planned(&world);
    has_not(&refused, "launch");
    assert_eq!(refused.next_wake, Some(NOW.plus(secs(60))));
    for id in 1..=3 {
        let said = waits(&refused, id).unwrap().to_string();
        assert_eq!(said, "GitHub refuses registrations at acme: group X: not found");
    }
    world.hand_off_faults.faults[0].until = NOW;
    has(&planned(&world), "launch 1 ");
    with(&mut world, booting(1, secs(9), false), Some(machine(1, Some(MachineStatus::Booting))), None);
    has_not(&planned(&world), "launch");
    assert!(matches!(waits(&planned(&world), 1), Some(WaitingOn::HandOff { .. })), "it is not on its way");
    // A runner that has its configuration still takes the first job.
    world.runners[0] = booting(1, secs(9), true);
    assert!(matches!(waits(&planned(&world), 1), Some(WaitingOn::Runner { .. })));
    assert!(matches!(waits(&planned(&world), 2), Some(WaitingOn::HandOff { .. })));
}

#[test]
fn a_short_trouble_holds_no_launch_back() {
    let mut world = snapshot();
    world.jobs.extend((1..=3).map(queued));
    down_since(&mut world, secs(30));
    has(&planned(&world), "launch 3 ");
    down_since(&mut world, secs(5));
    world.hand_off_faults.faults[0].since = ago(secs(61));
    has(&planned(&world), "launch 1 ");
}

// ---- stalled jobs --------------------------------------------------------------------------------------------------

fn idle(world: &mut Snapshot, serial: u64, labels: &[&str]) {
    let shown = Registration {
        labels: labels.iter().map(|label| Label::of_job(label)).collect(),
        ..registration(serial, true, false)
    };
    with(world, runner(serial, S::Idle), Some(machine(serial, Some(MachineStatus::Listening))), Some(shown));
}

fn stalls(plan: &Plan) -> Vec<u64> {
    let stall = |step: &runnersmith_types::PlanStep| match &step.action {
        Action::Effect(EffectAction::Stall { job, .. }) => Some(job.0),
        _ => None,
    };
    plan.steps.iter().filter_map(stall).collect()
}

#[test]
fn as_many_jobs_are_stalled_as_idle_runners_prove_it_and_those_runners_go() {
    let mut world = snapshot();
    world.jobs.extend((1..=6).map(|id| job_of("acme/shop", id, JobStatus::Queued, ago(secs(200 - id)))));
    idle(&mut world, 1, &["self-hosted", "linux", "x64"]);
    idle(&mut world, 2, &[]);
    let made = planned(&world);
    assert_eq!(stalls(&made), [1, 2], "the oldest");
    has(&made, "update linux-abcdef-1 draining: it was idle and GitHub did not give it job 1");
    has(&made, "update linux-abcdef-2 draining: it was idle and GitHub did not give it job 2");
    assert_eq!(made.demand, 4);
    has(&made, "intend 4:");
}

#[test]
fn a_runner_proves_nothing_of_a_job_that_its_labels_do_not_match() {
    let mut world = snapshot();
    world.jobs.push(job_of("acme/shop", 1, JobStatus::Queued, ago(mins(3))));
    idle(&mut world, 1, &["self-hosted", "windows"]);
    has_not(&planned(&world), "stall");
}

#[test]
fn each_pause_of_a_stalled_job_is_twice_the_last_up_to_two_hours() {
    let mut world = snapshot();
    let mut job = job_of("acme/shop", 1, JobStatus::Queued, ago(mins(1_000)));
    job.verified_at = Some(NOW);
    world.jobs.push(job);
    idle(&mut world, 1, &[]);
    let mut pauses = Vec::new();
    let mut last = None;
    for _ in 0..6 {
        world.jobs[0].stalled = last.map(|pause| Stalled { since: ago(mins(3) + pause), until: ago(mins(3)) });
        let made = planned(&world);
        let Some(WaitingOn::Stalled { until }) = waits(&made, 1) else { panic!("{:?}", made.waiting) };
        pauses.push(until.since(NOW).as_secs() / 60);
        last = Some(until.since(NOW));
    }
    assert_eq!(pauses, [10, 20, 40, 80, 120, 120]);
}

#[test]
fn a_stalled_jobs_run_is_asked_for_at_once() {
    let mut world = snapshot();
    let mut job = job_of("acme/shop", 1, JobStatus::Queued, ago(mins(9)));
    job.stalled = Some(Stalled { since: ago(secs(1)), until: NOW.plus(mins(9)) });
    job.verified_at = Some(ago(mins(1)));
    world.jobs.push(job);
    has(&planned(&world), "verify 1: it is stalled: its run may be over");
    let run = |step: &runnersmith_types::PlanStep| matches!(&step.action, Action::Effect(EffectAction::VerifyJob { run: Some(run), .. }) if run.0 == 1);
    assert!(planned(&world).steps.iter().any(run));
    world.jobs[0].verified_at = Some(NOW);
    has_not(&planned(&world), "verify");
}

#[test]
fn a_job_that_nobody_took_in_a_day_is_over_when_github_was_asked_since() {
    let mut world = snapshot();
    let mut job = job_of("acme/shop", 1, JobStatus::Queued, ago(JobFact::QUEUED_MAX + mins(1)));
    job.verified_at = Some(ago(mins(11)));
    world.jobs.push(job.clone());
    let made = planned(&world);
    assert_eq!(made.demand, 0);
    has_not(&made, "end");
    has(&made, "verify 1");
    world.jobs[0].verified_at = Some(NOW);
    has(&planned(&world), "end job 1: nobody took it within GitHub's limit of 24 hours");
    // Queued again after it had waited for something else, it has a day again.
    world.jobs[0].changed_at = ago(mins(60));
    assert_eq!(planned(&world).demand, 1);
}

#[test]
fn a_failures_record_names_its_round() {
    let mut world = snapshot();
    batch(&mut world.boot_failures, 1, ago(mins(8)), BootFailureCause::NeverOnline);
    with(&mut world, booting(1, mins(2), true), Some(ended(1, "1")), None);
    let recorded = planned(&world).steps.into_iter().find_map(|step| match step.action {
        Action::Record(RecordAction::BootFailed(failure)) => Some(failure),
        _ => None,
    });
    let recorded = recorded.unwrap();
    assert_eq!((recorded.round, recorded.round_at, recorded.launched_at), (2, Some(NOW), Some(ago(mins(2)))));
}

// ---- what is asked while nobody answers ----------------------------------------------------------------------------

#[test]
fn while_github_does_not_answer_a_few_jobs_are_asked_for_and_not_each_in_every_pass() {
    let asked = |plan: &Plan| {
        let asks =
            |step: &&runnersmith_types::PlanStep| matches!(step.action, Action::Effect(EffectAction::VerifyJob { .. }));
        plan.steps.iter().filter(asks).count()
    };
    let mut world = snapshot();
    world.jobs = (1..=40).map(|id| job_of("acme/shop", id, JobStatus::Queued, ago(mins(60)))).collect();
    with(&mut world, runner(1, S::Busy), Some(machine(1, Some(MachineStatus::Busy))), None);
    assert_eq!(asked(&planned(&world)), 40, "GitHub answers");
    let not_asked = Observed::Unknown { why: "not asked for in this pass".into() };
    world.registrations.insert(acme(), not_asked.clone());
    assert_eq!(asked(&planned(&world)), 40, "nothing says that it does not");
    world.hand_off_faults.silent(&acme(), "502", ago(secs(50)));
    assert_eq!(asked(&planned(&world)), 1, "it did not answer in the last full pass");
    assert!(!world.hand_off_faults.answered(&acme(), ago(secs(51))), "what was asked before says nothing");
    assert_eq!(asked(&planned(&world)), 1);
    let mut answered = world.clone();
    assert!(answered.hand_off_faults.answered(&acme(), ago(secs(1))));
    assert_eq!(asked(&planned(&answered)), 40, "one of them was answered since, which may be over and not be shown");
    assert!(!answered.hand_off_faults.answered(&acme(), NOW), "that is no news");
    let silent = Observed::Unknown { why: format!("{}502", runnersmith_plan::NO_ANSWER) };
    world.registrations.insert(acme(), silent);
    assert_eq!(asked(&planned(&world)), 1, "it does not answer now");
    world.registrations.insert(acme(), Observed::seen(Vec::new(), NOW));
    assert_eq!(asked(&planned(&world)), 40, "it answers again");
    world.registrations.insert(acme(), not_asked);
    world.hand_off_faults = Default::default();
    world.hand_off_faults.silent(&acme(), "502", ago(mins(3)));
    assert_eq!(asked(&planned(&world)), 40, "it has answered since");
}
