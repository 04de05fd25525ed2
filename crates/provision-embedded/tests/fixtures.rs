//! Embedded environments of an earlier version are live again, and a plan that it has made is applied.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::support::{Bed, policy, set};
use runnersmith_issueops_engine::{Provisioner as _, StateBackend, StateId, Workspace};
use runnersmith_ports::{Expect, MemoryRecordStore, RecordStore as _};
use runnersmith_provision_embedded::Embedded;
use runnersmith_types::{Label, MinIdleEntry};
use serde_json::Value;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/../testing/fixtures/e2c886d/embedded/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A program that is started again on the record store that the earlier version has left.
async fn restored() -> (Bed, Embedded) {
    let record_store = Arc::new(MemoryRecordStore::new());
    for line in String::from_utf8(fixture("shelf.jsonl")).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let (key, text) = (line["key"].as_str().unwrap(), line["text"].as_str().unwrap());
        record_store.put(key, text.as_bytes(), &Expect::Absent).await.unwrap();
    }
    let bed = Bed::new(policy(5));
    let embedded = Embedded::new(bed.world.clone(), record_store);
    embedded.restore().await.unwrap();
    (bed, embedded)
}

fn workspace(environment: &str) -> Workspace {
    let folder = format!("environments/{environment}");
    Workspace::unchecked(environment, &folder, BTreeMap::new())
}

#[tokio::test]
async fn environments_of_an_earlier_version_are_live_again_unless_they_drain() {
    let (bed, embedded) = restored().await;
    let made = bed.world.set(&set("CI")).unwrap();
    let labels: Vec<&str> = made.labels.iter().map(Label::as_str).collect();
    assert_eq!(labels, ["linux", "self-hosted", "x64"]);
    assert_eq!((made.runners_max, made.ephemeral, made.group.as_str()), (4, true, "Default"));
    assert_eq!(made.scope.at.unwrap().to_string(), "acme");
    assert_eq!(made.min_idle, [MinIdleEntry::Cron { cron: "* * * * * *".into(), time_zone: "UTC".into(), count: 1 }]);
    assert!(bed.world.set(&set("docs")).is_none(), "it is out of service");
    let state = embedded.state(&StateBackend::unchecked("CI", "")).await.unwrap();
    assert_eq!(state, StateId { lineage: "a181d6a5c9bf6a74edc84d78b6e33c0b".into(), serial: 1 });
    assert_eq!(embedded.state(&StateBackend::unchecked("docs", "")).await.unwrap().serial, 1);
}

#[tokio::test]
async fn a_plan_of_an_earlier_version_is_applied() {
    let (bed, embedded) = restored().await;
    embedded.apply(&workspace("CI"), &fixture("plan.json"), &()).await.unwrap();
    assert_eq!(bed.world.set(&set("CI")).unwrap().runners_max, 6);
    assert_eq!(embedded.state(&StateBackend::unchecked("CI", "")).await.unwrap().serial, 2);
}
