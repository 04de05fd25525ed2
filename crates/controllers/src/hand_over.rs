//! Handing a machine its runner's configuration. A JIT config is not idempotent and cannot be read again, so every
//! step is recorded before it is taken, and a config that may be lost is replaced by the next attempt's.

use std::time::Duration;

use runnersmith_ports::{BudgetKind, GitHubError, HandOffError, JitRequest, Lease, LedgerError, RunnerConfig, chain};
use runnersmith_types::{
    HandOffAction, HandOffMeans, HandOffReport, HandOffTrouble, MachineId, MachineStatus, Runner, RunnerName,
    RunnerScope, RunnerUpdate, saturating_u32,
};

use crate::context::{ActionResult, ExecutionContext, TokenMissing};
use crate::work::{About, Task};

/// Registers the runner by the planned means and puts its config where only its machine reads it.
pub(crate) async fn hand_over(context: &ExecutionContext<'_>, action: &HandOffAction) -> ActionResult {
    let Some(runner) = context.runners.get(&action.runner) else {
        return ActionResult::put_off("the runner is not recorded any more");
    };
    match action.means {
        HandOffMeans::Jit => jit(context, runner, &action.machine).await,
        HandOffMeans::Token => token(context, runner, &action.machine).await,
    }
}

async fn jit(context: &ExecutionContext<'_>, runner: &Runner, machine: &MachineId) -> ActionResult {
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
        Err(error @ GitHubError::Conflict { .. }) => return ActionResult::put_off(error.to_string()),
        // Nothing was registered for certain: the next try needs no look-up, and no other name.
        Err(
            error @ (GitHubError::RateLimited { .. }
            | GitHubError::Refused { .. }
            | GitHubError::Unauthorized { .. }
            | GitHubError::NotInstalled { .. }
            | GitHubError::NotFound { .. }),
        ) => return ActionResult { updates: vec![(name, RunnerUpdate::JitNotMade)], ..refused(runner, &error) },
        Err(error) => return refused(runner, &error),
    };
    let registered = (name.clone(), RunnerUpdate::Registered(config.registration));
    match put(context, runner, machine, &RunnerConfig::Jit { encoded: config.encoded }).await {
        Ok(()) => {
            let labels = (name.clone(), RunnerUpdate::Labels(context.policy.labels.clone()));
            let updates = vec![registered, labels, (name, RunnerUpdate::HandedOff)];
            ActionResult {
                hand_off: Some(HandOffReport::Succeeded { at: at.clone() }),
                ..ActionResult::done("JIT config handed over", updates)
            }
        }
        // The registration is recorded even so: the machine's end will remove it.
        Err(error @ HandOffError::MachineGone { .. }) => ActionResult {
            updates: vec![registered, (name, RunnerUpdate::HandedOff)],
            hand_off: Some(HandOffReport::Succeeded { at: at.clone() }),
            ..ActionResult::failed(&error)
        },
        Err(error) => ActionResult { updates: vec![registered], ..not_stored(runner, &error) },
    }
}

/// Puts a configuration. It cannot be had again, so that a put that fails is tried again at once, and with more patience than
/// anything else: what is stored in AWS is limited to a few puts a second, and a burst has many.
async fn put(
    context: &ExecutionContext<'_>,
    runner: &Runner,
    machine: &MachineId,
    config: &RunnerConfig,
) -> Result<(), HandOffError> {
    let ports = &context.world.ports;
    let mut pauses = PUT_PAUSES.iter().enumerate();
    loop {
        let error = match ports.hand_off.put(machine, &runner.name, &runner.target.at, config).await {
            done @ (Ok(()) | Err(HandOffError::MachineGone { .. })) => return done,
            Err(error) => error,
        };
        // What is refused for another reason than too many puts is seldom well half a minute later, and others wait meanwhile.
        let may_wait = |tries: usize| tries < OTHER_PAUSES || matches!(error, HandOffError::Throttled { .. });
        let Some((_, pause)) = pauses.next().filter(|(tries, _)| may_wait(*tries)) else { return Err(error) };
        tracing::info!(runner = %runner.name, error = %chain(&error), "a configuration is put again");
        ports.clock.sleep(*pause).await;
    }
}

