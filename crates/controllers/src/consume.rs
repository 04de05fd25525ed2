//! Consume: messages become facts in the ledger. A message is acknowledged only after its fact is durable; it fails
//! only if it could not be stored; one that cannot be read goes to the dead letters.

use std::collections::BTreeSet;
use std::time::Duration;

use runnersmith_plan::fault::FaultKind;
use runnersmith_plan::route;
use runnersmith_ports::{
    LedgerError, MachineEvent, MachinesError, Message, Queue, QueueError, Receipt, ReceivedMessage, Recorded, chain,
};
use runnersmith_types::job::Merged;
use runnersmith_types::{EventKind, FactSource, JobFact, JobId, JobStatus, ScaleSet, ScaleSetName};

use crate::lookups;
use crate::world::World;

/// How long a message may take before it comes again.
pub const VISIBILITY: Duration = Duration::from_secs(60);

/// How long a message that could not be consumed stays invisible before its next try, after it was received so often.
///
/// Without it the message would come again after the queue's visibility timeout: for a function that is six times the function's
/// timeout (AWS's advice, for functions that die), 18 minutes for a job that waits. The retries back off to half a minute, and after
/// about ten minutes of trouble to a quarter of an hour, so that the queue's `maxReceiveCount` outlasts a long outage.
#[must_use]
pub fn retry_after(receives: u32) -> Duration {
    const SOON: u32 = 20;
    match receives {
        0..=5 => Duration::from_secs(1 << receives.saturating_sub(1)),
        6..=SOON => Duration::from_secs(30),
        _ => Duration::from_secs(15 * 60),
    }
}

/// What came of a batch of messages, or of a sweep.
#[derive(Debug, Default)]
pub struct Consumed {
    /// The sets that should look.
    pub woken: BTreeSet<ScaleSetName>,
    /// Why facts could not be recorded, one line each. Their messages come again after [`retry_after`], or the next sweep finds them.
    pub failed: Vec<String>,
}

/// A batch of messages, each with what it says.
#[derive(Default)]
struct Batch {
    facts: Vec<(JobFact, ReceivedMessage)>,
    wakes: Vec<(ScaleSetName, Receipt)>,
    /// What a provider reports of machines.
    machines: Vec<(MachineEvent, ReceivedMessage)>,
    /// Questions to GitHub.
    lookups: Vec<ReceivedMessage>,
    unreadable: Vec<(ReceivedMessage, String)>,
}

impl Batch {
    fn of(messages: Vec<ReceivedMessage>) -> Self {
        let mut batch = Self::default();
        for message in messages {
            match serde_json::from_str::<Message>(&message.body) {
                Ok(Message::Job(fact)) => batch.facts.push((*fact, message)),
                Ok(Message::Wake { set }) => batch.wakes.push((set, message.receipt)),
                Ok(Message::Machine(event)) => batch.machines.push((event, message)),
                Ok(Message::CheckRun { .. } | Message::Sweep { .. }) => batch.lookups.push(message),
                Err(error) => batch.unreadable.push((message, error.to_string())),
            }
        }
        batch
    }
}

/// Records the facts in the messages and returns the sets that should be reconciled. Facts come first: nothing that asks GitHub delays them.
/// What asks GitHub goes to the look-ups' own queue; without one it is done here, at the end. What fails is logged and comes again; it
/// takes nothing from what was recorded, so there is no error.
pub async fn consume(world: &World, messages: Vec<ReceivedMessage>) -> Consumed {
    let queue = world.ports.queue.as_ref();
    let batch = Batch::of(messages);
    let mut consumed = Consumed::default();
    let facts = batch.facts.iter().map(|(fact, _)| fact.clone()).collect();
    let mut receipts = match record(world, facts, &mut consumed.woken).await {
        Ok(()) => batch.facts.into_iter().map(|(_, message)| message.receipt).collect(),
        Err(error) => record_each(world, queue, batch.facts, error, &mut consumed).await,
    };
    for (set, receipt) in batch.wakes {
        consumed.woken.insert(set);
        receipts.push(receipt);
    }
    consumed.note("acknowledge messages", queue.acknowledge(&receipts).await);
    for (message, why) in batch.unreadable {
        set_aside(world, queue, &message, &why, &mut consumed).await;
    }
    let machines = batch.machines;
    let Some(lookups) = &world.ports.lookups else {
        take_down_each(world, queue, machines, &mut consumed).await;
        let found = lookups::look_up(world, queue, batch.lookups).await;
        consumed.woken.extend(found.woken);
        consumed.failed.extend(found.failed);
        return consumed;
    };
    for message in batch.lookups {
        match lookups.send(&message.body, Duration::ZERO).await {
            Ok(()) => {
                let done = queue.acknowledge(std::slice::from_ref(&message.receipt)).await;
                consumed.note("acknowledge a look-up", done);
            }
            Err(error) => consumed.again(queue, &message, "pass on a look-up", chain(&error)).await,
        }
    }
    // At the end: the provider is asked about them, and may be slow.
    take_down_each(world, queue, machines, &mut consumed).await;
    consumed
}

