//! What the queue carries, in the form in which queues store it.
//!
//! It is here because its producers (the webhook, a loop that wants to look again) and its consumer meet only at the queue. Its
//! form is a promise: messages of an older version lie in queues.

use runnersmith_types::{JobFact, JobId, RepoFullName, ScaleSetName};
use serde::{Deserialize, Serialize};

use crate::queue::BODY_BYTES_MAX;

/// What the queue carries: one bounded fact, without a set. The consumer matches on every pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
}

impl Message {
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

    #[test]
    fn a_message_has_the_form_that_queues_have_stored() {
        let repo = RepoFullName::parse("acme/shop").unwrap();
        let wake = Message::Wake { set: ScaleSetName::parse("linux").unwrap() };
        for (message, body) in [
            (wake, r#"{"wake":{"set":"linux"}}"#),
            (Message::Sweep { repo: repo.clone() }, r#"{"sweep":{"repo":"acme/shop"}}"#),
            (Message::CheckRun { repo, job: JobId(7) }, r#"{"check_run":{"repo":"acme/shop","job":7}}"#),
        ] {
            assert_eq!(message.to_body(), body);
            assert_eq!(serde_json::from_str::<Message>(body).unwrap(), message);
        }
    }
}
