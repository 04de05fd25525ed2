//! What a test program printed, read for its counts and for what its failed tests said.
//!
//! `cargo nextest` would give both. It runs each test in a process of its own, so that every test of a program would start its
//! own AWS emulator, and building it takes longer than all unit tests.

/// A failed check or test, and the lines that explain it.
pub type Failure = (String, Vec<String>);

/// The result of one test program.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Tests that passed; those that skipped themselves are among them.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Tests that were not run.
    pub ignored: usize,
    /// The tests that failed.
    pub failures: Vec<Failure>,
    /// The program said its result. One that did not was ended in the middle.
    pub is_complete: bool,
}

/// Lines that are kept of each failed test: the first ones, and the last.
const FIRST: usize = 5;
const LINES: usize = 45;

/// Reads the output of a test program (or of several, one after another).
pub fn read(output: &str) -> Report {
    let mut report = Report::default();
    let (mut is_inside, mut is_backtrace) = (false, false);
    for line in output.lines() {
        let begins = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"));
        if let Some(summary) = line.strip_prefix("test result: ") {
            report.passed += count(summary, "passed");
            report.failed += count(summary, "failed");
            report.ignored += count(summary, "ignored");
            (is_inside, report.is_complete) = (false, true);
        } else if let Some(test) = begins {
            report.failures.push((test.to_owned(), Vec::new()));
            is_inside = true;
        } else if line == "failures:" {
            is_inside = false;
        } else if is_inside {
            is_backtrace = line == "stack backtrace:" || (is_backtrace && is_of_backtrace(line));
            if let (false, Some((_, lines))) = (is_backtrace, report.failures.last_mut()) {
                keep(lines, line);
            }
        }
    }
    report
}

/// The first and the last lines of a program's output that ended in the middle.
pub fn extract(output: &str) -> Vec<String> {
    let mut lines = Vec::new();
    output.lines().for_each(|line| keep(&mut lines, line));
    lines
}

fn keep(lines: &mut Vec<String>, line: &str) {
    lines.push(line.to_owned());
    if lines.len() > LINES {
        lines.remove(FIRST);
    }
}

fn is_of_backtrace(line: &str) -> bool {
    let text = line.trim_start();
    let is_frame = text.split_once(": ").is_some_and(|(number, _)| number.parse::<u16>().is_ok());
    is_frame || text.starts_with("at ") || text.starts_with("note: Some details are omitted")
}

fn count(summary: &str, what: &str) -> usize {
    let words: Vec<&str> = summary.split([' ', ';']).filter(|word| !word.is_empty()).collect();
    let found = words.windows(2).find(|pair| pair[1] == what);
    found.and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{LINES, count, read};

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
        let all: Vec<&str> =
            before.into_iter().chain(many.iter().map(String::as_str)).chain(between).chain(after).collect();
        let report = read(&all.join("\n"));
        let [(a, of_a), (b, of_b)] = report.failures.as_slice() else { panic!("{report:?}") };
        assert_eq!((a.as_str(), b.as_str(), report.failed, report.is_complete), ("a", "module::b", 2, true));
        assert_eq!((of_a.len(), of_a[0].as_str()), (LINES, "line 0"));
        assert_eq!((of_a[4].as_str(), of_a[5].as_str(), of_a[44].as_str()), ("line 4", "line 60", "line 99"));
        assert_eq!(of_b, &["first", "second", "3: third"]);
    }

    #[test]
    fn a_test_program_that_ends_in_the_middle_is_not_complete() {
        assert!(!read("running 2 tests\ntest a ... ok\n").is_complete);
        assert!(read("running 1 test\ntest result: ok. 1 passed; 0 failed;").is_complete);
    }

    #[test]
    fn a_summary_is_counted() {
        let summary = "FAILED. 13 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.00s";
        assert_eq!([count(summary, "passed"), count(summary, "failed"), count(summary, "ignored")], [13, 2, 1]);
        assert_eq!(count(summary, "lost"), 0);
        let two = read("test result: ok. 1 passed; 0 failed; 2 ignored;\ntest result: FAILED. 3 passed; 4 failed;");
        assert_eq!([two.passed, two.failed, two.ignored], [4, 4, 2]);
    }
}