/// Takes down what a provider reports of machines, all of a batch in one call: when many machines go at once there is a message for each.
/// Where that does not work they are taken one by one, so that one that cannot be taken down delays no other; not where the provider is
/// busy, and no more once two have failed, since then it is not the machines, or [`REPORTS_WITHIN`] after the first: jobs of the same batch wait.
pub(crate) async fn take_down_each(
    world: &World,
    queue: &dyn Queue,
    machines: Vec<(MachineEvent, ReceivedMessage)>,
    consumed: &mut Consumed,
) {
    if machines.is_empty() {
        return;
    }
    let all: Vec<MachineEvent> = machines.iter().map(|(event, _)| event.clone()).collect();
    let mut result = take_down(world, &all).await;
    let is_split = matches!(result, Err(NotTakenDown { is_busy: false, .. })) && machines.len() > 1;
    // Not from before the call for all: one that was slow would leave no time for those that can be taken down.
    let (clock, mut receipts, mut failed) = (&world.ports.clock, Vec::new(), 0);
    let until = clock.now().plus(REPORTS_WITHIN);
    for (event, message) in machines {
        if is_split && failed < 2 {
            if clock.now() < until {
                result = take_down(world, &[event]).await;
            } else {
                let before = result.err().map_or_else(String::new, |error| format!("; before that: {}", error.why));
                result = Err(NotTakenDown { is_busy: true, why: format!("there was no time left for it{before}") });
                // The others have as little, for the same reason.
                failed = 2;
            }
            failed += u32::from(result.is_err());
        }
        match &result {
            Ok(sets) => {
                consumed.woken.extend(sets.iter().cloned());
                receipts.push(message.receipt);
                if is_split {
                    // What is taken down is not taken down again, also when the time ends before the others are.
                    consumed.note("acknowledge a message", queue.acknowledge(&std::mem::take(&mut receipts)).await);
                }
            }
            Err(error) => {
                consumed.again(queue, &message, "take down what a machine's provider reports", error.why.clone()).await
            }
        }
    }
    consumed.note("acknowledge messages", queue.acknowledge(&receipts).await);
}

/// The most time in which reports of machines are begun one by one.
const REPORTS_WITHIN: Duration = Duration::from_secs(8);

/// Why reports of machines could not be taken down.
struct NotTakenDown {
    /// The provider has too many calls: more of them make it no better.
    is_busy: bool,
    why: String,
}

impl From<LedgerError> for NotTakenDown {
    fn from(error: LedgerError) -> Self {
        Self { is_busy: false, why: chain(&error).to_string() }
    }
}

impl From<MachinesError> for NotTakenDown {
    fn from(error: MachinesError) -> Self {
        Self { is_busy: matches!(error, MachinesError::Throttled { .. }), why: chain(&error).to_string() }
    }
}

/// Returns the sets whose machines they are. Who passes over one of them now may have listed its machines before, and looks again.
async fn take_down(world: &World, events: &[MachineEvent]) -> Result<BTreeSet<ScaleSetName>, NotTakenDown> {
    let ledger = &world.ports.ledger;
    let control_plane = ledger.control_plane().await?;
    let sets = world.ports.machines.reported(events, &control_plane).await?;
    for set in &sets {
        ledger.wake(set).await?;
    }
    Ok(sets)
}

