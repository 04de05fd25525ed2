//! An issue's body becomes a request: first the fields as they were given, then values with types.
//!
//! Two steps, because they fail differently. The first knows only the two forms in which a body can be written (GitHub's
//! issue forms and the philips-labs module's JSON block) and is bounded in size; it believes nothing. The second checks each value by the
//! platform policy and by what exists. Both answer with all problems at once, each with what was given, what is allowed
//! and an example; a request with a problem creates nothing.

mod body;
mod validate;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use body::{BODY_BYTES_MAX, parse};
pub use validate::{Known, is_common_label, validate};

pub use crate::policy::Network;
pub use crate::words::{
    AmiOwner, AmiPattern, EnvironmentName, GroupName, InstanceType, LabelName, NotAName, Organization,
};

/// What an issue asks for; its label says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// Create an environment, or edit one.
    Set,
    /// Delete one.
    Delete,
}

impl RequestKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Set, Self::Delete];

    /// The issue's label, as in the philips-labs module.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Set => "self-hosted-runner-scale-set",
            Self::Delete => "delete-self-hosted-runner-scale-set",
        }
    }

    /// Which kind an issue with these labels is; `None`: none of ours, or both.
    #[must_use]
    pub fn of_labels<'a>(labels: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut found = BTreeSet::new();
        for label in labels {
            found.extend(Self::ALL.iter().position(|kind| kind.label().eq_ignore_ascii_case(label)));
        }
        match found.len() {
            1 => found.first().map(|place| Self::ALL[*place]),
            _ => None,
        }
    }

    /// What can be given in such a request.
    #[must_use]
    pub const fn fields(self) -> &'static [Field] {
        match self {
            Self::Set => &Field::ALL,
            Self::Delete => &[Field::Environment, Field::Reason],
        }
    }
}

/// A field of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// The environment's name.
    Environment,
    /// The organisation that the runners are for.
    Organization,
    /// Idle runners to keep at all times.
    MinRunners,
    /// The most runners.
    MaxRunners,
    /// The runner group.
    RunnerGroup,
    /// A pattern over image names.
    AmiFilter,
    /// The image's owner.
    AmiOwner,
    /// Labels beside those that every environment has.
    Labels,
    /// The machine's type.
    InstanceType,
    /// Where.
    Region,
    /// Why it is wanted; for people, used nowhere.
    Reason,
}

impl Field {
    /// All of them, in the order of the form.
    pub const ALL: [Self; 11] = [
        Self::Environment,
        Self::Organization,
        Self::MinRunners,
        Self::MaxRunners,
        Self::RunnerGroup,
        Self::AmiFilter,
        Self::AmiOwner,
        Self::Labels,
        Self::InstanceType,
        Self::Region,
        Self::Reason,
    ];

    /// The key in the JSON block; the first seven are the philips-labs module's.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Organization => "organization",
            Self::MinRunners => "minRunners",
            Self::MaxRunners => "maxRunners",
            Self::RunnerGroup => "runnerGroup",
            Self::AmiFilter => "amiFilter",
            Self::AmiOwner => "amiOwner",
            Self::Labels => "labels",
            Self::InstanceType => "instanceType",
            Self::Region => "region",
            Self::Reason => "reason",
        }
    }

    /// The heading in the issue form.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Environment => "Environment",
            Self::Organization => "Organization",
            Self::MinRunners => "Idle runners",
            Self::MaxRunners => "Maximum runners",
            Self::RunnerGroup => "Runner group",
            Self::AmiFilter => "Image filter",
            Self::AmiOwner => "Image owner",
            Self::Labels => "Extra labels",
            Self::InstanceType => "Instance type",
            Self::Region => "Region",
            Self::Reason => "Reason",
        }
    }

    /// The field with this title or key, compared without case.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|field| field.title().eq_ignore_ascii_case(text) || field.key().eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title())
    }
}

/// The fields as they were given; nothing about them is believed. Empty ones are left out.
pub type Given = BTreeMap<Field, String>;

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestProblem {
    /// The field's title, or "Issue" for the body as a whole.
    pub field: String,
    /// What was given, cut to 80 characters, with what cannot be seen made visible; empty: nothing.
    pub given: String,
    /// What is allowed, as a sentence without its full stop.
    pub allowed: String,
    /// What would be accepted; empty: nothing can be shown.
    pub example: String,
}

impl RequestProblem {
    pub(crate) fn of(field: Field, given: &str, allowed: impl Into<String>, example: impl Into<String>) -> Self {
        Self {
            field: field.title().to_owned(),
            given: crate::words::shown(given),
            allowed: allowed.into(),
            example: example.into(),
        }
    }

    pub(crate) fn of_issue(given: &str, allowed: impl Into<String>) -> Self {
        Self {
            field: "Issue".to_owned(),
            given: crate::words::shown(given),
            allowed: allowed.into(),
            example: String::new(),
        }
    }
}

/// A request that cannot be handled: all that is wrong with it; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request has {} to be fixed", count(.0.len()))]
pub struct Refused(pub Vec<RequestProblem>);

fn count(n: usize) -> String {
    if n == 1 { "a field".to_owned() } else { format!("{n} fields") }
}

/// Images that machines start from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ami {
    /// A pattern over names; `None`: the module's default image.
    pub filter: Option<AmiPattern>,
    /// Who owns it.
    pub owner: AmiOwner,
}

/// A wanted environment. Only [`validate`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetRequest {
    pub(crate) environment: EnvironmentName,
    pub(crate) organization: Organization,
    pub(crate) floor: u32,
    pub(crate) maximum: u32,
    pub(crate) group: GroupName,
    pub(crate) labels: Vec<LabelName>,
    pub(crate) ami: Ami,
    pub(crate) instance_type: InstanceType,
    pub(crate) network: Network,
    pub(crate) is_edit: bool,
}

impl SetRequest {
    /// The environment's name.
    #[must_use]
    pub const fn environment(&self) -> &EnvironmentName {
        &self.environment
    }
    /// Whom the runners are for.
    #[must_use]
    pub const fn organization(&self) -> &Organization {
        &self.organization
    }
    /// Idle runners kept at all times; at most [`Self::maximum`].
    #[must_use]
    pub const fn floor(&self) -> u32 {
        self.floor
    }
    /// The most runners; at least 1.
    #[must_use]
    pub const fn maximum(&self) -> u32 {
        self.maximum
    }
    /// The group, in the policy's spelling.
    #[must_use]
    pub const fn group(&self) -> &GroupName {
        &self.group
    }
    /// Labels beside `self-hosted`: the common ones, the environment's name, then those asked for.
    #[must_use]
    pub fn labels(&self) -> &[LabelName] {
        &self.labels
    }
    /// The image.
    #[must_use]
    pub const fn ami(&self) -> &Ami {
        &self.ami
    }
    /// The machine's type.
    #[must_use]
    pub const fn instance_type(&self) -> &InstanceType {
        &self.instance_type
    }
    /// Where machines run.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }
    /// Whether the environment is there already.
    #[must_use]
    pub const fn is_edit(&self) -> bool {
        self.is_edit
    }
}

/// A request whose every value was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Create or edit.
    Set(Box<SetRequest>),
    /// Delete.
    Delete(EnvironmentName),
}

impl Request {
    /// Which environment.
    #[must_use]
    pub fn environment(&self) -> &EnvironmentName {
        match self {
            Self::Set(set) => &set.environment,
            Self::Delete(environment) => environment,
        }
    }
}
