//! The runners functions, one program: the handler's name says which it is.
//!
//! scale-up takes facts about jobs and machines from the queue and looks at the sets that they concern; scale-down looks at all of them on
//! a schedule; the housekeeper drops what is old. All of them make the same passes: which function decided something makes no difference.

mod control_plane;
mod event_queue;
mod events;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use runnersmith_controllers::faults::Fault;
use runnersmith_controllers::levels::SetLevel;
use runnersmith_controllers::{Depth, World, consume, housekeeping, lookups, pass, timer};
use runnersmith_lambda::{emf, left, variable};
use runnersmith_ports::chain;
use runnersmith_ports::{Message, Queue};
use runnersmith_types::{ScaleSetName, saturating_u32};
use serde_json::{Value, json};
use strum::{EnumString, IntoStaticStr, VariantNames};

use crate::control_plane::{ControlPlane, ControlPlanes};
use crate::event_queue::EventQueue;

/// Which function this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
enum Role {
    ScaleUp,
    ScaleDown,
    Housekeeper,
}

impl Role {
    fn parse(word: &str) -> Result<Self, String> {
        let known = Self::VARIANTS.join(", ");
        word.parse()
            .map_err(|_| format!("the handler {word:?} is not one of {known}; hint: the Terraform module sets it"))
    }

    /// The operations that this function may use. Every pass may do all that a pass does.
    fn operations(self) -> BTreeSet<&'static str> {
        let reading = runnersmith_aws::ssm::SETTINGS_OPERATIONS.into_iter();
        let ledger = runnersmith_aws::dynamodb::OPERATIONS.into_iter();
        let passes = runnersmith_aws::ssm::HAND_OFF_OPERATIONS
            .into_iter()
            .chain(runnersmith_ec2::OPERATIONS)
            .chain(["sqs:SendMessage"]);
        let consuming = runnersmith_aws::sqs::OPERATIONS.into_iter();
        let base = reading.chain(ledger);
        match self {
            Self::ScaleUp => base.chain(passes).chain(consuming).collect(),
            Self::ScaleDown | Self::Housekeeper => base.chain(passes).collect(),
        }
    }
}

/// Looks at sets, each as deep as asked. What the time does not allow is looked at after a message to ourselves; what was
/// begun is safe, because a pass may end anywhere.
async fn look(world: &World, sets: BTreeSet<ScaleSetName>, depth: Depth, within: Duration) -> Result<(), Error> {
    let mut failed = None;
    let until = tokio::time::Instant::now() + within;
    for set in sets {
        match tokio::time::timeout_at(until, pass(world, &set, depth)).await {
            Ok(Ok(passed)) => {
                tracing::info!(
                    set = %set,
                    rounds = passed.rounds,
                    actions = passed.actions,
                    held = passed.held_elsewhere,
                    waiting = %waiting(world, &set),
                    "pass"
                )
            }
            Ok(Err(error)) => {
                tracing::error!(set = %set, error = %chain(&error), "a pass failed; the next one goes on");
                failed = Some(format!("{set}: {error}"));
            }
            Err(_) => {
                tracing::warn!(set = %set, "the time is over; the set is looked at again");
                let again = Message::Wake { set: set.clone() }.to_body();
                world.ports.queue.send(&again, Duration::ZERO).await?;
            }
        }
    }
    measure(world);
    // Alarms see failures: the function fails when a pass did.
    failed.map_or(Ok(()), |what| Err(what.into()))
}

/// What jobs and runners wait for, with how many of them, as the last pass over the set saw it.
fn waiting(world: &World, set: &ScaleSetName) -> String {
    let levels = world.levels.all();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for waiting in levels.get(set).into_iter().flat_map(|level| &level.plan.waiting) {
        *counts.entry(waiting.on.to_string()).or_default() += 1;
    }
    counts.into_iter().map(|(what, count)| format!("{count} × {what}")).collect::<Vec<_>>().join("; ")
}