/// Moves a message that cannot be read to the dead letters. One that a newer program wrote is left to it: it comes again.
pub(crate) async fn set_aside(
    world: &World,
    queue: &dyn Queue,
    message: &ReceivedMessage,
    why: &str,
    consumed: &mut Consumed,
) {
    tracing::error!(error = why, receives = message.receives, "a message cannot be read");
    if Message::is_of_newer_version(&message.body) {
        let extended = queue.extend(&message.receipt, retry_after(message.receives)).await;
        return consumed.note("leave a message to a newer program", extended);
    }
    world.metrics.dead_letter();
    let cause = format!("messages could not be read; the last one: {why}");
    world.faults.report(FaultKind::DeadLetters, "", &cause, world.ports.clock.now());
    let moved = queue.dead_letter(&message.receipt, &format!("cannot be read: {why}")).await;
    consumed.note("move a message to the dead-letter queue", moved);
}

impl Consumed {
    /// Takes down what a call to the queue did not do. Its message comes again by itself.
    pub(crate) fn note<T>(&mut self, what: &str, result: Result<T, QueueError>) {
        if let Err(error) = result {
            let error = chain(&error);
            tracing::error!(error, "could not {what}; it comes again");
            self.failed.push(error);
        }
    }

    /// Takes down what failed for a message, and makes it come again soon.
    pub(crate) async fn again(&mut self, queue: &dyn Queue, message: &ReceivedMessage, what: &str, error: String) {
        let after = retry_after(message.receives);
        tracing::error!(
            error,
            receives = message.receives,
            retry_in_s = after.as_secs(),
            "could not {what}; it comes again"
        );
        self.failed.push(error);
        self.note("bring a retry forward", queue.extend(&message.receipt, after).await);
    }
}

/// Records the facts of messages one by one, after all at once did not work, so that a record that cannot be written does not delay its
/// neighbours. Returns the receipts of those that were recorded; the others come again soon.
async fn record_each(
    world: &World,
    queue: &dyn Queue,
    facts: Vec<(JobFact, ReceivedMessage)>,
    error: LedgerError,
    consumed: &mut Consumed,
) -> Vec<Receipt> {
    let mut error = Some(error).filter(|_| facts.len() == 1);
    let mut recorded = Vec::new();
    for (fact, message) in facts {
        let result = match error.take() {
            Some(error) => Err(error),
            None => record(world, vec![fact], &mut consumed.woken).await,
        };
        match result {
            Ok(()) => recorded.push(message.receipt),
            Err(error) => consumed.again(queue, &message, "record a job's fact", chain(&error)).await,
        }
    }
    recorded
}

/// Keeps what a sweep has found, without jobs that are not ours, and adds the sets that they concern.
///
/// # Errors
/// When the ledger fails for one of them; the others are recorded.
pub(crate) async fn keep_swept(
    world: &World,
    mut facts: Vec<JobFact>,
    woken: &mut BTreeSet<ScaleSetName>,
) -> Result<(), LedgerError> {
    let sets = world.sets.load();
    let policies: Vec<&ScaleSet> = sets.iter().collect();
    facts.retain(|fact| route::is_ours(fact, &policies));
    record_what_can_be(world, facts, woken).await
}

/// Records facts, all at once if that works and otherwise one by one, and adds the sets that they concern.
///
/// # Errors
/// When the ledger fails for one of them; the others are recorded.
pub(crate) async fn record_what_can_be(
    world: &World,
    facts: Vec<JobFact>,
    woken: &mut BTreeSet<ScaleSetName>,
) -> Result<(), LedgerError> {
    let Err(mut error) = record(world, facts.clone(), woken).await else { return Ok(()) };
    if facts.len() < 2 {
        return Err(error);
    }
    let mut is_one_left = false;
    for fact in facts {
        if let Err(of_one) = record(world, vec![fact], woken).await {
            (error, is_one_left) = (of_one, true);
        }
    }
    if is_one_left { Err(error) } else { Ok(()) }
}

