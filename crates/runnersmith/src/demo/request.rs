//! The demo's people: one asks for runners by an issue, another reads the plan and approves its digest; at the end one asks
//! for the end, and nothing is left.

use std::time::{Duration, Instant};

use runnersmith_github_sim::Simulator;

use crate::exit::Failure;
use crate::report;

/// The control repository.
pub const REPOSITORY: &str = "acme/control";
/// The environment, which is also the label that its jobs ask for.
pub const ENVIRONMENT: &str = "demo";
/// No step of a request takes longer, even on a busy machine.
const STEP_WITHIN: Duration = Duration::from_secs(120);

/// How a request went.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Request {
    /// Its issue.
    issue: u64,
    /// Its pull request.
    pull: u64,
    /// Milliseconds from the issue to the plan's comment.
    planned_ms: u64,
    /// Milliseconds from the approving comment to the merge.
    applied_ms: u64,
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { issue, pull, planned_ms, applied_ms } = self;
        write!(
            f,
            "issue #{issue} and its pull request #{pull}: plan after {planned_ms} ms, merged {applied_ms} ms after the approval"
        )
    }
}

/// Lays the repository out: the platform's policy, who asks and who approves.
pub fn lay_out(simulator: &Simulator, maximum: u32) {
    let policy = format!(
        r#"version = 1
organizations = ["acme"]
module_source = "git::https://example.com/runnersmith.git//terraform?ref=v0"

[backend]
bucket = "not-needed-here"
region = "eu-west-1"

[[network]]
region = "eu-west-1"
vpc_id = "vpc-0123456789abcdef0"
subnet_ids = ["subnet-0123456789abcdef0"]

[runners]
maximum = {maximum}
common_labels = []
"#
    );
    simulator.add_repository(REPOSITORY);
    simulator.write_files(
        REPOSITORY,
        "main",
        &[("runnersmith-policy.toml", policy.as_str()), ("README.md", "# Runners of acme\n")],
    );
    for (login, role) in [("ann", "read"), ("bob", "write")] {
        simulator.add_user(login);
        simulator.set_role(REPOSITORY, login, role);
    }
}

/// What GitHub makes of the issue form as `ann` fills it in.
fn form(maximum: u32) -> String {
    format!(
        "### Environment\n\n{ENVIRONMENT}\n\n### Organization\n\nacme\n\n### Idle runners\n\n0\n\n### Maximum runners\n\n{maximum}\n\n### Runner group\n\nDefault\n\n### Image filter\n\n_No response_\n\n### Image owner\n\namazon\n\n### Reason\n\nThe demo.\n"
    )
}

/// Asks for the environment and has it approved.
pub async fn create(simulator: &Simulator, maximum: u32) -> Result<Request, Failure> {
    report::note(&format!("ann opens an issue: runners `{ENVIRONMENT}`, at most {maximum}"));
    request(simulator, "Runners for the demo", &form(maximum), "self-hosted-runner-scale-set").await
}

/// Asks for its end and has it approved.
pub async fn delete(simulator: &Simulator) -> Result<Request, Failure> {
    report::note(&format!("ann opens an issue: delete `{ENVIRONMENT}`"));
    let body = format!("### Environment\n\n{ENVIRONMENT}\n\n### Reason\n\n_No response_\n");
    request(simulator, "The demo is over", &body, "delete-self-hosted-runner-scale-set").await
}

async fn request(simulator: &Simulator, title: &str, body: &str, label: &str) -> Result<Request, Failure> {
    let begun = Instant::now();
    let issue = simulator
        .open_issue(REPOSITORY, "ann", title, body, &[label])
        .map_err(|error| Failure::internal(error.to_string()))?;
    let (pull, line) = until("a plan is shown", simulator, || {
        let pull = simulator
            .numbers(REPOSITORY)
            .into_iter()
            .find(|number| *number > issue && simulator.issue(REPOSITORY, *number).is_pull)?;
        let comments = simulator.issue(REPOSITORY, pull).comments;
        let shown = comments.into_iter().find(|comment| comment.body.starts_with("<!-- runnersmith:state -->"))?;
        let line = shown.body.lines().find(|line| line.starts_with("/approve "))?.to_owned();
        let plan = shown.body.lines().find(|line| line.starts_with("### Plan"))?.trim_start_matches("### ").to_owned();
        report::note(&format!("  #{pull}  {plan}"));
        Some((pull, line))
    })
    .await?;
    let planned_ms = millis(begun.elapsed());
    let begun = Instant::now();
    report::note(&format!("  #{pull}  bob: {line}"));
    simulator.comment_as(REPOSITORY, pull, "bob", &line);
    until("the change is applied and merged", simulator, || {
        let branch = simulator.pull(REPOSITORY, pull).head_branch;
        let is_over = simulator.pull(REPOSITORY, pull).merged
            && !simulator.issue(REPOSITORY, issue).open
            && simulator.branch(REPOSITORY, &branch).is_none();
        is_over.then_some(())
    })
    .await?;
    let applied_ms = millis(begun.elapsed());
    report::note(&format!(
        "  #{pull}  applied and merged, {applied_ms} ms after the approval; issue #{issue} is closed\n"
    ));
    Ok(Request { issue, pull, planned_ms, applied_ms })
}

async fn until<T>(what: &str, simulator: &Simulator, mut is: impl FnMut() -> Option<T>) -> Result<T, Failure> {
    let begun = Instant::now();
    loop {
        if let Some(found) = is() {
            return Ok(found);
        }
        if begun.elapsed() > STEP_WITHIN {
            let said = simulator.numbers(REPOSITORY).into_iter().flat_map(|n| simulator.issue(REPOSITORY, n).comments);
            let last = said.last().map_or_else(|| "nothing".to_owned(), |comment| comment.body);
            return Err(Failure::outside(
                format!("the demo waited {} s until {what}; the last comment: {last}", STEP_WITHIN.as_secs()),
                "run it with RUST_LOG=info, or on a machine that is less busy",
            ));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
