//! What a ledger that was filled at commit e2c886d must answer, on whatever store it is. `crates/testing/fixtures` says what this is.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use runnersmith_ports::{BudgetKind, Ledger, ReleaseOutcome};
use runnersmith_types::job::Merged;
use runnersmith_types::{
    BatchId, CapacityPool, Conclusion, EventKind, FactSource, Intent, Job, JobFact, JobId, JobStatus, Market, Notified,
    Owner, OwnerKind, RegistrationId, RepoFullName, RunId, Runner, RunnerName, RunnerScope, RunnerState, RunnerUpdate,
    ScaleSetName, Stalled, Target, Timestamp,
};

/// After the last change of the ledger, in the minute in which its budgets were used.
pub const NOW: Timestamp = Timestamp::from_secs(1_800_000_090);
const TTL: Duration = Duration::from_secs(30);

/// A file of the fixtures.
pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../testing/fixtures/e2c886d")).join(name)
}

/// The lines of one.
pub fn lines(name: &str) -> Vec<String> {
    std::fs::read_to_string(fixture(name)).unwrap().lines().map(str::to_owned).collect()
}

pub fn set(name: &str) -> ScaleSetName {
    ScaleSetName::parse(name).unwrap()
}

pub fn runner(set: &str, serial: u64) -> RunnerName {
    RunnerName::parse(&format!("{set}-k3x9ab-{serial}")).unwrap()
}

/// So many seconds after the ledger was begun.
pub const fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + seconds)
}

pub fn spot() -> CapacityPool {
    CapacityPool {
        market: Market::Spot,
        machine_type: "m7i.large+m6i.large".into(),
        zone: "eu-west-1a+eu-west-1b".into(),
    }
}

/// The jobs, each with its state and what is known of it.
pub fn jobs_are_right(jobs: &BTreeMap<u64, Job>) {
    use JobStatus::{Completed, Gone, InProgress, Queued, Waiting};
    let states: Vec<(u64, JobStatus)> = jobs.iter().map(|(id, job)| (*id, job.fact.status)).collect();
    assert_eq!(
        states,
        [
            (101, Waiting),
            (102, Queued),
            (103, Queued),
            (104, InProgress),
            (105, Completed),
            (106, Gone),
            (107, InProgress),
            (108, Completed),
            (109, Queued),
            (110, Queued)
        ]
    );
    let job = |id: u64| &jobs[&id];
    assert_eq!(job(103).stalled, Some(Stalled { since: at(10), until: at(610) }));
    let notified =
        Notified { at: at(10), check_run: 4711, text: "held: a matching runner was idle".into(), closed: false };
    assert_eq!((job(103).notified.clone(), job(103).version), (Some(notified), 3));
    assert_eq!((job(107).interrupted_at, job(108).interrupted_at), (Some(at(10)), Some(at(10))));
    assert_eq!(job(108).notified.as_ref().unwrap().text, "its machine was interrupted");
    assert_eq!((job(106).ended_at, job(106).verified_at), (Some(at(5)), Some(at(5))));
    assert_eq!((job(106).fact.source, job(102).fact.source), (FactSource::Get, FactSource::Delivery));
    let full = job(105);
    assert_eq!((full.queued_at, full.in_progress_at, full.ended_at), (Some(at(0)), Some(at(5)), Some(at(10))));
    assert_eq!((full.first_seen_at, full.changed_at, full.runner()), (at(0), at(10), Some(runner("linux", 9))));
    let fact = &full.fact;
    assert_eq!(fact.delivery.as_ref().unwrap().as_str(), "72d3162e-cc78-11e3-81ab-4c9367dc0958");
    assert_eq!(
        (fact.conclusion.clone(), fact.runner_id),
        (Some(Conclusion("success".into())), Some(RegistrationId(9105)))
    );
    assert_eq!((fact.created_at, fact.started_at, fact.completed_at), (Some(at(-60)), Some(at(-30)), Some(at(0))));
    assert_eq!((fact.run, fact.repo.as_str(), fact.head_sha.as_str()), (RunId(1105), "acme/shop", "c0ffee"));
    assert_eq!((fact.name.as_str(), fact.workflow.as_str()), ("build \"105\" é", "ci"));
    assert_eq!(fact.labels.iter().map(|label| label.as_str()).collect::<Vec<_>>(), ["self-hosted", "linux"]);
    let personal = &job(109).fact;
    assert_eq!((personal.owner_kind, personal.source), (OwnerKind::User, FactSource::Sweep));
    assert_eq!((personal.labels_cut, personal.run_attempt, personal.labels.len()), (true, 3, 0));
    assert_eq!((job(110).fact.owner_kind, fact.owner_kind), (OwnerKind::Unknown, OwnerKind::Organization));
}

