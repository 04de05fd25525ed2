//! Everything that IssueOps asks of GitHub, driven once: it is a module of the test that checks every operation.

use std::sync::Arc;

use runnersmith_github::settings::{BranchPolicy, RepositoryVisibility};
use runnersmith_github::{ControlClient, GitHubClient, GitHubConfig};
use runnersmith_github_sim::{BranchRules, ClassicProtection, EnvironmentSetup, RepositorySetup, Simulator};
use runnersmith_ports::control::{FileChanges, MergeError};
use runnersmith_ports::{ControlRepository, GitHubError, SystemClock};
use runnersmith_types::{RepoFullName, Secret};

const REPO: &str = "acme/shop";

/// What is driven, and how a client for it is made: by the App of `config`, or by a workflow's token.
pub async fn drive(simulator: &Simulator, config: &GitHubConfig) {
    simulator.write_files(REPO, "main", &[("README.md", "hello"), ("envs/old/main.tf", "# here")]);
    let app = Arc::new(GitHubClient::new(config.clone(), Arc::new(SystemClock)).unwrap());
    let token = Secret::new(simulator.actions_token(REPO));
    let config = GitHubConfig { app: None, token: Some(token), ..config.clone() };
    let workflow = Arc::new(GitHubClient::new(config, Arc::new(SystemClock)).unwrap());
    let repo = RepoFullName::parse(REPO).unwrap();
    for (n, client) in [
        ControlClient::new(app.clone(), repo.clone()),
        ControlClient::new(workflow, repo).with_organization_reader(app),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(client.default_branch().await.unwrap(), "main");
        let branch = format!("runnersmith/change-{n}");
        files(&client, &branch).await;
        issues(simulator, &client).await;
        pulls(simulator, &client, &branch).await;
        people(simulator, &client).await;
        // A workflow's own token may read little of it.
        if n == 0 {
            settings(simulator, &client).await;
        }
    }
}

async fn files(client: &ControlClient, branch: &str) {
    assert_eq!(client.branch(branch).await.unwrap(), None);
    let main = client.branch("main").await.unwrap().unwrap();
    let tree = client.tree(&main).await.unwrap();
    assert_eq!(client.blob(&tree["envs/old/main.tf"].sha).await.unwrap(), b"# here");
    let binary = vec![0_u8, 159, 146, 150];
    let mut changes = FileChanges::new();
    changes.insert(format!("envs/{branch}/main.tf"), Some("# ünïcode\n".into()));
    changes.insert("a file & more".into(), Some(binary.clone()));
    let commit = client.commit(&main, "a change", &changes).await.unwrap();
    client.create_branch(branch, &main).await.unwrap();
    let there = client.create_branch(branch, &main).await.unwrap_err();
    assert!(matches!(there, GitHubError::Conflict { .. }), "{there}");
    client.move_branch(branch, &commit, false).await.unwrap();
    let back = client.move_branch(branch, &main, false).await.unwrap_err();
    assert!(matches!(back, GitHubError::Conflict { .. }), "{back}");
    let tree = client.tree(&commit).await.unwrap();
    assert_eq!(client.blob(&tree["a file & more"].sha).await.unwrap(), binary);
    let gone = [("a file & more".to_owned(), None)].into();
    let next = client.commit(&commit, "without it", &gone).await.unwrap();
    client.move_branch(branch, &next, true).await.unwrap();
    let compared = client.compare(&main, branch).await.unwrap();
    assert_eq!(compared.merge_base, main);
    let people = compared.commits;
    assert_eq!(people.iter().map(|one| one.sha.clone()).collect::<Vec<_>>(), [commit, next]);
    assert!(people.iter().all(|one| one.accounts.iter().all(Option::is_some)), "{people:?}");
    let nowhere = client.compare("nowhere", &main).await.unwrap_err();
    assert!(matches!(nowhere, GitHubError::NotFound { .. }), "{nowhere}");
    client.create_branch("temporary/one", &main).await.unwrap();
    client.delete_branch("temporary/one").await.unwrap();
    client.delete_branch("temporary/one").await.unwrap();
}

