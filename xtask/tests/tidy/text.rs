//! Text that no file may have: unfinished work, private paths, printing outside of its places.

use std::collections::BTreeSet;

use crate::tree::{files, none};

#[test]
fn every_source_file_begins_with_why_it_exists() {
    let mut wrong = Vec::new();
    for file in files().iter().filter(|file| file.is(&[".rs"]) && !file.text.starts_with("//!")) {
        wrong.push(format!("{}:1: begin with module docs (//!) that say why the file exists", file.path));
    }
    none(&wrong);
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
    for file in files() {
        for (number, line) in file.lines() {
            for word in banned.iter().filter(|word| line.contains(word.as_str())) {
                wrong.push(format!("{}:{number}: {word}: finish it, or name a place that everybody has", file.path));
            }
        }
    }
    none(&wrong);
}

#[test]
fn printing_stays_in_its_places() {
    let print_allowed: BTreeSet<&str> = ["report.rs", "say.rs", "material.rs"].into();
    let mut wrong = Vec::new();
    for file in files() {
        let is_library = file.is(&[".rs"])
            && file.path.starts_with("crates/")
            && file.path.contains("/src/")
            && !file.path.contains("/bin/");
        if !is_library || file.path.rsplit('/').next().is_some_and(|name| print_allowed.contains(name)) {
            continue;
        }
        for (number, line) in file.lines() {
            for word in ["println!(", "eprintln!(", "dbg!("].into_iter().filter(|word| line.contains(word)) {
                wrong.push(format!("{}:{number}: {word}: log it by tracing, or return it", file.path));
            }
        }
    }
    none(&wrong);
}
