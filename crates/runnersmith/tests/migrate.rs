//! `runnersmith migrate` as its user runs it: exit codes, both outputs, and that no file is touched.

use std::path::Path;
use std::process::{Command, Output};

fn migrate(directory: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_runnersmith")).arg("migrate").arg(directory).args(more).output().unwrap()
}

#[test]
fn the_exit_code_says_whether_something_is_left_to_do() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("main.tf");
    let text = "module \"runners\" {\n  source = \"philips-labs/github-runner/aws\"\n  pool_config = var.pool\n}\n";
    std::fs::write(&file, text).unwrap();
    let said = migrate(home.path(), &[]);
    let shown = String::from_utf8_lossy(&said.stdout).into_owned();
    assert_eq!(said.status.code(), Some(1), "{shown}");
    assert!(shown.contains("pool_config: idle_config") && shown.contains("vpc_id"), "{shown}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);

    let said = migrate(home.path(), &["--json"]);
    let report: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(report["blocks"][0]["name"], "runners");

    let complete = "aws_region = \"eu-west-1\"\nvpc_id = \"vpc-1\"\nsubnet_ids = []\nenvironment = \"new\"\n\
                    github_app = {}\nenable_organization_runners = true\n";
    std::fs::write(&file, text.replace("pool_config = var.pool\n", complete)).unwrap();
    assert_eq!(migrate(home.path(), &[]).status.code(), Some(0));
    // A zip of Node.js is refused when planning: somebody has to do something.
    std::fs::write(
        &file,
        text.replace("pool_config = var.pool\n", &format!("{complete}runners_lambda_zip = \"a.zip\"\n")),
    )
    .unwrap();
    assert_eq!(migrate(home.path(), &[]).status.code(), Some(1));
}

#[test]
fn a_link_is_read_as_terraform_reads_it() {
    let (home, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let block = "\u{feff}module \"linked\" {\n  source = \"philips-labs/github-runner/aws\"\n}\n";
    std::fs::write(elsewhere.path().join("runners"), block).unwrap();
    std::fs::write(home.path().join("other.tf"), "locals {}\n").unwrap();
    std::os::unix::fs::symlink(elsewhere.path().join("runners"), home.path().join("main.tf")).unwrap();
    let said = migrate(home.path(), &[]);
    let shown = String::from_utf8_lossy(&said.stdout).into_owned();
    assert_eq!(said.status.code(), Some(1), "{shown}");
    assert!(shown.contains("module \"linked\" in main.tf"), "{shown}");

    std::fs::remove_file(elsewhere.path().join("runners")).unwrap();
    let said = migrate(home.path(), &[]);
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert_eq!(said.status.code(), Some(4), "{text}");
    assert!(text.contains("main.tf"), "{text}");
}

#[test]
fn a_directory_without_terraform_is_an_error_with_a_hint() {
    let home = tempfile::tempdir().unwrap();
    for directory in [home.path().to_owned(), home.path().join("none")] {
        let said = migrate(&directory, &[]);
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert_eq!(said.status.code(), Some(4), "{text}");
        assert!(text.contains("hint:"), "{text}");
    }
}
