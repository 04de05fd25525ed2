//! Reads a user's module block of philips-labs/github-runner (today github-aws-runners) and says what changes.
//!
//! It exists because "every input keeps its name" is a promise about one version of that module, and people have blocks of
//! seven. It is pure: files in, a report out. Nothing is planned or applied, and no file is written.

mod advice;
mod finding;
mod literal;
mod multi_runner;
mod read;
mod source;
mod tables;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

pub use finding::{InputChange, MigrationFinding};
use literal::Literal;
pub use read::{FILE_BYTES_MAX, Unreadable};
use source::Taken;

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
    /// A part of that module, if it is not the whole.
    pub submodule: Option<String>,
    /// What to do with a block of a part whose arguments are not looked at.
    pub counterpart: Option<String>,
    /// What becomes of everything in it, by change and name.
    pub findings: Vec<MigrationFinding>,
}

impl Block {
    /// Whether somebody must change more than the source.
    #[must_use]
    pub fn is_by_hand(&self) -> bool {
        self.counterpart.is_some() || self.findings.iter().any(|finding| finding.change.is_by_hand())
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
    let (mut texts, mut found, mut locals) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (file, text) in files {
        match read::contents(file, text) {
            Ok(contents) => {
                texts.push(contents.plain);
                locals.extend(contents.locals);
                found.extend(contents.modules.into_iter().map(|block| (file, block)));
            }
            Err(unreadable) => report.unreadable.push(unreadable),
        }
    }
    for (file, block) in found {
        let gives = |wanted: &str| block.arguments.iter().any(|(name, _)| name == wanted);
        let Some(taken) = source::taken(&block.source, gives) else { continue };
        let (submodule, counterpart) = match taken {
            Taken::Root => (None, None),
            Taken::MultiRunner => (Some("multi-runner".to_owned()), None),
            Taken::Part(part) => (Some(part.to_owned()), Some(counterpart(part))),
        };
        let mut findings = Vec::new();
        if counterpart.is_none() {
            findings = arguments(&block.arguments, taken == Taken::MultiRunner, &locals);
            for text in &texts {
                let used = read::references(text, &block.name);
                findings.extend(used.into_iter().filter_map(|path| output(&block.name, &path)));
            }
        }
        findings.sort();
        findings.dedup();
        let read::Module { name, source, version, .. } = block;
        report.blocks.push(Block { file: file.clone(), name, source, version, submodule, counterpart, findings });
    }
    report
}

/// What to do with a block of a part.
fn counterpart(part: &str) -> String {
    let known = tables::PARTS.iter().find(|(name, _)| *name == part);
    known.map_or("it has no counterpart; see terraform/README.md", |(_, note)| note).to_owned()
}

fn arguments(
    given: &[(String, Literal)],
    has_many_kinds: bool,
    locals: &BTreeMap<String, Literal>,
) -> Vec<MigrationFinding> {
    let finding =
        |change, what: &str, note: &str| MigrationFinding { change, what: what.to_owned(), note: note.to_owned() };
    let gives = |wanted: &str| given.iter().any(|(name, _)| name == wanted);
    let mut findings = Vec::new();
    for (name, value) in given {
        let value = match value {
            Literal::Local(local) => locals.get(local).unwrap_or(value),
            _ => value,
        };
        if name == "multi_runner_config" {
            findings.extend(multi_runner::entries(value, locals));
        } else {
            let (change, note) = advice::argument(name, value);
            findings.push(MigrationFinding { change, what: name.clone(), note });
        }
    }
    for input in tables::INPUTS.iter().filter(|input| input.is_required && !gives(input.name)) {
        let note = match input.name {
            "enable_organization_runners" if has_many_kinds => "an entry of scale_sets may say otherwise",
            _ => "",
        };
        findings.push(finding(InputChange::Missing, input.name, note));
    }
    if !gives("environment") && !gives("prefix") {
        findings.push(finding(InputChange::Missing, "environment", "a name of its own, not the old one's"));
    }
    if gives("lambda_s3_bucket") {
        for key in ["webhook_lambda_s3_key", "runners_lambda_s3_key", "syncer_lambda_s3_key"] {
            if !gives(key) {
                findings.push(finding(InputChange::Missing, key, "all three zips are taken from lambda_s3_bucket"));
            }
        }
    }
    if gives("idle_config") && !gives("register_at") || gives("pool_config") && !gives("pool_runner_owner") {
        let note = "where idle runners register: without it none is launched";
        findings.push(finding(InputChange::Differs, "register_at", note));
    }
    if !has_many_kinds && !gives("ephemeral") && !gives("enable_ephemeral_runners") {
        let note = "not given: a runner serves one job here; ephemeral = false keeps runners until they are idle";
        findings.push(finding(InputChange::Differs, "ephemeral", note));
    }
    findings
}

/// What is said of an output that a text uses; `None` for one of ours.
fn output(module: &str, path: &str) -> Option<MigrationFinding> {
    let first = path.split('.').next().unwrap_or_default();
    if tables::OUR_OUTPUTS.contains(&first) {
        return None;
    }
    let ours = tables::OUTPUTS.iter().find(|(old, _)| path.starts_with(old));
    let note = ours.map_or("there is no such output", |(_, new)| new).to_owned();
    Some(MigrationFinding { change: InputChange::Output, what: format!("module.{module}.{path}"), note })
}

/// Foreign text in one line: what cannot be seen is made visible.
fn shown(text: &str) -> String {
    in_line(text, 200)
}

fn in_line(text: &str, most: usize) -> String {
    text.chars()
        .take(most)
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for unreadable in &self.unreadable {
            writeln!(f, "{}", shown(&unreadable.to_string()))?;
        }
        if self.blocks.is_empty() {
            let place = if self.unreadable.is_empty() { "" } else { " in the files that could be read" };
            return writeln!(
                f,
                "No block{place} takes philips-labs/github-runner or github-aws-runners/github-runner."
            );
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
            if let (Some(submodule), Some(counterpart)) = (&block.submodule, &block.counterpart) {
                writeln!(f, "  {} is a part of that module: {counterpart}", shown(submodule))?;
                continue;
            }
            for change in InputChange::ALL {
                let of = block.findings.iter().filter(|finding| finding.change == change);
                let lines: Vec<String> = of
                    .map(|finding| match finding.note.as_str() {
                        "" => shown(&finding.what),
                        note => format!("{}: {}", shown(&finding.what), in_line(note, 400)),
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
