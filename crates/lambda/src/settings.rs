//! Settings and secrets, read from Parameter Store when a function starts and again when they are old.
//!
//! A function has one variable, the control plane's path. Below `<path>/config` lie the control plane's own part (`plane`) and each
//! scale set's (`sets/<name>`), so that a set's stack registers itself by writing a parameter. Secrets are named in the
//! control plane's part and lie elsewhere, so that each function reads only those it may. Rotation needs no deploy.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use runnersmith_aws::{AwsFailure, Parameters, Session, StoredSettings, StoredSettingsError};
use runnersmith_config::{Config, Source};
use runnersmith_github::{AppCredentials, GitHubConfig, private_key_pem};
use runnersmith_types::{ScaleSetName, Secret};

use crate::variable;

/// The variable with the control plane's path.
pub const PATH: &str = "RUNNERSMITH_PATH";
/// Settings are read again when they are this old.
pub const FRESH_FOR: Duration = Duration::from_secs(300);
/// Something that newer settings might correct makes them be read again, but not more often than this.
pub const READ_AGAIN_AT_MOST_EVERY: Duration = Duration::from_secs(60);

/// Why a function has no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Its own variable.
    #[error("the environment variable {PATH} is not set; hint: the Terraform module sets it")]
    NoPath,
    /// A secret in Parameter Store.
    #[error("read settings below {path}")]
    Read {
        /// The path.
        path: String,
        /// Why.
        #[source]
        source: AwsFailure,
    },
    /// Something that a function needs is not among them.
    #[error("there is no parameter {0}; hint: was the control plane's stack applied?")]
    Missing(String),
    /// They are missing, unreadable or not valid.
    #[error(transparent)]
    Stored(#[from] StoredSettingsError),
    /// A secret.
    #[error("{0}")]
    Secret(String),
}

/// Settings as they are now.
pub struct LambdaSettings {
    /// Everything.
    pub config: Config,
    /// Sets whose parameter is there but not valid.
    pub left_out: BTreeSet<ScaleSetName>,
    /// The session that read them.
    pub session: Session,
}

impl LambdaSettings {
    /// Reads them.
    ///
    /// # Errors
    /// When they are missing, unreadable or wrong; a scale set that is wrong is only logged and left out.
    pub async fn read() -> Result<Self, SettingsError> {
        let path = variable(PATH).ok_or(SettingsError::NoPath)?;
        let path = StoredSettings::path(&path);
        let session = Session::from_environment(None, None).await;
        let StoredSettings { config, left_out } = StoredSettings::read(&session, &path).await?;
        let mut unread = BTreeSet::new();
        for (name, error) in left_out {
            unread.extend(name.strip_prefix("sets/").and_then(|name| ScaleSetName::parse(name).ok()));
            tracing::error!(parameter = %format!("{path}/{name}"), error = %error, "a scale set is left out: its settings are wrong");
        }
        for warning in &config.warnings {
            tracing::debug!("{warning}");
        }
        Ok(Self { config, left_out: unread, session })
    }

    /// The webhook's secret, and the one before it if there is one.
    ///
    /// # Errors
    /// When it is not there, or empty.
    pub async fn webhook_secrets(&self) -> Result<Vec<Secret>, SettingsError> {
        let github = &self.config.github;
        let mut sources = vec![&github.webhook_secret];
        sources.extend(&github.previous_webhook_secret);
        let found = self.secrets(&sources).await?;
        let mut secrets = Vec::new();
        for (n, source) in sources.into_iter().enumerate() {
            match named(source).and_then(|name| found.get(name)) {
                Some(secret) if !secret.expose().trim_end().is_empty() => {
                    secrets.push(Secret::new(secret.expose().trim_end_matches(['\r', '\n'])));
                }
                // A previous secret that is not there any more is no failure: the change is over.
                _ if n > 0 => {}
                _ => return Err(missing("the webhook's secret", source)),
            }
        }
        Ok(secrets)
    }

    /// How to reach GitHub as the App.
    ///
    /// # Errors
    /// When the key or the certificates are not there.
    pub async fn github(&self) -> Result<GitHubConfig, SettingsError> {
        let github = &self.config.github;
        let ca = github.ca_parameter.clone().map(Source::Parameter);
        let sources: Vec<&Source> = [Some(&github.private_key), ca.as_ref()].into_iter().flatten().collect();
        let found = self.secrets(&sources).await?;
        let key = named(&github.private_key).and_then(|name| found.get(name));
        let key = private_key_pem(key.ok_or_else(|| missing("the App's private key", &github.private_key))?)
            .map_err(|error| SettingsError::Secret(format!("the App's private key {error}")))?;
        let app = AppCredentials { app_id: github.app_id.clone(), private_key_pem: key };
        let mut config = GitHubConfig::new(&github.server_url, app);
        (config.api_base, config.proxy) = (github.api_url.clone(), github.proxy.clone());
        config.hook.clone_from(&github.webhook);
        if let Some(source) = &ca {
            config.ca_file = Some(ca_file(&found, source).await?);
        }
        Ok(config)
    }

    async fn secrets(&self, sources: &[&Source]) -> Result<BTreeMap<String, Secret>, SettingsError> {
        let names: BTreeSet<String> = sources.iter().filter_map(|source| named(source)).map(str::to_owned).collect();
        let names: Vec<String> = names.into_iter().collect();
        Parameters::new(&self.session)
            .named(&names)
            .await
            .map_err(|source| SettingsError::Read { path: names.join(", "), source })
    }
}

fn named(source: &Source) -> Option<&str> {
    match source {
        Source::Parameter(name) => Some(name),
        Source::File(_) | Source::Env(_) => None,
    }
}

/// The certificate authorities in a parameter, read by `session`, as a file.
///
/// # Errors
/// When the parameter is not there or may not be read, or the file cannot be written.
pub async fn ca_file_of_parameter(session: &Session, name: &str) -> Result<PathBuf, SettingsError> {
    let found = Parameters::new(session)
        .named(&[name.to_owned()])
        .await
        .map_err(|source| SettingsError::Read { path: name.to_owned(), source })?;
    ca_file(&found, &Source::Parameter(name.to_owned())).await
}

/// Writes them below the temporary directory, the only place where a function may write; certificates are no secret.
async fn ca_file(found: &BTreeMap<String, Secret>, source: &Source) -> Result<PathBuf, SettingsError> {
    let pem = named(source).and_then(|name| found.get(name));
    let pem = pem.ok_or_else(|| missing("the certificate authorities", source))?;
    let file = std::env::temp_dir().join(format!("runnersmith-ca-{}.pem", std::process::id()));
    tokio::fs::write(&file, pem.expose())
        .await
        .map_err(|error| SettingsError::Secret(format!("write {}: {error}", file.display())))?;
    Ok(file)
}

fn missing(what: &str, source: &Source) -> SettingsError {
    let place = match source {
        Source::Parameter(name) => format!("there is no parameter {name}, or this function's role may not read it"),
        Source::File(_) | Source::Env(_) => "a function reads secrets from Parameter Store only".to_owned(),
    };
    SettingsError::Secret(format!("{what}: {place}"))
}
