//! The other shapes of a control plane, each once through the whole path: a server of one's own, a webhook of one's own, several sets
//! that the control plane finds by policy, and each way to encrypt.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{Bed, PATH, Wishes};
use runnersmith_aws::{DynamoLedger, Session};
use runnersmith_aws_emulator::{Emulator, Fault, skip_unless_available};
use runnersmith_controllers::tasks;
use runnersmith_ports::SystemClock;
use serde_json::{Value, json};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_ones_own_with_its_own_authority() {
    if skip_unless_available("the end-to-end test of a GHES") {
        return;
    }
    let bed = Bed::new(Wishes { ghes: true, ..Wishes::default() }).await;
    let machines = bed.quick_machines();
    bed.emulator().enforce_policies().unwrap();
    bed.dispatch(2, 100);
    bed.completes(&machines, 2, 2 * MINUTE).await;
    assert_eq!(bed.github_calls("generate-jitconfig"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_of_an_organisation_and_of_a_repository_with_logs_of_their_own() {
    if skip_unless_available("the end-to-end test of webhooks that are not the App's") {
        return;
    }
    for hook in ["acme", "acme/shop"] {
        let bed = Bed::new(Wishes { hook: Some(hook), ..Wishes::default() }).await;
        let machines = bed.quick_machines();
        bed.dispatch(1, 100);
        bed.completes(&machines, 1, 2 * MINUTE).await;
        // A lost delivery is found in that webhook's log and asked for again; the sweep must not be what finds the job.
        bed.github.set_faults(|faults| {
            faults.lose_deliveries = 1;
            faults.fail.insert("GET /repos/{owner}/{repo}/actions/runs".into(), (500, 10_000));
        });
        bed.dispatch(1, 100);
        bed.completes(&machines, 2, 3 * MINUTE).await;
        let kind = if hook.contains('/') { "/repos/{owner}/{repo}" } else { "/orgs/{org}" };
        assert!(bed.github_calls(&format!("GET {kind}/hooks/{{id}}/deliveries")) > 0, "its log is read");
        assert!(bed.github_calls(&format!("POST {kind}/hooks/{{id}}/deliveries/{{id}}/attempts")) > 0);
        assert_eq!(bed.github_calls("/app/hook/deliveries"), 0, "the App's is not");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_control_plane_finds_its_sets_by_policy_and_leaves_out_a_wrong_one() {
    if skip_unless_available("the end-to-end test of a shared control plane") {
        return;
    }
    let gpu = json!({ "name": "gpu", "labels": ["self-hosted", "gpu"], "runners_max": 1 }).to_string();
    let wrong = json!({ "name": "wrong", "runners_max": "many" }).to_string();
    let more_sets = vec![("gpu", gpu), ("wrong", wrong), ("broken", "{".into())];
    let bed = Bed::new(Wishes { more_sets, ..Wishes::default() }).await;
    let machines = bed.quick_machines();
    bed.emulator().enforce_policies().unwrap();
    bed.dispatch(2, 100);
    bed.dispatch_for(&["self-hosted", "gpu"], 2, 100);
    bed.completes(&machines, 4, 3 * MINUTE).await;
    let tags = bed.emulator().query("ec2", "DescribeInstances", &[]).unwrap();
    let of = |set: &str| tags.matches(&format!("<key>runnersmith:set</key><value>{set}</value>")).count();
    assert_eq!((of("linux"), of("gpu")), (2, 2), "each job had a machine of its own set");
    assert!(bed.host().logs().contains("a scale set is left out"), "the wrong ones are reported");
}

/// How the one hand-off that waits is stored.
fn hand_off(emulator: &Emulator) -> Value {
    let filter = json!({ "ParameterFilters": [{ "Key": "Path", "Option": "Recursive", "Values": [format!("{}/hand-off", PATH)] }] });
    let found = emulator.json("ssm", "AmazonSSM.DescribeParameters", &filter).unwrap();
    found["Parameters"][0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hand_offs_are_encrypted_by_no_key_the_managed_key_or_the_users() {
    if skip_unless_available("the end-to-end test of keys") {
        return;
    }
    for (encrypt, kind, key) in [
        (Some("none"), "String", None),
        (None, "SecureString", Some("alias/aws/ssm")),
        (Some("alias/mine"), "SecureString", Some("alias/mine")),
    ] {
        let bed = Bed::new(Wishes { encrypt: encrypt.map(str::to_owned), ..Wishes::default() }).await;
        bed.emulator().enforce_policies().unwrap();
        bed.template("#!/bin/sh\n");
        let machines = bed.no_machines();
        bed.dispatch(1, 100);
        bed.until(&machines, "a hand-off", MINUTE, async || bed.calls("PutParameter") == bed.parameters + 1).await;
        let stored = hand_off(bed.emulator());
        assert_eq!(stored["Type"], kind, "{stored}");
        assert_eq!(stored["KeyId"].as_str(), key, "{stored}");
    }
    // The whole way with a key of the user's own.
    let bed = Bed::new(Wishes { encrypt: Some("alias/mine".into()), ..Wishes::default() }).await;
    let machines = bed.quick_machines();
    bed.emulator().enforce_policies().unwrap();
    bed.dispatch(1, 100);
    bed.completes(&machines, 1, 2 * MINUTE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_that_do_not_show_new_machines_launch_nothing_twice() {
    if skip_unless_available("the end-to-end test of late lists") {
        return;
    }
    let bed = Bed::new(Wishes::default()).await;
    let machines = bed.quick_machines();
    // EC2's lists lag behind its launches; the ledger's index behind its writes.
    bed.emulator().inject(&[Fault::late("DescribeInstances", Duration::from_secs(4))]).unwrap();
    bed.dispatch(5, 100);
    bed.completes(&machines, 5, 2 * MINUTE).await;
    assert_eq!(machines.started(), 5, "one machine for each job");
    bed.emulator().inject(&[Fault::lost_answer("CreateFleet").times(2)]).unwrap();
    bed.dispatch(3, 100);
    bed.completes(&machines, 8, 2 * MINUTE).await;
    assert_eq!(machines.started(), 8, "also when the launch's answer was lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_that_is_taken_out_leaves_nothing_behind() {
    if skip_unless_available("the end-to-end test of a removed set") {
        return;
    }
    let idle = json!([{ "cron": "* * * * * *", "timeZone": "UTC", "idleCount": 2 }]);
    let gpu = json!({ "name": "gpu", "labels": ["self-hosted", "gpu"], "idle_config": idle }).to_string();
    let bed = Bed::new(Wishes { more_sets: vec![("gpu", gpu)], ..Wishes::default() }).await;
    let machines = bed.quick_machines();
    bed.dispatch(1, 100);
    bed.until(&machines, "two idle runners", MINUTE, async || {
        bed.github.runners().iter().filter(|r| r.online).count() == 2
    })
    .await;
    let name = format!("{}/config/sets/gpu", PATH);
    bed.emulator().json("ssm", "AmazonSSM.DeleteParameter", &json!({ "Name": name })).unwrap();
    // Functions keep their settings for minutes; new processes read them.
    bed.host().recycle();
    // A removed set has the default times: a minute of being confirmed idle, and a minute between deregistration and termination.
    bed.until(&machines, "nothing is left", 5 * MINUTE, async || {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let kept = bed.host().invoke("housekeeper", &json!({})).await.unwrap();
        assert_eq!(kept["expired"], 0, "{kept}");
        bed.leftovers().is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_function_is_in_the_ledger_for_status_until_it_is_over() {
    if skip_unless_available("the end-to-end test of the functions' faults") {
        return;
    }
    let bed = Bed::new(Wishes::default()).await;
    bed.emulator().enforce_policies().unwrap();
    let session = Session::with_key(bed.emulator().url(), "us-east-1", "reader").await;
    let ledger = DynamoLedger::new(&session, "ledger", Duration::from_secs(3_600), Arc::new(SystemClock));
    let look = async || {
        // An answer of GitHub's that is no fault of the invocation's.
        let _ = bed.host().invoke("scale-down", &json!({})).await;
        let stored = tasks::stored(&ledger).await.unwrap();
        let of = |process: tasks::ProcessTasks| {
            let kinds: Vec<String> =
                process.faults.iter().map(|fault| format!("{} {}", fault.kind.word(), fault)).collect();
            (process.holder, process.is_function, kinds.join(" "))
        };
        stored.into_iter().map(of).collect::<Vec<_>>()
    };
    assert!(look().await.is_empty(), "nothing is stored while nothing is wrong");
    bed.github.set_faults(|faults| {
        faults.fail.insert("*".into(), (401, 10_000));
    });
    // A single 401 is a coincidence.
    let mut said = look().await;
    let until = Instant::now() + MINUTE;
    while said.is_empty() && Instant::now() < until {
        said = look().await;
    }
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!((said[0].0.as_str(), said[0].1), ("scale-down", true));
    assert!(said[0].2.contains("app_refused"), "{said:?}");
    bed.github.set_faults(|faults| faults.fail.clear());
    // Its next process begins with that; the first call may still meet the one that ends.
    bed.host().recycle();
    let until = Instant::now() + MINUTE;
    while !said.is_empty() && Instant::now() < until {
        said = look().await;
    }
    assert!(said.is_empty(), "it is over: {said:?}");
}
