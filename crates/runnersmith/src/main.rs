//! File an issue, get a fleet of GitHub Actions runners. This file only dispatches.

mod app;
mod cli;
mod client;
mod cloud;
mod credentials;
#[cfg(feature = "demo")]
mod demo;
mod exit;
mod init;
mod issueops;
mod migrate;
mod plan;
mod query;
mod random;
mod report;
mod serve;
mod settings;
mod startup;
mod status;
mod traces;
mod why;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::exit::{ExitStatus, Failure};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(status) => status.into(),
        Err(failure) => {
            report::failure(&failure);
            failure.status.into()
        }
    }
}

fn run(cli: Cli) -> Result<ExitStatus, Failure> {
    match cli.command {
        Command::Serve(options) => startup::runtime()?.block_on(serve::command(options)),
        #[cfg(feature = "demo")]
        Command::Demo(options) => startup::runtime()?.block_on(demo::command(options)),
        Command::Why(options) => startup::runtime()?.block_on(why::command(options)),
        Command::Status(options) => startup::runtime()?.block_on(status::command(options)),
        Command::Plan(options) => startup::runtime()?.block_on(plan::command(options)),
        Command::Check(options) => query::check(&options),
        Command::Migrate(options) => migrate::run(&options),
        Command::App { command } => startup::runtime()?.block_on(app::command(command)),
        Command::IssueOps(options) => Ok(startup::runtime()?.block_on(issueops::command(*options))),
        Command::Init(options) => init::run(*options),
        Command::Machine { directory } => startup::machine(&directory),
        #[cfg(feature = "demo")]
        Command::FakeRunner { arguments } => startup::runtime()?.block_on(startup::fake_runner(arguments)),
    }
}
