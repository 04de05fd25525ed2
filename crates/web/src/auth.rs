//! The dashboard's own token, and the names under which it is served. They are apart so that no page can forget to ask for them.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use runnersmith_types::Secret;
use subtle::ConstantTimeEq as _;

use crate::{App, host};

/// Lets a request through if no token is configured or it carries the token.
pub(crate) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    match &app.web.dashboard_token {
        Some(token) if !carries(request.headers(), token) => {
            let ask = [(header::WWW_AUTHENTICATE, "Basic realm=\"runnersmith\", charset=\"UTF-8\"")];
            (StatusCode::UNAUTHORIZED, ask, "the dashboard's token is needed\n").into_response()
        }
        Some(_) | None => next.run(request).await,
    }
}

/// Lets a request through that names this server.
pub(crate) async fn guard_name(State(app): State<App>, request: Request, next: Next) -> Response {
    let named = request.headers().get(header::HOST).map(|name| name.to_str().unwrap_or_default());
    // A token protects by itself: no other page has it.
    let needs_name = app.web.dashboard_token.is_none() || !app.web.hosts.is_empty();
    if needs_name && named.is_some_and(|name| !host::is_ours(name, &app.web.hosts)) {
        let why = "this name is not served here; add it to `hosts` of [server]\n";
        return (StatusCode::MISDIRECTED_REQUEST, why).into_response();
    }
    next.run(request).await
}

fn carries(headers: &HeaderMap, token: &Secret) -> bool {
    let Some((scheme, value)) =
        headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|text| text.split_once(' '))
    else {
        return false;
    };
    if scheme.eq_ignore_ascii_case("bearer") {
        return same(value.trim().as_bytes(), token.expose().as_bytes());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return false;
    }
    let Ok(decoded) = base64::engine::general_purpose::STANDARD.decode(value.trim()) else { return false };
    let Some(colon) = decoded.iter().position(|byte| *byte == b':') else { return false };
    same(&decoded[colon + 1..], token.expose().as_bytes())
}

/// Compares in a time that depends on the lengths only.
fn same(given: &[u8], wanted: &[u8]) -> bool {
    bool::from(given.ct_eq(wanted)) && !wanted.is_empty()
}
