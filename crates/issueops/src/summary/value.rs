//! Values of a plan in one short line, with what must not be seen hidden.

use serde_json::{Map, Value};

/// The most characters of a value.
const CHARS_MAX: usize = 100;
const HIDDEN: &str = "(sensitive)";

/// Attributes that are hidden whatever Terraform thinks of them. Providers do not mark all of them.
pub(super) fn is_secret_by_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let parts = ["secret", "password", "token", "private_key", "key_base64", "user_data", "credential", "value_wo"];
    parts.iter().any(|part| name.contains(part)) && !name.ends_with("_arn") && !name.ends_with("_version")
}

/// Whether `true` is anywhere in a value of marks.
pub(super) fn has_true(marks: &Value) -> bool {
    match marks {
        Value::Bool(mark) => *mark,
        Value::Array(items) => items.iter().any(has_true),
        Value::Object(fields) => fields.values().any(has_true),
        Value::Null | Value::Number(_) | Value::String(_) => false,
    }
}

/// Whether any text in a value is such.
pub(super) fn any_text(value: &Value, is_it: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => is_it(text),
        Value::Array(items) => items.iter().any(|item| any_text(item, is_it)),
        Value::Object(fields) => fields.values().any(|field| any_text(field, is_it)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The value without what is marked, or secret by its name.
fn redacted(name: &str, value: &Value, marks: &Value) -> Value {
    if *marks == Value::Bool(true) || is_secret_by_name(name) && !matches!(value, Value::Null | Value::Bool(_)) {
        return Value::String(HIDDEN.to_owned());
    }
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (key.clone(), redacted(key, value, &marks[key.as_str()])));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        // Marks of a list that is a set, or that has another length, may not be in its order: all or nothing.
        Value::Array(items) => match marks.as_array() {
            Some(list) if list.len() == items.len() => {
                Value::Array(items.iter().zip(list).map(|(item, marks)| redacted(name, item, marks)).collect())
            }
            _ if has_true(marks) => Value::String(HIDDEN.to_owned()),
            _ => Value::Array(items.iter().map(|item| redacted(name, item, &Value::Null)).collect()),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) if has_true(marks) => {
            Value::String(HIDDEN.to_owned())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// An attribute's value in one line. `of_all` are the marks of the whole resource: it may be sensitive as one.
pub(super) fn shown(name: &str, value: Option<&Value>, marks: Option<&Value>, of_all: &Value) -> String {
    let Some(value) = value else { return "(none)".to_owned() };
    let marks = if *of_all == Value::Bool(true) { of_all } else { marks.unwrap_or(&Value::Null) };
    let text = match redacted(name, value, marks) {
        Value::Null => return "(none)".to_owned(),
        Value::String(text) if text == HIDDEN => return text,
        value => value.to_string(),
    };
    let mut line: String = text.chars().take(CHARS_MAX).collect();
    if text.chars().count() > CHARS_MAX {
        line.push('…');
    }
    line
}
