//! The queue on SQS.
//!
//! What SQS does differently from the embedded queue, and what is done about it: a body may hold only XML's characters
//! (others are sent in Base64); a message can be delayed for 15 minutes at most (a later wake-up comes early, which is
//! harmless, because a pass that wakes looks at the level); a stale receipt is accepted silently (so an answer `true` means
//! "accepted", not "current"); reasons of dead letters travel as an attribute to the dead-letter queue.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runnersmith_ports::queue::BODY_BYTES_MAX;
use runnersmith_ports::{Queue, QueueError, Receipt, ReceivedMessage};
use runnersmith_types::Timestamp;

use crate::{AwsFailure, Session, machine_events};

/// What this module may call.
pub const OPERATIONS: [&str; 5] = [
    "sqs:SendMessage",
    "sqs:ReceiveMessage",
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
];
/// SQS delays a message for at most 15 minutes.
const DELAY_MAX: Duration = Duration::from_secs(900);
/// SQS gives and takes at most 10 messages in one call.
const BATCH_MAX: usize = 10;
/// SQS holds a long poll for at most 20 s.
const POLL_MAX: Duration = Duration::from_secs(20);
/// A body that SQS would refuse, or that looks like such a one, is sent behind this.
const ENCODED: &str = "base64:";

/// A queue on SQS, with its dead-letter queue.
pub struct SqsQueue {
    client: Client,
    url: String,
    dead_url: Option<String>,
    visibility: Duration,
    /// What a wait has received already; the next receive gives it out.
    early: Mutex<VecDeque<ReceivedMessage>>,
}

impl SqsQueue {
    /// The queue at this address. `visibility` is what a wait receives with.
    #[must_use]
    pub fn new(session: &Session, url: &str, dead_url: Option<&str>, visibility: Duration) -> Self {
        Self {
            client: Client::new(session.config()),
            url: url.to_owned(),
            dead_url: dead_url.map(str::to_owned),
            visibility,
            early: Mutex::default(),
        }
    }

    async fn poll(&self, max: usize, visibility: Duration, wait: Duration) -> Result<Vec<ReceivedMessage>, QueueError> {
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(max.clamp(1, BATCH_MAX)).unwrap_or(1))
            .visibility_timeout(seconds(visibility))
            .wait_time_seconds(seconds(wait.min(POLL_MAX)))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .send()
            .await
            .map_err(|error| failed("receive", &AwsFailure::new("sqs", "ReceiveMessage", &error)))?;
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(received).collect())
    }

    async fn attribute(&self, url: &str, names: &[QueueAttributeName]) -> Result<u64, QueueError> {
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(url)
            .set_attribute_names(Some(names.to_vec()))
            .send()
            .await
            .map_err(|error| failed("depth", &AwsFailure::new("sqs", "GetQueueAttributes", &error)))?;
        let found = answer.attributes.unwrap_or_default();
        Ok(names.iter().filter_map(|name| found.get(name)?.parse::<u64>().ok()).sum())
    }
}

fn failed(operation: &'static str, failure: &AwsFailure) -> QueueError {
    QueueError::Failed { operation, source: failure.to_string().into() }
}

/// Whole seconds, rounded up: a message never comes before its time.
fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(i32::MAX)
}

/// The characters that SQS accepts are XML's.
fn sendable(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}')
}

/// A body as SQS takes it.
#[must_use]
pub fn encode(body: &str) -> String {
    if body.chars().all(sendable) && !body.starts_with(ENCODED) && !body.is_empty() {
        return body.to_owned();
    }
    format!("{ENCODED}{}", STANDARD.encode(body))
}

/// A body as it was sent; what EC2 reports of machines as the message that it is. What does not decode is given as it is: its reader moves it
/// to the dead-letter queue.
#[must_use]
pub fn decode(body: &str) -> String {
    let decoded = body.strip_prefix(ENCODED).and_then(|rest| STANDARD.decode(rest).ok());
    let body = decoded.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| body.to_owned());
    machine_events::message(&body).map_or(body, |message| message.to_body())
}

/// A receipt carries the body too: moving a message to the dead letters means sending it to another queue.
#[must_use]
pub fn receipt(handle: &str, body: &str) -> Receipt {
    Receipt(format!("{handle}\n{body}"))
}

fn handle(receipt: &Receipt) -> &str {
    receipt.0.split_once('\n').map_or(receipt.0.as_str(), |(handle, _)| handle)
}

fn received(message: aws_sdk_sqs::types::Message) -> Option<ReceivedMessage> {
    let attributes = message.attributes.unwrap_or_default();
    let number = |name| attributes.get(&name).and_then(|text: &String| text.parse::<i64>().ok());
    let body = decode(&message.body?);
    Some(ReceivedMessage {
        receipt: receipt(&message.receipt_handle?, &body),
        body,
        receives: number(MessageSystemAttributeName::ApproximateReceiveCount)
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(1),
        sent_at: Timestamp::from_millis(number(MessageSystemAttributeName::SentTimestamp).unwrap_or(0)),
    })
}

