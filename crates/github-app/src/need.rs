//! Features, and what each needs. Everything else in this crate follows from [`Feature::permissions`] and [`Feature::events`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How much a permission allows. GitHub's `admin` exists for few permissions and contains `write`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "GitHub's own words")]
pub enum Access {
    Read,
    Write,
    Admin,
}

impl Access {
    /// GitHub's word in its API. `None` for a word that we do not know.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "read" => Some(Self::Read),
            "write" => Some(Self::Write),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }

    /// GitHub's word in its API and in a manifest.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

/// As GitHub's settings page calls it.
impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "read and write",
            Self::Admin => "admin",
        })
    }
}

/// How much the App shall be able to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AppProfile {
    /// Runners come and go: the permissions that the philips-labs module asks for, without the two that nothing needs.
    Minimal,
    /// Authors are notified why a job does not run, and interrupted jobs may be run again.
    #[default]
    Full,
}

/// Where runners register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AppRunners {
    /// At organisations.
    #[default]
    Organization,
    /// At repositories.
    Repository,
    /// At both.
    Both,
    /// Nowhere: the App is for IssueOps alone.
    None,
}

/// Something that works only with certain permissions or events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// What every App has; GitHub adds it by itself.
    Metadata,
    /// Registering runners at an organisation.
    OrganizationRunners,
    /// Registering runners at a repository.
    RepositoryRunners,
    /// Hearing of jobs, and finding those whose delivery was lost.
    Jobs,
    /// Hearing of jobs from a server that does not send `workflow_job` yet.
    OldServers,
    /// Notifying authors by a check run why their job does not run.
    Notify,
    /// Running a job again whose machine was taken away.
    Rerun,
    /// A webhook of the organisation: made, pointed and its log read by us.
    OrganizationWebhook,
    /// A webhook of a repository: its log read and its deliveries asked for again.
    RepositoryWebhook,
    /// IssueOps by this App: it writes to the control repository and receives events of issues, comments and pull requests.
    IssueOps,
    /// IssueOps that asks who is in a team.
    Teams,
}

impl Feature {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 11] = [
        Self::Metadata,
        Self::OrganizationRunners,
        Self::RepositoryRunners,
        Self::Jobs,
        Self::OldServers,
        Self::Notify,
        Self::Rerun,
        Self::OrganizationWebhook,
        Self::RepositoryWebhook,
        Self::IssueOps,
        Self::Teams,
    ];

    /// A stable word, for JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::OrganizationRunners => "organization_runners",
            Self::RepositoryRunners => "repository_runners",
            Self::Jobs => "jobs",
            Self::OldServers => "old_servers",
            Self::Notify => "tell",
            Self::Rerun => "rerun",
            Self::OrganizationWebhook => "organization_webhook",
            Self::RepositoryWebhook => "repository_webhook",
            Self::IssueOps => "issueops",
            Self::Teams => "teams",
        }
    }

    /// The permissions without which it does not work, by GitHub's API names.
    #[must_use]
    pub const fn permissions(self) -> &'static [(&'static str, Access)] {
        match self {
            Self::Metadata => &[("metadata", Access::Read)],
            // Runner groups are read by the same permission.
            Self::OrganizationRunners => &[("organization_self_hosted_runners", Access::Write)],
            Self::RepositoryRunners => &[("administration", Access::Write)],
            // GitHub lets an App subscribe to `workflow_job` only with this permission.
            Self::Jobs => &[("actions", Access::Read)],
            Self::OldServers => &[("checks", Access::Read)],
            Self::Notify => &[("checks", Access::Write)],
            Self::Rerun => &[("actions", Access::Write)],
            Self::OrganizationWebhook => &[("organization_hooks", Access::Write)],
            Self::RepositoryWebhook => &[("repository_hooks", Access::Write)],
            Self::IssueOps => {
                &[("contents", Access::Write), ("issues", Access::Write), ("pull_requests", Access::Write)]
            }
            Self::Teams => &[("members", Access::Read)],
        }
    }

    /// The events that the App must be subscribed to, if deliveries come by its own webhook.
    #[must_use]
    pub const fn events(self) -> &'static [&'static str] {
        match self {
            Self::Jobs => &["workflow_job"],
            Self::OldServers => &["check_run"],
            Self::IssueOps => &["issue_comment", "issues", "pull_request"],
            Self::Metadata
            | Self::OrganizationRunners
            | Self::RepositoryRunners
            | Self::Notify
            | Self::Rerun
            | Self::OrganizationWebhook
            | Self::RepositoryWebhook
            | Self::Teams => &[],
        }
    }
}

