//! `why` and `status` are reads: they answer anyone who may read the ledger's file, with no secret, beside a server or without one,
//! and leave everything as it was.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use crate::support::{Bed, jobs, until};
use runnersmith_ports::SystemClock;
use runnersmith_sqlite::SqliteStore;

/// The user `nobody`, as whom commands run when the test is root's: permissions do not bind root.
const NOBODY: u32 = 65534;

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A command of a user who may not write the directory, and the user's own copy of the program to run.
fn as_reader(program: &Path) -> Command {
    let mut command = Command::new(program);
    if nix::unistd::Uid::effective().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Takes from everybody the right to write the data directory and its files. Returns a copy of the program that anybody may run.
fn locked(bed: &Bed) -> PathBuf {
    let program = bed.path("runnersmith");
    std::fs::copy(env!("CARGO_BIN_EXE_runnersmith"), &program).unwrap();
    mode(&program, 0o755);
    mode(bed.home.path(), 0o755);
    mode(&bed.path("runnersmith.toml"), 0o644);
    for entry in std::fs::read_dir(bed.path("data")).unwrap() {
        let path = entry.unwrap().path();
        mode(&path, if path.is_dir() { 0o555 } else { 0o444 });
    }
    mode(&bed.path("data"), 0o555);
    let touched = as_reader(Path::new("touch")).arg(bed.path("data/new")).output().unwrap();
    assert!(!touched.status.success(), "the directory can be written, so that this shows nothing");
    program
}

fn read(bed: &Bed, mut program: Command, arguments: &[&str]) -> Output {
    program.args(arguments).arg("--config").arg(bed.path("runnersmith.toml")).output().unwrap()
}

fn succeeded(output: &Output) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    text
}

/// Every file of the data directory with its content.
fn content(bed: &Bed) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = std::fs::read_dir(bed.path("data")).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.is_file()).map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// Folds what is left in the `-wal` file into the ledger, as a server does that stops, and waits until the file is gone.
async fn folded(bed: &Bed) {
    let gone = async || {
        let file = rusqlite::Connection::open(bed.path("data/ledger.sqlite3")).unwrap();
        let _: i64 = file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
        drop(file);
        !bed.path("data/ledger.sqlite3-wal").exists()
    };
    until("the ledger is one file", Duration::from_secs(20), String::new, gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_answer_beside_a_server_and_without_one_and_to_a_user_who_may_not_write_and_has_no_secret() {
    let bed = Bed::new(2).await;
    let serve = bed.serve();
    bed.ready().await;
    let run = bed.github.dispatch("acme/shop", jobs(1, Duration::from_millis(50))).unwrap();
    let job = bed.github.jobs(run)[0].id.to_string();
    let recorded = async || {
        let why = bed.run(&["why", &job]);
        String::from_utf8_lossy(&why.stdout).contains("completed") && bed.machines_alive().is_empty()
    };
    until("the job's end is recorded", Duration::from_secs(60), || bed.log(), recorded).await;

    // The server has read them.
    std::fs::remove_file(bed.path("app.pem")).unwrap();
    std::fs::remove_file(bed.path("secret")).unwrap();
    let story = succeeded(&bed.run(&["why", &job]));
    assert!(story.contains("completed"), "{story}");
    assert!(succeeded(&bed.run(&["status"])).contains("linux: "));
    assert_eq!(serve.stop().await, Some(0), "{}", bed.log());

    folded(&bed).await;
    let before = std::fs::read(bed.path("data/ledger.sqlite3")).unwrap();
    assert_eq!(succeeded(&bed.run(&["why", &job])), story, "it is the same story when the server is stopped");
    let status = succeeded(&bed.run(&["status", "--json"]));
    assert_eq!(std::fs::read(bed.path("data/ledger.sqlite3")).unwrap(), before, "reading changes nothing");

    folded(&bed).await;
    let program = locked(&bed);
    let before = content(&bed);
    assert_eq!(succeeded(&read(&bed, as_reader(&program), &["why", &job])), story);
    assert_eq!(succeeded(&read(&bed, as_reader(&program), &["status", "--json"])), status);
    assert!(content(&bed) == before, "the directory is as it was");
    mode(&bed.path("data"), 0o755);
}

#[tokio::test]
async fn a_ledger_of_the_first_version_is_read_and_stays_as_it_is_and_nothing_is_made() {
    let bed = Bed::new(2).await;
    std::fs::remove_file(bed.path("app.pem")).unwrap();
    std::fs::create_dir(bed.path("data")).unwrap();
    let path = bed.path("data/ledger.sqlite3");
    drop(SqliteStore::open(&path, Arc::new(SystemClock)).unwrap());
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch("DROP TABLE shelf; DELETE FROM kv WHERE key = 'shelf_writes'; PRAGMA user_version = 1;")
        .unwrap();
    drop(file);
    folded(&bed).await;
    let program = locked(&bed);
    let before = content(&bed);
    assert!(succeeded(&read(&bed, as_reader(&program), &["status"])).contains("no job is open"));
    assert_eq!(read(&bed, as_reader(&program), &["why", "77"]).status.code(), Some(1), "no such job");
    assert!(content(&bed) == before, "the directory is as it was");
    assert!(!bed.path("machines").exists());
    mode(&bed.path("data"), 0o755);
}

#[tokio::test]
async fn a_ledger_that_was_not_closed_is_never_read_without_its_last_changes() {
    let bed = Bed::new(2).await;
    std::fs::create_dir(bed.path("data")).unwrap();
    let (made, path) = (bed.path("made.sqlite3"), bed.path("data/ledger.sqlite3"));
    let _store = SqliteStore::open(&made, Arc::new(SystemClock)).unwrap();
    for end in ["", "-wal"] {
        let name = |path: &Path| PathBuf::from(format!("{}{end}", path.display()));
        std::fs::copy(name(&made), name(&path)).unwrap();
    }
    let program = locked(&bed);
    let output = read(&bed, as_reader(&program), &["status"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("was not closed") && text.contains("hint:"), "{text}");
    mode(&bed.path("data"), 0o755);
}
