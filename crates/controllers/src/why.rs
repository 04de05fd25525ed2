//! Why a job runs, waits or failed: the story that [`runnersmith_plan::story`] makes, loaded from the ledger, and its form for
//! programs.

use runnersmith_ports::{LedgerError, WorkLedger};
use runnersmith_types::{EventKind, JobId, WaitingOn};
use serde::Serialize;

pub use runnersmith_plan::question::{Asked, JobQuestion, JobTextError, parse_job};
pub use runnersmith_plan::story::{
    JobStage, JobStory, StageName, TimelineEntry, duration, escaped, sentence, stages, until, utc, utc_seconds,
};

/// The most lines of history that are read for one job.
const HISTORY_MAX: usize = 500;

/// [`JobStory`] for programs.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields of `JobStory`")]
pub struct JobStoryJson {
    pub job: u64,
    pub repository: String,
    pub name: String,
    pub workflow: String,
    pub labels: Vec<String>,
    pub status: &'static str,
    pub runner: Option<String>,
    #[serde(rename = "verdict")]
    pub sentence: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waited: Option<String>,
    pub stages: Vec<JobStageJson>,
    pub timeline: Vec<TimelineEntryJson>,
}

/// [`JobStage`] for programs.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields of `JobStage`")]
pub struct JobStageJson {
    pub stage: &'static str,
    pub seconds: f64,
}

/// [`TimelineEntry`] for programs.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields of `TimelineEntry`")]
pub struct TimelineEntryJson {
    pub at_ms: i64,
    pub since_seconds: f64,
    pub kind: EventKind,
    pub what: String,
    pub text: String,
}

impl From<&JobStory> for JobStoryJson {
    /// Times are milliseconds since the epoch, durations seconds.
    fn from(story: &JobStory) -> Self {
        Self {
            job: story.id.0,
            repository: story.repo.clone(),
            name: story.name.clone(),
            workflow: story.workflow.clone(),
            labels: story.labels.clone(),
            status: story.status,
            runner: story.runner.clone(),
            sentence: story.sentence.clone(),
            waited: story.waited.clone(),
            stages: story
                .stages
                .iter()
                .map(|stage| JobStageJson { stage: stage.name.word(), seconds: stage.took.as_secs_f64() })
                .collect(),
            timeline: story
                .timeline
                .iter()
                .map(|line| TimelineEntryJson {
                    at_ms: line.at.as_millis(),
                    since_seconds: line.since.as_secs_f64(),
                    kind: line.kind,
                    what: line.what.clone(),
                    text: line.text.clone(),
                })
                .collect(),
        }
    }
}

/// Loads the story of a job that waits for `waiting` if it is queued. `None` when nothing was ever recorded of it.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn why(
    ledger: &dyn WorkLedger,
    waiting: Option<&WaitingOn>,
    id: JobId,
) -> Result<Option<JobStory>, LedgerError> {
    let history = ledger.history_of_job(id, HISTORY_MAX).await?;
    let Some(job) = ledger.job(id).await? else { return Ok(JobStory::dropped(id, &history)) };
    let runner = match job.runner() {
        Some(name) => ledger.runner(&name).await?,
        None => None,
    };
    Ok(Some(JobStory::of(&job, runner.as_ref(), &history, waiting)))
}
