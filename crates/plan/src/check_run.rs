//! What a commit's check run says of jobs that wait: title, table and conclusion.
//!
//! It is apart from the rules of notifying because it is a function of the rows alone: the complete list of a commit's jobs that
//! wait or were notified of, whatever sets serve them.

use std::fmt::Write as _;

use runnersmith_types::{CheckRunText, JobId, Notification};

/// Rows of the table. A check run's summary holds 65,535 characters; a row here has at most about 600.
const ROWS_MAX: usize = 100;
/// Characters of a cell.
const CELL_MAX: usize = 300;

/// Returns what the check run says of these jobs, each with its name (its number stands for an empty one). They are all jobs of the
/// commit that wait or were notified of, in the order in which they are shown.
pub(crate) fn check_run_text<'a>(
    rows: impl Iterator<Item = (&'a str, JobId, &'a Notification)> + Clone,
) -> CheckRunText {
    let count = |of: fn(&Notification) -> bool| rows.clone().filter(|(_, _, notification)| of(notification)).count();
    let waiting = count(|notification| matches!(notification, Notification::Waiting(_)));
    let unserved = count(|notification| matches!(notification, Notification::Unserved(_)));
    let impossible = count(|notification| matches!(notification, Notification::Impossible(_)));
    let conclusion = match (waiting, impossible, unserved) {
        (1.., _, _) => None,
        (0, 1.., _) => Some("failure"),
        // Another fleet may come and serve them.
        (0, 0, 1..) => Some("neutral"),
        (0, 0, 0) => Some("success"),
    };
    let mut summary = String::from("| job | why |\n| --- | --- |\n");
    for (name, id, notification) in rows.clone().take(ROWS_MAX) {
        let name = if name.is_empty() { id.to_string() } else { name.to_owned() };
        let _ = writeln!(summary, "| {} | {} |", cell(&name), cell(notification.text()));
    }
    let all = rows.count();
    if all > ROWS_MAX {
        let _ = writeln!(summary, "\n… and {} more.", all - ROWS_MAX);
    }
    CheckRunText { title: title(waiting, unserved + impossible), summary, conclusion }
}

fn title(waiting: usize, unserved: usize) -> String {
    let jobs = |count: usize, one: &str, many: &str| {
        if count == 1 { format!("1 job {one}") } else { format!("{count} jobs {many}") }
    };
    let waits = jobs(waiting, "waits for a runner", "wait for a runner");
    match (waiting, unserved) {
        (0, 0) => "Every job that waited has a runner or is over".to_owned(),
        (_, 0) => waits,
        (0, _) => jobs(unserved, "has no scale set here", "have no scale set here"),
        (_, _) => format!("{waits}, {unserved} without a scale set here"),
    }
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

    /// The first job has a name, the others have none.
    fn text(notifications: &[Notification]) -> CheckRunText {
        let name = |index: u64| if index == 1 { "build | it" } else { "" };
        let rows: Vec<_> = (1..).zip(notifications).map(|(index, one)| (name(index), JobId(index), one)).collect();
        check_run_text(rows.into_iter())
    }

    #[test]
    fn the_title_counts_what_waits_and_the_conclusion_comes_when_nothing_does() {
        let waiting = Notification::Waiting("a runner is on its way".into());
        let impossible = Notification::Impossible("no scale set serves it: none".into());
        let unserved = Notification::Unserved("no scale set serves it: none".into());
        let over = Notification::Settled("it is running or over".into());
        let no_set = "1 job has no scale set here";
        for (notifications, title, conclusion) in [
            (vec![waiting.clone(), over.clone()], "1 job waits for a runner", None),
            (vec![unserved.clone(), over.clone()], no_set, Some("neutral")),
            (vec![impossible.clone(), over.clone()], no_set, Some("failure")),
            (vec![impossible.clone(), unserved.clone()], "2 jobs have no scale set here", Some("failure")),
            (
                vec![waiting.clone(), waiting.clone(), impossible],
                "2 jobs wait for a runner, 1 without a scale set here",
                None,
            ),
            (vec![waiting, unserved], "1 job waits for a runner, 1 without a scale set here", None),
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
