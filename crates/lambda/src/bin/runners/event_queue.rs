//! The queue of one event: Lambda has received the messages already, and deletes those that are not reported as failures.
//!
//! With it the controllers consume an event exactly as they consume a queue.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use runnersmith_controllers::consume::retry_after;
use runnersmith_ports::{Queue, QueueError, Receipt, ReceivedMessage, chain};

/// Notes what is acknowledged or postponed; everything else goes to the real queue.
pub(crate) struct EventQueue {
    queue: Arc<dyn Queue>,
    completed: Mutex<BTreeSet<String>>,
    postponed: Mutex<BTreeSet<String>>,
}

impl EventQueue {
    /// Around the real queue.
    pub(crate) fn new(queue: Arc<dyn Queue>) -> Self {
        Self { queue, completed: Mutex::default(), postponed: Mutex::default() }
    }

    /// Whether a message is done with.
    pub(crate) fn is_completed(&self, message: &ReceivedMessage) -> bool {
        self.completed.lock().unwrap_or_else(PoisonError::into_inner).contains(&message.receipt.0)
    }

    /// Makes the messages that are not done with visible again after [`retry_after`], unless the consumer has postponed them itself.
    /// An error is logged: such a message comes again after the queue's own visibility timeout.
    pub(crate) async fn release(&self, messages: impl IntoIterator<Item = &ReceivedMessage>) {
        for message in messages {
            let is_postponed =
                self.postponed.lock().unwrap_or_else(PoisonError::into_inner).contains(&message.receipt.0);
            if is_postponed || self.is_completed(message) {
                continue;
            }
            let after = retry_after(message.receives);
            if let Err(error) = self.queue.extend(&message.receipt, after).await {
                tracing::warn!(error = %chain(&error), "a message's retry could not be brought forward");
            }
        }
    }

    fn complete(&self, receipts: &[Receipt]) {
        let mut completed = self.completed.lock().unwrap_or_else(PoisonError::into_inner);
        completed.extend(receipts.iter().map(|receipt| receipt.0.clone()));
    }
}

#[async_trait]
impl Queue for EventQueue {
    async fn send(&self, body: &str, delay: Duration) -> Result<(), QueueError> {
        self.queue.send(body, delay).await
    }

    async fn receive(&self, _max: usize, _visibility: Duration) -> Result<Vec<ReceivedMessage>, QueueError> {
        Ok(Vec::new())
    }

    async fn wait(&self, timeout: Duration) {
        self.queue.wait(timeout).await;
    }

    async fn extend(&self, receipt: &Receipt, visibility: Duration) -> Result<bool, QueueError> {
        let extended = self.queue.extend(receipt, visibility).await?;
        self.postponed.lock().unwrap_or_else(PoisonError::into_inner).insert(receipt.0.clone());
        Ok(extended)
    }

    async fn acknowledge(&self, receipts: &[Receipt]) -> Result<usize, QueueError> {
        self.complete(receipts);
        Ok(receipts.len())
    }

    async fn dead_letter(&self, receipt: &Receipt, why: &str) -> Result<bool, QueueError> {
        let dead_lettered = self.queue.dead_letter(receipt, why).await?;
        self.complete(std::slice::from_ref(receipt));
        Ok(dead_lettered)
    }

    async fn depth(&self) -> Result<(u64, u64, u64), QueueError> {
        self.queue.depth().await
    }
}
