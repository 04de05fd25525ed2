//! Each source's word has a time, and the newest counts: across the rounds of a pass, and against a source that is not renewed.

use std::time::Duration;

use crate::support::passes::{Passed, partial_pass, pass};
use crate::support::*;
use runnersmith_types::{
    Label, Machine, MachineStatus, Observed, Registration, Runner, RunnerState as S, RunnerUpdate, ScaleSet, Snapshot,
};

const NOBODY: fn(u64) -> bool = |_| false;
const EVERYBODY: fn(u64) -> bool = |_| true;

fn reusable() -> ScaleSet {
    ScaleSet { ephemeral: false, ..policy() }
}

/// A reusable runner in this state for ten minutes, with what its machine and GitHub's list say.
fn one(state: S, status: MachineStatus, busy: bool) -> Snapshot {
    let mut world = snapshot();
    let runner = Runner { ephemeral: false, ..runner(1, state) };
    with(&mut world, runner, Some(machine(1, Some(status))), Some(registration(1, true, busy)));
    world
}

fn state(world: &Snapshot) -> S {
    world.runners[0].state
}

fn the_machine(world: &mut Snapshot) -> &mut Machine {
    let Observed::Seen { value, .. } = &mut world.machines else { panic!("machines are known") };
    &mut value[0]
}

fn the_registration(world: &mut Snapshot) -> &mut Registration {
    let Some(Observed::Seen { value, .. }) = world.registrations.get_mut(&acme()) else { panic!("they are known") };
    &mut value[0]
}

#[track_caller]
fn is_good(passed: &Passed) {
    let rounds: Vec<String> = passed.rounds.iter().map(|lines| lines.join("\n")).collect();
    assert_eq!(passed.faults, Vec::<String>::new(), "in\n{}", rounds.join("\n--\n"));
}

// ---- GitHub's word -------------------------------------------------------------------------------------------------

#[test]
fn githubs_busy_flag_counts_in_the_next_round_too_which_does_not_ask_github() {
    let mut world = one(S::Idle, MachineStatus::Listening, true);
    let passed = pass(&reusable(), &mut world, NOW, NOBODY);
    is_good(&passed);
    assert_eq!(state(&world), S::Busy, "GitHub's word is the newest");
    for minutes in 1..=3 {
        is_good(&partial_pass(&reusable(), &mut world, NOW.plus(mins(minutes)), NOBODY));
        assert_eq!(state(&world), S::Busy, "nothing newer was said");
    }
    the_registration(&mut world).busy = false;
    is_good(&pass(&reusable(), &mut world, NOW.plus(mins(4)), NOBODY));
    assert_eq!(state(&world), S::Idle, "GitHub's newer word counts");
}

#[test]
fn the_end_of_its_job_is_newer_than_githubs_flag_of_before_and_older_than_one_of_after() {
    let mut world = one(S::Idle, MachineStatus::Listening, true);
    is_good(&pass(&reusable(), &mut world, NOW, NOBODY));
    assert_eq!(state(&world), S::Busy);
    let ended = NOW.plus(secs(20));
    let over = on(job_of("acme/shop", 1, runnersmith_types::JobStatus::Completed, ended), &world.runners[0]);
    world.jobs.push(over);
    let passed = partial_pass(&reusable(), &mut world, NOW.plus(secs(21)), NOBODY);
    is_good(&passed);
    assert_eq!(state(&world), S::Idle, "its job ended after GitHub's list was read");
    // GitHub's flag may stay for minutes after the job; while it does, it is the newest word.
    is_good(&pass(&reusable(), &mut world, NOW.plus(secs(40)), NOBODY));
    assert_eq!(state(&world), S::Busy);
}

