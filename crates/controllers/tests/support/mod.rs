//! The loop over a real ledger and queue, a clock that stands still, and doubles of GitHub and the machines that can be made to
//! fail at any call.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "each test file uses its part; a test that fails panics; what is counted is small"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use runnersmith_controllers::{CallLimits, Depth, Ports, Sets, World, levels::Levels, metrics::Metrics, pass};
use runnersmith_ports::contract::ledger::fact;
use runnersmith_ports::*;
use runnersmith_sqlite::SqliteStore;
use runnersmith_types::*;

/// What the doubles were asked, in order, and what they shall answer.
#[derive(Default)]
pub struct Script {
    /// `launch linux-…`, `terminate m`, `jit name`, `deregister id`, `put m`, …
    pub calls: Vec<String>,
    /// The next call that begins so fails in this way, once.
    pub faults: Vec<(String, Fault)>,
    pub machines: BTreeMap<MachineId, Machine>,
    pub by_batch: BTreeMap<BatchId, Vec<MachineId>>,
    pub registrations: BTreeMap<u64, Registration>,
    /// Registrations that no list shows.
    pub hidden: BTreeMap<u64, Registration>,
    pub handed: BTreeMap<MachineId, String>,
    pub put_at: BTreeMap<MachineId, Timestamp>,
    pub jobs: BTreeMap<JobId, JobFact>,
    pub notified: Vec<CheckRun>,
    /// Runs that are not just failed ones.
    pub runs: BTreeMap<RunId, RunSummary>,
    /// GitHub answers no call.
    pub is_down: bool,
    /// GitHub refuses registrations: their group is not there.
    pub has_no_group: bool,
    /// Where the App is installed, whether it is suspended there, and which repositories there are; `acme/shop` if it is empty.
    pub installed: BTreeMap<String, (bool, Vec<RepoFullName>)>,
    /// Owners whose calls GitHub limits, and until when; `the App` for its own.
    pub limited: BTreeMap<String, Timestamp>,
    /// The log of deliveries, oldest first: the delivery's id, when it was tried, and whether it arrived.
    pub log: Vec<(DeliveryId, Timestamp, bool)>,
    /// Deliveries that were asked for again, by their place in the log.
    pub asked: Vec<u64>,
    /// HTTP calls that what was asked of GitHub is worth.
    pub http: u64,
    /// Calls to GitHub that begin so are never answered.
    pub hangs: Vec<String>,
    /// Notified when such a call begins.
    pub hung: Arc<tokio::sync::Notify>,
    /// What machines said last.
    pub outputs: BTreeMap<MachineId, Vec<String>>,
    /// The list of machines shows none of their ends.
    pub ends_lag: bool,
    next: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The effect happens, the answer is lost.
    AnswerLost,
    /// Nothing happens.
    Unavailable,
    NoCapacity,
    /// Nothing happens, and the token is spent.
    NothingLaunched,
    RateLimited,
    Busy,
    /// GitHub answers 403.
    Refused,
    /// GitHub answers 404.
    Unknown,
    /// A mistake of ours: it panics. Of the list of machines alone.
    Panics,
}

/// So many things are on a page of GitHub's lists.
pub const PAGE: usize = 100;

#[derive(Clone)]
pub struct Doubles(pub Arc<Mutex<Script>>, pub Arc<ManualClock>);

impl Script {
    fn fault(&mut self, call: String) -> Option<Fault> {
        let found = self.faults.iter().position(|(beginning, _)| call.starts_with(beginning.as_str()));
        let mine = ["launch", "list", "terminate", "put"].iter().any(|beginning| call.starts_with(beginning));
        self.calls.push(call);
        if self.is_down && !mine {
            return Some(Fault::Unavailable);
        }
        found.map(|index| self.faults.remove(index).1)
    }
    pub fn count(&self, beginning: &str) -> usize {
        self.calls.iter().filter(|call| call.starts_with(beginning)).count()
    }
    /// Where the App is installed.
    fn owners(&self) -> BTreeMap<String, (bool, Vec<RepoFullName>)> {
        if self.installed.is_empty() {
            return BTreeMap::from([("acme".into(), (false, vec![RepoFullName::parse("acme/shop").unwrap()]))]);
        }
        self.installed.clone()
    }
    /// The App is installed for this owner, who has these repositories.
    pub fn install(&mut self, owner: &str, repositories: impl IntoIterator<Item = String>) {
        let repositories =
            repositories.into_iter().map(|name| RepoFullName::parse(&format!("{owner}/{name}")).unwrap());
        self.installed.insert(owner.to_owned(), (false, repositories.collect()));
    }
    pub fn fail(&mut self, beginning: &str, fault: Fault) {
        self.faults.push((beginning.to_owned(), fault));
    }
}

