//! What [`crate::ledger::BudgetLedger`] promises, and of runs that were re-run.

use std::time::Duration;

use runnersmith_types::{BootFailure, BootFailures, PoolFailure, RunId, RunnerName};

use super::{LedgerWorld, TTL, good, pool, repo, set};
use crate::clock::Clock as _;
use crate::ledger::BudgetKind;

pub(super) async fn a_budget_is_a_minutes(world: &LedgerWorld<'_>) {
    let into_minute = world.clock.now().as_millis().rem_euclid(60_000);
    world.clock.advance(Duration::from_millis(u64::try_from(60_000 - into_minute).unwrap_or(0)));
    let take = async |cost| good(world.ledger.take_budget(BudgetKind::Jit, cost, 10).await);
    assert_eq!(take(4).await, Some(6));
    assert_eq!(take(6).await, Some(0));
    assert_eq!(take(1).await, None, "it is used up");
    assert_eq!(good(world.ledger.used_budget(BudgetKind::Jit).await), 10, "a refusal takes nothing");
    assert_eq!(good(world.ledger.used_budget(BudgetKind::Calls).await), 0, "each kind has its own");
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(good(world.ledger.used_budget(BudgetKind::Jit).await), 0);
    assert_eq!(take(11).await, None, "more than a minute's is never granted");
    assert_eq!(take(10).await, Some(0));
}

pub(super) async fn pool_failures_boot_failures_and_reruns_are_kept(world: &LedgerWorld<'_>) {
    let (linux, now) = (set("linux"), world.clock.now());
    good(world.ledger.pool_failure(&linux, PoolFailure::new(pool(), now, "no capacity".into())).await);
    assert_eq!(good(world.ledger.pool_failures(&linux, now).await).len(), 1);
    assert!(good(world.ledger.pool_failures(&linux, now.plus(TTL)).await).is_empty(), "older than asked for");
    assert!(good(world.ledger.pool_failures(&set("windows"), now).await).is_empty());
    let runner = good(RunnerName::parse("linux-1"));
    for n in [2, 1] {
        let at = now.plus(Duration::from_secs(n));
        good(world.ledger.boot_failed(&linux, BootFailure::new(runner.clone(), pool(), at)).await);
    }
    let failures = good(world.ledger.boot_failures(&linux).await);
    assert!(failures.newest.len() == 2 && failures.newest[0].at < failures.newest[1].at, "oldest first");
    for n in 3..=103 {
        let at = now.plus(Duration::from_secs(n));
        good(world.ledger.boot_failed(&linux, BootFailure::new(runner.clone(), pool(), at)).await);
    }
    let failures = good(world.ledger.boot_failures(&linux).await);
    assert_eq!((failures.total(), failures.newest.len()), (103, BootFailures::NEWEST_MAX));
    let ends = [failures.newest.first(), failures.newest.last()].map(|failure| failure.map(|failure| failure.at));
    assert_eq!(
        ends,
        [4, 103].map(|n| Some(now.plus(Duration::from_secs(n)))),
        "the newest, and of them the oldest first"
    );
    good(world.ledger.boot_succeeded(&linux).await);
    assert_eq!(good(world.ledger.boot_failures(&linux).await), BootFailures::default());
    assert!(good(world.ledger.rerun(&repo(), RunId(5)).await), "the first time");
    assert!(!good(world.ledger.rerun(&repo(), RunId(5)).await), "and never again");
    assert_eq!(good(world.ledger.reruns().await), vec![(repo(), RunId(5))]);
    good(world.ledger.set("cursor", "7").await);
    good(world.ledger.set("cursor", "8").await);
    assert_eq!(good(world.ledger.get("cursor").await).as_deref(), Some("8"));
    assert!(good(world.ledger.get("nothing").await).is_none());
}
