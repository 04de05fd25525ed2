//! Plan, apply, change, destroy: by the same port as Terraform, on a record store in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::support::{Bed, policy, set};
use runnersmith_issueops::summary::Effect;
use runnersmith_issueops_engine::{PlanOptions, ProvisionError, Provisioner as _, StateBackend, StateId, Workspace};
use runnersmith_ports::{Expect, MemoryRecordStore, RecordStore};
use runnersmith_provision_embedded::Embedded;
use runnersmith_types::{Label, ScaleSet};
use serde_json::{Value, json};

const DESTROY: PlanOptions = PlanOptions { destroy: true, without_lock: false };

fn bed(record_store: &Arc<MemoryRecordStore>) -> (Bed, Embedded) {
    // The configuration has the set "linux".
    let bed = Bed::new(policy(5));
    let embedded = Embedded::new(bed.world.clone(), record_store.clone());
    (bed, embedded)
}

/// As it is rendered for an environment.
fn values(environment: &str, maximum: u32) -> Value {
    json!({
        "ami_filter": {"name": ["al2023-ami-2023.*-x86_64"]}, "ami_owners": ["amazon"], "aws_region": "eu-west-1",
        "enable_organization_runners": true, "environment": environment, "ghes_url": null,
        "idle_config": [{"cron": "* * * * * *", "timeZone": "UTC", "idleCount": 1}], "instance_type": "m5.large",
        "organization": "acme", "runner_extra_labels": "linux,X64", "runner_group_name": "Default",
        "runners_maximum_count": maximum, "subnet_ids": ["subnet-1"], "vpc_id": "vpc-1",
    })
}

fn workspace(values: &Value) -> Workspace {
    let environment = values["environment"].as_str().unwrap().to_owned();
    let folder = format!("environments/{environment}");
    let file = (format!("{folder}/terraform.tfvars.json"), values.to_string().into_bytes());
    Workspace::unchecked(&environment, &folder, BTreeMap::from([file]))
}

/// The state of `ci`.
fn state() -> StateBackend {
    StateBackend::unchecked("ci", "")
}

async fn apply(embedded: &Embedded, values: &Value) {
    let workspace = workspace(values);
    let plan = embedded.plan(&workspace, PlanOptions::default(), &()).await.unwrap();
    embedded.apply(&workspace, &plan.file, &()).await.unwrap();
}

fn live(bed: &Bed, name: &str) -> Option<ScaleSet> {
    bed.world.set(&set(name))
}

#[tokio::test]
async fn a_plan_changes_nothing_and_exactly_it_is_applied() {
    let record_store = Arc::new(MemoryRecordStore::new());
    let (bed, embedded) = bed(&record_store);
    let workspace = workspace(&values("ci", 4));
    let plan = embedded.plan(&workspace, PlanOptions::default(), &()).await.unwrap();
    assert_eq!(plan.state, StateId::default());
    assert!(live(&bed, "ci").is_none() && record_store.list("").await.unwrap().is_empty(), "a plan changes nothing");
    let summary = &plan.summary;
    assert_eq!(summary.to_string(), "1 added");
    assert_eq!(summary.terraform_version, "embedded");
    assert_eq!(summary.changes[0].address, "runnersmith_scale_set.ci");
    assert!(plan.text.contains("+ runners_maximum_count = 4") && plan.text.contains("1 to add"), "{}", plan.text);

    let applied = embedded.apply(&workspace, &plan.file, &()).await.unwrap();
    assert_eq!(applied.outputs["scale_set"], "ci");
    let made = live(&bed, "ci").unwrap();
    let labels: Vec<&str> = made.labels.iter().map(Label::as_str).collect();
    assert_eq!(labels, ["linux", "self-hosted", "x64"]);
    assert_eq!((made.runners_max, made.min_idle.len(), made.ephemeral), (4, 1, true));
    assert_eq!(made.scope.at.unwrap().to_string(), "acme");
    assert!(live(&bed, "linux").is_some(), "the configuration's set is untouched");
    assert_eq!(record_store.list("").await.unwrap(), ["embedded/ci.json"]);
    assert_eq!(embedded.state(&state()).await.unwrap().serial, 1);

    let again = embedded.apply(&workspace, &plan.file, &()).await;
    assert_eq!(again.unwrap_err(), ProvisionError::Stale, "the state is another one by now");
    let plan = embedded.plan(&workspace, PlanOptions::default(), &()).await.unwrap();
    assert!(plan.summary.is_empty());
    embedded.apply(&workspace, &plan.file, &()).await.unwrap();
    assert_eq!(embedded.state(&state()).await.unwrap().serial, 1, "nothing changed");
}

