//! Execute: each action is one idempotent remote effect with one outcome. A failure never stops its neighbours, and
//! nothing is retried here: the next round or pass does that.

use futures_util::StreamExt;
use runnersmith_plan::escaped;
use runnersmith_plan::fault::FaultKind;
use runnersmith_ports::{Lease, Ledger, LedgerError, chain};
use runnersmith_types::{
    Action, EffectAction, EventKind, HandOffAction, HandOffFaults, HandOffReport, HistoryEvent, Intent, LaunchAction,
    MachineId, Plan, PlanStep, Reason, RecordAction, RunnerName, RunnerScope, RunnerUpdate, ScaleSet, Snapshot,
    Timestamp,
};

use crate::context::{ActionResult, Answer, ExecutionContext, Outcome};
use crate::work::{About, Subject, Task};
use crate::world::World;
use crate::{effects, hand_over, launch, pauses};

/// Remote effects that run side by side. GitHub asks clients not to be wildly parallel; the hand-offs of a burst are paced by the budget anyway.
const SIDE_BY_SIDE: usize = 16;
/// Outcomes that are recorded in one transaction, if they are there at the same time. A crash before it makes them come
/// again, which every action bears.
const RECORDED_TOGETHER: usize = 32;

/// Of so many of a plan's failed machines the last lines are recorded: those of one round mostly fail alike.
const OUTPUTS_MAX: usize = 3;

/// What came of a plan.
#[derive(Debug, Default)]
pub struct Executed {
    /// Whether anything had its effect.
    pub progressed: bool,
    /// Whether something failed, or was put off for no known time.
    pub failed: bool,
    /// When what was put off may succeed, as far as that is known; the earliest.
    pub retry_at: Option<Timestamp>,
    /// The actions that had no effect. Nothing is gained by repeating them at once.
    pub without_effect: Vec<Action>,
}

/// Executes a plan. Returns what came of it.
///
/// # Errors
/// Only when the ledger fails or the lease is lost; then nothing more is issued.
pub async fn execute(
    world: &World,
    policy: &ScaleSet,
    snapshot: &Snapshot,
    lease: &mut Lease,
    plan: Plan,
) -> Result<Executed, LedgerError> {
    let context = ExecutionContext::new(world, policy, snapshot);
    let mut execution = Execution {
        context: &context,
        lease,
        events: Vec::new(),
        hand_offs: Vec::new(),
        answers: Vec::new(),
        faults: snapshot.hand_off_faults.clone(),
        executed: Executed::default(),
    };
    let executed = execution.execute(plan.steps).await;
    // Also of a pass that ended early.
    let events = std::mem::take(&mut execution.events);
    let written = if events.is_empty() { Ok(()) } else { world.ports.ledger.append(events).await };
    let ended = executed.and(written);
    if let Err(error @ LedgerError::LeaseLost { .. }) = &ended {
        world.faults.report(FaultKind::LeaseLost, policy.name.as_str(), &error.to_string(), world.ports.clock.now());
    }
    ended?;
    Ok(execution.executed)
}

/// What runs side by side.
enum SideBySide {
    HandOff(HandOffAction),
    Effect(EffectAction),
}

/// One plan while it is executed.
struct Execution<'a> {
    context: &'a ExecutionContext<'a>,
    lease: &'a mut Lease,
    /// History that is not written yet.
    events: Vec<HistoryEvent>,
    /// What the hand-offs said of their places.
    hand_offs: Vec<HandOffReport>,
    /// Whether GitHub answered for the places that it was asked about, and when each was.
    answers: Vec<Answer>,
    /// What is known of them, with what this plan brings.
    faults: HandOffFaults,
    executed: Executed,
}

