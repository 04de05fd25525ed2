//! What [`crate::ledger::HistoryLedger`] promises.

use std::time::Duration;

use runnersmith_types::{
    BootFailure, EventKind, FactSource, HistoryEvent, Job, JobId, JobStatus, PoolFailure, RunId, RunnerName, Timestamp,
};

use super::{LedgerWorld, good, pool, repo, set};
use crate::clock::Clock as _;

pub(super) async fn history_is_read_oldest_first(world: &LedgerWorld<'_>) {
    let mut events = Vec::new();
    for n in 0..3 {
        world.clock.advance(Duration::from_secs(1));
        let mut event = HistoryEvent::new(world.clock.now(), EventKind::Done, "launch", format!("step {n}"));
        event.job = Some(JobId(900));
        events.push(event);
    }
    good(world.ledger.append(events).await);
    let texts = |events: Vec<HistoryEvent>| events.into_iter().map(|event| event.text).collect::<Vec<_>>();
    let notified = texts(good(world.ledger.history_of_job(JobId(900), 10).await));
    assert_eq!(notified, ["step 0", "step 1", "step 2"]);
    assert_eq!(texts(good(world.ledger.recent_history(1).await)), ["step 2"], "newest first");
    assert!(good(world.ledger.history_of_job(JobId(901), 10).await).is_empty());
}

pub(super) async fn a_fact_and_its_line_of_history_are_written_together(world: &LedgerWorld<'_>) {
    let lines = async || {
        let history = good(world.ledger.history_of_job(JobId(910), 10).await);
        history.into_iter().map(|event| (event.what, event.text)).collect::<Vec<_>>()
    };
    for status in [JobStatus::Queued, JobStatus::Queued, JobStatus::InProgress, JobStatus::Queued] {
        world.clock.advance(Duration::from_secs(1));
        world.record(910, 91, status, FactSource::Delivery).await;
    }
    let line = |word: &str| (word.to_owned(), format!("GitHub says {word}"));
    assert_eq!(lines().await, [line("queued"), line("in progress")], "what is no news has no line");
    world.clock.advance(Duration::from_secs(1));
    world.record(910, 91, JobStatus::Completed, FactSource::Get).await;
    assert_eq!(lines().await.last(), Some(&line("completed")));
}

pub(super) async fn what_is_remembered_for_later_is_pruned_by_its_age(world: &LedgerWorld<'_>) {
    let linux = set("linux");
    let failed = async |n: u64| {
        let runner = good(RunnerName::parse(&format!("linux-{n}")));
        good(world.ledger.boot_failed(&linux, BootFailure::new(runner, pool(), world.clock.now())).await);
    };
    let failures = async || good(world.ledger.boot_failures(&linux).await).newest.into_iter().map(|failure| failure.at);
    failed(1).await;
    good(world.ledger.pool_failure(&linux, PoolFailure::new(pool(), world.clock.now(), "no capacity".into())).await);
    assert!(good(world.ledger.rerun(&repo(), RunId(61)).await));
    world.clock.advance(Duration::from_secs(3600));
    let later = world.clock.now();
    failed(2).await;
    assert!(good(world.ledger.rerun(&repo(), RunId(62)).await));
    world.prune(later).await;
    assert_eq!(failures().await.collect::<Vec<_>>(), [later], "the older one went");
    assert_eq!(good(world.ledger.reruns().await), [(repo(), RunId(62))], "the older ones went");
    assert!(good(world.ledger.pool_failures(&linux, Timestamp(0)).await).is_empty());
    world.prune(later.plus(Duration::from_secs(1))).await;
    assert_eq!((failures().await.count(), good(world.ledger.reruns().await).len()), (0, 0));
}

pub(super) async fn only_what_is_over_is_pruned(world: &LedgerWorld<'_>) {
    world.record(51, 50, JobStatus::Queued, FactSource::Delivery).await;
    world.clock.advance(Duration::from_secs(3600));
    assert!(world.prune(world.clock.now()).await > 0);
    let left = good(world.ledger.recent_jobs(100).await);
    assert_eq!(left.iter().map(Job::id).collect::<Vec<_>>(), [JobId(51)], "an open job stays, however old");
    assert!(good(world.ledger.recent_runners(100).await).is_empty());
    assert!(good(world.ledger.recent_history(100).await).is_empty());
    assert_eq!(world.prune(world.clock.now()).await, 0);
}
