//! Machines on EC2 keep the port's contract, and errors are folded into questions, against the emulator.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::collections::BTreeMap;
use std::time::Duration;

use runnersmith_aws::Session;
use runnersmith_aws_emulator::{Emulator, Fault, skip_unless_available};
use runnersmith_ec2::Ec2Machines;
use runnersmith_ports::contract::machines::{MachinesWorld, machines};
use runnersmith_ports::{Clock as _, LaunchRequest, MachineEvent, Machines as _, MachinesError, SystemClock};
use runnersmith_types::ec2::{Allocation, Capacity, Subnet};
use runnersmith_types::{
    Batch, BatchId, ControlPlaneId, Ec2Set, MachineId, RecordVersion, RunnerName, ScaleSetName, Timestamp,
};

/// What stands between two XML tags.
fn between(xml: &str, tag: &str) -> Vec<String> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    xml.split(&open).skip(1).filter_map(|rest| rest.split(&close).next().map(str::to_owned)).collect()
}

/// An account with a launch template and the default subnets.
fn account(emulator: &Emulator) -> Ec2Set {
    let images = emulator.query("ec2", "DescribeImages", &[("Owner.1", "amazon")]).unwrap();
    let image = between(&images, "imageId").remove(0);
    let template = [
        ("LaunchTemplateName", "runners"),
        ("LaunchTemplateData.ImageId", image.as_str()),
        ("LaunchTemplateData.InstanceType", "t3.micro"),
        ("LaunchTemplateData.InstanceInitiatedShutdownBehavior", "terminate"),
    ];
    let template = emulator.query("ec2", "CreateLaunchTemplate", &template).unwrap();
    let subnets = emulator.query("ec2", "DescribeSubnets", &[]).unwrap();
    let (ids, zones) = (between(&subnets, "subnetId"), between(&subnets, "availabilityZone"));
    Ec2Set {
        launch_template: between(&template, "launchTemplateId").remove(0),
        template_version: "$Default".into(),
        subnets: ids.into_iter().zip(zones).take(2).map(|(id, zone)| Subnet { zone, id }).collect(),
        types: vec!["m5.large".into(), "m6i.large".into()],
        attributes: None,
        allocation: Allocation::PriceCapacityOptimized,
        capacity: Capacity::SpotThenOnDemand,
        max_price: Some("0.5".into()),
    }
}

const SETS: [&str; 7] = ["tagged", "again", "here", "there", "ending", "twice", "racing"];

async fn machines_of(emulator: &Emulator, set: &Ec2Set) -> Ec2Machines {
    let session = Session::with_key(emulator.url(), "us-east-1", "tester").await;
    let sets: BTreeMap<ScaleSetName, Ec2Set> =
        SETS.iter().map(|name| (ScaleSetName::parse(name).unwrap(), set.clone())).collect();
    Ec2Machines::new(&session, sets)
}

