//! At-least-once messages with delay and visibility; one that cannot be handled ends in the dead-letter queue.

use std::time::Duration;

use async_trait::async_trait;
use runnersmith_types::Timestamp;

/// Names one receive of one message; a later receive of the same message makes it stale.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Receipt(pub String);

/// A received message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// What was sent, at most 8 KB.
    pub body: String,
    /// For acknowledge and extend.
    pub receipt: Receipt,
    /// How often it was received, this time included.
    pub receives: u32,
    /// When it was sent.
    pub sent_at: Timestamp,
}

/// Why a queue call failed.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The store is full: nothing was written.
    #[error("queue {operation}: the disk is full")]
    Full {
        /// The call.
        operation: &'static str,
    },
    /// The body is longer than a message may be.
    #[error("queue send: the message has {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Anything else; may be tried again.
    #[error("queue {operation} failed")]
    Failed {
        /// The call.
        operation: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The longest body of a message, bytes.
pub const BODY_BYTES_MAX: usize = 8 * 1024;

/// A durable queue. Contract: `send` returns only after the message is durable; a received message is invisible
/// for `visibility`, then comes again unless acknowledged; a message received more than `receives_max` times is
/// moved to the dead letters instead of being received again; acknowledge and extend with a stale receipt are no-ops,
/// and answer so where the service knows (SQS does not); order is not promised.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Sends one message, invisible for `delay`.
    async fn send(&self, body: &str, delay: Duration) -> Result<(), QueueError>;
    /// Receives up to `max` messages that are visible now; empty at once when there is none.
    async fn receive(&self, max: usize, visibility: Duration) -> Result<Vec<ReceivedMessage>, QueueError>;
    /// Returns when a message may be visible, or after `timeout`: a hint, never a promise.
    async fn wait(&self, timeout: Duration);
    /// Keeps a message invisible for `visibility` from now.
    async fn extend(&self, receipt: &Receipt, visibility: Duration) -> Result<bool, QueueError>;
    /// Removes messages for good. Returns how many receipts were current.
    async fn acknowledge(&self, receipts: &[Receipt]) -> Result<usize, QueueError>;
    /// Moves a message to the dead letters with a reason.
    async fn dead_letter(&self, receipt: &Receipt, why: &str) -> Result<bool, QueueError>;
    /// (visible now, delayed or in flight, dead).
    async fn depth(&self) -> Result<(u64, u64, u64), QueueError>;
}
