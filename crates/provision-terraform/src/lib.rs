//! Drives the real Terraform (or OpenTofu) as a child process.
//!
//! It exists apart from the decisions about changes because everything about a process is here and only here: what it may see,
//! where it works, what it says, how it is stopped. Nothing runs in a shell, and nothing from an issue is an argument.
//!
//! Each call has a thread and a directory of its own. The thread, not the future, owns the child: when the future is dropped, or
//! the stop signal comes, the child's process group is interrupted once, so that Terraform finishes what it is at, saves its
//! state and releases its lock; it is waited for, and killed only when [`TerraformConfig::stop_within`] is over. Then the
//! directory is removed. A program that ends meanwhile must wait for [`Terraform::settled`].

mod child;
mod directory;
mod environment;
pub mod environments;
mod hide;
mod host;
mod plan_file;
mod said;
mod work;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runnersmith_issueops::summary::Summary;
use runnersmith_issueops_engine::{
    Applied, LeftBy, MadePlan, PlanOptions, Progress, ProvisionError, Provisioner, StateBackend, StateId, Workspace,
};
use runnersmith_types::Secret;
use tokio::sync::{OnceCell, mpsc, oneshot, watch};

use crate::child::Stop;
use crate::hide::Hide;
use crate::work::{Run, Setup};

pub use crate::host::who;
pub use crate::work::AFTER_STOP;

/// How many lines of progress wait to be shown, before Terraform waits too.
const LINES_WAITING_MAX: usize = 1024;
/// How Terraform learns where providers are kept.
const PLUGIN_CACHE: &str = "TF_PLUGIN_CACHE_DIR";

/// How Terraform is driven.
#[derive(Clone, Debug)]
pub struct TerraformConfig {
    /// The program; a bare name is looked for on the PATH. `terraform` 1.11 or newer, or `tofu`.
    pub program: PathBuf,
    /// Where working directories are made, one for each call. Made for its owner alone when it is not there.
    pub scratch: PathBuf,
    /// Where providers are kept between runs; processes that share it wait for each other while they fetch. `None`: where the
    /// variable `TF_PLUGIN_CACHE_DIR` says that reaches the child, if it says anything.
    pub plugin_cache: Option<PathBuf>,
    /// What reaches the child beside a list of the parent's variables (paths, proxies, certificates, AWS). Its values are hidden
    /// wherever they would be shown, also their parts.
    pub environment: Vec<(String, Secret)>,
    /// How long a child has to end in order after it was asked to stop; then it is killed. A provider's call to AWS is waited for
    /// by Terraform, so minutes are right where there are minutes.
    pub stop_within: Duration,
    /// How long to wait for a lock of the state that somebody holds; whole seconds.
    pub lock_timeout: Duration,
    /// Once `true`: whatever runs is stopped in order and nothing new is started.
    pub stop: Option<watch::Receiver<bool>>,
}

impl TerraformConfig {
    /// Terraform from the PATH, with working directories below `scratch`.
    #[must_use]
    pub fn new(scratch: impl Into<PathBuf>) -> Self {
        Self {
            program: "terraform".into(),
            scratch: scratch.into(),
            plugin_cache: None,
            environment: Vec::new(),
            stop_within: Duration::from_secs(300),
            lock_timeout: Duration::from_secs(30),
            stop: None,
        }
    }
}

/// Terraform as a [`Provisioner`].
#[derive(Clone)]
pub struct Terraform {
    setup: Arc<Setup>,
    version: Arc<OnceCell<String>>,
    alive: watch::Sender<usize>,
}

/// Counts a run until its thread ends.
struct Alive(watch::Sender<usize>);

impl Alive {
    fn new(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|alive| *alive += 1);
        Self(count.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.send_modify(|alive| *alive -= 1);
    }
}

/// Asks a run to stop when the future that wants it is dropped.
struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.request();
    }
}

impl Terraform {
    /// Checks the configuration. Starts nothing; removes working directories that a killed process left more than a day ago.
    ///
    /// # Errors
    /// When an environment variable is one that nobody may set, or a path is not text.
    pub fn new(mut config: TerraformConfig) -> Result<Self, ProvisionError> {
        config.scratch = absolute(&config.scratch)?;
        // A relative name with a slash would be looked for in the run's own directory.
        if config.program.components().count() > 1 {
            config.program = absolute(&config.program)?;
        }
        let mut environment = environment::choose(std::env::vars_os(), &config.environment)?;
        if let Some(user) = host::user() {
            environment.variables.insert("USER".into(), user.into());
        }
        // However it was named: two must not fill it at once.
        let named = environment.variables.get(OsStr::new(PLUGIN_CACHE)).filter(|named| !named.is_empty());
        let named = named.map(PathBuf::from);
        if let Some(cache) = config.plugin_cache.take().or(named) {
            let cache = absolute(&cache)?;
            environment.variables.insert(PLUGIN_CACHE.into(), cache.clone().into());
            config.plugin_cache = Some(cache);
        }
        let ours = [
            ("TF_IN_AUTOMATION", "1"),
            ("TF_INPUT", "0"),
            ("CHECKPOINT_DISABLE", "1"),
            // Fetching a module must not wait for somebody to type a password.
            ("GIT_TERMINAL_PROMPT", "0"),
        ];
        environment.variables.extend(ours.map(|(name, value)| (name.into(), value.into())));
        let hide = Hide::new(&environment.secrets);
        directory::sweep(&config.scratch);
        let setup = Arc::new(Setup { config, environment, hide });
        Ok(Self { setup, version: Arc::new(OnceCell::new()), alive: watch::Sender::new(0) })
    }

