//! What no delivery reported, searched for: where the App is installed, which repositories there are, which of their runs are not
//! over, and which deliveries failed. Each list is read page by page; who asks decides when to go on.

use std::collections::BTreeSet;
use std::time::Duration;

use runnersmith_ports::{DeliveryPage, FailedDelivery, GitHubError, InstalledOwner, RepositoryPage};
use runnersmith_types::{DeliveryId, FactSource, JobFact, Owner, RepoFullName, RunnerScope};

use crate::access::As;
use crate::client::GitHubClient;
use crate::operations::{self as op, Operation};
use crate::pages::PAGE_ITEMS;
use crate::wire;

/// Lists are read to their end, but never further than this.
const PAGES_MAX: usize = 100;
/// GitHub shows a thousand runs of one status at most.
const RUN_PAGES_MAX: usize = 10;
/// The statuses of runs that are not over and may be older than the newest hundred runs. A `requested` one is just made.
const OPEN: [&str; 4] = ["queued", "in_progress", "waiting", "pending"];
/// No run that was made longer ago is open: a run lasts 35 days at most, and can be started again for 30 days.
const OPEN_FOR_MAX: Duration = Duration::from_secs(66 * 86_400);

impl GitHubClient {
    /// All owners for whom the App is installed; their installations are remembered, so that nothing looks them up one by one.
    pub(crate) async fn installed_owners(&self) -> Result<Vec<InstalledOwner>, GitHubError> {
        let path = "/app/installations";
        let listed =
            self.pages::<Vec<wire::Installation>>(op::INSTALLATIONS, &As::App, path, "the App", PAGES_MAX).await?;
        let mut owners = Vec::new();
        for found in listed.items {
            // An enterprise's installation has no login, and no repositories.
            let Some(owner) = found.account.and_then(|account| Owner::parse(&account.login).ok()) else { continue };
            let is_suspended = found.suspended_at.is_some();
            self.access.remember_installation(&owner, found.id, is_suspended);
            owners.push(InstalledOwner { owner, is_suspended });
        }
        Ok(owners)
    }

    /// A page of the repositories that the installation of an owner may see.
    pub(crate) async fn repository_page(&self, owner: &Owner, page: u32) -> Result<RepositoryPage, GitHubError> {
        let path = format!("/installation/repositories?per_page={PAGE_ITEMS}&page={page}");
        // A person's installation has no address of its own, but its number is known from the list.
        let who = As::Scope(RunnerScope::Organization(owner.clone()));
        let found: wire::Repositories = self.call(op::REPOSITORIES, who, &path, owner.as_str(), None).await?;
        let is_last = found.repositories.len() < PAGE_ITEMS;
        let runs_jobs = |found: &wire::Repository| !found.archived && !found.disabled;
        let names = found.repositories.into_iter().filter(runs_jobs);
        let repositories = names.filter_map(|found| RepoFullName::parse(&found.full_name).ok()).collect();
        Ok(RepositoryPage { repositories, is_last })
    }

    /// The jobs of all runs of a repository that are not over.
    pub(crate) async fn open_jobs(&self, repo: &RepoFullName) -> Result<Vec<JobFact>, GitHubError> {
        let mut facts = Vec::new();
        for run in self.open_runs(repo).await? {
            let subject = format!("run {run} of {repo}");
            let path = format!("/repos/{repo}/actions/runs/{run}/jobs?filter=latest");
            let who = As::repository(repo);
            let listed = self.pages::<wire::Jobs>(op::RUN_JOBS, &who, &path, &subject, PAGES_MAX).await?;
            facts.extend(listed.items.into_iter().filter_map(|job| self.fact(job, repo, FactSource::Sweep)));
        }
        Ok(facts)
    }

    /// The newest hundred runs show all that are open, unless there are more that are young enough: then each status is listed.
    async fn open_runs(&self, repo: &RepoFullName) -> Result<BTreeSet<u64>, GitHubError> {
        let (who, path) = (As::repository(repo), format!("/repos/{repo}/actions/runs"));
        let newest: wire::Runs =
            self.call(op::RUNS, who.clone(), &format!("{path}?per_page={PAGE_ITEMS}"), repo.as_str(), None).await?;
        let oldest_open = self.clock.now().minus(OPEN_FOR_MAX);
        let last = newest.workflow_runs.last().and_then(|run| wire::timestamp(run.created_at.as_deref()));
        let is_all = newest.workflow_runs.len() < PAGE_ITEMS || last.is_some_and(|created| created < oldest_open);
        let mut open: BTreeSet<u64> =
            newest.workflow_runs.into_iter().filter(|run| !run.is_over()).map(|run| run.id).collect();
        if is_all {
            return Ok(open);
        }
        for status in OPEN {
            let path = format!("{path}?status={status}");
            let listed = self.pages::<wire::Runs>(op::RUNS, &who, &path, repo.as_str(), RUN_PAGES_MAX).await?;
            open.extend(listed.items.into_iter().map(|run| run.id));
        }
        Ok(open)
    }

    /// A page of the log of deliveries.
    pub(crate) async fn delivery_page(&self, page: Option<&str>) -> Result<DeliveryPage, GitHubError> {
        let log = self.delivery_log();
        let cursor = page.map(|page| format!("&cursor={}", cursor_text(page))).unwrap_or_default();
        let path = format!("{}?per_page={PAGE_ITEMS}{cursor}", log.path);
        let raw = self.send(log.list, &log.who, &path, &log.subject, None).await?;
        let lines: Vec<wire::Delivery> = raw.read(log.list, &log.subject)?;
        let mut found = DeliveryPage { next: raw.header("link").and_then(next_cursor), ..DeliveryPage::default() };
        for line in lines {
            let Some(at) = wire::timestamp(Some(&line.delivered_at)) else { continue };
            found.oldest_at = Some(found.oldest_at.map_or(at, |oldest| oldest.min(at)));
            let Ok(guid) = DeliveryId::parse(&line.guid) else { continue };
            if (200..300).contains(&line.status_code) {
                found.delivered.push(guid);
            } else {
                found.failed.push(FailedDelivery { id: line.id, guid, at, event: line.event });
            }
        }
        Ok(found)
    }

    /// Asks for a delivery again.
    pub(crate) async fn ask_again(&self, id: u64) -> Result<(), GitHubError> {
        let log = self.delivery_log();
        let path = format!("{}/{id}/attempts", log.path);
        self.send(log.again, &log.who, &path, &format!("delivery {id} of {}", log.subject), None).await.map(|_| ())
    }

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

/// Where deliveries are logged, and as whom the log is read.
struct DeliveryLog {
    list: Operation,
    again: Operation,
    who: As,
    path: String,
    subject: String,
}

/// The cursor of the next page in a `Link` header.
fn next_cursor(link: &str) -> Option<String> {
    let next = link.split(',').find(|part| part.contains("rel=\"next\""))?;
    let (_, rest) = next.split_once("cursor=")?;
    let cursor = cursor_text(rest);
    (!cursor.is_empty()).then_some(cursor)
}

/// The beginning of a text that a cursor can be.
fn cursor_text(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_alphanumeric() || "_-%".contains(*c)).take(200).collect()
}
