//! What the queue carries, in the form in which queues store it.
//!
//! It is here because its producers (the webhook, a loop that wants to look again) and its consumer meet only at the queue. Its
//! form is a promise: messages of an older version lie in queues.

use runnersmith_types::{JobFact, JobId, MachineId, RecordVersion, RepoFullName, ScaleSetName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::queue::BODY_BYTES_MAX;

/// What the queue carries: one bounded fact, without a set. The consumer matches on every pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredMessage", into = "StoredMessage")]
pub enum Message {
    /// A job's fact.
    Job(Box<JobFact>),
    /// A check run of GitHub Actions was queued; its labels are to be fetched by job id.
    CheckRun {
        /// The repository.
        repo: RepoFullName,
        /// The job, which has the check run's number.
        job: JobId,
    },
    /// A repository's queued jobs are to be swept (the App was installed there).
    Sweep {
        /// The repository.
        repo: RepoFullName,
    },
    /// Look again at one set.
    Wake {
        /// The set.
        set: ScaleSetName,
    },
    /// A machine has changed, of whatever control plane, or none.
    Machine(MachineEvent),
}

/// What a provider reports of a machine by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineEvent {
    /// The machine.
    pub machine: MachineId,
    /// When the provider takes it back, if that is what it reports.
    pub taken_back_at: Option<Timestamp>,
}

/// A message as queues store it. The version's number is beside the content's own fields, not beside the kind's word: a program of
/// an earlier version, which reads the same queue while a new one is rolled out, expects one word there and passes over a field
/// that it does not know.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredMessage {
    Job(Box<StoredFact>),
    CheckRun {
        repo: RepoFullName,
        job: JobId,
        #[serde(default)]
        record_version: RecordVersion<1>,
    },
    Sweep {
        repo: RepoFullName,
        #[serde(default)]
        record_version: RecordVersion<1>,
    },
    Wake {
        set: ScaleSetName,
        #[serde(default)]
        record_version: RecordVersion<1>,
    },
    Machine {
        machine: MachineId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        taken_back_at: Option<Timestamp>,
        #[serde(default)]
        record_version: RecordVersion<1>,
    },
}

/// A fact has no number of its own, since most lie inside a job's record, which has one.
#[derive(Serialize, Deserialize)]
struct StoredFact {
    #[serde(flatten)]
    fact: JobFact,
    #[serde(default)]
    record_version: RecordVersion<1>,
}

impl From<Message> for StoredMessage {
    fn from(message: Message) -> Self {
        let record_version = RecordVersion::CURRENT;
        match message {
            Message::Job(fact) => Self::Job(Box::new(StoredFact { fact: *fact, record_version })),
            Message::CheckRun { repo, job } => Self::CheckRun { repo, job, record_version },
            Message::Sweep { repo } => Self::Sweep { repo, record_version },
            Message::Wake { set } => Self::Wake { set, record_version },
            Message::Machine(MachineEvent { machine, taken_back_at }) => {
                Self::Machine { machine, taken_back_at, record_version }
            }
        }
    }
}

impl From<StoredMessage> for Message {
    fn from(stored: StoredMessage) -> Self {
        match stored {
            StoredMessage::Job(stored) => Self::Job(Box::new(stored.fact)),
            StoredMessage::CheckRun { repo, job, .. } => Self::CheckRun { repo, job },
            StoredMessage::Sweep { repo, .. } => Self::Sweep { repo },
            StoredMessage::Wake { set, .. } => Self::Wake { set },
            StoredMessage::Machine { machine, taken_back_at, .. } => {
                Self::Machine(MachineEvent { machine, taken_back_at })
            }
        }
    }
}

impl Message {
    /// Whether a body that cannot be read was written by a program that knows a newer form.
    #[must_use]
    pub fn is_of_newer_version(body: &str) -> bool {
        let Ok(serde_json::Value::Object(message)) = serde_json::from_str(body) else { return false };
        let version = message.values().find_map(|content| content.get("record_version")?.as_u64());
        version.is_some_and(|version| version > u64::from(RecordVersion::<1>::CURRENT.number()))
    }

