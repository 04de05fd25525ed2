//! A process's ways to machines and to hand-offs, with their faults; the checkers see what goes through.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runnersmith_ports::{Clock as _, HandOff, HandOffError, LaunchRequest, Machines, MachinesError, RunnerConfig};
use runnersmith_types::{
    ControlPlaneId, Label, Machine, MachineId, MachineState, RegistrationId, RunnerName, RunnerScope, ScaleSetName,
    Timestamp,
};

use crate::agenda::Event;
use crate::bugs::Bug;
use crate::checks::Rule;
use crate::github_wire::SECRET;
use crate::outside::{Handed, Outside, SimMachine};
use crate::process::Process;
use crate::time::secs;

/// A process's way to machines.
pub struct MachinesWire(Arc<Process>);

/// How a launch goes wrong.
enum LaunchFault {
    Throttled,
    NoCapacity,
    Before,
    After,
}

impl Outside {
    fn launch_fault(&mut self, request: &LaunchRequest) -> Option<LaunchFault> {
        let throttled = self.rate(|faults| faults.machines_throttled);
        if self.random.calls.happens(throttled) {
            return Some(LaunchFault::Throttled);
        }
        let set = self.options.sets.iter().find(|set| set.name == request.batch.set);
        let pool = set.and_then(|set| set.fallback_order.pools.iter().position(|pool| *pool == request.batch.pool));
        let known = self.by_batch.contains_key(&request.batch.id);
        let out = self.options.faults.no_capacity.iter().filter(|(at, _)| Some(*at) == pool);
        if !known && self.in_window(out.map(|(_, window)| window)).is_some() {
            return Some(LaunchFault::NoCapacity);
        }
        let before = self.rate(|faults| faults.launch_error_before);
        if self.random.calls.happens(before) {
            return Some(LaunchFault::Before);
        }
        let after = self.rate(|faults| faults.launch_error_after);
        self.random.calls.happens(after).then_some(LaunchFault::After)
    }

    /// Launches what a call asks for, once for each token.
    fn launches(&mut self, request: &LaunchRequest) -> Vec<MachineId> {
        let (batch, now) = (&request.batch, self.now());
        let known = self.by_batch.get(&batch.id).cloned();
        self.effect(&batch.set, format!("launch {}", batch.id), known.is_none());
        if let Some(known) = known {
            return known;
        }
        let partial = self.rate(|faults| faults.launch_partial);
        let mut count = batch.runners.len();
        if count > 0 && self.random.calls.happens(partial) {
            count = usize::try_from(self.random.calls.between(0, count as u64 - 1)).unwrap_or(0);
        }
        let mut ids: Vec<MachineId> = (0..count)
            .filter_map(|_| MachineId::parse(&format!("i-{:016x}", self.random.machines.draw())).ok())
            .collect();
        ids.sort();
        let mut names = batch.runners.clone();
        names.sort();
        let lag = if self.is_calm() { secs(0) } else { self.options.faults.machines_lag };
        for (id, runner) in ids.iter().zip(names) {
            self.checks.launched(&runner, id, now);
            self.counts.launched += 1;
            let fate = self.fate();
            self.note(format!("{id} is launched for {runner}: {fate:?}"));
            let shown = Machine {
                id: id.clone(),
                set: batch.set.clone(),
                control_plane: request.control_plane.clone(),
                batch: batch.id.clone(),
                state: MachineState::Pending,
                status: None,
                launched_at: now,
                pool: batch.pool.clone(),
                interrupted_at: None,
            };
            self.machine_begins(SimMachine {
                shown,
                visible_at: now.plus(lag),
                ended_at: None,
                hard_end_at: batch.hard_end_at,
                fate,
                hung: false,
                waits: false,
                handed: None,
                registration: None,
                job: None,
                runner,
            });
        }
        self.by_batch.insert(batch.id.clone(), ids.clone());
        self.check_maximum(&batch.set);
        ids
    }

    /// I2.
    fn check_maximum(&mut self, set: &ScaleSetName) {
        let alive = self.machines_alive().filter(|machine| machine.shown.set == *set).count();
        let most = self.options.sets.iter().find(|known| known.name == *set).map_or(0, |known| known.runners_max);
        if alive > most as usize {
            self.broken(Rule::Maximum, format!("{alive} machines of {set}, whose maximum is {most}"));
        }
    }

