//! The queue.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runnersmith_ports::queue::BODY_BYTES_MAX;
use runnersmith_ports::{Clock, Queue, QueueError, Receipt, ReceivedMessage};
use runnersmith_types::Timestamp;
use rusqlite::params;
use tokio::sync::Notify;

use crate::error::Fault;
use crate::writer::Writer;

/// A message received more often than this is moved to the dead letters.
const RECEIVES_MAX: u32 = 50;

/// A queue of a store.
#[derive(Clone)]
pub struct SqliteQueue {
    /// Which one: rows of others are not seen.
    pub(crate) name: &'static str,
    pub(crate) writer: Writer,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) sent: Arc<Notify>,
}

/// A receipt names the message and the receive.
fn parse(receipt: &Receipt) -> Option<(i64, u32)> {
    let (id, receives) = receipt.0.split_once(':')?;
    Some((id.parse().ok()?, receives.parse().ok()?))
}

#[async_trait]
impl Queue for SqliteQueue {
    async fn send(&self, body: &str, delay: Duration) -> Result<(), QueueError> {
        if body.len() > BODY_BYTES_MAX {
            return Err(Fault::TooLarge(body.len()).queue("send"));
        }
        let (name, body, now) = (self.name, body.to_owned(), self.clock.now());
        let visible_at = now.plus(delay).as_millis();
        let sent = self.writer.write(move |connection| {
            connection
                .prepare_cached("INSERT INTO messages (queue, body, visible_at, sent_at) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![name, body, visible_at, now.as_millis()])?;
            Ok(())
        });
        sent.await.map_err(|fault| fault.queue("send"))?;
        if delay.is_zero() {
            self.sent.notify_one();
        }
        Ok(())
    }

    async fn receive(&self, max: usize, visibility: Duration) -> Result<Vec<ReceivedMessage>, QueueError> {
        let (name, now) = (self.name, self.clock.now());
        let hidden_until = now.plus(visibility).as_millis();
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let received = self.writer.write(move |connection| {
            connection
                .prepare_cached("UPDATE messages SET dead_at = ?1, dead_why = 'received too often' WHERE queue = ?3 AND dead_at IS NULL AND visible_at <= ?1 AND receives >= ?2")?
                .execute(params![now.as_millis(), RECEIVES_MAX, name])?;
            let mut statement = connection.prepare_cached(
                "UPDATE messages SET receives = receives + 1, visible_at = ?2 WHERE id IN
                 (SELECT id FROM messages WHERE queue = ?4 AND dead_at IS NULL AND visible_at <= ?1 ORDER BY visible_at, id LIMIT ?3)
                 RETURNING id, body, receives, sent_at",
            )?;
            let rows = statement.query_map(params![now.as_millis(), hidden_until, max, name], |row| {
                let (id, receives): (i64, u32) = (row.get(0)?, row.get(2)?);
                Ok((id, ReceivedMessage { body: row.get(1)?, receipt: Receipt(format!("{id}:{receives}")), receives, sent_at: Timestamp(row.get(3)?) }))
            })?;
            let mut found = rows.collect::<Result<Vec<_>, _>>()?;
            found.sort_by_key(|(id, _)| *id);
            Ok(found.into_iter().map(|(_, message)| message).collect())
        });
        received.await.map_err(|fault| fault.queue("receive"))
    }

    async fn wait(&self, timeout: Duration) {
        let (name, now) = (self.name, self.clock.now());
        let next = self.writer.read(move |connection| {
            Ok(connection
                .prepare_cached("SELECT min(visible_at) FROM messages WHERE queue = ?1 AND dead_at IS NULL")?
                .query_row([name], |row| row.get::<_, Option<i64>>(0))?)
        });
        let due = match next.await {
            Ok(Some(at)) => Timestamp(at).since(now),
            Ok(None) | Err(_) => timeout,
        };
        // Another process may send without our knowing: the wait is never long.
        let _ = tokio::time::timeout(due.min(timeout), self.sent.notified()).await;
    }

    async fn extend(&self, receipt: &Receipt, visibility: Duration) -> Result<bool, QueueError> {
        let Some((id, receives)) = parse(receipt) else { return Ok(false) };
        let until = self.clock.now().plus(visibility).as_millis();
        let changed = self.writer.write(move |connection| {
            Ok(connection
                .prepare_cached(
                    "UPDATE messages SET visible_at = ?3 WHERE id = ?1 AND receives = ?2 AND dead_at IS NULL",
                )?
                .execute(params![id, receives, until])?)
        });
        changed.await.map(|count| count > 0).map_err(|fault| fault.queue("extend"))
    }

    async fn acknowledge(&self, receipts: &[Receipt]) -> Result<usize, QueueError> {
        let receipts: Vec<(i64, u32)> = receipts.iter().filter_map(parse).collect();
        let removed = self.writer.write(move |connection| {
            let mut statement = connection
                .prepare_cached("DELETE FROM messages WHERE id = ?1 AND receives = ?2 AND dead_at IS NULL")?;
            let mut count = 0;
            for (id, receives) in receipts {
                count += statement.execute(params![id, receives])?;
            }
            Ok(count)
        });
        removed.await.map_err(|fault| fault.queue("acknowledge"))
    }

    async fn dead_letter(&self, receipt: &Receipt, why: &str) -> Result<bool, QueueError> {
        let Some((id, receives)) = parse(receipt) else { return Ok(false) };
        let (why, now) = (why.chars().take(500).collect::<String>(), self.clock.now().as_millis());
        let changed = self.writer.write(move |connection| {
            Ok(connection
                .prepare_cached("UPDATE messages SET dead_at = ?3, dead_why = ?4 WHERE id = ?1 AND receives = ?2 AND dead_at IS NULL")?
                .execute(params![id, receives, now, why])?)
        });
        changed.await.map(|count| count > 0).map_err(|fault| fault.queue("dead-letter"))
    }

    async fn depth(&self) -> Result<(u64, u64, u64), QueueError> {
        let (name, now) = (self.name, self.clock.now().as_millis());
        let counted = self.writer.read(move |connection| {
            let sql = "SELECT count(*) FILTER (WHERE dead_at IS NULL AND visible_at <= ?1), count(*) FILTER (WHERE dead_at IS NULL AND visible_at > ?1),
                       count(*) FILTER (WHERE dead_at IS NOT NULL) FROM messages WHERE queue = ?2";
            let count = |row: &rusqlite::Row<'_>, at| row.get::<_, i64>(at).map(i64::cast_unsigned);
            Ok(connection.prepare_cached(sql)?.query_row(params![now, name], |row| Ok((count(row, 0)?, count(row, 1)?, count(row, 2)?)))?)
        });
        counted.await.map_err(|fault| fault.queue("depth"))
    }
}
