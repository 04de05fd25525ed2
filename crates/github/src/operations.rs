//! Every operation that the client uses, as GitHub's OpenAPI documents name it. A call needs one of these, so none can be left out of the tests.

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// GitHub's operationId.
    pub id: &'static str,
    /// The method.
    pub method: &'static str,
    /// The path's template.
    pub path: &'static str,
}

/// GraphQL, which the OpenAPI documents do not have. Its address is [`crate::transport`]'s.
pub(crate) const GRAPHQL: Operation = Operation { id: "graphql", method: "POST", path: "/graphql" };

macro_rules! operations {
    ($($name:ident = $id:literal, $method:literal, $path:literal;)*) => {
        $(pub(crate) const $name: Operation = Operation { id: $id, method: $method, path: $path };)*
        /// All of them.
        pub const OPERATIONS: &[Operation] = &[$($name),*];
    };
}

operations! {
    APP = "apps/get-authenticated", "GET", "/app";
    MANIFEST = "apps/create-from-manifest", "POST", "/app-manifests/{code}/conversions";
    APP_HOOK = "apps/get-webhook-config-for-app", "GET", "/app/hook/config";
    APP_HOOK_UPDATE = "apps/update-webhook-config-for-app", "PATCH", "/app/hook/config";
    ORG_HOOKS = "orgs/list-webhooks", "GET", "/orgs/{org}/hooks";
    ORG_HOOK_CREATE = "orgs/create-webhook", "POST", "/orgs/{org}/hooks";
    ORG_HOOK_UPDATE = "orgs/update-webhook", "PATCH", "/orgs/{org}/hooks/{hook_id}";
    ORG_HOOK_CONFIG = "orgs/update-webhook-config-for-org", "PATCH", "/orgs/{org}/hooks/{hook_id}/config";
    ORG_HOOK_DELETE = "orgs/delete-webhook", "DELETE", "/orgs/{org}/hooks/{hook_id}";
    INSTALLATIONS = "apps/list-installations", "GET", "/app/installations";
    ORG_INSTALLATION = "apps/get-org-installation", "GET", "/orgs/{org}/installation";
    REPO_INSTALLATION = "apps/get-repo-installation", "GET", "/repos/{owner}/{repo}/installation";
    ENTERPRISE_INSTALLATION = "apps/get-enterprise-installation", "GET", "/enterprises/{enterprise}/installation";
    ACCESS_TOKEN = "apps/create-installation-access-token", "POST", "/app/installations/{installation_id}/access_tokens";
    REPOSITORIES = "apps/list-repos-accessible-to-installation", "GET", "/installation/repositories";
    DELIVERIES = "apps/list-webhook-deliveries", "GET", "/app/hook/deliveries";
    REDELIVER = "apps/redeliver-webhook-delivery", "POST", "/app/hook/deliveries/{delivery_id}/attempts";
    ORG_DELIVERIES = "orgs/list-webhook-deliveries", "GET", "/orgs/{org}/hooks/{hook_id}/deliveries";
    ORG_REDELIVER = "orgs/redeliver-webhook-delivery", "POST", "/orgs/{org}/hooks/{hook_id}/deliveries/{delivery_id}/attempts";
    REPO_DELIVERIES = "repos/list-webhook-deliveries", "GET", "/repos/{owner}/{repo}/hooks/{hook_id}/deliveries";
    REPO_REDELIVER = "repos/redeliver-webhook-delivery", "POST", "/repos/{owner}/{repo}/hooks/{hook_id}/deliveries/{delivery_id}/attempts";
    ORG_RUNNERS = "actions/list-self-hosted-runners-for-org", "GET", "/orgs/{org}/actions/runners";
    ORG_RUNNER = "actions/get-self-hosted-runner-for-org", "GET", "/orgs/{org}/actions/runners/{runner_id}";
    ORG_RUNNER_DELETE = "actions/delete-self-hosted-runner-from-org", "DELETE", "/orgs/{org}/actions/runners/{runner_id}";
    ORG_JIT = "actions/generate-runner-jitconfig-for-org", "POST", "/orgs/{org}/actions/runners/generate-jitconfig";
    ORG_TOKEN = "actions/create-registration-token-for-org", "POST", "/orgs/{org}/actions/runners/registration-token";
    ORG_GROUPS = "actions/list-self-hosted-runner-groups-for-org", "GET", "/orgs/{org}/actions/runner-groups";
    REPO_RUNNERS = "actions/list-self-hosted-runners-for-repo", "GET", "/repos/{owner}/{repo}/actions/runners";
    REPO_RUNNER = "actions/get-self-hosted-runner-for-repo", "GET", "/repos/{owner}/{repo}/actions/runners/{runner_id}";
    REPO_RUNNER_DELETE = "actions/delete-self-hosted-runner-from-repo", "DELETE", "/repos/{owner}/{repo}/actions/runners/{runner_id}";
    REPO_JIT = "actions/generate-runner-jitconfig-for-repo", "POST", "/repos/{owner}/{repo}/actions/runners/generate-jitconfig";
    REPO_TOKEN = "actions/create-registration-token-for-repo", "POST", "/repos/{owner}/{repo}/actions/runners/registration-token";
    ENTERPRISE_RUNNERS = "enterprise-admin/list-self-hosted-runners-for-enterprise", "GET", "/enterprises/{enterprise}/actions/runners";
    ENTERPRISE_RUNNER = "enterprise-admin/get-self-hosted-runner-for-enterprise", "GET", "/enterprises/{enterprise}/actions/runners/{runner_id}";
    ENTERPRISE_RUNNER_DELETE = "enterprise-admin/delete-self-hosted-runner-from-enterprise", "DELETE", "/enterprises/{enterprise}/actions/runners/{runner_id}";
    ENTERPRISE_JIT = "actions/generate-runner-jitconfig-for-enterprise", "POST", "/enterprises/{enterprise}/actions/runners/generate-jitconfig";
    ENTERPRISE_TOKEN = "enterprise-admin/create-registration-token-for-enterprise", "POST", "/enterprises/{enterprise}/actions/runners/registration-token";
    ENTERPRISE_GROUPS = "enterprise-admin/list-self-hosted-runner-groups-for-enterprise", "GET", "/enterprises/{enterprise}/actions/runner-groups";
    JOB = "actions/get-job-for-workflow-run", "GET", "/repos/{owner}/{repo}/actions/jobs/{job_id}";
    RUNS = "actions/list-workflow-runs-for-repo", "GET", "/repos/{owner}/{repo}/actions/runs";
    RUN = "actions/get-workflow-run", "GET", "/repos/{owner}/{repo}/actions/runs/{run_id}";
    RUN_JOBS = "actions/list-jobs-for-workflow-run", "GET", "/repos/{owner}/{repo}/actions/runs/{run_id}/jobs";
    RERUN_FAILED = "actions/re-run-workflow-failed-jobs", "POST", "/repos/{owner}/{repo}/actions/runs/{run_id}/rerun-failed-jobs";
    CHECK_CREATE = "checks/create", "POST", "/repos/{owner}/{repo}/check-runs";
    CHECK_UPDATE = "checks/update", "PATCH", "/repos/{owner}/{repo}/check-runs/{check_run_id}";
    RELEASE_LATEST = "repos/get-latest-release", "GET", "/repos/{owner}/{repo}/releases/latest";
    RELEASES = "repos/list-releases", "GET", "/repos/{owner}/{repo}/releases";
    REPOSITORY = "repos/get", "GET", "/repos/{owner}/{repo}";
    REF = "git/get-ref", "GET", "/repos/{owner}/{repo}/git/ref/{ref}";
    REF_CREATE = "git/create-ref", "POST", "/repos/{owner}/{repo}/git/refs";
    REF_UPDATE = "git/update-ref", "PATCH", "/repos/{owner}/{repo}/git/refs/{ref}";
    REF_DELETE = "git/delete-ref", "DELETE", "/repos/{owner}/{repo}/git/refs/{ref}";
    TREE = "git/get-tree", "GET", "/repos/{owner}/{repo}/git/trees/{tree_sha}";
    TREE_CREATE = "git/create-tree", "POST", "/repos/{owner}/{repo}/git/trees";
    BLOB = "git/get-blob", "GET", "/repos/{owner}/{repo}/git/blobs/{file_sha}";
    BLOB_CREATE = "git/create-blob", "POST", "/repos/{owner}/{repo}/git/blobs";
    COMMIT = "git/get-commit", "GET", "/repos/{owner}/{repo}/git/commits/{commit_sha}";
    COMMIT_CREATE = "git/create-commit", "POST", "/repos/{owner}/{repo}/git/commits";
    COMPARE = "repos/compare-commits", "GET", "/repos/{owner}/{repo}/compare/{base}...{head}";
    ISSUES = "issues/list-for-repo", "GET", "/repos/{owner}/{repo}/issues";
    ISSUE = "issues/get", "GET", "/repos/{owner}/{repo}/issues/{issue_number}";
    ISSUE_CREATE = "issues/create", "POST", "/repos/{owner}/{repo}/issues";
    ISSUE_UPDATE = "issues/update", "PATCH", "/repos/{owner}/{repo}/issues/{issue_number}";
    COMMENTS = "issues/list-comments", "GET", "/repos/{owner}/{repo}/issues/{issue_number}/comments";
    COMMENT = "issues/get-comment", "GET", "/repos/{owner}/{repo}/issues/comments/{comment_id}";
    COMMENT_CREATE = "issues/create-comment", "POST", "/repos/{owner}/{repo}/issues/{issue_number}/comments";
    COMMENT_UPDATE = "issues/update-comment", "PATCH", "/repos/{owner}/{repo}/issues/comments/{comment_id}";
    COMMENT_DELETE = "issues/delete-comment", "DELETE", "/repos/{owner}/{repo}/issues/comments/{comment_id}";
    REACT = "reactions/create-for-issue-comment", "POST", "/repos/{owner}/{repo}/issues/comments/{comment_id}/reactions";
    PULLS = "pulls/list", "GET", "/repos/{owner}/{repo}/pulls";
    PULL = "pulls/get", "GET", "/repos/{owner}/{repo}/pulls/{pull_number}";
    PULL_CREATE = "pulls/create", "POST", "/repos/{owner}/{repo}/pulls";
    PULL_UPDATE = "pulls/update", "PATCH", "/repos/{owner}/{repo}/pulls/{pull_number}";
    BRANCH_RULES = "repos/get-branch-rules", "GET", "/repos/{owner}/{repo}/rules/branches/{branch}";
    RULESET = "repos/get-repo-ruleset", "GET", "/repos/{owner}/{repo}/rulesets/{ruleset_id}";
    BRANCH = "repos/get-branch", "GET", "/repos/{owner}/{repo}/branches/{branch}";
    BRANCH_PROTECTION = "repos/get-branch-protection", "GET", "/repos/{owner}/{repo}/branches/{branch}/protection";
    ORGANIZATION = "orgs/get", "GET", "/orgs/{org}";
    LABEL = "issues/get-label", "GET", "/repos/{owner}/{repo}/labels/{name}";
    ENVIRONMENTS = "repos/get-all-environments", "GET", "/repos/{owner}/{repo}/environments";
    ENVIRONMENT_BRANCHES = "repos/list-deployment-branch-policies", "GET", "/repos/{owner}/{repo}/environments/{environment_name}/deployment-branch-policies";
    ENVIRONMENT_SECRETS = "actions/list-environment-secrets", "GET", "/repos/{owner}/{repo}/environments/{environment_name}/secrets";
    ACTIONS = "actions/get-github-actions-permissions-repository", "GET", "/repos/{owner}/{repo}/actions/permissions";
    ACTIONS_SELECTED = "actions/get-allowed-actions-repository", "GET", "/repos/{owner}/{repo}/actions/permissions/selected-actions";
    ACTIONS_TOKEN = "actions/get-github-actions-default-workflow-permissions-repository", "GET", "/repos/{owner}/{repo}/actions/permissions/workflow";
    WORKFLOW = "actions/get-workflow", "GET", "/repos/{owner}/{repo}/actions/workflows/{workflow_id}";
    CODE_OWNERS_ERRORS = "repos/codeowners-errors", "GET", "/repos/{owner}/{repo}/codeowners/errors";
    MERGE = "pulls/merge", "PUT", "/repos/{owner}/{repo}/pulls/{pull_number}/merge";
    ROLE = "repos/get-collaborator-permission-level", "GET", "/repos/{owner}/{repo}/collaborators/{username}/permission";
    TEAM_MEMBER = "teams/get-membership-for-user-in-org", "GET", "/orgs/{org}/teams/{team_slug}/memberships/{username}";
    GROUP_REPOSITORIES = "actions/list-repo-access-to-self-hosted-runner-group-in-org", "GET", "/orgs/{org}/actions/runner-groups/{runner_group_id}/repositories";
}