    fn terminates(&mut self, id: &MachineId) {
        let now = self.now();
        let Some(machine) = self.machines.get(id) else { return };
        let (set, is_alive) = (machine.shown.set.clone(), machine.ended_at.is_none());
        let works = is_alive && machine.job.is_some() && !machine.hung && machine.shown.interrupted_at.is_none();
        if works && machine.hard_end_at > now {
            let text = format!("{id} of {} is ended and runs a job", machine.runner);
            self.broken(Rule::BusyIsKept, text);
        }
        self.effect(&set, format!("terminate {id}"), is_alive);
        if self.options.bug != Some(Bug::KeepsMachines) {
            self.machine_ends(id);
        }
    }
}

impl MachinesWire {
    /// The way of this process.
    #[must_use]
    pub const fn new(process: Arc<Process>) -> Self {
        Self(process)
    }

    fn is_throttled(&self) -> bool {
        self.0.shared.with(|outside| {
            let rate = outside.rate(|faults| faults.machines_throttled);
            outside.random.calls.happens(rate)
        })
    }
}

#[async_trait]
impl Machines for MachinesWire {
    async fn launch(&self, request: &LaunchRequest) -> Result<Vec<MachineId>, MachinesError> {
        let call = self.0.begin("launch").await;
        self.0.takes(300, 2_000).await;
        let result = self.0.shared.with(|outside| {
            let operation = "launch";
            let lost = || MachinesError::Failed { operation, source: "timeout".into() };
            let result = match outside.launch_fault(request) {
                Some(LaunchFault::Throttled) => Err(MachinesError::Throttled { operation }),
                Some(LaunchFault::NoCapacity) => {
                    Err(MachinesError::NoCapacity { operation, pool: request.batch.pool.clone() })
                }
                Some(LaunchFault::Before) => Err(lost()),
                Some(LaunchFault::After) => {
                    outside.answer_lost = true;
                    outside.launches(request);
                    outside.answer_lost = false;
                    Err(lost())
                }
                None => Ok(outside.launches(request)),
            };
            let ended = result.as_ref().map_or_else(ToString::to_string, |ids| format!("{} machines", ids.len()));
            outside.note(format!("{} launch {} of {}: {ended}", self.0.name, request.batch.id, request.batch.set));
            result
        });
        self.0.end(call, "launch").await;
        result
    }

    async fn sets(&self, control_plane: &ControlPlaneId) -> Result<BTreeSet<ScaleSetName>, MachinesError> {
        let call = self.0.begin("machines sets").await;
        let found = self.0.shared.with(|outside| {
            let listed = outside.shown_machines(|machine| machine.control_plane == *control_plane);
            listed
                .into_iter()
                .filter(|machine| machine.state != MachineState::Ended)
                .map(|machine| machine.set)
                .collect()
        });
        self.0.end(call, "machines sets").await;
        Ok(found)
    }

    async fn list(&self, set: &ScaleSetName, control_plane: &ControlPlaneId) -> Result<Vec<Machine>, MachinesError> {
        let call = self.0.begin("machines list").await;
        self.0.takes(20, 200).await;
        let result = if self.is_throttled() {
            Err(MachinesError::Throttled { operation: "list" })
        } else {
            Ok(self.0.shared.with(|outside| {
                outside.shown_machines(|machine| machine.set == *set && machine.control_plane == *control_plane)
            }))
        };
        self.0.shared.with(|outside| {
            let (now, since) = (outside.now(), outside.calm_at().max(outside.job_moved_at));
            outside.checks.round(set, now, now > since.plus(secs(20 * 60)));
        });
        self.0.end(call, "machines list").await;
        result
    }

    async fn terminate(&self, ids: &[MachineId]) -> Result<(), MachinesError> {
        let call = self.0.begin("terminate").await;
        self.0.takes(50, 500).await;
        let result =
            if self.is_throttled() { Err(MachinesError::Throttled { operation: "terminate" }) } else { Ok(()) };
        self.0.shared.with(|outside| {
            let names: Vec<&str> = ids.iter().map(MachineId::as_str).collect();
            let ended = if result.is_ok() { "ok" } else { "throttled" };
            outside.note(format!("{} terminate {}: {ended}", self.0.name, names.join(" ")));
            if result.is_ok() {
                ids.iter().for_each(|id| outside.terminates(id));
            }
        });
        self.0.shared.machines_changed.notify_waiters();
        self.0.end(call, "terminate").await;
        result
    }

