//! Execute: each action is one idempotent remote effect with one outcome. A failure never stops its neighbours, and
//! nothing is retried here: the next round or pass does that.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::StreamExt;
use runnersmith_ports::{BudgetKind, GitHubError, Lease, LedgerError};
use runnersmith_types::{
    Action, EventKind, HistoryEvent, Job, JobId, MachineId, Plan, Reason, Runner, RunnerName, RunnerUpdate, ScaleSet,
    Snapshot, Step,
};

use crate::{World, effects, hand_over, launch};

/// Remote effects that run side by side. GitHub asks clients not to be wildly parallel; the hand-offs of a burst are paced by the budget anyway.
const SIDE_BY_SIDE: usize = 16;
/// Outcomes that are recorded in one transaction, if they are there at the same time. A crash before it makes them be
/// looked at again, which every action bears.
const RECORDED_TOGETHER: usize = 32;

/// What came of one action.
#[derive(Debug)]
pub enum Outcome {
    /// It had its effect.
    Done(String),
    /// It was put off (a budget, a limit) and is no failure.
    PutOff(String),
    /// It failed; the next pass looks again.
    Failed(String),
}

/// What an action's execution wants recorded.
pub(crate) struct Effect {
    /// What came of it.
    pub outcome: Outcome,
    /// Changes of runners.
    pub updates: Vec<(RunnerName, RunnerUpdate)>,
}

impl Effect {
    pub(crate) fn done(text: impl Into<String>, updates: Vec<(RunnerName, RunnerUpdate)>) -> Self {
        Self { outcome: Outcome::Done(text.into()), updates }
    }
    pub(crate) fn put_off(text: impl Into<String>) -> Self {
        Self { outcome: Outcome::PutOff(text.into()), updates: Vec::new() }
    }
    pub(crate) fn failed(error: &(dyn std::error::Error + 'static)) -> Self {
        Self { outcome: Outcome::Failed(runnersmith_ports::chain(error)), updates: Vec::new() }
    }
    /// A GitHub error: a limit puts off, anything else fails.
    pub(crate) fn github(error: &GitHubError) -> Self {
        match error {
            GitHubError::RateLimited { .. } => Self::put_off(error.to_string()),
            GitHubError::NotFound { .. }
            | GitHubError::Conflict { .. }
            | GitHubError::Busy { .. }
            | GitHubError::Refused { .. }
            | GitHubError::Unauthorized { .. }
            | GitHubError::NotInstalled { .. }
            | GitHubError::Transient { .. } => Self::failed(error),
        }
    }
}

/// The context of one execution: the world, the policy, the lease, and the records the plan was made from.
pub(crate) struct ExecutionContext<'a> {
    pub world: &'a World,
    pub policy: &'a ScaleSet,
    pub runners: BTreeMap<&'a RunnerName, &'a Runner>,
    pub jobs: BTreeMap<JobId, &'a Job>,
    pub snapshot: &'a Snapshot,
    /// Calls that were taken from the budget at once.
    prepaid_calls: AtomicU32,
}

