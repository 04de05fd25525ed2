//! By what a call is authorised: the App's JWT, the token of the installation that covers a scope, or a plain token. Tokens are
//! made once, remembered, and made again when GitHub refuses one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderMap;
use runnersmith_ports::{Clock, GitHubError};
use runnersmith_types::{Owner, RepoFullName, RunnerScope, Secret, Timestamp};

use crate::answer::Raw;
use crate::auth::Signer;
use crate::config::{GitHubConfig, GitHubConfigError};
use crate::locks::NamedLocks;
use crate::operations::{self as op, Operation};
use crate::payer::{Authorization, Payer};
use crate::transport::Transport;
use crate::wire;

/// A token is not used in its last minutes: a call may take a while.
pub(crate) const TOKEN_MARGIN: Duration = Duration::from_secs(300);

/// On whose behalf a call is made.
#[derive(Clone, Debug)]
pub(crate) enum As {
    App,
    /// The token, if there is one; else the installation that covers this scope.
    Scope(RunnerScope),
    /// No authorisation: public material.
    Nobody,
}

impl As {
    /// Those who may make a repository's own calls.
    pub fn repository(repo: &RepoFullName) -> Self {
        Self::Scope(RunnerScope::Repository(repo.clone()))
    }

    /// Those who may make an organisation's own calls.
    pub fn organization(org: &Owner) -> Self {
        Self::Scope(RunnerScope::Organization(org.clone()))
    }
}

/// How long it is believed that an installation is suspended: until an owner lets it go on, which nobody reports to us.
const SUSPENDED_FOR: Duration = Duration::from_secs(300);

/// What one client may act as.
pub(crate) struct Access {
    signer: Option<Signer>,
    token: Option<Secret>,
    clock: Arc<dyn Clock>,
    memory: Mutex<Memory>,
    /// By owner: all scopes of an installation are its owner's, and one owner's slow answer stops no other.
    minting: NamedLocks,
}

#[derive(Default)]
struct Memory {
    /// Installation by owner. An owner has one installation of an App, and its number stays.
    installations: HashMap<String, u64>,
    /// Suspended installations: until when that is believed.
    suspended: HashMap<u64, Timestamp>,
    /// Token by installation.
    tokens: HashMap<u64, (Secret, Timestamp)>,
    /// GitHub's clock less ours, seconds; 0 until GitHub has refused a JWT.
    skew: i64,
}

impl Memory {
    fn is_suspended(&self, installation: u64, now: Timestamp) -> bool {
        self.suspended.get(&installation).is_some_and(|until| *until > now)
    }
}

