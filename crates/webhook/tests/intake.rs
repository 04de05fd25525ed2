//! Admission: "accepted" is said only of what is on disk, and what is dropped is recorded.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::sync::Arc;

use runnersmith_controllers::Sets;
use runnersmith_plan::route::reject_at_intake;
use runnersmith_ports::contract::ledger::fact;
use runnersmith_ports::{HistoryLedger as _, Message, Queue as _, SystemClock};
use runnersmith_sqlite::SqliteStore;
use runnersmith_types::{FactSource, JobFact, JobId, JobStatus, Label, ScaleSet, ScaleSetName, Timestamp};
use runnersmith_webhook::{Admission, Intake};

fn policy(runners_max: u32) -> ScaleSet {
    let labels = ["self-hosted", "linux"].iter().map(|label| Label::of_set(label).unwrap()).collect();
    ScaleSet { runners_max, ..ScaleSet::new(ScaleSetName::parse("linux").unwrap(), labels) }
}

fn intake(store: &SqliteStore, sets: impl Into<Sets>) -> Intake {
    let sets = sets.into();
    let (queue, ledger) = (Arc::new(store.queue()), Arc::new(store.ledger()));
    Intake::new(queue, ledger, Arc::new(SystemClock), move || sets.load())
}

fn job(id: u64, label: &str) -> Message {
    let labels = vec![Label::of_job(label)];
    Message::Job(Box::new(JobFact { labels, ..fact(id, 1, JobStatus::Queued, FactSource::Delivery, Timestamp(0)) }))
}

#[tokio::test]
async fn on_a_full_disk_a_delivery_is_refused_and_what_was_accepted_is_there() {
    let home = tempfile::tempdir().unwrap();
    let clock = Arc::new(SystemClock);
    let store = SqliteStore::open_at_most(&home.path().join("ledger"), clock, 60).unwrap();
    let intake = intake(&store, vec![policy(1)]);
    let mut accepted = 0;
    let why = loop {
        match intake.admit(job(accepted + 1, "self-hosted"), None).await {
            Admission::Accepted => accepted += 1,
            Admission::Failed(why) => break why,
            Admission::Dropped(why) => panic!("{why}"),
        }
    };
    assert!(why.contains("disk is full"), "{why}");
    assert!(accepted > 0);
    assert_eq!(store.queue().depth().await.unwrap().0, accepted);
}

#[tokio::test]
async fn what_nothing_serves_is_dropped_and_recorded_unless_it_asks_for_a_self_hosted_runner() {
    let home = tempfile::tempdir().unwrap();
    let clock = Arc::new(SystemClock);
    let store = SqliteStore::open(&home.path().join("ledger"), clock).unwrap();
    let intake = intake(&store, vec![policy(1)]);
    let Admission::Dropped(why) = intake.admit(job(1, "ubuntu-latest"), None).await else { panic!("not dropped") };
    assert!(why.contains("ubuntu-latest"), "{why}");
    assert_eq!(store.queue().depth().await.unwrap(), (0, 0, 0));
    let notified = store.ledger().history_of_job(JobId(1), 10).await.unwrap();
    assert!(notified.iter().any(|event| event.text.contains("no scale set serves it")), "{notified:?}");
    for (id, label) in [(2, "SELF-HOSTED"), (3, "Linux")] {
        assert_eq!(intake.admit(job(id, label), None).await, Admission::Accepted, "{label}");
    }
}

#[tokio::test]
async fn the_intake_sees_a_set_that_comes_or_goes_at_once() {
    let home = tempfile::tempdir().unwrap();
    let clock = Arc::new(SystemClock);
    let store = SqliteStore::open(&home.path().join("ledger"), clock).unwrap();
    let sets = Sets::new(Vec::new());
    let intake = intake(&store, sets.clone());
    assert!(matches!(intake.admit(job(1, "linux"), None).await, Admission::Dropped(_)));
    sets.replace(vec![policy(1)]);
    assert_eq!(intake.admit(job(2, "linux"), None).await, Admission::Accepted);
    sets.replace(Vec::new());
    assert!(matches!(intake.admit(job(3, "linux"), None).await, Admission::Dropped(_)));
}

/// R12 of `controllers/tests/peer_defects.rs`: a job without labels matches no set that is not marked for it, and no label is ever stripped from a job.
#[test]
fn r12_no_job_is_matched_by_leaving_its_labels_out() {
    let set = policy(1);
    let mut fact = fact(1, 1, JobStatus::Queued, FactSource::Delivery, Timestamp(0));
    fact.labels = Vec::new();
    assert!(reject_at_intake(&fact, &[&set]).is_some());
    fact.labels =
        vec![Label::of_job("self-hosted"), Label::of_job("linux"), Label::of_job("ghr-ec2-instance-type:m5.large")];
    let why = runnersmith_plan::route::candidates(&fact, &[&set]).unwrap_err();
    assert!(why.to_string().contains("ghr-ec2-instance-type"), "{why}");
    let mut unlabelled = set.clone();
    unlabelled.serves_unlabelled = true;
    fact.labels = Vec::new();
    assert!(runnersmith_plan::route::candidates(&fact, &[&unlabelled]).is_ok());
}
