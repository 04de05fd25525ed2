//! That each finding of the readings has a row, and that each test which a row names is there: a table of promises that nobody
//! checks is worse than none.

use std::collections::BTreeSet;

use crate::support::root;
use crate::tree::none;

/// Where the tables are.
const FINDINGS: &str = "docs/findings.md";
/// How many findings of each reading there are: public bug reports, code, GitHub's documents, a world, a newcomer.
const EXPECTED: &[&str] = &[
    "A",
    "B",
    "C",
    "D",
    "E",
    "F",
    "G",
    "H",
    "I",
    "J",
    "K",
    "L",
    "M",
    "N",
    "O",
    "P",
    "Q",
    "R",
    "S",
    "T",
    "B1",
    "B1b",
    "B2",
    "B3",
    "B4",
    "B5",
    "B5b",
    "B6",
    "B7",
    "B8",
    "B9",
    "B10",
    "B11",
    "B12",
    "B13",
    "B14",
    "B15",
    "B16",
    "B17",
    "B18",
    "B19",
    "world 1",
    "world 2",
    "A5",
    "F3",
    "world 3",
    "world 4",
    "world 5",
    "world 6",
    "world 7",
    "world 8",
    "world 9",
    "world 10",
    "world 11",
    "world 12",
    "newcomer 1",
    "newcomer 2",
    "newcomer 6",
    "newcomer 7",
    "newcomer 8",
    "newcomer 9",
    "newcomer 10",
    "newcomer c",
    "github A1",
    "github A4",
    "github A5",
    "github A6",
    "github A7",
    "github A8",
    "github A9",
    "github B1",
    "github B2",
    "github B3",
    "github B4",
    "github B5",
    "github B6",
    "github C3",
    "github C4",
    "github C5",
    "github D1",
    "github D2",
    "github D3",
    "github D4",
    "github D5",
    "github D6",
    "github D7",
    "github E1",
    "github E2",
    "github E7",
    "github E8",
    "github E9",
    "security 1",
    "security 2",
];
/// The numbers of the public reports that were found safe.
const SAFE: [u32; 28] =
    [4, 18, 23, 26, 30, 31, 34, 38, 39, 41, 42, 43, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 65, 67, 68, 69];

/// A row of a table of four cells; the number is its line's.
struct Row {
    number: usize,
    cells: Vec<String>,
}

/// The rows of the table that begins with a heading of this first cell.
fn rows(first: &str) -> Vec<Row> {
    let text = std::fs::read_to_string(root().join(FINDINGS)).unwrap();
    let lines = text.lines().enumerate().skip_while(|(_, line)| !line.starts_with(&format!("| {first} |")));
    let rows = lines.skip(2).take_while(|(_, line)| line.starts_with('|'));
    rows.map(|(index, line)| {
        let cells = line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
        Row { number: index + 1, cells }
    })
    .collect()
}

/// What is wrong with the names of tests in a cell: `file::name`, or `name` of the file before.
fn wrong_tests(cell: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut text: Option<String> = None;
    for test in cell.split('`').skip(1).step_by(2) {
        let name = match test.rsplit_once("::") {
            Some((file, name)) => {
                let places = ["", "crates/", "crates/testing/"];
                let paths = places.iter().map(|place| root().join(format!("{place}{file}")));
                text = paths.filter_map(|path| std::fs::read_to_string(path).ok()).next();
                name
            }
            None => test,
        };
        let is_there =
            |text: &String| text.contains(&format!("fn {name}(")) || text.contains(&format!("run \"{name}\""));
        match &text {
            None => wrong.push(format!("{test}: there is no such file")),
            Some(text) if !is_there(text) => wrong.push(format!("{test}: its file has no such test")),
            Some(_) => {}
        }
    }
    wrong
}

#[test]
fn every_finding_has_a_row_whose_tests_are_there_or_that_says_why_it_is_open() {
    let rows = rows("finding");
    let (mut wrong, mut found) = (Vec::new(), BTreeSet::new());
    for Row { number, cells } in &rows {
        let [finding, what, tests, note] = cells.as_slice() else {
            wrong.push(format!("{FINDINGS}:{number}: a row has four cells"));
            continue;
        };
        found.insert(finding.split(" (").next().unwrap_or_default().to_owned());
        if what.is_empty() || note.is_empty() {
            wrong.push(format!(
                "{FINDINGS}:{number}: say what was wrong, and since when its test holds it or why it is open"
            ));
        }
        match (tests.contains('`'), tests.starts_with("open") || tests.starts_with("no test")) {
            (false, false) => wrong.push(format!("{FINDINGS}:{number}: name its tests, or say that it is open")),
            _ => wrong.extend(wrong_tests(tests).into_iter().map(|test| format!("{FINDINGS}:{number}: {test}"))),
        }
    }
    for expected in EXPECTED.iter().copied() {
        let has = |finding: &String| finding == expected || finding.starts_with(&format!("{expected} "));
        if !found.iter().any(has) {
            wrong.push(format!("{FINDINGS}: finding {expected} has no row"));
        }
    }
    none(&wrong);
}

#[test]
fn every_report_that_was_safe_has_a_test_that_keeps_it_so() {
    let rows = rows("report");
    let mut wrong = Vec::new();
    let mut found = BTreeSet::new();
    for Row { number, cells } in &rows {
        let [report, what, tests] = cells.as_slice() else {
            wrong.push(format!("{FINDINGS}:{number}: a row has three cells"));
            continue;
        };
        found.extend(report.split_whitespace().next().and_then(|number| number.parse::<u32>().ok()));
        if what.is_empty() || !tests.contains('`') {
            wrong.push(format!("{FINDINGS}:{number}: say what is safe and name the test"));
        }
        wrong.extend(wrong_tests(tests).into_iter().map(|test| format!("{FINDINGS}:{number}: {test}")));
    }
    wrong.extend(
        SAFE.iter().filter(|number| !found.contains(number)).map(|number| format!("report {number} has no row")),
    );
    none(&wrong);
}
