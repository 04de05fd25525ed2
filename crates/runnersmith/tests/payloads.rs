//! Every payload that GitHub shows, of every event and server, posted to `serve`: the documented answer when it is signed, 401
//! and no trace when it is not.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::{Bed, SECRET, sign, until};
use runnersmith_conformance::{Example, can_run, webhook_examples};
use serde_json::Value;

/// The documented answer (`SPECIFICATION.md`), worked out from the payload alone.
fn expected(example: &Example) -> (u16, &'static str) {
    let payload = &example.payload;
    let reason = match example.event.as_str() {
        "workflow_job" => {
            let job = &payload["workflow_job"];
            let labels: Vec<&str> = job["labels"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let asks = labels.iter().any(|label| label.eq_ignore_ascii_case("self-hosted"));
            if asks { "accepted" } else { "no scale set serves it" }
        }
        "check_run" => match (payload["check_run"]["app"]["slug"].as_str(), payload["check_run"]["status"].as_str()) {
            (Some("github-actions"), Some("queued")) => "accepted",
            (Some("github-actions"), _) => "only queued check runs are used",
            _ => "not a check run of GitHub Actions",
        },
        "installation" | "installation_repositories" => {
            let named = |key: &str| payload[key].as_array().is_some_and(|list| !list.is_empty());
            let some = named("repositories") || named("repositories_added");
            if some { "accepted" } else { "nothing in it concerns us" }
        }
        "workflow_run" => "followed by their jobs",
        "ping" => "pong",
        _ => "this event is not used",
    };
    (202, reason)
}

fn rows(bed: &Bed) -> BTreeMap<&'static str, i64> {
    let ledger = rusqlite::Connection::open(bed.path("data/ledger.sqlite3")).unwrap();
    let tables = ["messages", "jobs", "events", "runners", "batches"];
    let count = |table| ledger.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
    tables.into_iter().map(|table| (table, count(table))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_gets_the_documented_answer_and_an_unsigned_one_leaves_no_trace() {
    if !can_run("every_example_gets_the_documented_answer_and_an_unsigned_one_leaves_no_trace") {
        return;
    }
    let examples = webhook_examples().unwrap();
    assert!(examples.len() > 300, "the package shrank: {}", examples.len());
    let bed = Bed::new(2).await;
    let serve = bed.serve();
    bed.ready().await;
    let client = reqwest::Client::new();
    let post = async |example: &Example, body: Vec<u8>, signature: String| {
        let answer = client
            .post(bed.url("/webhook"))
            .header("X-GitHub-Event", &example.event)
            .header("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
            .header("X-Hub-Signature-256", signature)
            .header("Content-Type", "application/json")
            .body(body)
            .send()
            .await
            .unwrap();
        let status = answer.status().as_u16();
        let text: Value = answer.json().await.unwrap();
        (status, text["reason"].as_str().unwrap_or_default().to_owned())
    };
    let before = rows(&bed);
    for example in &examples {
        let body = serde_json::to_vec(&example.payload).unwrap();
        let (status, reason) = post(example, body.clone(), sign("another secret", &body)).await;
        assert_eq!(status, 401, "{}: {reason}", example.name);
    }
    assert_eq!(rows(&bed), before, "an unsigned delivery left a trace");
    let (mut wrong, mut accepted_jobs) = (Vec::new(), Vec::new());
    for example in &examples {
        let body = serde_json::to_vec(&example.payload).unwrap();
        let (status, reason) = post(example, body.clone(), sign(SECRET, &body)).await;
        let (want_status, want_reason) = expected(example);
        if status != want_status || !reason.contains(want_reason) {
            wrong.push(format!("{}: {status} {reason:?}, wanted {want_status} {want_reason:?}", example.name));
        }
        if example.event == "workflow_job" && reason == "accepted" {
            accepted_jobs.push(example.payload["workflow_job"]["id"].as_u64().unwrap());
        }
    }
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), examples.len(), wrong.join("\n"));
    until(
        "every accepted job is in the ledger",
        Duration::from_secs(30),
        || bed.log(),
        async || accepted_jobs.iter().all(|id| bed.run(&["why", &id.to_string()]).status.success()),
    )
    .await;
    assert!(!accepted_jobs.is_empty());
    assert_eq!(serve.stop().await, Some(0));
}

/// What old servers leave out, and what attackers put in: never a panic, always an answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_payload_with_any_one_field_missing_or_broken_gets_an_answer() {
    if !can_run("a_payload_with_any_one_field_missing_or_broken_gets_an_answer") {
        return;
    }
    let examples = webhook_examples().unwrap();
    let example = examples.iter().find(|found| found.event == "workflow_job").unwrap();
    let bed = Bed::new(1).await;
    let serve = bed.serve();
    bed.ready().await;
    let client = reqwest::Client::new();
    let optional = [
        "run_attempt",
        "node_id",
        "run_url",
        "url",
        "html_url",
        "steps",
        "check_run_url",
        "runner_id",
        "runner_name",
        "runner_group_id",
        "runner_group_name",
        "workflow_name",
        "head_branch",
        "started_at",
        "completed_at",
        "created_at",
        "conclusion",
        "head_sha",
    ];
    let fields: Vec<String> = example.payload["workflow_job"].as_object().unwrap().keys().cloned().collect();
    for field in fields {
        let broken = [
            Value::Null,
            serde_json::json!("\u{0}\n$(id)"),
            serde_json::json!(-1),
            serde_json::json!([[[]]]),
            serde_json::json!({"a": 1}),
        ];
        let mut variants: Vec<Value> = broken
            .into_iter()
            .map(|value| {
                let mut payload = example.payload.clone();
                payload["workflow_job"][&field] = value;
                payload
            })
            .collect();
        let mut without = example.payload.clone();
        without["workflow_job"].as_object_mut().unwrap().remove(&field);
        variants.insert(0, without);
        for (n, payload) in variants.into_iter().enumerate() {
            let body = serde_json::to_vec(&payload).unwrap();
            let request = client
                .post(bed.url("/webhook"))
                .header("X-GitHub-Event", "workflow_job")
                .header("X-Hub-Signature-256", sign(SECRET, &body))
                .body(body);
            let status = request.send().await.unwrap().status().as_u16();
            assert!([202, 400].contains(&status), "{field} variant {n}: {status}");
            if n == 0 && optional.contains(&field.as_str()) {
                assert_eq!(status, 202, "an old server leaves {field} out");
            }
        }
    }
    assert_eq!(serve.stop().await, Some(0), "{}", bed.log());
    assert!(!bed.log().contains("panicked"), "{}", bed.log());
}
