//! Rule 9: where to buy next. One zone without capacity must not stop the others, and cheap comes before dear.

use runnersmith_types::{CapacityPool, Timestamp, WaitingOn};

use crate::breaker::{self, Breaker};
use crate::draft::Draft;

/// Whether machines may be launched now, and in which pool.
pub(crate) enum LaunchDecision {
    /// On this capacity pool.
    Allow(CapacityPool),
    /// The breaker is open and a probe is due: one machine, on this capacity pool.
    Probe(CapacityPool, WaitingOn),
    /// Nothing is launched.
    Deny(WaitingOn),
}

/// The decision now: the first capacity pool that does not cool down, as far as the breaker allows.
pub(crate) fn decide(draft: &mut Draft<'_>) -> LaunchDecision {
    let warm = warm(draft);
    let Some(first) = warm.first() else {
        let fallback_order = &draft.policy.fallback_order;
        let until = fallback_order.pools.iter().filter_map(|pool| cool_until(draft, pool)).min().unwrap_or(draft.now);
        draft.wake_at(until);
        let last = draft.snapshot.pool_failures.iter().max_by_key(|failure| (failure.at, &failure.pool));
        let why = last.map(|failure| format!("{}, {}", failure.pool, failure.why)).unwrap_or_default();
        let is_quota = last.is_some_and(|failure| failure.is_quota);
        return LaunchDecision::Deny(WaitingOn::Capacity { why, is_quota, until });
    };
    match breaker::state(draft, &warm) {
        Breaker::Closed => LaunchDecision::Allow((*first).clone()),
        Breaker::Doubted { failed } => {
            let other = warm.iter().find(|pool| !failed.contains(**pool)).unwrap_or(first);
            LaunchDecision::Allow((*other).clone())
        }
        Breaker::Open { on, probe: false } => LaunchDecision::Deny(on),
        // Probes go round the capacity pools, so that one good capacity pool among bad ones is found.
        Breaker::Open { on, probe: true } => {
            let turn = draft.boot_failures.total() % warm.len();
            LaunchDecision::Probe(warm.get(turn).map_or_else(|| (*first).clone(), |pool| (*pool).clone()), on)
        }
    }
}

fn warm<'a>(draft: &Draft<'a>) -> Vec<&'a CapacityPool> {
    let pools = draft.policy.fallback_order.pools.iter();
    pools.filter(|pool| cool_until(draft, pool).is_none_or(|until| until <= draft.now)).collect()
}

fn cool_until(draft: &Draft<'_>, pool: &CapacityPool) -> Option<Timestamp> {
    let pool_failures = draft.snapshot.pool_failures.iter().filter(|pool_failure| &pool_failure.pool == pool);
    pool_failures.map(|pool_failure| pool_failure.at.plus(draft.policy.fallback_order.cool_down)).max()
}
