//! What a pass costs in a large fleet, counted: steps to the ledger. How long they take is a benchmark's matter (`benches/pass.rs`).

use std::sync::Arc;

use crate::support::{Bed, policy};
use runnersmith_controllers::{CallLimits, Depth, observe};
use runnersmith_ports::contract::steps::CountingLedger;
use runnersmith_types::JobStatus;

/// Reads before a plan may take so many steps that depend on each other.
const STEPS_OF_ONE_LOOK: usize = 2;
/// A round that changes nothing: those, and recording what jobs wait for.
const STEPS_OF_A_QUIET_ROUND: usize = 4;

fn counted(bed: &mut Bed) -> Arc<CountingLedger> {
    let counting = Arc::new(CountingLedger::new(bed.world.ports.ledger.clone()));
    bed.world.ports.ledger = counting.clone();
    counting
}

/// A bed whose set has so many runners at work and so many more jobs that wait.
async fn fleet(runners: u32, waiting: u64) -> Bed {
    let mut bed = Bed::new(policy(runners));
    bed.world.limits = CallLimits { jit_per_minute: 1_000_000, calls_per_minute: 1_000_000 };
    let count = u64::from(runners);
    bed.queued(1..=count).await;
    while bed.machines_made() < runners as usize {
        bed.pass(Depth::Partial).await;
    }
    bed.online().await;
    for (id, runner) in (1..).zip(bed.runners().await) {
        bed.fact(id, JobStatus::InProgress, Some(&runner)).await;
    }
    bed.queued(count + 1..=count + waiting).await;
    bed.pass(Depth::Partial).await;
    bed
}

#[tokio::test]
async fn a_round_takes_four_dependent_ledger_steps_at_most_however_large_the_fleet_is() {
    for (runners, waiting) in [(1, 0), (20, 500), (200, 1_500)] {
        let mut bed = fleet(runners, waiting).await;
        let counting = counted(&mut bed);
        let sets = bed.world.sets.load();
        for depth in [Depth::Partial, Depth::Full] {
            counting.take();
            observe::observe(&bed.world, &sets, &sets[0], depth).await.unwrap();
            let (steps, calls) = counting.take();
            assert!(steps <= STEPS_OF_ONE_LOOK, "{steps} steps, {calls} calls with {runners} runners, {depth:?}");
            assert!(calls > 4, "{calls} calls are counted");
        }
        // Of a whole pass the lease takes three more: it is taken, the closed sets are read, and it is given back.
        bed.pass(Depth::Partial).await;
        counting.take();
        let passed = bed.pass(Depth::Partial).await;
        let (steps, _) = counting.take();
        assert_eq!(passed.rounds, 1, "a pass that has nothing to do");
        let wakes = 2;
        assert!(steps <= 3 + STEPS_OF_A_QUIET_ROUND + wakes, "{steps} steps of a pass with {runners} runners");
    }
}

#[tokio::test]
async fn an_idle_set_asks_for_its_jobs_in_one_step_more() {
    let mut bed = Bed::new(policy(3));
    let counting = counted(&mut bed);
    let sets = bed.world.sets.load();
    observe::observe(&bed.world, &sets, &sets[0], Depth::Full).await.unwrap();
    assert!(counting.take().0 <= STEPS_OF_ONE_LOOK + 1);
}
