//! How the simulator is started, what an App is registered with, and what can go wrong on the way.

/// What can go wrong when the simulator is set up.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// No loopback port.
    #[error("listen on a loopback port")]
    Listen(#[source] std::io::Error),
    /// The key could not be made or read.
    #[error("the App's key: {0}")]
    Key(String),
    /// No such repository.
    #[error("repository {0:?} is not known here")]
    Repository(String),
}

/// How the simulator starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// From which everything random follows.
    pub seed: u64,
    /// A runner that has been silent for so long goes offline, and its job fails. Default 60 s.
    pub runner_timeout: std::time::Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: 1, runner_timeout: std::time::Duration::from_secs(60) }
    }
}

/// An App as it is registered.
#[derive(Clone)]
pub struct App {
    /// Its slug.
    pub slug: String,
    /// Its private key, PEM; only the public half is kept.
    pub private_key_pem: String,
    /// The secret of its webhook.
    pub webhook_secret: String,
    /// Where its deliveries go, if anywhere yet.
    pub webhook_url: Option<String>,
}
