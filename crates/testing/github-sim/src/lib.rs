//! A GitHub that runs on loopback, for tests and the demo.
//!
//! It is an independent model: it knows nothing of our types, speaks HTTP under GitHub's own paths, verifies the App's
//! JWT, signs its deliveries, and gives jobs to runners by label the way GitHub does. What it cannot do is listed in its README.

mod acts;
mod api;
mod apps;
mod auth;
mod board;
mod comments;
mod contents;
mod events;
mod faults;
mod forms;
mod git;
mod git_api;
mod groups;
mod hooks;
mod issues;
mod json;
mod model;
mod people;
mod protocol;
mod pulls;
mod refs;
mod releases;
mod setup;
mod time;
mod views;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use tokio::sync::watch;

pub use auth::app_key;
pub use faults::{Faults, Limit};
pub use model::{JobSpec, JobView, RunnerView, WorkflowSpec};
pub use views::{CommentView, IssueView, PullView};

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
    /// The seed of everything random.
    pub seed: u64,
    /// A runner not heard of for so long goes offline, and its job fails. Default 60 s.
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

/// A running GitHub. Cheap to clone; it ends when [`Simulator::stop`] is called or the process ends.
#[derive(Clone)]
pub struct Simulator {
    pub(crate) world: Arc<model::World>,
    base: String,
    stop: watch::Sender<bool>,
}

impl Simulator {
    /// Starts on a free loopback port.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(options: Options) -> Result<Self, SimError> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.map_err(SimError::Listen)?;
        let base = format!("http://{}", listener.local_addr().map_err(SimError::Listen)?);
        let (stop, mut stopped) = watch::channel(false);
        let world = Arc::new(model::World::new(base.clone(), options));
        let router = Router::new()
            .route("/settings/apps/new", any(apps::new_app))
            .route("/organizations/{org}/settings/apps/new", any(apps::new_app))
            .fallback(any(api::entry))
            .with_state(world.clone());
        tokio::spawn(async move {
            let stop = async move {
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            // A failing listener ends the simulator; its clients will say so.
            let _ = axum::serve(listener, router).with_graceful_shutdown(stop).await;
        });
        let sweeper = world.clone();
        let mut stopped = stop.subscribe();
        tokio::spawn(async move {
            let mut every = tokio::time::interval(std::time::Duration::from_millis(200));
            loop {
                tokio::select! {
                    _ = every.tick() => { sweeper.expire(); hooks::flush(&sweeper); }
                    _ = stopped.wait_for(|stop| *stop) => return,
                }
            }
        });
        Ok(Self { world, base, stop })
    }

