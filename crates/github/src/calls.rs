//! The port's questions as GitHub's operations.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use runnersmith_ports::{CheckRun, FailedDelivery, GitHub, GitHubError, JitConfig, JitRequest, RegistrationToken};
use runnersmith_types::{
    Conclusion, DeliveryId, FactSource, JobFact, JobId, Label, Owner, OwnerKind, Registration, RegistrationId,
    RepoFullName, RunId, RunSummary, RunnerScope, Secret, Timestamp,
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
/// A sweep looks at so many runs of each status.
const RUNS_MAX: usize = 50;

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

    /// All runner groups of an organisation or of an enterprise; the operation says which of the two it is.
    pub(crate) async fn runner_groups(
        &self,
        operation: Operation,
        at: &RunnerScope,
        subject: &str,
    ) -> Result<Vec<wire::Group>, GitHubError> {
        let (who, path) = (As::Scope(at.clone()), actions_path(at, "runner-groups"));
        self.pages::<wire::Groups>(operation, &who, &path, subject, GROUP_PAGES_MAX).await?.whole(operation, subject)
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
        for group in self.runner_groups(operation, at, &subject).await? {
            self.remember_group(at, &group.name, group.id);
        }
        self.group(at, name).ok_or(GitHubError::NotFound { operation: operation.id, subject })
    }

    fn fact(&self, job: wire::WorkflowJobPayload, repo: &RepoFullName, source: FactSource) -> Option<JobFact> {
        job.fact(repo.clone(), OwnerKind::Unknown, source, self.clock.now())
    }

    async fn run_jobs(&self, repo: &RepoFullName, run: u64) -> Result<Vec<JobFact>, GitHubError> {
        let subject = format!("run {run} of {repo}");
        let path = format!("/repos/{repo}/actions/runs/{run}/jobs?filter=latest");
        let listed = self.pages::<wire::Jobs>(op::RUN_JOBS, &As::repository(repo), &path, &subject, PAGES_MAX).await?;
        Ok(listed.items.into_iter().filter_map(|job| self.fact(job, repo, FactSource::Sweep)).collect())
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

    async fn repositories(&self, limit: usize) -> Result<Vec<RepoFullName>, GitHubError> {
        let installations: Vec<wire::Installation> =
            self.call(op::INSTALLATIONS, As::App, "/app/installations?per_page=100", "the App", None).await?;
        let mut found: BTreeSet<(String, RepoFullName)> = BTreeSet::new();
        for (id, account) in installations.into_iter().filter_map(|found| Some((found.id, found.account?))) {
            let Ok(owner) = Owner::parse(&account.login) else { continue };
            // A person's installation has no address of its own, but its number is known now.
            let scope = RunnerScope::Organization(owner);
            self.access.remember_installation(&scope, id);
            let who = As::Scope(scope);
            let answer: wire::Repositories = self
                .call(op::REPOSITORIES, who, "/installation/repositories?per_page=100", &account.login, None)
                .await?;
            for repository in answer.repositories {
                if let Ok(name) = RepoFullName::parse(&repository.full_name) {
                    found.insert((repository.pushed_at.unwrap_or_default(), name));
                }
            }
        }
        Ok(found.into_iter().rev().take(limit).map(|(_, name)| name).collect())
    }

    async fn sweep(&self, repo: &RepoFullName) -> Result<Vec<JobFact>, GitHubError> {
        let mut runs = BTreeSet::new();
        // A run in progress has queued jobs too.
        for status in ["queued", "in_progress"] {
            let path = format!("/repos/{repo}/actions/runs?status={status}&per_page={RUNS_MAX}");
            let answer: wire::Runs = self.call(op::RUNS, As::repository(repo), &path, repo.as_str(), None).await?;
            runs.extend(answer.workflow_runs.into_iter().map(|run| run.id));
        }
        let mut facts = Vec::new();
        for run in runs {
            facts.extend(self.run_jobs(repo, run).await?);
        }
        Ok(facts)
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

    async fn failed_deliveries(&self, since: Timestamp, limit: usize) -> Result<Vec<FailedDelivery>, GitHubError> {
        let log = self.delivery_log();
        let mut cursor = String::new();
        let mut delivered: BTreeSet<String> = BTreeSet::new();
        let mut failed: BTreeMap<String, FailedDelivery> = BTreeMap::new();
        // The log is newest first, so a later success of the same delivery is seen before its failure.
        for _ in 0..PAGES_MAX {
            let path = format!("{}?per_page=100{cursor}", log.path);
            let raw = self.send(log.list, &log.who, &path, &log.subject, None).await?;
            let page: Vec<wire::Delivery> = raw.read(log.list, &log.subject)?;
            let mut past = page.is_empty();
            for line in page {
                let at = wire::timestamp(Some(&line.delivered_at)).unwrap_or(since);
                past |= at < since;
                if past || delivered.contains(&line.guid) {
                    continue;
                }
                if (200..300).contains(&line.status_code) {
                    delivered.insert(line.guid);
                } else if let (false, Ok(guid)) = (failed.contains_key(&line.guid), DeliveryId::parse(&line.guid)) {
                    failed.insert(line.guid, FailedDelivery { id: line.id, guid, at, event: line.event });
                }
            }
            let next = raw.header("link").and_then(next_cursor);
            match next {
                Some(next) if !past && failed.len() < limit => cursor = format!("&cursor={next}"),
                _ => break,
            }
        }
        let mut failed: Vec<FailedDelivery> = failed.into_values().collect();
        failed.sort_by_key(|delivery| delivery.at);
        failed.truncate(limit);
        Ok(failed)
    }

    async fn redeliver(&self, id: u64) -> Result<(), GitHubError> {
        let log = self.delivery_log();
        let path = format!("{}/{id}/attempts", log.path);
        self.send(log.again, &log.who, &path, &format!("delivery {id} of {}", log.subject), None).await.map(|_| ())
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

/// Where deliveries are logged, and as whom the log is read.
struct DeliveryLog {
    list: Operation,
    again: Operation,
    who: As,
    path: String,
    subject: String,
}

impl GitHubClient {
    /// The log of the configured webhook; without one, the App's own.
    fn delivery_log(&self) -> DeliveryLog {
        let (list, again) = match self.hook.as_ref().map(|hook| &hook.at) {
            Some(RunnerScope::Organization(_)) => (op::ORG_DELIVERIES, op::ORG_REDELIVER),
            Some(RunnerScope::Repository(_)) => (op::REPO_DELIVERIES, op::REPO_REDELIVER),
            // Enterprises' webhooks have no log.
            Some(RunnerScope::Enterprise(_)) | None => (op::DELIVERIES, op::REDELIVER),
        };
        match &self.hook {
            Some(hook) => DeliveryLog {
                list,
                again,
                who: As::Scope(hook.at.clone()),
                path: format!("/{hook}/deliveries"),
                subject: format!("the webhook {hook}"),
            },
            None => DeliveryLog {
                list,
                again,
                who: As::App,
                path: "/app/hook/deliveries".into(),
                subject: "the App".into(),
            },
        }
    }
}

/// The cursor of the next page in a `Link` header.
fn next_cursor(link: &str) -> Option<String> {
    let next = link.split(',').find(|part| part.contains("rel=\"next\""))?;
    let (_, rest) = next.split_once("cursor=")?;
    let cursor: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "_-%".contains(*c)).collect();
    (!cursor.is_empty()).then_some(cursor)
}
