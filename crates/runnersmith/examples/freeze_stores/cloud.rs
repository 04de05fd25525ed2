//! What lies on AWS, as the emulator shows it: the ledger's items, messages, parameters, a record of the shelf, and tags.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use runnersmith_aws::ssm::Encryption;
use runnersmith_aws::{DynamoLedger, ObjectShelf, ParameterHandOff, Session, SqsQueue, TABLE_DEFINITION};
use runnersmith_config::Config;
use runnersmith_controllers::intake::Signal;
use runnersmith_ec2::Ec2Machines;
use runnersmith_emulator::Emulator;
use runnersmith_ports::{Expect, HandOff as _, LaunchRequest, Ledger as _, Machines as _, Queue as _, Shelf as _};
use runnersmith_types::ec2::{Allocation, Capacity, Subnet};
use runnersmith_types::{
    Batch, BatchId, Ec2Set, FactSource, JobStatus, MachineId, Owner, PlaneId, RegisterAt, Timestamp,
};
use serde_json::{Value, json};

use crate::embedded_store::signals;
use crate::machines::configs;
use crate::population::{PLANE, START, StepClock, fact, populate, runner, set};
use crate::write_lines;

async fn ledger(emulator: &Emulator, session: &Session, out: &Path) {
    const API: &str = "DynamoDB_20120810";
    let mut definition: Value = serde_json::from_str(TABLE_DEFINITION).unwrap();
    definition["TableName"] = json!("ledger");
    emulator.json("dynamodb", &format!("{API}.CreateTable"), &definition).unwrap();
    // A plane's name is random; this one is to be the same each time.
    let plane = json!({ "pk": {"S": "plane"}, "sk": {"S": "plane"}, "value": {"S": PLANE} });
    emulator.json("dynamodb", &format!("{API}.PutItem"), &json!({ "TableName": "ledger", "Item": plane })).unwrap();
    let clock = Arc::new(StepClock::at(START));
    let keep = Duration::from_secs(30 * 24 * 3600);
    let dynamo = DynamoLedger::new(session, "ledger", keep, clock.clone());
    assert_eq!(dynamo.plane().await.unwrap().as_str(), PLANE);
    populate(&dynamo, &clock).await;
    let found = emulator.json("dynamodb", &format!("{API}.Scan"), &json!({ "TableName": "ledger" })).unwrap();
    assert!(found.get("LastEvaluatedKey").is_none(), "all in one page");
    let mut items = found["Items"].as_array().unwrap().clone();
    items.sort_by_key(|item| (item["pk"].to_string(), item["sk"].to_string()));
    write_lines(out, "dynamodb.jsonl", items.into_iter());
}

async fn queue(emulator: &Emulator, session: &Session, out: &Path) {
    let make = |name: &str| {
        let made = emulator.json("sqs", "AmazonSQS.CreateQueue", &json!({ "QueueName": name })).unwrap();
        made["QueueUrl"].as_str().unwrap().to_owned()
    };
    let (url, dead) = (make("jobs"), make("dead"));
    let queue = SqsQueue::new(session, &url, Some(&dead), Duration::from_secs(30));
    queue.send("this is not a signal", Duration::ZERO).await.unwrap();
    let wrong = queue.receive(1, Duration::from_secs(30)).await.unwrap().remove(0);
    queue.dead_letter(&wrong.receipt, "it cannot be read").await.unwrap();
    for signal in signals() {
        queue.send(&signal.to_body(), Duration::ZERO).await.unwrap();
    }
    // SQS refuses this character.
    let mut odd = fact(204, JobStatus::Queued, FactSource::Delivery, START);
    odd.name = "odd \u{fffe}".into();
    queue.send(&Signal::Job(Box::new(odd)).to_body(), Duration::ZERO).await.unwrap();
    let mut lines = Vec::new();
    for (name, url) in [("jobs", &url), ("dead", &dead)] {
        let ask = json!({ "QueueUrl": url, "MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"] });
        let found = emulator.json("sqs", "AmazonSQS.ReceiveMessage", &ask).unwrap();
        for message in found["Messages"].as_array().unwrap() {
            let mut line = json!({ "queue": name, "body": message["Body"] });
            if let Some(why) = message["MessageAttributes"]["why"]["StringValue"].as_str() {
                line["why"] = json!(why);
            }
            lines.push(line);
        }
    }
    assert_eq!(lines.len(), 7);
    write_lines(out, "sqs.jsonl", lines.into_iter());
}

