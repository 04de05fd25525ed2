//! A value as far as it is written out: what somebody computes is not computed here.

use hcl::expr::{ObjectKey, TemplateExpr, UnaryOperator};
use hcl::{Expression, Operation};
use serde_json::Value;

/// The value of an argument.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Literal>),
    Object(Vec<(String, Literal)>),
    /// `local.<name>`, which may be written out elsewhere.
    Local(String),
    /// Anything that has to be computed.
    Computed,
}

impl Literal {
    pub(crate) fn of_hcl(expression: &Expression) -> Self {
        match expression {
            Expression::Null => Self::Null,
            Expression::Bool(given) => Self::Bool(*given),
            Expression::Number(given) => given.as_f64().map_or(Self::Computed, Self::Number),
            Expression::String(given) => Self::Text(given.clone()),
            Expression::Array(given) => Self::List(given.iter().map(Self::of_hcl).collect()),
            Expression::Object(given) => {
                let mut entries = Vec::new();
                for (key, value) in given {
                    let key = match key {
                        ObjectKey::Identifier(key) => key.as_str().to_owned(),
                        ObjectKey::Expression(Expression::String(key)) => key.clone(),
                        _ => return Self::Computed,
                    };
                    entries.push((key, Self::of_hcl(value)));
                }
                Self::Object(entries)
            }
            Expression::Parenthesis(inner) => Self::of_hcl(inner),
            Expression::TemplateExpr(template) => match template.as_ref() {
                TemplateExpr::QuotedString(text) => Self::of_text(text),
                TemplateExpr::Heredoc(heredoc) => Self::of_text(&heredoc.template),
            },
            Expression::Operation(operation) => match operation.as_ref() {
                Operation::Unary(unary) if unary.operator == UnaryOperator::Neg => match Self::of_hcl(&unary.expr) {
                    Self::Number(given) => Self::Number(-given),
                    _ => Self::Computed,
                },
                _ => Self::Computed,
            },
            Expression::Traversal(traversal) => {
                let is_local =
                    matches!(&traversal.expr, Expression::Variable(variable) if variable.as_str() == "local");
                match traversal.operators.as_slice() {
                    [hcl::expr::TraversalOperator::GetAttr(name)] if is_local => Self::Local(name.as_str().to_owned()),
                    _ => Self::Computed,
                }
            }
            _ => Self::Computed,
        }
    }

    pub(crate) fn of_json(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(given) => Self::Bool(*given),
            Value::Number(given) => given.as_f64().map_or(Self::Computed, Self::Number),
            Value::String(text) => {
                let inner = text.strip_prefix("${local.").and_then(|rest| rest.strip_suffix('}'));
                match inner.filter(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')) {
                    Some(name) => Self::Local(name.to_owned()),
                    None => Self::of_text(text),
                }
            }
            Value::Array(given) => Self::List(given.iter().map(Self::of_json).collect()),
            Value::Object(given) => {
                Self::Object(given.iter().map(|(key, value)| (key.clone(), Self::of_json(value))).collect())
            }
        }
    }

    fn of_text(text: &str) -> Self {
        if text.contains("${") || text.contains("%{") { Self::Computed } else { Self::Text(text.to_owned()) }
    }

    /// The value of an object's key.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Whether it says nothing: null, false, an empty text or list, or an object of such values.
    pub(crate) fn is_nothing(&self) -> bool {
        match self {
            Self::Null | Self::Bool(false) => true,
            Self::Text(text) => text.is_empty(),
            Self::List(list) => list.is_empty(),
            Self::Object(entries) => entries.iter().all(|(_, value)| value.is_nothing()),
            Self::Bool(true) | Self::Number(_) | Self::Local(_) | Self::Computed => false,
        }
    }

    /// As it is written, if it is short and nothing in it has to be computed.
    pub(crate) fn written(&self) -> Option<String> {
        match self {
            Self::Null => Some("null".to_owned()),
            Self::Bool(given) => Some(given.to_string()),
            Self::Number(given) => Some(given.to_string()),
            Self::Text(text) => (!text.contains(['"', '\\', '\n'])).then(|| format!("\"{text}\"")),
            Self::List(list) => {
                let parts: Option<Vec<String>> = list.iter().map(Self::written).collect();
                Some(format!("[{}]", parts?.join(", ")))
            }
            Self::Object(entries) => {
                let mut parts = Vec::new();
                for (key, value) in entries {
                    parts.push(format!("{} = {}", written_key(key)?, value.written()?));
                }
                Some(format!("{{ {} }}", parts.join(", ")))
            }
            Self::Local(name) => Some(format!("local.{name}")),
            Self::Computed => None,
        }
    }
}

/// A key of an object as it is written: in quotes unless it is an identifier (`tag:Env` is not one).
fn written_key(key: &str) -> Option<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let is_identifier = key.chars().all(is_word) && key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if is_identifier { Some(key.to_owned()) } else { Literal::Text(key.to_owned()).written() }
}
