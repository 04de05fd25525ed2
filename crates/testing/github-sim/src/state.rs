//! What this GitHub is: owners, repositories, Apps, runs, jobs, registrations. Nothing here follows a rule of GitHub or sends
//! anything.

pub(crate) mod actor;
pub(crate) mod apps;
pub(crate) mod board;
pub(crate) mod limits;
pub(crate) mod runs;
pub(crate) mod setup;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::faults::Faults;
use crate::options::{App, Options};
use crate::state::apps::{AppState, Delivery, Hook, Registry};
use crate::state::board::Board;
use crate::state::limits::Limits;
use crate::state::runs::{Check, Job, JobView, Runner, RunnerView};
use crate::time;

pub(crate) struct State {
    pub base: String,
    pub options: Options,
    pub next: u64,
    pub random: u64,
    pub owners: BTreeMap<String, (u64, bool)>,
    pub repositories: BTreeMap<String, u64>,
    pub apps: BTreeMap<u64, AppState>,
    /// Installation number: (App, owner).
    pub installations: BTreeMap<u64, (u64, String)>,
    /// Installations that their owners have suspended.
    pub suspended: BTreeSet<u64>,
    /// Token: (installation, end).
    pub tokens: BTreeMap<String, (u64, i64)>,
    /// Registration token: (scope, end).
    pub registration_tokens: BTreeMap<String, (String, i64)>,
    pub runs: BTreeMap<u64, (String, String)>,
    /// Runs that were run again, with their attempt.
    pub attempts: BTreeMap<u64, u64>,
    pub jobs: BTreeMap<u64, Job>,
    pub runners: BTreeMap<u64, Runner>,
    pub checks: BTreeMap<u64, Check>,
    pub hooks: BTreeMap<u64, Hook>,
    pub deliveries: VecDeque<Delivery>,
    /// Deliveries made under the lock, to be sent when it is released.
    pub outbox: Vec<u64>,
    pub calls: BTreeMap<String, u64>,
    pub not_modified: u64,
    pub limits: Limits,
    pub registry: Registry,
    /// So much the stamps are ahead of the machine's clock, milliseconds.
    pub ahead_ms: i64,
    pub board: Board,
    pub faults: Faults,
    pub release: Option<(String, Vec<u8>)>,
    pub prerelease: Option<(String, Vec<u8>)>,
}

pub(crate) struct World {
    state: Mutex<State>,
    /// Something changed that a polling runner may want.
    pub changed: Notify,
}

/// The log keeps so many deliveries.
const DELIVERIES_MAX: usize = 20_000;

impl World {
    pub fn new(base: String, options: Options) -> Self {
        let random = options.seed | 1;
        let state = State {
            base,
            options,
            next: 1_000,
            random,
            owners: BTreeMap::new(),
            repositories: BTreeMap::new(),
            apps: BTreeMap::new(),
            installations: BTreeMap::new(),
            suspended: BTreeSet::new(),
            tokens: BTreeMap::new(),
            registration_tokens: BTreeMap::new(),
            runs: BTreeMap::new(),
            attempts: BTreeMap::new(),
            jobs: BTreeMap::new(),
            runners: BTreeMap::new(),
            checks: BTreeMap::new(),
            hooks: BTreeMap::new(),
            deliveries: VecDeque::new(),
            outbox: Vec::new(),
            calls: BTreeMap::new(),
            not_modified: 0,
            limits: Limits::default(),
            registry: Registry::default(),
            ahead_ms: 0,
            board: Board::default(),
            faults: Faults::default(),
            release: None,
            prerelease: None,
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The time that everything is stamped with.
    pub fn now_ms(&self) -> i64 {
        time::now_ms() + self.ahead_ms
    }

    pub fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Xorshift: random enough for names, and the same in every run.
    pub fn token(&mut self, prefix: &str) -> String {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let serial = self.id();
        format!("{prefix}{:016x}{serial:x}", self.random)
    }

    pub fn add_owner(&mut self, login: &str, organization: bool) {
        let id = self.id();
        self.owners.entry(login.to_owned()).or_insert((id, organization));
    }

    pub fn add_repository(&mut self, full_name: &str) {
        let id = self.id();
        self.repositories.entry(full_name.to_owned()).or_insert(id);
    }

    pub fn add_app(&mut self, app: App, public: Vec<u8>) -> u64 {
        let id = self.id();
        let webhook_url = app.webhook_url.clone();
        self.apps.insert(id, AppState { app, public, webhook_url });
        id
    }

    pub fn add_hook(&mut self, hook: Hook) -> u64 {
        let id = self.id();
        self.hooks.insert(id, hook);
        id
    }

    pub fn install(&mut self, app: u64, owner: &str) {
        let id = self.id();
        self.installations.insert(id, (app, owner.to_owned()));
    }

    pub fn views(&self, run: u64) -> Vec<JobView> {
        let jobs = self.jobs.values().filter(|job| job.run == run);
        jobs.map(|job| JobView {
            id: job.id,
            name: job.spec.name.clone(),
            status: job.status.to_owned(),
            conclusion: job.conclusion.clone(),
            runner_name: job.runner.as_ref().map(|(_, name)| name.clone()),
            created_ms: job.created_ms,
            started_ms: job.started_ms,
            completed_ms: job.completed_ms,
        })
        .collect()
    }

    pub fn runner_views(&self) -> Vec<RunnerView> {
        let view = |runner: &Runner| RunnerView {
            id: runner.id,
            name: runner.name.clone(),
            online: runner.session.is_some(),
            busy: runner.job.is_some(),
        };
        self.runners.values().map(view).collect()
    }

    pub fn log(&mut self, delivery: Delivery) {
        self.deliveries.push_back(delivery);
        if self.deliveries.len() > DELIVERIES_MAX {
            self.deliveries.pop_front();
        }
    }
}
