//! Worlds for one fault each, hard: what was found by seeds, at the size at which it shows. What is known to be broken today counts as
//! in `known.rs`; when it is fixed and taken out there, the scenario is its test.

#![allow(clippy::print_stdout, reason = "a scenario says which known faults it met")]

use std::collections::BTreeMap;
use std::time::Duration;

use runnersmith_world::known::known;
use runnersmith_world::options::Faults;
use runnersmith_world::{Options, run};

const MINUTE: Duration = Duration::from_secs(60);

/// Worlds of some seeds with these faults alone break no rule but by what is known.
fn holds(faults: &Faults, change: impl Fn(&mut Options)) {
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in 1..=12 {
        let mut options = Options { faults: faults.clone(), ..Options::of_seed(seed).without_faults() };
        (options.jobs, options.busy_time) = (options.jobs.min(30), options.busy_time.min(60 * MINUTE));
        change(&mut options);
        let report = run(options, None, false);
        let all = &report.violations;
        let unknown: Vec<_> = all.iter().filter(|violation| known(violation, all).is_none()).collect();
        assert!(unknown.is_empty(), "{report}");
        for fault in all.iter().filter_map(|violation| known(violation, all)).map(|known| known.fault) {
            *seen.entry(fault).or_default() += 1;
        }
    }
    println!("known: {seen:?}");
}

fn reusable(options: &mut Options) {
    options.sets.iter_mut().for_each(|set| set.ephemeral = false);
}

#[test]
fn a_removal_that_github_refuses_is_not_made_again_in_the_same_pass() {
    let faults = Faults {
        status_lost: 500_000,
        delivery_late: 500_000,
        spot_notice: 700_000,
        busy_stale: 500_000,
        ..Faults::default()
    };
    holds(&faults, reusable);
}

#[test]
fn a_machine_is_not_kept_for_an_old_word_of_its_own() {
    let faults = Faults { hangs: 200_000, status_lost: 200_000, ..Faults::default() };
    holds(&faults, |_| {});
    holds(&faults, reusable);
}

#[test]
fn githubs_word_is_not_taken_back_within_a_pass() {
    let faults = Faults { busy_stale: 1_000_000, ..Faults::default() };
    holds(&faults, reusable);
}

#[test]
fn a_runner_whose_machine_has_ended_is_not_busy_again() {
    let faults = Faults { machines_throttled: 300_000, spot_notice: 500_000, ..Faults::default() };
    holds(&faults, |_| {});
}

#[test]
fn another_fleets_job_gets_no_failing_check_run() {
    holds(&Faults::default(), |options| options.foreign = 500_000);
}

#[test]
fn an_outage_of_github_while_many_jobs_come_is_made_good() {
    let outage = vec![(Duration::ZERO, 10 * MINUTE), (20 * MINUTE, 30 * MINUTE)];
    let faults = Faults { github_outages: outage, ..Faults::default() };
    holds(&faults, |options| options.burst = 900_000);
}

#[test]
fn a_limit_of_github_is_waited_out() {
    let faults = Faults { github_limits: vec![(5 * MINUTE, 40 * MINUTE)], ..Faults::default() };
    holds(&faults, |_| {});
}

#[test]
fn control_planes_that_die_at_every_turn_lose_nothing_and_launch_nothing_twice() {
    let faults = Faults { crash: 4_000, launch_error_after: 200_000, ledger_error: 2_000, ..Faults::default() };
    holds(&faults, |options| options.processes = 2);
}

#[test]
fn deliveries_that_are_lost_late_and_doubled_are_made_good() {
    let faults = Faults {
        delivery_lost: 300_000,
        delivery_failed: 300_000,
        delivery_late: 300_000,
        delivery_doubled: 500_000,
        ..Faults::default()
    };
    holds(&faults, |_| {});
}

#[test]
fn a_queue_that_fails_doubles_and_forgets_loses_nothing() {
    let faults = Faults {
        queue_error: 100_000,
        message_doubled: 300_000,
        acknowledge_lost: 200_000,
        crash: 1_000,
        ..Faults::default()
    };
    holds(&faults, |options| options.poison = 3);
    holds(&faults, |options| options.processes = 2);
}

#[test]
fn runs_that_lose_machines_again_and_again_are_re_run_once() {
    let faults = Faults { spot_notice: 700_000, github_error_after: 200_000, ledger_error: 5_000, ..Faults::default() };
    holds(&faults, |options| {
        options.sets.iter_mut().for_each(|set| set.rerun_interrupted = true);
        options.cancelled = 200_000;
    });
}

#[test]
fn authors_read_what_is_true_while_github_fails_and_processes_die() {
    let faults =
        Faults { github_error_after: 200_000, github_error_before: 200_000, crash: 1_500, ..Faults::default() };
    holds(&faults, |options| {
        (options.burst, options.foreign, options.impossible) = (900_000, 200_000, 100_000);
        options.sets.iter_mut().for_each(|set| set.runners_max = 2);
    });
}

#[test]
fn machines_that_do_not_come_are_replaced() {
    let faults = Faults {
        boot_never: 200_000,
        register_never: 200_000,
        ends_early: 200_000,
        launch_partial: 300_000,
        machines_throttled: 50_000,
        machines_lag: Duration::from_secs(45),
        ..Faults::default()
    };
    holds(&faults, |_| {});
}
