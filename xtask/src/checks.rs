//! Every check and every test, counted. All are run even if one fails, so that one run shows everything.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::command::{cargo, program, show, target};
use crate::setup::{deny_path, setup};

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
    failures: Failures,
}

/// The checks and tests that failed, the tests with what they said: thousands of lines may stand between it and the end.
#[derive(Default)]
struct Failures {
    found: Vec<(String, Vec<String>)>,
    is_inside: bool,
    is_backtrace: bool,
    /// A test program has begun and not said its result.
    is_running: bool,
    /// Test programs that ended before they said their result.
    lost: usize,
}

impl Failures {
    /// Lines that are kept of each test: the first ones, and the last.
    const FIRST: usize = 5;
    const LINES: usize = 45;

    fn name(&mut self, what: &str) {
        self.found.push((what.to_owned(), Vec::new()));
    }

    /// Takes the next line of the test runner, which shows the output of its failed tests when all have run.
    fn hear(&mut self, line: &str) {
        let begins = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"));
        if line.starts_with("running ") && (line.ends_with(" test") || line.ends_with(" tests")) {
            self.program_ended();
            self.is_running = true;
        } else if line.starts_with("test result: ") {
            (self.is_inside, self.is_running) = (false, false);
        } else if let Some(test) = begins {
            self.name(test);
            self.is_inside = true;
        } else if line == "failures:" {
            self.is_inside = false;
        } else if self.is_inside
            && !self.is_of_backtrace(line)
            && let Some((_, said)) = self.found.last_mut()
        {
            said.push(line.to_owned());
            if said.len() > Self::LINES {
                said.remove(Self::FIRST);
            }
        }
    }

    fn is_of_backtrace(&mut self, line: &str) -> bool {
        let text = line.trim_start();
        let is_frame = text.split_once(": ").is_some_and(|(number, _)| number.parse::<u16>().is_ok());
        let is_more = is_frame || text.starts_with("at ") || text.starts_with("note: Some details are omitted");
        self.is_backtrace = line == "stack backtrace:" || (self.is_backtrace && is_more);
        self.is_backtrace
    }

    /// The test program that ran is over.
    fn program_ended(&mut self) {
        if std::mem::take(&mut self.is_running) {
            self.lost += 1;
            self.is_inside = false;
            self.name("a test program, which ended before it said its result");
        }
    }
}

/// Sets up and runs everything.
pub fn test() -> Result<()> {
    setup()?;
    let begun = Instant::now();
    let mut tally = Tally::default();
    check(&mut tally, cargo(&["fmt", "--all", "--check"]));
    check(
        &mut tally,
        cargo(&["clippy", "--workspace", "--all-features", "--all-targets", "--locked", "--", "--deny", "warnings"]),
    );
    // What is shipped with fewer features: code that only such a program has would never be compiled otherwise.
    for features in [&["runnersmith"][..], &["runnersmith", "--no-default-features"]] {
        check(&mut tally, cargo(&[&["check", "--locked", "--package"], features].concat()));
    }
    for feature in crate::lambda::features() {
        let package = ["check", "--locked", "--package", "runnersmith-lambda", "--no-default-features"];
        check(&mut tally, cargo(&[&package[..], &["--features", feature]].concat()));
    }
    let mut doc = cargo(&["doc", "--workspace", "--all-features", "--no-deps", "--locked", "--quiet"]);
    doc.env("RUSTDOCFLAGS", "--deny warnings");
    check(&mut tally, doc);
    let mut deny = program(&deny_path().display().to_string(), &["--locked", "check", "bans", "licenses", "sources"]);
    deny.env("CARGO_TERM_COLOR", "never");
    check(&mut tally, deny);
    tests(&mut tally)?;
    println!("\n{:.0} s", begun.elapsed().as_secs_f64());
    for (what, said) in &tally.failures.found {
        println!("\nFAILED: {what}");
        said.iter().for_each(|line| println!("    {line}"));
    }
    println!("{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped);
    if tally.failed > 0 {
        bail!("{} failed", tally.failed);
    }
    Ok(())
}

fn check(tally: &mut Tally, mut command: Command) {
    let (shown, begun) = (show(&command), Instant::now());
    println!("== {shown}");
    let passed = command.status().is_ok_and(|status| status.success());
    println!("== {} in {:.0} s", if passed { "ok" } else { "FAILED" }, begun.elapsed().as_secs_f64());
    if passed {
        tally.passed += 1;
    } else {
        tally.failed += 1;
        tally.failures.name(&shown);
    }
}

/// Runs all tests and counts them from their own summaries; a skip is a line in a file that the skipping test writes.
fn tests(tally: &mut Tally) -> Result<()> {
    let skipped = target().join("skipped-tests");
    std::fs::write(&skipped, "").with_context(|| format!("write {}", skipped.display()))?;
    let mut command = cargo(&["test", "--workspace", "--all-features", "--locked", "--no-fail-fast"]);
    command.env("RUNNERSMITH_SKIPPED", &skipped).stdout(Stdio::piped());
    let shown = show(&command);
    println!("== {shown}");
    let mut child = command.spawn().with_context(|| format!("start `{shown}`"))?;
    let before = (tally.passed, tally.failed);
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).lines() {
            let line = line.context("read the tests' output")?;
            println!("{line}");
            tally.failures.hear(&line);
            if let Some(summary) = line.strip_prefix("test result: ") {
                tally.passed += count(summary, "passed");
                tally.failed += count(summary, "failed");
                tally.skipped += count(summary, "ignored");
            }
        }
    }
    tally.failures.program_ended();
    tally.failed += tally.failures.lost;
    let status = child.wait().with_context(|| format!("wait for `{shown}`"))?;
    if tally.passed == before.0 || (!status.success() && tally.failed == before.1) {
        println!("== FAILED: `{shown}` ended with {status}");
        tally.failed += 1;
        tally.failures.name(&format!("`{shown}` ended with {status}"));
    }
    let text = std::fs::read_to_string(&skipped).with_context(|| format!("read {}", skipped.display()))?;
    for line in text.lines() {
        println!("{}", if line.starts_with("SKIPPED") { line.to_owned() } else { format!("SKIPPED: {line}") });
        // It was counted as passed by the test runner.
        tally.passed = tally.passed.saturating_sub(1);
        tally.skipped += 1;
    }
    Ok(())
}

