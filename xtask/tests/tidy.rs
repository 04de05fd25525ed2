//! What reviewers would otherwise have to look for: arrows between crates, module docs, file lengths, banned text.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};
use support::root;

/// The longest source file.
const LINES_MAX: usize = 700;

/// What each crate may use of the workspace, beside tests. An arrow that is not here is a wrong one.
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
];

/// Crates that must stay pure: what they may use of the world.
const PURE: &[(&str, &[&str])] = &[
    ("github-app", &["serde_json"]),
    ("types", &["serde", "thiserror"]),
    ("plan", &["croner", "jiff", "thiserror"]),
    (
        "issueops",
        // `ring` for SHA-256 alone, `pulldown-cmark` to tell what people wrote from what they quoted.
        &["jiff", "pulldown-cmark", "ring", "serde", "serde_json", "strsim", "thiserror", "toml"],
    ),
    // `similar` for diffs.
    ("control-repo", &["serde", "serde_json", "similar", "thiserror"]),
];

#[test]
fn no_arrow_between_crates_points_the_wrong_way() {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let pure: BTreeMap<&str, &[&str]> = PURE.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let Some(name) = package.name.strip_prefix("runnersmith-") else { continue };
        let Some(allowed) = allowed.get(name) else {
            wrong.push(format!("{name} is a new crate: say in ARROWS what it may use"));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal) {
            match dependency.name.strip_prefix("runnersmith-") {
                Some(other) if !allowed.contains(&other) => wrong.push(format!("{name} -> {other}")),
                Some(_) => {}
                None => {
                    if pure.get(name).is_some_and(|pure| !pure.contains(&dependency.name.as_str())) {
                        wrong.push(format!("{name} is pure and may not use {}", dependency.name));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn sources(below: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", "node_modules", ".git"].contains(&name.as_str()) {
                sources(&path, found);
            }
        } else {
            found.push(path);
        }
    }
}

fn all_sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    sources(&root(), &mut found);
    found.sort();
    found
}

#[test]
fn every_source_file_begins_with_why_it_exists_and_is_short() {
    let mut wrong = Vec::new();
    for path in all_sources().iter().filter(|path| path.extension().is_some_and(|end| end == "rs")) {
        let text = std::fs::read_to_string(path).unwrap();
        if !text.starts_with("//!") {
            wrong.push(format!("{} does not begin with module docs", path.display()));
        }
        if text.lines().count() > LINES_MAX {
            wrong.push(format!("{} has {} lines, {LINES_MAX} are allowed", path.display(), text.lines().count()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_source_has_unfinished_work_or_a_private_path() {
    // Written apart so that this file does not find itself.
    let banned: Vec<String> =
        [("to", "do!("), ("unimple", "mented!("), ("#[ign", "ore"), ("FIX", "ME"), ("/ro", "ot/"), ("/wo", "rk/")]
            .iter()
            .map(|(a, b)| format!("{a}{b}"))
            .collect();
    let mut wrong = Vec::new();
    for path in all_sources() {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for (number, line) in text.lines().enumerate() {
            for word in &banned {
                if line.contains(word.as_str()) {
                    wrong.push(format!("{}:{}: {word}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn clocks_and_printing_stay_in_their_places() {
    let print_allowed: BTreeSet<&str> = ["report.rs", "say.rs", "material.rs"].into();
    let mut wrong = Vec::new();
    for path in all_sources().iter().filter(|path| path.extension().is_some_and(|end| end == "rs")) {
        let shown = path.strip_prefix(root()).unwrap().display().to_string();
        let is_library = shown.starts_with("crates/") && shown.contains("/src/") && !shown.contains("/bin/");
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !is_library || print_allowed.contains(name.as_str()) {
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap();
        for word in ["println!(", "eprintln!(", "dbg!("] {
            if text.contains(word) {
                wrong.push(format!("{shown}: {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
