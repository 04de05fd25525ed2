//! Observe: everything that a plan is made from, read in the order that keeps fresh things from looking orphaned:
//! registrations, then machines, then the ledger.

use std::collections::{BTreeMap, BTreeSet};

use runnersmith_ports::{BudgetKind, GitHubError, Ledger, LedgerError, chain};
use runnersmith_types::{
    Budget, ControlPlaneId, Machine, Observed, Peer, Registration, RunnerScope, ScaleSet, ScopeLevel, Snapshot,
    Timestamp,
};

use crate::pauses;
use crate::world::{CallLimits, NOTIFICATIONS_PER_MINUTE, Ports, World};

/// How much a pass reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// A pass after a message: the ledger and the machines; GitHub's lists are not read.
    Partial,
    /// The timer's pass: everything.
    Full,
}

/// How far back ended jobs still bear on a plan (finished runners, rows of a check run); what is followed is read however old it is.
const ENDED_LOOK_BACK: std::time::Duration = std::time::Duration::from_secs(20 * 60);

/// What is seen of a set outside the ledger, and of which control plane.
struct Outside {
    control_plane: ControlPlaneId,
    machines: Observed<Vec<Machine>>,
    registrations: BTreeMap<RunnerScope, Observed<Vec<Registration>>>,
}

/// Reads the world for one set, which is one of `sets`. A source that fails is `Unknown`; only the ledger itself is indispensable.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn observe(
    world: &World,
    sets: &[ScaleSet],
    policy: &ScaleSet,
    depth: Depth,
) -> Result<Snapshot, LedgerError> {
    let ports = &world.ports;
    let ledger = ports.ledger.as_ref();
    let (control_plane, places) = tokio::try_join!(ledger.control_plane(), places(ledger, policy, ports.clock.now()))?;
    let mut registrations = BTreeMap::new();
    for at in places {
        let observed = match depth {
            Depth::Partial => Observed::Unknown { why: "not asked for in this pass".into() },
            Depth::Full => registrations_at(ports, &at).await,
        };
        registrations.insert(at, observed);
    }
    let machines_at = ports.clock.now();
    let machines = match ports.machines.list(&policy.name, &control_plane).await {
        Ok(list) => Observed::seen(list, machines_at),
        Err(error) => {
            tracing::warn!(error = %chain(&error), set = %policy.name, "machines could not be listed");
            Observed::Unknown { why: format!("machines: {error}") }
        }
    };
    let outside = Outside { control_plane, machines, registrations };
    with_ledger(ledger, sets, policy, world.limits, ports.clock.now(), outside).await
}

/// Reads for one set, which is one of `sets`, what the ledger alone knows: neither machines nor GitHub are asked, and both are
/// `Unknown`. It is for those who say what would be planned and have no right to ask.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn observe_ledger(
    ledger: &dyn Ledger,
    sets: &[ScaleSet],
    policy: &ScaleSet,
    limits: CallLimits,
    now: Timestamp,
) -> Result<Snapshot, LedgerError> {
    const WHY: &str = "not asked by this command";
    let (control_plane, places) = tokio::try_join!(ledger.control_plane(), places(ledger, policy, now))?;
    let outside = Outside {
        control_plane,
        machines: Observed::Unknown { why: WHY.into() },
        registrations: places.into_iter().map(|at| (at, Observed::Unknown { why: WHY.into() })).collect(),
    };
    with_ledger(ledger, sets, policy, limits, now, outside).await
}

