//! Names and numbers of things. Each is parsed once, at the edge; inside, a value of the type is valid.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text is not a valid name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {given:?} is not valid: {rule}")]
pub struct ParseError {
    /// What was to be parsed.
    pub what: &'static str,
    /// What was given, cut to 80 characters.
    pub given: String,
    /// The rule that it breaks.
    pub rule: &'static str,
}

fn refuse(what: &'static str, given: &str, rule: &'static str) -> ParseError {
    ParseError { what, given: given.chars().take(80).collect(), rule }
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_id!(
    /// GitHub's number of a job (also the number of its check run).
    JobId
);
impl JobId {
    /// Returns the id that every log line about the job has, from its first delivery to its end.
    #[must_use]
    pub fn correlation_id(self) -> String {
        format!("job-{self}")
    }
}
number_id!(
    /// GitHub's number of a workflow run.
    RunId
);
number_id!(
    /// GitHub's number of a runner registration.
    RegistrationId
);

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);
        impl $name {
            /// Parses the text.
            /// # Errors
            /// When the text breaks the rule of this kind of name; the error states the rule.
            pub fn parse(text: &str) -> Result<Self, ParseError> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.to_owned())) } else { Err(refuse($what, text, $rule)) }
            }
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = ParseError;
            fn try_from(text: String) -> Result<Self, ParseError> {
                Self::parse(&text)
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
        impl std::str::FromStr for $name {
            type Err = ParseError;
            fn from_str(text: &str) -> Result<Self, ParseError> {
                Self::parse(text)
            }
        }
    };
}

fn word(text: &str, max: usize, extra: &str) -> bool {
    !text.is_empty() && text.len() <= max && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
}

text_id!(
    /// The name of a scale set (an *environment* of the philips-labs module).
    ScaleSetName, "scale set name", "1 to 32 letters, digits, hyphens or underscores, beginning with a letter or digit",
    |t| word(t, 32, "-_") && t.starts_with(|c: char| c.is_ascii_alphanumeric())
);
text_id!(
    /// The short random name of one ledger, part of every runner name so that two ledgers never collide.
    ControlPlaneId, "control plane id", "4 to 8 lower-case letters or digits",
    |t| (4..=8).contains(&t.len()) && t.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
);
text_id!(
    /// The name of a runner, unique forever: `<set>-<control plane>-<serial>`. GitHub allows 64 characters.
    RunnerName, "runner name", "1 to 64 letters, digits, hyphens, underscores or dots",
    |t| word(t, 64, "-_.")
);
text_id!(
    /// What a machine is called where it runs (an EC2 instance id, the name of a local directory).
    MachineId, "machine id", "1 to 128 letters, digits, hyphens, underscores or dots",
    |t| word(t, 128, "-_.") && !t.starts_with('.')
);
text_id!(
    /// One launch call. Its text is the call's idempotency token: 64 characters, as EC2's `ClientToken` allows.
    BatchId, "batch id", "1 to 64 letters, digits or hyphens",
    |t| word(t, 64, "-")
);
text_id!(
    /// The login of a user or organisation, or the slug of an enterprise. Compared without case by GitHub; kept as given.
    Owner, "owner", "1 to 100 letters, digits, hyphens or underscores",
    |t| word(t, 100, "-_")
);
text_id!(
    /// The name of a runner group.
    RunnerGroupName, "runner group name", "1 to 100 characters without control characters",
    |t| !t.is_empty() && t.len() <= 100 && !t.chars().any(char::is_control)
);
text_id!(
    /// GitHub's id of one webhook delivery (a GUID in the header `X-GitHub-Delivery`).
    DeliveryId, "delivery id", "1 to 64 letters, digits or hyphens",
    |t| word(t, 64, "-")
);
text_id!(
    /// `owner/name` of a repository.
    RepoFullName, "repository", "owner/name, each of letters, digits, hyphens, underscores or dots, at most 140 characters in all",
    |t| t.len() <= 140 && t.split_once('/').is_some_and(|(o, n)| word(o, 100, "-_") && word(n, 100, "-_.") && n != "." && n != "..")
);

impl RepoFullName {
    /// The part before the slash.
    #[must_use]
    pub fn owner(&self) -> Owner {
        Owner(self.0.split('/').next().unwrap_or_default().to_owned())
    }
    /// The part after the slash.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split('/').nth(1).unwrap_or_default()
    }
}

/// A label of a job or of a runner. GitHub compares labels without case, so this type does: it holds the lower-case form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Label(String);

impl Label {
    /// The most characters of a label that are kept; a longer one is cut and then matches nothing.
    pub const CHARS_MAX: usize = 256;

    /// A label as somebody wrote it in a workflow: anything at all, however hostile. It is only ever compared and shown.
    #[must_use]
    pub fn of_job(text: &str) -> Self {
        if text.chars().count() > Self::CHARS_MAX {
            // The cut form contains a control character, which no label of a scale set may.
            return Self(text.chars().take(40).flat_map(char::to_lowercase).chain("\u{0}(cut)".chars()).collect());
        }
        Self(text.to_lowercase())
    }

    /// A label of a scale set, which will be sent to GitHub.
    /// # Errors
    /// When it is empty, longer than 256 characters, or holds a comma, white space at an end, or a control character.
    pub fn of_set(text: &str) -> Result<Self, ParseError> {
        let valid = !text.is_empty()
            && text.chars().count() <= Self::CHARS_MAX
            && text.trim() == text
            && !text.chars().any(|c| c.is_control() || c == ',');
        if valid {
            Ok(Self(text.to_lowercase()))
        } else {
            Err(refuse(
                "label",
                text,
                "1 to 256 characters without commas, control characters or white space at an end",
            ))
        }
    }

    /// The lower-case text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_debug().fmt(f)
    }
}
