//! A root of its own for each test, with a distribution made of shell scripts, and an end that leaves no process behind.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use runnersmith_local::{LocalConfig, LocalHandOff, LocalMachines};
use runnersmith_ports::{Clock, HandOff, LaunchRequest, Machines, RunnerConfig, SystemClock};
use runnersmith_types::{
    Batch, BatchId, ControlPlaneId, FallbackOrder, Machine, MachineId, MachineState, MachineStatus, Owner,
    RecordVersion, RunnerName, RunnerScope, ScaleSetName, Secret,
};

pub const SUPERVISOR: &str = env!("CARGO_BIN_EXE_runnersmith-machine");

/// The computer's clock plus what the test has added.
#[derive(Default)]
pub struct AheadClock(AtomicI64);

impl AheadClock {
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for AheadClock {
    fn now(&self) -> runnersmith_types::Timestamp {
        let ahead = u64::try_from(self.0.load(Ordering::SeqCst)).unwrap();
        SystemClock.now().plus(Duration::from_millis(ahead))
    }
}

pub struct World {
    pub dir: tempfile::TempDir,
    pub config: LocalConfig,
    pub clock: Arc<AheadClock>,
    pub machines: LocalMachines,
    pub hand_off: LocalHandOff,
    pub hard_end: Duration,
}

/// What `run.sh` does in most tests: it listens until it is asked to end.
pub const LISTENS: &str = "echo 'x: Listening for Jobs'; exec sleep 300";

impl World {
    pub fn new(run: &str) -> Self {
        Self::with(run, |_| {})
    }

    pub fn with(run: &str, change: impl FnOnce(&mut LocalConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let distribution = dir.path().join("distribution");
        fs::create_dir_all(distribution.join("bin")).unwrap();
        script(&distribution.join("run.sh"), run);
        script(&distribution.join("config.sh"), "echo \"$@\" > configured; echo \"$ACTIONS_RUNNER_INPUT_TOKEN\"");
        let root = dir.path().join("root");
        let mut config = LocalConfig::new(root, vec![OsString::from(SUPERVISOR)], distribution);
        config.kill_grace = Duration::from_millis(300);
        change(&mut config);
        let clock = Arc::new(AheadClock::default());
        let machines = LocalMachines::new(config.clone(), clock.clone()).unwrap();
        let hand_off = LocalHandOff::new(&config.root);
        Self { dir, config, clock, machines, hand_off, hard_end: Duration::from_secs(3600) }
    }

    pub fn request(&self, batch: &str, count: usize) -> LaunchRequest {
        let now = SystemClock.now();
        LaunchRequest {
            batch: Batch {
                id: BatchId::parse(batch).unwrap(),
                set: ScaleSetName::parse("linux").unwrap(),
                pool: FallbackOrder::local().pools[0].clone(),
                runners: (0..count).map(|n| RunnerName::parse(&format!("linux-alpha1-{n}")).unwrap()).collect(),
                stored_at: now,
                hard_end_at: now.plus(self.hard_end),
                settled: false,
                record_version: RecordVersion::CURRENT,
            },
            control_plane: ControlPlaneId::parse("alpha1").unwrap(),
        }
    }

    pub async fn launch_one(&self) -> MachineId {
        self.machines.launch(&self.request("batch", 1)).await.unwrap().remove(0)
    }

    pub async fn list(&self) -> Vec<Machine> {
        let (set, control_plane) = (ScaleSetName::parse("linux").unwrap(), ControlPlaneId::parse("alpha1").unwrap());
        self.machines.list(&set, &control_plane).await.unwrap()
    }

    pub async fn give(&self, machine: &MachineId, config: &RunnerConfig) {
        let at = RunnerScope::Organization(Owner::parse("acme").unwrap());
        self.hand_off.put(machine, &RunnerName::parse("linux-alpha1-0").unwrap(), &at, config).await.unwrap();
    }

    /// Launches one machine and gives it a JIT config.
    pub async fn launch_given(&self) -> MachineId {
        let id = self.launch_one().await;
        self.give(&id, &RunnerConfig::Jit { encoded: Secret::new("hunter2") }).await;
        id
    }

    /// Waits until the machine is as wanted.
    pub async fn until(&self, id: &MachineId, what: &str, wanted: impl Fn(&Machine) -> bool) -> Machine {
        let mut last = None;
        for _ in 0..400 {
            last = self.list().await.into_iter().find(|machine| machine.id == *id);
            if let Some(machine) = last.as_ref().filter(|machine| wanted(machine)) {
                return machine.clone();
            }
            self.machines.wait(Duration::from_millis(100)).await;
        }
        panic!("{id} never {what}; last: {last:?}\n{}", self.text(id, "supervisor.log"));
    }

    pub async fn until_says(&self, id: &MachineId, status: &MachineStatus) {
        self.until(id, &format!("said {status:?}"), |machine| machine.status.as_ref() == Some(status)).await;
    }

    /// Waits for the machine's end; returns how it ended, by its own word.
    pub async fn until_ended(&self, id: &MachineId) -> String {
        let machine = self
            .until(id, "ended", |machine| {
                machine.state == MachineState::Ended && matches!(machine.status, Some(MachineStatus::Ended(_)))
            })
            .await;
        match machine.status {
            Some(MachineStatus::Ended(how)) => how,
            other => panic!("{other:?}"),
        }
    }

    pub fn path(&self, id: &MachineId) -> PathBuf {
        self.config.root.canonicalize().unwrap().join(id.as_str())
    }

    pub fn text(&self, id: &MachineId, file: &str) -> String {
        fs::read_to_string(self.path(id).join(file)).unwrap_or_default()
    }

    /// Process ids whose environment names the machine.
    pub fn processes(&self, id: &MachineId) -> Vec<String> {
        let wanted = format!("RUNNERSMITH_MACHINE_DIR={}", self.path(id).display());
        fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.to_owned()))
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
            .filter(|pid| {
                let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                environment.split(|&byte| byte == 0).any(|variable| variable == wanted.as_bytes())
            })
            .collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Two rounds: a supervisor that is just being started may appear after the first look.
        for _ in 0..2 {
            for entry in fs::read_dir(&self.config.root).into_iter().flatten().flatten() {
                let Ok(id) = MachineId::parse(&entry.file_name().to_string_lossy()) else { continue };
                for pid in self.processes(&id) {
                    let _ = std::process::Command::new("kill").args(["-9", &pid]).status();
                }
            }
        }
    }
}

pub fn script(path: &Path, body: &str) {
    fs::write(path, format!("#!/bin/bash\n{body}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Waits for a condition of the outside world.
pub async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..800 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never seen: {what}");
}
