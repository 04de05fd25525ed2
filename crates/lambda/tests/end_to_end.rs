//! From a signed webhook to a machine that shuts itself down, with the real programs behind the real Runtime API, each with
//! only its own role.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use runnersmith_aws_emulator::{Fault, skip_unless_available};
use serde_json::json;
use support::{Bed, Wishes, operations};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_runs_and_nothing_is_left() {
    if skip_unless_available("the end-to-end test of one job") {
        return;
    }
    let bed = Bed::new(Wishes::default()).await;
    let machines = bed.quick_machines();
    bed.emulator().enforce_policies().unwrap();
    bed.dispatch(1, 200);
    bed.completes(&machines, 1, 2 * MINUTE).await;
    assert_eq!(machines.started(), 1, "one machine for one job");
    assert_eq!(bed.calls("CreateFleet"), 1, "and one call for it");
    assert_eq!(bed.calls("PutParameter"), bed.parameters + 1, "one hand-off");
    assert_eq!(bed.github_calls("generate-jitconfig"), 1, "one registration");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_jobs_run_on_ten_machines_at_a_time() {
    if skip_unless_available("the end-to-end test of a hundred jobs") {
        return;
    }
    let bed = Bed::new(Wishes { runners_max: 10, ..Wishes::default() }).await;
    let machines = bed.quick_machines();
    bed.emulator().enforce_policies().unwrap();
    bed.dispatch(100, 100);
    let mut most = 0;
    bed.until(&machines, "every job has run", 6 * MINUTE, async || {
        most = most.max(bed.machines_alive());
        bed.all_succeeded(100)
    })
    .await;
    bed.completes(&machines, 100, MINUTE).await;
    assert!(most <= 10, "{most} machines at once");
    let started = u64::try_from(machines.started()).unwrap();
    assert!((100..=110).contains(&started), "{started} machines for a hundred jobs");
    assert_eq!(bed.calls("PutParameter"), bed.parameters + started, "one hand-off put for each runner");
    assert_eq!(bed.github_calls("generate-jitconfig"), started, "one JIT call for each runner");
    assert!(bed.calls("CreateFleet") <= started, "at most one call for each batch");
    // What each function did is what it declares, and was allowed to it.
    let audit = bed.emulator().audit().unwrap();
    assert!(audit.values().all(|result| result == "allow"), "{audit:#?}");
    let mut seen = 0;
    for (role, program) in [
        ("webhook", "lambda-webhook"),
        ("scale-up", "lambda-runners"),
        ("scale-down", "lambda-runners"),
        ("housekeeper", "lambda-runners"),
    ] {
        let declared: BTreeSet<String> = operations(program, role).into_iter().collect();
        for call in audit.keys().filter_map(|name| name.strip_prefix(&format!("{role} "))) {
            assert!(declared.contains(call), "{role} does not declare {call}");
            seen += 1;
        }
    }
    assert!(seen > 10, "the audit saw {seen} kinds of calls");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_jobs_at_once_are_one_launch_call() {
    if skip_unless_available("the end-to-end test of a burst") {
        return;
    }
    let bed = Bed::new(Wishes { runners_max: 50, ..Wishes::default() }).await;
    // The machines do not matter here: what is counted are the calls for them.
    bed.template("#!/bin/sh\n");
    let machines = bed.no_machines();
    bed.dispatch(50, 100);
    bed.until(&machines, "fifty machines", 2 * MINUTE, async || bed.machines_alive() == 50).await;
    bed.until(&machines, "fifty hand-offs", 2 * MINUTE, async || bed.calls("PutParameter") == bed.parameters + 50)
        .await;
    // Deliveries come one after the other, so the first may be launched before the last has come.
    assert!(bed.calls("CreateFleet") <= 8, "{} calls for fifty machines", bed.calls("CreateFleet"));
    assert_eq!(bed.github_calls("generate-jitconfig"), 50);
    assert_eq!(bed.calls("SendMessage") - bed.wakes(), 50, "one message for each delivery");
}

/// GitHub keeps a delivery that is not answered with a success, and is asked for it later; a function that is cut off says nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_and_a_queue_that_hang_are_an_answer_in_the_webhooks_time() {
    if skip_unless_available("settings and a queue that hang") {
        return;
    }
    let bed = Bed::new(Wishes { function_timeout: 10, ..Wishes::default() }).await;
    let body = bed.delivery("queued", 1);
    for hangs in ["GetParametersByPath", "SendMessage"] {
        bed.emulator().inject(&[Fault::slow(hangs, Duration::from_secs(40)).times(5)]).unwrap();
        assert_eq!(bed.post("workflow_job", &body, support::SECRET).await, 503, "{hangs}");
        bed.emulator().heal().unwrap();
    }
    assert_eq!(bed.post("workflow_job", &body, support::SECRET).await, 202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_aws_only_costs_time() {
    if skip_unless_available("the end-to-end test of faults") {
        return;
    }
    let bed = Bed::new(Wishes::default()).await;
    let machines = bed.quick_machines();
    let faults = [
        ("spot has no capacity", vec![Fault::error("CreateFleet", "InsufficientInstanceCapacity", 400)]),
        ("EC2 throttles", vec![Fault::error("CreateFleet", "RequestLimitExceeded", 503).times(4)]),
        ("a lost launch", vec![Fault::lost_answer("CreateFleet").times(4)]),
        ("a slow launch", vec![Fault::slow("CreateFleet", Duration::from_secs(3))]),
        ("machines cannot be listed", vec![Fault::error("DescribeInstances", "InternalError", 500).times(4)]),
        ("the queue fails", vec![Fault::error("SendMessage", "InternalError", 500).times(4)]),
        ("a doubled message", vec![Fault::lost_answer("SendMessage")]),
        // More often than the SDK tries: whole messages fail, and come again soon (not after the queue's visibility timeout).
        (
            "the ledger throttles",
            vec![Fault::error("PutItem", "ProvisionedThroughputExceededException", 400).times(24)],
        ),
        ("a lost transaction", vec![Fault::lost_answer("TransactWriteItems").times(2)]),
        ("a lost lease", vec![Fault::lost_answer("UpdateItem").times(2)]),
        ("the hand-off throttles", vec![Fault::error("PutParameter", "ThrottlingException", 400).times(4)]),
        ("a lost hand-off", vec![Fault::lost_answer("PutParameter").times(4)]),
        ("machines cannot be ended", vec![Fault::error("TerminateInstances", "InternalError", 500).times(2)]),
    ];
    for (n, (what, fault)) in faults.into_iter().enumerate() {
        eprintln!("fault: {what}");
        bed.emulator().inject(&fault).unwrap();
        bed.dispatch(1, 100);
        bed.completes(&machines, n + 1, 2 * MINUTE).await;
        bed.emulator().heal().unwrap();
    }
    assert!(bed.dead_letters() == 0, "no message was given up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_signature_costs_no_call_and_an_accepted_one_costs_one() {
    if skip_unless_available("the webhook function's calls") {
        return;
    }
    let bed = Bed::new(Wishes::default()).await;
    bed.emulator().enforce_policies().unwrap();
    let body = bed.delivery("queued", 1);
    // Cold: the settings are read.
    assert_eq!(bed.post("workflow_job", &body, support::SECRET).await, 202);
    for (secret, status, calls) in
        [("wrong", 401, 0), (support::SECRET, 202, 1), ("wrong", 401, 0), (support::SECRET, 202, 1)]
    {
        let before = bed.calls_of("webhook");
        assert_eq!(bed.post("workflow_job", &body, secret).await, status);
        assert_eq!(bed.calls_of("webhook") - before, calls, "calls for a {status}");
    }
    // What is not for us, broken or foreign has its documented answer and leaves no message.
    let before = bed.calls("SendMessage");
    assert_eq!(bed.post("ping", "{}", support::SECRET).await, 202);
    assert_eq!(bed.post("workflow_job", "{", support::SECRET).await, 400);
    assert_eq!(bed.post("star", "{}", support::SECRET).await, 202);
    assert_eq!(bed.post_raw(None, &body).await, 401);
    assert_eq!(bed.calls("SendMessage"), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repository_runners_reusable_ones_and_check_runs_go_the_same_way() {
    if skip_unless_available("the end-to-end test of other shapes") {
        return;
    }
    let bed = Bed::new(Wishes { level: "repository", ..Wishes::default() }).await;
    let machines = bed.quick_machines();
    bed.github.set_faults(|faults| faults.check_runs = true);
    bed.dispatch(2, 100);
    bed.completes(&machines, 2, 2 * MINUTE).await;
    drop(machines);
    drop(bed);

    let bed = Bed::new(Wishes { ephemeral: false, runners_max: 1, ..Wishes::default() }).await;
    let machines = bed.quick_machines();
    bed.dispatch(3, 100);
    bed.completes(&machines, 3, 3 * MINUTE).await;
    assert_eq!(machines.started(), 1, "one reusable runner ran them all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hand_offs_are_encrypted_as_the_user_wants_and_an_interruption_drains() {
    if skip_unless_available("the end-to-end test of encryption and interruptions") {
        return;
    }
    let bed = Bed::new(Wishes { encrypt: Some("none".into()), ..Wishes::default() }).await;
    let machines = bed.quick_machines();
    bed.dispatch(1, 20_000);
    bed.until(&machines, "the job runs", MINUTE, async || bed.jobs().iter().any(|job| job.status == "in_progress"))
        .await;
    let machine = machines.machines().remove(0);
    bed.host().put_event(&json!({ "source": "aws.ec2", "detail-type": "EC2 Spot Instance Interruption Warning",
        "time": "2026-11-24T08:00:00Z", "detail": { "instance-id": machine, "instance-action": "terminate" } }));
    bed.until(&machines, "the warning is on the machine", MINUTE, async || {
        let tags = bed.emulator().query("ec2", "DescribeTags", &[]).unwrap();
        tags.contains("runnersmith:interrupted-at")
    })
    .await;
    bed.completes(&machines, 1, 2 * MINUTE).await;
}
