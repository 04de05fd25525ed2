//! The webhook: one delivery's whole way from raw bytes to an answer, in one package.
//!
//! The order is the promise: the signature first, over the raw bytes ([`signature`]); then one reading of the payload
//! ([`payload`]); then those who carry changes through ([`mod@change_trigger`]) or the queue ([`intake`]); then the answer. It is
//! apart from the web server because a Lambda function takes deliveries too, and both must decide alike.

pub mod change_trigger;
pub mod intake;
pub mod payload;
mod reading;
pub mod signature;

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use runnersmith_ports::{Clock, Message};
use runnersmith_types::{DeliveryId, JobId, Secret};

pub use change_trigger::{ChangeEvent, Ignored, change_trigger};
pub use intake::{Admission, Intake};
pub use payload::{Payload, PayloadError};
pub use signature::{SignatureError, verify};

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
    /// The queue has it.
    pub stored: bool,
}

impl Answer {
    /// An answer.
    #[must_use]
    pub fn new(status: u16, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into(), unserved: false, stored: false }
    }
}

/// Takes deliveries. An answer below 300 promises that the delivery is durable or is not needed.
#[async_trait]
pub trait DeliveryHandler: Send + Sync {
    /// Verifies and admits one delivery. Returns what GitHub is answered.
    async fn deliver(&self, delivery: RawDelivery) -> Answer;
}

/// Somebody else who wants verified deliveries: what concerns no runner may concern a request for them.
pub trait DeliveryListener: Send + Sync {
    /// Takes an event that may concern a change. Returns what is done with it, or `None` when it does not concern this listener.
    fn on_change(&self, event: &ChangeEvent) -> Option<String>;
}

/// Checks and admits deliveries.
pub struct WebhookReceiver {
    /// Admits what is verified.
    pub intake: Intake,
    /// The webhook's secret, or two while it is being changed.
    pub secrets: Vec<Secret>,
    /// Accept `X-Hub-Signature` alone.
    pub allow_sha1: bool,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Who else gets what is verified, if somebody does.
    pub listener: Option<Arc<dyn DeliveryListener>>,
}

/// The JSON of a delivery. An organisation's or repository's webhook sends a form whose field `payload` holds it, unless it was made with
/// the content type `application/json`; the signature is over the form. No JSON begins like that.
fn json_of(body: &[u8]) -> Cow<'_, [u8]> {
    if !body.starts_with(b"payload=") {
        return Cow::Borrowed(body);
    }
    let payload = form_urlencoded::parse(body).find(|(name, _)| name == "payload");
    payload.map_or(Cow::Borrowed(body), |(_, json)| Cow::Owned(json.into_owned().into_bytes()))
}

fn answer(status: u16, reason: impl Into<String>) -> Answer {
    Answer::new(status, reason)
}

#[async_trait]
impl DeliveryHandler for WebhookReceiver {
    async fn deliver(&self, raw: RawDelivery) -> Answer {
        let verified =
            verify(&self.secrets, raw.signature_256.as_deref(), raw.signature_1.as_deref(), self.allow_sha1, &raw.body);
        if let Err(error) = verified {
            return answer(401, error.to_string());
        }
        let Some(event) = raw.event.as_deref() else {
            return answer(400, "the header X-GitHub-Event is missing");
        };
        let delivery = raw.id.as_deref().and_then(|id| DeliveryId::parse(id).ok());
        match Payload::parse(event, delivery.clone(), &json_of(&raw.body), self.clock.now()) {
            Ok(Payload::Messages(messages)) => self.admit_all(messages, event, delivery).await,
            Ok(Payload::Change(change)) => {
                let reply = self.listener.as_ref().and_then(|listener| listener.on_change(&change));
                answer(202, reply.unwrap_or_else(|| payload::UNUSED_EVENT.to_owned()))
            }
            Ok(Payload::Unused { reason, job }) => self.drop_it(job, delivery, answer(202, reason)).await,
            Err(error) => self.drop_it(error.job, delivery, answer(400, error.to_string())).await,
        }
    }
}

impl WebhookReceiver {
    /// Records that a delivery is not used, if it names a job. Returns the answer as it is.
    async fn drop_it(&self, job: Option<JobId>, delivery: Option<DeliveryId>, answer: Answer) -> Answer {
        if let Some(job) = job {
            self.intake.record_dropped(job, delivery, &answer.reason).await;
        }
        answer
    }

    /// Admits what one delivery holds. Returns the last answer, or the first that asks GitHub to deliver again.
    async fn admit_all(&self, messages: Vec<Message>, event: &str, delivery: Option<DeliveryId>) -> Answer {
        let mut last = answer(202, "nothing in it concerns us");
        for message in messages {
            let stored = last.stored;
            let job = if let Message::Job(fact) = &message { Some(fact.id) } else { None };
            last = match self.intake.admit(message, delivery.clone()).await {
                Admission::Accepted => {
                    tracing::info!(
                        correlation_id = job.map(|job| tracing::field::display(job.correlation_id())),
                        delivery = delivery.as_ref().map(tracing::field::display),
                        event = %event.escape_debug(),
                        "delivery accepted"
                    );
                    Answer { stored: true, ..answer(202, "accepted") }
                }
                Admission::Dropped(why) => Answer { unserved: true, stored, ..answer(202, why) },
                Admission::Failed(why) => return answer(503, why),
            };
        }
        last
    }
}
