//! What every implementation of [`Ledger`] must do, as checks that panic with what was expected.
//!
//! The sentences of the design's section on concurrency that are the ledger's to keep are here, one check each.

use std::time::Duration;

use runnersmith_types::job::Merged;
use runnersmith_types::{
    Batch, BatchId, BootFailure, CapacityPool, Event, EventKind, FactSource, Intent, Job, JobFact, JobId, JobStatus,
    MachineId, Notified, Owner, OwnerKind, PoolFailure, RecordVersion, RepoFullName, RunId, Runner, RunnerName,
    RunnerScope, RunnerState, RunnerUpdate, ScaleSetName, Stalled, Target, Timestamp,
};

use crate::clock::{Clock as _, ManualClock};
use crate::ledger::{BudgetKind, Lease, Ledger, LedgerError, Release};

const TTL: Duration = Duration::from_secs(30);

/// An implementation under test, empty, with the clock that it reads.
pub struct LedgerWorld<'a> {
    /// The implementation.
    pub ledger: &'a dyn Ledger,
    /// Its clock.
    pub clock: &'a ManualClock,
}

fn good<T, E: std::error::Error>(outcome: Result<T, E>) -> T {
    match outcome {
        Ok(value) => value,
        Err(error) => panic!("{error}: {:?}", error.source()),
    }
}

fn set(name: &str) -> ScaleSetName {
    good(ScaleSetName::parse(name))
}

fn repo() -> RepoFullName {
    good(RepoFullName::parse("acme/shop"))
}

fn pool() -> CapacityPool {
    runnersmith_types::FallbackOrder::local().pools.remove(0)
}

/// A fact as a delivery or a GET gives it.
#[must_use]
pub fn fact(id: u64, run: u64, status: JobStatus, source: FactSource, at: Timestamp) -> JobFact {
    JobFact {
        source,
        received_at: at,
        delivery: None,
        id: JobId(id),
        run: RunId(run),
        run_attempt: 1,
        repo: repo(),
        owner_kind: OwnerKind::Organization,
        head_sha: "c0ffee".into(),
        name: format!("job {id}"),
        workflow: "ci".into(),
        labels: vec![runnersmith_types::Label::of_job("linux")],
        labels_cut: false,
        status,
        conclusion: None,
        runner_name: None,
        runner_id: None,
        created_at: None,
        started_at: None,
        completed_at: None,
    }
}

impl LedgerWorld<'_> {
    async fn record(&self, id: u64, run: u64, status: JobStatus, source: FactSource) -> (Merged, Job) {
        let facts = vec![fact(id, run, status, source, self.clock.now())];
        let mut recorded = good(self.ledger.record_facts(facts, &[set("linux")]).await);
        let recorded = recorded.remove(0);
        (recorded.merged, recorded.job)
    }

    async fn lease(&self, name: &str) -> Lease {
        match good(self.ledger.acquire(&set(name), "me", TTL).await) {
            Some(lease) => lease,
            None => panic!("the lease on {name} is free"),
        }
    }

    async fn intents(&self, name: &str, count: u64) -> Vec<Intent> {
        let first = good(self.ledger.next_serial().await);
        let control_plane = good(self.ledger.control_plane().await);
        let target = Target { set: set(name), at: RunnerScope::Organization(good(Owner::parse("acme"))) };
        let intent = |serial| Intent {
            name: good(RunnerName::parse(&format!("{name}-{control_plane}-{serial}"))),
            serial,
            target: target.clone(),
        };
        (first..first + count).map(intent).collect()
    }

    /// Ends all that a check has left alive.
    async fn clear(&self, lease: Lease) {
        let runners = good(self.ledger.live_runners(&lease.set).await);
        let updates = runners.into_iter().map(|runner| (runner.name, RunnerUpdate::Gone("over".into()))).collect();
        good(self.ledger.update(&lease, updates).await);
        self.let_go(lease).await;
    }

    async fn let_go(&self, mut lease: Lease) {
        while good(self.ledger.release(&mut lease, TTL).await) == Release::WokenAgain {}
    }
}

