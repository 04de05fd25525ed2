//! Out of service and back: what is left is counted, a running job is waited for, and ended only when that is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::support::{Bed, Fault, policy, set};
use runnersmith_controllers::{Depth, housekeeping, pass};
use runnersmith_issueops::change::Left;
use runnersmith_issueops_engine::{Fleet as _, PlanOptions, Provisioner as _, Workspace};
use runnersmith_ports::{MemoryRecordStore, RecordStore as _, chain};
use runnersmith_provision_embedded::Embedded;
use runnersmith_types::{EventKind, JobId, JobStatus, MachineState, MachineStatus, Runner};
use serde_json::json;

/// A control plane without sets of its own, and the environment "linux" applied.
async fn applied(record_store: &Arc<MemoryRecordStore>) -> (Bed, Embedded) {
    let bed = Bed::new(policy(5));
    bed.world.sets.replace(Vec::new());
    let embedded = Embedded::new(bed.world.clone(), record_store.clone());
    let values = json!({"environment": "linux", "organization": "acme", "runner_extra_labels": "linux", "runners_maximum_count": 5});
    let file = ("e/terraform.tfvars.json".to_owned(), values.to_string().into_bytes());
    let workspace = Workspace::unchecked("linux", "e", BTreeMap::from([file]));
    let plan = embedded.plan(&workspace, PlanOptions::default(), &()).await.unwrap();
    embedded.apply(&workspace, &plan.file, &()).await.unwrap();
    (bed, embedded)
}

/// Two runners, the first with a job.
async fn one_busy_one_idle(bed: &Bed) -> Runner {
    bed.queued(1..=2).await;
    bed.pass(Depth::Full).await;
    bed.online().await;
    let busy = bed.runners().await[0].clone();
    bed.fact(1, JobStatus::InProgress, Some(&busy)).await;
    for machine in bed.doubles.script().machines.values_mut() {
        let is_busy = Some(&machine.id) == busy.machine.as_ref();
        machine.status = Some(if is_busy { MachineStatus::Busy } else { MachineStatus::Listening });
    }
    // What is read is deleted by who reads it.
    bed.doubles.script().handed.clear();
    bed.pass(Depth::Full).await;
    busy
}

/// What the loop of a set that is gone does, for some minutes.
async fn passes(bed: &Bed) {
    for _ in 0..6 {
        let (world, left) = housekeeping::retired(&bed.world, &BTreeSet::new()).await.unwrap();
        for set in left {
            pass(&world, &set, Depth::Full).await.unwrap();
        }
        bed.clock.advance(Duration::from_secs(180));
    }
}

#[tokio::test]
async fn a_running_job_is_waited_for_and_then_nothing_is_left() {
    let record_store = Arc::new(MemoryRecordStore::new());
    let (bed, embedded) = applied(&record_store).await;
    let busy = one_busy_one_idle(&bed).await;
    let left = embedded.drain("linux", false).await.unwrap();
    assert_eq!(left, Left { jobs: 1, machines: 2, registrations: 2, hand_offs: 0, log_groups: 0 });
    assert!(bed.world.set(&set("linux")).is_none(), "it is out of service");
    passes(&bed).await;
    for _ in 0..2 {
        let left = embedded.drain("linux", false).await.unwrap();
        assert_eq!(
            left,
            Left { jobs: 1, machines: 1, registrations: 1, hand_offs: 0, log_groups: 0 },
            "the job runs on"
        );
    }
    bed.fact(1, JobStatus::Completed, Some(&busy)).await;
    bed.doubles.script().machines.values_mut().for_each(|machine| machine.status = Some(MachineStatus::JobDone));
    passes(&bed).await;
    assert_eq!(embedded.drain("linux", false).await.unwrap(), Left::default());
    let history = bed.world.ports.ledger.recent_history(500).await.unwrap();
    let said = history.iter().filter(|event| event.what == "drain").count();
    assert_eq!(said, 1, "that it is taken out is said once");
}

#[tokio::test]
async fn a_running_job_is_ended_only_when_that_is_asked_for_and_its_history_says_why() {
    let record_store = Arc::new(MemoryRecordStore::new());
    let (bed, embedded) = applied(&record_store).await;
    let busy = one_busy_one_idle(&bed).await;
    embedded.drain("linux", false).await.unwrap();
    passes(&bed).await;
    let machine = busy.machine.clone().unwrap();
    assert_eq!(bed.doubles.script().machines[&machine].state, MachineState::Running);
    let left = embedded.drain("linux", true).await.unwrap();
    assert_eq!(bed.doubles.script().machines[&machine].state, MachineState::Ended);
    assert!(!left.is_nothing(), "GitHub does not know of it yet: {left:?}");
    let history = bed.world.ports.ledger.history_of_job(JobId(1), 100).await.unwrap();
    assert!(
        history.iter().any(|event| event.what == "terminate" && event.text.contains("its running jobs with it")),
        "{history:?}"
    );
    bed.fact(1, JobStatus::Completed, Some(&busy)).await;
    passes(&bed).await;
    assert_eq!(embedded.drain("linux", true).await.unwrap(), Left::default());
}

