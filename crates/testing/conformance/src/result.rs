//! What a check says, and the argued list of statuses that GitHub sends without documenting them.
//!
//! 62 of the 148 operations of interest document no 4xx at all; 401 stands on three and 429 on none. Without this
//! list a correct simulator would be refused; with a lenient check an invented status would pass. So the list is
//! short, each entry has an argument, and everything else that is undocumented is a violation.

use std::fmt;

use serde_json::Value;

use crate::operation::Operation;

/// One thing that is wrong with a request or an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The operation id, or `METHOD path` when no operation matches.
    pub operation: String,
    /// Which part: `request`, `query`, `path`, `answer 201`, `delivery`.
    pub part: String,
    /// The JSON pointer of the offending value; empty for the whole.
    pub pointer: String,
    /// What is wrong, without the offending value (it may be a token).
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} at {:?}: {}", self.operation, self.part, self.pointer, self.message)
    }
}

/// The beginning of a violation in a part of an operation.
pub(crate) fn violation(operation: &Operation, part: String) -> Violation {
    Violation { operation: operation.id.clone(), part, pointer: String::new(), message: String::new() }
}

/// What the documents say about an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckResult {
    /// It is as documented.
    Accepted,
    /// Its status is not documented, but GitHub is known to send it; the argument is from [`UNDOCUMENTED`].
    NotCovered(&'static str),
    /// It is wrong.
    Refused(Vec<Violation>),
}

impl CheckResult {
    /// The violations; empty unless refused.
    #[must_use]
    pub fn violations(self) -> Vec<Violation> {
        match self {
            Self::Accepted | Self::NotCovered(_) => Vec::new(),
            Self::Refused(violations) => violations,
        }
    }
}

/// A status that GitHub sends and does not document.
pub struct Undocumented {
    /// The status, first and last.
    pub statuses: (u16, u16),
    /// For which operations.
    pub applies: fn(&Operation) -> bool,
    /// Why it is believed.
    pub argument: &'static str,
}

fn every(_: &Operation) -> bool {
    true
}

fn names_a_thing(operation: &Operation) -> bool {
    operation.template.contains('{')
}

fn reads(operation: &Operation) -> bool {
    operation.method == "GET"
}

fn writes_a_check(operation: &Operation) -> bool {
    matches!(operation.method.as_str(), "POST" | "PATCH") && operation.id.starts_with("checks/")
}

/// The list. A status outside it that the operation does not document is a violation.
pub const UNDOCUMENTED: [Undocumented; 7] = [
    Undocumented {
        statuses: (304, 304),
        applies: reads,
        argument: "a conditional request (If-None-Match) is answered 304 without a body on every GET that gives an ETag; \
                   the documents state it for some",
    },
    Undocumented {
        statuses: (401, 401),
        applies: every,
        argument: "a missing, ended or malformed credential is 401 \"Bad credentials\" on every endpoint; the documents \
                   state it for three of ours",
    },
    Undocumented {
        statuses: (403, 403),
        applies: every,
        argument: "\"Resource not accessible by integration\" and the rate limits are 403 wherever a permission or a \
                   budget is needed",
    },
    Undocumented {
        statuses: (404, 404),
        applies: names_a_thing,
        argument: "whatever is named in the path may be missing or hidden; DELETE of a runner, a job by id and an App's \
                   installation answer 404 and the documents list none of them",
    },
    Undocumented {
        statuses: (422, 422),
        applies: writes_a_check,
        argument: "a check run for an unknown commit is 422 \"No commit found for SHA\"; the documents list only success",
    },
    Undocumented {
        statuses: (429, 429),
        applies: every,
        argument: "the rate limit pages say that a limit is answered with 403 or 429; no operation documents 429",
    },
    Undocumented {
        statuses: (500, 599),
        applies: every,
        argument: "servers fail; the documents state it for issues and pull requests only",
    },
];

/// The argument for an undocumented status, if there is one.
#[must_use]
pub fn argument_for(operation: &Operation, status: u16) -> Option<&'static str> {
    UNDOCUMENTED
        .iter()
        .find(|entry| (entry.statuses.0..=entry.statuses.1).contains(&status) && (entry.applies)(operation))
        .map(|entry| entry.argument)
}

/// Even an undocumented error has GitHub's form: nothing (304, a proxy's 5xx), or an object with a `message`.
pub(crate) fn undocumented_body_problem(status: u16, body: Option<&Value>) -> Option<&'static str> {
    match body {
        None | Some(Value::Null) => None,
        Some(_) if status == 304 => Some("304 has no body"),
        Some(body) if body.get("message").is_some_and(Value::is_string) => None,
        Some(_) if status >= 500 => None,
        Some(_) => Some("an error is an object with the text `message`"),
    }
}
