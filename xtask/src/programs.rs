//! The test programs of the workspace: built once, then run side by side.
//!
//! `cargo test` runs one program after the other. The longest of ours wait most of their time (for machines, leases and
//! intervals), so several at once keep the processors busy.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::command::{cargo, show, target};
use crate::libtest::{self, Report};

/// Programs that run alone, before all others: dozens of functions and machines play together in them, and what they are given
/// time for would be another thing on processors that others use too; the worlds use all processors by themselves.
const ALONE: [&str; 3] = ["runnersmith-lambda end_to_end", "runnersmith-lambda crash", "runnersmith-world seeds"];

/// The programs that take longest, the longest first: begun early, they do not stand alone at the end. What is not here is
/// run in the order of its name; a name that is gone does no harm.
const LONG: [&str; 6] = [
    "runnersmith-lambda terraform",
    "runnersmith-lambda issueops",
    "runnersmith-lambda all",
    "xtask migrated",
    "xtask terraform",
    "runnersmith crash",
];

/// How long one program may take.
const TIME_MAX: Duration = Duration::from_secs(30 * 60);

/// A built test program.
#[derive(Debug)]
struct Program {
    /// Its package and target.
    name: String,
    path: PathBuf,
    /// Its package's directory, where cargo would run it.
    directory: PathBuf,
}

impl Program {
    fn is_alone(&self) -> bool {
        ALONE.contains(&self.name.as_str())
    }
}

/// A finished program.
pub struct Finished {
    /// Its package and target.
    pub name: String,
    /// What it said, read.
    pub report: Report,
    /// How long it ran.
    pub took: Duration,
}

/// Builds the test programs of the whole workspace.
fn build() -> Result<Vec<Program>> {
    let mut command = cargo(&["test", "--workspace", "--all-features", "--locked", "--no-run"]);
    command.arg("--message-format=json-render-diagnostics").stdout(Stdio::piped());
    let shown = show(&command);
    println!("== {shown}");
    let mut child = command.spawn().with_context(|| format!("start `{shown}`"))?;
    let mut programs = Vec::new();
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).lines() {
            programs.extend(program(&line.context("read cargo's messages")?));
        }
    }
    let status = child.wait().with_context(|| format!("wait for `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    if programs.is_empty() {
        bail!("`{shown}` built no test program");
    }
    programs.sort_by_key(|program| {
        let long = LONG.iter().position(|long| *long == program.name).unwrap_or(LONG.len());
        (!program.is_alone(), long, program.name.clone())
    });
    Ok(programs)
}

/// The test program that a message of cargo is about; none: it is about something else.
fn program(line: &str) -> Option<Program> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let directory = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    // The package's name stands in its id: `path+file:///…/crates/types#runnersmith-types@0.1.0`, or without the name where
    // it is the directory's.
    let id = message["package_id"].as_str()?;
    let after = id.rsplit('#').next()?;
    let package = after.split_once('@').map_or_else(
        || directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        |(name, _)| name.to_owned(),
    );
    let target = message["target"]["name"].as_str()?;
    Some(Program {
        name: format!("{package} {target}"),
        path: PathBuf::from(message["executable"].as_str()?),
        directory,
    })
}

struct Running {
    name: String,
    child: Child,
    output: PathBuf,
    begun: Instant,
}

/// Starts a program; its whole output goes into a file, so that what several say does not mix.
fn start(program: &Program, skipped: &Path, number: usize) -> Result<Running> {
    let output = target().join("test-output").join(format!("{number}.log"));
    let file = File::create(&output).with_context(|| format!("make {}", output.display()))?;
    let mut command = Command::new(&program.path);
    command.current_dir(&program.directory).env("CARGO_MANIFEST_DIR", &program.directory);
    command.env("RUNNERSMITH_SKIPPED", skipped).stdin(Stdio::null());
    command.stdout(file.try_clone().context("share an output file")?).stderr(file);
    let child = command.spawn().with_context(|| format!("start {}", program.path.display()))?;
    Ok(Running { name: program.name.clone(), child, output, begun: Instant::now() })
}

