//! A process's way to GitHub: limits, outages, calls that fail before or after their effect, lists that lag.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use runnersmith_ports::{
    CheckRun, DeliveryPage, FailedDelivery, GitHub, GitHubError, InstalledOwner, JitConfig, JitRequest,
    RegistrationToken, RepositoryPage,
};
use runnersmith_types::{
    Conclusion, FactSource, JobFact, JobId, JobStatus, Owner, Registration, RegistrationId, RegistrationName,
    RepoFullName, RunId, RunSummary, RunnerScope, ScaleSetName, Secret, Timestamp,
};

use crate::bugs::Bug;
use crate::checks::Rule;
use crate::options::OWNER;
use crate::outside::{Outside, SimJob, SimRegistration};
use crate::process::Process;
use crate::time::secs;

/// GitHub's largest page.
const PAGE: usize = 100;

/// What every secret of a world begins with, so that it is found where it must not be.
pub const SECRET: &str = "SECRET";

/// A process's way to GitHub.
pub struct GitHubWire(Arc<Process>);

/// How a call goes wrong.
enum Fault {
    Limited(Timestamp),
    Before,
    After,
}

impl Outside {
    /// How this call goes wrong, if it does.
    fn github_fault(&mut self) -> Option<Fault> {
        self.counts.github_calls += 1;
        let now = self.now();
        // While a limit holds, the client says so itself, and GitHub is not called.
        if self.limited_until > now {
            return Some(Fault::Limited(self.limited_until));
        }
        self.counts_a_call();
        // The first call meets the limit; the client knows of it from then on.
        if let Some(until) = self.in_window(&self.options.faults.github_limits) {
            self.limited_until = until;
            return Some(Fault::Limited(until));
        }
        if self.in_window(&self.options.faults.github_outages).is_some() {
            return Some(Fault::Before);
        }
        let secondary = self.rate(|faults| faults.github_secondary_limit);
        if self.random.calls.happens(secondary) {
            self.limited_until = now.plus(secs(60));
            return Some(Fault::Limited(self.limited_until));
        }
        let before = self.rate(|faults| faults.github_error_before);
        if self.random.calls.happens(before) {
            return Some(Fault::Before);
        }
        let after = self.rate(|faults| faults.github_error_after);
        self.random.calls.happens(after).then_some(Fault::After)
    }

    /// A run: each is of a workflow and a branch of its own, so that none supersedes another.
    pub(crate) fn run_summary(&self, id: RunId) -> RunSummary {
        let jobs = || self.jobs.values().filter(|job| job.run == id);
        let open = jobs().any(|job| job.status.is_open());
        let attempt = jobs().map(|job| job.attempt).max().unwrap_or(1);
        // A run is cancelled as a whole; here one of its jobs stands for that.
        let bad = ["cancelled", "failure"]
            .into_iter()
            .find(|word| jobs().any(|job| job.attempt == attempt && job.conclusion == Some(word)));
        RunSummary {
            id,
            status: if open { "in_progress" } else { "completed" }.into(),
            conclusion: (!open).then(|| Conclusion(bad.unwrap_or("success").into())),
            run_attempt: attempt,
            workflow: id.0,
            branch: format!("branch-{id}"),
            event: "push".into(),
            head_repository: 1,
        }
    }

    fn shown_registrations(&self) -> Vec<Registration> {
        let now = self.now();
        let lag = if self.is_calm() { secs(0) } else { self.options.faults.registrations_lag };
        let is_shown = |known: &&SimRegistration| {
            known.created_at.plus(lag) <= now && known.removed_at.is_none_or(|at| at.plus(lag) > now)
        };
        let hides_foreign = self.options.bug == Some(Bug::HidesForeignRunners);
        let is_listed = |known: &&SimRegistration| !hides_foreign || known.is_ours();
        self.registrations.values().filter(is_shown).filter(is_listed).map(|known| known.shown(now)).collect()
    }
}

