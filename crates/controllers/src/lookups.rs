//! Questions to GitHub that messages ask: a repository's queued jobs, or the labels of a check run's job.
//!
//! They have a queue and a worker of their own, because one takes seconds to minutes, and a job's fact must not wait for it.

use std::time::Duration;

use futures_util::future::join_all;
use runnersmith_ports::{BudgetKind, GitHubError, Message, Queue, ReceivedMessage, chain};
use runnersmith_types::JobFact;

use crate::consume::{Consumed, record, retry_after, set_aside};
use crate::world::World;

/// How long a look-up may take before its message comes again.
pub const VISIBILITY: Duration = Duration::from_secs(300);
/// Look-ups at once: enough to hide GitHub's latency, few enough for its secondary limits.
pub const AT_ONCE: usize = 4;
/// The pause of a look-up for which no call is left.
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
    Facts(Vec<JobFact>),
    /// It could not be asked, or did not answer: again after so long.
    Later(Duration, String),
}

async fn one(world: &World, queue: &dyn Queue, message: &ReceivedMessage) -> Consumed {
    let mut consumed = Consumed::default();
    let answer = match serde_json::from_str::<Message>(&message.body) {
        Ok(Message::Job(fact)) => Found::Facts(vec![*fact]),
        Ok(Message::Wake { set }) => {
            consumed.woken.insert(set);
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
            set_aside(world, queue, message, &error.to_string(), &mut consumed).await;
            return consumed;
        }
    };
    match answer {
        Found::Facts(facts) => match record(world, facts, &mut consumed.woken).await {
            Ok(()) => {
                let done = queue.acknowledge(std::slice::from_ref(&message.receipt)).await;
                consumed.note("acknowledge a look-up", done);
            }
            Err(error) => consumed.again(queue, message, "record what GitHub said", chain(&error)).await,
        },
        Found::Later(after, why) => {
            tracing::warn!(why, retry_in_s = after.as_secs(), "GitHub could not be asked; it is asked again");
            consumed.failed.push(why);
            consumed.note("put a look-up off", queue.extend(&message.receipt, after).await);
        }
    }
    consumed
}

/// Takes a call from the budget; otherwise says how long the look-up waits.
async fn may_call(world: &World, message: &ReceivedMessage) -> Result<(), Found> {
    let after = PAUSE.max(retry_after(message.receives));
    match world.ports.ledger.take_budget(BudgetKind::Calls, 1, world.limits.calls_per_minute).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(Found::Later(after, "this minute's budget for GitHub calls is used up".into())),
        Err(error) => Err(Found::Later(after, chain(&error))),
    }
}

fn found(message: &ReceivedMessage, answer: Result<Vec<JobFact>, GitHubError>) -> Found {
    match answer {
        Ok(facts) => Found::Facts(facts),
        // The repository or the job is gone, or the App was removed: there is nothing to know any more.
        Err(GitHubError::NotFound { .. } | GitHubError::NotInstalled { .. }) => Found::Facts(Vec::new()),
        Err(error) => Found::Later(PAUSE.max(retry_after(message.receives)), chain(&error)),
    }
}
