//! The ledger: each call is one transaction, and whatever it relies on is checked inside it.

mod budgets;
mod history;
mod jobs;
mod leases;
mod runners;

use std::sync::Arc;

use runnersmith_ports::{Clock, Lease, LedgerError};
use runnersmith_types::ScaleSetName;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Fault;
use crate::writer::Writer;

/// The ledger of a store.
#[derive(Clone)]
pub struct SqliteLedger {
    pub(crate) writer: Writer,
    pub(crate) reader: Writer,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What a write names of its lease.
struct Fence {
    set: ScaleSetName,
    generation: i64,
    now: i64,
}

impl SqliteLedger {
    fn fence(&self, lease: &Lease) -> Fence {
        Fence { set: lease.set.clone(), generation: lease.generation.cast_signed(), now: self.clock.now().as_millis() }
    }

    async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        change: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.writer.write(change).await.map_err(|fault| fault.ledger(operation))
    }

    async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        question: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.reader.read(question).await.map_err(|fault| fault.ledger(operation))
    }
}

impl Fence {
    fn holds(&self, connection: &Connection) -> Result<(), Fault> {
        let sql = "SELECT 1 FROM sets WHERE name = ?1 AND generation = ?2 AND until > ?3";
        let held = connection
            .prepare_cached(sql)?
            .query_row(params![self.set.as_str(), self.generation, self.now], |_| Ok(()))
            .optional()?;
        held.ok_or_else(|| Fault::LeaseLost(self.set.clone()))
    }
}

/// Wakes a set.
fn bump(connection: &Connection, set: &ScaleSetName) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT INTO sets (name, wake_seq) VALUES (?1, 1) ON CONFLICT (name) DO UPDATE SET wake_seq = wake_seq + 1",
        )?
        .execute([set.as_str()])?;
    Ok(())
}

/// A limit as SQLite takes it.
fn bound(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
