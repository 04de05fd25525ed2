//! Directories of machines that an earlier version has launched are listed, supervised and ended.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use runnersmith_local::{LocalConfig, LocalHandOff, LocalMachines};
use runnersmith_ports::{HandOff as _, Machines as _, ManualClock};
use runnersmith_types::{
    ControlPlaneId, Machine, MachineId, MachineState, MachineStatus, Market, ScaleSetName, Timestamp,
};
use support::{SUPERVISOR, script};

const STORED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testing/fixtures/e2c886d/local");
/// What `machine.json` names.
const DISTRIBUTION: &str = "/opt/runnersmith/actions-runner";

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A host as the earlier version left it, but for the place of the distribution.
struct Host {
    home: tempfile::TempDir,
    machines: LocalMachines,
}

impl Host {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let (root, distribution) = (home.path().join("root"), home.path().join("distribution"));
        copy(Path::new(STORED), &root);
        fs::create_dir_all(distribution.join("_diag")).unwrap();
        script(&distribution.join("run.sh"), "echo \"$ACTIONS_RUNNER_INPUT_JITCONFIG\" > _diag/jit; exit 7");
        let configure = "echo \"$@\" > _diag/asked; echo \"$ACTIONS_RUNNER_INPUT_TOKEN\" > _diag/token";
        script(&distribution.join("config.sh"), configure);
        for entry in fs::read_dir(&root).unwrap() {
            let file = entry.unwrap().path().join("machine.json");
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.contains(DISTRIBUTION), "{text}");
            fs::write(&file, text.replace(DISTRIBUTION, distribution.to_str().unwrap())).unwrap();
            // Git does not keep empty directories.
            for name in ["home", "handoff"] {
                fs::create_dir_all(file.with_file_name(name)).unwrap();
            }
        }
        let clock = Arc::new(ManualClock::at(Timestamp::from_secs(1_790_000_005)));
        let config = LocalConfig::new(root, vec![SUPERVISOR.into()], distribution);
        let machines = LocalMachines::new(config, clock).unwrap();
        Self { home, machines }
    }

    async fn list(&self) -> Vec<Machine> {
        let (set, control_plane) = (ScaleSetName::parse("linux").unwrap(), ControlPlaneId::parse("k3x9ab").unwrap());
        self.machines.list(&set, &control_plane).await.unwrap()
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.home.path().join("root").join(name)).unwrap()
    }

    /// Lives through the life of a machine that was launched and has not begun.
    fn supervise(&self, machine: &str) {
        let mut supervisor = Command::new(SUPERVISOR);
        let status = supervisor.arg(self.home.path().join("root").join(machine)).status().unwrap();
        assert!(status.success(), "{status}");
    }
}

#[tokio::test]
async fn machines_of_an_earlier_version_are_listed_as_they_stand() {
    let host = Host::new();
    let machines = host.list().await;
    let ended = |how: &str| (MachineState::Ended, Some(MachineStatus::Ended(how.into())));
    let standing: Vec<_> = machines.iter().map(|one| (one.state, one.status.clone())).collect();
    let pending = || (MachineState::Pending, None);
    assert_eq!(
        standing,
        [pending(), pending(), ended("terminated before it began"), ended("supervisor died")],
        "the last one was at work"
    );
    let ids: Vec<String> = machines.iter().map(|one| one.id.to_string()).collect();
    assert_eq!(ids, ["batch-1.000", "batch-1.001", "batch-2.000", "batch-3.000"]);
    for machine in &machines {
        assert!(machine.id.as_str().starts_with(machine.batch.as_str()));
        assert_eq!((machine.pool.market, machine.pool.machine_type.as_str()), (Market::Local, "process"));
        assert_eq!(machine.launched_at, Timestamp::from_secs(1_790_000_000));
    }
    let control_plane = ControlPlaneId::parse("k3x9ab").unwrap();
    assert_eq!(host.machines.sets(&control_plane).await.unwrap(), [ScaleSetName::parse("linux").unwrap()].into());
    let claimed: Vec<MachineId> = machines.into_iter().take(2).map(|one| one.id).collect();
    host.machines.terminate(&claimed).await.unwrap();
    assert!(host.list().await.iter().all(|one| one.state == MachineState::Ended), "they can be ended");
}

#[tokio::test]
async fn hand_offs_of_an_earlier_version_wait_and_expire() {
    let host = Host::new();
    let hand_off = LocalHandOff::new(&host.home.path().join("root"));
    let mut waiting: Vec<String> =
        hand_off.waiting().await.unwrap().iter().map(|(machine, _)| machine.to_string()).collect();
    waiting.sort();
    assert_eq!(waiting, ["batch-1.000", "batch-1.001"]);
    let machine = MachineId::parse("batch-1.000").unwrap();
    hand_off.expire(&machine).await.unwrap();
    assert!(!hand_off.pending(&machine).await.unwrap());
}

#[test]
fn a_jit_config_that_an_earlier_version_has_put_starts_the_runner() {
    let host = Host::new();
    host.supervise("batch-1.000");
    assert_eq!(host.file("batch-1.000/voice"), "ended 7\n");
    assert_eq!(host.file("batch-1.000/diag/jit"), "eyJqaXQiOiJjb25maWcifQ==\n");
}

#[test]
fn a_token_that_an_earlier_version_has_put_configures_the_runner() {
    let host = Host::new();
    host.supervise("batch-1.001");
    assert_eq!(host.file("batch-1.001/voice"), "ended 7\n");
    assert_eq!(host.file("batch-1.001/diag/token"), "AABBCC\n");
    let asked = host.file("batch-1.001/diag/asked");
    let wanted = "--url https://github.com/acme --name linux-k3x9ab-2 --no-default-labels --labels self-hosted,linux --runnergroup Default --ephemeral";
    assert!(asked.contains(wanted), "{asked}");
}
