//! Public reports of other fleets' failures that cannot happen here because of one line in a template: these tests keep the line.
//! The numbers are those of `docs/findings.md`.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::root;

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// The user data as Terraform writes it, but for its variables.
fn user_data() -> String {
    read("crates/ec2/user-data/user-data.sh.tftpl").replace("$${", "${")
}

/// A function of the user data.
fn function(name: &str) -> String {
    let script = user_data();
    let lines = script.lines().skip_while(|line| !line.starts_with(&format!("{name}() {{")));
    let mut text = String::new();
    for line in lines {
        text.push_str(line);
        text.push('\n');
        if line.ends_with('}') && (line == "}" || line.starts_with(name)) {
            return text;
        }
    }
    panic!("the user data has no function {name}");
}

/// Runs a script by Bash in a folder, with a job's own AWS key in its environment. Returns its exit code and what it printed.
fn bash(folder: &Path, script: &str) -> (Option<i32>, String) {
    let mut command = Command::new("bash");
    command.arg("-c").arg(script).current_dir(folder).env("AWS_ACCESS_KEY_ID", "of-the-job");
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn terraform_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with(".terraform") {
            terraform_files(&path, found);
        } else if path.extension().is_some_and(|end| end == "tf") {
            found.push(path);
        }
    }
}

/// The positions of these texts; each must be there.
fn places<const N: usize>(text: &str, parts: [&str; N]) -> [usize; N] {
    parts.map(|part| text.find(part).unwrap_or_else(|| panic!("the text has no {part:?}")))
}

/// 30: an absolute path of a zip is another one on each machine of Terraform Cloud, and so a change in each plan.
#[test]
fn the_zips_are_named_relative_to_the_module() {
    let mut files = Vec::new();
    terraform_files(&root().join("terraform"), &mut files);
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for absolute in ["abspath(", "path.cwd", "path.root", "pathexpand("] {
            assert!(!text.contains(absolute), "{}: {absolute}", file.display());
        }
    }
    let main = read("terraform/main.tf");
    assert!(main.contains("functions = \"${path.module}/functions/"), "{main}");
    assert_eq!(main.matches(".zip\"").count(), main.matches("\"${local.functions}/").count(), "each is in that folder");
}

/// 31: a tag for a Spot request makes the launch of an on-demand machine fail.
#[test]
fn machines_volumes_and_interfaces_are_tagged_and_spot_requests_are_not() {
    let template = read("terraform/modules/scale-set/main.tf");
    let (_, tags) = template.split_once("dynamic \"tag_specifications\"").unwrap();
    let kinds = tags.lines().find(|line| line.trim().starts_with("for_each")).unwrap();
    assert_eq!(kinds.trim(), "for_each = [\"instance\", \"volume\", \"network-interface\"]");
    let fleet = read("crates/ec2/src/fleet.rs");
    assert_eq!(fleet.matches("ResourceType::").count(), fleet.matches("ResourceType::Instance)").count());
}

/// 34: hooks that run with a job's own AWS credentials report to the wrong account, and a hook that fails fails the job.
#[test]
fn a_hook_reports_without_the_jobs_credentials_and_never_fails_the_job() {
    let home = tempfile::tempdir().unwrap();
    let script = format!(
        r#"root='' state=.
{}
printf 'echo "report $1 with ${{AWS_ACCESS_KEY_ID:-nothing}}"; exit 7' >report.sh
hook busy >started.sh <<'END'
echo "the snippet with $AWS_ACCESS_KEY_ID"
END
hook job-done >completed.sh </dev/null
bash started.sh && bash completed.sh"#,
        function("hook")
    );
    let (code, said) = bash(home.path(), &script);
    let expected = "report busy with nothing\nthe snippet with of-the-job\nreport job-done with nothing\n";
    assert_eq!((code, said.as_str()), (Some(0), expected));
}

