//! What is asked by GraphQL: who edited a text, which REST does not say. It has the time of the last change of any kind, and does not promise
//! that it is the time of creation where nobody changed anything. Who labelled, reopened or brought an issue is asked in the same way, so
//! that one answer has the same kinds of accounts.

use std::time::Duration;

use runnersmith_ports::GitHubError;
use runnersmith_ports::control::{ControlRepository as _, IssueComment, IssueEditors};
use runnersmith_types::Account;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::access::As;
use crate::answer::unusable;
use crate::client::GitHubClient;
use crate::control::ControlClient;
use crate::control_wire::GHOST;
use crate::operations::GRAPHQL;

/// Edits of one issue, and what happened to it, are read to so many pages of 100 each.
const PAGES_MAX: usize = 10;
/// How long to wait after a limit that says nothing of its end.
const LIMIT_WAIT: Duration = Duration::from_secs(60);

const EDITS: &str = "query($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) { issue(number: $number) {
    userContentEdits(first: 100, after: $after) { pageInfo { hasNextPage endCursor } nodes { editor {
      __typename login ... on User { databaseId } ... on Bot { databaseId }
    } } }
  } }
}";
/// What changes what an issue asks for, beside its text: its labels say what kind of request it is, and one that is closed asks for nothing.
/// A closed one that is opened again, and one that comes from another repository, ask for what somebody else wrote.
const TIMELINE: &str = "query($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) { issue(number: $number) {
    timelineItems(first: 100, after: $after, itemTypes: [LABELED_EVENT, UNLABELED_EVENT, REOPENED_EVENT, TRANSFERRED_EVENT]) {
      pageInfo { hasNextPage endCursor }
      nodes {
        ... on LabeledEvent { actor { ...account } }
        ... on UnlabeledEvent { actor { ...account } }
        ... on ReopenedEvent { actor { ...account } }
        ... on TransferredEvent { actor { ...account } }
      }
    }
  } }
}
fragment account on Actor { __typename login ... on User { databaseId } ... on Bot { databaseId } }";
const LAST_EDITED: &str = "query($id: ID!) { node(id: $id) { ... on IssueComment { lastEditedAt } } }";

