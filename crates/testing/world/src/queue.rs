//! A queue in memory that keeps the port's contract, with nothing beside it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use runnersmith_ports::queue::BODY_BYTES_MAX;
use runnersmith_ports::{Clock, Queue, QueueError, Receipt, ReceivedMessage};
use runnersmith_types::Timestamp;
use tokio::sync::Notify;

/// A message received more often than this is moved to the dead letters.
pub const RECEIVES_MAX: u32 = 50;

/// A queue.
pub struct MemoryQueue {
    clock: Arc<dyn Clock>,
    messages: Mutex<Messages>,
    sent: Notify,
}

#[derive(Default)]
struct Messages {
    next: u64,
    by_id: BTreeMap<u64, Stored>,
    /// Dead letters with the reason.
    dead: Vec<(String, String)>,
}

struct Stored {
    body: String,
    visible_at: Timestamp,
    sent_at: Timestamp,
    receives: u32,
}

/// A receipt names the message and the receive.
fn parse(receipt: &Receipt) -> Option<(u64, u32)> {
    let (id, receives) = receipt.0.split_once(':')?;
    Some((id.parse().ok()?, receives.parse().ok()?))
}

impl Messages {
    /// The message of a receipt that is not stale.
    fn current(&mut self, receipt: &Receipt) -> Option<(u64, &mut Stored)> {
        let (id, receives) = parse(receipt)?;
        let stored = self.by_id.get_mut(&id).filter(|stored| stored.receives == receives)?;
        Some((id, stored))
    }
}

impl MemoryQueue {
    /// An empty one.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, messages: Mutex::default(), sent: Notify::new() }
    }

    fn messages(&self) -> MutexGuard<'_, Messages> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a message without waiting: who brings a delivery is no task.
    pub fn push(&self, body: &str, delay: Duration) {
        let now = self.clock.now();
        let mut messages = self.messages();
        messages.next += 1;
        let id = messages.next;
        messages
            .by_id
            .insert(id, Stored { body: body.to_owned(), visible_at: now.plus(delay), sent_at: now, receives: 0 });
        self.sent.notify_one();
    }

    /// The body of a receipt's message, if the receipt is current.
    #[must_use]
    pub fn body(&self, receipt: &Receipt) -> Option<String> {
        self.messages().current(receipt).map(|(_, stored)| stored.body.clone())
    }

    /// All bodies that are not dead.
    #[must_use]
    pub fn bodies(&self) -> Vec<String> {
        self.messages().by_id.values().map(|stored| stored.body.clone()).collect()
    }

    /// The dead letters with their reasons.
    #[must_use]
    pub fn dead(&self) -> Vec<(String, String)> {
        self.messages().dead.clone()
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn send(&self, body: &str, delay: Duration) -> Result<(), QueueError> {
        if body.len() > BODY_BYTES_MAX {
            return Err(QueueError::TooLarge { bytes: body.len(), limit: BODY_BYTES_MAX });
        }
        self.push(body, delay);
        Ok(())
    }

    async fn receive(&self, max: usize, visibility: Duration) -> Result<Vec<ReceivedMessage>, QueueError> {
        let now = self.clock.now();
        let mut messages = self.messages();
        let mut visible: Vec<(Timestamp, u64)> = messages
            .by_id
            .iter()
            .filter(|(_, stored)| stored.visible_at <= now)
            .map(|(id, stored)| (stored.visible_at, *id))
            .collect();
        visible.sort_unstable();
        let mut received = Vec::new();
        for (_, id) in visible {
            if messages.by_id.get(&id).is_some_and(|stored| stored.receives >= RECEIVES_MAX) {
                if let Some(stored) = messages.by_id.remove(&id) {
                    messages.dead.push((stored.body, "received too often".into()));
                }
            } else if received.len() < max
                && let Some(stored) = messages.by_id.get_mut(&id)
            {
                stored.receives += 1;
                stored.visible_at = now.plus(visibility);
                received.push(ReceivedMessage {
                    body: stored.body.clone(),
                    receipt: Receipt(format!("{id}:{}", stored.receives)),
                    receives: stored.receives,
                    sent_at: stored.sent_at,
                });
            }
        }
        Ok(received)
    }

    /// It knows of every send, so that it need not look once a second: it waits for the next message, however long that takes.
    async fn wait(&self, _timeout: Duration) {
        let now = self.clock.now();
        let next = self.messages().by_id.values().map(|stored| stored.visible_at).min();
        let Some(next) = next else { return self.sent.notified().await };
        tokio::select! {
            biased;
            () = self.sent.notified() => {}
            () = self.clock.sleep(next.since(now)) => {}
        }
    }

    async fn extend(&self, receipt: &Receipt, visibility: Duration) -> Result<bool, QueueError> {
        let until = self.clock.now().plus(visibility);
        let mut messages = self.messages();
        let Some((_, stored)) = messages.current(receipt) else { return Ok(false) };
        stored.visible_at = until;
        Ok(true)
    }

    async fn acknowledge(&self, receipts: &[Receipt]) -> Result<usize, QueueError> {
        let mut messages = self.messages();
        let mut count = 0;
        for receipt in receipts {
            if let Some((id, _)) = messages.current(receipt) {
                messages.by_id.remove(&id);
                count += 1;
            }
        }
        Ok(count)
    }

    async fn dead_letter(&self, receipt: &Receipt, why: &str) -> Result<bool, QueueError> {
        let mut messages = self.messages();
        let Some((id, _)) = messages.current(receipt) else { return Ok(false) };
        if let Some(stored) = messages.by_id.remove(&id) {
            messages.dead.push((stored.body, why.to_owned()));
        }
        Ok(true)
    }

    async fn depth(&self) -> Result<(u64, u64, u64), QueueError> {
        let now = self.clock.now();
        let messages = self.messages();
        let visible = messages.by_id.values().filter(|stored| stored.visible_at <= now).count();
        Ok((visible as u64, (messages.by_id.len() - visible) as u64, messages.dead.len() as u64))
    }
}
