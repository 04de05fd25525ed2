//! Server-sent events: when something changed, the overview is rendered once and sent to every open dashboard.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use runnersmith_types::Timestamp;
use serde::Serialize;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch};

use crate::{App, views};

/// Event streams open at once; further ones are answered 503 and try again.
pub const CONNECTIONS_MAX: usize = 100;
/// Changes come in bursts: after one, the next ones are waited for this long.
const GATHER: Duration = Duration::from_millis(200);
/// Without any change the page is rendered again after this, because jobs come without a pass, and because time goes on.
const REFRESH: Duration = Duration::from_secs(10);
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);

/// What all streams share.
pub(crate) struct Live {
    places: Arc<Semaphore>,
    rendered: Mutex<Option<Rendered>>,
}

#[derive(Clone)]
struct Rendered {
    version: u64,
    at: Timestamp,
    piece: Arc<Piece>,
}

#[derive(PartialEq, Eq, Serialize)]
struct Piece {
    summary: String,
    html: String,
}

impl Default for Live {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(CONNECTIONS_MAX)), rendered: Mutex::new(None) }
    }
}

struct Stream {
    app: App,
    changes: watch::Receiver<u64>,
    last: Option<Arc<Piece>>,
    _place: OwnedSemaphorePermit,
}

/// `GET /events`.
pub(crate) async fn events(State(app): State<App>) -> Response {
    let Ok(place) = app.live.places.clone().try_acquire_owned() else {
        let later = [(header::RETRY_AFTER, "10")];
        return (StatusCode::SERVICE_UNAVAILABLE, later, "too many open dashboards; reload later\n").into_response();
    };
    let changes = app.web.levels.subscribe();
    let stream = Stream { app, changes, last: None, _place: place };
    let stream = futures_util::stream::unfold(stream, |mut stream| async move {
        let event = stream.next().await;
        Some((Ok::<_, Infallible>(event), stream))
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response()
}

impl Stream {
    /// The next event: at once for a new stream, then whenever the page has changed. A client that went away drops the stream.
    async fn next(&mut self) -> Event {
        loop {
            if self.last.is_some() {
                let changed = tokio::time::timeout(REFRESH, self.changes.changed()).await;
                if let Ok(Err(_)) = changed {
                    // The levels live as long as this state, so this does not happen; it must not spin if it ever does.
                    tokio::time::sleep(REFRESH).await;
                }
                tokio::time::sleep(GATHER).await;
            }
            let version = *self.changes.borrow_and_update();
            match piece(&self.app, version).await {
                Ok(piece) => {
                    if self.last.as_ref() == Some(&piece) {
                        continue;
                    }
                    self.last = Some(piece.clone());
                    if let Ok(event) = Event::default().event("overview").json_data(piece.as_ref()) {
                        return event;
                    }
                }
                Err(error) => {
                    tracing::warn!(error = %error, "the overview could not be rendered");
                    tokio::time::sleep(REFRESH).await;
                    return Event::default().event("fault").data("The ledger cannot be read.");
                }
            }
        }
    }
}

/// The piece for a version: made once, and used by every stream that wants it soon.
async fn piece(app: &App, version: u64) -> Result<Arc<Piece>, views::ViewError> {
    let mut cached = app.live.rendered.lock().await;
    let now = app.web.clock.now();
    if let Some(rendered) = cached.as_ref()
        && rendered.version == version
        && now.since(rendered.at) < GATHER
    {
        return Ok(rendered.piece.clone());
    }
    let overview = views::Overview::load(&app.web).await?;
    let piece = Arc::new(Piece { summary: overview.summary.clone(), html: overview.html()? });
    *cached = Some(Rendered { version, at: now, piece: piece.clone() });
    Ok(piece)
}
