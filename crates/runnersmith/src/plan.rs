//! `runnersmith plan`: what a server would do now. Unlike `why` and `status` it asks for the machines, so that it needs what a
//! server needs.

use std::sync::Arc;

use runnersmith_controllers::{Depth, PlanJson, World, observe::observe};
use runnersmith_ports::{Clock, SystemClock};

use crate::cli;
use crate::exit::{CommandFailure, ExitStatus};
use crate::query::{is_there, ledger_failed, no_ledger, read_config, settings};
use crate::report;

async fn world(options: &cli::Query) -> Result<World, CommandFailure> {
    let config = read_config(&options.file.config)?;
    let settings = settings(&config).await?;
    let ledger = settings.data.join(crate::serve::LEDGER);
    if !settings.cloud.has_ledger() && !is_there(&ledger)? {
        // Reading makes nothing.
        return Err(no_ledger(&ledger));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let github = crate::client::github(settings.github.clone(), clock.clone(), "check the [github] section")?;
    let distribution = crate::host::named_or_none(&settings);
    let store = crate::serve::open_store(&settings.data, clock.clone())?;
    let world = crate::serve::world(&settings, &store, Arc::new(github), distribution, clock)?;
    crate::serve::restored(&world, store.record_store()).await?;
    Ok(world)
}

async fn plans(world: &World) -> Result<Vec<PlanJson>, CommandFailure> {
    let mut plans = Vec::new();
    let sets = world.sets.load();
    for policy in sets.iter() {
        let snapshot = observe(world, &sets, policy, Depth::Partial).await.map_err(ledger_failed)?;
        let now = world.ports.clock.now();
        plans.push(PlanJson::of(&policy.name, &runnersmith_plan::plan(policy, &snapshot, now), now));
    }
    Ok(plans)
}

/// `runnersmith plan`.
pub async fn command(options: cli::Query) -> Result<ExitStatus, CommandFailure> {
    let world = world(&options).await?;
    let plans = plans(&world).await?;
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
