//! What GitHub sends us: signatures first, over the raw bytes; then the payload, as far as it concerns us.

use ring::hmac;
use runnersmith_types::{DeliveryId, FactSource, JobFact, JobId, OwnerKind, RepoFullName, RunId, Secret, Timestamp};
use serde::Deserialize;

use crate::wire;

/// Why a delivery is not GitHub's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No signature that may be used.
    #[error("the header X-Hub-Signature-256 is missing")]
    Missing,
    /// Not hexadecimal, or not of the right length.
    #[error("the signature is malformed")]
    Malformed,
    /// It is another secret's, or the body was changed.
    #[error("the signature does not match")]
    Mismatch,
}

/// A permission to parse: only [`verify`] makes it.
#[derive(Clone, Copy, Debug)]
pub struct Verified(());

/// Checks a delivery's signature in constant time against one secret, or two during a rotation.
///
/// # Errors
/// When it is missing, malformed, or of another secret.
pub fn verify(
    secrets: &[Secret],
    sha256: Option<&str>,
    sha1: Option<&str>,
    allow_sha1: bool,
    body: &[u8],
) -> Result<Verified, SignatureError> {
    let (text, prefix, algorithm) = match (sha256, sha1) {
        (Some(text), _) => (text, "sha256=", hmac::HMAC_SHA256),
        (None, Some(text)) if allow_sha1 => (text, "sha1=", hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        (None, _) => return Err(SignatureError::Missing),
    };
    let signature = text.strip_prefix(prefix).and_then(unhex).ok_or(SignatureError::Malformed)?;
    let matches = |secret: &Secret| {
        let key = hmac::Key::new(algorithm, secret.expose().as_bytes());
        // An empty secret would make every delivery ours.
        !secret.expose().is_empty() && hmac::verify(&key, body, &signature).is_ok()
    };
    if secrets.iter().any(matches) { Ok(Verified(())) } else { Err(SignatureError::Mismatch) }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || text.len() > 128 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

/// What a payload says to us.
#[derive(Clone, Debug, PartialEq)]
pub enum Parsed {
    /// A job's fact.
    Job(Box<JobFact>),
    /// A check run of GitHub Actions is queued (old servers); its labels are fetched by id.
    CheckRun {
        /// Where.
        repo: RepoFullName,
        /// The job, which has the check run's number.
        job: JobId,
    },
    /// The App can see these repositories now.
    Installation {
        /// Which.
        repositories: Vec<RepoFullName>,
    },
    /// A run moved.
    WorkflowRun {
        /// Where.
        repo: RepoFullName,
        /// Which.
        run: RunId,
    },
    /// A hook was set up.
    Ping,
    /// Nothing for us.
    Ignored {
        /// Why.
        reason: String,
    },
}

/// Why a payload of an event that we use cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the payload of {event:?} cannot be read: {why}")]
pub struct PayloadError {
    event: String,
    why: String,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
    owner: Option<wire::Account>,
}

#[derive(Deserialize)]
struct JobPayload {
    workflow_job: wire::Job,
    repository: Repository,
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

#[derive(Deserialize)]
struct RunPayload {
    workflow_run: wire::Id,
    repository: Repository,
}

/// Reads a payload.
///
/// # Errors
/// When it is not JSON, or lacks what every server sends for an event that we use.
pub fn parse(
    event: &str,
    delivery: Option<DeliveryId>,
    body: &[u8],
    received_at: Timestamp,
) -> Result<Parsed, PayloadError> {
    let fail = |why: String| PayloadError { event: event.chars().filter(|c| !c.is_control()).take(40).collect(), why };
    let repo_of =
        |repository: &Repository| RepoFullName::parse(&repository.full_name).map_err(|error| fail(error.to_string()));
    match event {
        "workflow_job" => {
            let payload: JobPayload = read(body).map_err(fail)?;
            let repo = repo_of(&payload.repository)?;
            let owner_kind = match payload.repository.owner.as_ref().map(|owner| owner.kind.as_str()) {
                Some("Organization") => OwnerKind::Organization,
                Some("User") => OwnerKind::User,
                _ => OwnerKind::Unknown,
            };
            let status: String = payload.workflow_job.status.chars().take(20).collect();
            Ok(match payload.workflow_job.fact(repo, owner_kind, FactSource::Delivery, received_at) {
                Some(mut fact) => {
                    fact.delivery = delivery;
                    Parsed::Job(Box::new(fact))
                }
                None => Parsed::Ignored { reason: format!("the job's status {status:?} is not one that we know") },
            })
        }
        "check_run" => {
            let payload: CheckRunPayload = read(body).map_err(fail)?;
            let repo = repo_of(&payload.repository)?;
            let app = payload.check_run.app.as_ref();
            let of_actions = app.is_some_and(|app| match &app.slug {
                Some(slug) => slug == "github-actions",
                None => app.name.as_deref() == Some("GitHub Actions"),
            });
            Ok(match (of_actions, payload.check_run.status.as_str()) {
                (true, "queued") => Parsed::CheckRun { repo, job: JobId(payload.check_run.id) },
                (true, _) => Parsed::Ignored { reason: "only queued check runs are used".into() },
                (false, _) => Parsed::Ignored { reason: "it is not a check run of GitHub Actions".into() },
            })
        }
        "installation" | "installation_repositories" => {
            let payload: InstallationPayload = read(body).map_err(fail)?;
            let named =
                payload.repositories.into_iter().flatten().chain(payload.repositories_added.into_iter().flatten());
            Ok(Parsed::Installation {
                repositories: named.filter_map(|found| RepoFullName::parse(&found.full_name).ok()).collect(),
            })
        }
        "workflow_run" => {
            let payload: RunPayload = read(body).map_err(fail)?;
            Ok(Parsed::WorkflowRun { repo: repo_of(&payload.repository)?, run: RunId(payload.workflow_run.id) })
        }
        "ping" => Ok(Parsed::Ping),
        _ => Ok(Parsed::Ignored { reason: "this event is not used".into() }),
    }
}

/// Reads JSON; the error names line and column, never the content.
fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            format!("a field is missing or of another kind, at line {} column {}", error.line(), error.column())
        }
        _ => format!("it is not JSON, at line {} column {}", error.line(), error.column()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_secret_over_the_right_bytes_verifies() {
        use std::fmt::Write as _;
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"right");
        let hex = hmac::sign(&key, b"body").as_ref().iter().fold(String::from("sha256="), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        let secrets = [Secret::new("old"), Secret::new("right")];
        assert!(verify(&secrets, Some(&hex), None, false, b"body").is_ok());
        assert_eq!(verify(&secrets, Some(&hex), None, false, b"bodY").unwrap_err(), SignatureError::Mismatch);
        assert_eq!(verify(&secrets[..1], Some(&hex), None, false, b"body").unwrap_err(), SignatureError::Mismatch);
        assert_eq!(verify(&secrets, None, Some("sha1=00"), false, b"body").unwrap_err(), SignatureError::Missing);
        for bad in ["", "sha256=", "sha256=zz", "sha1=00", "sha256=0", "sha256=é0"] {
            assert!(verify(&secrets, Some(bad), None, true, b"body").is_err(), "{bad:?}");
        }
        let empty = hmac::Key::new(hmac::HMAC_SHA256, b"");
        let signed = hmac::sign(&empty, b"body").as_ref().iter().fold(String::from("sha256="), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        assert!(
            verify(&[Secret::new("")], Some(&signed), None, false, b"body").is_err(),
            "an empty secret verifies nothing"
        );
    }

    #[test]
    fn the_status_decides_and_a_runner_on_a_queued_job_means_nothing() {
        let body = br#"{"action":"queued","workflow_job":{"id":1,"run_id":2,"status":"waiting","labels":["X"],"runner_id":5,"runner_name":"r"},
            "repository":{"full_name":"a/b"}}"#;
        let Parsed::Job(fact) = parse("workflow_job", None, body, Timestamp(5)).unwrap() else { panic!("not a job") };
        assert_eq!(fact.status, runnersmith_types::JobStatus::Waiting);
        assert_eq!((fact.runner_name, fact.runner_id), (None, None));
        assert_eq!(fact.labels[0].as_str(), "x");
    }
}
