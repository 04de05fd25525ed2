//! `runnersmith jobs`: jobs, past ones included, from ledger and policy alone.

use std::time::Duration;

use runnersmith_controllers::job_list::{JobFilter, JobLine, find, since};
use runnersmith_controllers::why::{duration, utc_seconds};
use runnersmith_ports::{Clock as _, SystemClock};
use runnersmith_types::{Job, ScaleSet, Timestamp};
use serde::Serialize;

use crate::cli;
use crate::exit::{CommandFailure, ExitStatus};
use crate::query::{LedgerAndPolicy, ledger_failed};
use crate::report;

/// The most characters of a job's name in the table.
const NAME_CHARS_MAX: usize = 48;

/// [`JobLine`] for programs. Times are milliseconds since the epoch, durations seconds.
#[derive(Serialize)]
struct JobJson {
    job: u64,
    repository: String,
    workflow: String,
    name: String,
    set: Option<String>,
    status: &'static str,
    outcome: String,
    first_seen_ms: i64,
    waited_seconds: Option<f64>,
    run_seconds: Option<f64>,
    runner: Option<String>,
    url: String,
}

/// `runnersmith jobs`.
pub async fn command(options: cli::JobsOptions) -> Result<ExitStatus, CommandFailure> {
    let since = options.since.as_deref().map(|text| since(text, SystemClock.now())).transpose();
    let since = since.map_err(|error| CommandFailure {
        status: ExitStatus::Usage,
        what: format!("--since {error}"),
        hint: None,
    })?;
    let known = LedgerAndPolicy::open_for(&options.read).await?;
    let policies: Vec<&ScaleSet> = known.sets.iter().collect();
    let filter = JobFilter { repo: options.repository, set: options.set, since, outcome: options.outcome };
    let limit = usize::try_from(options.limit).unwrap_or(usize::MAX);
    let wants = |job: &Job| filter.wants(job, &policies);
    // One more says whether there are more.
    let mut found = find(known.ledger.as_ref(), since.unwrap_or(Timestamp(0)), limit.saturating_add(1), wants)
        .await
        .map_err(ledger_failed)?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    show(&known, &found, options.read.query.json)?;
    if let Some(set) = filter.set.filter(|set| found.is_empty() && policies.iter().all(|policy| policy.name != *set)) {
        let names: Vec<&str> = policies.iter().map(|policy| policy.name.as_str()).collect();
        report::note(&format!("note: there is no scale set {set}; the scale sets are: {}", names.join(", ")));
    }
    if has_more {
        report::note(&format!("note: there are more than {limit}; --limit, --since and the other filters say which"));
    }
    Ok(ExitStatus::Success)
}

/// Prints jobs as a table, or as JSON.
///
/// # Errors
/// When they cannot be printed.
pub fn show(known: &LedgerAndPolicy, jobs: &[Job], is_json: bool) -> Result<(), CommandFailure> {
    let policies: Vec<&ScaleSet> = known.sets.iter().collect();
    let now = SystemClock.now();
    let lines: Vec<JobLine> = jobs.iter().map(|job| JobLine::of(job, &policies, &known.server_url, now)).collect();
    if is_json {
        return report::json(&lines.into_iter().map(json).collect::<Vec<_>>());
    }
    if lines.is_empty() {
        report::line("no job is there");
    } else {
        table(&lines).iter().for_each(|line| report::line(line));
    }
    Ok(())
}

fn json(line: JobLine) -> JobJson {
    let seconds = |took: Option<Duration>| took.map(|took| took.as_secs_f64());
    JobJson {
        job: line.id.0,
        repository: line.repo,
        workflow: line.workflow,
        name: line.name,
        set: line.set.map(|set| set.to_string()),
        status: line.status,
        outcome: line.outcome,
        first_seen_ms: line.first_seen_at.as_millis(),
        waited_seconds: seconds(line.waited),
        run_seconds: seconds(line.ran),
        runner: line.runner,
        url: line.url,
    }
}

/// The lines of the table, its head first. Foreign text is escaped: a terminal obeys control characters.
fn table(lines: &[JobLine]) -> Vec<String> {
    let head = ["JOB", "FIRST SEEN", "REPOSITORY", "NAME", "OUTCOME", "WAITED", "RAN", "RUNNER", "URL"];
    let mut rows = vec![head.map(str::to_owned)];
    for line in lines {
        let text = |took: Option<Duration>| took.map_or_else(|| "-".to_owned(), duration);
        let name = format!("{} / {}", line.workflow, line.name);
        let outcome = if line.outcome == "open" { line.status } else { &line.outcome };
        rows.push([
            line.id.to_string(),
            utc_seconds(line.first_seen_at),
            line.repo.clone(),
            shortened(&name),
            outcome.escape_debug().to_string(),
            text(line.waited),
            text(line.ran),
            line.runner.as_deref().map_or_else(|| "-".to_owned(), |name| name.escape_debug().to_string()),
            line.url.clone(),
        ]);
    }
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..head.len()).map(|column| width(column).unwrap_or(0)).collect();
    let padded = |row: &[String; 9]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(padded).collect()
}

fn shortened(name: &str) -> String {
    let cut: String = name.chars().take(NAME_CHARS_MAX).collect();
    let more = if cut.len() < name.len() { "…" } else { "" };
    format!("{}{more}", cut.escape_debug())
}

#[cfg(test)]
mod tests {
    use runnersmith_types::JobId;

    use super::*;

    #[test]
    fn the_table_is_aligned_and_escapes_what_is_foreign() {
        let line = |id, name: &str, outcome: &str, ran| JobLine {
            id: JobId(id),
            repo: "acme/shop".into(),
            workflow: "ci".into(),
            name: name.into(),
            status: "queued",
            outcome: outcome.into(),
            set: None,
            first_seen_at: Timestamp::from_secs(1_780_056_191),
            waited: Some(Duration::from_secs(90)),
            ran,
            runner: None,
            url: format!("https://github.com/acme/shop/actions/runs/7/job/{id}"),
        };
        let ran = Some(Duration::from_secs(61));
        let lines = table(&[line(9, "build\u{1b}[2J", "open", None), line(10, &"x".repeat(60), "timed_out", ran)]);
        let long = format!("ci / {}…", "x".repeat(43));
        assert_eq!(
            lines,
            [
                format!(
                    "JOB  FIRST SEEN               REPOSITORY  {:<49}  OUTCOME    WAITED      RAN         RUNNER  URL",
                    "NAME"
                ),
                format!(
                    "9    2026-05-29 12:03:11 UTC  acme/shop   {:<49}  queued     1 min 30 s  -           -       https://github.com/acme/shop/actions/runs/7/job/9",
                    "ci / build\\u{1b}[2J"
                ),
                format!(
                    "10   2026-05-29 12:03:11 UTC  acme/shop   {long:<49}  timed_out  1 min 30 s  1 min 01 s  -       https://github.com/acme/shop/actions/runs/7/job/10"
                ),
            ]
        );
    }
}
