//! The webhook's door: signature first, over the raw bytes; then the payload; then the queue; then the answer.
//!
//! It is apart from the web server because a Lambda function is a door too, and both must judge alike.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use runnersmith_controllers::{Admission, Message, correlation_id};
use runnersmith_github::webhook::{self, Parsed};
use runnersmith_ports::Clock;
use runnersmith_types::{DeliveryId, Secret};

/// A delivery as it came, not verified.
#[derive(Clone, Debug, Default)]
pub struct RawDelivery {
    /// `X-GitHub-Event`.
    pub event: Option<String>,
    /// `X-GitHub-Delivery`.
    pub id: Option<String>,
    /// `X-Hub-Signature-256`.
    pub signature_256: Option<String>,
    /// `X-Hub-Signature`.
    pub signature_1: Option<String>,
    /// `X-GitHub-Hook-ID`.
    pub hook_id: Option<String>,
    /// `X-GitHub-Hook-Installation-Target-Type`.
    pub target_type: Option<String>,
    /// `X-GitHub-Hook-Installation-Target-ID`.
    pub target_id: Option<String>,
    /// The raw bytes, over which the webhook signature was made.
    pub body: Bytes,
}

/// What a delivery is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Why, for GitHub's delivery log; no secret.
    pub reason: String,
    /// No scale set serves the job: newer settings might.
    pub unserved: bool,
}

impl Answer {
    /// An answer.
    #[must_use]
    pub fn new(status: u16, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into(), unserved: false }
    }
}

/// Takes deliveries. An answer below 300 promises that the delivery is durable or is not needed.
#[async_trait]
pub trait Intake: Send + Sync {
    /// Verifies and admits one delivery.
    async fn deliver(&self, delivery: RawDelivery) -> Answer;
}

/// Somebody else who wants verified deliveries: what concerns no runner may concern a request for them.
pub trait DeliveryListener: Send + Sync {
    /// Hears a verified delivery. Returns what is done with it, or `None` when it is none of theirs.
    fn on_delivery(&self, event: &str, body: &[u8]) -> Option<String>;
}

/// Checks and admits deliveries.
pub struct WebhookReceiver {
    /// Admits what is verified.
    pub intake: runnersmith_controllers::Intake,
    /// The webhook's secret, or two while it is being changed.
    pub secrets: Vec<Secret>,
    /// Accept `X-Hub-Signature` alone.
    pub allow_sha1: bool,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Who else hears what is verified, if somebody does.
    pub listener: Option<Arc<dyn DeliveryListener>>,
}

fn answer(status: u16, reason: impl Into<String>) -> Answer {
    Answer::new(status, reason)
}

#[async_trait]
impl Intake for WebhookReceiver {
    async fn deliver(&self, raw: RawDelivery) -> Answer {
        let verified = webhook::verify(
            &self.secrets,
            raw.signature_256.as_deref(),
            raw.signature_1.as_deref(),
            self.allow_sha1,
            &raw.body,
        );
        if let Err(error) = verified {
            return answer(401, error.to_string());
        }
        let Some(event) = raw.event.as_deref() else {
            return answer(400, "the header X-GitHub-Event is missing");
        };
        if let Some(said) = self.listener.as_ref().and_then(|listener| listener.on_delivery(event, &raw.body)) {
            return answer(202, said);
        }
        let delivery = raw.id.as_deref().and_then(|id| DeliveryId::parse(id).ok());
        let parsed = match webhook::parse(event, delivery.clone(), &raw.body, self.clock.now()) {
            Ok(parsed) => parsed,
            Err(error) => return answer(400, error.to_string()),
        };
        let signals = match parsed {
            Parsed::Job(fact) => vec![Message::Job(fact)],
            Parsed::CheckRun { repo, job } => vec![Message::CheckRun { repo, job }],
            Parsed::Installation { repositories } => {
                repositories.into_iter().take(100).map(|repo| Message::Sweep { repo }).collect()
            }
            Parsed::Ping => return answer(202, "pong"),
            Parsed::WorkflowRun { .. } => return answer(202, "workflow runs are followed by their jobs"),
            Parsed::Ignored { reason } => return answer(202, reason),
        };
        let mut last = answer(202, "nothing in it concerns us");
        for signal in signals {
            let job = if let Message::Job(fact) = &signal { Some(fact.id) } else { None };
            last = match self.intake.admit(signal, delivery.clone()).await {
                Admission::Accepted => {
                    tracing::info!(
                        correlation_id = job.map(|job| tracing::field::display(correlation_id(job))),
                        delivery = delivery.as_ref().map(tracing::field::display),
                        event = %event.escape_debug(),
                        "delivery accepted"
                    );
                    answer(202, "accepted")
                }
                Admission::Dropped(why) => Answer { unserved: true, ..answer(202, why) },
                Admission::Failed(why) => return answer(503, why),
            };
        }
        last
    }
}
