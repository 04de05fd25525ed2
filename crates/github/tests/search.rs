//! What no delivery reported is found at the size at which lists have many pages, and costs few calls where nothing happens.

use std::collections::BTreeSet;
use std::sync::Arc;

use runnersmith_github::{AppCredentials, GitHubClient, GitHubConfig};
use runnersmith_github_sim::{App, JobSpec, Options, Simulator, WorkflowSpec};
use runnersmith_ports::{GitHub, SystemClock};
use runnersmith_types::{JobStatus, Label, Owner, RepoFullName, RunnerScope, Secret};

const RUNS: &str = "GET /repos/{owner}/{repo}/actions/runs";

async fn bed(webhook_url: Option<&str>) -> (Simulator, u64, GitHubClient) {
    let key = runnersmith_github_sim::app_key();
    let simulator = Simulator::start(Options::default()).await.unwrap();
    simulator.add_org("acme");
    simulator.add_repository("acme/shop");
    let app = App {
        slug: "app".into(),
        private_key_pem: key.clone(),
        webhook_secret: "s".into(),
        webhook_url: webhook_url.map(str::to_owned),
    };
    let app = simulator.add_app(app).unwrap();
    simulator.install(app, "acme");
    let credentials = AppCredentials { app_id: app.to_string(), private_key_pem: Secret::new(key) };
    let mut config = GitHubConfig::new(&simulator.base_url(), credentials);
    config.api_base = Some(simulator.base_url());
    let client = GitHubClient::new(config, Arc::new(SystemClock)).unwrap();
    (simulator, app, client)
}

fn acme() -> Owner {
    Owner::parse("acme").unwrap()
}

fn shop() -> RepoFullName {
    RepoFullName::parse("acme/shop").unwrap()
}

fn workflow(labels: &[&str]) -> WorkflowSpec {
    let labels = labels.iter().map(|label| (*label).to_owned()).collect();
    WorkflowSpec { name: "ci".into(), jobs: vec![JobSpec { name: "build".into(), labels, ..JobSpec::default() }] }
}

fn calls(simulator: &Simulator) -> u64 {
    simulator.calls().values().sum()
}

#[tokio::test]
async fn all_pages_of_installations_and_of_repositories_are_read() {
    let (simulator, app, client) = bed(None).await;
    for n in 0..150 {
        let owner = format!("org-{n}");
        simulator.add_org(&owner);
        simulator.install(app, &owner);
    }
    simulator.suspend("org-7", true);
    let installed = client.installed().await.unwrap();
    assert_eq!(installed.len(), 151);
    let suspended: Vec<&str> =
        installed.iter().filter(|found| found.is_suspended).map(|found| found.owner.as_str()).collect();
    assert_eq!(suspended, ["org-7"]);
    assert_eq!(calls(&simulator), 2);

    for n in 0..249 {
        simulator.add_repository(&format!("acme/shop-{n}"));
    }
    let mut found = BTreeSet::new();
    for page in 1.. {
        let page = client.repositories(&acme(), page).await.unwrap();
        found.extend(page.repositories);
        if page.is_last {
            break;
        }
    }
    assert_eq!(found.len(), 250);
    assert_eq!(simulator.calls()["GET /installation/repositories"], 3);
    assert!(!simulator.calls().contains_key("GET /orgs/{org}/installation"), "the list has said it");
}

#[tokio::test]
async fn all_pages_of_the_delivery_log_are_read() {
    let (simulator, _, client) = bed(Some("http://127.0.0.1:9/webhook")).await;
    simulator.set_faults(|faults| faults.lose_deliveries = 300);
    for _ in 0..300 {
        simulator.dispatch("acme/shop", workflow(&["self-hosted"])).unwrap();
    }
    let (mut failed, mut next, mut pages) = (BTreeSet::new(), None, 0);
    loop {
        let page = client.deliveries(next.as_deref()).await.unwrap();
        failed.extend(page.failed.into_iter().map(|delivery| delivery.id));
        pages += 1;
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(failed.len(), 300);
    assert!((3..=4).contains(&pages), "{pages}");
}

#[tokio::test]
async fn a_repository_in_which_nothing_runs_costs_one_call() {
    let (simulator, _, client) = bed(None).await;
    client.sweep(&shop()).await.unwrap();
    let before = calls(&simulator);
    for _ in 0..10 {
        assert!(client.sweep(&shop()).await.unwrap().is_empty());
    }
    assert_eq!(calls(&simulator), before + 10);
    assert_eq!(simulator.not_modified(), 10, "and takes nothing from the limit while nothing changes");
}

#[tokio::test]
async fn a_job_is_found_whatever_the_status_of_its_run() {
    for status in ["queued", "in_progress", "waiting", "pending", "requested"] {
        let (simulator, _, client) = bed(None).await;
        let run = simulator.dispatch("acme/shop", workflow(&["self-hosted"])).unwrap();
        simulator.set_workflow_run_status(run, status);
        let found = client.sweep(&shop()).await.unwrap();
        assert_eq!(found.iter().map(|fact| (fact.run.0, fact.status)).collect::<Vec<_>>(), [(run, JobStatus::Queued)]);
    }
}

#[tokio::test]
async fn the_oldest_waiting_run_is_found_behind_hundreds_of_newer_ones() {
    let (simulator, _, client) = bed(None).await;
    let waiting: Vec<u64> =
        (0..120).map(|_| simulator.dispatch("acme/shop", workflow(&["self-hosted"])).unwrap()).collect();
    for _ in 0..150 {
        let run = simulator.dispatch("acme/shop", workflow(&["ubuntu-latest"])).unwrap();
        simulator.cancel_run(run);
    }
    let found: BTreeSet<u64> = client.sweep(&shop()).await.unwrap().iter().map(|fact| fact.run.0).collect();
    assert_eq!(found, waiting.into_iter().collect());
    assert_eq!(simulator.calls()[RUNS], 6, "the newest, two pages of those that are queued, and three other statuses");
}

#[tokio::test]
async fn runners_of_another_fleet_are_listed_with_their_labels() {
    let (simulator, _, client) = bed(None).await;
    let online = simulator.add_foreign_runner("acme", "arc-1", &["self-hosted", "arc"], true);
    let _ = simulator.add_foreign_runner("acme", "arc-2", &["self-hosted", "arc"], false);
    let listed = client.registrations(&RunnerScope::Organization(acme())).await.unwrap();
    let online_ones: Vec<u64> = listed.iter().filter(|found| found.online).map(|found| found.id.0).collect();
    assert_eq!((listed.len(), online_ones), (2, vec![online]));
    assert!(listed.iter().all(|found| found.labels.contains(&Label::of_job("arc"))));
}