/// 38: jobs found no Docker, or a user that was not yet in its group.
#[test]
fn docker_runs_and_the_user_is_in_its_group_before_the_runner_gets_its_configuration() {
    let order = places(
        &user_data(),
        [
            "systemctl enable --now docker",
            "usermod -aG docker \"$user\"",
            "\nstep hand-off",
            "as=(runuser",
            "\nstep run",
        ],
    );
    assert!(order.is_sorted(), "{order:?}");
}

/// 39: a package manager's lock, or a mirror that is away for seconds.
#[test]
fn packages_are_tried_four_times_and_then_the_machine_ends() {
    let home = tempfile::tempdir().unwrap();
    let retry = function("retry");
    let script = |fails: u32| {
        format!(
            "set -euo pipefail\nsleep() {{ :; }}\n{retry}\n\
             flaky() {{ echo try >>tries; [ \"$(wc -l <tries)\" -gt {fails} ]; }}\nretry flaky\necho goes on"
        )
    };
    assert_eq!(bash(home.path(), &script(3)), (Some(0), "goes on\n".into()));
    std::fs::remove_file(home.path().join("tries")).unwrap();
    let (code, said) = bash(home.path(), &script(99));
    assert_eq!((code, said.as_str()), (Some(1), ""), "the script ends there");
    assert_eq!(std::fs::read_to_string(home.path().join("tries")).unwrap().lines().count(), 4);
    let script = user_data();
    for install in ["retry dnf install", "retry apt-get update", "retry apt-get install"] {
        assert!(script.contains(install), "{install}");
    }
    let finish = function("finish");
    let order = places(&finish, ["end_failed \"$step\"", "power_off"]);
    assert!(order.is_sorted() && script.contains("guard() { trap finish EXIT;"), "{finish}");
}

/// 41: the last lines of a log were never shipped, because its agent was stopped before the machine.
#[test]
fn the_last_lines_of_a_failure_are_on_the_console_and_nothing_stops_the_logs_agent() {
    let script = user_data();
    for stop in ["ctl -a stop", "stop amazon-cloudwatch-agent", "stop rsyslog"] {
        assert!(!script.contains(stop), "{stop}");
    }
    assert!(function("end_failed").contains("tail -n 20 \"$log\" >&3"));
    assert!(script.contains("exec 3>&1 >>\"$log\" 2>&1"), "3 is the console");
}

/// 67: a secret with quotes, dollars or percent signs was changed on its way.
#[test]
fn secrets_reach_parameter_store_as_they_are_and_are_in_no_state() {
    let module = read("terraform/modules/control-plane/main.tf");
    let values: Vec<&str> = module
        .lines()
        .map(str::trim)
        .filter_map(|line| line.strip_prefix("value_wo "))
        .map(|rest| rest.trim_start())
        .collect();
    assert_eq!(values, ["= var.secrets.private_key", "= var.secrets.webhook_secret"]);
    let used: usize = ["terraform/main.tf", "terraform/modules/control-plane/main.tf"]
        .map(|path| {
            read(path).matches("secrets.webhook_secret").count() + read(path).matches("secrets.private_key").count()
        })
        .iter()
        .sum();
    assert_eq!(used, 2, "nowhere else");
}

/// A runner that is registered by a token has its scale set's labels and no others: actions/runner adds self-hosted, its system and its
/// architecture unless it is asked not to (CommandSettings.cs, `--no-default-labels`), and jobs that no set serves could land on it.
#[test]
fn a_runner_that_is_registered_by_a_token_has_the_labels_of_its_set_and_no_others() {
    let script = user_data();
    let config = script.lines().find(|line| line.contains("config+=(") && line.contains("--labels")).unwrap();
    let (folder, line) = (tempfile::tempdir().unwrap(), config.trim());
    let run = format!("line=(a b c d gpu,large)\nconfig=()\n{line}\nprintf '%s ' \"${{config[@]}}\"");
    assert_eq!(bash(folder.path(), &run), (Some(0), "--no-default-labels --labels gpu,large ".to_owned()));
}
