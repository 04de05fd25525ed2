//! What every implementation of [`Machines`] and [`HandOff`] must do, as checks that panic with what was expected.
//!
//! One suite for all of them keeps the simulated ones honest. An implementation's test makes a world and calls
//! [`machines`] or [`hand_off`].

use std::time::Duration;

use runnersmith_types::{
    Batch, BatchId, CapacityPool, ControlPlaneId, Machine, MachineId, MachineState, Owner, RecordVersion, RunnerName,
    RunnerScope, ScaleSetName, Secret, Timestamp,
};

use crate::{HandOff, HandOffError, LaunchRequest, Machines, RunnerConfig};

/// How often a check looks for something that takes time, each time after a wait of at most [`LOOK_EVERY`].
const LOOKS_MAX: usize = 600;
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// An implementation under test, empty of machines. Machines that are launched must stay alive until they are terminated, or at
/// least for the minutes of the suite.
pub struct MachinesWorld<'a> {
    /// The implementation.
    pub machines: &'a dyn Machines,
    /// A capacity pool on which it can launch.
    pub pool: CapacityPool,
    /// Now, by the implementation's clock.
    pub now: Timestamp,
}

impl MachinesWorld<'_> {
    fn request(&self, set: &str, control_plane: &str, batch: &str, count: usize) -> LaunchRequest {
        let runners =
            (1..=count).map(|n| parsed(RunnerName::parse(&format!("{set}-{control_plane}-{batch}-{n}")))).collect();
        LaunchRequest {
            batch: Batch {
                // As long as the longest that there are.
                id: parsed(BatchId::parse(&format!("{batch:0>64}"))),
                set: parsed(ScaleSetName::parse(set)),
                pool: self.pool.clone(),
                runners,
                stored_at: self.now,
                hard_end_at: self.now.plus(Duration::from_secs(24 * 3600)),
                settled: false,
                record_version: RecordVersion::CURRENT,
            },
            control_plane: parsed(ControlPlaneId::parse(control_plane)),
        }
    }

    async fn launch(&self, request: &LaunchRequest) -> Vec<MachineId> {
        match self.machines.launch(request).await {
            Ok(ids) => ids,
            Err(error) => panic!("launch: {error}"),
        }
    }

    async fn list(&self, set: &str, control_plane: &str) -> Vec<Machine> {
        match self.machines.list(&parsed(ScaleSetName::parse(set)), &parsed(ControlPlaneId::parse(control_plane))).await
        {
            Ok(machines) => machines,
            Err(error) => panic!("list: {error}"),
        }
    }

    async fn terminate(&self, ids: &[MachineId]) {
        if let Err(error) = self.machines.terminate(ids).await {
            panic!("terminate: {error}");
        }
    }

    /// Waits until no listed machine of the set has the state that the check refuses.
    async fn until(
        &self,
        set: &str,
        control_plane: &str,
        what: &str,
        holds: impl Fn(&[Machine]) -> bool,
    ) -> Vec<Machine> {
        let mut last = Vec::new();
        for _ in 0..LOOKS_MAX {
            last = self.list(set, control_plane).await;
            if holds(&last) {
                return last;
            }
            self.machines.wait(LOOK_EVERY).await;
        }
        panic!("never seen: {what}; last seen: {last:?}")
    }
}

fn parsed<T>(result: Result<T, runnersmith_types::ParseError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the suite's own name: {error}"),
    }
}

fn ids(machines: &[Machine]) -> Vec<MachineId> {
    let mut ids: Vec<MachineId> = machines.iter().map(|machine| machine.id.clone()).collect();
    ids.sort();
    ids
}

fn ended(machines: &[Machine], id: &MachineId) -> bool {
    machines.iter().all(|machine| machine.id != *id || machine.state == MachineState::Ended)
}

/// The whole suite for machines.
///
/// # Panics
/// When the implementation breaks the contract.
pub async fn machines(world: &MachinesWorld<'_>) {
    a_launch_gives_one_machine_per_runner_sorted_and_tagged(world).await;
    a_second_launch_of_a_batch_launches_nothing(world).await;
    lists_are_by_set_and_control_plane(world).await;
    terminated_machines_end_and_a_second_launch_still_names_them(world).await;
    terminating_unknown_or_ended_machines_succeeds(world).await;
    concurrent_launches_of_one_batch_launch_it_once(world).await;
    waiting_ends(world).await;
}

