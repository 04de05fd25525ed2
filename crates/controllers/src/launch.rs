//! Launching: the batch is stored before the call, so that a crash at any point makes the same call again with the same token.

use runnersmith_ports::{LaunchRequest, Lease, LedgerError, MachinesError};
use runnersmith_types::{Action, Batch, BootFailure, MachineId, Mark, RunnerName, Strike};

use crate::execute::{Effect, Hands};

/// Makes a new launch call, or a stored one again.
///
/// # Errors
/// When the ledger fails or the lease is lost.
pub(crate) async fn launch(hands: &Hands<'_>, lease: &Lease, action: Action) -> Result<Effect, LedgerError> {
    let ledger = &hands.world.ports.ledger;
    let batch = match action {
        Action::Launch { batch, rung, mut runners } => {
            runners.sort();
            let now = hands.world.ports.clock.now();
            let timing = &hands.policy.timing;
            let batch = Batch {
                id: batch,
                set: hands.policy.name.clone(),
                rung,
                runners,
                stored_at: now,
                hard_end_at: now.plus(timing.lifetime_max).plus(timing.hard_end_after),
                settled: false,
            };
            match ledger.store_batch(lease, batch.clone()).await {
                Ok(()) => batch,
                Err(error @ LedgerError::Conflict { .. }) => return Ok(Effect::failed(&error)),
                Err(error) => return Err(error),
            }
        }
        Action::Relaunch { batch } => match ledger.batch(&batch).await? {
            Some(batch) => batch,
            None => return Ok(Effect::put_off("the batch is not stored")),
        },
        _ => return Ok(Effect::put_off("not a launch")),
    };
    let request = LaunchRequest { batch: batch.clone(), plane: hands.snapshot.plane.clone() };
    hands.world.metrics.launch_called(&hands.policy.name, batch.runners.len());
    match hands.world.ports.machines.launch(&request).await {
        Ok(machines) => {
            let effect = bind(&batch, machines);
            // The bindings first, then "settled": a crash between them makes the call again, which is harmless.
            if !effect.marks.is_empty() {
                ledger.mark(lease, effect.marks.clone()).await?;
            }
            ledger.settle_batch(lease, &batch.id).await?;
            Ok(Effect { marks: Vec::new(), ..effect })
        }
        Err(error) => refused(hands, lease, &batch, error).await,
    }
}

/// Sorted machines to sorted runners. Fewer machines than runners: the rest were not launched.
fn bind(batch: &Batch, mut machines: Vec<MachineId>) -> Effect {
    machines.sort();
    machines.dedup();
    let mut marks: Vec<(RunnerName, Mark)> = Vec::with_capacity(batch.runners.len());
    let (wanted, got) = (batch.runners.len(), machines.len().min(batch.runners.len()));
    let mut machines = machines.into_iter();
    for runner in &batch.runners {
        let mark = machines.next().map_or(Mark::NotLaunched, Mark::Machine);
        marks.push((runner.clone(), mark));
    }
    Effect::done(format!("{got} of {wanted} machines on {}", batch.rung), marks)
}

/// The call was refused: nothing was launched, so the runners are intents again. Where that is not certain, they stay launching.
async fn refused(hands: &Hands<'_>, lease: &Lease, batch: &Batch, error: MachinesError) -> Result<Effect, LedgerError> {
    let ledger = &hands.world.ports.ledger;
    let now = hands.world.ports.clock.now();
    match &error {
        MachinesError::Throttled { .. } => return Ok(Effect::put_off(error.to_string())),
        MachinesError::Failed { .. } => return Ok(Effect::failed(&error)),
        MachinesError::NoCapacity { rung, .. } => {
            let strike = Strike { rung: rung.clone(), at: now, why: "no capacity".into() };
            ledger.strike(&hands.policy.name, strike).await?;
        }
        MachinesError::Quota { .. } | MachinesError::BadRequest { .. } => {
            let strike = Strike { rung: batch.rung.clone(), at: now, why: error.to_string() };
            ledger.strike(&hands.policy.name, strike).await?;
            if let Some(runner) = batch.runners.first() {
                let failure = BootFailure { runner: runner.clone(), rung: batch.rung.clone(), at: now };
                ledger.boot_failed(&hands.policy.name, failure).await?;
            }
        }
    }
    let marks = batch.runners.iter().map(|runner| (runner.clone(), Mark::NotLaunched)).collect();
    ledger.mark(lease, marks).await?;
    ledger.settle_batch(lease, &batch.id).await?;
    Ok(Effect::failed(&error))
}
