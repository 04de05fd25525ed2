//! Launching, listing and ending machines as processes.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use runnersmith_ports::contract::machines::{HandOffWorld, MachinesWorld, hand_off, machines};
use runnersmith_ports::{Clock, HandOff, HandOffError, Machines, MachinesError, RunnerConfig, SystemClock};
use runnersmith_types::{FallbackOrder, MachineId, MachineState, MachineStatus, Secret};
use support::{LISTENS, SUPERVISOR, World, eventually, script};

#[tokio::test]
async fn local_machines_keep_the_contract_of_machines() {
    let world = World::new(LISTENS);
    let pool = FallbackOrder::local().pools[0].clone();
    machines(&MachinesWorld { machines: &world.machines, pool, now: SystemClock.now() }).await;
}

#[tokio::test]
async fn local_hand_offs_keep_the_contract_of_hand_offs() {
    // A supervisor that ends at once reads nothing; its machine is claimed for 30 s.
    let world = World::with(LISTENS, |config| config.supervisor = vec!["true".into()]);
    let ids = world.machines.launch(&world.request("batch", 3)).await.unwrap();
    world.machines.terminate(&ids[2..]).await.unwrap();
    let suite = HandOffWorld {
        hand_off: &world.hand_off,
        machine: ids[0].clone(),
        other: ids[1].clone(),
        gone: Some(ids[2].clone()),
    };
    hand_off(&suite).await;
    let never = MachineId::parse("never.000").unwrap();
    hand_off(&HandOffWorld { gone: Some(never), ..suite }).await;
}

#[tokio::test]
async fn a_jit_config_starts_the_runner_and_is_read_once_and_never_logged() {
    let world = World::new(
        "echo \"env $ACTIONS_RUNNER_INPUT_JITCONFIG args $*\"; echo 'x: Listening for Jobs'; exec sleep 300",
    );
    let id = world.launch_given().await;
    world.until_says(&id, &MachineStatus::Listening).await;
    assert!(!world.hand_off.pending(&id).await.unwrap(), "it was deleted when it was read");
    assert_eq!(fs::read_dir(world.path(&id).join("handoff")).unwrap().count(), 0);
    let log = world.text(&id, "runner.log");
    assert!(log.contains("env *** args \n"), "the runner got it by its environment, and the log hides it: {log}");
    for file in ["machine.json", "supervisor.log", "runner.log", "voice"] {
        assert!(!world.text(&id, file).contains("hunter2"), "{file} holds the secret");
    }
    world.machines.terminate(std::slice::from_ref(&id)).await.unwrap();
    assert_eq!(world.until_ended(&id).await, "terminated");
}

#[tokio::test]
async fn a_token_configures_the_runner_before_it_starts() {
    let world = World::new("cat configured; exit 7");
    let id = world.launch_one().await;
    let config = RunnerConfig::Token {
        url: "https://github.com/acme".into(),
        token: Secret::new("hunter2"),
        name: "linux-alpha1-0".into(),
        labels: "self-hosted,linux".into(),
        group: Some("Default".into()),
        ephemeral: true,
    };
    world.give(&id, &config).await;
    assert_eq!(world.until_ended(&id).await, "7", "the runner's exit code is the machine's last word");
    let log = world.text(&id, "runner.log");
    let wanted = "--unattended --url https://github.com/acme --name linux-alpha1-0 --no-default-labels \
                  --labels self-hosted,linux --runnergroup Default --ephemeral --replace --disableupdate --work _work";
    assert!(log.contains(wanted), "{log}");
    assert!(log.starts_with("***\n"), "config.sh got the token by its environment: {log}");
}

#[tokio::test]
async fn the_last_lines_of_an_ended_machine_can_be_read_and_hold_no_secret() {
    let world =
        World::new("for n in $(seq 30); do echo \"line $n\"; done; echo $ACTIONS_RUNNER_INPUT_JITCONFIG; exit 1");
    let id = world.launch_given().await;
    let unknown = MachineId::parse("m-unknown").unwrap();
    assert_eq!(world.machines.output(&unknown).await.unwrap(), Vec::<String>::new());
    assert_eq!(world.until_ended(&id).await, "1");
    let mut lines: Vec<String> = (12..=30).map(|n| format!("line {n}")).collect();
    lines.push("***".to_owned());
    assert_eq!(world.machines.output(&id).await.unwrap(), lines);
}

