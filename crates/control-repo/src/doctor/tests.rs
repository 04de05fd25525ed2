//! What follows from settings as they were read, without a GitHub.

use super::*;
use crate::{Wishes, lay_out};

fn environment() -> EnvironmentFacts {
    EnvironmentFacts {
        branches: Ok(Some(vec!["main".into()])),
        reviewers: 0,
        wait_minutes: 0,
        secrets: Ok(vec!["APP_ID".into(), "APP_KEY_BASE64".into()]),
    }
}

/// As `init` lays it out and `operating.md` sets it up.
pub(super) fn good() -> ControlRepoFacts {
    let rules = RuleSource {
        needs_pull: true,
        needs_code_owners: true,
        dismisses_stale: true,
        refuses_force_pushes: true,
        refuses_deletion: true,
        bypass: Ok(Vec::new()),
    };
    ControlRepoFacts {
        repository: "acme/control".into(),
        server: "https://github.com".into(),
        branch: "main".into(),
        facts: RepositoryFacts { visibility: Visibility::Private, is_archived: false, has_issues: true },
        plan: Ok("team".into()),
        labels: RequestKind::ALL.into_iter().map(|kind| (kind.label().to_owned(), Ok(true))).collect(),
        environments: Ok(ENVIRONMENTS.map(|name| (name.to_owned(), environment())).into()),
        secret_names: SecretNames {
            app_id: "APP_ID".into(),
            client_id: "APP_CLIENT_ID".into(),
            key_base64: "APP_KEY_BASE64".into(),
        },
        actions: Ok(ActionsFacts { is_enabled: true, allowed: "all".into(), verified: false, patterns: Vec::new() }),
        opens_pulls: Ok(true),
        workflow: Ok(Some("active".into())),
        workflow_text: Ok(Some(workflow(&with_roles()))),
        protection: Ok(BranchFacts { methods: vec!["merge".into()], sources: vec![rules], ..BranchFacts::default() }),
        code_owners: Ok(Some("* @acme/platform\n/actions-runner-envs/\n/actions-runner-envs-archive/\n".into())),
        code_owner_errors: Ok(Vec::new()),
        policy: Ok(Ok(())),
        folders: Folders::of(None),
        app: Ok(AppFacts { lacks: Vec::new(), page: "https://github.com/apps".into() }),
    }
}

fn without_roles() -> Wishes {
    Wishes {
        repository: Some("acme/control".into()),
        organizations: vec!["acme".into()],
        region: Some("eu-west-1".into()),
        vpc: Some("vpc-0123456789abcdef0".into()),
        subnets: vec!["subnet-0123456789abcdef0".into()],
        bucket: Some("states".into()),
        source: Some("acme/runnersmith".into()),
        ..Wishes::default()
    }
}

fn with_roles() -> Wishes {
    let role = |name: &str| Some(format!("arn:aws:iam::123456789012:role/{name}"));
    Wishes { plan_role_arn: role("plan"), apply_role_arn: role("apply"), ..without_roles() }
}

/// As `init` writes it.
fn workflow(wishes: &Wishes) -> String {
    lay_out(wishes, None).expect("wishes that can be laid out").remove(crate::WORKFLOW_FILE).expect("a workflow")
}

/// A row's health and what it says is there.
pub(super) fn health_of(found: &ControlRepoFacts, setting: &str) -> (Health, String) {
    let rows = diagnose(found);
    let row = rows.iter().find(|row| row.setting == setting).unwrap_or_else(|| panic!("no row {setting}: {rows:#?}"));
    (row.health, row.is.clone())
}

#[test]
fn what_is_set_up_is_good_in_every_row() {
    let bad: Vec<Diagnosis> = diagnose(&good()).into_iter().filter(|row| row.health != Health::Good).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn an_internal_repository_is_not_called_private() {
    let mut found = good();
    for (visibility, word) in [(Visibility::Internal, "internal"), (Visibility::Public, "public")] {
        found.facts.visibility = visibility;
        let (health, is) = health_of(&found, "visibility");
        assert!(health == Health::Advice && is.starts_with(word), "{health:?}: {is}");
    }
    found.facts.visibility = Visibility::Internal;
    found.plan = Ok("free".into());
    assert_eq!(health_of(&found, "plan").0, Health::Missing, "only public ones depend on no plan");
}

#[test]
fn code_owners_by_a_pattern_that_is_not_read_are_unknown_and_wrong_ones_missing() {
    let mut found = good();
    let ours = found.code_owners.clone().expect("read").expect("there");
    for (more, expected) in [
        ("/docs/*.md @acme/writers", Health::Good),
        (".github/workflows/*.yml", Health::Unknown),
        ("/actions-runner-envs/*/main.tf @acme/platform", Health::Unknown),
        (".github/workflows/*.yml\n/bootstrap/", Health::Missing),
    ] {
        found.code_owners = Ok(Some(format!("{ours}{more}\n")));
        let (health, is) = health_of(&found, "code owners");
        assert_eq!(health, expected, "{more}: {is}");
    }
}

#[test]
fn a_key_of_plans_that_one_environment_has_and_the_other_has_not_is_missing() {
    let mut found = good();
    let with_key = EnvironmentFacts {
        secrets: Ok(["APP_ID", "APP_KEY_BASE64", "RUNNERSMITH_PLAN_KEY"].map(str::to_owned).into()),
        ..environment()
    };
    let mut set = |name: &str| {
        found.environments.as_mut().expect("read").insert(name.to_owned(), with_key.clone());
        health_of(&found, "key of plans")
    };
    let missing = (Health::Missing, "RUNNERSMITH_PLAN_KEY is missing in runnersmith-apply".to_owned());
    assert_eq!(set("runnersmith-plan"), missing);
    assert_eq!(set("runnersmith-apply").0, Health::Good);
}

#[test]
fn keys_of_aws_are_needed_where_the_workflow_takes_no_role() {
    let mut found = good();
    found.workflow_text = Ok(Some(workflow(&without_roles())));
    let (health, is) = health_of(&found, "runnersmith-apply: secrets");
    assert_eq!((health, is.as_str()), (Health::Missing, "without AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"));
    // One job's alone, by hand.
    let mixed = workflow(&with_roles()).replacen("steps:", "steps: # ${{ secrets.AWS_ACCESS_KEY_ID }}", 1);
    found.workflow_text = Ok(Some(mixed));
    let health = ENVIRONMENTS.map(|name| health_of(&found, &format!("{name}: secrets")).0);
    assert_eq!(health, [Health::Missing, Health::Good]);
    found.workflow_text = Err("not read".into());
    assert_eq!(health_of(&found, "runnersmith-plan: secrets").0, Health::Unknown);
}
