//! `runnersmith init` as its user runs it: twice is no change, an edit is kept and reported, an upgrade reaches what nobody touched.

use std::path::Path;
use std::process::{Command, Output};

use runnersmith_control_repo::{MANIFEST_FILE, WORKFLOW_FILE};
use runnersmith_github_sim::{Options, Simulator};
use runnersmith_issueops::policy::{self, Policy};

const WISHES: [&str; 14] = [
    "--repository",
    "acme/runner-control",
    "--organization",
    "acme",
    "--region",
    "eu-west-1",
    "--vpc",
    "vpc-0123456789abcdef0",
    "--subnet",
    "subnet-0123456789abcdef0",
    "--bucket",
    "acme-runner-states",
    "--source",
    "acme/runnersmith",
];
const FORM: &str = ".github/ISSUE_TEMPLATE/self-hosted-runner-scale-set.yml";

fn init(home: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runnersmith"));
    // GitHub is asked only where a test brings one.
    command.env_remove("GH_TOKEN").env_remove("GITHUB_TOKEN").arg("init").arg(home).args(more).output().unwrap()
}

/// The exit code and what was said.
fn outcome(home: &Path, more: &[&str]) -> (i32, String) {
    let said = init(home, more);
    let text = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    (said.status.code().unwrap(), text)
}

