//! Keeps secrets out of what leaves: Terraform and its providers print what they were given when something goes wrong, and
//! `sensitive` covers neither a program that a provider runs nor the text of an error.

use base64::Engine as _;
use runnersmith_types::Secret;

/// What stands for a secret.
const HIDDEN: &str = "[secret]";
/// Shorter values are not hidden: they are words, numbers and names that are found everywhere.
const LENGTH_MIN: usize = 8;
/// How deep values are taken apart: JSON in base64 in JSON.
const DEPTH_MAX: u8 = 4;

/// Hides a set of secrets, and the names of directories that mean nothing outside.
#[derive(Clone, Default)]
pub(crate) struct Hide {
    // Longest first, so that no secret is cut by one that it contains.
    patterns: Vec<(String, &'static str)>,
}

impl Hide {
    /// Hides these, their parts (of JSON, of base64, each line), and how they look in JSON and in base64.
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut parts = Vec::new();
        for secret in secrets {
            take_apart(secret.expose(), DEPTH_MAX, &mut parts);
        }
        let mut patterns = Vec::new();
        for part in parts {
            let quoted = serde_json::to_string(&part).unwrap_or_default();
            let inside = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            let quoted = inside.unwrap_or(&quoted).to_owned();
            if quoted != part {
                patterns.push((quoted, HIDDEN));
            }
            patterns.push((base64::engine::general_purpose::STANDARD.encode(&part), HIDDEN));
            patterns.push((part, HIDDEN));
        }
        Self { patterns }.sorted()
    }

    /// Also replaces a directory's path by a dot.
    pub(crate) fn with_directory(&self, path: &std::path::Path) -> Self {
        let mut patterns = self.patterns.clone();
        patterns.push((path.display().to_string(), "."));
        Self { patterns }.sorted()
    }

    fn sorted(mut self) -> Self {
        self.patterns.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        self.patterns.dedup();
        self
    }

    /// The text without them.
    pub(crate) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (pattern, shown) in &self.patterns {
            if text.contains(pattern.as_str()) {
                text = text.replace(pattern.as_str(), shown);
            }
        }
        text
    }

    /// The value without them, in each of its strings and names.
    pub(crate) fn value(&self, value: serde_json::Value) -> serde_json::Value {
        use serde_json::Value;
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(map) => map.into_iter().map(|(name, item)| (self.text(&name), self.value(item))).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value,
        }
    }
}

fn take_apart(value: &str, depth: u8, parts: &mut Vec<String>) {
    let trimmed = value.trim();
    if trimmed.len() < LENGTH_MIN {
        return;
    }
    parts.push(trimmed.to_owned());
    if depth == 0 {
        return;
    }
    if trimmed.lines().nth(1).is_some() {
        parts.extend(trimmed.lines().map(str::trim).filter(|line| line.len() >= LENGTH_MIN).map(str::to_owned));
    }
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(trimmed) {
        take_json_apart(&json, depth - 1, parts);
    }
    let compact: String = trimmed.split_whitespace().collect();
    let engines = [
        &base64::engine::general_purpose::STANDARD,
        &base64::engine::general_purpose::STANDARD_NO_PAD,
        &base64::engine::general_purpose::URL_SAFE,
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
    ];
    if let Some(bytes) = engines.iter().find_map(|engine| engine.decode(&compact).ok())
        && let Ok(text) = String::from_utf8(bytes)
    {
        take_apart(&text, depth - 1, parts);
    }
}

fn take_json_apart(json: &serde_json::Value, depth: u8, parts: &mut Vec<String>) {
    use serde_json::Value;
    match json {
        Value::String(text) => take_apart(text, depth, parts),
        Value::Array(items) => items.iter().for_each(|item| take_json_apart(item, depth, parts)),
        Value::Object(map) => map.values().for_each(|item| take_json_apart(item, depth, parts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails panics")]

    use super::*;

    #[test]
    fn a_secret_is_hidden_whole_in_parts_and_in_other_clothes() {
        let key = "-----BEGIN KEY-----\nAAAABBBBCCCCDDDD\n-----END KEY-----\n";
        let encoded = base64::engine::general_purpose::STANDARD.encode(key);
        let app = format!(r#"{{"id":"123","key_base64":"{encoded}","webhook_secret":"quo\"ted secret"}}"#);
        let hide = Hide::new([&Secret::new(app.clone())]);
        for text in [app.as_str(), &encoded, key.trim(), "AAAABBBBCCCCDDDD", "quo\"ted secret", "quo\\\"ted secret"] {
            assert_eq!(hide.text(&format!("<{text}>")), "<[secret]>", "{text}");
        }
        let again = base64::engine::general_purpose::STANDARD.encode("quo\"ted secret");
        assert_eq!(hide.text(&again), "[secret]");
        assert_eq!(hide.text("id 123 stays"), "id 123 stays");
    }

    #[test]
    fn values_lose_secrets_in_every_string() {
        let hide = Hide::new([&Secret::new("correct horse")]);
        let value = serde_json::json!({"a": ["the correct horse", 1], "correct horse": null});
        assert_eq!(hide.value(value), serde_json::json!({"a": ["the [secret]", 1], "[secret]": null}));
    }

    #[test]
    fn a_directory_is_a_dot() {
        let hide = Hide::default().with_directory(std::path::Path::new("/tmp/tf-1"));
        assert_eq!(hide.text("on /tmp/tf-1/main.tf"), "on ./main.tf");
    }
}
