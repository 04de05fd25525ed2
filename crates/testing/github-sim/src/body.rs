//! What calls send, read field by field.

use serde_json::Value;

/// A text of a body.
pub(crate) fn text(body: &Value, key: &str) -> Option<String> {
    body.get(key).and_then(Value::as_str).map(str::to_owned)
}

/// Texts of a body; an object counts by its `name`.
pub(crate) fn texts(body: &Value, key: &str) -> Vec<String> {
    let list = body.get(key).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|item| item.as_str().or_else(|| item.get("name")?.as_str())).map(str::to_owned).collect()
}
