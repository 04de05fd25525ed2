//! Handing a machine its runner's configuration. A JIT config is not idempotent and cannot be read again, so every
//! step is recorded before it is taken, and a config that may be lost is replaced by the next attempt's.

use runnersmith_ports::{BudgetKind, GitHubError, HandOffError, JitRequest, Lease, LedgerError, RunnerConfig};
use runnersmith_types::{Action, HandOffMeans, MachineId, Mark, RegisterAt, Runner, RunnerName, Step};

use crate::execute::{Effect, Hands};

/// Registers the runner by the planned means and puts its config where only its machine reads it.
pub(crate) async fn hand_over(
    hands: &Hands<'_>,
    name: &RunnerName,
    machine: &MachineId,
    means: HandOffMeans,
) -> Effect {
    let Some(runner) = hands.runners.get(name) else { return Effect::put_off("the runner is not recorded any more") };
    match means {
        HandOffMeans::Jit => jit(hands, runner, machine).await,
        HandOffMeans::Token => token(hands, runner, machine).await,
    }
}

async fn jit(hands: &Hands<'_>, runner: &Runner, machine: &MachineId) -> Effect {
    let ports = &hands.world.ports;
    let name = runner.name.clone();
    let at = &runner.target.at;
    if runner.jit_requested_at.is_some() && runner.handed_at.is_none() {
        // An earlier request may have registered the runner while its answer, or our hand-off, was lost.
        return clear_lost_attempt(hands, runner, at).await;
    }
    let request = JitRequest {
        at: at.clone(),
        name: runner.registration_name(),
        labels: hands.policy.labels.iter().cloned().collect(),
        group: hands.policy.group.clone(),
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
        ) => return Effect { marks: vec![(name, Mark::NextAttempt)], ..Effect::github(&error) },
        Err(error) => return Effect::github(&error),
    };
    let registered = (name.clone(), Mark::Registered(config.registration));
    let put = ports.hand_off.put(machine, &name, at, &RunnerConfig::Jit { encoded: config.encoded }).await;
    match put {
        Ok(()) => Effect::done("JIT config handed over", vec![registered, (name, Mark::HandedOff)]),
        // The registration is recorded even so: the machine's end will remove it.
        Err(error @ HandOffError::MachineGone { .. }) => {
            Effect { marks: vec![registered, (name, Mark::HandedOff)], ..Effect::failed(&error) }
        }
        Err(error) => Effect { marks: vec![registered], ..Effect::failed(&error) },
    }
}

/// Before any JIT config is asked for: its budget is reserved and the request recorded, so that a crash finds it.
/// Answers the steps that may go on; the others have no budget left.
///
/// # Errors
/// When the ledger fails or the lease is lost.
pub(crate) async fn reserve(
    hands: &Hands<'_>,
    lease: &Lease,
    steps: Vec<Step>,
) -> Result<(Vec<Step>, Vec<Step>), LedgerError> {
    let (mut go_on, mut put_off, mut marks) = (Vec::with_capacity(steps.len()), Vec::new(), Vec::new());
    for step in steps {
        if let Action::HandOff { runner, means: HandOffMeans::Jit, .. } = &step.action {
            let asked_before = hands.runners.get(runner).is_none_or(|record| record.jit_requested_at.is_some());
            if !asked_before {
                if hands.take(BudgetKind::Jit).await.is_none() {
                    put_off.push(step);
                    continue;
                }
                marks.push((runner.clone(), Mark::JitRequested));
            }
        }
        go_on.push(step);
    }
    if !marks.is_empty() {
        hands.world.ports.ledger.mark(lease, marks).await?;
    }
    Ok((go_on, put_off))
}

async fn clear_lost_attempt(hands: &Hands<'_>, runner: &Runner, at: &RegisterAt) -> Effect {
    let ports = &hands.world.ports;
    let name = runner.name.clone();
    if hands.take(BudgetKind::Calls).await.is_none() {
        return Effect::put_off("this minute's call budget is used up");
    }
    match ports.github.registration_by_name(at, &runner.registration_name()).await {
        Ok(None) => Effect::done("the earlier request registered nothing", vec![(name, Mark::NextAttempt)]),
        Ok(Some(found)) if found.online || found.busy => {
            // Somebody runs under this name: the hand-off did arrive.
            Effect::done(
                "the earlier hand-off did arrive",
                vec![(name.clone(), Mark::Registered(found.id)), (name, Mark::HandedOff)],
            )
        }
        Ok(Some(found)) => match ports.github.deregister(at, found.id).await {
            Ok(()) => Effect::done("the lost registration is removed", vec![(name, Mark::NextAttempt)]),
            Err(error) => Effect::github(&error),
        },
        Err(error) => Effect::github(&error),
    }
}

async fn token(hands: &Hands<'_>, runner: &Runner, machine: &MachineId) -> Effect {
    let ports = &hands.world.ports;
    let at = &runner.target.at;
    let token = match ports.github.registration_token(at).await {
        Ok(token) => token,
        Err(error) => return Effect::github(&error),
    };
    let labels: Vec<&str> = hands.policy.labels.iter().map(runnersmith_types::Label::as_str).collect();
    let group = match at {
        RegisterAt::Repository(_) => None,
        RegisterAt::Organization(_) | RegisterAt::Enterprise(_) => Some(hands.policy.group.to_string()),
    };
    let config = RunnerConfig::Token {
        url: token.url,
        token: token.token,
        name: runner.registration_name(),
        labels: labels.join(","),
        group,
        ephemeral: runner.ephemeral,
    };
    match ports.hand_off.put(machine, &runner.name, at, &config).await {
        Ok(()) => Effect::done("registration token handed over", vec![(runner.name.clone(), Mark::HandedOff)]),
        Err(error) => Effect::failed(&error),
    }
}
