//! What [`crate::ledger::RunnerLedger`] promises.

use std::time::Duration;

use runnersmith_types::{
    Batch, BatchId, Intent, MachineId, RecordVersion, Runner, RunnerName, RunnerState, RunnerUpdate,
};

use super::{LedgerWorld, TTL, good, pool, set};
use crate::clock::Clock as _;
use crate::ledger::LedgerError;

pub(super) async fn a_stale_lease_writes_nothing(world: &LedgerWorld<'_>) {
    let stale = world.lease("linux").await;
    world.clock.advance(TTL + Duration::from_millis(1));
    let intents = world.intents("linux", 1).await;
    let ended = world.ledger.intend(&stale, intents.clone(), true, 10).await;
    assert!(matches!(ended, Err(LedgerError::LeaseLost { .. })), "its end is enough: {ended:?}");
    let current = world.lease("linux").await;
    let older = world.ledger.intend(&stale, intents.clone(), true, 10).await;
    assert!(matches!(older, Err(LedgerError::LeaseLost { .. })), "an older generation: {older:?}");
    good(world.ledger.intend(&current, intents.clone(), true, 10).await);
    let marked = world.ledger.update(&stale, vec![(intents[0].name.clone(), RunnerUpdate::Gone("x".into()))]).await;
    assert!(matches!(marked, Err(LedgerError::LeaseLost { .. })));
    let batch = batch(world, &intents);
    assert!(matches!(world.ledger.store_batch(&stale, batch.clone()).await, Err(LedgerError::LeaseLost { .. })));
    assert!(matches!(
        world.ledger.complete_batch(&stale, &batch.id, Vec::new()).await,
        Err(LedgerError::LeaseLost { .. })
    ));
    assert_eq!(good(world.ledger.live_runners(&set("linux")).await).len(), 1);
    world.clear(current).await;
}

pub(super) async fn intents_stay_below_the_maximum(world: &LedgerWorld<'_>) {
    let lease = world.lease("linux").await;
    good(world.ledger.intend(&lease, world.intents("linux", 2).await, true, 3).await);
    let too_many = world.ledger.intend(&lease, world.intents("linux", 2).await, true, 3).await;
    assert!(matches!(too_many, Err(LedgerError::Conflict { .. })), "{too_many:?}");
    assert_eq!(good(world.ledger.live_runners(&set("linux")).await).len(), 2, "all or none");
    good(world.ledger.intend(&lease, world.intents("linux", 1).await, true, 3).await);
    let counts = good(world.ledger.counts().await);
    assert_eq!(counts, vec![(set("linux"), 3, 3)]);
    world.clear(lease).await;
    assert!(good(world.ledger.counts().await).is_empty());
}

pub(super) async fn a_name_is_given_once(world: &LedgerWorld<'_>) {
    let lease = world.lease("linux").await;
    let intents = world.intents("linux", 1).await;
    good(world.ledger.intend(&lease, intents.clone(), true, 5).await);
    let twice = world.ledger.intend(&lease, intents.clone(), true, 5).await;
    assert!(matches!(twice, Err(LedgerError::Conflict { .. })), "{twice:?}");
    good(world.ledger.update(&lease, vec![(intents[0].name.clone(), RunnerUpdate::Gone("over".into()))]).await);
    let again = world.ledger.intend(&lease, intents.clone(), true, 5).await;
    assert!(matches!(again, Err(LedgerError::Conflict { .. })), "a name that is gone is still taken: {again:?}");
    assert!(good(world.ledger.next_serial().await) > intents[0].serial);
    world.clear(lease).await;
}

fn batch(world: &LedgerWorld<'_>, intents: &[Intent]) -> Batch {
    let runners: Vec<RunnerName> = intents.iter().map(|intent| intent.name.clone()).collect();
    let id = runners.first().map_or_else(String::new, ToString::to_string);
    let now = world.clock.now();
    let id = good(BatchId::parse(&format!("batch-{id}")));
    Batch {
        id,
        set: set("linux"),
        pool: pool(),
        runners,
        stored_at: now,
        hard_end_at: now.plus(TTL),
        settled: false,
        record_version: RecordVersion::CURRENT,
    }
}

