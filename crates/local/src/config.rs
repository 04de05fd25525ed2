//! What an operator can choose about local machines.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// How local machines are made.
#[derive(Clone, Debug)]
pub struct LocalConfig {
    /// One directory per machine is made below it. Made if missing.
    pub root: PathBuf,
    /// The command that runs a supervisor (`[program, "machine"]`); the machine's directory is appended to it. The command
    /// must call [`crate::supervise`].
    pub supervisor: Vec<OsString>,
    /// An extracted actions/runner distribution, its `.tar.gz`, which is then extracted once below `root`, or a directory that holds such
    /// archives by GitHub's names, of which each launch takes the newest.
    pub distribution: PathBuf,
    /// Names of environment variables that runners may see. `HOME` is always the machine's own directory.
    pub work_env: Vec<String>,
    /// Between the request to end and the kill. Default 30 s.
    pub kill_grace: Duration,
    /// How long a machine waits for its hand-off, and then for its runner to listen. Default 10 min.
    pub boot_deadline: Duration,
    /// Keep the logs of machines that are gone.
    pub keep_logs: bool,
}

impl LocalConfig {
    /// The defaults around what has no default.
    #[must_use]
    pub fn new(root: PathBuf, supervisor: Vec<OsString>, distribution: PathBuf) -> Self {
        Self {
            root,
            supervisor,
            distribution,
            work_env: Self::work_env_default(),
            kill_grace: Duration::from_secs(30),
            boot_deadline: Duration::from_secs(600),
            keep_logs: false,
        }
    }

    /// What a job needs to find programs, speak a language and reach the network; nothing that could be a credential.
    #[must_use]
    pub fn work_env_default() -> Vec<String> {
        let names = [
            "PATH",
            "LANG",
            "LC_ALL",
            "TZ",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "NO_PROXY",
            "http_proxy",
            "https_proxy",
            "no_proxy",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
        ];
        names.iter().map(|&name| name.to_owned()).collect()
    }
}
