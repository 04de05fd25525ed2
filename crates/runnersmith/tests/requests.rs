//! `serve` with a control repository, as its users know it: an issue makes a scale set, the set outlives the server that
//! made it, and another issue takes it away together with its machines.

use std::time::Duration;

use crate::support::{Bed, until};
use runnersmith_github_sim::{JobSpec, WorkflowSpec};

const CONTROL: &str = "acme/control";
const POLICY: &str = include_str!("../src/demo/policy.toml");

/// A server without a scale set of its own, and a control repository where `ann` may read and `bob` may write.
async fn bed() -> Bed {
    let bed = Bed::with_sets(&format!("[issueops]\nrepository = \"{CONTROL}\"\ntick_seconds = 5\n")).await;
    bed.github.subscribe(bed.app, &["workflow_job", "issues", "issue_comment", "pull_request"]);
    bed.github.add_repository(CONTROL);
    bed.github.write_files(CONTROL, "main", &[("runnersmith-policy.toml", POLICY), ("README.md", "# Runners\n")]);
    for (login, role) in [("ann", "read"), ("bob", "write")] {
        bed.github.add_user(login);
        bed.github.set_role(CONTROL, login, role);
    }
    bed
}

fn ask(bed: &Bed, body: &str, label: &str) -> u64 {
    bed.github.open_issue(CONTROL, "ann", "runners please", body, &[label]).unwrap()
}

/// Everything that was said, for a failure's message.
fn said(bed: &Bed) -> String {
    let comments = bed.github.numbers(CONTROL).into_iter().flat_map(|n| bed.github.issue(CONTROL, n).comments);
    let comments: String = comments.map(|comment| format!("[{}] {}\n", comment.author, comment.body)).collect();
    format!("{comments}\n{}", bed.log())
}

/// The pull request of an issue and the line that approves its plan.
async fn planned(bed: &Bed, issue: u64) -> (u64, String) {
    let mut found = None;
    until(
        "a plan is shown",
        Duration::from_secs(30),
        || said(bed),
        async || {
            let pulls = bed.github.numbers(CONTROL).into_iter();
            let pull = pulls.rev().find(|n| *n > issue && bed.github.issue(CONTROL, *n).is_pull);
            found = pull.and_then(|pull| {
                let shown = bed.github.issue(CONTROL, pull).comments.into_iter();
                let text: String = shown.map(|comment| comment.body + "\n").collect();
                text.lines().find(|line| line.starts_with("/approve ")).map(|line| (pull, line.to_owned()))
            });
            found.is_some()
        },
    )
    .await;
    found.unwrap()
}

async fn merged(bed: &Bed, issue: u64, pull: u64) {
    until(
        "the change is merged and its issue closed",
        Duration::from_secs(30),
        || said(bed),
        async || bed.github.pull(CONTROL, pull).merged && !bed.github.issue(CONTROL, issue).open,
    )
    .await;
}

fn job(bed: &Bed, duration: Duration) -> u64 {
    let labels = vec!["self-hosted".into(), "blue".into()];
    let job = JobSpec { name: "job".into(), labels, duration, ..JobSpec::default() };
    bed.github.dispatch("acme/shop", WorkflowSpec { name: "test".into(), jobs: vec![job] }).unwrap()
}

fn conclusion(bed: &Bed, run: u64) -> Option<String> {
    bed.github.jobs(run)[0].conclusion.clone()
}

async fn succeeds(bed: &Bed, run: u64) {
    until(
        "the job is over",
        Duration::from_secs(60),
        || said(bed),
        async || conclusion(bed, run).as_deref() == Some("success"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_makes_a_set_that_outlives_a_killed_server_and_another_takes_it_away() {
    let bed = bed().await;
    let serve = bed.serve();
    bed.ready().await;
    let wanted = "```json\n{\"environment\": \"blue\", \"organization\": \"acme\", \"minRunners\": \"0\", \"maxRunners\": \"2\", \
                  \"runnerGroup\": \"Default\", \"amiFilter\": \"\", \"amiOwner\": \"amazon\"}\n```\n";
    let issue = ask(&bed, wanted, "self-hosted-runner-scale-set");
    let (pull, line) = planned(&bed, issue).await;

    // Nobody without the right gets anything by the same words.
    bed.github.comment_as(CONTROL, pull, "ann", &line);
    until(
        "ann is answered",
        Duration::from_secs(30),
        || said(&bed),
        async || {
            let comments = bed.github.issue(CONTROL, pull).comments;
            comments.iter().any(|comment| comment.body.starts_with("<!-- runnersmith:reply -->"))
        },
    )
    .await;
    assert!(!bed.github.pull(CONTROL, pull).merged, "{}", said(&bed));

    bed.github.comment_as(CONTROL, pull, "bob", &line);
    merged(&bed, issue, pull).await;
    succeeds(&bed, job(&bed, Duration::from_millis(200))).await;

    // The set is in the records, not in the process. Who lets Terraform handle requests from now on has it still, and needs
    // runners for it.
    serve.kill();
    let config = std::fs::read_to_string(bed.path("runnersmith.toml")).unwrap();
    let config: String = config
        .lines()
        .filter(|line| !line.starts_with("runner_distribution"))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(bed.path("later.toml"), config + "provisioner = \"terraform\"\n").unwrap();
    let mut later = bed.serve_with("later.toml");
    until(
        "it looks for runners",
        Duration::from_secs(30),
        || said(&bed),
        async || later.child.try_wait().unwrap().is_some(),
    )
    .await;
    assert_eq!(later.child.wait().unwrap().code(), Some(4), "{}", bed.log());
    assert!(bed.log().contains("fetch the newest actions/runner release"), "{}", bed.log());

    let serve = bed.serve();
    bed.ready().await;
    succeeds(&bed, job(&bed, Duration::from_millis(200))).await;

    // A deletion waits for the job that runs.
    let run = job(&bed, Duration::from_secs(4));
    until(
        "the job runs",
        Duration::from_secs(30),
        || said(&bed),
        async || bed.github.runners().iter().any(|runner| runner.busy),
    )
    .await;
    let issue = ask(&bed, "```json\n{\"environment\": \"blue\"}\n```\n", "delete-self-hosted-runner-scale-set");
    let (pull, line) = planned(&bed, issue).await;
    bed.github.comment_as(CONTROL, pull, "bob", &line);
    merged(&bed, issue, pull).await;
    assert_eq!(conclusion(&bed, run).as_deref(), Some("success"), "{}", said(&bed));
    until(
        "no machine and no runner is left",
        Duration::from_secs(30),
        || said(&bed),
        async || bed.machines_alive().is_empty() && bed.github.runners().is_empty(),
    )
    .await;
    assert_eq!(serve.stop().await, Some(0));
}