#[async_trait]
impl Queue for SqsQueue {
    async fn send(&self, body: &str, delay: Duration) -> Result<(), QueueError> {
        if body.len() > BODY_BYTES_MAX {
            return Err(QueueError::TooLarge { bytes: body.len(), limit: BODY_BYTES_MAX });
        }
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_body(encode(body))
            .delay_seconds(seconds(delay.min(DELAY_MAX)))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| failed("send", &AwsFailure::new("sqs", "SendMessage", &error)))
    }

    async fn receive(&self, max: usize, visibility: Duration) -> Result<Vec<ReceivedMessage>, QueueError> {
        let mut found: Vec<ReceivedMessage> = {
            let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
            let take = early.len().min(max);
            early.drain(..take).collect()
        };
        while found.len() < max {
            let more = self.poll(max - found.len(), visibility, Duration::ZERO).await?;
            if more.is_empty() {
                break;
            }
            found.extend(more);
        }
        Ok(found)
    }

    async fn wait(&self, timeout: Duration) {
        if !self.early.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return;
        }
        match self.poll(BATCH_MAX, self.visibility, timeout).await {
            Ok(messages) => self.early.lock().unwrap_or_else(PoisonError::into_inner).extend(messages),
            Err(error) => {
                tracing::warn!(error = %error, "the queue could not be waited for");
                // A caller that waits would otherwise ask a failing queue as fast as it can.
                tokio::time::sleep(timeout.min(Duration::from_secs(1))).await;
            }
        }
    }

    async fn extend(&self, receipt: &Receipt, visibility: Duration) -> Result<bool, QueueError> {
        let answer = self
            .client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(handle(receipt))
            .visibility_timeout(seconds(visibility))
            .send()
            .await;
        match answer {
            Ok(_) => Ok(true),
            Err(error) => {
                let failure = AwsFailure::new("sqs", "ChangeMessageVisibility", &error);
                if is_stale(&failure) { Ok(false) } else { Err(failed("extend", &failure)) }
            }
        }
    }

    async fn acknowledge(&self, receipts: &[Receipt]) -> Result<usize, QueueError> {
        let mut count = 0;
        for chunk in receipts.chunks(BATCH_MAX) {
            let mut call = self.client.delete_message_batch().queue_url(&self.url);
            for (n, receipt) in chunk.iter().enumerate() {
                let entry = DeleteMessageBatchRequestEntry::builder()
                    .id(n.to_string())
                    .receipt_handle(handle(receipt))
                    .build()
                    .map_err(|error| QueueError::Failed { operation: "acknowledge", source: error.into() })?;
                call = call.entries(entry);
            }
            let answer = call
                .send()
                .await
                .map_err(|error| failed("acknowledge", &AwsFailure::new("sqs", "DeleteMessageBatch", &error)))?;
            count += answer.successful.len();
            if let Some(refused) = answer.failed.iter().find(|entry| !entry.sender_fault) {
                let text = format!("sqs DeleteMessageBatch: {}", refused.code);
                return Err(QueueError::Failed { operation: "acknowledge", source: text.into() });
            }
        }
        Ok(count)
    }

    async fn dead_letter(&self, receipt: &Receipt, why: &str) -> Result<bool, QueueError> {
        let Some((_, body)) = receipt.0.split_once('\n') else { return Ok(false) };
        let Some(dead) = &self.dead_url else {
            // Without a dead-letter queue it is dropped, and the log has it.
            tracing::error!(why = %why.escape_debug(), "a message is dropped: there is no dead-letter queue");
            return Ok(self.acknowledge(std::slice::from_ref(receipt)).await? > 0);
        };
        let why: String = why.chars().filter(|c| sendable(*c)).take(500).collect();
        let attribute = MessageAttributeValue::builder()
            .data_type("String")
            .string_value(if why.is_empty() { "no reason" } else { &why })
            .build()
            .map_err(|error| QueueError::Failed { operation: "dead-letter", source: error.into() })?;
        self.client
            .send_message()
            .queue_url(dead)
            .message_body(encode(body))
            .message_attributes("why", attribute)
            .send()
            .await
            .map_err(|error| failed("dead-letter", &AwsFailure::new("sqs", "SendMessage", &error)))?;
        Ok(self.acknowledge(std::slice::from_ref(receipt)).await? > 0)
    }

    async fn depth(&self) -> Result<(u64, u64, u64), QueueError> {
        let visible = self.attribute(&self.url, &[QueueAttributeName::ApproximateNumberOfMessages]).await?;
        let hidden = [
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let hidden = self.attribute(&self.url, &hidden).await?;
        let dead = match &self.dead_url {
            Some(dead) => self.attribute(dead, &[QueueAttributeName::ApproximateNumberOfMessages]).await?,
            None => 0,
        };
        Ok((visible, hidden, dead))
    }
}

fn is_stale(failure: &AwsFailure) -> bool {
    ["ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue"]
        .iter()
        .any(|code| failure.code.contains(code))
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn every_body_comes_back_as_it_was_sent() {
        for body in ["{}", "", "base64:", "base64:e30=", "a\u{0}b", "\u{fffe}", "\u{1f980}\n"] {
            assert_eq!(decode(&encode(body)), body);
            assert!(encode(body).chars().all(super::sendable) && !encode(body).is_empty());
        }
    }
}
