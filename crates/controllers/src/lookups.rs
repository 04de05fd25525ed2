//! Questions to GitHub that messages ask: a repository's queued jobs, or the labels of a check run's job.
//!
//! They have a queue and a worker of their own, because one takes seconds to minutes, and a job's fact must not wait for it.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::future::join_all;
use runnersmith_ports::{BudgetKind, GitHubError, Message, Queue, QueueError, ReceivedMessage, chain};
use runnersmith_types::JobFact;

use crate::consume::{ConsumeError, Consumed, record, retry_after};
use crate::world::World;

/// How long a look-up may take before its message comes again.
pub const VISIBILITY: Duration = Duration::from_secs(300);
/// Look-ups at once: enough to hide GitHub's latency, few enough for its secondary limits.
pub const AT_ONCE: usize = 4;
/// The pause of a look-up for which no call is left.
const PAUSE: Duration = Duration::from_secs(30);

/// Asks GitHub what the messages of this queue want to know, several at once, and records what it says.
///
/// # Errors
/// When the queue fails; nothing is lost, what was not acknowledged comes again.
pub async fn look_up(
    world: &World,
    queue: &dyn Queue,
    messages: Vec<ReceivedMessage>,
) -> Result<Consumed, ConsumeError> {
    let consumed = Mutex::new(Consumed::default());
    let mut failed: Result<(), QueueError> = Ok(());
    for chunk in messages.chunks(AT_ONCE) {
        for result in join_all(chunk.iter().map(|message| one(world, queue, message, &consumed))).await {
            failed = failed.and(result);
        }
    }
    failed?;
    Ok(consumed.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// What GitHub answered.
enum Found {
    Facts(Vec<JobFact>),
    /// It could not be asked, or did not answer: again after so long.
    Later(Duration, Option<String>),
}

async fn one(
    world: &World,
    queue: &dyn Queue,
    message: &ReceivedMessage,
    consumed: &Mutex<Consumed>,
) -> Result<(), QueueError> {
    let answer = match serde_json::from_str::<Message>(&message.body) {
        Ok(Message::Job(fact)) => Found::Facts(vec![*fact]),
        Ok(Message::Wake { set }) => {
            lock(consumed).woken.insert(set);
            Found::Facts(Vec::new())
        }
        Ok(Message::CheckRun { repo, job }) => match may_call(world, message).await {
            Ok(()) => found(message, world.ports.github.job(&repo, job).await.map(|fact| vec![fact])),
            Err(later) => later,
        },
        Ok(Message::Sweep { repo }) => match may_call(world, message).await {
            Ok(()) => found(message, world.ports.github.sweep(&repo).await),
            Err(later) => later,
        },
        Err(error) => {
            tracing::error!(error = %error, receives = message.receives, "a message cannot be read");
            world.metrics.dead_letter();
            return queue.dead_letter(&message.receipt, &format!("cannot be read: {error}")).await.map(|_| ());
        }
    };
    let mut woken = std::collections::BTreeSet::new();
    let later = match answer {
        Found::Facts(facts) => match record(world, facts, &mut woken).await {
            Ok(()) => None,
            Err(error) => Some((retry_after(message.receives), Some(chain(&error)))),
        },
        Found::Later(after, why) => Some((after, why)),
    };
    lock(consumed).woken.append(&mut woken);
    match later {
        None => queue.acknowledge(std::slice::from_ref(&message.receipt)).await.map(|_| ()),
        Some((after, why)) => {
            if let Some(why) = why {
                tracing::warn!(error = why, retry_in_s = after.as_secs(), "a look-up failed and is done again");
                lock(consumed).failed.push(why);
            }
            queue.extend(&message.receipt, after).await.map(|_| ())
        }
    }
}

fn lock(consumed: &Mutex<Consumed>) -> std::sync::MutexGuard<'_, Consumed> {
    consumed.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a call from the budget; otherwise says how long the look-up waits.
async fn may_call(world: &World, message: &ReceivedMessage) -> Result<(), Found> {
    match world.ports.ledger.take_budget(BudgetKind::Calls, 1, world.limits.calls_per_minute).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(Found::Later(PAUSE, None)),
        Err(error) => Err(Found::Later(retry_after(message.receives), Some(chain(&error)))),
    }
}

fn found(message: &ReceivedMessage, answer: Result<Vec<JobFact>, GitHubError>) -> Found {
    match answer {
        Ok(facts) => Found::Facts(facts),
        // The repository or the job is gone, or the App was removed: there is nothing to know any more.
        Err(GitHubError::NotFound { .. } | GitHubError::NotInstalled { .. }) => Found::Facts(Vec::new()),
        Err(error) => Found::Later(PAUSE.max(retry_after(message.receives)), Some(chain(&error))),
    }
}
