//! The port's questions as GitHub's operations.

use std::collections::BTreeMap;

use async_trait::async_trait;
use runnersmith_ports::{
    CheckRun, DeliveryPage, GitHub, GitHubError, InstalledOwner, JitConfig, JitRequest, RegistrationToken,
    RepositoryPage,
};
use runnersmith_types::{
    Conclusion, FactSource, JobFact, JobId, Label, Owner, OwnerKind, Registration, RegistrationId, RepoFullName, RunId,
    RunSummary, RunnerScope, Secret,
};
use serde_json::json;

use crate::access::As;
use crate::answer::{gone_is_fine, unusable};
use crate::client::GitHubClient;
use crate::control::escape_value;
use crate::operations::{self as op, Operation};
use crate::wire;

/// Lists are read to their end, but never further than this.
const PAGES_MAX: usize = 100;
/// So many pages of runner groups are read.
const GROUP_PAGES_MAX: usize = 50;

/// What a configuration calls the group that every place has.
pub(crate) const DEFAULT_GROUP: &str = "Default";

/// One of three operations, by the scope.
const fn by_scope(at: &RunnerScope, repo: Operation, org: Operation, enterprise: Operation) -> Operation {
    match at {
        RunnerScope::Repository(_) => repo,
        RunnerScope::Organization(_) => org,
        RunnerScope::Enterprise(_) => enterprise,
    }
}

fn actions_path(at: &RunnerScope, rest: &str) -> String {
    match at {
        RunnerScope::Repository(repo) => format!("/repos/{repo}/actions/{rest}"),
        RunnerScope::Organization(owner) => format!("/orgs/{owner}/actions/{rest}"),
        RunnerScope::Enterprise(slug) => format!("/enterprises/{slug}/actions/{rest}"),
    }
}

fn registration(found: wire::Runner) -> Registration {
    Registration {
        id: RegistrationId(found.id),
        name: found.name,
        online: found.status == "online",
        busy: found.busy,
        labels: found.labels.iter().map(|label| Label::of_job(&label.name)).collect(),
    }
}

fn run(found: wire::Run) -> RunSummary {
    RunSummary {
        id: RunId(found.id),
        status: found.status.unwrap_or_default(),
        conclusion: found.conclusion.map(Conclusion),
        run_attempt: found.run_attempt.and_then(|attempt| u32::try_from(attempt).ok()).unwrap_or(0),
        workflow: found.workflow_id.unwrap_or(0),
        branch: found.head_branch.unwrap_or_default(),
        event: found.event.unwrap_or_default(),
        head_repository: found.head_repository.map_or(0, |repository| repository.id),
    }
}

impl GitHubClient {
    async fn runner_pages(&self, at: &RunnerScope, name: Option<&str>) -> Result<Vec<Registration>, GitHubError> {
        let operation = by_scope(at, op::REPO_RUNNERS, op::ORG_RUNNERS, op::ENTERPRISE_RUNNERS);
        let subject = at.to_string();
        let filter = name.map(|name| format!("?name={name}")).unwrap_or_default();
        let path = actions_path(at, &format!("runners{filter}"));
        let who = As::Scope(at.clone());
        let listed = self.pages::<wire::Runners>(operation, &who, &path, &subject, PAGES_MAX).await?;
        // Pages shift while they are read: a registration may come twice, and absence proves nothing.
        let found: BTreeMap<RegistrationId, Registration> =
            listed.items.into_iter().map(registration).map(|runner| (runner.id, runner)).collect();
        Ok(found.into_values().collect())
    }

    async fn runner_token(
        &self,
        operation: Operation,
        at: &RunnerScope,
        rest: &str,
    ) -> Result<RegistrationToken, GitHubError> {
        let (path, subject) = (actions_path(at, rest), at.to_string());
        let found: wire::Token = self.call(operation, As::Scope(at.clone()), &path, &subject, None).await?;
        let path = match at {
            RunnerScope::Repository(repo) => repo.to_string(),
            RunnerScope::Organization(owner) => owner.to_string(),
            RunnerScope::Enterprise(slug) => format!("enterprises/{slug}"),
        };
        Ok(RegistrationToken {
            token: Secret::new(found.token),
            expires_at: wire::timestamp(Some(&found.expires_at)).unwrap_or(self.clock.now()),
            url: format!("{}/{path}", self.server_url),
        })
    }

