//! Small values of the ledger as JSON: where something goes on that takes many rounds.

use runnersmith_ports::{Ledger, LedgerError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads a value. One that cannot be read, because another program wrote it, is as good as none: what it says is found out again.
///
/// # Errors
/// When the ledger fails.
pub(crate) async fn read<T: DeserializeOwned>(ledger: &dyn Ledger, key: &str) -> Result<Option<T>, LedgerError> {
    let Some(text) = ledger.get(key).await? else { return Ok(None) };
    let read = serde_json::from_str(&text);
    if let Err(error) = &read {
        tracing::warn!(error = %error, key, "a stored value cannot be read; it begins again");
    }
    Ok(read.ok())
}

/// Writes a value.
///
/// # Errors
/// When the ledger fails.
pub(crate) async fn write<T: Serialize + Sync>(ledger: &dyn Ledger, key: &str, value: &T) -> Result<(), LedgerError> {
    let text = serde_json::to_string(value)
        .map_err(|error| LedgerError::Failed { operation: "write a small value", source: Box::new(error) });
    ledger.set(key, &text?).await
}
