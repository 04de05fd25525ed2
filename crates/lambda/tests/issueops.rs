//! From issue to merged pull request with everything real but GitHub and EC2: the released program as the steps of a
//! workflow and as a server, Terraform, the AWS provider, the functions, the records and locks beside the state.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod support;

use std::process::Stdio;
use std::time::Duration;

use runnersmith_aws_emulator::{Emulator, Fault};
use runnersmith_lambda_host::Account;
use serde_json::{Value, json};
use support::control::{DELETE, REPO, SET, block, power_off, world};
use support::terraform::{left, skip_unless_there};
use support::{Bed, PATH, SECRET};

const MINUTE: Duration = Duration::from_secs(60);

fn parameter(emulator: &Emulator, name: &str) -> Value {
    let name = json!({ "Name": format!("{PATH}/config/{name}") });
    let found = emulator.json("ssm", "AmazonSSM.GetParameter", &name).unwrap();
    serde_json::from_str(found["Parameter"]["Value"].as_str().unwrap()).unwrap()
}

/// The role of the environment's machines.
fn machine_role(emulator: &Emulator) -> String {
    let roles = emulator.query("iam", "ListRoles", &[]).unwrap();
    let arns = roles.split("<Arn>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned());
    arns.into_iter().find(|arn| arn.contains(".machine.")).expect("a role of machines")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_environment_lives_from_issue_to_archive_and_leaves_nothing() {
    if skip_unless_there("IssueOps from issue to archive") {
        return;
    }
    let (control, _front, app) = world(false).await;
    let before = left(&control.emulator);

    // Asked for: nothing is made but a branch, a plan and its comment.
    let issue = control.github.open_issue(REPO, "ann", "runners", &block("test", 3), &[SET]).unwrap();
    control.workflow(true);
    let pull = control.pull();
    let shown = control.shown(pull);
    for part in [
        "Maximum: 3 (new)",
        "module.runners.module.scale_set",
        "#### Who may do what (IAM)",
        "s3://states/actions-runner-envs/changes/test/",
    ] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    control.nothing_secret(&control.said(pull));
    assert_eq!(left(&control.emulator), before, "a plan makes nothing");
    let plan = control.stored().into_iter().find(|key| key.ends_with(".plan")).expect("a stored plan");
    let sealed = control.object(&plan);
    assert!(!sealed.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()), "the stored plan is sealed");

    // Approved: exactly that plan is applied, and merged.
    control.github.comment_as(REPO, pull, "wanda", &control.approve_line(pull));
    control.workflow(true);
    assert!(control.github.pull(REPO, pull).merged, "{}", control.said(pull));
    assert!(!control.github.issue(REPO, issue).open);
    control.nothing_secret(&control.said(pull));
    let stored = control.stored();
    assert!(stored.contains(&"actions-runner-envs/test/terraform.tfstate".to_owned()), "{stored:?}");
    assert!(!stored.iter().any(|key| key.ends_with(".plan") || key.ends_with(".tflock")), "{stored:?}");
    let state = String::from_utf8(control.object("actions-runner-envs/test/terraform.tfstate")).unwrap();
    control.nothing_secret(&state);
    let said = control.said(pull);
    let endpoint = said.split("Webhook endpoint: `").nth(1).and_then(|rest| rest.split('`').next());
    let endpoint = endpoint.unwrap_or_else(|| panic!("no endpoint in {said}")).to_owned();
    assert!(said.contains("The organisation's webhook points there now."), "{said}");

    // Used.
    let control_plane = parameter(&control.emulator, "plane");
    let parts = ["queue_url", "dead_letter_queue_url", "table"]
        .map(|name| control_plane["aws"][name].as_str().unwrap().to_owned());
    let api = endpoint.trim_start_matches("https://").split('.').next().unwrap().to_owned();
    let account = Account::new(control.emulator.clone());
    let bed = Bed::deployed(account, control.github.clone(), app, &api, parts).await;
    control.emulator.enforce_policies().unwrap();
    let machines = bed.quick_machines_as(machine_role(&control.emulator));
    bed.dispatch_for(&["self-hosted", "auto-scale", "test"], 3, 100);
    bed.completes(&machines, 3, 3 * MINUTE).await;

    // Edited.
    control.github.open_issue(REPO, "ann", "more runners", &block("test", 5), &[SET]).unwrap();
    control.workflow(true);
    let pull = control.pull();
    let shown = control.shown(pull);
    assert!(shown.contains("Maximum: 3 → 5") && shown.contains("### Plan: 1 changed"), "{shown}");
    control.github.comment_as(REPO, pull, "walt", &control.approve_line(pull));
    control.workflow(true);
    assert_eq!(parameter(&control.emulator, "sets/test")["runners_max"], 5, "{}", control.said(pull));

    // Deleted while a job runs: it drains, waits, finishes, destroys.
    bed.dispatch_for(&["self-hosted", "test"], 1, 60_000);
    bed.until(&machines, "a job runs", MINUTE, async || bed.github.runners().iter().any(|runner| runner.busy)).await;
    let issue = control.github.open_issue(REPO, "ann", "not needed", "### Environment\n\ntest\n", &[DELETE]).unwrap();
    control.workflow(true);
    let pull = control.pull();
    let line = control.approve_line(pull);
    assert!(line.ends_with(" destroy"), "{line}");
    control.github.comment_as(REPO, pull, "wanda", &line);
    let runs = control.workflow(false);
    assert_eq!(runs.len(), 1, "{}", control.said(pull));
    let mut child = control.continuing(runs[0]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut waited = false;
    bed.until(&machines, "the environment is destroyed", 5 * MINUTE, async || {
        waited |= control.shown(pull).contains("1 running job");
        child.try_wait().unwrap().is_some()
    })
    .await;
    assert!(waited, "the waiting is visible: {}", control.said(pull));
    control.end_run(runs[0]);
    assert!(control.github.pull(REPO, pull).merged, "{}", control.said(pull));
    assert!(!control.github.issue(REPO, issue).open);
    let said = control.said(pull);
    assert!(said.contains("The organisation's webhook that led there is removed."), "{said}");
    let jobs = bed.jobs();
    assert!(jobs.iter().all(|job| job.conclusion.as_deref() == Some("success")), "no job was killed: {jobs:?}");
    assert!(bed.github.runners().is_empty(), "no registration is left");
    let files = control.github.files(REPO, "main");
    assert!(files.keys().any(|path| path.starts_with("actions-runner-envs-archive/test/")), "{:?}", files.keys());
    drop(machines);
    drop(bed);
    assert_eq!(left(&control.emulator), before, "the account is as it was");
    assert!(!control.stored().iter().any(|key| key.ends_with(".plan")), "{:?}", control.stored());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_apply_whose_machine_is_lost_is_explained_planned_again_and_finished() {
    if skip_unless_there("IssueOps after a lost machine") {
        return;
    }
    let (control, _front, _) = world(true).await;
    control.github.open_issue(REPO, "ann", "runners", &block("test", 3), &[SET]).unwrap();
    control.workflow(true);
    control.github.comment_as(REPO, control.pull(), "wanda", &control.approve_line(control.pull()));
    control.workflow(true);
    assert!(control.github.pull(REPO, control.pull()).merged, "{}", control.said(control.pull()));

    // A change, whose machine is lost while AWS has not answered yet.
    control.github.open_issue(REPO, "ann", "more runners", &block("test", 4), &[SET]).unwrap();
    control.workflow(true);
    let pull = control.pull();
    control.github.comment_as(REPO, pull, "wanda", &control.approve_line(pull));
    let runs = control.workflow(false);
    control.emulator.inject(&[Fault::slow("PutParameter", Duration::from_secs(20))]).unwrap();
    control.emulator.forget_calls().unwrap();
    let mut child = control.continuing(runs[0]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let locks = || {
        let table = json!({ "TableName": "locks" });
        control.emulator.json("dynamodb", "DynamoDB_20120810.Scan", &table).unwrap().to_string()
    };
    control.called("ssm:PutParameter").await;
    assert!(child.try_wait().unwrap().is_none(), "it applies still: {}", control.said(pull));
    power_off(control.home());
    child.wait().unwrap();
    control.emulator.heal().unwrap();
    assert!(locks().contains("OperationTypeApply"), "Terraform's own lock is left: {}", locks());

    // As long as GitHub says that the run goes on, it is not dead, and nobody else applies.
    control.github.comment_as(REPO, pull, "walt", "/unlock");
    control.workflow(true);
    assert!(control.said(pull).contains("which is not proved dead"), "{}", control.said(pull));
    control.end_run(runs[0]);
    control.github.comment_as(REPO, pull, "wanda", "/status");
    control.workflow(true);
    let said = control.said(pull);
    assert!(said.contains("State: **interrupted**") && said.contains("That run is dead"), "{said}");
    control.github.comment_as(REPO, pull, "wanda", "/plan");
    control.workflow(true);
    control.github.comment_as(REPO, pull, "wanda", &control.approve_line(pull));
    control.workflow(true);
    assert!(control.github.pull(REPO, pull).merged, "{}", control.said(pull));
    assert!(!locks().contains("OperationTypeApply"), "{}", locks());
    assert_eq!(parameter(&control.emulator, "sets/test")["runners_max"], 4);
    assert!(control.tick().text.contains("continue=false"));
}

/// The server mode of the same handler: no workflow, no minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_drives_terraform_and_one_that_is_stopped_in_an_apply_is_followed_by_another() {
    if skip_unless_there("a server that drives Terraform") {
        return;
    }
    let (control, _front, _) = world(false).await;
    let before = left(&control.emulator);
    let server = control.serve().await;
    let issue = control.github.open_issue(REPO, "ann", "runners", &block("test", 3), &[SET]).unwrap();
    let (pull, line) = control.planned(issue, "").await;
    assert_eq!(left(&control.emulator), before, "a plan makes nothing");
    control.github.comment_as(REPO, pull, "wanda", &line);
    control.merged(issue, pull).await;
    assert_eq!(parameter(&control.emulator, "sets/test")["runners_max"], 3);
    control.nothing_secret(&control.said(pull));

    // Stopped while AWS has not answered yet: Terraform ends in order, and the server after it.
    let issue = control.github.open_issue(REPO, "ann", "more runners", &block("test", 4), &[SET]).unwrap();
    let (pull, line) = control.planned(issue, "").await;
    control.emulator.inject(&[Fault::slow("PutParameter", Duration::from_secs(10))]).unwrap();
    control.emulator.forget_calls().unwrap();
    control.github.comment_as(REPO, pull, "wanda", &line);
    control.called("ssm:PutParameter").await;
    assert_eq!(server.stop(&control).await, Some(0), "{}", control.log());
    let (said, stored) = (control.said(pull), control.stored());
    assert!(said.contains("The apply was stopped before its end"), "{said}");
    assert!(!stored.iter().any(|key| key.ends_with(".tflock")), "Terraform's lock is given back: {stored:?}");

    // The next one plans again and finishes.
    let server = control.serve().await;
    control.github.comment_as(REPO, pull, "wanda", "/plan");
    let (pull, line) = control.planned(issue, &line).await;
    control.github.comment_as(REPO, pull, "wanda", &line);
    control.merged(issue, pull).await;
    assert_eq!(parameter(&control.emulator, "sets/test")["runners_max"], 4);

    let delete = "### Environment\n\ntest\n";
    let issue = control.github.open_issue(REPO, "ann", "not needed", delete, &[DELETE]).unwrap();
    let (pull, line) = control.planned(issue, "").await;
    control.github.comment_as(REPO, pull, "wanda", &line);
    control.merged(issue, pull).await;
    assert_eq!(server.stop(&control).await, Some(0), "{}", control.log());
    assert_eq!(left(&control.emulator), before, "the account is as it was");
    let stored = control.stored();
    assert!(!stored.iter().any(|key| key.ends_with(".plan") || key.ends_with(".tflock")), "{stored:?}");
    control.nothing_secret(&control.log());
}
