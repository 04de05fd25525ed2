//! The client against the simulator when GitHub is slow, strict or wrong: limits, failures, clocks, lists that shift.

use std::sync::Arc;
use std::time::Duration;

use runnersmith_github::{AppCredentials, GitHubClient, GitHubConfig};
use runnersmith_github_sim::{App, JobSpec, Limit, Options, Simulator, WorkflowSpec};
use runnersmith_ports::{Clock, GitHub, GitHubError, JitRequest, ManualClock, SystemClock};
use runnersmith_types::{
    Conclusion, Label, Owner, RegistrationId, RepoFullName, RunId, RunnerGroupName, RunnerScope, Secret,
};

const LIST: &str = "GET /orgs/{org}/actions/runners";
const MINT: &str = "POST /app/installations/{id}/access_tokens";

async fn simulator() -> (Simulator, AppCredentials) {
    let key = runnersmith_github_sim::app_key();
    let simulator = Simulator::start(Options::default()).await.unwrap();
    simulator.add_org("acme");
    simulator.add_repository("acme/shop");
    let app = App { slug: "app".into(), private_key_pem: key.clone(), webhook_secret: "s".into(), webhook_url: None };
    let app = simulator.add_app(app).unwrap();
    simulator.install(app, "acme");
    (simulator, AppCredentials { app_id: app.to_string(), private_key_pem: Secret::new(key) })
}

fn client(simulator: &Simulator, app: AppCredentials, clock: Arc<dyn Clock>) -> GitHubClient {
    let mut config = GitHubConfig::new(&simulator.base_url(), app);
    config.api_base = Some(simulator.base_url());
    GitHubClient::new(config, clock).unwrap()
}

async fn bed() -> (Simulator, GitHubClient) {
    let (simulator, app) = simulator().await;
    let client = client(&simulator, app, Arc::new(SystemClock));
    (simulator, client)
}

fn acme() -> RunnerScope {
    RunnerScope::Organization(Owner::parse("acme").unwrap())
}

fn jit(n: usize) -> JitRequest {
    JitRequest {
        at: acme(),
        name: format!("linux-abcdef-{n}"),
        labels: vec![Label::of_set("linux").unwrap()],
        group: RunnerGroupName::parse("Default").unwrap(),
    }
}

fn calls(simulator: &Simulator, operation: &str) -> u64 {
    simulator.calls().get(operation).copied().unwrap_or(0)
}

/// R2: the rival keeps a failed read of its credentials forever.
#[tokio::test]
async fn r02_a_failed_mint_is_not_kept() {
    let (simulator, client) = bed().await;
    simulator.set_faults(|faults| _ = faults.fail.insert(MINT.into(), (500, 1)));
    assert!(client.registrations(&acme()).await.is_err());
    assert!(client.registrations(&acme()).await.unwrap().is_empty(), "the next call mints again");
    assert_eq!(calls(&simulator, MINT), 2);
    client.registrations(&acme()).await.unwrap();
    assert_eq!(calls(&simulator, MINT), 2, "a token that was given is kept");
}

/// R3: the rival sleeps until the limit's reset, inside a call.
#[tokio::test]
async fn r03_a_limit_is_answered_at_once_and_remembered() {
    for (limit, least, most) in
        [(Limit::Primary(1_800), 1_790, 1_801), (Limit::RetryAfter(90), 85, 91), (Limit::Secondary, 55, 61)]
    {
        let (simulator, client) = bed().await;
        client.registrations(&acme()).await.unwrap();
        simulator.set_faults(|faults| faults.limit = Some((limit, 1)));
        let begun = tokio::time::Instant::now();
        let error = client.registrations(&acme()).await.unwrap_err();
        let GitHubError::RateLimited { until, .. } = error else { panic!("{error}") };
        let wait = until.since(SystemClock.now()).as_secs();
        assert!((least..=most).contains(&wait), "{limit:?}: {wait} s");
        let before = calls(&simulator, LIST);
        let again = client.registrations(&acme()).await.unwrap_err();
        assert!(matches!(again, GitHubError::RateLimited { .. }), "{again}");
        assert_eq!(calls(&simulator, LIST), before, "the next call is answered here");
        assert!(begun.elapsed() < Duration::from_secs(5), "{limit:?} was slept out");
    }
}

