//! A plan: what was, what will be, and the state that it was made from; and how it is shown. People read it in the form that
//! `terraform show` has, so that both provisioners' plans look alike.

use std::fmt::Write as _;

use runnersmith_issueops::summary::{self, ResourceChange, Summary};
use runnersmith_issueops_engine::StateId;
use runnersmith_types::ScaleSet;
use serde::{Deserialize, Serialize};

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

    /// What it would do.
    pub fn summary(&self) -> Result<Summary, String> {
        let effect = match self.effect() {
            Effect::Create => summary::Effect::Create,
            Effect::Update => summary::Effect::Update,
            Effect::Delete => summary::Effect::Destroy,
            Effect::Nothing => return Ok(nothing()),
        };
        let (before, after) = self.sides()?;
        let of = |set: Option<ScaleSet>| set.as_ref().map(attributes).unwrap_or_default();
        let address = address(&self.environment);
        let change = ResourceChange::of_attributes(address, KIND, effect, &of(before), &of(after));
        Ok(Summary { changes: vec![change], ..nothing() })
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
        let of = |set: Option<&ScaleSet>| set.map(attributes).unwrap_or_default();
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

/// The summary of a plan in which nothing happens.
pub(crate) fn nothing() -> Summary {
    Summary { terraform_version: VERSION.to_owned(), ..Summary::default() }
}
