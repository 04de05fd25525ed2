//! How long files and functions are, and that a public name means one thing.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{File, files, none, ratchet};

/// The longest file of all, tests included.
const FILE_LINES_MAX: usize = 700;
/// The longest source file, its unit tests included.
const SOURCE_LINES_MAX: usize = 500;
/// The longest function, from its first line to its closing brace.
const FUNCTION_LINES_MAX: usize = 80;

/// Sources that are longer today. A new one is split by what changes together.
const LONG_FILES: &[(&str, usize)] = &[];

/// Functions that are longer today; the figures only fall.
const LONG_FUNCTIONS: &[(&str, usize)] = &[];

/// Public types whose name another product package has too, with the packages that have it today. One is to be renamed.
const TWICE: &[(&str, usize)] = &[];

fn sources() -> impl Iterator<Item = &'static File> {
    files().iter().filter(|file| {
        file.is(&[".rs"])
            && (file.path.starts_with("xtask/src/")
                || (file.path.starts_with("crates/") && file.path.contains("/src/")))
    })
}

/// The lines of a source before its unit tests.
fn shipped(file: &File) -> Vec<(usize, &str)> {
    if file.is(&["_tests.rs", "/tests.rs"]) {
        return Vec::new();
    }
    file.lines().take_while(|(_, line)| *line != "#[cfg(test)]").collect()
}

/// A function's name and length, for each function; formatted sources close a block where they open it.
fn functions(file: &File) -> Vec<(String, usize)> {
    let lines = shipped(file);
    let mut found = Vec::new();
    for (at, (_, line)) in lines.iter().enumerate() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        let mut words = text.split_whitespace();
        let Some(name) = words
            .by_ref()
            .find(|word| !["pub", "async", "const", "unsafe", "extern"].contains(word) && !word.starts_with("pub("))
            .filter(|word| *word == "fn")
            .and_then(|_| words.next())
        else {
            continue;
        };
        let name: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let closing = format!("{}}}", " ".repeat(indent));
        for (length, (_, line)) in lines[at..].iter().enumerate() {
            if *line == closing {
                found.push((name, length + 1));
                break;
            }
            // One line, or a trait's method without a body.
            let is_head = length == 0 || line.len() - line.trim_start().len() <= indent;
            if is_head && (line.ends_with(';') || (length == 0 && line.ends_with('}'))) {
                break;
            }
        }
    }
    found
}

#[test]
fn no_file_is_longer_than_a_reader_keeps_in_mind() {
    let mut wrong = Vec::new();
    for file in files().iter().filter(|file| file.is(&[".rs"])) {
        let count = file.lines().count();
        if count > FILE_LINES_MAX {
            wrong
                .push(format!("{}:{FILE_LINES_MAX}: {count} lines: split it, {FILE_LINES_MAX} are allowed", file.path));
        }
    }
    none(&wrong);
    let long = sources().map(|file| (file.path.clone(), file.lines().count())).collect();
    ratchet("lines:", "LONG_FILES", &long, LONG_FILES, SOURCE_LINES_MAX);
}

#[test]
fn no_function_is_longer_than_a_page() {
    let mut long = BTreeMap::new();
    for file in sources() {
        for (name, length) in functions(file) {
            let longest: &mut usize = long.entry(format!("{} {name}", file.path)).or_default();
            *longest = length.max(*longest);
        }
    }
    assert!(long.len() > 1_000, "the functions are not found any more: {}", long.len());
    ratchet("lines:", "LONG_FUNCTIONS", &long, LONG_FUNCTIONS, FUNCTION_LINES_MAX);
}

#[test]
fn a_public_name_means_one_type_in_all_product_packages() {
    let mut places: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for file in files() {
        let Some(package) = file.product_source() else { continue };
        for (_, line) in shipped(file) {
            let mut words = line.split_whitespace();
            if words.next() != Some("pub")
                || !words.next().is_some_and(|kind| ["struct", "enum", "trait"].contains(&kind))
            {
                continue;
            }
            let Some(name) = words.next() else { continue };
            let name: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            // A macro's `pub struct $name`.
            if name.is_empty() {
                continue;
            }
            places.entry(name.clone()).or_default().insert(package);
            *counts.entry(name).or_default() += 1;
        }
    }
    for (name, count) in counts.iter().filter(|(_, count)| **count > 1) {
        println!("{name}: {count} public types, in {:?}", places[name]);
    }
    ratchet("public types of this name:", "TWICE", &counts, TWICE, 1);
}
