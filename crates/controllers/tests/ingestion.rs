//! Deliveries become facts before anything else happens, and none of them waits for GitHub or for its neighbours.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod support;

use std::time::Duration;

use runnersmith_controllers::loops::{self, Rhythm};
use runnersmith_controllers::{consume, lookups};
use runnersmith_ports::contract::ledger::fact;
use runnersmith_ports::{Message, Queue};
use runnersmith_types::{FactSource, JobId, JobStatus, RepoFullName};
use support::{Bed, Fault, policy, set};
use tokio::sync::watch;

fn job(bed: &Bed, id: u64) -> String {
    use runnersmith_ports::Clock as _;
    Message::Job(Box::new(fact(id, id, JobStatus::Queued, FactSource::Delivery, bed.clock.now()))).to_body()
}

fn sweep(number: usize) -> String {
    Message::Sweep { repo: RepoFullName::parse(&format!("acme/shop-{number}")).unwrap() }.to_body()
}

async fn send(queue: &dyn Queue, bodies: impl IntoIterator<Item = String>) {
    for body in bodies {
        queue.send(&body, Duration::ZERO).await.unwrap();
    }
}

async fn jobs(bed: &Bed) -> usize {
    bed.world.ports.ledger.recent_jobs(1_000).await.unwrap().len()
}

#[tokio::test]
async fn a_job_behind_a_hundred_sweeps_is_a_fact_before_github_is_asked() {
    let bed = Bed::new(policy(2));
    send(bed.world.ports.queue.as_ref(), (0..100).map(sweep).chain([job(&bed, 1)])).await;
    let batch = bed.world.ports.queue.receive(200, consume::VISIBILITY).await.unwrap();
    let consumed = consume::consume(&bed.world, batch).await.unwrap();
    assert!(consumed.woken.contains(&set("linux")) && consumed.failed.is_empty(), "{consumed:?}");
    assert_eq!((jobs(&bed).await, bed.doubles.script().count("sweep")), (1, 0));
    assert_eq!(bed.world.ports.queue.depth().await.unwrap(), (0, 0, 0));
    let waiting = bed.world.ports.lookups.as_ref().unwrap();
    assert_eq!(waiting.depth().await.unwrap(), (100, 0, 0));

    let batch = waiting.receive(100, lookups::VISIBILITY).await.unwrap();
    lookups::look_up(&bed.world, waiting.as_ref(), batch).await.unwrap();
    assert_eq!(bed.doubles.script().count("sweep"), 100);
    assert_eq!(waiting.depth().await.unwrap(), (0, 0, 0));
}

#[tokio::test]
async fn where_look_ups_have_no_queue_of_their_own_facts_still_come_first() {
    let mut bed = Bed::new(policy(2));
    bed.world.ports.lookups = None;
    bed.doubles.script().fail("sweep", Fault::Unavailable);
    send(bed.world.ports.queue.as_ref(), [sweep(1), sweep(2), job(&bed, 1)]).await;
    let batch = bed.world.ports.queue.receive(10, consume::VISIBILITY).await.unwrap();
    let consumed = consume::consume(&bed.world, batch).await.unwrap();
    assert_eq!((jobs(&bed).await, consumed.failed.len()), (1, 1));
    assert_eq!(bed.world.ports.queue.depth().await.unwrap(), (0, 1, 0), "one sweep is done, the other waits");
    bed.clock.advance(Duration::from_secs(30));
    let batch = bed.world.ports.queue.receive(10, consume::VISIBILITY).await.unwrap();
    assert!(consume::consume(&bed.world, batch).await.unwrap().failed.is_empty());
    assert_eq!(bed.world.ports.queue.depth().await.unwrap(), (0, 0, 0));
}

#[tokio::test]
async fn a_record_that_cannot_be_written_delays_none_of_its_nine_neighbours_and_comes_again_at_once() {
    let bed = Bed::new(policy(2));
    bed.refuse_job(5, true);
    send(bed.world.ports.queue.as_ref(), (1..=10).map(|id| job(&bed, id))).await;
    let batch = bed.world.ports.queue.receive(10, consume::VISIBILITY).await.unwrap();
    let consumed = consume::consume(&bed.world, batch).await.unwrap();
    assert_eq!((jobs(&bed).await, consumed.failed.len()), (9, 1));
    assert!(consumed.woken.contains(&set("linux")));
    assert_eq!(bed.world.ports.queue.depth().await.unwrap(), (0, 1, 0));
    bed.clock.advance(Duration::from_secs(1));
    bed.refuse_job(5, false);
    let batch = bed.world.ports.queue.receive(10, consume::VISIBILITY).await.unwrap();
    assert!(consume::consume(&bed.world, batch).await.unwrap().failed.is_empty());
    assert!(bed.world.ports.ledger.job(JobId(5)).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_launches_for_a_job_while_a_look_up_hangs() {
    let bed = Bed::new(policy(2));
    let lookups = bed.world.ports.lookups.clone().unwrap();
    bed.doubles.script().hangs = vec!["sweep".into()];
    send(bed.world.ports.queue.as_ref(), (0..20).map(sweep)).await;
    let (stop, stopped) = watch::channel(false);
    let never = Duration::from_secs(3_600);
    let rhythm = Rhythm { sweep: never, full_pass: never, ..Rhythm::default() };
    let mut running = loops::start(&bed.world, rhythm, &stopped);
    let seen = async |what: &str, holds: &(dyn Fn() -> bool + Sync)| {
        for _ in 0..600 {
            if holds() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("never seen: {what}");
    };
    seen("a look-up", &|| bed.doubles.script().count("sweep") > 0).await;
    send(bed.world.ports.queue.as_ref(), [job(&bed, 1)]).await;
    seen("a launch", &|| bed.doubles.script().count("launch") > 0).await;
    assert!(bed.doubles.script().count("sweep") <= lookups::AT_ONCE, "a few at once, and the others wait");
    drop(lookups);
    stop.send_replace(true);
    running.shutdown().await;
}