#[test]
fn a_refused_removal_is_asked_for_once_in_a_pass_and_the_runner_is_kept_until_something_newer_is_said() {
    for ephemeral in [false, true] {
        let set = ScaleSet { ephemeral, ..policy() };
        let mut world = one(S::Idle, MachineStatus::Listening, false);
        world.runners[0].ephemeral = ephemeral;
        the_machine(&mut world).interrupted_at = Some(NOW.plus(mins(2)));
        let passed = partial_pass(&set, &mut world, NOW, EVERYBODY);
        is_good(&passed);
        assert_eq!(passed.count("deregister"), 1);
        assert_eq!(state(&world), S::Busy, "GitHub refused: it has a job");
        // The next wakes ask nothing; a list that is read within the minute may lag behind the refusal.
        for seconds in [2, 10, 30] {
            let passed = pass(&set, &mut world, NOW.plus(secs(seconds)), EVERYBODY);
            is_good(&passed);
            assert_eq!(passed.count("deregister"), 0, "{seconds} s later");
        }
        let passed = pass(&set, &mut world, NOW.plus(secs(61)), EVERYBODY);
        is_good(&passed);
        assert_eq!(passed.count("deregister"), 1, "GitHub's list says idle, later: it is tried once more");
    }
}

#[test]
fn a_lost_runner_that_github_does_not_let_go_is_asked_for_once_in_a_grace_time() {
    let mut world = snapshot();
    let mut ended = machine(1, None);
    ended.state = runnersmith_types::MachineState::Ended;
    with(&mut world, runner(1, S::Lost), Some(ended), Some(registration(1, false, false)));
    let passed = pass(&policy(), &mut world, NOW, EVERYBODY);
    is_good(&passed);
    assert_eq!(passed.count("deregister"), 1);
    let passed = pass(&policy(), &mut world, NOW.plus(secs(119)), EVERYBODY);
    assert_eq!(passed.count("deregister"), 0);
    let passed = pass(&policy(), &mut world, NOW.plus(secs(120)), NOBODY);
    is_good(&passed);
    assert_eq!(passed.count("deregister"), 1);
    assert!(world.runners.is_empty(), "{:?}", world.runners);
}

#[test]
fn a_runner_that_was_deregistered_is_not_called_back_by_a_list_that_lags() {
    let mut world = one(S::Draining, MachineStatus::Listening, true);
    assert!(world.runners[0].update(RunnerUpdate::Deregistered, ago(secs(10))));
    is_good(&pass(&reusable(), &mut world, NOW, NOBODY));
    assert_eq!(state(&world), S::Draining, "GitHub let it go");
}

// ---- the machine's word --------------------------------------------------------------------------------------------

/// Full passes, one a minute, the first of them now. Returns how many it took until the runner was in that state.
fn passes_until(set: &ScaleSet, world: &mut Snapshot, until: S, most: u64) -> Option<u64> {
    (0..=most).find(|minute| {
        is_good(&pass(set, world, NOW.plus(mins(*minute)), NOBODY));
        world.runners.first().is_none_or(|runner| runner.state == until)
    })
}

#[test]
fn a_machine_that_says_busy_forever_loses_against_github_and_the_ledger() {
    let mut world = one(S::Busy, MachineStatus::Busy, false);
    world.jobs.push(queued(9));
    let idle_after = passes_until(&reusable(), &mut world, S::Idle, 60);
    assert_eq!(idle_after, Some(10), "GitHub and the ledger said idle for ten minutes");
    // A pass that does not ask GitHub does not bring it back.
    is_good(&partial_pass(&reusable(), &mut world, NOW.plus(mins(11)), NOBODY));
    assert_eq!(state(&world), S::Idle);
    world.jobs.clear();
    let mut gone_at = None;
    for minute in 12..40 {
        is_good(&pass(&reusable(), &mut world, NOW.plus(mins(minute)), NOBODY));
        if world.runners.is_empty() {
            gone_at = Some(minute);
            break;
        }
    }
    assert!(gone_at.is_some_and(|minute| minute < 20), "and it can go: {gone_at:?}");
}

