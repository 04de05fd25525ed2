//! A plan as it is stored: the file that is applied, and everything that its comment is made from. One sealed record, so that
//! what was shown and what is applied cannot come apart.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runnersmith_issueops::comment::Layout;
use runnersmith_issueops::render::Difference;
use runnersmith_issueops::summary::{Fleet, FleetChange, GroupAccess, Summary};
use serde::{Deserialize, Serialize};

use crate::reconciler::ReconcileError;

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
    file: String,
    json: String,
    /// What `terraform show` says.
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
    pub json: &'a [u8],
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
            file: STANDARD.encode(made.file),
            json: STANDARD.encode(made.json),
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
        let json = STANDARD.decode(&self.json).map_err(|_| Self::broken("its JSON"))?;
        Summary::read(&json).map_err(|error| Self::broken(&error.to_string()))
    }

    /// Where it is shown.
    pub(crate) fn layout(&self, summary: &Summary) -> Result<Layout, ReconcileError> {
        Layout::of(summary, &self.text).map_err(|error| Self::broken(&error.to_string()))
    }

    /// What it means for the fleet. Values that somebody edited so that they cannot be read are shown as none.
    pub(crate) fn fleet(&self) -> FleetChange {
        let read = |values: &Option<String>| values.as_deref().and_then(|text| Fleet::of_values(text).ok());
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
