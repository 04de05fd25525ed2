//! Which packages there are, and what each may know of the others.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

use crate::support::root;
use crate::tree::none;

/// The packages that are shipped, each a folder of `crates/`.
const PRODUCT: &[&str] = &[
    "types",
    "plan",
    "ports",
    "controllers",
    "webhook",
    "web",
    "config",
    "runnersmith",
    "github",
    "sqlite",
    "local",
    "aws",
    "ec2",
    "lambda",
    "issueops",
    "issueops-engine",
    "provision-terraform",
    "provision-embedded",
    "control-repo",
    "github-app",
    "migrate",
];

/// The packages for tests and the demo, each a folder of `crates/testing/`.
const TESTING: &[&str] = &["github-sim", "fake-runner", "aws-emulator", "lambda-host", "conformance", "world"];

/// Who may depend on a test-only package outside of tests. `runnersmith demo` shows the product against a simulated GitHub and
/// fake runners, without an account: both are in the program that users get.
const DEMO: &[(&str, &str)] = &[("runnersmith", "github-sim"), ("runnersmith", "fake-runner")];

fn packages() -> Vec<Package> {
    MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap().packages
}

fn short(name: &str) -> Option<&str> {
    if name == "runnersmith" { Some(name) } else { name.strip_prefix("runnersmith-") }
}

/// A file of tests that no program has is never run, and nobody notices.
#[test]
fn every_file_of_tests_is_in_a_program() {
    let mut left = Vec::new();
    for package in packages() {
        let home = package.manifest_path.parent().unwrap().as_std_path().to_owned();
        let manifest = std::fs::read_to_string(package.manifest_path.as_std_path()).unwrap();
        if !manifest.lines().any(|line| line.trim() == "autotests = false") {
            continue;
        }
        let joined = std::fs::read_to_string(home.join("tests/all.rs")).unwrap_or_default();
        for entry in std::fs::read_dir(home.join("tests")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let is_program =
                package.targets.iter().any(|target| target.is_test() && target.src_path.as_std_path() == path);
            let is_joined = joined.lines().any(|line| line.trim() == format!("mod {name};"));
            if path.extension().is_some_and(|kind| kind == "rs") && !is_program && !is_joined {
                left.push(format!("{}: add it to all.rs or to Cargo.toml", path.display()));
            }
        }
    }
    none(&left);
}

#[test]
fn the_packages_are_those_of_the_list_in_their_folders_and_each_has_a_readme() {
    let mut wrong = Vec::new();
    let mut there = BTreeSet::new();
    for package in packages() {
        if package.name.as_str() == "xtask" {
            continue;
        }
        let at = package.manifest_path.strip_prefix(root()).unwrap().to_string();
        let name = short(&package.name).unwrap_or(&package.name).to_owned();
        let place = if PRODUCT.contains(&name.as_str()) {
            format!("crates/{name}/Cargo.toml")
        } else if TESTING.contains(&name.as_str()) {
            format!("crates/testing/{name}/Cargo.toml")
        } else {
            wrong.push(format!(
                "{at}:1: {name} is a new package: put it into PRODUCT or TESTING, ARROWS and ARCHITECTURE.md"
            ));
            continue;
        };
        if at != place {
            wrong.push(format!("{at}:1: {name} belongs to {place}: move it"));
        }
        let readme = package.manifest_path.with_file_name("README.md");
        let lines = std::fs::read_to_string(&readme).map_or(0, |text| text.lines().count());
        if lines < 3 {
            wrong.push(format!(
                "{at}:1: {name} needs a README.md: why it exists, what it knows, what it must not do, where to start"
            ));
        }
        there.insert(name);
    }
    for name in PRODUCT.iter().chain(TESTING).filter(|name| !there.contains(**name)) {
        wrong.push(format!("Cargo.toml:1: there is no package {name} any more: take it out of the list"));
    }
    none(&wrong);
}

