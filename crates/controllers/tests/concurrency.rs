//! The design's section on concurrency, a test for each sentence.

use std::time::Duration;

use crate::support::{Bed, Fault, policy, set};
use runnersmith_controllers::{Depth, consume, pass};
use runnersmith_ports::{LedgerError, Message};
use runnersmith_types::{JobFact, JobStatus, MachineStatus, RunnerState};

/// A message carries one bounded fact, however large and hostile the job is.
#[test]
fn a_message_carries_one_bounded_fact() {
    let mut fact = runnersmith_ports::contract::ledger::fact(
        1,
        1,
        JobStatus::Queued,
        runnersmith_types::FactSource::Delivery,
        runnersmith_types::Timestamp(0),
    );
    fact.name = "\u{1f980}".repeat(200);
    fact.labels = (0..JobFact::LABELS_MAX)
        .map(|n| runnersmith_types::Label::of_job(&format!("{n}{}", "\"\n".repeat(100))))
        .collect();
    let body = Message::Job(Box::new(fact)).to_body();
    assert!(body.len() <= runnersmith_ports::queue::BODY_BYTES_MAX, "{}", body.len());
    let Message::Job(read) = serde_json::from_str(&body).unwrap() else { panic!("another signal") };
    assert!(read.labels_cut, "a fact whose labels were cut says so and matches nothing");
}

/// Its consumer writes the fact, bumps the wake count, then the lease is tried; acknowledged only after the fact is durable.
#[tokio::test]
async fn a_fact_is_durable_before_its_message_is_acknowledged() {
    let bed = Bed::new(policy(2));
    let fact = runnersmith_ports::contract::ledger::fact(
        1,
        1,
        JobStatus::Queued,
        runnersmith_types::FactSource::Delivery,
        bed.world.ports.clock.now(),
    );
    let queue = &bed.world.ports.queue;
    queue.send(&Message::Job(Box::new(fact)).to_body(), Duration::ZERO).await.unwrap();
    let batch = queue.receive(10, consume::VISIBILITY).await.unwrap();
    // A crash here: nothing is recorded, nothing acknowledged, so the message comes again.
    bed.clock.advance(consume::VISIBILITY);
    let again = queue.receive(10, consume::VISIBILITY).await.unwrap();
    assert_eq!(again.len(), batch.len());
    consume::consume(&bed.world, again).await;
    assert!(bed.world.ports.ledger.job(runnersmith_types::JobId(1)).await.unwrap().is_some());
    // The first receive's consumer is late: its receipts are stale, its fact is a no-op.
    consume::consume(&bed.world, batch).await;
    assert_eq!(queue.depth().await.unwrap(), (0, 0, 0));
}

/// A poisonous message ends in the dead letters and does not stop its neighbours.
#[tokio::test]
async fn a_message_that_is_no_signal_is_a_dead_letter() {
    let bed = Bed::new(policy(2));
    let queue = &bed.world.ports.queue;
    queue.send("not a signal", Duration::ZERO).await.unwrap();
    queue.send(&Message::Wake { set: set("linux") }.to_body(), Duration::ZERO).await.unwrap();
    let batch = queue.receive(10, consume::VISIBILITY).await.unwrap();
    let woken = consume::consume(&bed.world, batch).await.woken;
    assert!(woken.contains(&set("linux")));
    assert_eq!(queue.depth().await.unwrap(), (0, 0, 1));
}

/// A pass that finds the lease held goes home; the holder releases only if nobody woke the set meanwhile: no wake-up is lost.
#[tokio::test]
async fn a_wake_up_that_comes_while_the_lease_is_held_is_seen_by_its_holder() {
    let bed = Bed::new(policy(5));
    let other = bed.another("two");
    let ledger = &bed.world.ports.ledger;
    let mut lease = ledger.acquire(&set("linux"), "one", Duration::from_secs(20)).await.unwrap().unwrap();
    bed.queued(1..=1).await;
    let passed = pass(&other, &set("linux"), Depth::Partial).await.unwrap();
    assert!(passed.held_elsewhere);
    assert_eq!(bed.machines_made(), 0, "it went home");
    let release = ledger.release(&mut lease, Duration::from_secs(20)).await.unwrap();
    assert_eq!(release, runnersmith_ports::ReleaseOutcome::WokenAgain, "so the holder looks again");
    assert_eq!(
        ledger.release(&mut lease, Duration::from_secs(20)).await.unwrap(),
        runnersmith_ports::ReleaseOutcome::Released
    );
    bed.pass(Depth::Partial).await;
    assert_eq!(bed.machines_made(), 1);
}

