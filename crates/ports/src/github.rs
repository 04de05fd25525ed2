//! What controllers ask of GitHub.

use async_trait::async_trait;
use runnersmith_types::{
    DeliveryId, JobFact, JobId, Label, Owner, Registration, RegistrationId, RepoFullName, RunId, RunSummary,
    RunnerGroupName, RunnerScope, Secret, Timestamp,
};

/// Why a GitHub call failed: what a caller does differently.
#[derive(Debug, thiserror::Error)]
pub enum GitHubError {
    /// 404 (or 410): GitHub does not know it, or does not show it to us.
    #[error("github {operation} {subject}: not found")]
    NotFound {
        /// The call.
        operation: &'static str,
        /// About what.
        subject: String,
    },
    /// 409: it exists already, or another change is under way.
    #[error("github {operation} {subject}: conflict: {message}")]
    Conflict {
        /// The call.
        operation: &'static str,
        /// About what.
        subject: String,
        /// GitHub's words.
        message: String,
    },
    /// 422 on a runner's removal: it has a job.
    #[error("github {operation} {subject}: busy")]
    Busy {
        /// The call.
        operation: &'static str,
        /// About what.
        subject: String,
    },
    /// Any other 4xx that repeating cannot fix.
    #[error("github {operation} {subject}: refused with status {status}: {message}")]
    Refused {
        /// The call.
        operation: &'static str,
        /// About what.
        subject: String,
        /// The HTTP status.
        status: u16,
        /// GitHub's words, cut to 200 characters.
        message: String,
    },
    /// 401, or 403 without rate-limit headers: the App's key, installation or permissions.
    #[error("github {operation} {subject}: not allowed: {message}")]
    Unauthorized {
        /// The call.
        operation: &'static str,
        /// About what.
        subject: String,
        /// GitHub's words, and which permission it says is needed.
        message: String,
    },
    /// The App is not installed for that owner.
    #[error("github {operation} {subject}: the App is not installed there")]
    NotInstalled {
        /// The call.
        operation: &'static str,
        /// About what.
        subject: String,
    },
    /// A primary or secondary limit; never slept out inside a call.
    #[error("github {operation} {subject}: rate limited until {until}")]
    RateLimited {
        /// The call.
        operation: &'static str,
        /// About what.
        subject: String,
        /// When it may be tried again.
        until: Timestamp,
    },
    /// 5xx, connection, timeout, unreadable answer; the effect may have happened.
    #[error("github {operation} {subject} failed")]
    Transient {
        /// The call.
        operation: &'static str,
        /// About what.
        subject: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl GitHubError {
    /// A stable word for metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::Conflict { .. } => "conflict",
            Self::Busy { .. } => "busy",
            Self::Refused { .. } => "refused",
            Self::Unauthorized { .. } => "unauthorized",
            Self::NotInstalled { .. } => "not_installed",
            Self::RateLimited { .. } => "rate_limited",
            Self::Transient { .. } => "transient",
        }
    }
}

/// A JIT config to be asked for.
#[derive(Clone, Debug)]
pub struct JitRequest {
    /// Where.
    pub at: RunnerScope,
    /// The registration's name.
    pub name: String,
    /// All labels; JIT adds none by itself.
    pub labels: Vec<Label>,
    /// The group by name; the client finds and caches its id. Repositories always use group 1.
    pub group: RunnerGroupName,
}

/// A JIT config.
#[derive(Clone, Debug)]
pub struct JitConfig {
    /// The registration that it made.
    pub registration: RegistrationId,
    /// The config; cannot be read again.
    pub encoded: Secret,
}

/// A registration token: good for an hour and for many runners.
#[derive(Clone, Debug)]
pub struct RegistrationToken {
    /// The token.
    pub token: Secret,
    /// Its end.
    pub expires_at: Timestamp,
    /// The address for `config.sh --url`.
    pub url: String,
}

/// An owner for whom the App is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstalledOwner {
    /// The organisation or person.
    pub owner: Owner,
    /// The owner has suspended it: no call is allowed there.
    pub is_suspended: bool,
}

/// One page of the repositories that an installation may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryPage {
    /// The repositories; archived and disabled ones are left out, because they run nothing.
    pub repositories: Vec<RepoFullName>,
    /// Whether no page follows.
    pub is_last: bool,
}

/// One page of the log of deliveries. The log is newest first and reaches three days back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryPage {
    /// Attempts that failed.
    pub failed: Vec<FailedDelivery>,
    /// Deliveries that arrived.
    pub delivered: Vec<DeliveryId>,
    /// When the page's oldest attempt was made.
    pub oldest_at: Option<Timestamp>,
    /// What to ask for the next page with; `None` on the last.
    pub next: Option<String>,
}