#[tokio::test]
async fn a_change_is_shown_by_attribute_and_of_two_plans_one_is_applied() {
    let record_store = Arc::new(MemoryRecordStore::new());
    let (bed, embedded) = bed(&record_store);
    apply(&embedded, &values("ci", 4)).await;
    let (six, two) = (workspace(&values("ci", 6)), workspace(&values("ci", 2)));
    let plan = embedded.plan(&six, PlanOptions::default(), &()).await.unwrap();
    let stale = embedded.plan(&two, PlanOptions::default(), &()).await.unwrap();
    let summary = &plan.summary;
    assert_eq!(summary.count(Effect::Update), 1);
    let details = &summary.changes[0].details;
    assert_eq!(details.len(), 1, "{details:?}");
    assert_eq!(
        (details[0].attribute.as_str(), details[0].before.as_str(), details[0].after.as_str()),
        ("runners_maximum_count", "4", "6")
    );
    assert!(plan.text.contains("~ runners_maximum_count = 4 -> 6"), "{}", plan.text);
    embedded.apply(&six, &plan.file, &()).await.unwrap();
    assert_eq!(embedded.apply(&two, &stale.file, &()).await.unwrap_err(), ProvisionError::Stale);
    assert_eq!(live(&bed, "ci").unwrap().runners_max, 6);
}

#[tokio::test]
async fn what_is_destroyed_is_gone_and_a_new_one_of_its_name_is_another() {
    let record_store = Arc::new(MemoryRecordStore::new());
    let (bed, embedded) = bed(&record_store);
    apply(&embedded, &values("ci", 4)).await;
    // A deletion's folder has moved to the archive.
    let gone = Workspace::unchecked("ci", "environments/ci", BTreeMap::new());
    let first = embedded.state(&state()).await.unwrap();
    let plan = embedded.plan(&gone, DESTROY, &()).await.unwrap();
    let summary = &plan.summary;
    assert_eq!(summary.to_string(), "1 destroyed");
    assert_eq!(summary.losses().count(), 0, "a scale set holds nothing that cannot be made again");
    embedded.apply(&gone, &plan.file, &()).await.unwrap();
    assert!(live(&bed, "ci").is_none() && record_store.list("").await.unwrap().is_empty());
    assert_eq!(embedded.apply(&gone, &plan.file, &()).await.unwrap_err(), ProvisionError::Stale);
    let nothing = embedded.plan(&gone, DESTROY, &()).await.unwrap();
    assert!(nothing.summary.is_empty());
    apply(&embedded, &values("ci", 4)).await;
    assert_ne!(embedded.state(&state()).await.unwrap().lineage, first.lineage);
}

#[tokio::test]
async fn of_racing_applies_exactly_one_is_done() {
    let record_store = Arc::new(MemoryRecordStore::new());
    let (bed, embedded) = bed(&record_store);
    let mut tasks = tokio::task::JoinSet::new();
    for maximum in 1..=8 {
        let workspace = workspace(&values("ci", maximum));
        let plan = embedded.plan(&workspace, PlanOptions::default(), &()).await.unwrap();
        // Two programs on one record store, in part.
        let embedded =
            if maximum % 2 == 0 { embedded.clone() } else { Embedded::new(bed.world.clone(), record_store.clone()) };
        tasks.spawn(async move { embedded.apply(&workspace, &plan.file, &()).await.map(|_| maximum) });
    }
    let done: Vec<_> = tasks.join_all().await;
    let won: Vec<u32> = done.iter().filter_map(|done| done.clone().ok()).collect();
    assert_eq!(won.len(), 1, "{done:?}");
    assert_eq!(live(&bed, "ci").unwrap().runners_max, won[0]);
}

