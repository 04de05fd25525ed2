//! Worlds of many seeds: no rule is broken but by what is known, and the same seed is the same world.
//!
//! The seeds follow from the commit's tree, so that each change is tried in other worlds and each run of one commit in the same ones.
//! `WORLD_SEEDS=<count>` runs more or fewer, `WORLD_FIRST=<seed>` others, `WORLD_SEED=<seed>` one alone, with its whole trace.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use runnersmith_world::known::{KNOWN, known};
use runnersmith_world::{Options, Report, Violation, run};

/// So many worlds are run in CI, and so many by a developer.
const SEEDS: (u64, u64) = (2_000, 200);

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")))
}

fn count() -> u64 {
    let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    setting("WORLD_SEEDS").unwrap_or(if is_ci { SEEDS.0 } else { SEEDS.1 })
}

/// The first seed: of the commit's tree when there is one, unless another is asked for.
fn first_seed() -> u64 {
    if let Some(first) = setting("WORLD_FIRST") {
        return first;
    }
    let tree = Command::new("git").args(["rev-parse", "HEAD^{tree}"]).output();
    let tree = tree.ok().filter(|output| output.status.success()).map(|output| output.stdout).unwrap_or_default();
    let digits = String::from_utf8(tree).unwrap_or_default();
    u64::from_str_radix(digits.get(..12).unwrap_or("1"), 16).unwrap_or(1)
}

fn unknown(report: &Report) -> Vec<&Violation> {
    report.violations.iter().filter(|violation| known(violation, &report.violations).is_none()).collect()
}

/// What many worlds came to.
#[derive(Default)]
struct Sums {
    jobs: u64,
    launched: u64,
    crashes: u64,
    failed_machines: u64,
    port_calls: u64,
    machine_seconds: u64,
    job_seconds: u64,
    /// In how many worlds each known fault was seen.
    known: BTreeMap<&'static str, u64>,
    failed: Vec<Report>,
}

impl Sums {
    fn add(&mut self, report: Report) {
        self.jobs += u64::from(report.counts.jobs);
        self.launched += u64::from(report.counts.launched);
        self.crashes += u64::from(report.counts.crashes);
        self.failed_machines += u64::from(report.counts.failed_machines);
        self.port_calls += report.counts.port_calls;
        self.machine_seconds += report.counts.machine_seconds;
        self.job_seconds += report.counts.job_seconds;
        let all = &report.violations;
        let seen: BTreeSet<_> =
            all.iter().filter_map(|violation| known(violation, all)).map(|known| known.fault).collect();
        for fault in seen {
            *self.known.entry(fault).or_default() += 1;
        }
        if !unknown(&report).is_empty() {
            self.failed.push(report);
        }
    }
}

#[test]
fn no_seed_breaks_a_rule() {
    if let Some(seed) = setting("WORLD_SEED") {
        let report = run(Options::of_seed(seed), None, true);
        println!("{report}");
        assert!(unknown(&report).is_empty(), "{:#?}", unknown(&report));
        return;
    }
    let (first, count, begun) = (first_seed(), count(), Instant::now());
    println!("{count} seeds from {first}");
    let (next, sums) = (AtomicU64::new(0), Mutex::new(Sums::default()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < count) {
                    let report = run(Options::of_seed(first + at), None, false);
                    sums.lock().unwrap().add(report);
                }
            });
        }
    });
    let sums = sums.into_inner().unwrap();
    println!(
        "{} jobs, {} machines, {} of them failed, {} crashes, {} port calls, {:.0} s",
        sums.jobs,
        sums.launched,
        sums.failed_machines,
        sums.crashes,
        sums.port_calls,
        begun.elapsed().as_secs_f64()
    );
    println!(
        "{:.2} machine seconds for a job second, {} port calls for a job",
        sums.machine_seconds as f64 / sums.job_seconds.max(1) as f64,
        sums.port_calls / sums.jobs.max(1)
    );
    for fault in KNOWN.iter().map(|known| known.fault).collect::<BTreeSet<_>>() {
        let seeds = sums.known.get(fault).copied().unwrap_or(0);
        let advice = if seeds == 0 && count >= SEEDS.0 { ": take it out of KNOWN" } else { "" };
        println!("known: {fault} in {seeds} worlds{advice}");
    }
    if let Some(report) = sums.failed.first() {
        let all: Vec<String> = sums
            .failed
            .iter()
            .flat_map(|report| {
                unknown(report).into_iter().map(|violation| format!("seed {}: {violation}", report.options.seed))
            })
            .collect();
        println!("{report}");
        panic!("{} of {count} worlds break a rule:\n{}", sums.failed.len(), all.join("\n"));
    }
    assert!(
        count < 50 || (sums.crashes > 0 && sums.failed_machines > 0 && sums.launched > 0),
        "the worlds are too kind"
    );
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in [1, 2, 28, 1_009] {
        let [one, two] = [(); 2].map(|()| run(Options::of_seed(seed), None, false));
        assert_eq!((one.hash, one.lines, one.counts), (two.hash, two.lines, two.counts), "seed {seed}");
    }
    assert_ne!(run(Options::of_seed(1), None, false).hash, run(Options::of_seed(2), None, false).hash);
}

#[test]
fn a_world_without_faults_breaks_no_rule_and_wastes_nothing() {
    for seed in 1..=10 {
        let report = run(Options::of_seed(seed).without_faults(), None, false);
        assert!(unknown(&report).is_empty(), "{report}");
        assert_eq!((report.counts.crashes, report.counts.lost_deliveries), (0, 0));
    }
}

/// The list of what is known may only get shorter.
#[test]
fn what_is_known_is_counted() {
    let faults: BTreeSet<&str> = KNOWN.iter().map(|known| known.fault).collect();
    assert_eq!((KNOWN.len(), faults.len()), (0, 0), "a fault that is fixed is taken out, and these figures fall");
}
