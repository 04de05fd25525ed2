//! Environments are taken out of service before they are destroyed: the functions that are deployed do it, with the settings
//! that they have read before, while jobs run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{Bed, PATH, Wishes};
use runnersmith_aws::{DynamoLedger, Session};
use runnersmith_aws_emulator::skip_unless_available;
use runnersmith_issueops::change::Left;
use runnersmith_issueops::policy::EnvironmentShape;
use runnersmith_issueops_engine::Fleet as _;
use runnersmith_lambda_host::Hypervisor;
use runnersmith_ports::{HistoryLedger as _, SystemClock};
use runnersmith_provision_terraform::environments::{
    AwsEnvironments, LEDGER_OPERATIONS, MACHINE_OPERATIONS, PARAMETER_OPERATIONS, QUEUE_OPERATIONS,
};
use runnersmith_types::HistoryEvent;
use serde_json::json;

const MINUTE: Duration = Duration::from_secs(60);

async fn session(bed: &Bed) -> Session {
    Session::with_key(bed.emulator().url(), "us-east-1", "fleet").await
}

async fn fleet(bed: &Bed, shape: EnvironmentShape) -> AwsEnvironments {
    AwsEnvironments::new(vec![session(bed).await], shape, Arc::new(SystemClock))
}

async fn until_nothing_is_left(
    bed: &Bed,
    machines: &Hypervisor,
    fleet: &AwsEnvironments,
    environment: &str,
    kill: bool,
) {
    bed.until(machines, "nothing left", 3 * MINUTE, async || {
        fleet.drain(environment, kill).await.unwrap().is_nothing()
    })
    .await;
}

