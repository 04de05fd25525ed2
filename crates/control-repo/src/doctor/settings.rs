//! What was read of a control repository, as it was read.

use std::collections::BTreeMap;

use runnersmith_issueops::policy::{self, Policy};

use crate::files::{CODE_OWNERS_FILE, WORKFLOW_FILE};

/// What was read, or why it could not be.
pub type Known<T> = Result<T, String>;

/// The environments that the workflow's jobs name.
pub const ENVIRONMENTS: [&str; 2] = ["runnersmith-plan", "runnersmith-apply"];

/// A control repository.
#[derive(Clone, Debug)]
pub struct ControlRepoFacts {
    /// `owner/name`.
    pub repository: String,
    /// GitHub's address.
    pub server: String,
    /// The default branch.
    pub branch: String,
    /// The repository itself.
    pub facts: RepositoryFacts,
    /// Its owner's plan, in GitHub's word.
    pub plan: Known<String>,
    /// Whether a label is there, by name.
    pub labels: BTreeMap<String, Known<bool>>,
    /// Environments by name.
    pub environments: Known<BTreeMap<String, EnvironmentFacts>>,
    /// Which secrets jobs read.
    pub secret_names: SecretNames,
    /// What Actions may run.
    pub actions: Known<ActionsFacts>,
    /// Whether a workflow's token may open pull requests.
    pub opens_pulls: Known<bool>,
    /// How the workflow is, in GitHub's word; `None`: it is not there.
    pub workflow: Known<Option<String>>,
    /// The workflow's text on the default branch; `None`: it is not there.
    pub workflow_text: Known<Option<String>>,
    /// Rules and protection of the default branch.
    pub protection: Known<BranchFacts>,
    /// The text of `CODEOWNERS`; `None`: it is not there.
    pub code_owners: Known<Option<String>>,
    /// What GitHub finds wrong in it. Foreign text.
    pub code_owner_errors: Known<Vec<String>>,
    /// Whether the policy can be used, and otherwise why not.
    pub policy: Known<Result<(), String>>,
    /// The folders of environments and of the archive, and of a module that lies in this repository, as the policy names them.
    pub folders: Folders,
    /// The App.
    pub app: Known<AppFacts>,
}

/// Folders that have an owner, or none.
#[derive(Clone, Debug)]
pub struct Folders {
    /// Those of environments and of their archive.
    pub of_requests: Vec<String>,
    /// The module's, if it lies in this repository, and zips.
    pub of_modules: Vec<String>,
}

impl Folders {
    /// As a policy names them; `None`: those that a policy has which names none.
    #[must_use]
    pub fn of(policy: Option<&Policy>) -> Self {
        let Some(policy) = policy else {
            let of_requests = ["actions-runner-envs", "actions-runner-envs-archive"].map(str::to_owned).to_vec();
            return Self { of_requests, of_modules: Vec::new() };
        };
        let module = policy.module_folder().map(|folder| format!("{folder}/main.tf"));
        Self {
            of_requests: vec![policy.folder.clone(), policy.archive_folder.clone()],
            of_modules: module.into_iter().chain(policy.zip_files()).collect(),
        }
    }
}

impl ControlRepoFacts {
    /// Paths whose changes need a review.
    pub(super) fn owned_paths(&self) -> Vec<String> {
        let fixed = [WORKFLOW_FILE, CODE_OWNERS_FILE, policy::FILE, "bootstrap/main.tf"].map(str::to_owned);
        fixed.into_iter().chain(self.folders.of_modules.iter().cloned()).collect()
    }

    /// Paths whose changes must need none.
    pub(super) fn unowned_paths(&self) -> Vec<String> {
        self.folders.of_requests.iter().map(|folder| format!("{folder}/environment/main.tf")).collect()
    }
}

/// The repository itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryFacts {
    /// Who can read it.
    pub visibility: Visibility,
    /// Nothing can be written to it.
    pub is_archived: bool,
    /// It has issues.
    pub has_issues: bool,
}

/// Who can read a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Anybody.
    Public,
    /// Every member of the enterprise.
    Internal,
    /// Who was let in.
    Private,
}