/// The runners, each with its state and what is known of it.
pub fn runners_are_right(runners: &BTreeMap<u64, Runner>) {
    use RunnerState::{Booting, Busy, Draining, Finished, Gone, Idle, Intended, Launching, Lost};
    let states: Vec<(u64, RunnerState)> = runners.iter().map(|(serial, runner)| (*serial, runner.state)).collect();
    assert_eq!(
        states,
        [
            (1, Intended),
            (2, Launching),
            (3, Booting),
            (4, Idle),
            (5, Busy),
            (6, Draining),
            (7, Finished),
            (8, Lost),
            (9, Gone),
            (10, Launching),
            (11, Intended),
            (12, Idle)
        ]
    );
    let of = |serial: u64| &runners[&serial];
    let machine = |serial: u64| of(serial).machine.as_ref().map(ToString::to_string);
    assert_eq!(of(2).batch.as_ref().map(BatchId::as_str), Some("batch-1"));
    assert_eq!((of(2).pool.clone(), of(2).launching_at, of(2).intended_at), (Some(spot()), Some(at(10)), at(10)));
    assert_eq!((of(3).attempt, of(3).registration), (2, Some(RegistrationId(9303))));
    assert_eq!((machine(3).as_deref(), machine(2)), (Some("i-00000000000000003"), None));
    assert_eq!(of(3).registration_name().to_string(), "linux-k3x9ab-3.2");
    assert!(of(3).jit_requested_at.is_some() && of(3).handed_at.is_some() && of(3).machine_at.is_some());
    assert!(of(4).offline_since.is_some() && of(4).idle_since.is_some() && of(4).looked_up_at.is_some());
    assert_eq!((of(4).missing_registration, of(5).missing_registration), (1, 0));
    assert_eq!((of(5).job, of(7).job), (Some(JobId(104)), Some(JobId(108))));
    assert!(of(5).busy_at.is_some() && of(5).handoff_gone_at.is_some() && of(5).online_at.is_some());
    assert!(of(6).draining_at.is_some() && of(6).deregistered_at.is_some() && of(6).terminated_at.is_some());
    assert!(of(7).finished_at.is_some() && of(8).lost_at.is_some() && of(8).machine_missing_since.is_some());
    assert_eq!((of(9).end_reason.as_deref(), of(9).gone_at), (Some("its job is completed"), Some(at(65))));
    let places = [9, 10, 11].map(|serial| of(serial).target.at.clone());
    let owner = |name: &str| Owner::parse(name).unwrap();
    let [organization, repository, enterprise] = places;
    assert_eq!(organization, RunnerScope::Organization(owner("acme")));
    assert_eq!(repository, RunnerScope::Repository(RepoFullName::parse("acme/shop").unwrap()));
    assert_eq!(enterprise, RunnerScope::Enterprise(owner("big-corp")));
    assert_eq!((of(9).ephemeral, of(11).ephemeral, of(12).target.set.as_str()), (true, false, "windows"));
    assert_eq!(of(10).pool.as_ref().map(|pool| pool.market), Some(Market::Local));
}

