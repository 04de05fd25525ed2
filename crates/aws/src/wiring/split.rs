//! Machines in two places: some sets here, some on EC2. An id says where its machine is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runnersmith_ports::{HandOff, HandOffError, LaunchRequest, MachineEvent, Machines, MachinesError, RunnerConfig};
use runnersmith_types::{ControlPlaneId, Machine, MachineId, RunnerName, RunnerScope, ScaleSetName, Timestamp};

/// EC2's ids begin so; those of processes are hashes.
fn is_on_ec2(machine: &MachineId) -> bool {
    machine.as_str().starts_with("i-")
}

/// Machines here and on EC2.
pub struct SplitMachines {
    /// Here, if there are any.
    pub here: Option<Arc<dyn Machines>>,
    /// On EC2.
    pub there: Arc<dyn Machines>,
    /// The sets whose machines are on EC2.
    pub sets: BTreeSet<ScaleSetName>,
}

impl SplitMachines {
    fn of(&self, set: &ScaleSetName, operation: &'static str) -> Result<&dyn Machines, MachinesError> {
        if self.sets.contains(set) {
            return Ok(self.there.as_ref());
        }
        let what = format!("{set} has no ec2 section, and there are no machines here");
        self.here.as_deref().ok_or(MachinesError::BadRequest { operation, what })
    }
}

#[async_trait]
impl Machines for SplitMachines {
    async fn launch(&self, request: &LaunchRequest) -> Result<Vec<MachineId>, MachinesError> {
        self.of(&request.batch.set, "launch")?.launch(request).await
    }

    async fn list(&self, set: &ScaleSetName, control_plane: &ControlPlaneId) -> Result<Vec<Machine>, MachinesError> {
        if self.sets.contains(set) {
            return self.there.list(set, control_plane).await;
        }
        // A set that no configuration puts on EC2 may have left machines there all the same.
        match &self.here {
            None => self.there.list(set, control_plane).await,
            Some(here) => {
                let mut found = here.list(set, control_plane).await?;
                found.extend(self.there.list(set, control_plane).await?);
                Ok(found)
            }
        }
    }

    async fn sets(&self, control_plane: &ControlPlaneId) -> Result<BTreeSet<ScaleSetName>, MachinesError> {
        let mut sets = self.there.sets(control_plane).await?;
        if let Some(here) = &self.here {
            sets.extend(here.sets(control_plane).await?);
        }
        Ok(sets)
    }

    async fn reported(
        &self,
        events: &[MachineEvent],
        control_plane: &ControlPlaneId,
    ) -> Result<BTreeSet<ScaleSetName>, MachinesError> {
        let (there, here): (Vec<_>, Vec<_>) = events.iter().cloned().partition(|event| is_on_ec2(&event.machine));
        let mut sets = self.there.reported(&there, control_plane).await?;
        if let Some(machines) = &self.here {
            sets.extend(machines.reported(&here, control_plane).await?);
        }
        Ok(sets)
    }

    async fn output(&self, machine: &MachineId) -> Result<Vec<String>, MachinesError> {
        match &self.here {
            Some(here) if !is_on_ec2(machine) => here.output(machine).await,
            _ => self.there.output(machine).await,
        }
    }

    async fn terminate(&self, ids: &[MachineId]) -> Result<(), MachinesError> {
        let (there, here): (Vec<MachineId>, Vec<MachineId>) = ids.iter().cloned().partition(is_on_ec2);
        // Both are tried: one place's trouble must not keep the other's machines alive.
        let ended_there = if there.is_empty() { Ok(()) } else { self.there.terminate(&there).await };
        let ended_here = match &self.here {
            Some(machines) if !here.is_empty() => machines.terminate(&here).await,
            _ => Ok(()),
        };
        ended_there.and(ended_here)
    }

    async fn wait(&self, timeout: Duration) {
        match &self.here {
            Some(here) => here.wait(timeout).await,
            None => self.there.wait(timeout).await,
        }
    }
}

/// Hand-offs here and in Parameter Store.
pub struct SplitHandOff {
    /// For machines here.
    pub here: Arc<dyn HandOff>,
    /// For machines on EC2.
    pub there: Arc<dyn HandOff>,
}

impl SplitHandOff {
    fn of(&self, machine: &MachineId) -> &dyn HandOff {
        if is_on_ec2(machine) { self.there.as_ref() } else { self.here.as_ref() }
    }
}

#[async_trait]
impl HandOff for SplitHandOff {
    async fn put(
        &self,
        machine: &MachineId,
        runner: &RunnerName,
        at: &RunnerScope,
        config: &RunnerConfig,
    ) -> Result<(), HandOffError> {
        self.of(machine).put(machine, runner, at, config).await
    }

    async fn pending(&self, machine: &MachineId) -> Result<bool, HandOffError> {
        self.of(machine).pending(machine).await
    }

    async fn waiting(&self) -> Result<Vec<(MachineId, Timestamp)>, HandOffError> {
        let mut waiting = self.here.waiting().await?;
        waiting.extend(self.there.waiting().await?);
        Ok(waiting)
    }

    async fn expire(&self, machine: &MachineId) -> Result<(), HandOffError> {
        self.of(machine).expire(machine).await
    }
}
