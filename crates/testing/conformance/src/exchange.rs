//! A request with its answer, checked as one, and a count of what was exercised.
//!
//! The client's recorder and the simulator's log both come down to this form, so that neither has to know the check.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::openapi::OpenApi;
use crate::result::{CheckResult, Violation};
use crate::route::without_prefix;

/// One request and its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// The method.
    pub method: String,
    /// The concrete path with its query; a server's prefix is allowed.
    pub path: String,
    /// Which operation the client thinks it called.
    pub operation_id: Option<String>,
    /// The request's JSON body.
    pub request_body: Option<Value>,
    /// The answer's status.
    pub status: u16,
    /// The answer's JSON body.
    pub response_body: Option<Value>,
}

impl OpenApi {
    /// Checks an exchange: the operation exists, is the one that the client meant, and request and (closed) answer are right.
    /// Requests that were answered with a 4xx are checked too: a client must not rely on a refusal.
    #[must_use]
    pub fn check(&self, exchange: &Exchange) -> Vec<Violation> {
        self.check_with_result(exchange).0
    }

    fn check_with_result(&self, exchange: &Exchange) -> (Vec<Violation>, Option<(String, CheckResult)>) {
        let (path, query) = without_prefix(&exchange.path);
        let unmatched = |part: &str, message: String| Violation {
            operation: format!("{} {path}", exchange.method),
            part: part.to_owned(),
            pointer: String::new(),
            message,
        };
        let Some(operation) = self.operation(&exchange.method, &exchange.path) else {
            let message = format!("{} has no such operation", self.doc().name());
            return (vec![unmatched("path", message)], None);
        };
        let mut violations = Vec::new();
        if let Some(meant) = exchange.operation_id.as_ref().filter(|meant| **meant != operation.id) {
            violations.push(unmatched("path", format!("the client meant {meant}, the path is {}", operation.id)));
        }
        violations.extend(self.validate_request(&operation, query, exchange.request_body.as_ref()));
        let result = self.validate_response(&operation, exchange.status, exchange.response_body.as_ref(), true);
        violations.extend(result.clone().violations());
        (violations, Some((operation.id, result)))
    }
}

/// Which operations were exercised, with which statuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    covered: BTreeMap<String, BTreeSet<u16>>,
    beyond: BTreeSet<(String, u16, &'static str)>,
}

impl Coverage {
    /// Checks an exchange and counts it.
    #[must_use]
    pub fn check(&mut self, document: &OpenApi, exchange: &Exchange) -> Vec<Violation> {
        let (violations, checked) = document.check_with_result(exchange);
        match checked {
            Some((id, CheckResult::NotCovered(argument))) => {
                self.beyond.insert((id, exchange.status, argument));
            }
            Some((id, _)) => {
                self.covered.entry(id).or_default().insert(exchange.status);
            }
            None => {}
        }
        violations
    }

    /// The wanted operations for which no documented success was seen, sorted.
    #[must_use]
    pub fn missing<'w>(&self, wanted: impl IntoIterator<Item = &'w str>) -> Vec<String> {
        let succeeded = |id: &str| self.covered.get(id).is_some_and(|statuses| statuses.iter().any(|s| *s < 400));
        let missing: BTreeSet<&str> = wanted.into_iter().filter(|id| !succeeded(id)).collect();
        missing.into_iter().map(str::to_owned).collect()
    }

    /// Operation ids with the documented statuses that were seen.
    #[must_use]
    pub const fn covered(&self) -> &BTreeMap<String, BTreeSet<u16>> {
        &self.covered
    }

    /// Returns beyond the documents: operation id, status and the argument for believing it.
    #[must_use]
    pub const fn beyond(&self) -> &BTreeSet<(String, u16, &'static str)> {
        &self.beyond
    }
}
