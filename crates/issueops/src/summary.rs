//! What a plan would do, no matter what made it: a provisioner hands out this summary, and everything after it (comments, rules,
//! costs) knows nothing else of the plan.
//!
//! It exists apart from the comment so that rules can stand on it: what holds state, what changes who may do what, what
//! opens the network. It is also what is stored of a plan; it holds no secrets.

mod cost;
mod fleet;
mod show_json;
mod value;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use cost::{Cost, PerHour, cost};
pub use fleet::{EnvironmentFleet, FleetChange, GroupAccess, ValuesError};
pub use show_json::{PLAN_BYTES_MAX, PlanError};

/// The most attributes of one resource that are shown.
const DETAILS_MAX: usize = 12;

/// What happens to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It is destroyed.
    Destroy,
    /// It is destroyed and made again.
    Replace,
    /// Terraform forgets it; it stays and nobody manages it.
    Forget,
    /// It is changed in place.
    Update,
    /// It is made.
    Create,
    /// It is there, and Terraform takes it over.
    Import,
}

impl Effect {
    /// All, the most severe first.
    pub const ALL: [Self; 6] = [Self::Destroy, Self::Replace, Self::Forget, Self::Update, Self::Create, Self::Import];

    /// As a heading says it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Destroy => "destroyed",
            Self::Replace => "replaced",
            Self::Forget => "forgotten",
            Self::Update => "changed",
            Self::Create => "added",
            Self::Import => "imported",
        }
    }

    /// Whether something that was there is gone, or nobody's, afterwards.
    #[must_use]
    pub const fn loses(self) -> bool {
        match self {
            Self::Destroy | Self::Replace | Self::Forget => true,
            Self::Update | Self::Create | Self::Import => false,
        }
    }
}

/// What a resource is about, for who reads a plan with one worry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// Who may do what.
    Iam,
    /// What can reach what.
    Network,
    /// Neither.
    Other,
}

/// One attribute that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// Its name.
    pub attribute: String,
    /// What it was; sensitive values are hidden.
    pub before: String,
    /// What it will be; sensitive values are hidden.
    pub after: String,
}

/// One resource that a plan touches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceChange {
    /// Terraform's address. Foreign text: keys of `for_each` can be anything.
    pub address: String,
    /// The resource's type.
    pub kind: String,
    /// What happens to it.
    pub effect: Effect,
    /// What it is about.
    pub area: Area,
    /// Whether it holds what cannot be made again.
    pub holds_state: bool,
    /// Whether it lets the whole internet in.
    pub is_open: bool,
    /// Whether it costs nothing although others of its type do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_free: bool,
    /// What changes in it, at most 12 attributes.
    pub details: Vec<Detail>,
    /// Attributes that change and are not among the details.
    pub details_more: usize,
}

/// What a plan would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The version of Terraform, or of what made the plan instead of it.
    pub terraform_version: String,
    /// Resources that are touched, the most severe effect first, then by address.
    pub changes: Vec<ResourceChange>,
    /// Outputs that change.
    pub outputs: Vec<String>,
    /// What outputs say before the plan is applied, where that is a text and no secret.
    pub outputs_before: BTreeMap<String, String>,
    /// Resources that were found to differ from the state.
    pub drifted: Vec<String>,
}

impl Summary {
    /// How many resources have this effect.
    #[must_use]
    pub fn count(&self, effect: Effect) -> usize {
        self.changes.iter().filter(|change| change.effect == effect).count()
    }

    /// Whether applying would do nothing to resources.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Resources that hold state and would be lost: approving them needs the word `destroy`.
    pub fn losses(&self) -> impl Iterator<Item = &ResourceChange> {
        self.changes.iter().filter(|change| change.holds_state && change.effect.loses())
    }
}

impl fmt::Display for Summary {
    /// `3 added, 1 destroyed`, or `nothing changes`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = Effect::ALL.into_iter().rev().map(|effect| (self.count(effect), effect));
        let words: Vec<String> =
            counts.filter(|(n, _)| *n > 0).map(|(n, effect)| format!("{n} {}", effect.word())).collect();
        if words.is_empty() { f.write_str("nothing changes") } else { f.write_str(&words.join(", ")) }
    }
}

/// Which attributes of a resource are not known yet or must not be seen, as Terraform marks them; `null`: none.
#[derive(Default)]
struct Marks {
    unknown: Value,
    before_sensitive: Value,
    after_sensitive: Value,
}

impl ResourceChange {
    /// Returns the change of a resource that is not one of a cloud: it holds no state and opens no network. Attributes that
    /// are secret by their name are hidden.
    #[must_use]
    pub fn of_attributes(
        address: String,
        kind: &str,
        effect: Effect,
        before: &Map<String, Value>,
        after: &Map<String, Value>,
    ) -> Self {
        let (details, details_more) = details(effect, before, after, &Marks::default());
        let (kind, area) = (kind.to_owned(), Area::Other);
        Self { address, kind, effect, area, holds_state: false, is_open: false, is_free: false, details, details_more }
    }
}

/// What changes in a resource, and how many attributes more than are shown. What is made, goes or is taken over has no details.
fn details(
    effect: Effect,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    marks: &Marks,
) -> (Vec<Detail>, usize) {
    match effect {
        Effect::Update | Effect::Replace => {}
        Effect::Create | Effect::Destroy | Effect::Forget | Effect::Import => return (Vec::new(), 0),
    }
    let empty = Map::new();
    let unknown = marks.unknown.as_object().unwrap_or(&empty);
    let mut names: Vec<&String> = before.keys().chain(after.keys()).chain(unknown.keys()).collect();
    names.sort();
    names.dedup();
    let is_unknown = |name: &str| unknown.get(name).is_some_and(value::has_true);
    names.retain(|name| {
        let (before, after) = (before.get(*name).unwrap_or(&Value::Null), after.get(*name).unwrap_or(&Value::Null));
        before != after || is_unknown(name)
    });
    let more = names.len().saturating_sub(DETAILS_MAX);
    let detail = |name: &String| Detail {
        attribute: name.clone(),
        before: value::shown(name, before.get(name), marks.before_sensitive.get(name), &marks.before_sensitive),
        after: match is_unknown(name) {
            true => "(known after apply)".to_owned(),
            false => value::shown(name, after.get(name), marks.after_sensitive.get(name), &marks.after_sensitive),
        },
    };
    (names.into_iter().take(DETAILS_MAX).map(detail).collect(), more)
}
