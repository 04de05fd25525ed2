//! Renaming must not lose a test: each test of the commit from which the names changed is there, and so are its assertions.

use std::collections::BTreeSet;

use crate::tree::{files, none};

/// Old name and new name, or `-` and why nothing is left to test; then the names that stayed.
const TESTS: &str = include_str!("tests_of_e2c886d.tsv");
/// Lines with an assertion at that commit.
const ASSERTIONS: usize = 2_685;

fn functions() -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    for file in files().iter().filter(|file| file.is(&[".rs"])) {
        for (_, line) in file.lines() {
            let Some((_, rest)) = line.split_once("fn ") else { continue };
            found.extend(rest.split(['(', '<']).next());
        }
    }
    found
}

#[test]
fn every_test_of_the_first_names_is_there() {
    let functions = functions();
    let mut wrong = Vec::new();
    for line in TESTS.lines().filter(|line| !line.starts_with('#')) {
        let mut cells = line.split('\t');
        let old = cells.next().unwrap_or_default();
        match (cells.next().unwrap_or(old), cells.next()) {
            ("-", None) => wrong.push(format!("{old}: say why nothing is left to test")),
            ("-", Some(_)) => {}
            (new, _) if !functions.contains(new) => wrong.push(format!("{old}: there is no test {new}")),
            _ => {}
        }
    }
    none(&wrong);
}

#[test]
fn no_assertion_is_lost() {
    let count: usize = files()
        .iter()
        .filter(|file| file.is(&[".rs"]))
        .map(|file| file.lines().filter(|(_, line)| line.contains("assert")).count())
        .sum();
    assert!(count >= ASSERTIONS, "{count} lines with an assertion, {ASSERTIONS} before");
}
