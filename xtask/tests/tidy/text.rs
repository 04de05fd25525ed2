//! Text that no file may have: unfinished work, private paths, printing outside of its places.

use std::collections::BTreeSet;

use crate::tree::{files, none};

#[test]
fn every_source_file_begins_with_why_it_exists() {
    let mut wrong = Vec::new();
    for file in files().iter().filter(|file| file.is(&[".rs"]) && !file.text.starts_with("//!")) {
        wrong.push(format!("{}:1: begin with module docs (//!) that say why the file exists", file.path));
    }
    none(&wrong);
}

#[test]
fn no_source_has_unfinished_work_or_a_private_path() {
    // Written apart so that this file does not find itself.
    let banned: Vec<String> =
        [("to", "do!("), ("unimple", "mented!("), ("#[ign", "ore"), ("FIX", "ME"), ("/ro", "ot/"), ("/wo", "rk/")]
            .iter()
            .map(|(a, b)| format!("{a}{b}"))
            .collect();
    let mut wrong = Vec::new();
    for file in files() {
        for (number, line) in file.lines() {
            for word in banned.iter().filter(|word| line.contains(word.as_str())) {
                wrong.push(format!("{}:{number}: {word}: finish it, or name a place that everybody has", file.path));
            }
        }
    }
    none(&wrong);
}

#[test]
fn printing_stays_in_its_places() {
    let print_allowed: BTreeSet<&str> = ["report.rs", "say.rs", "material.rs"].into();
    let mut wrong = Vec::new();
    for file in files() {
        let is_library = file.is(&[".rs"])
            && file.path.starts_with("crates/")
            && file.path.contains("/src/")
            && !file.path.contains("/bin/");
        if !is_library || file.path.rsplit('/').next().is_some_and(|name| print_allowed.contains(name)) {
            continue;
        }
        for (number, line) in file.lines() {
            for word in ["println!(", "eprintln!(", "dbg!("].into_iter().filter(|word| line.contains(word)) {
                wrong.push(format!("{}:{number}: {word}: log it by tracing, or return it", file.path));
            }
        }
    }
    none(&wrong);
}

/// Where a product package asks the process's clock, waits, or reads the environment, and why it may. Everything else is handed
/// `now` or a [`Clock`](runnersmith_ports::Clock), so that it runs under a virtual clock and says in its signature what it needs.
const AMBIENT: &[(&str, &str)] = &[
    ("crates/aws/src/dynamodb/table.rs", "pauses between tries of what DynamoDB left out of a batch"),
    ("crates/aws/src/sqs.rs", "a pause after a failed poll"),
    ("crates/ec2/src/lib.rs", "EC2 has no event to wait for: the port's wait is a pause"),
    ("crates/issueops-engine/src/approve.rs", "a pause until GitHub has merged; to be the clock port"),
    ("crates/lambda/src/lib.rs", "a function is configured by its environment"),
    ("crates/local/src/launch.rs", "the variables that the operator lets jobs inherit"),
    ("crates/local/src/machines.rs", "the interval at which processes are asked whether they live"),
    ("crates/local/src/supervisor.rs", "a program of its own, beside one machine"),
    ("crates/provision-terraform/src/child.rs", "a child process's deadline, on a thread without a runtime"),
    ("crates/provision-terraform/src/host.rs", "who runs the program, where the system does not say"),
    ("crates/provision-terraform/src/lib.rs", "the environment that a child process inherits, filtered"),
    ("crates/provision-terraform/src/work.rs", "waits for a lock file, on a thread without a runtime"),
    ("crates/sqlite/src/open.rs", "waits for another program that makes or recovers the file, at the start"),
    ("crates/web/src/listener.rs", "a connection's deadline, by the runtime's own timers"),
    ("crates/web/src/live.rs", "the interval at which pages that are open are refreshed"),
];

#[test]
fn clocks_waits_and_the_environment_stay_in_their_places() {
    // Clippy bans the wall clock; these are also banned in tests' supports there, where they are right.
    let banned = ["Instant::now(", "time::sleep(", "thread::sleep(", "env::var(", "env::var_os(", "env::vars"];
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for file in files() {
        let Some(package) = file.product_source() else { continue };
        // Programs, and the package that implements the ports for real.
        if ["runnersmith", "ports"].contains(&package) || file.path.contains("/src/bin/") || file.is(&["tests.rs"]) {
            continue;
        }
        for (number, line) in file.lines().take_while(|(_, line)| *line != "#[cfg(test)]") {
            for word in banned.into_iter().filter(|word| line.contains(word)) {
                if AMBIENT.iter().any(|(path, _)| *path == file.path) {
                    used.insert(file.path.as_str());
                } else {
                    wrong.push(format!(
                        "{}:{number}: {word}: take a clock, a time or a setting as a parameter",
                        file.path
                    ));
                }
            }
        }
    }
    for (path, _) in AMBIENT.iter().filter(|(path, _)| !used.contains(path)) {
        wrong.push(format!("{path}: nothing is found there any more: take it out of AMBIENT"));
    }
    none(&wrong);
}
