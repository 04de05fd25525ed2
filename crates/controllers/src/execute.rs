//! Execute: each action is one idempotent remote effect with one outcome. A failure never stops its neighbours, and
//! nothing is retried here: the next round or pass does that.

use futures_util::StreamExt;
use runnersmith_ports::{Lease, LedgerError};
use runnersmith_types::{
    BootFailure, EffectAction, EventKind, HistoryEvent, Intent, LaunchAction, MachineId, Plan, Reason, RecordAction,
    RunnerName, RunnerUpdate, ScaleSet, Snapshot,
};

use crate::context::{ActionResult, ExecutionContext, Outcome};
use crate::work::{About, Subject, Task, Work};
use crate::world::World;
use crate::{effects, hand_over, launch};

/// Remote effects that run side by side. GitHub asks clients not to be wildly parallel; the hand-offs of a burst are paced by the budget anyway.
const SIDE_BY_SIDE: usize = 16;
/// Outcomes that are recorded in one transaction, if they are there at the same time. A crash before it makes them come
/// again, which every action bears.
const RECORDED_TOGETHER: usize = 32;

/// Executes a plan. Returns whether anything had its effect.
///
/// # Errors
/// Only when the ledger fails or the lease is lost; then nothing more is issued.
pub async fn execute(
    world: &World,
    policy: &ScaleSet,
    snapshot: &Snapshot,
    lease: &mut Lease,
    plan: Plan,
) -> Result<bool, LedgerError> {
    let context = ExecutionContext::new(world, policy, snapshot);
    let mut execution = Execution { context: &context, lease, events: Vec::new(), progressed: false };
    let executed = execution.execute(Work::of(plan.steps)).await;
    // Also of a pass that ended early: what was done before is recorded.
    let appended = world.ports.ledger.append(std::mem::take(&mut execution.events)).await;
    executed.and(appended)?;
    Ok(execution.progressed)
}

/// One plan while it is executed.
struct Execution<'a> {
    context: &'a ExecutionContext<'a>,
    lease: &'a mut Lease,
    /// What the ledger's history will say of it.
    events: Vec<HistoryEvent>,
    /// Whether anything had its effect.
    progressed: bool,
}

