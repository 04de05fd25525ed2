//! Telling: within the tell bound a job runs, or its author can read in GitHub why not. One check run per repository and commit, updated.

use std::fmt::Write as _;

use runnersmith_ports::{BudgetKind, CheckRun};
use runnersmith_types::{JobId, Notification, Notified, RepoFullName};

use crate::execute::{Effect, ExecutionContext};

/// Creates or updates the commit's check run and records what each job's author was told.
pub(crate) async fn notify(
    context: &ExecutionContext<'_>,
    repo: RepoFullName,
    head_sha: String,
    jobs: Vec<(JobId, Notification)>,
) -> Effect {
    if context.take(BudgetKind::Jit).await.is_none() {
        return Effect::put_off("this minute's budget for writes is used up");
    }
    let ports = &context.world.ports;
    // Jobs of the commit that were told before share its check run.
    let id = context
        .jobs
        .values()
        .filter(|job| job.fact.repo == repo && job.fact.head_sha == head_sha)
        .find_map(|job| job.notified.as_ref().map(|notified| notified.check_run));
    let check = check_run(context, repo, head_sha, id, &jobs);
    let check_run = match ports.github.notify(&check).await {
        Ok(id) => id,
        Err(error) => return Effect::github(&error),
    };
    let at = ports.clock.now();
    for (job, verdict) in &jobs {
        let notified = Notified { at, check_run, text: text(verdict).to_owned() };
        if let Err(error) = ports.ledger.record_notification(*job, notified).await {
            return Effect::failed(&error);
        }
    }
    Effect::done(format!("{} by check run {check_run}", check.title), Vec::new())
}

/// What a verdict says.
#[must_use]
pub fn text(verdict: &Notification) -> &str {
    match verdict {
        Notification::Waiting(text) | Notification::Impossible(text) | Notification::Settled(text) => text,
    }
}

fn check_run(
    context: &ExecutionContext<'_>,
    repo: RepoFullName,
    head_sha: String,
    id: Option<u64>,
    jobs: &[(JobId, Notification)],
) -> CheckRun {
    let waiting = jobs.iter().filter(|(_, verdict)| matches!(verdict, Notification::Waiting(_))).count();
    let impossible = jobs.iter().filter(|(_, verdict)| matches!(verdict, Notification::Impossible(_))).count();
    let (title, conclusion) = match (waiting, impossible) {
        (0, 0) => ("Every job that waited has a runner or is over".to_owned(), Some("success".to_owned())),
        (_, 0) => (format!("{waiting} job(s) wait for a runner"), None),
        (0, _) => (format!("{impossible} job(s) can never run here"), Some("failure".to_owned())),
        (_, _) => (format!("{waiting} job(s) wait for a runner, {impossible} can never run here"), None),
    };
    let mut summary = String::from("| job | why |\n| --- | --- |\n");
    // A check run's summary holds 65,535 characters; a row here has at most about 600.
    for (id, verdict) in jobs.iter().take(100) {
        let name = context.jobs.get(id).map_or_else(|| id.to_string(), |job| job.fact.name.clone());
        let _ = writeln!(summary, "| {} | {} |", cell(&name), cell(text(verdict)));
    }
    if jobs.len() > 100 {
        let _ = writeln!(summary, "\n… and {} more.", jobs.len() - 100);
    }
    CheckRun { repo, head_sha, id, title, summary, conclusion }
}

/// A text inside a Markdown table cell: nothing in it can end the cell, begin markup, or mention anybody.
fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars().take(300) {
        match c {
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '&' | '#' | '!' | '~' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            '@' => out.push_str("@\u{200b}"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn a_cell_cannot_break_out_of_its_table() {
        let hostile = "a|b\n| x | `rm` <img src=x> @everyone [l](u) $(id)";
        let safe = cell(hostile);
        assert!(!safe.contains(['|', '\n', '`', '<', '>', '[']), "{safe}");
        assert!(!safe.contains("@e"), "{safe}");
    }
}
