//! Answers, with GitHub's headers, and pages of lists.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::faults::Limit;
use crate::state::limits::{Rate, Refusal};
use crate::{keys, time};

/// A query, decoded.
pub(crate) type Query = BTreeMap<String, String>;

/// An answer in the making.
pub(crate) struct Answer {
    pub status: u16,
    pub body: Option<Value>,
    pub raw: Option<Vec<u8>>,
    pub link: Option<String>,
    /// Where it is now.
    pub location: Option<String>,
    pub limit: Option<Limit>,
    /// Seconds.
    pub retry_after: Option<u64>,
    /// Which part of a list it is.
    pub part: Option<Part>,
    /// What is left of the limit of who asked.
    pub rate: Option<Rate>,
    pub etag: Option<String>,
}

/// A page of a list.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    size: usize,
    page: usize,
    items: usize,
}

impl Answer {
    pub fn json(status: u16, body: Value) -> Self {
        Self { body: Some(body), ..Self::empty(status) }
    }
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            body: None,
            raw: None,
            link: None,
            location: None,
            limit: None,
            retry_after: None,
            part: None,
            rate: None,
            etag: None,
        }
    }
    pub fn message(status: u16, text: &str) -> Self {
        Self::json(status, json!({"message": text, "documentation_url": "https://docs.github.com/rest"}))
    }
    /// 422 in the form that names what was wrong.
    pub fn invalid(resource: &str, why: &str) -> Self {
        let error = json!({"resource": resource, "code": "custom", "message": why});
        let docs = "https://docs.github.com/rest";
        Self::json(422, json!({"message": "Validation Failed", "errors": [error], "documentation_url": docs}))
    }
    pub fn not_found() -> Self {
        Self::message(404, "Not Found")
    }
    /// A conditional GET whose answer has not changed is answered without a body.
    pub fn unless_known(mut self, method: &Method, headers: &HeaderMap) -> Self {
        if method != Method::GET || self.status != 200 {
            return self;
        }
        let Some(body) = &self.body else { return self };
        let etag = format!("W/\"{}\"", keys::hmac("etag", body.to_string().as_bytes(), ring::hmac::HMAC_SHA256));
        if headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok()) == Some(etag.as_str()) {
            (self.status, self.body) = (304, None);
        }
        self.etag = Some(etag);
        self
    }
    pub fn refused(refusal: Refusal) -> Self {
        Self { retry_after: refusal.retry_after, ..Self::message(refusal.status, &refusal.text) }
    }
    /// Links to the pages before and after, as GitHub gives them with each list of more than one page.
    pub fn with_links(mut self, base: &str, path: &str, query: &Query) -> Self {
        let Some(Part { size, page, items }) = self.part else { return self };
        let last = items.div_ceil(size).max(1);
        let link = |to: usize, word: &str| {
            let mut query = query.clone();
            query.insert("page".into(), to.to_string());
            let query: Vec<String> = query.iter().map(|(key, value)| format!("{key}={}", encode(value))).collect();
            format!("<{base}{path}?{}>; rel=\"{word}\"", query.join("&"))
        };
        let mut links = Vec::new();
        if page > 1 {
            links.extend([link(page - 1, "prev"), link(1, "first")]);
        }
        if page < last {
            links.extend([link(page + 1, "next"), link(last, "last")]);
        }
        self.link = Some(links.join(", ")).filter(|links| !links.is_empty());
        self
    }
    pub fn limited(limit: Limit) -> Self {
        let (status, text) = match limit {
            Limit::Primary(_) => (403, "API rate limit exceeded for installation."),
            Limit::RetryAfter(_) => {
                (429, "You have exceeded a rate limit. Please wait a few minutes before you try again.")
            }
            Limit::Secondary => (403, "You have exceeded a secondary rate limit. Please wait before you try again."),
        };
        Self { limit: Some(limit), ..Self::message(status, text) }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = match (self.raw, self.body) {
            (Some(raw), _) => (status, raw).into_response(),
            (None, Some(body)) => (status, axum::Json(body)).into_response(),
            (None, None) => status.into_response(),
        };
        let now = u64::try_from(time::now_ms() / 1000).unwrap_or(0);
        let (remaining, reset) = match (self.limit, self.rate) {
            (Some(Limit::Primary(seconds)), _) => (0, now + seconds),
            (_, Some(rate)) => (rate.remaining, u64::try_from(rate.reset_ms / 1000).unwrap_or(0)),
            (Some(Limit::RetryAfter(_) | Limit::Secondary) | None, None) => (4_999, now + 3_600),
        };
        let headers = response.headers_mut();
        headers.insert("x-ratelimit-limit", self.rate.map_or(5_000, |rate| rate.limit).into());
        headers.insert("x-ratelimit-remaining", remaining.into());
        headers.insert("x-ratelimit-used", self.rate.map_or(1, |rate| rate.used).into());
        headers.insert("x-ratelimit-reset", reset.into());
        headers.insert("x-ratelimit-resource", axum::http::HeaderValue::from_static("core"));
        let retry_after = match self.limit {
            Some(Limit::RetryAfter(seconds)) => Some(seconds),
            Some(Limit::Primary(_) | Limit::Secondary) | None => self.retry_after,
        };
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(etag) = self.etag.and_then(|etag| etag.parse().ok()) {
            headers.insert(header::ETAG, etag);
        }
        if let Some(location) = self.location.and_then(|location| location.parse().ok()) {
            headers.insert(header::LOCATION, location);
        }
        if let Some(link) = self.link.and_then(|link| link.parse().ok()) {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}

/// One page of a list. When pages shift, somebody has left the list since the page before: all that follow moved up by one.
pub(crate) fn paged(items: Vec<Value>, name: &str, query: &Query, shift: bool) -> Answer {
    let (size, page) = window(query);
    let total = items.len();
    let items: Vec<Value> =
        items.into_iter().skip((page - 1) * size + usize::from(shift && page > 1)).take(size).collect();
    let part = Some(Part { size, page, items: total });
    Answer { part, ..Answer::json(200, json!({"total_count": total, (name): items})) }
}

/// One page of a list that says nothing of the whole.
pub(crate) fn page(items: Vec<Value>, query: &Query) -> Answer {
    let (size, page) = window(query);
    let part = Some(Part { size, page, items: items.len() });
    Answer { part, ..Answer::json(200, items.into_iter().skip((page - 1) * size).take(size).collect()) }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// How long a page is, and which.
fn window(query: &Query) -> (usize, usize) {
    let number = |key: &str, default: usize| query.get(key).and_then(|text| text.parse().ok()).unwrap_or(default);
    (number("per_page", 30).clamp(1, 100), number("page", 1).max(1))
}
