//! What a server needs to run, resolved: from a configuration file, or from the demo.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use base64::Engine as _;
use runnersmith_config::{Config, Distribution, Provisioning, Source};
use runnersmith_controllers::loops::Rhythm;
use runnersmith_controllers::{CallLimits, housekeeping};
use runnersmith_github::{AppCredentials, GitHubConfig};
use runnersmith_types::{ScaleSet, Secret, Timing};

use crate::cloud::CloudHere;
use crate::exit::Failure;

/// Everything resolved.
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The webhook's path.
    pub webhook_path: String,
    /// Where ledger and queue live.
    pub data: PathBuf,
    /// Where machines live.
    pub machines: PathBuf,
    /// The runner distribution.
    pub distribution: Distribution,
    /// The command that supervises a machine; its directory is appended.
    pub supervisor: Vec<OsString>,
    /// The scale sets.
    pub sets: Vec<ScaleSet>,
    /// The times of sets that are taken out.
    pub retired: Timing,
    /// Budgets.
    pub limits: CallLimits,
    /// GitHub.
    pub github: GitHubConfig,
    /// One secret, or two during a rotation.
    pub webhook_secrets: Vec<Secret>,
    /// Accept SHA-1 signatures of old GHES.
    pub allow_sha1: bool,
    /// The dashboard's token, if it has one.
    pub dashboard_token: Option<Secret>,
    /// Where traces go, if anywhere.
    pub otel: Option<String>,
    /// Requests by issues, if a control repository is named.
    pub issueops: Option<crate::issueops::home::Settings>,
    /// What is on AWS.
    pub cloud: CloudHere,
    /// How often things are looked at without a signal.
    pub rhythm: Rhythm,
}

impl Settings {
    /// Whether machines may be wanted on this host, now or later; `has_environments`: requests made scale sets of this server
    /// before, also when they do not any more.
    #[must_use]
    pub fn has_machines_here(&self, has_environments: bool) -> bool {
        let provisioning = self.issueops.as_ref().map(|issueops| issueops.provisioning);
        has_environments || provisioning == Some(Provisioning::Embedded) || !self.cloud.has_all_machines(&self.sets)
    }
}

/// The command with which this program supervises a machine.
pub fn own_supervisor() -> std::io::Result<Vec<OsString>> {
    Ok(vec![std::env::current_exe()?.into_os_string(), "machine".into()])
}

/// Resolves a configuration into what a server needs, secrets included.
///
/// # Errors
/// A secret that cannot be read, or that is empty.
pub async fn from_config(config: &Config) -> Result<Settings, Failure> {
    let github = &config.github;
    let cloud = CloudHere::new(config).await?;
    let parameters = cloud.secrets(config).await?;
    let secret = |source: &Source, field: &str, what: &str| secret(source, &parameters, field, what);
    let key = secret(&github.private_key, "[github] private_key_file", "the App's private key")?;
    let key = match &github.private_key {
        Source::File(_) => key,
        // A parameter may hold it either way.
        Source::Parameter(_) if key.expose().contains("-----BEGIN") => key,
        Source::Env(name) | Source::Parameter(name) => decode(name, &key)?,
    };
    let app_key = key.clone();
    let app = AppCredentials { app_id: github.app_id.clone(), private_key_pem: key };
    let mut client = GitHubConfig::new(&github.server_url, app);
    (client.api_base, client.ca_file, client.proxy) =
        (github.api_url.clone(), github.ca_file.clone(), github.proxy.clone());
    client.hook.clone_from(&github.webhook);
    let now = secret(&github.webhook_secret, "[github] webhook_secret_file", "the webhook's secret")?;
    let mut webhook_secrets = vec![now];
    if let Some(previous) = &github.previous_webhook_secret {
        let field = "[github] previous_webhook_secret_file";
        webhook_secrets.push(secret(previous, field, "the webhook's previous secret")?);
    }
    let issueops = match &config.issueops {
        Some(issueops) => {
            let plan_key = match &issueops.plan_key {
                Some(source) => secret(source, "[issueops] plan_key_file", "the key of plan files")?,
                None => app_key.clone(),
            };
            Some(crate::issueops::home::Settings {
                repository: issueops.repository.clone(),
                provisioning: issueops.provisioning,
                terraform: issueops.terraform.clone(),
                plan_key,
                app: crate::issueops::home::AppSecrets {
                    id: github.app_id.clone(),
                    key_pem: app_key,
                    webhook_secret: webhook_secrets[0].clone(),
                },
                data: config.store.directory.clone(),
                tick: issueops.tick,
                drift: issueops.drift,
            })
        }
        None => None,
    };
    let dashboard_token = match &config.server.dashboard_token {
        Some(source) => Some(secret(source, "[server] dashboard_token_file", "the dashboard's token")?),
        None => None,
    };
    Ok(Settings {
        listen: config.server.listen,
        webhook_path: config.server.webhook_path.clone(),
        data: config.store.directory.clone(),
        machines: config.local.machines.clone(),
        distribution: config.local.distribution.clone(),
        supervisor: own_supervisor().map_err(|error| Failure::internal(format!("find this program: {error}")))?,
        sets: config.scale_sets.clone(),
        retired: match config.ec2.is_empty() {
            true => housekeeping::retired_timing_here(),
            false => housekeeping::retired_timing(),
        },
        limits: CallLimits {
            jit_per_minute: config.limits.jit_per_minute,
            calls_per_minute: config.limits.calls_per_minute,
        },
        github: client,
        webhook_secrets,
        allow_sha1: github.allow_sha1,
        dashboard_token,
        issueops,
        otel: config.otel.as_ref().map(|otel| otel.endpoint.clone()),
        cloud,
        rhythm: Rhythm {
            full_pass: config.timer.full_pass,
            sweep: config.timer.sweep,
            lease: config.timer.lease,
            history: config.store.history,
            ..Rhythm::default()
        },
    })
}

/// A secret. `field` is what names its file, as the hint says it.
fn secret(source: &Source, parameters: &BTreeMap<String, Secret>, field: &str, what: &str) -> Result<Secret, Failure> {
    let (text, place) = match source {
        Source::Parameter(name) => {
            let found = parameters.get(name).ok_or_else(|| {
                Failure::config(
                    format!("{what}: there is no parameter {name} in Parameter Store, or it may not be read"),
                    "put it there as a SecureString, and allow ssm:GetParameters on it",
                )
            })?;
            (found.expose().to_owned(), name.clone())
        }
        Source::File(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                let hint = format!("{field} names it; it must be readable by this user");
                Failure::config(format!("read {what} from {}: {error}", path.display()), hint)
            })?;
            (text, path.display().to_string())
        }
        Source::Env(name) => {
            let text = std::env::var(name).map_err(|_| {
                Failure::config(
                    format!("{what}: the environment variable {name} is not set"),
                    "export it, or name a file instead",
                )
            })?;
            (text, name.clone())
        }
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Failure::config(format!("{what} in {place} is empty"), "an empty secret would accept everybody"));
    }
    Ok(Secret::new(text))
}

fn decode(name: &str, key: &Secret) -> Result<Secret, Failure> {
    let compact: String = key.expose().chars().filter(|c| !c.is_whitespace()).collect();
    let decoded = base64::engine::general_purpose::STANDARD.decode(compact).ok();
    decoded.and_then(|bytes| String::from_utf8(bytes).ok()).map(Secret::new).ok_or_else(|| {
        Failure::config(format!("the App's private key in {name} is not Base64"), "base64 -w0 app.private-key.pem")
    })
}
