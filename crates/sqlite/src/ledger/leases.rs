//! Leases, wake-ups and the sets that are out of service.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use runnersmith_ports::{Lease, LeaseLedger, LedgerError, ReleaseOutcome};
use runnersmith_types::ScaleSetName;
use rusqlite::{OptionalExtension, params};

use super::{SqliteLedger, bump};
use crate::error::Fault;
use crate::rows::set_value;

/// What the keys of sets that are out of service begin with; no small value of anybody else's does.
const CLOSED: &str = "closed-set:";

#[async_trait]
impl LeaseLedger for SqliteLedger {
    async fn wake(&self, set: &ScaleSetName) -> Result<(), LedgerError> {
        let set = set.clone();
        self.write("wake a set", move |connection| bump(connection, &set)).await
    }

    async fn acquire(&self, set: &ScaleSetName, holder: &str, ttl: Duration) -> Result<Option<Lease>, LedgerError> {
        let (set, holder, now) = (set.clone(), holder.to_owned(), self.clock.now());
        let until = now.plus(ttl);
        self.write("acquire a lease", move |connection| {
            connection.prepare_cached("INSERT OR IGNORE INTO sets (name) VALUES (?1)")?.execute([set.as_str()])?;
            let sql = "UPDATE sets SET generation = generation + 1, holder = ?2, until = ?3 WHERE name = ?1 AND until <= ?4 RETURNING generation, wake_seq";
            let found = connection
                .prepare_cached(sql)?
                .query_row(params![set.as_str(), holder, until.as_millis(), now.as_millis()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
                .optional()?;
            Ok(found.map(|(generation, wake_seq)| Lease { set, generation: generation.cast_unsigned(), until, wake_seq: wake_seq.cast_unsigned() }))
        })
        .await
    }

    async fn release(&self, lease: &mut Lease, ttl: Duration) -> Result<ReleaseOutcome, LedgerError> {
        let (fence, seen, until) = (self.fence(lease), lease.wake_seq.cast_signed(), self.clock.now().plus(ttl));
        let outcome = self
            .write("release a lease", move |connection| {
                match fence.holds(connection) {
                    Ok(()) => {}
                    Err(Fault::LeaseLost(_)) => return Ok((ReleaseOutcome::Lost, seen)),
                    Err(fault) => return Err(fault),
                }
                let now: i64 = connection
                    .prepare_cached("SELECT wake_seq FROM sets WHERE name = ?1")?
                    .query_row([fence.set.as_str()], |row| row.get(0))?;
                let (release, end) = if now == seen {
                    (ReleaseOutcome::Released, 0)
                } else {
                    (ReleaseOutcome::WokenAgain, until.as_millis())
                };
                connection
                    .prepare_cached("UPDATE sets SET until = ?2 WHERE name = ?1")?
                    .execute(params![fence.set.as_str(), end])?;
                Ok((release, now))
            })
            .await?;
        if outcome.0 == ReleaseOutcome::WokenAgain {
            (lease.wake_seq, lease.until) = (outcome.1.cast_unsigned(), until);
        }
        Ok(outcome.0)
    }

    async fn renew(&self, lease: &mut Lease, ttl: Duration) -> Result<(), LedgerError> {
        let (fence, until) = (self.fence(lease), self.clock.now().plus(ttl));
        self.write("renew a lease", move |connection| {
            fence.holds(connection)?;
            connection
                .prepare_cached("UPDATE sets SET until = ?2 WHERE name = ?1")?
                .execute(params![fence.set.as_str(), until.as_millis()])?;
            Ok(())
        })
        .await?;
        lease.until = until;
        Ok(())
    }

    async fn close(&self, set: &ScaleSetName, closed: bool) -> Result<(), LedgerError> {
        let key = format!("{CLOSED}{set}");
        self.write("close", move |connection| {
            if closed {
                return set_value(connection, &key, "");
            }
            connection.prepare_cached("DELETE FROM kv WHERE key = ?1")?.execute([key])?;
            Ok(())
        })
        .await
    }

    async fn closed(&self) -> Result<BTreeSet<ScaleSetName>, LedgerError> {
        self.read("closed", |connection| {
            let mut statement = connection.prepare_cached("SELECT key FROM kv WHERE key GLOB ?1 || '*'")?;
            let keys = statement.query_map([CLOSED], |row| row.get::<_, String>(0))?;
            let mut sets = BTreeSet::new();
            for key in keys {
                sets.extend(key?.strip_prefix(CLOSED).and_then(|name| ScaleSetName::parse(name).ok()));
            }
            Ok(sets)
        })
        .await
    }
}