#[tokio::test]
async fn a_list_that_has_not_changed_is_not_sent_again() {
    let (simulator, client) = bed().await;
    let made = client.jit_config(&jit(1)).await.unwrap();
    for _ in 0..3 {
        assert_eq!(client.registrations(&acme()).await.unwrap()[0].id, made.registration);
    }
    assert_eq!(simulator.not_modified(), 2, "the second and third were 304");
    client.deregister(&acme(), made.registration).await.unwrap();
    assert!(client.registrations(&acme()).await.unwrap().is_empty(), "a change is seen at once");
}

#[tokio::test]
async fn a_read_is_tried_again_a_few_times_and_a_write_never() {
    let (simulator, client) = bed().await;
    simulator.set_faults(|faults| _ = faults.fail.insert(LIST.into(), (502, 2)));
    client.registrations(&acme()).await.unwrap();
    assert_eq!(calls(&simulator, LIST), 3);
    simulator.set_faults(|faults| _ = faults.fail.insert(LIST.into(), (502, 9)));
    assert!(matches!(client.registrations(&acme()).await, Err(GitHubError::Transient { .. })));
    assert_eq!(calls(&simulator, LIST), 6, "three tries, not more");
    const JIT: &str = "POST /orgs/{org}/actions/runners/generate-jitconfig";
    simulator.set_faults(|faults| _ = faults.fail.insert(JIT.into(), (502, 1)));
    assert!(matches!(client.jit_config(&jit(1)).await, Err(GitHubError::Transient { .. })));
    assert_eq!(calls(&simulator, JIT), 1);
}

#[tokio::test]
async fn a_lost_jit_answer_is_a_conflict_the_next_time_and_found_by_name() {
    let (simulator, client) = bed().await;
    simulator.set_faults(|faults| faults.lose_jit_answers = 1);
    assert!(matches!(client.jit_config(&jit(1)).await, Err(GitHubError::Transient { .. })));
    assert!(matches!(client.jit_config(&jit(1)).await, Err(GitHubError::Conflict { .. })));
    let found = client.registration_by_name(&acme(), &jit(1).name).await.unwrap().unwrap();
    client.deregister(&acme(), found.id).await.unwrap();
    client.jit_config(&jit(1)).await.unwrap();
}

#[tokio::test]
async fn a_clock_that_is_an_hour_wrong_is_corrected_by_githubs() {
    for wrong in [-3_600_i64, 3_600] {
        let (simulator, app) = simulator().await;
        let now = SystemClock.now();
        let shifted =
            if wrong < 0 { now.minus(Duration::from_secs(3_600)) } else { now.plus(Duration::from_secs(3_600)) };
        let client = client(&simulator, app, Arc::new(ManualClock::at(shifted)));
        assert_eq!(client.whoami().await.unwrap(), "app", "{wrong} s");
        client.registrations(&acme()).await.unwrap();
        client.registrations(&acme()).await.unwrap();
        assert_eq!(calls(&simulator, MINT), 1, "its token is kept although its end is by another clock");
    }
}

#[tokio::test]
async fn a_key_that_was_revoked_is_not_allowed_and_works_again_when_it_is_replaced() {
    let (simulator, app) = simulator().await;
    let revoked = runnersmith_github_sim::app_key();
    let bad = client(
        &simulator,
        AppCredentials { private_key_pem: Secret::new(revoked), ..app.clone() },
        Arc::new(SystemClock),
    );
    for _ in 0..2 {
        assert!(matches!(bad.whoami().await, Err(GitHubError::Unauthorized { .. })));
        assert!(matches!(bad.registrations(&acme()).await, Err(GitHubError::Unauthorized { .. })));
    }
    let good = client(&simulator, app, Arc::new(SystemClock));
    good.registrations(&acme()).await.unwrap();
}

#[tokio::test]
async fn long_lists_are_read_to_their_end_even_while_they_shift() {
    let (simulator, client) = bed().await;
    for n in 0..250 {
        client.jit_config(&jit(n)).await.unwrap();
    }
    assert_eq!(client.registrations(&acme()).await.unwrap().len(), 250);
    simulator.set_faults(|faults| faults.shift_pages = true);
    client.jit_config(&jit(250)).await.unwrap();
    let seen = client.registrations(&acme()).await.unwrap();
    assert!(seen.len() < 251, "the fault hides some");
    let hidden = (1..).map(RegistrationId).find(|id| {
        !seen.iter().any(|found| found.id == *id) && simulator.runners().iter().any(|runner| runner.id == id.0)
    });
    client.registration(&acme(), hidden.unwrap()).await.expect("by its id GitHub knows it");
}

