//! Reads a user's module block of philips-labs/github-runner (today github-aws-runners) and says what changes.
//!
//! It exists because "every input keeps its name" is a promise about one version of that module, and people have blocks of
//! seven. It is pure: files in, a report out. Nothing is planned or applied, and no file is written.

mod read;
mod tables;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

pub use read::Unreadable;

/// The most bytes that one file may have.
pub const FILE_BYTES_MAX: usize = 4 << 20;

/// What becomes of an argument, an output, or the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InputChange {
    /// It must be given and is not.
    Missing,
    /// Nobody here knows it.
    Unknown,
    /// It has another name or another form here.
    Renamed,
    /// The block's outputs are used, and ours are others.
    Output,
    /// It stays; look at what is different.
    Differs,
    /// It can go.
    NotNeeded,
    /// It stays as it is.
    Kept,
}

impl InputChange {
    /// In the order in which they are shown.
    pub const ALL: [Self; 7] =
        [Self::Missing, Self::Unknown, Self::Renamed, Self::Output, Self::Differs, Self::NotNeeded, Self::Kept];

    /// Whether somebody must change something.
    #[must_use]
    pub const fn is_by_hand(self) -> bool {
        matches!(self, Self::Missing | Self::Unknown | Self::Renamed | Self::Output | Self::NotNeeded)
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Missing => "must be given",
            Self::Unknown => "not known here",
            Self::Renamed => "write in its place",
            Self::Output => "outputs that are used",
            Self::Differs => "stays, look at it",
            Self::NotNeeded => "take it out",
            Self::Kept => "stays as it is",
        }
    }
}

/// One argument or output.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct MigrationFinding {
    /// What becomes of it.
    pub change: InputChange,
    /// Its name, or an output's address. Foreign text.
    pub what: String,
    /// What to do, or why; may be empty.
    pub note: String,
}

/// What is said of one module block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Block {
    /// The file that it is in.
    pub file: String,
    /// The block's name.
    pub name: String,
    /// Where it takes the module from.
    pub source: String,
    /// Its version constraint.
    pub version: Option<String>,
    /// A submodule of it, which has no counterpart by name.
    pub submodule: Option<String>,
    /// What becomes of everything in it, by change and name.
    pub findings: Vec<MigrationFinding>,
}

impl Block {
    /// Whether somebody must change more than the source.
    #[must_use]
    pub fn is_by_hand(&self) -> bool {
        self.submodule.is_some() || self.findings.iter().any(|finding| finding.change.is_by_hand())
    }
}

/// What was found in a directory's files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The blocks, by file and name.
    pub blocks: Vec<Block>,
    /// Files that could not be read; what is in them was not looked at.
    pub unreadable: Vec<Unreadable>,
}

impl Report {
    /// Whether anything must be changed by hand, or could not be looked at.
    #[must_use]
    pub fn is_by_hand(&self) -> bool {
        !self.unreadable.is_empty() || self.blocks.iter().any(Block::is_by_hand)
    }
}

/// Reads Terraform files (`.tf`, `.tf.json`), by their names.
#[must_use]
pub fn check(files: &BTreeMap<String, String>) -> Report {
    let mut report = Report::default();
    let mut texts = Vec::new();
    let mut found = Vec::new();
    for (file, text) in files {
        match read::modules(file, text) {
            Ok((blocks, plain)) => {
                texts.push(plain);
                found.extend(blocks.into_iter().map(|block| (file, block)));
            }
            Err(unreadable) => report.unreadable.push(unreadable),
        }
    }
    for (file, block) in found {
        let Some(submodule) = peer(&block.source) else { continue };
        let mut findings = Vec::new();
        if submodule.is_none() {
            findings = arguments(&block.arguments);
            for text in &texts {
                findings.extend(read::references(text, &block.name).into_iter().map(|path| output(&block.name, &path)));
            }
        }
        findings.sort();
        findings.dedup();
        let read::Module { name, source, version, .. } = block;
        report.blocks.push(Block { file: file.clone(), name, source, version, submodule, findings });
    }
    report
}

/// Whether a source is that module: `Some(None)` itself, `Some(Some(name))` a submodule of it.
fn peer(source: &str) -> Option<Option<String>> {
    let source = source.trim_start_matches("registry.terraform.io/");
    // A scheme's slashes are no path into the module.
    let path = source.split_once("://").map_or(source, |(_, rest)| rest);
    let (package, below) = path.split_once("//").map_or((path, None), |(package, below)| (package, Some(below)));
    let package = package.split('?').next().unwrap_or_default();
    let is_registry = ["philips-labs/github-runner/aws", "github-aws-runners/github-runner/aws"].contains(&package);
    if !is_registry && !package.contains("terraform-aws-github-runner") {
        return None;
    }
    let below = below.map(|below| below.split('?').next().unwrap_or_default().trim_matches('/').to_owned());
    Some(below.filter(|below| !below.is_empty()))
}

