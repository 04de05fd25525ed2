//! What one round of a pass learns counts in the next; what no answer comes to is given up; and nothing is asked for twice in vain.

use std::time::Duration;

use crate::support::{Bed, Fault, policy, set};
use runnersmith_controllers::Depth;
use runnersmith_types::{BatchId, JobStatus, Label, MachineId, MachineStatus, RunnerState, Timestamp};

/// A bed with one runner that is online, whose job somebody else ran.
async fn one(ephemeral: bool) -> Bed {
    let mut policy = policy(3);
    (policy.ephemeral, policy.timing.delay) = (ephemeral, Duration::ZERO);
    let bed = Bed::new(policy);
    bed.queued(1..=1).await;
    bed.pass(Depth::Partial).await;
    if !ephemeral {
        // It registers by a token, by itself.
        let runner = bed.runners().await.remove(0);
        let name = runner.registration_name().to_string();
        let id = runnersmith_types::RegistrationId(1);
        let made = runnersmith_types::Registration { id, name, online: true, busy: false, labels: Vec::new() };
        bed.doubles.script().registrations.insert(1, made);
    }
    bed.online().await;
    bed.fact(1, JobStatus::Completed, None).await;
    assert_eq!(bed.runners().await[0].state, RunnerState::Idle);
    bed
}

fn busy_at_github(bed: &Bed, is_busy: bool) {
    bed.doubles.script().registrations.values_mut().for_each(|found| found.busy = is_busy);
}

#[tokio::test]
async fn githubs_busy_flag_outlasts_the_rounds_that_do_not_ask() {
    for ephemeral in [false, true] {
        let bed = one(ephemeral).await;
        busy_at_github(&bed, true);
        bed.clock.advance(Duration::from_secs(10));
        let passed = bed.pass(Depth::Full).await;
        assert_eq!(bed.runners().await[0].state, RunnerState::Busy);
        assert!(passed.rounds <= 2, "{passed:?}");
        bed.clock.advance(Duration::from_secs(10));
        let passed = bed.pass(Depth::Partial).await;
        assert_eq!((bed.runners().await[0].state, passed.actions), (RunnerState::Busy, 0));
        busy_at_github(&bed, false);
        bed.clock.advance(Duration::from_secs(10));
        bed.pass(Depth::Full).await;
        assert_eq!(bed.runners().await[0].state, RunnerState::Idle, "a newer list says so");
    }
}

#[tokio::test]
async fn a_warned_machine_whose_runner_github_does_not_let_go_is_asked_for_once_in_a_pass() {
    let bed = one(false).await;
    let until = bed.clock_now().plus(Duration::from_secs(120));
    bed.doubles.script().machines.values_mut().for_each(|machine| machine.interrupted_at = Some(until));
    for _ in 0..50 {
        bed.doubles.script().fail("deregister", Fault::Busy);
    }
    let passed = bed.pass(Depth::Partial).await;
    assert_eq!(bed.doubles.script().count("deregister"), 1, "{passed:?}");
    assert!(passed.rounds <= 3, "{passed:?}");
    for _ in 0..5 {
        bed.clock.advance(Duration::from_secs(5));
        bed.pass(Depth::Partial).await;
        bed.pass(Depth::Full).await;
    }
    assert_eq!(bed.doubles.script().count("deregister"), 1, "GitHub's refusal counts until something newer is said");
    assert_eq!(bed.runners().await[0].state, RunnerState::Busy);
    bed.clock.advance(Duration::from_secs(60));
    bed.pass(Depth::Full).await;
    assert_eq!(bed.doubles.script().count("deregister"), 2);
}

#[tokio::test]
async fn a_registration_that_github_calls_busy_by_id_is_not_called_idle_by_the_next_round() {
    let bed = one(false).await;
    // GitHub's list does not show it; asked by its number, GitHub says that it has a job.
    let (hidden, name) = {
        let mut script = bed.doubles.script();
        let mut found = script.registrations.remove(&1).unwrap();
        found.busy = true;
        let name = found.name.clone();
        (script.hidden.insert(1, found), name)
    };
    assert!(hidden.is_none(), "{name}");
    bed.clock.advance(Duration::from_secs(130));
    let passed = bed.pass(Depth::Full).await;
    assert_eq!(bed.runners().await[0].state, RunnerState::Busy, "{passed:?}");
    assert_eq!(bed.doubles.script().count("registration 1"), 1);
    assert!(passed.rounds <= 2, "{passed:?}");
}

