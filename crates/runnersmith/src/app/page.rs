//! The page on loopback that a browser is sent from and comes back to.
//!
//! Its address holds a random word, and what comes back must hold another, so that no other person of this machine and no
//! other site can slip a code of theirs in, or learn what to slip in. It loads nothing from elsewhere.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use ring::hmac;
use ring::rand::SystemRandom;
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::exit::CommandFailure;
use crate::random::random_hex;

/// A browser keeps its connection open; it is not waited for longer.
const FAREWELL: Duration = Duration::from_secs(2);

/// 32 random bytes, hexadecimal.
///
/// # Errors
/// When the system has no randomness.
pub fn random() -> Result<String, CommandFailure> {
    random_hex::<32>().ok_or_else(|| CommandFailure::internal("the system gives no random bytes"))
}

/// The one word that may come back, kept so that comparing it takes the same time for every guess.
struct Expected {
    key: hmac::Key,
    tag: hmac::Tag,
}

impl Expected {
    fn new(word: &str) -> Result<Self, CommandFailure> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| CommandFailure::internal("the system gives no random bytes"))?;
        let tag = hmac::sign(&key, word.as_bytes());
        Ok(Self { key, tag })
    }
    fn is(&self, given: &str) -> bool {
        hmac::verify(&self.key, given.as_bytes(), self.tag.as_ref()).is_ok()
    }
}

/// A code that came back, and where the page waits for what became of it.
pub struct Returned {
    /// The code.
    pub code: String,
    /// Takes what the browser is shown: whether it went well, and the text.
    pub notify: oneshot::Sender<(bool, String)>,
}

/// What the page needs to show.
pub struct Form<'a> {
    /// Where the form is posted.
    pub action: &'a str,
    /// The manifest.
    pub manifest: &'a str,
    /// Who will own the App.
    pub owner: &'a str,
    /// What it asks for, a line each.
    pub asks: &'a [String],
}

struct Shared {
    port: u16,
    path: Expected,
    state: Expected,
    page: Mutex<Option<String>>,
    nonce: String,
    waiting: Mutex<Option<oneshot::Sender<Returned>>>,
}

/// The server of the page.
pub struct Page {
    listener: tokio::net::TcpListener,
    port: u16,
    path: String,
    /// The word that must come back with the code.
    pub state: String,
}

/// A page that is being served.
pub struct Served {
    /// What comes back.
    pub returned: oneshot::Receiver<Returned>,
    stop: oneshot::Sender<()>,
    server: tokio::task::JoinHandle<()>,
}

impl Served {
    /// Ends it; what is being answered is answered.
    pub async fn end(self) {
        let _ = self.stop.send(());
        let _ = tokio::time::timeout(FAREWELL, self.server).await;
    }
}

impl Page {
    /// Takes the port.
    ///
    /// # Errors
    /// When it is taken.
    pub async fn bind(port: u16) -> Result<Self, CommandFailure> {
        let failed = |error: std::io::Error| {
            CommandFailure::outside(format!("listen on 127.0.0.1:{port}: {error}"), "choose another with --port")
        };
        let listener = tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
        let listener = listener.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        Ok(Self { listener, port, path: random()?, state: random()? })
    }

    /// What a person opens.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}/{}", self.port, self.path)
    }

    /// Where GitHub sends the browser back to.
    pub fn callback(&self) -> String {
        format!("http://127.0.0.1:{}/callback", self.port)
    }

    /// Begins to serve.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn serve(self, form: &Form<'_>) -> Result<Served, CommandFailure> {
        let nonce = random()?;
        let (sender, returned) = oneshot::channel();
        let shared = Arc::new(Shared {
            port: self.port,
            path: Expected::new(&self.path)?,
            state: Expected::new(&self.state)?,
            page: Mutex::new(Some(start(form, &nonce))),
            nonce,
            waiting: Mutex::new(Some(sender)),
        });
        let router = Router::new()
            .route("/callback", get(callback))
            .route("/{path}", get(begin))
            .layer(axum::middleware::from_fn_with_state(shared.clone(), guard))
            .with_state(shared);
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(async move {
            let stopped = async move {
                let _ = stopped.await;
            };
            // If it ends early, the command's own time limit says so.
            let _ = axum::serve(self.listener, router).with_graceful_shutdown(stopped).await;
        });
        Ok(Served { returned, stop, server })
    }
}

