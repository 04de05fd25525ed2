//! `runnersmith why`: the story of one job, from ledger and policy alone.

use runnersmith_controllers::levels::{Levels, SetLevel};
use runnersmith_controllers::why as timeline;

use crate::cli;
use crate::exit::{CommandFailure, ExitStatus};
use crate::query::{LedgerAndPolicy, ledger_failed};
use crate::report;

/// `runnersmith why`.
pub async fn command(options: cli::WhyOptions) -> Result<ExitStatus, CommandFailure> {
    let id = timeline::parse_job(&options.job).map_err(|error| CommandFailure {
        status: ExitStatus::Usage,
        what: error.to_string(),
        hint: Some("give the job's number or its address in GitHub".into()),
    })?;
    let known = LedgerAndPolicy::open(&options.query).await?;
    let levels = Levels::default();
    for (policy, plan, at) in known.plans().await? {
        levels.put(SetLevel::of_plan(policy, &plan, at));
    }
    match timeline::why(known.ledger.as_ref(), Some(&levels), id).await.map_err(ledger_failed)? {
        Some(why) if options.query.json => report::json(&timeline::JobStoryJson::from(&why))?,
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