/// Runs every check.
pub async fn ledger(world: &LedgerWorld<'_>) {
    good(world.ledger.ping().await);
    facts_merge_in_the_order_of_life(world).await;
    a_run_that_changes_frees_its_held_jobs(world).await;
    details_of_a_job_are_kept(world).await;
    a_lease_has_one_holder_and_ends(world).await;
    a_wake_up_during_a_pass_is_not_lost(world).await;
    a_set_that_is_closed_stays_so_until_it_is_opened(world).await;
    a_stale_lease_writes_nothing(world).await;
    intents_stay_below_the_maximum(world).await;
    a_name_is_given_once_for_ever(world).await;
    a_batch_is_stored_with_all_its_runners_or_not_at_all(world).await;
    updates_apply_in_order_under_the_lease(world).await;
    racing_intents_stay_below_the_maximum(world).await;
    a_budget_is_a_minutes(world).await;
    pool_failures_boot_failures_and_reruns_are_kept(world).await;
    history_is_told_oldest_first(world).await;
    only_what_is_over_is_pruned(world).await;
}

async fn facts_merge_in_the_order_of_life(world: &LedgerWorld<'_>) {
    let (merged, job) = world.record(1, 1, JobStatus::Queued, FactSource::Delivery).await;
    assert_eq!((merged, job.version), (Merged::Status, 1));
    let queued_at = job.queued_at;
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(world.record(1, 1, JobStatus::Queued, FactSource::Delivery).await.0, Merged::Nothing, "doubled");
    assert_eq!(world.record(1, 1, JobStatus::Completed, FactSource::Delivery).await.0, Merged::Status);
    assert_eq!(world.record(1, 1, JobStatus::InProgress, FactSource::Delivery).await.0, Merged::Nothing, "late");
    let (merged, job) = world.record(1, 1, JobStatus::Queued, FactSource::Get).await;
    assert_eq!((merged, job.fact.status), (Merged::Nothing, JobStatus::Completed), "a GET cannot undo completed");
    assert_eq!(job.queued_at, queued_at, "age counts from the first receipt");
    world.record(2, 1, JobStatus::InProgress, FactSource::Delivery).await;
    let (merged, _) = world.record(2, 1, JobStatus::Queued, FactSource::Get).await;
    assert_eq!(merged, Merged::Status, "a GET may correct anything else");
    world.record(2, 1, JobStatus::Gone, FactSource::Get).await;
    let open = good(world.ledger.open_jobs(Timestamp(i64::MAX)).await);
    assert!(open.is_empty(), "neither is open: {open:?}");
    let with_ended = good(world.ledger.open_jobs(Timestamp(0)).await);
    assert!(with_ended.is_empty(), "ended jobs that nothing follows are history: {with_ended:?}");
    assert!(good(world.ledger.job(JobId(404)).await).is_none());
}

async fn a_run_that_changes_frees_its_held_jobs(world: &LedgerWorld<'_>) {
    let stalled = Stalled { since: world.clock.now(), until: world.clock.now().plus(Duration::from_secs(600)) };
    for id in [11, 12] {
        world.record(id, 10, JobStatus::Queued, FactSource::Delivery).await;
        assert!(good(world.ledger.stall_job(JobId(id), stalled).await));
    }
    world.record(21, 20, JobStatus::Queued, FactSource::Delivery).await;
    assert!(good(world.ledger.stall_job(JobId(21), stalled).await));
    let (_, changed) = world.record(11, 10, JobStatus::InProgress, FactSource::Delivery).await;
    assert!(changed.stalled.is_none());
    assert!(!good(world.ledger.stall_job(JobId(11), stalled).await), "only a queued job is held");
    let held_now = async |id| good(world.ledger.job(JobId(id)).await).is_some_and(|job| job.stalled.is_some());
    assert!(!held_now(12).await, "its run has changed");
    assert!(held_now(21).await, "another run has not");
    for (id, run) in [(11, 10), (12, 10), (21, 20)] {
        world.record(id, run, JobStatus::Completed, FactSource::Delivery).await;
    }
}

