//! Rules 6 and 9: where to buy next, and when to stop buying. A broken image must not relaunch for ever, and one zone
//! without capacity must not stop the others.

use std::time::Duration;

use runnersmith_types::{Rung, RunnerState, Timestamp, WaitingOn};

use crate::draft::Draft;

/// Whether and where launching goes on.
pub(crate) enum Way {
    /// On this rung.
    Open(Rung),
    /// The breaker is open and a probe is due: one machine.
    Probe(WaitingOn),
    /// Nothing is launched.
    Shut(WaitingOn),
}

/// The breaker's pause never grows beyond this.
const BACKOFF_MAX: Duration = Duration::from_secs(3600);

/// The first rung that does not cool down.
pub(crate) fn first_warm(draft: &Draft<'_>) -> Option<Rung> {
    let ladder = &draft.policy.ladder;
    ladder.rungs.iter().find(|rung| cool_until(draft, rung).is_none_or(|until| until <= draft.now)).cloned()
}

fn cool_until(draft: &Draft<'_>, rung: &Rung) -> Option<Timestamp> {
    let strikes = draft.snapshot.strikes.iter().filter(|strike| &strike.rung == rung);
    strikes.map(|strike| strike.at.plus(draft.policy.ladder.cool_down)).max()
}

pub(crate) fn blocked(draft: &mut Draft<'_>) -> Way {
    let Some(rung) = first_warm(draft) else {
        let until = draft.policy.ladder.rungs.iter().filter_map(|rung| cool_until(draft, rung)).min().unwrap_or(draft.now);
        draft.wake_at(until);
        return Way::Shut(WaitingOn::Capacity { until });
    };
    let failures = &draft.snapshot.boot_failures;
    let threshold = draft.policy.timing.boot_failures_max.max(1) as usize;
    if failures.len() < threshold {
        return Way::Open(rung);
    }
    let count = u32::try_from(failures.len()).unwrap_or(u32::MAX);
    let last = failures.iter().map(|failure| failure.at).max().unwrap_or(draft.now);
    let doublings = u32::try_from(failures.len() - threshold).unwrap_or(u32::MAX).min(16);
    let pause = draft.policy.timing.probe_backoff.saturating_mul(1 << doublings).min(BACKOFF_MAX);
    let probe_at = last.plus(pause);
    let on = WaitingOn::Breaker { probe_at, failures: count };
    let probing = draft
        .runners
        .values()
        .any(|runner| matches!(runner.state, RunnerState::Intended | RunnerState::Launching | RunnerState::Booting));
    if probing || probe_at > draft.now {
        draft.wake_at(probe_at);
        return Way::Shut(on);
    }
    Way::Probe(on)
}
