//! Bugs that are put in on purpose, in the world's own ways or in ports between them and the control plane: a checker that finds none of
//! them would be no checker. A rule without a bug that it finds does not compile.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod ports;

use std::sync::Arc;
use std::time::Duration;

use ports::{GitHubBug, MachinesBug, github, hand_off, machines, queue};
use runnersmith_controllers::{Sets, World};
use runnersmith_types::{MinIdleEntry, Owner, RunnerScope, ScaleSet};
use runnersmith_world::options::Faults;
use runnersmith_world::{Alter, Bug, Options, Rule, run};

/// What a bug needs to be seen.
#[derive(Default)]
struct Case {
    faults: Faults,
    change: Option<fn(&mut Options)>,
    /// The bug, in the world's own ways.
    bug: Option<Bug>,
    /// The bug, in the ports of a control plane or in the sets that it is given.
    alter: Option<Alter>,
}

/// Some world of the first seeds shows that the bug breaks the rule; without the bug that world does not break it.
fn found(rule: Rule, case: Case) {
    let mut worlds = (1..=60).map(|seed| {
        let mut options = Options { faults: case.faults.clone(), ..Options::of_seed(seed).without_faults() };
        (options.jobs, options.busy_time) = (options.jobs.min(30), options.busy_time.min(Duration::from_secs(3_600)));
        case.change.iter().for_each(|change| change(&mut options));
        Options { bug: case.bug, ..options }
    });
    let breaks = |options: Options, alter: Option<&Alter>| {
        run(options, alter, false).violations.iter().any(|violation| violation.rule == rule)
    };
    let options = worlds.find(|options| breaks(options.clone(), case.alter.as_ref()));
    let options = options.unwrap_or_else(|| panic!("no world shows that {rule:?} is broken"));
    let without = Options { bug: None, ..options };
    assert!(!breaks(without.clone(), None), "seed {} breaks {rule:?} without the bug", without.seed);
}

/// A test for each bug, and the proof that each rule has one.
macro_rules! bugs {
    ($($test:ident: $rule:ident, $case:expr;)*) => {
        $(#[test]
        fn $test() {
            found(Rule::$rule, $case);
        })*

        /// The test of the bug that a rule finds. A new rule is missing here until it has one.
        #[allow(unreachable_patterns, reason = "a rule may find more than one bug")]
        const fn test_of(rule: Rule) -> &'static str {
            match rule {
                $(Rule::$rule => stringify!($test),)*
            }
        }
    };
}

#[test]
fn every_rule_has_a_bug_that_it_finds() {
    assert_eq!(test_of(Rule::EveryJobRuns), "a_job_that_never_runs_is_found");
}

