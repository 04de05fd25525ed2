//! `why`, `status` and `jobs` of a control plane of functions, by its environment's name: under exactly the policy that the Terraform
//! module gives a reader (its own test compares the module's output with the same file), and refused everything else.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use runnersmith_aws::{DynamoLedger, Session, StoredSettings, TABLE_DEFINITION};
use runnersmith_aws_emulator::{Emulator, skip_unless_available};
use runnersmith_ports::{Clock as _, HistoryLedger as _, JobLedger as _, RunnerLedger as _, SystemClock};
use runnersmith_types::{
    Conclusion, EventKind, FactSource, HistoryEvent, JobFact, JobId, JobStatus, Label, OwnerKind, RepoFullName, RunId,
    Timestamp,
};
use serde_json::{Value, json};

const REGION: &str = "us-east-1";
const CONTROL_PLANE: &str = r#"{ "github": { "app_id": "1", "private_key_parameter": "/runnersmith/ci/secrets/private-key",
    "webhook_secret_parameter": "/runnersmith/ci/secrets/webhook-secret", "server_url": null },
    "aws": { "table": "ci-ledger", "hand_off_path": "/runnersmith/ci/hand-off" } }"#;

/// What the module gives to readers, in this region.
fn policy() -> String {
    include_str!("../../../terraform/tests/fixtures/reader-policy.json").replace("eu-west-1", REGION)
}

fn fact(id: u64, status: JobStatus, at: Timestamp) -> JobFact {
    JobFact {
        source: FactSource::Delivery,
        received_at: at,
        delivery: None,
        id: JobId(id),
        run: RunId(7),
        run_attempt: 1,
        repo: RepoFullName::parse("acme/shop").unwrap(),
        owner_kind: OwnerKind::Organization,
        head_sha: String::new(),
        name: format!("test ({id})"),
        workflow: "ci".into(),
        labels: vec![Label::of_job("linux")],
        labels_cut: false,
        status,
        conclusion: (status == JobStatus::Completed).then(|| Conclusion("failure".into())),
        runner_name: None,
        runner_id: None,
        created_at: None,
        started_at: None,
        completed_at: None,
    }
}

/// An account with the environment `ci`: its settings, one of them wrong, its secrets, and a ledger with two jobs.
async fn account() -> Emulator {
    let emulator = Emulator::start().unwrap();
    let linux = r#"{ "name": "linux", "labels": ["linux"], "level": "organization", "at": "acme", "runners_max": 4 }"#;
    let own = format!("config/{}", StoredSettings::CONTROL_PLANE);
    for (name, value, kind) in [
        (own.as_str(), CONTROL_PLANE, "String"),
        ("config/sets/linux", linux, "String"),
        ("config/sets/gpu", "{", "String"),
        ("secrets/private-key", "the key", "SecureString"),
    ] {
        let body = json!({ "Name": format!("/runnersmith/ci/{name}"), "Value": value, "Type": kind });
        emulator.json("ssm", "AmazonSSM.PutParameter", &body).unwrap();
    }
    let mut definition: Value = serde_json::from_str(TABLE_DEFINITION).unwrap();
    definition["TableName"] = json!("ci-ledger");
    emulator.json("dynamodb", "DynamoDB_20120810.CreateTable", &definition).unwrap();
    let session = Session::with_key(emulator.url(), REGION, "functions").await;
    let month = Duration::from_secs(30 * 24 * 3600);
    let ledger = DynamoLedger::new(&session, "ci-ledger", month, Arc::new(SystemClock));
    ledger.control_plane().await.unwrap();
    let ago = |seconds| SystemClock.now().minus(Duration::from_secs(seconds));
    let facts = vec![
        fact(1088, JobStatus::Queued, ago(200)),
        fact(1088, JobStatus::Completed, ago(100)),
        fact(1089, JobStatus::Queued, ago(60)),
    ];
    ledger.record_facts(facts, &[]).await.unwrap();
    let mut dropped = HistoryEvent::new(ago(10), EventKind::Dropped, "delivery", "no scale set serves it: x");
    dropped.job = Some(JobId(505));
    ledger.append(vec![dropped]).await.unwrap();
    emulator
}