impl Doubles {
    /// Never returns for a call that hangs.
    async fn hang_if_asked(&self, call: &str) {
        let hung = {
            let script = self.script();
            script.hangs.iter().any(|beginning| call.starts_with(beginning)).then(|| script.hung.clone())
        };
        if let Some(hung) = hung {
            hung.notify_one();
            std::future::pending::<()>().await;
        }
    }

    pub fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.0.lock().unwrap()
    }
    /// Whether GitHub limits an owner's calls.
    fn limit(&self, script: &Script, owner: &str, operation: &'static str) -> Result<(), GitHubError> {
        match script.limited.get(owner) {
            Some(until) if *until > self.1.now() => {
                Err(GitHubError::RateLimited { operation, subject: owner.to_owned(), until: *until })
            }
            _ => Ok(()),
        }
    }
    fn github(&self, operation: &'static str, fault: Option<Fault>) -> Result<(), GitHubError> {
        let subject = "a double".to_owned();
        match fault {
            None => Ok(()),
            Some(Fault::RateLimited) => Err(GitHubError::RateLimited {
                operation,
                subject,
                until: self.1.now().plus(Duration::from_secs(1_800)),
            }),
            Some(Fault::Busy) => Err(GitHubError::Busy { operation, subject }),
            Some(Fault::Refused) => Err(GitHubError::Unauthorized { operation, subject, message: "403".into() }),
            Some(Fault::Unknown) => Err(GitHubError::NotFound { operation, subject }),
            Some(
                Fault::AnswerLost | Fault::Unavailable | Fault::NoCapacity | Fault::NothingLaunched | Fault::Panics,
            ) => Err(GitHubError::Transient { operation, subject, source: "502".into() }),
        }
    }
}

