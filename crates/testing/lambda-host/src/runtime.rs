//! The Lambda Runtime API for the programs, and API Gateway's HTTP API for the world.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::account::Account;
use crate::function::{Function, FunctionError};

/// API Gateway takes at most 10 MB.
const BODY_MAX: usize = 10 * 1024 * 1024;

/// Route keys and the functions behind them.
type Routes = Vec<(String, String)>;

#[derive(Clone)]
struct Served {
    account: Account,
    functions: Arc<BTreeMap<String, Arc<Function>>>,
    /// Routes are read once: API, route key → function.
    routes: Arc<tokio::sync::Mutex<BTreeMap<String, Routes>>>,
}

pub(crate) fn router(account: Account, functions: Arc<BTreeMap<String, Arc<Function>>>) -> Router {
    let runtime = "/w/{function}/{worker}/2018-06-01/runtime";
    Router::new()
        .route(&format!("{runtime}/invocation/next"), get(next))
        .route(&format!("{runtime}/invocation/{{id}}/response"), post(response))
        .route(&format!("{runtime}/invocation/{{id}}/error"), post(error))
        .route(&format!("{runtime}/init/error"), post(init_error))
        .route("/apigw/{api}/{*path}", any(gateway))
        .with_state(Served { account, functions, routes: Arc::default() })
}

async fn next(State(served): State<Served>, Path((function, worker)): Path<(String, String)>) -> Response {
    let Some(function) = served.functions.get(&function) else { return StatusCode::NOT_FOUND.into_response() };
    let Some(invocation) = function.next(&worker).await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let headers = [
        ("Lambda-Runtime-Aws-Request-Id", invocation.id),
        ("Lambda-Runtime-Deadline-Ms", invocation.deadline_millis.to_string()),
        ("Lambda-Runtime-Invoked-Function-Arn", function.arn.clone()),
        ("Lambda-Runtime-Trace-Id", invocation.trace),
        ("Content-Type", "application/json".into()),
    ];
    (headers, invocation.payload.to_string()).into_response()
}

async fn response(
    State(served): State<Served>,
    Path((function, _, id)): Path<(String, String, String)>,
    body: Bytes,
) -> StatusCode {
    if let Some(function) = served.functions.get(&function) {
        function.answered(&id, Ok(serde_json::from_slice(&body).unwrap_or(Value::Null)));
    }
    StatusCode::ACCEPTED
}

async fn error(
    State(served): State<Served>,
    Path((function, _, id)): Path<(String, String, String)>,
    body: Bytes,
) -> StatusCode {
    if let Some(function) = served.functions.get(&function) {
        let said: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
        function.answered(&id, Err(FunctionError { kind: text("errorType"), message: text("errorMessage") }));
    }
    StatusCode::ACCEPTED
}

async fn init_error() -> StatusCode {
    // The process ends itself now; its invocations fail with it.
    StatusCode::ACCEPTED
}

async fn gateway(
    State(served): State<Served>,
    Path((api, path)): Path<(String, String)>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_MAX).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, r#"{"message":"Request Too Long"}"#).into_response();
    };
    let path = format!("/{path}");
    let key = format!("{} {path}", parts.method);
    let function = match route(&served, &api, &key).await {
        Ok(Some(name)) => served.functions.get(&name).cloned(),
        Ok(None) | Err(_) => None,
    };
    let Some(function) = function else {
        return (StatusCode::NOT_FOUND, r#"{"message":"Not Found"}"#).into_response();
    };
    let event = event(&api, &path, &key, parts.method.as_str(), &parts.headers, &body);
    match function.invoke(&event).await {
        Ok(answer) => answered(&answer),
        Err(error) => {
            tracing::warn!(function = function.name, error = ?error, "the gateway answers 500");
            (StatusCode::INTERNAL_SERVER_ERROR, r#"{"message":"Internal Server Error"}"#).into_response()
        }
    }
}

fn answered(answer: &Value) -> Response {
    let status = answer["statusCode"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(500);
    let body = answer["body"].as_str().unwrap_or_default();
    let body = if answer["isBase64Encoded"].as_bool() == Some(true) {
        STANDARD.decode(body).unwrap_or_default()
    } else {
        body.as_bytes().to_vec()
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, body).into_response();
    for (name, value) in answer["headers"].as_object().into_iter().flatten() {
        if let (Ok(name), Ok(value)) =
            (axum::http::HeaderName::try_from(name), axum::http::HeaderValue::try_from(value.as_str().unwrap_or("")))
        {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Payload 2.0.
fn event(api: &str, path: &str, key: &str, method: &str, headers: &HeaderMap, body: &[u8]) -> Value {
    let headers: BTreeMap<&str, &str> =
        headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
    json!({
        "version": "2.0",
        "routeKey": key,
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012", "apiId": api, "stage": "$default", "routeKey": key, "requestId": "r",
            "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "" },
        },
        "body": STANDARD.encode(body),
        "isBase64Encoded": true,
    })
}

async fn route(served: &Served, api: &str, key: &str) -> Result<Option<String>, String> {
    let mut routes = served.routes.lock().await;
    if !routes.contains_key(api) {
        let get = |path: String| served.account.rest("apigateway", "GET", path, Value::Null);
        let mut found = Vec::new();
        for route in get(format!("/v2/apis/{api}/routes")).await?["items"].as_array().into_iter().flatten() {
            let target = route["target"].as_str().unwrap_or_default().trim_start_matches("integrations/").to_owned();
            let integration = get(format!("/v2/apis/{api}/integrations/{target}")).await?;
            let uri = integration["integrationUri"].as_str().unwrap_or_default();
            // The function's own ARN, or the one for invoking it.
            let name = uri.split(":function:").nth(1).unwrap_or_default();
            let name = name.split(['/', ':']).next().unwrap_or_default().to_owned();
            found.push((route["routeKey"].as_str().unwrap_or_default().to_owned(), name));
        }
        routes.insert(api.to_owned(), found);
    }
    let found = routes.get(api).into_iter().flatten();
    let exact = found.clone().find(|(known, _)| known == key);
    Ok(exact.or_else(|| found.clone().find(|(known, _)| known == "$default")).map(|(_, name)| name.clone()))
}
