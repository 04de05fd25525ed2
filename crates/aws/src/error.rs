//! What an AWS error asks of us, for every service alike.

use std::time::Duration;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use runnersmith_ports::chain;

/// What somebody does differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwsFailureKind {
    /// Too many calls.
    Throttled,
    /// The thing is not there.
    NotFound,
    /// We may not do that: a person must change a policy.
    Denied,
    /// Anything else.
    Other,
}

/// A failed call: its code and AWS's message, or the chain of causes. It never holds a request's content.
#[derive(Debug, thiserror::Error)]
#[error("{service} {operation}: {code}: {text}")]
pub struct AwsFailure {
    /// `sqs`, `dynamodb`, …
    pub service: &'static str,
    /// The operation (`SendMessage`).
    pub operation: &'static str,
    /// AWS's code, or `no answer`.
    pub code: String,
    text: String,
}

/// Codes that mean "too many calls"; AWS spells it differently from service to service.
const THROTTLED: [&str; 10] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "TooManyUpdates",
    "ProvisionedThroughputExceededException",
    "EC2ThrottledException",
];

/// In place of a code.
const NO_ANSWER: &str = "no answer";

impl AwsFailure {
    /// From an SDK's error.
    pub fn new<E, R>(service: &'static str, operation: &'static str, error: &SdkError<E, R>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
        R: std::fmt::Debug,
    {
        let code = error.code().unwrap_or(NO_ANSWER).to_owned();
        let text = match error.message() {
            Some(message) => message.to_owned(),
            None => chain(error),
        };
        Self { service, operation, code, text }
    }

    /// No answer within the time that all pages of a list may take together.
    #[must_use]
    pub fn too_slow(service: &'static str, operation: &'static str, limit: Duration) -> Self {
        Self { service, operation, code: NO_ANSWER.to_owned(), text: format!("not all of it came within {limit:?}") }
    }

    /// The same as a denial, with what is not allowed and what to do.
    #[must_use]
    pub fn denied(self, what: &str) -> Self {
        Self { code: "AccessDenied".to_owned(), text: what.to_owned(), ..self }
    }

    /// The same with what to do.
    #[must_use]
    pub fn hinted(self, hint: &str) -> Self {
        Self { text: format!("{}; hint: {hint}", self.text), ..self }
    }

    /// What it asks of us.
    #[must_use]
    pub fn kind(&self) -> AwsFailureKind {
        let code = self.code.as_str();
        if THROTTLED.contains(&code) {
            AwsFailureKind::Throttled
        } else if code.contains("NotFound") || code == "NoSuchKey" || code.contains("NonExistent") {
            AwsFailureKind::NotFound
        } else if code.contains("AccessDenied") || code.contains("Unauthorized") || code == "403" {
            AwsFailureKind::Denied
        } else {
            AwsFailureKind::Other
        }
    }
}