impl Execution<'_> {
    /// Executes steps by kind, those of a kind in the plan's order.
    async fn execute(&mut self, steps: Vec<PlanStep>) -> Result<(), LedgerError> {
        let (mut records, mut intents, mut launches) = (Vec::new(), Vec::new(), Vec::new());
        let (mut hand_offs, mut effects, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for PlanStep { action, reason } in steps {
            let about = About { kind: action.kind(), subject: Subject::of(&action), reason };
            match action {
                Action::Record(action) => records.push(Task { action, about }),
                Action::Intend { runners } => intents.push(Task { action: runners, about }),
                Action::Launch(action) => launches.push(Task { action, about }),
                Action::HandOff(action) => hand_offs.push(Task { action, about }),
                Action::Effect(action) => effects.push(Task { action, about }),
                Action::Terminate { machine, runner } => ends.push(Task { action: (machine, runner), about }),
            }
        }
        self.record(records).await?;
        self.intend(intents).await?;
        self.launch(launches).await?;
        self.run(hand_offs, effects).await?;
        self.end(ends).await
    }

    /// What was observed, in one transaction.
    async fn record(&mut self, tasks: Vec<Task<RecordAction>>) -> Result<(), LedgerError> {
        if tasks.is_empty() {
            return Ok(());
        }
        let (mut updates, mut reasons) = (Vec::with_capacity(tasks.len()), Vec::with_capacity(tasks.len()));
        let mut failures = Vec::new();
        for Task { action, about } in tasks {
            updates.push(match action {
                RecordAction::Update { runner, update } => (runner, update),
                RecordAction::Withdraw { runner } => {
                    (runner, RunnerUpdate::Gone(format!("withdrawn: {}", about.reason)))
                }
                RecordAction::BootFailed(failure) => {
                    failures.push((Some(failure), about));
                    continue;
                }
                RecordAction::Booted { .. } => {
                    failures.push((None, about));
                    continue;
                }
                RecordAction::Silent { at, why } => {
                    self.silent(&at, &why).await?;
                    self.event(EventKind::Seen, about.kind, &Reason(why), about.subject);
                    continue;
                }
            });
            reasons.push(about.reason);
        }
        if !updates.is_empty() {
            // What the ledger refuses was not so: it is written before it is in the history.
            let changed = self.context.world.ports.ledger.update(self.lease, updates.clone()).await?;
            self.executed.progressed |= !changed.is_empty();
        }
        for ((runner, update), reason) in updates.iter().zip(reasons) {
            self.event(EventKind::Seen, update.word(), &reason, Subject::runner(runner));
        }
        let mut failed = Vec::new();
        for (failure, About { kind, reason, subject }) in failures {
            let (ledger, set) = (&self.context.world.ports.ledger, &self.context.policy.name);
            match failure {
                Some(failure) => {
                    failed.push(failure.runner.clone());
                    ledger.boot_failed(set, failure).await?;
                    self.context.world.metrics.boot_failed(set);
                }
                None => ledger.boot_succeeded(set).await?,
            }
            self.executed.progressed = true;
            self.event(EventKind::Seen, kind, &reason, subject);
        }
        // The last one is the one that the fault names.
        for runner in failed.iter().rev().take(OUTPUTS_MAX) {
            self.record_output(runner).await;
        }
        Ok(())
    }

    /// Records the last lines of what a failed machine said: soon nothing else has them. Where they cannot be had the failure stands without.
    async fn record_output(&mut self, runner: &RunnerName) {
        let Some(machine) = self.context.runners.get(runner).and_then(|record| record.machine.clone()) else { return };
        match self.context.world.ports.machines.output(&machine).await {
            Ok(lines) => {
                for line in lines {
                    let subject = Subject { machine: Some(machine.clone()), ..Subject::runner(runner) };
                    self.event(EventKind::Seen, HistoryEvent::MACHINE_OUTPUT, &Reason(escaped(&line)), subject);
                }
            }
            Err(error) => {
                tracing::info!(runner = %runner, error = %chain(&error), "what a failed machine said could not be read");
            }
        }
    }

    async fn intend(&mut self, tasks: Vec<Task<Vec<Intent>>>) -> Result<(), LedgerError> {
        let policy = self.context.policy;
        for Task { action: runners, about: About { kind, reason, subject } } in tasks {
            let names: Vec<RunnerName> = runners.iter().map(|intent| intent.name.clone()).collect();
            let ledger = &self.context.world.ports.ledger;
            match ledger.intend(self.lease, runners, policy.ephemeral, policy.runners_max).await {
                Ok(()) => {
                    self.executed.progressed = true;
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
            let again = matches!(action, LaunchAction::Again { .. }).then(|| Action::Launch(action.clone()));
            let ledger = self.context.world.ports.ledger.clone();
            // What led to the call is recorded while it is made.
            let launch = launch::launch(self.context, self.lease, action);
            let (result, unwritten) = tokio::join!(launch, append(ledger.as_ref(), std::mem::take(&mut self.events)));
            self.events = unwritten;
            self.finish(vec![(again, about, result?)]).await?;
        }
        Ok(())
    }

    /// Hand-offs and all other effects run side by side; the outcomes that are there are recorded together.
    async fn run(
        &mut self,
        hand_offs: Vec<Task<HandOffAction>>,
        effects: Vec<Task<EffectAction>>,
    ) -> Result<(), LedgerError> {
        let context = self.context;
        if !hand_offs.is_empty() || !effects.is_empty() {
            self.write(Vec::new()).await?;
        }
        let (hand_offs, put_off) = hand_over::reserve(context, self.lease, hand_offs).await?;
        self.finish(put_off.into_iter().map(|(about, result)| (None, about, result)).collect()).await?;
        context.prepay_calls(effects.iter().map(|task| calls_of(&task.action)).sum()).await;
        let hand_offs = hand_offs.into_iter().map(|task| (SideBySide::HandOff(task.action), task.about));
        let effects = effects.into_iter().map(|task| (SideBySide::Effect(task.action), task.about));
        let mut results = futures_util::stream::iter(hand_offs.chain(effects))
            .map(|(action, about)| async move {
                match action {
                    // Its failures have a memory of their own, which says when it is tried again.
                    SideBySide::HandOff(action) => (None, about, hand_over::hand_over(context, &action).await),
                    SideBySide::Effect(action) => {
                        (Some(Action::Effect(action.clone())), about, effects::run(context, action).await)
                    }
                }
            })
            .buffer_unordered(SIDE_BY_SIDE)
            .ready_chunks(RECORDED_TOGETHER);
        let clock = context.world.ports.clock.clone();
        loop {
            // An effect may take long: the lease is kept meanwhile.
            let chunk = tokio::select! {
                biased;
                chunk = results.next() => chunk,
                () = clock.sleep(context.world.lease_ttl / 4) => Some(Vec::new()),
            };
            let Some(chunk) = chunk else { break };
            self.keep_lease().await?;
            self.finish(chunk).await?;
        }
        self.remember_failures().await
    }

    /// Places where hand-offs failed, or succeed again, or for which GitHub did not answer, are recorded: the planner says when what
    /// failed is tried again, and how much is asked meanwhile.
    async fn remember_failures(&mut self) -> Result<(), LedgerError> {
        let ports = &self.context.world.ports;
        let now = ports.clock.now();
        let mut is_news = self.faults.round(&std::mem::take(&mut self.hand_offs), now);
        let mut answers = std::mem::take(&mut self.answers);
        // Of several at one moment one answer is enough.
        answers.sort_by_key(|answer| answer.failure.is_none());
        for Answer { at, asked_at, failure } in answers {
            is_news |= match failure {
                Some(why) => {
                    self.faults.silent(&at, &why, asked_at);
                    true
                }
                None => self.faults.answered(&at, asked_at),
            };
        }
        if !is_news {
            return Ok(());
        }
        // What is over is nobody's next try: a place that none of the set's machines waits for keeps its last one.
        let untils = self.faults.faults.iter().filter(|fault| fault.is_active()).map(|fault| fault.until);
        self.executed.retry_at = untils.filter(|until| *until > now).chain(self.executed.retry_at).min();
        pauses::store_hand_off_faults(ports.ledger.as_ref(), &self.context.policy.name, &self.faults).await
    }

    /// Records that GitHub does not answer for a place.
    async fn silent(&mut self, at: &RunnerScope, why: &str) -> Result<(), LedgerError> {
        let ports = &self.context.world.ports;
        self.faults.silent(at, why, ports.clock.now());
        self.executed.progressed = true;
        pauses::store_hand_off_faults(ports.ledger.as_ref(), &self.context.policy.name, &self.faults).await
    }

    /// Ends machines in one call.
    async fn end(&mut self, tasks: Vec<Task<(MachineId, Option<RunnerName>)>>) -> Result<(), LedgerError> {
        if tasks.is_empty() {
            return Ok(());
        }
        self.keep_lease().await?;
        let (machines, abouts): (Vec<_>, Vec<_>) = tasks.into_iter().map(|task| (task.action, task.about)).unzip();
        let ends = |(machine, runner): &(MachineId, Option<RunnerName>)| {
            Some(Action::Terminate { machine: machine.clone(), runner: runner.clone() })
        };
        let actions: Vec<_> = machines.iter().map(ends).collect();
        let results = effects::terminate(self.context, machines).await;
        let results = actions.into_iter().zip(abouts.into_iter().zip(results));
        self.finish(results.map(|(action, (about, result))| (action, about, result)).collect()).await
    }

    /// Executors stop issuing near the lease's end: it is renewed in time, or given up.
    async fn keep_lease(&mut self) -> Result<(), LedgerError> {
        let world = self.context.world;
        if world.ports.clock.now().plus(world.lease_ttl / 2) >= self.lease.until {
            world.ports.ledger.renew(self.lease, world.lease_ttl).await?;
        }
        Ok(())
    }

    /// Writes updates and the history until now, side by side, so that a pass that is cut off later has lost neither. History that
    /// cannot be written now is written with the next.
    async fn write(&mut self, updates: Vec<(RunnerName, RunnerUpdate)>) -> Result<(), LedgerError> {
        let ledger = &self.context.world.ports.ledger;
        let update =
            async { if updates.is_empty() { Ok(()) } else { ledger.update(self.lease, updates).await.map(drop) } };
        let (updated, unwritten) = tokio::join!(update, append(ledger.as_ref(), std::mem::take(&mut self.events)));
        self.events = unwritten;
        updated
    }

    /// Records the updates of several actions in one go, with what came of each.
    async fn finish(&mut self, mut results: Vec<(Option<Action>, About, ActionResult)>) -> Result<(), LedgerError> {
        let updates: Vec<(RunnerName, RunnerUpdate)> =
            results.iter_mut().flat_map(|(_, _, result)| std::mem::take(&mut result.updates)).collect();
        for (action, about, result) in results {
            if !matches!(result.outcome, Outcome::Done(_)) {
                // A hand-off that failed has its next try in the record of its place.
                self.executed.failed |= result.retry_at.is_none() && result.hand_off.is_none();
                self.executed.retry_at = self.executed.retry_at.into_iter().chain(result.retry_at).min();
                self.executed.without_effect.extend(action);
            }
            self.hand_offs.extend(result.hand_off);
            self.answers.extend(result.answer);
            self.report(about, result.outcome);
        }
        self.write(updates).await
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
                self.executed.progressed = true;
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

/// Appends history. Returns what could not be written.
async fn append(ledger: &dyn Ledger, events: Vec<HistoryEvent>) -> Vec<HistoryEvent> {
    if events.is_empty() {
        return events;
    }
    match ledger.append(events.clone()).await {
        Ok(()) => Vec::new(),
        Err(error) => {
            tracing::warn!(error = %chain(&error), "history could not be written; it is tried again");
            events
        }
    }
}

/// The calls of the budget that an action may take, where it always takes one.
const fn calls_of(action: &EffectAction) -> u32 {
    match action {
        EffectAction::LookUp { .. } | EffectAction::Deregister { .. } | EffectAction::VerifyJob { run: None, .. } => 1,
        EffectAction::VerifyJob { run: Some(_), .. } => 2,
        EffectAction::ExpireHandOff { .. }
        | EffectAction::PoolFailure(_)
        | EffectAction::Stall { .. }
        | EffectAction::RecordWaits { .. }
        | EffectAction::FindRunners { .. }
        | EffectAction::EndJob { .. }
        | EffectAction::Notify { .. }
        | EffectAction::Interrupted { .. }
        | EffectAction::Rerun { .. }
        | EffectAction::NoRerun { .. } => 0,
    }
}
