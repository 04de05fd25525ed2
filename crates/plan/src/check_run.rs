//! What a commit's check run says of jobs that wait: title, table and conclusion.
//!
//! It is apart from what posts it because it is a function of the notifications alone, and apart from the planner because a
//! plan carries what each job is notified of, not how GitHub shows it.

use std::fmt::Write as _;

use runnersmith_types::{JobId, Notification};

/// Rows of the table. A check run's summary holds 65,535 characters; a row here has at most about 600.
const ROWS_MAX: usize = 100;
/// Characters of a cell.
const CELL_MAX: usize = 300;

/// The text of a check run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRunText {
    /// One line.
    pub title: String,
    /// Markdown: a table of the jobs and why they wait.
    pub summary: String,
    /// GitHub's word for how it ended; `None` while any job waits.
    pub conclusion: Option<&'static str>,
}

/// Returns what the check run says of these jobs, which are those whose notifications are new; `name` gives a job's name, if it
/// is known, and its number stands for it otherwise.
#[must_use]
pub fn check_run_text<'a>(jobs: &[(JobId, Notification)], name: impl Fn(JobId) -> Option<&'a str>) -> CheckRunText {
    let count = |of: fn(&Notification) -> bool| jobs.iter().filter(|(_, notification)| of(notification)).count();
    let waiting = count(|notification| matches!(notification, Notification::Waiting(_)));
    let impossible = count(|notification| matches!(notification, Notification::Impossible(_)));
    let (title, conclusion) = match (waiting, impossible) {
        (0, 0) => ("Every job that waited has a runner or is over".to_owned(), Some("success")),
        (_, 0) => (format!("{waiting} job(s) wait for a runner"), None),
        (0, _) => (format!("{impossible} job(s) can never run here"), Some("failure")),
        (_, _) => (format!("{waiting} job(s) wait for a runner, {impossible} can never run here"), None),
    };
    let mut summary = String::from("| job | why |\n| --- | --- |\n");
    for (id, notification) in jobs.iter().take(ROWS_MAX) {
        let name = name(*id).map_or_else(|| id.to_string(), str::to_owned);
        let _ = writeln!(summary, "| {} | {} |", cell(&name), cell(notification.text()));
    }
    if jobs.len() > ROWS_MAX {
        let _ = writeln!(summary, "\n… and {} more.", jobs.len() - ROWS_MAX);
    }
    CheckRunText { title, summary, conclusion }
}

/// A text inside a Markdown table cell: nothing in it can end the cell, begin markup, or mention anybody.
fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars().take(CELL_MAX) {
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
    use super::*;

    #[test]
    fn a_cell_cannot_break_out_of_its_table() {
        let hostile = "a|b\n| x | `rm` <img src=x> @everyone [l](u) $(id)";
        let safe = cell(hostile);
        assert!(!safe.contains(['|', '\n', '`', '<', '>', '[']), "{safe}");
        assert!(!safe.contains("@e"), "{safe}");
    }

    fn text(notifications: &[Notification]) -> CheckRunText {
        let jobs: Vec<_> = (1..).map(JobId).zip(notifications.iter().cloned()).collect();
        check_run_text(&jobs, |id| (id == JobId(1)).then_some("build | it"))
    }

    #[test]
    fn the_title_counts_what_waits_and_the_conclusion_comes_when_nothing_does() {
        let waiting = Notification::Waiting("a runner is on its way".into());
        let impossible = Notification::Impossible("no scale set serves it: none".into());
        let over = Notification::Settled("it is running or over".into());
        for (notifications, title, conclusion) in [
            (vec![waiting.clone(), over.clone()], "1 job(s) wait for a runner", None),
            (vec![impossible.clone(), over.clone()], "1 job(s) can never run here", Some("failure")),
            (vec![waiting.clone(), waiting, impossible], "2 job(s) wait for a runner, 1 can never run here", None),
            (vec![over], "Every job that waited has a runner or is over", Some("success")),
        ] {
            let text = text(&notifications);
            assert_eq!((text.title.as_str(), text.conclusion), (title, conclusion));
        }
    }

    #[test]
    fn the_table_has_a_row_for_each_job_by_name_or_number_and_ends_at_a_hundred() {
        let waiting = Notification::Waiting("a runner is on its way".into());
        insta::assert_snapshot!(text(&[waiting.clone(), waiting.clone()]).summary, @r"
        | job | why |
        | --- | --- |
        | build &#124; it | a runner is on its way |
        | 2 | a runner is on its way |
        ");
        let many = text(&vec![waiting; 102]).summary;
        assert_eq!(many.lines().filter(|line| line.ends_with("on its way |")).count(), 100);
        assert!(many.ends_with("\n\n… and 2 more.\n"), "{many}");
    }
}
