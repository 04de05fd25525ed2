//! What Terraform says, as data: with `-json` it says one object per line
//! (<https://developer.hashicorp.com/terraform/internals/machine-readable-ui>), so that the resource that failed and the errors are
//! read and not guessed. What is no object (a crash, a complaint about an option, what a program of a provider printed) is kept as text.

use std::collections::VecDeque;
use std::fmt::Write as _;

use anstream::adapter::strip_str;
use runnersmith_issueops_engine::ProvisionError;
use serde::Deserialize;

use crate::hide::Hide;

/// The longest message of a failure, in characters: a comment on GitHub holds 65,536.
pub(crate) const MESSAGE_MAX: usize = 60_000;
/// The longest log that is kept, in bytes.
const LOG_MAX: usize = 1024 * 1024;
/// The longest line that is shown, in characters.
const LINE_MAX: usize = 10_000;
/// How many errors are kept.
const ERRORS_MAX: usize = 200;

/// How Terraform heads a failure to take the state's lock.
pub(crate) const LOCK_NOT_TAKEN: &str = "Error acquiring the state lock";
/// How Terraform heads its refusals of a plan whose state is not the one that is there: another serial, another lineage.
const STALE: [&str; 2] = ["Saved plan is stale", "Saved plan does not match the given state"];

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "@message")]
    message: String,
    #[serde(rename = "type", default)]
    kind: String,
    diagnostic: Option<Diagnostic>,
    hook: Option<Hook>,
}

#[derive(Deserialize)]
struct Hook {
    resource: Option<HookResource>,
}