async fn a_launch_gives_one_machine_per_runner_sorted_and_tagged(world: &MachinesWorld<'_>) {
    let request = world.request("tagged", "plane1", "a", 3);
    let launched = world.launch(&request).await;
    let mut sorted = launched.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(launched, sorted, "ids are sorted and different");
    assert_eq!(launched.len(), 3, "one machine per runner");
    let listed = world.until("tagged", "plane1", "all running", |machines| {
        machines.len() == 3 && machines.iter().all(|machine| machine.state == MachineState::Running)
    });
    let listed = listed.await;
    assert_eq!(ids(&listed), launched, "what is launched is listed");
    for machine in &listed {
        assert_eq!(machine.batch, request.batch.id, "the batch is a tag");
        assert_eq!(machine.set, request.batch.set, "the set is a tag");
        assert_eq!(machine.control_plane, request.control_plane, "the control plane is a tag");
        assert_eq!(machine.pool, request.batch.pool, "the capacity pool is reported");
    }
    world.terminate(&launched).await;
}

async fn a_second_launch_of_a_batch_launches_nothing(world: &MachinesWorld<'_>) {
    let request = world.request("again", "plane1", "b", 2);
    let first = world.launch(&request).await;
    let second = world.launch(&request).await;
    assert_eq!(first, second, "the same batch gives the same machines");
    assert_eq!(ids(&world.list("again", "plane1").await), first, "and no others");
    let other = world.launch(&world.request("again", "plane1", "c", 1)).await;
    assert!(!first.contains(&other[0]), "another batch gives other machines");
    world.terminate(&first).await;
    world.terminate(&other).await;
}

async fn lists_are_by_set_and_control_plane(world: &MachinesWorld<'_>) {
    let here = world.launch(&world.request("here", "plane1", "d", 1)).await;
    let there = world.launch(&world.request("there", "plane1", "e", 1)).await;
    let elsewhere = world.launch(&world.request("here", "plane2", "f", 1)).await;
    assert_eq!(ids(&world.list("here", "plane1").await), here, "neither another set's nor another control plane's");
    assert_eq!(ids(&world.list("here", "plane2").await), elsewhere, "another control plane has its own");
    let sets = match world.machines.sets(&parsed(ControlPlaneId::parse("plane1"))).await {
        Ok(sets) => sets,
        Err(error) => panic!("sets: {error}"),
    };
    let named = |name: &str| sets.contains(&parsed(ScaleSetName::parse(name)));
    assert!(named("here") && named("there") && !named("nobody"), "sets with machines are known: {sets:?}");
    assert!(world.list("nobody", "plane1").await.is_empty(), "a set without machines has none");
    world.terminate(&[here, there, elsewhere].concat()).await;
}

async fn terminated_machines_end_and_a_second_launch_still_names_them(world: &MachinesWorld<'_>) {
    let request = world.request("ending", "plane1", "g", 2);
    let launched = world.launch(&request).await;
    world.terminate(&launched[..1]).await;
    let listed =
        world.until("ending", "plane1", "the terminated one ended", |machines| ended(machines, &launched[0])).await;
    assert!(!ended(&listed, &launched[1]), "the other one lives");
    assert_eq!(world.launch(&request).await, launched, "ended machines are still the batch's");
    let listed = world.list("ending", "plane1").await;
    assert!(ended(&listed, &launched[0]), "a launch does not bring an ended machine back");
    world.terminate(&launched).await;
    world.until("ending", "plane1", "all ended", |machines| launched.iter().all(|id| ended(machines, id))).await;
}

async fn terminating_unknown_or_ended_machines_succeeds(world: &MachinesWorld<'_>) {
    let launched = world.launch(&world.request("twice", "plane1", "h", 1)).await;
    world.terminate(&launched).await;
    world.terminate(&launched).await;
    world.until("twice", "plane1", "it ended", |machines| ended(machines, &launched[0])).await;
    world.terminate(&launched).await;
    world.terminate(&[]).await;
}