#[tokio::test]
async fn a_machine_that_could_not_be_ended_is_recorded_before_and_after() {
    let record_store = Arc::new(MemoryRecordStore::new());
    let (bed, embedded) = applied(&record_store).await;
    let busy = one_busy_one_idle(&bed).await;
    bed.doubles.script().fail("terminate", Fault::Unavailable);
    let failed = embedded.drain("linux", true).await.unwrap_err();
    assert!(chain(&failed).contains("terminate"), "{}", chain(&failed));
    let machine = busy.machine.clone().unwrap();
    assert_eq!(bed.doubles.script().machines[&machine].state, MachineState::Running);
    let mut history = bed.world.ports.ledger.history_of_job(JobId(1), 100).await.unwrap();
    history.retain(|event| event.what == "terminate" && event.machine.as_ref() == Some(&machine));
    history.sort_by_key(|event| event.kind == EventKind::Failed);
    let kinds: Vec<EventKind> = history.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Decided, EventKind::Failed], "{history:?}");
}

#[tokio::test]
async fn what_drained_comes_back_as_it_was() {
    let record_store = Arc::new(MemoryRecordStore::new());
    let (bed, embedded) = applied(&record_store).await;
    let before = bed.world.set(&set("linux"));
    embedded.end_drain("linux").await.unwrap();
    assert_eq!(bed.world.set(&set("linux")), before, "one that does not drain stays");
    embedded.drain("linux", false).await.unwrap();
    embedded.drain("linux", false).await.unwrap();
    assert!(bed.world.sets.load().is_empty());
    embedded.forget("linux").await.unwrap();
    embedded.end_drain("linux").await.unwrap();
    assert_eq!(bed.world.set(&set("linux")), before);
    bed.queued(1..=1).await;
    bed.pass(Depth::Full).await;
    assert_eq!(bed.machines_made(), 1);
}

#[tokio::test]
async fn a_restart_goes_on_draining_and_what_was_planned_before_is_applied_after() {
    let record_store = Arc::new(MemoryRecordStore::new());
    let (bed, embedded) = applied(&record_store).await;
    let gone = Workspace::unchecked("linux", "e", BTreeMap::new());
    let plan = embedded.plan(&gone, PlanOptions { destroy: true, without_lock: false }, &()).await.unwrap();
    embedded.drain("linux", false).await.unwrap();
    bed.world.sets.replace(Vec::new());
    let again = Embedded::new(bed.world.clone(), record_store.clone());
    again.restore().await.unwrap();
    assert!(bed.world.sets.load().is_empty(), "it is still on its way out");
    assert!(again.drift(&gone).await.is_ok_and(|drift| drift.drifted.is_empty()), "which is no drift");
    again.apply(&gone, &plan.file, &()).await.unwrap();
    assert!(record_store.list("").await.unwrap().is_empty());
    again.forget("linux").await.unwrap();
    again.end_drain("linux").await.unwrap();
    assert!(bed.world.sets.load().is_empty(), "nothing comes back");
}

#[tokio::test]
async fn nothing_is_drained_that_is_not_named() {
    let record_store = Arc::new(MemoryRecordStore::new());
    let (bed, embedded) = applied(&record_store).await;
    for name in ["LINUX", "linu", "other", "", "a/b", "../linux"] {
        assert_eq!(embedded.drain(name, true).await.unwrap(), Left::default(), "{name}");
        embedded.end_drain(name).await.unwrap();
        embedded.forget(name).await.unwrap();
    }
    assert!(bed.world.set(&set("linux")).is_some());
    // A set of the configuration is no environment.
    let fixed = Embedded::new(bed.world.clone(), record_store.clone());
    assert_eq!(fixed.drain("linux", true).await.unwrap(), Left::default());
    assert!(bed.world.set(&set("linux")).is_some());
}

// Time is not waited for: what sleeps is woken at once.
#[tokio::test(start_paused = true)]
async fn while_a_pass_goes_on_that_began_before_something_is_left() {
    let record_store = Arc::new(MemoryRecordStore::new());
    let (bed, embedded) = applied(&record_store).await;
    let lease = bed.world.ports.ledger.acquire(&set("linux"), "a pass", Duration::from_secs(600)).await.unwrap();
    assert!(!embedded.drain("linux", false).await.unwrap().is_nothing());
    drop(lease);
    bed.clock.advance(Duration::from_secs(601));
    assert!(embedded.drain("linux", false).await.unwrap().is_nothing());
}