impl SimRegistration {
    fn shown(&self, now: Timestamp) -> Registration {
        Registration {
            id: self.id,
            name: self.name.clone(),
            online: self.online,
            busy: self.is_busy(now),
            labels: self.labels.clone(),
        }
    }
}

/// The set of a runner's registration.
fn set_of(name: &str) -> Option<ScaleSetName> {
    RegistrationName::parse(name)?.into_runner().set()
}

/// What a call is about, and the short form of how it ended.
fn outcome<T>(result: &Result<T, GitHubError>) -> &'static str {
    result.as_ref().map_or_else(GitHubError::kind, |_| "ok")
}

impl GitHubWire {
    /// The way of this process.
    #[must_use]
    pub const fn new(process: Arc<Process>) -> Self {
        Self(process)
    }

    fn bug(&self) -> Option<Bug> {
        self.0.shared.with(|outside| outside.options.bug)
    }

    /// Makes a call: it takes its time, and meets what faults there are.
    async fn call<T>(
        &self,
        operation: &'static str,
        subject: String,
        effect: impl FnOnce(&mut Outside) -> Result<T, GitHubError> + Send,
    ) -> Result<T, GitHubError> {
        let call = self.0.begin(operation).await;
        self.0.takes(40, 400).await;
        let result = self.0.shared.with(|outside| {
            let transient = || GitHubError::Transient { operation, subject: subject.clone(), source: "502".into() };
            let result = match outside.github_fault() {
                Some(Fault::Limited(until)) => {
                    Err(GitHubError::RateLimited { operation, subject: subject.clone(), until })
                }
                Some(Fault::Before) => Err(transient()),
                Some(Fault::After) => {
                    outside.answer_lost = true;
                    let result = effect(outside).and(Err(transient()));
                    outside.answer_lost = false;
                    result
                }
                None => effect(outside),
            };
            outside.note(format!("{} {operation} {subject}: {}", self.0.name, outcome(&result)));
            result
        });
        self.0.end(call, operation).await;
        result
    }
}

fn not_found<T>(operation: &'static str, subject: impl ToString) -> Result<T, GitHubError> {
    Err(GitHubError::NotFound { operation, subject: subject.to_string() })
}

#[async_trait]
impl GitHub for GitHubWire {
    async fn job(&self, _: &RepoFullName, id: JobId) -> Result<JobFact, GitHubError> {
        let asked = move |outside: &mut Outside| match outside.jobs.get(&id) {
            Some(job) if outside.options.bug == Some(Bug::HidesEnds) && job.ended_at.is_some() => {
                let before = SimJob { status: JobStatus::InProgress, conclusion: None, ended_at: None, ..job.clone() };
                Ok(outside.fact(&before, FactSource::Get))
            }
            Some(job) => Ok(outside.fact(job, FactSource::Get)),
            None => not_found("job", id),
        };
        self.call("job", id.to_string(), asked).await
    }

    async fn registrations(&self, at: &RunnerScope) -> Result<Vec<Registration>, GitHubError> {
        self.call("registrations", at.to_string(), |outside| Ok(outside.shown_registrations())).await
    }

    async fn registration(&self, _: &RunnerScope, id: RegistrationId) -> Result<Registration, GitHubError> {
        let asked = move |outside: &mut Outside| {
            let now = outside.now();
            match outside.registrations.get(&id).filter(|known| known.removed_at.is_none()) {
                Some(known) => Ok(known.shown(now)),
                None => not_found("registration", id),
            }
        };
        self.call("registration", id.to_string(), asked).await
    }

    async fn registration_by_name(&self, _: &RunnerScope, name: &str) -> Result<Option<Registration>, GitHubError> {
        let wanted = name.to_owned();
        let asked = move |outside: &mut Outside| {
            let now = outside.now();
            let mut there = outside.registrations.values().filter(|known| known.removed_at.is_none());
            Ok(there.find(|known| known.name == wanted).map(|known| known.shown(now)))
        };
        self.call("registration by name", name.to_owned(), asked).await
    }

