//! The webhook's endpoint: it takes the raw bytes and the headers that matter, and leaves every decision to the handler.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use runnersmith_controllers::faults::FaultKind;
use runnersmith_webhook::{Answer, RawDelivery};

use crate::App;

/// The largest delivery that GitHub sends, bytes.
pub const BODY_BYTES_MAX: usize = 25 * 1024 * 1024;

pub(crate) async fn deliver(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let event = text("x-github-event");
    let (mut is_verified, hook) = (false, hook(&headers));
    let answer = match body {
        Ok(body) => {
            let delivery = RawDelivery {
                event: event.clone(),
                id: text("x-github-delivery"),
                signature_256: text("x-hub-signature-256"),
                signature_1: text("x-hub-signature"),
                body,
            };
            let answer = app.web.handler.deliver(delivery).await;
            is_verified = answer.status != 401;
            answer
        }
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Answer::new(413, format!("the delivery is larger than {BODY_BYTES_MAX} bytes"))
        }
        Err(_) => Answer::new(400, "the delivery's body could not be read"),
    };
    app.web.metrics.delivery(event.as_deref().unwrap_or(""), answer.status);
    let (faults, now) = (&app.web.faults, app.web.clock.now());
    match answer.status {
        // Few faults for however many deliveries: who has no secret must not be able to make us work. What is in memory is copied to the
        // ledger with the tasks.
        401 => {
            let cause = format!("deliveries are refused: {}", answer.reason);
            faults.report(FaultKind::SignatureRejected, &hook, &cause, now);
        }
        503 => faults.report(FaultKind::DeliveryNotStored, "", &answer.reason, now),
        202 if answer.stored => {
            faults.clear(FaultKind::DeliveryNotStored, "");
            faults.clear(FaultKind::NoDelivery, "");
        }
        _ => {}
    }
    if is_verified {
        faults.signature_accepted(&hook);
    }
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(serde_json::json!({ "reason": answer.reason }))).into_response()
}

/// Which of GitHub's webhooks a delivery says that it is of. An App's, an organisation's and a repository's may come here side by side, and
/// one whose secret is right says nothing of another's.
fn hook(headers: &HeaderMap) -> String {
    let id = headers.get("x-github-hook-id").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_number = !id.is_empty() && id.len() <= 20 && id.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { format!("webhook {id}") } else { String::new() }
}
