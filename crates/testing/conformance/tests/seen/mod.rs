//! What passed between our client and a server, checked by a document.

use std::sync::Mutex;

use runnersmith_conformance::{Coverage, Exchange, GraphQlSchema, OpenApi};
use runnersmith_github::RecordedExchange;

/// Checks everything that passed so far; returns what was wrong, each once.
pub fn check(seen: &Mutex<Vec<RecordedExchange>>, document: &OpenApi, coverage: &mut Coverage) -> Vec<String> {
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert!(!seen.is_empty(), "nothing passed");
    let mut wrong = Vec::new();
    let schema = GraphQlSchema::load().unwrap();
    for exchange in seen {
        // GraphQL is in no OpenAPI document.
        if exchange.operation == "graphql" {
            let body = exchange.request_body.unwrap();
            wrong.extend(schema.check(body["query"].as_str().unwrap(), &body["variables"]));
            continue;
        }
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