    async fn jit_config(&self, request: &JitRequest) -> Result<JitConfig, GitHubError> {
        let (name, labels) = (request.name.clone(), request.labels.clone());
        let made = move |outside: &mut Outside| {
            let taken = outside.registrations.values().any(|known| known.name == name && known.removed_at.is_none());
            let now = outside.now();
            if let Some(set) = set_of(&name) {
                outside.effect(&set, format!("jit {name}"), !taken);
            }
            if taken {
                let message = "Already exists".to_owned();
                return Err(GitHubError::Conflict { operation: "jit", subject: name, message });
            }
            let id = RegistrationId(outside.number());
            let registration = SimRegistration {
                id,
                name,
                labels,
                ephemeral: true,
                online: false,
                job: None,
                busy_until: Timestamp(0),
                created_at: now,
                removed_at: None,
                machine: None,
            };
            outside.registrations.insert(id, registration);
            Ok(JitConfig { registration: id, encoded: Secret::new(format!("{SECRET}-jit-{id}")) })
        };
        self.call("jit", request.name.clone(), made).await
    }

    async fn registration_token(&self, at: &RunnerScope) -> Result<RegistrationToken, GitHubError> {
        let made = |outside: &mut Outside| {
            let (number, expires_at) = (outside.number(), outside.now().plus(secs(3_600)));
            let token = Secret::new(format!("{SECRET}-token-{number}"));
            Ok(RegistrationToken { token, expires_at, url: format!("https://github.com/{OWNER}") })
        };
        self.call("registration token", at.to_string(), made).await
    }

    async fn deregister(&self, _: &RunnerScope, id: RegistrationId) -> Result<(), GitHubError> {
        let removed = move |outside: &mut Outside| {
            let now = outside.now();
            let Some(known) = outside.registrations.get_mut(&id) else { return Ok(()) };
            let (is_there, is_busy) = (known.removed_at.is_none(), known.is_busy(now));
            if is_there && !is_busy {
                known.removed_at = Some(now);
            }
            let (name, is_ours) = (known.name.clone(), known.is_ours());
            if let Some(set) = set_of(&name).filter(|_| is_ours) {
                outside.effect(&set, format!("deregister {name}"), is_there && !is_busy);
            } else {
                outside.broken(Rule::ForeignJobsAreLeftAlone, format!("{name} is removed, which is another fleet's"));
            }
            if is_there && is_busy {
                return Err(GitHubError::Busy { operation: "deregister", subject: id.to_string() });
            }
            Ok(())
        };
        self.call("deregister", id.to_string(), removed).await
    }

    async fn installed(&self) -> Result<Vec<InstalledOwner>, GitHubError> {
        let listed = |_: &mut Outside| {
            let owner = Owner::parse(OWNER).ok();
            Ok(owner.into_iter().map(|owner| InstalledOwner { owner, is_suspended: false }).collect())
        };
        self.call("installed", String::new(), listed).await
    }

    async fn repositories(&self, owner: &Owner, page: u32) -> Result<RepositoryPage, GitHubError> {
        let listed = move |outside: &mut Outside| {
            let all: Vec<RepoFullName> = (1..=outside.options.repositories)
                .filter_map(|n| RepoFullName::parse(&format!("{OWNER}/repo{n}")).ok())
                .collect();
            let pages: Vec<&[RepoFullName]> = all.chunks(PAGE).collect();
            let index = usize::try_from(page.saturating_sub(1)).unwrap_or(usize::MAX);
            let repositories = pages.get(index).map(|page| page.to_vec()).unwrap_or_default();
            Ok(RepositoryPage { repositories, is_last: index.saturating_add(1) >= pages.len() })
        };
        self.call("repositories", format!("{owner} {page}"), listed).await
    }