/// So many of [`PUT_PAUSES`] are made after failures that are no throttling.
const OTHER_PAUSES: usize = 3;

/// The pauses between the tries to put a configuration: half a minute together, in which the set's lease is kept.
const PUT_PAUSES: [Duration; 7] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(15),
];

/// A hand-off that GitHub did not let us make: what it says of its place is remembered.
fn refused(runner: &Runner, error: &GitHubError) -> ActionResult {
    let (trouble, until) = match error {
        GitHubError::RateLimited { until, .. } => (HandOffTrouble::Limited, Some(*until)),
        GitHubError::Transient { .. } => (HandOffTrouble::Unavailable, None),
        GitHubError::NotFound { .. }
        | GitHubError::Refused { .. }
        | GitHubError::Unauthorized { .. }
        | GitHubError::NotInstalled { .. } => (HandOffTrouble::Refused, None),
        GitHubError::Conflict { .. } | GitHubError::Busy { .. } => return ActionResult::github(error),
    };
    // The same words for every runner of the place.
    let why = chain(error).replace(&format!("{} at ", runner.registration_name()), "");
    let at = runner.target.at.clone();
    let why = why.trim_start_matches("github ").to_owned();
    let report = HandOffReport::Failed { at, trouble, why, until };
    ActionResult { hand_off: Some(report), ..ActionResult::github(error) }
}

fn not_stored(runner: &Runner, error: &HandOffError) -> ActionResult {
    let at = runner.target.at.clone();
    let why = match error {
        HandOffError::Throttled { .. } => "throttled".to_owned(),
        HandOffError::MachineGone { .. } | HandOffError::NotListed { .. } | HandOffError::Failed { .. } => {
            std::error::Error::source(error).map_or_else(|| "failed".to_owned(), chain)
        }
    };
    let report = HandOffReport::Failed { at, trouble: HandOffTrouble::NotStored, why, until: None };
    ActionResult { hand_off: Some(report), ..ActionResult::failed(error) }
}

/// What may go on, and what comes of the rest.
type Reserved = (Vec<Task<HandOffAction>>, Vec<(About, ActionResult)>);

/// Before any JIT config is asked for: its budget is reserved and the request recorded, so that a crash finds it.
/// Returns the tasks that may go on; the others have no budget left, or the ledger could not say.
///
/// # Errors
/// When the requests cannot be recorded, or the lease is lost.
pub(crate) async fn reserve(
    context: &ExecutionContext<'_>,
    lease: &Lease,
    tasks: Vec<Task<HandOffAction>>,
) -> Result<Reserved, LedgerError> {
    let (mut go_on, mut refused, mut updates) = (Vec::with_capacity(tasks.len()), Vec::new(), Vec::new());
    let mut together = take_together(context, &tasks).await;
    for Task { action, about } in tasks {
        if let Some(runner) = first_asked(context, &action) {
            let granted = if together > 0 { Ok(true) } else { context.take_write(BudgetKind::Jit).await };
            together = together.saturating_sub(1);
            match granted {
                Ok(true) => updates.push((runner.clone(), RunnerUpdate::JitRequested)),
                Ok(false) => {
                    let until = context.snapshot.budget.refills_at;
                    refused.push((about, ActionResult::put_off_until("this minute's JIT budget is used up", until)));
                    continue;
                }
                Err(error) => {
                    refused.push((about, ActionResult::failed(&error)));
                    continue;
                }
            }
        }
        go_on.push(Task { action, about });
    }
    if !updates.is_empty() {
        context.world.ports.ledger.update(lease, updates).await?;
    }
    Ok((go_on, refused))
}

