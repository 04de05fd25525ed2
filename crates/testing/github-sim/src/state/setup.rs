//! How a repository is set up beyond what its issues and branches need: what an admin sees on its settings pages. It begins as GitHub makes
//! a new one.

use std::collections::{BTreeMap, BTreeSet};

/// A repository's settings.
#[derive(Clone, Debug, Default)]
pub struct RepositorySetup {
    /// The plan of its owner, where who asks may see it.
    pub plan: Option<&'static str>,
    /// Every member of the enterprise can read it.
    pub internal: bool,
    /// Nothing can be written to it.
    pub archived: bool,
    /// It has no issues.
    pub no_issues: bool,
    /// Labels that were made.
    pub labels: BTreeSet<&'static str>,
    /// Environments by name.
    pub environments: BTreeMap<&'static str, EnvironmentSetup>,
    /// Actions are off.
    pub actions_off: bool,
    /// Only selected actions may run: those of verified creators or not, and these patterns.
    pub selected_actions: Option<(bool, Vec<&'static str>)>,
    /// The state of every workflow, in GitHub's word; `None`: there is no workflow.
    pub workflow: Option<&'static str>,
    /// What is wrong in `CODEOWNERS`.
    pub code_owner_errors: Vec<&'static str>,
    /// Classic protection of the default branch.
    pub protection: Option<ClassicProtection>,
}

/// An environment.
#[derive(Clone, Debug, Default)]
pub struct EnvironmentSetup {
    /// The branches that may use it, by pattern; `None`: every branch.
    pub branches: Option<Vec<&'static str>>,
    /// Only branches that are protected may.
    pub protected_only: bool,
    /// How many reviewers it needs.
    pub reviewers: usize,
    /// Jobs wait so many minutes.
    pub wait_minutes: u64,
    /// Its secrets' names.
    pub secrets: BTreeSet<&'static str>,
}

/// Classic protection of a branch.
#[derive(Clone, Debug, Default)]
pub struct ClassicProtection {
    /// So many approvals.
    pub approvals: u64,
    /// Code owners must review.
    pub code_owners: bool,
    /// A push leaves earlier reviews as they are.
    pub keeps_stale_reviews: bool,
    /// Logins that need no pull request.
    pub bypass_users: Vec<&'static str>,
    /// It does not bind admins.
    pub spares_admins: bool,
    /// Force pushes are allowed.
    pub force_pushes: bool,
    /// Deletion is allowed.
    pub deletions: bool,
    /// Checks that must have passed.
    pub checks: Vec<&'static str>,
}