    async fn sweep(&self, repo: &RepoFullName) -> Result<Vec<JobFact>, GitHubError> {
        let wanted = repo.clone();
        let swept = move |outside: &mut Outside| {
            let waiting = outside.jobs.values().filter(|job| job.repo == wanted && job.status <= JobStatus::Queued);
            let mut found: Vec<JobFact> = waiting.map(|job| outside.fact(job, FactSource::Sweep)).collect();
            outside.lies_about(&wanted, &mut found);
            Ok(found)
        };
        self.call("sweep", repo.to_string(), swept).await
    }

    async fn run(&self, _: &RepoFullName, id: RunId) -> Result<RunSummary, GitHubError> {
        let hides = self.bug() == Some(Bug::HidesCancellations);
        let asked = move |outside: &mut Outside| {
            let mut run = outside.run_summary(id);
            let cancelled = run.conclusion.as_mut().filter(|conclusion| hides && conclusion.0 == "cancelled");
            cancelled.into_iter().for_each(|conclusion| conclusion.0 = "failure".into());
            Ok(run)
        };
        self.call("run", id.to_string(), asked).await
    }

    async fn runs_of_branch(&self, repo: &RepoFullName, _: &str, _: &str) -> Result<Vec<RunSummary>, GitHubError> {
        let wanted = repo.clone();
        let asked = move |outside: &mut Outside| {
            let runs: BTreeSet<RunId> =
                outside.jobs.values().filter(|job| job.repo == wanted).map(|job| job.run).collect();
            Ok(runs.into_iter().rev().take(100).map(|run| outside.run_summary(run)).collect())
        };
        self.call("runs of a branch", repo.to_string(), asked).await
    }

    async fn rerun_failed(&self, _: &RepoFullName, id: RunId) -> Result<(), GitHubError> {
        let again = move |outside: &mut Outside| {
            outside.check_rerun(id);
            outside.run_again(id);
            Ok(())
        };
        self.call("re-run", id.to_string(), again).await
    }

    async fn deliveries(&self, page: Option<&str>) -> Result<DeliveryPage, GitHubError> {
        let before = page.and_then(|page| page.parse().ok()).unwrap_or(u64::MAX);
        let listed = move |outside: &mut Outside| {
            let mut shown = DeliveryPage::default();
            let mut all = outside.deliveries.range(..before).rev().peekable();
            for (id, entry) in all.by_ref().take(PAGE) {
                shown.oldest_at = Some(entry.at);
                shown.next = Some(id.to_string());
                let Some(guid) = entry.fact.delivery.clone() else { continue };
                if entry.failed {
                    shown.failed.push(FailedDelivery { id: *id, guid, at: entry.at, event: "workflow_job".into() });
                } else {
                    shown.delivered.push(guid);
                }
            }
            if all.peek().is_none() {
                shown.next = None;
            }
            Ok(shown)
        };
        self.call("deliveries", page.unwrap_or("newest").to_owned(), listed).await
    }

    async fn redeliver(&self, id: u64) -> Result<(), GitHubError> {
        let sent = move |outside: &mut Outside| {
            if let Some(fact) = outside.deliveries.get(&id).map(|entry| entry.fact.clone()) {
                outside.send(fact);
            }
            Ok(())
        };
        self.call("redeliver", id.to_string(), sent).await
    }

    async fn notify(&self, check: &CheckRun) -> Result<u64, GitHubError> {
        let mut check = check.clone();
        if self.bug() == Some(Bug::SaysSuccess) {
            check.conclusion = Some("success".into());
        }
        if self.bug() == Some(Bug::LeavesOutWhoWaits) && check.id.is_some() {
            (check.conclusion, check.summary) = (Some("success".into()), String::new());
        }
        let subject = format!("{} {}", check.head_sha, check.conclusion.as_deref().unwrap_or("waiting"));
        let waiting = self.0.shared.ledger.queued_of(&check.repo, &check.head_sha);
        let posted = move |outside: &mut Outside| Ok(outside.posts(check, &waiting));
        self.call("notify", subject, posted).await
    }

    async fn whoami(&self) -> Result<String, GitHubError> {
        self.call("whoami", String::new(), |_| Ok("world".into())).await
    }
}