#[tokio::test]
async fn the_hand_off_is_readable_by_its_owner_only() {
    let world = World::with(LISTENS, |config| config.supervisor = vec!["true".into()]);
    let id = world.launch_given().await;
    let mode = |path: &str| fs::metadata(world.path(&id).join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("handoff"), mode("handoff/config.json")), (0o700, 0o700, 0o600));
}

#[tokio::test]
async fn a_hand_off_to_an_ended_machine_is_refused_and_leaves_nothing() {
    let world = World::new("exit 0");
    let id = world.launch_given().await;
    world.until_ended(&id).await;
    let at = runnersmith_types::RunnerScope::Organization(runnersmith_types::Owner::parse("acme").unwrap());
    let name = runnersmith_types::RunnerName::parse("linux-alpha1-0").unwrap();
    let result = world.hand_off.put(&id, &name, &at, &RunnerConfig::Jit { encoded: Secret::new("x") }).await;
    assert!(matches!(result, Err(HandOffError::MachineGone { .. })), "{result:?}");
    assert!(!world.path(&id).join("handoff").exists() && !world.path(&id).join("runner").exists());
}

#[tokio::test]
async fn the_job_hooks_change_what_the_machine_says() {
    let world = World::new(
        "echo 'x: Listening for Jobs'\nuntil [ -e go ]; do sleep 0.05; done\n\"$ACTIONS_RUNNER_HOOK_JOB_STARTED\"\n\
         until [ -e done ]; do sleep 0.05; done\n\"$ACTIONS_RUNNER_HOOK_JOB_COMPLETED\"\nexec sleep 300",
    );
    let id = world.launch_given().await;
    world.until_says(&id, &MachineStatus::Listening).await;
    fs::write(world.path(&id).join("runner/go"), "").unwrap();
    world.until_says(&id, &MachineStatus::Busy).await;
    fs::write(world.path(&id).join("runner/done"), "").unwrap();
    world.until_says(&id, &MachineStatus::JobDone).await;
}

#[tokio::test]
async fn launches_at_once_from_two_programs_start_one_supervisor_each() {
    let world = World::new(LISTENS);
    let other = runnersmith_local::LocalMachines::new(world.config.clone(), world.clock.clone()).unwrap();
    let request = world.request("batch", 4);
    let (a, b, c) = tokio::join!(world.machines.launch(&request), other.launch(&request), other.launch(&request));
    let ids = a.unwrap();
    assert_eq!((&ids, &ids), (&b.unwrap(), &c.unwrap()));
    for id in &ids {
        world.give(id, &RunnerConfig::Jit { encoded: Secret::new("x") }).await;
        world.until_says(id, &MachineStatus::Listening).await;
        // The losers of the race for the lock go away by themselves: one supervisor and one runner remain.
        eventually("one supervisor and one runner", || world.processes(id).len() == 2).await;
    }
}

#[tokio::test]
async fn a_launch_that_was_killed_half_way_is_finished_by_the_next() {
    let world = World::new(LISTENS);
    let request = world.request("batch", 2);
    // Killed after making the first directory, and with half a record.
    let first = world.config.root.join("batch.000");
    fs::create_dir(&first).unwrap();
    fs::write(first.join(".machine.json.1.0"), "{").unwrap();
    assert!(world.list().await.is_empty(), "a claim without a record is nobody's yet");
    let ids = world.machines.launch(&request).await.unwrap();
    assert_eq!(ids.len(), 2);
    for id in &ids {
        world.until(id, "ran", |machine| machine.state == MachineState::Running).await;
    }
}

#[tokio::test]
async fn a_machine_that_never_began_is_pending_then_ended_and_begins_with_the_next_launch() {
    let world = World::with(LISTENS, |config| config.supervisor = vec!["true".into()]);
    let id = world.launch_one().await;
    assert_eq!(world.list().await[0].state, MachineState::Pending);
    world.clock.advance(Duration::from_secs(31));
    assert_eq!(world.list().await[0].state, MachineState::Ended);
    let mut config = world.config.clone();
    config.supervisor = vec![SUPERVISOR.into()];
    let restarted = runnersmith_local::LocalMachines::new(config, world.clock.clone()).unwrap();
    restarted.launch(&world.request("batch", 1)).await.unwrap();
    world.until(&id, "ran", |machine| machine.state == MachineState::Running).await;
}

