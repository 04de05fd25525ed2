//! What [`crate::ledger::HistoryLedger`] promises.

use std::time::Duration;

use runnersmith_types::{Event, EventKind, FactSource, Job, JobId, JobStatus};

use super::{LedgerWorld, good};
use crate::clock::Clock as _;

pub(super) async fn history_is_told_oldest_first(world: &LedgerWorld<'_>) {
    let mut events = Vec::new();
    for n in 0..3 {
        world.clock.advance(Duration::from_secs(1));
        let mut event = Event::new(world.clock.now(), EventKind::Done, "launch", format!("step {n}"));
        event.job = Some(JobId(900));
        events.push(event);
    }
    good(world.ledger.append(events).await);
    let texts = |events: Vec<Event>| events.into_iter().map(|event| event.text).collect::<Vec<_>>();
    let notified = texts(good(world.ledger.history_of_job(JobId(900), 10).await));
    assert_eq!(notified, ["step 0", "step 1", "step 2"]);
    assert_eq!(texts(good(world.ledger.recent_history(1).await)), ["step 2"], "newest first");
    assert!(good(world.ledger.history_of_job(JobId(901), 10).await).is_empty());
}

pub(super) async fn only_what_is_over_is_pruned(world: &LedgerWorld<'_>) {
    world.record(51, 50, JobStatus::Queued, FactSource::Delivery).await;
    world.clock.advance(Duration::from_secs(3600));
    assert!(good(world.ledger.prune(world.clock.now(), 1_000).await) > 0);
    let left = good(world.ledger.recent_jobs(100).await);
    assert_eq!(left.iter().map(Job::id).collect::<Vec<_>>(), [JobId(51)], "an open job stays, however old");
    assert!(good(world.ledger.recent_runners(100).await).is_empty());
    assert!(good(world.ledger.recent_history(100).await).is_empty());
    assert_eq!(good(world.ledger.prune(world.clock.now(), 1_000).await), 0);
}
