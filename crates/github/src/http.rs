//! One exchange with GitHub: authorised, bounded, its limits remembered, its answer folded into a question.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use runnersmith_ports::{Clock, GitHubError};
use runnersmith_types::{Owner, RepoFullName, RunnerScope, Secret, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::auth::Signer;
use crate::config::{ConfigError, GitHubConfig, api_base};
use crate::etags::ETags;
use crate::operations::{self as op, Operation};
use crate::wire;

/// What a recorder sees. It holds tokens and configs: for tests only.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the parts of an exchange")]
pub struct Exchange {
    pub operation: &'static str,
    pub method: &'static str,
    pub path_and_query: String,
    pub request_body: Option<Value>,
    pub status: u16,
    pub response_body: Option<Value>,
}

/// Sees every exchange.
pub type Recorder = Arc<dyn Fn(&Exchange) + Send + Sync>;

/// Told of every call: its operation, and the status or 0.
pub type Counter = Arc<dyn Fn(&'static str, u16) + Send + Sync>;

/// A read is tried so often in all.
const READ_TRIES: usize = 3;
/// An installation token is not used in its last minutes: a call may take a while.
const TOKEN_MARGIN: Duration = Duration::from_secs(300);
/// No answer of ours is larger: 100 runs with their repositories are about 3 MB.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A client of one App, or of one token.
pub struct GitHubClient {
    http: reqwest::Client,
    pub(crate) base: String,
    pub(crate) server_url: String,
    pub(crate) hook: Option<runnersmith_types::HookAddress>,
    signer: Option<Signer>,
    token: Option<Secret>,
    pub(crate) clock: Arc<dyn Clock>,
    recorder: Option<Recorder>,
    counter: Option<Counter>,
    memory: Mutex<Memory>,
    minting: tokio::sync::Mutex<()>,
    pub(crate) finding_groups: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Memory {
    /// Installation by place.
    installations: HashMap<String, u64>,
    /// Token by installation.
    tokens: HashMap<u64, (Secret, Timestamp)>,
    /// No call before this moment.
    limited_until: Option<Timestamp>,
    groups: HashMap<(String, String), u64>,
    etags: ETags,
    /// GitHub's clock less ours, seconds; 0 until GitHub has refused a JWT.
    skew: i64,
    registration_tokens: HashMap<String, runnersmith_ports::RegistrationToken>,
}

/// On whose behalf a call is made.
#[derive(Clone, Debug)]
pub(crate) enum As {
    App,
    /// The token, if there is one; else the installation that covers this place.
    Place(RunnerScope),
    /// No authorisation: public material.
    Nobody,
}

/// A raw answer.
pub(crate) struct Raw {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl GitHubClient {
    /// A client.
    ///
    /// # Errors
    /// When key, address, CA file or proxy are not usable.
    pub fn new(config: GitHubConfig, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("runnersmith/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_secs(30));
        if let Some(path) = &config.ca_file {
            let ca = |source: Box<dyn std::error::Error + Send + Sync>| ConfigError::Ca { path: path.clone(), source };
            let pem = std::fs::read(path).map_err(|error| ca(error.into()))?;
            for certificate in reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| ca(error.into()))? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        if let Some(proxy) = &config.proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy).map_err(ConfigError::Http)?);
        }
        let base = match config.api_base {
            Some(base) => base.trim_end_matches('/').to_owned(),
            None => api_base(&config.server_url)?,
        };
        Ok(Self {
            http: builder.build().map_err(ConfigError::Http)?,
            base,
            server_url: config.server_url.trim_end_matches('/').to_owned(),
            hook: config.hook,
            signer: config.app.as_ref().map(Signer::new).transpose()?,
            token: config.token,
            clock,
            recorder: config.recorder,
            counter: config.counter,
            memory: Mutex::default(),
            minting: tokio::sync::Mutex::default(),
            finding_groups: tokio::sync::Mutex::default(),
        })
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn group(&self, at: &RunnerScope, name: &str) -> Option<u64> {
        self.memory().groups.get(&(at.to_string(), name.to_lowercase())).copied()
    }

    pub(crate) fn remember_group(&self, at: &RunnerScope, name: &str, id: u64) {
        self.memory().groups.insert((at.to_string(), name.to_lowercase()), id);
    }

    /// The group may have been made again under its name.
    pub(crate) fn forget_group(&self, at: &RunnerScope, name: &str) {
        self.memory().groups.remove(&(at.to_string(), name.to_lowercase()));
    }

    pub(crate) fn remember_installation(&self, at: &RunnerScope, id: u64) {
        self.memory().installations.insert(place_key(at), id);
    }

    pub(crate) fn cached_registration_token(&self, at: &RunnerScope) -> Option<runnersmith_ports::RegistrationToken> {
        let now = self.clock.now();
        self.memory()
            .registration_tokens
            .get(&at.to_string())
            .filter(|token| token.expires_at.minus(TOKEN_MARGIN) > now)
            .cloned()
    }

    pub(crate) fn remember_registration_token(&self, at: &RunnerScope, token: &runnersmith_ports::RegistrationToken) {
        self.memory().registration_tokens.insert(at.to_string(), token.clone());
    }

    /// A call whose answer is read as `T`.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        operation: Operation,
        who: As,
        path: &str,
        subject: &str,
        body: Option<Value>,
    ) -> Result<T, GitHubError> {
        let raw = self.send(operation, &who, path, subject, body).await?;
        serde_json::from_slice(&raw.body).map_err(|error| GitHubError::Transient {
            operation: operation.id,
            subject: subject.to_owned(),
            source: Box::new(error),
        })
    }

    /// A call; anything but 2xx is an error.
    pub(crate) async fn send(
        &self,
        operation: Operation,
        who: &As,
        path: &str,
        subject: &str,
        body: Option<Value>,
    ) -> Result<Raw, GitHubError> {
        let mut renewed = false;
        let mut tries = 0;
        loop {
            tries += 1;
            let authorization = self.authorization(who).await?;
            let may_repeat = operation.method == "GET" && tries < READ_TRIES;
            let outcome = self.exchange(operation, authorization.as_ref(), path, subject, body.as_ref()).await;
            let raw = match outcome {
                Ok(raw) => raw,
                Err(_) if may_repeat => continue,
                Err(error) => return Err(error),
            };
            match raw.status {
                200..=299 => return Ok(raw),
                // A token may have been revoked, an App installed again, a clock be wrong: each is tried once more.
                401 if !renewed && self.token.is_none() && matches!(who, As::Place(_)) => {
                    renewed = true;
                    self.forget(who);
                }
                401 if !renewed && matches!(who, As::App) && self.mend_skew(&raw.headers) => renewed = true,
                500..=599 if may_repeat => {}
                _ => return Err(self.fold(operation, subject, &raw)),
            }
        }
    }

    async fn exchange(
        &self,
        operation: Operation,
        authorization: Option<&Secret>,
        path: &str,
        subject: &str,
        body: Option<&Value>,
    ) -> Result<Raw, GitHubError> {
        let now = self.clock.now();
        if let Some(until) = self.memory().limited_until.filter(|until| *until > now) {
            return Err(GitHubError::RateLimited { operation: operation.id, subject: subject.to_owned(), until });
        }
        let transient = |source: Box<dyn std::error::Error + Send + Sync>| GitHubError::Transient {
            operation: operation.id,
            subject: subject.to_owned(),
            source,
        };
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        let method =
            reqwest::Method::from_bytes(operation.method.as_bytes()).map_err(|error| transient(error.into()))?;
        let mut request = self
            .http
            .request(method, url)
            .header("Accept", "application/vnd.github+json")
            .header("X-GitHub-Api-Version", "2022-11-28");
        if let Some(secret) = authorization {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", secret.expose()))
                .map_err(|error| transient(error.into()))?;
            value.set_sensitive(true);
            request = request.header("Authorization", value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let known = if operation.method == "GET" { self.memory().etags.of(path) } else { None };
        if let Some(etag) = known.as_deref().and_then(|etag| HeaderValue::from_str(etag).ok()) {
            request = request.header("If-None-Match", etag);
        }
        // The address is left out of errors: it can hold more than a log should.
        let sent = request.send().await;
        if let Some(counter) = &self.counter {
            counter(operation.id, sent.as_ref().map_or(0, |answer| answer.status().as_u16()));
        }
        let mut answer = sent.map_err(|error| transient(error.without_url().into()))?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| transient(error.without_url().into()))? {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(transient(format!("the answer is larger than {ANSWER_BYTES_MAX} bytes").into()));
            }
            bytes.extend_from_slice(&chunk);
        }
        self.note_limits(status, &headers, &bytes);
        if let Some(recorder) = &self.recorder {
            recorder(&Exchange {
                operation: operation.id,
                method: operation.method,
                path_and_query: path.to_owned(),
                request_body: body.cloned(),
                status,
                response_body: serde_json::from_slice(&bytes).ok(),
            });
        }
        if status == 304
            && let Some(body) = self.memory().etags.unchanged(path)
        {
            return Ok(Raw { status: 200, headers, body });
        }
        if operation.method == "GET"
            && status == 200
            && let Some(etag) = headers.get("etag").and_then(|etag| etag.to_str().ok())
        {
            self.memory().etags.keep(path, etag, &bytes);
        }
        Ok(Raw { status, headers, body: bytes })
    }

    /// A JWT is refused when this machine's clock is wrong. GitHub says what time it is; answers whether that is news.
    fn mend_skew(&self, headers: &HeaderMap) -> bool {
        let date = headers.get("date").and_then(|date| date.to_str().ok());
        let Some(theirs) = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) else { return false };
        let skew = theirs.timestamp().as_second() - self.clock.now().as_secs();
        let mut memory = self.memory();
        let news = (skew - memory.skew).abs() > 30;
        if news {
            memory.skew = skew;
            drop(memory);
            tracing::warn!(skew_seconds = skew, "this machine's clock is wrong: JWTs are made by GitHub's");
        }
        news
    }

    /// Remembers a limit, so that the next call is answered here.
    fn note_limits(&self, status: u16, headers: &HeaderMap, body: &[u8]) {
        let Some(until) = limit(status, headers, body, self.clock.now()) else { return };
        self.memory().limited_until = Some(until);
    }

    fn fold(&self, operation: Operation, subject: &str, raw: &Raw) -> GitHubError {
        let (operation, subject) = (operation.id, subject.to_owned());
        if let Some(until) = limit(raw.status, &raw.headers, &raw.body, self.clock.now()) {
            return GitHubError::RateLimited { operation, subject, until };
        }
        let message = serde_json::from_slice::<wire::Message>(&raw.body).map(|found| found.text()).unwrap_or_default();
        let message: String = message.chars().filter(|c| !c.is_control()).take(200).collect();
        match raw.status {
            404 | 410 => GitHubError::NotFound { operation, subject },
            409 => GitHubError::Conflict { operation, subject, message },
            401 | 403 => GitHubError::Unauthorized { operation, subject, message },
            status @ 400..=499 => GitHubError::Refused { operation, subject, status, message },
            status => {
                GitHubError::Transient { operation, subject, source: format!("status {status}: {message}").into() }
            }
        }
    }

    async fn authorization(&self, who: &As) -> Result<Option<Secret>, GitHubError> {
        match who {
            As::Nobody => Ok(None),
            As::App => self.jwt().map(Some),
            As::Place(_) if self.token.is_some() => Ok(self.token.clone()),
            As::Place(at) => self.token(at).await.map(Some),
        }
    }

    fn jwt(&self) -> Result<Secret, GitHubError> {
        let now = self.clock.now().as_secs() + self.memory().skew;
        let Some(signer) = &self.signer else {
            return Err(GitHubError::Unauthorized {
                operation: "sign the App's JWT",
                subject: "the App".into(),
                message: "this client has no App".into(),
            });
        };
        signer.jwt(Timestamp::from_secs(now)).map_err(|_| GitHubError::Unauthorized {
            operation: "sign the App's JWT",
            subject: "the App".into(),
            message: "the private key cannot sign".into(),
        })
    }

    fn forget(&self, who: &As) {
        let As::Place(at) = who else { return };
        let mut memory = self.memory();
        if let Some(installation) = memory.installations.remove(&place_key(at)) {
            memory.tokens.remove(&installation);
        }
    }

    /// A token of the installation that covers a place. One mint at a time; a failed one is never kept.
    async fn token(&self, at: &RunnerScope) -> Result<Secret, GitHubError> {
        if let Some(token) = self.kept(at) {
            return Ok(token);
        }
        let _one = self.minting.lock().await;
        if let Some(token) = self.kept(at) {
            return Ok(token);
        }
        let installation = self.installation(at).await?;
        // Another place of the same installation may have a token already.
        if let Some(token) = self.kept(at) {
            return Ok(token);
        }
        let path = format!("/app/installations/{installation}/access_tokens");
        let subject = at.to_string();
        let raw = self.as_app(op::ACCESS_TOKEN, &path, &subject).await?;
        if raw.status != 201 {
            self.memory().installations.remove(&place_key(at));
            return Err(self.fold(op::ACCESS_TOKEN, &subject, &raw));
        }
        let found: wire::Token = serde_json::from_slice(&raw.body).map_err(|error| GitHubError::Transient {
            operation: op::ACCESS_TOKEN.id,
            subject,
            source: Box::new(error),
        })?;
        let token = Secret::new(found.token);
        // Its end is by GitHub's clock; ours may differ.
        let skew = Duration::from_secs(self.memory().skew.unsigned_abs());
        let end = wire::timestamp(Some(&found.expires_at)).unwrap_or(self.clock.now());
        let end = if self.memory().skew > 0 { end.minus(skew) } else { end.plus(skew) };
        self.memory().tokens.insert(installation, (token.clone(), end));
        Ok(token)
    }

    fn kept(&self, at: &RunnerScope) -> Option<Secret> {
        let memory = self.memory();
        let installation = memory.installations.get(&place_key(at))?;
        let (token, end) = memory.tokens.get(installation)?;
        (end.minus(TOKEN_MARGIN) > self.clock.now()).then(|| token.clone())
    }

    /// A call with the App's JWT, once more if the clock was wrong; whatever the status.
    async fn as_app(&self, operation: Operation, path: &str, subject: &str) -> Result<Raw, GitHubError> {
        let raw = self.exchange(operation, Some(&self.jwt()?), path, subject, None).await?;
        if raw.status == 401 && self.mend_skew(&raw.headers) {
            return self.exchange(operation, Some(&self.jwt()?), path, subject, None).await;
        }
        Ok(raw)
    }

    /// The App's own installation there; a payload's word for it is never taken.
    async fn installation(&self, at: &RunnerScope) -> Result<u64, GitHubError> {
        if let Some(id) = self.memory().installations.get(&place_key(at)) {
            return Ok(*id);
        }
        let (operation, path) = match at {
            RunnerScope::Organization(owner) => (op::ORG_INSTALLATION, format!("/orgs/{owner}/installation")),
            RunnerScope::Repository(repo) => (op::REPO_INSTALLATION, format!("/repos/{repo}/installation")),
            RunnerScope::Enterprise(slug) => (op::ENTERPRISE_INSTALLATION, format!("/enterprises/{slug}/installation")),
        };
        let subject = at.to_string();
        let raw = self.as_app(operation, &path, &subject).await?;
        if raw.status == 404 {
            return Err(GitHubError::NotInstalled { operation: operation.id, subject });
        }
        if raw.status != 200 {
            return Err(self.fold(operation, &subject, &raw));
        }
        let found: wire::Id = serde_json::from_slice(&raw.body).map_err(|error| GitHubError::Transient {
            operation: operation.id,
            subject,
            source: Box::new(error),
        })?;
        self.memory().installations.insert(place_key(at), found.id);
        Ok(found.id)
    }
}

/// Repositories of one owner share its installation, but an App may be installed for some only: each is looked up once.
fn place_key(at: &RunnerScope) -> String {
    at.to_string().to_lowercase()
}

/// The place of a repository's own calls.
pub(crate) fn of_repo(repo: &RepoFullName) -> As {
    As::Place(RunnerScope::Repository(repo.clone()))
}

/// The place of an organisation's own calls.
pub(crate) fn of_org(org: &Owner) -> As {
    As::Place(RunnerScope::Organization(org.clone()))
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

/// Until when GitHub wants no calls: a primary limit (nothing remaining), `Retry-After`, or a secondary limit by its words.
fn limit(status: u16, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Option<Timestamp> {
    if status != 403 && status != 429 {
        return None;
    }
    let number =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).and_then(|text| text.parse::<i64>().ok());
    if let Some(seconds) = number("retry-after") {
        return Some(now.plus(Duration::from_secs(u64::try_from(seconds.clamp(1, 3600)).unwrap_or(60))));
    }
    if number("x-ratelimit-remaining") == Some(0) {
        return Some(
            Timestamp::from_secs(number("x-ratelimit-reset").unwrap_or(now.as_secs() + 60))
                .max(now.plus(Duration::from_secs(1))),
        );
    }
    let text = String::from_utf8_lossy(body).to_lowercase();
    (status == 429 || text.contains("secondary rate limit") || text.contains("abuse"))
        .then(|| now.plus(Duration::from_secs(60)))
}

impl GitHubClient {
    /// Streams a public file to disk. Returns its SHA-256, hexadecimal.
    pub(crate) async fn download(
        &self,
        url: &str,
        to: &std::path::Path,
    ) -> Result<String, crate::releases::DownloadError> {
        use tokio::io::AsyncWriteExt as _;

        use crate::releases::DownloadError;
        let failed = |error: reqwest::Error| {
            DownloadError::GitHub(GitHubError::Transient {
                operation: "download",
                subject: "the runner distribution".into(),
                source: Box::new(error.without_url()),
            })
        };
        // About 200 MB: the usual limit of 30 s would be too short.
        let request = self.http.get(url).timeout(Duration::from_secs(900));
        let mut answer = request.send().await.and_then(reqwest::Response::error_for_status).map_err(failed)?;
        let mut file = tokio::fs::File::create(to).await.map_err(DownloadError::Disk)?;
        let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            digest.update(&chunk);
            file.write_all(&chunk).await.map_err(DownloadError::Disk)?;
        }
        // The last write is still under way, and `sync_all` alone would not say that it failed.
        file.flush().await.map_err(DownloadError::Disk)?;
        file.sync_all().await.map_err(DownloadError::Disk)?;
        Ok(hex::encode(digest.finish()))
    }
}
