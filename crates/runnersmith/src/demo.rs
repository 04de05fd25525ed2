//! The main job on a fresh machine: a simulated GitHub, real processes as machines, runners from zero to the maximum
//! and back, and a table that shows where each job's time went.

mod request;

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use runnersmith_config::{Distribution, Provisioning};
use runnersmith_controllers::loops::Rhythm;
use runnersmith_controllers::{CallLimits, housekeeping};
use runnersmith_github::{AppCredentials, GitHubConfig};
use runnersmith_github_sim::{self as sim, Simulator};
use runnersmith_types::{Job, JobStatus, RepoFullName, Runner, Secret, Timestamp, Timing, WebhookPath};
use runnersmith_web::ConnectionLimits;

use crate::cli;
use crate::exit::{CommandFailure, ExitStatus};
use crate::report;
use crate::serve::Server;
use crate::settings::{Settings, own_supervisor};
use crate::startup;

/// No demo of the allowed sizes needs longer, even on a busy machine.
const DEMO_WITHIN: Duration = Duration::from_secs(300);

/// `runnersmith demo`.
pub async fn command(options: cli::Demo) -> Result<ExitStatus, CommandFailure> {
    startup::logs(false, "error");
    let home = Home::new()?;
    let github = start_github(&home).await?;
    let server = Server::start(settings(&home, &github)?).await?;
    github.simulator.set_webhook_url(&format!("http://{}/webhook", server.address));
    github.simulator.subscribe(github.app_number, &["workflow_job", "issues", "issue_comment", "pull_request", "push"]);
    request::lay_out(&github.simulator, options.maximum);
    report::note(&format!("GitHub (simulated)  {}", github.simulator.base_url()));
    report::note(&format!("dashboard           http://{}/", server.address));
    report::note(&format!("{} jobs, at most {} runners, scale to zero afterwards\n", options.jobs, options.maximum));

    let shown = run(&options, &server, &github).await;
    let status = match shown {
        Ok(status) => status,
        Err(failure) => {
            server.stop().await;
            return Err(failure);
        }
    };
    if options.keep {
        report::note(&format!("\nkept: http://{}/ — press Ctrl-C to end", server.address));
        startup::StopSignals::new()?.next().await;
    }
    server.stop().await;
    github.simulator.stop().await;
    Ok(status)
}

/// The whole of it: asked for, approved, used, asked away.
async fn run(options: &cli::Demo, server: &Server, github: &DemoGitHub) -> Result<ExitStatus, CommandFailure> {
    let created = request::create(&github.simulator, options.maximum).await?;
    let before = github.simulator.calls();
    let dispatched_at = server.world.ports.clock.now();
    let run = github
        .simulator
        .dispatch("acme/shop", workflow(options))
        .map_err(|error| CommandFailure::internal(error.to_string()))?;
    let peak = watch(server, options).await?;
    let mut outcome = outcome(server, github, Dispatched { run, at: dispatched_at }, peak).await?;
    // What the request cost is not the fleet's.
    for (call, count) in &mut outcome.github_calls {
        *count -= before.get(call).copied().unwrap_or(0).min(*count);
    }
    outcome.github_calls.retain(|_, count| *count > 0);
    outcome.requests = vec![created];
    if !options.keep {
        outcome.requests.push(request::delete(&github.simulator).await?);
        outcome.sets_left = server.world.sets.load().len();
    }
    show(&outcome, options)?;
    Ok(if outcome.is_whole(options) { ExitStatus::Success } else { ExitStatus::RequestFailed })
}

/// A directory of its own that goes with the demo.
struct Home(std::path::PathBuf);

impl Home {
    fn new() -> Result<Self, CommandFailure> {
        let directory = std::env::temp_dir().join(format!("runnersmith-demo-{}", std::process::id()));
        std::fs::create_dir_all(&directory).map_err(|error| {
            CommandFailure::outside(
                format!("make {}: {error}", directory.display()),
                "set TMPDIR to a writable directory",
            )
        })?;
        Ok(Self(directory))
    }
    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // What is left over in a temporary directory harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct DemoGitHub {
    simulator: Simulator,
    app_number: u64,
    app_key: Secret,
    app_id: String,
    webhook_secret: Secret,
}