/// A delivery that GitHub could not bring to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedDelivery {
    /// The log's number, for redelivery.
    pub id: u64,
    /// The delivery's GUID; a redelivery has the same.
    pub guid: DeliveryId,
    /// When GitHub tried.
    pub at: Timestamp,
    /// The event's name.
    pub event: String,
}

/// One check run that notifies authors why their jobs wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRun {
    /// The repository.
    pub repo: RepoFullName,
    /// The commit.
    pub head_sha: String,
    /// The existing check run, to update.
    pub id: Option<u64>,
    /// The title, one line.
    pub title: String,
    /// Markdown, at most 65,535 characters.
    pub summary: String,
    /// `None`: still waiting; `Some("failure")`, `Some("success")`, `Some("neutral")`: closed.
    pub conclusion: Option<String>,
}

/// GitHub. Contract: no call sleeps for a limit; reads are retried a bounded number of times at the edge, writes are not; no error
/// holds a secret.
#[async_trait]
pub trait GitHub: Send + Sync + 'static {
    /// One job by id.
    async fn job(&self, repo: &RepoFullName, id: JobId) -> Result<JobFact, GitHubError>;
    /// All registrations at a place.
    async fn registrations(&self, at: &RunnerScope) -> Result<Vec<Registration>, GitHubError>;
    /// One registration by id.
    async fn registration(&self, at: &RunnerScope, id: RegistrationId) -> Result<Registration, GitHubError>;
    /// One registration by its exact name.
    async fn registration_by_name(&self, at: &RunnerScope, name: &str) -> Result<Option<Registration>, GitHubError>;
    /// A JIT config: exactly one call, never retried here; 409 when the name exists.
    async fn jit_config(&self, request: &JitRequest) -> Result<JitConfig, GitHubError>;
    /// A registration token, cached until shortly before its end.
    async fn registration_token(&self, at: &RunnerScope) -> Result<RegistrationToken, GitHubError>;
    /// Removes a registration: `Ok` on 204 and 404, `Busy` on 422.
    async fn deregister(&self, at: &RunnerScope, id: RegistrationId) -> Result<(), GitHubError>;
    /// All owners for whom the App is installed.
    async fn installed(&self) -> Result<Vec<InstalledOwner>, GitHubError>;
    /// A page of the repositories that the installation of an owner may see; the first page is 1.
    async fn repositories(&self, owner: &Owner, page: u32) -> Result<RepositoryPage, GitHubError>;
    /// The jobs of all runs that are not over: queued, in progress, waiting, pending or requested. It costs one call for a
    /// repository in which little runs, and otherwise one for each status and each run.
    async fn sweep(&self, repo: &RepoFullName) -> Result<Vec<JobFact>, GitHubError>;
    /// One run.
    async fn run(&self, repo: &RepoFullName, id: RunId) -> Result<RunSummary, GitHubError>;
    /// The newest runs of a branch that an event started, of all workflows, at most a page.
    async fn runs_of_branch(
        &self,
        repo: &RepoFullName,
        branch: &str,
        event: &str,
    ) -> Result<Vec<RunSummary>, GitHubError>;
    /// Re-runs the failed jobs of an ended run.
    async fn rerun_failed(&self, repo: &RepoFullName, id: RunId) -> Result<(), GitHubError>;
    /// A page of the log of deliveries: the newest, or the one that [`DeliveryPage::next`] names.
    async fn deliveries(&self, page: Option<&str>) -> Result<DeliveryPage, GitHubError>;
    /// Asks for a delivery again.
    async fn redeliver(&self, id: u64) -> Result<(), GitHubError>;
    /// Creates or updates a check run; answers its id.
    async fn notify(&self, check: &CheckRun) -> Result<u64, GitHubError>;
    /// Checks that the App's key works; answers the App's slug.
    async fn whoami(&self) -> Result<String, GitHubError>;
}

/// What a GitHub client notices in answers beside what it asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What kind of thing.
    pub kind: NoticeKind,
    /// What it is about: an operation, or whose limit it is; empty for the whole client.
    pub about: String,
    /// What is wrong, in words. `None`: it is well.
    pub wrong: Option<String>,
}

/// Kinds of what a client notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// The App was not granted what a call needs.
    Permission,
    /// How much of the hour's calls is left.
    RateLimit,
    /// Whether this machine's clock is GitHub's.
    Clock,
}