#[async_trait]
impl Machines for Doubles {
    async fn launch(&self, request: &LaunchRequest) -> Result<Vec<MachineId>, MachinesError> {
        let now = self.1.now();
        let mut script = self.script();
        let fault = script.fault(format!("launch {}", request.batch.runners.len()));
        if fault == Some(Fault::NoCapacity) {
            return Err(MachinesError::NoCapacity { operation: "launch", pool: request.batch.pool.clone() });
        }
        if fault == Some(Fault::NothingLaunched) {
            return Err(MachinesError::NothingLaunched { operation: "launch", what: "throttled".into() });
        }
        let lost = || MachinesError::Failed { operation: "launch", source: "timeout".into() };
        if fault == Some(Fault::Unavailable) {
            return Err(lost());
        }
        if !script.by_batch.contains_key(&request.batch.id) {
            let mut ids = Vec::new();
            for _ in &request.batch.runners {
                script.next += 1;
                let id = MachineId::parse(&format!("m-{:04}", script.next)).unwrap();
                script.machines.insert(
                    id.clone(),
                    Machine {
                        id: id.clone(),
                        set: request.batch.set.clone(),
                        control_plane: request.control_plane.clone(),
                        batch: request.batch.id.clone(),
                        state: MachineState::Running,
                        status: Some(MachineStatus::Booting),
                        launched_at: now,
                        pool: request.batch.pool.clone(),
                        interrupted_at: None,
                    },
                );
                ids.push(id);
            }
            script.by_batch.insert(request.batch.id.clone(), ids);
        }
        if fault.is_some() {
            return Err(lost());
        }
        Ok(script.by_batch[&request.batch.id].clone())
    }
    async fn list(&self, set: &ScaleSetName, _control_plane: &ControlPlaneId) -> Result<Vec<Machine>, MachinesError> {
        let mut script = self.script();
        let fault = script.fault("list".into());
        if fault == Some(Fault::Panics) {
            drop(script);
            panic!("as the test wants it");
        }
        if fault.is_some() {
            return Err(MachinesError::Throttled { operation: "list" });
        }
        Ok(script.machines.values().filter(|machine| &machine.set == set).cloned().collect())
    }
    async fn sets(&self, _control_plane: &ControlPlaneId) -> Result<BTreeSet<ScaleSetName>, MachinesError> {
        let alive = |machine: &&Machine| machine.state != MachineState::Ended;
        Ok(self.script().machines.values().filter(alive).map(|machine| machine.set.clone()).collect())
    }
    async fn reported(
        &self,
        events: &[MachineEvent],
        control_plane: &ControlPlaneId,
    ) -> Result<BTreeSet<ScaleSetName>, MachinesError> {
        let mut script = self.script();
        // Of one machine, by its id, a test may want a failure whatever else is asked for.
        let ids: Vec<String> = events.iter().map(|event| event.machine.to_string()).collect();
        script.calls.push(format!("reported {}", ids.len()));
        for id in ids {
            match script.fault(format!("report of {id}")) {
                None => {}
                Some(Fault::RateLimited) => return Err(MachinesError::Throttled { operation: "reported" }),
                Some(_) => {
                    return Err(MachinesError::Failed { operation: "reported", source: "no answer".into() });
                }
            }
        }
        let mut sets = BTreeSet::new();
        for event in events {
            let ours = |machine: &&mut Machine| machine.control_plane == *control_plane;
            if let Some(machine) = script.machines.get_mut(&event.machine).filter(ours) {
                machine.interrupted_at = event.taken_back_at.or(machine.interrupted_at);
                sets.insert(machine.set.clone());
            }
        }
        Ok(sets)
    }
    async fn output(&self, machine: &MachineId) -> Result<Vec<String>, MachinesError> {
        let mut script = self.script();
        script.calls.push(format!("output {machine}"));
        script.outputs.get(machine).cloned().ok_or(MachinesError::Throttled { operation: "output" })
    }
    async fn terminate(&self, ids: &[MachineId]) -> Result<(), MachinesError> {
        let mut script = self.script();
        script.calls.push(format!("end {} together", ids.len()));
        for id in ids {
            if script.fault(format!("terminate {id}")).is_some() {
                return Err(MachinesError::Throttled { operation: "terminate" });
            }
            let lags = script.ends_lag;
            if let Some(machine) = script.machines.get_mut(id).filter(|_| !lags) {
                machine.state = MachineState::Ended;
            }
        }
        Ok(())
    }
    async fn wait(&self, _timeout: Duration) {
        // Nothing is ever reported, and no time makes up for it: a wake that is lost shows.
        std::future::pending().await
    }
}

#[async_trait]
impl HandOff for Doubles {
    async fn put(
        &self,
        id: &MachineId,
        name: &RunnerName,
        _: &RunnerScope,
        config: &RunnerConfig,
    ) -> Result<(), HandOffError> {
        let mut script = self.script();
        if script.fault(format!("put {name}")).is_some() {
            return Err(HandOffError::Throttled { operation: "put", machine: id.clone() });
        }
        let kind = if matches!(config, RunnerConfig::Jit { .. }) { "jit" } else { "token" };
        script.handed.insert(id.clone(), kind.into());
        script.put_at.insert(id.clone(), self.1.now());
        Ok(())
    }
    async fn pending(&self, id: &MachineId) -> Result<bool, HandOffError> {
        Ok(self.script().handed.contains_key(id))
    }
    async fn waiting(&self) -> Result<Vec<(MachineId, Timestamp)>, HandOffError> {
        let script = self.script();
        Ok(script.handed.keys().map(|id| (id.clone(), script.put_at[id])).collect())
    }
    async fn expire(&self, id: &MachineId) -> Result<(), HandOffError> {
        let mut script = self.script();
        script.calls.push(format!("expire {id}"));
        script.handed.remove(id);
        Ok(())
    }
}

