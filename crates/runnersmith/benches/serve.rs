//! `serve` under load: one webhook verified and admitted, accepted webhooks per second with 64 connections (each on disk before its
//! answer), and memory after 100,000 jobs. Figures, not tests; the promised ones are in `SPECIFICATION.md`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints its table and fails by panicking")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use runnersmith_ports::{Message, SystemClock};
use runnersmith_sqlite::SqliteStore;
use runnersmith_types::{Label, ScaleSet, ScaleSetName, Secret, Timestamp};
use runnersmith_webhook::{Admission, Intake, Payload, verify};
use support::{Bed, SECRET, sign};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const CONNECTIONS: u64 = 64;

/// The body of a real delivery is about 10 kB; so is this one.
fn body(job: u64, action: &str, runner: Option<&str>) -> Vec<u8> {
    let status = action;
    let conclusion = (action == "completed").then_some("success");
    let padding: Vec<String> =
        (0..120).map(|n| format!("https://api.github.com/repos/acme/shop/{n}{{/sha}}")).collect();
    serde_json::to_vec(&serde_json::json!({
        "action": action,
        "workflow_job": {
            "id": job, "run_id": job / 10 + 1, "run_attempt": 1, "status": status, "conclusion": conclusion,
            "name": format!("test ({job})"), "workflow_name": "ci", "head_sha": "0123456789012345678901234567890123456789",
            "labels": ["self-hosted", "elsewhere"], "runner_id": null, "runner_name": runner, "created_at": "2026-11-24T10:00:00Z",
            "started_at": "2026-11-24T10:00:00Z", "completed_at": null, "steps": [],
        },
        "repository": {"full_name": "acme/shop", "owner": {"login": "acme", "type": "Organization"}, "urls": padding},
    }))
    .unwrap()
}

fn request(port: u16, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST /webhook HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nX-GitHub-Event: workflow_job\r\n\
         X-GitHub-Delivery: 72d3162e-cc78-11e3-81ab-4c9367dc0958\r\nX-Hub-Signature-256: {}\r\nContent-Length: {}\r\n\r\n",
        sign(SECRET, body),
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// Sends a request on a kept connection and reads its whole answer; panics unless it is 202.
async fn exchange(stream: &mut TcpStream, request: &[u8], buffer: &mut Vec<u8>) {
    stream.write_all(request).await.unwrap();
    buffer.clear();
    loop {
        let mut chunk = [0_u8; 2048];
        let count = stream.read(&mut chunk).await.unwrap();
        assert!(count > 0, "the server closed the connection");
        buffer.extend_from_slice(&chunk[..count]);
        let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&buffer[..end]).to_lowercase();
        assert!(head.starts_with("http/1.1 202"), "{head}");
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .and_then(|text| text.parse().ok())
            .unwrap();
        if buffer.len() >= end + 4 + length {
            return;
        }
    }
}

/// Sends the deliveries over all connections at once; answers how long that took.
async fn send(port: u16, requests: Arc<Vec<Vec<u8>>>) -> Duration {
    let next = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (requests, next) = (requests.clone(), next.clone());
        tasks.spawn(async move {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut buffer = Vec::new();
            loop {
                let index = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap();
                let Some(request) = requests.get(index) else { return };
                exchange(&mut stream, request, &mut buffer).await;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    begun.elapsed()
}

/// Resident memory of a process, MB.
fn memory(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

const SETS: &str =
    "[[scale_set]]\nname = \"linux\"\nlabels = [\"self-hosted\", \"linux\"]\nat = \"acme\"\ntell = false\n";

/// The message of a job's delivery.
fn message(body: &[u8]) -> Message {
    let payload = Payload::parse("workflow_job", None, body, Timestamp(0)).unwrap();
    let Payload::Messages(mut messages) = payload else { panic!("nothing for the queue") };
    messages.pop().unwrap()
}

async fn verify_and_admit() {
    const TIMES: u32 = 20_000;
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let clock = Arc::new(SystemClock);
    let store = SqliteStore::open(&home.path().join("ledger"), clock.clone()).unwrap();
    let sets = Arc::new(vec![set()]);
    let intake = Intake::new(Arc::new(store.queue()), Arc::new(store.ledger()), clock, move || sets.clone());
    let (body, secrets) = (body(1, "queued", None), [Secret::new(SECRET)]);
    let signature = sign(SECRET, &body);
    let begun = Instant::now();
    for _ in 0..TIMES {
        verify(&secrets, Some(&signature), None, false, &body).unwrap();
        std::hint::black_box(message(&body).to_body());
    }
    row(
        "verify, parse and encode one webhook",
        &format!("{:.1} µs", begun.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES)),
    );
    let begun = Instant::now();
    let alone = 500;
    for _ in 0..alone {
        verify(&secrets, Some(&signature), None, false, &body).unwrap();
        assert_eq!(intake.admit(message(&body), None).await, Admission::Accepted);
    }
    row(
        "verify and admit one webhook, alone, durable",
        &format!("{:.0} µs", begun.elapsed().as_secs_f64() * 1e6 / f64::from(alone)),
    );
}

fn set() -> ScaleSet {
    let labels = ["self-hosted", "linux"].iter().map(|label| Label::of_set(label).unwrap()).collect();
    ScaleSet { notify: false, ..ScaleSet::new(ScaleSetName::parse("linux").unwrap(), labels) }
}

async fn webhooks_per_second() {
    const COUNT: u64 = 30_000;
    let bed = Bed::with_sets(SETS).await;
    let serve = bed.serve();
    bed.ready().await;
    let requests: Vec<Vec<u8>> = (1..=COUNT).map(|job| request(bed.port, &body(job, "queued", None))).collect();
    let elapsed = send(bed.port, Arc::new(requests)).await;
    let rate = COUNT as f64 / elapsed.as_secs_f64();
    row("accepted webhooks per second, 64 connections", &format!("{rate:.0} /s"));
    serve.kill();
}

async fn memory_after_100_000_jobs() {
    const PART: u64 = 20_000;
    let bed = Bed::with_sets(SETS).await;
    let serve = bed.serve();
    bed.ready().await;
    let pid = serve.child.id();
    row("memory of serve, no jobs", &format!("{:.0} MB", memory(pid)));
    for part in 0..5 {
        for action in ["queued", "in_progress", "completed"] {
            let jobs = part * PART + 1..=(part + 1) * PART;
            let requests = jobs.map(|job| request(bed.port, &body(job, action, Some("somebody-else")))).collect();
            send(bed.port, Arc::new(requests)).await;
        }
        until_idle(&bed).await;
        row(&format!("memory of serve, {} jobs", (part + 1) * PART), &format!("{:.0} MB", memory(pid)));
    }
    serve.kill();
}

/// Until the queue is empty.
async fn until_idle(bed: &Bed) {
    let ledger = rusqlite::Connection::open(bed.path("data/ledger.sqlite3")).unwrap();
    ledger.busy_timeout(Duration::from_secs(10)).unwrap();
    support::until(
        "the queue is empty",
        Duration::from_secs(300),
        || bed.log(),
        async || {
            let sql = "SELECT count(*) FROM messages WHERE dead_at IS NULL AND visible_at < unixepoch('subsec') * 1000";
            ledger.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() == 0
        },
    )
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
}

fn row(what: &str, figure: &str) {
    println!("{what:<48} {figure:>12}");
}

#[tokio::main]
async fn main() {
    println!("serve");
    verify_and_admit().await;
    webhooks_per_second().await;
    memory_after_100_000_jobs().await;
}
