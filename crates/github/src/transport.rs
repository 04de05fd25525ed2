//! One exchange with GitHub over HTTP: bounded in time and bytes, counted, and not made while a rate limit holds. It has no credentials of
//! its own; each exchange is given what it is authorised by.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderValue;
use runnersmith_ports::{Clock, GitHubError};
use serde_json::Value;

use crate::answer::Raw;
use crate::config::{GitHubConfig, GitHubConfigError, api_base};
use crate::etags::ETags;
use crate::limits::Limits;
use crate::notice;
use crate::observers::{Counter, NoticeObserver, RecordedExchange, Recorder};
use crate::operations::Operation;
use crate::payer::{Authorization, Payer};

/// No answer of ours is larger: 100 runs with their repositories are about 3 MB.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The way to one GitHub.
pub(crate) struct Transport {
    http: reqwest::Client,
    base: String,
    clock: Arc<dyn Clock>,
    recorder: Option<Recorder>,
    counter: Option<Counter>,
    notices: Option<NoticeObserver>,
    etags: Mutex<ETags>,
    limits: Limits,
}

impl Transport {
    /// Prepares the HTTP client.
    ///
    /// # Errors
    /// When address, CA file or proxy are not usable.
    pub fn new(config: &GitHubConfig, clock: Arc<dyn Clock>) -> Result<Self, GitHubConfigError> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("runnersmith/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_secs(30));
        if let Some(path) = &config.ca_file {
            let ca =
                |source: Box<dyn std::error::Error + Send + Sync>| GitHubConfigError::Ca { path: path.clone(), source };
            let pem = std::fs::read(path).map_err(|error| ca(error.into()))?;
            for certificate in reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| ca(error.into()))? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        if let Some(proxy) = &config.proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy).map_err(GitHubConfigError::Http)?);
        }
        let base = match &config.api_base {
            Some(base) => base.trim_end_matches('/').to_owned(),
            None => api_base(&config.server_url)?,
        };
        Ok(Self {
            http: builder.build().map_err(GitHubConfigError::Http)?,
            base,
            clock,
            recorder: config.recorder.clone(),
            counter: config.counter.clone(),
            notices: config.notices.clone(),
            etags: Mutex::default(),
            limits: Limits::default(),
        })
    }

    /// Where GraphQL is: beside REST, and on a GitHub Enterprise Server not below it (GitHub's "Forming calls with GraphQL").
    pub fn graphql_url(&self) -> String {
        match self.base.strip_suffix("/v3") {
            Some(api) if api.ends_with("/api") => format!("{api}/graphql"),
            _ => format!("{}/graphql", self.base),
        }
    }

    fn etags(&self) -> MutexGuard<'_, ETags> {
        self.etags.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a public file of any address. It is counted; no limit of the API concerns it.
    ///
    /// # Errors
    /// When no answer came, or one that is no success.
    pub async fn get(&self, url: &str, timeout: Duration) -> reqwest::Result<reqwest::Response> {
        let sent = self.http.get(url).timeout(timeout).send().await;
        self.count("download", &sent);
        sent?.error_for_status()
    }

    fn count(&self, operation: &'static str, sent: &reqwest::Result<reqwest::Response>) {
        if let Some(counter) = &self.counter {
            counter(operation, sent.as_ref().map_or(0, |answer| answer.status().as_u16()));
        }
    }

    /// Returns `Err` while a call must not be made because of a limit of who pays for it.
    ///
    /// # Errors
    /// `RateLimited`, without a call.
    pub fn may_call(&self, payer: Payer, operation: Operation, path: &str, subject: &str) -> Result<(), GitHubError> {
        match self.limits.wait(payer, operation, path, self.clock.now()) {
            Some(until) => {
                Err(GitHubError::RateLimited { operation: operation.id, subject: subject.to_owned(), until })
            }
            None => Ok(()),
        }
    }

    /// One call and its answer, whatever the status. A GET whose answer has not changed is answered as the last time.
    ///
    /// # Errors
    /// `RateLimited` without a call while GitHub wants none, and `Transient` when no whole answer came.
    pub async fn exchange(
        &self,
        operation: Operation,
        authorization: &Authorization,
        path: &str,
        subject: &str,
        body: Option<&Value>,
    ) -> Result<Raw, GitHubError> {
        self.may_call(authorization.payer, operation, path, subject)?;
        let transient = |source: Box<dyn std::error::Error + Send + Sync>| GitHubError::Transient {
            operation: operation.id,
            subject: subject.to_owned(),
            source,
        };
        let request = self.request(operation, authorization, path, body).map_err(transient)?;
        // The address is left out of errors: it can hold more than a log should.
        let sent = request.send().await;
        self.count(operation.id, &sent);
        let mut answer = sent.map_err(|error| transient(error.without_url().into()))?;
        let mut raw = Raw {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            body: Vec::new(),
            limited_until: None,
        };
        while let Some(chunk) = answer.chunk().await.map_err(|error| transient(error.without_url().into()))? {
            if raw.body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(transient(format!("the answer is larger than {ANSWER_BYTES_MAX} bytes").into()));
            }
            raw.body.extend_from_slice(&chunk);
        }
        // A limit is remembered, so that the next call is answered here.
        raw.limited_until = self.limits.learn(authorization.payer, operation, &raw, self.clock.now());
        if let Some(observer) = &self.notices {
            notice::notices(operation, authorization.payer, &raw, self.clock.now())
                .iter()
                .for_each(|notice| observer(notice));
        }
        if let Some(recorder) = &self.recorder {
            recorder(&RecordedExchange {
                operation: operation.id,
                method: operation.method,
                path_and_query: path.to_owned(),
                request_body: body.cloned(),
                status: raw.status,
                response_body: serde_json::from_slice(&raw.body).ok(),
            });
        }
        Ok(self.with_etag(operation, &etag_key(authorization.payer, path), raw))
    }

    fn request(
        &self,
        operation: Operation,
        authorization: &Authorization,
        path: &str,
        body: Option<&Value>,
    ) -> Result<reqwest::RequestBuilder, Box<dyn std::error::Error + Send + Sync>> {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        let mut request = self
            .http
            .request(reqwest::Method::from_bytes(operation.method.as_bytes())?, url)
            .header("Accept", "application/vnd.github+json")
            .header("X-GitHub-Api-Version", "2022-11-28");
        if let Some(secret) = &authorization.secret {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", secret.expose()))?;
            value.set_sensitive(true);
            request = request.header("Authorization", value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let known =
            if operation.method == "GET" { self.etags().of(&etag_key(authorization.payer, path)) } else { None };
        if let Some(etag) = known.as_deref().and_then(|etag| HeaderValue::from_str(etag).ok()) {
            request = request.header("If-None-Match", etag);
        }
        Ok(request)
    }

    /// Puts the known answer in place of a 304, and keeps an answer that may be asked for again.
    fn with_etag(&self, operation: Operation, key: &str, raw: Raw) -> Raw {
        if raw.status == 304
            && let Some(body) = self.etags().unchanged(key)
        {
            return Raw { status: 200, body, ..raw };
        }
        if operation.method == "GET"
            && raw.status == 200
            && let Some(etag) = raw.header("etag")
        {
            self.etags().keep(key, etag, &raw.body);
        }
        raw
    }
}

/// By what an answer is kept.
fn etag_key(payer: Payer, path: &str) -> String {
    format!("{payer:?} {path}")
}