async fn issues(simulator: &Simulator, client: &ControlClient) {
    let asked = simulator.open_issue(REPO, "octocat", "runners", "please", &["set & more"]).unwrap();
    let listed = client.open_issues("set & more").await.unwrap();
    assert_eq!(listed.iter().map(|issue| issue.number).collect::<Vec<_>>(), [asked]);
    let drift = client.open_issue("drift", "in one environment", &["drift"]).await.unwrap();
    client.edit_issue(drift, "drift", "in two").await.unwrap();
    assert_eq!(client.issue(drift).await.unwrap().body, "in two");
    let theirs = simulator.comment_as(REPO, asked, "octocat", "/help");
    let ours = client.add_comment(asked, "this can be asked").await.unwrap();
    client.react(theirs, "eyes").await.unwrap();
    client.react(theirs, "eyes").await.unwrap();
    let all = client.comments(asked, None).await.unwrap();
    assert_eq!(all.iter().map(|one| (one.id, one.is_person)).collect::<Vec<_>>(), [(theirs, true), (ours, false)]);
    assert_eq!(client.comments(asked, Some(all[1].updated_at)).await.unwrap().last(), all.last());
    assert_eq!(client.is_edited(&all[1]).await.unwrap(), Some(false), "its times differ, and nobody edited it");
    client.edit_comment(ours, "this can be asked too").await.unwrap();
    assert_eq!(client.comment(ours).await.unwrap().unwrap().body, "this can be asked too");
    assert_eq!(client.is_edited(&all[1]).await.unwrap(), Some(true));
    let unedited = client.editors(asked).await.unwrap();
    let who: Vec<&str> = unedited.accounts.iter().map(|account| account.login.as_str()).collect();
    assert_eq!((who, unedited.is_whole), (vec!["octocat"], true), "who asked labelled it");
    simulator.edit_issue_as(REPO, asked, "maintainer", "please do");
    let editors = client.editors(asked).await.unwrap();
    let logins: Vec<&str> = editors.accounts.iter().map(|account| account.login.as_str()).collect();
    assert_eq!((logins, editors.is_whole), (vec!["maintainer", "octocat"], true));
    simulator.label_issue_as(REPO, asked, "triager", "more");
    let editors = client.editors(asked).await.unwrap();
    assert!(editors.accounts.iter().any(|account| account.login == "triager"), "{editors:?}");
    assert!(editors.accounts.iter().all(|account| account.id.is_some()), "{editors:?}");
    client.delete_comment(ours).await.unwrap();
    client.delete_comment(ours).await.unwrap();
    assert_eq!(client.comment(ours).await.unwrap(), None);
    for issue in [asked, drift] {
        client.close_issue(issue).await.unwrap();
        client.close_issue(issue).await.unwrap();
    }
    assert!(client.open_issues("set & more").await.unwrap().is_empty());
}

async fn pulls(simulator: &Simulator, client: &ControlClient, branch: &str) {
    let number = client.open_pull("a change", "words", branch, "main").await.unwrap();
    assert_eq!(client.open_pull("again", "words", branch, "main").await.unwrap(), number);
    assert!(client.issue(number).await.unwrap().is_pull);
    let pull = client.pull(number).await.unwrap();
    assert_eq!(
        (pull.is_open, pull.is_fork, pull.mergeable, pull.head_branch.as_str()),
        (true, false, Some(true), branch)
    );
    client.close_pull(number).await.unwrap();
    client.close_pull(number).await.unwrap();
    simulator.reopen_pull_as(REPO, number, "author").unwrap();
    let none = client.open_pull("nothing", "", "main", "main").await.unwrap_err();
    assert!(matches!(none, GitHubError::Refused { status: 422, .. }), "{none}");
    let other =
        client.merge(number, &pull.head.replace(|c: char| c.is_ascii_digit(), "f"), "merged").await.unwrap_err();
    assert!(matches!(other, MergeError::Refused(_)), "{other}");
    simulator.protect(REPO, "main", true);
    assert_eq!(client.pull(number).await.unwrap().mergeable_state, "blocked");
    let review = client.merge(number, &pull.head, "merged").await.unwrap_err();
    assert!(matches!(review, MergeError::Refused(_)), "{review}");
    simulator.protect(REPO, "main", false);
    let rules = BranchRules {
        linear_history: true,
        merge_methods: Some(vec!["squash", "merge"]),
        merge_queue: true,
        required_checks: vec!["ci"],
        ..BranchRules::default()
    };
    simulator.set_rules(REPO, rules);
    let rules = client.merge_rules("main").await.unwrap();
    assert!(rules.needs_queue && rules.methods == ["squash"] && rules.required_checks == ["ci"], "{rules:?}");
    simulator.set_rules(REPO, BranchRules::default());
    let merged = client.merge(number, &pull.head, "merged").await.unwrap();
    assert_eq!(client.branch("main").await.unwrap(), Some(merged));
    let pull = client.pull(number).await.unwrap();
    assert!(pull.is_merged && !pull.is_open);
    simulator.reopen_pull_as(REPO, number, "author").unwrap_err();
}

