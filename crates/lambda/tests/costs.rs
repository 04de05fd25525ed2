//! What the control plane costs, from the calls that it makes, line by line, at list price and without a free tier.
//!
//! Prices are those of us-east-1 (AWS's pricing pages, November 2026). How long a function runs on AWS cannot be measured here: each run is
//! counted with the seconds below, which are generous for what it does.

#![allow(clippy::cast_precision_loss, reason = "counts of a test are small")]

use std::fmt::Write as _;
use std::time::Duration;

use crate::support::{Bed, Wishes};
use runnersmith_aws_emulator::skip_unless_available;
use serde_json::json;

const MINUTE: Duration = Duration::from_secs(60);
/// Hours of a month, as AWS counts them.
const HOURS: f64 = 730.0;
/// A request unit of DynamoDB on demand.
const READ: f64 = 0.125e-6;
const WRITE: f64 = 0.625e-6;
/// A gigabyte for a second, and an invocation.
const GIGABYTE_SECOND: f64 = 16.666_7e-6;
const INVOCATION: f64 = 0.2e-6;
const SQS_REQUEST: f64 = 0.4e-6;
const KMS_REQUEST: f64 = 3e-6;
const API_REQUEST: f64 = 1e-6;
const LOGGED_GIGABYTE: f64 = 0.5;

/// A run of so many seconds in so many megabytes.
fn run(seconds: f64, megabytes: f64) -> f64 {
    INVOCATION + seconds * megabytes / 1024.0 * GIGABYTE_SECOND
}

/// Lines with what each costs, and their sum, which is at most this.
#[expect(clippy::print_stderr, reason = "the lines are what the test is for; the test runner keeps them")]
fn at_most(limit: f64, lines: &[(&str, f64)]) {
    let sum: f64 = lines.iter().map(|(_, dollars)| dollars).sum();
    let mut table = String::new();
    for (what, dollars) in lines.iter().chain(&[("sum", sum)]) {
        let _ = writeln!(table, "{dollars:8.4} {what}");
    }
    eprintln!("{table}");
    assert!(sum < limit, "more than {limit} dollars:\n{table}");
}

/// The module's own files say how many alarms and queues there are: `terraform/tests/inputs.tftest.hcl` counts the alarms.
const ALARMS: f64 = 5.0;
const POLLED_QUEUES: f64 = 2.0;
/// Lambda polls an idle queue with five connections, each for twenty seconds.
const POLLS_AN_HOUR: f64 = 5.0 * 3.0 * 60.0;

/// With AWS's key for Parameter Store (`manage_kms_key = false`); a key of one's own is a dollar more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_control_plane_costs_less_than_two_dollars_a_month() {
    if skip_unless_available("the costs of an idle control plane") {
        return;
    }
    let bed = Bed::new(Wishes::default()).await;
    let passes = async |count: u32| {
        for _ in 0..count {
            bed.host().invoke("scale-down", &json!({})).await.unwrap();
        }
    };
    // What is made once: the ledger's identity, the cursor of deliveries.
    passes(2).await;
    let (read, write) = bed.emulator().units().unwrap();
    let kms = bed.calls("GetParameters") + bed.calls("GetParametersByPath");
    passes(10).await;
    let (read_after, write_after) = bed.emulator().units().unwrap();
    let kms = (bed.calls("GetParameters") + bed.calls("GetParametersByPath") - kms) as f64 / 10.0;
    let (read, write) = ((read_after - read) as f64 / 10.0, (write_after - write) as f64 / 10.0);
    eprintln!("a pass reads {read} and writes {write} units, and asks {kms} times for parameters");
    let (every_five_minutes, every_ten, hourly) = (HOURS * 12.0, HOURS * 6.0, HOURS);
    at_most(
        2.0,
        &[
            ("alarms", ALARMS * 0.10),
            ("polls of the queues", POLLED_QUEUES * POLLS_AN_HOUR * HOURS * SQS_REQUEST),
            ("scale-down, every five minutes, 2 s", every_five_minutes * run(2.0, 512.0)),
            ("ledger", every_five_minutes * (read * READ + write * WRITE)),
            // Settings are read again every five minutes, and each secret is decrypted.
            ("decryption", every_five_minutes * 4.0 * KMS_REQUEST),
            ("syncer, every ten minutes, 1 s", every_ten * run(1.0, 1024.0)),
            ("housekeeper, hourly, 2 s", hourly * run(2.0, 256.0)),
            ("logs, 4 KB a run", (every_five_minutes + every_ten + hourly) * 4.0e-6 * LOGGED_GIGABYTE),
        ],
    );
}

/// The control plane's part of a thousand jobs: machines, their disks and logs are beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_jobs_cost_the_control_plane_less_than_a_quarter_of_a_dollar() {
    if skip_unless_available("the costs of a thousand jobs") {
        return;
    }
    const JOBS: u32 = 20;
    let bed = Bed::new(Wishes { runners_max: 20, ..Wishes::default() }).await;
    let machines = bed.quick_machines();
    bed.dispatch(1, 200);
    bed.completes(&machines, 1, 2 * MINUTE).await;
    let invocations = |name: &str| bed.host().function(name).unwrap().invocations();
    let before = (bed.emulator().units().unwrap(), bed.calls("SendMessage"), bed.calls("PutParameter"));
    let runs = ["webhook", "scale-up"].map(invocations);
    // One after the other: what is shared in a burst is shared by nobody.
    for job in 1..=JOBS {
        bed.dispatch(1, 200);
        bed.completes(&machines, 1 + usize::try_from(job).unwrap(), 2 * MINUTE).await;
    }
    let thousand = 1_000.0 / f64::from(JOBS);
    let ((read, write), sent, put) = before;
    let (read_after, write_after) = bed.emulator().units().unwrap();
    let of = |after: u64, before: u64| (after - before) as f64 * thousand;
    let (read, write) = (of(read_after, read), of(write_after, write));
    let (webhook, scale_up) = (of(invocations("webhook"), runs[0]), of(invocations("scale-up"), runs[1]));
    let (sent, put) = (of(bed.calls("SendMessage"), sent), of(bed.calls("PutParameter"), put));
    eprintln!(
        "a thousand jobs: {read} and {write} units, {webhook} webhooks, {scale_up} scale-ups, {sent} messages, {put} hand-offs"
    );
    at_most(
        0.25,
        &[
            ("reads of the ledger", read * READ),
            ("writes of the ledger", write * WRITE),
            ("webhook, 0.1 s", webhook * run(0.1, 256.0)),
            ("scale-up, 1 s", scale_up * run(1.0, 512.0)),
            ("API Gateway", webhook * API_REQUEST),
            // Sent, received and deleted.
            ("queue", 3.0 * sent * SQS_REQUEST),
            // Encrypted and decrypted.
            ("hand-offs", 2.0 * put * KMS_REQUEST),
            ("logs, 4 KB a run", (webhook + scale_up) * 4.0e-6 * LOGGED_GIGABYTE),
        ],
    );
}
