//! Writes the records of embedded environments of this commit, as test data for the programs that come later.

#![allow(clippy::unwrap_used, reason = "a program that fails panics")]

#[path = "../../controllers/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use runnersmith_changes::{Fleet as _, PlanOptions, Provisioner as _, Workspace};
use runnersmith_embedded::Embedded;
use runnersmith_ports::{MemoryShelf, Shelf as _};
use serde_json::{Value, json};
use support::{Bed, policy};

/// As it is rendered for an environment.
fn workspace(environment: &str, maximum: u32) -> Workspace {
    let values = json!({
        "ami_filter": {"name": ["al2023-ami-2023.*-x86_64"]}, "ami_owners": ["amazon"], "aws_region": "eu-west-1",
        "enable_organization_runners": true, "environment": environment, "ghes_url": null,
        "idle_config": [{"cron": "* * * * * *", "timeZone": "UTC", "idleCount": 1}], "instance_type": "m5.large",
        "organization": "acme", "runner_extra_labels": "linux,X64", "runner_group_name": "Default",
        "runners_maximum_count": maximum, "subnet_ids": ["subnet-1"], "vpc_id": "vpc-1",
    });
    let folder = format!("environments/{environment}");
    let file = (format!("{folder}/terraform.tfvars.json"), values.to_string().into_bytes());
    Workspace { environment: environment.into(), folder, files: BTreeMap::from([file]) }
}

#[tokio::main]
async fn main() {
    let out = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../testing/fixtures/e2c886d/embedded"));
    std::fs::create_dir_all(&out).unwrap();
    let shelf = Arc::new(MemoryShelf::new());
    let bed = Bed::new(policy(5));
    let embedded = Embedded::new(bed.world.clone(), shelf.clone());
    for name in ["CI", "docs"] {
        let workspace = workspace(name, 4);
        let plan = embedded.plan(&workspace, PlanOptions::default(), &()).await.unwrap();
        embedded.apply(&workspace, &plan.file, &()).await.unwrap();
    }
    embedded.drain("docs", false).await.unwrap();
    // A plan that is not applied yet.
    let plan = embedded.plan(&workspace("CI", 6), PlanOptions::default(), &()).await.unwrap();
    std::fs::write(out.join("plan.json"), &plan.file).unwrap();
    let mut lines = String::new();
    for key in shelf.list("").await.unwrap() {
        let text = String::from_utf8(shelf.get(&key).await.unwrap().unwrap().bytes).unwrap();
        let line: Value = json!({ "key": key, "text": text });
        lines.push_str(&format!("{line}\n"));
    }
    std::fs::write(out.join("shelf.jsonl"), lines).unwrap();
}
