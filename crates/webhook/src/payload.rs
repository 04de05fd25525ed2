//! What a payload says to us, read once from its bytes, as far as it concerns us.
//!
//! The event's name decides which form the bytes are read in, so one reading is enough for all who are interested: the queue
//! gets messages, and those who carry changes through get where to look.

use runnersmith_github::WorkflowJobPayload;
use runnersmith_ports::Message;
use runnersmith_types::{DeliveryId, FactSource, JobId, OwnerKind, RepoFullName, Timestamp};
use serde::Deserialize;

use crate::change_trigger::ChangeEvent;
use crate::reading::{read, shown};

/// The most repositories of one installation that are swept because of it; the timer finds the jobs of the others.
const SWEEPS_MAX: usize = 100;

/// What is answered to an event that nobody uses.
pub(crate) const UNUSED_EVENT: &str = "this event is not used";

/// What a payload says to us.
#[derive(Debug)]
pub enum Payload {
    /// It is for the queue. The list is empty when an installation names no repository.
    Messages(Vec<Message>),
    /// It may concern a change, if it comes from a control repository.
    Change(ChangeEvent),
    /// There is nothing for us in it.
    Unused {
        /// Why, for GitHub's delivery log.
        reason: String,
        /// The job that it is about, if somebody may ask what became of that delivery.
        job: Option<JobId>,
    },
}

/// Why a payload of an event that we use cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the payload of {event:?} cannot be read: {why}")]
pub struct PayloadError {
    event: String,
    why: String,
    /// The job that it is about, as far as that could be read.
    pub job: Option<JobId>,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
    owner: Option<Owner>,
}

#[derive(Deserialize)]
struct Owner {
    #[serde(default, rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct JobPayload {
    workflow_job: WorkflowJobPayload,
    repository: Repository,
}

/// As little of a job's payload as says which job it is about.
#[derive(Deserialize)]
struct NamedJobPayload {
    workflow_job: NamedJob,
}

#[derive(Deserialize)]
struct NamedJob {
    id: u64,
}

#[derive(Deserialize)]
struct CheckRunPayload {
    check_run: CheckRun,
    repository: Repository,
}

#[derive(Deserialize)]
struct CheckRun {
    id: u64,
    status: String,
    app: Option<AppName>,
}

#[derive(Deserialize)]
struct AppName {
    slug: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct InstallationPayload {
    #[serde(default)]
    repositories: Option<Vec<NamedRepository>>,
    #[serde(default)]
    repositories_added: Option<Vec<NamedRepository>>,
}

#[derive(Deserialize)]
struct NamedRepository {
    full_name: String,
}

impl Payload {
    /// Reads the payload of an event. Returns `Unused` for an event that we do not use, whatever its bytes are.
    ///
    /// # Errors
    /// When it is not JSON, or lacks what every server sends for an event that feeds the queue.
    pub fn parse(
        event: &str,
        delivery: Option<DeliveryId>,
        body: &[u8],
        received_at: Timestamp,
    ) -> Result<Self, PayloadError> {
        let parsed = match event {
            "workflow_job" => job(delivery, body, received_at),
            "check_run" => check_run(body),
            "installation" | "installation_repositories" => installation(body),
            "workflow_run" => Ok(Self::unused("workflow runs are followed by their jobs")),
            "ping" => Ok(Self::unused("pong")),
            // One that cannot be read is as little a failed delivery as one that nobody reads.
            _ => Ok(ChangeEvent::parse(event, body).map_or_else(|_| Self::unused(UNUSED_EVENT), Self::Change)),
        };
        parsed.map_err(|why| {
            let job = if event == "workflow_job" { job_named(body) } else { None };
            PayloadError { event: shown(event), why, job }
        })
    }

