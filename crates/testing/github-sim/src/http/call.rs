//! A call about a repository, and the answer to those who may not make it.

use serde_json::Value;

use crate::http::answer::{Answer, Query};
use crate::state::actor::Actor;

/// A call about a repository.
pub(crate) struct Call<'c> {
    pub verb: &'c str,
    pub repo: &'c str,
    /// The path below the repository, its segments decoded.
    pub rest: &'c [&'c str],
    pub query: &'c Query,
    pub body: &'c Value,
    pub actor: &'c Actor,
}

/// The answer to those who may read and not write.
pub(crate) fn forbidden() -> Answer {
    Answer::message(403, "Must have push access to repository.")
}
