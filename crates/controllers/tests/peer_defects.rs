//! Defects that the study of the best-known rival found by running it (R1 to R12), each shown not to be ours.
//!
//! R12 (a job is matched by leaving its labels out) is shown where jobs are refused: `webhook/tests/intake.rs`.
//! R1 (a configuration that failed to load once is taken as empty forever) and R2, R3 (the client's credentials and limits) are
//! also shown where they live: `runnersmith/tests/serve.rs` and `github/tests/client.rs`.

use std::time::Duration;

use crate::support::{Bed, Fault, policy, set};
use runnersmith_controllers::Depth;
use runnersmith_plan::schedule;
use runnersmith_types::{
    JobStatus, MachineState, MachineStatus, MinIdleEntry, Owner, RunnerScope, RunnerState, RunnerUpdate, Timestamp,
};

/// R1, R2: one failed read poisons nothing; the next call asks again.
#[tokio::test]
async fn r01_r02_a_failure_is_not_remembered() {
    let bed = Bed::new(policy(3));
    bed.queued(1..=1).await;
    for _ in 0..3 {
        bed.doubles.script().fail("jit", Fault::Unavailable);
    }
    bed.pass(Depth::Partial).await;
    assert!(bed.doubles.script().handed.is_empty());
    bed.doubles.script().faults.clear();
    bed.clock.advance(Duration::from_secs(5));
    bed.pass(Depth::Partial).await;
    assert_eq!(bed.doubles.script().handed.len(), 1);
}

/// R3: a rate limit is not slept out: the pass ends at once and says when to look again.
#[tokio::test]
async fn r03_a_rate_limit_ends_the_pass_instead_of_sleeping() {
    let bed = Bed::new(policy(3));
    bed.queued(1..=1).await;
    for _ in 0..10 {
        bed.doubles.script().fail("jit", Fault::RateLimited);
    }
    let begun = bed.world.ports.clock.now();
    let passed = tokio::time::timeout(Duration::from_secs(10), bed.pass(Depth::Partial)).await.unwrap();
    assert!(passed.next_wake.is_some_and(|wake| wake > begun));
    assert_eq!(bed.machines_made(), 1, "what was launched is kept");
    assert!(bed.doubles.script().count("jit") < 10, "and GitHub is not hammered");
}

/// R4: when capacity is short, the jobs that are truly queued get what there is; nothing is acknowledged away.
#[tokio::test]
async fn r04_without_capacity_every_queued_job_stays_demand() {
    let bed = Bed::new(policy(10));
    bed.queued(1..=3).await;
    bed.fact(1, JobStatus::Completed, None).await;
    bed.doubles.script().fail("launch", Fault::NoCapacity);
    bed.pass(Depth::Partial).await;
    assert_eq!(bed.machines_made(), 0);
    let open = bed.world.ports.ledger.open_jobs(Timestamp(i64::MAX)).await.unwrap();
    assert_eq!(open.len(), 2, "both are still there");
    bed.clock.advance(Duration::from_secs(61));
    bed.pass(Depth::Partial).await;
    assert_eq!(bed.machines_made(), 2, "and get their machines when the capacity pool is warm again");
}

/// R5: a failure in one place does not make another place's launches happen again.
#[tokio::test]
async fn r05_a_failure_elsewhere_does_not_repeat_a_launch() {
    let bed = Bed::new(policy(10));
    bed.queued(1..=2).await;
    bed.pass(Depth::Partial).await;
    assert_eq!(bed.machines_made(), 2);
    bed.doubles.script().fail("list", Fault::Unavailable);
    bed.queued(1..=2).await;
    bed.pass(Depth::Partial).await;
    bed.queued(1..=2).await;
    bed.pass(Depth::Full).await;
    assert_eq!(bed.machines_made(), 2, "redelivered facts launch nothing");
    assert_eq!(bed.doubles.script().count("launch"), 1);
}

/// R6: at the maximum a job waits; it is not dropped.
#[tokio::test]
async fn r06_a_job_at_the_maximum_waits_and_is_served_when_there_is_room() {
    let mut reusable = policy(1);
    reusable.ephemeral = false;
    let bed = Bed::new(reusable);
    bed.queued(1..=2).await;
    bed.pass(Depth::Partial).await;
    assert_eq!(bed.machines_made(), 1);
    let runner = bed.runners().await.remove(0);
    for machine in bed.doubles.script().machines.values_mut() {
        (machine.status, machine.state) = (Some(MachineStatus::Ended("exit code 1".into())), MachineState::Ended);
    }
    bed.fact(1, JobStatus::Completed, Some(&runner)).await;
    for _ in 0..6 {
        bed.clock.advance(Duration::from_secs(121));
        bed.pass(Depth::Full).await;
    }
    assert_eq!(bed.machines_made(), 2, "the second job was not forgotten");
}