impl ExecutionContext<'_> {
    /// Takes what the steps will need of the calls' budget in one go, so that each call is not one to the ledger too. When
    /// there is not so much, each step takes its own until there is none.
    async fn prepay_calls(&self, steps: &[Step]) {
        let asks = |step: &&Step| {
            matches!(step.action, Action::LookUp { .. } | Action::Deregister { .. } | Action::VerifyJob { .. })
        };
        let Ok(count) = u32::try_from(steps.iter().filter(asks).count()) else { return };
        let limit = self.world.limits.calls_per_minute;
        if count > 1
            && matches!(self.world.ports.ledger.take_budget(BudgetKind::Calls, count, limit).await, Ok(Some(_)))
        {
            self.prepaid_calls.store(count, Ordering::Relaxed);
        }
    }

    /// Takes one unit of a budget. `None`: there is none left, or the ledger cannot say.
    pub(crate) async fn take(&self, kind: BudgetKind) -> Option<u32> {
        let from_prepaid = |left: u32| left.checked_sub(1);
        if kind == BudgetKind::Calls
            && let Ok(left) = self.prepaid_calls.fetch_update(Ordering::Relaxed, Ordering::Relaxed, from_prepaid)
        {
            return Some(left - 1);
        }
        let limit = match kind {
            BudgetKind::Jit => self.world.limits.jit_per_minute,
            BudgetKind::Calls => self.world.limits.calls_per_minute,
        };
        self.world.ports.ledger.take_budget(kind, 1, limit).await.ok().flatten()
    }
}

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
    let context = ExecutionContext {
        world,
        policy,
        runners: snapshot.runners.iter().map(|runner| (&runner.name, runner)).collect(),
        jobs: snapshot.jobs.iter().map(|job| (job.id(), job)).collect(),
        snapshot,
        prepaid_calls: AtomicU32::new(0),
    };
    let ledger = &world.ports.ledger;
    let (records, effects) = split(plan.steps);
    let mut events = Vec::new();
    let mut progressed = false;

    // What was observed, in one transaction.
    if !records.updates.is_empty() {
        let updates = records.updates.iter().map(|(runner, update, _)| (runner.clone(), update.clone())).collect();
        let changed = ledger.update(lease, updates).await?;
        progressed |= !changed.is_empty();
        after_updates(&context, &records.updates).await?;
        for (runner, update, reason) in records.updates {
            events.push(event(&context, EventKind::Seen, update_word(&update), &reason, Subject::runner(&runner)));
        }
    }
    for (action, reason) in records.intents {
        let Action::Intend { runners } = action else { continue };
        let names: Vec<String> = runners.iter().map(|intent| intent.name.to_string()).collect();
        match ledger.intend(lease, runners, policy.ephemeral, policy.runners_max).await {
            Ok(()) => {
                progressed = true;
                events.push(event(&context, EventKind::Decided, "intend", &reason, Subject::default()));
                for name in names.iter().filter_map(|name| RunnerName::parse(name).ok()) {
                    events.push(event(&context, EventKind::Decided, "intend", &reason, Subject::runner(&name)));
                }
            }
            Err(error @ LedgerError::Conflict { .. }) => {
                events.push(event(
                    &context,
                    EventKind::Failed,
                    "intend",
                    &Reason(error.to_string()),
                    Subject::default(),
                ));
            }
            Err(error) => return Err(error),
        }
    }
    // Launches store their batch first, one after the other, under the lease.
    for (action, reason) in records.launches {
        keep(world, lease).await?;
        let kind = action.kind();
        let effect = launch::launch(&context, lease, action).await?;
        progressed |= finish(&context, lease, &mut events, kind, reason, Subject::default(), effect).await?;
    }
    let (effects, put_off) = hand_over::reserve(&context, lease, effects).await?;
    for Step { action, reason } in put_off {
        let effect = Effect::put_off("this minute's JIT budget is used up");
        finish(&context, lease, &mut events, action.kind(), reason, Subject::of(&action), effect).await?;
    }
    context.prepay_calls(&effects).await;
    let (ends, effects): (Vec<Step>, Vec<Step>) =
        effects.into_iter().partition(|step| matches!(step.action, Action::Terminate { .. }));
    // All other effects run side by side; the outcomes that are there are recorded together.
    let mut effects = futures_util::stream::iter(effects)
        .map(|Step { action, reason }| {
            let context = &context;
            async move {
                let (kind, subject) = (action.kind(), Subject::of(&action));
                (kind, subject, reason, effects::run(context, action).await)
            }
        })
        .buffer_unordered(SIDE_BY_SIDE)
        .ready_chunks(RECORDED_TOGETHER);
    while let Some(chunk) = effects.next().await {
        keep(world, lease).await?;
        progressed |= finish_all(&context, lease, &mut events, chunk).await?;
    }
    drop(effects);
    if !ends.is_empty() {
        keep(world, lease).await?;
        progressed |= end(&context, lease, &mut events, ends).await?;
    }
    ledger.append(events).await?;
    Ok(progressed)
}

