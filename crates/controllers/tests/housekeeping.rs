//! What no pass over a configured set would look at.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::{Bed, policy, set};
use runnersmith_controllers::{Depth, Sets, World, housekeeping, pass};
use runnersmith_types::{MachineId, MachineState, MachineStatus, RunnerState};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn hand_offs_that_nobody_will_read_go_and_the_others_stay() {
    let bed = Bed::new(policy(5));
    bed.queued(1..=1).await;
    bed.pass(Depth::Full).await;
    let booting = bed.runners().await[0].machine.clone().unwrap();
    let untracked = MachineId::parse("m-9999").unwrap();
    let put_at = bed.world.ports.clock.now();
    bed.doubles.script().handed.insert(untracked.clone(), "jit".into());
    bed.doubles.script().put_at.insert(untracked.clone(), put_at);
    assert_eq!(housekeeping::expire_hand_offs(&bed.world).await.unwrap(), 0, "young ones stay");
    bed.clock.advance(HOUR + Duration::from_secs(1));
    assert_eq!(housekeeping::expire_hand_offs(&bed.world).await.unwrap(), 1);
    let handed: Vec<MachineId> = bed.doubles.script().handed.keys().cloned().collect();
    assert_eq!(handed, [booting], "the one whose runner boots is its pass's affair");
}

/// The same world without any set.
fn without_sets(world: &World) -> World {
    World { sets: Sets::new(Vec::new()), ..world.clone() }
}

#[tokio::test]
async fn a_set_that_no_policy_names_any_more_is_drained_and_its_busy_runner_is_left_to_end() {
    let bed = Bed::new(policy(5));
    bed.queued(1..=2).await;
    bed.pass(Depth::Full).await;
    bed.online().await;
    let busy = bed.runners().await[0].clone();
    bed.fact(1, runnersmith_types::JobStatus::InProgress, Some(&busy)).await;
    for machine in bed.doubles.script().machines.values_mut() {
        machine.status = Some(if Some(&machine.id) == busy.machine.as_ref() {
            MachineStatus::Busy
        } else {
            MachineStatus::Listening
        });
    }
    let world = without_sets(&bed.world);
    let spared = BTreeSet::from([set("linux")]);
    let (_, nothing) = housekeeping::retired(&world, &spared).await.unwrap();
    assert!(nothing.is_empty(), "a set whose policy cannot be read is left alone");
    for _ in 0..6 {
        let (world, left) = housekeeping::retired(&world, &BTreeSet::new()).await.unwrap();
        assert_eq!(left, BTreeSet::from([set("linux")]));
        pass(&world, &set("linux"), Depth::Full).await.unwrap();
        bed.clock.advance(Duration::from_secs(180));
    }
    let left = bed.runners().await;
    assert_eq!(left.iter().map(|runner| &runner.name).collect::<Vec<_>>(), [&busy.name]);
    assert_eq!(left[0].state, RunnerState::Busy, "its job runs on");
    let alive = bed.doubles.script().machines.values().filter(|machine| machine.state != MachineState::Ended).count();
    assert_eq!(alive, 1, "only the busy one's machine");

    bed.fact(1, runnersmith_types::JobStatus::Completed, Some(&busy)).await;
    bed.doubles.script().machines.values_mut().for_each(|machine| machine.status = Some(MachineStatus::JobDone));
    for _ in 0..6 {
        let (world, left) = housekeeping::retired(&world, &BTreeSet::new()).await.unwrap();
        for set in left {
            pass(&world, &set, Depth::Full).await.unwrap();
        }
        bed.clock.advance(Duration::from_secs(180));
    }
    assert!(housekeeping::retired(&world, &BTreeSet::new()).await.unwrap().1.is_empty(), "nothing is left of it");
    assert!(bed.runners().await.is_empty());
}
