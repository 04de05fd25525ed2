//! What a server needs to run, resolved: from a configuration file, or from the demo.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use runnersmith_config::{Config, Distribution, Provisioning, Source};
use runnersmith_controllers::loops::Rhythm;
use runnersmith_controllers::{CallLimits, housekeeping};
use runnersmith_github::{AppCredentials, GitHubConfig, private_key_pem};
use runnersmith_types::{ScaleSet, Secret, Timing, WebhookPath};
use runnersmith_web::ConnectionLimits;

use crate::cloud::CloudHere;
use crate::exit::CommandFailure;
use crate::issueops::server_mode;

/// Everything resolved.
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where deliveries arrive.
    pub webhook_path: WebhookPath,
    /// Where ledger and queue live.
    pub data: PathBuf,
    /// Where machines live.
    pub machines: PathBuf,
    /// The runner distribution.
    pub distribution: Distribution,
    /// Where releases of the runner are, if not at github.com.
    pub releases_api_url: Option<String>,
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
    /// Names under which the dashboard is served, in lower case.
    pub hosts: Vec<String>,
    /// How many connections are taken.
    pub connections: ConnectionLimits,
    /// Where traces go, if anywhere.
    pub otel: Option<String>,
    /// Requests by issues, if a control repository is named.
    pub issueops: Option<server_mode::IssueOpsSettings>,
    /// What is on AWS.
    pub cloud: CloudHere,
    /// How often things are looked at without a message.
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
pub async fn from_config(config: &Config) -> Result<Settings, CommandFailure> {
    let cloud = CloudHere::new(config).await?;
    let secrets = Secrets { parameters: cloud.secrets(config).await? };
    let app_key = secrets.app_key(config)?;
    let webhook_secrets = secrets.webhook_secrets(config)?;
    let dashboard_token = secrets.dashboard_token(config)?;
    let issueops = secrets.issueops(config, &app_key, &webhook_secrets[0])?;
    Ok(Settings {
        listen: config.server.listen,
        webhook_path: config.server.webhook_path.clone(),
        data: config.store.directory.clone(),
        machines: config.local.machines.clone(),
        distribution: config.local.distribution.clone(),
        releases_api_url: config.local.releases_api_url.clone(),
        supervisor: own_supervisor()
            .map_err(|error| CommandFailure::internal(format!("find this program: {error}")))?,
        sets: config.scale_sets.clone(),
        retired: match config.ec2.is_empty() {
            true => housekeeping::retired_timing_here(),
            false => housekeeping::retired_timing(),
        },
        limits: CallLimits {
            jit_per_minute: config.limits.jit_per_minute,
            calls_per_minute: config.limits.calls_per_minute,
        },
        github: github(config, app_key),
        webhook_secrets,
        allow_sha1: config.github.allow_sha1,
        dashboard_token,
        hosts: config.server.hosts.clone(),
        connections: ConnectionLimits {
            connections_max: config.server.connections_max,
            of_address_max: config.server.connections_of_one_address_max,
            ..ConnectionLimits::default()
        },
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

/// How to reach GitHub as the App.
fn github(config: &Config, private_key_pem: Secret) -> GitHubConfig {
    let github = &config.github;
    let app = AppCredentials { app_id: github.app_id.clone(), private_key_pem };
    let mut client = GitHubConfig::new(&github.server_url, app);
    (client.api_base, client.ca_file, client.proxy) =
        (github.api_url.clone(), github.ca_file.clone(), github.proxy.clone());
    client.hook.clone_from(&github.webhook);
    client
}

/// Reads the secrets that a configuration names, wherever they are.
struct Secrets {
    /// Those that lie in Parameter Store, by name.
    parameters: BTreeMap<String, Secret>,
}

impl Secrets {
    fn app_key(&self, config: &Config) -> Result<Secret, CommandFailure> {
        let source = &config.github.private_key;
        let key = self.read(source, "[github] private_key_file", "the App's private key")?;
        private_key_pem(&key).map_err(|error| {
            CommandFailure::config(
                format!("the App's private key in {} {error}", place(source)),
                "take the file that GitHub gives, or the output of: base64 -w0 app.private-key.pem",
            )
        })
    }

    /// One secret, or two while it is being changed.
    fn webhook_secrets(&self, config: &Config) -> Result<Vec<Secret>, CommandFailure> {
        let github = &config.github;
        let mut secrets =
            vec![self.read(&github.webhook_secret, "[github] webhook_secret_file", "the webhook's secret")?];
        if let Some(previous) = &github.previous_webhook_secret {
            let field = "[github] previous_webhook_secret_file";
            secrets.push(self.read(previous, field, "the webhook's previous secret")?);
        }
        Ok(secrets)
    }

    fn dashboard_token(&self, config: &Config) -> Result<Option<Secret>, CommandFailure> {
        let source = config.server.dashboard_token.as_ref();
        source.map(|source| self.read(source, "[server] dashboard_token_file", "the dashboard's token")).transpose()
    }

    fn issueops(
        &self,
        config: &Config,
        app_key: &Secret,
        webhook_secret: &Secret,
    ) -> Result<Option<server_mode::IssueOpsSettings>, CommandFailure> {
        let Some(issueops) = &config.issueops else { return Ok(None) };
        let plan_key = match &issueops.plan_key {
            Some(source) => self.read(source, "[issueops] plan_key_file", "the key of plan files")?,
            None => app_key.clone(),
        };
        Ok(Some(server_mode::IssueOpsSettings {
            repository: issueops.repository.clone(),
            provisioning: issueops.provisioning,
            terraform: issueops.terraform.clone(),
            plan_key,
            app: server_mode::StackApp {
                id: config.github.app_id.clone(),
                key_pem: app_key.clone(),
                webhook_secret: webhook_secret.clone(),
            },
            data: config.store.directory.clone(),
            tick: issueops.tick,
            drift: issueops.drift,
        }))
    }

    /// A secret. `field` is what names its file, as the hint says it.
    fn read(&self, source: &Source, field: &str, what: &str) -> Result<Secret, CommandFailure> {
        let text = match source {
            Source::Parameter(name) => {
                let found = self.parameters.get(name).ok_or_else(|| {
                    CommandFailure::config(
                        format!("{what}: there is no parameter {name} in Parameter Store, or it may not be read"),
                        "put it there as a SecureString, and allow ssm:GetParameters on it",
                    )
                })?;
                found.expose().to_owned()
            }
            Source::File(path) => std::fs::read_to_string(path).map_err(|error| {
                let hint = format!("{field} names it; it must be readable by this user");
                CommandFailure::config(format!("read {what} from {}: {error}", path.display()), hint)
            })?,
            Source::Env(name) => std::env::var(name).map_err(|_| {
                CommandFailure::config(
                    format!("{what}: the environment variable {name} is not set"),
                    "export it, or name a file instead",
                )
            })?,
        };
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            let what = format!("{what} in {} is empty", place(source));
            return Err(CommandFailure::config(what, "an empty secret would accept everybody"));
        }
        Ok(Secret::new(text))
    }
}

/// Where a secret is, for people.
fn place(source: &Source) -> String {
    match source {
        Source::Parameter(name) | Source::Env(name) => name.clone(),
        Source::File(path) => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n";

    /// A configuration whose secrets are files in this directory.
    fn config(directory: &std::path::Path, more: &str) -> Config {
        let text = format!(
            "version = 1\n{more}\n[github]\napp_id = \"42\"\nprivate_key_file = \"key\"\nwebhook_secret_file = \"hook\"\n\
             [[scale_set]]\nname = \"linux\"\nlabels = [\"linux\"]\n"
        );
        let file = directory.join("runnersmith.toml");
        std::fs::write(&file, text).unwrap();
        Config::read(&file).unwrap()
    }

    #[tokio::test]
    async fn everything_that_a_configuration_names_is_resolved() {
        let home = tempfile::tempdir().unwrap();
        for (name, text) in [("key", PEM), ("hook", "new\n"), ("token", "t\r\n"), ("plan", "p")] {
            std::fs::write(home.path().join(name), text).unwrap();
        }
        let more = "[server]\ndashboard_token_file = \"token\"\nwebhook_path = \"/hooks\"\nconnections_max = 90\n\
                    [issueops]\nrepository = \"acme/runners\"\n";
        let settings = from_config(&config(home.path(), more)).await.unwrap();
        let app = settings.github.app.unwrap();
        // What ends a file is no part of a secret.
        assert_eq!((app.app_id.as_str(), app.private_key_pem.expose()), ("42", PEM.trim_end()));
        let secrets: Vec<&str> = settings.webhook_secrets.iter().map(Secret::expose).collect();
        assert_eq!((secrets, settings.dashboard_token.unwrap().expose()), (vec!["new"], "t"));
        assert_eq!(settings.webhook_path.as_str(), "/hooks");
        assert_eq!((settings.connections.connections_max, settings.connections.of_address_max), (90, 64));
        let issueops = settings.issueops.unwrap();
        assert_eq!(issueops.plan_key.expose(), PEM.trim_end(), "without a key of its own it is derived from the App's");
        assert_eq!((issueops.app.key_pem.expose(), issueops.app.webhook_secret.expose()), (PEM.trim_end(), "new"));
        let own = more.to_owned() + "plan_key_file = \"plan\"\n";
        let settings = from_config(&config(home.path(), &own)).await.unwrap();
        assert_eq!(settings.issueops.unwrap().plan_key.expose(), "p");
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_secret_is_named_with_its_place_and_the_secret_is_not_shown() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("hook"), "s").unwrap();
        let config = config(home.path(), "");
        let cut_off = PEM.split("-----END").next().unwrap();
        for (key, wrong) in [
            (None, "No such file"),
            (Some("\n"), "is empty"),
            (Some(cut_off), "has no -----END line"),
            (Some("sesame"), "is neither a PEM file nor Base64 of one"),
        ] {
            if let Some(key) = key {
                std::fs::write(home.path().join("key"), key).unwrap();
            }
            let Err(failure) = from_config(&config).await else { panic!("{key:?} was accepted") };
            let shown = format!("{failure:?}");
            assert!(failure.what.contains(wrong) && failure.hint.is_some(), "{shown}");
            assert!(failure.what.contains(&home.path().join("key").display().to_string()), "{shown}");
            assert!(!shown.contains("sesame") && !shown.contains("AAAA"), "{shown}");
        }
    }
}