/// An environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentFacts {
    /// The branches and tags that may use it, by pattern; `None`: every branch.
    pub branches: Known<Option<Vec<String>>>,
    /// How many reviewers it needs.
    pub reviewers: usize,
    /// How long jobs wait, in minutes.
    pub wait_minutes: u64,
    /// Names of its secrets.
    pub secrets: Known<Vec<String>>,
}

/// The names of the secrets that the policy gives the App's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretNames {
    /// The App's number.
    pub app_id: String,
    /// Its client id, which can stand for the number.
    pub client_id: String,
    /// Its key.
    pub key_base64: String,
}

/// What Actions may run in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionsFacts {
    /// Whether anything may run.
    pub is_enabled: bool,
    /// GitHub's word: `all`, `local_only`, `selected`.
    pub allowed: String,
    /// Of selected ones: those of creators whom GitHub has verified.
    pub verified: bool,
    /// Of selected ones: these patterns.
    pub patterns: Vec<String>,
}

impl ActionsFacts {
    /// Whether an action of somebody else may run, as far as its owner's name decides. Those of both owners that we use are of verified
    /// creators.
    pub(super) fn allows(&self, action: &str) -> bool {
        match self.allowed.as_str() {
            "selected" => self.verified || self.patterns.iter().any(|pattern| fits(pattern, action)),
            "local_only" => false,
            _ => true,
        }
    }
}

/// Whether a pattern with stars is an action's; a pattern may have an earlier commit or a tag, which is not ours.
fn fits(pattern: &str, action: &str) -> bool {
    let mut rest = action;
    let mut parts = pattern.split('*').peekable();
    let first = parts.next().unwrap_or_default();
    let Some(after) = rest.strip_prefix(first) else { return false };
    rest = after;
    if parts.peek().is_none() {
        // Without a star only this very version.
        return rest.is_empty();
    }
    let ends: Vec<&str> = parts.collect();
    for (place, part) in ends.iter().enumerate() {
        let is_last = place + 1 == ends.len();
        match rest.find(part) {
            Some(_) if is_last && (part.is_empty() || rest.ends_with(part)) => return true,
            Some(at) if !is_last => rest = &rest[at + part.len()..],
            _ => return false,
        }
    }
    false
}

/// Rules and classic protection of a branch together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BranchFacts {
    /// Ways of merging that repository and branch allow.
    pub methods: Vec<String>,
    /// What protects it. Each holds, so that the best of them counts.
    pub sources: Vec<RuleSource>,
    /// With so many approvals.
    pub approvals: u64,
    /// Somebody else than who pushed last must approve.
    pub needs_last_push_approval: bool,
    /// Checks that must have passed. Foreign text.
    pub checks: Vec<String>,
    /// Everything goes through a merge queue.
    pub needs_queue: bool,
    /// Why a classic protection that is there could not be read: what is not said above may be said by it.
    pub unread: Option<String>,
}

/// Rules of a branch that the same people may go around.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent rules, each there or not")]
pub struct RuleSource {
    /// Changes come by pull requests.
    pub needs_pull: bool,
    /// With the review of code owners.
    pub needs_code_owners: bool,
    /// A push takes earlier reviews away.
    pub dismisses_stale: bool,
    /// It is not rewritten.
    pub refuses_force_pushes: bool,
    /// It is not deleted.
    pub refuses_deletion: bool,
    /// Whom it does not bind.
    pub bypass: Known<Vec<Bypass>>,
}

/// Somebody whom a rule does not bind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bypass {
    /// Who, in words. Foreign text.
    pub who: String,
    /// They may change the rule too, so that it never bound them.
    pub is_admin: bool,
}

/// The App.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppFacts {
    /// What it lacks, in sentences.
    pub lacks: Vec<String>,
    /// The page of its permissions.
    pub page: String,
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_pattern_of_actions_is_one_with_stars() {
        let action = "aws-actions/configure-aws-credentials@ec61189";
        for (pattern, is_so) in [
            ("aws-actions/*", true),
            ("aws-actions/configure-aws-credentials@*", true),
            ("*/configure-*@*", true),
            ("*", true),
            (action, true),
            ("aws-actions/configure-aws-credentials@v4", false),
            ("aws-actions/configure-aws-credentials", false),
            ("hashicorp/*", false),
            ("aws-*-none@*", false),
            ("*@v4", false),
        ] {
            assert_eq!(fits(pattern, action), is_so, "{pattern}");
        }
    }
}
