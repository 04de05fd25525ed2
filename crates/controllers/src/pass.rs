//! One pass over one scale set, under its lease: observe, plan, execute, and again until there is nothing left to do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use runnersmith_plan::changed_waits;
use runnersmith_ports::{LedgerError, Message, ReleaseOutcome};
use runnersmith_types::{Action, BatchId, JobId, JobUpdate, RunnerState, ScaleSetName, Snapshot, Timestamp, Wait};

use crate::closing;
use crate::execute::execute;
use crate::levels::SetLevel;
use crate::observe::{Depth, observe};
use crate::pauses;
use crate::world::World;

/// By default a lease is so short that a crashed holder does not stop a set for long; a pass renews it.
pub const LEASE_TTL: Duration = Duration::from_secs(20);
/// A quiet world comes to rest in four rounds (invariant I9); a busy one may wake the pass again, so there is a wider bound.
const ROUNDS_MAX: usize = 24;
/// The most waits that one pass records: on DynamoDB each is a write of its own.
const WAITS_RECORDED_MAX: usize = 200;

/// What a pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Somebody else holds the lease; they will see our wake-up.
    pub held_elsewhere: bool,
    /// Rounds until the plan was empty.
    pub rounds: usize,
    /// Actions executed.
    pub actions: usize,
    /// When to pass over it again.
    pub next_wake: Option<Timestamp>,
}

/// Makes one pass.
///
/// # Errors
/// When the ledger fails, or the lease is lost half way; what was executed until then is recorded, and the next pass goes on.
pub async fn pass(world: &World, set: &ScaleSetName, depth: Depth) -> Result<Passed, LedgerError> {
    if world.set(set).is_none() {
        return Ok(Passed::default());
    }
    let ledger = &world.ports.ledger;
    let Some(mut lease) = ledger.acquire(set, &world.holder, world.lease_ttl).await? else {
        return Ok(Passed { held_elsewhere: true, ..Passed::default() });
    };
    // Once for as long as the lease is ours, and after it: anyone who takes a set out, or closes it, and then gets its lease knows that
    // no pass goes on which still has its old policy.
    let named = world.sets.load();
    let mut sets = closing::with_closed(&named, &ledger.closed().await?);
    let mut passed = Passed::default();
    let (mut depth, mut ended) = (depth, BTreeSet::new());
    // What had no effect in this pass is not repeated in it: that would only hammer.
    let (mut without_effect, mut failed, mut retry_at) = (Vec::new(), false, None);
    while passed.rounds < ROUNDS_MAX {
        let Some(policy) = sets.iter().find(|policy| &policy.name == set) else {
            let _ = ledger.release(&mut lease, Duration::from_millis(1)).await?;
            return Ok(passed);
        };
        if !Arc::ptr_eq(&named, &world.sets.load()) {
            // There are other sets by now: what is decided next is decided from them, by a pass of its own.
            passed.next_wake = Some(world.ports.clock.now());
            break;
        }
        passed.rounds += 1;
        let snapshot = observe(world, &sets, policy, depth).await?;
        for batch in over(&snapshot) {
            ledger.complete_batch(&lease, batch, Vec::new()).await?;
        }
        let now = world.ports.clock.now();
        let mut plan = runnersmith_plan::plan(policy, &snapshot, now);
        let findings = runnersmith_plan::lint(policy, &snapshot, &plan);
        world.levels.put(SetLevel::of(policy, &snapshot, &plan, now));
        passed.next_wake = plan.next_wake;
        if !findings.is_empty() {
            // A plan that breaks a rule is never executed: nothing is the safe thing to do.
            tracing::error!(set = %set, findings = ?findings, "the plan breaks a rule and is not executed");
            break;
        }
        let waits = changed_waits(set, &snapshot, &plan, now);
        // Nothing is recorded of the end of a machine without a record, and the provider's list may lag: once in a pass is enough.
        plan.steps.retain(|step| match &step.action {
            Action::Terminate { machine, runner: None } => ended.insert(machine.clone()),
            action => !without_effect.contains(action),
        });
        if !plan.steps.is_empty() {
            passed.actions += plan.steps.len();
            let executed = execute(world, policy, &snapshot, &mut lease, plan).await?;
            depth = Depth::Partial;
            without_effect.extend(executed.without_effect);
            failed |= executed.failed;
            retry_at = retry_at.into_iter().chain(executed.retry_at).min();
            if executed.progressed {
                continue;
            }
        }
        if failed {
            retry_at = retry_at.into_iter().chain([pauses::retry_at(ledger.as_ref(), set, now).await?]).min();
            failed = false;
        }
        passed.next_wake = passed.next_wake.into_iter().chain(retry_at).min();
        record_waits(world, waits).await?;
        match ledger.release(&mut lease, world.lease_ttl).await? {
            ReleaseOutcome::Released | ReleaseOutcome::Lost => {
                schedule(world, set, passed.next_wake).await?;
                return Ok(passed);
            }
            ReleaseOutcome::WokenAgain => sets = closing::with_closed(&named, &ledger.closed().await?),
        }
    }
    if passed.rounds >= ROUNDS_MAX {
        tracing::warn!(set = %set, rounds = passed.rounds, "a pass did not come to rest");
        passed.next_wake = Some(world.ports.clock.now().plus(RETRY_AFTER));
    }
    let _ = ledger.release(&mut lease, Duration::from_millis(1)).await?;
    schedule(world, set, passed.next_wake).await?;
    Ok(passed)
}

/// At the end of a pass: what jobs wait for since now. The rest of very many is recorded by the next passes.
async fn record_waits(world: &World, waits: Vec<(JobId, Wait)>) -> Result<(), LedgerError> {
    let waits = waits.into_iter().take(WAITS_RECORDED_MAX);
    let updates: Vec<_> = waits.map(|(job, wait)| (job, JobUpdate::WaitsFor(wait))).collect();
    if !updates.is_empty() {
        world.ports.ledger.update_jobs(updates).await?;
    }
    Ok(())
}

/// Stored calls of which no runner waits for its machine any more: a crash, or a list that was quicker than the call's own
/// answer, has bound them all.
fn over(snapshot: &Snapshot) -> impl Iterator<Item = &BatchId> {
    let launching = snapshot.runners.iter().filter(|runner| runner.state == RunnerState::Launching);
    let needed: BTreeSet<&BatchId> = launching.filter_map(|runner| runner.batch.as_ref()).collect();
    snapshot.batches.iter().map(|batch| &batch.id).filter(move |id| !needed.contains(id))
}

/// After a pass that did not come to rest.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The next pass is a delayed message to oneself; one that is already under way and early enough serves.
async fn schedule(world: &World, set: &ScaleSetName, at: Option<Timestamp>) -> Result<(), LedgerError> {
    let Some(at) = at else { return Ok(()) };
    let now = world.ports.clock.now();
    let key = format!("wake_at:{set}");
    let pending = world.ports.ledger.get(&key).await?.and_then(|text| text.parse::<i64>().ok()).map(Timestamp);
    if pending.is_some_and(|pending| pending > now && pending <= at.plus(Duration::from_millis(200))) {
        return Ok(());
    }
    let delay = at.since(now).max(Duration::from_millis(100));
    if let Err(error) = world.ports.queue.send(&Message::Wake { set: set.clone() }.to_body(), delay).await {
        // The timer's pass comes anyway.
        tracing::warn!(error = %runnersmith_ports::chain(&error), set = %set, "the next pass could not be scheduled");
        return Ok(());
    }
    world.ports.ledger.set(&key, &now.plus(delay).as_millis().to_string()).await
}