/// The ledger is read last: what it says is no older than what was seen outside.
async fn with_ledger(
    ledger: &dyn Ledger,
    sets: &[ScaleSet],
    policy: &ScaleSet,
    limits: CallLimits,
    now: Timestamp,
    outside: Outside,
) -> Result<Snapshot, LedgerError> {
    // None of these needs what another says, so they are one step: on DynamoDB each is a way of its own.
    let (runners, jobs, counts, pauses, next_serial, batches, budget, reruns) = tokio::try_join!(
        ledger.live_runners(&policy.name),
        ledger.open_jobs(now.minus(ENDED_LOOK_BACK)),
        ledger.counts(),
        pauses::read_pauses(ledger, &policy.name, now.minus(policy.fallback_order.cool_down)),
        ledger.next_serial(),
        ledger.open_batches(&policy.name),
        budget(ledger, sets, policy, limits, now),
        ledger.reruns(),
    )?;
    let counts: BTreeMap<_, _> = counts.into_iter().map(|(set, alive, supply)| (set, (alive, supply))).collect();
    let peers = sets
        .iter()
        .filter(|peer| peer.name != policy.name)
        .map(|peer| {
            let (alive, supply) = counts.get(&peer.name).copied().unwrap_or_default();
            Peer { policy: peer.clone(), alive, supply }
        })
        .collect();
    Ok(Snapshot {
        control_plane: outside.control_plane,
        next_serial,
        jobs,
        runners,
        batches,
        peers,
        machines: outside.machines,
        registrations: outside.registrations,
        budget,
        pool_failures: pauses.pool_failures,
        boot_failures: pauses.boot_failures,
        hand_off_faults: pauses.hand_off_faults,
        reruns,
    })
}

/// Where registrations are of interest. Without runners and open jobs they are nowhere: a list every minute for nothing would use
/// up a good part of GitHub's limit.
async fn places(ledger: &dyn Ledger, policy: &ScaleSet, now: Timestamp) -> Result<BTreeSet<RunnerScope>, LedgerError> {
    let runners = ledger.live_runners(&policy.name).await?;
    let is_idle = runners.is_empty() && (policy.scope.at.is_none() || ledger.open_jobs(now).await?.is_empty());
    let mut places: BTreeSet<RunnerScope> = runners.into_iter().map(|runner| runner.target.at).collect();
    places.extend(policy.scope.at.clone().filter(|_| !is_idle));
    debug_assert!(
        policy.scope.level != ScopeLevel::Enterprise || policy.scope.at.is_some(),
        "an enterprise set has a place"
    );
    Ok(places)
}

async fn registrations_at(ports: &Ports, at: &RunnerScope) -> Observed<Vec<Registration>> {
    let asked_at = ports.clock.now();
    match ports.github.registrations(at).await {
        // Lists shift while their pages are read, so absence from one proves nothing: it is never called complete.
        Ok(value) => Observed::Seen { value, at: asked_at, complete: false },
        Err(error @ GitHubError::RateLimited { .. }) => {
            tracing::info!(error = %chain(&error), at = %at, "registrations are not listed while GitHub's limit holds");
            Observed::Unknown { why: error.to_string() }
        }
        Err(error) => {
            tracing::warn!(error = %chain(&error), at = %at, "registrations could not be listed");
            let silent = matches!(error, GitHubError::Transient { .. });
            let begin = if silent { runnersmith_plan::NO_ANSWER } else { "registrations: " };
            Observed::Unknown { why: format!("{begin}{error}") }
        }
    }
}

async fn budget(
    ledger: &dyn Ledger,
    sets: &[ScaleSet],
    policy: &ScaleSet,
    limits: CallLimits,
    now: Timestamp,
) -> Result<Budget, LedgerError> {
    let notifies = runnersmith_plan::route::notifier(&sets.iter().collect::<Vec<_>>())
        .is_some_and(|notifier| notifier.notify && notifier.name == policy.name);
    let notifications = async {
        match notifies {
            true => ledger.used_budget(BudgetKind::Notifications).await,
            false => Ok(NOTIFICATIONS_PER_MINUTE),
        }
    };
    let (jit, calls, notifications) =
        tokio::try_join!(ledger.used_budget(BudgetKind::Jit), ledger.used_budget(BudgetKind::Calls), notifications)?;
    Ok(Budget {
        jit_left: limits.jit_per_minute.saturating_sub(jit),
        calls_left: limits.calls_per_minute.saturating_sub(calls),
        notifications_left: NOTIFICATIONS_PER_MINUTE.saturating_sub(notifications),
        refills_at: Timestamp::from_millis((now.as_millis() / 60_000 + 1) * 60_000),
    })
}