#[tokio::test]
async fn a_machine_outlives_the_program_that_launched_it() {
    let world = World::new(LISTENS);
    let request = world.request("batch", 1);
    let text = serde_json::to_string(&(&request.batch, &request.control_plane)).unwrap();
    fs::write(world.config.root.join(".request.json"), text).unwrap();
    let mut parent = Command::new(SUPERVISOR)
        .arg("--launch")
        .arg(&world.config.root)
        .arg(&world.config.distribution)
        .spawn()
        .unwrap();
    let id = MachineId::parse("batch.000").unwrap();
    world.until(&id, "ran", |machine| machine.state == MachineState::Running).await;
    parent.kill().unwrap();
    parent.wait().unwrap();
    world.give(&id, &RunnerConfig::Jit { encoded: Secret::new("x") }).await;
    world.until_says(&id, &MachineStatus::Listening).await;
    assert_eq!(world.machines.launch(&request).await.unwrap(), vec![id.clone()], "and it is not launched again");
    assert_eq!(world.list().await.len(), 1);
}

#[tokio::test]
async fn a_supervisor_that_is_killed_ends_its_machine_with_all_its_processes() {
    let world = World::new(LISTENS);
    let id = world.launch_given().await;
    world.until_says(&id, &MachineStatus::Listening).await;
    let supervisor = world
        .processes(&id)
        .into_iter()
        .find(|pid| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().starts_with(SUPERVISOR));
    Command::new("kill").args(["-9", &supervisor.unwrap()]).status().unwrap();
    assert_eq!(world.until_ended(&id).await, "supervisor died");
    eventually("no process of it is left", || world.processes(&id).is_empty()).await;
    assert_eq!(world.machines.launch(&world.request("batch", 1)).await.unwrap(), vec![id.clone()]);
    assert_eq!(world.list().await[0].state, MachineState::Ended, "it does not come back");
}

#[tokio::test]
async fn a_runner_that_ignores_the_request_to_end_is_killed_after_the_grace() {
    let world = World::new("trap '' TERM; echo 'x: Listening for Jobs'; while true; do sleep 0.1; done");
    let id = world.launch_given().await;
    world.until_says(&id, &MachineStatus::Listening).await;
    world.machines.terminate(std::slice::from_ref(&id)).await.unwrap();
    assert_eq!(world.until_ended(&id).await, "terminated");
    // The supervisor says the end just before it exits itself.
    eventually("no process of it is left", || world.processes(&id).is_empty()).await;
}

#[tokio::test]
async fn what_a_job_left_running_is_killed_even_in_a_session_of_its_own() {
    let world = World::new("echo 'x: Listening for Jobs'; sleep 300 & setsid sleep 300 & exit 0");
    let id = world.launch_given().await;
    assert_eq!(world.until_ended(&id).await, "0");
    eventually("no process of it is left", || world.processes(&id).is_empty()).await;
}

#[tokio::test]
async fn the_hard_end_ends_a_machine_even_with_a_job() {
    let mut world = World::new("echo 'x: Listening for Jobs'; exec -a Runner.Worker sleep 300");
    world.hard_end = Duration::from_millis(1500);
    let id = world.launch_given().await;
    assert_eq!(world.until_ended(&id).await, "hard end");
}

#[tokio::test]
async fn a_runner_that_never_listens_is_given_up() {
    let world = World::with("exec sleep 300", |config| config.boot_deadline = Duration::from_millis(600));
    let id = world.launch_given().await;
    assert_eq!(world.until_ended(&id).await, "the runner did not listen within the boot deadline");
}

#[tokio::test]
async fn the_boot_deadline_spares_a_runner_that_has_a_worker() {
    let run = "(exec -a /x/Runner.Worker sleep 2) & wait; exit 5";
    let world = World::with(run, |config| config.boot_deadline = Duration::from_millis(600));
    let id = world.launch_given().await;
    assert_eq!(world.until_ended(&id).await, "5", "it ended by itself");
}

#[tokio::test]
async fn a_machine_without_a_hand_off_is_given_up() {
    let world = World::with(LISTENS, |config| config.boot_deadline = Duration::from_millis(300));
    let id = world.launch_one().await;
    assert_eq!(world.until_ended(&id).await, "no hand-off within the boot deadline");
}

#[tokio::test]
async fn jobs_see_only_the_allowed_environment() {
    let world = World::with("env | sort; echo Listening for Jobs", |config| config.work_env = vec!["PATH".into()]);
    let id = world.launch_given().await;
    world.until_ended(&id).await;
    let log = world.text(&id, "runner.log");
    assert!(log.contains(&format!("HOME={}/home", world.path(&id).display())), "{log}");
    assert!(!log.contains("CARGO"), "our own environment leaks: {log}");
}