    fn unused(reason: impl Into<String>) -> Self {
        Self::Unused { reason: reason.into(), job: None }
    }
}

fn job(delivery: Option<DeliveryId>, body: &[u8], received_at: Timestamp) -> Result<Payload, String> {
    let payload: JobPayload = read(body)?;
    let repo = name_of(&payload.repository)?;
    let owner_kind = match payload.repository.owner.as_ref().map(|owner| owner.kind.as_str()) {
        Some("Organization") => OwnerKind::Organization,
        Some("User") => OwnerKind::User,
        _ => OwnerKind::Unknown,
    };
    let status: String = payload.workflow_job.status().chars().take(20).collect();
    Ok(match payload.workflow_job.fact(repo, owner_kind, FactSource::Delivery, received_at) {
        Some(mut fact) => {
            fact.delivery = delivery;
            Payload::Messages(vec![Message::Job(Box::new(fact))])
        }
        None => {
            let reason = format!("the job's status {status:?} is not one that we know");
            Payload::Unused { reason, job: job_named(body) }
        }
    })
}

/// Returns the job that a payload is about, whatever else is wrong with it.
fn job_named(body: &[u8]) -> Option<JobId> {
    read::<NamedJobPayload>(body).ok().map(|named| JobId(named.workflow_job.id))
}

fn check_run(body: &[u8]) -> Result<Payload, String> {
    let payload: CheckRunPayload = read(body)?;
    let repo = name_of(&payload.repository)?;
    let of_actions = payload.check_run.app.as_ref().is_some_and(|app| match &app.slug {
        Some(slug) => slug == "github-actions",
        None => app.name.as_deref() == Some("GitHub Actions"),
    });
    Ok(match (of_actions, payload.check_run.status.as_str()) {
        // Old servers send these; the job's labels are fetched by its id, which is the check run's number.
        (true, "queued") => Payload::Messages(vec![Message::CheckRun { repo, job: JobId(payload.check_run.id) }]),
        (true, _) => Payload::unused("only queued check runs are used"),
        (false, _) => Payload::unused("it is not a check run of GitHub Actions"),
    })
}

fn installation(body: &[u8]) -> Result<Payload, String> {
    let payload: InstallationPayload = read(body)?;
    let named = payload.repositories.into_iter().flatten().chain(payload.repositories_added.into_iter().flatten());
    let repositories = named.filter_map(|found| RepoFullName::parse(&found.full_name).ok());
    Ok(Payload::Messages(repositories.take(SWEEPS_MAX).map(|repo| Message::Sweep { repo }).collect()))
}

fn name_of(repository: &Repository) -> Result<RepoFullName, String> {
    RepoFullName::parse(&repository.full_name).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_decides_and_a_runner_on_a_queued_job_means_nothing() {
        let body = br#"{"action":"queued","workflow_job":{"id":1,"run_id":2,"status":"waiting","labels":["X"],"runner_id":5,"runner_name":"r"},
            "repository":{"full_name":"a/b"}}"#;
        let payload = Payload::parse("workflow_job", None, body, Timestamp(5)).unwrap();
        let Payload::Messages(messages) = payload else { panic!("nothing for the queue") };
        let [Message::Job(fact)] = messages.as_slice() else { panic!("not a job") };
        assert_eq!(fact.status, runnersmith_types::JobStatus::Waiting);
        assert_eq!((&fact.runner_name, fact.runner_id), (&None, None));
        assert_eq!(fact.labels[0].as_str(), "x");
    }

    #[test]
    fn what_cannot_be_read_is_named_by_its_place_and_never_by_its_content() {
        for (event, body, said) in [
            ("workflow_job", "{\n \"secret", "it is not JSON, at line 2 column 8"),
            ("check_run", r#"{"check_run":{"id":"secret"}}"#, "of another kind, at line 1 column 27"),
        ] {
            let error = Payload::parse(event, None, body.as_bytes(), Timestamp(0)).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains(event) && !error.contains("secret"), "{error}");
        }
        for event in ["star", "workflow_run", "issues", "push"] {
            let payload = Payload::parse(event, None, b"{", Timestamp(0)).unwrap();
            assert!(matches!(payload, Payload::Unused { .. }), "nobody needs its content: {event}");
        }
    }
}
