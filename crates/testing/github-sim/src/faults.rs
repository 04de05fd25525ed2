//! What can be made to go wrong.

use std::collections::BTreeMap;

/// How GitHub says "not so fast".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// 403, nothing remaining, and when the hour is over (seconds from now).
    Primary(u64),
    /// 429 with `Retry-After` (seconds).
    RetryAfter(u64),
    /// 403 that says "secondary rate limit" and nothing else.
    Secondary,
}

/// Faults; all off by default. Counts go down by one with each use.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// What is downloaded is not what the release says it is.
    pub broken_download: bool,
    /// So many of the next deliveries are lost: logged as failed, never sent.
    pub lose_deliveries: u32,
    /// So many of the next deliveries are never tried, and not in any log.
    pub forget_deliveries: u32,
    /// So many of the next deliveries are sent twice.
    pub double_deliveries: u32,
    /// Each delivery is late by so many milliseconds.
    pub delay_deliveries_ms: u64,
    /// Each delivery is late by a random time below so many milliseconds, so that they overtake each other.
    pub reorder_deliveries_ms: u64,
    /// Payloads name this installation instead of the right one.
    pub wrong_installation: Option<u64>,
    /// The next calls of an operation (`METHOD path-template`, or `*`) answer this status so many times.
    pub fail: BTreeMap<String, (u16, u32)>,
    /// So many of the next calls are over a limit.
    pub limit: Option<(Limit, u32)>,
    /// So many of the next JIT calls have their effect, but their answer is lost (a 502).
    pub lose_jit_answers: u32,
    /// Runners look not busy although they have a job, and their removal succeeds.
    pub stale_busy: bool,
    /// Lists shift while their pages are read: an item between two pages is not shown.
    pub shift_pages: bool,
    /// So many of the next answers about a pull request say that GitHub has not found out whether it can be merged.
    pub unknown_mergeable: u32,
    /// So many of the next merges find that the base branch was modified meanwhile.
    pub modified_bases: u32,
    /// Recursive trees are cut, and say so.
    pub truncate_trees: bool,
    /// Who asks may not read who edited an issue: GraphQL says null.
    pub hide_edits: bool,
    /// GraphQL refuses to say who edited an issue, by an error of this type.
    pub refuse_edits: Option<&'static str>,
    /// GraphQL refuses to say what happened to an issue, by an error of this type.
    pub refuse_timelines: Option<&'static str>,
    /// `check_run` is delivered too for each queued job, as to Apps made before `workflow_job` was.
    pub check_runs: bool,
}

impl Faults {
    /// Whether this call is to fail, and how.
    pub(crate) fn failure(&mut self, operation: &str) -> Option<u16> {
        let key = if self.fail.contains_key(operation) { operation } else { "*" };
        let (status, left) = self.fail.get_mut(key)?;
        let status = *status;
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.fail.remove(key);
        }
        Some(status)
    }

    /// Whether this call is over a limit, and which.
    pub(crate) fn limited(&mut self) -> Option<Limit> {
        let (limit, left) = self.limit.as_mut()?;
        let limit = *limit;
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.limit = None;
        }
        Some(limit)
    }

    pub(crate) fn take(count: &mut u32) -> bool {
        let some = *count > 0;
        *count = count.saturating_sub(1);
        some
    }
}
