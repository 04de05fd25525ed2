//! One launch call: an instant fleet of one batch on one capacity pool.
//!
//! CreateFleet, because one call tries every type and zone of the capacity pool. It allows only a few requests a second, so a
//! batch is one call. Its client token is the batch's id: the same batch launches once, however often it is asked for.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::Builder;
use aws_sdk_ec2::types::{
    DefaultTargetCapacityType, FleetLaunchTemplateConfigRequest, FleetLaunchTemplateOverridesRequest,
    FleetLaunchTemplateSpecificationRequest, FleetOnDemandAllocationStrategy, FleetType, InstanceRequirementsRequest,
    MemoryMiBRequest, OnDemandOptionsRequest, ResourceType, SpotAllocationStrategy, SpotOptionsRequest,
    TagSpecification, TargetCapacitySpecificationRequest, VCpuCountRangeRequest,
};
use runnersmith_aws::AwsFailure;
use runnersmith_ports::{LaunchRequest, MachinesError};
use runnersmith_types::ec2::{Allocation, BY_ATTRIBUTES};
use runnersmith_types::{CapacityPool, Ec2Set, MachineId, Market};

use crate::limits::{CALL_TIMEOUT, timeouts};
use crate::{folded, tags};

const OPERATION: &str = "launch";

/// What an error asks of us. One code stands for two things, so that its text counts too: a fleet whose type is not to be had in a zone is
/// `InvalidFleetConfiguration` with EC2's sentence for it.
pub(crate) fn asks_with(code: &str, message: &str) -> Asks {
    let elsewhere = "not supported in your requested Availability Zone";
    if code.starts_with("InvalidFleetConfig") && message.contains(elsewhere) { Asks::Capacity } else { asks(code) }
}

/// What an error code asks of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// Another capacity pool.
    Capacity,
    /// Patience.
    Throttled,
    /// A person who raises a limit.
    Quota,
    /// A person who fixes the configuration.
    Request,
    /// The same call again.
    Other,
}

/// EC2's codes, from its API reference ("Error codes for the Amazon EC2 API") and CreateFleet's own.
pub(crate) fn asks(code: &str) -> Asks {
    const CAPACITY: [&str; 9] = [
        "InsufficientInstanceCapacity",
        "InsufficientHostCapacity",
        "InsufficientReservedInstanceCapacity",
        "InsufficientCapacity",
        "UnfulfillableCapacity",
        "SpotMaxPriceTooLow",
        NO_ADDRESS,
        // A type that the zone does not have (karpenter-provider-aws counts it as unfulfillable capacity of that pool).
        "Unsupported",
        "ReservationCapacityExceeded",
    ];
    const QUOTA: [&str; 11] = [
        "VcpuLimitExceeded",
        "InstanceLimitExceeded",
        "MaxSpotInstanceCountExceeded",
        // "You've reached your quota for maximum Fleet Requests for this account" (runs-on #88): no pool has less of it than another.
        "MaxFleetCountExceeded",
        "MaxSpotFleetRequestCountExceeded",
        "VolumeLimitExceeded",
        "MaxIOPSLimitExceeded",
        "PendingVerification",
        "TargetCapacityLimitExceededException",
        "ResourceLimitExceeded",
        "NetworkInterfaceLimitExceeded",
    ];
    const THROTTLED: [&str; 4] = ["RequestLimitExceeded", "Throttling", "ThrottlingException", "EC2ThrottledException"];
    const REQUEST: [&str; 10] = [
        "Invalid",
        "Missing",
        // The code itself is of a pool; what begins with it (UnsupportedOperation) is of the call.
        "UnsupportedOperation",
        "UnsupportedProtocol",
        "Malformed",
        "UnauthorizedOperation",
        "AccessDenied",
        "AuthFailure",
        "OptInRequired",
        "UnknownParameter",
    ];
    if CAPACITY.contains(&code) {
        Asks::Capacity
    } else if THROTTLED.contains(&code) {
        Asks::Throttled
    } else if QUOTA.contains(&code) {
        Asks::Quota
    } else if REQUEST.iter().any(|start| code.starts_with(start)) {
        Asks::Request
    } else {
        Asks::Other
    }
}

