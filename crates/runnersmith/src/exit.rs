//! Exit codes, documented once, and failures with a hint.

use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// All is well.
    Success = 0,
    /// The request failed (a demo's job failed, the job asked about is not known).
    RequestFailed = 1,
    /// The command line is wrong (clap's own number).
    Usage = 2,
    /// The configuration is wrong.
    Config = 3,
    /// Something outside does not answer or refuses (a taken port, GitHub, the disk).
    Outside = 4,
    /// The request succeeded and found faults (`status`, `issueops doctor`).
    Faults = 5,
    /// An internal error: a defect of this program.
    Internal = 70,
}

/// The list of exit codes, for `--help`.
pub const HELP: &str = "Exit codes: 0 success · 1 the request failed · 2 wrong command line · \
3 wrong configuration · 4 something outside refuses (port, disk, GitHub) · \
5 `status` or `issueops doctor` found faults · 70 an internal error, please report it";

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status as u8)
    }
}

/// Why a command failed, with what to do about it.
#[derive(Debug)]
pub struct CommandFailure {
    /// The exit code.
    pub status: ExitStatus,
    /// Operation, subject, limit, cause.
    pub what: String,
    /// What to do.
    pub hint: Option<String>,
}

impl CommandFailure {
    /// A failure of the outside world.
    pub fn outside(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status: ExitStatus::Outside, what: what.into(), hint: Some(hint.into()) }
    }
    /// A wrong configuration.
    pub fn config(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status: ExitStatus::Config, what: what.into(), hint: Some(hint.into()) }
    }
    /// An internal error: a defect of this program.
    pub fn internal(what: impl Into<String>) -> Self {
        Self { status: ExitStatus::Internal, what: what.into(), hint: None }
    }
}
