//! Admission: a verified delivery's message becomes durable, or is refused. Nothing is decided here.
//!
//! It is apart from the loop because it must answer within 100 ms whatever the loop is doing, and because a Lambda function of
//! its own runs it. It keeps one promise: "accepted" is said only after the queue has the message.

use std::sync::Arc;
use std::time::Duration;

use runnersmith_plan::route;
use runnersmith_ports::{Clock, HistoryLedger, Message, Queue, QueueError};
use runnersmith_types::{DeliveryId, EventKind, HistoryEvent, JobId, ScaleSet};

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

/// Returns the scale sets of this moment.
type SetsOfNow = dyn Fn() -> Arc<Vec<ScaleSet>> + Send + Sync;

/// Admits messages.
pub struct Intake {
    queue: Arc<dyn Queue>,
    ledger: Arc<dyn HistoryLedger>,
    clock: Arc<dyn Clock>,
    sets: Box<SetsOfNow>,
}

impl Intake {
    /// An intake that asks for the scale sets with each job, since those of a running server may change.
    #[must_use]
    pub fn new(
        queue: Arc<dyn Queue>,
        ledger: Arc<dyn HistoryLedger>,
        clock: Arc<dyn Clock>,
        sets: impl Fn() -> Arc<Vec<ScaleSet>> + Send + Sync + 'static,
    ) -> Self {
        Self { queue, ledger, clock, sets: Box::new(sets) }
    }

    /// Admits a message that came by a verified delivery. Returns `Accepted` only after the queue has stored it.
    pub async fn admit(&self, message: Message, delivery: Option<DeliveryId>) -> Admission {
        if let Message::Job(fact) = &message {
            let sets = (self.sets)();
            let policies: Vec<&ScaleSet> = sets.iter().collect();
            if let Some(why) = route::reject_at_intake(fact, &policies) {
                self.record_dropped(fact.id, delivery, &why).await;
                return Admission::Dropped(why);
            }
        }
        match self.queue.send(&message.to_body(), Duration::ZERO).await {
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

    /// Records for `why` that a verified delivery named a job and was not used. What cannot be recorded is only logged: the answer
    /// to GitHub does not depend on it.
    pub async fn record_dropped(&self, job: JobId, delivery: Option<DeliveryId>, why: &str) {
        let mut event = HistoryEvent::new(self.clock.now(), EventKind::Dropped, "delivery", why);
        event.job = Some(job);
        event.delivery = delivery;
        if let Err(error) = self.ledger.append(vec![event]).await {
            tracing::warn!(error = %runnersmith_ports::chain(&error), job = job.0, "a dropped delivery could not be recorded");
        }
    }
}
