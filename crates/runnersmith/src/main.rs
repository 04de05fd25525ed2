//! File an issue, get a fleet of GitHub Actions runners. This file only dispatches.

mod app;
mod cli;
mod client;
mod cloud;
mod credentials;
#[cfg(feature = "demo")]
mod demo;
mod exit;
mod host;
mod init;
mod issueops;
mod jobs;
mod migrate;
mod plan;
mod query;
mod random;
mod report;
mod reset_pause;
mod serve;
mod settings;
mod startup;
mod status;
mod traces;
mod why;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, CliCommand};
use crate::exit::{CommandFailure, ExitStatus};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let is_json = cli.command.reads_as_json();
    match run(cli) {
        Ok(status) => status.into(),
        Err(failure) => {
            report::failure(&failure);
            if is_json {
                report::json_failure(&failure);
            }
            failure.status.into()
        }
    }
}

fn run(cli: Cli) -> Result<ExitStatus, CommandFailure> {
    match cli.command {
        CliCommand::Serve(options) => startup::runtime()?.block_on(serve::command(options)),
        #[cfg(feature = "demo")]
        CliCommand::Demo(options) => startup::runtime()?.block_on(demo::command(options)),
        CliCommand::Why(options) => startup::runtime()?.block_on(why::command(options)),
        CliCommand::Status(options) => startup::runtime()?.block_on(status::command(options)),
        CliCommand::Jobs(options) => startup::runtime()?.block_on(jobs::command(options)),
        CliCommand::Plan(options) => startup::runtime()?.block_on(plan::command(options)),
        CliCommand::ResetPause(options) => startup::runtime()?.block_on(reset_pause::command(options)),
        CliCommand::Check(options) => query::check(&options),
        CliCommand::Migrate(options) => migrate::run(&options),
        CliCommand::App { command } => startup::runtime()?.block_on(app::command(command)),
        CliCommand::IssueOps(options) => Ok(startup::runtime()?.block_on(issueops::command(*options))),
        CliCommand::Init(options) => startup::runtime()?.block_on(init::command(*options)),
        CliCommand::Machine { directory } => startup::machine(&directory),
        #[cfg(feature = "demo")]
        CliCommand::FakeRunner { arguments } => startup::runtime()?.block_on(startup::fake_runner(arguments)),
    }
}
