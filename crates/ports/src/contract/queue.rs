//! What every implementation of [`Queue`] must do, as checks that panic with what was expected.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::clock::TestClock;
use crate::queue::{BODY_BYTES_MAX, Queue, QueueError, Receipt, ReceivedMessage};

const VISIBILITY: Duration = Duration::from_secs(30);

/// An implementation under test, empty, with the clock that it reads.
pub struct QueueWorld<'a> {
    /// The implementation.
    pub queue: &'a dyn Queue,
    /// Its clock.
    pub clock: &'a dyn TestClock,
    /// After so many receives a message is dead.
    pub receives_max: u32,
    /// Whether it can say that a receipt is stale. SQS accepts such a one silently and does nothing.
    pub reports_stale: bool,
}

impl QueueWorld<'_> {
    async fn send(&self, body: &str, delay: Duration) {
        if let Err(error) = self.queue.send(body, delay).await {
            panic!("send: {error}");
        }
    }
    async fn receive(&self, max: usize) -> Vec<ReceivedMessage> {
        match self.queue.receive(max, VISIBILITY).await {
            Ok(messages) => messages,
            Err(error) => panic!("receive: {error}"),
        }
    }
    async fn one(&self) -> ReceivedMessage {
        let mut messages = self.receive(10).await;
        assert_eq!(messages.len(), 1, "exactly one message is visible");
        messages.remove(0)
    }
    async fn acknowledge(&self, receipts: &[Receipt]) -> usize {
        match self.queue.acknowledge(receipts).await {
            Ok(count) => count,
            Err(error) => panic!("acknowledge: {error}"),
        }
    }
    async fn depth(&self) -> (u64, u64, u64) {
        match self.queue.depth().await {
            Ok(depth) => depth,
            Err(error) => panic!("depth: {error}"),
        }
    }
    async fn drain(&self) {
        loop {
            self.clock.advance(VISIBILITY + Duration::from_secs(3600));
            let receipts: Vec<Receipt> = self.receive(100).await.into_iter().map(|message| message.receipt).collect();
            if receipts.is_empty() {
                return;
            }
            self.acknowledge(&receipts).await;
        }
    }
}

/// Runs every check.
pub async fn queue(world: &QueueWorld<'_>) {
    what_is_sent_is_received_once_while_it_is_invisible(world).await;
    a_delayed_message_comes_when_its_delay_is_over(world).await;
    a_message_that_is_not_acknowledged_comes_again(world).await;
    a_stale_receipt_does_nothing(world).await;
    an_extended_message_stays_invisible(world).await;
    a_message_received_too_often_is_dead(world).await;
    a_dead_letter_does_not_come_again(world).await;
    sizes_are_bounded_and_contents_untouched(world).await;
    racing_receivers_share(world).await;
}

async fn what_is_sent_is_received_once_while_it_is_invisible(world: &QueueWorld<'_>) {
    assert!(world.receive(10).await.is_empty(), "an empty queue gives nothing at once");
    for n in 0..5 {
        world.send(&format!("m{n}"), Duration::ZERO).await;
    }
    let first = world.receive(3).await;
    assert_eq!(first.len(), 3, "at most as many as asked for");
    let rest = world.receive(10).await;
    let bodies: BTreeSet<&str> = first.iter().chain(&rest).map(|message| message.body.as_str()).collect();
    assert_eq!(bodies, BTreeSet::from(["m0", "m1", "m2", "m3", "m4"]), "each exactly once");
    assert!(first.iter().all(|message| message.receives == 1), "the first receive is number one");
    let receipts: Vec<Receipt> = first.into_iter().chain(rest).map(|message| message.receipt).collect();
    assert_eq!(world.acknowledge(&receipts).await, 5, "all were current");
    world.clock.advance(VISIBILITY * 2);
    assert!(world.receive(10).await.is_empty(), "what is acknowledged is gone");
}

async fn a_delayed_message_comes_when_its_delay_is_over(world: &QueueWorld<'_>) {
    world.send("later", Duration::from_secs(10)).await;
    assert!(world.receive(10).await.is_empty(), "not before its delay");
    world.clock.advance(Duration::from_secs(9));
    assert!(world.receive(10).await.is_empty(), "not a second before either");
    world.clock.advance(Duration::from_secs(1));
    let message = world.one().await;
    assert_eq!(message.body, "later");
    world.acknowledge(&[message.receipt]).await;
}

async fn a_message_that_is_not_acknowledged_comes_again(world: &QueueWorld<'_>) {
    world.send("again", Duration::ZERO).await;
    let first = world.one().await;
    world.clock.advance(VISIBILITY);
    let second = world.one().await;
    assert_eq!((second.body.as_str(), second.receives), ("again", 2));
    assert_ne!(first.receipt, second.receipt, "each receive has a receipt of its own");
    world.acknowledge(&[second.receipt]).await;
}

