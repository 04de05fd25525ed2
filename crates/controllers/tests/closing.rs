//! A set that is taken out of service: its policy stays, and yet nothing is left of it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::{Bed, policy, set};
use runnersmith_controllers::closing::{ClosingError, DrainPorts, Remaining, Whose};
use runnersmith_controllers::{Depth, housekeeping, pass};
use runnersmith_ports::Message;
use runnersmith_types::{JobStatus, MachineId, MachineStatus, Runner, ScaleSetName};

const MINUTES: Duration = Duration::from_secs(180);

fn ports(bed: &Bed) -> DrainPorts {
    let ports = bed.world.ports.clone();
    let (ledger, machines, hand_off) = (ports.ledger, ports.machines, ports.hand_off);
    DrainPorts { ledger, machines, hand_off, queue: ports.queue, clock: ports.clock }
}

fn linux() -> BTreeSet<ScaleSetName> {
    BTreeSet::from([set("linux")])
}

/// Three runners: one has a job, one is idle, one boots.
async fn three(bed: &Bed) -> Runner {
    bed.queued(1..=2).await;
    bed.pass(Depth::Full).await;
    bed.online().await;
    let busy = bed.runners().await[0].clone();
    bed.fact(1, JobStatus::InProgress, Some(&busy)).await;
    for machine in bed.doubles.script().machines.values_mut() {
        machine.status = Some(if Some(&machine.id) == busy.machine.as_ref() {
            MachineStatus::Busy
        } else {
            MachineStatus::Listening
        });
    }
    bed.queued(3..=3).await;
    bed.pass(Depth::Full).await;
    busy
}

#[tokio::test]
async fn a_closed_set_ends_what_is_idle_waits_for_what_is_busy_and_launches_nothing() {
    let bed = Bed::new(policy(5));
    let busy = three(&bed).await;
    let ports = ports(&bed);
    let left = ports.close(&linux(), Whose::TheSets, None).await.unwrap();
    assert_eq!((left.jobs, left.machines, left.registrations, left.hand_offs), (1, 3, 3, 3));
    let woken = bed.world.ports.queue.receive(10, Duration::from_secs(1)).await.unwrap();
    assert!(woken.iter().any(|message| message.body == Message::Wake { set: set("linux") }.to_body()), "at once");

    // Another process, which read its settings long ago.
    let other = bed.another("other");
    bed.queued(4..=9).await;
    for _ in 0..6 {
        pass(&other, &set("linux"), Depth::Full).await.unwrap();
        bed.clock.advance(MINUTES);
    }
    assert_eq!(bed.machines_made(), 3, "nothing new, however many jobs wait");
    let left = ports.close(&linux(), Whose::TheSets, None).await.unwrap();
    assert_eq!((left.jobs, left.machines), (1, 1), "only what has a job");

    bed.fact(1, JobStatus::Completed, Some(&busy)).await;
    bed.doubles.script().machines.values_mut().for_each(|machine| machine.status = Some(MachineStatus::JobDone));
    bed.doubles.script().registrations.clear();
    for _ in 0..6 {
        pass(&other, &set("linux"), Depth::Full).await.unwrap();
        bed.clock.advance(MINUTES);
    }
    assert_eq!(ports.close(&linux(), Whose::TheSets, None).await.unwrap(), Remaining::default());
    assert!(bed.doubles.script().handed.is_empty());

    // Back in service, as it was.
    ports.open(&linux()).await.unwrap();
    bed.pass(Depth::Full).await;
    assert!(bed.machines_made() > 3, "the jobs that wait get their runners");
}

#[tokio::test]
async fn jobs_are_ended_only_when_that_is_asked_for_and_history_says_why() {
    let bed = Bed::new(policy(5));
    let busy = three(&bed).await;
    let ports = ports(&bed);
    ports.close(&linux(), Whose::TheSets, None).await.unwrap();
    assert_eq!(bed.doubles.script().count("terminate"), 0);
    let left = ports.close(&linux(), Whose::TheSets, Some("the approval says so")).await.unwrap();
    assert_eq!(left.jobs, 1, "counted as it was found");
    let machine = busy.machine.clone().unwrap();
    assert_eq!(bed.doubles.script().count("terminate"), 1, "the busy one only; the loop ends the others");
    assert_eq!(bed.doubles.script().count(&format!("terminate {machine}")), 1);
    ports.close(&linux(), Whose::TheSets, Some("the approval says so")).await.unwrap();
    assert_eq!(bed.doubles.script().count("terminate"), 1, "twice is once");
    let history = bed.world.ports.ledger.history_of_runner(&busy.name, 100).await.unwrap();
    let killed: Vec<_> = history.iter().filter(|event| event.what == "terminate").collect();
    assert_eq!(killed.len(), 1);
    assert_eq!((killed[0].text.as_str(), killed[0].machine.as_ref()), ("the approval says so", Some(&machine)));
}

#[tokio::test]
async fn nothing_left_is_not_said_while_a_pass_may_still_launch() {
    let bed = Bed::new(policy(5));
    let lease = bed.world.ports.ledger.acquire(&set("linux"), "a pass", Duration::from_secs(20)).await.unwrap();
    assert!(lease.is_some());
    tokio::time::pause();
    let refused = ports(&bed).close(&linux(), Whose::TheSets, None).await;
    assert!(matches!(refused, Err(ClosingError::InPass(_))), "{refused:?}");
    bed.clock.advance(Duration::from_secs(21));
    assert_eq!(ports(&bed).close(&linux(), Whose::TheSets, None).await.unwrap(), Remaining::default());
    let free = bed.world.ports.ledger.acquire(&set("linux"), "a pass", Duration::from_secs(20)).await.unwrap();
    assert!(free.is_some(), "the lease was given back");
}

#[tokio::test]
async fn hand_offs_of_nobody_go_where_all_are_ours_and_stay_where_others_are() {
    let bed = Bed::new(policy(5));
    let untracked = MachineId::parse("m-9999").unwrap();
    let now = bed.world.ports.clock.now();
    bed.doubles.script().handed.insert(untracked.clone(), "jit".into());
    bed.doubles.script().put_at.insert(untracked.clone(), now);
    assert_eq!(ports(&bed).close(&linux(), Whose::TheSets, None).await.unwrap(), Remaining::default());
    assert!(bed.doubles.script().handed.contains_key(&untracked), "it may be another set's");
    assert_eq!(ports(&bed).close(&linux(), Whose::Everybody, None).await.unwrap(), Remaining::default());
    assert!(bed.doubles.script().handed.is_empty());
}

#[tokio::test]
async fn a_closed_set_whose_policy_cannot_be_read_is_drained_like_one_without() {
    let bed = Bed::new(policy(5));
    bed.queued(1..=1).await;
    bed.pass(Depth::Full).await;
    let world =
        runnersmith_controllers::World { sets: runnersmith_controllers::Sets::new(Vec::new()), ..bed.world.clone() };
    let spared = linux();
    assert!(housekeeping::retired(&world, &spared).await.unwrap().1.is_empty());
    ports(&bed).close(&linux(), Whose::TheSets, None).await.unwrap();
    assert_eq!(housekeeping::retired(&world, &spared).await.unwrap().1, linux());
}