#[test]
fn a_machine_that_says_busy_is_believed_again_as_soon_as_another_source_agrees() {
    for agrees in ["github", "ledger"] {
        let mut world = one(S::Busy, MachineStatus::Busy, false);
        for minute in 0..9 {
            is_good(&pass(&reusable(), &mut world, NOW.plus(mins(minute)), NOBODY));
        }
        if agrees == "github" {
            the_registration(&mut world).busy = true;
        } else {
            world.jobs.push(on(job(1, runnersmith_types::JobStatus::InProgress), &world.runners[0]));
        }
        is_good(&pass(&reusable(), &mut world, NOW.plus(mins(9)), NOBODY));
        the_registration(&mut world).busy = false;
        world.jobs.clear();
        for minute in 10..20 {
            is_good(&pass(&reusable(), &mut world, NOW.plus(mins(minute)), NOBODY));
            assert_eq!(state(&world), S::Busy, "{agrees} agreed in minute 9, this is minute {minute}");
        }
    }
}

#[test]
fn a_machine_that_says_busy_is_believed_while_github_cannot_be_asked() {
    let mut world = one(S::Busy, MachineStatus::Busy, false);
    for minute in 0..120 {
        is_good(&partial_pass(&reusable(), &mut world, NOW.plus(mins(minute)), NOBODY));
        assert_eq!(state(&world), S::Busy);
    }
}

#[test]
fn a_finished_runner_whose_machine_still_says_busy_stays_finished_and_goes() {
    let mut world = snapshot();
    let busy = runner(1, S::Busy);
    world.jobs.push(on(job_of("acme/shop", 1, runnersmith_types::JobStatus::Completed, ago(secs(5))), &busy));
    with(&mut world, busy, Some(machine(1, Some(MachineStatus::Busy))), None);
    let mut ended_at = None;
    for minute in 0..60 {
        // Jobs that ended long ago are not in the snapshot any more.
        if minute == 20 {
            world.jobs.clear();
        }
        let passed = pass(&policy(), &mut world, NOW.plus(mins(minute)), NOBODY);
        is_good(&passed);
        if passed.count("end m-1") > 0 {
            ended_at = Some(minute);
        }
        let Some(runner) = world.runners.first() else { break };
        assert_eq!(runner.state, S::Finished, "minute {minute}");
    }
    assert_eq!(ended_at, Some(10), "the machine's word is believed for a while, in which its hooks may run");
    assert!(world.runners.is_empty());
}

#[test]
fn a_deregistered_runner_whose_machine_says_busy_forever_goes() {
    let mut world = snapshot();
    let mut draining = runner(1, S::Draining);
    assert!(draining.update(RunnerUpdate::Deregistered, ago(mins(3))));
    with(&mut world, draining, Some(machine(1, Some(MachineStatus::Busy))), None);
    assert_eq!(passes_until(&policy(), &mut world, S::Gone, 30), Some(10));
}

// ---- labels --------------------------------------------------------------------------------------------------------

fn labelled(busy: bool, with: &[&str]) -> Registration {
    let labels = with.iter().map(|label| Label::of_job(label)).collect();
    Registration { labels, ..registration(1, true, busy) }
}

#[test]
fn an_idle_runner_with_old_labels_is_no_supply_stalls_no_job_and_goes() {
    for ephemeral in [false, true] {
        let set = ScaleSet { ephemeral, ..policy() };
        let mut world = one(S::Idle, MachineStatus::Listening, false);
        world.runners[0].ephemeral = ephemeral;
        *the_registration(&mut world) = labelled(false, &["self-hosted", "linux", "old"]);
        world.jobs.push(job_of("acme/shop", 1, runnersmith_types::JobStatus::Queued, ago(mins(3))));
        let made = runnersmith_plan::plan(&set, &world, NOW);
        has_not(&made, "stall");
        has(&made, "intend 1:");
        has(&made, "update linux-abcdef-1 draining: its registration lacks the label x64, which the scale set has now");
        // Also when nothing is asked of GitHub: what it said is known.
        let passed = partial_pass(&set, &mut world, NOW, NOBODY);
        is_good(&passed);
        is_good(&pass(&set, &mut world, NOW, NOBODY));
        assert!(world.runners.iter().all(|runner| runner.serial != 1 || runner.state == S::Draining));
    }
}