    /// All runner groups of an organisation or of an enterprise in which runners can be registered there; the operation says which
    /// of the two it is. What an organisation has from its enterprise is shown to it, and takes none of its runners.
    pub(crate) async fn runner_groups(
        &self,
        operation: Operation,
        at: &RunnerScope,
        subject: &str,
    ) -> Result<Vec<wire::Group>, GitHubError> {
        let (who, path) = (As::Scope(at.clone()), actions_path(at, "runner-groups"));
        let listed = self.pages::<wire::Groups>(operation, &who, &path, subject, GROUP_PAGES_MAX).await?;
        Ok(listed.whole(operation, subject)?.into_iter().filter(|group| !group.inherited).collect())
    }

    async fn group_id(&self, at: &RunnerScope, name: &str) -> Result<u64, GitHubError> {
        let operation = match at {
            // A repository's runners are always in its default group.
            RunnerScope::Repository(_) => return Ok(1),
            RunnerScope::Organization(_) => op::ORG_GROUPS,
            RunnerScope::Enterprise(_) => op::ENTERPRISE_GROUPS,
        };
        if let Some(id) = self.group(at, name) {
            return Ok(id);
        }
        // A burst asks for many configs at once; one of them looks the group up for all.
        let _one = self.finding_groups.lock(at.to_string()).await;
        if let Some(id) = self.group(at, name) {
            return Ok(id);
        }
        let subject = format!("runner group {name:?} of {at}");
        let groups = self.runner_groups(operation, at, &subject).await?;
        // The default group may have been given another name, and is still what "Default" means, unless another group has it.
        if let Some(group) = groups.iter().find(|group| group.is_default) {
            self.remember_group(at, DEFAULT_GROUP, group.id);
        }
        for group in &groups {
            self.remember_group(at, &group.name, group.id);
        }
        self.group(at, name).ok_or(GitHubError::NotFound { operation: operation.id, subject })
    }

    pub(crate) fn fact(
        &self,
        job: wire::WorkflowJobPayload,
        repo: &RepoFullName,
        source: FactSource,
    ) -> Option<JobFact> {
        job.fact(repo.clone(), OwnerKind::Unknown, source, self.clock.now())
    }
}

#[async_trait]
impl GitHub for GitHubClient {
    async fn job(&self, repo: &RepoFullName, id: JobId) -> Result<JobFact, GitHubError> {
        let subject = format!("job {id} of {repo}");
        let found: wire::WorkflowJobPayload = self
            .call(op::JOB, As::repository(repo), &format!("/repos/{repo}/actions/jobs/{id}"), &subject, None)
            .await?;
        let fact = self.fact(found, repo, FactSource::Get);
        fact.ok_or_else(|| unusable(op::JOB, subject, "its status is a word that this version does not know"))
    }

    async fn registrations(&self, at: &RunnerScope) -> Result<Vec<Registration>, GitHubError> {
        self.runner_pages(at, None).await
    }

    async fn registration(&self, at: &RunnerScope, id: RegistrationId) -> Result<Registration, GitHubError> {
        let operation = by_scope(at, op::REPO_RUNNER, op::ORG_RUNNER, op::ENTERPRISE_RUNNER);
        let subject = format!("registration {id} at {at}");
        let found: wire::Runner = self
            .call(operation, As::Scope(at.clone()), &actions_path(at, &format!("runners/{id}")), &subject, None)
            .await?;
        Ok(registration(found))
    }

    async fn registration_by_name(&self, at: &RunnerScope, name: &str) -> Result<Option<Registration>, GitHubError> {
        Ok(self.runner_pages(at, Some(name)).await?.into_iter().find(|found| found.name == name))
    }

    async fn jit_config(&self, request: &JitRequest) -> Result<JitConfig, GitHubError> {
        let at = &request.at;
        let group = self.group_id(at, request.group.as_str()).await?;
        let operation = by_scope(at, op::REPO_JIT, op::ORG_JIT, op::ENTERPRISE_JIT);
        let labels: Vec<&str> = request.labels.iter().map(Label::as_str).collect();
        let body = json!({"name": request.name, "runner_group_id": group, "labels": labels, "work_folder": "_work"});
        let subject = format!("{} at {at}", request.name);
        let path = actions_path(at, "runners/generate-jitconfig");
        let asked = self.call(operation, As::Scope(at.clone()), &path, &subject, Some(body)).await;
        if matches!(asked, Err(GitHubError::NotFound { .. } | GitHubError::Refused { .. })) {
            self.forget_group(at, request.group.as_str());
        }
        let found: wire::Jit = asked?;
        Ok(JitConfig { registration: RegistrationId(found.runner.id), encoded: Secret::new(found.encoded_jit_config) })
    }

