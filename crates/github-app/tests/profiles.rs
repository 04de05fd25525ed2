//! What is asked for, what an existing App lacks, and what the manifest says, each as a table that a reader can check.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use runnersmith_github_app::{
    AppOwner, AppProfile, AppRunners, Feature, ManifestText, Needs, feature_states, form_address, label, manifest,
    missing, superfluous,
};
use runnersmith_types::Owner;

fn shown(needs: &Needs) -> String {
    let mut text = String::new();
    for (name, access) in needs.permissions() {
        writeln!(text, "{name}: {}", access.word()).unwrap();
    }
    writeln!(text, "events: {}", needs.events().into_iter().collect::<Vec<_>>().join(", ")).unwrap();
    text
}

fn app(permissions: &[(&str, &str)], events: &[&str]) -> (BTreeMap<String, String>, Vec<String>) {
    let permissions = permissions.iter().map(|(name, word)| ((*name).to_owned(), (*word).to_owned())).collect();
    (permissions, events.iter().map(|event| (*event).to_owned()).collect())
}

fn compared(permissions: &[(&str, &str)], events: &[&str], needs: &Needs) -> String {
    let (permissions, events) = app(permissions, events);
    let mut text = String::new();
    for lack in missing(&permissions, &events, needs) {
        writeln!(text, "- {lack}").unwrap();
    }
    for extra in superfluous(&permissions, &events, needs) {
        writeln!(text, "+ {extra}").unwrap();
    }
    text
}

