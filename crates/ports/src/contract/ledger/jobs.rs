//! What [`crate::ledger::JobLedger`] promises.

use std::time::Duration;

use runnersmith_types::job::Merged;
use runnersmith_types::{
    FactSource, FailedTries, Job, JobId, JobStatus, JobUpdate, Notified, PendingRerun, Stalled, Timestamp, Wait,
};

use super::{LedgerWorld, TTL, good};
use crate::clock::Clock as _;

pub(super) async fn facts_merge_in_the_order_of_life(world: &LedgerWorld<'_>) {
    let (merged, job) = world.record(1, 1, JobStatus::Queued, FactSource::Delivery).await;
    assert_eq!((merged, job.version), (Merged::Status, 1));
    let queued_at = job.queued_at;
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(world.record(1, 1, JobStatus::Queued, FactSource::Delivery).await.0, Merged::Nothing, "doubled");
    assert_eq!(world.record(1, 1, JobStatus::Completed, FactSource::Delivery).await.0, Merged::Status);
    assert_eq!(world.record(1, 1, JobStatus::InProgress, FactSource::Delivery).await.0, Merged::Nothing, "late");
    let (merged, job) = world.record(1, 1, JobStatus::Queued, FactSource::Get).await;
    assert_eq!((merged, job.fact.status), (Merged::Nothing, JobStatus::Completed), "a GET cannot undo completed");
    assert_eq!(job.queued_at, queued_at, "age counts from the first receipt");
    world.record(2, 1, JobStatus::InProgress, FactSource::Delivery).await;
    let (merged, _) = world.record(2, 1, JobStatus::Queued, FactSource::Sweep).await;
    assert_eq!(merged, Merged::Nothing, "a sweep's list may be older than a delivery");
    let (merged, _) = world.record(2, 1, JobStatus::Queued, FactSource::Get).await;
    assert_eq!(merged, Merged::Status, "a GET may correct anything else");
    world.record(2, 1, JobStatus::Gone, FactSource::Get).await;
    let open = good(world.ledger.open_jobs(Timestamp(i64::MAX)).await);
    assert!(open.is_empty(), "neither is open: {open:?}");
    let with_ended = good(world.ledger.open_jobs(Timestamp(0)).await);
    assert!(with_ended.is_empty(), "ended jobs that nothing follows are history: {with_ended:?}");
    assert!(good(world.ledger.job(JobId(404)).await).is_none());
}

pub(super) async fn a_run_that_changes_frees_its_held_jobs(world: &LedgerWorld<'_>) {
    let stalled = Stalled { since: world.clock.now(), until: world.clock.now().plus(Duration::from_secs(600)) };
    for id in [11, 12] {
        world.record(id, 10, JobStatus::Queued, FactSource::Delivery).await;
        assert!(good(world.ledger.stall_job(JobId(id), stalled).await));
    }
    world.record(21, 20, JobStatus::Queued, FactSource::Delivery).await;
    assert!(good(world.ledger.stall_job(JobId(21), stalled).await));
    let (_, changed) = world.record(11, 10, JobStatus::InProgress, FactSource::Delivery).await;
    assert!(changed.stalled.is_none());
    assert!(!good(world.ledger.stall_job(JobId(11), stalled).await), "only a queued job is stalled");
    let held_now = async |id| good(world.ledger.job(JobId(id)).await).is_some_and(|job| job.stalled.is_some());
    assert!(!held_now(12).await, "its run has changed");
    assert!(held_now(21).await, "another run has not");
    for (id, run) in [(11, 10), (12, 10), (21, 20)] {
        world.record(id, run, JobStatus::Completed, FactSource::Delivery).await;
    }
}

pub(super) async fn waits_are_recorded_when_they_change(world: &LedgerWorld<'_>) {
    world.record(41, 40, JobStatus::Queued, FactSource::Delivery).await;
    world.record(42, 40, JobStatus::InProgress, FactSource::Delivery).await;
    let wait = |on: &str| Wait { at: world.clock.now(), on: on.to_owned(), text: format!("because of {on}") };
    let record = async |on: &str| {
        let updates = [41, 42, 404].map(|id| (JobId(id), JobUpdate::WaitsFor(wait(on))));
        good(world.ledger.update_jobs(updates.into()).await);
        let waits = async |id| good(world.ledger.job(JobId(id)).await).map(|job| job.wait_history).unwrap_or_default();
        assert!(waits(42).await.is_empty(), "it runs, and waits no more");
        waits(41).await.iter().map(|wait| wait.on.clone()).collect::<Vec<_>>()
    };
    assert!(record("runner").await.is_empty(), "the usual way to a runner is no news");
    assert_eq!(record("maximum").await, ["maximum"]);
    let since = world.clock.now();
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(record("maximum").await, ["maximum"], "it still waits for that");
    assert_eq!(record("runner").await, ["maximum", "runner"]);
    world.record(41, 40, JobStatus::InProgress, FactSource::Delivery).await;
    let job = good(world.ledger.job(JobId(41)).await);
    let waited = job.as_ref().map(|job| job.waited(world.clock.now())).unwrap_or_default();
    let times: Vec<_> = waited.iter().map(|waited| (waited.wait.at, waited.took)).collect();
    assert_eq!(times, [(since, Duration::from_secs(5))], "facts leave them alone");
    for id in [41, 42] {
        world.record(id, 40, JobStatus::Completed, FactSource::Delivery).await;
    }
}

