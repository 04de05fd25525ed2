//! The only place that prints: data to standard output, everything else to standard error.

use std::io::Write as _;

use crate::exit::CommandFailure;

/// One line of data.
pub fn line(text: &str) {
    // A closed pipe is the reader's choice, not an error.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// One line for people, beside the data.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Overwrites the present line of standard error; only for terminals.
#[cfg(feature = "demo")]
pub fn progress(text: &str) {
    let mut out = std::io::stderr();
    let _ = write!(out, "\r\u{1b}[2K{text}");
    let _ = out.flush();
}

/// Data as JSON.
pub fn json<T: serde::Serialize>(value: &T) -> Result<(), CommandFailure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| CommandFailure::internal(format!("print JSON: {error}")))?;
    line(&text);
    Ok(())
}

/// A failure for programs that read the data as JSON.
pub fn json_failure(failure: &CommandFailure) {
    let value = serde_json::json!({
        "error": failure.what,
        "hint": failure.hint,
        "exit_code": failure.status as u8,
    });
    line(&format!("{value:#}"));
}

/// A failure and its hint.
pub fn failure(failure: &CommandFailure) {
    note(&format!("error: {}", failure.what));
    if let Some(hint) = &failure.hint {
        note(&format!("hint: {hint}"));
    }
}