/// The lease has a generation and a short end: a holder that was away writes nothing.
#[tokio::test]
async fn a_holder_that_was_away_too_long_stops_and_the_next_one_goes_on() {
    let bed = Bed::new(policy(5));
    bed.queued(1..=3).await;
    let ledger = &bed.world.ports.ledger;
    let stale = ledger.acquire(&set("linux"), "one", Duration::from_secs(20)).await.unwrap().unwrap();
    let sets = bed.world.sets.load();
    let policy = &sets[0];
    let snapshot = runnersmith_controllers::observe::observe(&bed.world, &sets, policy, Depth::Partial).await.unwrap();
    let plan = runnersmith_plan::plan(policy, &snapshot, bed.world.ports.clock.now());
    bed.clock.advance(Duration::from_secs(21));
    let other = bed.another("two");
    pass(&other, &set("linux"), Depth::Partial).await.unwrap();
    assert_eq!(bed.machines_made(), 3);
    let mut stale = stale;
    let late = runnersmith_controllers::execute::execute(&bed.world, policy, &snapshot, &mut stale, plan).await;
    assert!(matches!(late, Err(LedgerError::LeaseLost { .. })), "{late:?}");
    assert_eq!(bed.machines_made(), 3, "the late executor launched nothing");
}

/// Two loops at once stay below the maximum and launch one machine per intent.
#[tokio::test]
async fn two_loops_at_once_launch_one_machine_per_job_and_stay_below_the_maximum() {
    let bed = Bed::new(policy(4));
    bed.queued(1..=10).await;
    let (one, two) = (bed.world.clone(), bed.another("two"));
    for _ in 0..5 {
        let name = set("linux");
        let (a, b) = tokio::join!(pass(&one, &name, Depth::Full), pass(&two, &name, Depth::Full));
        a.unwrap();
        b.unwrap();
        bed.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(bed.machines_made(), 4);
    assert_eq!(bed.distinct_names().len(), 4);
    assert_eq!(bed.runners().await.len(), 4);
}

/// "When to look again" is a delayed message to oneself.
#[tokio::test]
async fn when_to_look_again_is_a_message_to_oneself() {
    let bed = Bed::new(policy(2));
    bed.queued(1..=1).await;
    let passed = bed.pass(Depth::Full).await;
    let at = passed.next_wake.unwrap();
    assert!(bed.world.ports.queue.receive(10, consume::VISIBILITY).await.unwrap().is_empty(), "not before");
    bed.clock.advance(at.since(bed.world.ports.clock.now()));
    let message = bed.world.ports.queue.receive(10, consume::VISIBILITY).await.unwrap();
    assert_eq!(message.len(), 1, "one message, not one for each round");
    assert_eq!(serde_json::from_str::<Message>(&message[0].body).unwrap(), Message::Wake { set: set("linux") });
}

/// Launching: the batch is stored before the call; a lost answer is asked for again with the same token.
#[tokio::test]
async fn a_launch_whose_answer_is_lost_is_recovered_and_nothing_is_launched_twice() {
    let bed = Bed::new(policy(5));
    bed.queued(1..=3).await;
    bed.doubles.script().fail("launch", Fault::AnswerLost);
    bed.pass(Depth::Partial).await;
    bed.clock.advance(Duration::from_secs(5));
    bed.pass(Depth::Partial).await;
    assert_eq!(bed.machines_made(), 3);
    let runners = bed.runners().await;
    assert!(
        runners.iter().all(|runner| runner.state == RunnerState::Booting && runner.machine.is_some()),
        "{runners:?}"
    );
    let mut bound: Vec<_> =
        runners.iter().map(|runner| (runner.name.clone(), runner.machine.clone().unwrap())).collect();
    bound.sort();
    assert!(bound.windows(2).all(|pair| pair[0].1 < pair[1].1), "sorted names to sorted machines: {bound:?}");
    assert!(bed.world.ports.ledger.open_batches(&set("linux")).await.unwrap().is_empty());
}

/// A crash after the batch was stored and before the call: the next process makes the call.
#[tokio::test]
async fn a_crash_between_storing_a_batch_and_its_call_is_recovered_by_another_process() {
    let bed = Bed::new(policy(5));
    bed.queued(1..=2).await;
    for _ in 0..3 {
        bed.doubles.script().fail("launch", Fault::Unavailable);
    }
    bed.pass(Depth::Partial).await;
    bed.doubles.script().faults.clear();
    assert_eq!(bed.machines_made(), 0);
    assert!(bed.runners().await.iter().all(|runner| runner.state == RunnerState::Launching));
    bed.clock.advance(Duration::from_secs(30));
    let other = bed.another("after the crash");
    pass(&other, &set("linux"), Depth::Full).await.unwrap();
    assert_eq!(bed.machines_made(), 2);
    assert_eq!(bed.doubles.script().count("jit "), 2);
}

/// JIT is not idempotent: the request is recorded first, the lost registration is found by name, deleted, and issued under attempt + 1.
#[tokio::test]
async fn a_lost_jit_answer_is_found_by_name_cleared_and_issued_under_the_next_attempt() {
    let bed = Bed::new(policy(5));
    bed.queued(1..=1).await;
    bed.doubles.script().fail("jit", Fault::AnswerLost);
    bed.pass(Depth::Partial).await;
    bed.clock.advance(Duration::from_secs(5));
    bed.pass(Depth::Partial).await;
    let runner = bed.runners().await.remove(0);
    assert_eq!((runner.attempt, runner.registration_name().to_string()), (2, format!("{}.2", runner.name)));
    assert!(runner.handed_at.is_some());
    assert_eq!(
        bed.distinct_names().into_iter().collect::<Vec<_>>(),
        [runner.registration_name().to_string()],
        "the lost one is deleted"
    );
    assert_eq!(bed.machines_made(), 1);
    assert_eq!(bed.doubles.script().handed.len(), 1);
}

/// A crash after the hand-off was put and before it was recorded: the machine has read it and is online: it is adopted.
#[tokio::test]
async fn a_hand_off_that_arrived_although_it_was_not_recorded_is_adopted() {
    let bed = Bed::new(policy(5));
    bed.queued(1..=1).await;
    bed.doubles.script().fail("jit", Fault::AnswerLost);
    bed.pass(Depth::Partial).await;
    for registration in bed.doubles.script().registrations.values_mut() {
        registration.online = true;
    }
    bed.clock.advance(Duration::from_secs(5));
    bed.pass(Depth::Full).await;
    let runner = bed.runners().await.remove(0);
    assert_eq!(runner.attempt, 1);
    assert_eq!(bed.doubles.script().count("deregister"), 0, "an online runner is not cleared away");
}

/// The API budget is reserved before; beyond it, a shared token; budgets are shared by all loops.
#[tokio::test]
async fn a_burst_beyond_the_jit_budget_shares_one_token() {
    let mut bed = Bed::new(policy(20));
    bed.world.limits.jit_per_minute = 5;
    bed.queued(1..=12).await;
    bed.pass(Depth::Partial).await;
    assert_eq!(bed.machines_made(), 12);
    let script = bed.doubles.script();
    let kinds = |kind| script.handed.values().filter(|found| *found == kind).count();
    assert_eq!((kinds("jit"), kinds("token")), (5, 7));
    assert_eq!(script.count("jit "), 5);
}

/// Registrations, then machines, then the ledger: what is launched during a look is not an orphan.
#[tokio::test]
async fn what_is_launched_while_another_looks_is_no_orphan() {
    let bed = Bed::new(policy(5));
    bed.queued(1..=2).await;
    let sets = bed.world.sets.load();
    let policy = &sets[0];
    let before = runnersmith_controllers::observe::observe(&bed.world, &sets, policy, Depth::Full).await.unwrap();
    bed.pass(Depth::Full).await;
    // A list that shows more than the ledger's snapshot knows: the machines are younger than the grace.
    let mut odd = runnersmith_controllers::observe::observe(&bed.world, &sets, policy, Depth::Full).await.unwrap();
    odd.runners = before.runners;
    odd.batches.clear();
    let plan = runnersmith_plan::plan(policy, &odd, bed.world.ports.clock.now());
    assert!(plan.steps.iter().all(|step| step.action.kind() != "terminate"), "{plan:?}");
}

/// The hand-off is deleted once the runner is online, or will never be.
#[tokio::test]
async fn no_hand_off_outlives_its_use() {
    let bed = Bed::new(policy(5));
    bed.queued(1..=1).await;
    bed.pass(Depth::Partial).await;
    assert_eq!(bed.doubles.script().handed.len(), 1);
    // The machine is online by GitHub's word alone; whether it deleted its copy is not known.
    for registration in bed.doubles.script().registrations.values_mut() {
        registration.online = true;
    }
    bed.pass(Depth::Full).await;
    assert!(bed.doubles.script().handed.is_empty(), "{:?}", bed.doubles.script().calls);
}

/// Machines end by themselves; a whole life leaves nothing behind.
#[tokio::test]
async fn a_whole_life_leaves_nothing_behind() {
    let bed = Bed::new(policy(2));
    bed.queued(1..=1).await;
    bed.pass(Depth::Partial).await;
    bed.online().await;
    let runner = bed.runners().await.remove(0);
    assert_eq!(runner.state, RunnerState::Idle);
    bed.fact(1, JobStatus::InProgress, Some(&runner)).await;
    bed.pass(Depth::Partial).await;
    assert_eq!(bed.runners().await[0].state, RunnerState::Busy);
    bed.fact(1, JobStatus::Completed, Some(&runner)).await;
    for machine in bed.doubles.script().machines.values_mut() {
        (machine.status, machine.state) =
            (Some(MachineStatus::Ended("exit code 0".into())), runnersmith_types::MachineState::Ended);
    }
    bed.doubles.script().registrations.clear();
    bed.pass(Depth::Full).await;
    assert!(bed.runners().await.is_empty());
    let script = bed.doubles.script();
    assert_eq!((script.count("terminate"), script.count("deregister")), (0, 0), "it went by itself");
    assert_eq!(script.count("jit "), 1, "one call to GitHub for one ephemeral runner: {:?}", script.calls);
}

/// Five hundred surplus runners are looked at and ended with calls that grow with pages: one list, one end. Only GitHub has to
/// be notified of each.
#[tokio::test]
async fn five_hundred_surplus_machines_are_ended_in_one_call() {
    let mut bed = Bed::new(policy(500));
    (bed.world.limits.jit_per_minute, bed.world.limits.calls_per_minute) = (10_000, 10_000);
    bed.queued(1..=500).await;
    for _ in 0..10 {
        bed.pass(Depth::Partial).await;
    }
    assert_eq!(bed.machines_made(), 500);
    assert_eq!(bed.doubles.script().count("launch "), 6, "one call for each batch of at most 90");
    bed.online().await;
    for id in 1..=500 {
        bed.fact(id, JobStatus::Completed, None).await;
    }
    bed.doubles.script().calls.clear();
    for _ in 0..12 {
        bed.clock.advance(std::time::Duration::from_secs(60));
        bed.pass(Depth::Full).await;
    }
    let script = bed.doubles.script();
    assert_eq!(script.count("terminate"), 500, "all were ended");
    assert_eq!(script.count("deregister"), 500, "each registration once");
    assert_eq!(script.count("end "), 1, "in one call");
    assert!(script.count("list") <= 40, "{} lists", script.count("list"));
}