/// For people.
impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Metadata => "what every App has",
            Self::OrganizationRunners => "registering runners of an organisation",
            Self::RepositoryRunners => "registering runners of a repository",
            Self::Jobs => "receiving jobs, and finding those whose delivery was lost",
            Self::OldServers => "receiving jobs from an old server (check_run)",
            Self::Notify => "notifying authors why their job does not run",
            Self::Rerun => "running interrupted jobs again",
            Self::OrganizationWebhook => "a webhook of the organisation",
            Self::RepositoryWebhook => "a webhook of a repository",
            Self::IssueOps => "IssueOps by this App",
            Self::Teams => "IssueOps that asks who is in a team",
        })
    }
}

/// What an App is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent features, each on or off")]
pub struct Needs {
    /// Runners of organisations.
    pub organization_runners: bool,
    /// Runners of repositories.
    pub repository_runners: bool,
    /// Authors are notified.
    pub notify: bool,
    /// Interrupted jobs are run again.
    pub rerun: bool,
    /// A server that sends `check_run` only.
    pub old_servers: bool,
    /// The App writes to the control repository.
    pub issueops: bool,
    /// Deliveries come by the App's own webhook; otherwise it needs no events.
    pub app_webhook: bool,
    /// Deliveries come by a webhook of the organisation.
    pub organization_webhook: bool,
    /// Deliveries come by a webhook of a repository.
    pub repository_webhook: bool,
}

impl Needs {
    /// What a profile means for these runners, with deliveries by the App's own webhook.
    #[must_use]
    pub const fn new(profile: AppProfile, runners: AppRunners) -> Self {
        let any = !matches!(runners, AppRunners::None);
        let full = matches!(profile, AppProfile::Full) && any;
        Self {
            organization_runners: matches!(runners, AppRunners::Organization | AppRunners::Both),
            repository_runners: matches!(runners, AppRunners::Repository | AppRunners::Both),
            notify: full,
            rerun: full,
            old_servers: false,
            issueops: false,
            app_webhook: true,
            organization_webhook: false,
            repository_webhook: false,
        }
    }

    /// Whether a feature is needed.
    #[must_use]
    pub const fn wants(&self, feature: Feature) -> bool {
        match feature {
            Feature::Metadata => true,
            Feature::OrganizationRunners => self.organization_runners,
            Feature::RepositoryRunners => self.repository_runners,
            Feature::Jobs => self.organization_runners || self.repository_runners,
            Feature::OldServers => self.old_servers,
            Feature::Notify => self.notify,
            Feature::Rerun => self.rerun,
            Feature::OrganizationWebhook => self.organization_webhook,
            Feature::RepositoryWebhook => self.repository_webhook,
            Feature::IssueOps | Feature::Teams => self.issueops,
        }
    }

    /// The permissions that are needed and nothing more, by GitHub's API names.
    #[must_use]
    pub fn permissions(&self) -> BTreeMap<&'static str, Access> {
        let mut all = BTreeMap::new();
        let wanted = Feature::ALL.into_iter().filter(|feature| self.wants(*feature));
        for (name, access) in wanted.flat_map(|feature| feature.permissions().iter().copied()) {
            let present = all.entry(name).or_insert(access);
            *present = access.max(*present);
        }
        all
    }

    /// The events that the App must be subscribed to.
    #[must_use]
    pub fn events(&self) -> BTreeSet<&'static str> {
        if !self.app_webhook {
            return BTreeSet::new();
        }
        let wanted = Feature::ALL.into_iter().filter(|feature| self.wants(*feature));
        wanted.flat_map(|feature| feature.events().iter().copied()).collect()
    }
}

/// What the settings page of an App calls a permission: its group and its name. A name that we do not know is shown as it is.
#[must_use]
pub fn label(permission: &str) -> String {
    let (group, name) = match permission {
        "actions" => ("Repository", "Actions"),
        "administration" => ("Repository", "Administration"),
        "checks" => ("Repository", "Checks"),
        "contents" => ("Repository", "Contents"),
        "issues" => ("Repository", "Issues"),
        "metadata" => ("Repository", "Metadata"),
        "pull_requests" => ("Repository", "Pull requests"),
        "repository_hooks" => ("Repository", "Webhooks"),
        "members" => ("Organization", "Members"),
        "organization_administration" => ("Organization", "Administration"),
        "organization_hooks" => ("Organization", "Webhooks"),
        "organization_self_hosted_runners" => ("Organization", "Self-hosted runners"),
        other => return other.to_owned(),
    };
    format!("{group}: {name}")
}
