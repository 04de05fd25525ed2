//! Rule 9: where to buy next. One zone without capacity must not stop the others, and cheap comes before dear.

use std::collections::BTreeSet;

use runnersmith_types::{Rung, Timestamp, WaitingOn};

use crate::breaker::{self, Breaker};
use crate::draft::Draft;

/// Whether and where launching goes on.
pub(crate) enum Way {
    /// On this rung.
    Open(Rung),
    /// The breaker is open and a probe is due: one machine, on this rung.
    Probe(Rung, WaitingOn),
    /// Nothing is launched.
    Shut(WaitingOn),
}

/// The way now: the first rung that does not cool down, as far as the breaker allows.
pub(crate) fn way(draft: &mut Draft<'_>) -> Way {
    let warm = warm(draft);
    let Some(first) = warm.first() else {
        let ladder = &draft.policy.ladder;
        let until = ladder.rungs.iter().filter_map(|rung| cool_until(draft, rung)).min().unwrap_or(draft.now);
        draft.wake_at(until);
        return Way::Shut(WaitingOn::Capacity { until });
    };
    match breaker::state(draft, &warm) {
        Breaker::Closed => Way::Open((*first).clone()),
        Breaker::Doubted { failed } => {
            let failed: BTreeSet<&Rung> = failed.into_iter().collect();
            let other = warm.iter().find(|rung| !failed.contains(**rung)).unwrap_or(first);
            Way::Open((*other).clone())
        }
        Breaker::Open { on, probe: false } => Way::Shut(on),
        // Probes go round the rungs, so that one good rung among bad ones is found.
        Breaker::Open { on, probe: true } => {
            let turn = draft.snapshot.boot_failures.len() % warm.len();
            Way::Probe(warm.get(turn).map_or_else(|| (*first).clone(), |rung| (*rung).clone()), on)
        }
    }
}

fn warm<'a>(draft: &Draft<'a>) -> Vec<&'a Rung> {
    let rungs = draft.policy.ladder.rungs.iter();
    rungs.filter(|rung| cool_until(draft, rung).is_none_or(|until| until <= draft.now)).collect()
}

fn cool_until(draft: &Draft<'_>, rung: &Rung) -> Option<Timestamp> {
    let strikes = draft.snapshot.strikes.iter().filter(|strike| &strike.rung == rung);
    strikes.map(|strike| strike.at.plus(draft.policy.ladder.cool_down)).max()
}
