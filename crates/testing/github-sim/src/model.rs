//! What this GitHub is: owners, repositories, Apps, runs, jobs, registrations; and how jobs come to runners.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::{App, Faults, Options, SimError, groups, hooks, time};

/// A workflow to run.
#[derive(Clone, Debug, Default)]
pub struct WorkflowSpec {
    /// Its name.
    pub name: String,
    /// Its jobs.
    pub jobs: Vec<JobSpec>,
}

/// One job of a workflow.
#[derive(Clone, Debug, Default)]
pub struct JobSpec {
    /// Its name.
    pub name: String,
    /// `runs-on`.
    pub labels: Vec<String>,
    /// How long it works.
    pub duration: Duration,
    /// Names of jobs that must have succeeded.
    pub needs: Vec<String>,
    /// `max-parallel` over the jobs of the same matrix name.
    pub max_parallel: Option<(String, usize)>,
    /// How it ends; empty means `success`.
    pub conclusion: String,
}

/// A job as tests see it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "GitHub's own field names")]
pub struct JobView {
    pub id: u64,
    pub name: String,
    pub status: String,
    pub conclusion: Option<String>,
    pub runner_name: Option<String>,
    pub created_ms: i64,
    pub started_ms: Option<i64>,
    pub completed_ms: Option<i64>,
}

/// A registration as tests see it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "GitHub's own field names")]
pub struct RunnerView {
    pub id: u64,
    pub name: String,
    pub online: bool,
    pub busy: bool,
}

pub(crate) struct Job {
    pub id: u64,
    pub run: u64,
    pub repository: String,
    pub spec: JobSpec,
    /// `pending` (needs), `queued`, `in_progress`, `completed`.
    pub status: &'static str,
    /// Queued for people, but held back by `max-parallel`.
    pub conclusion: Option<String>,
    pub runner: Option<(u64, String)>,
    /// The group of the runner that has or had it.
    pub group: u64,
    pub created_ms: i64,
    pub started_ms: Option<i64>,
    pub completed_ms: Option<i64>,
    pub workflow: String,
}

pub(crate) struct Runner {
    pub id: u64,
    pub name: String,
    /// `org`, `owner/repo` or `enterprises/slug`.
    pub scope: String,
    pub labels: Vec<String>,
    pub ephemeral: bool,
    pub key: String,
    pub group: u64,
    pub session: Option<String>,
    pub heard_ms: i64,
    pub job: Option<u64>,
}

pub(crate) struct AppState {
    pub app: App,
    pub public: Vec<u8>,
    pub webhook_url: Option<String>,
}

/// A webhook of an organisation or a repository.
pub(crate) struct Hook {
    /// `org` or `owner/repo`.
    pub scope: String,
    pub url: String,
    pub secret: String,
}

pub(crate) struct Delivery {
    pub id: u64,
    pub guid: String,
    pub event: String,
    pub action: String,
    pub at_ms: i64,
    pub status: u16,
    pub redelivery: bool,
    /// The App or the webhook that it is of.
    pub of: u64,
    pub body: String,
}