/// What the fleet called is what it declares. A transaction is no action of its own: its parts are.
fn it_did_only_what_it_declares(bed: &Bed) {
    let declared: BTreeSet<&str> = PARAMETER_OPERATIONS
        .into_iter()
        .chain(LEDGER_OPERATIONS)
        .chain(MACHINE_OPERATIONS)
        .chain(QUEUE_OPERATIONS)
        .chain(["dynamodb:TransactWriteItems"])
        .collect();
    let calls = bed.emulator().calls().unwrap();
    let called: BTreeSet<&str> = calls.keys().filter_map(|name| name.strip_prefix("fleet ")).collect();
    let undeclared: Vec<_> = called.difference(&declared).collect();
    assert!(undeclared.is_empty() && !called.is_empty(), "{undeclared:?} of {called:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_environment_ends_its_jobs_takes_no_new_ones_and_serves_again_when_that_is_over() {
    if skip_unless_available("the draining of an environment") {
        return;
    }
    let idle = json!({ "idle_config": [{ "cron": "* * * * * *", "timeZone": "UTC", "idleCount": 2 }] });
    let bed = Bed::new(Wishes { set: idle, ..Wishes::default() }).await;
    let machines = bed.quick_machines();
    bed.emulator().enforce_policies().unwrap();
    let fleet = fleet(&bed, EnvironmentShape::OwnStack).await;
    bed.dispatch(1, 20_000);
    bed.until(&machines, "a job and two idle runners", 2 * MINUTE, async || {
        let runners = bed.github.runners();
        runners.iter().any(|runner| runner.busy) && runners.iter().filter(|r| r.online && !r.busy).count() >= 2
    })
    .await;
    let left = fleet.drain("test", false).await.unwrap();
    assert!(left.machines >= 3 && left.registrations >= 3, "{left:?}");
    // The functions go on with the settings that they have; none is started again.
    let started = machines.started();
    bed.until(&machines, "the idle ones are gone", 3 * MINUTE, async || {
        let left = fleet.drain("test", false).await.unwrap();
        (left.jobs, left.machines) == (1, 1) || left.is_nothing()
    })
    .await;
    bed.dispatch(2, 100);
    until_nothing_is_left(&bed, &machines, &fleet, "test", false).await;
    assert_eq!(machines.started(), started, "nothing new was launched");
    assert!(bed.leftovers().is_empty(), "{:?}", bed.leftovers());
    let ended =
        |conclusion: Option<&str>| bed.jobs().iter().filter(|job| job.conclusion.as_deref() == conclusion).count();
    assert_eq!((ended(Some("success")), ended(None)), (1, 2), "the job has ended by itself, the others wait");
    assert_eq!(fleet.drain("test", false).await.unwrap(), Left::default(), "twice is once");

    fleet.end_drain("test").await.unwrap();
    fleet.end_drain("test").await.unwrap();
    bed.until(&machines, "the jobs that waited", 2 * MINUTE, async || bed.all_succeeded(3)).await;
    it_did_only_what_it_declares(&bed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_are_killed_when_the_approval_says_so_and_history_says_why() {
    if skip_unless_available("the draining of an environment that kills jobs") {
        return;
    }
    let bed = Bed::new(Wishes::default()).await;
    let machines = bed.quick_machines();
    let fleet = fleet(&bed, EnvironmentShape::OwnStack).await;
    // GitHub ends the job of a runner that is lost after a quarter of an hour; the simulator a minute after its time.
    bed.dispatch(1, 45_000);
    bed.until(&machines, "a job", 2 * MINUTE, async || bed.github.runners().iter().any(|runner| runner.busy)).await;
    bed.until(&machines, "a job that is counted", MINUTE, async || fleet.drain("test", false).await.unwrap().jobs == 1)
        .await;
    let left = fleet.drain("test", true).await.unwrap();
    assert_eq!(
        (left.jobs, bed.machines_alive()),
        (1, 0),
        "its machine is ended at once, its job counts until that is known"
    );
    until_nothing_is_left(&bed, &machines, &fleet, "test", true).await;
    assert!(bed.leftovers().is_empty(), "{:?}", bed.leftovers());
    assert_eq!(bed.jobs()[0].conclusion.as_deref(), Some("failure"), "it did not end by itself");
    let clock = Arc::new(SystemClock);
    let ledger = DynamoLedger::new(&session(&bed).await, "ledger", Duration::from_secs(3600), clock);
    let history = ledger.recent_history(200).await.unwrap();
    let of_the_deletion = |event: &&HistoryEvent| event.what == "terminate" && event.text.contains("is deleted");
    assert_eq!(history.iter().filter(of_the_deletion).count(), 1, "{history:#?}");
    it_did_only_what_it_declares(&bed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_environment_of_a_shared_control_plane_is_drained_while_the_others_work() {
    if skip_unless_available("the draining of a shared control plane's environment") {
        return;
    }
    let gpu = json!({ "name": "gpu", "labels": ["self-hosted", "gpu"] }).to_string();
    let bed = Bed::new(Wishes { more_sets: vec![("gpu", gpu)], ..Wishes::default() }).await;
    let machines = bed.quick_machines();
    let fleet = fleet(&bed, EnvironmentShape::SharedPlane { plane_path: PATH.into() }).await;
    bed.dispatch_for(&["self-hosted", "gpu"], 1, 5_000);
    bed.until(&machines, "a job", 2 * MINUTE, async || bed.github.runners().iter().any(|runner| runner.busy)).await;
    fleet.drain("gpu", false).await.unwrap();
    bed.dispatch(2, 100);
    until_nothing_is_left(&bed, &machines, &fleet, "gpu", false).await;
    bed.completes(&machines, 3, 3 * MINUTE).await;
    // As after its destruction: what is made again by this name serves.
    fleet.forget("gpu").await.unwrap();
    bed.dispatch_for(&["self-hosted", "gpu"], 1, 100);
    bed.completes(&machines, 4, 3 * MINUTE).await;
    // Nobody knows these; a name that is not valid is no path.
    assert_eq!(fleet.drain("unknown", true).await.unwrap(), Left::default());
    let own = self::fleet(&bed, EnvironmentShape::OwnStack).await;
    assert_eq!(own.drain("unknown", true).await.unwrap(), Left::default());
    own.end_drain("unknown").await.unwrap();
    own.forget("unknown").await.unwrap();
    assert!(own.drain("../test", true).await.is_err());
}
