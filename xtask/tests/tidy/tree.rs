//! The files of the repository, read once for all tests, and how they report what they find.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use crate::support::root;

/// One text file: its path from the root of the repository, and what it holds.
pub struct File {
    /// With `/`, from the root.
    pub path: String,
    /// As it is.
    pub text: String,
}

impl File {
    /// Whether the path ends so.
    pub fn is(&self, ends: &[&str]) -> bool {
        ends.iter().any(|end| self.path.ends_with(end))
    }

    /// The file's lines with their numbers.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, line))
    }

    /// The product package that the file is a source of (`crates/<name>/src/…`).
    pub fn product_source(&self) -> Option<&str> {
        let (package, rest) = self.path.strip_prefix("crates/")?.split_once('/')?;
        (rest.starts_with("src/") && package != "testing" && self.is(&[".rs"])).then_some(package)
    }
}

fn walk(folder: &Path, found: &mut Vec<File>) {
    const LEFT_OUT: &[&str] = &["target", "node_modules", ".git", ".terraform", ".venv"];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !LEFT_OUT.contains(&name.as_str()) {
                walk(&path, found);
            }
        } else if name != ".git"
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            let path = path.strip_prefix(root()).unwrap().display().to_string();
            found.push(File { path, text });
        }
    }
}

/// All text files, in order of their paths.
pub fn files() -> &'static [File] {
    static FILES: OnceLock<Vec<File>> = OnceLock::new();
    FILES.get_or_init(|| {
        let mut found = Vec::new();
        walk(&root(), &mut found);
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    })
}

/// Fails with one line for each finding.
pub fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} to fix:\n{}", wrong.len(), wrong.join("\n"));
}

/// Holds what was measured against what is allowed. More than allowed is a finding; less is printed, so that the figure is
/// lowered (a figure that may only fall is no burden to who makes things better).
pub fn ratchet(what: &str, table: &str, found: &BTreeMap<String, usize>, allowed: &[(&str, usize)], limit: usize) {
    let mut wrong = Vec::new();
    let allowed: BTreeMap<&str, usize> = allowed.iter().copied().collect();
    for (name, count) in found {
        let most = allowed.get(name.as_str()).copied().unwrap_or(limit);
        if *count > most {
            wrong.push(format!("{name}: {what} {count}, at most {most} are allowed: make it less, {table} only falls"));
        } else if most > limit && *count < most {
            println!("{name}: {what} {count}, {table} says {most}: lower the figure");
        }
    }
    for name in allowed.keys().filter(|name| !found.contains_key(**name)) {
        println!("{name}: {what} nothing any more: take it out of {table}");
    }
    none(&wrong);
}
