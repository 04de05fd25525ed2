//! Leases, wake-ups and the sets that are out of service.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use runnersmith_ports::{Lease, LeaseLedger, LedgerError, ReleaseOutcome};
use runnersmith_types::{ScaleSetName, Timestamp};

use super::MemoryLedger;

#[async_trait]
impl LeaseLedger for MemoryLedger {
    async fn wake(&self, set: &ScaleSetName) -> Result<(), LedgerError> {
        self.tables().wake(set);
        Ok(())
    }

    async fn acquire(&self, set: &ScaleSetName, _holder: &str, ttl: Duration) -> Result<Option<Lease>, LedgerError> {
        let now = self.clock.now();
        let mut tables = self.tables();
        let row = tables.sets.entry(set.clone()).or_default();
        if row.until > now {
            return Ok(None);
        }
        row.generation += 1;
        row.until = now.plus(ttl);
        let (generation, until, wake_seq) = (row.generation, row.until, row.wake_seq);
        Ok(Some(Lease { set: set.clone(), generation, until, wake_seq }))
    }

    async fn release(&self, lease: &mut Lease, ttl: Duration) -> Result<ReleaseOutcome, LedgerError> {
        let now = self.clock.now();
        let mut tables = self.tables();
        if tables.check("release a lease", lease, now).is_err() {
            return Ok(ReleaseOutcome::Lost);
        }
        let row = tables.sets.entry(lease.set.clone()).or_default();
        if row.wake_seq == lease.wake_seq {
            row.until = Timestamp(0);
            return Ok(ReleaseOutcome::Released);
        }
        row.until = now.plus(ttl);
        (lease.wake_seq, lease.until) = (row.wake_seq, row.until);
        Ok(ReleaseOutcome::WokenAgain)
    }

    async fn renew(&self, lease: &mut Lease, ttl: Duration) -> Result<(), LedgerError> {
        let now = self.clock.now();
        let mut tables = self.tables();
        tables.check("renew a lease", lease, now)?;
        let row = tables.sets.entry(lease.set.clone()).or_default();
        row.until = now.plus(ttl);
        lease.until = row.until;
        Ok(())
    }

    async fn close(&self, set: &ScaleSetName, closed: bool) -> Result<(), LedgerError> {
        let mut tables = self.tables();
        if closed {
            tables.closed.insert(set.clone());
        } else {
            tables.closed.remove(set);
        }
        Ok(())
    }

    async fn closed(&self) -> Result<BTreeSet<ScaleSetName>, LedgerError> {
        Ok(self.tables().closed.clone())
    }
}