/// A subnet has no address left for another machine.
const NO_ADDRESS: &str = "InsufficientFreeAddressesInSubnet";

/// Why a call launched nothing.
struct Refused {
    error: MachinesError,
    /// A full subnet is among the reasons: the next one of its zone may have room.
    is_full: bool,
}

impl Refused {
    fn bad(what: String) -> Self {
        Self { error: bad(what), is_full: false }
    }
}

/// Launches a batch. While a subnet is among the reasons why nothing was launched, the next call names the next subnets of the zones: a
/// full subnet says nothing of a pool's capacity. Such a call has a token of its own, made from the batch, so that all of them are the same
/// when the batch is asked for again.
pub(crate) async fn launch(
    client: &Client,
    set: &Ec2Set,
    request: &LaunchRequest,
) -> Result<Vec<MachineId>, MachinesError> {
    let turns = set.turns(&request.batch.pool);
    let mut call = 0;
    loop {
        match create(client, set, request, call).await {
            Ok(ids) => return Ok(ids),
            Err(Refused { is_full: true, .. }) if call + 1 < turns => {
                call += 1;
                tracing::warn!(batch = %request.batch.id, pool = %request.batch.pool, call, "a subnet has no free address; the next one of its zone is tried");
            }
            Err(Refused { error, .. }) => return Err(error),
        }
    }
}

/// Makes one call. At least one machine, or why not.
async fn create(
    client: &Client,
    set: &Ec2Set,
    request: &LaunchRequest,
    call: usize,
) -> Result<Vec<MachineId>, Refused> {
    let pool = &request.batch.pool;
    let wanted = i32::try_from(request.batch.runners.len()).unwrap_or(i32::MAX);
    let (spot, on_demand) = match pool.market {
        Market::Spot => (wanted, 0),
        Market::OnDemand => (0, wanted),
        Market::Local => return Err(Refused::bad(format!("{pool} is not on EC2"))),
    };
    let default = if spot > 0 { DefaultTargetCapacityType::Spot } else { DefaultTargetCapacityType::OnDemand };
    let capacity = TargetCapacitySpecificationRequest::builder()
        .total_target_capacity(wanted)
        .spot_target_capacity(spot)
        .on_demand_target_capacity(on_demand)
        .default_target_capacity_type(default)
        .build();
    let id = &request.batch.id;
    let answer = client
        .create_fleet()
        .r#type(FleetType::Instant)
        .client_token(if call == 0 { id.to_string() } else { format!("{id}-{call}") })
        .target_capacity_specification(capacity)
        .spot_options(SpotOptionsRequest::builder().allocation_strategy(spot_strategy(set.allocation)).build())
        .on_demand_options(
            OnDemandOptionsRequest::builder().allocation_strategy(on_demand_strategy(set.allocation)).build(),
        )
        .launch_template_configs(template(set, request, call).map_err(|error| Refused { error, is_full: false })?)
        .tag_specifications(labels(request))
        .customize()
        .config_override(Builder::new().timeout_config(timeouts(CALL_TIMEOUT)))
        .send()
        .await
        .map_err(|error| {
            let failure = AwsFailure::new("ec2", "CreateFleet", &error);
            let is_full = failure.code == NO_ADDRESS;
            Refused { error: folded(OPERATION, failure, Some(pool)), is_full }
        })?;
    let instances = answer.instances.unwrap_or_default().into_iter();
    let mut ids: Vec<MachineId> = instances
        .flat_map(|one| one.instance_ids.unwrap_or_default())
        .filter_map(|id| MachineId::parse(&id).ok())
        .collect();
    ids.sort();
    ids.dedup();
    let errors = answer.errors.unwrap_or_default();
    if !errors.is_empty() {
        let codes: Vec<&str> = errors.iter().filter_map(|error| error.error_code.as_deref()).collect();
        tracing::warn!(batch = %request.batch.id, launched = ids.len(), wanted, codes = ?codes, "a fleet has fewer machines");
    }
    if !ids.is_empty() {
        return Ok(ids);
    }
    // Nothing was launched. The most severe of the reasons is reported: a person's work before patience before another capacity pool.
    let most_severe = errors
        .iter()
        .map(|error| {
            let code = error.error_code.as_deref().unwrap_or("UnfulfillableCapacity");
            let message = error.error_message.as_deref().unwrap_or("");
            (rank(asks_with(code, message)), code, message)
        })
        .max();
    let (_, code, message) = most_severe.unwrap_or((0, "UnfulfillableCapacity", "the fleet is empty"));
    let is_full = errors.iter().any(|error| error.error_code.as_deref() == Some(NO_ADDRESS));
    Err(Refused { error: without_machines(pool, code, message), is_full })
}

