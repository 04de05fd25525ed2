//! What a developer runs: `cargo xtask setup`, `test`, `bench`, `lambda`. It is a program and not a script so that it works wherever
//! cargo does, and needs nothing else to be explained.

mod bench;
mod checks;
mod command;
mod lambda;
mod lambda_bench;
mod libtest;
mod programs;
mod setup;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Development tasks of Runnersmith.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what tests need beside cargo: GitHub's OpenAPI documents and payloads (npm), an AWS emulator (pip), a
    /// browser (apt, as root).
    Setup,
    /// Set up, then run every check and every test. Ends with the line `N passed, N failed, N skipped`.
    Test,
    /// Run all benchmarks and print their tables.
    Bench {
        /// Only these: they are not among "all", because what they need is built for many minutes.
        which: Option<bench::Which>,
    },
    /// Build the Lambda functions and pack them as zips; the first build takes many minutes.
    Lambda {
        /// The functions' architecture. One that is not this machine's is built with zig as linker.
        #[arg(long, default_value = "x86_64")]
        arch: lambda::Arch,
        /// Where the zips are put. [default: target/lambda]
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Setup => setup::setup(),
        Task::Test => checks::test(),
        Task::Bench { which } => bench::bench(which),
        Task::Lambda { arch, out } => lambda::lambda(arch, out),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
