//! The webhook function: verify, match, enqueue, answer. It links no EC2 code, and warm it makes one call for an accepted
//! delivery and none for a refused one.

mod event;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use runnersmith_aws::{DynamoLedger, SqsQueue};
use runnersmith_lambda::settings::{FRESH_FOR, READ_AGAIN_AT_MOST_EVERY};
use runnersmith_lambda::{LambdaSettings, SettingsError};
use runnersmith_ports::chain;
use runnersmith_ports::{Clock, SystemClock};
use runnersmith_types::Timestamp;
use runnersmith_webhook::{Answer, DeliveryHandler as _, Intake, WebhookReceiver};
use serde_json::Value;
use tokio::sync::RwLock;

/// The operations that this function may use. The Terraform module grants nothing else, to the resources of its environment.
const OPERATIONS: [&str; 4] =
    ["sqs:SendMessage", "dynamodb:BatchWriteItem", "ssm:GetParametersByPath", "ssm:GetParameters"];

/// The webhook receiver, and when its settings were read.
struct Made {
    receiver: WebhookReceiver,
    at: Timestamp,
}

struct Webhook {
    clock: Arc<dyn Clock>,
    made: RwLock<Option<Arc<Made>>>,
    tries: Tries,
}

/// When settings that are there already were read again last, whatever came of it: while Parameter Store hangs, not every delivery waits for
/// it.
#[derive(Default)]
struct Tries(Mutex<Option<Timestamp>>);

impl Tries {
    /// Returns whether they may be read again now, and notes that they are.
    fn begin(&self, now: Timestamp) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let may = last.is_none_or(|at| now.since(at) >= READ_AGAIN_AT_MOST_EVERY);
        if may {
            *last = Some(now);
        }
        may
    }
}

impl Webhook {
    /// Makes the receiver, whose calls may take so long.
    async fn make(&self, call_timeout: Duration) -> Result<Arc<Made>, SettingsError> {
        let settings = LambdaSettings::read().await?;
        let secrets = settings.webhook_secrets().await?;
        let aws = settings.config.aws.clone().unwrap_or_default();
        let (Some(queue), Some(table)) = (aws.queue_url, aws.table) else {
            return Err(SettingsError::Missing("the control plane's aws.queue_url and aws.table".into()));
        };
        let session = settings.session.within(call_timeout);
        // The function only sends: how long a message stays invisible is the consumer's affair.
        let queue = SqsQueue::new(&session, &queue, None, Duration::from_secs(60));
        let ledger = DynamoLedger::new(&session, &table, settings.config.store.history, self.clock.clone());
        let sets = Arc::new(settings.config.scale_sets);
        let intake = Intake::new(Arc::new(queue), Arc::new(ledger), self.clock.clone(), move || sets.clone());
        let receiver = WebhookReceiver {
            intake,
            secrets,
            allow_sha1: settings.config.github.allow_sha1,
            clock: self.clock.clone(),
            listener: None,
        };
        let made = Arc::new(Made { receiver, at: self.clock.now() });
        *self.made.write().await = Some(made.clone());
        Ok(made)
    }

    /// The receiver, made again when it is older than this. One that cannot be made again goes on as it was.
    async fn receiver(&self, fresh_for: Duration, call_timeout: Duration) -> Result<Arc<Made>, SettingsError> {
        let made = self.made.read().await.clone();
        match made {
            Some(made) if self.clock.now().since(made.at) < fresh_for || !self.tries.begin(self.clock.now()) => {
                Ok(made)
            }
            // Half of the time, so that the other half is left for the delivery.
            Some(old) => match tokio::time::timeout(call_timeout / 2, self.make(call_timeout)).await {
                Ok(Ok(newer)) => Ok(newer),
                Ok(Err(error)) => {
                    tracing::error!(error = %chain(&error), "settings could not be read again; the old ones hold");
                    Ok(old)
                }
                Err(_) => {
                    tracing::error!("settings could not be read again in time; the old ones hold");
                    Ok(old)
                }
            },
            None => self.make(call_timeout).await,
        }
    }

    /// Takes a delivery. What hangs becomes a 503 within the function's time (GitHub waits no longer than ten seconds), and is in its log:
    /// GitHub keeps the delivery, and it is asked for again.
    async fn deliver_within(&self, event: event::Event, left: Duration) -> Answer {
        tokio::time::timeout(left, self.deliver(event, left)).await.unwrap_or_else(|_| {
            tracing::error!(left_ms = left.as_millis(), "the delivery was not taken within the function's time");
            Answer::new(503, "not taken in time")
        })
    }

    async fn deliver(&self, event: event::Event, left: Duration) -> Answer {
        let delivery = match event.delivery() {
            Ok(delivery) => delivery,
            Err(why) => return Answer::new(400, why),
        };
        let made = match self.receiver(FRESH_FOR, left).await {
            Ok(made) => made,
            Err(error) => {
                // GitHub keeps the delivery; it is asked for again.
                tracing::error!(error = %chain(&error), "the function has no settings");
                return Answer::new(503, "the service is not configured");
            }
        };
        let answer = made.receiver.deliver(delivery.clone()).await;
        // A new secret, or a new scale set, may have come since.
        if answer.status != 401 && !answer.unserved {
            return answer;
        }
        match self.receiver(READ_AGAIN_AT_MOST_EVERY, left).await {
            Ok(newer) if newer.at > made.at => newer.receiver.deliver(delivery).await,
            _ => answer,
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    if !runnersmith_lambda::begin(|_| Ok(OPERATIONS))? {
        return Ok(());
    }
    let webhook = Arc::new(Webhook { clock: Arc::new(SystemClock), made: RwLock::default(), tries: Tries::default() });
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| {
        let webhook = webhook.clone();
        async move {
            let left = runnersmith_lambda::left(event.context.deadline);
            let answer = match event::Event::read(event.payload) {
                Ok(event) => webhook.deliver_within(event, left).await,
                Err(why) => Answer::new(400, why),
            };
            Ok::<Value, Error>(event::answer(&answer))
        }
    }))
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_could_not_be_read_are_not_read_again_for_each_delivery() {
        let (tries, now) = (Tries::default(), Timestamp::from_secs(1_000));
        let at = |millis| now.plus(Duration::from_millis(millis));
        let pause = u64::try_from(READ_AGAIN_AT_MOST_EVERY.as_millis()).unwrap();
        assert!(tries.begin(now));
        assert!(!tries.begin(now) && !tries.begin(at(pause - 1)), "a try that hangs is one for all");
        assert!(tries.begin(at(pause)) && !tries.begin(at(pause + 1)));
    }
}