#[derive(Deserialize)]
struct HookResource {
    addr: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Diagnostic {
    severity: String,
    summary: String,
    detail: String,
    address: Option<String>,
    range: Option<Range>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Range {
    filename: String,
    start: Position,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Position {
    line: u64,
}

impl Diagnostic {
    fn text(&self) -> String {
        let mut text = format!("Error: {}\n", self.summary.trim());
        if let Some(address) = &self.address {
            let _ = writeln!(text, "  with {address}");
        }
        if let Some(range) = &self.range {
            let _ = writeln!(text, "  on {} line {}", range.filename, range.start.line);
        }
        if !self.detail.trim().is_empty() {
            let _ = write!(text, "\n{}\n", self.detail.trim());
        }
        text
    }
}

/// Lines, of which the last are kept.
#[derive(Default)]
pub(crate) struct Tail {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Tail {
    pub(crate) fn push(&mut self, line: String) {
        self.bytes += line.len() + 1;
        self.lines.push_back(line);
        while self.bytes > LOG_MAX {
            let Some(first) = self.lines.pop_front() else { break };
            self.bytes -= first.len() + 1;
        }
    }

    pub(crate) fn text(&self) -> String {
        self.lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// What was said in one command.
#[derive(Default)]
pub(crate) struct Said {
    errors: Vec<Diagnostic>,
    failed: Option<String>,
    /// What was no data.
    other: Tail,
    /// What was shown.
    pub(crate) log: Tail,
}

impl Said {
    /// Takes one line in, and returns the lines to show.
    pub(crate) fn line(&mut self, line: &str, hide: &Hide) -> Vec<String> {
        let Ok(said) = serde_json::from_str::<Line>(line) else { return self.text(line, hide) };
        if let Some(diagnostic) = said.diagnostic
            && diagnostic.severity == "error"
            && self.errors.len() < ERRORS_MAX
            && !self.errors.contains(&diagnostic)
        {
            self.errors.push(diagnostic);
        }
        if said.kind == "apply_errored" && self.failed.is_none() {
            self.failed = said.hook.and_then(|hook| hook.resource).map(|resource| resource.addr);
        }
        self.show(&clean(&said.message, hide))
    }

    /// Takes in one line that is no data.
    pub(crate) fn text(&mut self, line: &str, hide: &Hide) -> Vec<String> {
        let line = clean(line, hide);
        self.other.push(line.clone());
        self.show(&line)
    }

    /// Keeps the lines of a text that is without controls and without secrets.
    fn show(&mut self, text: &str) -> Vec<String> {
        let lines: Vec<String> = text
            .lines()
            .map(|line| line.chars().take(LINE_MAX).collect::<String>())
            .filter(|line| !line.trim().is_empty())
            .collect();
        lines.iter().for_each(|line| self.log.push(line.clone()));
        lines
    }

    /// What was no data, as it is shown.
    pub(crate) fn other(&self) -> String {
        self.other.text()
    }

    /// Why the command failed, given that it did. `how` says how it ended, for when it said nothing.
    pub(crate) fn failure(&self, hide: &Hide, how: &str) -> ProvisionError {
        if self.errors.iter().any(|error| STALE.contains(&error.summary.trim())) {
            return ProvisionError::Stale;
        }
        let lock = self.errors.iter().filter(|error| error.summary.trim() == LOCK_NOT_TAKEN);
        if let Some(lock) = lock.filter_map(|error| LockInfo::find(&error.detail)).next() {
            return lock.refusal(hide);
        }
        let resource = self.errors.iter().find_map(|error| error.address.clone()).or_else(|| self.failed.clone());
        let mut texts: Vec<String> = self.errors.iter().map(Diagnostic::text).collect();
        let other = self.other();
        if texts.is_empty() && !other.trim().is_empty() {
            texts.push(other);
        }
        if texts.is_empty() {
            texts.push(how.to_owned());
        }
        let message = clean(&texts.join("\n"), hide);
        ProvisionError::Failed { resource: resource.map(|address| hide.text(&address)), message: end_of(&message) }
    }
}

/// The last characters of a message that is too long.
pub(crate) fn end_of(text: &str) -> String {
    let text = text.trim();
    let length = text.chars().count();
    if length <= MESSAGE_MAX {
        return text.to_owned();
    }
    std::iter::once('…').chain(text.chars().skip(length - MESSAGE_MAX + 1)).collect()
}

/// The text without controls and without secrets: one may have controls in it, and others may have been put into one.
fn clean(text: &str, hide: &Hide) -> String {
    hide.text(&without_controls(&hide.text(text)))
}

/// The text without what would move a terminal's cursor or colour it; lines stay lines.
fn without_controls(text: &str) -> String {
    let kept = |character: &char| !character.is_control() || *character == '\t';
    // Line by line: a sequence that never ends hides the rest of its line, and no other error.
    let lines = text.split('\n').map(|line| strip_str(line).flat_map(str::chars).filter(kept).collect::<String>());
    lines.collect::<Vec<_>>().join("\n")
}

/// What Terraform prints of a lock that is held: a fixed block of lines (`statemgr.LockInfo`), with and without `-json`; there is
/// no form of it as data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LockInfo {
    pub(crate) id: String,
    pub(crate) who: String,
    pub(crate) operation: String,
    pub(crate) created: String,
}

impl LockInfo {
    /// The first block in a text.
    pub(crate) fn find(text: &str) -> Option<Self> {
        let mut info = Self::default();
        for line in text.lines().skip_while(|line| line.trim() != "Lock Info:").skip(1) {
            let Some((name, value)) = line.trim().split_once(':') else { break };
            let field = match name {
                "ID" => &mut info.id,
                "Who" => &mut info.who,
                "Operation" => &mut info.operation,
                "Created" => &mut info.created,
                _ => continue,
            };
            value.trim().clone_into(field);
        }
        (!info.id.is_empty()).then_some(info)
    }

    /// Since when it is held: Go's way to print a time, `2026-11-26 10:52:13.42 +0000 UTC`.
    pub(crate) fn since(&self) -> Option<jiff::Timestamp> {
        let mut parts = self.created.split_whitespace();
        let (day, time, offset) = (parts.next()?, parts.next()?, parts.next()?);
        jiff::Timestamp::strptime("%Y-%m-%d %H:%M:%S%.f %z", format!("{day} {time} {offset}")).ok()
    }

    /// As the refusal that it is.
    pub(crate) fn refusal(&self, hide: &Hide) -> ProvisionError {
        let clean = |text: &str| clean(text, hide).chars().take(500).collect::<String>();
        ProvisionError::Locked {
            id: clean(&self.id),
            who: clean(&self.who),
            operation: clean(&self.operation),
            created: clean(&self.created),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails panics")]

    use super::*;

    #[test]
    fn a_terminal_sequence_that_never_ends_hides_no_other_line() {
        assert_eq!(without_controls("a\u{1b}]b\nc\u{1b}[31md\te\u{7}"), "a\ncd\te");
    }

    const LOCK: &str = "lock ID '0' does not match the existing lock ID '3d77'\nLock Info:\n  ID:        3d77\n  Path:      \
                        states/e/terraform.tfstate\n  Operation: OperationTypeApply\n  Who:       me@vm\n  Version:   1.11.4\n  \
                        Created:   2026-11-26 10:52:13.422933403 +0000 UTC\n  Info:      \n\nTerraform acquires a lock. ID: 1\n";

    #[test]
    fn a_lock_is_read_from_its_block() {
        let lock = LockInfo::find(LOCK).unwrap();
        assert_eq!(
            (lock.id.as_str(), lock.who.as_str(), lock.operation.as_str()),
            ("3d77", "me@vm", "OperationTypeApply")
        );
        assert_eq!(lock.since().unwrap().as_millisecond(), 1_795_690_333_422);
        let whole = LockInfo { created: "2026-11-26 10:52:13 +0000 UTC".into(), ..lock };
        assert_eq!(whole.since().unwrap().as_millisecond(), 1_795_690_333_000);
        assert_eq!(LockInfo::find("no lock here\n  ID: 1"), None);
        assert_eq!(LockInfo::find("Lock Info:\n\n  ID: 1"), None);
    }

    #[test]
    fn errors_are_read_once_with_the_resource_that_is_named() {
        let hide = Hide::default();
        let mut said = Said::default();
        let line = r#"{"@level":"error","@message":"Error: no","type":"diagnostic","diagnostic":{"severity":"error","summary":"no","detail":"because\n","address":"a.b","range":{"filename":"main.tf","start":{"line":8}}}}"#;
        assert_eq!(said.line(line, &hide), ["Error: no"]);
        said.line(line, &hide);
        said.line("not data", &hide);
        let ProvisionError::Failed { resource, message } = said.failure(&hide, "it ended") else { panic!() };
        assert_eq!(resource.as_deref(), Some("a.b"));
        assert_eq!(message, "Error: no\n  with a.b\n  on main.tf line 8\n\nbecause");
    }

    #[test]
    fn what_is_no_data_is_the_message_when_there_is_nothing_better() {
        let hide = Hide::default();
        let mut said = Said::default();
        assert_eq!(said.line("\u{1b}[31mpanic\u{1b}[0m: no\r", &hide), ["panic: no"]);
        let failed = |message: &str| ProvisionError::Failed { resource: None, message: message.into() };
        assert_eq!(said.failure(&hide, "it ended"), failed("panic: no"));
        assert_eq!(Said::default().failure(&hide, "it ended"), failed("it ended"));
    }

    #[test]
    fn a_secret_with_an_escape_sequence_inside_is_hidden() {
        let hide = Hide::new([&runnersmith_types::Secret::new("correct-horse")]);
        let mut said = Said::default();
        let data = r#"{"@message":"it is correct-\u001b[1mhorse\u001b[0m\r\nor so","type":"log"}"#;
        assert_eq!(said.line(data, &hide), ["it is [secret]", "or so"]);
        assert_eq!(said.line("it is correct-\u{1b}[1mhorse", &hide), ["it is [secret]"]);
        // One with a control of its own, and one behind a sequence that has no end and takes its first letter with it.
        let hide = Hide::new([
            &runnersmith_types::Secret::new("abc\u{7f}defghi"),
            &runnersmith_types::Secret::new("correct-horse"),
        ]);
        assert_eq!(said.line("it is abc\u{7f}defghi", &hide), ["it is [secret]"]);
        assert_eq!(
            said.line("it is \u{1b}[correct-horse", &hide),
            ["it is secret]"],
            "the sequence takes what ends it"
        );
        assert!(!said.log.text().contains("horse") && !said.log.text().contains("defghi"));
    }

    #[test]
    fn a_long_message_keeps_its_end() {
        let long = format!("{}end", "é".repeat(MESSAGE_MAX));
        let short = end_of(&long);
        assert_eq!(short.chars().count(), MESSAGE_MAX);
        assert!(short.starts_with('…') && short.ends_with("éend"));
    }

    #[test]
    fn a_log_keeps_its_end() {
        let mut tail = Tail::default();
        for number in 0..300_000 {
            tail.push(number.to_string());
        }
        assert!(tail.text().len() <= LOG_MAX && tail.text().ends_with("299999"));
    }
}
