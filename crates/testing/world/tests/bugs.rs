//! Bugs that are put in on purpose, each between the control plane and its ports: a checker that finds none of them would be no checker.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use runnersmith_controllers::{Ports, Sets, World};
use runnersmith_ports::*;
use runnersmith_types::*;
use runnersmith_world::options::Faults;
use runnersmith_world::{Alter, Options, Rule, run};

/// Some world of the first seeds shows that the bug breaks the rule; without the bug none of them breaks it.
fn found(
    rule: Rule,
    faults: &Faults,
    change: impl Fn(&mut Options),
    bug: impl Fn(World) -> World + Send + Sync + 'static,
) {
    let alter: Alter = Arc::new(bug);
    let mut worlds = (1..=12).map(|seed| {
        let mut options = Options { faults: faults.clone(), ..Options::of_seed(seed).without_faults() };
        (options.jobs, options.busy_time) = (options.jobs.min(30), options.busy_time.min(Duration::from_secs(3_600)));
        change(&mut options);
        options
    });
    let breaks = |options: Options, alter: Option<&Alter>| {
        run(options, alter, false).violations.iter().any(|violation| violation.rule == rule)
    };
    let options = worlds.find(|options| breaks(options.clone(), Some(&alter)));
    let options = options.unwrap_or_else(|| panic!("no world shows that {rule:?} is broken"));
    assert!(!breaks(options.clone(), None), "seed {} breaks {rule:?} without the bug", options.seed);
}

fn with_ports(change: impl Fn(&mut Ports) + Send + Sync + 'static) -> impl Fn(World) -> World + Send + Sync + 'static {
    move |mut world| {
        change(&mut world.ports);
        world
    }
}

/// What a bug does to machines.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MachinesBug {
    /// A launch is made again under another token.
    Tokenless,
    /// A machine that has a job is ended.
    EndsBusy,
    /// A source changes its mind with each look.
    Wavers,
    /// No machine is ever launched.
    Never,
    /// An end is asked for again and again.
    Repeats,
    /// It panics once in a while.
    Panics,
}

struct BadMachines(Arc<dyn Machines>, MachinesBug, AtomicU64);

impl BadMachines {
    fn count(&self) -> u64 {
        self.2.fetch_add(1, Ordering::Relaxed)
    }
}

#[async_trait]
impl Machines for BadMachines {
    async fn launch(&self, request: &LaunchRequest) -> Result<Vec<MachineId>, MachinesError> {
        let mut request = request.clone();
        if self.1 == MachinesBug::Tokenless {
            request.batch.id = BatchId::parse(&format!("call-{}", self.count())).unwrap();
        }
        if self.1 == MachinesBug::Never {
            return Err(MachinesError::Quota { operation: "launch", what: "all".into() });
        }
        self.0.launch(&request).await
    }
    async fn sets(&self, control_plane: &ControlPlaneId) -> Result<BTreeSet<ScaleSetName>, MachinesError> {
        self.0.sets(control_plane).await
    }
    async fn list(&self, set: &ScaleSetName, control_plane: &ControlPlaneId) -> Result<Vec<Machine>, MachinesError> {
        let mut listed = self.0.list(set, control_plane).await?;
        let look = self.count();
        for machine in &mut listed {
            let works = machine.state == MachineState::Running && machine.status == Some(MachineStatus::Busy);
            let listens = machine.status == Some(MachineStatus::Listening);
            if works && self.1 == MachinesBug::EndsBusy {
                self.0.terminate(std::slice::from_ref(&machine.id)).await?;
            }
            if listens && self.1 == MachinesBug::Wavers && look.is_multiple_of(2) {
                machine.status = Some(MachineStatus::Busy);
            }
        }
        assert!(self.1 != MachinesBug::Panics || look % 50 != 49, "the bug of this test");
        Ok(listed)
    }
    async fn terminate(&self, ids: &[MachineId]) -> Result<(), MachinesError> {
        if self.1 == MachinesBug::Repeats {
            self.0.terminate(ids).await?;
            self.0.terminate(ids).await?;
        }
        self.0.terminate(ids).await
    }
    async fn wait(&self, timeout: Duration) {
        self.0.wait(timeout).await;
    }
}

fn machines(bug: MachinesBug) -> impl Fn(World) -> World + Send + Sync + 'static {
    with_ports(move |ports| ports.machines = Arc::new(BadMachines(ports.machines.clone(), bug, AtomicU64::new(0))))
}

#[test]
fn a_launch_that_is_repeated_without_its_token_is_found() {
    let faults = Faults { launch_error_after: 300_000, ..Faults::default() };
    found(Rule::OneMachinePerIntent, &faults, |_| {}, machines(MachinesBug::Tokenless));
}

#[test]
fn a_busy_machine_that_is_ended_is_found() {
    found(Rule::BusyIsKept, &Faults::default(), |_| {}, machines(MachinesBug::EndsBusy));
}

