//! Workflow runs, their jobs, the runners that do them, and check runs.

use std::time::Duration;

/// A workflow to run.
#[derive(Clone, Debug, Default)]
pub struct WorkflowSpec {
    /// Its name.
    pub name: String,
    /// Its jobs.
    pub jobs: Vec<JobSpec>,
}

/// One job of a workflow.
#[derive(Clone, Debug, Default)]
pub struct JobSpec {
    /// Its name.
    pub name: String,
    /// `runs-on`.
    pub labels: Vec<String>,
    /// How long it works.
    pub duration: Duration,
    /// Names of jobs that must have succeeded.
    pub needs: Vec<String>,
    /// `max-parallel` over the jobs of the same matrix name.
    pub max_parallel: Option<(String, usize)>,
    /// How it ends; empty means `success`.
    pub conclusion: String,
}

/// A job as tests see it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "GitHub's own field names")]
pub struct JobView {
    pub id: u64,
    pub name: String,
    pub status: String,
    pub conclusion: Option<String>,
    pub runner_name: Option<String>,
    pub created_ms: i64,
    pub started_ms: Option<i64>,
    pub completed_ms: Option<i64>,
}

/// A registration as tests see it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "GitHub's own field names")]
pub struct RunnerView {
    pub id: u64,
    pub name: String,
    pub online: bool,
    pub busy: bool,
}

pub(crate) struct Job {
    pub id: u64,
    pub run: u64,
    pub repository: String,
    pub spec: JobSpec,
    /// `pending` (needs), `queued`, `in_progress`, `completed`.
    pub status: &'static str,
    /// Queued for people, but held back by `max-parallel`.
    pub conclusion: Option<String>,
    pub runner: Option<(u64, String)>,
    /// The group of the runner that has or had it.
    pub group: u64,
    pub created_ms: i64,
    pub started_ms: Option<i64>,
    pub completed_ms: Option<i64>,
    pub workflow: String,
}

pub(crate) struct Runner {
    pub id: u64,
    pub name: String,
    /// `org`, `owner/repo` or `enterprises/slug`.
    pub scope: String,
    pub labels: Vec<String>,
    pub ephemeral: bool,
    pub key: String,
    pub group: u64,
    pub session: Option<String>,
    pub seen_ms: i64,
    pub job: Option<u64>,
}

pub(crate) struct Check {
    pub id: u64,
    pub repository: String,
    pub head_sha: String,
    pub name: String,
    pub title: String,
    pub summary: String,
    pub status: String,
    pub conclusion: Option<String>,
    pub started_ms: i64,
}