/// An outcome with what it is about.
type Came = (&'static str, Subject, Reason, Effect);

/// Records the marks of several outcomes in one go, then each outcome.
async fn finish_all(
    context: &ExecutionContext<'_>,
    lease: &Lease,
    events: &mut Vec<HistoryEvent>,
    mut came: Vec<Came>,
) -> Result<bool, LedgerError> {
    let updates: Vec<(RunnerName, RunnerUpdate)> =
        came.iter_mut().flat_map(|(_, _, _, effect)| std::mem::take(&mut effect.updates)).collect();
    if !updates.is_empty() {
        context.world.ports.ledger.update(lease, updates).await?;
    }
    let mut progressed = false;
    for (kind, subject, reason, effect) in came {
        progressed |= finish(context, lease, events, kind, reason, subject, effect).await?;
    }
    Ok(progressed)
}

/// Ends machines in one call.
async fn end(
    context: &ExecutionContext<'_>,
    lease: &Lease,
    events: &mut Vec<HistoryEvent>,
    ends: Vec<Step>,
) -> Result<bool, LedgerError> {
    let (mut machines, mut about) = (Vec::with_capacity(ends.len()), Vec::with_capacity(ends.len()));
    for Step { action, reason } in ends {
        let (kind, subject) = (action.kind(), Subject::of(&action));
        if let Action::Terminate { machine, runner } = action {
            machines.push((machine, runner));
            about.push((kind, subject, reason));
        }
    }
    let effects = effects::terminate(context, machines).await;
    let came = about.into_iter().zip(effects).map(|((kind, subject, reason), effect)| (kind, subject, reason, effect));
    finish_all(context, lease, events, came.collect()).await
}

/// Executors stop issuing near the lease's end: it is renewed in time, or given up.
async fn keep(world: &World, lease: &mut Lease) -> Result<(), LedgerError> {
    if world.ports.clock.now().plus(world.lease_ttl / 2) >= lease.until {
        world.ports.ledger.renew(lease, world.lease_ttl).await?;
    }
    Ok(())
}

struct Records {
    updates: Vec<(RunnerName, RunnerUpdate, Reason)>,
    intents: Vec<(Action, Reason)>,
    launches: Vec<(Action, Reason)>,
}

fn split(steps: Vec<Step>) -> (Records, Vec<Step>) {
    let mut records = Records { updates: Vec::new(), intents: Vec::new(), launches: Vec::new() };
    let mut effects = Vec::new();
    for Step { action, reason } in steps {
        match action {
            Action::Update { runner, update } => records.updates.push((runner, update, reason)),
            Action::Withdraw { runner } => {
                let why = format!("withdrawn: {reason}");
                records.updates.push((runner, RunnerUpdate::Gone(why), reason));
            }
            Action::Intend { .. } => records.intents.push((action, reason)),
            Action::Launch { .. } | Action::Relaunch { .. } => records.launches.push((action, reason)),
            Action::HandOff { .. }
            | Action::LookUp { .. }
            | Action::Deregister { .. }
            | Action::Terminate { .. }
            | Action::ExpireHandOff { .. }
            | Action::PoolFailure(_)
            | Action::VerifyJob { .. }
            | Action::Stall { .. }
            | Action::Notify { .. }
            | Action::Interrupted { .. }
            | Action::Rerun { .. } => effects.push(Step { action, reason }),
        }
    }
    (records, effects)
}

/// Things that follow from an observation at once: the breaker's memory.
async fn after_updates(
    context: &ExecutionContext<'_>,
    updates: &[(RunnerName, RunnerUpdate, Reason)],
) -> Result<(), LedgerError> {
    let ledger = &context.world.ports.ledger;
    let came_online = updates.iter().any(|(name, update, _)| {
        matches!(update, RunnerUpdate::Idle(_) | RunnerUpdate::Busy(_))
            && context.runners.get(name).is_some_and(|runner| runner.online_at.is_none())
    });
    if came_online && !context.snapshot.boot_failures.is_empty() {
        ledger.boot_succeeded(&context.policy.name).await?;
    }
    for (name, update, _) in updates {
        let Some(runner) = context.runners.get(name) else { continue };
        let now_seen = updates
            .iter()
            .any(|(other, update, _)| other == name && matches!(update, RunnerUpdate::Idle(_) | RunnerUpdate::Busy(_)));
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
            let failure = runnersmith_types::BootFailure::new(name.clone(), pool, at);
            ledger.boot_failed(&context.policy.name, failure).await?;
            context.world.metrics.boot_failed(&context.policy.name);
        }
    }
    Ok(())
}

