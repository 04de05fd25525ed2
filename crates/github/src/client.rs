//! A call to GitHub: authorised, tried again when that can help, its answer read or folded into a question.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runnersmith_ports::{Clock, GitHubError, RegistrationToken};
use runnersmith_types::{HookAddress, RunnerScope};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::access::{Access, As, TOKEN_MARGIN};
use crate::answer::Raw;
use crate::config::{GitHubConfig, GitHubConfigError};
use crate::locks::NamedLocks;
use crate::operations::Operation;
use crate::payer::Payer;
use crate::transport::Transport;

/// A read is tried so often in all.
const READ_TRIES: usize = 3;

/// A client of one App, or of one token.
pub struct GitHubClient {
    pub(crate) transport: Transport,
    pub(crate) access: Access,
    pub(crate) server_url: String,
    pub(crate) hook: Option<HookAddress>,
    pub(crate) clock: Arc<dyn Clock>,
    memory: Mutex<Memory>,
    /// By scope: a burst asks for one scope's groups once.
    pub(crate) finding_groups: NamedLocks,
}

#[derive(Default)]
struct Memory {
    groups: HashMap<(String, String), u64>,
    registration_tokens: HashMap<String, RegistrationToken>,
}

impl GitHubClient {
    /// A client.
    ///
    /// # Errors
    /// When key, address, CA file or proxy are not usable.
    pub fn new(config: GitHubConfig, clock: Arc<dyn Clock>) -> Result<Self, GitHubConfigError> {
        Ok(Self {
            transport: Transport::new(&config, clock.clone())?,
            access: Access::new(&config, clock.clone())?,
            server_url: config.server_url.trim_end_matches('/').to_owned(),
            hook: config.hook,
            clock,
            memory: Mutex::default(),
            finding_groups: NamedLocks::default(),
        })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
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

    pub(crate) fn cached_registration_token(&self, at: &RunnerScope) -> Option<RegistrationToken> {
        let now = self.clock.now();
        self.memory()
            .registration_tokens
            .get(&at.to_string())
            .filter(|token| token.expires_at.minus(TOKEN_MARGIN) > now)
            .cloned()
    }

    pub(crate) fn remember_registration_token(&self, at: &RunnerScope, token: &RegistrationToken) {
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
        self.send(operation, &who, path, subject, body).await?.read(operation, subject)
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
            // A limit of who pays is known before a token is made for it.
            if let Some(payer) = self.access.payer(who) {
                self.transport.may_call(payer, operation, path, subject)?;
            }
            let authorization = self.access.authorization(&self.transport, who).await?;
            let may_repeat = operation.method == "GET" && tries < READ_TRIES;
            let outcome = self.transport.exchange(operation, &authorization, path, subject, body.as_ref()).await;
            let raw = match outcome {
                Ok(raw) => raw,
                Err(GitHubError::Transient { .. }) if may_repeat => continue,
                Err(error) => return Err(error),
            };
            match raw.status {
                200..=299 => return Ok(raw),
                401 if !renewed && self.access.renew(who, &raw.headers) => renewed = true,
                500..=599 if may_repeat => {}
                _ => {
                    if let (true, Payer::Installation(id)) = (raw.says_suspended(), authorization.payer) {
                        self.access.suspended(id);
                    }
                    return Err(raw.error(operation, subject, self.clock.now()));
                }
            }
        }
    }
}
