//! A control repository's settings, as somebody reads them who looks whether they are right. Nothing is changed here, and no fleet in
//! operation asks for any of it.
//!
//! Most of it is shown to admins only: who may not ask is answered by 403, and now and then by 404. What that means is the caller's.

mod protection;

use runnersmith_ports::GitHubError;
use serde::Deserialize;

use crate::access::As;
use crate::answer::if_there;
use crate::control::{ControlClient, PAGES_MAX, escape_value};
use crate::control_wire::FullRepository;
use crate::operations as op;
use crate::pages::Page;
use crate::wire::Named;

pub use protection::{BypassView, ProtectionSource, ProtectionView};

/// The repository itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryView {
    /// `owner/name` in GitHub's spelling.
    pub full_name: String,
    /// The default branch.
    pub default_branch: String,
    /// Who can read it.
    pub visibility: RepositoryVisibility,
    /// Nothing can be written to it.
    pub is_archived: bool,
    /// It has issues.
    pub has_issues: bool,
    /// An organisation's, not a person's.
    pub is_organizations: bool,
}

/// Who can read a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepositoryVisibility {
    /// Anybody.
    Public,
    /// Every member of the enterprise; GitHub calls it `private` as well.
    Internal,
    /// Who was let in.
    Private,
}

/// An environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentView {
    /// Its name.
    pub name: String,
    /// Which branches may use it.
    pub branches: BranchPolicy,
    /// How many people or teams may let a job go on, one of whom must.
    pub reviewers: usize,
    /// How long jobs wait, in minutes.
    pub wait_minutes: u64,
}

/// Which branches may use an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BranchPolicy {
    /// Every one.
    All,
    /// Those that are protected.
    Protected,
    /// Those of a list.
    Listed,
}

/// What Actions may run in the repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionsView {
    /// Whether anything may run.
    pub is_enabled: bool,
    /// GitHub's word: `all`, `local_only`, `selected`.
    pub allowed: String,
    /// Of selected ones: those of creators whom GitHub has verified.
    pub verified: bool,
    /// Of selected ones: these patterns.
    pub patterns: Vec<String>,
}

#[derive(Deserialize)]
struct WireEnvironments {
    total_count: Option<u64>,
    #[serde(default)]
    environments: Vec<WireEnvironment>,
}

#[derive(Deserialize)]
struct WireEnvironment {
    name: String,
    #[serde(default)]
    protection_rules: Vec<WireRule>,
    deployment_branch_policy: Option<WirePolicy>,
}

