//! `runnersmith plan`: what a server would do now. Unlike `why` and `status` it asks for the machines, so that it needs what a
//! server needs.

use std::sync::Arc;

use runnersmith_controllers::{Depth, World, observe::observe};
use runnersmith_ports::{Clock, SystemClock};
use runnersmith_types::{Plan, ScaleSetName};
use serde::Serialize;

use crate::cli;
use crate::exit::{ExitStatus, Failure};
use crate::query::{ledger_failed, no_ledger, read_config, settings};
use crate::report;

async fn world(options: &cli::Query) -> Result<World, Failure> {
    let config = read_config(&options.file.config)?;
    let settings = settings(&config).await?;
    let ledger = settings.data.join(crate::serve::LEDGER);
    if !settings.cloud.has_ledger() && !ledger.exists() {
        // Reading makes nothing.
        return Err(no_ledger(&ledger));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let github = crate::client::github(settings.github.clone(), clock.clone(), "check the [github] section")?;
    let distribution = crate::serve::named_or_none(&settings);
    let store = crate::serve::open_store(&settings.data, clock.clone())?;
    let world = crate::serve::world(&settings, &store, Arc::new(github), distribution, clock)?;
    crate::serve::restored(&world, store.record_store()).await?;
    Ok(world)
}

async fn plans(world: &World) -> Result<Vec<(ScaleSetName, Plan)>, Failure> {
    let mut plans = Vec::new();
    let sets = world.sets.load();
    for policy in sets.iter() {
        let snapshot = observe(world, &sets, policy, Depth::Partial).await.map_err(ledger_failed)?;
        plans.push((policy.name.clone(), runnersmith_plan::plan(policy, &snapshot, world.ports.clock.now())));
    }
    Ok(plans)
}

#[derive(Serialize)]
struct PlanJson {
    set: String,
    demand: u32,
    supply: u32,
    min_idle: u32,
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
pub async fn command(options: cli::Query) -> Result<ExitStatus, Failure> {
    let world = world(&options).await?;
    let plans: Vec<PlanJson> = plans(&world)
        .await?
        .into_iter()
        .map(|(set, plan)| PlanJson {
            set: set.to_string(),
            demand: plan.demand,
            supply: plan.supply,
            min_idle: plan.min_idle,
            steps: plan
                .steps
                .into_iter()
                .map(|step| StepJson {
                    action: step.action.kind(),
                    what: step.action.to_string(),
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
            plan.set, plan.demand, plan.supply, plan.min_idle
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