/// Records what came of an action. Returns whether it had its effect.
async fn finish(
    context: &ExecutionContext<'_>,
    lease: &Lease,
    events: &mut Vec<HistoryEvent>,
    kind: &'static str,
    reason: Reason,
    subject: Subject,
    effect: Effect,
) -> Result<bool, LedgerError> {
    if !effect.updates.is_empty() {
        context.world.ports.ledger.update(lease, effect.updates).await?;
    }
    let (event_kind, text, outcome) = match effect.outcome {
        Outcome::Done(text) => {
            let job = subject.job;
            tracing::info!(
                correlation_id = job.map(|job| tracing::field::display(job.correlation_id())),
                set = %context.policy.name,
                action = kind,
                runner = subject.runner.as_ref().map(tracing::field::display),
                machine = subject.machine.as_ref().map(tracing::field::display),
                reason = %reason,
                "{text}"
            );
            (EventKind::Done, format!("{reason}; {text}"), "done")
        }
        Outcome::PutOff(text) => (EventKind::Decided, format!("{reason}; put off: {text}"), "put_off"),
        Outcome::Failed(text) => {
            let runner = subject.runner.as_ref().map(tracing::field::display);
            tracing::warn!(set = %context.policy.name, action = kind, runner, error = %text, "an action failed");
            (EventKind::Failed, format!("{reason}; {text}"), "failed")
        }
    };
    context.world.metrics.action(kind, outcome);
    events.push(event(context, event_kind, kind, &Reason(text), subject));
    Ok(outcome == "done")
}

/// What an event is about.
#[derive(Default)]
pub(crate) struct Subject {
    job: Option<JobId>,
    runner: Option<RunnerName>,
    machine: Option<MachineId>,
}

impl Subject {
    fn runner(name: &RunnerName) -> Self {
        Self { runner: Some(name.clone()), ..Self::default() }
    }

    fn of(action: &Action) -> Self {
        match action {
            Action::HandOff { runner, machine, .. } | Action::ExpireHandOff { runner, machine } => {
                Self { runner: Some(runner.clone()), machine: Some(machine.clone()), job: None }
            }
            Action::Withdraw { runner }
            | Action::Update { runner, .. }
            | Action::LookUp { runner, .. }
            | Action::Deregister { runner, .. } => Self::runner(runner),
            Action::Terminate { machine, runner } => {
                Self { runner: runner.clone(), machine: Some(machine.clone()), job: None }
            }
            Action::VerifyJob { job, .. } | Action::Stall { job, .. } | Action::Interrupted { job } => {
                Self { job: Some(*job), ..Self::default() }
            }
            Action::Notify { jobs, .. } => Self { job: jobs.first().map(|(job, _)| *job), ..Self::default() },
            Action::Intend { .. }
            | Action::Launch { .. }
            | Action::Relaunch { .. }
            | Action::PoolFailure(_)
            | Action::Rerun { .. } => Self::default(),
        }
    }
}

fn event(
    context: &ExecutionContext<'_>,
    kind: EventKind,
    what: &str,
    reason: &Reason,
    subject: Subject,
) -> HistoryEvent {
    let mut event = HistoryEvent::new(context.world.ports.clock.now(), kind, what, reason.to_string());
    event.set = Some(context.policy.name.clone());
    (event.job, event.runner, event.machine) = (subject.job, subject.runner, subject.machine);
    event
}

/// A stable word for a mark, as an event's `what`.
fn update_word(update: &RunnerUpdate) -> &'static str {
    match update {
        RunnerUpdate::Launching { .. } => "launching",
        RunnerUpdate::NotLaunched => "not_launched",
        RunnerUpdate::Machine(_) => "machine",
        RunnerUpdate::JitRequested => "jit_requested",
        RunnerUpdate::Registered(_) => "registered",
        RunnerUpdate::NextAttempt => "next_attempt",
        RunnerUpdate::HandedOff => "handed_off",
        RunnerUpdate::Idle(_) => "idle",
        RunnerUpdate::Busy(_) => "busy",
        RunnerUpdate::Offline => "offline",
        RunnerUpdate::Draining => "draining",
        RunnerUpdate::RemovalRefused => "removal_refused",
        RunnerUpdate::Deregistered => "deregistered",
        RunnerUpdate::Finished => "finished",
        RunnerUpdate::Lost => "lost",
        RunnerUpdate::RegistrationMissing => "registration_missing",
        RunnerUpdate::RegistrationSeen => "registration_seen",
        RunnerUpdate::MachineMissing => "machine_missing",
        RunnerUpdate::MachineSeen => "machine_seen",
        RunnerUpdate::Terminated => "terminated",
        RunnerUpdate::HandOffGone => "hand_off_gone",
        RunnerUpdate::Gone(_) => "gone",
    }
}
