//! Machines that an earlier version has launched are known by their tags, against the emulator.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::collections::BTreeMap;

use runnersmith_aws::Session;
use runnersmith_aws_emulator::{Emulator, skip_unless_available};
use runnersmith_ec2::Ec2Machines;
use runnersmith_ports::Machines as _;
use runnersmith_types::{CapacityPool, ControlPlaneId, MachineStatus, Market, ScaleSetName, Timestamp};

const STORED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testing/fixtures/e2c886d/ec2_tags.jsonl");

/// The tags of each machine.
fn tags() -> Vec<BTreeMap<String, String>> {
    std::fs::read_to_string(STORED).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// An instance with these tags.
fn run(emulator: &Emulator, image: &str, tags: &BTreeMap<String, String>) {
    let mut parameters = vec![
        ("ImageId".to_owned(), image.to_owned()),
        ("InstanceType".to_owned(), "t3.micro".to_owned()),
        ("MinCount".to_owned(), "1".to_owned()),
        ("MaxCount".to_owned(), "1".to_owned()),
        ("TagSpecification.1.ResourceType".to_owned(), "instance".to_owned()),
    ];
    for (n, (key, value)) in (1..).zip(tags) {
        parameters.push((format!("TagSpecification.1.Tag.{n}.Key"), key.clone()));
        parameters.push((format!("TagSpecification.1.Tag.{n}.Value"), value.clone()));
    }
    let parameters: Vec<(&str, &str)> =
        parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    emulator.query("ec2", "RunInstances", &parameters).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_of_an_earlier_version_are_listed_with_what_they_say() {
    if skip_unless_available("stored tags on EC2") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let images = emulator.query("ec2", "DescribeImages", &[("Owner.1", "amazon")]).unwrap();
    let image = images.split("<imageId>").nth(1).and_then(|rest| rest.split('<').next()).unwrap().to_owned();
    for tags in tags() {
        run(&emulator, &image, &tags);
    }
    let session = Session::with_key(emulator.url(), "us-east-1", "tester").await;
    let ec2 = Ec2Machines::new(&session, BTreeMap::new());
    let (linux, control_plane) = (ScaleSetName::parse("linux").unwrap(), ControlPlaneId::parse("k3x9ab").unwrap());
    assert_eq!(ec2.sets(&control_plane).await.unwrap(), [linux.clone()].into());
    let mut machines = ec2.list(&linux, &control_plane).await.unwrap();
    machines.sort_by(|a, b| a.batch.cmp(&b.batch));
    let statuses: Vec<Option<MachineStatus>> = machines.iter().map(|machine| machine.status.clone()).collect();
    let ended = |how: &str| Some(MachineStatus::Ended(how.into()));
    assert_eq!(
        statuses,
        [
            None,
            Some(MachineStatus::Booting),
            Some(MachineStatus::Configured),
            Some(MachineStatus::Listening),
            Some(MachineStatus::Busy),
            Some(MachineStatus::JobDone),
            ended("0"),
            ended("failed at unpack")
        ]
    );
    let batches: Vec<String> = machines.iter().map(|machine| machine.batch.to_string()).collect();
    assert_eq!(batches, (0..8).map(|n| format!("batch-{n}")).collect::<Vec<_>>());
    for (n, machine) in machines.iter().enumerate() {
        let market = if n % 2 == 0 { Market::Spot } else { Market::OnDemand };
        let (machine_type, zone) = ("m5.large+m6i.large".into(), "us-east-1a+us-east-1b".into());
        assert_eq!(machine.pool, CapacityPool { market, machine_type, zone });
        let warned = (n == 4).then_some(Timestamp::from_millis(1_800_000_120_123));
        assert_eq!(machine.interrupted_at, warned, "{n}");
    }
    let ids: Vec<_> = machines.into_iter().map(|machine| machine.id).collect();
    ec2.terminate(&ids).await.unwrap();
    assert!(ec2.sets(&control_plane).await.unwrap().is_empty(), "they can be ended");
}
