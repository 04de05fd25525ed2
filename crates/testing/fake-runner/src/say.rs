//! What the runner prints and writes to `_diag`.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Prints a line as the real runner does. A closed output is no reason to end.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// Prints a line with the time in front, as the real listener does for its states. The time is the process's own age.
pub(crate) fn state(started: Instant, text: &str) {
    line(&format!("{}: {text}", age(started.elapsed())));
}

fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    format!("{:02}:{:02}:{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// A file below `_diag`.
pub(crate) struct Diagnostics {
    path: PathBuf,
}

impl Diagnostics {
    /// `_diag/<program>_<process id>-utc.log`.
    pub fn of(program: &str) -> Self {
        let _ = fs::create_dir_all("_diag");
        Self { path: PathBuf::from(format!("_diag/{program}_{}-utc.log", std::process::id())) }
    }

    /// Appends a line; a full disk is no reason to end.
    pub fn note(&self, text: &str) {
        if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(&self.path) {
            let _ = writeln!(file, "[INFO Runner] {text}");
        }
    }
}
