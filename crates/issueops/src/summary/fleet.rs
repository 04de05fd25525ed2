//! The change as the fleet sees it: how many machines, for which jobs, for whom. It is read from the values files of both
//! sides and not from the plan, since a plan shows environment variables of functions and not what they mean.

use std::collections::BTreeSet;

use serde::Deserialize;

/// An environment's fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentFleet {
    /// The most runners.
    pub maximum: u32,
    /// Idle runners that are kept at all times, or at most at some time.
    pub floor: u32,
    /// Labels, in lower case, `self-hosted` among them.
    pub labels: BTreeSet<String>,
    /// The runner group.
    pub group: String,
    /// The organisation.
    pub organization: String,
    /// The machine's type.
    pub instance_type: String,
    /// The region.
    pub region: String,
}

/// Why a values file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("read the values of an environment")]
pub struct ValuesError(#[from] serde_json::Error);

#[derive(Deserialize)]
struct Values {
    #[serde(default)]
    aws_region: String,
    #[serde(default)]
    idle_config: Vec<Idle>,
    #[serde(default)]
    instance_type: Option<String>,
    #[serde(default)]
    organization: Option<String>,
    #[serde(default)]
    runner_extra_labels: String,
    #[serde(default)]
    runner_group_name: Option<String>,
    #[serde(default)]
    runners_maximum_count: Option<u32>,
}

#[derive(Deserialize)]
struct Idle {
    #[serde(rename = "idleCount", default)]
    count: u32,
}

impl EnvironmentFleet {
    /// Reads a `terraform.tfvars.json`, ours or one that was edited; what is not in it has the module's default.
    ///
    /// # Errors
    /// When it is not JSON of the needed form.
    pub fn of_values(json: &str) -> Result<Self, ValuesError> {
        let values: Values = serde_json::from_str(json)?;
        let labels = values.runner_extra_labels.split(',').map(|label| label.trim().to_lowercase());
        Ok(Self {
            maximum: values.runners_maximum_count.unwrap_or(3),
            floor: values.idle_config.iter().map(|idle| idle.count).max().unwrap_or(0),
            labels: labels.filter(|label| !label.is_empty()).chain(["self-hosted".to_owned()]).collect(),
            group: values.runner_group_name.unwrap_or_else(|| "Default".to_owned()),
            organization: values.organization.unwrap_or_default(),
            instance_type: values.instance_type.unwrap_or_else(|| "m5.large".to_owned()),
            region: values.aws_region,
        })
    }
}

/// Who may use a runner group, as GitHub says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupAccess {
    /// Every repository of the organisation; public ones too, if so allowed.
    All {
        /// Whether public repositories may use it: anybody's pull request may then run there.
        public: bool,
    },
    /// Some repositories.
    Selected {
        /// Their names.
        repositories: Vec<String>,
        /// Whether public repositories may use it.
        public: bool,
    },
    /// GitHub has no group of this name; the runners could not register.
    Missing,
    /// It could not be read.
    Unknown,
}

/// Both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetChange {
    /// What is there; `None`: nothing yet.
    pub before: Option<EnvironmentFleet>,
    /// What will be; `None`: nothing any more.
    pub after: Option<EnvironmentFleet>,
    /// Who may use the group afterwards.
    pub access: GroupAccess,
}

impl FleetChange {
    /// Labels that match jobs afterwards and did not before.
    #[must_use]
    pub fn labels_gained(&self) -> Vec<&str> {
        Self::less(self.after.as_ref(), self.before.as_ref())
    }

    /// Labels that matched jobs before and do not afterwards: such jobs would wait forever.
    #[must_use]
    pub fn labels_lost(&self) -> Vec<&str> {
        Self::less(self.before.as_ref(), self.after.as_ref())
    }

    fn less<'a>(all: Option<&'a EnvironmentFleet>, without: Option<&EnvironmentFleet>) -> Vec<&'a str> {
        let Some(all) = all else { return Vec::new() };
        let is_left = |label: &&String| without.is_none_or(|without| !without.labels.contains(*label));
        all.labels.iter().filter(is_left).map(String::as_str).collect()
    }
}