#[test]
fn the_minimal_profile_asks_for_what_runners_need_and_no_more() {
    insta::assert_snapshot!(shown(&Needs::new(AppProfile::Minimal, AppRunners::Organization)), @"
    actions: read
    metadata: read
    organization_self_hosted_runners: write
    events: workflow_job
    ");
    insta::assert_snapshot!(shown(&Needs::new(AppProfile::Minimal, AppRunners::Repository)), @"
    actions: read
    administration: write
    metadata: read
    events: workflow_job
    ");
    let old = Needs { old_servers: true, ..Needs::new(AppProfile::Minimal, AppRunners::Organization) };
    insta::assert_snapshot!(shown(&old), @"
    actions: read
    checks: read
    metadata: read
    organization_self_hosted_runners: write
    events: check_run, workflow_job
    ");
}

#[test]
fn the_full_profile_adds_telling_and_running_again() {
    insta::assert_snapshot!(shown(&Needs::new(AppProfile::Full, AppRunners::Both)), @"
    actions: write
    administration: write
    checks: write
    metadata: read
    organization_self_hosted_runners: write
    events: workflow_job
    ");
}

#[test]
fn issueops_by_the_same_app_or_by_one_of_its_own() {
    let needs = Needs { issueops: true, ..Needs::new(AppProfile::Minimal, AppRunners::Organization) };
    insta::assert_snapshot!(shown(&needs), @"
    actions: read
    contents: write
    issues: write
    members: read
    metadata: read
    organization_self_hosted_runners: write
    pull_requests: write
    events: issue_comment, issues, pull_request, workflow_job
    ");
    let needs = Needs { issueops: true, app_webhook: false, ..Needs::new(AppProfile::Full, AppRunners::None) };
    insta::assert_snapshot!(shown(&needs), @"
    contents: write
    issues: write
    members: read
    metadata: read
    pull_requests: write
    events:
    ");
}

#[test]
fn an_app_without_a_webhook_of_its_own_needs_no_events() {
    let own = Needs {
        app_webhook: false,
        organization_webhook: true,
        ..Needs::new(AppProfile::Minimal, AppRunners::Organization)
    };
    insta::assert_snapshot!(shown(&own), @"
    actions: read
    metadata: read
    organization_hooks: write
    organization_self_hosted_runners: write
    events:
    ");
    let (permissions, events) = app(
        &[
            ("actions", "read"),
            ("metadata", "read"),
            ("organization_hooks", "write"),
            ("organization_self_hosted_runners", "write"),
        ],
        &[],
    );
    assert!(missing(&permissions, &events, &own).is_empty());
}

/// The philips-labs module's instructions, word for word.
#[test]
fn an_app_made_by_the_seeds_instructions_is_enough_for_the_minimal_profile() {
    let seed = [
        ("actions", "read"),
        ("checks", "read"),
        ("metadata", "read"),
        ("organization_administration", "write"),
        ("organization_self_hosted_runners", "write"),
    ];
    let events = ["check_run", "workflow_job"];
    insta::assert_snapshot!(compared(&seed, &events, &Needs::new(AppProfile::Minimal, AppRunners::Organization)), @"
    + Repository: Checks (read): the philips-labs module's instructions ask for it; nothing here needs it
    + Organization: Administration (read and write): the philips-labs module's instructions ask for it; nothing here needs it
    + event check_run: nothing here reads it
    ");
    insta::assert_snapshot!(compared(&seed, &["check_run"], &Needs::new(AppProfile::Full, AppRunners::Both)), @"
    - registering runners of a repository does not work without the permission Repository: Administration (read and write)
    - receiving jobs, and finding those whose delivery was lost does not work without the event workflow_job
    - notifying authors why their job does not run does not work without the permission Repository: Checks (read and write; it has read)
    - running interrupted jobs again does not work without the permission Repository: Actions (read and write; it has read)
    + Organization: Administration (read and write): the philips-labs module's instructions ask for it; nothing here needs it
    + event check_run: nothing here reads it
    ");
}

#[test]
fn what_is_too_much_is_listed_with_what_it_would_be_for() {
    let strong = [
        ("actions", "write"),
        ("checks", "write"),
        ("contents", "write"),
        ("metadata", "read"),
        ("organization_self_hosted_runners", "write"),
        ("secrets", "write"),
        ("something_new", "all"),
    ];
    let events = ["workflow_job", "push", "check_run"];
    insta::assert_snapshot!(compared(&strong, &events, &Needs::new(AppProfile::Minimal, AppRunners::Organization)), @"
    + Repository: Actions (read and write): only running interrupted jobs again would need it
    + Repository: Checks (read and write): only notifying authors why their job does not run would need it
    + Repository: Contents (read and write): only IssueOps by this App would need it
    + secrets (read and write): nothing here needs it
    + something_new (all): nothing here needs it
    + event push: nothing here reads it
    ");
}

#[test]
fn every_profile_is_satisfied_by_itself_with_nothing_to_spare() {
    for profile in [AppProfile::Minimal, AppProfile::Full] {
        for runners in [AppRunners::Organization, AppRunners::Repository, AppRunners::Both, AppRunners::None] {
            for bits in 0..32_u8 {
                let needs = Needs {
                    issueops: bits & 1 > 0,
                    old_servers: bits & 2 > 0,
                    app_webhook: bits & 4 > 0,
                    organization_webhook: bits & 8 > 0,
                    repository_webhook: bits & 16 > 0,
                    ..Needs::new(profile, runners)
                };
                let permissions =
                    needs.permissions().into_iter().map(|(name, access)| (name.to_owned(), access.word().to_owned()));
                let permissions: BTreeMap<String, String> = permissions.collect();
                let events: Vec<String> = needs.events().into_iter().map(str::to_owned).collect();
                assert_eq!(missing(&permissions, &events, &needs), [], "{needs:?}");
                assert_eq!(superfluous(&permissions, &events, &needs), [], "{needs:?}");
                for name in permissions.keys().filter(|name| *name != "metadata") {
                    let mut weaker = permissions.clone();
                    weaker.remove(name);
                    assert!(!missing(&weaker, &events, &needs).is_empty(), "{needs:?} works without {name}");
                }
            }
        }
    }
}

#[test]
fn every_permission_has_the_name_of_githubs_settings_page() {
    for feature in Feature::ALL {
        for (name, _) in feature.permissions() {
            assert!(label(name).contains(": "), "{name}");
        }
    }
    assert_eq!(
        feature_states(&BTreeMap::new(), &[], &Needs::new(AppProfile::Full, AppRunners::Both)).len(),
        Feature::ALL.len()
    );
}

#[test]
fn the_manifest_says_it_all_and_the_form_goes_to_the_owners_page() {
    let text = ManifestText {
        name: "runnersmith-acme",
        url: "https://github.com/acme",
        redirect_url: "http://127.0.0.1:9/callback",
        webhook_url: None,
    };
    let made = manifest(&Needs::new(AppProfile::Minimal, AppRunners::Organization), &text);
    insta::assert_snapshot!(serde_json::to_string_pretty(&made).unwrap(), @r#"
    {
      "callback_urls": [],
      "default_events": [
        "workflow_job"
      ],
      "default_permissions": {
        "actions": "read",
        "metadata": "read",
        "organization_self_hosted_runners": "write"
      },
      "description": "Self-hosted runners that come when a job is queued and are gone when it is done.",
      "hook_attributes": {
        "active": true,
        "url": "https://address-not-set-yet.example.com/webhook"
      },
      "name": "runnersmith-acme",
      "public": false,
      "redirect_url": "http://127.0.0.1:9/callback",
      "request_oauth_on_install": false,
      "url": "https://github.com/acme"
    }
    "#);
    let acme = Owner::parse("acme").unwrap();
    let org = form_address("https://github.acme.corp/", &AppOwner::Organization(acme.clone()), "s");
    assert_eq!(org, "https://github.acme.corp/organizations/acme/settings/apps/new?state=s");
    assert_eq!(
        form_address("https://github.com", &AppOwner::User(acme), "s"),
        "https://github.com/settings/apps/new?state=s"
    );
}

#[test]
fn the_documentation_has_every_permission_of_both_profiles() {
    let text = include_str!("../../../docs/github-app.md");
    let profile = |profile| Needs::new(profile, AppRunners::Both).permissions();
    let (minimal, full) = (profile(AppProfile::Minimal), profile(AppProfile::Full));
    for (name, access) in &full {
        let least = minimal.get(name).map_or_else(|| "–".to_owned(), ToString::to_string);
        let row = format!("| {} | {least} | {access} |", label(name));
        assert!(text.contains(&row), "docs/github-app.md lacks {row:?}");
    }
    for (name, _) in Feature::ALL.iter().flat_map(|feature| feature.permissions()) {
        let label = label(name);
        let (_, short) = label.split_once(": ").unwrap();
        assert!(text.contains(short), "docs/github-app.md lacks {label}");
    }
}
