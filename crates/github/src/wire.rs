//! GitHub's forms, as far as they are read. Everything that an older server leaves out is optional.

use runnersmith_types::{
    Conclusion, FactSource, JobFact, JobId, JobStatus, Label, OwnerKind, RegistrationId, RepoFullName, RunId, Timestamp,
};
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Message {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: serde_json::Value,
}

impl Message {
    /// GitHub's words. "Validation Failed" alone says nothing: what it means stands in `errors`, as texts or objects.
    pub fn text(self) -> String {
        let one = |error: &serde_json::Value| error.as_str().or_else(|| error["message"].as_str()).map(str::to_owned);
        let errors = match &self.errors {
            serde_json::Value::Array(errors) => errors.iter().filter_map(one).collect(),
            other => one(other).into_iter().collect::<Vec<_>>(),
        };
        if errors.is_empty() { self.message } else { format!("{}: {}", self.message, errors.join("; ")) }
    }
}

#[derive(Deserialize)]
pub(crate) struct Id {
    pub id: u64,
}

#[derive(Deserialize)]
pub(crate) struct Token {
    pub token: String,
    pub expires_at: String,
}

#[derive(Deserialize)]
pub(crate) struct WireAccount {
    #[serde(default)]
    pub id: u64,
    #[serde(default, rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub login: String,
}

#[derive(Deserialize)]
pub(crate) struct Installation {
    pub id: u64,
    pub account: Option<WireAccount>,
    pub suspended_at: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Repositories {
    pub total_count: Option<u64>,
    pub repositories: Vec<Repository>,
}

#[derive(Deserialize)]
pub(crate) struct Repository {
    pub full_name: String,
    #[serde(default)]
    pub archived: bool,
    #[serde(default)]
    pub disabled: bool,
}

/// Something of which only the name matters.
#[derive(Deserialize)]
pub(crate) struct Named {
    pub name: String,
}

#[derive(Deserialize)]
pub(crate) struct Runner {
    pub id: u64,
    pub name: String,
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub busy: bool,
    #[serde(default)]
    pub labels: Vec<Named>,
}

#[derive(Deserialize)]
pub(crate) struct Runners {
    pub total_count: u64,
    pub runners: Vec<Runner>,
}

#[derive(Deserialize)]
pub(crate) struct Jit {
    pub runner: Runner,
    pub encoded_jit_config: String,
}

#[derive(Deserialize)]
pub(crate) struct Groups {
    pub total_count: Option<u64>,
    pub runner_groups: Vec<Group>,
}

#[derive(Deserialize)]
pub(crate) struct Group {
    pub id: u64,
    pub name: String,
    #[serde(default)]
    pub visibility: String,
    #[serde(default)]
    pub allows_public_repositories: bool,
    /// The group that every place has, whatever its name.
    #[serde(default, rename = "default")]
    pub is_default: bool,
    /// It is the enterprise's.
    #[serde(default)]
    pub inherited: bool,
}

#[derive(Deserialize)]
pub(crate) struct Runs {
    pub workflow_runs: Vec<Run>,
}

#[derive(Deserialize)]
pub(crate) struct Run {
    pub id: u64,
    pub status: Option<String>,
    pub conclusion: Option<String>,
    pub run_attempt: Option<u64>,
    pub workflow_id: Option<u64>,
    pub head_branch: Option<String>,
    pub event: Option<String>,
    pub head_repository: Option<Id>,
    pub created_at: Option<String>,
}

impl Run {
    /// A status that is not known here is not over.
    pub fn is_over(&self) -> bool {
        self.status.as_deref() == Some("completed")
    }
}

#[derive(Deserialize)]
pub(crate) struct Jobs {
    pub jobs: Vec<WorkflowJobPayload>,
}

#[derive(Deserialize)]
pub(crate) struct Delivery {
    pub id: u64,
    pub guid: String,
    pub delivered_at: String,
    pub event: String,
    pub status_code: i64,
}

/// A job as GitHub writes it, in an answer of the API and in a payload alike: all who read it make the same fact of it.
#[derive(Deserialize)]
pub struct WorkflowJobPayload {
    pub(crate) id: u64,
    pub(crate) run_id: u64,
    pub(crate) run_attempt: Option<u32>,
    pub(crate) status: String,
    pub(crate) conclusion: Option<String>,
    #[serde(default)]
    pub(crate) name: Option<String>,
    pub(crate) workflow_name: Option<String>,
    pub(crate) head_sha: Option<String>,
    #[serde(default)]
    pub(crate) labels: Vec<String>,
    pub(crate) runner_id: Option<u64>,
    pub(crate) runner_name: Option<String>,
    pub(crate) created_at: Option<serde_json::Value>,
    pub(crate) started_at: Option<serde_json::Value>,
    pub(crate) completed_at: Option<serde_json::Value>,
}

/// The most characters of a job's or workflow's name that are kept.
const NAME_CHARS_MAX: usize = 200;

impl WorkflowJobPayload {
    /// Returns the word that GitHub has for its status, which may be one that we do not know.
    #[must_use]
    pub fn status(&self) -> &str {
        &self.status
    }

    /// Returns the bounded fact, or `None` when its status is a word that we do not know.
    #[must_use]
    pub fn fact(
        self,
        repo: RepoFullName,
        owner_kind: OwnerKind,
        source: FactSource,
        received_at: Timestamp,
    ) -> Option<JobFact> {
        let status = JobStatus::from_github(&self.status)?;
        let cut = |text: Option<String>| text.unwrap_or_default().chars().take(NAME_CHARS_MAX).collect::<String>();
        let head_sha = self
            .head_sha
            .filter(|sha| sha.len() <= 64 && sha.bytes().all(|b| b.is_ascii_hexdigit()))
            .unwrap_or_default();
        // Real deliveries carry a runner on queued jobs; it means nothing there.
        let has_runner = status >= JobStatus::InProgress;
        Some(JobFact {
            source,
            received_at,
            delivery: None,
            id: JobId(self.id),
            run: RunId(self.run_id),
            run_attempt: self.run_attempt.unwrap_or(0),
            repo,
            owner_kind,
            head_sha,
            name: cut(self.name),
            workflow: cut(self.workflow_name),
            labels_cut: self.labels.len() > JobFact::LABELS_MAX,
            labels: self.labels.iter().take(JobFact::LABELS_MAX).map(|label| Label::of_job(label)).collect(),
            status,
            conclusion: self.conclusion.map(|word| Conclusion(word.chars().take(32).collect())),
            runner_name: self
                .runner_name
                .filter(|name| has_runner && !name.is_empty())
                .map(|name| name.chars().take(100).collect()),
            runner_id: self.runner_id.filter(|id| has_runner && *id != 0).map(RegistrationId),
            created_at: self.created_at.as_ref().and_then(date),
            started_at: self.started_at.as_ref().and_then(date).filter(|_| has_runner),
            completed_at: self.completed_at.as_ref().and_then(date),
        })
    }
}

/// A date: RFC 3339 with any offset, with a space for the T, or Unix seconds.
fn date(value: &serde_json::Value) -> Option<Timestamp> {
    value.as_i64().map(Timestamp::from_secs).or_else(|| timestamp(value.as_str()))
}

/// A date as text.
pub(crate) fn timestamp(text: Option<&str>) -> Option<Timestamp> {
    let parsed: jiff::Timestamp = text?.trim().replacen(" UTC", "Z", 1).parse().ok()?;
    Some(Timestamp::from_millis(parsed.as_millisecond()))
}
