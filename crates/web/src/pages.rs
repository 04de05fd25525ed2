//! The pages' handlers.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use runnersmith_controllers::why::{self, parse_job};
use runnersmith_types::{RunnerName, ScaleSetName};

use crate::App;
use crate::views::{JobView, Notice, Overview, RunnerView, SetView, ViewError};

/// The frame around every page. `main` is rendered by a template of ours, which escaped what is foreign.
#[derive(Template)]
#[template(path = "page.html")]
struct Page {
    title: String,
    summary: String,
    live: bool,
    main: String,
    version: &'static str,
}

fn page(app: &App, title: String, summary: String, live: bool, main: Result<String, askama::Error>) -> Response {
    let rendered =
        main.and_then(|main| Page { title, summary, live, main, version: app.web.version }.render()).map(Html);
    match rendered {
        Ok(html) => html.into_response(),
        Err(error) => failed(app, &ViewError::Render(error)),
    }
}

fn notice(app: &App, status: StatusCode, title: &str, text: String) -> Response {
    let main = Notice { title: title.to_owned(), text }.render();
    (status, page(app, title.to_owned(), String::new(), false, main)).into_response()
}

fn failed(app: &App, error: &ViewError) -> Response {
    tracing::warn!(error = %error, "a page could not be made");
    match error {
        ViewError::Ledger(_) => {
            notice(app, StatusCode::SERVICE_UNAVAILABLE, "The ledger cannot be read", error.to_string())
        }
        ViewError::Render(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the page could not be rendered\n").into_response(),
    }
}

pub(crate) async fn not_found(State(app): State<App>) -> Response {
    notice(&app, StatusCode::NOT_FOUND, "Not found", "There is no such page.".into())
}

fn none(app: &App, what: &str) -> Response {
    notice(app, StatusCode::NOT_FOUND, "Not found", format!("The ledger does not know this {what}."))
}

pub(crate) async fn overview(State(app): State<App>) -> Response {
    match Overview::load(&app.web).await {
        Ok(view) => page(&app, "Overview".into(), view.summary.clone(), true, view.render()),
        Err(error) => failed(&app, &error),
    }
}

pub(crate) async fn job(State(app): State<App>, Path(id): Path<String>) -> Response {
    let Ok(id) = parse_job(&id) else { return none(&app, "job") };
    let waiting = app.web.levels.waiting_on(id);
    match why::why(app.web.ledger.as_ref(), waiting.as_ref(), id).await {
        Ok(Some(why)) => page(&app, format!("Job {id}"), String::new(), false, JobView::of(&why).render()),
        Ok(None) => none(&app, "job"),
        Err(error) => failed(&app, &ViewError::Ledger(error)),
    }
}

pub(crate) async fn set(State(app): State<App>, Path(name): Path<String>) -> Response {
    let level = ScaleSetName::parse(&name).ok().and_then(|name| app.web.levels.get(&name));
    let Some(level) = level else { return none(&app, "scale set") };
    match SetView::load(&app.web, &level).await {
        Ok(view) => page(&app, format!("Scale set {name}"), String::new(), false, view.render()),
        Err(error) => failed(&app, &error),
    }
}

pub(crate) async fn runner(State(app): State<App>, Path(name): Path<String>) -> Response {
    let Ok(name) = RunnerName::parse(&name) else { return none(&app, "runner") };
    match RunnerView::load(&app.web, &name).await {
        Ok(Some(view)) => page(&app, format!("Runner {name}"), String::new(), false, view.render()),
        Ok(None) => none(&app, "runner"),
        Err(error) => failed(&app, &error),
    }
}
