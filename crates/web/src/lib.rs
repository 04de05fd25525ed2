//! What people and GitHub reach over HTTP: the webhook, health, metrics, and the dashboard.
//!
//! It is apart from the loop because it only looks: nothing here decides anything, and a page that hangs or a
//! thousand open dashboards must not delay a launch. Every page is whole without JavaScript; a small script of our own
//! only swaps in newer pieces as they come.

mod api;
mod auth;
mod fault_row;
mod host;
mod listener;
mod live;
mod pages;
mod views;
mod webhook;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use runnersmith_controllers::faults::{Fault, Faults};
use runnersmith_controllers::levels::{Levels, SetLevel};
use runnersmith_controllers::metrics::Metrics;
use runnersmith_controllers::tasks::Tasks;
use runnersmith_ports::{Clock, WorkLedger};
use runnersmith_types::{ScaleSetName, Secret, WebhookPath};

pub use listener::{BoundedListener, BoundedStream, ConnectionLimits};
pub use live::CONNECTIONS_MAX;
pub use runnersmith_webhook::{Answer, DeliveryHandler, RawDelivery};
pub use webhook::BODY_BYTES_MAX;

/// How long any request but an event stream may take, its body included. GitHub gives a delivery up after 10 s.
const REQUEST_WITHIN: Duration = Duration::from_secs(15);

/// Whether this process can do its work.
#[async_trait]
pub trait Readiness: Send + Sync {
    /// Ready, or why not, in words without secrets.
    async fn ready(&self) -> Result<(), String>;
}

/// What the pages are made from.
#[derive(Clone)]
pub struct WebState {
    /// Records.
    pub ledger: Arc<dyn WorkLedger>,
    /// What the last passes saw.
    pub levels: Arc<Levels>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// What the background tasks do.
    pub tasks: Arc<Tasks>,
    /// What is wrong with this process.
    pub faults: Arc<Faults>,
    /// Takes the webhook's deliveries.
    pub handler: Arc<dyn DeliveryHandler>,
    /// For `/readyz`.
    pub readiness: Arc<dyn Readiness>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Shown at the foot of each page.
    pub version: &'static str,
    /// Where deliveries arrive.
    pub webhook_path: WebhookPath,
    /// When set, the dashboard, its JSON and the metrics ask for it: as a bearer token, or as a password with any user name.
    pub dashboard_token: Option<Secret>,
    /// Names in lower case under which the dashboard is served, beside addresses and `localhost`. Where there is a token and no name is
    /// listed, any name will do.
    pub hosts: Vec<String>,
}

/// The state with what the router itself keeps.
#[derive(Clone)]
struct App {
    web: WebState,
    live: Arc<live::Live>,
}

/// All routes.
pub fn router(state: WebState) -> Router {
    let path = state.webhook_path.clone();
    let app = App { web: state, live: Arc::new(live::Live::default()) };
    let within = middleware::from_fn(within);
    let guarded = Router::new()
        .route("/", get(pages::overview))
        .route("/jobs/{id}", get(pages::job))
        .route("/sets/{name}", get(pages::set))
        .route("/runners/{name}", get(pages::runner))
        .route("/api/status", get(api::status))
        .route("/api/jobs/{id}", get(api::job))
        .route("/api/plan", get(api::plan))
        .route("/metrics", get(metrics))
        .route_layer(within.clone())
        .route("/events", get(live::events))
        .route_layer(middleware::from_fn_with_state(app.clone(), auth::guard))
        .route_layer(middleware::from_fn_with_state(app.clone(), auth::guard_name));
    let open = Router::new()
        .route(path.as_str(), post(webhook::deliver))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/assets/style.css", get(async || asset("text/css; charset=utf-8", include_str!("../assets/style.css"))))
        .route(
            "/assets/live.js",
            get(async || asset("text/javascript; charset=utf-8", include_str!("../assets/live.js"))),
        )
        .route("/favicon.ico", get(async || asset("image/svg+xml", include_str!("../assets/mark.svg"))))
        .route_layer(within);
    guarded.merge(open).fallback(pages::not_found).layer(middleware::map_response(with_headers)).with_state(app)
}

async fn within(request: Request, next: Next) -> Response {
    tokio::time::timeout(REQUEST_WITHIN, next.run(request))
        .await
        .unwrap_or_else(|_| (StatusCode::REQUEST_TIMEOUT, "the request took longer than 15 s\n").into_response())
}

/// No page of ours loads, or sends anything to, anybody else.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
    img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

async fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn asset(content_type: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "max-age=300")], text).into_response()
}

async fn readyz(State(app): State<App>) -> Response {
    match app.web.readiness.ready().await {
        Ok(()) => "ready\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response(),
    }
}

/// What is wrong now: with the process, then with each scale set.
pub(crate) fn all_faults(web: &WebState, levels: &BTreeMap<ScaleSetName, SetLevel>) -> Vec<Fault> {
    let mut all = web.faults.all(&web.tasks.all(), web.clock.now());
    all.extend(levels.values().flat_map(|level| level.faults.iter().cloned()));
    all
}

async fn metrics(State(app): State<App>) -> Response {
    let levels = app.web.levels.all();
    app.web.metrics.levels(levels.values());
    app.web.metrics.tasks(&app.web.tasks.all());
    app.web.metrics.faults(&all_faults(&app.web, &levels));
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.web.metrics.encode()).into_response()
}