/// The runner for which an action asks a JIT config for the first time. One that is not recorded any more gets nothing, and one whose
/// request was cut off has paid for it already.
fn first_asked<'a>(context: &ExecutionContext<'_>, action: &'a HandOffAction) -> Option<&'a RunnerName> {
    let record = context.runners.get(&action.runner).filter(|record| record.jit_requested_at.is_none());
    record.filter(|_| action.means == HandOffMeans::Jit).map(|_| &action.runner)
}

/// What all the tasks need of the JIT budget, taken at once; 0 when there is not so much, and each takes its own.
async fn take_together(context: &ExecutionContext<'_>, tasks: &[Task<HandOffAction>]) -> u32 {
    let asking = tasks.iter().filter(|task| first_asked(context, &task.action).is_some());
    let count = saturating_u32(asking.count());
    if count > 1 && context.take_together(BudgetKind::Jit, count).await { count } else { 0 }
}

async fn clear_lost_attempt(
    context: &ExecutionContext<'_>,
    runner: &Runner,
    machine: &MachineId,
    at: &RunnerScope,
) -> ActionResult {
    let ports = &context.world.ports;
    let name = runner.name.clone();
    // The lost attempt's config is taken back before its registration is: a machine that read it later would start a runner
    // that GitHub does not know. One that has read it already keeps it.
    let arrived = match ports.hand_off.pending(machine).await {
        Ok(true) => match ports.hand_off.expire(machine).await {
            Ok(()) | Err(HandOffError::MachineGone { .. }) => false,
            Err(error) => return ActionResult::failed(&error),
        },
        Ok(false) => has_read(context, machine),
        Err(HandOffError::MachineGone { .. }) => false,
        Err(error) => return ActionResult::failed(&error),
    };
    if let Err(result) = context.take_call().await {
        return result;
    }
    match ports.github.registration_by_name(at, &runner.registration_name().to_string()).await {
        // Its one job is over already, and GitHub has removed its registration.
        Ok(None) if arrived => {
            ActionResult::done("the earlier hand-off did arrive", vec![(name, RunnerUpdate::HandedOff)])
        }
        Ok(None) => {
            ActionResult::done("the earlier request registered nothing", vec![(name, RunnerUpdate::NextAttempt)])
        }
        Ok(Some(found)) if found.online || found.busy || arrived => {
            // Somebody runs under this name: the hand-off did arrive.
            ActionResult::done(
                "the earlier hand-off did arrive",
                vec![(name.clone(), RunnerUpdate::Registered(found.id)), (name, RunnerUpdate::HandedOff)],
            )
        }
        Ok(Some(found)) => match ports.github.deregister(at, found.id).await {
            Ok(()) => ActionResult::done("the lost registration is removed", vec![(name, RunnerUpdate::NextAttempt)]),
            Err(error) => refused(runner, &error),
        },
        Err(error) => refused(runner, &error),
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

async fn token(context: &ExecutionContext<'_>, runner: &Runner, machine: &MachineId) -> ActionResult {
    let at = &runner.target.at;
    let token = match context.registration_token(at).await {
        Ok(token) => token,
        Err(TokenMissing::GitHub(error)) => return refused(runner, &error),
        Err(TokenMissing::Other(result)) => return result,
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
    match put(context, runner, machine, &config).await {
        Ok(()) => {
            let labels = (runner.name.clone(), RunnerUpdate::Labels(context.policy.labels.clone()));
            let handed = (runner.name.clone(), RunnerUpdate::HandedOff);
            ActionResult {
                hand_off: Some(HandOffReport::Succeeded { at: at.clone() }),
                ..ActionResult::done("registration token handed over", vec![labels, handed])
            }
        }
        Err(error @ HandOffError::MachineGone { .. }) => ActionResult::failed(&error),
        Err(error) => not_stored(runner, &error),
    }
}
