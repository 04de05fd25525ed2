//! `cargo xtask bench lambda`: the zips as they are shipped, each program started again and again behind a Lambda Runtime
//! API. The measuring itself is a benchmark of `runnersmith-lambda`; this builds what it measures.

use anyhow::Result;

use crate::command::{cargo, run, target};
use crate::lambda::{self, Arch};

/// Builds the zips for this machine's architecture and measures them.
pub fn bench() -> Result<()> {
    let zips = target().join("lambda");
    for zip in lambda::make(Arch::here()?, &zips)? {
        println!("{}: {}", zip.name, crate::table::size(zip.size));
    }
    // In the tests' own profile: what is measured are other programs, and these crates are built already.
    let mut command =
        cargo(&["bench", "--package", "runnersmith-lambda", "--all-features", "--locked", "--profile", "dev"]);
    command.args(["--bench", "functions"]).env("RUNNERSMITH_LAMBDA_ZIPS", &zips);
    run(command)
}