    /// It knows of every change, so that it need not look every few seconds; but where a provider has no signal, a change is seen at
    /// the next of the looks that there would be.
    async fn wait(&self, timeout: Duration) {
        self.0.stays().await;
        if self.0.shared.with(|outside| outside.options.bug) == Some(Bug::NeverWaits) {
            return self.0.shared.clock.sleep(Duration::from_millis(100)).await;
        }
        self.0.shared.machines_changed.notified().await;
        let (signal, now) = self.0.shared.with(|outside| (outside.options.machines_signal, outside.now()));
        if !signal {
            let since =
                u64::try_from(now.as_millis()).unwrap_or(0) % u64::try_from(timeout.as_millis()).unwrap_or(1).max(1);
            self.0.shared.clock.sleep(timeout.saturating_sub(Duration::from_millis(since))).await;
        }
        self.0.stays().await;
    }
}

/// A process's way to hand-offs.
pub struct HandOffWire(Arc<Process>);

impl HandOffWire {
    /// The way of this process.
    #[must_use]
    pub const fn new(process: Arc<Process>) -> Self {
        Self(process)
    }

    async fn call<T>(
        &self,
        operation: &'static str,
        machine: &MachineId,
        effect: impl FnOnce(&mut Outside) -> Result<T, HandOffError> + Send,
    ) -> Result<T, HandOffError> {
        let call = self.0.begin(operation).await;
        self.0.takes(10, 150).await;
        let result = self.0.shared.with(|outside| {
            let rate = outside.rate(|faults| faults.hand_off_throttled);
            let result = if outside.random.calls.happens(rate) {
                Err(HandOffError::Throttled { operation, machine: machine.clone() })
            } else {
                effect(outside)
            };
            let ended = if result.is_ok() { "ok" } else { "failed" };
            outside.note(format!("{} hand-off {operation} {machine}: {ended}", self.0.name));
            result
        });
        self.0.end(call, operation).await;
        result
    }
}

fn handed(config: &RunnerConfig) -> Option<Handed> {
    Some(match config {
        RunnerConfig::Jit { encoded } => {
            let id = encoded.expose().strip_prefix(SECRET)?.strip_prefix("-jit-")?;
            Handed::Jit(RegistrationId(id.parse().ok()?))
        }
        RunnerConfig::Token { name, labels, ephemeral, .. } => Handed::Token {
            name: name.clone(),
            labels: labels.split(',').map(Label::of_job).collect(),
            ephemeral: *ephemeral,
        },
    })
}

#[async_trait]
impl HandOff for HandOffWire {
    async fn put(
        &self,
        machine: &MachineId,
        _: &RunnerName,
        _: &RunnerScope,
        config: &RunnerConfig,
    ) -> Result<(), HandOffError> {
        let put = |outside: &mut Outside| {
            let now = outside.now();
            if let Some(handed) = handed(config) {
                // Parameter Store takes it, whether the machine lives or not.
                outside.hand_offs.insert(machine.clone(), (handed, now));
            }
            if outside.machines.get(machine).is_some_and(|machine| machine.waits) {
                outside.later(secs(2), Event::ReadHandOff(machine.clone()));
            }
            Ok(())
        };
        self.call("put", machine, put).await
    }

    async fn pending(&self, machine: &MachineId) -> Result<bool, HandOffError> {
        self.call("pending", machine, |outside| Ok(outside.hand_offs.contains_key(machine))).await
    }

    async fn waiting(&self) -> Result<Vec<(MachineId, Timestamp)>, HandOffError> {
        let call = self.0.begin("hand-offs waiting").await;
        let found = self
            .0
            .shared
            .with(|outside| outside.hand_offs.iter().map(|(machine, (_, at))| (machine.clone(), *at)).collect());
        self.0.end(call, "hand-offs waiting").await;
        Ok(found)
    }

    async fn expire(&self, machine: &MachineId) -> Result<(), HandOffError> {
        let expired = |outside: &mut Outside| {
            outside.hand_offs.remove(machine);
            Ok(())
        };
        self.call("expire", machine, expired).await
    }
}
