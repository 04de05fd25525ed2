//! The control repository at GitHub: how its calls are made. What they are is in `control_files` and `control_port`.

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use runnersmith_ports::GitHubError;
use runnersmith_types::RepoFullName;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::access::As;
use crate::answer::Raw;
use crate::client::GitHubClient;
use crate::operations::Operation;

/// Lists are read to their end; one that is longer than so many pages of 100 is an error.
pub(crate) const PAGES_MAX: usize = 50;

/// A repository as the tokens of its jobs name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryIdentity {
    /// `owner/name` in GitHub's own spelling.
    pub full_name: String,
    /// Its number, which a rename or a transfer does not change.
    pub id: u64,
    /// Its owner's number.
    pub owner_id: u64,
}

/// The control repository, by a client that may be an App or a token.
#[derive(Clone)]
pub struct ControlClient {
    client: Arc<GitHubClient>,
    /// Who reads teams and runner groups: a workflow's own token may not.
    pub(crate) organization: Arc<GitHubClient>,
    pub(crate) repo: RepoFullName,
}

impl ControlClient {
    /// The repository of that name.
    #[must_use]
    pub fn new(client: Arc<GitHubClient>, repo: RepoFullName) -> Self {
        Self { organization: client.clone(), client, repo }
    }

    /// Reads teams and runner groups as somebody else: a workflow's own token may read neither.
    #[must_use]
    pub fn with_organization_reader(self, organization: Arc<GitHubClient>) -> Self {
        Self { organization, ..self }
    }

    /// Who the repository is to GitHub, in whatever spelling it was asked for.
    ///
    /// # Errors
    /// When GitHub does not give it.
    pub async fn identity(&self) -> Result<RepositoryIdentity, GitHubError> {
        let found = self.repository().await?;
        Ok(RepositoryIdentity { full_name: found.full_name, id: found.id, owner_id: found.owner.id })
    }

    pub(crate) fn subject(&self, what: &str, which: impl std::fmt::Display) -> String {
        format!("{what} {which} of {}", self.repo)
    }

    pub(crate) fn client(&self) -> &GitHubClient {
        &self.client
    }

    fn path(&self, rest: &str) -> String {
        format!("/repos/{}{rest}", self.repo)
    }

    pub(crate) async fn send(
        &self,
        operation: Operation,
        rest: &str,
        subject: &str,
        body: Option<Value>,
    ) -> Result<Raw, GitHubError> {
        self.client.send(operation, &As::repository(&self.repo), &self.path(rest), subject, body).await
    }

    pub(crate) async fn read<T: DeserializeOwned>(
        &self,
        operation: Operation,
        rest: &str,
        subject: &str,
    ) -> Result<T, GitHubError> {
        self.client.call(operation, As::repository(&self.repo), &self.path(rest), subject, None).await
    }

    pub(crate) async fn write<T: DeserializeOwned>(
        &self,
        operation: Operation,
        rest: &str,
        subject: &str,
        body: Value,
    ) -> Result<T, GitHubError> {
        self.client.call(operation, As::repository(&self.repo), &self.path(rest), subject, Some(body)).await
    }

    /// A whole list; `rest` may have a query.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        operation: Operation,
        rest: &str,
        subject: &str,
    ) -> Result<Vec<T>, GitHubError> {
        let (who, path) = (As::repository(&self.repo), self.path(rest));
        self.client.pages::<Vec<T>>(operation, &who, &path, subject, PAGES_MAX).await?.whole(operation, subject)
    }
}

/// All but letters, digits and the four signs that RFC 3986 calls unreserved.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A part of a path; slashes stay.
pub(crate) fn escape(text: &str) -> String {
    text.split('/').map(escape_value).collect::<Vec<_>>().join("/")
}

/// A value in a query, or one segment of a path.
pub(crate) fn escape_value(text: &str) -> String {
    utf8_percent_encode(text, &ESCAPED).to_string()
}