/// Credentials of a new role with this policy.
fn role(emulator: &Emulator, name: &str, policy: &str) -> [String; 3] {
    let trust = json!({ "Version": "2012-10-17", "Statement": [] }).to_string();
    emulator.query("iam", "CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", &trust)]).unwrap();
    let parameters = [("RoleName", name), ("PolicyName", "reader"), ("PolicyDocument", policy)];
    emulator.query("iam", "PutRolePolicy", &parameters).unwrap();
    let arn = format!("arn:aws:iam::123456789012:role/{name}");
    let assumed = emulator.query("sts", "AssumeRole", &[("RoleArn", &arn), ("RoleSessionName", "test")]).unwrap();
    ["AccessKeyId", "SecretAccessKey", "SessionToken"].map(|tag| {
        let rest = assumed.split_once(&format!("<{tag}>")).unwrap().1;
        rest.split('<').next().unwrap().to_owned()
    })
}

/// What a command said, to whom, and how it ended.
struct Said {
    out: String,
    err: String,
    code: Option<i32>,
}

/// Runs a command in an empty directory with nothing but these credentials.
fn run(emulator: &Emulator, [key, secret, token]: &[String; 3], arguments: &[&str]) -> Said {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_runnersmith"))
        .args(arguments)
        .current_dir(home.path())
        .env_clear()
        .env("HOME", home.path())
        .env("AWS_ENDPOINT_URL", emulator.url())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ACCESS_KEY_ID", key)
        .env("AWS_SECRET_ACCESS_KEY", secret)
        .env("AWS_SESSION_TOKEN", token)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { out: text(output.stdout), err: text(output.stderr), code: output.status.code() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_reads_the_ledger_and_the_settings_of_an_environment_and_is_refused_anything_else() {
    if skip_unless_available("the reading of an environment on AWS") {
        return;
    }
    let emulator = account().await;
    let reader = role(&emulator, "reader", &policy());
    emulator.enforce_policies().unwrap();
    let of_ci =
        |arguments: &[&str]| run(&emulator, &reader, &[arguments, &["--aws", "ci", "--region", REGION]].concat());

    let status = of_ci(&["status"]);
    assert_eq!(status.code, Some(5), "a set is left out: {}{}", status.out, status.err);
    let fault = "FAULT /runnersmith/ci/config/sets/gpu: the set is left out: ";
    assert!(status.out.contains(fault), "{}", status.out);
    let read = "environment ci in us-east-1: table ci-ledger, settings below /runnersmith/ci/config";
    assert_eq!(status.out.lines().next(), Some(read));
    assert!(status.out.contains("linux: 0 of 4 runners alive") && status.out.contains("job 1089 acme/shop queued"));
    let warning = "warning: /runnersmith/ci/config/sets/gpu is left out: ";
    assert!(status.err.starts_with(warning), "{}", status.err);
    let value: Value = serde_json::from_str(&of_ci(&["status", "--json"]).out).unwrap();
    let source = json!({ "aws": { "environment": "ci", "region": REGION, "table": "ci-ledger",
        "settings": "/runnersmith/ci/config" } });
    assert_eq!(value["source"], source);

    let why = of_ci(&["why", "https://github.com/acme/shop/actions/runs/7/job/1088"]);
    assert!(
        why.out.starts_with("job 1088  acme/shop  ci / test (1088)\ncompleted: failure\n"),
        "{}{}",
        why.out,
        why.err
    );
    assert!(of_ci(&["why", "test (1089)"]).out.starts_with("job 1089  acme/shop"));
    assert!(of_ci(&["why", "505"]).out.contains(" UTC and was not used: no scale set serves it: x"));
    assert_eq!(of_ci(&["why", "404"]).code, Some(1));
    let jobs = of_ci(&["jobs", "--outcome", "failure"]);
    let line = jobs.out.lines().nth(1).unwrap_or_default();
    assert!(
        line.starts_with("1088 ") && line.ends_with("https://github.com/acme/shop/actions/runs/7/job/1088"),
        "{line}"
    );

    // What the commands did is what the policy allows: neither less nor more.
    let audit = emulator.audit().unwrap();
    assert!(audit.values().all(|result| result == "allow"), "{audit:?}");
    let called: BTreeSet<&str> = audit.keys().filter_map(|what| what.strip_prefix("reader ")).collect();
    let policy: Value = serde_json::from_str(&policy()).unwrap();
    let actions = policy["Statement"].as_array().unwrap().iter().flat_map(|one| one["Action"].as_array().unwrap());
    // The key is DynamoDB's to use, in the reader's name.
    let allowed: BTreeSet<&str> = actions.filter_map(Value::as_str).filter(|action| *action != "kms:Decrypt").collect();
    assert_eq!(called, allowed);

    let by_hand = Emulator::attach(emulator.url(), &reader[0], &reader[2]);
    let key = json!({ "pk": { "S": "jobs#0" }, "sk": { "S": "open" } });
    for (service, target, body) in [
        (
            "ssm",
            "AmazonSSM.GetParameter",
            json!({ "Name": "/runnersmith/ci/secrets/private-key", "WithDecryption": true }),
        ),
        ("ssm", "AmazonSSM.GetParameters", json!({ "Names": ["/runnersmith/ci/secrets/private-key"] })),
        (
            "ssm",
            "AmazonSSM.PutParameter",
            json!({ "Name": "/runnersmith/ci/config/sets/linux", "Value": "x", "Overwrite": true }),
        ),
        ("dynamodb", "DynamoDB_20120810.PutItem", json!({ "TableName": "ci-ledger", "Item": key })),
        ("dynamodb", "DynamoDB_20120810.DeleteItem", json!({ "TableName": "ci-ledger", "Key": key })),
        ("dynamodb", "DynamoDB_20120810.Scan", json!({ "TableName": "ci-ledger" })),
        ("sqs", "AmazonSQS.ListQueues", json!({})),
    ] {
        let refused = by_hand.json(service, target, &body).unwrap_err().to_string();
        assert!(refused.contains("AccessDenied"), "{target}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_that_is_not_there_or_may_not_be_read_is_named_with_its_region() {
    if skip_unless_available("an environment on AWS that is not there") {
        return;
    }
    let emulator = account().await;
    let (reader, nobody) =
        (role(&emulator, "reader", &policy()), role(&emulator, "nobody", &policy().replace("ssm:", "sns:")));
    // Who may read every environment's settings learns that one is not there; who may read one's alone is refused all others.
    let all = role(&emulator, "all", &policy().replace("runnersmith/ci/", "runnersmith/*/"));
    emulator.enforce_policies().unwrap();
    let error = |who, arguments: &[&str]| {
        let said = run(&emulator, who, arguments);
        let line = said.err.lines().find_map(|line| line.strip_prefix("error: ")).unwrap_or_default().to_owned();
        (said.code, line)
    };
    let (code, said) = error(&reader, &["status", "--aws", "cii", "--region", REGION]);
    assert!(said.starts_with("environment cii in region us-east-1 may not be read: "), "{code:?} {said}");
    let (code, said) = error(&all, &["status", "--aws", "cii", "--region", REGION]);
    let missing = "there is no environment cii in region us-east-1: it has no parameter /runnersmith/cii/config/";
    let missing = format!("{missing}{}", StoredSettings::CONTROL_PLANE);
    assert_eq!((code, &said), (Some(4), &missing));
    let (code, said) = error(&nobody, &["jobs", "--aws", "ci", "--region", REGION]);
    assert_eq!(code, Some(4), "{said}");
    let denied = "environment ci in region us-east-1 may not be read: read settings below /runnersmith/ci/config: ssm GetParametersByPath: AccessDenied";
    assert!(said.starts_with(denied), "{said}");
    let (code, said) = error(&reader, &["status", "--aws", "../ci", "--region", REGION]);
    assert_eq!((code, said.as_str()), (Some(2), "no environment can be named \"../ci\""));
    let (code, said) = error(&reader, &["status", "--aws", "ci"]);
    assert_eq!((code, said.as_str()), (Some(2), "no AWS region is given"));
    let json = run(&emulator, &all, &["why", "1", "--aws", "cii", "--region", REGION, "--json"]).out;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["error"].as_str(), json["exit_code"].as_i64()), (Some(missing.as_str()), Some(4)));
}