async fn details_of_a_job_are_kept(world: &LedgerWorld<'_>) {
    world.record(31, 30, JobStatus::Queued, FactSource::Delivery).await;
    let notified = Notified { at: world.clock.now(), check_run: 7, text: "waits".into() };
    assert!(good(world.ledger.record_notification(JobId(31), notified.clone()).await));
    let at = world.clock.now();
    assert!(good(world.ledger.interrupted_job(JobId(31), at).await), "the first time it is news");
    assert!(!good(world.ledger.interrupted_job(JobId(31), at).await), "the second time it is not");
    assert!(!good(world.ledger.record_notification(JobId(404), notified.clone()).await), "an unknown job is not told");
    world.record(31, 30, JobStatus::Completed, FactSource::Delivery).await;
    let job = good(world.ledger.job(JobId(31)).await);
    assert!(
        job.is_some_and(|job| job.notified == Some(notified) && job.interrupted_at == Some(at)),
        "facts leave them alone"
    );
    assert_eq!(good(world.ledger.open_jobs(at).await).len(), 1, "its author was told: that has to be closed");
    assert!(good(world.ledger.open_jobs(at.plus(TTL)).await).is_empty(), "older than asked for");
}

async fn a_lease_has_one_holder_and_ends(world: &LedgerWorld<'_>) {
    let first = world.lease("linux").await;
    assert!(good(world.ledger.acquire(&set("linux"), "other", TTL).await).is_none(), "it is held");
    let other_set = world.lease("windows").await;
    world.let_go(other_set).await;
    world.clock.advance(TTL + Duration::from_millis(1));
    let mut second = world.lease("linux").await;
    assert!(second.generation > first.generation, "each acquisition is a new generation");
    let mut first = first;
    assert_eq!(good(world.ledger.release(&mut first, TTL).await), Release::Lost);
    assert!(matches!(world.ledger.renew(&mut first, TTL).await, Err(LedgerError::LeaseLost { .. })));
    world.clock.advance(TTL - Duration::from_secs(1));
    good(world.ledger.renew(&mut second, TTL).await);
    world.clock.advance(TTL - Duration::from_secs(1));
    assert!(good(world.ledger.acquire(&set("linux"), "other", TTL).await).is_none(), "it was renewed");
    world.let_go(second).await;
    let third = world.lease("linux").await;
    world.let_go(third).await;
}

async fn a_wake_up_during_a_pass_is_not_lost(world: &LedgerWorld<'_>) {
    let mut lease = world.lease("linux").await;
    good(world.ledger.wake(&set("linux")).await);
    assert_eq!(good(world.ledger.release(&mut lease, TTL).await), Release::WokenAgain, "somebody called meanwhile");
    assert!(good(world.ledger.acquire(&set("linux"), "other", TTL).await).is_none(), "so it is still held");
    world.record(41, 40, JobStatus::Completed, FactSource::Delivery).await;
    assert_eq!(good(world.ledger.release(&mut lease, TTL).await), Release::WokenAgain, "a fact wakes too");
    assert_eq!(good(world.ledger.release(&mut lease, TTL).await), Release::Released);
}

