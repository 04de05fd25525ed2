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
    let mut doc = cargo(&["doc", "--workspace", "--all-features", "--no-deps", "--locked", "--quiet"]);
    doc.env("RUSTDOCFLAGS", "--deny warnings");
    check(&mut tally, doc);
    let mut deny = program(&deny_path().display().to_string(), &["--locked", "check", "bans", "licenses", "sources"]);
    deny.env("CARGO_TERM_COLOR", "never");
    check(&mut tally, deny);
    tests(&mut tally)?;
    println!("\n{:.0} s", begun.elapsed().as_secs_f64());
    println!("{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped);
    if tally.failed > 0 {
        bail!("{} failed; what failed is shown above", tally.failed);
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
            if let Some(summary) = line.strip_prefix("test result: ") {
                tally.passed += count(summary, "passed");
                tally.failed += count(summary, "failed");
                tally.skipped += count(summary, "ignored");
            }
        }
    }
    let status = child.wait().with_context(|| format!("wait for `{shown}`"))?;
    if tally.passed == before.0 || (!status.success() && tally.failed == before.1) {
        println!("== FAILED: `{shown}` ended with {status}");
        tally.failed += 1;
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
    use super::count;

    #[test]
    fn a_summary_is_counted() {
        let summary = "FAILED. 13 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.00s";
        assert_eq!([count(summary, "passed"), count(summary, "failed"), count(summary, "ignored")], [13, 2, 1]);
        assert_eq!(count(summary, "lost"), 0);
    }
}