#[tokio::test]
async fn a_busy_runner_is_not_removed_and_an_unknown_one_counts_as_removed() {
    let (_simulator, client) = bed().await;
    client.deregister(&acme(), RegistrationId(404)).await.unwrap();
    let made = client.jit_config(&jit(1)).await.unwrap();
    client.deregister(&acme(), made.registration).await.unwrap();
    client.deregister(&acme(), made.registration).await.unwrap();
}

#[test]
fn a_key_that_is_invalid_is_refused_without_being_shown() {
    for bad in ["", "not a key", "-----BEGIN RSA PRIVATE KEY-----\nc2VjcmV0\n-----END RSA PRIVATE KEY-----", "c2VjcmV0"]
    {
        let app = AppCredentials { app_id: "1".into(), private_key_pem: Secret::new(bad) };
        let error =
            GitHubClient::new(GitHubConfig::new("https://github.com", app), Arc::new(SystemClock)).err().unwrap();
        let shown = format!("{error} {error:?}");
        assert!(bad.is_empty() || !shown.contains("c2VjcmV0"), "{shown}");
    }
}

#[tokio::test]
async fn a_run_says_how_it_ended_and_at_which_attempt_and_the_runs_of_its_branch_are_found() {
    let (simulator, client) = bed().await;
    let repo = RepoFullName::parse("acme/shop").unwrap();
    let build = JobSpec { name: "build".into(), labels: vec!["linux".into()], ..JobSpec::default() };
    let workflow = WorkflowSpec { name: "ci".into(), jobs: vec![build] };
    let id = RunId(simulator.dispatch("acme/shop", workflow.clone()).unwrap());
    let run = client.run(&repo, id).await.unwrap();
    assert_eq!((run.status.as_str(), run.conclusion, run.run_attempt), ("queued", None, 1));
    assert_eq!((run.branch.as_str(), run.event.as_str()), ("main", "workflow_dispatch"));
    simulator.cancel_run(id.0);
    let ended = client.run(&repo, id).await.unwrap();
    assert_eq!(ended.conclusion, Some(Conclusion("cancelled".into())));
    let newer = RunId(simulator.dispatch("acme/shop", workflow).unwrap());
    let found = client.runs_of_branch(&repo, "main", "workflow_dispatch").await.unwrap();
    assert_eq!(found.iter().map(|run| run.id).collect::<Vec<_>>(), [newer, id]);
    assert_eq!((found[1].workflow, found[1].head_repository), (ended.workflow, ended.head_repository));
    assert_eq!(client.runs_of_branch(&repo, "a branch/with & signs", "push").await.unwrap(), []);
    client.rerun_failed(&repo, id).await.unwrap();
    assert_eq!(client.run(&repo, id).await.unwrap().run_attempt, 2, "a re-run counts when it is accepted");
}

/// A server that starts in an outage of GitHub's, or when its address has used up the calls without a credential, takes deliveries.
#[tokio::test]
async fn without_github_the_newest_archive_that_is_here_is_used() {
    let (simulator, app) = simulator().await;
    let home = tempfile::tempdir().unwrap();
    let mut config = GitHubConfig::new(&simulator.base_url(), app);
    // Nobody listens there.
    config.api_base = Some("http://127.0.0.1:1".into());
    let client = GitHubClient::new(config, Arc::new(SystemClock)).unwrap();
    let fetch = async || runnersmith_github::releases::fetch_runner(&client, false, home.path()).await;
    assert!(fetch().await.is_err(), "nothing is here");
    let platform = if cfg!(target_arch = "aarch64") { "linux-arm64" } else { "linux-x64" };
    let name = |version: &str| format!("actions-runner-{platform}-{version}.tar.gz");
    for other in [name("2.99.0"), name("2.330.0"), format!("{}.part", name("2.331.0")), name("newest"), "other".into()]
    {
        std::fs::write(home.path().join(other), "").unwrap();
    }
    assert_eq!(fetch().await.unwrap(), home.path().join(name("2.330.0")));
}