async fn a_stale_lease_writes_nothing(world: &LedgerWorld<'_>) {
    let stale = world.lease("linux").await;
    world.clock.advance(TTL + Duration::from_millis(1));
    let intents = world.intents("linux", 1).await;
    let ended = world.ledger.intend(&stale, intents.clone(), true, 10).await;
    assert!(matches!(ended, Err(LedgerError::LeaseLost { .. })), "its end is enough: {ended:?}");
    let current = world.lease("linux").await;
    let older = world.ledger.intend(&stale, intents.clone(), true, 10).await;
    assert!(matches!(older, Err(LedgerError::LeaseLost { .. })), "an older generation: {older:?}");
    good(world.ledger.intend(&current, intents.clone(), true, 10).await);
    let marked = world.ledger.update(&stale, vec![(intents[0].name.clone(), RunnerUpdate::Gone("x".into()))]).await;
    assert!(matches!(marked, Err(LedgerError::LeaseLost { .. })));
    let batch = batch(world, &intents);
    assert!(matches!(world.ledger.store_batch(&stale, batch.clone()).await, Err(LedgerError::LeaseLost { .. })));
    assert!(matches!(world.ledger.settle_batch(&stale, &batch.id).await, Err(LedgerError::LeaseLost { .. })));
    assert_eq!(good(world.ledger.live_runners(&set("linux")).await).len(), 1);
    world.clear(current).await;
}

async fn intents_stay_below_the_maximum(world: &LedgerWorld<'_>) {
    let lease = world.lease("linux").await;
    good(world.ledger.intend(&lease, world.intents("linux", 2).await, true, 3).await);
    let too_many = world.ledger.intend(&lease, world.intents("linux", 2).await, true, 3).await;
    assert!(matches!(too_many, Err(LedgerError::Conflict { .. })), "{too_many:?}");
    assert_eq!(good(world.ledger.live_runners(&set("linux")).await).len(), 2, "all or none");
    good(world.ledger.intend(&lease, world.intents("linux", 1).await, true, 3).await);
    let counts = good(world.ledger.counts().await);
    assert_eq!(counts, vec![(set("linux"), 3, 3)]);
    world.clear(lease).await;
    assert!(good(world.ledger.counts().await).is_empty());
}

async fn a_name_is_given_once_for_ever(world: &LedgerWorld<'_>) {
    let lease = world.lease("linux").await;
    let intents = world.intents("linux", 1).await;
    good(world.ledger.intend(&lease, intents.clone(), true, 5).await);
    let twice = world.ledger.intend(&lease, intents.clone(), true, 5).await;
    assert!(matches!(twice, Err(LedgerError::Conflict { .. })), "{twice:?}");
    good(world.ledger.update(&lease, vec![(intents[0].name.clone(), RunnerUpdate::Gone("over".into()))]).await);
    let again = world.ledger.intend(&lease, intents.clone(), true, 5).await;
    assert!(matches!(again, Err(LedgerError::Conflict { .. })), "a name that is gone is still taken: {again:?}");
    assert!(good(world.ledger.next_serial().await) > intents[0].serial);
    world.clear(lease).await;
}

fn batch(world: &LedgerWorld<'_>, intents: &[Intent]) -> Batch {
    let runners: Vec<RunnerName> = intents.iter().map(|intent| intent.name.clone()).collect();
    let id = runners.first().map_or_else(String::new, ToString::to_string);
    let now = world.clock.now();
    let id = good(BatchId::parse(&format!("batch-{id}")));
    Batch {
        id,
        set: set("linux"),
        pool: pool(),
        runners,
        stored_at: now,
        hard_end_at: now.plus(TTL),
        settled: false,
        record_version: RecordVersion::CURRENT,
    }
}

async fn a_batch_is_stored_with_all_its_runners_or_not_at_all(world: &LedgerWorld<'_>) {
    let lease = world.lease("linux").await;
    let intents = world.intents("linux", 2).await;
    let unknown = world.ledger.store_batch(&lease, batch(world, &intents)).await;
    assert!(matches!(unknown, Err(LedgerError::Conflict { .. })), "they are not intended yet: {unknown:?}");
    good(world.ledger.intend(&lease, intents.clone(), true, 5).await);
    let stored = batch(world, &intents);
    good(world.ledger.store_batch(&lease, stored.clone()).await);
    let states: Vec<RunnerState> =
        good(world.ledger.live_runners(&set("linux")).await).iter().map(|runner| runner.state).collect();
    assert_eq!(states, [RunnerState::Launching; 2]);
    let twice = world.ledger.store_batch(&lease, stored.clone()).await;
    assert!(matches!(twice, Err(LedgerError::Conflict { .. })), "a call is stored once: {twice:?}");
    assert_eq!(good(world.ledger.batch(&stored.id).await), Some(stored.clone()));
    assert_eq!(good(world.ledger.open_batches(&set("linux")).await), vec![stored.clone()]);
    good(world.ledger.settle_batch(&lease, &stored.id).await);
    assert!(good(world.ledger.open_batches(&set("linux")).await).is_empty());
    assert!(good(world.ledger.batch(&stored.id).await).is_some_and(|batch| batch.settled));
    world.clear(lease).await;
}

