//! The path at which a server takes deliveries.
//!
//! It is a type of its own because two packages must agree: the configuration, which refuses a path that cannot be used, and the
//! web server, whose pages it must not hide.

use std::fmt;

/// The longest path, bytes.
const BYTES_MAX: usize = 200;

/// A path such as `/webhook`: ASCII letters, digits, `-`, `_`, `.` and `/`, at most 200 bytes, and none of the dashboard's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookPath(String);

impl WebhookPath {
    /// The first parts of paths that the server uses itself.
    pub const TAKEN: [&str; 10] =
        ["jobs", "sets", "runners", "api", "metrics", "events", "healthz", "readyz", "assets", "favicon.ico"];

    /// Reads a path.
    ///
    /// # Errors
    /// When it is not one, or is the server's own; the error says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        if !text.starts_with('/')
            || !(2..=BYTES_MAX).contains(&text.len())
            || text.contains("//")
            || !text.chars().all(is_plain)
        {
            return Err("a path such as \"/webhook\" is needed: letters, digits, `-`, `_`, `.`, `/`".to_owned());
        }
        let first = text.split('/').nth(1).unwrap_or_default();
        if Self::TAKEN.contains(&first) {
            return Err(format!("/{first} is the dashboard's own; choose another, such as \"/webhook\""));
        }
        Ok(Self(text.to_owned()))
    }

    /// The path, beginning with a slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for WebhookPath {
    /// `/webhook`.
    fn default() -> Self {
        Self("/webhook".to_owned())
    }
}

impl fmt::Display for WebhookPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::WebhookPath;

    #[test]
    fn a_path_is_used_as_it_is_unless_it_is_none_or_would_hide_a_page() {
        for good in ["/webhook", "/hooks/github", "/a.b/c-d_e", "/jobsite"] {
            assert_eq!(WebhookPath::parse(good).map(|path| path.to_string()), Ok(good.to_owned()));
        }
        let long = format!("/{}", "x".repeat(200));
        for bad in ["", "/", "webhook", "//", "/a//b", "/{x}", "/a b", "/a?b", "/ü", long.as_str()] {
            assert!(WebhookPath::parse(bad).is_err_and(|why| why.contains("a path such as")), "{bad}");
        }
        for taken in WebhookPath::TAKEN {
            let why = WebhookPath::parse(&format!("/{taken}/more")).unwrap_err();
            assert!(why.contains(&format!("/{taken} is the dashboard's own")), "{why}");
        }
        assert_eq!(WebhookPath::parse("/webhook"), Ok(WebhookPath::default()));
    }
}
