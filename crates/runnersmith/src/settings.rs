//! What a server needs to run, resolved: from a configuration file, or from the demo.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use runnersmith_controllers::Limits;
use runnersmith_github::GitHubConfig;
use runnersmith_types::{ScaleSet, Secret};

use crate::loops::Rhythm;

/// Where the runner distribution comes from.
#[derive(Clone, Debug)]
pub enum Distribution {
    /// An extracted directory, or a `tar.gz` of it.
    Path(PathBuf),
    /// The newest release of `actions/runner`.
    Latest {
        /// Prereleases too.
        prerelease: bool,
    },
}

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
    /// Budgets.
    pub limits: Limits,
    /// GitHub.
    pub github: GitHubConfig,
    /// One secret, or two during a rotation.
    pub webhook_secrets: Vec<Secret>,
    /// Accept SHA-1 signatures of old GHES.
    pub allow_sha1: bool,
    /// The dashboard's token, if it has one.
    pub dashboard_token: Option<Secret>,
    /// How often things are looked at without a signal.
    pub rhythm: Rhythm,
}

/// The command with which this program supervises a machine.
pub fn own_supervisor() -> std::io::Result<Vec<OsString>> {
    Ok(vec![std::env::current_exe()?.into_os_string(), "machine".into()])
}
