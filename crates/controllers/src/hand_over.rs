//! Handing a machine its runner's configuration. A JIT config is not idempotent and cannot be read again, so every
//! step is recorded before it is taken, and a config that may be lost is replaced by the next attempt's.

use runnersmith_ports::{BudgetKind, GitHubError, HandOffError, JitRequest, Lease, LedgerError, RunnerConfig};
use runnersmith_types::{Action, HandOffMeans, MachineId, Mark, RegisterAt, Runner, RunnerName, Step, Voice};

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
        return clear_lost_attempt(hands, runner, machine, at).await;
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
    let mut reserved = reserved(hands, &steps).await;
    for step in steps {
        if let Action::HandOff { runner, means: HandOffMeans::Jit, .. } = &step.action {
            let asked_before = hands.runners.get(runner).is_none_or(|record| record.jit_requested_at.is_some());
            if !asked_before {
                let granted = reserved > 0 || hands.take(BudgetKind::Jit).await.is_some();
                reserved = reserved.saturating_sub(1);
                if !granted {
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

/// What all the steps need of the JIT budget, taken at once; 0 when there is not so much, and each takes its own.
async fn reserved(hands: &Hands<'_>, steps: &[Step]) -> u32 {
    let asks = |step: &&Step| {
        matches!(&step.action, Action::HandOff { runner, means: HandOffMeans::Jit, .. }
            if hands.runners.get(runner).is_some_and(|record| record.jit_requested_at.is_none()))
    };
    let count = u32::try_from(steps.iter().filter(asks).count()).unwrap_or(u32::MAX);
    if count < 2 {
        return 0;
    }
    let (ledger, limit) = (&hands.world.ports.ledger, hands.world.limits.jit_per_minute);
    match ledger.take_budget(BudgetKind::Jit, count, limit).await {
        Ok(Some(_)) => count,
        Ok(None) | Err(_) => 0,
    }
}

async fn clear_lost_attempt(hands: &Hands<'_>, runner: &Runner, machine: &MachineId, at: &RegisterAt) -> Effect {
    let ports = &hands.world.ports;
    let name = runner.name.clone();
    // The lost attempt's config is taken back before its registration is: a machine that read it later would start a runner
    // that GitHub does not know. One that has read it already keeps it.
    let arrived = match ports.hand_off.pending(machine).await {
        Ok(true) => match ports.hand_off.expire(machine).await {
            Ok(()) | Err(HandOffError::MachineGone { .. }) => false,
            Err(error) => return Effect::failed(&error),
        },
        Ok(false) => has_read(hands, machine),
        Err(HandOffError::MachineGone { .. }) => false,
        Err(error) => return Effect::failed(&error),
    };
    if hands.take(BudgetKind::Calls).await.is_none() {
        return Effect::put_off("this minute's call budget is used up");
    }
    match ports.github.registration_by_name(at, &runner.registration_name()).await {
        // Its one job is over already, and GitHub has removed its registration.
        Ok(None) if arrived => Effect::done("the earlier hand-off did arrive", vec![(name, Mark::HandedOff)]),
        Ok(None) => Effect::done("the earlier request registered nothing", vec![(name, Mark::NextAttempt)]),
        Ok(Some(found)) if found.online || found.busy || arrived => {
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

/// Whether the machine says that it has read its hand-off.
fn has_read(hands: &Hands<'_>, machine: &MachineId) -> bool {
    let machines = hands.snapshot.machines.value().into_iter().flatten();
    let voice = machines.filter(|seen| seen.id == *machine).find_map(|seen| seen.voice.as_ref());
    match voice {
        Some(Voice::Configured | Voice::Listening | Voice::Busy | Voice::JobDone | Voice::Ended(_)) => true,
        Some(Voice::Booting) | None => false,
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
