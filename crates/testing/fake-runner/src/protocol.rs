//! The protocol between the fake runner and the GitHub simulator: JSON by POST.

use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// A poll waits so long at the server.
pub(crate) const POLL: Duration = Duration::from_secs(20);

/// What a JIT config says when decoded, and what `.runner` and `.credentials` hold after `config.sh`.
#[derive(Clone, Serialize, Deserialize)]
pub struct JitConfig {
    /// The server's origin.
    pub server: String,
    /// The registration's number.
    pub runner_id: u64,
    /// The registration's name.
    pub runner_name: String,
    /// The key that opens sessions. A secret.
    pub key: String,
    /// Ends after one job.
    pub ephemeral: bool,
}

impl JitConfig {
    /// As GitHub's `encoded_jit_config`.
    ///
    /// # Errors
    /// Never for a value of this type; the serialiser's signature has one.
    pub fn encode(&self) -> Result<String, serde_json::Error> {
        Ok(STANDARD.encode(serde_json::to_vec(self)?))
    }

    /// # Errors
    /// When it is not base64 of this JSON. The error does not quote it.
    pub fn decode(text: &str) -> anyhow::Result<Self> {
        let bytes = STANDARD.decode(text.trim()).ok().context("the jitconfig is not base64")?;
        serde_json::from_slice(&bytes).ok().context("the jitconfig is not what this version reads")
    }
}

/// A job as the server gives it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Its number.
    pub job_id: u64,
    /// Its run.
    pub run_id: u64,
    /// `owner/name`.
    pub repository: String,
    /// Its name.
    pub name: String,
    /// How long its steps take.
    pub duration_ms: u64,
    /// How it ends, in GitHub's words (`success`, `failure`).
    pub conclusion: String,
}

/// Why a call failed.
pub(crate) enum CallError {
    /// The server says no.
    Refused(u16),
    /// No answer, or one that cannot be read; it may be tried again.
    Unreachable(anyhow::Error),
}

/// A connection to the server.
#[derive(Clone)]
pub(crate) struct Server {
    origin: String,
    client: reqwest::Client,
}

impl Server {
    pub fn new(origin: &str) -> anyhow::Result<Self> {
        // Another part of the program may have chosen first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client =
            reqwest::Client::builder().timeout(POLL + Duration::from_secs(10)).build().context("the HTTP client")?;
        Ok(Self { origin: origin.trim_end_matches('/').to_owned(), client })
    }

    /// The server of a registration address (`https://host/acme/app`).
    pub fn of_url(url: &str) -> anyhow::Result<Self> {
        let parsed = reqwest::Url::parse(url).context("the address")?;
        if !matches!(parsed.scheme(), "http" | "https") {
            bail!("the address must begin with http:// or https://");
        }
        Self::new(&parsed.origin().ascii_serialization())
    }

    pub async fn call<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, CallError> {
        let unreachable = |error: reqwest::Error| CallError::Unreachable(error.into());
        let sent = self.client.post(format!("{}/_runner/{path}", self.origin)).json(body).send().await;
        let mut answer = sent.map_err(unreachable)?;
        let status = answer.status();
        if status.is_client_error() && status.as_u16() != 429 {
            return Err(CallError::Refused(status.as_u16()));
        }
        if !status.is_success() {
            return Err(CallError::Unreachable(anyhow::anyhow!("status {status}")));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER_BYTES_MAX {
                return Err(CallError::Unreachable(anyhow::anyhow!("an answer of more than {ANSWER_BYTES_MAX} bytes")));
            }
        }
        let bytes = if bytes.is_empty() { b"null".to_vec() } else { bytes };
        serde_json::from_slice(&bytes).map_err(|error| CallError::Unreachable(error.into()))
    }

    pub async fn session(&self, config: &JitConfig) -> Result<String, CallError> {
        #[derive(Deserialize)]
        struct Answer {
            session: Value,
        }
        let answer: Answer = self.call("session", &json!({ "runner_id": config.runner_id, "key": config.key })).await?;
        // A number or a text, as the server likes.
        Ok(answer.session.as_str().map_or_else(|| answer.session.to_string(), str::to_owned))
    }

    pub async fn poll(&self, session: &str) -> Result<Option<Job>, CallError> {
        #[derive(Deserialize)]
        struct Answer {
            job: Option<Job>,
        }
        let wait_ms = u64::try_from(POLL.as_millis()).unwrap_or(u64::MAX);
        let answer: Answer = self.call("poll", &json!({ "session": session, "wait_ms": wait_ms })).await?;
        Ok(answer.job)
    }

    pub async fn complete(&self, session: &str, job: u64, conclusion: &str) -> Result<(), CallError> {
        let body = json!({ "session": session, "job_id": job, "conclusion": conclusion });
        self.call::<Value>("complete", &body).await.map(|_| ())
    }

    pub async fn end(&self, session: &str) -> Result<(), CallError> {
        self.call::<Value>("end", &json!({ "session": session })).await.map(|_| ())
    }
}