#[test]
fn no_product_package_depends_on_a_test_only_one_except_for_the_demo() {
    let mut wrong = Vec::new();
    for package in packages() {
        let Some(name) = short(&package.name).filter(|name| PRODUCT.contains(name)) else { continue };
        for dependency in package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal) {
            let Some(other) = short(&dependency.name).filter(|other| TESTING.contains(other)) else { continue };
            if !DEMO.contains(&(name, other)) {
                wrong.push(format!("crates/{name}/Cargo.toml: {other} is for tests: move it below [dev-dependencies]"));
            }
        }
        // With it a workspace can be made of files that nobody compared with anything.
        for dependency in package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal) {
            if dependency.features.iter().any(|feature| feature == "contract") {
                let other = &dependency.name;
                wrong.push(format!(
                    "crates/{name}/Cargo.toml: `contract` of {other} is for tests: below [dev-dependencies]"
                ));
            }
        }
    }
    none(&wrong);
}

/// What each package may use of the workspace, beside tests. An arrow that is not here is a wrong one.
const ARROWS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("plan", &["types"]),
    ("ports", &["types"]),
    ("config", &["types", "plan"]),
    ("controllers", &["types", "plan", "ports"]),
    ("sqlite", &["types", "ports"]),
    ("local", &["types", "ports"]),
    ("github", &["types", "ports"]),
    ("github-app", &["types"]),
    ("webhook", &["types", "plan", "ports", "github"]),
    ("web", &["types", "ports", "controllers", "webhook"]),
    ("aws", &["types", "ports", "config", "controllers"]),
    ("ec2", &["types", "ports", "aws"]),
    // EC2 only for `runners`; a test of the package reads the tree of `webhook`.
    ("lambda", &["types", "ports", "config", "controllers", "webhook", "github", "aws", "ec2"]),
    ("issueops", &["types"]),
    ("issueops-engine", &["types", "ports", "issueops"]),
    ("control-repo", &["issueops"]),
    ("migrate", &[]),
    ("provision-embedded", &["types", "plan", "ports", "controllers", "issueops", "issueops-engine"]),
    ("provision-terraform", &["types", "ports", "config", "controllers", "issueops", "issueops-engine", "aws", "ec2"]),
    ("aws-emulator", &[]),
    ("conformance", &[]),
    ("fake-runner", &[]),
    ("github-sim", &[]),
    ("lambda-host", &["aws-emulator", "fake-runner"]),
    ("world", &["types", "ports", "controllers"]),
];

/// Packages that must stay pure: what they may use of the world.
const PURE: &[(&str, &[&str])] = &[
    ("github-app", &["serde_json"]),
    // `jiff` to write moments in UTC.
    ("types", &["jiff", "serde", "thiserror"]),
    ("plan", &["croner", "jiff", "serde", "thiserror"]),
    (
        "issueops",
        // `ring` for SHA-256 alone, `pulldown-cmark` to tell what people wrote from what they quoted.
        &["hex", "jiff", "pulldown-cmark", "ring", "serde", "serde_json", "strsim", "thiserror", "toml"],
    ),
    // `similar` for diffs.
    ("control-repo", &["serde", "serde_json", "similar", "thiserror"]),
];

#[test]
fn no_arrow_between_packages_points_the_wrong_way() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let pure: BTreeMap<&str, &[&str]> = PURE.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in &packages() {
        let Some(name) = package.name.strip_prefix("runnersmith-") else { continue };
        let Some(allowed) = allowed.get(name) else {
            wrong
                .push(format!("{name} is a new package: say in ARROWS (xtask/tests/tidy/packages.rs) what it may use"));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal) {
            match dependency.name.strip_prefix("runnersmith-") {
                Some(other) if !allowed.contains(&other) => wrong.push(format!(
                    "crates/{name}/Cargo.toml: {name} -> {other}: take the dependency out, or argue it in ARROWS"
                )),
                Some(_) => {}
                None => {
                    if pure.get(name).is_some_and(|pure| !pure.contains(&dependency.name.as_str())) {
                        wrong.push(format!("crates/{name}/Cargo.toml: {name} is pure and may not use {}: move the code to an edge package", dependency.name));
                    }
                }
            }
        }
    }
    none(&wrong);
}
