//! `kill -9` at random moments under load, and two servers on one ledger: nothing lost, nothing doubled, nothing left over.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use support::{Bed, jobs, until};

/// A small generator, so that a failing run can be repeated from the number it prints.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

async fn assert_whole(bed: &Bed, runs: &[u64], seed: u64) {
    let more = || {
        format!(
            "seed {seed}\njobs {:?}\nrunners {:?}\n{}",
            runs.iter().map(|run| bed.github.jobs(*run)).collect::<Vec<_>>(),
            bed.github.runners(),
            bed.log().lines().rev().take(40).collect::<Vec<_>>().join("\n")
        )
    };
    until("every job is over", Duration::from_secs(120), more, async || {
        runs.iter().all(|run| bed.github.jobs(*run).iter().all(|job| job.conclusion.is_some()))
    })
    .await;
    for run in runs {
        for job in bed.github.jobs(*run) {
            assert_eq!(job.conclusion.as_deref(), Some("success"), "seed {seed}: {job:?}");
        }
    }
    until("nothing is left over", Duration::from_secs(60), more, async || {
        bed.machines_alive().is_empty() && bed.github.runners().is_empty()
    })
    .await;
    let names: Vec<String> =
        runs.iter().flat_map(|run| bed.github.jobs(*run)).filter_map(|job| job.runner_name).collect();
    let distinct: BTreeSet<&String> = names.iter().collect();
    assert_eq!(names.len(), distinct.len(), "seed {seed}: a runner took two jobs, or a job ran twice");
    let directories = bed.machine_directories();
    assert_eq!(directories.len(), names.len(), "seed {seed}: one machine per job and no more: {directories:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_job_runs_exactly_once_although_serve_is_killed_at_fifty_random_moments() {
    let seed =
        std::env::var("RUNNERSMITH_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0x5eed_1234_5678_9abc);
    println!("seed {seed} (set RUNNERSMITH_SEED to repeat)");
    let mut random = Random(seed);
    let bed = Bed::new(6).await;
    let mut runs = Vec::new();
    for kill in 0..50 {
        if kill % 5 == 0 {
            runs.push(
                bed.github.dispatch("acme/shop", jobs(5, Duration::from_millis(100 + random.next(400)))).unwrap(),
            );
        }
        let serve = bed.serve();
        tokio::time::sleep(Duration::from_millis(random.next(500))).await;
        serve.kill();
    }
    let serve = bed.serve();
    assert_whole(&bed, &runs, seed).await;
    assert_eq!(serve.stop().await, Some(0), "{}", bed.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_on_one_ledger_stay_below_the_maximum_and_launch_nothing_twice() {
    let bed = Bed::new(3).await;
    let first = bed.serve();
    bed.ready().await;
    let other_port = support::free_port();
    let config = std::fs::read_to_string(bed.path("runnersmith.toml")).unwrap();
    std::fs::write(bed.path("second.toml"), config.replace(&format!(":{}\"", bed.port), &format!(":{other_port}\"")))
        .unwrap();
    let second = bed.serve_with("second.toml");
    let run = bed.github.dispatch("acme/shop", jobs(15, Duration::from_millis(200))).unwrap();
    let mut most = 0;
    until(
        "every job is over",
        Duration::from_secs(90),
        || bed.log(),
        async || {
            most = most.max(bed.github.runners().len());
            bed.github.jobs(run).iter().all(|job| job.conclusion.is_some())
        },
    )
    .await;
    assert!(most <= 3, "{most} runners at once, the maximum is 3");
    assert_whole(&bed, &[run], 0).await;
    assert_eq!(first.stop().await, Some(0));
    assert_eq!(second.stop().await, Some(0));
}