async fn a_stale_receipt_does_nothing(world: &QueueWorld<'_>) {
    world.send("contested", Duration::ZERO).await;
    let slow = world.one().await;
    world.clock.advance(VISIBILITY);
    let quick = world.one().await;
    let acknowledged = world.acknowledge(std::slice::from_ref(&slow.receipt)).await;
    if world.reports_stale {
        assert_eq!(acknowledged, 0, "a stale receipt is not current");
        assert!(matches!(world.queue.extend(&slow.receipt, VISIBILITY).await, Ok(false)), "nor can it extend");
        assert!(matches!(world.queue.dead_letter(&slow.receipt, "x").await, Ok(false)), "nor move to the dead letters");
    }
    let in_flight = world.depth().await;
    assert_eq!((in_flight.0, in_flight.1), (0, 1), "the message was not lost by it");
    assert_eq!(world.acknowledge(std::slice::from_ref(&quick.receipt)).await, 1, "the current one ends it");
    assert_eq!((world.depth().await.0, world.depth().await.1), (0, 0), "now it is gone");
    let again = world.acknowledge(&[quick.receipt]).await;
    assert!(again == 0 || !world.reports_stale, "twice is once");
    assert_eq!(world.acknowledge(&[Receipt("no such thing".into())]).await, 0, "an unknown receipt is stale");
}

async fn an_extended_message_stays_invisible(world: &QueueWorld<'_>) {
    world.send("long work", Duration::ZERO).await;
    let message = world.one().await;
    world.clock.advance(VISIBILITY - Duration::from_secs(1));
    assert!(matches!(world.queue.extend(&message.receipt, VISIBILITY).await, Ok(true)), "its receipt is current");
    world.clock.advance(VISIBILITY - Duration::from_secs(1));
    assert!(world.receive(10).await.is_empty(), "it was extended");
    assert_eq!(world.acknowledge(&[message.receipt]).await, 1, "extending keeps the receipt");
}

async fn a_message_received_too_often_is_dead(world: &QueueWorld<'_>) {
    let (_, _, dead) = world.depth().await;
    world.send("poison", Duration::ZERO).await;
    for receives in 1..=world.receives_max {
        assert_eq!(world.one().await.receives, receives);
        world.clock.advance(VISIBILITY);
    }
    assert!(world.receive(10).await.is_empty(), "it does not come forever");
    assert_eq!(world.depth().await, (0, 0, dead + 1), "it is a dead letter");
}

async fn a_dead_letter_does_not_come_again(world: &QueueWorld<'_>) {
    let (_, _, dead) = world.depth().await;
    world.send("broken", Duration::ZERO).await;
    let message = world.one().await;
    assert!(matches!(world.queue.dead_letter(&message.receipt, "not a signal").await, Ok(true)));
    world.clock.advance(VISIBILITY * 2);
    assert!(world.receive(10).await.is_empty());
    assert_eq!(world.depth().await.2, dead + 1);
}

async fn sizes_are_bounded_and_contents_untouched(world: &QueueWorld<'_>) {
    let hostile = "\u{0}'\"; DROP TABLE messages; --\n$(id) \u{1f980}";
    world.send(hostile, Duration::ZERO).await;
    world.send(&"x".repeat(BODY_BYTES_MAX), Duration::ZERO).await;
    let too_large = world.queue.send(&"x".repeat(BODY_BYTES_MAX + 1), Duration::ZERO).await;
    assert!(matches!(too_large, Err(QueueError::TooLarge { limit: BODY_BYTES_MAX, .. })), "{too_large:?}");
    let bodies: BTreeSet<String> = world.receive(10).await.into_iter().map(|message| message.body).collect();
    assert!(bodies.contains(hostile) && bodies.len() == 2, "both, unchanged");
    world.drain().await;
}

async fn racing_receivers_share(world: &QueueWorld<'_>) {
    for n in 0..40 {
        world.send(&n.to_string(), Duration::ZERO).await;
    }
    let (a, b, c) = together(world).await;
    let all: Vec<String> = a.into_iter().chain(b).chain(c).map(|message| message.body).collect();
    let distinct: BTreeSet<&String> = all.iter().collect();
    assert_eq!(all.len(), distinct.len(), "no message went to two receivers");
    assert_eq!(distinct.len(), 40, "and none was left");
    world.drain().await;
}

async fn together(world: &QueueWorld<'_>) -> (Vec<ReceivedMessage>, Vec<ReceivedMessage>, Vec<ReceivedMessage>) {
    tokio::join!(world.receive(20), world.receive(20), world.receive(20))
}
