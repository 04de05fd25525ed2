//! What the control plane costs, from the calls that it makes, line by line, at list price and without a free tier.
//!
//! Prices are those of us-east-1 (AWS's pricing pages, November 2026). How long a function runs on AWS cannot be measured here: each run is
//! counted with the seconds below, which are generous for what it does.

#![allow(clippy::cast_precision_loss, reason = "counts of a test are small")]

use std::collections::BTreeMap;
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

/// Request units of DynamoDB between two moments: all reads and all writes of so many, and each kind of them as a line.
#[expect(clippy::print_stderr, reason = "the lines say where the units went")]
fn units_of_each(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>, count: f64) -> (f64, f64) {
    let (mut read, mut write) = (0.0, 0.0);
    for (line, units) in after {
        let units = (units - before.get(line).copied().unwrap_or_default()) / count;
        let of = if line.starts_with("read ") { &mut read } else { &mut write };
        *of += units;
        if units > 0.0 {
            eprintln!("{units:8.2} {line}");
        }
    }
    eprintln!("{read:8.2} read, {write:.2} written");
    (read, write)
}

/// With AWS's key for Parameter Store (`manage_kms_key = false`); a key of one's own is a dollar more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_control_plane_costs_less_than_two_dollars_a_month() {
    if skip_unless_available("the costs of an idle control plane") {
        return;
    }
    // No schedule comes by itself.
    let bed = Bed::new(Wishes { speed: 1, ..Wishes::default() }).await;
    let passes = async |count: u32| {
        for _ in 0..count {
            bed.host().invoke("scale-down", &json!({})).await.unwrap();
        }
    };
    // What is made once: the ledger's identity, the cursor of deliveries.
    passes(2).await;
    let before = bed.emulator().units().unwrap();
    passes(10).await;
    let (read, write) = units_of_each(&before, &bed.emulator().units().unwrap(), 10.0);
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

/// The control plane's part of a thousand jobs, each with a machine of its own, from its delivery to what EC2 reports of the machine's
/// end: machines, their disks and logs are beside it. What is old goes by the table's time to live, which is free.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_jobs_cost_the_control_plane_less_than_a_fifth_of_a_dollar() {
    if skip_unless_available("the costs of a thousand jobs") {
        return;
    }
    const JOBS: u32 = 20;
    let bed = Bed::new(Wishes { runners_max: 20, speed: 1, ..Wishes::default() }).await;
    let machines = bed.quick_machines();
    // EC2 reports an end twice, half a minute apart; nothing else is said of it, as the schedule is far away.
    let mut reported = 0;
    let mut job = async |number: usize| {
        bed.dispatch(1, 200);
        bed.completes(&machines, number, 2 * MINUTE).await;
        let ended = machines.machines();
        for machine in ended.iter().skip(reported) {
            for state in ["shutting-down", "terminated"] {
                let sent = bed.calls("SendMessage");
                bed.report_state(machine, state);
                bed.until(&machines, "the end of a machine is consumed", MINUTE, async || {
                    bed.calls("SendMessage") > sent && bed.messages() == 0
                })
                .await;
            }
        }
        reported = ended.len();
    };
    job(1).await;
    let invocations = |name: &str| bed.host().function(name).unwrap().invocations();
    let before = (bed.emulator().units().unwrap(), bed.calls("SendMessage"), bed.calls("PutParameter"));
    let runs = ["webhook", "scale-up"].map(invocations);
    // One after the other: what is shared in a burst is shared by nobody.
    for number in 1..=JOBS {
        job(1 + usize::try_from(number).unwrap()).await;
    }
    let thousand = 1_000.0 / f64::from(JOBS);
    let (units, sent, put) = before;
    let of = |after: u64, before: u64| (after - before) as f64 * thousand;
    let (read, write) = units_of_each(&units, &bed.emulator().units().unwrap(), f64::from(JOBS));
    let (webhook, scale_up) = (of(invocations("webhook"), runs[0]), of(invocations("scale-up"), runs[1]));
    let (sent, put) = (of(bed.calls("SendMessage"), sent), of(bed.calls("PutParameter"), put));
    eprintln!("a thousand jobs: {webhook} webhooks, {scale_up} scale-ups, {sent} messages, {put} hand-offs");
    at_most(
        0.20,
        &[
            ("reads of the ledger", 1_000.0 * read * READ),
            ("writes of the ledger", 1_000.0 * write * WRITE),
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