#[test]
fn a_runner_with_more_labels_than_the_set_is_supply() {
    let mut world = one(S::Idle, MachineStatus::Listening, false);
    *the_registration(&mut world) = labelled(false, &["Self-Hosted", "Linux", "X64", "by-hand"]);
    world.jobs.push(queued(1));
    let made = runnersmith_plan::plan(&reusable(), &world, NOW);
    has_not(&made, "intend");
    has_not(&made, "update linux-abcdef-1 draining");
}

#[test]
fn what_github_said_of_the_labels_counts_in_a_pass_that_does_not_ask_and_is_changed_by_its_newer_word() {
    let mut world = one(S::Busy, MachineStatus::Busy, true);
    *the_registration(&mut world) = labelled(true, &["self-hosted"]);
    is_good(&pass(&reusable(), &mut world, NOW, NOBODY));
    // Its job ends, and nobody asks GitHub.
    the_machine(&mut world).status = Some(MachineStatus::JobDone);
    let over = job_of("acme/shop", 1, runnersmith_types::JobStatus::Completed, NOW.plus(secs(30)));
    world.jobs.push(on(over, &world.runners[0]));
    world.jobs.push(queued(2));
    let mut other = world.clone();
    let passed = partial_pass(&reusable(), &mut world, NOW.plus(secs(31)), NOBODY);
    is_good(&passed);
    assert_eq!(passed.count("intend 1:"), 1, "it is no supply");
    *the_registration(&mut other) = labelled(false, &["self-hosted", "linux", "x64"]);
    let passed = pass(&reusable(), &mut other, NOW.plus(secs(31)), NOBODY);
    is_good(&passed);
    assert_eq!((passed.count("intend"), state(&other)), (0, S::Idle), "it has them now");
}

// ---- lifetime ------------------------------------------------------------------------------------------------------

#[test]
fn a_reusable_runner_past_its_lifetime_drains_at_its_jobs_end_without_a_full_pass() {
    let set = reusable();
    let old = ago(mins(5 * 24 * 60 + 1));
    let mut world = one(S::Busy, MachineStatus::JobDone, false);
    world.runners[0] = Runner { ephemeral: false, ..runner_at(1, S::Busy, old, &acme()) };
    world.runners[0].job = Some(runnersmith_types::JobId(1));
    world
        .jobs
        .push(on(job_of("acme/shop", 1, runnersmith_types::JobStatus::Completed, ago(secs(1))), &world.runners[0]));
    world.jobs.push(queued(2));
    let mut taken = world.clone();
    let passed = partial_pass(&set, &mut world, NOW, NOBODY);
    is_good(&passed);
    assert_eq!(passed.count("update linux-abcdef-1 draining: it is past its lifetime"), 1);
    assert_eq!(passed.count("deregister"), 1, "GitHub itself says whether it may go");
    // GitHub was quicker and gave it the next job: it is kept, and the end of that job is the next moment to look.
    is_good(&partial_pass(&set, &mut taken, NOW, EVERYBODY));
    assert_eq!(state(&taken), S::Busy);
    let next =
        on(job_of("acme/shop", 2, runnersmith_types::JobStatus::Completed, NOW.plus(mins(3))), &taken.runners[0]);
    taken.jobs[1] = next;
    let passed = partial_pass(&set, &mut taken, NOW.plus(mins(3)).plus(Duration::from_secs(1)), NOBODY);
    is_good(&passed);
    assert_eq!(passed.count("deregister"), 1);
}

// ---- a list that fails ---------------------------------------------------------------------------------------------