impl Access {
    /// What the configuration gives.
    ///
    /// # Errors
    /// When the App's key is not usable.
    pub fn new(config: &GitHubConfig, clock: Arc<dyn Clock>) -> Result<Self, GitHubConfigError> {
        Ok(Self {
            signer: config.app.as_ref().map(Signer::new).transpose()?,
            token: config.token.clone(),
            clock,
            memory: Mutex::default(),
            minting: NamedLocks::default(),
        })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an installation that a list has shown, and whether it is suspended.
    pub fn remember_installation(&self, owner: &Owner, id: u64, is_suspended: bool) {
        if is_suspended {
            self.suspended(id);
        } else {
            self.memory().suspended.remove(&id);
        }
        self.memory().installations.insert(owner_key(&RunnerScope::Organization(owner.clone())), id);
    }

    /// Keeps that an installation is suspended: for a while no call is made for it.
    pub fn suspended(&self, installation: u64) {
        self.memory().suspended.insert(installation, self.clock.now().plus(SUSPENDED_FOR));
    }

    /// Whose limit a call on this behalf counts against, as far as that is known without a call.
    pub fn payer(&self, who: &As) -> Option<Payer> {
        match who {
            As::Nobody => Some(Payer::Nobody),
            As::App => Some(Payer::App),
            As::Scope(_) if self.token.is_some() => Some(Payer::Token),
            As::Scope(at) => self.memory().installations.get(&owner_key(at)).copied().map(Payer::Installation),
        }
    }

    /// What a call on this behalf is authorised by.
    ///
    /// # Errors
    /// `Unauthorized` when this client is no App, `NotInstalled` when the App is not installed there; else as any call.
    pub async fn authorization(&self, transport: &Transport, who: &As) -> Result<Authorization, GitHubError> {
        match who {
            As::Nobody => Ok(Authorization { secret: None, payer: Payer::Nobody }),
            As::App => self.as_app(),
            As::Scope(_) if self.token.is_some() => {
                Ok(Authorization { secret: self.token.clone(), payer: Payer::Token })
            }
            As::Scope(at) => {
                let (token, installation) = self.installation_token(transport, at).await?;
                Ok(Authorization { secret: Some(token), payer: Payer::Installation(installation) })
            }
        }
    }

    fn as_app(&self) -> Result<Authorization, GitHubError> {
        Ok(Authorization { secret: Some(self.jwt()?), payer: Payer::App })
    }

    /// Forgets what GitHub has answered 401 to. Returns whether the next authorisation is another: a token may have been
    /// revoked, an App installed again, a clock be wrong.
    pub fn renew(&self, who: &As, headers: &HeaderMap) -> bool {
        match who {
            As::Scope(at) if self.token.is_none() => {
                let mut memory = self.memory();
                if let Some(installation) = memory.installations.remove(&owner_key(at)) {
                    memory.tokens.remove(&installation);
                }
                true
            }
            As::App => self.correct_skew(headers),
            As::Scope(_) | As::Nobody => false,
        }
    }

    /// A JWT is refused when this machine's clock is wrong. GitHub says what time it is; returns whether that is news.
    fn correct_skew(&self, headers: &HeaderMap) -> bool {
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

    fn jwt(&self) -> Result<Secret, GitHubError> {
        let now = self.clock.now().as_secs() + self.memory().skew;
        let unauthorized = |message: &str| GitHubError::Unauthorized {
            operation: "sign the App's JWT",
            subject: "the App".into(),
            message: message.into(),
        };
        let Some(signer) = &self.signer else { return Err(unauthorized("this client has no App")) };
        signer.jwt(Timestamp::from_secs(now)).map_err(|_| unauthorized("the private key cannot sign"))
    }

    /// A token of the installation that covers a scope. One mint at a time for each owner; a failed one is never kept.
    async fn installation_token(&self, transport: &Transport, at: &RunnerScope) -> Result<(Secret, u64), GitHubError> {
        if let Some(token) = self.kept(at) {
            return Ok(token);
        }
        let _one = self.minting.lock(owner_key(at)).await;
        if let Some(token) = self.kept(at) {
            return Ok(token);
        }
        let installation = self.installation(transport, at).await?;
        // Another scope of the same installation may have a token already.
        if let Some(token) = self.kept(at) {
            return Ok(token);
        }
        let path = format!("/app/installations/{installation}/access_tokens");
        let subject = at.to_string();
        if self.memory().is_suspended(installation, self.clock.now()) {
            let message = "the installation is suspended; an owner can let it go on in its settings".to_owned();
            return Err(GitHubError::Unauthorized { operation: op::ACCESS_TOKEN.id, subject, message });
        }
        let raw = self.call_as_app(transport, op::ACCESS_TOKEN, &path, &subject).await?;
        if raw.status != 201 {
            match raw.status {
                403 if raw.says_suspended() => self.suspended(installation),
                // It was removed, and perhaps made again.
                404 => _ = self.memory().installations.remove(&owner_key(at)),
                _ => {}
            }
            return Err(raw.error(op::ACCESS_TOKEN, &subject, self.clock.now()));
        }
        let found: wire::Token = raw.read(op::ACCESS_TOKEN, &subject)?;
        let token = Secret::new(found.token);
        // Its end is by GitHub's clock; ours may differ.
        let skew = Duration::from_secs(self.memory().skew.unsigned_abs());
        let end = wire::timestamp(Some(&found.expires_at)).unwrap_or(self.clock.now());
        let end = if self.memory().skew > 0 { end.minus(skew) } else { end.plus(skew) };
        self.memory().tokens.insert(installation, (token.clone(), end));
        Ok((token, installation))
    }

    fn kept(&self, at: &RunnerScope) -> Option<(Secret, u64)> {
        let memory = self.memory();
        let installation = *memory.installations.get(&owner_key(at))?;
        if memory.is_suspended(installation, self.clock.now()) {
            return None;
        }
        let (token, end) = memory.tokens.get(&installation)?;
        (end.minus(TOKEN_MARGIN) > self.clock.now()).then(|| (token.clone(), installation))
    }

    /// A call with the App's JWT, once more if the clock was wrong; whatever the status.
    async fn call_as_app(
        &self,
        transport: &Transport,
        operation: Operation,
        path: &str,
        subject: &str,
    ) -> Result<Raw, GitHubError> {
        let raw = transport.exchange(operation, &self.as_app()?, path, subject, None).await?;
        if raw.status == 401 && self.correct_skew(&raw.headers) {
            return transport.exchange(operation, &self.as_app()?, path, subject, None).await;
        }
        Ok(raw)
    }

    /// The App's own installation there; a payload's word for it is never taken.
    async fn installation(&self, transport: &Transport, at: &RunnerScope) -> Result<u64, GitHubError> {
        if let Some(id) = self.memory().installations.get(&owner_key(at)) {
            return Ok(*id);
        }
        let (operation, path) = match at {
            RunnerScope::Organization(owner) => (op::ORG_INSTALLATION, format!("/orgs/{owner}/installation")),
            RunnerScope::Repository(repo) => (op::REPO_INSTALLATION, format!("/repos/{repo}/installation")),
            RunnerScope::Enterprise(slug) => (op::ENTERPRISE_INSTALLATION, format!("/enterprises/{slug}/installation")),
        };
        let subject = at.to_string();
        let raw = self.call_as_app(transport, operation, &path, &subject).await?;
        if raw.status == 404 {
            return Err(GitHubError::NotInstalled { operation: operation.id, subject });
        }
        if raw.status != 200 {
            return Err(raw.error(operation, &subject, self.clock.now()));
        }
        let found: wire::Id = raw.read(operation, &subject)?;
        self.memory().installations.insert(owner_key(at), found.id);
        Ok(found.id)
    }
}

/// Whose installation it is, whichever scope is asked for: all repositories of an owner share one.
fn owner_key(at: &RunnerScope) -> String {
    match at {
        RunnerScope::Repository(repo) => owner_key(&RunnerScope::Organization(repo.owner())),
        RunnerScope::Organization(_) | RunnerScope::Enterprise(_) => at.to_string().to_lowercase(),
    }
}
