//! The ports on AWS keep the contracts of the embedded ones, against the emulator.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::sync::Arc;
use std::time::Duration;

use runnersmith_aws::{DynamoLedger, ObjectRecordStore, ParameterHandOff, Session, SqsQueue, TABLE_DEFINITION};
use runnersmith_aws_emulator::{Emulator, Fault, skip_unless_available};
use runnersmith_ports::contract::ledger::{LedgerWorld, ledger};
use runnersmith_ports::contract::machines::{HandOffWorld, hand_off};
use runnersmith_ports::contract::queue::{QueueWorld, queue};
use runnersmith_ports::contract::record_store::{RecordStoreWorld, record_store};
use runnersmith_ports::{
    BudgetLedger as _, Expect, HandOff as _, HistoryLedger as _, JobLedger as _, LeaseLedger as _, ManualClock,
    RecordStore as _, RecordStoreError, ReleaseOutcome, RunnerConfig, TestClock,
};
use runnersmith_types::{
    BootFailure, EventKind, FallbackOrder, HandOffEncryption, HistoryEvent, MachineId, Owner, PoolFailure,
    RepoFullName, RunId, RunnerName, RunnerScope, ScaleSetName, Secret, Timestamp,
};
use serde_json::{Value, json};

struct QueuesClock(Arc<Emulator>);

impl TestClock for QueuesClock {
    fn advance(&self, by: Duration) {
        self.0.advance(by).unwrap();
    }
}

async fn session(emulator: &Emulator) -> Session {
    Session::with_key(emulator.url(), "us-east-1", "tester").await
}

fn make_queue(emulator: &Emulator, name: &str, attributes: &Value) -> String {
    let body = json!({ "QueueName": name, "Attributes": attributes });
    emulator.json("sqs", "AmazonSQS.CreateQueue", &body).unwrap()["QueueUrl"].as_str().unwrap().to_owned()
}

