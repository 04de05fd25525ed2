//! The webhook's door: signature first, over the raw bytes; then the payload; then the queue; then the answer.

use std::sync::Arc;

use async_trait::async_trait;
use runnersmith_controllers::{Admission, Intake, Signal, correlation_id};
use runnersmith_github::webhook::{self, Parsed};
use runnersmith_ports::Clock;
use runnersmith_types::{DeliveryId, Secret};
use runnersmith_web::{Answer, RawDelivery};

/// Checks and admits deliveries.
pub struct Door {
    pub intake: Intake,
    pub secrets: Vec<Secret>,
    pub allow_sha1: bool,
    pub clock: Arc<dyn Clock>,
}

fn answer(status: u16, reason: impl Into<String>) -> Answer {
    Answer { status, reason: reason.into() }
}

#[async_trait]
impl runnersmith_web::Intake for Door {
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
        let delivery = raw.id.as_deref().and_then(|id| DeliveryId::parse(id).ok());
        let parsed = match webhook::parse(event, delivery.clone(), &raw.body, self.clock.now()) {
            Ok(parsed) => parsed,
            Err(error) => return answer(400, error.to_string()),
        };
        let signals = match parsed {
            Parsed::Job(fact) => vec![Signal::Job(fact)],
            Parsed::CheckRun { repo, job } => vec![Signal::CheckRun { repo, job }],
            Parsed::Installation { repositories } => {
                repositories.into_iter().take(100).map(|repo| Signal::Sweep { repo }).collect()
            }
            Parsed::Ping => return answer(202, "pong"),
            Parsed::WorkflowRun { .. } => return answer(202, "workflow runs are followed by their jobs"),
            Parsed::Ignored { reason } => return answer(202, reason),
        };
        let mut last = answer(202, "nothing in it concerns us");
        for signal in signals {
            let job = if let Signal::Job(fact) = &signal { Some(fact.id) } else { None };
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
                Admission::Dropped(why) => answer(202, why),
                Admission::Failed(why) => return answer(503, why),
            };
        }
        last
    }
}
