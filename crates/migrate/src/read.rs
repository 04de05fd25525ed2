//! Terraform's two syntaxes, as far as module blocks go.

use serde::Serialize;
use serde_json::Value;

use crate::FILE_BYTES_MAX;

/// Why a file was not looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("read {file}: {why}")]
pub struct Unreadable {
    /// The file.
    pub file: String,
    /// Why, with the place where it is known.
    pub why: String,
}

/// A module block.
pub(crate) struct Module {
    pub name: String,
    pub source: String,
    pub version: Option<String>,
    /// Names of its arguments, without `source` and `version`.
    pub arguments: Vec<String>,
}

/// The module blocks of a file, and its text without comments.
pub(crate) fn modules(file: &str, text: &str) -> Result<(Vec<Module>, String), Unreadable> {
    let unreadable = |why: String| Unreadable { file: file.to_owned(), why };
    if text.len() > FILE_BYTES_MAX {
        return Err(unreadable(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    // The parsers go as deep as the text does.
    let mut depth = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > 100 {
            return Err(unreadable("it is nested more than 100 deep".to_owned()));
        }
    }
    if file.ends_with(".json") {
        let value: Value = serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
        return Ok((of_json(&value), value.to_string()));
    }
    let body = hcl::parse(text).map_err(|error| unreadable(error.to_string()))?;
    let plain = hcl::format::to_string(&body).map_err(|error| unreadable(error.to_string()))?;
    let blocks = body.blocks().filter(|block| block.identifier() == "module").map(of_hcl);
    Ok((blocks.collect(), plain))
}

fn of_hcl(block: &hcl::Block) -> Module {
    let literal = |name: &str| {
        let found = block.body().attributes().find(|attribute| attribute.key() == name)?;
        match found.expr() {
            hcl::Expression::String(text) => Some(text.clone()),
            _ => None,
        }
    };
    let arguments = block.body().attributes().map(|attribute| attribute.key().to_owned());
    Module {
        name: block.labels().first().map(|label| label.as_str().to_owned()).unwrap_or_default(),
        source: literal("source").unwrap_or_default(),
        version: literal("version"),
        arguments: arguments.filter(|name| name != "source" && name != "version").collect(),
    }
}

fn of_json(value: &Value) -> Vec<Module> {
    let mut found = Vec::new();
    // A block may be an object, or a list of them.
    for modules in one_or_many(value.get("module")) {
        for (name, blocks) in modules.as_object().into_iter().flatten() {
            for block in one_or_many(Some(blocks)) {
                let text = |key: &str| block.get(key).and_then(Value::as_str).map(str::to_owned);
                let arguments = block.as_object().into_iter().flatten().map(|(name, _)| name.clone());
                found.push(Module {
                    name: name.clone(),
                    source: text("source").unwrap_or_default(),
                    version: text("version"),
                    arguments: arguments.filter(|name| !["source", "version", "//"].contains(&name.as_str())).collect(),
                });
            }
        }
    }
    found
}

fn one_or_many(value: Option<&Value>) -> Vec<&Value> {
    match value {
        Some(Value::Array(many)) => many.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    }
}

/// Outputs of a module that a text uses: what follows `module.<name>`, at most two words.
pub(crate) fn references(text: &str, name: &str) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let mut found = Vec::new();
    for rest in text.split(&format!("module.{name}")).skip(1) {
        let mut rest = rest;
        // module.runners["blue"].webhook
        if rest.starts_with('[') {
            rest = rest.split_once(']').map_or("", |(_, rest)| rest);
        }
        let mut words = Vec::new();
        while let Some(after) = rest.strip_prefix('.') {
            let end = after.find(|c| !is_word(c)).unwrap_or(after.len());
            if end == 0 || words.len() == 2 {
                break;
            }
            words.push(&after[..end]);
            rest = &after[end..];
        }
        if !words.is_empty() {
            found.push(words.join("."));
        }
    }
    found
}