async fn start_github(home: &Home) -> Result<DemoGitHub, CommandFailure> {
    let fail = |what: &str, error: String| CommandFailure::internal(format!("{what}: {error}"));
    let key = sim::app_key();
    let secret = format!("{:x}{:x}", std::process::id(), std::time::Instant::now().elapsed().as_nanos() + 0x9e37_79b9);
    let simulator = Simulator::start(sim::Options::default()).await.map_err(|error| {
        CommandFailure::outside(format!("start the simulated GitHub: {error}"), "a free loopback port is needed")
    })?;
    simulator.add_org("acme");
    simulator.add_repository("acme/shop");
    let app_id = simulator
        .add_app(sim::App {
            slug: "runnersmith-demo".into(),
            private_key_pem: key.clone(),
            webhook_secret: secret.clone(),
            webhook_url: None,
        })
        .map_err(|error| fail("register the demo's App", error.to_string()))?;
    simulator.install(app_id, "acme");
    let exe = std::env::current_exe().map_err(|error| fail("find this program", error.to_string()))?;
    runnersmith_fake_runner::write_distribution(&home.path().join("distribution"), &exe)
        .map_err(|error| fail("write the fake runner", error.to_string()))?;
    Ok(DemoGitHub {
        simulator,
        app_number: app_id,
        app_key: Secret::new(key),
        app_id: app_id.to_string(),
        webhook_secret: Secret::new(secret),
    })
}

fn settings(home: &Home, github: &DemoGitHub) -> Result<Settings, CommandFailure> {
    let mut config = GitHubConfig::new(
        &github.simulator.base_url(),
        AppCredentials { app_id: github.app_id.clone(), private_key_pem: github.app_key.clone() },
    );
    config.api_base = Some(github.simulator.base_url());
    Ok(Settings {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        webhook_path: WebhookPath::default(),
        data: home.path().join("data"),
        machines: home.path().join("machines"),
        distribution: Distribution::Path(home.path().join("distribution")),
        releases_api_url: None,
        supervisor: own_supervisor().map_err(|error| CommandFailure::internal(error.to_string()))?,
        // None is there until somebody asks for one.
        sets: Vec::new(),
        retired: retired(),
        limits: CallLimits { jit_per_minute: 1_000, calls_per_minute: 5_000 },
        github: config,
        webhook_secrets: vec![github.webhook_secret.clone()],
        allow_sha1: false,
        dashboard_token: None,
        hosts: Vec::new(),
        connections: ConnectionLimits::default(),
        issueops: Some(crate::issueops::server_mode::IssueOpsSettings {
            repository: RepoFullName::parse(request::REPOSITORY)
                .map_err(|error| CommandFailure::internal(error.to_string()))?,
            provisioning: Provisioning::Embedded,
            terraform: "terraform".into(),
            plan_key: github.app_key.clone(),
            app: crate::issueops::server_mode::StackApp {
                id: github.app_id.clone(),
                key_pem: github.app_key.clone(),
                webhook_secret: github.webhook_secret.clone(),
            },
            data: home.path().join("data"),
            tick: Duration::from_secs(60),
            drift: Duration::ZERO,
        }),
        otel: None,
        cloud: crate::cloud::CloudHere::default(),
        rhythm: Rhythm::default(),
    })
}

/// The simulated GitHub and the fake runner agree within milliseconds on who has a job.
fn retired() -> Timing {
    let short = Duration::from_secs(1);
    Timing { idle_confirm: short, settle: short, ghost_grace: 5 * short, ..housekeeping::retired_timing_here() }
}

fn workflow(options: &cli::Demo) -> sim::WorkflowSpec {
    let jobs = (1..=options.jobs)
        .map(|n| sim::JobSpec {
            name: format!("test ({n})"),
            labels: vec!["self-hosted".into(), request::ENVIRONMENT.into()],
            duration: Duration::from_millis(options.job_ms),
            ..sim::JobSpec::default()
        })
        .collect();
    sim::WorkflowSpec { name: "demo".into(), jobs }
}

