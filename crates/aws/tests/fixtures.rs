//! What an earlier version has left on AWS is read and carried on, against the emulator.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

#[path = "../../sqlite/tests/stored/mod.rs"]
mod stored;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runnersmith_aws::ssm::{MACHINE_TAG, value};
use runnersmith_aws::{
    DynamoLedger, ObjectRecordStore, ParameterHandOff, Parameters, Session, SqsQueue, TABLE_DEFINITION,
};
use runnersmith_aws_emulator::{Emulator, skip_unless_available};
use runnersmith_ports::{
    Expect, HandOff as _, JobLedger as _, ManualClock, Queue as _, RecordStore as _, RunnerConfig, chain,
};
use runnersmith_types::{Encryption, JobFact, JobId, MachineId, Secret};
use serde_json::{Value, json};
use stored::{NOW, goes_on, is_as_it_was_stored, lines};

fn values(name: &str) -> Vec<Value> {
    lines(name).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn session(emulator: &Emulator) -> Session {
    Session::with_key(emulator.url(), "us-east-1", "tester").await
}

/// The ledger with the stored items in its table.
async fn filled(emulator: &Emulator) -> DynamoLedger {
    let mut definition: Value = serde_json::from_str(TABLE_DEFINITION).unwrap();
    definition["TableName"] = json!("ledger");
    emulator.json("dynamodb", "DynamoDB_20120810.CreateTable", &definition).unwrap();
    let items = values("dynamodb.jsonl");
    for chunk in items.chunks(25) {
        let puts: Vec<Value> = chunk.iter().map(|item| json!({ "PutRequest": { "Item": item } })).collect();
        let body = json!({ "RequestItems": { "ledger": puts } });
        let written = emulator.json("dynamodb", "DynamoDB_20120810.BatchWriteItem", &body).unwrap();
        assert!(written["UnprocessedItems"].as_object().is_none_or(|left| left.is_empty()), "{written}");
    }
    let keep = Duration::from_secs(30 * 24 * 3600);
    DynamoLedger::new(&session(emulator).await, "ledger", keep, Arc::new(ManualClock::at(NOW)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_item_of_the_ledger_is_read_as_it_was_stored() {
    if skip_unless_available("the stored ledger on DynamoDB") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    is_as_it_was_stored(&filled(&emulator).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_of_an_earlier_version_is_carried_on() {
    if skip_unless_available("the stored ledger on DynamoDB, carried on") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let ledger = filled(&emulator).await;
    goes_on(&ledger).await;
    let stalled = ledger.job(JobId(103)).await.unwrap().unwrap();
    assert_eq!(stalled.fact.status, runnersmith_types::JobStatus::InProgress);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_of_a_newer_version_is_refused_and_one_that_is_written_again_has_its_number() {
    if skip_unless_available("a newer ledger on DynamoDB") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let ledger = filled(&emulator).await;
    let fact = ledger.job(JobId(104)).await.unwrap().unwrap().fact;
    ledger.record_facts(vec![JobFact { workflow: "renamed".into(), ..fact }], &[]).await.unwrap();
    let place = json!({ "pk": { "S": "jobs#0" }, "sk": { "S": format!("open#{:020}", 104) } });
    let get = json!({ "TableName": "ledger", "Key": place });
    let mut found = emulator.json("dynamodb", "DynamoDB_20120810.GetItem", &get).unwrap();
    let mut record: Value = serde_json::from_str(found["Item"]["record"]["S"].as_str().unwrap()).unwrap();
    assert_eq!(record["record_version"], json!(1));
    record["record_version"] = json!(2);
    found["Item"]["record"]["S"] = json!(record.to_string());
    let put = json!({ "TableName": "ledger", "Item": found["Item"] });
    emulator.json("dynamodb", "DynamoDB_20120810.PutItem", &put).unwrap();
    let refused = chain(&ledger.job(JobId(104)).await.unwrap_err());
    let sentence = "written by a newer version of Runnersmith (record version 2, this program knows 1)";
    assert!(refused.contains(sentence), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_an_earlier_version_are_received_as_they_were_sent() {
    if skip_unless_available("stored messages on SQS") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let made = emulator.json("sqs", "AmazonSQS.CreateQueue", &json!({ "QueueName": "jobs" })).unwrap();
    let url = made["QueueUrl"].as_str().unwrap();
    for message in values("sqs.jsonl").iter().filter(|message| message["queue"] == "jobs") {
        let body = json!({ "QueueUrl": url, "MessageBody": message["body"] });
        emulator.json("sqs", "AmazonSQS.SendMessage", &body).unwrap();
    }
    let queue = SqsQueue::new(&session(&emulator).await, url, None, Duration::from_secs(30));
    let received = queue.receive(10, Duration::from_secs(30)).await.unwrap();
    let mut bodies: Vec<String> = received.into_iter().map(|message| message.body).collect();
    let odd = bodies.iter().position(|body| body.contains("\"odd \u{fffe}\"")).expect("what SQS refuses was encoded");
    bodies.remove(odd);
    bodies.sort();
    let mut wanted = lines("signals.jsonl");
    wanted.sort();
    assert_eq!(bodies, wanted);
}

/// What was handed over, in the order of the lines.
fn configs() -> [RunnerConfig; 2] {
    let token = RunnerConfig::Token {
        url: "https://github.com/acme".into(),
        token: Secret::new("AABBCC"),
        name: "linux-k3x9ab-2".into(),
        labels: "self-hosted,linux".into(),
        group: Some("Default".into()),
        ephemeral: true,
    };
    [RunnerConfig::Jit { encoded: Secret::new("eyJqaXQiOiJjb25maWcifQ==") }, token]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hand_offs_of_an_earlier_version_are_listed_and_expire_and_machines_that_run_read_new_ones() {
    let stored = values("hand_offs.jsonl");
    for (line, config) in stored.iter().zip(configs()) {
        assert_eq!(line["Value"].as_str().unwrap(), value(&config).expose(), "as the user data of machines reads it");
        // The policy of the machines' role, which is older than the program, names this tag.
        assert_eq!(line["Tags"][0]["Key"], MACHINE_TAG);
    }
    if skip_unless_available("stored hand-offs on Parameter Store") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    for line in &stored {
        emulator.json("ssm", "AmazonSSM.PutParameter", line).unwrap();
    }
    let path = "/runnersmith/test/hand-off";
    let hand_off = ParameterHandOff::new(&session(&emulator).await, path, Encryption::Managed);
    let machines = [0, 1].map(|n| MachineId::parse(&format!("i-{n:017x}")).unwrap());
    let waiting = hand_off.waiting().await.unwrap().into_iter().map(|(machine, _)| machine);
    let mut waiting: Vec<MachineId> = waiting.collect();
    waiting.sort();
    assert_eq!(waiting, machines);
    assert!(hand_off.pending(&machines[0]).await.unwrap());
    hand_off.expire(&machines[0]).await.unwrap();
    assert!(!hand_off.pending(&machines[0]).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_of_an_earlier_version_are_found_below_their_path() {
    if skip_unless_available("stored settings on Parameter Store") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    for line in values("settings.jsonl") {
        let name = format!("/runnersmith/test/config/{}", line["Name"].as_str().unwrap());
        let body = json!({ "Name": name, "Value": line["Value"], "Type": "String" });
        emulator.json("ssm", "AmazonSSM.PutParameter", &body).unwrap();
    }
    let found = Parameters::new(&session(&emulator).await).below("/runnersmith/test/config").await.unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["plane", "sets/linux"]);
    assert!(found["sets/linux"].expose().contains("\"runners_max\":20"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_on_s3_of_an_earlier_version_is_read_and_replaced() {
    if skip_unless_available("a stored record on S3") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    emulator.rest("s3", "PUT", "/states", b"").unwrap();
    for line in values("objects.jsonl") {
        let bytes = STANDARD.decode(line["base64"].as_str().unwrap()).unwrap();
        emulator.rest("s3", "PUT", &format!("/states/{}", line["path"].as_str().unwrap()), &bytes).unwrap();
    }
    let record_store = ObjectRecordStore::new(&session(&emulator).await, "states", "runners", None);
    assert_eq!(record_store.list("").await.unwrap(), ["changes/team/change.json"]);
    let found = record_store.get("changes/team/change.json").await.unwrap().unwrap();
    assert_eq!(found.bytes, b"{\"format\": 1}", "its header is taken off");
    record_store.put("changes/team/change.json", b"{}", &Expect::Version(found.version)).await.unwrap();
    assert_eq!(record_store.get("changes/team/change.json").await.unwrap().unwrap().bytes, b"{}");
}
