//! `runnersmith reset-pause`: an operator who has repaired something need not wait until a pause after failures is over.
//!
//! It is the one command beside `serve` that writes into the ledger: a mark, which the set's next pass reads. So it works beside a
//! running server, and neither upgrades nor makes a ledger.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use runnersmith_controllers::pauses;
use runnersmith_ports::{Clock, Ledger, Message, Queue as _, SystemClock, chain};
use runnersmith_sqlite::SqliteStore;
use runnersmith_types::ScaleSetName;

use crate::cli;
use crate::exit::{CommandFailure, ExitStatus};
use crate::query::{LedgerAndPolicy, ledger_failed, read_config, reader};
use crate::report;

/// `runnersmith reset-pause`.
pub async fn command(options: cli::ResetPause) -> Result<ExitStatus, CommandFailure> {
    let query = cli::Query { file: options.file.clone(), json: false };
    let sets = LedgerAndPolicy::open(&query).await?.sets;
    let names: Vec<&str> = sets.iter().map(|set| set.name.as_str()).collect();
    let Some(set) = sets.iter().map(|set| &set.name).find(|name| name.as_str() == options.set) else {
        return Err(CommandFailure {
            status: ExitStatus::RequestFailed,
            what: format!("there is no scale set {:?}", options.set),
            hint: Some(format!("the scale sets are: {}", names.join(", "))),
        });
    };
    let config = read_config(&options.file.config)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    match crate::cloud::ledger(&config, clock.clone()).await? {
        Some(ledger) => reset(ledger.as_ref(), set, clock.as_ref()).await?,
        None => reset_here(&config.store.directory.join(crate::serve::LEDGER), set, clock).await?,
    }
    report::line(&format!("{set}: its pauses are over; what was held back is tried at its next pass"));
    Ok(ExitStatus::Success)
}

async fn reset(ledger: &dyn Ledger, set: &ScaleSetName, clock: &dyn Clock) -> Result<(), CommandFailure> {
    pauses::reset(ledger, set, clock.now()).await.map_err(ledger_failed)
}

/// In the file here, and with a message that wakes the set's loop at once.
async fn reset_here(file: &Path, set: &ScaleSetName, clock: Arc<dyn Clock>) -> Result<(), CommandFailure> {
    if !reader(file, clock.clone())?.is_current() {
        return Err(CommandFailure::outside(
            format!("the ledger {} is of an older version, and this command upgrades none", file.display()),
            "use the program that serves it, or start `runnersmith serve` of this version first",
        ));
    }
    let store = SqliteStore::open(file, clock.clone()).map_err(|error| {
        CommandFailure::outside(
            format!("open the ledger {}: {}", file.display(), chain(&error)),
            "run this as the user that `serve` runs as",
        )
    })?;
    reset(&store.ledger(), set, clock.as_ref()).await?;
    if let Err(error) = store.queue().send(&Message::Wake { set: set.clone() }.to_body(), Duration::ZERO).await {
        // The timer's pass comes anyway.
        report::note(&format!("the set could not be woken: {}; its next pass comes within a minute", chain(&error)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use runnersmith_ports::{BudgetLedger as _, HistoryLedger as _};

    use super::*;

    fn options(home: &Path, set: &str) -> cli::ResetPause {
        cli::ResetPause { set: set.into(), file: cli::ConfigFile { config: home.join("runnersmith.toml") } }
    }

    #[tokio::test]
    async fn a_set_that_is_named_is_reset_and_neither_another_nor_a_missing_ledger() {
        let home = tempfile::tempdir().unwrap();
        let text =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../runnersmith.example.toml")).unwrap();
        let data = home.path().join("data");
        let text = text.replace("# directory = \"data\"", &format!("directory = \"{}\"", data.display()));
        std::fs::write(home.path().join("runnersmith.toml"), text).unwrap();
        let sets = crate::query::read_config(&home.path().join("runnersmith.toml")).unwrap().scale_sets;
        let name = sets[0].name.as_str();
        let missing = command(options(home.path(), name)).await.unwrap_err();
        assert_eq!(missing.status, ExitStatus::Outside, "{missing:?}");
        std::fs::create_dir_all(&data).unwrap();
        let store = SqliteStore::open(&data.join(crate::serve::LEDGER), Arc::new(SystemClock)).unwrap();
        let other = command(options(home.path(), "nobody")).await.unwrap_err();
        assert!(other.hint.unwrap().contains(name));
        assert_eq!(command(options(home.path(), name)).await.unwrap(), ExitStatus::Success);
        assert!(store.ledger().get(&format!("pause_reset:{name}")).await.unwrap().is_some());
        assert_eq!(store.ledger().recent_history(1).await.unwrap()[0].what, "reset_pause");
        assert_eq!(store.queue().receive(1, Duration::from_secs(1)).await.unwrap().len(), 1);
    }
}
