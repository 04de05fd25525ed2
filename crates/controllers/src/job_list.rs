//! The list of jobs, past ones included: which are wanted decides [`runnersmith_plan::job_list`], here they are read, page by page.

use runnersmith_ports::{JobLedger, LedgerError};
use runnersmith_types::{Job, Timestamp};

pub use runnersmith_plan::job_list::{JobFilter, JobLine, OUTCOMES, SinceError, outcome, set_of, since};

/// Jobs that are read at once.
pub const PAGE: usize = 500;

/// Returns the newest jobs by first sight that are wanted, newest first, at most `limit`. What was first seen before `since` is not
/// among them.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn find(
    ledger: &(impl JobLedger + ?Sized),
    since: Timestamp,
    limit: usize,
    wants: impl Fn(&Job) -> bool,
) -> Result<Vec<Job>, LedgerError> {
    let (mut found, mut before) = (Vec::new(), Timestamp(i64::MAX));
    while found.len() < limit && before > since {
        let page = ledger.jobs_before(before, PAGE).await?;
        let Some(last) = page.last() else { break };
        before = last.first_seen_at;
        found.extend(page.into_iter().filter(|job| job.first_seen_at >= since && wants(job)));
    }
    found.truncate(limit);
    Ok(found)
}
