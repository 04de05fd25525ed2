//! One plan at 100 to 100,000 jobs and runners. Promised: 10,000 × 10,000 under 50 ms, and growth no worse than n log n from 100 to
//! 100,000, whose ratios are printed (`SPECIFICATION.md`).

#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use divan::counter::ItemsCount;
use runnersmith_plan::plan;
use runnersmith_types::{JobStatus, MachineStatus, Observed, RunnerState, ScaleSet, Snapshot};
use support::{ago, job_of, machine, on, policy, registration, runner, secs, snapshot};

fn main() {
    divan::main();
    growth();
}

/// The fastest of some plans, each of the same fleet.
fn fastest(size: u64) -> Duration {
    let (set, world) = world(size);
    let once = |_| {
        let begun = Instant::now();
        let _ = std::hint::black_box(plan(&set, &world, support::NOW));
        begun.elapsed()
    };
    (0..(200_000 / size).clamp(5, 200)).map(once).min().unwrap_or_default()
}

/// How much longer a plan takes for ten times the jobs and runners, beside what n log n gives.
fn growth() {
    // `cargo test` starts benchmarks too, with this argument, to see that they can be built.
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let sizes = [100_u32, 1_000, 10_000, 100_000];
    let took = sizes.map(|size| (f64::from(size), fastest(size.into()).as_secs_f64()));
    for pair in took.windows(2) {
        let [(small, before), (large, after)] = [pair[0], pair[1]];
        let allowed = large * large.ln() / (small * small.ln());
        println!(
            "{small:>6.0} → {large:>6.0} jobs and runners: {:>7.2} ms → {:>8.2} ms, {:>4.1} times as long (n log n: {allowed:.1})",
            before * 1e3,
            after * 1e3,
            after / before
        );
    }
    let [(small, before), .., (large, after)] = took;
    let allowed = large * large.ln() / (small * small.ln());
    println!("{small:.0} → {large:.0}: {:.0} times as long (n log n: {allowed:.0})", after / before);
}

/// A busy fleet: half of the runners have a job, a quarter is idle, the rest boots or is on its way out; as many jobs.
fn world(size: u64) -> (ScaleSet, Snapshot) {
    let mut set = policy();
    set.runners_max = 200_000;
    let mut world = snapshot();
    world.budget.jit_left = 150;
    let (mut machines, mut registrations) = (Vec::new(), Vec::new());
    for serial in 1..=size {
        let state = match serial % 8 {
            0..=3 => RunnerState::Busy,
            4 | 5 => RunnerState::Idle,
            6 => RunnerState::Booting,
            _ => RunnerState::Draining,
        };
        let one = runner(serial, state);
        let busy = state == RunnerState::Busy;
        if busy {
            world.jobs.push(on(job_of("acme/shop", 1_000_000 + serial, JobStatus::InProgress, ago(secs(60))), &one));
        }
        machines.push(machine(serial, Some(if busy { MachineStatus::Busy } else { MachineStatus::Listening })));
        registrations.push(registration(serial, true, busy));
        world.runners.push(one);
    }
    for id in 1..=size / 2 {
        let repo = ["acme/shop", "acme/web", "acme/app", "other/x"][usize::try_from(id % 4).unwrap_or(0)];
        world.jobs.push(job_of(repo, id, JobStatus::Queued, ago(secs(id % 500))));
    }
    world.machines = Observed::seen(machines, support::NOW);
    world.registrations.insert(support::acme(), Observed::seen(registrations, support::NOW));
    (set, world)
}

#[divan::bench(args = [100, 1_000, 10_000, 100_000], min_time = 1)]
fn jobs_and_runners(bencher: divan::Bencher<'_, '_>, size: u64) {
    let (set, world) = world(size);
    bencher.counter(ItemsCount::new(size)).bench_local(|| plan(&set, &world, support::NOW));
}
