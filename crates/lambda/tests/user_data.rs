//! The whole way with the real user data: the template rendered, run as a process with a metadata service on loopback, the
//! real AWS CLI, and shims only where a machine would be changed.

use std::path::PathBuf;
use std::time::Duration;

use crate::support::{Bed, PATH, Wishes, built};
use runnersmith_aws_emulator::skip_unless_available;
use runnersmith_lambda_host::{Hypervisor, MachineStart};

/// The template as Terraform renders it: its variables, and `$${` for the shell's own.
fn rendered(variables: &[(&str, &str)]) -> String {
    let template = include_str!("../../ec2/user-data/user-data.sh.tftpl");
    let mut text = template.replace("$${", "\u{1}");
    for (name, value) in variables {
        text = text.replace(&format!("${{{name}}}"), value);
    }
    assert!(!text.contains("${"), "a variable has no value: {}", &text[text.find("${").unwrap_or(0)..][..40]);
    text.replace('\u{1}', "${")
}

/// The AWS CLI, if it is there: beside the emulator's Python, or on the path.
fn aws_cli() -> Option<PathBuf> {
    let beside = runnersmith_aws_emulator::find::python().ok().and_then(|python| Some(python.parent()?.to_owned()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories = beside.into_iter().chain(std::env::split_paths(&path));
    directories.find(|directory| directory.join("aws").exists())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_boots_by_its_user_data_runs_its_job_and_shuts_itself_down() {
    if skip_unless_available("the real user data") {
        return;
    }
    let cli = aws_cli().expect("the AWS CLI is set up beside moto: `cargo xtask setup`");
    let bed = Bed::new(Wishes::default()).await;
    let archive = runnersmith_fake_runner::tarball(&built("runnersmith"), "2.330.0");
    bed.emulator().rest("s3", "PUT", "/distribution", b"").unwrap();
    bed.emulator().rest("s3", "PUT", "/distribution/actions-runner-linux-x64.tar.gz", &archive).unwrap();
    let user_data = rendered(&[
        ("environment", "test"),
        ("region", "us-east-1"),
        ("hand_off_path", &format!("{PATH}/hand-off")),
        ("distribution_url", "s3://distribution/actions-runner-linux-x64.tar.gz"),
        ("runner_user", "runner"),
        ("run_as_root", "false"),
        ("pre_install", "echo the user was here first"),
        // Jobs need what it makes: no hand-off was taken and no runner is there yet.
        (
            "post_install",
            "test -x ./run.sh; test ! -e \"$state/started\"; export FROM_POST_INSTALL=yes; echo the user was here second",
        ),
        (
            "after_runner",
            "echo \"the user was here last, from post_install: $FROM_POST_INSTALL\" >\"$RUNNERSMITH_ROOT/last\"",
        ),
        ("job_started_hook", "echo \"a job started\""),
        ("job_completed_hook", ""),
        ("install_docker", "true"),
        ("cloudwatch_config_parameter", ""),
        ("boot_deadline_seconds", "120"),
        ("aws_endpoint_url", bed.emulator().url()),
        ("ghes_ca", ""),
    ]);
    assert!(user_data.len() < 16 * 1024, "EC2 takes 16 KB, this is {}", user_data.len());
    bed.template(&user_data);
    bed.emulator().enforce_policies().unwrap();
    let start = MachineStart { role: bed.machine_role(), roles: Default::default(), path: vec![cli], program: None };
    let machines = Hypervisor::start(&bed.account, start).unwrap();
    bed.dispatch(1, 1_000);
    bed.completes(&machines, 1, Duration::from_secs(180)).await;
    let machine = machines.machines().remove(0);
    let log = machines.read(&machine, "var/log/user-data.log");
    assert!(machines.read(&machine, "shutdown").contains("now"), "it asked for its shutdown\n{log}");
    let order = ["the user was here first", "the user was here second", "step: hand-off", "step: run"];
    let places = order.map(|text| log.find(text).unwrap_or_else(|| panic!("{text} is not in\n{log}")));
    assert!(places.is_sorted(), "post_install runs before the runner is configured: {places:?}\n{log}");
    let last = machines.read(&machine, "last");
    assert!(
        last.contains("the user was here last, from post_install: yes"),
        "what it exports is there later: {last}\n{log}"
    );
    for status in ["booting", "configured", "busy", "job-done", "ended:0"] {
        let said = format!("status: {status}");
        assert!(log.contains(&said) || ["busy", "job-done"].contains(&status), "it said {status}\n{log}");
    }
    assert!(machines.read(&machine, "changes").contains("docker"), "Docker was asked for");
    assert!(!log.contains("jitconfig ey"), "the configuration is not in the log");
    let denied: Vec<String> = bed
        .emulator()
        .audit()
        .unwrap()
        .into_iter()
        .filter(|(_, result)| result != "allow")
        .map(|(name, _)| name)
        .collect();
    assert!(denied.is_empty(), "a role did what it may not: {denied:?}");
}