/// Records facts and adds the sets that they concern.
///
/// # Errors
/// When the ledger fails.
pub async fn record(world: &World, facts: Vec<JobFact>, woken: &mut BTreeSet<ScaleSetName>) -> Result<(), LedgerError> {
    if facts.is_empty() {
        return Ok(());
    }
    let sets = world.sets.load();
    let policies: Vec<&ScaleSet> = sets.iter().collect();
    let concerned: BTreeSet<ScaleSetName> = facts.iter().flat_map(|fact| concerns(fact, &policies)).collect();
    let wake: Vec<ScaleSetName> = concerned.iter().cloned().collect();
    let recorded = world.ports.ledger.record_facts(facts, &wake).await?;
    if recorded.iter().any(|record| record.new && record.job.fact.source == FactSource::Delivery) {
        world.faults.clear(FaultKind::NoDelivery, "");
    }
    for (job, cause) in recorded.iter().filter_map(undelivered) {
        // A delivery that came and was not used, because no set served the job then, is in the job's history.
        let history = world.ports.ledger.history_of_job(job, 50).await?;
        if !history.iter().any(|event| event.kind == EventKind::Dropped) {
            world.faults.report(FaultKind::NoDelivery, "", &cause, world.ports.clock.now());
            break;
        }
    }
    for record in recorded.iter().filter(|record| record.merged == Merged::Status) {
        log_status(record);
        if record.job.fact.status >= JobStatus::InProgress {
            measure(world, record).await;
        }
    }
    woken.extend(concerned);
    // The set of a runner that no policy names any more: it is on its way out, and waits for just this.
    let theirs = recorded.iter().filter_map(|record| record.job.runner()?.set());
    woken.extend(theirs.filter(|set| !sets.iter().any(|known| known.name == *set)));
    Ok(())
}

/// What a recorded fact says of deliveries, when a sweep was the first to see a job that a delivery should have reported long before.
fn undelivered(recorded: &Recorded) -> Option<(JobId, String)> {
    const LATE: Duration = Duration::from_secs(120);
    let fact = &recorded.job.fact;
    let queued_for = fact.received_at.since(fact.created_at?);
    let is_late = recorded.new && fact.source == FactSource::Sweep && queued_for >= LATE;
    is_late.then(|| {
        let (job, repo, minutes) = (fact.id, &fact.repo, queued_for.as_secs() / 60);
        (job, format!("job {job} of {repo} had been queued for {minutes} min when a sweep found it; no delivery came"))
    })
}

/// The sets that a fact concerns: those that could serve the job, and the one whose runner it names.
fn concerns(fact: &JobFact, policies: &[&ScaleSet]) -> Vec<ScaleSetName> {
    let mut sets: Vec<ScaleSetName> = match route::candidates(fact, policies) {
        Ok(candidates) => candidates.into_iter().map(|candidate| candidate.set).collect(),
        // What no set can serve is the matter of the set that posts notifications.
        Err(_) => route::notifier(policies).map(|policy| policy.name.clone()).into_iter().collect(),
    };
    if let Some(set) = fact.runner().and_then(|runner| runner.set()) {
        sets.extend(policies.iter().map(|policy| &policy.name).filter(|name| **name == set).cloned());
    }
    sets
}

/// Stage latencies when a job of ours starts, and its trace when it ends.
async fn measure(world: &World, record: &Recorded) {
    let Some(name) = record.job.runner() else { return };
    let runner = match world.ports.ledger.runner(&name).await {
        Ok(runner) => runner,
        Err(error) => return tracing::debug!(error = %runnersmith_ports::chain(&error), "a job could not be measured"),
    };
    world.metrics.job_moved(&record.job, runner.as_ref());
    if let (Some(observer), false, Some(_)) = (&world.observer, record.job.fact.status.is_open(), &runner) {
        observer.ended(&record.job, runner.as_ref());
    }
}

/// One line for each change of a job's status.
fn log_status(record: &Recorded) {
    let fact = &record.job.fact;
    tracing::info!(
        correlation_id = %fact.id.correlation_id(),
        job = fact.id.0,
        run = fact.run.0,
        repository = %fact.repo,
        status = fact.status.word(),
        delivery = fact.delivery.as_ref().map(tracing::field::display),
        runner = fact.runner_name.as_ref().map(|name| tracing::field::display(name.escape_debug())),
        "job"
    );
}

#[cfg(test)]
mod tests {
    use super::retry_after;
    use std::time::Duration;

    #[test]
    fn retries_back_off_and_outlast_an_outage() {
        let seconds = |receives| retry_after(receives).as_secs();
        assert_eq!([0, 1, 2, 5, 6, 20, 21].map(seconds), [1, 1, 2, 16, 30, 30, 900]);
        let all: Duration = (1..50).map(retry_after).sum();
        assert!(all > Duration::from_secs(7 * 60 * 60), "fifty receives, the module's maxReceiveCount, last {all:?}");
    }
}
