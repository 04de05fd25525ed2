//! The queue of one event: Lambda has received the messages already, and deletes those that are not reported as failures.
//!
//! With it the controllers consume an event exactly as they consume a queue.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use runnersmith_ports::{Queue, QueueError, Receipt, ReceivedMessage, chain};

/// How long a message that could not be consumed stays invisible before its next try, after it was received so often.
///
/// Without it the message would come again after the queue's visibility timeout, which is six times the function's timeout (AWS's
/// advice, for functions that die): 18 minutes for a job that waits. The retries back off to half a minute, and after about ten
/// minutes of trouble to a quarter of an hour, so that the queue's `maxReceiveCount` outlasts a long outage.
#[must_use]
pub fn retry_after(receives: u32) -> Duration {
    const SOON: u32 = 20;
    match receives {
        0..=5 => Duration::from_secs(1 << receives.saturating_sub(1)),
        6..=SOON => Duration::from_secs(30),
        _ => Duration::from_secs(15 * 60),
    }
}

/// Notes what is acknowledged or postponed; everything else goes to the real queue.
pub struct EventQueue {
    queue: Arc<dyn Queue>,
    completed: Mutex<BTreeSet<String>>,
    postponed: Mutex<BTreeSet<String>>,
}

impl EventQueue {
    /// Around the real queue.
    #[must_use]
    pub fn new(queue: Arc<dyn Queue>) -> Self {
        Self { queue, completed: Mutex::default(), postponed: Mutex::default() }
    }

    /// Whether a message is done with.
    #[must_use]
    pub fn is_completed(&self, message: &ReceivedMessage) -> bool {
        self.completed.lock().unwrap_or_else(PoisonError::into_inner).contains(&message.receipt.0)
    }

    /// Makes the messages that are not done with visible again after [`retry_after`], unless the consumer has postponed them itself.
    /// An error is logged: such a message comes again after the queue's own visibility timeout.
    pub async fn release(&self, messages: impl IntoIterator<Item = &ReceivedMessage>) {
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
        self.postponed.lock().unwrap_or_else(PoisonError::into_inner).insert(receipt.0.clone());
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::retry_after;

    #[test]
    fn retries_back_off_and_outlast_an_outage() {
        let seconds = |receives| retry_after(receives).as_secs();
        assert_eq!([0, 1, 2, 5, 6, 20, 21].map(seconds), [1, 1, 2, 16, 30, 30, 900]);
        let all: Duration = (1..50).map(retry_after).sum();
        assert!(all > Duration::from_secs(7 * 60 * 60), "fifty receives, the module's maxReceiveCount, last {all:?}");
    }
}
