//! What [`crate::ledger::LeaseLedger`] promises.

use std::time::Duration;

use runnersmith_types::{FactSource, JobStatus};

use super::{LedgerWorld, TTL, good, set};
use crate::ledger::{LedgerError, ReleaseOutcome};

pub(super) async fn a_lease_has_one_holder_and_ends(world: &LedgerWorld<'_>) {
    let first = world.lease("linux").await;
    assert!(good(world.ledger.acquire(&set("linux"), "other", TTL).await).is_none(), "it is held");
    let other_set = world.lease("windows").await;
    world.let_go(other_set).await;
    world.clock.advance(TTL + Duration::from_millis(1));
    let mut second = world.lease("linux").await;
    assert!(second.generation > first.generation, "each acquisition is a new generation");
    let mut first = first;
    assert_eq!(good(world.ledger.release(&mut first, TTL).await), ReleaseOutcome::Lost);
    assert!(matches!(world.ledger.renew(&mut first, TTL).await, Err(LedgerError::LeaseLost { .. })));
    world.clock.advance(TTL - Duration::from_secs(1));
    good(world.ledger.renew(&mut second, TTL).await);
    world.clock.advance(TTL - Duration::from_secs(1));
    assert!(good(world.ledger.acquire(&set("linux"), "other", TTL).await).is_none(), "it was renewed");
    world.let_go(second).await;
    let third = world.lease("linux").await;
    world.let_go(third).await;
}

pub(super) async fn a_wake_up_during_a_pass_is_not_lost(world: &LedgerWorld<'_>) {
    let mut lease = world.lease("linux").await;
    good(world.ledger.wake(&set("linux")).await);
    assert_eq!(
        good(world.ledger.release(&mut lease, TTL).await),
        ReleaseOutcome::WokenAgain,
        "somebody called meanwhile"
    );
    assert!(good(world.ledger.acquire(&set("linux"), "other", TTL).await).is_none(), "so it is still held");
    world.record(41, 40, JobStatus::Completed, FactSource::Delivery).await;
    assert_eq!(good(world.ledger.release(&mut lease, TTL).await), ReleaseOutcome::WokenAgain, "a fact wakes too");
    assert_eq!(good(world.ledger.release(&mut lease, TTL).await), ReleaseOutcome::Released);
}

pub(super) async fn a_set_that_is_closed_stays_so_until_it_is_opened(world: &LedgerWorld<'_>) {
    let closed = async || good(world.ledger.closed().await).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(closed().await, Vec::<String>::new());
    for name in ["shop", "shop-2", "docs", "shop"] {
        good(world.ledger.close(&set(name), true).await);
    }
    assert_eq!(closed().await, ["docs", "shop", "shop-2"], "by name; twice is once");
    good(world.ledger.close(&set("shop"), false).await);
    good(world.ledger.close(&set("never"), false).await);
    assert_eq!(closed().await, ["docs", "shop-2"], "only the one that was opened");
    for name in ["docs", "shop-2"] {
        good(world.ledger.close(&set(name), false).await);
    }
    assert!(closed().await.is_empty());
}
