//! Where a Python with moto is, and what a test does without one: it is counted as skipped, and fails in CI.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The version whose gaps are fixed.
pub const MOTO: &str = "5.2.1";

/// Why there is no emulator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no Python with moto {MOTO} was found ({looked}); hint: `cargo xtask setup`, or RUNNERSMITH_EMULATOR_PYTHON")]
pub struct NotAvailable {
    looked: String,
}

/// A Python that can import moto in the pinned version: `RUNNERSMITH_EMULATOR_PYTHON`, the target directory's
/// environment, or the machine's.
///
/// # Errors
/// When no Python has it.
pub fn python() -> Result<PathBuf, NotAvailable> {
    static FOUND: OnceLock<Result<PathBuf, NotAvailable>> = OnceLock::new();
    FOUND.get_or_init(look).clone()
}

fn look() -> Result<PathBuf, NotAvailable> {
    let candidates = candidates();
    let found = candidates.iter().find(|python| has_moto(python)).cloned();
    let looked = candidates.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    found.ok_or(NotAvailable { looked })
}

fn candidates() -> Vec<PathBuf> {
    if let Some(explicit) = std::env::var_os("RUNNERSMITH_EMULATOR_PYTHON") {
        return vec![PathBuf::from(explicit)];
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let workspace_target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../target");
    let own = target.into_iter().chain([workspace_target]).map(|target| target.join("python/bin/python"));
    own.chain([PathBuf::from("python3")]).collect()
}

fn has_moto(python: &Path) -> bool {
    let program = format!("import moto.server, sys; sys.exit(moto.__version__ != '{MOTO}')");
    Command::new(python)
        .args(["-c", &program])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// `true` when `test` cannot run: the skip is reported on stderr and counted in the file named by `RUNNERSMITH_SKIPPED`.
///
/// # Panics
/// When `CI=true`: there moto can be installed, so that a skip would hide a failure.
#[must_use]
pub fn skip_unless_available(test: &str) -> bool {
    let Err(why) = python() else { return false };
    skip(test, &why.to_string());
    true
}

/// Reports and counts a skip because of a tool that no package index has: it may be missing in CI too.
pub fn cannot_run(test: &str, why: &str) {
    report(test, why);
}

/// Reports and counts a skip.
///
/// # Panics
/// When `CI=true`.
pub fn skip(test: &str, why: &str) {
    assert!(!std::env::var("CI").is_ok_and(|ci| ci == "true"), "{test} may not be skipped in CI: {why}");
    report(test, why);
}

fn report(test: &str, why: &str) {
    let line = format!("SKIPPED: {test}: {why}");
    let _ = writeln!(std::io::stderr(), "{line}");
    if let Some(list) = std::env::var_os("RUNNERSMITH_SKIPPED")
        && let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(list)
    {
        let _ = writeln!(file, "{line}");
    }
}
