//! Commands that only look: `why`, `status`, `plan`, `check`. They read the ledger's file beside a running `serve`.

use std::path::Path;
use std::sync::Arc;

use runnersmith_config::Config;
use runnersmith_controllers::{Depth, World, observe::observe, why as timeline};
use runnersmith_ports::{Clock, LedgerError, SystemClock, chain};
use runnersmith_types::{Plan, Timestamp};
use serde::Serialize;

use crate::cli;
use crate::exit::{ExitStatus, Failure};
use crate::report;
use crate::settings::Settings;

/// Reads and checks the configuration.
pub fn read_config(path: &Path) -> Result<Config, Failure> {
    Config::read(path).map_err(|error| {
        Failure::config(
            format!("{}: {}", path.display(), chain(&error)),
            "every field is explained in runnersmith.example.toml; `runnersmith check` checks the file alone",
        )
    })
}

/// Resolves a configuration into what a server needs, secrets included.
pub async fn settings(config: &Config) -> Result<Settings, Failure> {
    crate::settings::from_config(config).await
}

async fn look(options: &cli::Query) -> Result<World, Failure> {
    let config = read_config(&options.file.config)?;
    let settings = settings(&config).await?;
    let ledger = settings.data.join(crate::serve::LEDGER);
    if !settings.cloud.has_ledger() && !ledger.exists() {
        // Looking makes nothing.
        return Err(Failure::outside(
            format!("there is no ledger {}", ledger.display()),
            "start `runnersmith serve` first",
        ));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let github = crate::client::github(settings.github.clone(), clock.clone(), "check the [github] section")?;
    let distribution = crate::serve::named_or_none(&settings);
    let store = crate::serve::open_store(&settings.data, clock.clone())?;
    let world = crate::serve::world(&settings, &store, Arc::new(github), distribution, clock)?;
    crate::serve::restored(&world, store.record_store()).await?;
    Ok(world)
}

fn ledger_failed(error: LedgerError) -> Failure {
    Failure::outside(chain(&error), "is the [store] directory the one that `serve` uses?")
}

/// `runnersmith why`.
pub async fn why(options: cli::Why) -> Result<ExitStatus, Failure> {
    let id = timeline::parse_job(&options.job).map_err(|error| Failure {
        status: ExitStatus::Usage,
        what: error.to_string(),
        hint: Some("give the job's number or its address in GitHub".into()),
    })?;
    let world = look(&options.query).await?;
    let plans = plans(&world).await?;
    for (set, plan, at) in &plans {
        if let Some(policy) = world.set(set) {
            world.levels.put(runnersmith_controllers::levels::Level::of_plan(&policy, plan, *at));
        }
    }
    match timeline::why(world.ports.ledger.as_ref(), Some(&world.levels), id).await.map_err(ledger_failed)? {
        Some(why) if options.query.json => report::json(&why.to_json())?,
        Some(why) => report::line(&why.to_string()),
        None => {
            report::note(&format!("job {id} is not in the ledger"));
            report::note(
                "hint: no delivery named it; check the App's webhook (Advanced → Recent deliveries) and that the App is installed in the repository",
            );
            return Ok(ExitStatus::RequestFailed);
        }
    }
    Ok(ExitStatus::Success)
}

async fn plans(world: &World) -> Result<Vec<(runnersmith_types::ScaleSetName, Plan, Timestamp)>, Failure> {
    let mut plans = Vec::new();
    let sets = world.sets.load();
    for policy in sets.iter() {
        let snapshot = observe(world, &sets, policy, Depth::Message).await.map_err(ledger_failed)?;
        let now = world.ports.clock.now();
        plans.push((policy.name.clone(), runnersmith_plan::plan(policy, &snapshot, now), now));
    }
    Ok(plans)
}

#[derive(Serialize)]
struct PlanJson {
    set: String,
    demand: u32,
    supply: u32,
    floor: u32,
    steps: Vec<StepJson>,
    waiting: Vec<WaitingJson>,
}

#[derive(Serialize)]
struct StepJson {
    action: &'static str,
    what: String,
    reason: String,
}

#[derive(Serialize)]
struct WaitingJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runner: Option<String>,
    on: String,
}

