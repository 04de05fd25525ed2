//! Limits, suspended installations and groups that an enterprise hands down: one organisation's trouble is nobody else's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use runnersmith_github::{AppCredentials, GitHubClient, GitHubConfig};
use runnersmith_github_sim::{App, Options, Simulator, WorkflowSpec};
use runnersmith_ports::{CheckRun, Clock, GitHub, GitHubError, JitRequest, SystemClock};
use runnersmith_types::{Label, Owner, RepoFullName, RunnerGroupName, RunnerScope, Secret};

const JIT: &str = "POST /orgs/{org}/actions/runners/generate-jitconfig";
const MINT: &str = "POST /app/installations/{id}/access_tokens";

/// A GitHub with two organisations, the App in both of them, and how many calls the client has counted.
struct Bed {
    simulator: Simulator,
    app: u64,
    client: GitHubClient,
    counted: Arc<AtomicU64>,
}

impl Bed {
    async fn new() -> Self {
        let key = runnersmith_github_sim::app_key();
        let simulator = Simulator::start(Options::default()).await.unwrap();
        let app =
            App { slug: "app".into(), private_key_pem: key.clone(), webhook_secret: "s".into(), webhook_url: None };
        let app = simulator.add_app(app).unwrap();
        for owner in ["acme", "globex"] {
            simulator.add_org(owner);
            simulator.add_repository(&format!("{owner}/shop"));
            simulator.install(app, owner);
        }
        let credentials = AppCredentials { app_id: app.to_string(), private_key_pem: Secret::new(key) };
        let mut config = GitHubConfig::new(&simulator.base_url(), credentials);
        config.api_base = Some(simulator.base_url());
        let counted = Arc::new(AtomicU64::new(0));
        let counter = counted.clone();
        config.counter = Some(Arc::new(move |_, _| _ = counter.fetch_add(1, Ordering::Relaxed)));
        let client = GitHubClient::new(config, Arc::new(SystemClock)).unwrap();
        Self { simulator, app, client, counted }
    }

    fn calls(&self, operation: &str) -> u64 {
        self.simulator.calls().get(operation).copied().unwrap_or(0)
    }

    fn all_calls(&self) -> u64 {
        self.simulator.calls().values().sum()
    }
}

fn at(owner: &str) -> RunnerScope {
    RunnerScope::Organization(Owner::parse(owner).unwrap())
}

fn shop(owner: &str) -> RepoFullName {
    RepoFullName::parse(&format!("{owner}/shop")).unwrap()
}

fn jit(owner: &str, n: usize, group: &str) -> JitRequest {
    JitRequest {
        at: at(owner),
        name: format!("linux-abcdef-{n}"),
        labels: vec![Label::of_set("linux").unwrap()],
        group: RunnerGroupName::parse(group).unwrap(),
    }
}

fn check(owner: &str, n: usize) -> CheckRun {
    CheckRun {
        repo: shop(owner),
        head_sha: format!("{n:040x}"),
        id: None,
        title: "waits".into(),
        summary: "at its maximum".into(),
        conclusion: None,
    }
}

/// Until when a call has to wait, seconds from now.
fn waits<T: std::fmt::Debug>(answer: Result<T, GitHubError>) -> u64 {
    match answer.unwrap_err() {
        GitHubError::RateLimited { until, .. } => until.since(SystemClock.now()).as_secs(),
        other => panic!("no limit: {other}"),
    }
}

#[tokio::test]
async fn an_organisation_over_its_limit_stops_no_other_and_no_call_of_the_app() {
    let bed = Bed::new().await;
    bed.simulator.set_limit("acme", 5_000, 5_000);
    for n in 1..=3 {
        let wait = waits(bed.client.jit_config(&jit("acme", n, "Default")).await);
        assert!((3_590..=3_600).contains(&wait), "until the hour is over: {wait}");
        bed.client.jit_config(&jit("globex", n, "Default")).await.unwrap();
        assert_eq!(bed.client.whoami().await.unwrap(), "app");
    }
    assert_eq!(bed.calls("GET /orgs/{org}/actions/runner-groups"), 2, "one for each, and then it is known");
    bed.simulator.block("globex", Duration::from_secs(90), 429, false);
    assert!((85..=90).contains(&waits(bed.client.registrations(&at("globex")).await)));
    bed.simulator.set_limit("acme", 5_000, 0);
    assert_eq!(bed.client.whoami().await.unwrap(), "app");
}

#[tokio::test]
async fn a_suspended_installation_stops_no_other_and_is_not_asked_again_at_once() {
    let bed = Bed::new().await;
    bed.client.registrations(&at("acme")).await.unwrap();
    bed.simulator.suspend("acme", true);
    let refused = bed.client.registrations(&at("acme")).await.unwrap_err();
    assert!(refused.to_string().contains("suspended"), "{refused}");
    let before = bed.all_calls();
    for n in 1..=5 {
        let refused = bed.client.jit_config(&jit("acme", n, "Default")).await.unwrap_err();
        assert!(matches!(refused, GitHubError::Unauthorized { .. }), "{refused}");
    }
    assert_eq!(bed.all_calls(), before, "what is suspended stays so for minutes");
    bed.client.jit_config(&jit("globex", 1, "Default")).await.unwrap();
}

