//! Ports with a deliberate bug each, put between a control plane and the world's own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use runnersmith_controllers::{Ports, World};
use runnersmith_ports::*;
use runnersmith_types::*;
use runnersmith_world::Alter;

fn with_ports(change: impl Fn(&mut Ports) + Send + Sync + 'static) -> Alter {
    Arc::new(move |mut world: World| {
        change(&mut world.ports);
        world
    })
}

/// What a bug does to machines.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum MachinesBug {
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

pub fn machines(bug: MachinesBug) -> Alter {
    with_ports(move |ports| ports.machines = Arc::new(BadMachines(ports.machines.clone(), bug, AtomicU64::new(0))))
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

pub fn queue(early: bool) -> Alter {
    with_ports(move |ports| ports.queue = Arc::new(BadQueue { queue: ports.queue.clone(), early }))
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

/// What a bug does to GitHub's answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum GitHubBug {
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

pub fn github(bug: GitHubBug) -> Alter {
    with_ports(move |ports| ports.github = Arc::new(BadGitHub(ports.github.clone(), bug)))
}

/// Hand-offs that are never taken back.
pub fn hand_off() -> Alter {
    with_ports(|ports| ports.hand_off = Arc::new(BadHandOff(ports.hand_off.clone())))
}