#[async_trait]
impl GitHub for Doubles {
    async fn job(&self, _: &RepoFullName, id: JobId) -> Result<JobFact, GitHubError> {
        let mut script = self.script();
        let fault = script.fault(format!("job {id}"));
        script.http += 1;
        self.github("job", fault)?;
        let found = script.jobs.get(&id).cloned();
        // What GitHub says now is as old as now.
        let found = found.map(|fact| JobFact { received_at: self.1.now(), ..fact });
        found.ok_or(GitHubError::NotFound { operation: "job", subject: id.to_string() })
    }
    async fn registrations(&self, at: &RunnerScope) -> Result<Vec<Registration>, GitHubError> {
        let mut script = self.script();
        let fault = script.fault(format!("registrations {at}"));
        script.http += 1;
        self.github("registrations", fault)?;
        Ok(script.registrations.values().cloned().collect())
    }
    async fn registration(&self, _: &RunnerScope, id: RegistrationId) -> Result<Registration, GitHubError> {
        let mut script = self.script();
        let fault = script.fault(format!("registration {id}"));
        script.http += 1;
        self.github("registration", fault)?;
        let found = script.registrations.get(&id.0).or_else(|| script.hidden.get(&id.0)).cloned();
        found.ok_or(GitHubError::NotFound { operation: "registration", subject: id.to_string() })
    }
    async fn registration_by_name(&self, _: &RunnerScope, name: &str) -> Result<Option<Registration>, GitHubError> {
        let mut script = self.script();
        let fault = script.fault(format!("by name {name}"));
        script.http += 1;
        self.github("registration by name", fault)?;
        Ok(script.registrations.values().find(|found| found.name == name).cloned())
    }
    async fn jit_config(&self, request: &JitRequest) -> Result<JitConfig, GitHubError> {
        self.hang_if_asked("jit").await;
        let mut script = self.script();
        let fault = script.fault(format!("jit {}", request.name));
        script.http += 1;
        if matches!(fault, Some(Fault::Unavailable | Fault::RateLimited)) {
            self.github("jit", fault)?;
        }
        if script.has_no_group {
            let subject = format!("runner group \"{}\" of {}", request.group, request.at);
            return Err(GitHubError::NotFound { operation: "runner groups", subject });
        }
        if script.registrations.values().any(|found| found.name == request.name) {
            let (operation, subject) = ("jit", request.name.clone());
            return Err(GitHubError::Conflict { operation, subject, message: "already exists".into() });
        }
        script.next += 1;
        let id = 1_000 + script.next;
        let name = request.name.clone();
        let made = Registration { id: RegistrationId(id), name, online: false, busy: false, labels: Vec::new() };
        script.registrations.insert(id, made);
        self.github("jit", fault)?;
        Ok(JitConfig { registration: RegistrationId(id), encoded: Secret::new("config") })
    }
    async fn registration_token(&self, at: &RunnerScope) -> Result<RegistrationToken, GitHubError> {
        let mut script = self.script();
        let fault = script.fault(format!("token {at}"));
        script.http += 1;
        self.github("token", fault)?;
        let expires_at = self.1.now().plus(Duration::from_secs(3_600));
        Ok(RegistrationToken { token: Secret::new("t"), expires_at, url: "https://github.com/acme".into() })
    }
    async fn deregister(&self, _: &RunnerScope, id: RegistrationId) -> Result<(), GitHubError> {
        let mut script = self.script();
        let fault = script.fault(format!("deregister {id}"));
        script.http += 1;
        self.github("deregister", fault)?;
        script.registrations.remove(&id.0);
        Ok(())
    }
    async fn installed(&self) -> Result<Vec<InstalledOwner>, GitHubError> {
        let mut script = self.script();
        let fault = script.fault("installed".into());
        let owners = script.owners();
        script.http += owners.len().div_ceil(PAGE).max(1) as u64;
        self.limit(&script, "the App", "installed")?;
        self.github("installed", fault)?;
        let shown = |(owner, (is_suspended, _)): (&String, &(bool, _))| InstalledOwner {
            owner: Owner::parse(owner).unwrap(),
            is_suspended: *is_suspended,
        };
        Ok(owners.iter().map(shown).collect())
    }
    async fn repositories(&self, owner: &Owner, page: u32) -> Result<RepositoryPage, GitHubError> {
        let mut script = self.script();
        let fault = script.fault(format!("repositories {owner} {page}"));
        script.http += 1;
        self.limit(&script, owner.as_str(), "repositories")?;
        self.github("repositories", fault)?;
        let owners = script.owners();
        let (is_suspended, all) = &owners[owner.as_str()];
        assert!(!is_suspended, "a suspended installation is asked");
        let repositories: Vec<RepoFullName> = all.iter().skip((page as usize - 1) * PAGE).take(PAGE).cloned().collect();
        Ok(RepositoryPage { is_last: repositories.len() < PAGE, repositories })
    }
    async fn sweep(&self, repo: &RepoFullName) -> Result<Vec<JobFact>, GitHubError> {
        let call = format!("sweep {repo}");
        let fault = self.script().fault(call.clone());
        self.script().http += 1;
        self.hang_if_asked(&call).await;
        let script = self.script();
        self.limit(&script, repo.owner().as_str(), "sweep")?;
        self.github("sweep", fault)?;
        Ok(script.jobs.values().filter(|job| &job.repo == repo && job.status.is_open()).cloned().collect())
    }
    async fn run(&self, _: &RepoFullName, id: RunId) -> Result<RunSummary, GitHubError> {
        let mut script = self.script();
        let fault = script.fault(format!("run {id}"));
        script.http += 1;
        self.github("run", fault)?;
        Ok(script.runs.get(&id).cloned().unwrap_or_else(|| run(id.0, "completed", Some("failure"))))
    }
    async fn runs_of_branch(&self, _: &RepoFullName, branch: &str, _: &str) -> Result<Vec<RunSummary>, GitHubError> {
        let mut script = self.script();
        let fault = script.fault(format!("runs of {branch}"));
        script.http += 1;
        self.github("runs", fault)?;
        Ok(script.runs.values().filter(|run| run.branch == branch).cloned().collect())
    }
    async fn rerun_failed(&self, _: &RepoFullName, id: RunId) -> Result<(), GitHubError> {
        let mut script = self.script();
        let fault = script.fault(format!("rerun {id}"));
        script.http += 1;
        if matches!(fault, None | Some(Fault::AnswerLost)) {
            let again = script.runs.entry(id).or_insert_with(|| run(id.0, "completed", Some("failure")));
            (again.run_attempt, again.status, again.conclusion) = (again.run_attempt + 1, "queued".into(), None);
        }
        self.github("re-run", fault)
    }
    async fn deliveries(&self, page: Option<&str>) -> Result<DeliveryPage, GitHubError> {
        let mut script = self.script();
        let fault = script.fault(format!("deliveries {}", page.unwrap_or("newest")));
        script.http += 1;
        self.limit(&script, "the App", "deliveries")?;
        self.github("deliveries", fault)?;
        let before = page.map_or(script.log.len(), |page| page.parse().unwrap());
        let begin = before.saturating_sub(PAGE);
        let mut shown = DeliveryPage {
            oldest_at: script.log.get(begin).map(|(_, at, _)| *at),
            next: (begin > 0).then(|| begin.to_string()),
            ..DeliveryPage::default()
        };
        for (id, (guid, at, has_arrived)) in script.log[..before].iter().enumerate().skip(begin).rev() {
            let (id, guid, at) = (id as u64, guid.clone(), *at);
            if *has_arrived {
                shown.delivered.push(guid);
            } else {
                shown.failed.push(FailedDelivery { id, guid, at, event: "workflow_job".into() });
            }
        }
        Ok(shown)
    }
    async fn redeliver(&self, id: u64) -> Result<(), GitHubError> {
        let call = format!("redeliver {id}");
        self.hang_if_asked(&call).await;
        let mut script = self.script();
        let fault = script.fault(call);
        script.http += 1;
        self.limit(&script, "the App", "redeliver")?;
        self.github("redeliver", fault)?;
        script.asked.push(id);
        let again = (script.log[id as usize].0.clone(), self.1.now(), true);
        script.log.push(again);
        Ok(())
    }
    async fn notify(&self, check: &CheckRun) -> Result<u64, GitHubError> {
        {
            let mut script = self.script();
            let fault = script.fault("notify".into());
            script.http += 1;
            self.github("notify", fault)?;
            script.notified.push(check.clone());
        }
        self.hang_if_asked("notify").await;
        Ok(check.id.unwrap_or(7))
    }
    async fn whoami(&self) -> Result<String, GitHubError> {
        Ok("double".into())
    }
}

