//! The same facts as JSON, for scripts.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use runnersmith_controllers::why;
use serde_json::{Value, json};

use crate::App;
use crate::views::Overview;

fn error(status: StatusCode, text: impl std::fmt::Display) -> Response {
    (status, Json(json!({ "error": text.to_string() }))).into_response()
}

pub(crate) async fn status(State(app): State<App>) -> Response {
    match Overview::load(&app.web).await {
        Ok(view) => Json(view).into_response(),
        Err(cause) => error(StatusCode::SERVICE_UNAVAILABLE, cause),
    }
}

pub(crate) async fn job(State(app): State<App>, Path(id): Path<String>) -> Response {
    let id = match why::parse_job(&id) {
        Ok(id) => id,
        Err(cause) => return error(StatusCode::BAD_REQUEST, cause),
    };
    match why::why(app.web.ledger.as_ref(), Some(&app.web.levels), id).await {
        Ok(Some(why)) => Json(why::JobStoryJson::from(&why)).into_response(),
        Ok(None) => error(StatusCode::NOT_FOUND, format_args!("job {id} is not in the ledger")),
        Err(cause) => error(StatusCode::SERVICE_UNAVAILABLE, cause),
    }
}

pub(crate) async fn plan(State(app): State<App>) -> Json<Value> {
    let sets: Vec<Value> = app
        .web
        .levels
        .all()
        .into_iter()
        .map(|(name, level)| {
            let steps: Vec<Value> = level
                .plan
                .steps
                .iter()
                .map(|step| {
                    let what = step.action.to_string();
                    json!({ "action": step.action.kind(), "what": what, "reason": step.reason.to_string() })
                })
                .collect();
            let waiting: Vec<Value> = level
                .plan
                .waiting
                .iter()
                .map(|waiting| {
                    json!({
                        "job": waiting.job.map(|id| id.0),
                        "runner": waiting.runner.as_ref().map(ToString::to_string),
                        "on": waiting.on.to_string(),
                    })
                })
                .collect();
            json!({
                "set": name.to_string(),
                "at_ms": level.at.as_millis(),
                "demand": level.plan.demand,
                "supply": level.plan.supply,
                "min_idle": level.plan.min_idle,
                "next_wake_ms": level.plan.next_wake.map(|at| at.as_millis()),
                "steps": steps,
                "waiting": waiting,
            })
        })
        .collect();
    Json(json!({ "sets": sets }))
}
