//! A running GitHub, and what tests do with it as its operators do.

mod by_hand;
mod setup;
mod views;
mod weather;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use tokio::sync::watch;

use crate::acts::{issues, jobs};
use crate::deliveries::flush;
use crate::faults::Faults;
use crate::http;
use crate::options::{App, Options, SimError};
use crate::rules::{apps, people};
use crate::state::World;
use crate::state::actor::Actor;
use crate::state::apps::Hook;
use crate::state::runs::{JobView, RunnerView, WorkflowSpec};
use crate::{keys, time};

pub use views::{CommentView, IssueView, PullView};

/// A running GitHub. Cheap to clone; it ends when [`Simulator::stop`] is called or the process ends.
#[derive(Clone)]
pub struct Simulator {
    pub(crate) world: Arc<World>,
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
        let world = Arc::new(World::new(base.clone(), options));
        let router = Router::new()
            .route("/settings/apps/new", any(http::apps::new_app))
            .route("/organizations/{org}/settings/apps/new", any(http::apps::new_app))
            .fallback(any(http::entry))
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
                    _ = every.tick() => { jobs::expire(&sweeper); flush(&sweeper); }
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

    /// Registers an App. Returns its number.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn add_app(&self, app: App) -> Result<u64, SimError> {
        let public = keys::public_key(&app.private_key_pem)?;
        Ok(self.world.lock().add_app(app, public))
    }

    /// Installs the App for an owner, in all its repositories.
    pub fn install(&self, app: u64, owner: &str) {
        self.world.lock().install(app, owner);
    }

    /// Adds a webhook of an organisation (`org`) or a repository (`owner/repo`); its number.
    ///
    /// # Panics
    /// When neither is there: nothing would ever be delivered to it.
    #[must_use]
    pub fn add_hook(&self, scope: &str, url: &str, secret: &str) -> u64 {
        let mut state = self.world.lock();
        let is_there = state.owners.contains_key(scope) || state.repositories.contains_key(scope);
        assert!(is_there, "a webhook of {scope:?}, which is neither an owner nor a repository here");
        state.add_hook(Hook { scope: scope.to_owned(), url: url.to_owned(), secret: secret.to_owned() })
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

    /// Starts a workflow run. Returns its number.
    ///
    /// # Errors
    /// When the repository is not known.
    pub fn dispatch(&self, repository: &str, workflow: WorkflowSpec) -> Result<u64, SimError> {
        let run = jobs::dispatch(&self.world, repository, workflow)?;
        flush(&self.world);
        Ok(run)
    }

    /// Cancels a run's jobs that are not over.
    pub fn cancel_run(&self, run: u64) {
        jobs::cancel(&self.world, run);
        flush(&self.world);
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

    /// Opens an issue as somebody. Returns its number.
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
        let number = issues::open(&mut state, repository, &Actor::person(author), title, body, labels);
        drop(state);
        flush(&self.world);
        Ok(number)
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