/// Everything that a filled ledger answers.
pub async fn is_as_it_was_stored(ledger: &dyn Ledger) {
    let jobs = ledger.recent_jobs(100).await.unwrap();
    jobs_are_right(&jobs.into_iter().map(|job| (job.id().0, job)).collect());
    let open: Vec<u64> = ledger.open_jobs(Timestamp(0)).await.unwrap().iter().map(|job| job.id().0).collect();
    assert_eq!(open, [101, 102, 103, 104, 107, 108, 109, 110], "the open ones, and the one whose author was notified");
    let runners = ledger.recent_runners(100).await.unwrap();
    runners_are_right(&runners.into_iter().map(|runner| (runner.serial, runner)).collect());
    let live: Vec<u64> = ledger.live_runners(&set("linux")).await.unwrap().iter().map(|runner| runner.serial).collect();
    assert_eq!(live, [1, 2, 3, 4, 5, 6, 7, 8]);
    let gone = ledger.runner(&runner("linux", 9)).await.unwrap().unwrap();
    assert_eq!((gone.state, gone.serial), (RunnerState::Gone, 9));
    let mut counts = ledger.counts().await.unwrap();
    counts.sort();
    assert_eq!(counts, [(set("linux"), 8, 4), (set("windows"), 3, 3)]);
    let batch = |id: &str| BatchId::parse(id).unwrap();
    let settled = ledger.batch(&batch("batch-1")).await.unwrap().unwrap();
    assert_eq!((settled.settled, settled.runners.len(), settled.pool), (true, 8, spot()));
    let waiting = ledger.open_batches(&set("windows")).await.unwrap();
    assert_eq!(waiting.iter().map(|batch| batch.id.as_str()).collect::<Vec<_>>(), ["batch-2"]);
    assert_eq!(waiting[0].runners, [runner("windows", 10)]);
    assert!(ledger.open_batches(&set("linux")).await.unwrap().is_empty());
    small_things_are_right(ledger).await;
    history_is_right(ledger).await;
}

async fn small_things_are_right(ledger: &dyn Ledger) {
    let linux = set("linux");
    assert_eq!(ledger.control_plane().await.unwrap().as_str(), "k3x9ab");
    assert_eq!(ledger.next_serial().await.unwrap(), 13);
    let pool_failures = ledger.pool_failures(&linux, Timestamp(0)).await.unwrap();
    let pool_failures: Vec<(Market, &str)> =
        pool_failures.iter().map(|pool_failure| (pool_failure.pool.market, pool_failure.why.as_str())).collect();
    assert_eq!(pool_failures, [(Market::Spot, "no capacity"), (Market::OnDemand, "the quota is used up")]);
    let failures = ledger.boot_failures(&linux).await.unwrap().newest;
    assert_eq!(
        failures.iter().map(|failure| failure.runner.clone()).collect::<Vec<_>>(),
        [2, 3].map(|n| runner("linux", n))
    );
    let mut reruns = ledger.reruns().await.unwrap();
    reruns.sort();
    let repo = |name: &str| RepoFullName::parse(name).unwrap();
    assert_eq!(reruns, [(repo("acme/docs"), RunId(7)), (repo("acme/shop"), RunId(1107))]);
    assert_eq!(ledger.used_budget(BudgetKind::Jit).await.unwrap(), 3);
    assert_eq!(ledger.used_budget(BudgetKind::Calls).await.unwrap(), 7);
    let closed: Vec<String> = ledger.closed().await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(closed, ["gpu", "old-set"]);
    assert_eq!(ledger.get("redelivered_until").await.unwrap().as_deref(), Some("1799999400000"));
    assert_eq!(ledger.get("redelivered").await.unwrap().as_deref(), Some("72d3162e-cc78 72d3162e-cc79"));
}

