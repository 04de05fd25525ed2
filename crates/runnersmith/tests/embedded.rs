//! Environments without Terraform: scale sets that are applied to a running control plane of real processes, drain, and come back
//! after a restart.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use runnersmith_controllers::loops::{self, Rhythm};
use runnersmith_controllers::{CallLimits, Ports, Sets, World, housekeeping};
use runnersmith_github::{AppCredentials, GitHubClient, GitHubConfig};
use runnersmith_github_sim::{JobSpec, WorkflowSpec};
use runnersmith_issueops::change::Left;
use runnersmith_issueops_engine::{Fleet as _, PlanOptions, Provisioner as _, Workspace};
use runnersmith_local::{LocalConfig, LocalHandOff, LocalMachines};
use runnersmith_ports::{Clock, SystemClock};
use runnersmith_provision_embedded::Embedded;
use runnersmith_sqlite::SqliteStore;
use runnersmith_types::{Secret, Timing};
use serde_json::json;
use support::{Bed, until};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The server's loops in this process, over the same home as `serve`.
struct ControlPlane {
    world: World,
    embedded: Embedded,
    stop: watch::Sender<bool>,
    loops: JoinSet<()>,
}

impl ControlPlane {
    async fn start(bed: &Bed) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        std::fs::create_dir_all(bed.path("data")).unwrap();
        let store = SqliteStore::open(&bed.path("data").join("ledger.sqlite3"), clock.clone()).unwrap();
        let config = std::fs::read_to_string(bed.path("runnersmith.toml")).unwrap();
        let app_id = config.split("app_id = \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let private_key_pem = Secret::new(std::fs::read_to_string(bed.path("app.pem")).unwrap());
        let mut github = GitHubConfig::new(&bed.github.base_url(), AppCredentials { app_id, private_key_pem });
        github.api_base = Some(bed.github.base_url());
        let exe = PathBuf::from(env!("CARGO_BIN_EXE_runnersmith"));
        let supervisor = vec![exe.into_os_string(), "machine".into()];
        let local = LocalConfig::new(bed.path("machines"), supervisor, bed.path("distribution"));
        let ports = Ports {
            queue: Arc::new(store.queue()),
            lookups: Some(Arc::new(store.lookups())),
            ledger: Arc::new(store.ledger()),
            machines: Arc::new(LocalMachines::new(local, clock.clone()).unwrap()),
            hand_off: Arc::new(LocalHandOff::new(&bed.path("machines"))),
            github: Arc::new(GitHubClient::new(github, clock.clone()).unwrap()),
            clock,
        };
        let second = Duration::from_secs(1);
        let world = World {
            ports,
            sets: Sets::new(Vec::new()),
            // As the demo has it.
            retired: Timing {
                idle_confirm: second,
                settle: second,
                ghost_grace: 5 * second,
                ..housekeeping::retired_timing_here()
            },
            limits: CallLimits { jit_per_minute: 5_000, calls_per_minute: 20_000 },
            levels: Arc::default(),
            metrics: Arc::new(runnersmith_controllers::metrics::Metrics::new()),
            holder: "test".into(),
            lease_ttl: Duration::from_secs(20),
            tasks: Arc::default(),
            faults: Arc::default(),
            observer: None,
        };
        let embedded = Embedded::new(world.clone(), Arc::new(store.record_store()));
        embedded.restore().await.unwrap();
        let (stop, stopped) = watch::channel(false);
        // There is no webhook here: the sweep finds the jobs. Full passes are as rare as in a server.
        let rhythm = Rhythm { sweep: second, ..Rhythm::default() };
        let loops = loops::start(&world, rhythm, &stopped);
        Self { world, embedded, stop, loops }
    }

    async fn stop(mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.loops.join_next().await {
            ended.unwrap();
        }
    }

    async fn apply(&self, environment: &str, min_idle: u32) {
        let workspace = workspace(environment, min_idle);
        let plan = self.embedded.plan(&workspace, PlanOptions::default(), &()).await.unwrap();
        self.embedded.apply(&workspace, &plan.file, &()).await.unwrap();
    }

    async fn destroy(&self, environment: &str) {
        let workspace = workspace(environment, 0);
        let plan =
            self.embedded.plan(&workspace, PlanOptions { destroy: true, without_lock: false }, &()).await.unwrap();
        self.embedded.apply(&workspace, &plan.file, &()).await.unwrap();
    }

    /// Asks until nothing is left; answers how long it took.
    async fn drained(&self, environment: &str, kill_jobs: bool, within: Duration) -> Duration {
        let begun = Instant::now();
        let last = std::sync::Mutex::new(Left::default());
        until(
            "nothing is left",
            within,
            || format!("{:?}", last.lock().unwrap()),
            async || {
                let left = self.embedded.drain(environment, kill_jobs).await.unwrap();
                *last.lock().unwrap() = left;
                left.is_nothing()
            },
        )
        .await;
        begun.elapsed()
    }
}

