//! Pauses that outlive a pass, as small values in the ledger: hand-offs that fail, passes that fail, and an operator's reset of all
//! of a set's pauses.
//!
//! They are values and no records of their own because losing one costs nothing but a try too early.

use runnersmith_ports::{BudgetLedger, HistoryLedger, LeaseLedger, LedgerError};
use runnersmith_types::{
    BootFailures, EventKind, HandOffFaults, HistoryEvent, PoolFailure, RetryPause, ScaleSetName, Timestamp,
};
use serde::{Serialize, de::DeserializeOwned};

fn hand_offs_key(set: &ScaleSetName) -> String {
    format!("hand_off_faults:{set}")
}

fn reset_key(set: &ScaleSetName) -> String {
    format!("pause_reset:{set}")
}

/// A value that cannot be read, or that a newer program wrote, counts as none: the next pass writes it again.
async fn read<T: DeserializeOwned, L: BudgetLedger + ?Sized>(ledger: &L, key: &str) -> Result<Option<T>, LedgerError> {
    Ok(ledger.get(key).await?.and_then(|text| serde_json::from_str(&text).ok()))
}

async fn write<T: Serialize, L: BudgetLedger + ?Sized>(ledger: &L, key: &str, value: &T) -> Result<(), LedgerError> {
    let text =
        serde_json::to_string(value).map_err(|error| LedgerError::Failed { operation: "set", source: error.into() })?;
    ledger.set(key, &text).await
}

/// What holds a set's launches and hand-offs back.
pub(crate) struct Pauses {
    pub boot_failures: BootFailures,
    pub pool_failures: Vec<PoolFailure>,
    pub hand_off_faults: HandOffFaults,
}

/// Reads what holds a set back, without what an operator's reset has ended. Pool failures are those at or after `since`.
pub(crate) async fn read_pauses<L: BudgetLedger + ?Sized>(
    ledger: &L,
    set: &ScaleSetName,
    since: Timestamp,
) -> Result<Pauses, LedgerError> {
    let (faults_key, reset_key) = (hand_offs_key(set), reset_key(set));
    let (boot_failures, pool_failures, hand_off_faults, reset) = tokio::try_join!(
        ledger.boot_failures(set),
        ledger.pool_failures(set, since),
        read::<HandOffFaults, L>(ledger, &faults_key),
        read::<Timestamp, L>(ledger, &reset_key),
    )?;
    let (pauses, reset) = (
        Pauses { boot_failures, pool_failures, hand_off_faults: hand_off_faults.unwrap_or_default() },
        reset.unwrap_or(Timestamp(i64::MIN)),
    );
    Ok(Pauses {
        boot_failures: pauses.boot_failures.after(reset),
        pool_failures: pauses.pool_failures.into_iter().filter(|failure| failure.at > reset).collect(),
        hand_off_faults: pauses.hand_off_faults.after(reset),
    })
}

/// Records which places' hand-offs fail. Only the holder of the set's lease does.
pub(crate) async fn store_hand_off_faults<L: BudgetLedger + ?Sized>(
    ledger: &L,
    set: &ScaleSetName,
    faults: &HandOffFaults,
) -> Result<(), LedgerError> {
    write(ledger, &hand_offs_key(set), faults).await
}

/// A pass of the set failed: returns when the next is due, later and later while they go on to fail.
pub(crate) async fn retry_at<L: BudgetLedger + ?Sized>(
    ledger: &L,
    set: &ScaleSetName,
    now: Timestamp,
) -> Result<Timestamp, LedgerError> {
    let key = format!("retry:{set}");
    let pause = RetryPause::next(read(ledger, &key).await?, now);
    write(ledger, &key, &pause).await?;
    Ok(pause.until)
}

/// Ends the pauses of a set's launches, capacity pools and hand-offs, as they are at `now`: what was held back after failures is tried
/// at the set's next pass. A pass that is under way looks again; a caller who wants one at once sends the set's wake-up as well. What
/// fails later pauses again. Notifications and re-runs keep their pauses.
///
/// # Errors
/// When the ledger cannot be written.
pub async fn reset<L: LeaseLedger + BudgetLedger + HistoryLedger + ?Sized>(
    ledger: &L,
    set: &ScaleSetName,
    now: Timestamp,
) -> Result<(), LedgerError> {
    write(ledger, &reset_key(set), &now).await?;
    let mut event =
        HistoryEvent::new(now, EventKind::Decided, "reset_pause", "an operator ended the pauses of the set");
    event.set = Some(set.clone());
    ledger.append(vec![event]).await?;
    ledger.wake(set).await
}
