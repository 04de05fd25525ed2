//! That what the documents point to is there: local links, their anchors, and the files and tests that tables name.

use std::collections::BTreeSet;

use crate::support::root;
use crate::tree::{File, files, none};

/// The documents of this repository. What a control repository gets is a template; its links are the template's.
fn documents() -> impl Iterator<Item = &'static File> {
    files().iter().filter(|file| file.is(&[".md"]) && !file.path.contains("/control-repo/src/files/"))
}

/// The lines that are not in a block of code.
fn prose(file: &File) -> Vec<(usize, &str)> {
    let mut in_code = false;
    file.lines()
        .filter(|(_, line)| {
            let is_fence = line.trim_start().starts_with("```");
            in_code ^= is_fence;
            !in_code && !is_fence
        })
        .collect()
}

/// The anchors that GitHub gives a document's headings.
fn anchors(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

/// The targets of `[text](target)` in one line.
fn targets(line: &str) -> Vec<&str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

#[test]
fn every_local_link_leads_somewhere() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in documents() {
        let folder = root().join(&file.path);
        let folder = folder.parent().unwrap();
        for (number, line) in prose(file) {
            for target in
                targets(line).into_iter().filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
            {
                seen += 1;
                let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
                let path = if path.is_empty() { root().join(&file.path) } else { folder.join(path) };
                if !path.exists() {
                    wrong.push(format!("{}:{number}: {target}: there is no such file: correct the link", file.path));
                } else if !anchor.is_empty() && path.extension().is_some_and(|end| end == "md") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    if !anchors(&text).contains(anchor) {
                        wrong.push(format!("{}:{number}: {target}: no heading has this anchor: correct it", file.path));
                    }
                }
            }
        }
    }
    assert!(seen > 20, "links are not found any more: {seen}");
    none(&wrong);
}

#[test]
fn every_file_that_a_document_names_in_code_is_there() {
    // `crates/x/src/y.rs`, or from the folder `crates/`: `x/tests/y.rs`.
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in documents().filter(|file| !file.path.contains('/') || file.path.starts_with("docs/")) {
        for (number, line) in prose(file) {
            for code in line.split('`').skip(1).step_by(2) {
                let is_path = code.ends_with(".rs") && code.contains('/') && !code.contains(['*', '<', ' ', '{']);
                if !is_path {
                    continue;
                }
                seen += 1;
                let places = ["", "crates/", "crates/testing/"];
                if !places.iter().any(|place| root().join(format!("{place}{code}")).exists()) {
                    wrong.push(format!("{}:{number}: {code}: there is no such file: correct the name", file.path));
                }
            }
        }
    }
    assert!(seen > 20, "files are not found any more: {seen}");
    none(&wrong);
}

/// In ARCHITECTURE.md a hop is "`file` → `function`": the file has that function or type.
#[test]
fn every_hop_of_a_walk_names_a_function_that_its_file_has() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in files().iter().filter(|file| ["ARCHITECTURE.md", "CONTRIBUTING.md"].contains(&file.path.as_str())) {
        for (number, line) in prose(file) {
            let parts: Vec<&str> = line.split('`').collect();
            for hop in parts.windows(3).filter(|hop| hop[0].ends_with(".rs") && hop[1].trim() == "→") {
                seen += 1;
                let name = hop[2].rsplit("::").next().unwrap();
                let text = std::fs::read_to_string(root().join(hop[0])).unwrap_or_default();
                let is_there = ["fn ", "struct ", "enum ", "trait ", "const "]
                    .iter()
                    .any(|kind| text.contains(&format!("{kind}{name}")));
                if !is_there {
                    wrong.push(format!("{}:{number}: {} has no {}: correct the hop", file.path, hop[0], hop[2]));
                }
            }
        }
    }
    assert!(seen > 20, "hops are not found any more: {seen}");
    none(&wrong);
}
