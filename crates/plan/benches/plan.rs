//! One plan at 100, 1,000 and 10,000 jobs and runners. Promised: 10,000 × 10,000 under 50 ms, and growth no worse than n log n
//! (`SPECIFICATION.md`).

#[path = "../tests/support/mod.rs"]
mod support;

use divan::counter::ItemsCount;
use runnersmith_plan::plan;
use runnersmith_types::{JobStatus, MachineStatus, Observed, RunnerState, ScaleSet, Snapshot};
use support::{ago, job_of, machine, on, policy, registration, runner, secs, snapshot};

fn main() {
    divan::main();
}

/// A busy fleet: half of the runners have a job, a quarter is idle, the rest boots or is on its way out; as many jobs.
fn world(size: u64) -> (ScaleSet, Snapshot) {
    let mut set = policy();
    set.runners_max = 20_000;
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

#[divan::bench(args = [100, 1_000, 10_000], min_time = 1)]
fn jobs_and_runners(bencher: divan::Bencher<'_, '_>, size: u64) {
    let (set, world) = world(size);
    bencher.counter(ItemsCount::new(size)).bench_local(|| plan(&set, &world, support::NOW));
}