pub(super) async fn details_of_a_job_are_kept(world: &LedgerWorld<'_>) {
    world.record(31, 30, JobStatus::Queued, FactSource::Delivery).await;
    let notified = Notified { at: world.clock.now(), check_run: 7, text: "waits".into(), closed: false };
    let update = async |id, update| good(world.ledger.update_jobs(vec![(JobId(id), update)]).await);
    assert_eq!(update(31, JobUpdate::Notified(notified.clone())).await, [JobId(31)]);
    let at = world.clock.now();
    let interrupted = JobUpdate::Interrupted { at, rerun: false };
    assert_eq!(update(31, interrupted.clone()).await, [JobId(31)], "the first time it is news");
    assert_eq!(update(31, interrupted).await, [], "the second time it is not");
    assert_eq!(update(404, JobUpdate::Notified(notified.clone())).await, [], "nobody is notified of an unknown job");
    world.record(31, 30, JobStatus::Completed, FactSource::Delivery).await;
    let job = good(world.ledger.job(JobId(31)).await);
    assert!(
        job.is_some_and(|job| job.notified == Some(notified.clone()) && job.interrupted_at == Some(at)),
        "facts leave them alone"
    );
    assert_eq!(good(world.ledger.open_jobs(at).await).len(), 1, "its author was notified: that has to be closed");
    assert_eq!(good(world.ledger.open_jobs(at.plus(TTL)).await).len(), 1, "however long ago it ended");
    update(31, JobUpdate::Notified(Notified { closed: true, ..notified })).await;
    assert_eq!(good(world.ledger.open_jobs(at).await).len(), 1, "it ended only now");
    assert!(good(world.ledger.open_jobs(at.plus(TTL)).await).is_empty(), "older than asked for");
}

pub(super) async fn a_job_whose_run_is_to_be_run_again_is_read_until_that_is_settled(world: &LedgerWorld<'_>) {
    let update = async |id, update| good(world.ledger.update_jobs(vec![(JobId(id), update)]).await);
    for (id, rerun) in [(41, true), (42, false)] {
        world.record(id, 40, JobStatus::InProgress, FactSource::Delivery).await;
        update(id, JobUpdate::Interrupted { at: world.clock.now(), rerun }).await;
        world.record(id, 40, JobStatus::Completed, FactSource::Delivery).await;
    }
    world.clock.advance(Duration::from_secs(7 * 24 * 3_600));
    let read = async || -> Vec<JobId> {
        good(world.ledger.open_jobs(world.clock.now()).await).iter().map(Job::id).filter(|id| id.0 / 10 == 4).collect()
    };
    assert_eq!(read().await, [JobId(41)]);
    let tries = FailedTries { count: 1, last_at: world.clock.now(), next_at: world.clock.now().plus(TTL) };
    update(41, JobUpdate::RerunTried(tries)).await;
    let rerun = good(world.ledger.job(JobId(41)).await).and_then(|job| job.rerun);
    assert_eq!(rerun, Some(PendingRerun { run_attempt: 1, tries: Some(tries), outcome: None }));
    assert_eq!(read().await, [JobId(41)]);
    update(41, JobUpdate::RerunSettled("it is re-run".into())).await;
    assert_eq!(read().await, []);
}

pub(super) async fn pages_of_jobs_miss_none_and_repeat_none(world: &LedgerWorld<'_>) {
    world.clock.advance(Duration::from_secs(1));
    let begun = world.clock.now();
    // Three of one moment, one of the next, and so on: no page of two ends where a moment ends.
    for moment in 0..4 {
        let ids =
            if moment % 2 == 0 { 100 + moment * 10..103 + moment * 10 } else { 100 + moment * 10..101 + moment * 10 };
        for id in ids {
            world.record(id, 99, JobStatus::Queued, FactSource::Delivery).await;
            world.record(id, 99, JobStatus::Completed, FactSource::Delivery).await;
        }
        world.clock.advance(Duration::from_secs(1));
    }
    let (mut before, mut pages) = (Timestamp(i64::MAX), Vec::new());
    loop {
        let page = good(world.ledger.jobs_before(before, 2).await);
        let newest_first = page.is_sorted_by(|a, b| a.first_seen_at >= b.first_seen_at);
        assert!(newest_first && page.iter().all(|job| job.first_seen_at < before), "{page:?}");
        match page.last() {
            Some(last) if last.first_seen_at >= begun => before = last.first_seen_at,
            _ => break,
        }
        let mut ids: Vec<u64> = page.iter().map(|job| job.id().0).collect();
        ids.sort_unstable();
        pages.push(ids);
    }
    assert_eq!(pages, [vec![120, 121, 122, 130], vec![100, 101, 102, 110]]);
    assert!(good(world.ledger.jobs_before(Timestamp(0), 2).await).is_empty());
    let all = good(world.ledger.jobs_before(Timestamp(i64::MAX), usize::MAX).await);
    assert!(all.len() > 8, "a limit that is larger than there are jobs");
}
