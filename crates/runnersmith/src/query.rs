//! What the commands share that only read: the configuration and, for `why`, `status` and `jobs`, the ledger opened for reading alone.
//!
//! Those need neither a secret nor GitHub nor machines, so that anyone who may read the ledger's file may ask, also while no
//! server runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use runnersmith_config::Config;
use runnersmith_controllers::CallLimits;
use runnersmith_controllers::observe::observe_ledger;
use runnersmith_plan::fault::{Fault, FaultKind};
use runnersmith_plan::{level, plan};
use runnersmith_ports::{Clock, Ledger, LedgerError, SystemClock, chain};
use runnersmith_sqlite::{OpenError, SqliteReader, SqliteStore};
use runnersmith_types::{JobId, ScaleSet, Snapshot, Timestamp, Waiting, WaitingOn};
use serde::Serialize;

use crate::cli;
use crate::exit::{CommandFailure, ExitStatus};
use crate::report;
use crate::settings::Settings;

/// Reads and checks the configuration.
pub fn read_config(path: &Path) -> Result<Config, CommandFailure> {
    Config::read(path).map_err(|error| {
        CommandFailure::config(
            format!("{}: {}", path.display(), chain(&error)),
            "every field is explained in runnersmith.example.toml; `runnersmith check` checks the file alone",
        )
    })
}

/// Resolves a configuration into what a server needs, secrets included.
pub async fn settings(config: &Config) -> Result<Settings, CommandFailure> {
    crate::settings::from_config(config).await
}

/// Ledger and policy, for reading.
pub struct LedgerAndPolicy {
    /// The ledger; nothing is written to it.
    pub ledger: Arc<dyn Ledger>,
    /// The scale sets: the configuration's, and those of applied environments.
    pub sets: Vec<ScaleSet>,
    /// Where GitHub's pages are.
    pub server_url: String,
    /// What is read.
    pub source: ReadSource,
    limits: CallLimits,
    clock: Arc<dyn Clock>,
}

/// What is read: of this host, or of an environment on AWS.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadSource {
    /// A configuration file, and the ledger that it names.
    Configuration(String),
    /// An environment of the Terraform module.
    Aws(crate::cloud::EnvironmentSource),
}

impl LedgerAndPolicy {
    /// Opens what the options name: an environment on AWS, or what the configuration says.
    ///
    /// # Errors
    /// When it is not there, is wrong or cannot be read.
    pub async fn open_for(options: &cli::ReadOptions) -> Result<Self, CommandFailure> {
        let Some(environment) = &options.aws else { return Self::open(&options.query).await };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (config, ledger, source) =
            crate::cloud::environment(environment, options.region.as_deref(), clock.clone()).await?;
        Ok(Self {
            ledger,
            sets: config.scale_sets.clone(),
            server_url: config.github.server_url.clone(),
            source: ReadSource::Aws(source),
            limits: limits(&config),
            clock,
        })
    }

    /// Reads the configuration and opens the ledger that it names. No secret is read, and nothing is made or upgraded.
    ///
    /// # Errors
    /// When the configuration is wrong, or the ledger is not there, is of a newer version or cannot be read.
    pub async fn open(options: &cli::Query) -> Result<Self, CommandFailure> {
        let config = read_config(&options.file.config)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let file = config.store.directory.join(crate::serve::LEDGER);
        let (ledger, here) = match crate::cloud::ledger(&config, clock.clone()).await? {
            // Environments that were applied are recorded in the file here also when the ledger is not in it.
            Some(ledger) => (ledger, is_there(&file)?.then(|| reader(&file, clock.clone())).transpose()?),
            None => {
                let here = reader(&file, clock.clone())?;
                (Arc::new(here.ledger()) as Arc<dyn Ledger>, Some(here))
            }
        };
        let sets = match here.and_then(|here| here.record_store()) {
            Some(records) => runnersmith_provision_embedded::all_sets(&config.scale_sets, &records)
                .await
                .map_err(crate::serve::unreadable)?,
            None => config.scale_sets.clone(),
        };
        Ok(Self {
            ledger,
            sets,
            server_url: config.github.server_url.clone(),
            source: ReadSource::Configuration(options.file.config.display().to_string()),
            limits: limits(&config),
            clock,
        })
    }

