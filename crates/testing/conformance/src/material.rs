//! Where the npm packages are, and what a test does when they are not there.
//!
//! Kept apart so that every test skips in the same way: counted, with a reason, and never silently in CI.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The packages that are read, each at the one version whose defects [`crate::overlay`] knows.
pub const PACKAGES: [(&str, &str); 4] = [
    ("@octokit/openapi", "23.0.2"),
    ("@octokit/webhooks-examples", "7.6.1"),
    ("@octokit/webhooks-schemas", "7.6.1"),
    ("@octokit/graphql-schema", "15.26.1"),
];

/// Why the packages cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "referees: {package} {wanted} {problem}; hint: npm install --prefix target/referees --ignore-scripts {package}@{wanted}"
)]
pub struct NotAvailable {
    /// The package.
    pub package: &'static str,
    /// Its version.
    pub wanted: &'static str,
    /// What is wrong: missing, or another version.
    pub problem: String,
}

/// A `node_modules` directory that holds all [`PACKAGES`] at their versions.
#[derive(Clone, Debug)]
pub struct Material {
    modules: PathBuf,
}

impl Material {
    /// Looks in `RUNNERSMITH_REFEREES`, else in `referees/node_modules` of the target directory.
    /// # Errors
    /// When a package is missing there or has another version.
    pub fn find() -> Result<Self, NotAvailable> {
        let mut first_problem = None;
        for modules in candidates() {
            match check(&modules) {
                Ok(()) => return Ok(Self { modules }),
                Err(problem) => first_problem = first_problem.or(Some(problem)),
            }
        }
        let (package, wanted) = PACKAGES[0];
        Err(first_problem.unwrap_or(NotAvailable { package, wanted, problem: "was looked for nowhere".to_owned() }))
    }

    /// A file or directory inside a package.
    #[must_use]
    pub fn path(&self, package: &str, inside: &str) -> PathBuf {
        self.modules.join(package).join(inside)
    }
}

fn candidates() -> Vec<PathBuf> {
    // An explicit place is the only one looked at: who set it wants to know when it is wrong.
    if let Some(explicit) = std::env::var_os("RUNNERSMITH_REFEREES") {
        return vec![PathBuf::from(explicit)];
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let workspace_target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../target");
    target.into_iter().chain([workspace_target]).map(|t| t.join("referees/node_modules")).collect()
}

fn check(modules: &Path) -> Result<(), NotAvailable> {
    for (package, wanted) in PACKAGES {
        let refuse = |problem: String| NotAvailable { package, wanted, problem };
        let text = std::fs::read_to_string(modules.join(package).join("package.json"))
            .map_err(|_| refuse("is not installed".to_owned()))?;
        let manifest: Value =
            serde_json::from_str(&text).map_err(|_| refuse("has an unreadable package.json".to_owned()))?;
        let version = manifest["version"].as_str().unwrap_or("no version");
        if version != wanted {
            return Err(refuse(format!("is wanted, {version} is installed")));
        }
    }
    Ok(())
}

/// `true` when `test` can run. Otherwise the skip is reported on stderr, appended to the file named by
/// `RUNNERSMITH_SKIPPED` if that is set, and the caller returns.
/// # Panics
/// When `CI=true`: there the packages can be installed, so that a skip would hide a failure.
#[must_use]
pub fn can_run(test: &str) -> bool {
    let Err(why) = Material::find() else { return true };
    assert!(!std::env::var("CI").is_ok_and(|ci| ci == "true"), "{test} may not be skipped in CI: {why}");
    let line = format!("SKIPPED: {test}: {why}");
    report(&line);
    if let Some(list) = std::env::var_os("RUNNERSMITH_SKIPPED") {
        let appended = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&list)
            .and_then(|mut file| writeln!(file, "{line}"));
        if let Err(error) = appended {
            report(&format!("the skip could not be counted in {}: {error}", list.display()));
        }
    }
    false
}

#[expect(clippy::print_stderr, reason = "a skipped test has no other output")]
fn report(line: &str) {
    eprintln!("{line}");
}