async fn idle(bed: &Bed, count: u64) {
    bed.queued(1..=count).await;
    bed.pass(Depth::Partial).await;
    bed.online().await;
    for id in 1..=count {
        bed.fact(id, JobStatus::Gone, None).await;
        bed.fact(id, JobStatus::Completed, None).await;
    }
    bed.clock.advance(Duration::from_secs(400));
}

/// R7: one failed removal does not stop the others.
#[tokio::test]
async fn r07_one_failed_removal_does_not_stop_the_others() {
    let bed = Bed::new(policy(5));
    idle(&bed, 3).await;
    bed.doubles.script().fail("deregister", Fault::Unavailable);
    bed.pass(Depth::Full).await;
    let states: Vec<RunnerState> = bed.runners().await.iter().map(|runner| runner.state).collect();
    assert_eq!(states, [RunnerState::Draining; 3]);
    let done = bed.runners().await.iter().filter(|runner| runner.deregistered_at.is_some()).count();
    assert!(done >= 2, "{done} of 3 were deregistered although one call failed");
}

/// R8: the minimum of idle runners is not used up by busy runners.
#[tokio::test]
async fn r08_busy_runners_do_not_use_up_the_minimum_of_idle_runners() {
    let mut min_idle = policy(5);
    min_idle.scope.at = Some(RunnerScope::Organization(Owner::parse("acme").unwrap()));
    min_idle.min_idle =
        vec![MinIdleEntry::Window { days: vec![], from_minute: 0, to_minute: 0, time_zone: "UTC".into(), count: 1 }];
    let bed = Bed::new(min_idle);
    idle(&bed, 3).await;
    let busy = bed.runners().await.remove(0);
    bed.fact(9, JobStatus::InProgress, Some(&busy)).await;
    bed.pass(Depth::Full).await;
    let alive: Vec<RunnerState> = bed.runners().await.iter().map(|runner| runner.state).collect();
    let count = |state| alive.iter().filter(|found| **found == state).count();
    assert_eq!((count(RunnerState::Busy), count(RunnerState::Idle)), (1, 1), "{alive:?}");
}

/// R9: a registration that is gone already counts as removed.
#[tokio::test]
async fn r09_a_registration_that_is_gone_already_is_no_failed_removal() {
    let bed = Bed::new(policy(5));
    idle(&bed, 1).await;
    bed.doubles.script().registrations.clear();
    let name = bed.runners().await[0].name.clone();
    let mut lease =
        bed.world.ports.ledger.acquire(&set("linux"), "test", Duration::from_secs(5)).await.unwrap().unwrap();
    bed.world.ports.ledger.update(&lease, vec![(name, RunnerUpdate::Draining)]).await.unwrap();
    bed.world.ports.ledger.release(&mut lease, Duration::from_millis(1)).await.unwrap();
    bed.pass(Depth::Full).await;
    assert!(bed.runners().await[0].deregistered_at.is_some());
    bed.clock.advance(Duration::from_secs(61));
    bed.pass(Depth::Full).await;
    assert_eq!(bed.doubles.script().count("terminate"), 1, "ended after the quiet time, not cycles later");
}

/// R10: a JIT runner that boots is offline at GitHub and counts all the same.
#[tokio::test]
async fn r10_a_booting_runner_counts_so_nothing_is_over_provisioned() {
    let mut min_idle = policy(10);
    min_idle.scope.at = Some(RunnerScope::Organization(Owner::parse("acme").unwrap()));
    min_idle.min_idle =
        vec![MinIdleEntry::Window { days: vec![], from_minute: 0, to_minute: 0, time_zone: "UTC".into(), count: 2 }];
    let bed = Bed::new(min_idle);
    for _ in 0..10 {
        bed.pass(Depth::Full).await;
        bed.clock.advance(Duration::from_secs(10));
    }
    assert_eq!(bed.machines_made(), 2);
}

/// R11: a five-field cron is refused with a hint, not accepted and active for five seconds of each minute.
#[test]
fn r11_a_five_field_cron_is_refused() {
    let entry = MinIdleEntry::Cron { cron: "* 9-17 * * 1-5".into(), time_zone: "UTC".into(), count: 1 };
    assert!(schedule::validate(&entry).unwrap_err().to_string().contains("six are needed"));
    let whole_minutes = MinIdleEntry::Cron { cron: "* * 9-17 * * *".into(), time_zone: "UTC".into(), count: 1 };
    let ten = 1_800_007_200 / 86_400 * 86_400 + 10 * 3_600;
    assert!(
        (0..60)
            .all(|second| schedule::min_idle(std::slice::from_ref(&whole_minutes), Timestamp::from_secs(ten + second))
                == 1)
    );
}
