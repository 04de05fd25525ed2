//! An HTTP request as Lambda gives it: API Gateway's payload 2.0 (function URLs have the same), or 1.0.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use runnersmith_webhook::{Answer, RawDelivery};
use serde::Deserialize;
use serde_json::{Value, json};

/// What matters of a request; everything else is ignored, so that AWS may add to it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
    #[serde(default)]
    http_method: Option<String>,
    #[serde(default)]
    request_context: Context,
}

#[derive(Debug, Default, Deserialize)]
struct Context {
    #[serde(default)]
    http: Option<Http>,
}

#[derive(Debug, Deserialize)]
struct Http {
    method: String,
}

impl Event {
    pub(crate) fn read(payload: Value) -> Result<Self, String> {
        serde_json::from_value(payload).map_err(|error| format!("this is no HTTP request: {error}"))
    }

    /// The delivery in it.
    pub(crate) fn delivery(self) -> Result<RawDelivery, String> {
        let method = self.request_context.http.map(|http| http.method).or(self.http_method);
        if method.is_some_and(|method| !method.eq_ignore_ascii_case("post")) {
            return Err("deliveries are posted".into());
        }
        let body = self.body.unwrap_or_default();
        let body = if self.is_base64_encoded {
            Bytes::from(STANDARD.decode(body).map_err(|_| "the body is not Base64".to_owned())?)
        } else {
            Bytes::from(body)
        };
        let headers: BTreeMap<String, String> =
            self.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        let text = |name: &str| headers.get(name).cloned();
        Ok(RawDelivery {
            event: text("x-github-event"),
            id: text("x-github-delivery"),
            signature_256: text("x-hub-signature-256"),
            signature_1: text("x-hub-signature"),
            body,
        })
    }
}

/// The answer as API Gateway takes it, in both payloads.
pub(crate) fn answer(answer: &Answer) -> Value {
    json!({
        "statusCode": answer.status,
        "headers": { "content-type": "application/json" },
        "body": json!({ "reason": answer.reason }).to_string(),
        "isBase64Encoded": false,
    })
}

#[cfg(test)]
mod tests {
    use super::Event;
    use serde_json::json;

    #[test]
    fn both_payloads_are_read_and_header_names_have_no_case() {
        let second = json!({ "version": "2.0", "headers": { "x-github-event": "ping" }, "body": "e30=", "isBase64Encoded": true,
            "requestContext": { "http": { "method": "POST", "path": "/webhook" } }, "unknown": { "more": 1 } });
        let first = json!({ "httpMethod": "POST", "headers": { "X-GitHub-Event": "ping" }, "body": "{}", "requestContext": {} });
        for payload in [first, second] {
            let delivery = Event::read(payload).and_then(Event::delivery).unwrap_or_default();
            assert_eq!((delivery.event.as_deref(), delivery.body.as_ref()), (Some("ping"), b"{}".as_ref()));
        }
    }

    #[test]
    fn what_is_no_delivery_is_refused() {
        let get = json!({ "requestContext": { "http": { "method": "GET" } } });
        assert!(Event::read(get).and_then(Event::delivery).is_err());
        let broken = json!({ "body": "%%%", "isBase64Encoded": true });
        assert!(Event::read(broken).and_then(Event::delivery).is_err());
        assert!(Event::read(json!([1])).is_err());
    }
}
