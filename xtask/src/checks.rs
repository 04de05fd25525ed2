//! Every check and every test, counted. All are run even if one fails, so that one run shows everything.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::command::{cargo, program, show, target};
use crate::libtest::{self, Failure};
use crate::programs;
use crate::setup::{deny_path, setup};
use crate::table;

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
    /// The checks and tests that failed, the tests with what they said: thousands of lines may stand between it and the end.
    failures: Vec<Failure>,
    /// How long each part took.
    times: Vec<(String, Duration)>,
}

impl Tally {
    fn add(&mut self, report: libtest::Report) {
        self.passed += report.passed;
        self.failed += report.failed;
        self.skipped += report.ignored;
        self.failures.extend(report.failures);
    }

    fn fail(&mut self, what: String, lines: Vec<String>) {
        self.failed += 1;
        self.failures.push((what, lines));
    }
}

/// Sets up and runs everything.
pub fn test() -> Result<()> {
    let begun = Instant::now();
    setup()?;
    let mut tally = Tally::default();
    tally.times.push(("set-up".into(), begun.elapsed()));
    check(&mut tally, "fmt", cargo(&["fmt", "--all", "--check"]));
    check(
        &mut tally,
        "clippy",
        cargo(&["clippy", "--workspace", "--all-features", "--all-targets", "--locked", "--", "--deny", "warnings"]),
    );
    // What is shipped with fewer features: code that only such a program has would never be compiled otherwise.
    for features in [&["runnersmith"][..], &["runnersmith", "--no-default-features"]] {
        check(&mut tally, "features", cargo(&[&["check", "--locked", "--package"], features].concat()));
    }
    for feature in crate::lambda::features() {
        let package = ["check", "--locked", "--package", "runnersmith-lambda", "--no-default-features"];
        check(&mut tally, "features", cargo(&[&package[..], &["--features", feature]].concat()));
    }
    let mut doc = cargo(&["doc", "--workspace", "--all-features", "--no-deps", "--locked", "--quiet"]);
    doc.env("RUSTDOCFLAGS", "--deny warnings");
    check(&mut tally, "doc", doc);
    let mut deny = program(&deny_path().display().to_string(), &["--locked", "check", "bans", "licenses", "sources"]);
    deny.env("CARGO_TERM_COLOR", "never");
    check(&mut tally, "deny", deny);
    tests(&mut tally)?;
    summary(&tally, begun.elapsed())
}

/// Says what failed, what took how long, and the counts: the last page of a log shows all that is needed.
fn summary(tally: &Tally, took: Duration) -> Result<()> {
    for (what, said) in &tally.failures {
        println!("\nFAILED: {what}");
        said.iter().for_each(|line| println!("    {line}"));
    }
    println!();
    let rows: Vec<_> = tally.times.iter().map(|(part, took)| [part.clone(), minutes(*took)]).collect();
    table::print(["part", "minutes"], &rows);
    println!("\n{} minutes", minutes(took));
    println!("{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped);
    if tally.failed > 0 {
        bail!("{} failed", tally.failed);
    }
    Ok(())
}

fn minutes(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() / 60.0)
}

/// Runs a check that counts as one test. Checks of one part add up their times.
fn check(tally: &mut Tally, part: &str, mut command: Command) {
    let (shown, begun) = (show(&command), Instant::now());
    println!("== {shown}");
    let passed = command.status().is_ok_and(|status| status.success());
    let took = begun.elapsed();
    println!("== {} in {:.0} s", if passed { "ok" } else { "FAILED" }, took.as_secs_f64());
    match tally.times.last_mut() {
        Some((last, time)) if last == part => *time += took,
        _ => tally.times.push((part.to_owned(), took)),
    }
    if passed {
        tally.passed += 1;
    } else {
        tally.fail(shown, Vec::new());
    }
}

/// Runs all tests and counts them from their own summaries; a skip is a line in a file that the skipping test writes.
fn tests(tally: &mut Tally) -> Result<()> {
    let skipped = target().join("skipped-tests");
    std::fs::write(&skipped, "").with_context(|| format!("write {}", skipped.display()))?;
    let begun = Instant::now();
    match programs::run(&skipped) {
        Ok((built, mut finished)) => {
            let ran = begun.elapsed().saturating_sub(built);
            tally.times.extend([("build of tests".into(), built), ("tests, side by side".into(), ran)]);
            finished.sort_by_key(|program| std::cmp::Reverse(program.took));
            let longest = finished.iter().take(10);
            tally.times.extend(longest.map(|program| (format!("  of it {}", program.name), program.took)));
            finished.into_iter().for_each(|program| tally.add(program.report));
        }
        Err(error) => tally.fail(format!("{error:#}"), Vec::new()),
    }
    check(tally, "examples in docs", cargo(&["test", "--doc", "--workspace", "--all-features", "--locked", "--quiet"]));
    let text = std::fs::read_to_string(&skipped).with_context(|| format!("read {}", skipped.display()))?;
    for line in text.lines() {
        println!("{}", if line.starts_with("SKIPPED") { line.to_owned() } else { format!("SKIPPED: {line}") });
        // It was counted as passed by the test runner.
        tally.passed = tally.passed.saturating_sub(1);
        tally.skipped += 1;
    }
    Ok(())
}