#[test]
fn what_is_marked_and_unmarked_in_one_pass_is_found() {
    found(Rule::NothingIsUnmarked, &Faults::default(), short, machines(MachinesBug::Wavers));
}

#[test]
fn a_pass_that_does_not_come_to_rest_is_found() {
    found(Rule::PassesRest, &Faults::default(), short, machines(MachinesBug::Wavers));
}

#[test]
fn an_effect_that_is_repeated_in_vain_is_found() {
    found(Rule::NoEffectIsRepeated, &Faults::default(), short, machines(MachinesBug::Repeats));
}

#[test]
fn a_job_that_never_runs_is_found() {
    found(Rule::EveryJobRuns, &Faults::default(), |_| {}, machines(MachinesBug::Never));
}

#[test]
fn a_panic_in_a_task_is_found() {
    found(Rule::NoPanic, &Faults::default(), |_| {}, machines(MachinesBug::Panics));
}

/// A short world with a few jobs, for bugs that make the loop run hot. Its sets keep runners idle, so that there are some.
fn short(options: &mut Options) {
    (options.jobs, options.busy_time, options.quiet_time) = (5, Duration::from_secs(600), Duration::from_secs(600));
    options.sets.truncate(1);
    for set in &mut options.sets {
        set.scope.at = Some(RunnerScope::Organization(Owner::parse("acme").unwrap()));
        let time_zone = "UTC".to_owned();
        set.min_idle =
            vec![MinIdleEntry::Window { days: Vec::new(), from_minute: 0, to_minute: 0, time_zone, count: 2 }];
        set.runners_max = set.runners_max.max(4);
    }
}

#[test]
fn a_maximum_that_is_exceeded_is_found() {
    let higher = |world: World| {
        let higher = |set: &ScaleSet| ScaleSet { runners_max: set.runners_max + 3, ..set.clone() };
        let sets = Sets::new(world.sets.load().iter().map(higher).collect());
        World { sets, ..world }
    };
    let crowd = |options: &mut Options| {
        options.burst = 1_000_000;
        options.sets.iter_mut().for_each(|set| set.runners_max = 2);
    };
    found(Rule::Maximum, &Faults::default(), crowd, higher);
}

/// A queue whose messages are gone when they are received, or never go.
struct BadQueue {
    queue: Arc<dyn Queue>,
    /// Acknowledged before they are recorded; else not at all.
    early: bool,
}

#[async_trait]
impl Queue for BadQueue {
    async fn send(&self, body: &str, delay: Duration) -> Result<(), QueueError> {
        self.queue.send(body, delay).await
    }
    async fn receive(&self, max: usize, visibility: Duration) -> Result<Vec<ReceivedMessage>, QueueError> {
        let received = self.queue.receive(max, visibility).await?;
        if self.early {
            let receipts: Vec<Receipt> = received.iter().map(|message| message.receipt.clone()).collect();
            self.queue.acknowledge(&receipts).await?;
        }
        Ok(received)
    }
    async fn wait(&self, timeout: Duration) {
        self.queue.wait(timeout).await;
    }
    async fn extend(&self, receipt: &Receipt, visibility: Duration) -> Result<bool, QueueError> {
        self.queue.extend(receipt, visibility).await
    }
    async fn acknowledge(&self, receipts: &[Receipt]) -> Result<usize, QueueError> {
        if self.early { self.queue.acknowledge(receipts).await } else { Ok(0) }
    }
    async fn dead_letter(&self, receipt: &Receipt, why: &str) -> Result<bool, QueueError> {
        self.queue.dead_letter(receipt, why).await
    }
    async fn depth(&self) -> Result<(u64, u64, u64), QueueError> {
        self.queue.depth().await
    }
}

fn queue(early: bool) -> impl Fn(World) -> World + Send + Sync + 'static {
    with_ports(move |ports| ports.queue = Arc::new(BadQueue { queue: ports.queue.clone(), early }))
}

#[test]
fn a_message_that_is_acknowledged_before_its_fact_is_found() {
    found(Rule::AcknowledgedAfterFact, &Faults::default(), |_| {}, queue(true));
}

#[test]
fn a_good_message_that_becomes_a_dead_letter_is_found() {
    found(Rule::NoDeadLetter, &Faults::default(), |_| {}, queue(false));
}

/// A hand-off that is never taken back.
struct BadHandOff(Arc<dyn HandOff>);

#[async_trait]
impl HandOff for BadHandOff {
    async fn put(
        &self,
        machine: &MachineId,
        runner: &RunnerName,
        at: &RunnerScope,
        config: &RunnerConfig,
    ) -> Result<(), HandOffError> {
        self.0.put(machine, runner, at, config).await
    }
    async fn pending(&self, machine: &MachineId) -> Result<bool, HandOffError> {
        self.0.pending(machine).await
    }
    async fn waiting(&self) -> Result<Vec<(MachineId, Timestamp)>, HandOffError> {
        self.0.waiting().await
    }
    async fn expire(&self, _: &MachineId) -> Result<(), HandOffError> {
        Ok(())
    }
}