    async fn registration_token(&self, at: &RunnerScope) -> Result<RegistrationToken, GitHubError> {
        if let Some(token) = self.cached_registration_token(at) {
            return Ok(token);
        }
        let operation = by_scope(at, op::REPO_TOKEN, op::ORG_TOKEN, op::ENTERPRISE_TOKEN);
        let token = self.runner_token(operation, at, "runners/registration-token").await?;
        self.remember_registration_token(at, &token);
        Ok(token)
    }

    async fn deregister(&self, at: &RunnerScope, id: RegistrationId) -> Result<(), GitHubError> {
        let operation = by_scope(at, op::REPO_RUNNER_DELETE, op::ORG_RUNNER_DELETE, op::ENTERPRISE_RUNNER_DELETE);
        let subject = format!("registration {id} at {at}");
        let (who, path) = (As::Scope(at.clone()), actions_path(at, &format!("runners/{id}")));
        match gone_is_fine(self.send(operation, &who, &path, &subject, None).await) {
            Err(GitHubError::Refused { status: 422, operation, subject, .. }) => {
                Err(GitHubError::Busy { operation, subject })
            }
            done => done,
        }
    }

    async fn installed(&self) -> Result<Vec<InstalledOwner>, GitHubError> {
        self.installed_owners().await
    }

    async fn repositories(&self, owner: &Owner, page: u32) -> Result<RepositoryPage, GitHubError> {
        self.repository_page(owner, page).await
    }

    async fn sweep(&self, repo: &RepoFullName) -> Result<Vec<JobFact>, GitHubError> {
        self.open_jobs(repo).await
    }

    async fn run(&self, repo: &RepoFullName, id: RunId) -> Result<RunSummary, GitHubError> {
        let found: wire::Run = self
            .call(
                op::RUN,
                As::repository(repo),
                &format!("/repos/{repo}/actions/runs/{id}"),
                &format!("run {id} of {repo}"),
                None,
            )
            .await?;
        Ok(run(found))
    }

    async fn runs_of_branch(
        &self,
        repo: &RepoFullName,
        branch: &str,
        event: &str,
    ) -> Result<Vec<RunSummary>, GitHubError> {
        let (branch, event) = (escape_value(branch), escape_value(event));
        let path = format!("/repos/{repo}/actions/runs?branch={branch}&event={event}&per_page=100");
        let answer: wire::Runs = self.call(op::RUNS, As::repository(repo), &path, repo.as_str(), None).await?;
        Ok(answer.workflow_runs.into_iter().map(run).collect())
    }

    async fn rerun_failed(&self, repo: &RepoFullName, id: RunId) -> Result<(), GitHubError> {
        let path = format!("/repos/{repo}/actions/runs/{id}/rerun-failed-jobs");
        self.send(op::RERUN_FAILED, &As::repository(repo), &path, &format!("run {id} of {repo}"), None)
            .await
            .map(|_| ())
    }

    async fn deliveries(&self, page: Option<&str>) -> Result<DeliveryPage, GitHubError> {
        self.delivery_page(page).await
    }

    async fn redeliver(&self, id: u64) -> Result<(), GitHubError> {
        self.ask_again(id).await
    }

    async fn notify(&self, check: &CheckRun) -> Result<u64, GitHubError> {
        let repo = &check.repo;
        let mut body = json!({"name": "Runnersmith", "output": {"title": check.title, "summary": check.summary}});
        match &check.conclusion {
            Some(conclusion) => (body["status"], body["conclusion"]) = (json!("completed"), json!(conclusion)),
            None => body["status"] = json!("in_progress"),
        }
        let subject = format!("{repo} at {}", check.head_sha);
        let found: wire::Id = match check.id {
            Some(id) => {
                self.call(
                    op::CHECK_UPDATE,
                    As::repository(repo),
                    &format!("/repos/{repo}/check-runs/{id}"),
                    &subject,
                    Some(body),
                )
                .await?
            }
            None => {
                body["head_sha"] = json!(check.head_sha);
                self.call(
                    op::CHECK_CREATE,
                    As::repository(repo),
                    &format!("/repos/{repo}/check-runs"),
                    &subject,
                    Some(body),
                )
                .await?
            }
        };
        Ok(found.id)
    }

    async fn whoami(&self) -> Result<String, GitHubError> {
        Ok(self.app().await?.slug)
    }
}