/// So long a level is believed that no other pass of this process has replaced; the timer's passes come each minute.
const LEVEL_COUNTS_FOR: Duration = Duration::from_secs(120);

/// The levels of now.
fn levels(world: &World) -> BTreeMap<ScaleSetName, SetLevel> {
    let (mut levels, now) = (world.levels.all(), world.ports.clock.now());
    // Another invocation's process passes over a set as well: what this one saw long ago is not so any more.
    levels.retain(|_, level| now.since(level.at) < LEVEL_COUNTS_FOR);
    levels
}

/// What is wrong with this process and with the sets that it has seen.
fn faults(world: &World) -> Vec<Fault> {
    let mut all = world.faults.all(&[], world.ports.clock.now());
    all.extend(levels(world).into_values().flat_map(|level| level.faults));
    all
}

/// The level of each set, and what is wrong by kind, for CloudWatch.
fn measure(world: &World) {
    let now = world.ports.clock.now().as_millis();
    let are_metrics = variable(emf::METRICS);
    let environment = variable(runnersmith_lambda::settings::PATH).unwrap_or_default();
    let mut kinds: BTreeMap<&'static str, u32> = BTreeMap::new();
    for fault in faults(world) {
        *kinds.entry(fault.kind.word()).or_default() += 1;
    }
    for (kind, count) in kinds {
        emf::measure(
            are_metrics.as_deref(),
            now,
            &[("Plane", &environment), ("Kind", kind)],
            &[("Faults", "Count", f64::from(count))],
        );
    }
    for level in levels(world).into_values() {
        let waiting = level.plan.waiting.iter().filter(|waiting| waiting.job.is_some()).count();
        let count = |value: u32| f64::from(value);
        let metrics = [
            ("Demand", "Count", count(level.plan.demand)),
            ("Supply", "Count", count(level.plan.supply)),
            ("Alive", "Count", count(level.alive())),
            ("Maximum", "Count", count(level.policy.runners_max)),
            ("Waiting", "Count", count(saturating_u32(waiting))),
            ("Faults", "Count", count(saturating_u32(level.faults.len()))),
        ];
        let name = level.policy.name.to_string();
        emf::measure(are_metrics.as_deref(), now, &[("Plane", &environment), ("ScaleSet", &name)], &metrics);
    }
}

async fn scale_up(control_plane: &ControlPlane, event: Value, deadline: u64) -> Result<Value, Error> {
    let ports = &control_plane.world.ports;
    let lookups = ports.lookups.as_ref().filter(|_| events::is_of_queue(&event, control_plane.lookup_queue.as_deref()));
    let received = events::messages(event)?;
    let messages = received.iter().map(|(_, message)| message.clone()).collect();
    let queue = Arc::new(EventQueue::new(lookups.unwrap_or(&ports.queue).clone()));
    // Half of the time, so that the other half is left for the passes.
    let consumed = tokio::time::timeout(left(deadline) / 2, async {
        if lookups.is_some() {
            return lookups::look_up(&control_plane.world, queue.as_ref(), messages).await;
        }
        let mut world = control_plane.world.clone();
        world.ports.queue = queue.clone() as Arc<dyn Queue>;
        consume::consume(&world, messages).await
    })
    .await;
    // What was recorded before the time was over is not known: all sets are looked at.
    let woken = consumed.map_or_else(
        |_| {
            tracing::error!("messages could not be consumed in time; they come again");
            control_plane.world.sets.load().iter().map(|set| set.name.clone()).collect()
        },
        |consumed| consumed.woken,
    );
    queue.release(received.iter().map(|(_, message)| message)).await;
    // The messages are safe in the ledger: a failing pass is the timer's affair and must not bring them again.
    let world = knowing(control_plane, &woken).await;
    if let Err(error) = look(&world, woken, Depth::Partial, left(deadline)).await {
        tracing::error!(error = %error, "a pass after a message failed; the schedule looks again");
    }
    let failures: Vec<Value> = received
        .iter()
        .filter(|(_, message)| !queue.is_completed(message))
        .map(|(id, _)| json!({ "itemIdentifier": id }))
        .collect();
    Ok(json!({ "batchItemFailures": failures }))
}