fn make_table(emulator: &Emulator, name: &str) {
    let mut definition: Value = serde_json::from_str(TABLE_DEFINITION).unwrap();
    definition["TableName"] = json!(name);
    emulator.json("dynamodb", "DynamoDB_20120810.CreateTable", &definition).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_keeps_its_contract() {
    if skip_unless_available("the contract of the queue on SQS") {
        return;
    }
    let emulator = Arc::new(Emulator::start().unwrap());
    let dead = make_queue(&emulator, "dead", &json!({}));
    let redrive = json!({ "deadLetterTargetArn": "arn:aws:sqs:us-east-1:123456789012:dead", "maxReceiveCount": 10 });
    let url = make_queue(&emulator, "jobs", &json!({ "RedrivePolicy": redrive.to_string() }));
    let sqs = SqsQueue::new(&session(&emulator).await, &url, Some(&dead), Duration::from_secs(30));
    let clock = QueuesClock(emulator.clone());
    queue(&QueueWorld { queue: &sqs, clock: &clock, receives_max: 10, reports_stale: false }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_keeps_its_contract() {
    if skip_unless_available("the contract of the ledger on DynamoDB") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    make_table(&emulator, "ledger");
    let clock = Arc::new(ManualClock::at(Timestamp::from_secs(1_800_000_000)));
    let keep = Duration::from_secs(30 * 24 * 3600);
    let dynamo = DynamoLedger::new(&session(&emulator).await, "ledger", keep, clock.clone());
    let drop_old = |before: Timestamp| expire(&emulator, before.plus(keep));
    ledger(&LedgerWorld { ledger: &dynamo, clock: &clock, drops_old: Some(&drop_old) }).await;
}

/// Deletes what the table's time to live deletes at some time after this one. Returns how many items that were.
fn expire(emulator: &Emulator, at: Timestamp) -> u64 {
    let (mut gone, mut start) = (0, Value::Null);
    loop {
        let mut call = json!({ "TableName": "ledger" });
        if !start.is_null() {
            call["ExclusiveStartKey"] = start;
        }
        let scanned = emulator.json("dynamodb", "DynamoDB_20120810.Scan", &call).unwrap();
        for item in scanned["Items"].as_array().unwrap() {
            let expires = item["expires"]["N"].as_str().map(|text| text.parse::<i64>().unwrap());
            if expires.is_some_and(|expires| expires < at.as_secs()) {
                let key = json!({ "pk": item["pk"], "sk": item["sk"] });
                let delete = json!({ "TableName": "ledger", "Key": key });
                emulator.json("dynamodb", "DynamoDB_20120810.DeleteItem", &delete).unwrap();
                gone += 1;
            }
        }
        start = scanned["LastEvaluatedKey"].clone();
        if start.is_null() {
            return gone;
        }
    }
}

/// DynamoDB refuses a plain write to an item that a transaction changes at the moment, and the SDK does not make it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_write_that_meets_a_transaction_is_made_again() {
    if skip_unless_available("plain writes beside transactions") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    make_table(&emulator, "ledger");
    let clock = Arc::new(ManualClock::at(Timestamp::from_secs(1_800_000_000)));
    let ledger = DynamoLedger::new(&session(&emulator).await, "ledger", Duration::from_secs(3600), clock);
    let (set, ttl) = (ScaleSetName::parse("linux").unwrap(), Duration::from_secs(20));
    for times in [1, 3] {
        emulator.inject(&[Fault::error("UpdateItem", "TransactionConflictException", 400).times(times)]).unwrap();
        ledger.wake(&set).await.unwrap();
    }
    emulator.inject(&[Fault::error("UpdateItem", "TransactionConflictException", 400).times(2)]).unwrap();
    assert!(ledger.acquire(&set, "a", ttl).await.unwrap().is_some(), "a lease is not taken for held elsewhere");
    emulator.inject(&[Fault::error("UpdateItem", "TransactionConflictException", 400).times(50)]).unwrap();
    assert!(ledger.wake(&set).await.is_err(), "not forever");
    emulator.heal().unwrap();
}

/// The SDK makes a call again whose answer was lost: what the first one did is not taken for somebody else's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_whose_answer_was_lost_is_a_release_and_a_wake_up_before_it_is_seen() {
    if skip_unless_available("a lease's release whose answer is lost") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    make_table(&emulator, "ledger");
    let clock = Arc::new(ManualClock::at(Timestamp::from_secs(1_800_000_000)));
    let ledger = DynamoLedger::new(&session(&emulator).await, "ledger", Duration::from_secs(3600), clock);
    let ttl = Duration::from_secs(20);
    for (name, is_woken, outcome) in
        [("quiet", false, ReleaseOutcome::Released), ("woken", true, ReleaseOutcome::WokenAgain)]
    {
        let set = ScaleSetName::parse(name).unwrap();
        let mut lease = ledger.acquire(&set, "a", ttl).await.unwrap().expect("it is free");
        if is_woken {
            ledger.wake(&set).await.unwrap();
        }
        emulator.inject(&[Fault::lost_answer("UpdateItem")]).unwrap();
        assert_eq!(ledger.release(&mut lease, ttl).await.unwrap(), outcome);
        let is_free = ledger.acquire(&set, "b", ttl).await.unwrap().is_some();
        assert_eq!(is_free, !is_woken, "{name}: it is held on exactly when the set was woken");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_for_a_while_has_a_time_to_live_in_the_table() {
    if skip_unless_available("the time to live of history on DynamoDB") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    make_table(&emulator, "ledger");
    let now = Timestamp::from_secs(1_800_000_000);
    let keep = Duration::from_secs(30 * 24 * 3600);
    let ledger = DynamoLedger::new(&session(&emulator).await, "ledger", keep, Arc::new(ManualClock::at(now)));
    let (set, runner) = (ScaleSetName::parse("linux").unwrap(), RunnerName::parse("linux-1").unwrap());
    let pool = FallbackOrder::local().pools.remove(0);
    ledger.append(vec![HistoryEvent::new(now, EventKind::Done, "launch", "launched")]).await.unwrap();
    ledger.pool_failure(&set, PoolFailure::new(pool.clone(), now, "no capacity".into())).await.unwrap();
    ledger.boot_failed(&set, BootFailure::new(runner, pool, now)).await.unwrap();
    ledger.rerun(&RepoFullName::parse("acme/shop").unwrap(), RunId(7)).await.unwrap();
    let scanned = emulator.json("dynamodb", "DynamoDB_20120810.Scan", &json!({ "TableName": "ledger" })).unwrap();
    let mut found: Vec<(String, &str, bool)> = Vec::new();
    for item in scanned["Items"].as_array().unwrap() {
        let part = |name: &str| item[name]["S"].as_str().unwrap().split('#').next().unwrap().to_owned();
        let is_in_the_index = !item["kind"].is_null();
        let expires = item["expires"]["N"].as_str().unwrap_or("never");
        found.push((format!("{} {}", part("pk"), part("sk")), expires, is_in_the_index));
    }
    found.sort_unstable();
    let (end, moment) = ((now.as_secs() + 30 * 24 * 3600).to_string(), format!("{:016}", now.as_millis()));
    let line = format!("events {moment}");
    let expected = [(line.as_str(), true), ("rerun acme/shop", false), ("set boot", false), ("set strike", false)];
    assert_eq!(found, expected.map(|(place, indexed)| (place.to_owned(), end.as_str(), indexed)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hand_off_keeps_its_contract_with_every_encryption() {
    if skip_unless_available("the contract of the hand-off on Parameter Store") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let session = session(&emulator).await;
    let key = emulator.json("kms", "TrentService.CreateKey", &json!({})).unwrap();
    let key = key["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
    let look = |name: &str| {
        let names = json!({ "Names": [name], "WithDecryption": true });
        let found = emulator.json("ssm", "AmazonSSM.GetParameters", &names).unwrap();
        (found["Parameters"][0]["Value"].as_str().unwrap().to_owned(), found["Parameters"][0]["Type"].clone())
    };
    for (place, encryption) in [
        ("plain", HandOffEncryption::Plain),
        ("managed", HandOffEncryption::Managed),
        ("own", HandOffEncryption::Key(key)),
    ] {
        let kind = if encryption == HandOffEncryption::Plain { "String" } else { "SecureString" };
        let parameters = ParameterHandOff::new(&session, &format!("/test/{place}"), encryption);
        let machine = |name: &str| MachineId::parse(name).unwrap();
        let world = HandOffWorld { hand_off: &parameters, machine: machine("i-1"), other: machine("i-2"), gone: None };
        hand_off(&world).await;
        // A long configuration, as a JIT config is, arrives whole.
        let config = RunnerConfig::Jit { encoded: Secret::new("x".repeat(6000)) };
        let at = RunnerScope::Organization(Owner::parse("acme").unwrap());
        emulator.forget_calls().unwrap();
        parameters.put(&machine("i-3"), &RunnerName::parse("a-b-1").unwrap(), &at, &config).await.unwrap();
        // The tag by which its machine alone may read it comes with it: a call of its own could come too late, or never.
        let calls = emulator.calls().unwrap();
        let made: Vec<(&str, u64)> =
            calls.iter().map(|(call, made)| (call.rsplit(' ').next().unwrap(), *made)).collect();
        assert_eq!(made, [("ssm:PutParameter", 1)]);
        let tagged = json!({ "ResourceType": "Parameter", "ResourceId": format!("/test/{place}/i-3") });
        let tags = emulator.json("ssm", "AmazonSSM.ListTagsForResource", &tagged).unwrap();
        assert!(tags["TagList"].to_string().contains("i-3"), "{tags}");
        assert_eq!(look(&format!("/test/{place}/i-3")), (format!("jit\n{}", "x".repeat(6000)), json!(kind)));
        let endless = RunnerConfig::Jit { encoded: Secret::new("x".repeat(9000)) };
        let refused =
            parameters.put(&machine("i-4"), &RunnerName::parse("a-b-2").unwrap(), &at, &endless).await.unwrap_err();
        assert!(!format!("{refused:?}").contains("xxx"), "an error holds no secret");
    }
}

fn make_bucket(emulator: &Emulator, name: &str) {
    emulator.rest("s3", "PUT", &format!("/{name}"), b"").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_store_keeps_its_contract_with_every_encryption() {
    if skip_unless_available("the contract of the record store on S3") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let session = session(&emulator).await;
    make_bucket(&emulator, "states");
    let key = emulator.json("kms", "TrentService.CreateKey", &json!({})).unwrap();
    let key = key["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
    let looked = |path: &str| String::from_utf8(emulator.rest("s3", "GET", path, b"").unwrap()).unwrap();
    for (prefix, key) in [("runners", None), ("deep/runners/", Some(key.as_str()))] {
        // Pages of four: what a list answers does not depend on them.
        let record_store_at =
            |prefix: &str| Arc::new(ObjectRecordStore::new(&session, "states", prefix, key).with_page(4));
        let neighbour = record_store_at(&format!("{}-2", prefix.trim_matches('/')));
        record_store(&RecordStoreWorld { record_store: record_store_at(prefix), neighbour }).await;
        record_store_at(prefix).put("changes/a/change.json", b"{}", &Expect::Absent).await.unwrap();
        let object = looked(&format!("/states/{}/changes/a/change.json", prefix.trim_matches('/')));
        let (header, content) = object.split_once('\n').unwrap();
        assert!(header.starts_with("runnersmith-record ") && content == "{}", "people can read it: {object}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_store_distinguishes_what_is_missing_what_is_refused_and_what_was_its_own() {
    if skip_unless_available("the record store's errors on S3") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let session = session(&emulator).await;
    make_bucket(&emulator, "states");
    let record_store = ObjectRecordStore::new(&session, "states", "", None);

    // What a person wrote by hand is read, and can be written over.
    emulator.rest("s3", "PUT", "/states/by-hand.json", b"{\"a\":1}").unwrap();
    let found = record_store.get("by-hand.json").await.unwrap().unwrap();
    assert_eq!(found.bytes, b"{\"a\":1}");
    record_store.put("by-hand.json", b"{}", &Expect::Version(found.version)).await.unwrap();

    // The first attempt was done and its answer lost; the SDK's second one meets its own record.
    emulator.inject(&[Fault::lost_answer("PUT /states/lock.json")]).unwrap();
    let version = record_store.put("lock.json", b"mine", &Expect::Absent).await.unwrap();
    emulator.inject(&[Fault::lost_answer("PUT /states/lock.json")]).unwrap();
    let version = record_store.put("lock.json", b"mine", &Expect::Version(version)).await.unwrap();
    assert_eq!(record_store.get("lock.json").await.unwrap().unwrap().version, version);

    for (code, status) in [("PreconditionFailed", 412), ("ConditionalRequestConflict", 409)] {
        emulator.inject(&[Fault::error("PUT /states/lock.json", code, status)]).unwrap();
        let refused = record_store.put("lock.json", b"x", &Expect::Any).await;
        assert!(matches!(refused, Err(RecordStoreError::Conflict { .. })), "{code}: {refused:?}");
    }
    for action in ["GET", "PUT", "DELETE"] {
        emulator.inject(&[Fault::error(&format!("{action} /states/lock.json"), "AccessDenied", 403)]).unwrap();
        let refused = match action {
            "GET" => record_store.get("lock.json").await.map(drop),
            "PUT" => record_store.put("lock.json", b"x", &Expect::Any).await.map(drop),
            _ => record_store.delete("lock.json").await,
        };
        assert!(matches!(refused, Err(RecordStoreError::Denied { .. })), "{action}: {refused:?}");
    }
    let elsewhere = ObjectRecordStore::new(&session, "no-such-bucket", "", None);
    for refused in [
        elsewhere.get("lock.json").await.map(drop),
        elsewhere.put("lock.json", b"x", &Expect::Absent).await.map(drop),
        elsewhere.list("").await.map(drop),
    ] {
        assert!(
            matches!(refused, Err(RecordStoreError::Failed { .. })),
            "a missing bucket is no empty record store: {refused:?}"
        );
    }
}
