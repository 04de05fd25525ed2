//! Drift: one issue for each environment whose cloud is not what its state says. It is found by its marker and closed when
//! nothing differs any more.

use super::markdown::{code, fence, head, some};
use super::{Marker, count};
use crate::summary::Summary;
use crate::words::EnvironmentName;

/// The most characters of the list.
const LIST_MAX: usize = 30_000;

/// An issue's title and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriftIssue {
    /// For people; the issue is found by the marker in its body.
    pub title: String,
    /// The body, with its marker.
    pub body: String,
}

/// The issue that reports drift, from a refresh-only plan; `None`: nothing differs, and an open one is closed.
#[must_use]
pub fn drift_issue(environment: &EnvironmentName, summary: &Summary) -> Option<DriftIssue> {
    if summary.drifted.is_empty() {
        return None;
    }
    let lines = summary.drifted.iter().map(|address| format!("{}\n", head(address, 600)));
    let (lines, more) = some(lines, LIST_MAX);
    let more = if more > 0 { format!("\nand {more} more\n") } else { String::new() };
    let body = format!(
        "{}\nWhat is there differs from the state of {}: {}.\n\n{}{more}\nSomebody changed it by hand, or AWS did. To set it back, edit this environment's issue, or comment `/plan` on its open pull request; the plan shows what would be done. This issue closes by itself when nothing differs any more.\n",
        Marker::Drift(environment.to_string()).line(),
        code(environment.as_str()),
        count(summary.drifted.len(), "resource"),
        fence(&lines.concat(), "text"),
    );
    Some(DriftIssue { title: format!("Drift: {environment}"), body })
}