fn workspace(environment: &str, min_idle: u32) -> Workspace {
    let idle = json!({"cron": "* * * * * *", "timeZone": "UTC", "idleCount": min_idle});
    let values = json!({"environment": environment, "organization": "acme", "runner_extra_labels": format!("linux,{environment}"),
        "runners_maximum_count": 3, "idle_config": if min_idle > 0 { vec![idle] } else { Vec::new() }});
    let file = ("e/terraform.tfvars.json".to_owned(), values.to_string().into_bytes());
    Workspace::unchecked(environment, "e", BTreeMap::from([file]))
}

fn job(environment: &str, duration: Duration) -> WorkflowSpec {
    let labels = vec!["self-hosted".into(), environment.to_owned()];
    WorkflowSpec {
        name: "test".into(),
        jobs: vec![JobSpec { name: "one".into(), labels, duration, ..JobSpec::default() }],
    }
}

async fn is_over(bed: &Bed, run: u64) -> bool {
    bed.github.jobs(run).iter().all(|job| job.conclusion.as_deref() == Some("success"))
}

async fn runs(bed: &Bed, run: u64) {
    let status = || bed.github.jobs(run)[0].status.clone();
    until("the job runs", Duration::from_secs(60), || format!("{:?}", status()), async || status() == "in_progress")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_applied_environment_runs_the_jobs_that_waited_and_an_idle_one_drains_within_seconds() {
    let bed = Bed::with_sets("").await;
    let control_plane = ControlPlane::start(&bed).await;
    let run = bed.github.dispatch("acme/shop", job("ci", Duration::from_millis(200))).unwrap();
    control_plane.apply("ci", 2).await;
    until("the job is over", Duration::from_secs(60), String::new, async || is_over(&bed, run).await).await;
    until("its minimum is idle", Duration::from_secs(60), String::new, async || {
        bed.github.runners().iter().filter(|runner| runner.online).count() == 2
    })
    .await;
    let took = control_plane.drained("ci", false, Duration::from_secs(30)).await;
    assert!(took < Duration::from_secs(15), "an idle fleet took {took:?}");
    assert!(bed.github.runners().is_empty() && bed.machines_alive().is_empty());
    control_plane.destroy("ci").await;
    assert!(control_plane.world.sets.load().is_empty());
    control_plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_waits_for_a_running_job() {
    let bed = Bed::with_sets("").await;
    let control_plane = ControlPlane::start(&bed).await;
    control_plane.apply("ci", 0).await;
    let run = bed.github.dispatch("acme/shop", job("ci", Duration::from_secs(6))).unwrap();
    runs(&bed, run).await;
    until("the ledger knows", Duration::from_secs(30), String::new, async || {
        control_plane.embedded.drain("ci", false).await.unwrap().jobs == 1
    })
    .await;
    control_plane.drained("ci", false, Duration::from_secs(60)).await;
    assert!(is_over(&bed, run).await, "the job ran to its end: {:?}", bed.github.jobs(run));
    control_plane.destroy("ci").await;
    control_plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_may_kill_ends_a_running_job() {
    let bed = Bed::with_sets("").await;
    let control_plane = ControlPlane::start(&bed).await;
    control_plane.apply("ci", 0).await;
    let run = bed.github.dispatch("acme/shop", job("ci", Duration::from_secs(600))).unwrap();
    runs(&bed, run).await;
    control_plane.drained("ci", true, Duration::from_secs(60)).await;
    assert_eq!(bed.github.jobs(run)[0].status, "completed");
    assert!(bed.machines_alive().is_empty() && bed.github.runners().is_empty());
    control_plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_that_was_applied_is_there_after_a_restart_and_one_that_drained_is_not() {
    let bed = Bed::new(1).await;
    let control_plane = ControlPlane::start(&bed).await;
    control_plane.apply("ci", 0).await;
    control_plane.apply("old", 0).await;
    control_plane.embedded.drain("old", false).await.unwrap();
    control_plane.stop().await;

    let serve = bed.serve();
    bed.ready().await;
    let run = bed.github.dispatch("acme/shop", job("ci", Duration::from_millis(200))).unwrap();
    until("its job is over", Duration::from_secs(60), || bed.log(), async || is_over(&bed, run).await).await;
    let status = bed.run(&["status"]);
    let text = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(text.contains("ci: ") && text.contains("linux: ") && !text.contains("old: "), "{text}");
    assert_eq!(serve.stop().await, Some(0));
}