/// A run at its first attempt, on the branch `main`.
pub fn run(id: u64, status: &str, conclusion: Option<&str>) -> RunSummary {
    RunSummary {
        id: RunId(id),
        status: status.into(),
        conclusion: conclusion.map(|word| Conclusion(word.into())),
        run_attempt: 1,
        workflow: 3,
        branch: "main".into(),
        event: "push".into(),
        head_repository: 5,
    }
}

pub struct Bed {
    pub world: World,
    pub doubles: Doubles,
    pub clock: Arc<ManualClock>,
    home: tempfile::TempDir,
}

pub fn set(name: &str) -> ScaleSetName {
    ScaleSetName::parse(name).unwrap()
}

pub fn policy(runners_max: u32) -> ScaleSet {
    let labels = ["self-hosted", "linux"].iter().map(|label| Label::of_set(label).unwrap()).collect();
    ScaleSet { runners_max, ..ScaleSet::new(set("linux"), labels) }
}

impl Bed {
    pub fn new(policy: ScaleSet) -> Self {
        let home = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_secs(1_800_000_000)));
        let doubles = Doubles(Arc::default(), clock.clone());
        let world = world(home.path(), policy, &doubles, &clock, "one");
        Self { world, doubles, clock, home }
    }

    /// Another process on the same ledger; or the same one after a crash.
    pub fn another(&self, holder: &str) -> World {
        world(self.home.path(), self.world.sets.load()[0].clone(), &self.doubles, &self.clock, holder)
    }

    /// From now on the ledger cannot write this job's record, or can again.
    pub fn refuse_job(&self, id: u64, is_refused: bool) {
        self.refuse(&format!("INSERT ON jobs WHEN NEW.id = {id}"), is_refused);
    }

    /// From now on the ledger cannot make this change, or can again.
    pub fn refuse(&self, change: &str, is_refused: bool) {
        let file = rusqlite::Connection::open(self.home.path().join("ledger")).unwrap();
        file.busy_timeout(Duration::from_secs(10)).unwrap();
        let make =
            format!("CREATE TRIGGER refused BEFORE {change} BEGIN SELECT RAISE(ABORT, 'refused by the test'); END");
        file.execute_batch(if is_refused { &make } else { "DROP TRIGGER refused" }).unwrap();
    }

    pub fn clock_now(&self) -> Timestamp {
        self.clock.now()
    }

    pub async fn queued(&self, ids: std::ops::RangeInclusive<u64>) {
        let facts = ids.map(|id| fact(id, id, JobStatus::Queued, FactSource::Delivery, self.clock.now())).collect();
        self.world.ports.ledger.record_facts(facts, &[set("linux")]).await.unwrap();
    }

    pub async fn fact(&self, id: u64, status: JobStatus, runner: Option<&Runner>) {
        let mut fact = fact(id, id, status, FactSource::Delivery, self.clock.now());
        fact.runner_name = runner.map(|runner| runner.registration_name().to_string());
        self.world.ports.ledger.record_facts(vec![fact], &[set("linux")]).await.unwrap();
    }

    pub async fn pass(&self, depth: Depth) -> runnersmith_controllers::Passed {
        pass(&self.world, &set("linux"), depth).await.unwrap()
    }

    pub async fn runners(&self) -> Vec<Runner> {
        self.world.ports.ledger.live_runners(&set("linux")).await.unwrap()
    }

    /// Every machine's runner comes online by its own word.
    pub async fn online(&self) {
        for machine in self.doubles.script().machines.values_mut() {
            if machine.status == Some(MachineStatus::Booting) {
                machine.status = Some(MachineStatus::Listening);
            }
        }
        for registration in self.doubles.script().registrations.values_mut() {
            registration.online = true;
        }
        self.pass(Depth::Full).await;
    }

    pub fn machines_made(&self) -> usize {
        self.doubles.script().machines.len()
    }

    pub fn distinct_names(&self) -> BTreeSet<String> {
        self.doubles.script().registrations.values().map(|found| found.name.clone()).collect()
    }
}

fn world(home: &std::path::Path, policy: ScaleSet, doubles: &Doubles, clock: &Arc<ManualClock>, holder: &str) -> World {
    let store = SqliteStore::open(&home.join("ledger"), clock.clone()).unwrap();
    World {
        ports: Ports {
            queue: Arc::new(store.queue()),
            lookups: Some(Arc::new(store.lookups())),
            ledger: Arc::new(store.ledger()),
            machines: Arc::new(doubles.clone()),
            hand_off: Arc::new(doubles.clone()),
            github: Arc::new(doubles.clone()),
            clock: clock.clone(),
        },
        sets: Sets::new(vec![policy]),
        retired: runnersmith_controllers::housekeeping::retired_timing(),
        limits: CallLimits { jit_per_minute: 150, calls_per_minute: 900 },
        levels: Arc::new(Levels::default()),
        metrics: Arc::new(Metrics::new()),
        holder: holder.into(),
        lease_ttl: runnersmith_controllers::pass::LEASE_TTL,
        tasks: Arc::default(),
        faults: Arc::default(),
        observer: None,
    }
}
