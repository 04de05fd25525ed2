//! A value in either form that a configuration comes in: TOML of a file, where each value has a place, or JSON of a parameter.
//!
//! It is apart from the reader, so that every section is read by the same code in both forms, and JSON is not written as TOML
//! only to be parsed again.

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One value.
#[derive(Clone, Copy)]
pub(crate) enum Node<'a> {
    Toml(&'a Spanned<DeValue<'a>>),
    Json(&'a Value),
}

/// One table (TOML) or object (JSON).
#[derive(Clone, Copy)]
pub(crate) enum Fields<'a> {
    Toml(&'a DeTable<'a>),
    Json(&'a Map<String, Value>),
}

impl<'a> Node<'a> {
    /// Where the value begins, in bytes of the text; JSON has no places.
    pub fn offset(self) -> Option<usize> {
        match self {
            Self::Toml(value) => Some(value.span().start),
            Self::Json(_) => None,
        }
    }

    /// The type's name, for people.
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Toml(value) => value.get_ref().type_str(),
            Self::Json(Value::Null) => "null",
            Self::Json(Value::Bool(_)) => "boolean",
            Self::Json(Value::Number(number)) if number.is_f64() => "float",
            Self::Json(Value::Number(_)) => "integer",
            Self::Json(Value::String(_)) => "string",
            Self::Json(Value::Array(_)) => "array",
            Self::Json(Value::Object(_)) => "table",
        }
    }

    pub fn text(self) -> Option<&'a str> {
        match self {
            Self::Toml(value) => value.get_ref().as_str(),
            Self::Json(value) => value.as_str(),
        }
    }

    pub fn boolean(self) -> Option<bool> {
        match self {
            Self::Toml(value) => value.get_ref().as_bool(),
            Self::Json(value) => value.as_bool(),
        }
    }

    /// A whole number; one that is too large for any field is the largest.
    pub fn integer(self) -> Option<i128> {
        match self {
            Self::Toml(value) => {
                let number = value.get_ref().as_integer()?;
                Some(i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX))
            }
            Self::Json(value) => value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from)),
        }
    }

    pub fn items(self) -> Option<Vec<Self>> {
        match self {
            Self::Toml(value) => Some(value.get_ref().as_array()?.iter().map(Self::Toml).collect()),
            Self::Json(value) => Some(value.as_array()?.iter().map(Self::Json).collect()),
        }
    }

    pub fn fields(self) -> Option<Fields<'a>> {
        match self {
            Self::Toml(value) => value.get_ref().as_table().map(Fields::Toml),
            Self::Json(value) => value.as_object().map(Fields::Json),
        }
    }
}

impl<'a> Fields<'a> {
    pub fn get(self, key: &str) -> Option<Node<'a>> {
        match self {
            Self::Toml(table) => table.get(key).map(Node::Toml),
            Self::Json(object) => object.get(key).map(Node::Json),
        }
    }

    /// The names that are there, each with its place where it has one.
    pub fn names(self) -> Vec<(&'a str, Option<usize>)> {
        match self {
            Self::Toml(table) => table.keys().map(|key| (key.get_ref().as_ref(), Some(key.span().start))).collect(),
            Self::Json(object) => object.keys().map(|key| (key.as_str(), None)).collect(),
        }
    }
}
