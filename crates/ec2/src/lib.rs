//! Machines on EC2: one call for N of them, spot first, and what a machine says of itself by its tags.
//!
//! It is a crate of its own because the EC2 SDK takes longer to build than everything else together; nothing but the
//! shells depends on it. It decides nothing: which types, zones and market a call names stands in the capacity pool.

mod fleet;
mod limits;
mod list;
pub mod tags;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_ec2::Client;
use runnersmith_aws::{AwsFailure, AwsFailureKind, Session};
use runnersmith_ports::{LaunchRequest, MachineEvent, Machines, MachinesError};
use runnersmith_types::{ControlPlaneId, Ec2Set, Machine, MachineId, ScaleSetName, Timestamp};

pub use limits::CALL_TIMEOUT;
use limits::REPORT_TIMEOUT;

/// What this crate may call.
pub const OPERATIONS: [&str; 5] =
    ["ec2:CreateFleet", "ec2:RunInstances", "ec2:DescribeInstances", "ec2:TerminateInstances", "ec2:CreateTags"];
/// Machines in one terminate call; EC2 advises against more than a thousand.
const TERMINATED_AT_ONCE: usize = 500;
/// Machines in one look for those that are ours; EC2 takes 200 values of a filter.
const REPORTED_AT_ONCE: usize = 100;

/// Machines on EC2, for these sets.
pub struct Ec2Machines {
    client: Client,
    sets: BTreeMap<ScaleSetName, Ec2Set>,
}

impl Ec2Machines {
    /// Machines for these sets.
    #[must_use]
    pub fn new(session: &Session, sets: BTreeMap<ScaleSetName, Ec2Set>) -> Self {
        let timeouts = limits::timeouts(limits::ATTEMPT_TIMEOUT);
        let config = aws_sdk_ec2::config::Builder::from(session.config()).timeout_config(timeouts).build();
        Self { client: Client::from_conf(config), sets }
    }

    /// Records that a machine will be taken back, where every list reads it. One that is gone meanwhile needs no record.
    async fn warn(&self, machine: &MachineId, at: Timestamp) -> Result<(), AwsFailure> {
        let tag = tags::tag(tags::INTERRUPTED_AT, &at.as_millis().to_string());
        match self.client.create_tags().resources(machine.as_str()).tags(tag).send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let failure = AwsFailure::new("ec2", "CreateTags", &error);
                if failure.kind() == AwsFailureKind::NotFound { Ok(()) } else { Err(failure) }
            }
        }
    }

    async fn end(&self, mut ids: Vec<String>) -> Result<(), MachinesError> {
        // Each repetition leaves out at least one that EC2 does not know, so it ends.
        while !ids.is_empty() {
            let call = self.client.terminate_instances().set_instance_ids(Some(ids.clone()));
            let Err(error) = call.send().await else { return Ok(()) };
            let failure = AwsFailure::new("ec2", "TerminateInstances", &error);
            let before = ids.len();
            if failure.kind() == AwsFailureKind::NotFound || failure.code.contains("Malformed") {
                let text = failure.to_string();
                ids.retain(|id| !text.contains(id.as_str()));
            }
            if ids.len() == before {
                return Err(folded("terminate", failure, None));
            }
        }
        Ok(())
    }
}

/// An error as a question.
fn folded(
    operation: &'static str,
    failure: AwsFailure,
    pool: Option<&runnersmith_types::CapacityPool>,
) -> MachinesError {
    match (fleet::asks_with(&failure.code, &failure.to_string()), pool) {
        (fleet::Asks::Throttled, _) => MachinesError::Throttled { operation },
        (fleet::Asks::Capacity, Some(pool)) => MachinesError::NoCapacity { operation, pool: pool.clone() },
        (fleet::Asks::Quota, _) => MachinesError::Quota { operation, what: failure.to_string() },
        (fleet::Asks::Request, _) => MachinesError::BadRequest { operation, what: failure.to_string() },
        (fleet::Asks::Capacity, None) | (fleet::Asks::Other, _) => {
            MachinesError::Failed { operation, source: failure.into() }
        }
    }
}

#[async_trait]
impl Machines for Ec2Machines {
    async fn launch(&self, request: &LaunchRequest) -> Result<Vec<MachineId>, MachinesError> {
        let Some(set) = self.sets.get(&request.batch.set) else {
            let what = format!("{} has no ec2 section", request.batch.set);
            return Err(MachinesError::BadRequest { operation: "launch", what });
        };
        fleet::launch(&self.client, set, request).await
    }

    async fn list(&self, set: &ScaleSetName, control_plane: &ControlPlaneId) -> Result<Vec<Machine>, MachinesError> {
        list::list(&self.client, set, control_plane).await.map_err(|failure| folded("list", failure, None))
    }

    async fn sets(&self, control_plane: &ControlPlaneId) -> Result<BTreeSet<ScaleSetName>, MachinesError> {
        list::sets(&self.client, control_plane).await.map_err(|failure| folded("sets", failure, None))
    }

    async fn reported(
        &self,
        events: &[MachineEvent],
        control_plane: &ControlPlaneId,
    ) -> Result<BTreeSet<ScaleSetName>, MachinesError> {
        let all = async {
            let mut sets = BTreeSet::new();
            // EC2 reports every machine of the account: one call asks which of them are ours.
            for events in events.chunks(REPORTED_AT_ONCE) {
                let ids = events.iter().map(|event| &event.machine);
                let ours = list::named(&self.client, ids, control_plane).await;
                for machine in ours.map_err(|failure| folded("reported", failure, None))? {
                    for at in events
                        .iter()
                        .filter(|event| event.machine == machine.id)
                        .filter_map(|event| event.taken_back_at)
                    {
                        self.warn(&machine.id, at).await.map_err(|failure| folded("reported", failure, None))?;
                    }
                    sets.insert(machine.set);
                }
            }
            Ok(sets)
        };
        let slow = |_| Err(folded("reported", AwsFailure::too_slow("ec2", "DescribeInstances", REPORT_TIMEOUT), None));
        tokio::time::timeout(REPORT_TIMEOUT, all).await.unwrap_or_else(slow)
    }

    async fn terminate(&self, ids: &[MachineId]) -> Result<(), MachinesError> {
        for chunk in ids.chunks(TERMINATED_AT_ONCE) {
            self.end(chunk.iter().map(ToString::to_string).collect()).await?;
        }
        Ok(())
    }

    async fn wait(&self, timeout: Duration) {
        // EC2 reports changes by EventBridge only; here the next look is at the timeout.
        tokio::time::sleep(timeout).await;
    }
}
