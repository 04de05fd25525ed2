//! Handing a machine its runner's configuration. A JIT config is not idempotent and cannot be read again, so every
//! step is recorded before it is taken, and a config that may be lost is replaced by the next attempt's.

use runnersmith_ports::{BudgetKind, GitHubError, HandOffError, JitRequest, Lease, LedgerError, RunnerConfig};
use runnersmith_types::{
    Action, HandOffMeans, MachineId, MachineStatus, Runner, RunnerName, RunnerScope, RunnerUpdate, Step, saturating_u32,
};

use crate::execute::{Effect, ExecutionContext};

/// Registers the runner by the planned means and puts its config where only its machine reads it.
pub(crate) async fn hand_over(
    context: &ExecutionContext<'_>,
    name: &RunnerName,
    machine: &MachineId,
    means: HandOffMeans,
) -> Effect {
    let Some(runner) = context.runners.get(name) else { return Effect::put_off("the runner is not recorded any more") };
    match means {
        HandOffMeans::Jit => jit(context, runner, machine).await,
        HandOffMeans::Token => token(context, runner, machine).await,
    }
}

async fn jit(context: &ExecutionContext<'_>, runner: &Runner, machine: &MachineId) -> Effect {
    let ports = &context.world.ports;
    let name = runner.name.clone();
    let at = &runner.target.at;
    if runner.jit_requested_at.is_some() && runner.handed_at.is_none() {
        // An earlier request may have registered the runner while its answer, or our hand-off, was lost.
        return clear_lost_attempt(context, runner, machine, at).await;
    }
    let request = JitRequest {
        at: at.clone(),
        name: runner.registration_name().to_string(),
        labels: context.policy.labels.iter().cloned().collect(),
        group: context.policy.group.clone(),
    };
    let config = match ports.github.jit_config(&request).await {
        Ok(config) => config,
        // The next round finds the registration by its name and clears it away.
        Err(error @ GitHubError::Conflict { .. }) => return Effect::put_off(error.to_string()),
        // Nothing was registered for certain: the next attempt needs no look-up.
        Err(
            error @ (GitHubError::RateLimited { .. }
            | GitHubError::Refused { .. }
            | GitHubError::Unauthorized { .. }
            | GitHubError::NotInstalled { .. }
            | GitHubError::NotFound { .. }),
        ) => return Effect { updates: vec![(name, RunnerUpdate::NextAttempt)], ..Effect::github(&error) },
        Err(error) => return Effect::github(&error),
    };
    let registered = (name.clone(), RunnerUpdate::Registered(config.registration));
    let put = ports.hand_off.put(machine, &name, at, &RunnerConfig::Jit { encoded: config.encoded }).await;
    match put {
        Ok(()) => Effect::done("JIT config handed over", vec![registered, (name, RunnerUpdate::HandedOff)]),
        // The registration is recorded even so: the machine's end will remove it.
        Err(error @ HandOffError::MachineGone { .. }) => {
            Effect { updates: vec![registered, (name, RunnerUpdate::HandedOff)], ..Effect::failed(&error) }
        }
        Err(error) => Effect { updates: vec![registered], ..Effect::failed(&error) },
    }
}

/// Before any JIT config is asked for: its budget is reserved and the request recorded, so that a crash finds it.
/// Returns the steps that may go on; the others have no budget left.
///
/// # Errors
/// When the ledger fails or the lease is lost.
pub(crate) async fn reserve(
    context: &ExecutionContext<'_>,
    lease: &Lease,
    steps: Vec<Step>,
) -> Result<(Vec<Step>, Vec<Step>), LedgerError> {
    let (mut go_on, mut put_off, mut updates) = (Vec::with_capacity(steps.len()), Vec::new(), Vec::new());
    let mut reserved = reserved(context, &steps).await;
    for step in steps {
        if let Action::HandOff { runner, means: HandOffMeans::Jit, .. } = &step.action {
            let asked_before = context.runners.get(runner).is_none_or(|record| record.jit_requested_at.is_some());
            if !asked_before {
                let granted = reserved > 0 || context.take(BudgetKind::Jit).await.is_some();
                reserved = reserved.saturating_sub(1);
                if !granted {
                    put_off.push(step);
                    continue;
                }
                updates.push((runner.clone(), RunnerUpdate::JitRequested));
            }
        }
        go_on.push(step);
    }
    if !updates.is_empty() {
        context.world.ports.ledger.update(lease, updates).await?;
    }
    Ok((go_on, put_off))
}

