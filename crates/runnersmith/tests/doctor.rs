//! `runnersmith issueops doctor` as an admin runs it, against a simulated control repository: all is good, and each setting that is not is
//! named with what to do.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::process::{Command, Stdio};

use runnersmith_control_repo::{Wishes, lay_out};
use runnersmith_github_sim::{
    App, BranchRules, ClassicProtection, EnvironmentSetup, Options, RepositorySetup, Simulator,
};
use runnersmith_issueops::request::RequestKind;
use serde_json::Value;

const REPO: &str = "acme/control";

struct Bed {
    github: Simulator,
    app: u64,
    key: String,
}

/// What keeps a pull request from being merged unseen, and lets the handler merge.
fn rules() -> BranchRules {
    BranchRules { pull_request: Some((0, true)), no_force_pushes: true, no_deletion: true, ..BranchRules::default() }
}

fn environment() -> EnvironmentSetup {
    let secrets = ["APP_ID", "APP_KEY_BASE64", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].into();
    EnvironmentSetup { branches: Some(vec!["main"]), secrets, ..EnvironmentSetup::default() }
}

fn good() -> RepositorySetup {
    RepositorySetup {
        plan: Some("team"),
        labels: RequestKind::ALL.map(|kind| kind.label()).into(),
        environments: [("runnersmith-plan", environment()), ("runnersmith-apply", environment())].into(),
        workflow: Some("active"),
        ..RepositorySetup::default()
    }
}

impl Bed {
    /// A control repository as `init` lays it out, with everything set up that no file can.
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let github = Simulator::start(Options::default()).await.unwrap();
        github.add_org("acme");
        github.add_repository(REPO);
        github.set_role(REPO, "adam", "admin");
        github.set_role(REPO, "walt", "write");
        let wishes = Wishes {
            repository: Some(REPO.into()),
            organizations: vec!["acme".into()],
            region: Some("eu-west-1".into()),
            vpc: Some("vpc-0123456789abcdef0".into()),
            subnets: vec!["subnet-0123456789abcdef0".into()],
            bucket: Some("states".into()),
            source: Some("acme/runnersmith".into()),
            platform_team: Some("acme/platform".into()),
            ..Wishes::default()
        };
        let files = lay_out(&wishes, None).unwrap();
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        github.write_files(REPO, "main", &files);
        github.set_up(REPO, |setup| *setup = good());
        github.set_rules(REPO, rules());
        let key = runnersmith_github_sim::app_key();
        let app =
            App { slug: "smith".into(), private_key_pem: key.clone(), webhook_secret: "s".into(), webhook_url: None };
        let app = github.add_app(app).unwrap();
        github.install(app, "acme");
        Self { github, app, key }
    }

    /// The exit code and the table, by setting.
    fn doctor(&self, login: &str) -> (i32, Vec<Value>) {
        let said = self.run(login, &["--json"]);
        let report: Value = serde_json::from_slice(&said.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&said.stderr)));
        (said.status.code().unwrap(), report["settings"].as_array().unwrap().clone())
    }

    fn run(&self, login: &str, more: &[&str]) -> std::process::Output {
        let base = self.github.base_url();
        let mut command = Command::new(env!("CARGO_BIN_EXE_runnersmith"));
        command.env_clear().stdin(Stdio::null());
        command.env("GH_TOKEN", self.github.user_token(login)).env("ENTERPRISE_SERVER_URL", &base);
        command.env("APP_ID", self.app.to_string()).env("APP_KEY_BASE64", &self.key);
        command.args(["issueops", "--repository", REPO, "--server-url", &base, "doctor"]).args(more).output().unwrap()
    }
}

