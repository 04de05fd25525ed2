//! The demo's people: one asks for runners by an issue, another reads the plan and approves its digest; at the end one asks
//! for the end, and nothing is left.

use std::time::{Duration, Instant};

use runnersmith_github_sim::Simulator;
use runnersmith_issueops::policy;
use runnersmith_issueops::request::{Field, RequestKind};

use crate::exit::CommandFailure;
use crate::report;

/// The control repository.
pub const REPOSITORY: &str = "acme/control";
/// The environment, which is also the label that its jobs ask for.
pub const ENVIRONMENT: &str = "demo";
/// The platform's policy but for its last line.
const POLICY: &str = include_str!("policy.toml");
/// What GitHub writes for a field that is left empty.
const NO_ANSWER: &str = "_No response_";
/// No step of a request takes longer, even on a busy machine.
const STEP_WITHIN: Duration = Duration::from_secs(120);

/// How a request went.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct DemoRequest {
    /// Its issue.
    issue: u64,
    /// Its pull request.
    pull: u64,
    /// Milliseconds from the issue to the plan's comment.
    planned_ms: u64,
    /// Milliseconds from the approving comment to the merge.
    applied_ms: u64,
}

impl std::fmt::Display for DemoRequest {
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
    let text = format!("{POLICY}maximum = {maximum}\n");
    simulator.add_repository(REPOSITORY);
    let files = [(policy::FILE, text.as_str()), ("README.md", "# Runners of acme\n")];
    simulator.write_files(REPOSITORY, "main", &files);
    for (login, role) in [("ann", "read"), ("bob", "write")] {
        simulator.add_user(login);
        simulator.set_role(REPOSITORY, login, role);
    }
}

/// What GitHub makes of an issue form as `ann` fills it in.
fn form(answers: &[(Field, &str)]) -> String {
    let sections: Vec<String> =
        answers.iter().map(|(field, answer)| format!("### {}\n\n{answer}\n", field.title())).collect();
    sections.join("\n")
}

/// Asks for the environment and has it approved.
pub async fn create(simulator: &Simulator, maximum: u32) -> Result<DemoRequest, CommandFailure> {
    report::note(&format!("ann opens an issue: runners `{ENVIRONMENT}`, at most {maximum}"));
    let body = form(&[
        (Field::Environment, ENVIRONMENT),
        (Field::Organization, "acme"),
        (Field::MinRunners, "0"),
        (Field::MaxRunners, &maximum.to_string()),
        (Field::RunnerGroup, "Default"),
        (Field::AmiFilter, NO_ANSWER),
        (Field::AmiOwner, "amazon"),
        (Field::Reason, "The demo."),
    ]);
    request(simulator, "Runners for the demo", &body, RequestKind::Set).await
}

/// Asks for its end and has it approved.
pub async fn delete(simulator: &Simulator) -> Result<DemoRequest, CommandFailure> {
    report::note(&format!("ann opens an issue: delete `{ENVIRONMENT}`"));
    let body = form(&[(Field::Environment, ENVIRONMENT), (Field::Reason, NO_ANSWER)]);
    request(simulator, "The demo is over", &body, RequestKind::Delete).await
}

async fn request(
    simulator: &Simulator,
    title: &str,
    body: &str,
    kind: RequestKind,
) -> Result<DemoRequest, CommandFailure> {
    let begun = Instant::now();
    let issue = simulator
        .open_issue(REPOSITORY, "ann", title, body, &[kind.label()])
        .map_err(|error| CommandFailure::internal(error.to_string()))?;
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
    Ok(DemoRequest { issue, pull, planned_ms, applied_ms })
}

/// Looks until something is so, as people do who reload a page: the simulated GitHub notifies nobody but the webhook.
async fn until<T>(what: &str, simulator: &Simulator, mut is: impl FnMut() -> Option<T>) -> Result<T, CommandFailure> {
    let begun = Instant::now();
    loop {
        if let Some(found) = is() {
            return Ok(found);
        }
        if begun.elapsed() > STEP_WITHIN {
            let said = simulator.numbers(REPOSITORY).into_iter().flat_map(|n| simulator.issue(REPOSITORY, n).comments);
            let last = said.last().map_or_else(|| "nothing".to_owned(), |comment| comment.body);
            return Err(CommandFailure::outside(
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
