//! The door: a signed delivery becomes a durable message, or is refused. Nothing is decided here.
//!
//! It is apart from the loop because it must answer within 100 ms whatever the loop is doing, and because a Lambda
//! of its own will run it. It keeps one promise: "accepted" is said only after the queue has the fact.

use std::sync::Arc;
use std::time::Duration;

use runnersmith_plan::route;
use runnersmith_ports::{Clock, Ledger, Queue, QueueError};
use runnersmith_types::{DeliveryId, Event, EventKind, JobFact, ScaleSet};
use serde::{Deserialize, Serialize};

use crate::Sets;

/// What the queue carries: one bounded fact, without a set. The consumer matches on every pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// A job's fact.
    Job(Box<JobFact>),
    /// A check run of GitHub Actions was queued; its labels are to be fetched by job id.
    CheckRun {
        /// The repository.
        repo: runnersmith_types::RepoFullName,
        /// The job, which has the check run's number.
        job: runnersmith_types::JobId,
    },
    /// A repository's queued jobs are to be swept (the App was installed there).
    Sweep {
        /// The repository.
        repo: runnersmith_types::RepoFullName,
    },
    /// Look again at one set.
    Wake {
        /// The set.
        set: runnersmith_types::ScaleSetName,
    },
}

impl Message {
    /// The message that carries it. Facts are bounded, so it fits; labels are dropped from the end if hostile names do not.
    #[must_use]
    pub fn to_body(&self) -> String {
        let body = serde_json::to_string(self).unwrap_or_default();
        if body.len() <= runnersmith_ports::queue::BODY_BYTES_MAX {
            return body;
        }
        let Self::Job(fact) = self else { return body };
        let mut fact = fact.clone();
        fact.labels_cut = true;
        while !fact.labels.is_empty() {
            fact.labels.truncate(fact.labels.len() / 2);
            let body = serde_json::to_string(&Self::Job(fact.clone())).unwrap_or_default();
            if body.len() <= runnersmith_ports::queue::BODY_BYTES_MAX {
                return body;
            }
        }
        fact.name.clear();
        fact.workflow.clear();
        serde_json::to_string(&Self::Job(fact)).unwrap_or_default()
    }
}

/// The label that says "not one of GitHub's own runners".
const SELF_HOSTED: &str = "self-hosted";

/// Why a fact is not even stored: no set can match it and it does not ask for a self-hosted runner. A job that asks for
/// one is kept although nothing serves it, so that its author can be told.
#[must_use]
pub fn reject_at_intake(fact: &JobFact, policies: &[&ScaleSet]) -> Option<String> {
    if fact.labels.iter().any(|label| label.as_str() == SELF_HOSTED) {
        return None;
    }
    route::candidates(fact, policies).err().map(|none| format!("no scale set serves it: {none}"))
}

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The queue has it.
    Accepted,
    /// Not for us; the reason is for the answer's body.
    Dropped(String),
    /// It could not be stored: GitHub shall try again.
    Failed(String),
}

/// Admits facts.
pub struct Intake {
    queue: Arc<dyn Queue>,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    sets: Sets,
}

impl Intake {
    /// An intake for these sets; those of a running server may change.
    #[must_use]
    pub fn new(queue: Arc<dyn Queue>, ledger: Arc<dyn Ledger>, clock: Arc<dyn Clock>, sets: impl Into<Sets>) -> Self {
        Self { queue, ledger, clock, sets: sets.into() }
    }

    /// Admits a signal that came by a verified delivery.
    pub async fn admit(&self, signal: Message, delivery: Option<DeliveryId>) -> Admission {
        if let Message::Job(fact) = &signal {
            let sets = self.sets.load();
            let policies: Vec<&ScaleSet> = sets.iter().collect();
            if let Some(why) = reject_at_intake(fact, &policies) {
                self.record_dropped(fact, delivery, &why).await;
                return Admission::Dropped(why);
            }
        }
        match self.queue.send(&signal.to_body(), Duration::ZERO).await {
            Ok(()) => Admission::Accepted,
            Err(error @ QueueError::Full { .. }) => {
                tracing::error!(error = %error, "a delivery could not be stored");
                Admission::Failed("the queue's disk is full; nothing was stored".into())
            }
            Err(error) => {
                tracing::error!(error = %runnersmith_ports::chain(&error), "a delivery could not be stored");
                Admission::Failed("the queue did not take it; nothing was stored".into())
            }
        }
    }

    async fn record_dropped(&self, fact: &JobFact, delivery: Option<DeliveryId>, why: &str) {
        let mut event = Event::new(self.clock.now(), EventKind::Dropped, "delivery", why);
        event.job = Some(fact.id);
        event.delivery = delivery;
        if let Err(error) = self.ledger.append(vec![event]).await {
            tracing::warn!(error = %runnersmith_ports::chain(&error), job = fact.id.0, "a dropped delivery could not be recorded");
        }
    }
}
