//! A fault as the pages and `/api/status` show it.

use runnersmith_controllers::faults::Fault;
use runnersmith_types::{ScaleSetName, Timestamp};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct FaultRow {
    /// The scale set whose page says more, if it is about one.
    pub set: Option<String>,
    /// The runner whose page says more.
    pub runner: Option<String>,
    pub kind: &'static str,
    pub text: String,
    pub fix: &'static str,
    pub age: String,
}

/// A fault as the pages show it; `set` is the one whose page says more.
pub(crate) fn fault_row(fault: &Fault, set: Option<&ScaleSetName>, now: Timestamp) -> FaultRow {
    FaultRow {
        set: set.map(ToString::to_string),
        runner: fault.runner.as_ref().map(ToString::to_string),
        kind: fault.kind.word(),
        text: fault.to_string(),
        fix: fault.kind.fix(),
        age: fault.age(now),
    }
}