    /// Waits until nothing runs any more, also nothing whose future was dropped. A program calls it before it ends.
    pub async fn settled(&self) {
        // The sender is ours, so that waiting cannot fail.
        let _ = self.alive.subscribe().wait_for(|alive| *alive == 0).await;
    }

    /// Does something in a thread of its own, and hands on what it says.
    async fn run<T: Send + 'static>(
        &self,
        progress: &dyn Progress,
        work: impl FnOnce(&Run<'_>) -> Result<T, ProvisionError> + Send + 'static,
    ) -> Result<T, ProvisionError> {
        let stop = Stop::default();
        let mut signal = self.setup.config.stop.clone();
        if signal.as_ref().is_some_and(|signal| *signal.borrow()) {
            return Err(ProvisionError::Cancelled);
        }
        let (line, mut lines) = mpsc::channel::<String>(LINES_WAITING_MAX);
        let (done, mut result) = oneshot::channel();
        let alive = Alive::new(&self.alive);
        let (setup, stopping) = (Arc::clone(&self.setup), stop.clone());
        let thread = move || {
            let show = |text: String| drop(line.blocking_send(text));
            let answer = work(&Run { setup: &setup, stop: &stopping, show: &show });
            drop(alive);
            let _ = done.send(answer);
        };
        std::thread::Builder::new()
            .name("terraform".into())
            .spawn(thread)
            .map_err(|error| ProvisionError::Unable(format!("cannot start a thread: {error}")))?;
        let _guard = StopOnDrop(stop.clone());
        let answer = loop {
            tokio::select! {
                biased;
                () = stop_requested(signal.as_mut()), if !stop.is_requested() => stop.request(),
                Some(text) = lines.recv() => progress.line(&text),
                answer = &mut result => break answer,
            }
        };
        while let Ok(text) = lines.try_recv() {
            progress.line(&text);
        }
        // What it did is not known.
        let message = "the run ended without an answer";
        answer.unwrap_or_else(|_| Err(ProvisionError::Failed { resource: None, message: message.into() }))
    }
}

/// Ends when the signal is given; never when nobody can give it.
async fn stop_requested(signal: Option<&mut watch::Receiver<bool>>) {
    if let Some(signal) = signal
        && signal.wait_for(|requested| *requested).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

fn absolute(path: &Path) -> Result<PathBuf, ProvisionError> {
    let absolute = std::path::absolute(path)
        .map_err(|error| ProvisionError::Unable(format!("cannot use the path {}: {error}", path.display())))?;
    if absolute.to_str().is_none() {
        return Err(ProvisionError::Unable(format!("the path {} is not text", absolute.display())));
    }
    Ok(absolute)
}

#[async_trait]
impl Provisioner for Terraform {
    async fn version(&self) -> Result<String, ProvisionError> {
        self.version.get_or_try_init(|| self.run(&(), |run| run.version())).await.cloned()
    }

    async fn plan(
        &self,
        workspace: &Workspace,
        options: PlanOptions,
        progress: &dyn Progress,
    ) -> Result<MadePlan, ProvisionError> {
        let workspace = workspace.clone();
        self.run(progress, move |run| run.plan(&workspace, options)).await
    }

    async fn state(&self, backend: &StateBackend) -> Result<StateId, ProvisionError> {
        let backend = backend.clone();
        self.run(&(), move |run| run.state(&backend)).await
    }

    async fn apply(
        &self,
        workspace: &Workspace,
        plan_file: &[u8],
        progress: &dyn Progress,
    ) -> Result<Applied, ProvisionError> {
        if self.setup.config.stop.as_ref().is_some_and(|stop| *stop.borrow()) {
            return Err(ProvisionError::NotBegun);
        }
        let (workspace, plan) = (workspace.clone(), plan_file.to_vec());
        self.run(progress, move |run| run.apply(&workspace, &plan)).await
    }

    async fn drift(&self, workspace: &Workspace) -> Result<Summary, ProvisionError> {
        let workspace = workspace.clone();
        self.run(&(), move |run| run.drift(&workspace)).await
    }

    async fn release_left_lock(
        &self,
        backend: &StateBackend,
        left_by: &LeftBy,
    ) -> Result<Option<String>, ProvisionError> {
        let (backend, left_by) = (backend.clone(), left_by.clone());
        self.run(&(), move |run| run.release_left_lock(&backend, &left_by)).await
    }
}