/// What an answer without any machine means, by the most severe of its errors.
fn without_machines(pool: &CapacityPool, code: &str, message: &str) -> MachinesError {
    let what = format!("{code}: {message}");
    match asks_with(code, message) {
        Asks::Capacity | Asks::Other => MachinesError::NoCapacity { operation: OPERATION, pool: pool.clone() },
        // The call itself was answered, so its token is spent: EC2 answers the same nothing to it from now on (karpenter-provider-aws
        // #8923 shows RequestLimitExceeded in an answer, runs-on #251 a token that is remembered after a fleet without machines).
        Asks::Throttled => MachinesError::NothingLaunched { operation: OPERATION, what },
        Asks::Quota => MachinesError::Quota { operation: OPERATION, what },
        Asks::Request => MachinesError::BadRequest { operation: OPERATION, what },
    }
}

const fn rank(asks: Asks) -> u8 {
    match asks {
        Asks::Request => 4,
        Asks::Quota => 3,
        Asks::Throttled => 2,
        Asks::Capacity => 1,
        Asks::Other => 0,
    }
}

fn bad(what: String) -> MachinesError {
    MachinesError::BadRequest { operation: OPERATION, what }
}

fn spot_strategy(allocation: Allocation) -> SpotAllocationStrategy {
    match allocation {
        Allocation::PriceCapacityOptimized => SpotAllocationStrategy::PriceCapacityOptimized,
        // One type and zone in a call: any strategy is the same.
        Allocation::CapacityOptimized | Allocation::Prioritized => SpotAllocationStrategy::CapacityOptimized,
        Allocation::LowestPrice => SpotAllocationStrategy::LowestPrice,
        Allocation::Diversified => SpotAllocationStrategy::Diversified,
    }
}

fn on_demand_strategy(allocation: Allocation) -> FleetOnDemandAllocationStrategy {
    match allocation {
        Allocation::Prioritized => FleetOnDemandAllocationStrategy::Prioritized,
        // On demand there is no spare capacity to be optimised for.
        Allocation::PriceCapacityOptimized
        | Allocation::CapacityOptimized
        | Allocation::LowestPrice
        | Allocation::Diversified => FleetOnDemandAllocationStrategy::LowestPrice,
    }
}

fn template(
    set: &Ec2Set,
    request: &LaunchRequest,
    call: usize,
) -> Result<FleetLaunchTemplateConfigRequest, MachinesError> {
    let specification = FleetLaunchTemplateSpecificationRequest::builder().version(&set.template_version);
    let specification = if set.launch_template.starts_with("lt-") {
        specification.launch_template_id(&set.launch_template)
    } else {
        specification.launch_template_name(&set.launch_template)
    };
    let pool = &request.batch.pool;
    let mut overrides = Vec::new();
    // A batch that was stored before a zone was taken out of the configuration is still launched elsewhere.
    for (subnet, machine_type) in set.places(pool, &request.batch.id, call) {
        let place = FleetLaunchTemplateOverridesRequest::builder().subnet_id(&subnet.id);
        let place = if machine_type == BY_ATTRIBUTES {
            place.instance_requirements(requirements(set)?)
        } else {
            place.instance_type(machine_type.into())
        };
        let price = set.max_price.clone().filter(|_| pool.market == Market::Spot);
        overrides.push(place.set_max_price(price).build());
    }
    if overrides.is_empty() {
        return Err(bad(format!("no subnet is configured for {pool}")));
    }
    Ok(FleetLaunchTemplateConfigRequest::builder()
        .launch_template_specification(specification.build())
        .set_overrides(Some(overrides))
        .build())
}

