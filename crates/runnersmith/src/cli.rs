//! The command line: definitions only.

#[cfg(feature = "demo")]
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use runnersmith_controllers::job_list::OUTCOMES;
use runnersmith_types::{RepoFullName, ScaleSetName};

/// Self-hosted GitHub Actions runners that come when a job is queued and are gone when it is done.
#[derive(Debug, Parser)]
#[command(name = "runnersmith", version, about, after_help = crate::exit::HELP)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: CliCommand,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum CliCommand {
    /// Run the control plane: webhook, queue, loops, dashboard and metrics in one process.
    Serve(Serve),
    /// Show the whole of it on this machine: a simulated GitHub, real processes, runners from 0 to the maximum and back.
    #[cfg(feature = "demo")]
    Demo(Demo),
    /// Show why a job runs or does not run.
    Why(WhyOptions),
    /// Show scale sets, open jobs and runners.
    Status(ReadOptions),
    /// List jobs, past ones included, newest first.
    Jobs(JobsOptions),
    /// Show what would be done now, and why. Nothing is done.
    Plan(Query),
    /// End the pauses of a scale set after failures: what was held back is tried at its next pass.
    ResetPause(ResetPause),
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
    /// Handle requests for scale sets, in a workflow of the control repository.
    #[command(name = "issueops")]
    IssueOps(Box<crate::issueops::options::IssueOpsOptions>),
    /// Lay out a control repository for IssueOps, or upgrade one. A file that you edited is never overwritten unless you name it.
    Init(Box<Init>),
    /// Supervise one local machine (started by `serve`).
    #[command(hide = true)]
    Machine {
        /// The machine's directory.
        directory: PathBuf,
    },
    /// Behave like a part of the actions/runner distribution (demo and tests).
    #[cfg(feature = "demo")]
    #[command(hide = true)]
    FakeRunner {
        /// The part and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

impl CliCommand {
    /// Whether the command reads and prints JSON, so that its failure is to be JSON as well.
    pub const fn reads_as_json(&self) -> bool {
        match self {
            Self::Why(options) => options.read.query.json,
            Self::Status(options) => options.query.json,
            Self::Jobs(options) => options.read.query.json,
            Self::Plan(options) => options.json,
            _ => false,
        }
    }
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

/// How environments are laid out on AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShapeOption {
    /// Everything of an environment together.
    OwnStack,
    /// Scale sets that join a control plane which is there.
    SharedPlane,
}

/// Options of `init`. All but the directory are remembered in the repository.
#[derive(Args, Clone, Debug)]
pub struct Init {
    /// The repository's directory.
    #[arg(default_value = ".")]
    pub directory: PathBuf,
    /// The control repository.
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<String>,
    /// Its number at GitHub, which its tokens name if it was made, renamed or transferred after 15 July 2026. Asked of GitHub where the
    /// environment has a `GH_TOKEN` or `GITHUB_TOKEN`.
    #[arg(long, value_name = "NUMBER")]
    pub repository_id: Option<u64>,
    /// Its owner's number; given together with the repository's.
    #[arg(long, value_name = "NUMBER")]
    pub owner_id: Option<u64>,
    /// Its default branch. [default: main]
    #[arg(long, value_name = "BRANCH")]
    pub default_branch: Option<String>,
    /// An environment's shape on AWS. [default: own-stack]
    #[arg(long)]
    pub shape: Option<ShapeOption>,
    /// The Parameter Store path below which a shared control plane finds its scale sets.
    #[arg(long, value_name = "PATH")]
    pub plane_path: Option<String>,
    /// An organisation that runners may be for; may be repeated.
    #[arg(long, value_name = "LOGIN")]
    pub organization: Vec<String>,
    /// The region of the network and of the states.
    #[arg(long)]
    pub region: Option<String>,
    /// The VPC in which machines run.
    #[arg(long, value_name = "ID")]
    pub vpc: Option<String>,
    /// A subnet of it; may be repeated.
    #[arg(long, value_name = "ID")]
    pub subnet: Vec<String>,
    /// The bucket of Terraform's states.
    #[arg(long, value_name = "NAME")]
    pub bucket: Option<String>,
    /// A DynamoDB table for locks, in place of S3's own lock file.
    #[arg(long, value_name = "NAME")]
    pub lock_table: Option<String>,
    /// The role that plans; without roles the workflow uses static keys.
    #[arg(long, value_name = "ARN")]
    pub plan_role_arn: Option<String>,
    /// The role that applies.
    #[arg(long, value_name = "ARN")]
    pub apply_role_arn: Option<String>,
    /// The team that owns policy and workflow (CODEOWNERS).
    #[arg(long, value_name = "ORGANISATION/TEAM")]
    pub platform_team: Option<String>,
    /// GitHub's address, if it is not github.com: <https://acme.ghe.com>, or a GitHub Enterprise Server's.
    #[arg(long, value_name = "URL")]
    pub server_url: Option<String>,
    /// The REST API's address, if it does not follow from the server's.
    #[arg(long, value_name = "URL")]
    pub api_url: Option<String>,
    /// The repository of Runnersmith's releases and Terraform module, on github.com.
    #[arg(long, value_name = "OWNER/NAME")]
    pub source: Option<String>,
    /// Where Terraform takes the module from, in place of --source; a relative path is one from an environment's folder.
    #[arg(long, value_name = "ADDRESS")]
    pub module_source: Option<String>,
    /// Where the workflow fetches this program (built for Linux on x86_64), in place of --source's release.
    #[arg(long, value_name = "URL")]
    pub binary_url: Option<String>,
    /// That file's SHA-256; without it the workflow refuses to run.
    #[arg(long, value_name = "HEX")]
    pub binary_sha256: Option<String>,
    /// The label of the hosted machines that handle requests; never the fleet's own. Needed for a GitHub Enterprise
    /// Server, which has none. [default: ubuntu-latest]
    #[arg(long, value_name = "LABEL")]
    pub runs_on: Option<String>,
    /// Take our content of this file although it was edited or deleted; may be repeated.
    #[arg(long, value_name = "PATH")]
    pub replace: Vec<String>,
    /// Only show what would change; the exit code is 1 if something would.
    #[arg(long)]
    pub check: bool,
    /// Print JSON instead of text.
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
#[cfg(feature = "demo")]
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
pub struct WhyOptions {
    /// The job: its number, its address in GitHub (or its run's or check's), its runner's name, or its own name in quotes.
    pub job: String,
    /// Where and how.
    #[command(flatten)]
    pub read: ReadOptions,
}

/// Options of `jobs`.
#[derive(Args, Debug)]
pub struct JobsOptions {
    /// Only jobs of this repository.
    #[arg(long, value_name = "OWNER/NAME", value_parser = |text: &str| RepoFullName::parse(text))]
    pub repository: Option<RepoFullName>,
    /// Only jobs of this scale set: its runners' jobs, and those that it would serve first.
    #[arg(long, value_name = "NAME", value_parser = |text: &str| ScaleSetName::parse(text))]
    pub set: Option<ScaleSetName>,
    /// Only jobs that were first seen since: 24h, 7d, or a time such as 2026-01-31T09:00:00Z.
    #[arg(long, value_name = "DURATION|TIME")]
    pub since: Option<String>,
    /// Only jobs that ended so, or that are open.
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(OUTCOMES))]
    pub outcome: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Where and how.
    #[command(flatten)]
    pub read: ReadOptions,
}

/// Options of what only reads the ledger.
#[derive(Args, Debug)]
pub struct ReadOptions {
    /// Where and how.
    #[command(flatten)]
    pub query: Query,
    /// Read a control plane of functions on AWS: its environment's name in Terraform. No configuration file is read then.
    #[arg(long, value_name = "ENVIRONMENT")]
    pub aws: Option<String>,
    /// Its region; without it the one of the usual AWS settings (AWS_REGION, AWS_PROFILE).
    #[arg(long, requires = "aws")]
    pub region: Option<String>,
}

/// Options of `reset-pause`.
#[derive(Args, Debug)]
pub struct ResetPause {
    /// The scale set.
    pub set: String,
    /// Where the configuration is.
    #[command(flatten)]
    pub file: ConfigFile,
}

/// Options of what only reads.
#[derive(Args, Debug)]
pub struct Query {
    /// Where the configuration is.
    #[command(flatten)]
    pub file: ConfigFile,
    /// Print JSON instead of text.
    #[arg(long)]
    pub json: bool,
}
