//! Leases, wake-ups and the sets that are out of service.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use runnersmith_ports::{Lease, LeaseLedger, LedgerError, ReleaseOutcome};
use runnersmith_types::ScaleSetName;

use super::DynamoLedger;
use super::table::{Fault, Item, Page, Terms, as_ledger, key, number, read_number, read_text, text};

/// What every write under a lease asks of the set's row.
pub(super) const HOLDS: &str = "generation = :generation AND #until > :now";

pub(super) fn row(set: &ScaleSetName) -> Item {
    key("sets", set.as_str())
}

/// Whether the row is that of a lease of this generation which was released.
fn is_free(row: &Item, generation: u64) -> bool {
    read_number(row, "generation") == generation.cast_signed() && read_number(row, "until") == 0
}

fn wake_row(set: &ScaleSetName) -> Item {
    key(format!("wake#{set}"), "wake")
}

#[async_trait]
impl LeaseLedger for DynamoLedger {
    async fn wake(&self, set: &ScaleSetName) -> Result<(), LedgerError> {
        self.wake_set(set).await.map_err(as_ledger("wake a set"))
    }

    async fn acquire(&self, set: &ScaleSetName, holder: &str, ttl: Duration) -> Result<Option<Lease>, LedgerError> {
        self.take_lease(set, holder, ttl).await.map_err(as_ledger("acquire a lease"))
    }

    async fn release(&self, lease: &mut Lease, ttl: Duration) -> Result<ReleaseOutcome, LedgerError> {
        self.let_go(lease, ttl).await.map_err(as_ledger("release a lease"))
    }

    async fn renew(&self, lease: &mut Lease, ttl: Duration) -> Result<(), LedgerError> {
        const OPERATION: &str = "renew a lease";
        if self.extend_lease(lease, ttl).await.map_err(as_ledger(OPERATION))? {
            return Ok(());
        }
        Err(LedgerError::LeaseLost { operation: OPERATION, set: lease.set.clone() })
    }

    async fn close(&self, set: &ScaleSetName, closed: bool) -> Result<(), LedgerError> {
        self.close_set(set, closed).await.map_err(as_ledger("close"))
    }

    async fn closed(&self) -> Result<BTreeSet<ScaleSetName>, LedgerError> {
        self.closed_sets().await.map_err(as_ledger("closed"))
    }
}

impl DynamoLedger {
    /// The terms of a lease, with more conditions after it.
    pub(super) fn fence(&self, lease: &Lease, more: &str) -> Terms {
        Terms::when(&format!("{HOLDS}{more}"))
            .value(":generation", number(lease.generation))
            .value(":now", number(self.clock.now().as_millis()))
            .name("#until", "until")
    }

    /// A write refused by the row of its lease, or by something else.
    pub(super) fn refused(operation: &'static str, lease: &Lease, condition: impl Into<String>) -> LedgerError {
        let condition = condition.into();
        if condition.is_empty() {
            return LedgerError::LeaseLost { operation, set: lease.set.clone() };
        }
        LedgerError::Conflict { operation, condition }
    }

    /// Whether the lease holds now.
    pub(super) async fn holds(&self, lease: &Lease) -> Result<Option<Item>, Fault> {
        let found = self.table.get("sets", lease.set.as_str()).await?.unwrap_or_default();
        let generation = read_number(&found, "generation");
        let holds =
            generation == lease.generation.cast_signed() && read_number(&found, "until") > self.clock.now().as_millis();
        Ok(holds.then_some(found))
    }

    pub(super) async fn wake_set(&self, set: &ScaleSetName) -> Result<(), Fault> {
        let terms = Terms::default().value(":one", number(1));
        self.table.update(wake_row(set), "ADD wake_seq :one", terms).await.map(drop)
    }

    async fn wake_seq(&self, set: &ScaleSetName) -> Result<u64, Fault> {
        let found = self.table.get(&format!("wake#{set}"), "wake").await?.unwrap_or_default();
        Ok(read_number(&found, "wake_seq").cast_unsigned())
    }

    pub(super) async fn take_lease(
        &self,
        set: &ScaleSetName,
        holder: &str,
        ttl: Duration,
    ) -> Result<Option<Lease>, Fault> {
        // Read before the lease is taken: a wake-up in between is then seen at its release.
        let wake_seq = self.wake_seq(set).await?;
        let now = self.clock.now();
        let until = now.plus(ttl);
        let call = format!("{}-{}", self.nonce, self.next_number());
        let terms = Terms::when("attribute_not_exists(#until) OR #until <= :now")
            .value(":now", number(now.as_millis()))
            .value(":until", number(until.as_millis()))
            .value(":holder", text(holder))
            .value(":call", text(&call))
            .value(":one", number(1))
            .name("#until", "until")
            .name("#call", "call");
        let change = "SET #until = :until, holder = :holder, #call = :call ADD generation :one";
        let row = match self.table.update(row(set), change, terms).await {
            Ok(row) => row,
            // Our own call whose answer was lost and which the SDK made again.
            Err(Fault::Condition(_, Some(row))) if read_text(&row, "call") == Some(&call) => row,
            Err(Fault::Condition(..)) => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let generation = read_number(&row, "generation").cast_unsigned();
        Ok(Some(Lease { set: set.clone(), generation, until, wake_seq }))
    }

    pub(super) async fn let_go(&self, lease: &mut Lease, ttl: Duration) -> Result<ReleaseOutcome, Fault> {
        // The lease first, then the counter: who wakes the set after it was read finds the lease free, and a wake-up before that is
        // seen here. Both in one transaction would cost four times as much.
        let free = self.fence(lease, "").value(":never", number(0));
        let row = match self.table.update(row(&lease.set), "SET #until = :never", free).await {
            Ok(row) => row,
            // Our own call whose answer was lost and which the SDK made again: nobody has taken the lease since.
            Err(Fault::Condition(_, Some(row))) if is_free(&row, lease.generation) => row,
            Err(Fault::Condition(..)) => return Ok(ReleaseOutcome::Lost),
            Err(fault) => return Err(fault),
        };
        if self.wake_seq(&lease.set).await? == lease.wake_seq {
            return Ok(ReleaseOutcome::Released);
        }
        // A pass that takes it meanwhile reads all that the wake-up was about. So does not who only waits for passes to end, of a set that
        // is closed: the timer looks at that one.
        let holder = read_text(&row, "holder").unwrap_or_default();
        let Some(again) = self.take_lease(&lease.set, holder, ttl).await? else {
            return Ok(ReleaseOutcome::Released);
        };
        *lease = again;
        Ok(ReleaseOutcome::WokenAgain)
    }

    pub(super) async fn extend_lease(&self, lease: &mut Lease, ttl: Duration) -> Result<bool, Fault> {
        let until = self.clock.now().plus(ttl);
        let terms = self.fence(lease, "").value(":until", number(until.as_millis()));
        match self.table.update(row(&lease.set), "SET #until = :until", terms).await {
            Ok(_) => {
                lease.until = until;
                Ok(true)
            }
            Err(Fault::Condition(..)) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    pub(super) async fn close_set(&self, set: &ScaleSetName, closed: bool) -> Result<(), Fault> {
        if closed {
            self.table.put(key("closed", set.as_str()), Terms::default()).await
        } else {
            self.table.delete("closed", set.as_str()).await
        }
    }

    pub(super) async fn closed_sets(&self) -> Result<BTreeSet<ScaleSetName>, Fault> {
        let rows = self.table.query("closed", "", Page::default()).await?;
        Ok(rows.iter().filter_map(|row| ScaleSetName::parse(read_text(row, "sk")?).ok()).collect())
    }
}