#[derive(Deserialize)]
struct WireRule {
    #[serde(default)]
    wait_timer: Option<u64>,
    #[serde(default)]
    reviewers: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct WirePolicy {
    custom_branch_policies: bool,
}

impl From<WireEnvironment> for EnvironmentView {
    fn from(found: WireEnvironment) -> Self {
        Self {
            name: found.name,
            branches: match found.deployment_branch_policy {
                None => BranchPolicy::All,
                Some(WirePolicy { custom_branch_policies: true }) => BranchPolicy::Listed,
                Some(WirePolicy { custom_branch_policies: false }) => BranchPolicy::Protected,
            },
            reviewers: found.protection_rules.iter().map(|rule| rule.reviewers.len()).sum(),
            wait_minutes: found.protection_rules.iter().filter_map(|rule| rule.wait_timer).sum(),
        }
    }
}

impl Page for WireEnvironments {
    type Item = WireEnvironment;
    fn total(&self) -> Option<u64> {
        self.total_count
    }
    fn items(self) -> Vec<WireEnvironment> {
        self.environments
    }
}

#[derive(Deserialize)]
struct BranchPolicies {
    total_count: Option<u64>,
    #[serde(default)]
    branch_policies: Vec<NamedPolicy>,
}

#[derive(Deserialize)]
struct NamedPolicy {
    #[serde(default)]
    name: String,
    // `branch` or `tag`; earlier servers know no tags.
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

impl Page for BranchPolicies {
    type Item = NamedPolicy;
    fn total(&self) -> Option<u64> {
        self.total_count
    }
    fn items(self) -> Vec<NamedPolicy> {
        self.branch_policies
    }
}

#[derive(Deserialize)]
struct Secrets {
    total_count: Option<u64>,
    secrets: Vec<Named>,
}

impl Page for Secrets {
    type Item = Named;
    fn total(&self) -> Option<u64> {
        self.total_count
    }
    fn items(self) -> Vec<Named> {
        self.secrets
    }
}

#[derive(Deserialize)]
struct WireActions {
    enabled: bool,
    #[serde(default)]
    allowed_actions: String,
}

#[derive(Deserialize)]
struct Selected {
    #[serde(default)]
    verified_allowed: bool,
    #[serde(default)]
    patterns_allowed: Vec<String>,
}

#[derive(Deserialize)]
struct TokenSettings {
    can_approve_pull_request_reviews: bool,
}

#[derive(Deserialize)]
struct WorkflowState {
    state: String,
}

#[derive(Deserialize)]
struct CodeOwnerErrors {
    errors: Vec<CodeOwnerError>,
}

#[derive(Deserialize)]
struct CodeOwnerError {
    line: u64,
    message: String,
}

#[derive(Deserialize)]
struct WithPlan {
    plan: Option<Named>,
}

impl ControlClient {
    fn of_settings(&self, what: &str) -> String {
        format!("{what} of {}", self.repo)
    }

    /// The repository.
    ///
    /// # Errors
    /// As any call.
    pub async fn view(&self) -> Result<RepositoryView, GitHubError> {
        let FullRepository { full_name, default_branch, owner, private, visibility, archived, has_issues, .. } =
            self.repository().await?;
        Ok(RepositoryView {
            full_name,
            default_branch,
            visibility: match (private, visibility.as_deref()) {
                (false, _) => RepositoryVisibility::Public,
                (true, Some("internal")) => RepositoryVisibility::Internal,
                (true, _) => RepositoryVisibility::Private,
            },
            is_archived: archived,
            has_issues,
            is_organizations: owner.kind == "Organization",
        })
    }

    /// The plan of the owner, an organisation, in GitHub's word (`free`, `team`, `enterprise`, …); `None` where it is not shown: only the
    /// organisation's owners, and Apps with a permission for it, see it.
    ///
    /// # Errors
    /// As any call.
    pub async fn plan(&self) -> Result<Option<String>, GitHubError> {
        let owner = self.repo.owner();
        let (who, path) = (As::organization(&owner), format!("/orgs/{owner}"));
        let found: WithPlan = self.organization.call(op::ORGANIZATION, who, &path, owner.as_str(), None).await?;
        Ok(found.plan.map(|plan| plan.name))
    }

    /// Whether there is such a label.
    ///
    /// # Errors
    /// As any call.
    pub async fn has_label(&self, name: &str) -> Result<bool, GitHubError> {
        let rest = format!("/labels/{}", escape_value(name));
        let found = self.read::<Named>(op::LABEL, &rest, &self.subject("label", name)).await;
        Ok(if_there(found)?.is_some())
    }

    /// All environments.
    ///
    /// # Errors
    /// As any call; `NotFound` also where the owner's plan has none.
    pub async fn environments(&self) -> Result<Vec<EnvironmentView>, GitHubError> {
        let subject = self.of_settings("environments");
        let found = self.paged::<WireEnvironments>(op::ENVIRONMENTS, "/environments", &subject).await?;
        Ok(found.into_iter().map(EnvironmentView::from).collect())
    }

