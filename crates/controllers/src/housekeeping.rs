//! What is left of what is gone: hand-offs that nobody will read, and the runners of sets that no policy names any more.
//!
//! A pass cleans up after the runners of its own set. These are the things that no pass would look at.

use std::collections::BTreeSet;
use std::time::Duration;

use runnersmith_ports::LedgerError;
use runnersmith_types::{RunnerState, ScaleSet, ScaleSetName, Timing};

use crate::closing::closed_policy;
use crate::sets::Sets;
use crate::world::World;

/// No machine will still read a hand-off that has waited so long: its boot deadline is far shorter.
const HAND_OFF_KEPT: Duration = Duration::from_secs(3600);

/// Deletes hand-offs that nobody will read: old, and of no machine whose runner is booting. Returns how many went.
///
/// # Errors
/// When the ledger fails; what the hand-off's own store refuses is logged, and the next round tries again.
pub async fn expire_hand_offs(world: &World) -> Result<usize, LedgerError> {
    let (hand_off, ledger) = (&world.ports.hand_off, &world.ports.ledger);
    let waiting = match hand_off.waiting().await {
        Ok(waiting) => waiting,
        Err(error) => {
            tracing::warn!(error = %runnersmith_ports::chain(&error), "hand-offs could not be listed");
            return Ok(0);
        }
    };
    let before = world.ports.clock.now().minus(HAND_OFF_KEPT);
    let old: Vec<_> = waiting.into_iter().filter(|(_, put_at)| *put_at < before).map(|(machine, _)| machine).collect();
    if old.is_empty() {
        return Ok(0);
    }
    let mut needed = BTreeSet::new();
    for (set, _, _) in ledger.counts().await? {
        let runners = ledger.live_runners(&set).await?.into_iter();
        needed
            .extend(runners.filter(|runner| runner.state <= RunnerState::Booting).filter_map(|runner| runner.machine));
    }
    let mut gone = 0;
    for machine in old.into_iter().filter(|machine| !needed.contains(machine)) {
        match hand_off.expire(&machine).await {
            Ok(()) => gone += 1,
            Err(error) => {
                tracing::warn!(error = %runnersmith_ports::chain(&error), machine = %machine, "a hand-off stays")
            }
        }
    }
    Ok(gone)
}

/// The times of a set that was taken out, wherever its machines are: the design's, but for the age that an idle machine must
/// have to go.
#[must_use]
pub fn retired_timing() -> Timing {
    Timing { running_min: Duration::ZERO, ..Timing::default() }
}

/// The same where every machine is a process of this host, whose word is known at once. What keeps a job is that GitHub refuses
/// to remove the registration of a runner that it has given one; the times are a second line, long enough for a job to be set
/// up and to say so on the machine.
#[must_use]
pub fn retired_timing_here() -> Timing {
    Timing { idle_confirm: Duration::from_secs(10), settle: Duration::from_secs(15), ..retired_timing() }
}

/// Sets that no policy names any more and of which runners or machines are left, and a world in which their policy is that
/// there shall be none: passes in it drain what is idle and wait for what is busy, like any other pass.
///
/// `spared` are sets whose policy is there but cannot be read: a slip in it must not cost anybody a runner. A set that was taken
/// out of service is not spared: that was meant.
///
/// # Errors
/// When the ledger fails; machines that cannot be listed are left to the next round.
pub async fn retired(
    world: &World,
    spared: &BTreeSet<ScaleSetName>,
) -> Result<(World, BTreeSet<ScaleSetName>), LedgerError> {
    let ledger = &world.ports.ledger;
    let counts = ledger.counts().await?.into_iter();
    let mut left: BTreeSet<ScaleSetName> = counts.filter(|(_, alive, _)| *alive > 0).map(|(set, _, _)| set).collect();
    match world.ports.machines.sets(&ledger.control_plane().await?).await {
        Ok(sets) => left.extend(sets),
        Err(error) => {
            tracing::warn!(error = %runnersmith_ports::chain(&error), "the sets of machines could not be listed")
        }
    }
    let closed = ledger.closed().await?;
    let mut sets = world.sets.load().as_ref().clone();
    left.retain(|set| (!spared.contains(set) || closed.contains(set)) && sets.iter().all(|known| known.name != *set));
    sets.extend(left.iter().map(|set| {
        closed_policy(&ScaleSet { timing: world.retired.clone(), ..ScaleSet::new(set.clone(), BTreeSet::new()) })
    }));
    sets.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((World { sets: Sets::new(sets), ..world.clone() }, left))
}