async fn concurrent_launches_of_one_batch_launch_it_once(world: &MachinesWorld<'_>) {
    let request = world.request("racing", "plane1", "i", 3);
    let (mut first, mut second) = (world.machines.launch(&request), world.machines.launch(&request));
    let (mut one, mut two) = (None, None);
    // Both are polled in turn, so that they overlap wherever they wait.
    std::future::poll_fn(|context| {
        if one.is_none()
            && let std::task::Poll::Ready(result) = first.as_mut().poll(context)
        {
            one = Some(result);
        }
        if two.is_none()
            && let std::task::Poll::Ready(result) = second.as_mut().poll(context)
        {
            two = Some(result);
        }
        if one.is_some() && two.is_some() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    let (Some(Ok(one)), Some(Ok(two))) = (one, two) else { panic!("both launches succeed") };
    assert_eq!(one, two, "both answer the same machines");
    assert_eq!(ids(&world.list("racing", "plane1").await), one, "and there are no others");
    world.terminate(&one).await;
}

async fn waiting_ends(world: &MachinesWorld<'_>) {
    world.machines.wait(Duration::from_millis(1)).await;
    world.machines.wait(Duration::ZERO).await;
}

/// An implementation of the hand-off under test.
pub struct HandOffWorld<'a> {
    /// The implementation.
    pub hand_off: &'a dyn HandOff,
    /// A machine that lives and does not read its hand-off.
    pub machine: MachineId,
    /// Another one.
    pub other: MachineId,
    /// A machine that is gone, where the implementation can know that.
    pub gone: Option<MachineId>,
}

impl HandOffWorld<'_> {
    async fn put(&self, machine: &MachineId, secret: &str) -> Result<(), HandOffError> {
        let runner = parsed(RunnerName::parse("set-plane1-1"));
        let at = RunnerScope::Organization(parsed(Owner::parse("acme")));
        self.hand_off.put(machine, &runner, &at, &RunnerConfig::Jit { encoded: Secret::new(secret) }).await
    }

    async fn must_put(&self, machine: &MachineId, secret: &str) {
        if let Err(error) = self.put(machine, secret).await {
            panic!("put: {error}");
        }
    }

    async fn pending(&self, machine: &MachineId) -> bool {
        match self.hand_off.pending(machine).await {
            Ok(pending) => pending,
            Err(error) => panic!("pending: {error}"),
        }
    }

    async fn expire(&self, machine: &MachineId) {
        if let Err(error) = self.hand_off.expire(machine).await {
            panic!("expire: {error}");
        }
    }
}

/// The whole suite for hand-offs.
///
/// # Panics
/// When the implementation breaks the contract.
pub async fn hand_off(world: &HandOffWorld<'_>) {
    assert!(!world.pending(&world.machine).await, "nothing is pending before a put");
    world.expire(&world.machine).await;

    world.must_put(&world.machine, "first").await;
    assert!(world.pending(&world.machine).await, "a put is pending");
    assert!(!world.pending(&world.other).await, "for its machine only");
    match world.hand_off.waiting().await {
        Ok(waiting) => {
            let machines: Vec<&MachineId> = waiting.iter().map(|(machine, _)| machine).collect();
            assert_eq!(machines, [&world.machine], "what waits is listed, and nothing else");
            assert!(waiting.iter().all(|(_, at)| at.as_millis() > 0), "with when it was put");
        }
        Err(error) => panic!("waiting: {error}"),
    }

    world.must_put(&world.machine, "second").await;
    world.must_put(&world.other, "third").await;
    assert!(world.pending(&world.machine).await, "a second put replaces the first");

    world.expire(&world.machine).await;
    assert!(!world.pending(&world.machine).await, "an expired one is not pending");
    assert!(world.pending(&world.other).await, "another machine's is left alone");
    world.expire(&world.machine).await;
    world.expire(&world.other).await;

    if let Some(gone) = &world.gone {
        match world.put(gone, "hunter2").await {
            Err(error @ HandOffError::MachineGone { .. }) => {
                assert!(!format!("{error} {error:?}").contains("hunter2"), "an error holds no secret");
            }
            Err(error) => panic!("a put for a machine that is gone says so, not: {error}"),
            Ok(()) => panic!("a put for a machine that is gone fails"),
        }
        assert!(!world.pending(gone).await, "nothing is pending for a machine that is gone");
        world.expire(gone).await;
    }
}