    /// The branches and tags that may use an environment whose policy lists them, by pattern; tags as `tag NAME`.
    ///
    /// # Errors
    /// As any call.
    pub async fn environment_branches(&self, environment: &str) -> Result<Vec<String>, GitHubError> {
        let rest = format!("/environments/{}/deployment-branch-policies", escape_value(environment));
        let subject = self.subject("branches of environment", environment);
        let found = self.paged::<BranchPolicies>(op::ENVIRONMENT_BRANCHES, &rest, &subject).await?;
        let shown = |policy: NamedPolicy| match policy.kind.as_deref() {
            Some("tag") => format!("tag {}", policy.name),
            _ => policy.name,
        };
        Ok(found.into_iter().map(shown).collect())
    }

    /// The names of an environment's secrets.
    ///
    /// # Errors
    /// As any call.
    pub async fn environment_secrets(&self, environment: &str) -> Result<Vec<String>, GitHubError> {
        let rest = format!("/environments/{}/secrets", escape_value(environment));
        let subject = self.subject("secrets of environment", environment);
        let found = self.paged::<Secrets>(op::ENVIRONMENT_SECRETS, &rest, &subject).await?;
        Ok(found.into_iter().map(|secret| secret.name).collect())
    }

    /// What Actions may run.
    ///
    /// # Errors
    /// As any call.
    pub async fn actions(&self) -> Result<ActionsView, GitHubError> {
        let subject = self.of_settings("actions");
        let found: WireActions = self.read(op::ACTIONS, "/actions/permissions", &subject).await?;
        let mut view =
            ActionsView { is_enabled: found.enabled, allowed: found.allowed_actions, ..ActionsView::default() };
        if view.allowed == "selected" {
            let rest = "/actions/permissions/selected-actions";
            let selected: Selected = self.read(op::ACTIONS_SELECTED, rest, &subject).await?;
            (view.verified, view.patterns) = (selected.verified_allowed, selected.patterns_allowed);
        }
        Ok(view)
    }

    /// Whether a workflow's own token may open pull requests.
    ///
    /// # Errors
    /// As any call.
    pub async fn token_opens_pulls(&self) -> Result<bool, GitHubError> {
        let subject = self.of_settings("permissions of workflows");
        let found: TokenSettings = self.read(op::ACTIONS_TOKEN, "/actions/permissions/workflow", &subject).await?;
        Ok(found.can_approve_pull_request_reviews)
    }

    /// The state of a workflow by its file's name, in GitHub's word: `active`, `disabled_manually`, `disabled_inactivity` and others.
    /// `None`: the default branch has none.
    ///
    /// # Errors
    /// As any call.
    pub async fn workflow_state(&self, file: &str) -> Result<Option<String>, GitHubError> {
        let rest = format!("/actions/workflows/{}", escape_value(file));
        let found = self.read::<WorkflowState>(op::WORKFLOW, &rest, &self.subject("workflow", file)).await;
        Ok(if_there(found)?.map(|found| found.state))
    }

    /// What GitHub finds wrong in the `CODEOWNERS` file of the default branch, each with its line. Foreign text.
    ///
    /// # Errors
    /// As any call; `NotFound` also where there is no such file.
    pub async fn code_owner_errors(&self) -> Result<Vec<String>, GitHubError> {
        let subject = self.of_settings("code owners");
        let found: CodeOwnerErrors = self.read(op::CODE_OWNERS_ERRORS, "/codeowners/errors", &subject).await?;
        let shown = |error: CodeOwnerError| {
            let first = error.message.lines().next().unwrap_or_default().to_owned();
            format!("line {}: {first}", error.line)
        };
        Ok(found.errors.into_iter().map(shown).collect())
    }

    async fn paged<P: Page>(
        &self,
        operation: op::Operation,
        rest: &str,
        subject: &str,
    ) -> Result<Vec<P::Item>, GitHubError> {
        let (who, path) = (As::repository(&self.repo), format!("/repos/{}{rest}", self.repo));
        self.client().pages::<P>(operation, &who, &path, subject, PAGES_MAX).await?.whole(operation, subject)
    }
}