fn count(summary: &str, what: &str) -> usize {
    let words: Vec<&str> = summary.split([' ', ';']).filter(|word| !word.is_empty()).collect();
    let found = words.windows(2).find(|pair| pair[1] == what);
    found.and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Failures, count};

    fn heard<'a>(lines: impl IntoIterator<Item = &'a str>) -> Failures {
        let mut failures = Failures::default();
        lines.into_iter().for_each(|line| failures.hear(line));
        failures.program_ended();
        failures
    }

    #[test]
    fn a_failed_test_is_named_with_the_beginning_and_the_end_of_what_it_said() {
        let many: Vec<String> = (0..100).map(|number| format!("line {number}")).collect();
        let before = ["running 2 tests", "test a ... FAILED", "", "failures:", "", "---- a stdout ----"];
        let between = [
            "---- module::b stdout ----",
            "first",
            "stack backtrace:",
            "   0: main",
            "    at x.rs:1",
            "second",
            "3: third",
        ];
        let after = ["failures:", "    a", "    module::b", "", "test result: FAILED. 0 passed; 2 failed;"];
        let failures = heard(before.into_iter().chain(many.iter().map(String::as_str)).chain(between).chain(after));
        let [(a, of_a), (b, of_b)] = failures.found.as_slice() else { panic!("{:?}", failures.found) };
        assert_eq!((a.as_str(), b.as_str(), failures.lost), ("a", "module::b", 0));
        assert_eq!((of_a.len(), of_a[0].as_str()), (Failures::LINES, "line 0"));
        assert_eq!((of_a[4].as_str(), of_a[5].as_str(), of_a[44].as_str()), ("line 4", "line 60", "line 99"));
        assert_eq!(of_b, &["first", "second", "3: third"]);
    }

    #[test]
    fn a_test_program_that_ends_in_the_middle_is_a_failure() {
        let lost = ["running 2 tests", "test a ... ok"];
        let whole = ["running 1 test", "test result: ok. 1 passed; 0 failed;"];
        assert_eq!(heard(lost.into_iter().chain(whole)).lost, 1);
        assert_eq!(heard(whole.into_iter().chain(lost)).lost, 1);
        assert_eq!(heard(whole).lost, 0);
    }

    #[test]
    fn a_summary_is_counted() {
        let summary = "FAILED. 13 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.00s";
        assert_eq!([count(summary, "passed"), count(summary, "failed"), count(summary, "ignored")], [13, 2, 1]);
        assert_eq!(count(summary, "lost"), 0);
    }
}