fn request(set: &Ec2Set, batch: &str, count: usize, pool: usize) -> LaunchRequest {
    let batch = Batch {
        id: BatchId::parse(batch).unwrap(),
        set: ScaleSetName::parse("here").unwrap(),
        pool: set.fallback_order(Duration::ZERO).unwrap().pools.remove(pool),
        runners: (0..count).map(|n| RunnerName::parse(&format!("here-p-{n}")).unwrap()).collect(),
        stored_at: Timestamp::from_secs(1),
        hard_end_at: Timestamp::from_secs(2),
        settled: false,
        record_version: RecordVersion::CURRENT,
    };
    LaunchRequest { batch, control_plane: ControlPlaneId::parse("plane1").unwrap() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_on_ec2_keep_their_contract_on_both_markets() {
    if skip_unless_available("the contract of machines on EC2") {
        return;
    }
    let original = Emulator::start().unwrap();
    let set = account(&original);
    for pool in set.fallback_order(Duration::ZERO).unwrap().pools {
        let emulator = original.copy().unwrap();
        let ec2 = machines_of(&emulator, &set).await;
        machines(&MachinesWorld { machines: &ec2, pool, now: SystemClock.now() }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ec2_refuses_is_a_question_and_launches_nothing() {
    if skip_unless_available("the errors of EC2") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let set = account(&emulator);
    let ec2 = machines_of(&emulator, &set).await;
    let refused = async |code: &str, batch: &str| {
        emulator.inject(&[Fault::error("CreateFleet", code, 400)]).unwrap();
        ec2.launch(&request(&set, batch, 2, 0)).await.unwrap_err()
    };
    assert!(matches!(refused("InsufficientInstanceCapacity", "a1").await, MachinesError::NoCapacity { .. }));
    assert!(matches!(refused("VcpuLimitExceeded", "a2").await, MachinesError::Quota { .. }));
    assert!(matches!(refused("InvalidParameterValue", "a3").await, MachinesError::BadRequest { .. }));
    assert!(matches!(refused("UnauthorizedOperation", "a4").await, MachinesError::BadRequest { .. }));
    assert!(matches!(refused("MaxFleetCountExceeded", "a6").await, MachinesError::Quota { .. }));
    assert!(matches!(refused("Unsupported", "a7").await, MachinesError::NoCapacity { .. }));
    emulator.inject(&[Fault::error("CreateFleet", "RequestLimitExceeded", 503).times(3)]).unwrap();
    let throttled = ec2.launch(&request(&set, "a5", 2, 0)).await.unwrap_err();
    assert!(matches!(throttled, MachinesError::Throttled { .. }), "{throttled:?}");
    let control_plane = ControlPlaneId::parse("plane1").unwrap();
    assert!(ec2.list(&ScaleSetName::parse("here").unwrap(), &control_plane).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_call_launches_a_batch_once_whatever_becomes_of_the_answer() {
    if skip_unless_available("lost answers of EC2") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let set = account(&emulator);
    let ec2 = machines_of(&emulator, &set).await;
    let here = ScaleSetName::parse("here").unwrap();
    let control_plane = ControlPlaneId::parse("plane1").unwrap();
    emulator.forget_calls().unwrap();
    assert_eq!(ec2.launch(&request(&set, "b1", 90, 0)).await.unwrap().len(), 90);
    assert_eq!(emulator.calls().unwrap().get("tester ec2:CreateFleet"), Some(&1), "one call for all");
    // The effect happens and the answer is lost, more often than the SDK tries: the same call later finds the same machines.
    emulator.inject(&[Fault::lost_answer("CreateFleet").times(3)]).unwrap();
    let lost = ec2.launch(&request(&set, "b2", 5, 0)).await.unwrap_err();
    assert!(matches!(lost, MachinesError::Failed { .. }), "{lost:?}");
    assert_eq!(ec2.launch(&request(&set, "b2", 5, 0)).await.unwrap().len(), 5);
    assert_eq!(ec2.list(&here, &control_plane).await.unwrap().len(), 95, "none was launched twice");
    // A fleet that is only partly filled is a success with fewer machines.
    emulator.inject(&[Fault::partial_fleet(2)]).unwrap();
    assert_eq!(ec2.launch(&request(&set, "b3", 5, 1)).await.unwrap().len(), 2);
    // Ending five hundred takes a call, not five hundred; unknown ones do not keep the others alive.
    let mut all: Vec<MachineId> =
        ec2.list(&here, &control_plane).await.unwrap().into_iter().map(|one| one.id).collect();
    all.push(MachineId::parse("i-0123456789abcdef0").unwrap());
    emulator.forget_calls().unwrap();
    ec2.terminate(&all).await.unwrap();
    assert_eq!(
        emulator.calls().unwrap().get("tester ec2:TerminateInstances"),
        Some(&2),
        "one more without the unknown"
    );
    let left = ec2.list(&here, &control_plane).await.unwrap();
    assert!(left.iter().all(|one| one.state == runnersmith_types::MachineState::Ended), "{left:?}");
}

/// A second subnet in the zone of the set's first.
fn second_subnet(emulator: &Emulator, set: &mut Ec2Set) {
    let subnets = emulator.query("ec2", "DescribeSubnets", &[]).unwrap();
    let (network, zone) = (between(&subnets, "vpcId").remove(0), set.subnets[0].zone.clone());
    let second = [("VpcId", network.as_str()), ("CidrBlock", "172.31.240.0/24"), ("AvailabilityZone", zone.as_str())];
    let id = between(&emulator.query("ec2", "CreateSubnet", &second).unwrap(), "subnetId").remove(0);
    set.subnets.push(Subnet { zone, id });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_subnets_in_a_zone_are_launched_in_and_take_turns() {
    if skip_unless_available("two subnets in a zone") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let mut set = account(&emulator);
    second_subnet(&emulator, &mut set);
    // One zone, so that each launch shows the turn.
    set.subnets.remove(1);
    let ec2 = machines_of(&emulator, &set).await;
    for n in 0..6 {
        assert_eq!(ec2.launch(&request(&set, &format!("turn-{n}"), 1, n % 2)).await.unwrap().len(), 1);
    }
    let listed = emulator.query("ec2", "DescribeInstances", &[]).unwrap();
    for subnet in &set.subnets {
        assert!(listed.contains(&subnet.id), "none is in {}: {listed}", subnet.id);
    }
}

/// A subnet with eleven addresses, in the zone of the set's first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_subnet_is_no_lack_of_capacity_while_another_of_its_zone_has_room() {
    if skip_unless_available("full subnets") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let mut set = account(&emulator);
    let subnets = emulator.query("ec2", "DescribeSubnets", &[]).unwrap();
    let (network, zone) = (between(&subnets, "vpcId").remove(0), set.subnets[0].zone.clone());
    let subnet = |block: &str| {
        let small = [("VpcId", network.as_str()), ("CidrBlock", block), ("AvailabilityZone", zone.as_str())];
        Subnet {
            zone: zone.clone(),
            id: between(&emulator.query("ec2", "CreateSubnet", &small).unwrap(), "subnetId").remove(0),
        }
    };
    set.subnets = vec![subnet("172.31.240.0/28"), subnet("172.31.241.0/28")];
    let ec2 = machines_of(&emulator, &set).await;
    // Two of them fit in each subnet, whose turn it is or not.
    for n in 0..4 {
        let launched = ec2.launch(&request(&set, &format!("full-{n}"), 4, 1)).await;
        assert_eq!(launched.unwrap().len(), 4, "{n}");
    }
    // The same batch is the same calls, and launches nothing twice.
    assert_eq!(ec2.launch(&request(&set, "full-3", 4, 1)).await.unwrap().len(), 4);
    let here = ScaleSetName::parse("here").unwrap();
    let control_plane = request(&set, "full-0", 1, 1).control_plane;
    assert_eq!(ec2.list(&here, &control_plane).await.unwrap().len(), 16);
    let full = ec2.launch(&request(&set, "full-4", 4, 1)).await.unwrap_err();
    assert!(matches!(full, MachinesError::NoCapacity { .. }), "{full:?}");
    assert_eq!(ec2.launch(&request(&set, "full-5", 3, 1)).await.unwrap().len(), 3, "there is room for three");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_choice_by_attributes_in_six_zones_is_two_capacity_pools_that_ec2_takes() {
    if skip_unless_available("choices by attributes") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let mut set = account(&emulator);
    let subnets = emulator.query("ec2", "DescribeSubnets", &[]).unwrap();
    let (ids, zones) = (between(&subnets, "subnetId"), between(&subnets, "availabilityZone"));
    set.subnets = ids.into_iter().zip(zones).take(6).map(|(id, zone)| Subnet { zone, id }).collect();
    set.types = Vec::new();
    set.attributes = Some(runnersmith_types::ec2::Attributes {
        vcpus_min: 2,
        vcpus_max: None,
        memory_mib_min: 4_096,
        memory_mib_max: None,
    });
    let ec2 = machines_of(&emulator, &set).await;
    assert_eq!(set.fallback_order(Duration::ZERO).unwrap().pools.len(), 4, "two on each market");
    for pool in 0..4 {
        assert_eq!(ec2.launch(&request(&set, &format!("by-{pool}"), 1, pool)).await.unwrap().len(), 1, "{pool}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_ec2_could_not_start_says_why_in_ec2s_words() {
    if skip_unless_available("machines that cannot start") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let mut set = account(&emulator);
    let images = emulator.query("ec2", "DescribeImages", &[("Owner.1", "amazon")]).unwrap();
    let image = between(&images, "imageId").remove(0);
    let key = emulator.json("kms", "TrentService.CreateKey", &serde_json::json!({})).unwrap();
    let template = [
        ("LaunchTemplateId", set.launch_template.as_str()),
        ("LaunchTemplateData.ImageId", image.as_str()),
        ("LaunchTemplateData.InstanceType", "t3.micro"),
        ("LaunchTemplateData.BlockDeviceMapping.1.DeviceName", "/dev/xvda"),
        ("LaunchTemplateData.BlockDeviceMapping.1.Ebs.KmsKeyId", key["KeyMetadata"]["Arn"].as_str().unwrap()),
    ];
    emulator.query("ec2", "CreateLaunchTemplateVersion", &template).unwrap();
    set.template_version = "2".into();
    // A role that may all of EC2, and nothing with the key.
    let trust = r#"{"Version":"2012-10-17","Statement":[]}"#;
    emulator.query("iam", "CreateRole", &[("RoleName", "launches"), ("AssumeRolePolicyDocument", trust)]).unwrap();
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:*","Resource":"*"}]}"#;
    let policy = [("RoleName", "launches"), ("PolicyName", "own"), ("PolicyDocument", policy)];
    emulator.query("iam", "PutRolePolicy", &policy).unwrap();
    let role = [("RoleArn", "arn:aws:iam::123456789012:role/launches"), ("RoleSessionName", "test")];
    let assumed = emulator.query("sts", "AssumeRole", &role).unwrap();
    let part = |tag| between(&assumed, tag).remove(0);
    emulator.enforce_policies().unwrap();
    let session = Session::with_token(emulator.url(), "us-east-1", &part("AccessKeyId"), &part("SessionToken")).await;
    let here = ScaleSetName::parse("here").unwrap();
    let ec2 = Ec2Machines::new(&session, BTreeMap::from([(here.clone(), set.clone())]));
    let request = request(&set, "k1", 1, 0);
    assert_eq!(ec2.launch(&request).await.unwrap().len(), 1, "the launch itself succeeds");
    let listed = ec2.list(&here, &request.control_plane).await.unwrap();
    let [machine] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!(machine.state, runnersmith_types::MachineState::Ended);
    let Some(runnersmith_types::MachineStatus::Ended(why)) = &machine.status else { panic!("{machine:?}") };
    assert!(why.starts_with("failed at launch: Client.InternalError: Client error on launch"), "{why}");
    assert!(why.contains("KMS key"), "{why}");
}

/// A new image needs neither an apply nor a new version of the template.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_a_parameter_names_is_read_at_each_launch() {
    if skip_unless_available("images by parameter") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let mut set = account(&emulator);
    let images = between(&emulator.query("ec2", "DescribeImages", &[("Owner.1", "amazon")]).unwrap(), "imageId");
    let put = |image: &str| {
        let parameter =
            serde_json::json!({ "Name": "/images/runner", "Value": image, "Type": "String", "Overwrite": true });
        emulator.json("ssm", "AmazonSSM.PutParameter", &parameter).unwrap();
    };
    let template = [
        ("LaunchTemplateName", "by-parameter"),
        ("LaunchTemplateData.ImageId", "resolve:ssm:/images/runner"),
        ("LaunchTemplateData.InstanceType", "t3.micro"),
    ];
    let template = emulator.query("ec2", "CreateLaunchTemplate", &template).unwrap();
    set.launch_template = between(&template, "launchTemplateId").remove(0);
    let ec2 = machines_of(&emulator, &set).await;
    for (n, image) in images.iter().take(2).enumerate() {
        put(image);
        for pool in 0..2 {
            let machine = ec2.launch(&request(&set, &format!("image-{n}-{pool}"), 1, pool)).await.unwrap().remove(0);
            let found = emulator.query("ec2", "DescribeInstances", &[("InstanceId.1", machine.as_str())]).unwrap();
            assert_eq!(between(&found, "imageId"), std::slice::from_ref(image), "{n} {pool}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interruption_is_read_from_the_machine() {
    if skip_unless_available("interruptions on EC2") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let set = account(&emulator);
    let ec2 = machines_of(&emulator, &set).await;
    let machine = ec2.launch(&request(&set, "c1", 1, 0)).await.unwrap().remove(0);
    let at = Timestamp::from_millis(1_800_000_000_123);
    let (here, ours) = (ScaleSetName::parse("here").unwrap(), request(&set, "c1", 1, 0).control_plane);
    let event = |machine: &MachineId, taken_back_at| MachineEvent { machine: machine.clone(), taken_back_at };
    let unknown = MachineId::parse("i-0123456789abcdef0").unwrap();
    let events = [event(&machine, Some(at)), event(&unknown, Some(at)), event(&machine, None)];
    let others = ControlPlaneId::parse("another").unwrap();
    assert!(ec2.reported(&events, &others).await.unwrap().is_empty(), "another control plane's");
    assert_eq!(ec2.list(&here, &ours).await.unwrap()[0].interrupted_at, None);
    emulator.forget_calls().unwrap();
    assert_eq!(ec2.reported(&events, &ours).await.unwrap(), [here.clone()].into());
    let calls = emulator.calls().unwrap();
    let of = |action: &str| calls.get(&format!("tester ec2:{action}")).copied();
    assert_eq!((of("DescribeInstances"), of("CreateTags")), (Some(1), Some(1)), "one look for all");
    assert_eq!(ec2.list(&here, &ours).await.unwrap()[0].interrupted_at, Some(at));
    // One that has ended since is still the set's matter.
    ec2.terminate(std::slice::from_ref(&machine)).await.unwrap();
    assert_eq!(ec2.reported(&[event(&machine, Some(at))], &ours).await.unwrap(), [here].into());
    assert!(ec2.reported(&[], &ours).await.unwrap().is_empty());
}

/// The template as Terraform renders it, with a value for each variable.
fn rendered() -> String {
    let template = include_str!("../user-data/user-data.sh.tftpl").replace("$${", "\u{1}");
    let mut parts = template.split("${");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str("value");
        text.push_str(part.split_once('}').map_or("", |(_, rest)| rest));
    }
    text.replace('\u{1}', "${")
}

#[test]
fn the_user_data_is_small_and_clean() {
    let script = rendered();
    assert!(script.len() < 14 * 1024, "EC2 takes 16 KB with the user's own snippets; this has {}", script.len());
    let beside =
        runnersmith_aws_emulator::find::python().ok().and_then(|python| Some(python.parent()?.join("shellcheck")));
    let program = beside.filter(|program| program.exists()).unwrap_or_else(|| "shellcheck".into());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script).unwrap();
    match std::process::Command::new(program).args(["--shell", "bash"]).arg(file.path()).output() {
        Ok(checked) => assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout)),
        Err(error) => runnersmith_aws_emulator::find::skip("the user data by shellcheck", &error.to_string()),
    }
}
