//! The command line of `runnersmith issueops`: definitions only.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// IssueOps in a workflow of the control repository. Inside one, every option has its value from the workflow.
#[derive(Args, Debug)]
pub struct IssueOpsOptions {
    /// Where we are.
    #[command(flatten)]
    pub workflow: WorkflowOptions,
    /// What to do.
    #[command(subcommand)]
    pub task: Task,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Handle the event of this run: an issue, or a comment on a pull request. Plans, and applies nothing.
    ///
    /// Says `continue=true` when a job that may apply must go on.
    Handle(RunEvent),
    /// Do what was approved: check it again, apply it, merge it. For a job whose role may change the account.
    Continue {
        /// How long to wait for running jobs of an environment that is being deleted; the next tick goes on.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(0..=300))]
        wait_minutes: u64,
        /// How often to look meanwhile.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
        look_seconds: u64,
    },
    /// Do what no event did: lost events, plans that expire, runs that died.
    Tick,
    /// Look whether the control repository's settings at GitHub are as they must be, and say how to set what is not. Nothing is changed.
    ///
    /// Reads as whom `GH_TOKEN` or `GITHUB_TOKEN` names, best as an admin. What cannot be read is unknown. Exit codes: 5 when something
    /// needed is missing, 1 when something could not be read.
    Doctor {
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Compare each environment with its state, and report differences in one issue each.
    Drift,
}

/// The event, as GitHub writes it for a run.
#[derive(Args, Debug)]
pub struct RunEvent {
    /// Its name.
    #[arg(long, env = "GITHUB_EVENT_NAME")]
    pub event_name: String,
    /// The file with its payload.
    #[arg(long, env = "GITHUB_EVENT_PATH")]
    pub event_path: PathBuf,
}

/// Where we are. Secrets come from the environment: `GITHUB_TOKEN`, `APP_ID` and `APP_KEY_BASE64`, `RUNNERSMITH_PLAN_KEY`.
#[derive(Args, Clone, Debug)]
pub struct WorkflowOptions {
    /// The control repository.
    #[arg(long, env = "GITHUB_REPOSITORY", value_name = "OWNER/NAME", global = true, default_value = "")]
    pub repository: String,
    /// GitHub's address, if it is not github.com.
    #[arg(long, env = "GITHUB_SERVER_URL", value_name = "URL", global = true)]
    pub server_url: Option<String>,
    /// The REST API's address, if it does not follow from the server's.
    #[arg(long, env = "GITHUB_API_URL", value_name = "URL", global = true)]
    pub api_url: Option<String>,
    /// The number of this workflow run.
    #[arg(long, env = "GITHUB_RUN_ID", value_name = "NUMBER", global = true, default_value_t = 0)]
    pub run_id: u64,
    /// Its attempt.
    #[arg(long, env = "GITHUB_RUN_ATTEMPT", value_name = "NUMBER", global = true, default_value_t = 1)]
    pub run_attempt: u64,
    /// The file that takes the step's outputs.
    #[arg(long, env = "GITHUB_OUTPUT", value_name = "FILE", global = true)]
    pub output: Option<PathBuf>,
    /// Terraform, or OpenTofu.
    #[arg(long, env = "RUNNERSMITH_TERRAFORM", value_name = "PROGRAM", global = true, default_value = "terraform")]
    pub terraform: PathBuf,
}
