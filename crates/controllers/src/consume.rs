//! Consume: messages become facts in the ledger. A message is acknowledged only after its fact is durable; it fails
//! only if it could not be stored; one that cannot be read goes to the dead letters.

use std::collections::BTreeSet;
use std::time::Duration;

use runnersmith_plan::route;
use runnersmith_ports::{BudgetKind, GitHubError, LedgerError, Message, QueueError, Receipt, ReceivedMessage};
use runnersmith_types::job::Merged;
use runnersmith_types::{EventKind, HistoryEvent, JobFact, JobStatus, ScaleSet, ScaleSetName};

use crate::World;

/// Why a batch of messages could not be consumed; what was not acknowledged comes again.
#[derive(Debug, thiserror::Error)]
pub enum ConsumeError {
    /// The queue failed.
    #[error("consume messages")]
    Queue(#[from] QueueError),
    /// The ledger failed.
    #[error("consume messages")]
    Ledger(#[from] LedgerError),
}

/// How long a message may take before it comes again.
pub const VISIBILITY: Duration = Duration::from_secs(60);

/// Records the facts in the messages and answers the sets that should look.
///
/// # Errors
/// When queue or ledger fail; nothing is lost, what was not acknowledged comes again.
pub async fn consume(world: &World, messages: Vec<ReceivedMessage>) -> Result<BTreeSet<ScaleSetName>, ConsumeError> {
    let (mut facts, mut receipts, mut woken) = (Vec::new(), Vec::new(), BTreeSet::new());
    for message in messages {
        match serde_json::from_str::<Message>(&message.body) {
            Ok(Message::Job(fact)) => {
                facts.push(*fact);
                receipts.push(message.receipt);
            }
            Ok(Message::Wake { set }) => {
                woken.insert(set);
                receipts.push(message.receipt);
            }
            Ok(Message::CheckRun { repo, job }) => match fetch(world, &repo, job).await {
                Fetched::Facts(mut found) => {
                    facts.append(&mut found);
                    receipts.push(message.receipt);
                }
                Fetched::Later => later(world, &message.receipt).await?,
            },
            Ok(Message::Sweep { repo }) => match sweep(world, &repo).await {
                Fetched::Facts(mut found) => {
                    facts.append(&mut found);
                    receipts.push(message.receipt);
                }
                Fetched::Later => later(world, &message.receipt).await?,
            },
            Err(error) => {
                tracing::error!(error = %error, receives = message.receives, "a message cannot be read");
                world.metrics.dead_letter();
                world.ports.queue.dead_letter(&message.receipt, &format!("cannot be read: {error}")).await?;
            }
        }
    }
    record(world, facts, &mut woken).await?;
    world.ports.queue.acknowledge(&receipts).await?;
    Ok(woken)
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
    let mut events = Vec::with_capacity(recorded.len());
    for record in &recorded {
        if record.merged == Merged::Nothing && !record.new {
            continue;
        }
        let fact = &record.job.fact;
        let text = fact.runner_name.as_ref().map_or_else(
            || format!("GitHub says {}", fact.status.word()),
            |runner| format!("GitHub says {} on {}", fact.status.word(), runner.escape_debug()),
        );
        let mut event = HistoryEvent::new(fact.received_at, EventKind::Seen, fact.status.word(), text);
        event.job = Some(fact.id);
        event.delivery.clone_from(&fact.delivery);
        event.runner = record.job.runner();
        events.push(event);
        if record.merged == Merged::Status {
            say(record);
        }
        if record.merged == Merged::Status && fact.status >= JobStatus::InProgress {
            measure(world, record).await;
        }
    }
    world.ports.ledger.append(events).await?;
    woken.extend(concerned);
    // The set of a runner that no policy names any more: it is on its way out, and waits for just this.
    let theirs = recorded.iter().filter_map(|record| record.job.runner()?.set());
    woken.extend(theirs.filter(|set| !sets.iter().any(|known| known.name == *set)));
    Ok(())
}

/// The sets that should look at a fact: those that could serve the job, and the one whose runner it names.
fn concerns(fact: &JobFact, policies: &[&ScaleSet]) -> Vec<ScaleSetName> {
    let mut sets: Vec<ScaleSetName> = match route::candidates(fact, policies) {
        Ok(candidates) => candidates.into_iter().map(|candidate| candidate.set).collect(),
        // The first set by name owns what no set can serve, so that its author is told.
        Err(_) => policies.iter().map(|policy| policy.name.clone()).min().into_iter().collect(),
    };
    if let Some(set) = fact.runner().and_then(|runner| runner.set()) {
        sets.extend(policies.iter().map(|policy| &policy.name).filter(|name| **name == set).cloned());
    }
    sets
}

/// Stage latencies when a job of ours starts, and its trace when it ends.
async fn measure(world: &World, record: &runnersmith_ports::Recorded) {
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
fn say(record: &runnersmith_ports::Recorded) {
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

enum Fetched {
    Facts(Vec<JobFact>),
    Later,
}

async fn fetch(world: &World, repo: &runnersmith_types::RepoFullName, job: runnersmith_types::JobId) -> Fetched {
    if !take_call(world).await {
        return Fetched::Later;
    }
    fetched(world.ports.github.job(repo, job).await.map(|fact| vec![fact]))
}

async fn sweep(world: &World, repo: &runnersmith_types::RepoFullName) -> Fetched {
    if !take_call(world).await {
        return Fetched::Later;
    }
    fetched(world.ports.github.sweep(repo).await)
}

fn fetched(answer: Result<Vec<JobFact>, GitHubError>) -> Fetched {
    match answer {
        Ok(facts) => Fetched::Facts(facts),
        Err(GitHubError::NotFound { .. } | GitHubError::NotInstalled { .. }) => Fetched::Facts(Vec::new()),
        Err(error) => {
            tracing::warn!(error = %runnersmith_ports::chain(&error), "GitHub could not be asked; it will be asked again");
            Fetched::Later
        }
    }
}

async fn take_call(world: &World) -> bool {
    let limit = world.limits.calls_per_minute;
    matches!(world.ports.ledger.take_budget(BudgetKind::Calls, 1, limit).await, Ok(Some(_)))
}

async fn later(world: &World, receipt: &Receipt) -> Result<(), QueueError> {
    world.ports.queue.extend(receipt, Duration::from_secs(30)).await.map(|_| ())
}
