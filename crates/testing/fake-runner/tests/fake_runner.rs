//! The fake runner against a small server, by its scripts, as a machine would start it.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::extract::{Path as Route, State};
use axum::http::StatusCode;
use axum::{Json, Router, routing::post};
use runnersmith_fake_runner::{JitConfig, tarball, write_distribution};
use serde_json::{Value, json};
use tokio::process::Command;

type Calls = Arc<Mutex<(Vec<(String, Value)>, Vec<Value>)>>;

async fn answer(
    State(calls): State<Calls>,
    Route(path): Route<String>,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let mut calls = calls.lock().unwrap();
    let known = body.get("key").is_none_or(|key| key == "k");
    calls.0.push((path.clone(), body));
    let answer = match path.as_str() {
        "session" if !known => return (StatusCode::UNAUTHORIZED, Json(Value::Null)),
        "session" => json!({ "session": "s1" }),
        "poll" => json!({ "job": calls.1.pop() }),
        "register" => json!({ "runner_id": 7, "key": "k" }),
        _ => json!({}),
    };
    (StatusCode::OK, Json(answer))
}

async fn server(jobs: Vec<Value>) -> (String, Calls) {
    let calls: Calls = Arc::new(Mutex::new((Vec::new(), jobs)));
    let router = Router::new().route("/_runner/{path}", post(answer)).with_state(calls.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (origin, calls)
}

fn job() -> Value {
    json!({ "job_id": 1, "run_id": 2, "repository": "acme/app", "name": "build", "duration_ms": 50, "conclusion": "success" })
}

fn command(dir: &Path, script: &str) -> Command {
    let mut command = Command::new(dir.join(script));
    command.current_dir(dir).stdin(Stdio::null()).kill_on_drop(true);
    command
}

fn distribution() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_distribution(dir.path(), Path::new(env!("CARGO_BIN_EXE_runnersmith-fake-runner"))).unwrap();
    dir
}

fn jit(server: String, key: &str) -> String {
    JitConfig { server, runner_id: 7, runner_name: "r".into(), key: key.into(), ephemeral: true }.encode().unwrap()
}

#[tokio::test]
async fn an_ephemeral_jit_runner_runs_one_job_with_its_hooks_and_ends() {
    let (origin, calls) = server(vec![job()]).await;
    let dir = distribution();
    let hook = |name: &str| {
        let path = dir.path().join(name);
        fs::write(&path, format!("echo {name} >> hooks.txt\n")).unwrap();
        path
    };
    let output = command(dir.path(), "run.sh")
        .env("ACTIONS_RUNNER_INPUT_JITCONFIG", jit(origin, "k"))
        .env("ACTIONS_RUNNER_HOOK_JOB_STARTED", hook("started"))
        .env("ACTIONS_RUNNER_HOOK_JOB_COMPLETED", hook("completed"))
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for wanted in
        ["√ Connected to GitHub", ": Listening for Jobs", ": Running job: build", "completed with result: Succeeded"]
    {
        assert!(text.contains(wanted), "{text}");
    }
    assert_eq!(fs::read_to_string(dir.path().join("hooks.txt")).unwrap(), "started\ncompleted\n");
    let paths: Vec<String> = calls.lock().unwrap().0.iter().map(|(path, _)| path.clone()).collect();
    assert_eq!(paths, ["session", "poll", "complete", "end"]);
    let logs: Vec<String> = fs::read_dir(dir.path().join("_diag"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert!(
        logs.iter().any(|log| log.starts_with("Runner_")) && logs.iter().any(|log| log.starts_with("Worker_")),
        "{logs:?}"
    );
}

#[tokio::test]
async fn config_sh_registers_with_a_token_and_run_sh_uses_what_it_stored() {
    let (origin, calls) = server(vec![job()]).await;
    let dir = distribution();
    let status = command(dir.path(), "config.sh")
        .args(["--unattended", "--url", &format!("{origin}/acme"), "--name", "r", "--labels", "a,b", "--ephemeral"])
        .arg("--no-default-labels")
        .env("ACTIONS_RUNNER_INPUT_TOKEN", "t")
        .status()
        .await
        .unwrap();
    assert!(status.success());
    let mode = fs::metadata(dir.path().join(".credentials")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let register = calls.lock().unwrap().0[0].clone();
    assert_eq!(
        (register.0.as_str(), &register.1["token"], &register.1["labels"], &register.1["no_default_labels"]),
        ("register", &json!("t"), &json!(["a", "b"]), &json!(true))
    );
    assert!(command(dir.path(), "run.sh").status().await.unwrap().success());
}

#[tokio::test]
async fn a_refused_or_missing_registration_is_a_terminated_error() {
    let (origin, _) = server(Vec::new()).await;
    let dir = distribution();
    let refused = command(dir.path(), "run.sh").args(["--jitconfig", &jit(origin, "wrong")]).status().await.unwrap();
    assert_eq!(refused.code(), Some(1));
    let missing = command(dir.path(), "run.sh").status().await.unwrap();
    assert_eq!(missing.code(), Some(1));
}

#[test]
fn the_archive_is_the_same_each_time_and_holds_the_scripts() {
    let bytes = tarball(Path::new("/x/it's"), "2.335.0");
    assert_eq!(bytes, tarball(Path::new("/x/it's"), "2.335.0"));
    let dir = tempfile::tempdir().unwrap();
    tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice())).unpack(dir.path()).unwrap();
    let mode = fs::metadata(dir.path().join("run.sh")).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111);
    assert!(
        fs::read_to_string(dir.path().join("bin/Runner.Worker"))
            .unwrap()
            .contains("exec -a Runner.Worker '/x/it'\\''s'")
    );
}
