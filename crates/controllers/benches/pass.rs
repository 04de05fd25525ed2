//! One pass after a message, over a ledger file with 10,000 open jobs and 2,000 runners. Promised: under a second (`SPECIFICATION.md`).

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints its table and fails by panicking")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use runnersmith_controllers::{CallLimits, Depth};
use runnersmith_types::JobStatus;
use support::{Bed, policy};

const RUNNERS: u32 = 2_000;
const JOBS: u64 = 10_000;
const TIMES: usize = 9;

#[tokio::main]
async fn main() {
    // `cargo test` starts benchmarks too, with this argument, to see that they can be built.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let mut bed = Bed::new(policy(RUNNERS));
    bed.world.limits = CallLimits { jit_per_minute: 1_000_000, calls_per_minute: 1_000_000 };
    bed.queued(1..=u64::from(RUNNERS)).await;
    while bed.machines_made() < RUNNERS as usize {
        bed.pass(Depth::Partial).await;
    }
    bed.online().await;
    let runners = bed.runners().await;
    for (id, runner) in (1..).zip(&runners) {
        bed.fact(id, JobStatus::InProgress, Some(runner)).await;
    }
    bed.queued(u64::from(RUNNERS) + 1..=JOBS).await;
    // What jobs wait for is recorded by the first passes, 200 at a time.
    for _ in 0..JOBS / 200 + 1 {
        bed.pass(Depth::Partial).await;
    }
    let mut took = Vec::with_capacity(TIMES);
    for job in 1..=TIMES as u64 {
        // A job ends, as its delivery says, and the pass after it looks for what follows from that.
        bed.fact(job, JobStatus::Completed, Some(&runners[job as usize - 1])).await;
        let begun = Instant::now();
        bed.pass(Depth::Partial).await;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    let row = |what: &str, time: Duration| println!("{what:<60} {:>8.0} ms", time.as_secs_f64() * 1e3);
    row("a pass after a message, 10,000 jobs, 2,000 runners, median", took[TIMES / 2]);
    row("the slowest of nine", took[TIMES - 1]);
}
