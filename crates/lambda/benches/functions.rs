//! What a cold function costs: each program as it is shipped, started again and again behind a Lambda Runtime API, from the
//! start of its process to its first answer. `cargo xtask bench lambda` builds the zips and runs this.
//!
//! The webhook function's AWS answers at once, as it did when the peer was measured, so that the figure is the function's.
//! The others work on the emulator and the simulated GitHub, whose own time is in the figure.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark that fails panics; its table is its output")]
#![allow(clippy::disallowed_methods, reason = "what is measured is real time")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use support::{Bed, SECRET, Wishes};

const ROUNDS: usize = 15;
const SETTINGS: &str = "/runnersmith/bench";

/// The peer's cold start in milliseconds and its memory in MB: github-aws-runners/terraform-aws-github-runner at 4475534a
/// (2026-08-17), Node 24, on two x86-64 cores.
const PEER_WEBHOOK: (f64, f64) = (171.0, 83.0);
const PEER_SCALE_UP: (f64, f64) = (409.0, 179.0);

/// One cold start.
struct Shot {
    cold: Duration,
    cpu: Duration,
    peak_kb: u64,
    answer: Value,
}

/// A Runtime API for one process, and an AWS that answers at once.
struct Runtime {
    url: String,
    shared: Arc<Shared>,
    answers: mpsc::UnboundedReceiver<(Instant, Value)>,
}

struct Shared {
    event: Mutex<Option<Value>>,
    answered: mpsc::UnboundedSender<(Instant, Value)>,
}

impl Runtime {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (answered, answers) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { event: Mutex::default(), answered });
        let runtime = "/2018-06-01/runtime";
        let router = Router::new()
            .route(&format!("{runtime}/invocation/next"), get(next))
            .route(&format!("{runtime}/invocation/{{id}}/response"), post(answer))
            .route(&format!("{runtime}/invocation/{{id}}/error"), post(answer))
            .route(&format!("{runtime}/init/error"), post(answer))
            .route("/", post(aws))
            .with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, shared, answers }
    }

    /// Starts the program, gives it the event, and looks at it when it has answered.
    async fn shoot(&mut self, program: &Path, handler: &str, event: Value, aws: Option<&str>) -> Shot {
        *self.shared.event.lock().unwrap() = Some(event);
        let started = Instant::now();
        let mut process = Command::new(program)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", self.url.trim_start_matches("http://"))
            .env("AWS_LAMBDA_FUNCTION_NAME", handler)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "bench")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "bench")
            .env("_HANDLER", handler)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "testing")
            .env("AWS_SECRET_ACCESS_KEY", "testing")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_ENDPOINT_URL", aws.unwrap_or(&self.url))
            .env("RUNNERSMITH_PATH", if aws.is_some() { support::PATH } else { SETTINGS })
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(60), self.answers.recv()).await;
        let (at, answer) = answer.expect("an answer within a minute").unwrap();
        let (cpu, peak_kb) = (cpu(process.id()), peak(process.id()));
        process.kill().unwrap();
        process.wait().unwrap();
        Shot { cold: at - started, cpu, peak_kb, answer }
    }
}

async fn next(State(shared): State<Arc<Shared>>) -> Response {
    let event = shared.event.lock().unwrap().take();
    let Some(event) = event else {
        // Nothing more comes: the process is looked at and ended.
        return std::future::pending().await;
    };
    let headers = [
        ("Lambda-Runtime-Aws-Request-Id", "00000000-0000-4000-8000-000000000001"),
        ("Lambda-Runtime-Deadline-Ms", "4102444800000"),
        ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:bench"),
        ("Content-Type", "application/json"),
    ];
    (headers, event.to_string()).into_response()
}

async fn answer(State(shared): State<Arc<Shared>>, body: Bytes) -> StatusCode {
    let _ = shared.answered.send((Instant::now(), serde_json::from_slice(&body).unwrap_or(Value::Null)));
    StatusCode::ACCEPTED
}