/// What all the steps need of the JIT budget, taken at once; 0 when there is not so much, and each takes its own.
async fn reserved(context: &ExecutionContext<'_>, steps: &[Step]) -> u32 {
    let asks = |step: &&Step| {
        matches!(&step.action, Action::HandOff { runner, means: HandOffMeans::Jit, .. }
            if context.runners.get(runner).is_some_and(|record| record.jit_requested_at.is_none()))
    };
    let count = saturating_u32(steps.iter().filter(asks).count());
    if count < 2 {
        return 0;
    }
    let (ledger, limit) = (&context.world.ports.ledger, context.world.limits.jit_per_minute);
    match ledger.take_budget(BudgetKind::Jit, count, limit).await {
        Ok(Some(_)) => count,
        Ok(None) | Err(_) => 0,
    }
}

async fn clear_lost_attempt(
    context: &ExecutionContext<'_>,
    runner: &Runner,
    machine: &MachineId,
    at: &RunnerScope,
) -> Effect {
    let ports = &context.world.ports;
    let name = runner.name.clone();
    // The lost attempt's config is taken back before its registration is: a machine that read it later would start a runner
    // that GitHub does not know. One that has read it already keeps it.
    let arrived = match ports.hand_off.pending(machine).await {
        Ok(true) => match ports.hand_off.expire(machine).await {
            Ok(()) | Err(HandOffError::MachineGone { .. }) => false,
            Err(error) => return Effect::failed(&error),
        },
        Ok(false) => has_read(context, machine),
        Err(HandOffError::MachineGone { .. }) => false,
        Err(error) => return Effect::failed(&error),
    };
    if context.take(BudgetKind::Calls).await.is_none() {
        return Effect::put_off("this minute's call budget is used up");
    }
    match ports.github.registration_by_name(at, &runner.registration_name().to_string()).await {
        // Its one job is over already, and GitHub has removed its registration.
        Ok(None) if arrived => Effect::done("the earlier hand-off did arrive", vec![(name, RunnerUpdate::HandedOff)]),
        Ok(None) => Effect::done("the earlier request registered nothing", vec![(name, RunnerUpdate::NextAttempt)]),
        Ok(Some(found)) if found.online || found.busy || arrived => {
            // Somebody runs under this name: the hand-off did arrive.
            Effect::done(
                "the earlier hand-off did arrive",
                vec![(name.clone(), RunnerUpdate::Registered(found.id)), (name, RunnerUpdate::HandedOff)],
            )
        }
        Ok(Some(found)) => match ports.github.deregister(at, found.id).await {
            Ok(()) => Effect::done("the lost registration is removed", vec![(name, RunnerUpdate::NextAttempt)]),
            Err(error) => Effect::github(&error),
        },
        Err(error) => Effect::github(&error),
    }
}

/// Whether the machine says that it has read its hand-off.
fn has_read(context: &ExecutionContext<'_>, machine: &MachineId) -> bool {
    let machines = context.snapshot.machines.value().into_iter().flatten();
    let status = machines.filter(|seen| seen.id == *machine).find_map(|seen| seen.status.as_ref());
    match status {
        Some(
            MachineStatus::Configured
            | MachineStatus::Listening
            | MachineStatus::Busy
            | MachineStatus::JobDone
            | MachineStatus::Ended(_),
        ) => true,
        Some(MachineStatus::Booting) | None => false,
    }
}

async fn token(context: &ExecutionContext<'_>, runner: &Runner, machine: &MachineId) -> Effect {
    let ports = &context.world.ports;
    let at = &runner.target.at;
    let token = match ports.github.registration_token(at).await {
        Ok(token) => token,
        Err(error) => return Effect::github(&error),
    };
    let labels: Vec<&str> = context.policy.labels.iter().map(runnersmith_types::Label::as_str).collect();
    let group = match at {
        RunnerScope::Repository(_) => None,
        RunnerScope::Organization(_) | RunnerScope::Enterprise(_) => Some(context.policy.group.to_string()),
    };
    let config = RunnerConfig::Token {
        url: token.url,
        token: token.token,
        name: runner.registration_name().to_string(),
        labels: labels.join(","),
        group,
        ephemeral: runner.ephemeral,
    };
    match ports.hand_off.put(machine, &runner.name, at, &config).await {
        Ok(()) => Effect::done("registration token handed over", vec![(runner.name.clone(), RunnerUpdate::HandedOff)]),
        Err(error) => Effect::failed(&error),
    }
}
