//! Terraform's two syntaxes, as far as module blocks go.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::literal::Literal;

/// The most bytes that one file may have.
pub const FILE_BYTES_MAX: usize = 4 << 20;

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
    /// Its arguments, without `source` and `version`.
    pub arguments: Vec<(String, Literal)>,
}

/// What a file says.
pub(crate) struct Contents {
    /// Its module blocks.
    pub modules: Vec<Module>,
    /// Its local values.
    pub locals: BTreeMap<String, Literal>,
    /// Its text without comments.
    pub plain: String,
}

/// What a file says.
pub(crate) fn contents(file: &str, text: &str) -> Result<Contents, Unreadable> {
    let unreadable = |why: String| Unreadable { file: file.to_owned(), why };
    if text.len() > FILE_BYTES_MAX {
        return Err(unreadable(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    // Terraform takes a byte-order mark, which some editors write.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
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
        return Ok(Contents { modules: of_json(&value), locals: locals_of_json(&value), plain: value.to_string() });
    }
    let body = hcl::parse(text).map_err(|error| unreadable(parse_error(&error)))?;
    let plain = hcl::format::to_string(&body).map_err(|error| unreadable(parse_error(&error)))?;
    let modules = body.blocks().filter(|block| block.identifier() == "module").map(of_hcl).collect();
    let locals =
        body.blocks().filter(|block| block.identifier() == "locals").flat_map(|block| block.body().attributes());
    let locals = locals.map(|local| (local.key().to_owned(), Literal::of_hcl(local.expr()))).collect();
    Ok(Contents { modules, locals, plain })
}

/// A parser's report, which draws the line over several lines, in one: the place, what is wrong, and the line itself.
fn parse_error(error: &hcl::Error) -> String {
    let hcl::Error::Parse(error) = error else { return error.to_string() };
    let (at, line) = (error.location(), error.line().trim());
    let what = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    format!("line {}, column {}: {what}: {line:.80}", at.line(), at.column())
}

fn of_hcl(block: &hcl::Block) -> Module {
    let attributes = block.body().attributes();
    let mut given: Vec<(String, Literal)> =
        attributes.map(|attribute| (attribute.key().to_owned(), Literal::of_hcl(attribute.expr()))).collect();
    // `providers` and such may be blocks too.
    given.extend(block.body().blocks().map(|inner| (inner.identifier().to_owned(), Literal::Computed)));
    let name = block.labels().first().map(|label| label.as_str().to_owned()).unwrap_or_default();
    module(name, given)
}

/// The module block of that name.
fn module(name: String, mut given: Vec<(String, Literal)>) -> Module {
    let text = |key: &str| match given.iter().find(|(name, _)| name == key) {
        Some((_, Literal::Text(text))) => Some(text.clone()),
        _ => None,
    };
    let (source, version) = (text("source").unwrap_or_default(), text("version"));
    given.retain(|(name, _)| !["source", "version", "//"].contains(&name.as_str()));
    Module { name, source, version, arguments: given }
}

fn of_json(value: &Value) -> Vec<Module> {
    let mut found = Vec::new();
    // A block may be an object, or a list of them.
    for modules in one_or_many(value.get("module")) {
        for (name, blocks) in modules.as_object().into_iter().flatten() {
            for block in one_or_many(Some(blocks)) {
                let given = block.as_object().into_iter().flatten();
                found.push(module(
                    name.clone(),
                    given.map(|(name, value)| (name.clone(), Literal::of_json(value))).collect(),
                ));
            }
        }
    }
    found
}

fn locals_of_json(value: &Value) -> BTreeMap<String, Literal> {
    let locals = one_or_many(value.get("locals")).into_iter().filter_map(Value::as_object).flatten();
    locals.map(|(name, value)| (name.clone(), Literal::of_json(value))).collect()
}

fn one_or_many(value: Option<&Value>) -> Vec<&Value> {
    match value {
        Some(Value::Array(many)) => many.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    }
}

/// Outputs of a module that a text uses: what follows `module.<name>`, at most two words, however they are written.
pub(crate) fn references(text: &str, name: &str) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let mut found = Vec::new();
    let address = format!("module.{name}");
    for (at, _) in text.match_indices(&address) {
        if text[..at].ends_with(|c: char| is_word(c) || c == '.') {
            continue;
        }
        let mut rest = &text[at + address.len()..];
        let mut words: Vec<&str> = Vec::new();
        while words.len() < 2 {
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(|c| !is_word(c)).unwrap_or(after.len());
                match &after[..end] {
                    // module.runners.*.webhook
                    "" if after.starts_with('*') => rest = &after[1..],
                    "" => break,
                    word => {
                        words.push(word);
                        rest = &after[end..];
                    }
                }
            } else if let Some((inside, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                // module.runners["blue"].webhook["endpoint"], and in JSON with \"
                let key = inside.trim_matches(['"', '\\']);
                if !words.is_empty() && !key.is_empty() && key.chars().all(is_word) {
                    words.push(key);
                }
                rest = after;
            } else {
                break;
            }
        }
        if !words.is_empty() {
            found.push(words.join("."));
        }
    }
    found
}
