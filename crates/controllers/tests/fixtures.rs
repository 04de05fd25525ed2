//! Records and messages of an earlier version are what they were.

#[path = "../../sqlite/tests/stored/mod.rs"]
mod stored;
use std::time::Duration;

use crate::support::{Bed, policy};
use runnersmith_controllers::consume::consume;
use runnersmith_ports::Message;
use runnersmith_types::{
    Batch, BootFailure, Conclusion, DeliveryId, EventKind, HistoryEvent, Job, JobId, JobStatus, Market, PoolFailure,
    RegistrationId, Runner,
};
use serde::de::DeserializeOwned;
use stored::{at, jobs_are_right, lines, runner, runners_are_right, set, spot};

fn read<T: DeserializeOwned>(name: &str) -> Vec<T> {
    lines(name)
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[test]
fn every_signal_is_read_as_it_was_sent() {
    let signals: Vec<Message> = read("signals.jsonl");
    let [
        Message::Job(first),
        Message::Job(full),
        Message::CheckRun { repo, job },
        Message::Sweep { repo: swept },
        Message::Wake { set: woken },
    ] = signals.as_slice()
    else {
        panic!("{signals:?}")
    };
    assert_eq!((first.id, first.status, first.received_at), (JobId(201), JobStatus::Queued, at(0)));
    assert_eq!((first.runner_name.as_deref(), first.conclusion.as_ref(), first.delivery.as_ref()), (None, None, None));
    assert_eq!(
        (full.id, full.status, full.conclusion.clone()),
        (JobId(202), JobStatus::Completed, Some(Conclusion("success".into())))
    );
    assert_eq!((full.runner_name.as_deref(), full.runner_id), (Some("linux-k3x9ab-5"), Some(RegistrationId(9202))));
    assert_eq!(full.delivery, DeliveryId::parse("72d3162e-cc78-11e3-81ab-4c9367dc0958").ok());
    assert_eq!((full.created_at, full.started_at, full.completed_at), (Some(at(-60)), Some(at(-30)), Some(at(0))));
    assert_eq!((repo.as_str(), *job, swept.as_str(), woken), ("acme/shop", JobId(203), "acme/shop", &set("linux")));
}

#[test]
fn a_signal_is_sent_as_an_earlier_version_reads_it() {
    // While a new version is rolled out, the one before it reads the same queue.
    // It passes over a field that it does not know, and the version's number is the only one.
    let signals: Vec<Message> = read("signals.jsonl");
    let numbered = lines("signals.jsonl").into_iter().map(|line| {
        let content = line.strip_suffix("}}").unwrap();
        format!("{content},\"record_version\":1}}}}")
    });
    assert_eq!(signals.iter().map(Message::to_body).collect::<Vec<_>>(), numbered.collect::<Vec<_>>());
}

#[tokio::test]
async fn messages_of_an_earlier_version_are_consumed() {
    let bed = Bed::new(policy(5));
    for body in lines("signals.jsonl") {
        bed.world.ports.queue.send(&body, Duration::ZERO).await.unwrap();
    }
    let messages = bed.world.ports.queue.receive(10, Duration::from_secs(30)).await.unwrap();
    assert_eq!(messages.len(), 5);
    let woken = consume(&bed.world, messages).await.woken;
    assert!(woken.contains(&set("linux")), "{woken:?}");
    let job = bed.world.ports.ledger.job(JobId(202)).await.unwrap().unwrap();
    assert_eq!((job.fact.status, job.runner()), (JobStatus::Completed, Some(runner("linux", 5))));
    assert_eq!(bed.world.ports.queue.depth().await.unwrap(), (0, 0, 0), "none is a dead letter");
}

#[test]
fn every_record_of_the_ledger_is_read_as_it_was_stored() {
    jobs_are_right(&read::<Job>("jobs.jsonl").into_iter().map(|job| (job.id().0, job)).collect());
    runners_are_right(&read::<Runner>("runners.jsonl").into_iter().map(|runner| (runner.serial, runner)).collect());
    let batches: Vec<Batch> = read("batches.jsonl");
    assert_eq!(
        batches.iter().map(|batch| (batch.set.clone(), batch.settled)).collect::<Vec<_>>(),
        [(set("linux"), true), (set("windows"), false)]
    );
    assert_eq!((&batches[0].pool, batches[0].runners.len(), batches[0].stored_at), (&spot(), 8, at(10)));
    assert_eq!(batches[0].hard_end_at, at(10 + 5 * 24 * 3600));
    let events: Vec<HistoryEvent> = read("events.jsonl");
    let kinds: Vec<EventKind> = events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Seen, EventKind::Decided, EventKind::Done, EventKind::Failed, EventKind::Dropped]);
    assert_eq!(
        (events[2].job, events[2].runner.clone(), events[4].job),
        (Some(JobId(104)), Some(runner("linux", 5)), None)
    );
    let pool_failures: Vec<PoolFailure> = read("strikes.jsonl");
    assert_eq!(
        (pool_failures[1].pool.market, pool_failures[1].why.as_str(), pool_failures[1].at),
        (Market::OnDemand, "the quota is used up", at(69))
    );
    let failures: Vec<BootFailure> = read("boot_failures.jsonl");
    assert_eq!((failures[0].runner.clone(), failures[1].pool.market), (runner("linux", 2), Market::Local));
}

#[test]
fn a_record_is_written_so_that_nothing_that_was_stored_is_lost() {
    // Each field that was stored is stored again, under the same name and with the same value.
    fn again<T: DeserializeOwned + serde::Serialize>(name: &str) {
        for (record, line) in read::<T>(name).iter().zip(lines(name)) {
            let (old, new) =
                (serde_json::from_str::<serde_json::Value>(&line).unwrap(), serde_json::to_value(record).unwrap());
            for (field, value) in old.as_object().unwrap() {
                assert_eq!(new.get(field), Some(value), "{name}: {field}");
            }
        }
    }
    again::<Job>("jobs.jsonl");
    again::<Runner>("runners.jsonl");
    again::<Batch>("batches.jsonl");
    again::<HistoryEvent>("events.jsonl");
    again::<PoolFailure>("strikes.jsonl");
    again::<BootFailure>("boot_failures.jsonl");
}