#[tokio::test]
async fn ended_machines_are_listed_for_a_while_then_removed_and_never_launched_again() {
    let world = World::with("mkdir -p _diag; echo hi > _diag/Runner_1.log", |config| config.keep_logs = true);
    let id = world.launch_given().await;
    world.until_ended(&id).await;
    world.clock.advance(Duration::from_secs(590));
    assert_eq!(world.list().await.len(), 1);
    // The supervisor may hold its lock for a moment after its last word; then the next list removes it.
    world.clock.advance(Duration::from_secs(20));
    for _ in 0..100 {
        if world.list().await.is_empty() && !world.path(&id).exists() {
            break;
        }
        world.machines.wait(Duration::from_millis(50)).await;
    }
    assert!(!world.path(&id).exists(), "its directory is gone");
    assert_eq!(world.machines.launch(&world.request("batch", 1)).await.unwrap(), vec![id.clone()], "still the batch's");
    assert!(world.list().await.is_empty() && !world.path(&id).exists(), "but not launched again");
    let kept = world.config.root.join(".logs").join(id.as_str()).join("diag/Runner_1.log");
    assert_eq!(fs::read_to_string(kept).unwrap(), "hi\n");
}

#[tokio::test]
async fn a_bad_distribution_or_supervisor_is_a_bad_request_and_claims_nothing() {
    let world = World::with(LISTENS, |config| config.distribution = "/nowhere".into());
    let error = world.machines.launch(&world.request("batch", 2)).await.unwrap_err();
    assert!(matches!(&error, MachinesError::BadRequest { what, .. } if what.contains("/nowhere")), "{error}");
    assert!(!world.config.root.join("batch.000").exists());

    let world = World::with(LISTENS, |config| config.supervisor = vec!["/no/such/program".into()]);
    let error = world.machines.launch(&world.request("batch", 2)).await.unwrap_err();
    assert!(matches!(&error, MachinesError::BadRequest { what, .. } if what.contains("/no/such/program")), "{error}");
    assert!(world.list().await.is_empty());
}

/// An archive of a distribution whose `run.sh` does this.
fn pack(world: &World, archive: &std::path::Path, run: &str) {
    let file = fs::File::create(archive).unwrap();
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(file, Default::default()));
    script(&world.dir.path().join("packed.sh"), run);
    tar.append_path_with_name(world.dir.path().join("packed.sh"), "run.sh").unwrap();
    tar.into_inner().unwrap().finish().unwrap();
}

#[tokio::test]
async fn of_a_directory_of_archives_each_launch_takes_the_newest() {
    let platform = if cfg!(target_arch = "aarch64") { "linux-arm64" } else { "linux-x64" };
    let mut world = World::new(LISTENS);
    let archives = world.dir.path().join("archives");
    fs::create_dir(&archives).unwrap();
    world.config.distribution.clone_from(&archives);
    world.machines = runnersmith_local::LocalMachines::new(world.config.clone(), world.clock.clone()).unwrap();
    assert!(world.machines.launch(&world.request("none", 1)).await.is_err(), "nothing is there");
    let mut logs = Vec::new();
    for (batch, version) in [("old", "2.99.0"), ("new", "2.330.0")] {
        let archive = archives.join(format!("actions-runner-{platform}-{version}.tar.gz"));
        pack(&world, &archive, &format!("echo version {version}; {LISTENS}"));
        let id = world.machines.launch(&world.request(batch, 1)).await.unwrap().remove(0);
        world.give(&id, &RunnerConfig::Jit { encoded: Secret::new("x") }).await;
        world.until_says(&id, &MachineStatus::Listening).await;
        logs.push(fs::read_to_string(world.config.root.join(id.as_str()).join("runner.log")).unwrap());
    }
    assert!(logs[0].starts_with("version 2.99.0") && logs[1].starts_with("version 2.330.0"), "{logs:?}");
}

#[tokio::test]
async fn an_archive_is_extracted_once_for_all_machines() {
    let mut world = World::new(LISTENS);
    let archive = world.dir.path().join("runner.tar.gz");
    pack(&world, &archive, LISTENS);
    world.config.distribution = archive;
    world.machines = runnersmith_local::LocalMachines::new(world.config.clone(), world.clock.clone()).unwrap();
    let ids = world.machines.launch(&world.request("batch", 2)).await.unwrap();
    for id in &ids {
        world.give(id, &RunnerConfig::Jit { encoded: Secret::new("x") }).await;
        world.until_says(id, &MachineStatus::Listening).await;
    }
    assert_eq!(fs::read_dir(world.config.root.join(".cache")).unwrap().count(), 1);
}
