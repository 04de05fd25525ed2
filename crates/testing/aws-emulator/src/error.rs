//! Why the emulator could not do something.

/// Why the emulator could not do something.
#[derive(Debug, thiserror::Error)]
#[error("emulator {operation}: {what}")]
pub struct EmulatorError {
    operation: &'static str,
    what: String,
}

impl EmulatorError {
    pub(crate) fn new(operation: &'static str, what: impl ToString) -> Self {
        Self { operation, what: what.to_string() }
    }
}
