//! The demo, as a newcomer runs it: it does the main job, ends by itself, and leaves nothing behind.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::process::Command;

use serde_json::Value;

fn demo(arguments: &[&str], home: &std::path::Path) -> (Option<i32>, Value, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_runnersmith"))
        .arg("demo")
        .args(arguments)
        .env("TMPDIR", home)
        .output()
        .unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned());
    (output.status.code(), serde_json::from_str(&out).unwrap_or(Value::String(out)), err)
}

fn calls(outcome: &Value) -> u64 {
    outcome["github_calls"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
}

#[test]
fn the_demo_scales_from_zero_to_the_maximum_and_back_and_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (code, outcome, log) = demo(&["--json", "--jobs", "7", "--maximum", "3", "--job-ms", "200"], home.path());
    assert_eq!(code, Some(0), "{outcome}\n{log}");
    assert_eq!(outcome["succeeded"], 7);
    assert_eq!(outcome["runners_peak"], 3);
    assert_eq!((&outcome["runners_left"], &outcome["registrations_left"]), (&Value::from(0), &Value::from(0)));
    let jobs = outcome["jobs"].as_array().unwrap();
    assert!(jobs.len() == 7 && jobs.iter().all(|job| job["runner"] != "-"), "{outcome}");
    let requests = outcome["requests"].as_array().unwrap();
    assert_eq!(
        (requests.len(), &outcome["sets_left"]),
        (2, &Value::from(0)),
        "asked for by one issue, taken away by another"
    );
    assert!(log.contains("bob: /approve ") && log.contains(" destroy"), "{log}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "its directory goes with it");
}

/// In steady state one ephemeral runner costs one call to GitHub: twelve more jobs, twelve more calls.
#[test]
fn one_more_ephemeral_runner_costs_one_more_call_to_github() {
    let home = tempfile::tempdir().unwrap();
    let run = |jobs| demo(&["--json", "--jobs", jobs, "--maximum", "4", "--job-ms", "50"], home.path()).1;
    let (few, many) = (run("6"), run("18"));
    assert_eq!(many["runners_used"].as_u64().unwrap() - few["runners_used"].as_u64().unwrap(), 12);
    let jit = |outcome: &Value| outcome["github_jit_calls"].as_u64().unwrap();
    assert_eq!(jit(&many) - jit(&few), 12);
    // What does not depend on the number of jobs (token, group, the first lists, the first sweep) may differ by when it falls.
    let other = |outcome: &Value| calls(outcome) - jit(outcome);
    assert!(other(&many).abs_diff(other(&few)) <= 4, "{few}\n{many}");
}

#[test]
fn the_table_is_for_people() {
    let home = tempfile::tempdir().unwrap();
    let (code, table, _) = demo(&["--jobs", "2", "--maximum", "2", "--job-ms", "10"], home.path());
    let table = table.as_str().unwrap();
    assert_eq!(code, Some(0), "{table}");
    for part in
        ["queued → started", "test (2)", "2 of 2 jobs succeeded", "control plane, queued → launched", "GitHub calls"]
    {
        assert!(table.contains(part), "{part}\n{table}");
    }
}

#[test]
fn wrong_arguments_end_with_code_2() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(demo(&["--jobs", "0"], home.path()).0, Some(2));
    assert_eq!(demo(&["--jobs", "lots"], home.path()).0, Some(2));
}
