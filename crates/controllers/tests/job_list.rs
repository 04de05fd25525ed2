//! A list of jobs is right beyond the pages in which it is read.

use std::time::Duration;

use crate::support::{Bed, policy};
use runnersmith_controllers::job_list::{PAGE, find};
use runnersmith_ports::Clock as _;
use runnersmith_types::{Job, JobId, Timestamp};

/// More than two pages: a moment of one job, then one of a page and a half, and so on.
async fn many() -> (Bed, Vec<u64>) {
    let bed = Bed::new(policy(1));
    let page = PAGE as u64;
    for ids in [1..=1, 2..=page + page / 2, page + page / 2 + 1..=3 * page, 3 * page + 1..=3 * page + 1] {
        bed.queued(ids).await;
        bed.clock.advance(Duration::from_secs(60));
    }
    (bed, (1..=3 * page + 1).collect())
}

fn ids(jobs: &[Job]) -> Vec<u64> {
    let mut ids: Vec<u64> = jobs.iter().map(|job| job.id().0).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn every_job_is_found_once_whatever_the_page() {
    let (bed, all) = many().await;
    let ledger = bed.world.ports.ledger.as_ref();
    let found = find(ledger, Timestamp(0), usize::MAX, |_| true).await.unwrap();
    assert_eq!(ids(&found), all);
    assert!(found.is_sorted_by(|a, b| a.first_seen_at >= b.first_seen_at), "newest first");
    for limit in [1, 2, PAGE, PAGE + 1, 2 * PAGE + 7] {
        let found = find(ledger, Timestamp(0), limit, |_| true).await.unwrap();
        assert_eq!((found.len(), found[0].id()), (limit, JobId(*all.last().unwrap())));
    }
}

#[tokio::test]
async fn a_job_that_is_wanted_is_found_pages_away_and_none_is_that_is_older_than_asked_for() {
    let (bed, _) = many().await;
    let ledger = bed.world.ports.ledger.as_ref();
    let first = |job: &Job| job.id() == JobId(1);
    assert_eq!(ids(&find(ledger, Timestamp(0), 1, first).await.unwrap()), [1]);
    let since = bed.clock.now().minus(Duration::from_secs(4 * 60));
    assert_eq!(ids(&find(ledger, since, 1, first).await.unwrap()), [1], "seen just then");
    let later = since.plus(Duration::from_secs(1));
    assert!(find(ledger, later, 1, first).await.unwrap().is_empty());
    assert_eq!(find(ledger, later, usize::MAX, |_| true).await.unwrap().len(), 3 * PAGE);
}
