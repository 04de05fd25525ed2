//! `serve` with everything on AWS: queue, ledger, secrets, hand-offs and machines; nothing but the process is here.

#![cfg(feature = "aws")]
#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use runnersmith_aws_emulator::{Emulator, skip_unless_available};
use runnersmith_lambda_host::{Account, Hypervisor, MachineStart};
use serde_json::{Value, json};
use support::{Bed, SECRET};

fn first(xml: &str, tag: &str) -> String {
    let found = xml.split(&format!("<{tag}>")).nth(1).and_then(|rest| rest.split('<').next());
    found.unwrap_or_else(|| panic!("no {tag} in {xml}")).to_owned()
}

/// What the configuration needs of an account: queue, table, secrets, launch template. Returns its `[aws]` and the set's ec2.
fn account(emulator: &Emulator, key: &str) -> (String, String) {
    let queue = emulator.json("sqs", "AmazonSQS.CreateQueue", &json!({ "QueueName": "jobs" })).unwrap();
    let table = json!({ "TableName": "ledger", "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{ "AttributeName": "pk", "AttributeType": "S" }, { "AttributeName": "sk", "AttributeType": "S" },
            { "AttributeName": "kind", "AttributeType": "S" }, { "AttributeName": "at", "AttributeType": "N" }],
        "KeySchema": [{ "AttributeName": "pk", "KeyType": "HASH" }, { "AttributeName": "sk", "KeyType": "RANGE" }],
        "GlobalSecondaryIndexes": [{ "IndexName": "by_kind", "Projection": { "ProjectionType": "ALL" },
            "KeySchema": [{ "AttributeName": "kind", "KeyType": "HASH" }, { "AttributeName": "at", "KeyType": "RANGE" }] }] });
    emulator.json("dynamodb", "DynamoDB_20120810.CreateTable", &table).unwrap();
    for (name, value) in [("/test/app-key", key), ("/test/webhook", SECRET)] {
        let body = json!({ "Name": name, "Value": value, "Type": "SecureString" });
        emulator.json("ssm", "AmazonSSM.PutParameter", &body).unwrap();
    }
    let images = emulator.query("ec2", "DescribeImages", &[("Owner.1", "amazon")]).unwrap();
    let template = [
        ("LaunchTemplateName", "runners"),
        ("LaunchTemplateData.ImageId", &first(&images, "imageId")),
        ("LaunchTemplateData.InstanceType", "t3.micro"),
    ];
    emulator.query("ec2", "CreateLaunchTemplate", &template).unwrap();
    let subnets = emulator.query("ec2", "DescribeSubnets", &[]).unwrap();
    let (url, queue) = (emulator.url(), queue["QueueUrl"].as_str().unwrap());
    let aws = format!(
        r#"
[aws]
region = "us-east-1"
endpoint_url = "{url}"
queue_url = "{queue}"
table = "ledger"
hand_off_path = "/runnersmith/test/hand-off"
"#
    );
    let ec2 = format!(
        r#"
idle_confirm_seconds = 1
finished_grace_seconds = 2
ghost_grace_seconds = 2
[scale_set.ec2]
launch_template = "runners"
instance_types = ["m5.large"]
subnets = [{{ zone = "{}", id = "{}" }}]
"#,
        first(&subnets, "availabilityZone"),
        first(&subnets, "subnetId")
    );
    (aws, ec2)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_everything_is_on_aws_runs_jobs_and_leaves_nothing() {
    if skip_unless_available("serve on AWS") {
        return;
    }
    let emulator = Arc::new(Emulator::start().unwrap());
    let bed = Bed::new(5).await;
    let key = std::fs::read_to_string(bed.path("app.pem")).unwrap();
    let (aws, ec2) = account(&emulator, &key);
    let config = std::fs::read_to_string(bed.path("runnersmith.toml")).unwrap();
    let mut lines: Vec<String> = config
        .lines()
        .map(|line| match line.split(' ').next() {
            Some("private_key_file") => "private_key_parameter = \"/test/app-key\"".to_owned(),
            Some("webhook_secret_file") => "webhook_secret_parameter = \"/test/webhook\"".to_owned(),
            _ => line.to_owned(),
        })
        .collect();
    lines.push(ec2);
    lines.push(aws);
    std::fs::write(bed.path("runnersmith.toml"), lines.join("\n")).unwrap();

    let quick = PathBuf::from(env!("CARGO_BIN_EXE_runnersmith")).with_file_name("quick-machine");
    let assume = json!({ "Version": "2012-10-17", "Statement": [] }).to_string();
    let role =
        emulator.query("iam", "CreateRole", &[("RoleName", "machine"), ("AssumeRolePolicyDocument", &assume)]).unwrap();
    let path = vec![quick.parent().unwrap().to_owned()];
    let start = MachineStart { role: first(&role, "Arn"), roles: Default::default(), path, program: Some(quick) };
    let machines = Hypervisor::start(&Account::new(emulator.clone()), start).unwrap();

    // The server's own credentials come from the environment, as they would on a host.
    let mut serve = std::process::Command::new(env!("CARGO_BIN_EXE_runnersmith"))
        .args(["serve", "--config"])
        .arg(bed.path("runnersmith.toml"))
        .env("AWS_ACCESS_KEY_ID", "server")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stderr(std::fs::File::create(bed.path("serve.log")).unwrap())
        .spawn()
        .unwrap();
    let ready = bed.url("/readyz");
    let mut looks = 0;
    while reqwest::get(&ready).await.map_or(true, |answer| !answer.status().is_success()) {
        looks += 1;
        assert!(looks < 300, "it never got ready\n{}", bed.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let jobs = (1..=3).map(|n| runnersmith_github_sim::JobSpec {
        name: format!("job {n}"),
        labels: vec!["self-hosted".into(), "linux".into()],
        duration: Duration::from_millis(200),
        ..Default::default()
    });
    let run = bed
        .github
        .dispatch("acme/shop", runnersmith_github_sim::WorkflowSpec { name: "ci".into(), jobs: jobs.collect() })
        .unwrap();
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        let done = bed.github.jobs(run).iter().all(|job| job.conclusion.as_deref() == Some("success"));
        let left = bed.github.runners().len() + machines.running();
        let path = json!({ "Path": "/runnersmith/test/hand-off", "Recursive": true });
        let handed: Value = emulator.json("ssm", "AmazonSSM.GetParametersByPath", &path).unwrap();
        if done && left == 0 && handed["Parameters"].as_array().is_some_and(Vec::is_empty) {
            break;
        }
        assert!(Instant::now() < end, "never done: {:?}\n{}\n{}", bed.github.jobs(run), machines.consoles(), bed.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let _ = serve.kill();
    let _ = serve.wait();
    assert_eq!(machines.started(), 3);
    let calls = emulator.calls().unwrap();
    assert!(calls.contains_key("server dynamodb:TransactWriteItems") && calls.contains_key("server sqs:SendMessage"));
    assert!(!bed.log().contains(SECRET), "no secret is in the log");
}
