//! Foreign text, read and shown so that nothing of it can do harm: an error names a place and never the content.

use serde::Deserialize;

/// An event's name as it may be shown: a header is foreign text.
pub(crate) fn shown(event: &str) -> String {
    event.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// Reads JSON; the error names line and column, never the content.
pub(crate) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            format!("a field is missing or of another kind, at line {} column {}", error.line(), error.column())
        }
        _ => format!("it is not JSON, at line {} column {}", error.line(), error.column()),
    })
}