#[derive(Deserialize)]
struct Answer<T> {
    data: Option<T>,
    #[serde(default)]
    errors: Vec<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct OfIssue<T> {
    repository: Option<WithIssue<T>>,
}

#[derive(Deserialize)]
struct WithIssue<T> {
    issue: Option<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Edited {
    // Null for who may not read them.
    user_content_edits: Option<Page<Edit>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Changed {
    timeline_items: Option<Page<Happened>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<T> {
    page_info: PageInfo,
    // Null is an item that who asks may not see.
    nodes: Option<Vec<Option<T>>>,
}

/// An item of a list that names who did it.
trait ByAccount: DeserializeOwned {
    /// `None`: it does not say who.
    fn account(self) -> Option<Account>;
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Edit {
    // Null when the account is gone.
    editor: Option<Editor>,
}

impl ByAccount for Edit {
    fn account(self) -> Option<Account> {
        Some(account(self.editor))
    }
}

#[derive(Deserialize)]
struct Happened {
    // Null when the account is gone; left out when the item is of another kind than was asked for.
    #[serde(default, deserialize_with = "present")]
    actor: Option<Option<Editor>>,
}

impl ByAccount for Happened {
    fn account(self) -> Option<Account> {
        self.actor.map(account)
    }
}

/// Who did something; an account that is gone has a name that GitHub gives to all of these.
fn account(editor: Option<Editor>) -> Account {
    editor.map_or_else(|| GHOST.into(), Editor::account)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Editor {
    #[serde(rename = "__typename")]
    kind: String,
    login: String,
    // Only people and bots have a number.
    #[serde(default)]
    database_id: Option<u64>,
}

impl Editor {
    /// As REST names it, which sets the logins of bots apart from those of people. Neither a person's nor a bot's is an account that
    /// nobody logs into, such as an organisation; who wrote in its name is as little known.
    fn account(self) -> Account {
        let is_person = matches!(self.kind.as_str(), "User" | "EnterpriseUserAccount");
        let login = if is_person { self.login } else { format!("{}[bot]", self.login.trim_end_matches("[bot]")) };
        Account { login, id: self.database_id }
    }
}

#[derive(Deserialize)]
struct OfNode {
    node: Option<LastEdited>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LastEdited {
    // Left out when the node is no comment.
    #[serde(default, deserialize_with = "present")]
    last_edited_at: Option<Option<String>>,
}

/// A field that is there, if only with null.
fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(from).map(Some)
}

/// Folds the errors of an answer, which has status 200, into the question that a caller acts on. GitHub documents no list of their types;
/// these are those that it is seen to use.
fn problem(problem: &Problem, subject: &str, now: runnersmith_types::Timestamp) -> GitHubError {
    let (operation, subject) = (GRAPHQL.id, subject.to_owned());
    let message: String = problem.message.chars().filter(|c| !c.is_control()).take(200).collect();
    match problem.kind.as_str() {
        "NOT_FOUND" => GitHubError::NotFound { operation, subject },
        "FORBIDDEN" | "INSUFFICIENT_SCOPES" => GitHubError::Unauthorized { operation, subject, message },
        "RATE_LIMITED" => GitHubError::RateLimited { operation, subject, until: now.plus(LIMIT_WAIT) },
        "SERVICE_UNAVAILABLE" => GitHubError::Transient { operation, subject, source: message.into() },
        _ => GitHubError::Refused { operation, subject, status: 200, message },
    }
}

impl GitHubClient {
    async fn query<T: DeserializeOwned>(
        &self,
        who: &As,
        subject: &str,
        query: &str,
        variables: Value,
    ) -> Result<T, GitHubError> {
        let body = json!({"query": query, "variables": variables});
        let path = self.transport.graphql_url();
        let answer: Answer<T> = self.send(GRAPHQL, who, &path, subject, Some(body)).await?.read(GRAPHQL, subject)?;
        if let Some(first) = answer.errors.first() {
            return Err(problem(first, subject, self.clock.now()));
        }
        answer.data.ok_or_else(|| unusable(GRAPHQL, subject.to_owned(), "it has no data"))
    }
}

/// `None` where who asks may not read it; a limit or an outage stays an error, since another try gives an answer.
fn if_readable<T>(read: Result<Option<T>, GitHubError>) -> Result<Option<T>, GitHubError> {
    match read {
        Err(GitHubError::Unauthorized { .. } | GitHubError::NotFound { .. } | GitHubError::Refused { .. }) => Ok(None),
        read => read,
    }
}

/// The list of an issue that a query asks for.
trait OfAnIssue: DeserializeOwned {
    type Item: ByAccount;
    const QUERY: &str;
    const SUBJECT: &str;

    /// `None`: who asks may not read it.
    fn page(self) -> Option<Page<Self::Item>>;
}

impl OfAnIssue for Edited {
    type Item = Edit;
    const QUERY: &str = EDITS;
    const SUBJECT: &str = "edits of issue";

    fn page(self) -> Option<Page<Edit>> {
        self.user_content_edits
    }
}

impl OfAnIssue for Changed {
    type Item = Happened;
    const QUERY: &str = TIMELINE;
    const SUBJECT: &str = "timeline of issue";

    fn page(self) -> Option<Page<Happened>> {
        self.timeline_items
    }
}

impl ControlClient {
    pub(crate) async fn issue_editors(&self, number: u64) -> Result<IssueEditors, GitHubError> {
        let edited = self.accounts_of::<Edited>(number).await?;
        let changed = self.accounts_of::<Changed>(number).await?;
        let is_whole = edited.is_whole && changed.is_whole;
        Ok(IssueEditors { accounts: edited.accounts.into_iter().chain(changed.accounts).collect(), is_whole })
    }

    /// Who did what a list of an issue has. What is read before something cannot be read is kept; that the rest is missing is said. Nobody
    /// comes on with an answer that another try would get again.
    async fn accounts_of<T: OfAnIssue>(&self, number: u64) -> Result<IssueEditors, GitHubError> {
        let mut found = IssueEditors::default();
        let mut after = None;
        for _ in 0..PAGES_MAX {
            let page = match self.page_of::<T>(number, after).await {
                Ok(Some(page)) => page,
                Ok(None) | Err(GitHubError::Unauthorized { .. } | GitHubError::Refused { .. }) => return Ok(found),
                // GraphQL says that also of what it must not show, or does not show yet. An issue is gone when REST says so.
                Err(GitHubError::NotFound { .. }) => return self.issue(number).await.map(|_| found),
                // A limit or an outage ends.
                Err(error) => return Err(error),
            };
            let Some(nodes) = page.nodes else { return Ok(found) };
            let all = nodes.len();
            let accounts: Vec<Account> = nodes.into_iter().filter_map(|node| node?.account()).collect();
            let is_whole = accounts.len() == all;
            found.accounts.extend(accounts);
            if !is_whole || !page.page_info.has_next_page {
                return Ok(IssueEditors { is_whole, ..found });
            }
            after = page.page_info.end_cursor;
        }
        Ok(found)
    }

    async fn page_of<T: OfAnIssue>(
        &self,
        number: u64,
        after: Option<String>,
    ) -> Result<Option<Page<T::Item>>, GitHubError> {
        let (owner, name) = self.repo.as_str().split_once('/').unwrap_or_default();
        let (who, subject) = (As::repository(&self.repo), self.subject(T::SUBJECT, number));
        let variables = json!({"owner": owner, "name": name, "number": number, "after": after});
        let page: OfIssue<T> = self.client().query(&who, &subject, T::QUERY, variables).await?;
        Ok(page.repository.and_then(|found| found.issue).and_then(T::page))
    }

    pub(crate) async fn is_comment_edited(&self, comment: &IssueComment) -> Result<Option<bool>, GitHubError> {
        let (who, subject) = (As::repository(&self.repo), self.subject("comment", comment.id));
        let variables = json!({"id": comment.node_id});
        let found = self.client().query::<OfNode>(&who, &subject, LAST_EDITED, variables).await;
        if_readable(found.map(|found| Some(found.node?.last_edited_at?.is_some())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_without_the_field_was_not_found_unedited() {
        let read = |text: &str| serde_json::from_str::<LastEdited>(text).unwrap().last_edited_at;
        assert_eq!(read("{}"), None);
        assert_eq!(read(r#"{"lastEditedAt": null}"#), Some(None));
        assert_eq!(read(r#"{"lastEditedAt": "2026-11-24T03:00:00Z"}"#), Some(Some("2026-11-24T03:00:00Z".into())));
    }

    #[test]
    fn an_item_that_names_nobody_is_not_one_by_an_account_that_is_gone() {
        let read = |text: &str| serde_json::from_str::<Happened>(text).unwrap().account();
        assert_eq!(read("{}"), None);
        assert_eq!(read(r#"{"actor": null}"#), Some(GHOST.into()));
    }

    #[test]
    fn what_may_not_be_read_is_not_known_and_a_limit_is_asked_again() {
        let now = runnersmith_types::Timestamp::from_secs(0);
        for (kind, is_known_later) in
            [("NOT_FOUND", false), ("FORBIDDEN", false), ("undefinedField", false), ("RATE_LIMITED", true)]
        {
            let error = problem(&Problem { kind: kind.to_owned(), message: "no".to_owned() }, "s", now);
            assert_eq!(if_readable::<()>(Err(error)).is_err(), is_known_later, "{kind}");
        }
    }
}