fn requirements(set: &Ec2Set) -> Result<InstanceRequirementsRequest, MachinesError> {
    let Some(attributes) = set.attributes else {
        return Err(bad("the set does not choose by attributes any more".into()));
    };
    let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let vcpus = VCpuCountRangeRequest::builder()
        .min(number(attributes.vcpus_min))
        .set_max(attributes.vcpus_max.map(number))
        .build();
    let memory = MemoryMiBRequest::builder()
        .min(number(attributes.memory_mib_min))
        .set_max(attributes.memory_mib_max.map(number))
        .build();
    Ok(InstanceRequirementsRequest::builder().v_cpu_count(vcpus).memory_mib(memory).build())
}

/// Whose they are, on the machines and on the fleet.
fn labels(request: &LaunchRequest) -> TagSpecification {
    let batch = &request.batch;
    TagSpecification::builder()
        .resource_type(ResourceType::Instance)
        .tags(tags::tag("Name", &format!("runnersmith-{}", batch.set)))
        .tags(tags::tag(tags::CONTROL_PLANE, request.control_plane.as_str()))
        .tags(tags::tag(tags::SET, batch.set.as_str()))
        .tags(tags::tag(tags::BATCH, batch.id.as_str()))
        .tags(tags::tag(tags::POOL, &tags::write_pool(&batch.pool)))
        .tags(tags::tag(tags::HARD_END_AT, &batch.hard_end_at.as_millis().to_string()))
        .build()
}

#[cfg(test)]
mod tests {
    use runnersmith_ports::MachinesError;
    use runnersmith_types::FallbackOrder;

    use super::{Asks, asks, asks_with, without_machines};

    #[test]
    fn a_throttled_fleet_without_machines_has_spent_its_token() {
        let pool = &FallbackOrder::local().pools[0];
        let of = |code| without_machines(pool, code, "why");
        assert!(
            matches!(of("RequestLimitExceeded"), MachinesError::NothingLaunched { what, .. } if what.contains("why"))
        );
        assert!(matches!(of("VcpuLimitExceeded"), MachinesError::Quota { .. }));
        assert!(matches!(of("NoSuchCodeYet"), MachinesError::NoCapacity { .. }), "nothing was launched for certain");
    }

    #[test]
    fn a_type_that_a_zone_does_not_have_is_no_fault_of_the_request() {
        let text = "Your requested instance type (m7i.large) is not supported in your requested Availability Zone (eu-west-1c).";
        let pool = &FallbackOrder::local().pools[0];
        for code in ["Unsupported", "InvalidFleetConfiguration"] {
            assert_eq!(asks_with(code, text), Asks::Capacity, "{code}");
            assert!(matches!(without_machines(pool, code, text), MachinesError::NoCapacity { .. }), "{code}");
        }
        assert_eq!(asks_with("InvalidFleetConfiguration", "The template is incomplete."), Asks::Request);
    }

    #[test]
    fn codes_are_questions() {
        for (code, question) in [
            ("InsufficientInstanceCapacity", Asks::Capacity),
            ("SpotMaxPriceTooLow", Asks::Capacity),
            ("RequestLimitExceeded", Asks::Throttled),
            ("VcpuLimitExceeded", Asks::Quota),
            ("TargetCapacityLimitExceededException", Asks::Quota),
            ("ResourceLimitExceeded", Asks::Quota),
            ("NetworkInterfaceLimitExceeded", Asks::Quota),
            ("ReservationCapacityExceeded", Asks::Capacity),
            ("MaxFleetCountExceeded", Asks::Quota),
            ("MaxSpotFleetRequestCountExceeded", Asks::Quota),
            ("Unsupported", Asks::Capacity),
            ("UnsupportedOperation", Asks::Request),
            ("InvalidFleetConfiguration", Asks::Request),
            // The same token with other parameters: whether the first call launched anything is not known from the answer.
            ("IdempotentParameterMismatch", Asks::Other),
            ("InvalidLaunchTemplateId.NotFound", Asks::Request),
            ("UnauthorizedOperation", Asks::Request),
            ("InternalError", Asks::Other),
            ("no answer", Asks::Other),
        ] {
            assert_eq!(asks(code), question, "{code}");
        }
    }
}
