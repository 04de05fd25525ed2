//! What happens before anything else: the runtime, logs, the signal to stop, and the two hidden subcommands.

#[cfg(feature = "demo")]
use std::ffi::OsString;
use std::path::Path;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::exit::{CommandFailure, ExitStatus};

/// The asynchronous runtime, and the one provider of cryptography for everything in it.
pub fn runtime() -> Result<tokio::runtime::Runtime, CommandFailure> {
    // It fails only when one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandFailure::internal(format!("start the runtime: {error}")))
}

/// Logs to standard error: JSON lines, or text for people. `level` is a level, or levels by target (`info,hyper=warn`); what is
/// neither counts as `info`.
pub fn logs(json: bool, level: &str) {
    let filter: Targets = level.parse().unwrap_or_else(|_| Targets::new().with_default(tracing::Level::INFO));
    let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(std::io::stderr);
    // A second initialisation (two servers in one test process) keeps the first.
    let _ = if json { lines.json().finish().with(filter).try_init() } else { lines.finish().with(filter).try_init() };
}

/// SIGINT and SIGTERM. From its making on they do not end the program by themselves; one that comes meanwhile is kept.
pub struct StopSignals {
    term: Signal,
    int: Signal,
}

impl StopSignals {
    /// Listens.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn new() -> Result<Self, CommandFailure> {
        let listen =
            |kind| signal(kind).map_err(|error| CommandFailure::internal(format!("listen for signals: {error}")));
        Ok(Self { term: listen(SignalKind::terminate())?, int: listen(SignalKind::interrupt())? })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! { _ = self.term.recv() => {}, _ = self.int.recv() => {} }
    }
}

/// Supervises one machine until it ends.
pub fn machine(directory: &Path) -> Result<ExitStatus, CommandFailure> {
    match runnersmith_local::supervise(directory) {
        Ok(_) => Ok(ExitStatus::Success),
        Err(error) => Err(CommandFailure::outside(
            format!("supervise {}: {}", directory.display(), runnersmith_ports::chain(&error)),
            "see the files `supervisor.log` and `runner.log` in that directory",
        )),
    }
}

/// Behaves like a part of the actions/runner distribution.
#[cfg(feature = "demo")]
pub async fn fake_runner(arguments: Vec<OsString>) -> Result<ExitStatus, CommandFailure> {
    let arguments: Vec<String> = arguments.into_iter().map(|a| a.to_string_lossy().into_owned()).collect();
    // Its exit codes are the runner's own, not ours.
    let code = runnersmith_fake_runner::run(&arguments).await;
    #[expect(clippy::exit, reason = "the fake runner must end with the runner's own exit codes")]
    std::process::exit(code)
}
