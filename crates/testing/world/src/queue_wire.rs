//! A process's way to a queue: calls fail before or after their effect, messages are received twice, acknowledgements are lost.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runnersmith_ports::{Message, Queue, QueueError, Receipt, ReceivedMessage};

use crate::checks::Rule;
use crate::outside::Fails;
use crate::process::Process;
use crate::queue::MemoryQueue;

/// A process's way to a queue.
pub struct QueueWire {
    process: Arc<Process>,
    queue: Arc<MemoryQueue>,
}

fn failed(operation: &'static str) -> QueueError {
    QueueError::Failed { operation, source: "the world's queue failed".into() }
}

impl QueueWire {
    /// The way of this process to this queue.
    #[must_use]
    pub const fn new(process: Arc<Process>, queue: Arc<MemoryQueue>) -> Self {
        Self { process, queue }
    }

    /// Makes a call, or does not, and says how it ended, or does not.
    async fn call<T>(
        &self,
        operation: &'static str,
        effect: impl Future<Output = Result<T, QueueError>> + Send,
    ) -> Result<T, QueueError> {
        let call = self.process.begin(operation).await;
        let fails = self.process.shared.with(|outside| outside.fails(|faults| faults.queue_error));
        let result = if fails == Fails::Before { Err(failed(operation)) } else { effect.await };
        if fails != Fails::Not {
            self.process.note(&format!("{operation} fails: {fails:?}"));
        }
        self.process.end(call, operation).await;
        if fails == Fails::After { Err(failed(operation)) } else { result }
    }

    /// I6: what a message says is durable before the message goes.
    fn check_acknowledged(&self, receipts: &[Receipt]) {
        for body in receipts.iter().filter_map(|receipt| self.queue.body(receipt)) {
            let Ok(Message::Job(fact)) = serde_json::from_str::<Message>(&body) else { continue };
            let recorded = self.process.shared.ledger.recorded(fact.id);
            if recorded.is_none_or(|job| job.fact.status < fact.status) {
                let text = format!("job {} {}", fact.id, fact.status.word());
                self.process.shared.with(|outside| outside.broken(Rule::AcknowledgedAfterFact, text));
            }
        }
    }

    /// A queue delivers at least once: some messages are there a second time.
    fn double(&self, received: &[ReceivedMessage]) {
        for message in received {
            let doubled = self.process.shared.with(|outside| {
                let rate = outside.rate(|faults| faults.message_doubled);
                let doubled = outside.random.calls.happens(rate);
                let unreadable = serde_json::from_str::<Message>(&message.body).is_err();
                outside.counts.poison += u32::from(doubled && unreadable);
                outside.counts.doubled_messages += u32::from(doubled);
                doubled
            });
            if doubled {
                self.queue.push(&message.body, Duration::ZERO);
            }
        }
    }
}

#[async_trait]
impl Queue for QueueWire {
    async fn send(&self, body: &str, delay: Duration) -> Result<(), QueueError> {
        self.call("queue send", self.queue.send(body, delay)).await
    }

    async fn receive(&self, max: usize, visibility: Duration) -> Result<Vec<ReceivedMessage>, QueueError> {
        let received = self.call("queue receive", self.queue.receive(max, visibility)).await?;
        self.double(&received);
        Ok(received)
    }

    async fn wait(&self, timeout: Duration) {
        self.process.stays().await;
        self.queue.wait(timeout).await;
        self.process.stays().await;
    }

    async fn extend(&self, receipt: &Receipt, visibility: Duration) -> Result<bool, QueueError> {
        self.call("queue extend", self.queue.extend(receipt, visibility)).await
    }

    async fn acknowledge(&self, receipts: &[Receipt]) -> Result<usize, QueueError> {
        let acknowledged = async {
            self.check_acknowledged(receipts);
            let is_lost = self.process.shared.with(|outside| {
                let rate = outside.rate(|faults| faults.acknowledge_lost);
                !receipts.is_empty() && outside.random.calls.happens(rate)
            });
            if is_lost {
                self.process.note("acknowledges, which is lost");
                return Ok(receipts.len());
            }
            self.queue.acknowledge(receipts).await
        };
        self.call("queue acknowledge", acknowledged).await
    }

    async fn dead_letter(&self, receipt: &Receipt, why: &str) -> Result<bool, QueueError> {
        self.call("queue dead letter", self.queue.dead_letter(receipt, why)).await
    }

    async fn depth(&self) -> Result<(u64, u64, u64), QueueError> {
        self.queue.depth().await
    }
}
