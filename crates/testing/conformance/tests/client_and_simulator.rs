//! Our client's requests and our simulator's answers, both checked by GitHub's own documents. Every operation of the client
//! has to be driven: one that is added and not driven here fails the test.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod control_repository;
mod elsewhere;
mod seen;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use runnersmith_conformance::{Coverage, Doc, OpenApi, can_run};
use runnersmith_github::{AppCredentials, GitHubClient, GitHubConfig, OPERATIONS, RecordedExchange, releases};
use runnersmith_github_sim::{App, JobSpec, Options, Simulator, WorkflowSpec};
use runnersmith_ports::{CheckRun, GitHub, GitHubError, JitRequest, SystemClock};
use runnersmith_types::{
    HookAddress, JobId, JobStatus, Label, Owner, RepoFullName, RunId, RunnerGroupName, RunnerScope, Secret, Timestamp,
};

/// A document, the client and the simulator that are checked by it, and what passed between them.
struct Bed {
    simulator: Simulator,
    client: GitHubClient,
    config: GitHubConfig,
    seen: Arc<Mutex<Vec<RecordedExchange>>>,
    home: std::path::PathBuf,
}

impl Bed {
    async fn new(name: &str, prefix: &str) -> Self {
        let key = runnersmith_github_sim::app_key();
        let simulator = Simulator::start(Options::default()).await.unwrap();
        for org in ["acme", "acme-inc"] {
            simulator.add_org(org);
        }
        simulator.add_user("octocat");
        simulator.add_repository("acme/shop");
        let app = simulator
            .add_app(App {
                slug: "runnersmith".into(),
                private_key_pem: key.clone(),
                webhook_secret: "s".into(),
                webhook_url: Some("http://127.0.0.1:9/webhook".into()),
            })
            .unwrap();
        simulator.install(app, "acme");
        simulator.install(app, "acme-inc");
        simulator.install(app, "octocat");
        simulator.set_runner_release("2.999.1", b"an archive".to_vec());
        let seen: Arc<Mutex<Vec<RecordedExchange>>> = Arc::default();
        let log = seen.clone();
        let mut config = GitHubConfig::new(
            &simulator.base_url(),
            AppCredentials { app_id: app.to_string(), private_key_pem: Secret::new(key) },
        );
        config.api_base = Some(format!("{}{prefix}", simulator.base_url()));
        config.recorder = Some(Arc::new(move |exchange| log.lock().unwrap().push(exchange.clone())));
        let client = GitHubClient::new(config.clone(), Arc::new(SystemClock)).unwrap();
        let home = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&home).unwrap();
        Self { simulator, client, config, seen, home }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

fn org() -> RunnerScope {
    RunnerScope::Organization(Owner::parse("acme").unwrap())
}
fn shop() -> RepoFullName {
    RepoFullName::parse("acme/shop").unwrap()
}

/// Everything that concerns the runners of one place.
async fn runners(client: &GitHubClient, at: &RunnerScope) {
    let request = JitRequest {
        at: at.clone(),
        name: "linux-abcdef-1".into(),
        labels: vec![Label::of_set("self-hosted").unwrap(), Label::of_set("with space & ünïcode").unwrap()],
        group: RunnerGroupName::parse("Default").unwrap(),
    };
    let jit = client.jit_config(&request).await.unwrap();
    let again = client.jit_config(&request).await.unwrap_err();
    assert!(matches!(again, GitHubError::Conflict { .. }), "{again}");
    let listed = client.registrations(at).await.unwrap();
    assert_eq!(listed.iter().map(|found| found.id).collect::<Vec<_>>(), [jit.registration]);
    assert_eq!(client.registration(at, jit.registration).await.unwrap().name, request.name);
    let by_name = client.registration_by_name(at, &request.name).await.unwrap();
    assert_eq!(by_name.map(|found| found.id), Some(jit.registration));
    assert!(client.registration_by_name(at, "linux-abcdef").await.unwrap().is_none(), "a prefix is not the name");
    assert!(!client.registration_token(at).await.unwrap().token.expose().is_empty());
    client.deregister(at, jit.registration).await.unwrap();
    client.deregister(at, jit.registration).await.unwrap();
    let gone = client.registration(at, jit.registration).await.unwrap_err();
    assert!(matches!(gone, GitHubError::NotFound { .. }), "{gone}");
}

/// The delivery logs of an organisation's and a repository's own webhook.
async fn hooks(bed: &Bed) {
    for (at, scope) in [(org(), "acme"), (RunnerScope::Repository(shop()), "acme/shop")] {
        let id = bed.simulator.add_hook(scope, "http://127.0.0.1:9/webhook", "another secret");
        let hook = HookAddress { at, id };
        let config = GitHubConfig { hook: Some(hook), ..bed.config.clone() };
        let client = GitHubClient::new(config, Arc::new(SystemClock)).unwrap();
        bed.simulator.set_faults(|faults| faults.lose_deliveries = 100);
        let workflow = WorkflowSpec { name: "ci".into(), jobs: vec![JobSpec::default()] };
        bed.simulator.cancel_run(bed.simulator.dispatch("acme/shop", workflow).unwrap());
        let failed = client.failed_deliveries(Timestamp(0), 10).await.unwrap();
        assert!(!failed.is_empty(), "the log of {scope}'s webhook");
        let of_app = bed.client.failed_deliveries(Timestamp(0), 100).await.unwrap();
        assert!(of_app.iter().all(|one| failed.iter().all(|other| other.guid != one.guid)), "the logs are apart");
        client.redeliver(failed[0].id).await.unwrap();
        bed.simulator.set_faults(|faults| faults.lose_deliveries = 0);
    }
}

/// Everything that concerns jobs, runs, tellings and the App itself.
async fn jobs(bed: &Bed) {
    let (client, repo) = (&bed.client, shop());
    assert_eq!(client.whoami().await.unwrap(), "runnersmith");
    assert_eq!(client.repositories(10).await.unwrap(), vec![repo.clone()]);
    bed.simulator.set_faults(|faults| faults.lose_deliveries = 100);
    let begun = Timestamp(0);
    let job = |name: &str, labels: &[&str]| JobSpec {
        name: name.into(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        ..JobSpec::default()
    };
    let workflow =
        WorkflowSpec { name: "ci".into(), jobs: vec![job("build", &["self-hosted", "linux"]), job("test", &[])] };
    let run = RunId(bed.simulator.dispatch("acme/shop", workflow).unwrap());
    let swept = client.sweep(&repo).await.unwrap();
    assert_eq!(swept.len(), 2, "{swept:?}");
    let fact = client.job(&repo, swept[0].id).await.unwrap();
    assert_eq!((fact.status, fact.run), (JobStatus::Queued, run));
    let gone = client.job(&repo, JobId(404_404)).await.unwrap_err();
    assert!(matches!(gone, GitHubError::NotFound { .. }), "{gone}");
    assert_eq!(client.run(&repo, run).await.unwrap().status, "queued");
    let refused = client.rerun_failed(&repo, run).await.unwrap_err();
    assert!(matches!(refused, GitHubError::Unauthorized { .. } | GitHubError::Refused { .. }), "{refused}");
    bed.simulator.cancel_run(run.0);
    let of_branch = client.runs_of_branch(&repo, "main", "workflow_dispatch").await.unwrap();
    let ended = of_branch.iter().find(|found| found.id == run).unwrap();
    assert_eq!(ended.conclusion.as_ref().map(|conclusion| conclusion.0.as_str()), Some("cancelled"));
    assert!(ended.run_attempt == 1 && ended.workflow > 0 && ended.head_repository > 0, "{ended:?}");
    assert!(client.runs_of_branch(&repo, "next/one", "push").await.unwrap().is_empty());
    client.rerun_failed(&repo, run).await.unwrap();
    assert_eq!(client.run(&repo, run).await.unwrap().run_attempt, 2);
    tokio::time::timeout(Duration::from_secs(10), async {
        while client.failed_deliveries(begun, 10).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
    let failed = client.failed_deliveries(begun, 10).await.unwrap();
    client.redeliver(failed[0].id).await.unwrap();
    let mut check = CheckRun {
        repo: repo.clone(),
        head_sha: fact.head_sha.clone(),
        id: None,
        title: "waits".into(),
        summary: "at its maximum".into(),
        conclusion: None,
    };
    check.id = Some(client.notify(&check).await.unwrap());
    check.conclusion = Some("neutral".into());
    assert_eq!(Some(client.notify(&check).await.unwrap()), check.id);
    for prerelease in [false, true] {
        releases::fetch_runner(client, prerelease, &bed.home.join(format!("{prerelease}"))).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_of_the_client_passes_githubs_own_documents() {
    if !can_run("every_operation_of_the_client_passes_githubs_own_documents") {
        return;
    }
    let github = OpenApi::load(Doc::ApiGithubCom).unwrap();
    let enterprise = OpenApi::load(Doc::Ghec).unwrap();
    let (mut coverage, mut wrong) = (Coverage::default(), Vec::new());
    let bed = Bed::new("dotcom", "").await;
    runners(&bed.client, &org()).await;
    runners(&bed.client, &RunnerScope::Repository(shop())).await;
    jobs(&bed).await;
    hooks(&bed).await;
    control_repository::drive(&bed.simulator, &bed.config).await;
    wrong.extend(seen::check(&bed.seen, &github, &mut coverage));
    runners(&bed.client, &RunnerScope::Enterprise(Owner::parse("acme-inc").unwrap())).await;
    wrong.extend(seen::check(&bed.seen, &enterprise, &mut coverage));
    assert!(wrong.is_empty(), "{} violations\n{}", wrong.len(), wrong.join("\n"));
    let here = OPERATIONS.iter().map(|operation| operation.id).filter(|id| !elsewhere::BY_APPS.contains(id));
    let missing = coverage.missing(here);
    assert!(missing.is_empty(), "operations of the client that were not driven: {missing:?}");
    let mine: Vec<&str> = OPERATIONS.iter().map(|operation| operation.id).collect();
    let unknown: Vec<&String> = coverage.covered().keys().filter(|id| !mine.contains(&id.as_str())).collect();
    assert!(unknown.is_empty(), "driven and not in the list: {unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_server_version_accepts_the_same_calls() {
    if !can_run("every_server_version_accepts_the_same_calls") {
        return;
    }
    for doc in [Doc::Ghes317, Doc::Ghes318, Doc::Ghes319, Doc::Ghec] {
        let document = OpenApi::load(doc).unwrap();
        let mut coverage = Coverage::default();
        let bed = Bed::new(doc.name(), "/api/v3").await;
        runners(&bed.client, &org()).await;
        runners(&bed.client, &RunnerScope::Repository(shop())).await;
        jobs(&bed).await;
        hooks(&bed).await;
        control_repository::drive(&bed.simulator, &bed.config).await;
        let wrong = seen::check(&bed.seen, &document, &mut coverage);
        assert!(wrong.is_empty(), "{}: {} violations\n{}", doc.name(), wrong.len(), wrong.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_the_simulator_are_githubs() {
    if !can_run("refusals_of_the_simulator_are_githubs") {
        return;
    }
    let github = OpenApi::load(Doc::ApiGithubCom).unwrap();
    let mut coverage = Coverage::default();
    let bed = Bed::new("refusals", "").await;
    let nowhere = RunnerScope::Organization(Owner::parse("elsewhere").unwrap());
    let error = bed.client.registrations(&nowhere).await.unwrap_err();
    assert!(matches!(error, GitHubError::NotInstalled { .. }), "{error}");
    for (status, kind) in [(500, "transient"), (503, "transient"), (403, "unauthorized"), (404, "not_found")] {
        let list = "GET /orgs/{org}/actions/runners".to_owned();
        bed.simulator.set_faults(|faults| _ = faults.fail.insert(list, (status, 3)));
        let error = bed.client.registrations(&org()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status}: {error}");
        bed.simulator.set_faults(|faults| faults.fail.clear());
    }
    let wrong = seen::check(&bed.seen, &github, &mut coverage);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_is_not_allowed_and_prints_no_secret() {
    let bed = Bed::new("key", "").await;
    let other = runnersmith_github_sim::app_key();
    let mut config = GitHubConfig::new(
        &bed.simulator.base_url(),
        AppCredentials { app_id: "1".into(), private_key_pem: Secret::new(other.clone()) },
    );
    config.api_base = Some(bed.simulator.base_url());
    let client = GitHubClient::new(config, Arc::new(SystemClock)).unwrap();
    let error = client.registrations(&org()).await.unwrap_err();
    assert!(matches!(error, GitHubError::Unauthorized { .. }), "{error}");
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("PRIVATE KEY") && !shown.contains(&other[40..80]), "{shown}");
}
