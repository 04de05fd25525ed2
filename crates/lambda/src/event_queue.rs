//! The queue of one event: Lambda has received the messages already, and deletes those that are not reported as failures.
//!
//! With it the controllers consume an event exactly as they consume a queue.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use runnersmith_ports::{Queue, QueueError, Receipt, ReceivedMessage};

/// Notes what is acknowledged; everything else goes to the real queue.
pub struct EventQueue {
    queue: Arc<dyn Queue>,
    completed: Mutex<BTreeSet<String>>,
}

impl EventQueue {
    /// Around the real queue.
    #[must_use]
    pub fn new(queue: Arc<dyn Queue>) -> Self {
        Self { queue, completed: Mutex::default() }
    }

    /// Whether a message is done with.
    #[must_use]
    pub fn is_completed(&self, message: &ReceivedMessage) -> bool {
        self.completed.lock().unwrap_or_else(PoisonError::into_inner).contains(&message.receipt.0)
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
        self.queue.extend(receipt, visibility).await
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
