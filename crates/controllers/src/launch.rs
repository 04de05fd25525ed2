//! Launching: the batch is stored before the call, so that a crash at any point makes the same call again with the same token.

use runnersmith_ports::{LaunchRequest, Lease, LedgerError, MachinesError, chain};
use runnersmith_types::{
    Batch, BootFailure, BootFailureCause, LaunchAction, MachineId, PoolFailure, RecordVersion, RunnerName, RunnerUpdate,
};

use crate::context::{ActionResult, ExecutionContext};

/// Makes a new launch call, or a stored one again.
///
/// # Errors
/// When the ledger fails or the lease is lost.
pub(crate) async fn launch(
    context: &ExecutionContext<'_>,
    lease: &Lease,
    action: LaunchAction,
) -> Result<ActionResult, LedgerError> {
    let ledger = &context.world.ports.ledger;
    let batch = match action {
        LaunchAction::First { batch, pool, mut runners } => {
            runners.sort();
            let now = context.world.ports.clock.now();
            let timing = &context.policy.timing;
            let batch = Batch {
                id: batch,
                set: context.policy.name.clone(),
                pool,
                runners,
                stored_at: now,
                hard_end_at: now.plus(timing.lifetime_max).plus(timing.hard_end_after),
                settled: false,
                record_version: RecordVersion::CURRENT,
            };
            match ledger.store_batch(lease, batch.clone()).await {
                Ok(()) => batch,
                Err(error @ LedgerError::Conflict { .. }) => return Ok(ActionResult::failed(&error)),
                Err(error) => return Err(error),
            }
        }
        LaunchAction::Again { batch } => match ledger.batch(&batch).await? {
            Some(batch) => batch,
            None => return Ok(ActionResult::put_off("the batch is not stored")),
        },
    };
    let request = LaunchRequest { batch: batch.clone(), control_plane: context.snapshot.control_plane.clone() };
    context.world.metrics.launch_called(&context.policy.name, batch.runners.len());
    match context.world.ports.machines.launch(&request).await {
        Ok(machines) if machines.is_empty() => {
            let (operation, what) = ("launch", "the answer names no machine".to_owned());
            refused(context, lease, &batch, MachinesError::NothingLaunched { operation, what }).await
        }
        Ok(machines) => {
            let (said, updates) = bind(&batch, machines);
            ledger.complete_batch(lease, &batch.id, updates).await?;
            Ok(ActionResult::done(said, Vec::new()))
        }
        Err(error) => refused(context, lease, &batch, error).await,
    }
}

/// Sorted machines to sorted runners. Fewer machines than runners: the rest were not launched. Returns what it says of that, and the
/// runners' updates.
fn bind(batch: &Batch, mut machines: Vec<MachineId>) -> (String, Vec<(RunnerName, RunnerUpdate)>) {
    machines.sort();
    machines.dedup();
    let mut updates: Vec<(RunnerName, RunnerUpdate)> = Vec::with_capacity(batch.runners.len());
    let (wanted, got) = (batch.runners.len(), machines.len().min(batch.runners.len()));
    let mut machines = machines.into_iter();
    for runner in &batch.runners {
        let update = machines.next().map_or(RunnerUpdate::NotLaunched, RunnerUpdate::Machine);
        updates.push((runner.clone(), update));
    }
    (format!("{got} of {wanted} machines on {}", batch.pool), updates)
}

/// The cause of a launch call's failure, as it is stored: at most so many characters.
const CAUSE_CHARS_MAX: usize = 300;

/// The call was refused: nothing was launched, so the runners are intents again. Where that is not certain, they stay launching, and
/// the try is recorded, so that the planner can make the next one after a pause.
async fn refused(
    context: &ExecutionContext<'_>,
    lease: &Lease,
    batch: &Batch,
    error: MachinesError,
) -> Result<ActionResult, LedgerError> {
    let ledger = &context.world.ports.ledger;
    let now = context.world.ports.clock.now();
    let cause: String = chain(&error).chars().take(CAUSE_CHARS_MAX).collect();
    // One of the runners carries the batch's tries.
    let tried: Vec<(RunnerName, RunnerUpdate)> =
        batch.runners.iter().take(1).map(|runner| (runner.clone(), RunnerUpdate::LaunchTried(cause.clone()))).collect();
    match &error {
        MachinesError::Throttled { .. } => {
            return Ok(ActionResult { updates: tried, ..ActionResult::put_off(error.to_string()) });
        }
        MachinesError::Failed { .. } => return Ok(ActionResult { updates: tried, ..ActionResult::failed(&error) }),
        MachinesError::NothingLaunched { .. } => {
            let failed = |runner: &RunnerName| (runner.clone(), RunnerUpdate::LaunchFailed(cause.clone()));
            ledger.complete_batch(lease, &batch.id, batch.runners.iter().map(failed).collect()).await?;
            return Ok(ActionResult::put_off(error.to_string()));
        }
        MachinesError::NoCapacity { pool, .. } => {
            let pool_failure = PoolFailure::new(pool.clone(), now, "no capacity".into());
            ledger.pool_failure(&context.policy.name, pool_failure).await?;
        }
        MachinesError::Quota { .. } | MachinesError::BadRequest { .. } => {
            let is_quota = matches!(error, MachinesError::Quota { .. });
            let pool_failure = PoolFailure { is_quota, ..PoolFailure::new(batch.pool.clone(), now, error.to_string()) };
            ledger.pool_failure(&context.policy.name, pool_failure).await?;
            if let Some(runner) = batch.runners.first() {
                let failure = BootFailure::new(runner.clone(), batch.pool.clone(), now);
                let failure = failure.because(BootFailureCause::Refused, error.to_string(), now);
                let failure = context.snapshot.boot_failures.clone().add(failure);
                ledger.boot_failed(&context.policy.name, failure).await?;
            }
        }
    }
    let updates = batch.runners.iter().map(|runner| (runner.clone(), RunnerUpdate::NotLaunched)).collect();
    ledger.complete_batch(lease, &batch.id, updates).await?;
    Ok(ActionResult::failed(&error))
}