fn read(home: &Path, path: &str) -> String {
    std::fs::read_to_string(home.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn edit(home: &Path, path: &str, from: &str, to: &str) {
    let (old, new) = (read(home, path), read(home, path).replace(from, to));
    assert_ne!(old, new, "{path} has no {from}");
    std::fs::write(home.join(path), new).unwrap();
}

/// Every file with its content.
fn tree(home: &Path) -> Vec<(String, Vec<u8>)> {
    fn walk(below: &Path, home: &Path, found: &mut Vec<(String, Vec<u8>)>) {
        for entry in std::fs::read_dir(below).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, home, found);
            } else {
                let name = path.strip_prefix(home).unwrap().display().to_string();
                found.push((name, std::fs::read(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    walk(home, home, &mut found);
    found.sort();
    found
}

fn laid_out() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let (code, text) = outcome(home.path(), &WISHES);
    assert_eq!(code, 0, "{text}");
    home
}

#[test]
fn a_second_run_needs_no_options_and_changes_nothing() {
    let home = laid_out();
    let before = tree(home.path());
    // The manifest is not shown when it does not change.
    let same = format!("{} as they should be", before.len() - 1);
    assert!(before.len() > 15 && before.iter().any(|(path, _)| path == WORKFLOW_FILE));
    Policy::parse(&read(home.path(), policy::FILE)).unwrap();
    for more in [&[][..], &["--check"], &WISHES] {
        let (code, text) = outcome(home.path(), more);
        assert_eq!(code, 0, "{text}");
        assert!(text.starts_with(&same), "{text}");
        assert_eq!(tree(home.path()), before);
    }
}

#[test]
fn a_first_run_says_what_no_file_can_do() {
    let home = tempfile::tempdir().unwrap();
    let (_, text) = outcome(home.path(), &WISHES);
    assert!(text.contains("gh label create self-hosted-runner-scale-set --repo acme/runner-control"), "{text}");
    assert!(text.contains("gh label create delete-self-hosted-runner-scale-set"), "{text}");
    assert!(text.contains("--binary-sha256") && text.contains("static keys"), "{text}");
    // One writer could otherwise change the workflow alone, and nothing would say so.
    assert!(text.contains("nobody owns workflow, policy, module and zips"), "{text}");
    let (_, text) = outcome(home.path(), &["--platform-team", "acme/platform"]);
    assert!(!text.contains("nobody owns"), "{text}");
}

/// GitHub finds a repository in any spelling; AWS compares tokens' claims with case, and those of new repositories have ids.
#[test]
fn the_ids_and_the_spelling_of_the_repository_are_githubs_where_it_can_be_asked() {
    let home = tempfile::tempdir().unwrap();
    let (_, text) = outcome(home.path(), &WISHES);
    assert!(text.contains("gh api repos/acme/runner-control --jq"), "how to find out is said: {text}");
    let bootstrap = read(home.path(), "bootstrap/main.tf");
    assert!(bootstrap.contains("repository_id  = null\n  owner_id       = null\n"), "{bootstrap}");

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let github = runtime.block_on(Simulator::start(Options::default())).unwrap();
    github.add_org("Acme");
    github.add_repository("Acme/Runner-Control");
    github.set_role("Acme/Runner-Control", "octocat", "admin");
    let ask = |token: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runnersmith"));
        let said = command.arg("init").arg(home.path()).args(["--api-url", &github.base_url()]).env("GH_TOKEN", token);
        let said = said.output().unwrap();
        (said.status.code().unwrap(), String::from_utf8_lossy(&said.stdout).into_owned())
    };
    let (code, text) = ask("not-one-of-its-tokens");
    assert!(code == 0 && text.contains("numbers are not known (") && text.contains("Bad credentials"), "{text}");
    let (code, text) = ask(&github.user_token("octocat"));
    assert!(code == 0 && !text.contains("numbers are not known"), "{text}");
    let bootstrap = read(home.path(), "bootstrap/main.tf");
    assert!(bootstrap.contains("repository     = \"Acme/Runner-Control\"\n"), "{bootstrap}");
    assert!(!bootstrap.contains("= null\n  owner_id"), "{bootstrap}");
    // It is asked once; the name in another spelling changes nothing.
    let before = tree(home.path());
    assert_eq!(outcome(home.path(), &WISHES).0, 0);
    assert_eq!(tree(home.path()), before);
}

#[test]
fn each_github_has_its_own_issuer_and_a_server_of_ones_own_needs_machines() {
    let with = |server: &str, more: &[&str]| {
        let home = tempfile::tempdir().unwrap();
        let ids = ["--repository-id", "7", "--owner-id", "8"];
        let (code, text) = outcome(home.path(), &[&WISHES[..], &ids, &["--server-url", server], more].concat());
        let main = if code == 0 { read(home.path(), "bootstrap/main.tf") } else { String::new() };
        (code, text, main)
    };
    let (_, _, main) = with("https://github.com", &[]);
    assert!(
        main.contains("\"https://token.actions.githubusercontent.com\"") && main.contains("runnersmith.yml"),
        "{main}"
    );
    let (_, _, main) = with("https://acme.ghe.com", &[]);
    assert!(
        main.contains("issuer         = \"https://token.actions.acme.ghe.com\"") && main.contains("owner_id       = 8")
    );
    assert!(main.contains("workflow       = null"), "{main}");
    let (code, text, _) = with("https://github.example.com", &[]);
    assert!(code != 0 && text.contains("--runs-on"), "{text}");
    let (_, _, main) = with("https://github.example.com", &["--runs-on", "own-hosted"]);
    assert!(main.contains("\"https://github.example.com/_services/token\"") && main.contains("owner_id       = null"));
}

#[test]
fn only_showing_writes_nothing_and_ends_with_one_if_something_would_change() {
    let home = tempfile::tempdir().unwrap();
    let place = home.path().join("new");
    let (code, text) = outcome(&place, &[&WISHES[..], &["--check"]].concat());
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("Nothing was written") && !place.exists(), "{text}");
}

#[test]
fn an_upgrade_reaches_files_that_nobody_edited_and_shows_what_changes() {
    let home = laid_out();
    let roles = [
        "--plan-role-arn",
        "arn:aws:iam::123456789012:role/runnersmith-plan",
        "--apply-role-arn",
        "arn:aws:iam::123456789012:role/runnersmith-apply",
    ];
    let (code, text) = outcome(home.path(), &[&roles[..], &["--check"]].concat());
    assert_eq!(code, 1, "{text}");
    let (code, text) = outcome(home.path(), &roles);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("updated       .github/workflows/runnersmith.yml"), "{text}");
    assert!(text.contains("+          role-to-assume: \"arn:aws:iam::123456789012:role/runnersmith-plan\""), "{text}");
    assert!(read(home.path(), WORKFLOW_FILE).contains("role/runnersmith-apply"));
    assert_eq!(outcome(home.path(), &["--check"]).0, 0);
    // An empty text takes it back.
    assert_eq!(outcome(home.path(), &["--plan-role-arn", "", "--apply-role-arn", ""]).0, 0);
    assert!(!read(home.path(), WORKFLOW_FILE).contains("role-to-assume"));
}

#[test]
fn an_edited_file_is_kept_and_reported_and_taken_over_only_by_name() {
    let home = laid_out();
    edit(home.path(), WORKFLOW_FILE, "timeout-minutes: 60", "timeout-minutes: 30");
    let mine = read(home.path(), WORKFLOW_FILE);
    let (code, text) = outcome(home.path(), &[]);
    assert_eq!(code, 0, "ours did not change: {text}");
    assert!(text.contains("kept          .github/workflows/runnersmith.yml"), "{text}");

    let (code, text) = outcome(home.path(), &["--runs-on", "ubuntu-24.04"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("kept, look    .github/workflows/runnersmith.yml"), "{text}");
    assert!(text.contains("-    runs-on: ubuntu-latest\n") && text.contains("+    runs-on: ubuntu-24.04\n"), "{text}");
    assert_eq!(read(home.path(), WORKFLOW_FILE), mine);
    // What was reported is not reported again.
    assert_eq!(outcome(home.path(), &[]).0, 0);

    let (code, text) = outcome(home.path(), &["--replace", WORKFLOW_FILE]);
    assert_eq!(code, 0, "{text}");
    let ours = read(home.path(), WORKFLOW_FILE);
    assert!(ours.contains("ubuntu-24.04") && ours.contains("timeout-minutes: 60"));
    let (code, text) = outcome(home.path(), &["--replace", "nothing.txt"]);
    assert!(code == 2 && text.contains("hint:"), "{code} {text}");
}

#[test]
fn what_was_there_before_is_the_users() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("README.md"), "Mine.\n").unwrap();
    let (code, text) = outcome(home.path(), &WISHES);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("kept, look    README.md") && text.contains("-Mine."), "{text}");
    assert_eq!(read(home.path(), "README.md"), "Mine.\n");
    assert!(home.path().join(WORKFLOW_FILE).exists());
}

