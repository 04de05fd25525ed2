//! How to reach a GitHub, and who we are there.

use std::path::PathBuf;

use runnersmith_types::{HookAddress, Secret};

use crate::observers::{Counter, NoticeObserver, Recorder};

/// An App's credentials.
#[derive(Clone, Debug)]
pub struct AppCredentials {
    /// Its number or client id.
    pub app_id: String,
    /// Its private key, PEM (PKCS#1 as GitHub gives it, or PKCS#8).
    pub private_key_pem: Secret,
}

/// How to reach a GitHub.
#[derive(Clone)]
pub struct GitHubConfig {
    /// `https://github.com`, `https://acme.ghe.com`, or a GitHub Enterprise Server.
    pub server_url: String,
    /// Overrides what follows from `server_url`.
    pub api_base: Option<String>,
    /// The App; a client without one makes only the calls that need nobody's permission.
    pub app: Option<AppCredentials>,
    /// A plain token (a workflow's own, or a person's) that is used instead of the App's installations. It is never renewed.
    pub token: Option<Secret>,
    /// The webhook whose delivery log is read, if it is not the App's own.
    pub hook: Option<HookAddress>,
    /// More certificate authorities, a PEM file.
    pub ca_file: Option<PathBuf>,
    /// A proxy's address.
    pub proxy: Option<String>,
    /// Sees every exchange, tokens and all; for tests.
    pub recorder: Option<Recorder>,
    /// Sees every call: its operation, and the status or 0 when there was no answer. For metrics.
    pub counter: Option<Counter>,
    /// Sees what each answer says beside what was asked: permissions, the hour's calls, the time.
    pub notices: Option<NoticeObserver>,
}

impl GitHubConfig {
    /// The defaults around what has no default.
    #[must_use]
    pub fn new(server_url: &str, app: AppCredentials) -> Self {
        Self { app: Some(app), ..Self::anonymous(server_url) }
    }

    /// The person or App that the token was made for. Calls that only an App may make fail.
    #[must_use]
    pub fn with_token(server_url: &str, token: Secret) -> Self {
        Self { token: Some(token), ..Self::anonymous(server_url) }
    }

    /// Whether a client made from this configuration can stand for one made from the other, with all that it remembers: tokens,
    /// installations, limits. Who counts and who records is not compared. With a file of certificates it is never so: what the file
    /// holds may have changed.
    #[must_use]
    pub fn makes_same_client(&self, other: &Self) -> bool {
        let app = |config: &Self| {
            let key = |app: &AppCredentials| (app.app_id.clone(), app.private_key_pem.expose().to_owned());
            config.app.as_ref().map(key)
        };
        let token = |config: &Self| config.token.as_ref().map(|token| token.expose().to_owned());
        let is_equal = (&self.server_url, &self.api_base, &self.hook, &self.proxy)
            == (&other.server_url, &other.api_base, &other.hook, &other.proxy);
        let has_no_file = self.ca_file.is_none() && other.ca_file.is_none();
        is_equal && has_no_file && app(self) == app(other) && token(self) == token(other)
    }

    /// Nobody in particular, for public things such as releases.
    #[must_use]
    pub fn anonymous(server_url: &str) -> Self {
        Self {
            server_url: server_url.to_owned(),
            api_base: None,
            app: None,
            token: None,
            hook: None,
            ca_file: None,
            proxy: None,
            recorder: None,
            counter: None,
            notices: None,
        }
    }
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum GitHubConfigError {
    /// The key.
    #[error("the App's private key cannot be read: {0}")]
    Key(String),
    /// The address.
    #[error("GitHub's address {0:?} is not an http or https address")]
    Address(String),
    /// The certificate file.
    #[error("the CA file {path}")]
    Ca {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The HTTP client.
    #[error("prepare the HTTP client")]
    Http(#[source] reqwest::Error),
}

/// The REST API's address for a server: `api.github.com`, `api.<host>` for ghe.com, `<server>/api/v3` for a server of one's own.
///
/// # Errors
/// When the text is not an address.
pub fn api_base(server_url: &str) -> Result<String, GitHubConfigError> {
    let url = server_url.trim_end_matches('/');
    let Some((scheme, host)) =
        url.split_once("://").filter(|(scheme, host)| matches!(*scheme, "http" | "https") && !host.is_empty())
    else {
        return Err(GitHubConfigError::Address(server_url.to_owned()));
    };
    Ok(match host.to_ascii_lowercase().as_str() {
        "github.com" | "www.github.com" => "https://api.github.com".to_owned(),
        lower if lower.ends_with(".ghe.com") => format!("{scheme}://api.{lower}"),
        _ => format!("{url}/api/v3"),
    })
}

#[cfg(test)]
mod tests {
    use runnersmith_types::Secret;

    use super::{AppCredentials, GitHubConfig, api_base};

    #[test]
    fn a_client_stands_for_another_only_if_it_would_be_made_in_the_same_way() {
        let app = |id: &str, key: &str| AppCredentials { app_id: id.into(), private_key_pem: Secret::new(key) };
        let config = || GitHubConfig::new("https://github.com", app("1", "key"));
        let with = |change: fn(&mut GitHubConfig)| {
            let mut changed = config();
            change(&mut changed);
            changed
        };
        assert!(config().makes_same_client(&with(|config| config.counter = Some(std::sync::Arc::new(|_, _| {})))));
        for other in [
            GitHubConfig::new("https://github.com", app("2", "key")),
            GitHubConfig::new("https://github.com", app("1", "a new key")),
            GitHubConfig::new("https://acme.ghe.com", app("1", "key")),
            GitHubConfig::with_token("https://github.com", Secret::new("t")),
            with(|config| config.proxy = Some("http://proxy".into())),
            with(|config| config.ca_file = Some("ca.pem".into())),
        ] {
            assert!(!config().makes_same_client(&other));
        }
    }

    #[test]
    fn the_api_address_follows_from_the_server() {
        for (server, api) in [
            ("https://github.com", "https://api.github.com"),
            ("https://github.com/", "https://api.github.com"),
            ("https://acme.ghe.com", "https://api.acme.ghe.com"),
            ("https://github.acme.corp", "https://github.acme.corp/api/v3"),
        ] {
            assert_eq!(api_base(server).unwrap(), api);
        }
        assert!(api_base("github.com").is_err());
    }
}