    /// Ends it.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.base.clone()
    }

    /// Adds an organisation.
    pub fn add_org(&self, login: &str) {
        self.world.lock().add_owner(login, true);
    }

    /// Adds a person.
    pub fn add_user(&self, login: &str) {
        self.world.lock().add_owner(login, false);
    }

    /// Adds a repository; its owner must be there.
    pub fn add_repository(&self, full_name: &str) {
        self.world.lock().add_repository(full_name);
    }

    /// Registers an App. Answers its number.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn add_app(&self, app: App) -> Result<u64, SimError> {
        let public = auth::public_key(&app.private_key_pem)?;
        Ok(self.world.lock().add_app(app, public))
    }

    /// Installs the App for an owner, in all its repositories.
    pub fn install(&self, app: u64, owner: &str) {
        self.world.lock().install(app, owner);
    }

    /// Adds a webhook of an organisation (`org`) or a repository (`owner/repo`); its number.
    #[must_use]
    pub fn add_hook(&self, scope: &str, url: &str, secret: &str) -> u64 {
        let hook = model::Hook { scope: scope.to_owned(), url: url.to_owned(), secret: secret.to_owned() };
        self.world.lock().add_hook(hook)
    }

    /// Sends every App's deliveries there from now on.
    pub fn set_webhook_url(&self, url: &str) {
        for app in self.world.lock().apps.values_mut() {
            app.webhook_url = Some(url.to_owned());
        }
    }

    /// Changes what an App asks for and is subscribed to. Its installations lag behind until [`Simulator::accept_permissions`].
    pub fn set_app_permissions(&self, app: u64, permissions: &[(&str, &str)], events: &[&str]) {
        apps::change(&mut self.world.lock(), app, permissions, events);
    }

    /// An owner accepts what the Apps that are installed there ask for.
    pub fn accept_permissions(&self, owner: &str) {
        apps::accept(&mut self.world.lock(), owner);
    }

    /// Starts a workflow run. Answers its number.
    ///
    /// # Errors
    /// When the repository is not known.
    pub fn dispatch(&self, repository: &str, workflow: WorkflowSpec) -> Result<u64, SimError> {
        let run = self.world.dispatch(repository, workflow)?;
        hooks::flush(&self.world);
        Ok(run)
    }

    /// Cancels a run's jobs that are not over.
    pub fn cancel_run(&self, run: u64) {
        self.world.cancel(run);
        hooks::flush(&self.world);
    }

    /// The jobs of a run.
    #[must_use]
    pub fn jobs(&self, run: u64) -> Vec<JobView> {
        self.world.lock().views(run)
    }

    /// All registrations.
    #[must_use]
    pub fn runners(&self) -> Vec<RunnerView> {
        self.world.lock().runner_views()
    }

    /// Calls so far, by `METHOD path-template`.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.world.lock().calls.clone()
    }

    /// Calls so far that were answered 304.
    #[must_use]
    pub fn not_modified(&self) -> u64 {
        self.world.lock().not_modified
    }

    /// Deliveries that were tried: (event, action, HTTP status or 0).
    #[must_use]
    pub fn deliveries(&self) -> Vec<(String, String, u16)> {
        self.world.lock().deliveries.iter().map(|d| (d.event.clone(), d.action.clone(), d.status)).collect()
    }

    /// Check runs made by Apps: (repository, commit, title, conclusion).
    #[must_use]
    pub fn check_runs(&self) -> Vec<(String, String, String, Option<String>)> {
        self.world
            .lock()
            .checks
            .values()
            .map(|c| (c.repository.clone(), c.head_sha.clone(), c.title.clone(), c.conclusion.clone()))
            .collect()
    }

    /// Opens an issue as somebody. Answers its number.
    ///
    /// # Errors
    /// When the repository is not known.
    pub fn open_issue(
        &self,
        repository: &str,
        author: &str,
        title: &str,
        body: &str,
        labels: &[&str],
    ) -> Result<u64, SimError> {
        let mut state = self.world.lock();
        if !state.repositories.contains_key(repository) {
            return Err(SimError::Repository(repository.to_owned()));
        }
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        people::know(&mut state, author);
        let number = issues::open(&mut state, repository, &people::Actor::person(author), title, body, labels);
        drop(state);
        hooks::flush(&self.world);
        Ok(number)
    }

    /// Writes files on a branch, which is made from the default branch if it is not there.
    pub fn write_files(&self, repository: &str, branch: &str, files: &[(&str, &str)]) {
        let files: Vec<(&str, Option<&str>)> = files.iter().map(|(path, content)| (*path, Some(*content))).collect();
        self.push_as(repository, branch, "seed@example.org", &files, "the beginning");
    }

    /// A token of the installation at an owner, as an App would mint it; for tests that call by hand.
    #[must_use]
    pub fn installation_token(&self, owner: &str) -> Option<String> {
        let mut state = self.world.lock();
        let id = state.installations.iter().find(|(_, (_, at))| at == owner).map(|(id, _)| *id)?;
        let (token, end) = (state.token("ghs_"), time::now_ms() + 3_600_000);
        state.tokens.insert(token.clone(), (id, end));
        Some(token)
    }

    /// Switches faults.
    pub fn set_faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.world.lock().faults);
    }

    /// Places the newest release of actions/runner: its version and its linux-x64 archive.
    pub fn set_runner_release(&self, version: &str, archive: Vec<u8>) {
        self.world.lock().release = Some((version.to_owned(), archive));
    }

    /// A prerelease of actions/runner, newer than the release, with this archive.
    pub fn set_runner_prerelease(&self, version: &str, archive: Vec<u8>) {
        self.world.lock().prerelease = Some((version.to_owned(), archive));
    }
}