#[test]
fn the_forms_follow_the_policy_that_the_user_edited() {
    let home = laid_out();
    edit(
        home.path(),
        policy::FILE,
        "# instance_types = [\"m5.large\"]",
        "instance_types = [\"c7i.large\", \"m7i.xlarge\"]",
    );
    let mine = read(home.path(), policy::FILE);
    assert!(!read(home.path(), FORM).contains("c7i.large"));
    let (code, text) = outcome(home.path(), &[]);
    assert_eq!(code, 0, "{text}");
    assert!(read(home.path(), FORM).contains("- \"c7i.large\"\n        - \"m7i.xlarge\"\n      default: 0"), "{text}");
    assert_eq!(read(home.path(), policy::FILE), mine);

    edit(home.path(), policy::FILE, "c7i.large", "huge");
    let (code, text) = outcome(home.path(), &[]);
    assert!(code == 3 && text.contains("huge") && text.contains("hint:"), "{code} {text}");
}

#[test]
fn a_deleted_file_stays_away_and_one_that_is_not_laid_out_any_more_goes() {
    let home = tempfile::tempdir().unwrap();
    outcome(home.path(), &[&WISHES[..], &["--platform-team", "acme/platform"]].concat());
    assert!(read(home.path(), ".github/CODEOWNERS").contains("\n* @acme/platform\n"));
    std::fs::remove_file(home.path().join("docs/approving.md")).unwrap();
    let (code, text) = outcome(home.path(), &["--platform-team", ""]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("stays deleted docs/approving.md") && text.contains("removed       .github/CODEOWNERS"),
        "{text}"
    );
    assert!(!home.path().join(".github/CODEOWNERS").exists() && !home.path().join("docs/approving.md").exists());
    outcome(home.path(), &["--replace", "docs/approving.md"]);
    assert!(home.path().join("docs/approving.md").exists());
}

#[test]
fn the_report_as_json_has_every_file() {
    let home = tempfile::tempdir().unwrap();
    let said = init(home.path(), &[&WISHES[..], &["--json"]].concat());
    let report: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(report["changes"], true);
    assert!(report["files"].as_array().unwrap().iter().all(|step| step["what"] == "create"), "{report}");
    let said = init(home.path(), &["--json"]);
    let report: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(report["changes"], false);
}

#[test]
fn what_is_missing_or_foreign_is_an_error_with_a_hint_and_touches_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (code, text) = outcome(home.path(), &[]);
    assert!(
        code == 2 && text.contains("--repository") && text.contains("--bucket") && text.contains("hint:"),
        "{text}"
    );
    assert_eq!(tree(home.path()), []);

    // A manifest is a file that others may have written.
    let home = laid_out();
    edit(home.path(), MANIFEST_FILE, "\"docs/approving.md\"", "\"../victim\"");
    let (code, text) = outcome(home.path(), &[]);
    assert!(code == 3 && text.contains("../victim") && text.contains("hint:"), "{code} {text}");

    // And a link could lead anywhere.
    let home = laid_out();
    let outside = tempfile::tempdir().unwrap();
    std::fs::remove_dir_all(home.path().join("docs")).unwrap();
    std::os::unix::fs::symlink(outside.path(), home.path().join("docs")).unwrap();
    let (code, text) = outcome(home.path(), &["--replace", "docs/approving.md"]);
    assert!(code == 4 && text.contains("symbolic link"), "{code} {text}");
    assert_eq!(tree(outside.path()), []);
}
