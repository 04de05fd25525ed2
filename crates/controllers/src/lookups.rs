//! Questions to GitHub that messages ask: a repository's queued jobs, or the labels of a check run's job.
//!
//! They have a queue and a worker of their own, because one takes seconds to minutes, and a job's fact must not wait for it.

use std::time::Duration;

use futures_util::future::join_all;
use runnersmith_plan::route;
use runnersmith_ports::{GitHubError, LedgerError, Message, Queue, ReceivedMessage, chain};
use runnersmith_types::{EventKind, HistoryEvent, JobFact, JobId, ScaleSet};

use crate::consume::{Consumed, keep_swept, record_what_can_be, retry_after, set_aside, take_down_each};
use crate::world::World;

/// How long a look-up may take before its message comes again.
pub const VISIBILITY: Duration = Duration::from_secs(300);
/// Look-ups at once: enough to hide GitHub's latency, few enough for its secondary limits.
pub const AT_ONCE: usize = 4;
/// The least pause of a look-up that GitHub did not answer.
const PAUSE: Duration = Duration::from_secs(30);

/// Asks GitHub what the messages of this queue want to know, several at once, and records what it says. What fails comes again.
pub async fn look_up(world: &World, queue: &dyn Queue, messages: Vec<ReceivedMessage>) -> Consumed {
    let mut consumed = Consumed::default();
    for chunk in messages.chunks(AT_ONCE) {
        for one in join_all(chunk.iter().map(|message| one(world, queue, message))).await {
            consumed.woken.extend(one.woken);
            consumed.failed.extend(one.failed);
        }
    }
    consumed
}

/// What GitHub answered.
enum Found {
    /// One job that a delivery has named: it is kept as one that was delivered.
    Named(Vec<JobFact>),
    /// GitHub does not know the job that a delivery has named.
    Unknown(JobId, String),
    /// All open jobs of a repository.
    Swept(Vec<JobFact>),
    /// It could not be asked, or did not answer: again after so long.
    Later(Duration, String),
}

async fn one(world: &World, queue: &dyn Queue, message: &ReceivedMessage) -> Consumed {
    let mut consumed = Consumed::default();
    let answer = match serde_json::from_str::<Message>(&message.body) {
        Ok(Message::Job(fact)) => Found::Named(vec![*fact]),
        Ok(Message::Wake { set }) => {
            consumed.woken.insert(set);
            Found::Named(Vec::new())
        }
        Ok(Message::Machine(event)) => {
            take_down_each(world, queue, vec![(event, message.clone())], &mut consumed).await;
            return consumed;
        }
        Ok(Message::CheckRun { repo, job }) => match world.ports.github.job(&repo, job).await {
            Ok(fact) => Found::Named(vec![fact]),
            Err(error) if is_nothing_there(&error) => {
                Found::Unknown(job, format!("GitHub does not show the job of this check run: {}", chain(&error)))
            }
            Err(error) => not_found(world, message, &error),
        },
        Ok(Message::Sweep { repo }) => match world.ports.github.sweep(&repo).await {
            Ok(facts) => Found::Swept(facts),
            Err(error) => not_found(world, message, &error),
        },
        Err(error) => {
            set_aside(world, queue, message, &error.to_string(), &mut consumed).await;
            return consumed;
        }
    };
    let kept = match answer {
        Found::Named(facts) => keep_named(world, facts, &mut consumed).await,
        Found::Unknown(job, why) => record_dropped(world, [(job, why)]).await,
        Found::Swept(facts) => keep_swept(world, facts, &mut consumed.woken).await,
        Found::Later(after, why) => {
            tracing::warn!(why, retry_in_s = after.as_secs(), "GitHub could not be asked; it is asked again");
            consumed.failed.push(why);
            consumed.note("put a look-up off", queue.extend(&message.receipt, after).await);
            return consumed;
        }
    };
    match kept {
        Ok(()) => {
            let done = queue.acknowledge(std::slice::from_ref(&message.receipt)).await;
            consumed.note("acknowledge a look-up", done);
        }
        Err(error) => consumed.again(queue, message, "record what GitHub said", chain(&error)).await,
    }
    consumed
}

/// Keeps jobs as if they had been delivered: what the webhook does not take in is not kept either.
async fn keep_named(world: &World, mut facts: Vec<JobFact>, consumed: &mut Consumed) -> Result<(), LedgerError> {
    let sets = world.sets.load();
    let policies: Vec<&ScaleSet> = sets.iter().collect();
    let reject = |fact: &JobFact| route::reject_at_intake(fact, &policies);
    record_dropped(world, facts.iter().filter_map(|fact| Some((fact.id, reject(fact)?)))).await?;
    facts.retain(|fact| reject(fact).is_none());
    record_what_can_be(world, facts, &mut consumed.woken).await
}

/// Records for `why` that deliveries named these jobs and were not used, and for what reason.
async fn record_dropped(world: &World, dropped: impl IntoIterator<Item = (JobId, String)>) -> Result<(), LedgerError> {
    let now = world.ports.clock.now();
    let event =
        |(job, why)| HistoryEvent { job: Some(job), ..HistoryEvent::new(now, EventKind::Dropped, "delivery", why) };
    let events: Vec<HistoryEvent> = dropped.into_iter().map(event).collect();
    if events.is_empty() { Ok(()) } else { world.ports.ledger.append(events).await }
}

/// The repository or the job is gone, or the App was removed: there is nothing to know any more.
const fn is_nothing_there(error: &GitHubError) -> bool {
    matches!(error, GitHubError::NotFound { .. } | GitHubError::NotInstalled { .. })
}

fn not_found(world: &World, message: &ReceivedMessage, error: &GitHubError) -> Found {
    let pause = PAUSE.max(retry_after(message.receives));
    match error {
        GitHubError::NotFound { .. } | GitHubError::NotInstalled { .. } => Found::Named(Vec::new()),
        // The limit's end is the next try.
        GitHubError::RateLimited { until, .. } => {
            Found::Later(until.since(world.ports.clock.now()).max(Duration::from_secs(1)), chain(error))
        }
        GitHubError::Conflict { .. }
        | GitHubError::Busy { .. }
        | GitHubError::Refused { .. }
        | GitHubError::Unauthorized { .. }
        | GitHubError::Transient { .. } => Found::Later(pause, chain(error)),
    }
}