async fn hand_offs(emulator: &Emulator, session: &Session, out: &Path) {
    let at = RegisterAt::Organization(Owner::parse("acme").unwrap());
    let mut lines = Vec::new();
    for (n, config) in configs().iter().enumerate() {
        let encryption = if n == 0 { Encryption::Managed } else { Encryption::Plain };
        let hand_off = ParameterHandOff::new(session, "/runnersmith/test/hand-off", encryption);
        let machine = MachineId::parse(&format!("i-{n:017x}")).unwrap();
        hand_off.put(&machine, &runner("linux", 1), &at, config).await.unwrap();
        let name = format!("/runnersmith/test/hand-off/{machine}");
        let ask = json!({ "Names": [name], "WithDecryption": true });
        let found = emulator.json("ssm", "AmazonSSM.GetParameters", &ask).unwrap()["Parameters"][0].clone();
        let ask = json!({ "ResourceType": "Parameter", "ResourceId": name });
        let tags = emulator.json("ssm", "AmazonSSM.ListTagsForResource", &ask).unwrap()["TagList"].clone();
        lines.push(json!({ "Name": name, "Type": found["Type"], "Value": found["Value"], "Tags": tags }));
    }
    write_lines(out, "hand_offs.jsonl", lines.into_iter());
}

async fn record(emulator: &Emulator, session: &Session, out: &Path) {
    emulator.rest("s3", "PUT", "/states", b"").unwrap();
    let shelf = ObjectShelf::new(session, "states", "runners", None);
    shelf.put("changes/team/change.json", b"{\"format\": 1}", &Expect::Absent).await.unwrap();
    let found = emulator.rest("s3", "GET", "/states/runners/changes/team/change.json", b"").unwrap();
    let text = base64::engine::general_purpose::STANDARD.encode(found);
    let line = json!({ "path": "runners/changes/team/change.json", "base64": text });
    write_lines(out, "objects.jsonl", std::iter::once(line));
}

/// What stands between two XML tags.
fn between(xml: &str, tag: &str) -> Vec<String> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    xml.split(&open).skip(1).filter_map(|rest| rest.split(&close).next().map(str::to_owned)).collect()
}

fn account(emulator: &Emulator) -> Ec2Set {
    let images = emulator.query("ec2", "DescribeImages", &[("Owner.1", "amazon")]).unwrap();
    let image = between(&images, "imageId").remove(0);
    let template = [
        ("LaunchTemplateName", "runners"),
        ("LaunchTemplateData.ImageId", image.as_str()),
        ("LaunchTemplateData.InstanceType", "t3.micro"),
    ];
    let template = emulator.query("ec2", "CreateLaunchTemplate", &template).unwrap();
    let subnets = emulator.query("ec2", "DescribeSubnets", &[]).unwrap();
    let (ids, zones) = (between(&subnets, "subnetId"), between(&subnets, "availabilityZone"));
    Ec2Set {
        launch_template: between(&template, "launchTemplateId").remove(0),
        template_version: "$Default".into(),
        subnets: ids.into_iter().zip(zones).take(2).map(|(id, zone)| Subnet { zone, id }).collect(),
        types: vec!["m5.large".into(), "m6i.large".into()],
        attributes: None,
        allocation: Allocation::PriceCapacityOptimized,
        capacity: Capacity::SpotThenOnDemand,
        max_price: Some("0.5".into()),
    }
}

