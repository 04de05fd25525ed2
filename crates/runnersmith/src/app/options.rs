//! The command line of `runnersmith app`: definitions only.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use runnersmith_github_app as pure;
use runnersmith_types::Owner;

/// What to do with the GitHub App.
#[derive(Debug, Subcommand)]
pub enum App {
    /// Make the GitHub App: opens one page, stores key and secrets, prints what comes next.
    Create(Create),
    /// Show, feature by feature, whether an existing App is enough, and what it could do without.
    ///
    /// Exit code 1 when something that is needed is missing.
    Check(Check),
    /// Point the App's webhook, or an organisation's, to an address, with a secret.
    Webhook(WebhookOptions),
}

/// How much the App shall be able to do.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ProfileOption {
    /// Runners come and go.
    Minimal,
    /// Authors are notified why a job does not run, too, and interrupted jobs can be run again.
    Full,
}

/// Where runners register.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum RunnersOption {
    /// At organisations.
    Organization,
    /// At repositories.
    Repository,
    /// At both.
    Both,
    /// Nowhere: the App is for IssueOps alone.
    None,
}

/// Which webhook brings the deliveries.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum WebhookOf {
    /// The App's own.
    App,
    /// One of the organisation: several control planes can share the App.
    Organization,
    /// One of a repository.
    Repository,
    /// None: nothing listens to this App.
    None,
}

/// What the App is wanted for. What is not said follows from the configuration, or is: full, organisation, the App's webhook.
#[derive(Args, Clone, Debug, Default)]
pub struct Wanted {
    /// How much it shall be able to do.
    #[arg(long, value_enum)]
    pub profile: Option<ProfileOption>,
    /// Where runners register.
    #[arg(long, value_enum)]
    pub runners: Option<RunnersOption>,
    /// The same App writes to the control repository of IssueOps and reads teams.
    #[arg(long)]
    pub issueops: bool,
    /// Which webhook brings the deliveries.
    #[arg(long, value_enum)]
    pub webhook: Option<WebhookOf>,
    /// The server sends `check_run` and not `workflow_job` yet.
    #[arg(long)]
    pub old_server: bool,
}

impl Wanted {
    /// What that needs, starting from what is needed if nothing is said.
    #[must_use]
    pub fn needs(&self, otherwise: Option<pure::Needs>) -> pure::Needs {
        let profile = match self.profile {
            Some(ProfileOption::Minimal) => pure::AppProfile::Minimal,
            Some(ProfileOption::Full) | None => pure::AppProfile::Full,
        };
        let runners = match self.runners {
            Some(RunnersOption::Organization) | None => pure::AppRunners::Organization,
            Some(RunnersOption::Repository) => pure::AppRunners::Repository,
            Some(RunnersOption::Both) => pure::AppRunners::Both,
            Some(RunnersOption::None) => pure::AppRunners::None,
        };
        let said = pure::Needs::new(profile, runners);
        let mut needs = otherwise.unwrap_or(said);
        if self.profile.is_some() {
            (needs.notify, needs.rerun) = (said.notify, said.rerun);
        }
        if self.runners.is_some() {
            (needs.organization_runners, needs.repository_runners) =
                (said.organization_runners, said.repository_runners);
            if matches!(runners, pure::AppRunners::None) {
                (needs.notify, needs.rerun) = (false, false);
            }
        }
        if let Some(webhook) = self.webhook {
            needs.app_webhook = matches!(webhook, WebhookOf::App);
            needs.organization_webhook = matches!(webhook, WebhookOf::Organization);
            needs.repository_webhook = matches!(webhook, WebhookOf::Repository);
        }
        needs.issueops |= self.issueops;
        needs.old_servers |= self.old_server;
        needs
    }
}

/// Options of `app create`.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("owner").required(true).args(["organization", "user"])))]
pub struct Create {
    /// The organisation that will own the App; you must be an owner of it.
    #[arg(long)]
    pub organization: Option<Owner>,
    /// Your own login: the App will be yours.
    #[arg(long)]
    pub user: Option<Owner>,
    /// The App's name, unique on its server, at most 34 characters. Default: runnersmith- and the owner's name.
    #[arg(long)]
    pub name: Option<String>,
    /// What the App is wanted for.
    #[command(flatten)]
    pub wanted: Wanted,
    /// Where deliveries go, if it is known already.
    #[arg(long)]
    pub webhook_url: Option<String>,
    /// A GitHub Enterprise Server or a server under ghe.com. Default: github.com over HTTPS.
    #[arg(long, env = crate::credentials::ENTERPRISE_SERVER_URL)]
    pub server_url: Option<String>,
    /// More certificate authorities for that server, a PEM file.
    #[arg(long)]
    pub ca_file: Option<PathBuf>,
    /// Store the private key in this file (PEM, readable by you alone). An existing file is never overwritten.
    #[arg(long)]
    pub key_out: Option<PathBuf>,
    /// Store everything in this file of variables. Default without --ssm-path: runnersmith-app.env.
    #[arg(long)]
    pub env_out: Option<PathBuf>,
    /// Store everything in AWS's Parameter Store below this path, as SecureStrings. Needs a program built with `--features aws`.
    #[arg(long)]
    pub ssm_path: Option<String>,
    /// Only print the address; open no browser.
    #[arg(long)]
    pub no_browser: bool,
    /// The loopback port to which GitHub sends the browser back. Default: a free one.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// How long to wait for the browser.
    #[arg(long, default_value = "10", value_parser = minutes)]
    pub timeout_minutes: Duration,
    /// Print the result as JSON. It holds no secret.
    #[arg(long)]
    pub json: bool,
}

/// Where the App's credentials are.
#[derive(Args, Clone, Debug)]
pub struct Who {
    /// The configuration file. Default: the environment (APP_ID, APP_KEY_BASE64, ENTERPRISE_SERVER_URL), else runnersmith.toml.
    #[arg(short, long, env = "RUNNERSMITH_CONFIG")]
    pub config: Option<PathBuf>,
}

/// Options of `app check`.
#[derive(Args, Debug)]
pub struct Check {
    /// Where the credentials are.
    #[command(flatten)]
    pub who: Who,
    /// What the App is wanted for.
    #[command(flatten)]
    pub wanted: Wanted,
    /// Print JSON instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Options of `app webhook`.
#[derive(Args, Debug)]
pub struct WebhookOptions {
    /// Where the credentials are.
    #[command(flatten)]
    pub who: Who,
    /// Where deliveries go from now on.
    #[arg(long)]
    pub url: String,
    /// Make or change a webhook of this organisation instead of the App's own.
    #[arg(long)]
    pub organization: Option<Owner>,
    /// The variable that holds the secret. Default: what the configuration names, else WEBHOOK_SECRET.
    #[arg(long)]
    pub secret_env: Option<String>,
    /// An organisation's webhook sends what IssueOps inside `serve` needs, too.
    #[arg(long)]
    pub issueops: bool,
    /// Print JSON instead of text.
    #[arg(long)]
    pub json: bool,
}

/// An hour is how long GitHub keeps a code.
fn minutes(text: &str) -> Result<Duration, String> {
    let wrong = || "a number of minutes up to 60 is needed".to_owned();
    let minutes: f64 = text.parse().map_err(|_| wrong())?;
    if minutes > 0.0 && minutes <= 60.0 { Ok(Duration::from_secs_f64(minutes * 60.0)) } else { Err(wrong()) }
}
