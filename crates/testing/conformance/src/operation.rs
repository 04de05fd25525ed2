//! An operation of a document, as a concrete call means it.

use std::collections::BTreeMap;

/// An operation, as found for a concrete path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// GitHub's operation id.
    pub id: String,
    /// The method in capitals.
    pub method: String,
    /// The path template.
    pub template: String,
    /// The documented statuses, ascending.
    pub statuses: Vec<u16>,
    /// What the concrete path has for each parameter.
    pub parameters: BTreeMap<String, String>,
}
