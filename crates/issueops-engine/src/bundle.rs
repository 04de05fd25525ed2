//! A plan as it is stored: the file that is applied, and everything that its comment is made from. One sealed record, so that
//! what was shown and what is applied cannot come apart.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runnersmith_issueops::comment::Layout;
use runnersmith_issueops::render::Difference;
use runnersmith_issueops::summary::{EnvironmentFleet, FleetChange, GroupAccess, Summary};
use runnersmith_types::RecordVersion;
use serde::{Deserialize, Serialize};

use crate::error::ReconcileError;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Access {
    All { public: bool },
    Selected { repositories: Vec<String>, public: bool },
    Missing,
    Unknown,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Differs {
    Missing(String),
    Changed(String),
    Extra(String),
}

/// A plan as it is stored.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Bundle {
    /// The form of this record. The first had no summary.
    #[serde(default)]
    record_version: RecordVersion<2>,
    file: String,
    /// What it would do; `None` when a version that stored [`Self::json`] wrote it.
    #[serde(default)]
    summary: Option<Summary>,
    /// What `terraform show -json` wrote, in Base64. Versions up to 0.1.0 stored that instead of the summary; it is read and
    /// not written.
    #[serde(default, skip_serializing)]
    json: String,
    /// The plan as people read it.
    pub text: String,
    /// The values file before; `None`: the environment is new.
    before: Option<String>,
    /// The values file after; `None`: it goes.
    after: Option<String>,
    access: Access,
    differences: Vec<Differs>,
    /// Where the long text lies, for people.
    pub place: Option<String>,
}

/// What a bundle is made from.
pub(crate) struct Made<'a> {
    pub file: &'a [u8],
    pub summary: &'a Summary,
    pub text: String,
    pub before: Option<String>,
    pub after: Option<String>,
    pub access: GroupAccess,
    pub differences: &'a [Difference],
}

impl Bundle {
    pub(crate) fn new(made: Made<'_>) -> Self {
        let access = match made.access {
            GroupAccess::All { public } => Access::All { public },
            GroupAccess::Selected { repositories, public } => Access::Selected { repositories, public },
            GroupAccess::Missing => Access::Missing,
            GroupAccess::Unknown => Access::Unknown,
        };
        let differences = made.differences.iter().map(|difference| match difference {
            Difference::Missing(path) => Differs::Missing(path.clone()),
            Difference::Changed(path) => Differs::Changed(path.clone()),
            Difference::Extra(path) => Differs::Extra(path.clone()),
        });
        Self {
            record_version: RecordVersion::CURRENT,
            file: STANDARD.encode(made.file),
            summary: Some(made.summary.clone()),
            json: String::new(),
            text: made.text,
            before: made.before,
            after: made.after,
            access,
            differences: differences.collect(),
            place: None,
        }
    }

    fn broken(what: &str) -> ReconcileError {
        ReconcileError::Internal(format!("a stored plan cannot be read: {what}"))
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, ReconcileError> {
        serde_json::from_slice(bytes).map_err(|error| Self::broken(&error.to_string()))
    }

    pub(crate) fn write(&self) -> Result<Vec<u8>, ReconcileError> {
        serde_json::to_vec(self).map_err(|error| Self::broken(&error.to_string()))
    }

    /// The plan file.
    pub(crate) fn file(&self) -> Result<Vec<u8>, ReconcileError> {
        STANDARD.decode(&self.file).map_err(|_| Self::broken("its file"))
    }

    /// What it would do.
    pub(crate) fn summary(&self) -> Result<Summary, ReconcileError> {
        if let Some(summary) = &self.summary {
            return Ok(summary.clone());
        }
        let json = STANDARD.decode(&self.json).map_err(|_| Self::broken("its JSON"))?;
        Summary::of_show_json(&json).map_err(|error| Self::broken(&error.to_string()))
    }

    /// Where it is shown.
    pub(crate) fn layout(&self, summary: &Summary) -> Result<Layout, ReconcileError> {
        Layout::of(summary, &self.text).map_err(|error| Self::broken(&error.to_string()))
    }

    /// What it means for the fleet. Values that somebody edited so that they cannot be read are shown as none.
    pub(crate) fn fleet(&self) -> FleetChange {
        let read = |values: &Option<String>| values.as_deref().and_then(|text| EnvironmentFleet::of_values(text).ok());
        let access = match self.access.clone() {
            Access::All { public } => GroupAccess::All { public },
            Access::Selected { repositories, public } => GroupAccess::Selected { repositories, public },
            Access::Missing => GroupAccess::Missing,
            Access::Unknown => GroupAccess::Unknown,
        };
        FleetChange { before: read(&self.before), after: read(&self.after), access }
    }

    /// How the branch differs from the request.
    pub(crate) fn differences(&self) -> Vec<Difference> {
        let back = |differs: &Differs| match differs {
            Differs::Missing(path) => Difference::Missing(path.clone()),
            Differs::Changed(path) => Difference::Changed(path.clone()),
            Differs::Extra(path) => Difference::Extra(path.clone()),
        };
        self.differences.iter().map(back).collect()
    }
}

#[cfg(test)]
mod tests {
    use runnersmith_types::Secret;

    use super::*;
    use crate::seal::Seal;

    /// The plans that version e2c886d has stored, opened.
    fn stored() -> Vec<Bundle> {
        let path = format!("{}/../testing/fixtures/e2c886d/changes/shelf.jsonl", env!("CARGO_MANIFEST_DIR"));
        let seal = Seal::new(&Secret::new("k".repeat(44))).unwrap();
        let lines = std::fs::read_to_string(path).unwrap();
        let lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let plans = lines.filter(|line| line["key"].as_str().unwrap().ends_with(".plan"));
        let open = |line: serde_json::Value| {
            let sealed = STANDARD.decode(line["base64"].as_str().unwrap()).unwrap();
            Bundle::read(&seal.open(line["key"].as_str().unwrap(), &sealed).unwrap()).unwrap()
        };
        plans.map(open).collect()
    }

    #[test]
    fn a_plan_that_an_earlier_version_stored_as_terraforms_json_says_the_same_when_it_is_stored_as_its_summary() {
        let plans = stored();
        assert_eq!(plans.len(), 3);
        for bundle in plans {
            assert!(bundle.summary.is_none() && !bundle.json.is_empty());
            let summary = bundle.summary().unwrap();
            assert_eq!((summary.terraform_version.as_str(), summary.changes.len()), ("1.14.0", 1));
            let made = Made {
                file: &bundle.file().unwrap(),
                summary: &summary,
                text: bundle.text.clone(),
                before: None,
                after: None,
                access: GroupAccess::Unknown,
                differences: &[],
            };
            let written = Bundle::new(made).write().unwrap();
            assert!(!String::from_utf8(written.clone()).unwrap().contains("\"json\""));
            let again = Bundle::read(&written).unwrap();
            assert_eq!(again.summary().unwrap(), summary);
            assert_eq!(again.layout(&summary).unwrap().digests(), bundle.layout(&summary).unwrap().digests());
        }
    }
}
