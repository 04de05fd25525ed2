//! `serve` as its user knows it: jobs run, the commands answer, bad input is refused, secrets stay secret.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod support;

use std::time::Duration;

use support::{Bed, SECRET, jobs, sign, until};

async fn post(bed: &Bed, event: &str, body: Vec<u8>, signature: String) -> (u16, String) {
    let answer = reqwest::Client::new()
        .post(bed.url("/webhook"))
        .header("X-GitHub-Event", event)
        .header("X-GitHub-Delivery", "11111111-2222-3333-4444-555555555555")
        .header("X-Hub-Signature-256", signature)
        .header("Content-Type", "application/json")
        .body(body)
        .send()
        .await
        .unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_run_and_the_commands_tell_about_them() {
    let bed = Bed::new(2).await;
    let serve = bed.serve();
    bed.ready().await;
    let run = bed.github.dispatch("acme/shop", jobs(3, Duration::from_millis(300))).unwrap();
    until(
        "every job is over",
        Duration::from_secs(60),
        || bed.log(),
        async || bed.github.jobs(run).iter().all(|job| job.conclusion.as_deref() == Some("success")),
    )
    .await;
    until(
        "nothing is left over",
        Duration::from_secs(30),
        || bed.log(),
        async || bed.machines_alive().is_empty() && bed.github.runners().is_empty(),
    )
    .await;
    let job = bed.github.jobs(run)[0].id;
    let why = bed.run(&["why", &job.to_string()]);
    let text = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(why.status.success(), "{text}{}", String::from_utf8_lossy(&why.stderr));
    assert!(text.contains("queued") && text.contains("completed"), "{text}");
    let why = bed.run(&["why", &job.to_string(), "--json"]);
    let _: serde_json::Value = serde_json::from_slice(&why.stdout).unwrap();
    let unknown = bed.run(&["why", "999999999"]);
    assert_eq!(unknown.status.code(), Some(1));
    for command in ["status", "plan"] {
        let output = bed.run(&[command]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let output = bed.run(&[command, "--json"]);
        let _: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    }
    let metrics = reqwest::get(bed.url("/metrics")).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("runnersmith_"), "{metrics}");
    assert_eq!(serve.stop().await, Some(0));
    let log = bed.log();
    assert!(!log.contains(SECRET) && !log.contains("PRIVATE KEY"), "a secret is in the log");
}

/// As with a GitHub Enterprise Server: the runner is on github.com, and the server's own GitHub has no release of it.
#[tokio::test(flavor = "multi_thread")]
async fn the_runner_is_fetched_from_where_its_releases_are_whatever_the_server_of_its_jobs() {
    let bed = Bed::new(2).await;
    let releases = runnersmith_github_sim::Simulator::start(Default::default()).await.unwrap();
    let archive = bed.path("runner.tar.gz");
    let mut packed = std::process::Command::new("tar");
    packed.arg("czf").arg(&archive).arg("-C").arg(bed.path("distribution")).arg(".");
    assert!(packed.status().unwrap().success());
    releases.set_runner_release("2.330.0", std::fs::read(&archive).unwrap());
    let config = std::fs::read_to_string(bed.path("runnersmith.toml")).unwrap();
    let named = format!("runner_distribution = \"{}\"", bed.path("distribution").display());
    assert!(config.contains(&named), "{config}");
    let mirror = format!("releases_api_url = \"{}\"", releases.base_url());
    std::fs::write(bed.path("runnersmith.toml"), config.replace(&named, &mirror)).unwrap();
    let serve = bed.serve();
    bed.ready().await;
    let run = bed.github.dispatch("acme/shop", jobs(1, Duration::from_millis(100))).unwrap();
    until(
        "the job is over",
        Duration::from_secs(60),
        || bed.log(),
        async || bed.github.jobs(run).iter().all(|job| job.conclusion.as_deref() == Some("success")),
    )
    .await;
    assert_eq!(std::fs::read_dir(bed.path("machines/distribution")).unwrap().count(), 1);
    assert_eq!(serve.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_deliveries_get_the_documented_answer_and_only_what_is_signed_leaves_a_trace() {
    let bed = Bed::new(2).await;
    let serve = bed.serve();
    bed.ready().await;
    let body = br#"{"action":"queued","workflow_job":{"id":77}}"#.to_vec();
    let (status, text) = post(&bed, "workflow_job", body.clone(), sign("another secret", &body)).await;
    assert_eq!(status, 401, "{text}");
    let (status, text) = post(&bed, "workflow_job", body.clone(), "sha256=zz".into()).await;
    assert_eq!(status, 401, "{text}");
    assert_eq!(bed.run(&["why", "77"]).status.code(), Some(1), "what is not signed leaves no trace");
    let (status, text) = post(&bed, "workflow_job", body.clone(), sign(SECRET, &body)).await;
    assert_eq!(status, 400, "{text}");
    let why = String::from_utf8(bed.run(&["why", "77"]).stdout).unwrap();
    assert!(why.contains(" UTC and was not used: "), "what is signed and cannot be read is in its history: {why}");
    let garbage = b"{not json".to_vec();
    let (status, text) = post(&bed, "workflow_job", garbage.clone(), sign(SECRET, &garbage)).await;
    assert_eq!(status, 400, "{text}");
    let (status, text) = post(&bed, "star", b"{}".to_vec(), sign(SECRET, b"{}")).await;
    assert_eq!(status, 202, "{text}");
    let huge = vec![b' '; 26 * 1024 * 1024];
    let (status, text) = post(&bed, "workflow_job", huge.clone(), sign(SECRET, &huge)).await;
    assert_eq!(status, 413, "{text}");
    assert_eq!(serve.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_job_is_kept_harmless_and_visible() {
    let bed = Bed::new(2).await;
    let serve = bed.serve();
    bed.ready().await;
    let mut labels: Vec<String> = vec!["self-hosted".into(), "\"quote\n$(rm -rf /)<script>".into()];
    labels.extend((0..10_000).map(|n| format!("label-{n}")));
    let payload = serde_json::json!({
        "action": "queued",
        "workflow_job": {"id": 4242, "run_id": 7, "status": "queued", "conclusion": null, "name": "<script>alert(1)</script>\n$(id)",
            "labels": labels, "head_sha": "0123456789012345678901234567890123456789", "runner_id": null, "runner_name": null},
        "repository": {"full_name": "acme/shop", "owner": {"login": "acme", "type": "Organization"}}
    });
    let body = serde_json::to_vec(&payload).unwrap();
    let (status, text) = post(&bed, "workflow_job", body.clone(), sign(SECRET, &body)).await;
    assert_eq!(status, 202, "{text}");
    until(
        "the job is in the ledger",
        Duration::from_secs(10),
        || bed.log(),
        async || bed.run(&["why", "4242"]).status.code() == Some(0),
    )
    .await;
    let page = reqwest::get(bed.url("/jobs/4242")).await.unwrap().text().await.unwrap();
    assert!(!page.contains("<script>alert"), "unescaped foreign text in the page");
    assert!(bed.machine_directories().is_empty(), "nothing may be launched for it");
    assert_eq!(serve.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_and_a_broken_configuration_end_with_a_hint_and_their_exit_code() {
    let bed = Bed::new(1).await;
    for command in ["status", "plan"] {
        let output = bed.run(&[command]);
        assert_eq!(output.status.code(), Some(4), "there is no ledger yet");
        assert!(!bed.path("data").exists(), "looking makes nothing");
    }
    let _taken = std::net::TcpListener::bind(("127.0.0.1", bed.port)).unwrap();
    let output = bed.run(&["serve"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("hint:"), "{text}");
    let config = std::fs::read_to_string(bed.path("runnersmith.toml")).unwrap();
    std::fs::write(bed.path("runnersmith.toml"), config.replace("runners_max", "runner_max")).unwrap();
    let output = bed.run(&["check"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("runners_max"), "did you mean …: {text}");
}

/// The smallest OTLP collector: it keeps what is posted to it.
#[cfg(feature = "traces")]
async fn collector() -> (String, std::sync::Arc<std::sync::Mutex<Vec<u8>>>) {
    let seen: std::sync::Arc<std::sync::Mutex<Vec<u8>>> = std::sync::Arc::default();
    let kept = seen.clone();
    let traces =
        axum::routing::post(async move |body: axum::body::Bytes| kept.lock().unwrap().extend_from_slice(&body));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, axum::Router::new().route("/v1/traces", traces)).into_future());
    (address, seen)
}

#[cfg(feature = "traces")]
#[tokio::test(flavor = "multi_thread")]
async fn one_correlation_id_leads_from_the_delivery_to_the_end_and_a_trace_is_sent() {
    let bed = Bed::new(1).await;
    let (address, traces) = collector().await;
    let config = std::fs::read_to_string(bed.path("runnersmith.toml")).unwrap();
    std::fs::write(bed.path("runnersmith.toml"), format!("{config}\n[otel]\nendpoint = \"{address}\"\n")).unwrap();
    let serve = bed.serve();
    bed.ready().await;
    let run = bed.github.dispatch("acme/shop", jobs(1, Duration::from_millis(50))).unwrap();
    let over = async || bed.github.jobs(run).iter().all(|job| job.conclusion.is_some());
    until("the job is over", Duration::from_secs(60), || bed.log(), over).await;
    let id = bed.github.jobs(run)[0].id;
    let wanted = format!("job-{id}");
    let lines = || -> Vec<serde_json::Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        let all: Vec<serde_json::Value> = bed.log().lines().filter(|line| line.starts_with('{')).map(parse).collect();
        all.into_iter().filter(|line| line["fields"]["correlation_id"] == wanted.as_str()).collect()
    };
    let ended = async || lines().iter().any(|line| line["fields"]["status"] == "completed");
    until("the end is in the log", Duration::from_secs(30), || bed.log(), ended).await;
    let logged = lines();
    assert_eq!(logged[0]["fields"]["message"], "delivery accepted", "{logged:?}");
    let statuses: Vec<&str> = logged.iter().filter_map(|line| line["fields"]["status"].as_str()).collect();
    assert_eq!(statuses, ["queued", "in progress", "completed"], "{logged:?}");
    assert!(logged.iter().any(|line| line["fields"]["runner"].is_string() && line["fields"]["delivery"].is_string()));
    let metrics = reqwest::get(bed.url("/metrics")).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("operation=\"actions/generate-runner-jitconfig-for-org\",status=\"201\""), "{metrics}");
    for stage in ["delivery", "decision", "launch", "boot", "register", "assign"] {
        assert!(metrics.contains(&format!("stage=\"{stage}\"")), "{stage}\n{metrics}");
    }
    assert_eq!(serve.stop().await, Some(0), "{}", bed.log());
    let sent = String::from_utf8_lossy(&traces.lock().unwrap()).into_owned();
    for part in ["runnersmith", "job", "boot", "assign", "acme/shop", "github.job.id"] {
        assert!(sent.contains(part), "{part} is not in the trace");
    }
}

/// R1: the rival takes a configuration that could not be read once for an empty one, and drops every job from then on.
#[tokio::test(flavor = "multi_thread")]
async fn r01_a_configuration_that_cannot_be_read_is_never_taken_as_empty() {
    let bed = Bed::new(1).await;
    let (secret, hidden) = (bed.path("secret"), bed.path("hidden"));
    std::fs::rename(&secret, &hidden).unwrap();
    let output = bed.run(&["serve"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("the webhook's secret") && text.contains("hint:"), "{text}");
    std::fs::write(&secret, "\n").unwrap();
    let output = bed.run(&["serve"]);
    assert_eq!(output.status.code(), Some(3), "an empty secret would accept everybody");
    std::fs::rename(&hidden, &secret).unwrap();
    let serve = bed.serve();
    bed.ready().await;
    let run = bed.github.dispatch("acme/shop", jobs(1, Duration::from_millis(10))).unwrap();
    let over = async || bed.github.jobs(run).iter().all(|job| job.conclusion.is_some());
    until("the job is over", Duration::from_secs(60), || bed.log(), over).await;
    assert_eq!(serve.stop().await, Some(0));
}
