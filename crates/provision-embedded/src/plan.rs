//! A plan: what was, what will be, and the state that it was made from; and how it is shown, in the forms that
//! `terraform show` has, so that everything after it is the same for both.

use std::fmt::Write as _;

use runnersmith_issueops_engine::StateId;
use runnersmith_types::ScaleSet;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::wanted::{Wanted, attributes};

/// What stands in place of Terraform's version.
pub const VERSION: &str = "embedded";
const KIND: &str = "runnersmith_scale_set";
const FORMAT: u32 = 1;

/// The plan file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub format: u32,
    pub environment: String,
    /// The state's, when the plan was made; empty: there was none.
    pub lineage: String,
    pub serial: u64,
    pub before: Option<Wanted>,
    pub after: Option<Wanted>,
}

/// What happens to the one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Create,
    Update,
    Delete,
    Nothing,
}

/// The resource's address.
pub(crate) fn address(environment: &str) -> String {
    format!("{KIND}.{environment}")
}

impl Plan {
    pub fn new(environment: &str, state: &StateId, before: Option<Wanted>, after: Option<Wanted>) -> Self {
        let (lineage, serial) = (state.lineage.clone(), state.serial);
        Self { format: FORMAT, environment: environment.to_owned(), lineage, serial, before, after }
    }

    pub fn read(file: &[u8]) -> Result<Self, String> {
        let plan: Self =
            serde_json::from_slice(file).map_err(|error| format!("the plan file cannot be read: {error}"))?;
        if plan.format != FORMAT {
            return Err(format!("the plan file has format {}, {FORMAT} is known", plan.format));
        }
        Ok(plan)
    }

    pub fn effect(&self) -> Effect {
        match (&self.before, &self.after) {
            (None, None) => Effect::Nothing,
            (None, Some(_)) => Effect::Create,
            (Some(_), None) => Effect::Delete,
            (Some(before), Some(after)) if before == after => Effect::Nothing,
            (Some(_), Some(_)) => Effect::Update,
        }
    }

    fn sides(&self) -> Result<(Option<ScaleSet>, Option<ScaleSet>), String> {
        let set = |side: &Option<Wanted>| side.as_ref().map(Wanted::scale_set).transpose();
        Ok((set(&self.before)?, set(&self.after)?))
    }

    /// As `terraform show -json` writes it.
    pub fn json(&self) -> Result<Vec<u8>, String> {
        let (before, after) = self.sides()?;
        let word = match self.effect() {
            Effect::Create => "create",
            Effect::Update => "update",
            Effect::Delete => "delete",
            Effect::Nothing => "no-op",
        };
        let is_any = before.is_some() || after.is_some();
        let resource = resource(&self.environment, word, before.as_ref(), after.as_ref());
        document(if is_any { vec![resource] } else { Vec::new() }, Vec::new())
    }

    /// As people read it.
    pub fn text(&self) -> Result<String, String> {
        let (before, after) = self.sides()?;
        let address = address(&self.environment);
        let (sign, what, counts) = match self.effect() {
            Effect::Create => ("+", "will be created", (1, 0, 0)),
            Effect::Update => ("~", "will be updated in-place", (0, 1, 0)),
            Effect::Delete => ("-", "will be destroyed", (0, 0, 1)),
            Effect::Nothing => return Ok("No changes. The scale set is as the configuration says.\n".to_owned()),
        };
        let of = |set: Option<&ScaleSet>| {
            set.map(attributes).and_then(|value| value.as_object().cloned()).unwrap_or_default()
        };
        let (before, after) = (of(before.as_ref()), of(after.as_ref()));
        let mut text = format!("  # {address} {what}\n  {sign} resource {KIND:?} {:?} {{\n", self.environment);
        let width = before.keys().chain(after.keys()).map(String::len).max().unwrap_or(0);
        for name in if after.is_empty() { before.keys() } else { after.keys() } {
            let line = match (before.get(name), after.get(name)) {
                (Some(old), Some(new)) if old != new => format!("    ~ {name:width$} = {old} -> {new}"),
                (Some(same), Some(_)) => format!("      {name:width$} = {same}"),
                (Some(old), None) => format!("    - {name:width$} = {old}"),
                (None, Some(new)) => format!("    + {name:width$} = {new}"),
                (None, None) => continue,
            };
            let _ = writeln!(text, "{line}");
        }
        let (add, change, destroy) = counts;
        let _ = writeln!(text, "    }}\n\nPlan: {add} to add, {change} to change, {destroy} to destroy.");
        Ok(text)
    }
}

/// One resource as a plan shows it.
pub(crate) fn resource(environment: &str, action: &str, before: Option<&ScaleSet>, after: Option<&ScaleSet>) -> Value {
    json!({
        "address": address(environment),
        "mode": "managed",
        "type": KIND,
        "name": environment,
        "provider_name": VERSION,
        "change": {
            "actions": [action],
            "before": before.map(attributes),
            "after": after.map(attributes),
            "after_unknown": {},
            "before_sensitive": false,
            "after_sensitive": false,
        },
    })
}

/// A whole plan, as `terraform show -json` writes it.
pub(crate) fn document(changes: Vec<Value>, drift: Vec<Value>) -> Result<Vec<u8>, String> {
    let document = json!({
        "format_version": "1.2",
        "terraform_version": VERSION,
        "resource_changes": changes,
        "resource_drift": drift,
        "output_changes": {},
        "complete": true,
        "errored": false,
    });
    serde_json::to_vec(&document).map_err(|error| format!("the plan cannot be shown: {error}"))
}
