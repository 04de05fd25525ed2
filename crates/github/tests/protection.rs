//! What protects a branch and whom that does not bind, as an admin, a writer and an App read it.

use std::sync::Arc;

use runnersmith_github::settings::{ProtectionView, RepositoryVisibility};
use runnersmith_github::{ControlClient, GitHubClient, GitHubConfig};
use runnersmith_github_sim::{BranchRules, ClassicProtection, Options, RepositorySetup, Simulator};
use runnersmith_ports::SystemClock;
use runnersmith_types::{RepoFullName, Secret};

const REPO: &str = "acme/control";

async fn simulator() -> Simulator {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let simulator = Simulator::start(Options::default()).await.unwrap();
    simulator.add_org("acme");
    simulator.add_repository(REPO);
    simulator.write_files(REPO, "main", &[("README.md", "hello")]);
    simulator.set_role(REPO, "adam", "admin");
    simulator.set_role(REPO, "walt", "write");
    simulator
}

fn client(simulator: &Simulator, login: &str) -> ControlClient {
    let config = GitHubConfig::with_token(&simulator.base_url(), Secret::new(simulator.user_token(login)));
    let config = GitHubConfig { api_base: Some(simulator.base_url()), ..config };
    let client = Arc::new(GitHubClient::new(config, Arc::new(SystemClock)).unwrap());
    ControlClient::new(client, RepoFullName::parse(REPO).unwrap())
}

/// Whom the parts of the protection do not bind, or why that is not known.
fn bypass(found: &ProtectionView) -> Vec<Result<Vec<(&str, bool)>, &str>> {
    found
        .sources
        .iter()
        .map(|source| match &source.bypass {
            Ok(found) => Ok(found.iter().map(|one| (one.who.as_str(), one.is_admin)).collect()),
            Err(why) => Err(why.as_str()),
        })
        .collect()
}

fn rules() -> BranchRules {
    BranchRules { pull_request: Some((0, true)), no_force_pushes: true, no_deletion: true, ..BranchRules::default() }
}

#[tokio::test]
async fn a_branch_that_rulesets_alone_protect_has_no_classic_protection_that_could_not_be_read() {
    let simulator = simulator().await;
    simulator.set_rules(REPO, rules());
    let found = client(&simulator, "adam").protection("main").await.unwrap();
    assert_eq!((found.unread.as_deref(), bypass(&found)), (None, vec![Ok(vec![]), Ok(vec![])]));
    let found = client(&simulator, "walt").protection("main").await.unwrap();
    assert!(found.unread.is_some(), "who may not ask does not know: {found:?}");
}

#[tokio::test]
async fn whom_a_ruleset_does_not_bind_is_read_by_who_may_change_it() {
    let simulator = simulator().await;
    let everybody = vec![
        ("OrganizationAdmin", Some(1), "always"),
        ("RepositoryRole", Some(5), "always"),
        ("RepositoryRole", Some(4), "pull_request"),
        ("Team", Some(9), "always"),
        ("DeployKey", None, "always"),
    ];
    simulator.set_rules(REPO, BranchRules { bypass: everybody, keeps_stale_reviews: true, ..rules() });
    let found = client(&simulator, "adam").protection("main").await.unwrap();
    let owners = [("owners of the organisation", true), ("admins of the repository", true)];
    let more = [("team 9", false), ("deploy keys", false)];
    let pushes = [&owners[..], &more].concat();
    // They go around reviews, and push nothing.
    let reviews = [&owners[..], &[("role 4", false)], &more].concat();
    assert_eq!(bypass(&found), [Ok(pushes), Ok(reviews)]);
    assert!(found.sources[1].needs_code_owners && !found.sources[1].dismisses_stale, "{found:?}");
    simulator.set_rules(REPO, BranchRules { last_push_approval: true, ..rules() });
    let found = client(&simulator, "walt").protection("main").await.unwrap();
    assert!(bypass(&found).iter().all(Result::is_err) && found.needs_last_push_approval, "{found:?}");
    assert!(found.sources[0].needs_pull && found.sources[1].dismisses_stale, "{found:?}");
}

#[tokio::test]
async fn whom_classic_protection_does_not_bind_is_read() {
    let simulator = simulator().await;
    let protection = ClassicProtection {
        code_owners: true,
        bypass_users: vec!["octocat"],
        spares_admins: true,
        keeps_stale_reviews: true,
        ..ClassicProtection::default()
    };
    simulator.set_up(REPO, |setup| {
        *setup = RepositorySetup { protection: Some(protection), internal: true, ..RepositorySetup::default() };
    });
    let adam = client(&simulator, "adam");
    let found = adam.protection("main").await.unwrap();
    let admins = ("admins of the repository", true);
    assert_eq!(bypass(&found), [Ok(vec![admins, ("octocat", false)]), Ok(vec![admins])]);
    assert!(found.sources[0].needs_code_owners && !found.sources[0].dismisses_stale, "{found:?}");
    simulator.set_up(REPO, |setup| setup.protection = Some(ClassicProtection::default()));
    let found = adam.protection("main").await.unwrap();
    assert_eq!(bypass(&found), [Ok(vec![]), Ok(vec![])]);
    assert_eq!(adam.view().await.unwrap().visibility, RepositoryVisibility::Internal);
}