async fn updates_apply_in_order_under_the_lease(world: &LedgerWorld<'_>) {
    let lease = world.lease("linux").await;
    let intents = world.intents("linux", 1).await;
    good(world.ledger.intend(&lease, intents.clone(), true, 5).await);
    let name = intents[0].name.clone();
    let updates = vec![
        (name.clone(), RunnerUpdate::Machine(good(MachineId::parse("m-1")))),
        (name.clone(), RunnerUpdate::HandedOff),
        (good(RunnerName::parse("nobody")), RunnerUpdate::HandedOff),
        (name.clone(), RunnerUpdate::Idle(None)),
    ];
    let changed = good(world.ledger.update(&lease, updates).await);
    assert_eq!(changed.len(), 1, "each runner once; unknown ones are skipped");
    assert_eq!((changed[0].state, changed[0].version), (RunnerState::Idle, 4), "a version for each change");
    assert_eq!(good(world.ledger.runner(&name).await), Some(changed[0].clone()));
    let nothing = good(world.ledger.update(&lease, vec![(name.clone(), RunnerUpdate::HandedOff)]).await);
    assert!(nothing.is_empty(), "what changes nothing is not a change");
    assert_eq!(
        good(world.ledger.recent_runners(1).await).first().map(|runner: &Runner| runner.name.clone()),
        Some(name)
    );
    world.clear(lease).await;
}

async fn racing_intents_stay_below_the_maximum(world: &LedgerWorld<'_>) {
    let lease = world.lease("linux").await;
    let intents = world.intents("linux", 8).await;
    let one = |n: usize| world.ledger.intend(&lease, intents[n..=n].to_vec(), true, 3);
    let outcomes = tokio::join!(one(0), one(1), one(2), one(3), one(4), one(5), one(6), one(7));
    drop(outcomes);
    let alive = good(world.ledger.live_runners(&set("linux")).await).len();
    assert!((1..=3).contains(&alive), "{alive} alive, 3 are allowed");
    world.clear(lease).await;
}

async fn a_budget_is_a_minutes(world: &LedgerWorld<'_>) {
    let into_minute = world.clock.now().as_millis().rem_euclid(60_000);
    world.clock.advance(Duration::from_millis(u64::try_from(60_000 - into_minute).unwrap_or(0)));
    let take = async |cost| good(world.ledger.take_budget(BudgetKind::Jit, cost, 10).await);
    assert_eq!(take(4).await, Some(6));
    assert_eq!(take(6).await, Some(0));
    assert_eq!(take(1).await, None, "it is used up");
    assert_eq!(good(world.ledger.used_budget(BudgetKind::Jit).await), 10, "a refusal takes nothing");
    assert_eq!(good(world.ledger.used_budget(BudgetKind::Calls).await), 0, "each kind has its own");
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(good(world.ledger.used_budget(BudgetKind::Jit).await), 0);
    assert_eq!(take(11).await, None, "more than a minute's is never granted");
    assert_eq!(take(10).await, Some(0));
}

