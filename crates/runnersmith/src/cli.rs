//! The command line: definitions only.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Self-hosted GitHub Actions runners that come when a job is queued and are gone when it is done.
#[derive(Debug, Parser)]
#[command(name = "runnersmith", version, about, after_help = crate::exit::HELP)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the control plane: webhook, queue, loops, dashboard and metrics in one process.
    Serve(Serve),
    /// Show the whole of it on this machine: a simulated GitHub, real processes, runners from 0 to the maximum and back.
    Demo(Demo),
    /// Tell why a job runs or does not run.
    Why(Why),
    /// Show scale sets, open jobs and runners.
    Status(Query),
    /// Show what would be done now, and why. Nothing is done.
    Plan(Query),
    /// Check a configuration file and say what it means.
    Check(ConfigFile),
    /// Read Terraform files with a block of philips-labs/github-runner and say what changes. Nothing is written.
    Migrate(Migrate),
    /// Make, check and connect the GitHub App.
    App {
        /// What to do.
        #[command(subcommand)]
        command: crate::app::options::App,
    },
    /// Supervise one local machine (started by `serve`).
    #[command(hide = true)]
    Machine {
        /// The machine's directory.
        directory: PathBuf,
    },
    /// Behave like a part of the actions/runner distribution (demo and tests).
    #[command(hide = true)]
    StandIn {
        /// The part and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

/// The configuration file.
#[derive(Args, Clone, Debug)]
pub struct ConfigFile {
    /// The configuration file (see `runnersmith.example.toml`).
    #[arg(short, long, env = "RUNNERSMITH_CONFIG", default_value = "runnersmith.toml")]
    pub config: PathBuf,
}

/// Options of `migrate`.
#[derive(Args, Debug)]
pub struct Migrate {
    /// The directory with the block (`*.tf`, `*.tf.json`).
    #[arg(default_value = ".")]
    pub directory: PathBuf,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `serve`.
#[derive(Args, Debug)]
pub struct Serve {
    /// Where the configuration is.
    #[command(flatten)]
    pub file: ConfigFile,
}

/// Options of `demo`.
#[derive(Args, Clone, Debug)]
pub struct Demo {
    /// Jobs to run.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub jobs: u32,
    /// The scale set's maximum.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub maximum: u32,
    /// How long each job works, in milliseconds.
    #[arg(long, default_value_t = 800, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub job_ms: u64,
    /// Leave everything and the dashboard running until interrupted.
    #[arg(long)]
    pub keep: bool,
    /// Print the result as JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Options of `why`.
#[derive(Args, Debug)]
pub struct Why {
    /// The job: its number, or its address in GitHub.
    pub job: String,
    /// Where and how.
    #[command(flatten)]
    pub query: Query,
}

/// Options of what only looks.
#[derive(Args, Debug)]
pub struct Query {
    /// Where the configuration is.
    #[command(flatten)]
    pub file: ConfigFile,
    /// Print JSON instead of text.
    #[arg(long)]
    pub json: bool,
}
