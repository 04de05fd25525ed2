//! What passed between our client and a server, checked by a document.

use std::sync::Mutex;

use runnersmith_conformance::{Coverage, Exchange, OpenApi};
use runnersmith_github::RecordedExchange;

/// Checks everything that passed so far; returns what was wrong, each once.
pub fn check(seen: &Mutex<Vec<RecordedExchange>>, document: &OpenApi, coverage: &mut Coverage) -> Vec<String> {
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert!(!seen.is_empty(), "nothing passed");
    let mut wrong = Vec::new();
    // GraphQL is in no OpenAPI document.
    for exchange in seen.into_iter().filter(|exchange| exchange.operation != "graphql") {
        let exchange = Exchange {
            method: exchange.method.into(),
            path: exchange.path_and_query,
            operation_id: Some(exchange.operation.into()),
            request_body: exchange.request_body,
            status: exchange.status,
            response_body: exchange.response_body,
        };
        wrong.extend(coverage.check(document, &exchange).iter().map(ToString::to_string));
    }
    wrong.sort();
    wrong.dedup();
    wrong
}