/// What `issueops doctor` asks for.
async fn settings(simulator: &Simulator, client: &ControlClient) {
    let environment = EnvironmentSetup {
        branches: Some(vec!["main"]),
        reviewers: 1,
        wait_minutes: 5,
        secrets: ["APP_ID"].into(),
        ..EnvironmentSetup::default()
    };
    let protection = ClassicProtection {
        approvals: 1,
        code_owners: true,
        bypass_users: vec!["octocat"],
        checks: vec!["ci"],
        ..Default::default()
    };
    simulator.set_up(REPO, |setup| {
        *setup = RepositorySetup {
            plan: Some("team"),
            labels: ["set"].into(),
            environments: [("plan", environment), ("open", EnvironmentSetup::default())].into(),
            selected_actions: Some((true, vec!["hashicorp/*"])),
            workflow: Some("active"),
            code_owner_errors: vec!["Unknown owner on line 1: make sure it exists"],
            protection: Some(protection),
            ..RepositorySetup::default()
        };
    });
    let view = client.view().await.unwrap();
    assert_eq!(view.visibility, RepositoryVisibility::Private);
    assert!(view.has_issues && view.is_organizations && !view.is_archived, "{view:?}");
    assert_eq!(client.plan().await.unwrap().as_deref(), Some("team"));
    assert!(client.has_label("set").await.unwrap() && !client.has_label("another & more").await.unwrap());
    let environments = client.environments().await.unwrap();
    let plan = environments.iter().find(|found| found.name == "plan").unwrap();
    assert_eq!((plan.branches, plan.reviewers, plan.wait_minutes), (BranchPolicy::Listed, 1, 5));
    assert_eq!(environments.len(), 2);
    assert_eq!(client.environment_branches("plan").await.unwrap(), ["main"]);
    assert_eq!(client.environment_secrets("plan").await.unwrap(), ["APP_ID"]);
    let actions = client.actions().await.unwrap();
    assert!(actions.is_enabled && actions.verified && actions.patterns == ["hashicorp/*"], "{actions:?}");
    assert!(client.token_opens_pulls().await.unwrap());
    assert_eq!(client.workflow_state("runnersmith.yml").await.unwrap().as_deref(), Some("active"));
    assert_eq!(client.code_owner_errors().await.unwrap().len(), 1);
    let found = client.protection("main").await.unwrap();
    assert!(found.sources[0].needs_pull && found.sources[0].needs_code_owners, "{found:?}");
    assert!(found.approvals == 1 && found.checks == ["ci"], "{found:?}");
    let ruled =
        BranchRules { pull_request: Some((0, true)), no_force_pushes: true, no_deletion: true, ..Default::default() };
    simulator.set_rules(REPO, ruled);
    simulator.set_up(REPO, |setup| *setup = RepositorySetup::default());
    let found = client.protection("main").await.unwrap();
    let [pushes, reviews] = found.sources.as_slice() else { panic!("{found:?}") };
    assert!(reviews.needs_code_owners && pushes.refuses_force_pushes && pushes.refuses_deletion, "{found:?}");
    simulator.set_rules(REPO, BranchRules::default());
    assert_eq!(client.workflow_state("runnersmith.yml").await.unwrap(), None);
    assert!(client.environments().await.unwrap().is_empty());
}

async fn people(simulator: &Simulator, client: &ControlClient) {
    simulator.set_role(REPO, "maintainer", "maintain");
    simulator.add_team("acme", "platform", &["maintainer"]);
    let role = client.role("maintainer").await.unwrap();
    assert_eq!((role.permission.as_str(), role.role_name.as_str()), ("write", "maintain"));
    assert_eq!(client.role("nobody-at-all").await.unwrap().permission, "none");
    assert!(client.is_in_team("platform", "maintainer").await.unwrap());
    assert!(!client.is_in_team("platform", "octocat").await.unwrap());
    let _ = simulator.add_group("acme", "Selected Ones", "selected", &[REPO], true);
    let group = client.runner_group("acme", "selected ones").await.unwrap().unwrap();
    assert_eq!(group.selected, Some(vec![REPO.to_owned()]));
    assert!(group.allows_public);
    assert_eq!(client.runner_group("acme", "default").await.unwrap().unwrap().selected, None);
    assert_eq!(client.runner_group("acme", "none").await.unwrap(), None);
    simulator.add_workflow_run(REPO, 7, "in_progress");
    assert_eq!(client.workflow_run(7).await.unwrap().unwrap().status, "in_progress");
    assert_eq!(client.workflow_run(404).await.unwrap(), None);
}
