//! What a developer runs: `cargo xtask setup`, `test`, `bench`. It is a program and not a script so that it works wherever
//! cargo does, and needs nothing else to be explained.

mod bench;
mod checks;
mod command;
mod setup;

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
    Bench,
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Setup => setup::setup(),
        Task::Test => checks::test(),
        Task::Bench => bench::bench(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
