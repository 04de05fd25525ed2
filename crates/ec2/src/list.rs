//! What there is, by tag.

use std::collections::BTreeSet;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, Instance, InstanceStateName};
use runnersmith_aws::AwsFailure;
use runnersmith_types::{
    BatchId, ControlPlaneId, Machine, MachineId, MachineState, MachineStatus, ScaleSetName, Timestamp,
};

use crate::limits::CALL_TIMEOUT;
use crate::tags;

const OPERATION: &str = "DescribeInstances";
/// EC2 gives at most 1,000 in a page.
const PAGE: i32 = 1000;

/// The machines of a set, the ended ones included for as long as EC2 lists them (about an hour).
pub(crate) async fn list(
    client: &Client,
    set: &ScaleSetName,
    control_plane: &ControlPlaneId,
) -> Result<Vec<Machine>, AwsFailure> {
    filtered(client, vec![of_tag(tags::SET, set.as_str()), of_tag(tags::CONTROL_PLANE, control_plane.as_str())]).await
}

/// The sets that have machines which have not ended.
pub(crate) async fn sets(
    client: &Client,
    control_plane: &ControlPlaneId,
) -> Result<BTreeSet<ScaleSetName>, AwsFailure> {
    let machines = filtered(client, vec![of_tag(tags::CONTROL_PLANE, control_plane.as_str())]).await?.into_iter();
    Ok(machines.filter(|machine| machine.state != MachineState::Ended).map(|machine| machine.set).collect())
}

/// Those of these machines that are the control plane's. Unknown ones are no error to a filter.
pub(crate) async fn named(
    client: &Client,
    machines: impl Iterator<Item = &MachineId>,
    control_plane: &ControlPlaneId,
) -> Result<Vec<Machine>, AwsFailure> {
    let ids = machines.map(ToString::to_string).collect();
    let ids = Filter::builder().name("instance-id").set_values(Some(ids)).build();
    filtered(client, vec![ids, of_tag(tags::CONTROL_PLANE, control_plane.as_str())]).await
}

fn of_tag(name: &str, value: &str) -> Filter {
    Filter::builder().name(format!("tag:{name}")).values(value).build()
}

async fn filtered(client: &Client, filters: Vec<Filter>) -> Result<Vec<Machine>, AwsFailure> {
    let mut pages = client.describe_instances().set_filters(Some(filters)).max_results(PAGE).into_paginator().send();
    let all = async {
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| AwsFailure::new("ec2", OPERATION, &error))?;
            let instances = page.reservations.unwrap_or_default().into_iter();
            found.extend(instances.flat_map(|one| one.instances.unwrap_or_default()).filter_map(|one| machine(&one)));
        }
        Ok(found)
    };
    let slow = |_| Err(AwsFailure::too_slow("ec2", OPERATION, CALL_TIMEOUT));
    let mut found = tokio::time::timeout(CALL_TIMEOUT, all).await.unwrap_or_else(slow)?;
    found.sort_by(|a: &Machine, b| a.id.cmp(&b.id));
    Ok(found)
}

/// Why a machine ended that never ran, in EC2's words (EC2 User Guide, "Instance terminates immediately"). It could say nothing itself.
fn could_not_start(instance: &Instance) -> Option<MachineStatus> {
    const AT_LAUNCH: [&str; 5] = [
        "Client.InternalError",
        "Client.InvalidSnapshot.NotFound",
        "Client.VolumeLimitExceeded",
        "Server.InsufficientInstanceCapacity",
        "Server.InternalError",
    ];
    let reason = instance.state_reason.as_ref()?;
    let code = reason.code.as_deref().filter(|code| AT_LAUNCH.contains(code))?;
    let text = reason.message.as_deref().filter(|text| !text.is_empty()).unwrap_or(code);
    let hint = match code {
        "Client.InternalError" => "; hint: often the KMS key of an encrypted disk or image, see disk_kms_key_arns",
        _ => "",
    };
    Some(MachineStatus::Ended(format!("failed at launch: {text}{hint}")))
}

/// A machine of ours, by its tags; another's has none of them.
pub(crate) fn machine(instance: &Instance) -> Option<Machine> {
    let tag = |key: &str| {
        let tags = instance.tags.as_deref().unwrap_or_default();
        tags.iter().find(|tag| tag.key.as_deref() == Some(key)).and_then(|tag| tag.value.as_deref())
    };
    let millis = |key: &str| tag(key).and_then(|text| text.parse().ok()).map(Timestamp::from_millis);
    let state = match instance.state.as_ref().and_then(|state| state.name.as_ref()) {
        Some(InstanceStateName::Pending) | None => MachineState::Pending,
        Some(InstanceStateName::Running) => MachineState::Running,
        // A machine that was stopped by hand does not work and is not seen again: its disk is all that is left.
        Some(_) => MachineState::Ended,
    };
    // What it said itself counts more: a machine that ran a job and then broke is no launch that failed.
    let status = tag(tags::STATUS).and_then(tags::read_status).or_else(|| could_not_start(instance));
    Some(Machine {
        id: MachineId::parse(instance.instance_id.as_deref()?).ok()?,
        set: ScaleSetName::parse(tag(tags::SET)?).ok()?,
        control_plane: ControlPlaneId::parse(tag(tags::CONTROL_PLANE)?).ok()?,
        batch: BatchId::parse(tag(tags::BATCH)?).ok()?,
        state,
        status,
        launched_at: Timestamp::from_millis(
            instance.launch_time.and_then(|time| time.to_millis().ok()).unwrap_or_default(),
        ),
        pool: tags::read_pool(tag(tags::POOL)?)?,
        interrupted_at: millis(tags::INTERRUPTED_AT),
    })
}