/// `runnersmith plan`.
pub async fn plan(options: cli::Query) -> Result<ExitStatus, Failure> {
    let world = look(&options).await?;
    let plans: Vec<PlanJson> = plans(&world)
        .await?
        .into_iter()
        .map(|(set, plan, _)| PlanJson {
            set: set.to_string(),
            demand: plan.demand,
            supply: plan.supply,
            floor: plan.min_idle,
            steps: plan
                .steps
                .into_iter()
                .map(|step| StepJson {
                    action: step.action.kind(),
                    what: timeline::describe(&step.action),
                    reason: step.reason.to_string(),
                })
                .collect(),
            waiting: plan
                .waiting
                .into_iter()
                .map(|waiting| WaitingJson {
                    job: waiting.job.map(|id| id.0),
                    runner: waiting.runner.map(|name| name.to_string()),
                    on: waiting.on.to_string(),
                })
                .collect(),
        })
        .collect();
    if options.json {
        report::json(&plans)?;
        return Ok(ExitStatus::Success);
    }
    for plan in plans {
        report::line(&format!(
            "{}: demand {}, supply {}, minimum idle {}",
            plan.set, plan.demand, plan.supply, plan.floor
        ));
        if plan.steps.is_empty() {
            report::line("  nothing to do");
        }
        for step in plan.steps {
            report::line(&format!("  {} — {}", step.what, step.reason));
        }
        for waiting in plan.waiting {
            let who = waiting.job.map(|id| format!("job {id}")).or(waiting.runner).unwrap_or_else(|| "the set".into());
            report::line(&format!("  {who}: {}", waiting.on));
        }
    }
    Ok(ExitStatus::Success)
}

#[derive(Serialize)]
struct StatusJson {
    sets: Vec<SetJson>,
    jobs: Vec<JobJson>,
}

#[derive(Serialize)]
struct SetJson {
    name: String,
    alive: u32,
    supply: u32,
    runners_max: u32,
    runners: Vec<RunnerJson>,
}

#[derive(Serialize)]
struct RunnerJson {
    name: String,
    state: &'static str,
    job: Option<u64>,
}

#[derive(Serialize)]
struct JobJson {
    id: u64,
    repository: String,
    name: String,
    status: &'static str,
    runner: Option<String>,
}

/// `runnersmith status`.
pub async fn status(options: cli::Query) -> Result<ExitStatus, Failure> {
    let world = look(&options).await?;
    let ledger = &world.ports.ledger;
    let counts = ledger.counts().await.map_err(ledger_failed)?;
    let mut sets = Vec::new();
    for policy in world.sets.load().iter() {
        let (alive, supply) = counts
            .iter()
            .find(|(name, ..)| name == &policy.name)
            .map_or((0, 0), |(_, alive, supply)| (*alive, *supply));
        let runners = ledger.live_runners(&policy.name).await.map_err(ledger_failed)?;
        sets.push(SetJson {
            name: policy.name.to_string(),
            alive,
            supply,
            runners_max: policy.runners_max,
            runners: runners
                .into_iter()
                .map(|runner| RunnerJson {
                    name: runner.name.to_string(),
                    state: runner.state.word(),
                    job: runner.job.map(|id| id.0),
                })
                .collect(),
        });
    }
    let open = ledger.open_jobs(Timestamp(i64::MAX)).await.map_err(ledger_failed)?;
    let jobs: Vec<JobJson> = open
        .into_iter()
        .filter(|job| job.fact.status.is_open())
        .map(|job| JobJson {
            id: job.id().0,
            repository: job.fact.repo.to_string(),
            status: job.fact.status.word(),
            runner: job.fact.runner_name.clone(),
            name: job.fact.name,
        })
        .collect();
    let status = StatusJson { sets, jobs };
    if options.json {
        report::json(&status)?;
        return Ok(ExitStatus::Success);
    }
    for set in status.sets {
        report::line(&format!(
            "{}: {} of {} runners alive, {} can take a job",
            set.name, set.alive, set.runners_max, set.supply
        ));
        for runner in set.runners {
            let job = runner.job.map(|id| format!(" (job {id})")).unwrap_or_default();
            report::line(&format!("  {} {}{job}", runner.name, runner.state));
        }
    }
    if status.jobs.is_empty() {
        report::line("no job is open");
    }
    for job in status.jobs {
        let runner = job.runner.map(|name| format!(" on {}", name.escape_debug())).unwrap_or_default();
        report::line(&format!("job {} {} {}{runner}: {}", job.id, job.repository, job.status, job.name.escape_debug()));
    }
    Ok(ExitStatus::Success)
}

/// `runnersmith check`.
pub fn check(options: &cli::ConfigFile) -> Result<ExitStatus, Failure> {
    let config = read_config(&options.config)?;
    for warning in &config.warnings {
        report::note(&format!("warning: {warning}"));
    }
    report::line(&format!("{} is valid: {} scale set(s)", options.config.display(), config.scale_sets.len()));
    for set in &config.scale_sets {
        let labels: Vec<&str> = set.labels.iter().map(runnersmith_types::Label::as_str).collect();
        report::line(&format!("  {}: labels {}, at most {} runners", set.name, labels.join(", "), set.runners_max));
    }
    Ok(ExitStatus::Success)
}
