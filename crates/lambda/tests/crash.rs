//! Any function may be killed at any moment: no job is lost, none runs twice, no machine is left over.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod support;

use std::time::Duration;

use rand::SeedableRng as _;
use runnersmith_aws_emulator::skip_unless_available;
use serde_json::json;
use support::{Bed, Wishes};

/// Functions killed in all.
const KILLS: usize = 200;
/// Jobs that run meanwhile.
const JOBS: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_kills_lose_nothing_and_double_nothing() {
    if skip_unless_available("the end-to-end test of crashes") {
        return;
    }
    let seed = std::env::var("RUNNERSMITH_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(7);
    eprintln!("RUNNERSMITH_SEED={seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    // A message may be received by function after function that is killed, so it is not dead after the usual ten.
    // A short timeout makes messages of killed functions come again within seconds.
    let control_plane = json!({ "timer": { "lease_seconds": 2 } });
    let bed = Bed::new(Wishes {
        function_timeout: 5,
        visibility: Some(6),
        receives_max: 200,
        control_plane,
        ..Wishes::default()
    })
    .await;
    let machines = bed.quick_machines();
    let (mut killed, mut dispatched) = (0, 0);
    let end = std::time::Instant::now() + Duration::from_secs(150);
    while killed < KILLS && std::time::Instant::now() < end {
        if dispatched < JOBS && killed * JOBS >= dispatched * KILLS {
            bed.dispatch(1, 50);
            dispatched += 1;
        }
        // The moments are anywhere within a function's work: between two kills lie 0 to 300 ms.
        tokio::time::sleep(Duration::from_millis(rand::Rng::random_range(&mut random, 0..300))).await;
        killed += usize::from(bed.host().kill_one(&mut random));
    }
    while dispatched < JOBS {
        bed.dispatch(1, 50);
        dispatched += 1;
    }
    bed.completes(&machines, JOBS, Duration::from_secs(150)).await;
    assert_eq!(killed, KILLS, "functions ran to be killed");
    // Each job ran once: GitHub gave each to one runner, and no runner had two.
    let mut runners: Vec<String> = bed.jobs().into_iter().filter_map(|job| job.runner_name).collect();
    runners.sort();
    let all = runners.len();
    runners.dedup();
    assert_eq!((all, runners.len()), (JOBS, JOBS), "one runner for each job");
    // A batch is launched once, however often it was asked for.
    let found = bed.emulator().query("ec2", "DescribeTags", &[]).unwrap();
    assert!(found.contains("runnersmith:batch"));
    assert_eq!(bed.dead_letters(), 0, "no message was given up");
    let started = machines.started();
    assert!((JOBS..=JOBS + 20).contains(&started), "{started} machines for {JOBS} jobs");
}
