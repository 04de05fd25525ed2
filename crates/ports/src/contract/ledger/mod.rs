//! What every implementation of [`Ledger`] must do, as checks that panic with what was expected.
//!
//! The sentences of the design's section on concurrency that are the ledger's to keep are here, one check each.

mod budgets;
mod history;
mod jobs;
mod leases;
mod runners;

use std::time::Duration;

use runnersmith_types::job::Merged;
use runnersmith_types::{
    CapacityPool, FactSource, Intent, Job, JobFact, JobId, JobStatus, Owner, OwnerKind, RepoFullName, RunId,
    RunnerName, RunnerScope, RunnerUpdate, ScaleSetName, Target, Timestamp,
};

use crate::clock::{Clock as _, ManualClock};
use crate::ledger::{Lease, Ledger, ReleaseOutcome};

const TTL: Duration = Duration::from_secs(30);

/// An implementation under test, empty, with the clock that it reads.
pub struct LedgerWorld<'a> {
    /// The implementation.
    pub ledger: &'a dyn Ledger,
    /// Its clock.
    pub clock: &'a ManualClock,
    /// Does at once what the store does by itself in its own time: drops what is older than this, and says how many rows that were.
    pub drops_old: Option<&'a (dyn Fn(Timestamp) -> u64 + Sync)>,
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
    /// Drops what is older than this. Returns how many rows went.
    async fn prune(&self, before: Timestamp) -> u64 {
        let pruned = good(self.ledger.prune(before, 1_000).await);
        pruned + self.drops_old.map_or(0, |drop_old| drop_old(before))
    }

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
        while good(self.ledger.release(&mut lease, TTL).await) == ReleaseOutcome::WokenAgain {}
    }
}

/// Runs every check.
pub async fn ledger(world: &LedgerWorld<'_>) {
    good(world.ledger.ping().await);
    jobs::facts_merge_in_the_order_of_life(world).await;
    jobs::a_run_that_changes_frees_its_held_jobs(world).await;
    jobs::details_of_a_job_are_kept(world).await;
    jobs::pages_of_jobs_miss_none_and_repeat_none(world).await;
    jobs::waits_are_recorded_when_they_change(world).await;
    jobs::a_job_whose_run_is_to_be_run_again_is_read_until_that_is_settled(world).await;
    leases::a_lease_has_one_holder_and_ends(world).await;
    leases::a_wake_up_during_a_pass_is_not_lost(world).await;
    leases::a_set_that_is_closed_stays_so_until_it_is_opened(world).await;
    runners::a_stale_lease_writes_nothing(world).await;
    runners::intents_stay_below_the_maximum(world).await;
    runners::a_name_is_given_once(world).await;
    runners::a_batch_is_stored_with_all_its_runners_or_not_at_all(world).await;
    runners::updates_apply_in_order_under_the_lease(world).await;
    runners::racing_intents_stay_below_the_maximum(world).await;
    budgets::a_budget_is_a_minutes(world).await;
    budgets::pool_failures_boot_failures_and_reruns_are_kept(world).await;
    history::history_is_read_oldest_first(world).await;
    history::a_fact_and_its_line_of_history_are_written_together(world).await;
    history::only_what_is_over_is_pruned(world).await;
    history::what_is_remembered_for_later_is_pruned_by_its_age(world).await;
}
