//! The timer's duties: what heals a lost signal. Every duty is bounded and takes from the same budgets as everything else.

use std::collections::BTreeSet;
use std::time::Duration;

use runnersmith_ports::{BudgetKind, LedgerError};
use runnersmith_types::{RepoFullName, ScaleSetName, Timestamp};

use crate::consume;
use crate::world::World;

/// Repositories swept in one round.
const REPOSITORIES_MAX: usize = 50;
/// Deliveries asked for again in one round.
const REDELIVERIES_MAX: usize = 50;
/// How far back the delivery log is read the first time.
const REDELIVERY_LOOK_BACK: Duration = Duration::from_secs(6 * 3600);

/// Sweeps the active repositories for queued jobs that no delivery reported. Returns the sets that should be reconciled.
///
/// # Errors
/// When the ledger fails; GitHub's failures are logged, and the next round tries again.
pub async fn sweep(world: &World) -> Result<BTreeSet<ScaleSetName>, LedgerError> {
    let mut woken = BTreeSet::new();
    for repo in active_repositories(world).await? {
        if !take(world).await? {
            tracing::info!("the sweep stops: this minute's call budget is used up");
            break;
        }
        match world.ports.github.sweep(&repo).await {
            Ok(facts) => consume::record(world, facts, &mut woken).await?,
            Err(error) => {
                tracing::warn!(error = %runnersmith_ports::chain(&error), repo = %repo, "a repository could not be swept")
            }
        }
    }
    Ok(woken)
}

async fn active_repositories(world: &World) -> Result<BTreeSet<RepoFullName>, LedgerError> {
    let recent = world.ports.ledger.recent_jobs(500).await?;
    let mut repos: BTreeSet<RepoFullName> =
        recent.into_iter().map(|job| job.fact.repo).take(REPOSITORIES_MAX).collect();
    if repos.len() < REPOSITORIES_MAX && take(world).await? {
        match world.ports.github.repositories(REPOSITORIES_MAX).await {
            Ok(installed) => repos.extend(installed.into_iter().take(REPOSITORIES_MAX - repos.len())),
            Err(error) => {
                tracing::warn!(error = %runnersmith_ports::chain(&error), "installed repositories could not be listed")
            }
        }
    }
    Ok(repos)
}

/// Asks GitHub again for deliveries that did not reach us. Returns how many.
///
/// # Errors
/// When the ledger fails.
pub async fn redeliver(world: &World) -> Result<usize, LedgerError> {
    const CURSOR: &str = "redelivered_until";
    const ASKED: &str = "redelivered";
    const ASKED_MAX: usize = 500;
    let ledger = &world.ports.ledger;
    let now = world.ports.clock.now();
    let since =
        ledger.get(CURSOR).await?.and_then(|text| text.parse().ok()).map_or(now.minus(REDELIVERY_LOOK_BACK), Timestamp);
    if !take(world).await? {
        return Ok(0);
    }
    let failed = match world.ports.github.failed_deliveries(since, REDELIVERIES_MAX).await {
        Ok(failed) => failed,
        Err(error) => {
            tracing::warn!(error = %runnersmith_ports::chain(&error), "the delivery log could not be read");
            return Ok(0);
        }
    };
    // A delivery is asked for once; one that fails again is found by the sweep.
    let mut known: Vec<String> =
        ledger.get(ASKED).await?.map(|text| text.split(' ').map(str::to_owned).collect()).unwrap_or_default();
    let mut asked = 0;
    for delivery in failed {
        let guid = delivery.guid.to_string();
        if known.contains(&guid) || !take(world).await? {
            continue;
        }
        match world.ports.github.redeliver(delivery.id).await {
            Ok(()) => {
                asked += 1;
                known.push(guid);
            }
            Err(error) => {
                tracing::warn!(error = %runnersmith_ports::chain(&error), delivery = %guid, "a delivery could not be asked for")
            }
        }
    }
    let surplus = known.len().saturating_sub(ASKED_MAX);
    ledger.set(ASKED, &known.split_off(surplus).join(" ")).await?;
    // Some overlap: a delivery that was under way at that moment shows up as failed a little later.
    ledger.set(CURSOR, &now.minus(Duration::from_secs(600)).as_millis().to_string()).await?;
    Ok(asked)
}

/// Rows of each table that one transaction drops: others wait for it meanwhile.
const PRUNED_AT_ONCE: usize = 2_000;
/// So many transactions in one round; what is left is for the next.
const PRUNES_MAX: usize = 100;

/// Drops old history, a bounded piece at a time, until nothing old is left. Returns how many rows went.
///
/// # Errors
/// When the ledger fails.
pub async fn prune(world: &World, keep: Duration) -> Result<u64, LedgerError> {
    let before = world.ports.clock.now().minus(keep);
    let mut gone = 0;
    for _ in 0..PRUNES_MAX {
        let more = world.ports.ledger.prune(before, PRUNED_AT_ONCE).await?;
        gone += more;
        if more == 0 {
            break;
        }
    }
    Ok(gone)
}

async fn take(world: &World) -> Result<bool, LedgerError> {
    Ok(world.ports.ledger.take_budget(BudgetKind::Calls, 1, world.limits.calls_per_minute).await?.is_some())
}
