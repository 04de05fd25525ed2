//! What an AWS error asks of us, for every service alike.

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

impl AwsFailure {
    /// From an SDK's error.
    pub fn new<E, R>(service: &'static str, operation: &'static str, error: &SdkError<E, R>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
        R: std::fmt::Debug,
    {
        let code = error.code().unwrap_or("no answer").to_owned();
        let text = match error.message() {
            Some(message) => message.to_owned(),
            None => chain(error),
        };
        Self { service, operation, code, text }
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