#[test]
fn a_busy_runner_stays_busy_while_its_machine_cannot_be_asked() {
    let mut world = one(S::Busy, MachineStatus::Busy, false);
    let machines = std::mem::replace(&mut world.machines, Observed::Unknown { why: "throttled".into() });
    is_good(&pass(&reusable(), &mut world, NOW, NOBODY));
    assert_eq!(state(&world), S::Busy, "only its machine says that it is busy, and the list of machines failed");
    let over = on(job(1, runnersmith_types::JobStatus::Completed), &world.runners[0]);
    world.runners[0].job = Some(over.id());
    world.jobs.push(over);
    is_good(&partial_pass(&reusable(), &mut world, NOW, NOBODY));
    assert_eq!(state(&world), S::Busy, "it may have the next job already");
    world.machines = machines;
    the_machine(&mut world).status = Some(MachineStatus::Listening);
    is_good(&pass(&reusable(), &mut world, NOW.plus(mins(1)), NOBODY));
    assert_eq!(state(&world), S::Idle);
}

#[test]
fn a_runner_that_is_lost_with_its_machine_is_not_busy_again_when_the_list_of_machines_fails() {
    let mut world = one(S::Lost, MachineStatus::Busy, true);
    the_machine(&mut world).state = runnersmith_types::MachineState::Ended;
    let runs = on(job(1, runnersmith_types::JobStatus::InProgress), &world.runners[0]);
    world.jobs.push(runs);
    let machines = std::mem::replace(&mut world.machines, Observed::Unknown { why: "throttled".into() });
    is_good(&partial_pass(&reusable(), &mut world, NOW, NOBODY));
    assert_eq!(state(&world), S::Lost, "nothing newer was said of its machine");
    world.machines = machines;
    is_good(&partial_pass(&reusable(), &mut world, NOW.plus(mins(1)), NOBODY));
    assert_eq!(state(&world), S::Lost);
}

#[test]
fn what_github_said_before_does_not_help_a_machine_that_is_doubted_since() {
    let mut world = one(S::Busy, MachineStatus::Busy, false);
    world.runners[0].github_busy_at = Some(ago(mins(5)));
    for minute in 0..=10 {
        assert_eq!(state(&world), S::Busy, "after {minute} min");
        // The second round of a pass does not ask GitHub: only what is recorded of its word is known then.
        is_good(&pass(&reusable(), &mut world, NOW.plus(mins(minute)), NOBODY));
    }
    assert_ne!(state(&world), S::Busy, "its machine alone has said so for ten minutes");
}

#[test]
fn a_list_of_machines_that_fails_does_not_end_the_doubt_of_a_machine() {
    for fails in 1..=10 {
        let mut world = one(S::Busy, MachineStatus::Busy, false);
        for minute in 0..=11 {
            let machines = world.machines.clone();
            if minute == fails {
                world.machines = Observed::Unknown { why: "throttled".into() };
            }
            is_good(&pass(&reusable(), &mut world, NOW.plus(mins(minute)), NOBODY));
            world.machines = machines;
        }
        assert_ne!(state(&world), S::Busy, "the list that failed in minute {fails} says nothing");
    }
}

#[test]
fn the_end_of_a_job_that_is_known_late_does_not_take_back_what_github_said_after_it() {
    let mut world = one(S::Idle, MachineStatus::Listening, true);
    is_good(&pass(&reusable(), &mut world, NOW, NOBODY));
    assert_eq!(state(&world), S::Busy, "GitHub's list says so");
    let mut over = job_of("acme/shop", 1, runnersmith_types::JobStatus::Completed, NOW.plus(secs(1)));
    over.fact.completed_at = Some(ago(mins(2)));
    world.jobs.push(on(over, &world.runners[0]));
    is_good(&partial_pass(&reusable(), &mut world, NOW.plus(secs(1)), NOBODY));
    assert_eq!(state(&world), S::Busy, "the job ended before, so that it has another one, or a flag that is late");
    the_registration(&mut world).busy = false;
    is_good(&pass(&reusable(), &mut world, NOW.plus(mins(1)), NOBODY));
    assert_eq!(state(&world), S::Idle);
}