/// Parameter Store and SQS, as far as the webhook function asks them.
async fn aws(headers: HeaderMap) -> Response {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let found = |parameters: &[(&str, String)]| {
        let parameters: Vec<Value> = parameters
            .iter()
            .map(|(name, value)| json!({ "Name": format!("{SETTINGS}/{name}"), "Value": value, "Type": "String" }))
            .collect();
        json!({ "Parameters": parameters, "InvalidParameters": [] })
    };
    let body = match target {
        "AmazonSSM.GetParametersByPath" => {
            let control_plane = json!({
                "github": { "app_id": "1", "private_key_parameter": format!("{SETTINGS}/secrets/key"),
                    "webhook_secret_parameter": format!("{SETTINGS}/secrets/webhook") },
                "aws": { "queue_url": "https://sqs.us-east-1.amazonaws.com/123456789012/jobs", "table": "ledger",
                    "hand_off_path": format!("{SETTINGS}/hand-off") },
            });
            let set = json!({ "name": "linux", "labels": ["self-hosted", "linux"], "at": "acme", "runners_max": 10,
                "ec2": { "launch_template": "runners", "instance_types": ["m5.large"],
                    "subnets": [{ "zone": "us-east-1a", "id": "subnet-1" }] } });
            found(&[("config/plane", control_plane.to_string()), ("config/sets/linux", set.to_string())])
        }
        "AmazonSSM.GetParameters" => found(&[("secrets/webhook", SECRET.to_owned())]),
        "AmazonSQS.SendMessage" => json!({ "MessageId": "1", "MD5OfMessageBody": "" }),
        other => panic!("the webhook function asks for {other:?}"),
    };
    ([("content-type", "application/x-amz-json-1.0")], body.to_string()).into_response()
}

/// A delivery as API Gateway passes it on.
fn delivery(body: &str, secret: &str) -> Value {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let sign = ring::hmac::sign(&key, body.as_bytes());
    let sign = hex::encode(sign);
    json!({ "version": "2.0", "routeKey": "POST /webhook", "rawPath": "/webhook",
        "headers": { "x-github-event": "workflow_job", "x-github-delivery": "00000000-0000-4000-8000-000000000001",
            "x-hub-signature-256": format!("sha256={sign}"), "content-type": "application/json" },
        "requestContext": { "http": { "method": "POST", "path": "/webhook" } },
        "body": STANDARD.encode(body), "isBase64Encoded": true })
}

fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// Time on a core, of all its threads, from the scheduler's own account.
fn cpu(process: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let nanos = tasks.filter_map(Result::ok).filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

struct Row {
    what: &'static str,
    zip: u64,
    shots: Vec<Shot>,
    peer: Option<(f64, f64)>,
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn print(rows: &[Row]) {
    println!("cold start: process start to first answer, {ROUNDS} times each; memory: most resident");
    println!(
        "{:<26} {:>7} {:>18} {:>8} {:>8} {:>13} {:>13}",
        "function", "zip MB", "cold ms (p50, max)", "CPU ms", "MB", "peer's cold", "peer's memory"
    );
    for row in rows {
        let mut cold: Vec<f64> = row.shots.iter().map(|shot| shot.cold.as_secs_f64() * 1e3).collect();
        cold.sort_by(f64::total_cmp);
        let mut cpu: Vec<f64> = row.shots.iter().map(|shot| shot.cpu.as_secs_f64() * 1e3).collect();
        cpu.sort_by(f64::total_cmp);
        let memory = row.shots.iter().map(|shot| shot.peak_kb).max().unwrap_or(0) as f64 / 1e3;
        let (p50, most) = (cold[cold.len() / 2], cold[cold.len() - 1]);
        let (times, part) = match row.peer {
            Some((ms, mb)) => (format!("{:.0} x", ms / p50), format!("{:.1} x", mb / memory)),
            None => Default::default(),
        };
        println!(
            "{:<26} {:>7.2} {:>10.1} {:>7.1} {:>8.1} {:>8.1} {times:>13} {part:>13}",
            row.what,
            row.zip as f64 / 1e6,
            p50,
            most,
            cpu[cpu.len() / 2],
            memory
        );
    }
    println!(
        "peer: {:.0} ms and {:.0} MB for the webhook, {:.0} ms and {:.0} MB for one runner, the better of its figures",
        PEER_WEBHOOK.0, PEER_WEBHOOK.1, PEER_SCALE_UP.0, PEER_SCALE_UP.1
    );
}

fn unpacked(zips: &Path, name: &str, into: &Path) -> (PathBuf, u64) {
    let zip = std::fs::read(zips.join(format!("{name}.zip"))).unwrap();
    let size = zip.len() as u64;
    let mut program = Vec::new();
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
    archive.by_name("bootstrap").unwrap().read_to_end(&mut program).unwrap();
    let path = into.join(name);
    std::fs::write(&path, program).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    (path, size)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let Some(zips) = std::env::var_os("RUNNERSMITH_LAMBDA_ZIPS").map(PathBuf::from) else {
        println!("functions: not measured; `cargo xtask bench lambda` builds the zips and measures them");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let (webhook, webhook_zip) = unpacked(&zips, "webhook", directory.path());
    let (runners, runners_zip) = unpacked(&zips, "runners", directory.path());
    let mut runtime = Runtime::start().await;
    let mut rows = Vec::new();

    let bed = Bed::new(Wishes { runners_max: 1_000, ..Wishes::default() }).await;
    let body = |id: u64| bed.delivery("queued", id);
    for (what, secret, status) in [("webhook, accepted", SECRET, 202), ("webhook, bad signature", "wrong", 401)] {
        let mut shots = Vec::new();
        for _ in 0..ROUNDS {
            let shot = runtime.shoot(&webhook, "webhook", delivery(&body(1), secret), None).await;
            assert_eq!(shot.answer["statusCode"], status, "{}", shot.answer);
            shots.push(shot);
        }
        rows.push(Row { what, zip: webhook_zip, shots, peer: Some(PEER_WEBHOOK) });
    }
    rows.extend(on_the_emulator(&mut runtime, bed, &webhook, &runners, runners_zip).await);
    print(&rows);
}

/// The runners functions on a control plane of their own: a first job each time, then passes with nothing to do.
async fn on_the_emulator(runtime: &mut Runtime, mut bed: Bed, webhook: &Path, runners: &Path, zip: u64) -> Vec<Row> {
    bed.template("#!/bin/sh\n");
    // What is deployed must not work beside what is measured.
    bed.host.take().unwrap().stop().await;
    let aws = bed.emulator().url().to_owned();
    let mut rows = Vec::new();
    let mut shots = Vec::new();
    for id in 1..=ROUNDS as u64 {
        let put = delivery(&bed.delivery("queued", 1_000 + id), SECRET);
        let put = runtime.shoot(webhook, "webhook", put, Some(&aws)).await;
        assert_eq!(put.answer["statusCode"], 202, "{}", put.answer);
        let message =
            bed.emulator().json("sqs", "AmazonSQS.ReceiveMessage", &json!({ "QueueUrl": bed.queue })).unwrap();
        let message = &message["Messages"][0];
        let event = json!({ "Records": [{ "messageId": message["MessageId"], "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"], "eventSource": "aws:sqs", "attributes": {} }] });
        let shot = runtime.shoot(runners, "scale-up", event, Some(&aws)).await;
        assert_eq!(shot.answer["batchItemFailures"], json!([]), "{}", shot.answer);
        shots.push(shot);
    }
    let launched = bed.calls("CreateFleet");
    assert_eq!(launched, ROUNDS as u64, "one launch call for each job");
    rows.push(Row { what: "scale-up, one runner", zip, shots, peer: Some(PEER_SCALE_UP) });
    for (what, handler) in [("scale-down, 15 runners", "scale-down"), ("housekeeper", "housekeeper")] {
        let mut shots = Vec::new();
        for _ in 0..ROUNDS {
            shots.push(runtime.shoot(runners, handler, json!({}), Some(&aws)).await);
        }
        rows.push(Row { what, zip, shots, peer: None });
    }
    rows
}
