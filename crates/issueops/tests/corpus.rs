//! The fuzz targets' functions over their checked-in corpus, so that they run without a fuzzer, too. A file that begins with
//! `ok` must get through, one that begins with `no` must not: else it would show nothing.

use std::fs;
use std::path::Path;

use crate::support::invariants;

/// Runs a target over its corpus.
fn run(target: &str, accepts: impl Fn(&[u8]) -> bool) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let (mut accepted, mut refused) = (0, 0);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let is_accepted = accepts(&fs::read(&file).unwrap());
        // What a fuzzer found has its own kind of name.
        match name.split('-').next() {
            Some("ok") => assert!(is_accepted, "{target}/{name} was refused"),
            Some("no") => assert!(!is_accepted, "{target}/{name} got through"),
            _ => continue,
        }
        *(if is_accepted { &mut accepted } else { &mut refused }) += 1;
    }
    assert!(accepted >= 3 && refused >= 3, "{target}: {accepted} accepted, {refused} refused");
}

#[test]
fn requests_of_the_corpus_keep_what_is_promised() {
    run("request", |data| invariants::request(data) > 0);
}

#[test]
fn comments_of_the_corpus_keep_what_is_promised() {
    run("command", |data| invariants::comment(data) > 0);
}

#[test]
fn plans_of_the_corpus_keep_what_is_promised() {
    run("plan_json", |data| invariants::plan_json(data) > 0);
}

#[test]
fn policies_of_the_corpus_keep_what_is_promised() {
    run("policy", invariants::policy);
}