/// Follows the level until every job is over and no runner is left. Returns the most runners seen at once.
async fn watch(server: &Server, options: &cli::Demo) -> Result<usize, CommandFailure> {
    let terminal = std::io::stderr().is_terminal() && !options.json;
    let ledger = &server.world.ports.ledger;
    let (mut peak, mut last) = (0, String::new());
    let follow = async {
        loop {
            let jobs = ledger.recent_jobs(1_000).await.map_err(|error| CommandFailure::internal(error.to_string()))?;
            let mut alive = 0;
            for set in server.world.sets.load().iter() {
                alive += ledger
                    .live_runners(&set.name)
                    .await
                    .map_err(|error| CommandFailure::internal(error.to_string()))?
                    .len();
            }
            peak = peak.max(alive);
            let count = |status: JobStatus| jobs.iter().filter(|job| job.fact.status == status).count();
            let done = count(JobStatus::Completed);
            let text = format!(
                "queued {:>3}   running {:>3}   done {:>3}   runners {:>3} {}",
                count(JobStatus::Queued),
                count(JobStatus::InProgress),
                done,
                alive,
                "▮".repeat(alive.min(50))
            );
            if text != last {
                if terminal {
                    report::progress(&text)
                } else {
                    report::note(&text)
                }
                last = text;
            }
            if done >= options.jobs as usize && alive == 0 {
                return Ok(peak);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let answer = tokio::time::timeout(DEMO_WITHIN, follow).await.unwrap_or_else(|_| {
        Err(CommandFailure::outside(
            format!("the demo did not end within {} s", DEMO_WITHIN.as_secs()),
            "run it with --keep and look at the dashboard, or with fewer --jobs",
        ))
    });
    if terminal {
        report::note("");
    }
    answer
}

/// The workflow run, and when it was dispatched.
#[derive(Clone, Copy)]
struct Dispatched {
    run: u64,
    at: Timestamp,
}

/// One job's row.
#[derive(Debug, serde::Serialize)]
struct Row {
    job: String,
    runner: String,
    /// Milliseconds from GitHub's queueing to our receipt.
    delivery_ms: u64,
    /// Receipt to recorded intent: includes waiting at the maximum.
    decision_ms: u64,
    /// Recorded intent to bound machine.
    launch_ms: u64,
    /// Bound machine to runner online.
    boot_ms: u64,
    /// Online to GitHub's assignment reaching us.
    assign_ms: u64,
    /// All of it.
    total_ms: u64,
}

/// What the demo showed.
#[derive(Debug, serde::Serialize)]
struct Outcome {
    jobs: Vec<Row>,
    succeeded: usize,
    runners_peak: usize,
    runners_left: usize,
    registrations_left: usize,
    /// Median of receipt → launched over the jobs that did not wait at the maximum.
    control_plane_median_ms: Option<u64>,
    /// Calls to GitHub, by operation.
    github_calls: BTreeMap<String, u64>,
    github_jit_calls: u64,
    runners_used: usize,
    /// The requests that made the scale set and took it away.
    requests: Vec<request::DemoRequest>,
    /// Scale sets at the end.
    sets_left: usize,
}

impl Outcome {
    fn is_whole(&self, options: &cli::Demo) -> bool {
        self.succeeded == options.jobs as usize
            && self.runners_left == 0
            && self.registrations_left == 0
            && self.sets_left == 0
    }
}

async fn outcome(
    server: &Server,
    github: &DemoGitHub,
    dispatched: Dispatched,
    runners_peak: usize,
) -> Result<Outcome, CommandFailure> {
    let internal = |error: runnersmith_ports::LedgerError| CommandFailure::internal(error.to_string());
    let ledger = &server.world.ports.ledger;
    let mut jobs = ledger.recent_jobs(1_000).await.map_err(internal)?;
    jobs.sort_by_key(Job::id);
    let runners = ledger.recent_runners(1_000).await.map_err(internal)?;
    let mut rows = Vec::with_capacity(jobs.len());
    for job in &jobs {
        let runner = job.runner().and_then(|name| runners.iter().find(|runner| runner.name == name));
        rows.push(row(job, runner, dispatched.at));
    }
    let first_seen = jobs.iter().filter_map(|job| job.queued_at).min();
    let mut shares: Vec<u64> = runners
        .iter()
        .filter(|runner| runner.intended_at.since(first_seen.unwrap_or_default()) < Duration::from_millis(500))
        .filter_map(|runner| {
            let queued = jobs.iter().filter_map(|job| job.queued_at).filter(|at| *at <= runner.intended_at).max()?;
            Some(millis(runner.machine_at?.since(queued)))
        })
        .collect();
    shares.sort_unstable();
    let calls = github.simulator.calls();
    let jit = calls.iter().filter(|(operation, _)| operation.contains("generate-jitconfig")).map(|(_, n)| *n).sum();
    Ok(Outcome {
        succeeded: github
            .simulator
            .jobs(dispatched.run)
            .iter()
            .filter(|job| job.conclusion.as_deref() == Some("success"))
            .count(),
        jobs: rows,
        runners_peak,
        runners_left: runners.iter().filter(|runner| runner.state.is_alive()).count(),
        registrations_left: github.simulator.runners().len(),
        control_plane_median_ms: shares.get(shares.len() / 2).copied(),
        github_calls: calls,
        github_jit_calls: jit,
        runners_used: runners.len(),
        requests: Vec::new(),
        sets_left: 0,
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn row(job: &Job, runner: Option<&Runner>, dispatched_at: Timestamp) -> Row {
    let queued = job.queued_at.unwrap_or(job.first_seen_at);
    // GitHub's own times have whole seconds only; here it is known better.
    let created = dispatched_at.min(queued);
    let intended = runner.map_or(queued, |runner| runner.intended_at).max(queued);
    let machine = runner.and_then(|runner| runner.machine_at).unwrap_or(intended).max(intended);
    let online = runner.and_then(|runner| runner.online_at).unwrap_or(machine).max(machine);
    let started = job.in_progress_at.or(job.ended_at).unwrap_or(online).max(machine);
    let online = online.min(started);
    Row {
        job: job.fact.name.clone(),
        runner: runner.map_or_else(|| "-".into(), |runner| runner.name.to_string()),
        delivery_ms: millis(queued.since(created)),
        decision_ms: millis(intended.since(queued)),
        launch_ms: millis(machine.since(intended)),
        boot_ms: millis(online.since(machine)),
        assign_ms: millis(started.since(online)),
        total_ms: millis(started.since(created.min(queued))),
    }
}

fn show(outcome: &Outcome, options: &cli::Demo) -> Result<(), CommandFailure> {
    if options.json {
        return report::json(outcome);
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["job", "runner", "delivery", "wait + decision", "launch", "boot", "assign", "queued → started"]);
    for row in &outcome.jobs {
        let ms = |value: u64| format!("{value} ms");
        table.add_row([
            row.job.clone(),
            row.runner.clone(),
            ms(row.delivery_ms),
            ms(row.decision_ms),
            ms(row.launch_ms),
            ms(row.boot_ms),
            ms(row.assign_ms),
            ms(row.total_ms),
        ]);
    }
    for column in 2..8 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
    }
    report::line(&table.to_string());
    report::line(&format!(
        "\n{} of {} jobs succeeded · runners 0 → {} → {} · registrations left {}",
        outcome.succeeded, options.jobs, outcome.runners_peak, outcome.runners_left, outcome.registrations_left
    ));
    if let Some(median) = outcome.control_plane_median_ms {
        report::line(&format!(
            "control plane, queued → launched: {median} ms at the median (jobs that did not wait at the maximum)"
        ));
    }
    for (what, request) in ["made", "taken away"].iter().zip(&outcome.requests) {
        report::line(&format!("the scale set was {what} by {request}"));
    }
    report::line(&format!(
        "GitHub calls: {} in all, {} JIT configs for {} runners",
        outcome.github_calls.values().sum::<u64>(),
        outcome.github_jit_calls,
        outcome.runners_used
    ));
    Ok(())
}
