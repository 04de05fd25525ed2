//! What a server looks at on its own host: whether its disks have room, and whether the runner that its machines get is fresh.
//!
//! GitHub gives no jobs to a runner when a newer release has been out for 30 days, so a server that runs for months has to fetch new
//! ones. Releases of the runner are on github.com, whatever server the runners serve.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use runnersmith_config::Distribution;
use runnersmith_controllers::World;
use runnersmith_controllers::driver::{Driver, Period};
use runnersmith_controllers::faults::{FaultKind, Faults};
use runnersmith_controllers::metrics::Metrics;
use runnersmith_github::releases::{self, PLATFORM};
use runnersmith_github::{GitHubClient, GitHubConfig};
use runnersmith_plan::host::{self, ReleaseChecks};
use runnersmith_ports::{SystemClock, chain};
use runnersmith_types::{RunnerVersion, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::exit::CommandFailure;
use crate::settings::Settings;

/// How often it is looked whether the newest release is to be asked for.
const RELEASE_EVERY: Duration = Duration::from_secs(600);
/// How often disks are looked at.
const DISK_EVERY: Duration = Duration::from_secs(60);

/// The runner that machines of this host get, and where newer ones come from.
pub struct HostRunner {
    /// A client of github.com that is nobody in particular.
    client: GitHubClient,
    distribution: Distribution,
    directory: PathBuf,
    checks: Mutex<ReleaseChecks>,
}

impl HostRunner {
    /// The runner of a server with these settings.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn new(settings: &Settings, metrics: &Arc<Metrics>) -> Result<Self, CommandFailure> {
        let metrics = metrics.clone();
        let config = GitHubConfig {
            api_base: settings.releases_api_url.clone(),
            ca_file: settings.github.ca_file.clone(),
            proxy: settings.github.proxy.clone(),
            counter: Some(Arc::new(move |operation, status| metrics.github_call(operation, status))),
            ..GitHubConfig::anonymous("https://github.com")
        };
        Self::with(config, settings.distribution.clone(), fetched(settings))
    }

    fn with(config: GitHubConfig, distribution: Distribution, directory: PathBuf) -> Result<Self, CommandFailure> {
        let client = crate::client::github(config, Arc::new(SystemClock), "check [github] ca_file and proxy")?;
        Ok(Self { client, distribution, directory, checks: Mutex::default() })
    }

    /// Where machines find their distribution: what the configuration names, or the directory into which the newest is fetched.
    #[must_use]
    pub fn place(&self) -> PathBuf {
        match &self.distribution {
            Distribution::Path(path) => path.clone(),
            Distribution::Latest { .. } => self.directory.clone(),
        }
    }

    /// Fetches the newest release before the first machine, unless the configuration names a distribution. While GitHub does not give
    /// it, the newest that is there already is enough.
    ///
    /// # Errors
    /// When no archive is there at all, or the disk cannot be written.
    pub async fn fetch(&self) -> Result<(), CommandFailure> {
        let Distribution::Latest { prerelease } = self.distribution else { return Ok(()) };
        let fetched = releases::fetch_runner(&self.client, prerelease, &self.directory).await;
        fetched.map(drop).map_err(|error| {
            CommandFailure::outside(
                format!("fetch the newest actions/runner release: {}", chain(&error)),
                "check the network and proxy, or set [local] runner_distribution to a downloaded tar.gz",
            )
        })
    }

    /// Refreshes it if that is due.
    ///
    /// # Errors
    /// When it has failed several times in a row. Where the configuration names an archive there may be no way to GitHub: then nothing is an error.
    async fn refresh_if_due(&self, faults: &Faults, now: Timestamp) -> Result<(), String> {
        if !self.checks().is_due(now) {
            return Ok(());
        }
        let refreshed = self.refresh(faults, now).await;
        let is_fault = self.checks().asked(refreshed.is_ok(), now);
        match refreshed {
            Err(error) if is_fault && matches!(self.distribution, Distribution::Latest { .. }) => Err(error),
            Err(error) => {
                tracing::info!(error, "the newest release of actions/runner is not known");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn checks(&self) -> MutexGuard<'_, ReleaseChecks> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches a newer release if there is one, and reports a runner that is too old.
    async fn refresh(&self, faults: &Faults, now: Timestamp) -> Result<(), String> {
        if matches!(self.distribution, Distribution::Path(_)) && self.used().await.is_none() {
            // An extracted directory: its owner keeps it fresh.
            return Ok(());
        }
        let prerelease = matches!(self.distribution, Distribution::Latest { prerelease: true });
        let newest = releases::newest(&self.client, prerelease).await.map_err(|error| chain(&error))?;
        let fetched = match &self.distribution {
            Distribution::Latest { .. } => {
                let fetched = releases::fetch_release(&self.client, &newest, &self.directory).await;
                fetched.map(drop).map_err(|error| chain(&error))
            }
            Distribution::Path(_) => Ok(()),
        };
        if let (Some(used), Some(version), Some(published_at)) =
            (self.used().await, newest.version(), newest.published_at())
        {
            match host::outdated(&used, &version, published_at, now) {
                Some(cause) => faults.report(FaultKind::RunnerOutdated, "", &cause, now),
                None => faults.clear(FaultKind::RunnerOutdated, ""),
            }
        }
        fetched
    }

    /// The version that the next machine gets, if its archive's name says so.
    async fn used(&self) -> Option<RunnerVersion> {
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        match &self.distribution {
            Distribution::Path(path) => RunnerVersion::of_archive(&name(path)?, PLATFORM),
            Distribution::Latest { .. } => {
                releases::archives_in(&self.directory).await.pop().map(|(version, _)| version)
            }
        }
    }
}

/// Where the newest distribution is fetched to.
fn fetched(settings: &Settings) -> PathBuf {
    settings.machines.join("distribution")
}

/// Where machines would find a distribution, for commands that launch none.
#[must_use]
pub fn named_or_none(settings: &Settings) -> PathBuf {
    match &settings.distribution {
        Distribution::Path(path) => path.clone(),
        Distribution::Latest { .. } => fetched(settings),
    }
}

/// Starts the background tasks of a host: one looks at its disks; where machines are started here, one keeps their runner fresh.
pub fn start(
    world: &World,
    runner: Option<HostRunner>,
    disks: Vec<PathBuf>,
    stop: &watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut driver = Driver::new(world.tasks.clone(), world.ports.clock.clone(), stop.clone());
    let of_disks = world.clone();
    driver.every("disks", "looks whether the disks have room", DISK_EVERY, Arc::default(), move || {
        look_at_disks(of_disks.clone(), disks.clone())
    });
    if let Some(runner) = runner {
        let (runner, world) = (Arc::new(runner), world.clone());
        // It was fetched at the start; a while later it is judged.
        let period = Period { first: DISK_EVERY, then: RELEASE_EVERY };
        driver.every("runner distribution", "fetches the newest actions/runner", period, Arc::default(), move || {
            let (runner, world) = (runner.clone(), world.clone());
            async move { runner.refresh_if_due(&world.faults, world.ports.clock.now()).await }
        });
    }
    driver.into_running()
}

/// Which disk a directory is on, if that is known.
fn device(directory: &Path) -> Option<u64> {
    std::fs::metadata(directory).ok().map(|meta| meta.dev())
}

/// Reports each disk that is full, and that it is not any more.
async fn look_at_disks(world: World, directories: Vec<PathBuf>) -> Result<(), String> {
    // A file system of another host may not answer.
    let looked = tokio::task::spawn_blocking(move || {
        let look = |directory: PathBuf| {
            let seen = statvfs(&directory).map_err(|error| format!("{}: {error}", directory.display()));
            seen.map(|disk| {
                let bytes = |blocks: u64| blocks.saturating_mul(disk.fragment_size());
                let (free, total) = (bytes(disk.blocks_available()), bytes(disk.blocks()));
                (directory.display().to_string(), device(&directory), free, total)
            })
        };
        directories.into_iter().map(look).collect::<Vec<_>>()
    });
    let looked = looked.await.map_err(|error| error.to_string())?;
    let (now, mut failed, mut seen) = (world.ports.clock.now(), Vec::new(), BTreeSet::new());
    for disk in looked {
        match disk {
            // Of several directories on one disk one is enough.
            Ok((directory, device, free, total)) if device.is_none_or(|device| seen.insert(device)) => {
                match host::full(free, total) {
                    Some(cause) => world.faults.report(FaultKind::DiskFull, &directory, &cause, now),
                    None => world.faults.clear(FaultKind::DiskFull, &directory),
                }
            }
            Ok(_) => {}
            Err(error) => failed.push(error),
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails panics")]
mod tests {
    use runnersmith_github_sim::{Options, Simulator};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    /// GitHub with a release, which the simulator says was published in 1970.
    async fn github(version: &str) -> Simulator {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let github = Simulator::start(Options::default()).await.unwrap();
        github.set_runner_release(version, b"an archive".to_vec());
        github
    }

    fn runner(github: &Simulator, distribution: Distribution, directory: &Path) -> HostRunner {
        let config =
            GitHubConfig { api_base: Some(github.base_url()), ..GitHubConfig::anonymous("https://github.com") };
        HostRunner::with(config, distribution, directory.into()).unwrap()
    }

    async fn versions(directory: &Path) -> Vec<String> {
        releases::archives_in(directory).await.iter().map(|(version, _)| version.to_string()).collect()
    }

    #[tokio::test]
    async fn newer_runners_are_fetched_while_the_server_runs_and_old_archives_go() {
        let (github, home) = (github("2.99.0").await, tempfile::tempdir().unwrap());
        let runner = runner(&github, Distribution::Latest { prerelease: false }, home.path());
        runner.fetch().await.unwrap();
        assert_eq!((versions(home.path()).await, runner.place()), (vec!["2.99.0".into()], home.path().to_path_buf()));
        let faults = Faults::default();
        for (version, kept) in [("2.330.0", ["2.99.0", "2.330.0"]), ("2.331.0", ["2.330.0", "2.331.0"])] {
            github.set_runner_release(version, format!("archive {version}").into_bytes());
            runner.refresh(&faults, NOW).await.unwrap();
            assert_eq!(versions(home.path()).await, kept);
        }
        assert!(faults.all(&[], NOW).is_empty(), "the newest is never too old");
    }

    #[tokio::test]
    async fn a_release_that_was_withdrawn_and_an_unwanted_prerelease_are_not_the_newest_any_more() {
        let (github, home, faults) = (github("2.331.0").await, tempfile::tempdir().unwrap(), Faults::default());
        github.set_runner_prerelease("2.332.0", b"prerelease".to_vec());
        let of = |prerelease| runner(&github, Distribution::Latest { prerelease }, home.path());
        of(true).fetch().await.unwrap();
        assert_eq!(of(true).used().await.unwrap().to_string(), "2.332.0");
        // Prereleases are not wanted any more.
        of(false).refresh(&faults, NOW).await.unwrap();
        assert_eq!(versions(home.path()).await, ["2.331.0"]);
        // What is the latest at GitHub is an older one again.
        github.set_runner_release("2.330.0", b"archive 2.330.0".to_vec());
        of(false).refresh(&faults, NOW).await.unwrap();
        assert_eq!(
            (versions(home.path()).await, of(false).used().await.unwrap().to_string()),
            (vec!["2.330.0".into()], "2.330.0".into())
        );
    }

    #[tokio::test]
    async fn a_server_without_a_way_to_github_is_no_fault_and_one_bad_answer_neither() {
        let (home, faults) = (tempfile::tempdir().unwrap(), Faults::default());
        let archive = home.path().join(format!("actions-runner-{PLATFORM}-2.330.0.tar.gz"));
        // Nobody listens there.
        let nowhere = || GitHubConfig {
            api_base: Some("http://127.0.0.1:1".into()),
            ..GitHubConfig::anonymous("https://github.com")
        };
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tries = async |distribution: Distribution| {
            let runner = HostRunner::with(nowhere(), distribution, home.path().into()).unwrap();
            let mut found = Vec::new();
            for minute in [0, 5, 10, 20] {
                found.push(runner.refresh_if_due(&faults, NOW.plus(Duration::from_secs(minute * 60))).await.is_ok());
            }
            found
        };
        assert_eq!(tries(Distribution::Path(archive)).await, [true; 4]);
        assert_eq!(tries(Distribution::Latest { prerelease: false }).await, [true, true, true, false]);
    }

    #[tokio::test]
    async fn a_runner_that_is_too_old_is_a_fault_until_a_newer_one_is_there() {
        let (github, home) = (github("2.331.0").await, tempfile::tempdir().unwrap());
        let archive = |version: &str| home.path().join(format!("actions-runner-{PLATFORM}-{version}.tar.gz"));
        let faults = Faults::default();
        runner(&github, Distribution::Path(archive("2.330.0")), home.path()).refresh(&faults, NOW).await.unwrap();
        let all = faults.all(&[], NOW);
        assert_eq!((all.len(), all[0].kind), (1, FaultKind::RunnerOutdated));
        assert!(
            all[0]
                .to_string()
                .starts_with("machines get version 2.330.0 of actions/runner, and 2.331.0 has been out for")
        );
        runner(&github, Distribution::Path(archive("2.331.0")), home.path()).refresh(&faults, NOW).await.unwrap();
        assert!(faults.all(&[], NOW).is_empty());
        let unknown = runner(&github, Distribution::Path("/opt/runner".into()), home.path());
        unknown.refresh(&faults, NOW).await.unwrap();
        assert!(faults.all(&[], NOW).is_empty(), "a directory does not say its version");
    }
}
