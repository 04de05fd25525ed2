//! GitHub's rate limits, counted for each who asks. The numbers and the words are those of GitHub's documentation, "Rate limits
//! for the REST API".

use std::collections::BTreeMap;

/// Primary limits are per hour.
const HOUR_MS: i64 = 3_600_000;
/// The limit on creating content is per minute.
const MINUTE_MS: i64 = 60_000;

/// Whose limit a call counts against.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Payer {
    /// Calls with an App's JWT.
    App(u64),
    Installation(u64),
    /// A person's or a workflow's token.
    Token(String),
    Nobody,
}

/// How often somebody may call in a window of time, and how often they did.
#[derive(Clone, Debug)]
struct Window {
    limit: u64,
    used: u64,
    ends_ms: i64,
}

impl Window {
    /// A window that is over begins again.
    fn at(&mut self, now_ms: i64, length_ms: i64) -> &mut Self {
        if now_ms >= self.ends_ms {
            (self.used, self.ends_ms) = (0, now_ms + length_ms);
        }
        self
    }
}

/// A secondary limit that holds for a while.
#[derive(Clone, Debug)]
struct Blocked {
    until_ms: i64,
    status: u16,
    /// Only calls that create content are blocked.
    content_alone: bool,
}

/// What an answer's headers say of the primary limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub limit: u64,
    pub remaining: u64,
    pub used: u64,
    pub reset_ms: i64,
}

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub status: u16,
    pub text: String,
    /// Seconds; a primary limit says it by `x-ratelimit-reset` alone.
    pub retry_after: Option<u64>,
}

/// The limits of all who ask.
#[derive(Default)]
pub(crate) struct Limits {
    primary: BTreeMap<Payer, Window>,
    content: BTreeMap<Payer, Window>,
    blocked: BTreeMap<Payer, Blocked>,
}

impl Limits {
    /// Calls that one may make in an hour. GitHub grants an installation 5,000 to 12,500, or 15,000 in Enterprise Cloud.
    const fn usual(payer: &Payer) -> u64 {
        match payer {
            Payer::Installation(_) | Payer::App(_) => 15_000,
            // GitHub's 60 for nobody in particular are for an address, which all tests of a machine share.
            Payer::Token(_) | Payer::Nobody => 5_000,
        }
    }

    fn window(&mut self, payer: &Payer, now_ms: i64) -> &mut Window {
        let limit = Self::usual(payer);
        let window = self.primary.entry(payer.clone());
        window.or_insert(Window { limit, used: 0, ends_ms: now_ms + HOUR_MS }).at(now_ms, HOUR_MS)
    }

    /// From now on somebody may call so often in an hour, and has called so often.
    pub fn set(&mut self, payer: Payer, limit: u64, used: u64, now_ms: i64) {
        self.primary.insert(payer, Window { limit, used, ends_ms: now_ms + HOUR_MS });
    }

    /// From now on somebody may create so much content in a minute.
    pub fn set_content(&mut self, payer: Payer, limit: u64, now_ms: i64) {
        self.content.insert(payer, Window { limit, used: 0, ends_ms: now_ms + MINUTE_MS });
    }

    /// A secondary limit holds for somebody.
    pub fn block(&mut self, payer: Payer, until_ms: i64, status: u16, content_alone: bool) {
        self.blocked.insert(payer, Blocked { until_ms, status, content_alone });
    }

    /// Why this call is refused, if it is.
    pub fn refusal(&mut self, payer: &Payer, creates_content: bool, now_ms: i64) -> Option<Refusal> {
        if self.window(payer, now_ms).limit <= self.window(payer, now_ms).used {
            let text = match payer {
                Payer::Installation(id) => format!("API rate limit exceeded for installation ID {id}."),
                Payer::App(_) | Payer::Token(_) => "API rate limit exceeded.".to_owned(),
                Payer::Nobody => "API rate limit exceeded for 127.0.0.1.".to_owned(),
            };
            return Some(Refusal { status: 403, text, retry_after: None });
        }
        let seconds = |until_ms: i64| u64::try_from((until_ms - now_ms + 999) / 1000).unwrap_or(1).max(1);
        let content = "You have exceeded a secondary rate limit and have been temporarily blocked from content creation. \
                       Please retry your request again later.";
        if creates_content && let Some(window) = self.content.get_mut(payer) {
            let window = window.at(now_ms, MINUTE_MS);
            if window.used >= window.limit {
                let retry_after = Some(seconds(window.ends_ms));
                return Some(Refusal { status: 403, text: content.to_owned(), retry_after });
            }
            window.used += 1;
        }
        let blocked = self.blocked.get(payer).filter(|blocked| blocked.until_ms > now_ms)?;
        let text = match blocked.content_alone {
            true if !creates_content => return None,
            true => content,
            false => "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
        };
        let retry_after = Some(seconds(blocked.until_ms));
        Some(Refusal { status: blocked.status, text: text.to_owned(), retry_after })
    }

    /// Counts a call, unless its answer is one that GitHub does not count (304, or a limit), and says what is left.
    pub fn charge(&mut self, payer: &Payer, is_counted: bool, now_ms: i64) -> Rate {
        let window = self.window(payer, now_ms);
        window.used += u64::from(is_counted);
        let (limit, used) = (window.limit, window.used.min(window.limit));
        Rate { limit, remaining: limit - used, used, reset_ms: window.ends_ms }
    }
}
