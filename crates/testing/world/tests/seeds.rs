//! Worlds of many seeds.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use runnersmith_world::{Options, run};

#[test]
fn one() {
    let seed = std::env::var("WORLD_SEED").unwrap().parse().unwrap();
    let begun = std::time::Instant::now();
    let report = run(Options::of_seed(seed), None, true);
    println!("{report}\n{:?}", begun.elapsed());
}