fn row<'r>(rows: &'r [Value], setting: &str) -> &'r Value {
    rows.iter().find(|row| row["setting"] == setting).unwrap_or_else(|| panic!("no row {setting}: {rows:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_set_up_is_good_in_every_row() {
    let bed = Bed::new().await;
    let (code, rows) = bed.doctor("adam");
    let bad: Vec<&Value> = rows.iter().filter(|row| row["health"] != "good").collect();
    assert!(bad.is_empty() && code == 0, "{code}: {bad:#?}");
    assert!(rows.len() > 20, "{rows:#?}");
    let shown = String::from_utf8(bed.run("adam", &[]).stdout).unwrap();
    assert!(shown.ends_with(&format!("0 missing, 0 unknown, {} good\n", rows.len())), "{shown}");
    assert!(shown.contains("good     runnersmith-plan: branches") && !shown.contains("why:"), "{shown}");
}

/// One rule is wrong, and the setting that says so.
type WrongRule = (fn(&mut BranchRules), &'static str);

/// One thing is wrong: the setting, what is said of it, and what to do.
type Wrong = (fn(&mut RepositorySetup), &'static str, &'static str, &'static str);

#[tokio::test(flavor = "multi_thread")]
async fn each_setting_that_is_wrong_is_missing_and_said_with_what_to_do() {
    let bed = Bed::new().await;
    let wrong: [Wrong; 12] = [
        (|setup| setup.plan = Some("free"), "plan", "free", "take GitHub Team"),
        (|setup| setup.archived = true, "archived", "yes", "unarchive"),
        (|setup| setup.no_issues = true, "issues", "off", "switch Issues on"),
        (
            |setup| _ = setup.labels.pop_first(),
            "label delete-self-hosted-runner-scale-set",
            "not there",
            "gh label create delete-self-hosted-runner-scale-set --repo acme/control",
        ),
        (
            |setup| _ = setup.environments.remove("runnersmith-apply"),
            "environment runnersmith-apply",
            "not there",
            "/settings/environments",
        ),
        (
            |setup| setup.environments.get_mut("runnersmith-plan").unwrap().branches = None,
            "runnersmith-plan: branches",
            "every branch",
            "only main",
        ),
        (
            |setup| setup.environments.get_mut("runnersmith-plan").unwrap().branches = Some(vec!["main", "*"]),
            "runnersmith-plan: branches",
            "*, main",
            "only main",
        ),
        (
            |setup| setup.environments.get_mut("runnersmith-apply").unwrap().secrets = ["APP_ID"].into(),
            "runnersmith-apply: secrets",
            "without APP_KEY_BASE64",
            "gh secret set APP_KEY_BASE64 --repo acme/control --env runnersmith-apply",
        ),
        (|setup| setup.actions_off = true, "actions", "off", "allow actions"),
        (
            |setup| setup.selected_actions = Some((false, vec!["hashicorp/*"])),
            "actions",
            "not allowed: aws-actions/configure-aws-credentials",
            "/settings/actions",
        ),
        (
            |setup| setup.workflow = Some("disabled_inactivity"),
            "workflow",
            "disabled_inactivity",
            "gh workflow enable runnersmith.yml --repo acme/control",
        ),
        (
            |setup| setup.code_owner_errors = vec!["Unknown owner on line 3"],
            "errors in CODEOWNERS",
            "Unknown owner",
            "write access",
        ),
    ];
    for (change, setting, is, fix) in wrong {
        bed.github.set_up(REPO, |setup| {
            *setup = good();
            change(setup);
        });
        let (code, rows) = bed.doctor("adam");
        let row = row(&rows, setting);
        let has = |field: &str, text: &str| row[field].as_str().unwrap().contains(text);
        let parts: Vec<&str> = is.split(", ").collect();
        assert!(row["health"] == "missing" && parts.iter().all(|part| has("is", part)), "{setting}: {row}");
        assert!(has("fix", fix), "{setting}: {row}");
        assert_eq!(code, 5, "{setting}");
        let others = rows.iter().filter(|other| other["health"] == "missing" && other["setting"] != setting).count();
        assert_eq!(others, 0, "{setting}: {rows:#?}");
    }
    bed.github.set_up(REPO, |setup| *setup = good());
    bed.github.forbid_pulls_by_actions(REPO);
    let (code, rows) = bed.doctor("adam");
    assert!(row(&rows, "pull requests by actions")["health"] == "missing" && code == 5, "{rows:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_rule_of_the_default_branch_that_is_not_there_or_in_the_way_is_missing() {
    let bed = Bed::new().await;
    let wrong: [WrongRule; 12] = [
        (|rules| rules.pull_request = None, "pull requests required"),
        (|rules| rules.pull_request = Some((0, false)), "review by code owners"),
        (|rules| rules.no_force_pushes = false, "force pushes"),
        (|rules| rules.no_deletion = false, "deletion"),
        (|rules| rules.keeps_stale_reviews = true, "reviews after a push"),
        (|rules| rules.bypass = vec![("Team", Some(9), "always")], "pull requests required"),
        (|rules| rules.bypass = vec![("Integration", Some(9), "pull_request")], "review by code owners"),
        (|rules| rules.last_push_approval = true, "nothing in the way of a merge"),
        (|rules| rules.pull_request = Some((1, true)), "nothing in the way of a merge"),
        (|rules| rules.required_checks = vec!["ci"], "nothing in the way of a merge"),
        (|rules| rules.merge_queue = true, "nothing in the way of a merge"),
        (|rules| rules.merge_methods = Some(Vec::new()), "ways of merging"),
    ];
    for (change, setting) in wrong {
        let mut changed = rules();
        change(&mut changed);
        bed.github.set_rules(REPO, changed);
        let (code, rows) = bed.doctor("adam");
        assert!(row(&rows, setting)["health"] == "missing" && code == 5, "{setting}: {rows:#?}");
    }
    // Classic protection says the same as rules, and is shown to admins only.
    bed.github.set_rules(REPO, BranchRules::default());
    let classic = ClassicProtection { code_owners: true, ..ClassicProtection::default() };
    bed.github.set_up(REPO, |setup| setup.protection = Some(classic));
    let (code, rows) = bed.doctor("adam");
    assert_eq!(code, 0, "{rows:#?}");
    bed.github.set_up(REPO, |setup| setup.protection.as_mut().unwrap().spares_admins = true);
    let (code, rows) = bed.doctor("adam");
    assert!(row(&rows, "review by code owners")["health"] == "advice" && code == 0, "{rows:#?}");
    let (_, rows) = bed.doctor("walt");
    for setting in ["pull requests required", "review by code owners", "nothing in the way of a merge"] {
        assert_eq!(row(&rows, setting)["health"], "unknown", "{rows:#?}");
    }
    let open = ClassicProtection {
        force_pushes: true,
        deletions: true,
        approvals: 2,
        checks: vec!["ci"],
        ..ClassicProtection::default()
    };
    bed.github.set_up(REPO, |setup| setup.protection = Some(open));
    let (_, rows) = bed.doctor("adam");
    for setting in ["review by code owners", "force pushes", "deletion", "nothing in the way of a merge"] {
        assert_eq!(row(&rows, setting)["health"], "missing", "{setting}: {rows:#?}");
    }
}

/// GitHub answers 403 and 404 to who may not ask; neither is ever good.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_read_is_unknown_and_never_good() {
    let bed = Bed::new().await;
    bed.github.set_up(REPO, |setup| setup.plan = None);
    let (code, rows) = bed.doctor("walt");
    for setting in ["plan", "runnersmith-plan: secrets", "actions", "pull requests by actions"] {
        let row = row(&rows, setting);
        assert!(row["health"] == "unknown" && row["is"].as_str().unwrap().contains("could not be read"), "{row}");
    }
    assert_eq!(code, 1, "nothing is known to be missing: {rows:#?}");
    for status in [403, 404, 500] {
        for (operation, settings) in [
            (
                "GET /repos/{owner}/{repo}/environments",
                &["environment runnersmith-plan", "environment runnersmith-apply"][..],
            ),
            ("GET /repos/{owner}/{repo}/codeowners/errors", &["errors in CODEOWNERS"]),
            ("GET /repos/{owner}/{repo}/branches/main", &["protection of the default branch"]),
            ("GET /repos/{owner}/{repo}/git/trees/{sha}", &["code owners", "policy"]),
            ("GET /app", &["GitHub App"]),
        ] {
            bed.github.set_faults(|faults| _ = faults.fail.insert(operation.to_owned(), (status, 50)));
            let (code, rows) = bed.doctor("adam");
            bed.github.set_faults(|faults| faults.fail.clear());
            for setting in settings {
                assert_eq!(row(&rows, setting)["health"], "unknown", "{status} {operation}: {rows:#?}");
            }
            assert_eq!(code, 1, "{status} {operation}: {rows:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_the_app_are_looked_at_too() {
    let bed = Bed::new().await;
    let owners = bed.github.files(REPO, "main")[".github/CODEOWNERS"].clone();
    let owners = String::from_utf8(owners).unwrap();
    for (text, is) in [
        (None, "there is no CODEOWNERS"),
        (Some(format!("{owners}/.github/\n")), "runnersmith.yml has none"),
        (Some("* @acme/platform\n".to_owned()), "actions-runner-envs/environment/main.tf has one"),
    ] {
        let file = (".github/CODEOWNERS", text.as_deref());
        bed.github.push_as(REPO, "main", "adam", &[file], "owners");
        let (code, rows) = bed.doctor("adam");
        let row = row(&rows, "code owners");
        assert!(row["health"] == "missing" && row["is"].as_str().unwrap().contains(is) && code == 5, "{row}");
    }
    let policy = String::from_utf8(bed.github.files(REPO, "main")["runnersmith-policy.toml"].clone()).unwrap();
    bed.github.push_as(REPO, "main", "adam", &[("runnersmith-policy.toml", Some("version = 1\n"))], "policy");
    let (_, rows) = bed.doctor("adam");
    assert_eq!(row(&rows, "policy")["health"], "missing", "{rows:#?}");
    let source = "module_source = \"git::https://github.com/acme/control.git//modules/runnersmith\"";
    let lines = policy.lines().map(|line| if line.starts_with("module_source") { source } else { line });
    let by_url = lines.collect::<Vec<_>>().join("\n");
    bed.github.push_as(REPO, "main", "adam", &[("runnersmith-policy.toml", Some(&by_url))], "policy");
    let (_, rows) = bed.doctor("adam");
    assert!(row(&rows, "policy")["is"].as_str().unwrap().contains("leads by a URL to this repository"), "{rows:#?}");
    bed.github.set_app_permissions(bed.app, &[("metadata", "read")], &["workflow_job"]);
    bed.github.accept_permissions("acme");
    let (_, rows) = bed.doctor("adam");
    let app = row(&rows, "GitHub App");
    assert!(app["health"] == "missing" && app["is"].as_str().unwrap().contains("Self-hosted runners"), "{app}");
    bed.github.set_up(REPO, |setup| setup.internal = true);
    let (_, rows) = bed.doctor("adam");
    assert!(row(&rows, "visibility")["is"].as_str().unwrap().starts_with("internal"), "{rows:#?}");
    bed.github.make_public(REPO);
    let (_, rows) = bed.doctor("adam");
    assert_eq!(row(&rows, "visibility")["health"], "advice", "{rows:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_not_found_is_said_with_a_hint() {
    let bed = Bed::new().await;
    bed.github.set_role(REPO, "nobody", "none");
    let said = bed.run("nobody", &[]);
    let text = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.code() == Some(4) && text.contains("hint:") && text.contains("--repository"), "{text}");
}