#[tokio::test]
async fn a_launch_call_that_never_gets_an_answer_backs_off_is_given_up_and_is_made_again() {
    let bed = Bed::new(policy(3));
    bed.queued(1..=2).await;
    for _ in 0..1_000 {
        bed.doubles.script().fail("launch", Fault::Unavailable);
    }
    let begun = bed.clock_now();
    let batch = |runners: &[runnersmith_types::Runner]| runners[0].batch.clone();
    bed.pass(Depth::Full).await;
    let first: Option<BatchId> = batch(&bed.runners().await);
    assert!(first.is_some());
    while bed.clock_now() < begun.plus(Duration::from_secs(299)) {
        bed.clock.advance(Duration::from_secs(1));
        bed.pass(Depth::Partial).await;
    }
    let calls = bed.doubles.script().count("launch");
    assert!((5..=12).contains(&calls), "{calls} calls in five minutes");
    assert_eq!(batch(&bed.runners().await), first, "the same call all the while");
    bed.clock.advance(Duration::from_secs(1));
    bed.pass(Depth::Full).await;
    let runners = bed.runners().await;
    assert!(runners.iter().all(|runner| runner.state == RunnerState::Intended), "{runners:#?}");
    assert!(bed.world.ports.ledger.open_batches(&set("linux")).await.unwrap().is_empty(), "its batch is settled");
    let failures = bed.world.ports.ledger.boot_failures(&set("linux")).await.unwrap();
    assert_eq!(failures.total(), 1, "one call failed, for however many machines it was");
    let pools = bed.world.ports.ledger.pool_failures(&set("linux"), Timestamp(0)).await.unwrap();
    assert!(pools.iter().any(|failure| failure.why.contains("timeout")), "its reason: {pools:?}");
    // EC2 is well again: another call is made, with another token.
    bed.doubles.script().faults.clear();
    bed.clock.advance(Duration::from_secs(61));
    bed.pass(Depth::Full).await;
    assert_eq!(bed.machines_made(), 2);
    assert_ne!(batch(&bed.runners().await), first);
}

#[tokio::test]
async fn a_spent_token_is_not_used_again_after_a_fleet_that_launched_nothing() {
    let bed = Bed::new(policy(3));
    bed.queued(1..=2).await;
    bed.doubles.script().fail("launch", Fault::NothingLaunched);
    let passed = bed.pass(Depth::Full).await;
    assert_eq!(bed.doubles.script().count("launch"), 1);
    assert!(passed.next_wake.is_some_and(|wake| wake > bed.clock_now()), "{passed:?}");
    assert!(bed.world.ports.ledger.open_batches(&set("linux")).await.unwrap().is_empty());
    bed.clock.advance(Duration::from_secs(2));
    bed.pass(Depth::Partial).await;
    assert_eq!(bed.doubles.script().count("launch"), 2);
    assert_eq!(bed.machines_made(), 2);
    assert_eq!(bed.world.ports.ledger.boot_failures(&set("linux")).await.unwrap().total(), 0, "no image is to blame");
}

#[tokio::test]
async fn a_machine_without_a_record_is_ended_once_in_a_pass_although_its_end_is_not_shown_yet() {
    let bed = one(true).await;
    let id = MachineId::parse("m-untracked").unwrap();
    let now = bed.clock_now();
    {
        let mut script = bed.doubles.script();
        let mut other = script.machines.values().next().unwrap().clone();
        (other.id, other.batch, other.launched_at) = (id.clone(), BatchId::parse("b-other").unwrap(), now);
        other.status = Some(MachineStatus::Listening);
        script.machines.insert(id, other);
        script.ends_lag = true;
    }
    bed.clock.advance(Duration::from_secs(120));
    // Something is to be done in the next rounds too.
    bed.queued(7..=8).await;
    bed.pass(Depth::Full).await;
    assert_eq!(bed.doubles.script().count("terminate m-untracked"), 1);
}

#[tokio::test]
async fn what_a_runner_was_registered_with_is_recorded_and_a_set_with_other_labels_replaces_it() {
    let bed = one(true).await;
    let runner = bed.runners().await.remove(0);
    let sets = bed.world.sets.load();
    assert_eq!(runner.labels, sets[0].labels);
    let mut changed = sets[0].clone();
    changed.labels.insert(Label::of_set("gpu").unwrap());
    bed.world.sets.replace(vec![changed]);
    bed.queued(5..=5).await;
    bed.pass(Depth::Partial).await;
    assert_eq!(bed.machines_made(), 2, "the old runner is no supply");
    bed.clock.advance(Duration::from_secs(301));
    bed.pass(Depth::Full).await;
    let old = bed.runners().await.into_iter().find(|found| found.name == runner.name);
    assert!(old.is_none_or(|old| old.state == RunnerState::Draining), "and goes");
}
