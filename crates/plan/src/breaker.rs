//! Rule 6's breaker: a broken image must not relaunch forever. It is apart from the fallback order because a capacity pool that fails is
//! a matter of where, and a breaker that opens a matter of what.

use std::collections::BTreeSet;
use std::time::Duration;

use runnersmith_types::{CapacityPool, RunnerState, WaitingOn, saturating_u32};

use crate::draft::Draft;
use crate::failure::is_on_probation;

/// The pause between probes never grows beyond this.
const BACKOFF_MAX: Duration = Duration::from_secs(3600);

pub(crate) enum Breaker {
    /// Machines boot.
    Closed,
    /// Too many failures, all on the same capacity pool: another capacity pool, that can be tried now, shows whether it is the capacity pool or the
    /// image.
    Doubted { failed: BTreeSet<CapacityPool> },
    /// Machines do not boot on two capacity pools (or on the only one).
    Open {
        on: WaitingOn,
        /// Whether one machine may be tried now.
        probe: bool,
    },
}

/// The breaker, with the capacity pools that can be tried now. It opens at the threshold when no other capacity pool can be, so that a
/// broken image does not hide behind a lack of capacity, and at twice the threshold whatever the capacity pools.
pub(crate) fn state(draft: &mut Draft<'_>, warm: &[&CapacityPool]) -> Breaker {
    let failures = &draft.boot_failures;
    let timing = &draft.policy.timing;
    let threshold = timing.boot_failures_max.max(1) as usize;
    let total = failures.total();
    if total < threshold {
        return Breaker::Closed;
    }
    let failed: BTreeSet<CapacityPool> = failures.newest.iter().map(|failure| failure.pool.clone()).collect();
    let other = warm.iter().any(|pool| !failed.contains(*pool));
    if failed.len() < 2 && other && total < 2 * threshold {
        return Breaker::Doubted { failed };
    }
    let last = failures.newest.iter().map(|failure| failure.at).max().unwrap_or(draft.now);
    let newest = failures.newest.last();
    let cause = newest.map(|failure| failure.cause).unwrap_or_default();
    let why = newest.filter(|failure| !failure.why.is_empty());
    let why = why.map(|failure| format!("{}, {}", failure.runner, failure.why)).unwrap_or_default();
    // A batch of ten machines that fail together is one round, and so is each probe.
    let doublings = failures.rounds_beyond(threshold).min(16);
    let probe_at = last.plus(timing.probe_backoff.saturating_mul(1 << doublings).min(BACKOFF_MAX));
    let on = WaitingOn::Breaker { probe_at, failures: saturating_u32(total), cause, why };
    let under_way = draft.runners.iter().any(|runner| {
        matches!(runner.state, RunnerState::Launching | RunnerState::Booting) || is_on_probation(draft, runner)
    });
    draft.wake_at(probe_at);
    Breaker::Open { on, probe: !under_way && probe_at <= draft.now }
}