pub(crate) struct Check {
    pub id: u64,
    pub repository: String,
    pub head_sha: String,
    pub name: String,
    pub title: String,
    pub summary: String,
    pub status: String,
    pub conclusion: Option<String>,
    pub started_ms: i64,
}

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
    /// Token: (installation, end).
    pub tokens: BTreeMap<String, (u64, i64)>,
    /// Registration token: (scope, end).
    pub registration_tokens: BTreeMap<String, (String, i64)>,
    pub runs: BTreeMap<u64, (String, String)>,
    pub jobs: BTreeMap<u64, Job>,
    pub runners: BTreeMap<u64, Runner>,
    pub checks: BTreeMap<u64, Check>,
    pub hooks: BTreeMap<u64, Hook>,
    pub deliveries: VecDeque<Delivery>,
    /// Deliveries made under the lock, to be sent when it is released.
    pub outbox: Vec<u64>,
    pub calls: BTreeMap<String, u64>,
    pub not_modified: u64,
    pub registry: crate::apps::Registry,
    /// So much the stamps are ahead of the machine's clock, milliseconds.
    pub ahead_ms: i64,
    pub board: crate::board::Board,
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
            tokens: BTreeMap::new(),
            registration_tokens: BTreeMap::new(),
            runs: BTreeMap::new(),
            jobs: BTreeMap::new(),
            runners: BTreeMap::new(),
            checks: BTreeMap::new(),
            hooks: BTreeMap::new(),
            deliveries: VecDeque::new(),
            outbox: Vec::new(),
            calls: BTreeMap::new(),
            not_modified: 0,
            registry: crate::apps::Registry::default(),
            ahead_ms: 0,
            board: crate::board::Board::default(),
            faults: Faults::default(),
            release: None,
            prerelease: None,
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a run and sends what GitHub would.
    pub fn dispatch(&self, repository: &str, workflow: WorkflowSpec) -> Result<u64, SimError> {
        let mut state = self.lock();
        if !state.repositories.contains_key(repository) {
            return Err(SimError::Repository(repository.to_owned()));
        }
        let run = state.id();
        state.runs.insert(run, (repository.to_owned(), workflow.name.clone()));
        let now = state.now_ms();
        for spec in workflow.jobs {
            let id = state.id();
            let status = if spec.needs.is_empty() { "queued" } else { "pending" };
            let job = Job {
                id,
                run,
                repository: repository.to_owned(),
                spec,
                status,
                conclusion: None,
                runner: None,
                group: groups::DEFAULT,
                created_ms: now,
                started_ms: None,
                completed_ms: None,
                workflow: workflow.name.clone(),
            };
            state.jobs.insert(id, job);
            if status == "queued" {
                hooks::job(&mut state, id, "queued");
            }
        }
        drop(state);
        self.changed.notify_waiters();
        Ok(run)
    }

    pub fn cancel(&self, run: u64) {
        let mut state = self.lock();
        let ids: Vec<u64> =
            state.jobs.values().filter(|job| job.run == run && job.status != "completed").map(|job| job.id).collect();
        for id in ids {
            complete(&mut state, id, "cancelled");
        }
    }

    /// Runners that were not heard of go offline; a job on such a runner fails.
    pub fn expire(&self) {
        let mut state = self.lock();
        let now = time::now_ms();
        let timeout = i64::try_from(state.options.runner_timeout.as_millis()).unwrap_or(i64::MAX);
        let silent: Vec<(u64, Option<u64>)> = state
            .runners
            .values()
            .filter(|runner| {
                runner.session.is_some()
                    && now - runner.heard_ms
                        > timeout
                            + runner
                                .job
                                .and_then(|job| state.jobs.get(&job))
                                .map_or(0, |job| i64::try_from(job.spec.duration.as_millis()).unwrap_or(0))
            })
            .map(|runner| (runner.id, runner.job))
            .collect();
        for (id, job) in silent {
            if let Some(runner) = state.runners.get_mut(&id) {
                runner.session = None;
            }
            if let Some(job) = job {
                complete(&mut state, job, "failure");
            }
        }
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

    /// The oldest queued job that this runner may take.
    pub fn job_for(&self, runner: &Runner) -> Option<u64> {
        let serves = |job: &&Job| {
            let owner = job.repository.split('/').next().unwrap_or_default();
            let in_scope =
                runner.scope == owner || runner.scope == job.repository || runner.scope.starts_with("enterprises/");
            let labels =
                job.spec.labels.iter().all(|label| runner.labels.iter().any(|own| own.eq_ignore_ascii_case(label)));
            let group = groups::serves(self, runner.group, &job.repository);
            job.status == "queued" && in_scope && labels && group && !self.is_held_back(job)
        };
        self.jobs.values().find(serves).map(|job| job.id)
    }

    fn is_held_back(&self, job: &Job) -> bool {
        let Some((matrix, limit)) = &job.spec.max_parallel else { return false };
        let running = self.jobs.values().filter(|other| {
            other.run == job.run
                && other.status == "in_progress"
                && other.spec.max_parallel.as_ref().is_some_and(|(name, _)| name == matrix)
        });
        running.count() >= *limit
    }
}

/// Gives a job to a runner.
pub(crate) fn assign(state: &mut State, runner: u64, job: u64) {
    let now = state.now_ms();
    let Some((name, group)) = state.runners.get_mut(&runner).map(|found| {
        found.job = Some(job);
        (found.name.clone(), found.group)
    }) else {
        return;
    };
    if let Some(found) = state.jobs.get_mut(&job) {
        found.status = "in_progress";
        found.started_ms = Some(now);
        found.runner = Some((runner, name));
        found.group = group;
    }
    hooks::job(state, job, "in_progress");
}

/// Ends a job: its ephemeral runner's registration goes, and jobs that needed it are queued or skipped.
pub(crate) fn complete(state: &mut State, id: u64, conclusion: &str) {
    let now = state.now_ms();
    let Some(job) = state.jobs.get_mut(&id) else { return };
    if job.status == "completed" {
        return;
    }
    job.status = "completed";
    job.conclusion = Some(conclusion.to_owned());
    job.completed_ms = Some(now);
    let (run, name, runner) = (job.run, job.spec.name.clone(), job.runner.clone());
    if let Some((runner, _)) = runner {
        if state.runners.get(&runner).is_some_and(|runner| runner.ephemeral) {
            state.runners.remove(&runner);
        } else if let Some(runner) = state.runners.get_mut(&runner) {
            runner.job = None;
        }
    }
    hooks::job(state, id, "completed");
    let followers: Vec<u64> = state
        .jobs
        .values()
        .filter(|job| job.run == run && job.status == "pending" && job.spec.needs.contains(&name))
        .map(|job| job.id)
        .collect();
    for follower in followers {
        if conclusion != "success" {
            complete(state, follower, "skipped");
            continue;
        }
        let done = |need: &String| {
            state
                .jobs
                .values()
                .any(|job| job.run == run && &job.spec.name == need && job.conclusion.as_deref() == Some("success"))
        };
        let ready = state.jobs.get(&follower).is_some_and(|job| job.spec.needs.iter().all(done));
        if ready && let Some(job) = state.jobs.get_mut(&follower) {
            job.status = "queued";
            job.created_ms = now;
            hooks::job(state, follower, "queued");
        }
    }
}