pub(super) async fn a_batch_is_stored_with_all_its_runners_or_not_at_all(world: &LedgerWorld<'_>) {
    let lease = world.lease("linux").await;
    let intents = world.intents("linux", 2).await;
    let unknown = world.ledger.store_batch(&lease, batch(world, &intents)).await;
    assert!(matches!(unknown, Err(LedgerError::Conflict { .. })), "they are not intended yet: {unknown:?}");
    good(world.ledger.intend(&lease, intents.clone(), true, 5).await);
    let stored = batch(world, &intents);
    good(world.ledger.store_batch(&lease, stored.clone()).await);
    let states: Vec<RunnerState> =
        good(world.ledger.live_runners(&set("linux")).await).iter().map(|runner| runner.state).collect();
    assert_eq!(states, [RunnerState::Launching; 2]);
    let twice = world.ledger.store_batch(&lease, stored.clone()).await;
    assert!(matches!(twice, Err(LedgerError::Conflict { .. })), "a call is stored once: {twice:?}");
    assert_eq!(good(world.ledger.batch(&stored.id).await), Some(stored.clone()));
    assert_eq!(good(world.ledger.open_batches(&set("linux")).await), vec![stored.clone()]);
    let bound = RunnerUpdate::Machine(good(MachineId::parse("m-9")));
    let updates = vec![(stored.runners[0].clone(), bound), (stored.runners[1].clone(), RunnerUpdate::NotLaunched)];
    good(world.ledger.complete_batch(&lease, &stored.id, updates).await);
    let states: Vec<RunnerState> =
        good(world.ledger.live_runners(&set("linux")).await).iter().map(|runner| runner.state).collect();
    assert_eq!(states, [RunnerState::Booting, RunnerState::Intended]);
    assert!(good(world.ledger.open_batches(&set("linux")).await).is_empty());
    assert!(good(world.ledger.batch(&stored.id).await).is_some_and(|batch| batch.settled));
    world.clear(lease).await;
}

pub(super) async fn updates_apply_in_order_under_the_lease(world: &LedgerWorld<'_>) {
    let lease = world.lease("linux").await;
    let intents = world.intents("linux", 1).await;
    good(world.ledger.intend(&lease, intents.clone(), true, 5).await);
    let name = intents[0].name.clone();
    let updates = vec![
        (name.clone(), RunnerUpdate::Machine(good(MachineId::parse("m-1")))),
        (name.clone(), RunnerUpdate::HandedOff),
        (good(RunnerName::parse("nobody")), RunnerUpdate::HandedOff),
        (name.clone(), RunnerUpdate::Idle(None)),
    ];
    let changed = good(world.ledger.update(&lease, updates).await);
    assert_eq!(changed.len(), 1, "each runner once; unknown ones are skipped");
    assert_eq!((changed[0].state, changed[0].version), (RunnerState::Idle, 4), "a version for each change");
    assert_eq!(good(world.ledger.runner(&name).await), Some(changed[0].clone()));
    let nothing = good(world.ledger.update(&lease, vec![(name.clone(), RunnerUpdate::HandedOff)]).await);
    assert!(nothing.is_empty(), "what changes nothing is not a change");
    assert_eq!(
        good(world.ledger.recent_runners(1).await).first().map(|runner: &Runner| runner.name.clone()),
        Some(name)
    );
    world.clear(lease).await;
}

pub(super) async fn racing_intents_stay_below_the_maximum(world: &LedgerWorld<'_>) {
    let lease = world.lease("linux").await;
    let intents = world.intents("linux", 8).await;
    let one = |n: usize| world.ledger.intend(&lease, intents[n..=n].to_vec(), true, 3);
    let outcomes = tokio::join!(one(0), one(1), one(2), one(3), one(4), one(5), one(6), one(7));
    drop(outcomes);
    let alive = good(world.ledger.live_runners(&set("linux")).await).len();
    assert!((1..=3).contains(&alive), "{alive} alive, 3 are allowed");
    world.clear(lease).await;
}
