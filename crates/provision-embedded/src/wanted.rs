//! What an environment's values ask for, as far as runners that are processes of this host can give it.

use std::collections::BTreeSet;

use runnersmith_plan::schedule;
use runnersmith_types::{Label, MinIdleEntry, Owner, RunnerGroupName, RunnerScope, ScaleSet, ScaleSetName};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The label that every runner has, as with GitHub's own script.
const SELF_HOSTED: &str = "self-hosted";

/// What is wanted. Its fields have the names of the values file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wanted {
    pub environment: String,
    pub organization: String,
    /// Beyond `self-hosted`.
    pub labels: BTreeSet<String>,
    pub runner_group_name: String,
    pub runners_maximum_count: u32,
    pub idle_config: Vec<Idle>,
}

/// A period in which idle runners are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Idle {
    pub cron: String,
    pub time_zone: String,
    pub idle_count: u32,
}

/// The values file. What is about AWS (network, image, instance type) means nothing here.
#[derive(Deserialize)]
struct Values {
    environment: String,
    #[serde(default)]
    organization: Option<String>,
    #[serde(default = "yes")]
    enable_organization_runners: bool,
    #[serde(default)]
    runner_extra_labels: String,
    #[serde(default)]
    runner_group_name: Option<String>,
    #[serde(default)]
    runners_maximum_count: Option<u32>,
    #[serde(default)]
    idle_config: Vec<Idle>,
}

const fn yes() -> bool {
    true
}

impl Wanted {
    /// Reads a values file. What is not in it has the module's default.
    ///
    /// The error is for people; it can quote what was given, escaped.
    pub fn of_values(json: &[u8], environment: &str) -> Result<Self, String> {
        let values: Values =
            serde_json::from_slice(json).map_err(|error| format!("the values cannot be read: {error}"))?;
        if values.environment != environment {
            return Err(format!(
                "the values are those of the environment {:?}, not of {environment:?}",
                values.environment
            ));
        }
        if !values.enable_organization_runners {
            return Err("runners of a repository are not possible here; set enable_organization_runners".to_owned());
        }
        let labels = values.runner_extra_labels.split(',').map(|label| label.trim().to_lowercase());
        let wanted = Self {
            environment: values.environment,
            organization: values.organization.ok_or("organization is needed: where the runners register")?,
            labels: labels.filter(|label| !label.is_empty() && label != SELF_HOSTED).collect(),
            runner_group_name: values.runner_group_name.unwrap_or_else(|| "Default".to_owned()),
            runners_maximum_count: values.runners_maximum_count.unwrap_or(3),
            idle_config: values.idle_config,
        };
        wanted.scale_set()?;
        Ok(wanted)
    }

    /// As a scale set, every name checked.
    pub fn scale_set(&self) -> Result<ScaleSet, String> {
        let said = |error: runnersmith_types::ParseError| error.to_string();
        let name = ScaleSetName::parse(&self.environment).map_err(said)?;
        let labels = self.labels.iter().map(String::as_str).chain([SELF_HOSTED]);
        let labels: Result<BTreeSet<Label>, _> = labels.map(Label::of_set).collect();
        let mut set = ScaleSet::new(name, labels.map_err(said)?);
        set.scope.at = Some(RunnerScope::Organization(Owner::parse(&self.organization).map_err(said)?));
        set.group = RunnerGroupName::parse(&self.runner_group_name).map_err(said)?;
        if !(1..=10_000).contains(&self.runners_maximum_count) {
            return Err(format!("runners_maximum_count is {}; 1 to 10000 are possible", self.runners_maximum_count));
        }
        set.runners_max = self.runners_maximum_count;
        for idle in &self.idle_config {
            let entry = MinIdleEntry::Cron {
                cron: idle.cron.clone(),
                time_zone: idle.time_zone.clone(),
                count: idle.idle_count,
            };
            schedule::validate(&entry).map_err(|error| format!("idle_config: {error}"))?;
            set.min_idle.push(entry);
        }
        Ok(set)
    }
}

/// A set as attributes of a resource: flat, so that a change of one is shown as one.
pub(crate) fn attributes(set: &ScaleSet) -> Map<String, Value> {
    let labels: Vec<&str> = set.labels.iter().map(Label::as_str).collect();
    let min_idle = set.min_idle.iter().map(|entry| match entry {
        MinIdleEntry::Cron { cron, time_zone, count } => format!("{count} at {cron} {time_zone}"),
        MinIdleEntry::Window { from_minute, to_minute, time_zone, count, .. } => {
            format!("{count} from minute {from_minute} to {to_minute} {time_zone}")
        }
    });
    let organization = set.scope.at.as_ref().map(|at| match at {
        RunnerScope::Organization(owner) | RunnerScope::Enterprise(owner) => owner.to_string(),
        RunnerScope::Repository(repository) => repository.to_string(),
    });
    let attributes = [
        ("environment", json!(set.name.as_str())),
        ("ephemeral", json!(set.ephemeral)),
        ("idle_config", json!(min_idle.collect::<Vec<_>>().join("; "))),
        ("labels", json!(labels.join(","))),
        ("machines", json!("processes of the host on which runnersmith runs")),
        ("organization", json!(organization)),
        ("runner_group_name", json!(set.group.as_str())),
        ("runners_maximum_count", json!(set.runners_max)),
    ];
    attributes.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
}
