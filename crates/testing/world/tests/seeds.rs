//! Worlds of many seeds.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::collections::BTreeMap;
use runnersmith_world::{Options, run};

#[test]
fn one() {
    let seed = std::env::var("WORLD_SEED").unwrap().parse().unwrap();
    let report = run(Options::of_seed(seed), None, true);
    println!("{report}");
}

#[test]
fn many() {
    let from: u64 = std::env::var("FROM").map_or(1, |t| t.parse().unwrap());
    let n: u64 = std::env::var("WORLD_SEEDS").map_or(20, |t| t.parse().unwrap());
    let mut by: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for seed in from..from+n {
        let report = run(Options::of_seed(seed), None, false);
        let mut seen = std::collections::BTreeSet::new();
        for v in &report.violations {
            let t: String = v.text.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).take(60).collect();
            let key = format!("{:?}: {t}", v.rule);
            if seen.insert(key.clone()) { let e = by.entry(key).or_insert((0, seed)); e.0 += 1; e.1 = seed }
        }
    }
    for (k, v) in by { println!("{:5} e.g. {:5} {k}", v.0, v.1); }
}
