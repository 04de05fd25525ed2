//! Directories of machines that are processes, with their hand-offs and words.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use runnersmith_local::{LocalConfig, LocalHandOff, LocalMachines};
use runnersmith_ports::{HandOff as _, LaunchRequest, Machines as _, RunnerConfig};
use runnersmith_types::{
    Batch, BatchId, Machine, MachineId, Owner, PlaneId, RegisterAt, Rung, RunnerName, Secret, Timestamp, Voice,
};

use crate::population::{PLANE, StepClock, runner, set};

/// Where a host keeps its machines; `machine.json` names the distribution by its path.
const ROOT: &str = "/var/lib/runnersmith/machines";
const DISTRIBUTION: &str = "/opt/runnersmith/actions-runner";
/// Before all tests that read this, so that nothing in it seems to be old.
const LAUNCHED_AT: Timestamp = Timestamp::from_secs(1_790_000_000);
/// The year 2100: the machines' hard end never comes.
const HARD_END_AT: Timestamp = Timestamp::from_secs(4_102_444_800);

/// Both kinds of configuration.
pub fn configs() -> [RunnerConfig; 2] {
    let token = RunnerConfig::Token {
        url: "https://github.com/acme".into(),
        token: Secret::new("AABBCC"),
        name: "linux-k3x9ab-2".into(),
        labels: "self-hosted,linux".into(),
        group: Some("Default".into()),
        ephemeral: true,
    };
    [RunnerConfig::Jit { encoded: Secret::new("eyJqaXQiOiJjb25maWcifQ==") }, token]
}

fn script(path: &Path, body: &str) {
    fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn request(batch: &str, runners: Vec<RunnerName>) -> LaunchRequest {
    let rung: Rung = runnersmith_types::Ladder::local().rungs.remove(0);
    let id = BatchId::parse(batch).unwrap();
    let (set, stored_at, hard_end_at) = (set("linux"), LAUNCHED_AT, HARD_END_AT);
    let batch = Batch { id, set, rung, runners, stored_at, hard_end_at, settled: false };
    LaunchRequest { batch, plane: PlaneId::parse(PLANE).unwrap() }
}

fn machines(supervisor: &str) -> LocalMachines {
    let config = LocalConfig::new(ROOT.into(), vec![OsString::from(supervisor)], DISTRIBUTION.into());
    LocalMachines::new(config, Arc::new(StepClock::at(LAUNCHED_AT))).unwrap()
}

fn save(id: &MachineId, out: &Path) {
    let (from, to) = (Path::new(ROOT).join(id.as_str()), out.join(id.as_str()));
    for file in ["machine.json", "handoff/config.json", "voice", "voice.job", "started"] {
        if from.join(file).is_file() {
            fs::create_dir_all(to.join(file).parent().unwrap()).unwrap();
            fs::copy(from.join(file), to.join(file)).unwrap();
        }
    }
}

async fn until_says(machines: &LocalMachines, id: &MachineId, wanted: &Voice) {
    for _ in 0..200 {
        let listed: Vec<Machine> = machines.list(&set("linux"), &PlaneId::parse(PLANE).unwrap()).await.unwrap();
        if listed.iter().any(|machine| machine.id == *id && machine.voice.as_ref() == Some(wanted)) {
            return;
        }
        machines.wait(Duration::from_millis(100)).await;
    }
    panic!("{id} never said {wanted:?}");
}

/// The program that supervises, beside this one.
fn supervisor() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.parent().and_then(Path::parent).unwrap().join("runnersmith-machine")
}

/// Writes a directory for each machine.
pub async fn write(out: &Path) {
    let _ = fs::remove_dir_all(ROOT);
    let _ = fs::remove_dir_all(out);
    fs::create_dir_all(format!("{DISTRIBUTION}/bin")).unwrap();
    let started = "\"$ACTIONS_RUNNER_HOOK_JOB_STARTED\"";
    script(
        Path::new(&format!("{DISTRIBUTION}/run.sh")),
        &format!("echo 'x: Listening for Jobs'; sleep 1; {started}; exec sleep 300"),
    );
    script(Path::new(&format!("{DISTRIBUTION}/config.sh")), "true");
    let at = RegisterAt::Organization(Owner::parse("acme").unwrap());
    // Claimed: their supervisor ends at once, as one that has not begun.
    let claimed = machines("true");
    let hand_off = LocalHandOff::new(Path::new(ROOT));
    let ids = claimed.launch(&request("batch-1", vec![runner("linux", 1), runner("linux", 2)])).await.unwrap();
    for (id, config) in ids.iter().zip(configs()) {
        hand_off.put(id, &runner("linux", 1), &at, &config).await.unwrap();
        save(id, out);
    }
    // Ended before it began.
    let ended = claimed.launch(&request("batch-2", vec![runner("linux", 3)])).await.unwrap().remove(0);
    claimed.terminate(std::slice::from_ref(&ended)).await.unwrap();
    save(&ended, out);
    // One at work.
    let alive = machines(supervisor().to_str().unwrap());
    let busy = alive.launch(&request("batch-3", vec![runner("linux", 4)])).await.unwrap().remove(0);
    hand_off.put(&busy, &runner("linux", 4), &at, &configs()[0]).await.unwrap();
    until_says(&alive, &busy, &Voice::Busy).await;
    save(&busy, out);
    alive.terminate(std::slice::from_ref(&busy)).await.unwrap();
    until_says(&alive, &busy, &Voice::Ended("terminated".into())).await;
}
