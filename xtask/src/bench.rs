//! All benchmarks with one command. They are figures, not tests: machines are noisy, so no figure makes it fail.

use anyhow::Result;
use clap::ValueEnum;

use crate::command::{cargo, run};
use crate::lambda_bench;

/// Benchmarks that are asked for by name.
#[derive(Clone, Copy, ValueEnum)]
pub enum Which {
    /// The Lambda functions as they are shipped: cold start, latency, memory, size.
    Lambda,
}

/// Runs one kind, or all that need nothing but cargo, one after another.
pub fn bench(which: Option<Which>) -> Result<()> {
    match which {
        Some(Which::Lambda) => lambda_bench::bench(),
        // Only what is measured is built, with the features that it has by default.
        None => run(cargo(&[
            "bench",
            "--locked",
            "--package",
            "runnersmith-plan",
            "--package",
            "runnersmith-controllers",
            "--package",
            "runnersmith-sqlite",
            "--package",
            "runnersmith",
            "--bench",
            "plan",
            "--bench",
            "pass",
            "--bench",
            "store",
            "--bench",
            "serve",
        ])),
    }
}