#[tokio::test]
async fn sweeps_and_lists_leave_a_reserve_to_registrations_removals_and_look_ups_by_id() {
    let bed = Bed::new().await;
    bed.simulator.set_limit("acme", 5_000, 3_480);
    bed.client.jit_config(&jit("acme", 1, "Default")).await.unwrap();
    let mut swept = 0;
    while bed.client.sweep(&shop("acme")).await.is_ok() {
        swept += 1;
        assert!(swept < 100, "sweeps use up the hour");
        // A list that has not changed would cost nothing.
        bed.simulator.cancel_run(bed.simulator.dispatch("acme/shop", WorkflowSpec::default()).unwrap());
    }
    assert!((10..=20).contains(&swept), "{swept}: until 1,500 of 5,000 are left");
    let before = bed.all_calls();
    assert!(waits(bed.client.sweep(&shop("acme")).await) > 3_500);
    assert!(waits(bed.client.registrations(&at("acme")).await) > 3_500);
    assert_eq!(bed.all_calls(), before, "they wait without a call");
    let made = bed.client.jit_config(&jit("acme", 2, "Default")).await.unwrap();
    bed.client.registration(&at("acme"), made.registration).await.unwrap();
    bed.client.registration_by_name(&at("acme"), "linux-abcdef-2").await.unwrap().unwrap();
    bed.client.registration_token(&at("acme")).await.unwrap();
    bed.client.deregister(&at("acme"), made.registration).await.unwrap();
    bed.client.notify(&check("acme", 1)).await.unwrap();
    bed.client.sweep(&shop("globex")).await.expect("the other organisation has an hour of its own");

    bed.simulator.set_limit("acme", 5_000, 4_600);
    bed.client.jit_config(&jit("acme", 3, "Default")).await.unwrap();
    assert!(waits(bed.client.notify(&check("acme", 2)).await) > 3_500, "a check run leaves the last tenth too");
    for n in 4..=300 {
        bed.client.jit_config(&jit("acme", n, "Default")).await.unwrap();
    }
}

#[tokio::test]
async fn what_the_app_searches_leaves_its_own_limit_to_tokens() {
    let bed = Bed::new().await;
    bed.simulator.set_app_limit(bed.app, 5_000, 3_600);
    assert_eq!(bed.client.whoami().await.unwrap(), "app");
    assert!(waits(bed.client.redeliver(1).await) > 3_500);
    bed.client.jit_config(&jit("acme", 1, "Default")).await.unwrap();
    assert_eq!(bed.calls(MINT), 1);
}

#[tokio::test]
async fn a_limit_on_content_holds_check_runs_and_no_runner() {
    let bed = Bed::new().await;
    bed.simulator.set_content_limit("acme", 2);
    for n in 1..=2 {
        bed.client.notify(&check("acme", n)).await.unwrap();
    }
    assert!(waits(bed.client.notify(&check("acme", 3)).await) <= 60);
    let before = bed.all_calls();
    assert!(waits(bed.client.notify(&check("acme", 4)).await) <= 60);
    assert_eq!(bed.all_calls(), before);
    bed.client.jit_config(&jit("acme", 1, "Default")).await.unwrap();
    bed.client.notify(&check("globex", 1)).await.unwrap();
}

#[tokio::test]
async fn every_call_is_counted_pages_retries_and_tokens_too() {
    let bed = Bed::new().await;
    for n in 0..150 {
        bed.client.jit_config(&jit("acme", n, "Default")).await.unwrap();
    }
    bed.simulator.set_faults(|faults| _ = faults.fail.insert("GET /orgs/{org}/actions/runners".into(), (502, 2)));
    assert_eq!(bed.client.registrations(&at("acme")).await.unwrap().len(), 150);
    bed.client.sweep(&shop("globex")).await.unwrap();
    bed.client.whoami().await.unwrap();
    assert_eq!(bed.calls(JIT), 150);
    assert_eq!(bed.counted.load(Ordering::Relaxed), bed.all_calls());
}

#[tokio::test]
async fn one_installation_is_looked_up_once_for_all_repositories_of_its_owner() {
    let bed = Bed::new().await;
    for n in 0..20 {
        bed.simulator.add_repository(&format!("acme/shop-{n}"));
        let repo = RepoFullName::parse(&format!("acme/shop-{n}")).unwrap();
        bed.client.sweep(&repo).await.unwrap();
    }
    bed.client.registrations(&at("acme")).await.unwrap();
    let lookups = bed.calls("GET /repos/{owner}/{repo}/installation") + bed.calls("GET /orgs/{org}/installation");
    assert_eq!((lookups, bed.calls(MINT)), (1, 1));
}

#[tokio::test]
async fn a_group_of_the_enterprise_takes_no_runner_and_a_renamed_default_group_does() {
    let bed = Bed::new().await;
    let own = bed.simulator.add_group("acme", "gpu", "all", &[], true);
    let inherited = bed.simulator.add_inherited_group("acme", "gpu");
    assert!(own < inherited, "the inherited one is listed last");
    bed.client.jit_config(&jit("acme", 1, "gpu")).await.expect("the organisation's own group of that name");
    let _ = bed.simulator.add_inherited_group("acme", "shared");
    let refused = bed.client.jit_config(&jit("acme", 2, "shared")).await.unwrap_err();
    assert!(matches!(refused, GitHubError::NotFound { .. }), "{refused}");

    bed.simulator.rename_default_group("globex", "Everybody");
    bed.client.jit_config(&jit("globex", 1, "Default")).await.expect("it is the default group still");
    bed.client.jit_config(&jit("globex", 2, "everybody")).await.unwrap();
}
