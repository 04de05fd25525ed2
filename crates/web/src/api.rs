//! The same facts as JSON, for scripts.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use runnersmith_controllers::{PlanJson, why};
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
    let waiting = app.web.levels.waiting_on(id);
    match why::why(app.web.ledger.as_ref(), waiting.as_ref(), id).await {
        Ok(Some(why)) => Json(why::JobStoryJson::from(&why)).into_response(),
        Ok(None) => error(StatusCode::NOT_FOUND, format_args!("job {id} is not in the ledger")),
        Err(cause) => error(StatusCode::SERVICE_UNAVAILABLE, cause),
    }
}

pub(crate) async fn plan(State(app): State<App>) -> Json<Value> {
    let levels = app.web.levels.all();
    let sets: Vec<PlanJson> = levels.iter().map(|(name, level)| PlanJson::of(name, &level.plan, level.at)).collect();
    Json(json!({ "sets": sets }))
}
