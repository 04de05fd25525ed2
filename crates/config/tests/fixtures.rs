//! Settings that an earlier version's Terraform has written are read.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::collections::BTreeMap;
use std::time::Duration;

use runnersmith_config::Config;
use runnersmith_types::ec2::{Allocation, Capacity};
use runnersmith_types::{MinIdleEntry, ScopeLevel};

const STORED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testing/fixtures/e2c886d/settings.jsonl");

/// The parameters by name.
fn parameters() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(STORED).unwrap();
    let read = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let field = |name: &str| line[name].as_str().unwrap().to_owned();
        (field("Name"), field("Value"))
    };
    text.lines().map(read).collect()
}

#[test]
fn the_control_plane_and_its_sets_are_read_from_the_parameters_of_an_earlier_version() {
    let mut sets = parameters();
    let control_plane = sets.remove("plane").unwrap();
    let (config, left_out) = Config::from_parameters("/runnersmith/test/config", &control_plane, &sets).unwrap();
    assert!(left_out.is_empty(), "{left_out:?}");
    let aws = config.aws.unwrap();
    assert_eq!(aws.table.as_deref(), Some("runnersmith-test"));
    assert_eq!(aws.hand_off_path.as_deref(), Some("/runnersmith/test/hand-off"));
    assert_eq!(aws.queue_url.as_deref(), Some("https://sqs.eu-west-1.amazonaws.com/123456789012/runnersmith-test"));
    let [linux] = config.scale_sets.as_slice() else { panic!("{:?}", config.scale_sets) };
    assert_eq!((linux.name.as_str(), linux.runners_max, linux.ephemeral), ("linux", 20, true));
    let labels: Vec<&str> = linux.labels.iter().map(|label| label.as_str()).collect();
    assert_eq!(labels, ["linux", "self-hosted", "x64"]);
    assert_eq!(
        (linux.scope.level, linux.scope.at.as_ref().unwrap().to_string()),
        (ScopeLevel::Organization, "acme".into())
    );
    let allowed: Vec<&str> = linux.scope.allowed.iter().map(|pattern| pattern.0.as_str()).collect();
    assert_eq!(allowed, ["acme/shop", "acme/*"]);
    assert_eq!(linux.timing.boot_deadline, Duration::from_secs(7 * 60));
    let min_idle = MinIdleEntry::Cron { cron: "* * 9-17 * * 1-5".into(), time_zone: "Europe/Berlin".into(), count: 2 };
    assert_eq!(linux.min_idle, [min_idle]);
    let pools: Vec<String> = linux.fallback_order.pools.iter().map(ToString::to_string).collect();
    assert_eq!(
        pools,
        ["spot m7i.large+m6i.large in eu-west-1a+eu-west-1b", "on-demand m7i.large+m6i.large in eu-west-1a+eu-west-1b"]
    );
    let ec2 = config.ec2.values().next().unwrap();
    assert_eq!((ec2.launch_template.as_str(), ec2.template_version.as_str()), ("lt-0123456789abcdef0", "3"));
    assert_eq!((ec2.allocation, ec2.capacity), (Allocation::PriceCapacityOptimized, Capacity::SpotThenOnDemand));
    assert_eq!(ec2.subnets[1].id, "subnet-b");
}
