//! Lists, page by page. GitHub sends at most 100 items at once: a caller that takes the first page for the whole list loses
//! the rest, and does not notice.

use runnersmith_ports::GitHubError;
use serde::de::DeserializeOwned;

use crate::access::As;
use crate::answer::unusable;
use crate::client::GitHubClient;
use crate::operations::Operation;
use crate::wire;

/// So many items are asked for at once: GitHub's most.
pub(crate) const PAGE_ITEMS: usize = 100;

/// A page of a list as GitHub sends it: plain, or in an object that may say how long the whole list is.
pub(crate) trait Page: DeserializeOwned {
    /// What is listed.
    type Item;
    /// How many the whole list has, if GitHub says it.
    fn total(&self) -> Option<u64>;
    /// What is on this page.
    fn items(self) -> Vec<Self::Item>;
}

impl<T: DeserializeOwned> Page for Vec<T> {
    type Item = T;
    fn total(&self) -> Option<u64> {
        None
    }
    fn items(self) -> Self {
        self
    }
}

impl Page for wire::Runners {
    type Item = wire::Runner;
    fn total(&self) -> Option<u64> {
        Some(self.total_count)
    }
    fn items(self) -> Vec<wire::Runner> {
        self.runners
    }
}

impl Page for wire::Groups {
    type Item = wire::Group;
    fn total(&self) -> Option<u64> {
        self.total_count
    }
    fn items(self) -> Vec<wire::Group> {
        self.runner_groups
    }
}

impl Page for wire::Repositories {
    type Item = wire::Repository;
    fn total(&self) -> Option<u64> {
        self.total_count
    }
    fn items(self) -> Vec<wire::Repository> {
        self.repositories
    }
}

impl Page for wire::Runs {
    type Item = wire::Run;
    fn total(&self) -> Option<u64> {
        None
    }
    fn items(self) -> Vec<wire::Run> {
        self.workflow_runs
    }
}

impl Page for wire::Jobs {
    type Item = wire::WorkflowJobPayload;
    fn total(&self) -> Option<u64> {
        None
    }
    fn items(self) -> Vec<wire::WorkflowJobPayload> {
        self.jobs
    }
}

/// A list as far as it was read.
pub(crate) struct Listed<T> {
    /// What is listed.
    pub items: Vec<T>,
    /// How many there are, if GitHub says it.
    total: Option<u64>,
    /// Whether the last page that may be read was not the list's last.
    cut: bool,
}

impl<T> Listed<T> {
    fn reaches(&self, total: u64) -> bool {
        u64::try_from(self.items.len()).unwrap_or(u64::MAX) >= total
    }

    /// The whole list. One that was cut, or that has fewer items than GitHub says, is an error and never a short list.
    pub fn whole(self, operation: Operation, subject: &str) -> Result<Vec<T>, GitHubError> {
        let why = match self.total {
            _ if self.cut => "the list is longer than is read",
            Some(total) if !self.reaches(total) => "GitHub listed fewer than there are",
            Some(_) | None => return Ok(self.items),
        };
        Err(unusable(operation, subject.to_owned(), why))
    }
}

impl GitHubClient {
    /// Reads a list to its end, but never more pages than `pages_max`. `path` may have a query already.
    pub(crate) async fn pages<P: Page>(
        &self,
        operation: Operation,
        who: &As,
        path: &str,
        subject: &str,
        pages_max: usize,
    ) -> Result<Listed<P::Item>, GitHubError> {
        let joint = if path.contains('?') { '&' } else { '?' };
        let mut listed = Listed { items: Vec::new(), total: None, cut: true };
        for page in 1..=pages_max {
            let path = format!("{path}{joint}per_page={PAGE_ITEMS}&page={page}");
            let found: P = self.call(operation, who.clone(), &path, subject, None).await?;
            listed.total = found.total();
            let items = found.items();
            let is_full = items.len() >= PAGE_ITEMS;
            listed.items.extend(items);
            if !is_full || listed.total.is_some_and(|total| listed.reaches(total)) {
                listed.cut = false;
                break;
            }
        }
        Ok(listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::ORG_GROUPS;

    #[test]
    fn a_list_is_whole_when_its_end_was_read_and_nothing_is_missing() {
        for (items, total, cut, wanted) in [
            (0, None, false, Ok(0)),
            (2, None, false, Ok(2)),
            (2, Some(2), false, Ok(2)),
            (3, Some(2), false, Ok(3)),
            (1, Some(2), false, Err("GitHub listed fewer than there are")),
            (2, None, true, Err("the list is longer than is read")),
            (2, Some(2), true, Err("the list is longer than is read")),
        ] {
            let listed = Listed { items: vec![(); items], total, cut };
            let found = listed.whole(ORG_GROUPS, "groups").map(|items| items.len());
            let found = found.map_err(|error| runnersmith_ports::chain(&error));
            match wanted {
                Ok(count) => assert_eq!(found, Ok(count), "{items} of {total:?}"),
                Err(why) => assert!(found.unwrap_err().ends_with(why), "{items} of {total:?}, {why}"),
            }
        }
    }
}