/// Shows what an ended program said, and reads it.
fn finish(running: &Running, ended: &str, is_success: bool) -> Result<Finished> {
    let bytes = std::fs::read(&running.output).with_context(|| format!("read {}", running.output.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    let took = running.begun.elapsed();
    let mut report = libtest::read(&text);
    println!("== {} in {:.0} s: {} passed, {} failed", running.name, took.as_secs_f64(), report.passed, report.failed);
    if !is_success || report.failed > 0 {
        print!("{text}");
    } else {
        // What tests were run, and which skipped themselves.
        text.lines()
            .filter(|line| line.starts_with("test ") || line.starts_with("SKIPPED"))
            .for_each(|line| println!("{line}"));
    }
    std::io::stdout().flush().context("show a program's output")?;
    if !report.is_complete || (!is_success && report.failed == 0) {
        report.failed += 1;
        let what = format!("{}, which ended with {ended} before it said its result", running.name);
        report.failures.push((what, libtest::extract(&text)));
    }
    Ok(Finished { name: running.name.clone(), report, took })
}

/// Builds all test programs and runs them: some alone, the others one more at a time than there are processors, since they wait a lot.
///
/// # Errors
/// When they cannot be built or started.
pub fn run(skipped: &Path) -> Result<(Duration, Vec<Finished>)> {
    let begun = Instant::now();
    let mut programs = build()?.into_iter().enumerate().peekable();
    let built = begun.elapsed();
    println!("== built in {:.0} s", built.as_secs_f64());
    let outputs = target().join("test-output");
    std::fs::create_dir_all(&outputs).with_context(|| format!("make {}", outputs.display()))?;
    let at_once = available_parallelism().map_or(2, usize::from) + 1;
    let (mut running, mut finished): (Vec<Running>, Vec<Finished>) = (Vec::new(), Vec::new());
    let mut is_alone = false;
    loop {
        while let Some((number, program)) = programs
            .next_if(|(_, program)| running.is_empty() || (running.len() < at_once && !program.is_alone() && !is_alone))
        {
            is_alone = program.is_alone();
            running.push(start(&program, skipped, number)?);
        }
        if running.is_empty() {
            return Ok((built, finished));
        }
        let mut still = Vec::new();
        for mut one in running {
            match one.child.try_wait().with_context(|| format!("wait for {}", one.name))? {
                Some(status) => finished.push(finish(&one, &status.to_string(), status.success())?),
                None if one.begun.elapsed() > TIME_MAX => {
                    one.child.kill().with_context(|| format!("stop {}", one.name))?;
                    one.child.wait().with_context(|| format!("wait for {}", one.name))?;
                    finished.push(finish(&one, "more than 30 minutes", false)?);
                }
                None => still.push(one),
            }
        }
        running = still;
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::program;

    #[test]
    fn a_test_program_is_found_in_cargos_messages() {
        let line = r#"{"reason":"compiler-artifact","package_id":"path+file:///w/crates/types#runnersmith-types@0.1.0",
            "manifest_path":"/w/crates/types/Cargo.toml","target":{"name":"fixtures"},"profile":{"test":true},"executable":"/t/a"}"#;
        let found = program(line).unwrap();
        assert_eq!(
            (found.name.as_str(), found.directory.to_str()),
            ("runnersmith-types fixtures", Some("/w/crates/types"))
        );
        let short = line.replace("runnersmith-types@0.1.0", "0.1.0").replace("crates/types", "xtask");
        assert_eq!(program(&short).unwrap().name, "xtask fixtures");
        for other in [line.replace("true", "false"), line.replace("compiler-", ""), "text".to_owned(), "{}".to_owned()]
        {
            assert!(program(&other).is_none(), "{other}");
        }
    }
}