impl Execution<'_> {
    async fn execute(&mut self, work: Work) -> Result<(), LedgerError> {
        self.record(work.records).await?;
        self.intend(work.intents).await?;
        self.launch(work.launches).await?;
        self.run(work.effects).await?;
        self.end(work.ends).await
    }

    /// What was observed, in one transaction.
    async fn record(&mut self, tasks: Vec<Task<RecordAction>>) -> Result<(), LedgerError> {
        if tasks.is_empty() {
            return Ok(());
        }
        let (mut updates, mut reasons) = (Vec::with_capacity(tasks.len()), Vec::with_capacity(tasks.len()));
        for Task { action, about } in tasks {
            updates.push(match action {
                RecordAction::Update { runner, update } => (runner, update),
                RecordAction::Withdraw { runner } => {
                    (runner, RunnerUpdate::Gone(format!("withdrawn: {}", about.reason)))
                }
            });
            reasons.push(about.reason);
        }
        let changed = self.context.world.ports.ledger.update(self.lease, updates.clone()).await?;
        self.progressed |= !changed.is_empty();
        after_updates(self.context, &updates).await?;
        for ((runner, update), reason) in updates.into_iter().zip(reasons) {
            self.event(EventKind::Seen, update.word(), &reason, Subject::runner(&runner));
        }
        Ok(())
    }

    async fn intend(&mut self, tasks: Vec<Task<Vec<Intent>>>) -> Result<(), LedgerError> {
        let policy = self.context.policy;
        for Task { action: runners, about: About { kind, reason, subject } } in tasks {
            let names: Vec<RunnerName> = runners.iter().map(|intent| intent.name.clone()).collect();
            let ledger = &self.context.world.ports.ledger;
            match ledger.intend(self.lease, runners, policy.ephemeral, policy.runners_max).await {
                Ok(()) => {
                    self.progressed = true;
                    self.event(EventKind::Decided, kind, &reason, subject);
                    for name in &names {
                        self.event(EventKind::Decided, kind, &reason, Subject::runner(name));
                    }
                }
                Err(error @ LedgerError::Conflict { .. }) => {
                    self.event(EventKind::Failed, kind, &Reason(error.to_string()), subject);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Launches store their batch first, one after the other, under the lease.
    async fn launch(&mut self, tasks: Vec<Task<LaunchAction>>) -> Result<(), LedgerError> {
        for Task { action, about } in tasks {
            self.keep_lease().await?;
            let result = launch::launch(self.context, self.lease, action).await?;
            self.finish(vec![(about, result)]).await?;
        }
        Ok(())
    }

    /// All other effects run side by side; the outcomes that are there are recorded together.
    async fn run(&mut self, tasks: Vec<Task<EffectAction>>) -> Result<(), LedgerError> {
        let context = self.context;
        let (tasks, put_off) = hand_over::reserve(context, self.lease, tasks).await?;
        self.finish(put_off).await?;
        let asks = tasks.iter().filter(|task| is_one_call(&task.action)).count();
        context.prepay_calls(u32::try_from(asks).unwrap_or(u32::MAX)).await;
        let mut results = futures_util::stream::iter(tasks)
            .map(|Task { action, about }| async move { (about, effects::run(context, action).await) })
            .buffer_unordered(SIDE_BY_SIDE)
            .ready_chunks(RECORDED_TOGETHER);
        while let Some(chunk) = results.next().await {
            self.keep_lease().await?;
            self.finish(chunk).await?;
        }
        Ok(())
    }

    /// Ends machines in one call.
    async fn end(&mut self, tasks: Vec<Task<(MachineId, Option<RunnerName>)>>) -> Result<(), LedgerError> {
        if tasks.is_empty() {
            return Ok(());
        }
        self.keep_lease().await?;
        let (machines, abouts): (Vec<_>, Vec<_>) = tasks.into_iter().map(|task| (task.action, task.about)).unzip();
        let results = effects::terminate(self.context, machines).await;
        self.finish(abouts.into_iter().zip(results).collect()).await
    }

    /// Executors stop issuing near the lease's end: it is renewed in time, or given up.
    async fn keep_lease(&mut self) -> Result<(), LedgerError> {
        let world = self.context.world;
        if world.ports.clock.now().plus(world.lease_ttl / 2) >= self.lease.until {
            world.ports.ledger.renew(self.lease, world.lease_ttl).await?;
        }
        Ok(())
    }

    /// Records the updates of several actions in one go, then what came of each.
    async fn finish(&mut self, mut results: Vec<(About, ActionResult)>) -> Result<(), LedgerError> {
        let updates: Vec<(RunnerName, RunnerUpdate)> =
            results.iter_mut().flat_map(|(_, result)| std::mem::take(&mut result.updates)).collect();
        if !updates.is_empty() {
            self.context.world.ports.ledger.update(self.lease, updates).await?;
        }
        for (about, result) in results {
            self.report(about, result.outcome);
        }
        Ok(())
    }

    /// Reports what came of an action to the log, the metrics and the history.
    fn report(&mut self, about: About, outcome: Outcome) {
        let About { kind, reason, subject } = about;
        let set = &self.context.policy.name;
        let (event_kind, text, outcome) = match outcome {
            Outcome::Done(text) => {
                let job = subject.job;
                tracing::info!(
                    correlation_id = job.map(|job| tracing::field::display(job.correlation_id())),
                    set = %set,
                    action = kind,
                    runner = subject.runner.as_ref().map(tracing::field::display),
                    machine = subject.machine.as_ref().map(tracing::field::display),
                    reason = %reason,
                    "{text}"
                );
                self.progressed = true;
                (EventKind::Done, format!("{reason}; {text}"), "done")
            }
            Outcome::PutOff(text) => (EventKind::Decided, format!("{reason}; put off: {text}"), "put_off"),
            Outcome::Failed(text) => {
                let runner = subject.runner.as_ref().map(tracing::field::display);
                tracing::warn!(set = %set, action = kind, runner, error = %text, "an action failed");
                (EventKind::Failed, format!("{reason}; {text}"), "failed")
            }
        };
        self.context.world.metrics.action(kind, outcome);
        self.event(event_kind, kind, &Reason(text), subject);
    }

    fn event(&mut self, kind: EventKind, what: &str, reason: &Reason, subject: Subject) {
        let mut event = HistoryEvent::new(self.context.world.ports.clock.now(), kind, what, reason.to_string());
        event.set = Some(self.context.policy.name.clone());
        (event.job, event.runner, event.machine) = (subject.job, subject.runner, subject.machine);
        self.events.push(event);
    }
}

/// Whether an action takes one call of the budget, always.
const fn is_one_call(action: &EffectAction) -> bool {
    match action {
        EffectAction::LookUp { .. } | EffectAction::Deregister { .. } | EffectAction::VerifyJob { .. } => true,
        EffectAction::HandOff { .. }
        | EffectAction::ExpireHandOff { .. }
        | EffectAction::PoolFailure(_)
        | EffectAction::Stall { .. }
        | EffectAction::Notify { .. }
        | EffectAction::Interrupted { .. }
        | EffectAction::Rerun { .. } => false,
    }
}

/// Whether a runner of which this is recorded is, or was, online.
const fn is_online(update: &RunnerUpdate) -> bool {
    matches!(update, RunnerUpdate::Idle(_) | RunnerUpdate::Busy(_) | RunnerUpdate::BusyAtGitHub(_))
}

/// Things that follow from an observation at once: the breaker's memory.
async fn after_updates(
    context: &ExecutionContext<'_>,
    updates: &[(RunnerName, RunnerUpdate)],
) -> Result<(), LedgerError> {
    let ledger = &context.world.ports.ledger;
    let came_online = updates.iter().any(|(name, update)| {
        is_online(update) && context.runners.get(name).is_some_and(|runner| runner.online_at.is_none())
    });
    if came_online && context.snapshot.boot_failures.total() > 0 {
        ledger.boot_succeeded(&context.policy.name).await?;
    }
    let mut given_up = std::collections::BTreeSet::new();
    for (name, update) in updates {
        let Some(runner) = context.runners.get(name) else { continue };
        // A launch call that is given up counts once, for however many machines it was.
        if matches!(update, RunnerUpdate::LaunchFailed(_))
            && let (Some(batch), Some(pool)) = (&runner.batch, runner.pool.clone())
            && given_up.insert(batch)
        {
            let at = context.world.ports.clock.now();
            ledger.boot_failed(&context.policy.name, BootFailure::new(name.clone(), pool, at)).await?;
        }
        let now_seen = updates.iter().any(|(other, update)| other == name && is_online(update));
        let warned = context
            .snapshot
            .machines
            .value()
            .into_iter()
            .flatten()
            .any(|machine| runner.machine.as_ref() == Some(&machine.id) && machine.interrupted_at.is_some());
        let lag = context.policy.timing.ghost_grace;
        let never_online = runner.was_never_online(lag) && runner.machine.is_some() && !now_seen && !warned;
        if matches!(update, RunnerUpdate::Draining | RunnerUpdate::Lost)
            && never_online
            && let Some(pool) = runner.pool.clone()
        {
            let at = context.world.ports.clock.now();
            let failure = BootFailure::new(name.clone(), pool, at);
            ledger.boot_failed(&context.policy.name, failure).await?;
            context.world.metrics.boot_failed(&context.policy.name);
        }
    }
    Ok(())
}
