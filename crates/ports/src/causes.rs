//! Errors as people and logs read them: an adapter's error says little without the causes below it.

/// An error with its causes on one line, each by its `Display`: `Debug` forms may hold raw answers, and with them secrets.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    // Bounded: a chain of causes is short, and a cyclic one must not hang a log line.
    for _ in 0..16 {
        let Some(source) = cause else { break };
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}