#[test]
fn a_hand_off_that_is_left_over_is_found() {
    let faults = Faults { boot_never: 300_000, ..Faults::default() };
    let bug = with_ports(|ports| ports.hand_off = Arc::new(BadHandOff(ports.hand_off.clone())));
    found(Rule::NoHandOffLeft, &faults, |_| {}, bug);
}

/// What a bug does to GitHub's answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum GitHubBug {
    /// A removal is said to have been made, and was not.
    KeepsRegistrations,
    /// An error has a secret in it.
    Leaks,
    /// Nothing is ever posted.
    Silent,
}

struct BadGitHub(Arc<dyn GitHub>, GitHubBug);

#[async_trait]
impl GitHub for BadGitHub {
    async fn job(&self, repo: &RepoFullName, id: JobId) -> Result<JobFact, GitHubError> {
        self.0.job(repo, id).await
    }
    async fn registrations(&self, at: &RunnerScope) -> Result<Vec<Registration>, GitHubError> {
        self.0.registrations(at).await
    }
    async fn registration(&self, at: &RunnerScope, id: RegistrationId) -> Result<Registration, GitHubError> {
        self.0.registration(at, id).await
    }
    async fn registration_by_name(&self, at: &RunnerScope, name: &str) -> Result<Option<Registration>, GitHubError> {
        self.0.registration_by_name(at, name).await
    }
    async fn jit_config(&self, request: &JitRequest) -> Result<JitConfig, GitHubError> {
        let config = self.0.jit_config(request).await?;
        if self.1 == GitHubBug::Leaks {
            let (operation, subject) = ("jit", request.name.clone());
            let message = config.encoded.expose().to_owned();
            return Err(GitHubError::Refused { operation, subject, status: 400, message });
        }
        Ok(config)
    }
    async fn registration_token(&self, at: &RunnerScope) -> Result<RegistrationToken, GitHubError> {
        self.0.registration_token(at).await
    }
    async fn deregister(&self, at: &RunnerScope, id: RegistrationId) -> Result<(), GitHubError> {
        if self.1 == GitHubBug::KeepsRegistrations {
            return Ok(());
        }
        self.0.deregister(at, id).await
    }
    async fn installed(&self) -> Result<Vec<InstalledOwner>, GitHubError> {
        self.0.installed().await
    }
    async fn repositories(&self, owner: &Owner, page: u32) -> Result<RepositoryPage, GitHubError> {
        self.0.repositories(owner, page).await
    }
    async fn sweep(&self, repo: &RepoFullName) -> Result<Vec<JobFact>, GitHubError> {
        self.0.sweep(repo).await
    }
    async fn run(&self, repo: &RepoFullName, id: RunId) -> Result<RunSummary, GitHubError> {
        self.0.run(repo, id).await
    }
    async fn runs_of_branch(
        &self,
        repo: &RepoFullName,
        branch: &str,
        event: &str,
    ) -> Result<Vec<RunSummary>, GitHubError> {
        self.0.runs_of_branch(repo, branch, event).await
    }
    async fn rerun_failed(&self, repo: &RepoFullName, id: RunId) -> Result<(), GitHubError> {
        self.0.rerun_failed(repo, id).await
    }
    async fn deliveries(&self, page: Option<&str>) -> Result<DeliveryPage, GitHubError> {
        self.0.deliveries(page).await
    }
    async fn redeliver(&self, id: u64) -> Result<(), GitHubError> {
        self.0.redeliver(id).await
    }
    async fn notify(&self, check: &CheckRun) -> Result<u64, GitHubError> {
        if self.1 == GitHubBug::Silent { Ok(7) } else { self.0.notify(check).await }
    }
    async fn whoami(&self) -> Result<String, GitHubError> {
        self.0.whoami().await
    }
}

fn github(bug: GitHubBug) -> impl Fn(World) -> World + Send + Sync + 'static {
    with_ports(move |ports| ports.github = Arc::new(BadGitHub(ports.github.clone(), bug)))
}

#[test]
fn a_registration_that_is_left_over_is_found() {
    let faults = Faults { boot_never: 300_000, ..Faults::default() };
    found(Rule::NoRegistrationLeft, &faults, |_| {}, github(GitHubBug::KeepsRegistrations));
}

#[test]
fn a_secret_that_is_stored_is_found() {
    found(Rule::NoSecretStored, &Faults::default(), short, github(GitHubBug::Leaks));
}

#[test]
fn a_job_of_which_nobody_is_notified_is_found() {
    let impossible = |options: &mut Options| options.impossible = 300_000;
    found(Rule::AuthorIsNotified, &Faults::default(), impossible, github(GitHubBug::Silent));
}