/// Lets only requests to this very address through (a name that somebody points to 127.0.0.1 is not it), and adds the
/// headers that every answer has.
async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let mut answer = if is_ours(request.headers(), shared.port) { next.run(request).await } else { refused() };
    // The form goes to GitHub, which may send on to any sign-in page: `form-action` would break that, so it is not said.
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; base-uri 'none'; frame-ancestors 'none'",
        shared.nonce
    );
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy.as_str()),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CONNECTION, "close"),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    answer
}

fn is_ours(headers: &HeaderMap, port: u16) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.is_some_and(|host| host == format!("127.0.0.1:{port}"))
}

fn refused() -> Response {
    let text = "<!doctype html><meta charset=\"utf-8\"><title>Refused</title><p>This address or answer is not of the command that is waiting here. Nothing was done.";
    (StatusCode::FORBIDDEN, Html(text)).into_response()
}

async fn begin(State(shared): State<Arc<Shared>>, Path(path): Path<String>) -> Response {
    if !shared.path.is(&path) {
        return refused();
    }
    match shared.page.lock().unwrap_or_else(PoisonError::into_inner).clone() {
        Some(page) => Html(page).into_response(),
        None => (StatusCode::GONE, Html(result(&shared.nonce, false, "A code came back already."))).into_response(),
    }
}

#[derive(Deserialize)]
struct Answer {
    code: Option<String>,
    state: Option<String>,
}

async fn callback(State(shared): State<Arc<Shared>>, Query(answer): Query<Answer>) -> Response {
    // Anyone who guesses wrongly is refused and changes nothing: the command goes on waiting for the right one.
    let (Some(code), true) = (answer.code, answer.state.is_some_and(|state| shared.state.is(&state))) else {
        return refused();
    };
    let waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
    shared.page.lock().unwrap_or_else(PoisonError::into_inner).take();
    let gone = |text: &str| (StatusCode::GONE, Html(result(&shared.nonce, false, text))).into_response();
    let Some(waiting) = waiting else { return gone("A code came back already.") };
    let (notify, notified) = oneshot::channel();
    if waiting.send(Returned { code, notify }).is_err() {
        return gone("The command has ended.");
    }
    match notified.await {
        Ok((true, text)) => Html(result(&shared.nonce, true, &text)).into_response(),
        Ok((false, text)) => (StatusCode::BAD_GATEWAY, Html(result(&shared.nonce, false, &text))).into_response(),
        Err(_) => gone("The command has ended; its terminal says why."),
    }
}

/// Text as HTML, fit for an attribute too.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:4em auto;padding:0 1em}button{font:inherit;padding:.5em 1em}";

fn document(nonce: &str, title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <style nonce=\"{nonce}\">{STYLE}</style>\n<body>\n<h1>{title}</h1>\n{body}\n"
    )
}

fn start(form: &Form<'_>, nonce: &str) -> String {
    let asks: String = form.asks.iter().map(|line| format!("<li>{}</li>\n", escape(line))).collect();
    let body = format!(
        "<p>The App will belong to <b>{owner}</b>. GitHub asks you to confirm its name. It will ask for:</p>\n<ul>\n{asks}</ul>\n\
         <form method=\"post\" action=\"{action}\">\n<input type=\"hidden\" name=\"manifest\" value=\"{manifest}\">\n\
         <button type=\"submit\">Go on to GitHub</button>\n</form>\n\
         <script nonce=\"{nonce}\">document.forms[0].submit()</script>",
        owner = escape(form.owner),
        action = escape(form.action),
        manifest = escape(form.manifest),
    );
    document(nonce, "Make the GitHub App", &body)
}

fn result(nonce: &str, good: bool, text: &str) -> String {
    let title = if good { "The GitHub App is made" } else { "The GitHub App is not ready" };
    document(nonce, title, &format!("<p>{}</p>", escape(text)))
}

#[cfg(test)]
mod tests {
    use super::{Expected, escape};

    #[test]
    fn only_the_word_itself_is_the_word() {
        let expected = Expected::new("word").unwrap();
        assert!(expected.is("word"));
        for wrong in ["", "Word", "wor", "words"] {
            assert!(!expected.is(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn nothing_ends_an_attribute_or_begins_an_element() {
        assert_eq!(escape(r#""><script>'&"#), "&quot;&gt;&lt;script&gt;&#39;&amp;");
    }
}
