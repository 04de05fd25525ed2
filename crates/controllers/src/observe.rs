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
    let control_plane = ledger.control_plane().await?;
    let mut registrations = BTreeMap::new();
    for at in places(ledger, policy).await? {
        let observed = match depth {
            Depth::Partial => Observed::Unknown { why: "not asked for in this pass".into() },
            Depth::Full => registrations_at(ports, world.limits.calls_per_minute, &at).await,
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
    let places = places(ledger, policy).await?;
    let outside = Outside {
        control_plane: ledger.control_plane().await?,
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
    let runners = ledger.live_runners(&policy.name).await?;
    let jobs = ledger.open_jobs(now.minus(ENDED_LOOK_BACK)).await?;
    let counts: BTreeMap<_, _> =
        ledger.counts().await?.into_iter().map(|(set, alive, supply)| (set, (alive, supply))).collect();
    let peers = sets
        .iter()
        .filter(|peer| peer.name != policy.name)
        .map(|peer| {
            let (alive, supply) = counts.get(&peer.name).copied().unwrap_or_default();
            Peer { policy: peer.clone(), alive, supply }
        })
        .collect();
    let pauses = pauses::read_pauses(ledger, &policy.name, now.minus(policy.fallback_order.cool_down)).await?;
    Ok(Snapshot {
        control_plane: outside.control_plane,
        next_serial: ledger.next_serial().await?,
        jobs,
        runners,
        batches: ledger.open_batches(&policy.name).await?,
        peers,
        machines: outside.machines,
        registrations: outside.registrations,
        budget: budget(ledger, sets, policy, limits, now).await?,
        pool_failures: pauses.pool_failures,
        boot_failures: pauses.boot_failures,
        hand_off_faults: pauses.hand_off_faults,
        reruns: ledger.reruns().await?,
    })
}

async fn places(ledger: &dyn Ledger, policy: &ScaleSet) -> Result<BTreeSet<RunnerScope>, LedgerError> {
    let runners = ledger.live_runners(&policy.name).await?;
    let mut places: BTreeSet<RunnerScope> = runners.into_iter().map(|runner| runner.target.at).collect();
    places.extend(policy.scope.at.clone());
    debug_assert!(
        policy.scope.level != ScopeLevel::Enterprise || policy.scope.at.is_some(),
        "an enterprise set has a place"
    );
    Ok(places)
}

async fn registrations_at(ports: &Ports, calls_max: u32, at: &RunnerScope) -> Observed<Vec<Registration>> {
    match ports.ledger.take_budget(BudgetKind::Calls, 1, calls_max).await {
        Ok(Some(_)) => {}
        Ok(None) => return Observed::Unknown { why: "this minute's call budget is used up".into() },
        Err(error) => {
            tracing::warn!(error = %chain(&error), at = %at, "the call budget is not known; registrations are not listed");
            return Observed::Unknown { why: format!("budget: {error}") };
        }
    }
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
    let jit = ledger.used_budget(BudgetKind::Jit).await?;
    let calls = ledger.used_budget(BudgetKind::Calls).await?;
    let notifies = runnersmith_plan::route::notifier(&sets.iter().collect::<Vec<_>>())
        .is_some_and(|notifier| notifier.notify && notifier.name == policy.name);
    let notifications_left = if notifies {
        NOTIFICATIONS_PER_MINUTE.saturating_sub(ledger.used_budget(BudgetKind::Notifications).await?)
    } else {
        0
    };
    Ok(Budget {
        jit_left: limits.jit_per_minute.saturating_sub(jit),
        calls_left: limits.calls_per_minute.saturating_sub(calls),
        notifications_left,
        refills_at: Timestamp::from_millis((now.as_millis() / 60_000 + 1) * 60_000),
    })
}