#[tokio::test]
async fn values_that_cannot_be_a_scale_set_are_refused_with_the_reason() {
    let record_store = Arc::new(MemoryRecordStore::new());
    let (_bed, embedded) = bed(&record_store);
    let cases: [(&str, Value, &str); 8] = [
        ("organization", json!("a/b"), "owner"),
        ("organization", Value::Null, "organization is needed"),
        ("runner_extra_labels", json!("ok,a\nb"), "label"),
        ("runner_group_name", json!(""), "runner group"),
        ("runners_maximum_count", json!(0), "1 to 10000"),
        ("idle_config", json!([{"cron": "* * * * *", "timeZone": "UTC", "idleCount": 1}]), "five fields"),
        ("enable_organization_runners", json!(false), "enable_organization_runners"),
        ("runners_maximum_count", json!("many"), "cannot be read"),
    ];
    for (field, value, reason) in cases {
        let mut values = values("ci", 4);
        values[field] = value;
        let refused = embedded.plan(&workspace(&values), PlanOptions::default(), &()).await.unwrap_err();
        let ProvisionError::Failed { resource, message } = &refused else { panic!("{field}: {refused:?}") };
        assert_eq!(resource.as_deref(), Some("runnersmith_scale_set.ci"));
        assert!(message.contains(reason), "{field}: {message}");
    }
    for name in ["linux", "LINUX"] {
        let refused = embedded.plan(&workspace(&values(name, 4)), PlanOptions::default(), &()).await.unwrap_err();
        assert!(refused.to_string().contains("configuration"), "{refused}");
    }
    let ci = workspace(&values("ci", 4));
    let other = Workspace::unchecked("other", ci.folder(), ci.files().clone());
    assert!(embedded.plan(&other, PlanOptions::default(), &()).await.unwrap_err().to_string().contains("not of"));
    apply(&embedded, &values("ci", 4)).await;
    let refused = embedded.plan(&workspace(&values("CI", 4)), PlanOptions::default(), &()).await.unwrap_err();
    assert!(refused.to_string().contains("case alone"), "{refused}");
    let plan = embedded.plan(&workspace(&values("ci", 5)), PlanOptions::default(), &()).await.unwrap();
    let refused = embedded.apply(&workspace(&values("other", 5)), &plan.file, &()).await.unwrap_err();
    assert!(
        refused.to_string().contains("is for the environment"),
        "a plan is applied where it was made for: {refused}"
    );
    assert!(embedded.apply(&workspace(&values("ci", 5)), b"{}", &()).await.is_err());
}

#[tokio::test]
async fn what_was_applied_is_live_after_a_restart_and_a_record_that_cannot_be_read_costs_the_others_nothing() {
    let record_store = Arc::new(MemoryRecordStore::new());
    let (before, embedded) = bed(&record_store);
    apply(&embedded, &values("ci", 4)).await;
    apply(&embedded, &values("gpu", 2)).await;
    record_store.put("embedded/broken.json", b"{}", &Expect::Absent).await.unwrap();
    record_store.put("embedded/newer.json", b"{\"format\": 9}", &Expect::Absent).await.unwrap();
    let (after, embedded) = bed(&record_store);
    embedded.restore().await.unwrap();
    for name in ["ci", "gpu", "linux"] {
        assert_eq!(live(&after, name), live(&before, name), "{name}");
        assert!(live(&after, name).is_some());
    }
    assert_eq!(embedded.live().len(), 2);
    embedded.restore().await.unwrap();
    assert_eq!(after.world.sets.load().len(), 3, "once more changes nothing");
}

#[tokio::test]
async fn drift_is_what_is_live_and_not_recorded() {
    let record_store = Arc::new(MemoryRecordStore::new());
    let (bed, embedded) = bed(&record_store);
    apply(&embedded, &values("ci", 4)).await;
    let workspace = workspace(&values("ci", 4));
    let drift = embedded.drift(&workspace).await.unwrap();
    assert!(drift.drifted.is_empty() && drift.is_empty());
    bed.world.sets.update(|sets| sets.iter_mut().for_each(|set| set.runners_max = 9));
    let drift = embedded.drift(&workspace).await.unwrap();
    assert_eq!(drift.drifted, ["runnersmith_scale_set.ci"]);
    bed.world.sets.update(|sets| sets.retain(|set| set.name.as_str() != "ci"));
    let drift = embedded.drift(&workspace).await.unwrap();
    assert_eq!(drift.drifted, ["runnersmith_scale_set.ci"]);
}