/// A world in which these sets are known, those too that were taken out of the settings and have machines still.
async fn knowing(control_plane: &ControlPlane, sets: &BTreeSet<ScaleSetName>) -> World {
    let world = &control_plane.world;
    if sets.iter().all(|set| world.set(set).is_some()) {
        return world.clone();
    }
    match housekeeping::retired(world, &control_plane.left_out).await {
        Ok((world, _)) => world,
        Err(error) => {
            tracing::error!(error = %chain(&error), "sets that were taken out are not known; the schedule looks at them");
            world.clone()
        }
    }
}

async fn scale_down(control_plane: &ControlPlane, deadline: u64) -> Result<Value, Error> {
    let world = &control_plane.world;
    let mut failed = Vec::new();
    // Half of the time for what heals lost deliveries, the rest for the sets. Both parts of it go on where they ended.
    let healing = async {
        match tokio::time::timeout(left(deadline) / 4, timer::redeliver(world)).await {
            Ok(Ok(count)) => tracing::info!(count, "deliveries asked for again"),
            Ok(Err(error)) => failed.push(format!("deliveries: {}", chain(&error))),
            Err(_) => tracing::info!("there are more deliveries to ask for than there is time; the next run goes on"),
        }
        match timer::sweep(world, control_plane.sweep_every).await {
            Ok(swept) => failed.extend(swept.failed.into_iter().map(|why| format!("sweep: {why}"))),
            Err(error) => failed.push(format!("sweep: {}", chain(&error))),
        }
    };
    if tokio::time::timeout(left(deadline) / 2, healing).await.is_err() {
        tracing::warn!("the sweep was cut short; the next one goes on");
    }
    // Sets that were taken out are looked at as often as the others, until nothing is left of them.
    let (world, _) = housekeeping::retired(world, &control_plane.left_out).await?;
    let all = world.sets.load().iter().map(|set| set.name.clone()).collect();
    look(&world, all, Depth::Full, left(deadline)).await?;
    if failed.is_empty() { Ok(Value::Null) } else { Err(failed.join("; ").into()) }
}

async fn housekeeper(control_plane: &ControlPlane, deadline: u64) -> Result<Value, Error> {
    let world = &control_plane.world;
    let dropped = timer::prune(world, control_plane.history).await?;
    let expired = housekeeping::expire_hand_offs(world).await?;
    let (world, retired) = housekeeping::retired(world, &control_plane.left_out).await?;
    let names: Vec<String> = retired.iter().map(ToString::to_string).collect();
    tracing::info!(dropped, expired, retired = names.join(", "), "housekeeping done");
    look(&world, retired, Depth::Full, left(deadline)).await?;
    Ok(json!({ "dropped": dropped, "expired": expired, "retired": names }))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    if !runnersmith_lambda::begin(|role| Role::parse(role).map(Role::operations))? {
        return Ok(());
    }
    let role = Role::parse(&variable("_HANDLER").unwrap_or_default())?;
    let control_planes = Arc::new(ControlPlanes::default());
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| {
        let control_planes = control_planes.clone();
        async move {
            let control_plane = control_planes.fresh().await?;
            let deadline = event.context.deadline;
            let done = match role {
                Role::ScaleUp => scale_up(&control_plane, event.payload, deadline).await,
                Role::ScaleDown => scale_down(&control_plane, deadline).await,
                Role::Housekeeper => housekeeper(&control_plane, deadline).await,
            };
            control_planes.store_faults(role.into(), &control_plane.world, faults(&control_plane.world)).await;
            done
        }
    }))
    .await
}