async fn history_is_right(ledger: &dyn Ledger) {
    let recent = ledger.recent_history(100).await.unwrap();
    let recent: Vec<(EventKind, &str)> = recent.iter().map(|event| (event.kind, event.what.as_str())).collect();
    assert_eq!(
        recent,
        [
            (EventKind::Dropped, "signature"),
            (EventKind::Failed, "deregister"),
            (EventKind::Done, "launch"),
            (EventKind::Decided, "intend"),
            (EventKind::Seen, "queued")
        ]
    );
    let of_job = ledger.history_of_job(JobId(104), 10).await.unwrap();
    assert_eq!(
        of_job.iter().map(|event| event.text.as_str()).collect::<Vec<_>>(),
        ["the job 104 is queued", "launched on spot"]
    );
    let launch = &of_job[1];
    assert_eq!((launch.set.clone(), launch.runner.clone()), (Some(set("linux")), Some(runner("linux", 5))));
    assert_eq!(launch.machine.as_ref().map(ToString::to_string).as_deref(), Some("i-00000000000000005"));
    assert_eq!(launch.delivery.as_ref().map(ToString::to_string).as_deref(), Some("72d3162e-cc79"));
    let of_runner = ledger.history_of_runner(&runner("linux", 6), 10).await.unwrap();
    assert_eq!(of_runner.iter().map(|event| event.what.as_str()).collect::<Vec<_>>(), ["deregister"]);
}

/// What was begun is carried on: leases, facts, marks, names and batches.
pub async fn goes_on(ledger: &dyn Ledger) {
    assert!(ledger.acquire(&set("windows"), "me", TTL).await.unwrap().is_none(), "another holds it");
    let mut lease = ledger.acquire(&set("linux"), "me", TTL).await.unwrap().unwrap();
    assert_eq!(lease.generation, 2);
    let before = ledger.job(JobId(104)).await.unwrap().unwrap();
    let fact = JobFact {
        status: JobStatus::Completed,
        conclusion: Some(Conclusion("failure".into())),
        received_at: NOW,
        ..before.fact.clone()
    };
    let recorded = ledger.record_facts(vec![fact], &[set("linux")]).await.unwrap().remove(0);
    assert_eq!((recorded.merged, recorded.new, recorded.job.version), (Merged::Status, false, before.version + 1));
    assert_eq!((recorded.job.ended_at, recorded.job.queued_at), (Some(NOW), before.queued_at));
    let moved = ledger.record_facts(
        vec![JobFact {
            status: JobStatus::InProgress,
            received_at: NOW,
            ..ledger.job(JobId(103)).await.unwrap().unwrap().fact
        }],
        &[],
    );
    assert_eq!(moved.await.unwrap()[0].job.stalled, None, "it runs, so that it is held no more");
    let updates =
        vec![(runner("linux", 5), RunnerUpdate::Finished), (runner("linux", 8), RunnerUpdate::Gone("over".into()))];
    let marked = ledger.update(&lease, updates).await.unwrap();
    assert_eq!(
        marked.iter().map(|runner| runner.state).collect::<Vec<_>>(),
        [RunnerState::Finished, RunnerState::Gone]
    );
    let acme = RunnerScope::Organization(Owner::parse("acme").unwrap());
    let intent = Intent { name: runner("linux", 13), serial: 13, target: Target { set: set("linux"), at: acme } };
    ledger.intend(&lease, vec![intent], true, 8).await.unwrap();
    assert_eq!(ledger.next_serial().await.unwrap(), 14);
    assert!(!ledger.rerun(&RepoFullName::parse("acme/shop").unwrap(), RunId(1107)).await.unwrap(), "it was done");
    ledger.boot_succeeded(&set("linux")).await.unwrap();
    assert!(ledger.boot_failures(&set("linux")).await.unwrap().newest.is_empty());
    ledger.close(&set("gpu"), false).await.unwrap();
    assert_eq!(ledger.closed().await.unwrap().len(), 1);
    assert_eq!(ledger.release(&mut lease, TTL).await.unwrap(), ReleaseOutcome::WokenAgain, "the fact woke it");
    assert_eq!(ledger.release(&mut lease, TTL).await.unwrap(), ReleaseOutcome::Released);
}
