//! A webhook that is not an App's: an organisation's or a repository's own, with a delivery log of its own.

use std::fmt;

use crate::ids::{Owner, RepoFullName};
use crate::policy::RunnerScope;

/// Where such a webhook is at GitHub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookAddress {
    /// The organisation or repository.
    pub at: RunnerScope,
    /// GitHub's number of it.
    pub id: u64,
}

impl HookAddress {
    /// Reads what GitHub's API calls it: `orgs/<org>/hooks/<id>` or `repos/<owner>/<repo>/hooks/<id>`, as the page of the webhook
    /// and `gh api` show it.
    ///
    /// # Errors
    /// When the text is not of that form; the error says what is.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.trim_start_matches('/').split('/').collect();
        let found = match parts.as_slice() {
            ["orgs", org, "hooks", id] => Owner::parse(org).ok().map(RunnerScope::Organization).zip(id.parse().ok()),
            ["repos", owner, repo, "hooks", id] => {
                RepoFullName::parse(&format!("{owner}/{repo}")).ok().map(RunnerScope::Repository).zip(id.parse().ok())
            }
            _ => None,
        };
        found.map(|(at, id)| Self { at, id }).ok_or_else(|| {
            "a webhook's address is needed: orgs/<org>/hooks/<id> or repos/<owner>/<repo>/hooks/<id>".to_owned()
        })
    }
}

impl fmt::Display for HookAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            RunnerScope::Repository(repo) => write!(f, "repos/{repo}/hooks/{}", self.id),
            RunnerScope::Organization(org) => write!(f, "orgs/{org}/hooks/{}", self.id),
            RunnerScope::Enterprise(slug) => write!(f, "enterprises/{slug}/hooks/{}", self.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::HookAddress;

    #[test]
    fn an_address_is_what_githubs_api_calls_it() {
        for good in ["orgs/acme/hooks/17", "repos/acme/shop/hooks/18"] {
            assert_eq!(HookAddress::parse(good).map(|hook| hook.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "17", "orgs/acme/hooks/x", "orgs/a b/hooks/1", "enterprises/acme/hooks/1", "repos/acme/hooks/1"]
        {
            assert!(HookAddress::parse(bad).is_err(), "{bad}");
        }
    }
}