async fn pool_failures_boot_failures_and_reruns_are_kept(world: &LedgerWorld<'_>) {
    let (linux, now) = (set("linux"), world.clock.now());
    good(world.ledger.pool_failure(&linux, PoolFailure::new(pool(), now, "no capacity".into())).await);
    assert_eq!(good(world.ledger.pool_failures(&linux, now).await).len(), 1);
    assert!(good(world.ledger.pool_failures(&linux, now.plus(TTL)).await).is_empty(), "older than asked for");
    assert!(good(world.ledger.pool_failures(&set("windows"), now).await).is_empty());
    let runner = good(RunnerName::parse("linux-1"));
    for n in [2, 1] {
        let at = now.plus(Duration::from_secs(n));
        good(world.ledger.boot_failed(&linux, BootFailure::new(runner.clone(), pool(), at)).await);
    }
    let failures = good(world.ledger.boot_failures(&linux).await);
    assert!(failures.len() == 2 && failures[0].at < failures[1].at, "oldest first");
    good(world.ledger.boot_succeeded(&linux).await);
    assert!(good(world.ledger.boot_failures(&linux).await).is_empty());
    assert!(good(world.ledger.rerun(&repo(), RunId(5)).await), "the first time");
    assert!(!good(world.ledger.rerun(&repo(), RunId(5)).await), "and never again");
    assert_eq!(good(world.ledger.reruns().await), vec![(repo(), RunId(5))]);
    good(world.ledger.set("cursor", "7").await);
    good(world.ledger.set("cursor", "8").await);
    assert_eq!(good(world.ledger.get("cursor").await).as_deref(), Some("8"));
    assert!(good(world.ledger.get("nothing").await).is_none());
}

async fn history_is_told_oldest_first(world: &LedgerWorld<'_>) {
    let mut events = Vec::new();
    for n in 0..3 {
        world.clock.advance(Duration::from_secs(1));
        let mut event = Event::new(world.clock.now(), EventKind::Done, "launch", format!("step {n}"));
        event.job = Some(JobId(900));
        events.push(event);
    }
    good(world.ledger.append(events).await);
    let texts = |events: Vec<Event>| events.into_iter().map(|event| event.text).collect::<Vec<_>>();
    let notified = texts(good(world.ledger.history_of_job(JobId(900), 10).await));
    assert_eq!(notified, ["step 0", "step 1", "step 2"]);
    assert_eq!(texts(good(world.ledger.recent_history(1).await)), ["step 2"], "newest first");
    assert!(good(world.ledger.history_of_job(JobId(901), 10).await).is_empty());
}

async fn only_what_is_over_is_pruned(world: &LedgerWorld<'_>) {
    world.record(51, 50, JobStatus::Queued, FactSource::Delivery).await;
    world.clock.advance(Duration::from_secs(3600));
    assert!(good(world.ledger.prune(world.clock.now(), 1_000).await) > 0);
    let left = good(world.ledger.recent_jobs(100).await);
    assert_eq!(left.iter().map(Job::id).collect::<Vec<_>>(), [JobId(51)], "an open job stays, however old");
    assert!(good(world.ledger.recent_runners(100).await).is_empty());
    assert!(good(world.ledger.recent_history(100).await).is_empty());
    assert_eq!(good(world.ledger.prune(world.clock.now(), 1_000).await), 0);
}

async fn a_set_that_is_closed_stays_so_until_it_is_opened(world: &LedgerWorld<'_>) {
    let closed = async || good(world.ledger.closed().await).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(closed().await, Vec::<String>::new());
    for name in ["shop", "shop-2", "docs", "shop"] {
        good(world.ledger.close(&set(name), true).await);
    }
    assert_eq!(closed().await, ["docs", "shop", "shop-2"], "by name; twice is once");
    good(world.ledger.close(&set("shop"), false).await);
    good(world.ledger.close(&set("never"), false).await);
    assert_eq!(closed().await, ["docs", "shop-2"], "only the one that was opened");
    for name in ["docs", "shop-2"] {
        good(world.ledger.close(&set(name), false).await);
    }
    assert!(closed().await.is_empty());
}