    /// Returns the body that carries it. Facts are bounded, so it fits; labels are dropped from the end if hostile names do not.
    #[must_use]
    pub fn to_body(&self) -> String {
        let body = serde_json::to_string(self).unwrap_or_default();
        if body.len() <= BODY_BYTES_MAX {
            return body;
        }
        let Self::Job(fact) = self else { return body };
        let mut fact = fact.clone();
        fact.labels_cut = true;
        while !fact.labels.is_empty() {
            fact.labels.truncate(fact.labels.len() / 2);
            let body = serde_json::to_string(&Self::Job(fact.clone())).unwrap_or_default();
            if body.len() <= BODY_BYTES_MAX {
                return body;
            }
        }
        fact.name.clear();
        fact.workflow.clear();
        serde_json::to_string(&Self::Job(fact)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a version before the number reads, word for word.
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Earlier {
        Job(Box<JobFact>),
        CheckRun { repo: RepoFullName, job: JobId },
        Sweep { repo: RepoFullName },
        Wake { set: ScaleSetName },
    }

    /// A body with the number of a version in it.
    fn of_version(body: &str, version: u32) -> String {
        let content = body.strip_suffix("}}").unwrap();
        format!("{content},\"record_version\":{version}}}}}")
    }

    /// Each kind of message with the body that it had before there was a number.
    fn messages() -> [(Message, Earlier, &'static str); 4] {
        let (repo, set) = (RepoFullName::parse("acme/shop").unwrap(), ScaleSetName::parse("linux").unwrap());
        let (job, check_run) = (JobId(7), r#"{"check_run":{"repo":"acme/shop","job":7}}"#);
        let queued = r#"{"job":{"source":"delivery","received_at":1800000000000,"delivery":null,"id":201,"run":1,"run_attempt":1,"repo":"acme/shop","owner_kind":"organization","head_sha":"c0ffee","name":"build","workflow":"ci","labels":["linux"],"labels_cut":false,"status":"queued","conclusion":null,"runner_name":null,"runner_id":null,"created_at":null,"started_at":null,"completed_at":null}}"#;
        let Earlier::Job(fact) = serde_json::from_str(queued).unwrap() else { panic!() };
        [
            (Message::Job(fact.clone()), Earlier::Job(fact), queued),
            (Message::Wake { set: set.clone() }, Earlier::Wake { set }, r#"{"wake":{"set":"linux"}}"#),
            (
                Message::Sweep { repo: repo.clone() },
                Earlier::Sweep { repo: repo.clone() },
                r#"{"sweep":{"repo":"acme/shop"}}"#,
            ),
            (Message::CheckRun { repo: repo.clone(), job }, Earlier::CheckRun { repo, job }, check_run),
        ]
    }

    #[test]
    fn a_message_has_the_form_that_queues_have_stored() {
        for (message, _, body) in messages() {
            assert_eq!(message.to_body(), of_version(body, 1), "with the number, and nothing else is new");
            assert_eq!(serde_json::from_str::<Message>(body).unwrap(), message, "one without a number is of version 1");
            assert_eq!(serde_json::from_str::<Message>(&message.to_body()).unwrap(), message);
        }
    }

    #[test]
    fn what_a_provider_reports_of_a_machine_has_a_form_too() {
        let event =
            |taken_back_at| Message::Machine(MachineEvent { machine: MachineId::parse("i-1").unwrap(), taken_back_at });
        for (message, body) in [
            (event(None), r#"{"machine":{"machine":"i-1","record_version":1}}"#),
            (
                event(Some(Timestamp::from_millis(1_800_000_120_000))),
                r#"{"machine":{"machine":"i-1","taken_back_at":1800000120000,"record_version":1}}"#,
            ),
        ] {
            assert_eq!(message.to_body(), body);
            assert_eq!(serde_json::from_str::<Message>(body).unwrap(), message);
        }
    }

    #[test]
    fn a_version_before_the_number_reads_what_is_sent_now() {
        for (message, earlier, _) in messages() {
            assert_eq!(serde_json::from_str::<Earlier>(&message.to_body()).unwrap(), earlier);
        }
    }

    #[test]
    fn a_message_of_a_newer_version_is_refused_with_both_numbers() {
        let sentence = "written by a newer version of Runnersmith (record version 2, this program knows 1)";
        for (_, _, body) in messages() {
            let refused = serde_json::from_str::<Message>(&of_version(body, 2)).unwrap_err().to_string();
            assert!(refused.contains(sentence), "{refused}");
        }
    }
}