    /// Returns what a pass over each set would begin with, as far as ledger and policy say it.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn snapshots(&self) -> Result<Snapshots<'_>, CommandFailure> {
        let now = self.clock.now();
        let mut of_sets = Vec::with_capacity(self.sets.len());
        for policy in &self.sets {
            let snapshot = observe_ledger(self.ledger.as_ref(), &self.sets, policy, self.limits, now)
                .await
                .map_err(ledger_failed)?;
            of_sets.push((policy, snapshot));
        }
        Ok(Snapshots { of_sets, now })
    }

    /// Returns a fault for each scale set of an environment whose settings cannot be read.
    #[must_use]
    pub fn left_out(&self, now: Timestamp) -> Vec<Fault> {
        let ReadSource::Aws(environment) = &self.source else { return Vec::new() };
        let fault = |(parameter, error): &(String, String)| {
            let cause = format!("the set is left out: {error}");
            Fault::new(FaultKind::SettingsInvalid, parameter.clone(), cause, now)
        };
        environment.left_out.iter().map(fault).collect()
    }
}

/// What a pass over each scale set would begin with at a moment.
pub struct Snapshots<'a> {
    of_sets: Vec<(&'a ScaleSet, Snapshot)>,
    /// The moment.
    pub now: Timestamp,
}

impl Snapshots<'_> {
    /// Returns what is wrong with the scale sets.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let faults = |(policy, snapshot): &(&ScaleSet, Snapshot)| level::faults(policy, snapshot, self.now);
        self.of_sets.iter().flat_map(faults).collect()
    }

    /// Returns what jobs wait for, as the first set says it that says anything of a job.
    #[must_use]
    pub fn waiting(&self) -> BTreeMap<JobId, WaitingOn> {
        let mut all = BTreeMap::new();
        for (policy, snapshot) in &self.of_sets {
            for Waiting { job, on, .. } in plan(policy, snapshot, self.now).waiting {
                if let Some(job) = job {
                    all.entry(job).or_insert(on);
                }
            }
        }
        all
    }
}

fn limits(config: &Config) -> CallLimits {
    CallLimits { jit_per_minute: config.limits.jit_per_minute, calls_per_minute: config.limits.calls_per_minute }
}

/// Opens the ledger's file for reading alone.
///
/// # Errors
/// When it is not there, is of a newer version or cannot be read.
pub fn reader(file: &Path, clock: Arc<dyn Clock>) -> Result<SqliteReader, CommandFailure> {
    SqliteStore::open_read_only(file, clock).map_err(|error| match error {
        OpenError::Missing => no_ledger(file),
        OpenError::Newer { .. } => CommandFailure::outside(
            format!("read the ledger {}: {error}", file.display()),
            "a ledger of a newer version needs a newer program",
        ),
        OpenError::Unclosed => CommandFailure::outside(
            format!("read the ledger {}: {error}", file.display()),
            "start `runnersmith serve`, or run this as the user that it runs as",
        ),
        error => CommandFailure::outside(
            format!("read the ledger {}: {}", file.display(), chain(&error)),
            "this user must be able to read the [store] directory and the file",
        ),
    })
}

/// Whether the ledger's file is there.
///
/// # Errors
/// When that cannot be found out: a file that this user may not see is not one that is missing.
pub fn is_there(file: &Path) -> Result<bool, CommandFailure> {
    file.try_exists().map_err(|error| {
        CommandFailure::outside(
            format!("look for the ledger {}: {error}", file.display()),
            "this user must be able to read the [store] directory",
        )
    })
}

/// There is no ledger's file.
pub fn no_ledger(file: &Path) -> CommandFailure {
    CommandFailure::outside(format!("there is no ledger {}", file.display()), "start `runnersmith serve` first")
}

/// The ledger does not answer.
pub fn ledger_failed(error: LedgerError) -> CommandFailure {
    CommandFailure::outside(chain(&error), "is it the ledger that the server uses, and may this user read it?")
}

/// `runnersmith check`.
pub fn check(options: &cli::ConfigFile) -> Result<ExitStatus, CommandFailure> {
    let config = read_config(&options.config)?;
    for warning in &config.warnings {
        report::note(&format!("warning: {warning}"));
    }
    report::line(&format!("{} is valid: {} scale set(s)", options.config.display(), config.scale_sets.len()));
    for set in &config.scale_sets {
        let labels: Vec<&str> = set.labels.iter().map(runnersmith_types::Label::as_str).collect();
        report::line(&format!("  {}: labels {}, at most {} runners", set.name, labels.join(", "), set.runners_max));
    }
    Ok(ExitStatus::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_that_cannot_be_looked_for_is_not_called_missing() {
        let home = tempfile::tempdir().unwrap();
        assert!(!is_there(&home.path().join("ledger")).unwrap());
        std::fs::write(home.path().join("file"), "").unwrap();
        assert!(is_there(&home.path().join("file")).unwrap());
        // What a directory without the right to search it answers, also for tests that run as root.
        std::os::unix::fs::symlink("loop", home.path().join("loop")).unwrap();
        for data in ["file", "loop"] {
            let failure = is_there(&home.path().join(data).join("ledger")).unwrap_err();
            assert!(failure.what.starts_with("look for the ledger") && failure.hint.is_some(), "{failure:?}");
        }
    }
}