bugs! {
    a_job_that_never_runs_is_found: EveryJobRuns, Case { alter: Some(machines(MachinesBug::Never)), ..Case::default() };
    a_job_of_which_nobody_is_notified_is_found: AuthorIsNotified, Case {
        change: Some(|options| options.impossible = 300_000),
        alter: Some(github(GitHubBug::Silent)),
        ..Case::default()
    };
    a_job_that_waits_although_its_set_has_room_is_found: RoomIsUsed, Case {
        change: Some(|options| {
            (options.burst, options.busy_time) = (1_000_000, Duration::from_secs(600));
            options.job_time_max = Duration::from_secs(1_800);
        }),
        alter: Some(sets(|set| set.runners_max = 1)),
        ..Case::default()
    };
    a_maximum_that_is_exceeded_is_found: Maximum, Case {
        change: Some(|options| {
            options.burst = 1_000_000;
            options.sets.iter_mut().for_each(|set| set.runners_max = 2);
        }),
        alter: Some(sets(|set| set.runners_max += 3)),
        ..Case::default()
    };
    a_busy_machine_that_is_ended_is_found: BusyIsKept, Case { alter: Some(machines(MachinesBug::EndsBusy)), ..Case::default() };
    a_machine_that_is_left_over_is_found: NoMachineLeft, Case {
        change: Some(reusable),
        bug: Some(Bug::KeepsMachines),
        ..Case::default()
    };
    // What the audit of an earlier version found second.
    a_machine_that_says_busy_forever_and_is_believed_is_found: NoMachineLeft, Case {
        faults: Faults { status_lost: 200_000, ..Faults::default() },
        change: Some(reusable),
        bug: Some(Bug::ForgetsDoubts),
        ..Case::default()
    };
    a_registration_that_is_left_over_is_found: NoRegistrationLeft, Case {
        faults: Faults { boot_never: 300_000, ..Faults::default() },
        alter: Some(github(GitHubBug::KeepsRegistrations)),
        ..Case::default()
    };
    a_hand_off_that_is_left_over_is_found: NoHandOffLeft, Case {
        faults: Faults { boot_never: 300_000, ..Faults::default() },
        alter: Some(hand_off()),
        ..Case::default()
    };
    a_record_that_is_left_over_is_found: NoRecordLeft, Case {
        faults: Faults { delivery_lost: 300_000, ..Faults::default() },
        bug: Some(Bug::HidesEnds),
        ..Case::default()
    };
    a_launch_that_is_repeated_without_its_token_is_found: OneMachinePerIntent, Case {
        faults: Faults { launch_error_after: 300_000, ..Faults::default() },
        alter: Some(machines(MachinesBug::Tokenless)),
        ..Case::default()
    };
    a_message_that_is_acknowledged_before_its_fact_is_found: AcknowledgedAfterFact, Case {
        alter: Some(queue(true)),
        ..Case::default()
    };
    a_good_message_that_becomes_a_dead_letter_is_found: NoDeadLetter, Case { alter: Some(queue(false)), ..Case::default() };
    launches_for_jobs_that_are_not_there_are_found: LaunchesAreBounded, Case {
        bug: Some(Bug::InventsJobs),
        ..Case::default()
    };
    a_secret_that_is_stored_is_found: NoSecretStored, Case {
        change: Some(short),
        alter: Some(github(GitHubBug::Leaks)),
        ..Case::default()
    };
    a_pass_that_does_not_come_to_rest_is_found: PassesRest, Case {
        change: Some(short),
        alter: Some(machines(MachinesBug::Wavers)),
        ..Case::default()
    };
    an_effect_that_is_repeated_in_vain_is_found: NoEffectIsRepeated, Case {
        change: Some(short),
        alter: Some(machines(MachinesBug::Repeats)),
        ..Case::default()
    };
    what_is_marked_and_unmarked_in_one_pass_is_found: NothingIsUnmarked, Case {
        change: Some(short),
        alter: Some(machines(MachinesBug::Wavers)),
        ..Case::default()
    };
    // What the audit of an earlier version found first.
    a_refused_removal_that_is_forgotten_is_found: NothingIsUnmarked, Case {
        faults: Faults { status_lost: 500_000, delivery_late: 500_000, spot_notice: 700_000, busy_stale: 500_000, ..Faults::default() },
        change: Some(reusable),
        bug: Some(Bug::ForgetsRefusals),
        ..Case::default()
    };
    loops_that_run_hot_are_found: PaceIsBounded, Case { change: Some(short), bug: Some(Bug::NeverWaits), ..Case::default() };
    jobs_that_are_asked_for_again_and_again_are_found: PaceIsBounded, Case {
        change: Some(crowd),
        bug: Some(Bug::ForgetsAnswers),
        ..Case::default()
    };
    a_minimum_of_idle_runners_that_is_not_kept_is_found: MinIdleIsKept, Case {
        change: Some(short),
        alter: Some(sets(|set| set.min_idle.clear())),
        ..Case::default()
    };
    a_check_run_that_stays_open_is_found: CheckRunsAreTrue, Case {
        change: Some(crowd),
        bug: Some(Bug::KeepsCheckRunsOpen),
        ..Case::default()
    };
    a_check_run_that_says_success_while_a_job_waits_is_found: CheckRunsAreTrue, Case {
        change: Some(crowd),
        bug: Some(Bug::SaysSuccess),
        ..Case::default()
    };
    a_check_run_that_leaves_out_who_waits_is_found: CheckRunsAreTrue, Case {
        change: Some(crowd),
        bug: Some(Bug::LeavesOutWhoWaits),
        ..Case::default()
    };
    a_run_that_was_cancelled_and_is_re_run_is_found: RerunsAreRight, Case {
        faults: Faults { spot_notice: 800_000, ..Faults::default() },
        change: Some(|options| {
            options.sets.iter_mut().for_each(|set| set.rerun_interrupted = true);
            options.cancelled = 300_000;
        }),
        bug: Some(Bug::HidesCancellations),
        ..Case::default()
    };
    a_job_of_another_fleet_that_is_stored_is_found: ForeignJobsAreLeftAlone, Case {
        change: Some(|options| options.foreign = 300_000),
        bug: Some(Bug::RelabelsForeignJobs),
        ..Case::default()
    };
    a_run_that_is_re_run_twice_is_found: RerunsAreRight, Case {
        faults: Faults { spot_notice: 800_000, ..Faults::default() },
        change: Some(|options| options.sets.iter_mut().for_each(|set| set.rerun_interrupted = true)),
        bug: Some(Bug::ForgetsReruns),
        ..Case::default()
    };
    a_check_run_because_of_another_fleets_job_is_found: ForeignJobsAreLeftAlone, Case {
        change: Some(|options| options.foreign = 300_000),
        bug: Some(Bug::HidesForeignRunners),
        ..Case::default()
    };
    a_panic_in_a_task_is_found: NoPanic, Case { alter: Some(machines(MachinesBug::Panics)), ..Case::default() };
}

/// A control plane that is given other sets than there are.
fn sets(change: fn(&mut ScaleSet)) -> Alter {
    Arc::new(move |world: World| {
        let mut sets: Vec<ScaleSet> = world.sets.load().iter().cloned().collect();
        sets.iter_mut().for_each(change);
        World { sets: Sets::new(sets), ..world }
    })
}

fn reusable(options: &mut Options) {
    options.sets.iter_mut().for_each(|set| set.ephemeral = false);
}

/// More jobs at once than there may be runners, so that authors are notified.
fn crowd(options: &mut Options) {
    options.burst = 1_000_000;
    options.job_time_max = Duration::from_secs(1_800);
    options.sets.iter_mut().for_each(|set| set.runners_max = 2);
}

/// A short world with a few jobs, for bugs that make the loop run hot. Its sets keep runners idle, so that there are some.
fn short(options: &mut Options) {
    (options.jobs, options.busy_time, options.quiet_time) = (5, Duration::from_secs(600), Duration::from_secs(600));
    options.sets.truncate(1);
    for set in &mut options.sets {
        set.scope.at = Some(RunnerScope::Organization(Owner::parse("acme").unwrap()));
        let time_zone = "UTC".to_owned();
        set.min_idle =
            vec![MinIdleEntry::Window { days: Vec::new(), from_minute: 0, to_minute: 0, time_zone, count: 2 }];
        set.runners_max = set.runners_max.max(4);
    }
}