/// A machine for each word that the user data says, the busy one warned of an interruption.
async fn machines(emulator: &Emulator, session: &Session, out: &Path) {
    let ec2_set = account(emulator);
    let ec2 = Ec2Machines::new(session, BTreeMap::from([(set("linux"), ec2_set.clone())]));
    let voices = ["", "booting", "configured", "listening", "busy", "job-done", "ended:0", "ended:failed at unpack"];
    let mut lines = Vec::new();
    for (n, voice) in voices.iter().enumerate() {
        let rungs = ec2_set.ladder(Duration::ZERO).unwrap().rungs;
        let batch = Batch {
            id: BatchId::parse(&format!("batch-{n}")).unwrap(),
            set: set("linux"),
            rung: rungs[n % rungs.len()].clone(),
            runners: vec![runner("linux", n as u64)],
            stored_at: START,
            hard_end_at: START.plus(Duration::from_secs(24 * 3600)),
            settled: false,
        };
        let request = LaunchRequest { batch, plane: PlaneId::parse(PLANE).unwrap() };
        let machine = ec2.launch(&request).await.unwrap().remove(0);
        if !voice.is_empty() {
            // As `aws ec2 create-tags` of the user data does.
            let tag = [("ResourceId.1", machine.as_str()), ("Tag.1.Key", "runnersmith:voice"), ("Tag.1.Value", voice)];
            emulator.query("ec2", "CreateTags", &tag).unwrap();
        }
        if *voice == "busy" {
            assert!(ec2.warn(&machine, Timestamp::from_millis(1_800_000_120_123)).await.unwrap());
        }
        let ask = [("Filter.1.Name", "resource-id"), ("Filter.1.Value.1", machine.as_str())];
        let found = emulator.query("ec2", "DescribeTags", &ask).unwrap();
        let tags: BTreeMap<String, String> = between(&found, "key")
            .into_iter()
            .zip(between(&found, "value"))
            .filter(|(key, _)| !key.starts_with("aws:"))
            .collect();
        lines.push(json!(tags));
    }
    write_lines(out, "ec2_tags.jsonl", lines.into_iter());
}

/// Parameters as `jsonencode` of terraform/modules/control-plane and terraform/modules/scale-set writes them.
fn settings(out: &Path) {
    let plane = json!({
        "github": { "server_url": null, "app_id": "12345", "webhook": null, "ca_parameter": null,
            "private_key_parameter": "/runnersmith/test/secrets/private-key",
            "webhook_secret_parameter": "/runnersmith/test/secrets/webhook" },
        "limits": null,
        "aws": { "queue_url": "https://sqs.eu-west-1.amazonaws.com/123456789012/runnersmith-test",
            "dead_letter_queue_url": "https://sqs.eu-west-1.amazonaws.com/123456789012/runnersmith-test-dead",
            "table": "runnersmith-test", "hand_off_path": "/runnersmith/test/hand-off", "encrypt_hand_off": true,
            "kms_key_id": null },
    });
    let linux = json!({
        "name": "linux", "labels": ["self-hosted", "linux", "x64"], "level": "organization", "at": "acme",
        "allowed_repositories": ["acme/shop", "acme/*"], "runner_group": "Default", "runners_max": 20,
        "ephemeral": true, "delay_seconds": null, "minimum_running_time_in_minutes": null,
        "boot_deadline_minutes": 7,
        "idle_config": [{ "cron": "* * 9-17 * * 1-5", "timeZone": "Europe/Berlin", "idleCount": 2 }],
        "ec2": { "launch_template": "lt-0123456789abcdef0", "launch_template_version": "3",
            "instance_types": ["m7i.large", "m6i.large"],
            "subnets": [{ "zone": "eu-west-1a", "id": "subnet-a" }, { "zone": "eu-west-1b", "id": "subnet-b" }],
            "capacity": "spot-then-on-demand", "allocation_strategy": "price-capacity-optimized",
            "spot_max_price": null },
    });
    let sets = BTreeMap::from([("sets/linux".to_owned(), linux.to_string())]);
    let (config, left_out) = Config::from_parameters(&plane.to_string(), &sets).unwrap();
    assert!(left_out.is_empty() && config.scale_sets.len() == 1, "{left_out:?}");
    let lines = [("plane", &plane), ("sets/linux", &linux)];
    let line = |(name, value): (&str, &Value)| json!({ "Name": name, "Value": value.to_string() });
    write_lines(out, "settings.jsonl", lines.into_iter().map(line));
}

/// Writes all of it.
pub async fn write(out: &Path) {
    settings(out);
    let emulator = Emulator::start().unwrap();
    let session = Session::with_key(emulator.url(), "us-east-1", "tester").await;
    ledger(&emulator, &session, out).await;
    queue(&emulator, &session, out).await;
    hand_offs(&emulator, &session, out).await;
    record(&emulator, &session, out).await;
    machines(&emulator, &session, out).await;
}
