//! What an answer of GitHub means: read, or folded into the question that a caller acts on. Pure; the exchange is in
//! `transport`.

use std::time::Duration;

use reqwest::header::HeaderMap;
use runnersmith_ports::GitHubError;
use runnersmith_types::Timestamp;
use serde::de::DeserializeOwned;

use crate::operations::Operation;
use crate::wire;

/// Which of GitHub's limits an answer speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitKind {
    /// The hourly one.
    Primary,
    /// All calls of who asked.
    Secondary,
    /// Creating content.
    Content,
}

/// A raw answer.
pub(crate) struct Raw {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// Until when calls like this one must wait, when the answer is a limit.
    pub limited_until: Option<Timestamp>,
}

impl Raw {
    /// Reads the body as `T`. One of another form is worth another try: a proxy may have answered.
    pub fn read<T: DeserializeOwned>(&self, operation: Operation, subject: &str) -> Result<T, GitHubError> {
        serde_json::from_slice(&self.body).map_err(|error| GitHubError::Transient {
            operation: operation.id,
            subject: subject.to_owned(),
            source: Box::new(error),
        })
    }

    /// Returns what an answer that is no success means.
    pub fn error(&self, operation: Operation, subject: &str, now: Timestamp) -> GitHubError {
        let (operation, subject) = (operation.id, subject.to_owned());
        if let Some((_, until)) = self.limit(now) {
            let until = self.limited_until.or(until).unwrap_or(now.plus(Duration::from_secs(60)));
            return GitHubError::RateLimited { operation, subject, until };
        }
        let message = serde_json::from_slice::<wire::Message>(&self.body).map(|found| found.text()).unwrap_or_default();
        let message: String = message.chars().filter(|c| !c.is_control()).take(200).collect();
        match self.status {
            // Said to who may read a branch's protection, of a branch without one; who may not gets "Not Found".
            404 if message == "Branch not protected" => {
                GitHubError::Refused { operation, subject, status: 404, message }
            }
            404 | 410 => GitHubError::NotFound { operation, subject },
            409 => GitHubError::Conflict { operation, subject, message },
            401 | 403 => GitHubError::Unauthorized { operation, subject, message },
            status @ 400..=499 => GitHubError::Refused { operation, subject, status, message },
            status => {
                GitHubError::Transient { operation, subject, source: format!("status {status}: {message}").into() }
            }
        }
    }

    /// Whether the answer says that an owner has suspended the installation.
    pub fn says_suspended(&self) -> bool {
        self.status == 403 && String::from_utf8_lossy(&self.body).contains("has been suspended")
    }

    /// Which limit the answer speaks of, and until when GitHub wants no calls, if it says that.
    pub fn limit(&self, now: Timestamp) -> Option<(LimitKind, Option<Timestamp>)> {
        if self.status != 403 && self.status != 429 {
            return None;
        }
        let text = String::from_utf8_lossy(&self.body).to_lowercase();
        let stated = self
            .number("retry-after")
            .map(|seconds| now.plus(Duration::from_secs(u64::try_from(seconds.max(1)).unwrap_or(60))));
        let kind = if text.contains("content creation") {
            LimitKind::Content
        } else if self.number("x-ratelimit-remaining") == Some(0) && !text.contains("secondary rate limit") {
            let reset = self.resets_at(now).unwrap_or(now.plus(Duration::from_secs(60)));
            return Some((LimitKind::Primary, Some(stated.unwrap_or(reset))));
        } else {
            LimitKind::Secondary
        };
        let is_limit =
            self.status == 429 || stated.is_some() || text.contains("secondary rate limit") || text.contains("abuse");
        is_limit.then_some((kind, stated))
    }

    /// When the hour of the primary limit is over, by our clock: GitHub says it by its own, and what time that shows.
    pub fn resets_at(&self, now: Timestamp) -> Option<Timestamp> {
        let reset = self.number("x-ratelimit-reset")?;
        let theirs = self.header("date").and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        let theirs = theirs.map_or(now.as_secs(), |date| date.timestamp().as_second());
        Some(now.plus(Duration::from_secs(u64::try_from(reset.saturating_sub(theirs)).unwrap_or(0))))
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A header's number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.header(name).and_then(|text| text.parse().ok())
    }
}

/// What was asked for, if it is there: that GitHub does not know it is an answer too.
pub(crate) fn if_there<T>(found: Result<T, GitHubError>) -> Result<Option<T>, GitHubError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(GitHubError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// An operation after which it is gone: that it was gone before is as good.
pub(crate) fn gone_is_fine<T>(done: Result<T, GitHubError>) -> Result<(), GitHubError> {
    if_there(done).map(|_| ())
}

/// An answer that cannot be acted on.
pub(crate) fn unusable(operation: Operation, subject: String, why: &'static str) -> GitHubError {
    GitHubError::Transient { operation: operation.id, subject, source: why.into() }
}