fn arguments(given: &[String]) -> Vec<MigrationFinding> {
    let finding =
        |change, what: &str, note: &str| MigrationFinding { change, what: what.to_owned(), note: note.to_owned() };
    let mut findings: Vec<MigrationFinding> = given.iter().map(|name| argument(name)).collect();
    let stands_for = |wanted: &str| {
        // An argument that has only another name is not missing as well.
        given.iter().any(|name| tables::RENAMED.iter().any(|(old, new)| old == name && new.starts_with(wanted)))
    };
    let missing =
        tables::INPUTS.iter().filter(|input| input.is_required && !given.iter().any(|name| name == input.name));
    findings.extend(
        missing.filter(|input| !stands_for(input.name)).map(|input| finding(InputChange::Missing, input.name, "")),
    );
    if !given.iter().any(|name| name == "environment" || name == "prefix") {
        findings.push(finding(InputChange::Missing, "environment", "a name of its own, not the old one's"));
    }
    if !given.iter().any(|name| name == "ephemeral" || name == "enable_ephemeral_runners") {
        let note = "not given: a runner serves one job here; ephemeral = false keeps runners until they are idle";
        findings.push(finding(InputChange::Differs, "ephemeral", note));
    }
    findings
}

fn argument(name: &str) -> MigrationFinding {
    let finding = |change, note: &str| MigrationFinding { change, what: name.to_owned(), note: note.to_owned() };
    if let Some(input) = tables::INPUTS.iter().find(|input| input.name == name) {
        let change = if input.note.is_empty() { InputChange::Kept } else { InputChange::Differs };
        return finding(change, input.note);
    }
    // Every module block of Terraform may have these.
    if ["count", "for_each", "providers", "depends_on"].contains(&name) {
        return finding(InputChange::Kept, "");
    }
    if let Some((_, new)) = tables::RENAMED.iter().find(|(old, _)| *old == name) {
        return finding(InputChange::Renamed, new);
    }
    if let Some((_, why)) = tables::NOT_NEEDED.iter().find(|(old, _)| *old == name) {
        return finding(InputChange::NotNeeded, why);
    }
    let near = tables::INPUTS.iter().map(|input| (strsim::jaro_winkler(input.name, name), input.name));
    let near = near.filter(|(likeness, _)| *likeness > 0.88).max_by(|a, b| a.0.total_cmp(&b.0));
    finding(InputChange::Unknown, &near.map_or_else(String::new, |(_, near)| format!("the nearest is {near}")))
}

fn output(module: &str, path: &str) -> MigrationFinding {
    let ours = tables::OUTPUTS.iter().find(|(old, _)| path.starts_with(old));
    let note = ours.map_or("there is no such output".to_owned(), |(_, new)| format!("here it is {new}"));
    MigrationFinding { change: InputChange::Output, what: format!("module.{module}.{path}"), note }
}

/// Foreign text in one line: what cannot be seen is made visible.
fn shown(text: &str) -> String {
    text.chars()
        .take(200)
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for unreadable in &self.unreadable {
            writeln!(f, "{}", shown(&unreadable.to_string()))?;
        }
        if self.blocks.is_empty() {
            return writeln!(f, "No block takes philips-labs/github-runner or github-aws-runners/github-runner.");
        }
        for block in &self.blocks {
            let version = block.version.as_deref().map(|version| format!(" {}", shown(version))).unwrap_or_default();
            writeln!(
                f,
                "module \"{}\" in {}: {}{version}",
                shown(&block.name),
                shown(&block.file),
                shown(&block.source)
            )?;
            if let Some(submodule) = &block.submodule {
                writeln!(
                    f,
                    "  {} is a part of that module and has no counterpart by name; see terraform/README.md",
                    shown(submodule)
                )?;
                continue;
            }
            for change in InputChange::ALL {
                let of = block.findings.iter().filter(|finding| finding.change == change);
                let lines: Vec<String> = of
                    .map(|finding| match finding.note.as_str() {
                        "" => shown(&finding.what),
                        note => format!("{}: {}", shown(&finding.what), shown(note)),
                    })
                    .collect();
                if change == InputChange::Kept && !lines.is_empty() {
                    writeln!(f, "  {}: {}", change.title(), lines.join(", "))?;
                } else if !lines.is_empty() {
                    writeln!(f, "  {}:\n    {}", change.title(), lines.join("\n    "))?;
                }
            }
        }
        writeln!(
            f,
            "\nWrite source = \"<runnersmith>//terraform?ref=<version>\" and no version, in a new state: every resource is another."
        )?;
        writeln!(
            f,
            "Run both side by side, point the webhook at the new endpoint, and destroy the old one when its last runner has gone."
        )
    }
}
