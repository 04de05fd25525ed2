//! Intents and launch calls. A call is stored, with a token that is a hash of what it launches, before it is made; so a
//! crash at any point makes it again with the same token, and nothing is launched twice. A call of which no usable answer comes is
//! given up after a deadline: its token may be spent, so that it would give nothing forever.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use runnersmith_types::{
    Action, BatchId, BootFailure, BootFailureCause, CapacityPool, EffectAction, Intent, LaunchAction, MachineId,
    PoolFailure, RecordAction, Runner, RunnerName, RunnerScope, RunnerState as S, RunnerUpdate, Target, WaitingOn,
    policy::{INTENTS_MAX, LAUNCH_BATCH_MAX},
};

use crate::draft::{Draft, DraftRunner};
use crate::fallback_order::LaunchDecision;

/// The pause after a launch call without a usable answer. It doubles with each, up to a minute.
const PAUSE: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Calls whose answer is not known are made again; then intents get what was granted; then all intents are launched.
pub(crate) fn launch(draft: &mut Draft<'_>, granted: &BTreeMap<RunnerScope, usize>, way: &LaunchDecision) {
    again(draft);
    intend(draft, granted);
    let (pool, most) = match way {
        LaunchDecision::Allow(pool) => (pool, usize::MAX),
        LaunchDecision::Probe(pool, _) => (pool, 1),
        LaunchDecision::Deny(on) => return wait(draft, on),
    };
    let mut intents = draft.in_state(S::Intended);
    intents.retain(|index| !pauses(draft, *index));
    intents.sort_by_key(|index| draft.runners[*index].serial);
    let record = |index: usize| (draft.runners[index].name.clone(), draft.runners[index].version);
    let names: Vec<(RunnerName, u64)> = intents.into_iter().take(most).map(record).collect();
    for names in names.chunks(LAUNCH_BATCH_MAX) {
        let mut runners = names.to_vec();
        runners.sort();
        let Some(batch) = batch_id(draft, &runners) else { continue };
        let runners: Vec<RunnerName> = runners.into_iter().map(|(name, _)| name).collect();
        let reason = format!("{} runner(s) are intended", runners.len());
        draft.step(LaunchAction::First { batch, pool: pool.clone(), runners }, reason);
    }
}

/// The runners of each call that may or may not have happened.
fn open_calls(draft: &Draft<'_>) -> BTreeMap<BatchId, Vec<usize>> {
    let mut calls: BTreeMap<BatchId, Vec<usize>> = BTreeMap::new();
    for index in draft.in_state(S::Launching) {
        if let Some(batch) = draft.runners[index].batch.clone() {
            calls.entry(batch).or_default().push(index);
        }
    }
    calls
}

fn again(draft: &mut Draft<'_>) {
    for (batch, runners) in open_calls(draft) {
        // A try is recorded with one of its runners.
        let last = runners.into_iter().max_by_key(|index| draft.runners[*index].launch_tried_at);
        if last.is_some_and(|index| pauses(draft, index)) {
            continue;
        }
        draft.step(LaunchAction::Again { batch }, "its answer is not known; the same token launches nothing twice");
    }
}

/// Whether the last call for the runner failed so lately that the next one waits.
fn pauses(draft: &mut Draft<'_>, index: usize) -> bool {
    let runner = &draft.runners[index];
    let Some(tried_at) = runner.launch_tried_at else { return false };
    let doublings = runner.launch_failures.saturating_sub(1).min(16);
    let until = tried_at.plus(PAUSE.saturating_mul(1 << doublings).min(PAUSE_MAX));
    if until <= draft.now {
        return false;
    }
    draft.wake_at(until);
    draft.wait_runner(
        index,
        WaitingOn::Grace { what: "the last launch call failed; the next one waits a little", until },
    );
    true
}

/// Gives up calls without a usable answer, once their machines were looked for in a complete list: those that are there are bound, and
/// the other runners are intents again.
pub(crate) fn give_up(draft: &mut Draft<'_>) {
    let deadline = draft.policy.timing.launch_deadline;
    let mut pools = BTreeSet::new();
    for (batch, runners) in open_calls(draft) {
        let called_at = runners.iter().filter_map(|index| draft.runners[*index].launching_at).min();
        if !called_at.is_none_or(|at| draft.passed(at, deadline)) {
            continue;
        }
        if draft.snapshot.machines.complete().is_none() {
            let why =
                "machines: no complete list, so that a launch call without an answer cannot be given up".to_owned();
            draft.wait_runner(runners[0], WaitingOn::UnknownSource { why });
            continue;
        }
        let bound: BTreeSet<&MachineId> = draft.runners.iter().filter_map(|runner| runner.machine.as_ref()).collect();
        let of_batch = draft.machines.values().filter(|machine| machine.batch == batch);
        let free: Vec<MachineId> =
            of_batch.map(|machine| machine.id.clone()).filter(|machine| !bound.contains(machine)).collect();
        let mut free = free.into_iter();
        let mut failed = Vec::new();
        for index in runners {
            match free.next() {
                Some(machine) => {
                    let why = "no usable answer came to its launch call, and this machine of it is there";
                    draft.update(index, RunnerUpdate::Machine(machine), why);
                }
                None => failed.push(index),
            }
        }
        fail(draft, &failed, &mut pools);
    }
}

/// One call that is given up: its runners are intents again, and its pool is left alone for a while, which is said once.
fn fail(draft: &mut Draft<'_>, runners: &[usize], pools: &mut BTreeSet<CapacityPool>) {
    let Some(first) = runners.first() else { return };
    let minutes = draft.policy.timing.launch_deadline.as_secs() / 60;
    let mut why =
        format!("no usable answer came to its launch call within {minutes} min, and no machine of it is there");
    if let Some(last) = runners.iter().find_map(|index| draft.runners[*index].launch_error.as_ref()) {
        let _ = write!(why, "; last: {last}");
    }
    if let Some(pool) = draft.runners[*first].pool.clone().filter(|pool| pools.insert(pool.clone())) {
        let failure = PoolFailure::new(pool, draft.now, why.clone());
        draft.step(EffectAction::PoolFailure(failure), "its launch call was given up");
    }
    let runner = &draft.runners[*first];
    if let Some(pool) = runner.pool.clone() {
        // It counts once, for however many machines it was.
        let launched_at = runner.launching_at.unwrap_or(runner.intended_at);
        let failure = BootFailure::new(runner.name.clone(), pool, draft.now);
        let failure = failure.because(BootFailureCause::Refused, why.clone(), launched_at);
        let failure = draft.boot_failures.add(failure);
        draft.step(RecordAction::BootFailed(failure), why.clone());
    }
    for index in runners {
        draft.update(*index, RunnerUpdate::LaunchFailed(why.clone()), why.clone());
    }
}

fn intend(draft: &mut Draft<'_>, granted: &BTreeMap<RunnerScope, usize>) {
    let policy = draft.policy;
    let mut serial = draft.snapshot.next_serial;
    let mut intents = Vec::new();
    for (at, count) in granted {
        for _ in 0..*count {
            let name = format!("{}-{}-{serial}", policy.name, draft.snapshot.control_plane);
            let Ok(name) = RunnerName::parse(&name) else { continue };
            let target = Target { set: policy.name.clone(), at: at.clone() };
            intents.push(Intent { name: name.clone(), serial, target: target.clone() });
            let runner = Runner::intended(name, serial, target, policy.ephemeral, draft.now);
            draft.runners.push(DraftRunner::Changed(Box::new(runner)));
            serial += 1;
        }
    }
    if !intents.is_empty() {
        let reason = format!(
            "{} job(s) and a minimum of {} idle runner(s) need more runners than there are",
            draft.demand, draft.min_idle
        );
        // In pieces that a ledger can take in one transaction each; the serials grow from piece to piece.
        for piece in intents.chunks(INTENTS_MAX) {
            draft.step(Action::Intend { runners: piece.to_vec() }, reason.clone());
        }
    }
}

fn wait(draft: &mut Draft<'_>, on: &WaitingOn) {
    for index in draft.in_state(S::Intended) {
        draft.wait_runner(index, on.clone());
    }
}

/// The token of a launch call: a hash of what it launches. Another try of the same intents, after a refusal, is another
/// call and needs another token; the versions of their records, which the refusal has changed, make it so.
fn batch_id(draft: &Draft<'_>, runners: &[(RunnerName, u64)]) -> Option<BatchId> {
    let mut text = format!("{}|{}", draft.policy.name, draft.snapshot.control_plane);
    for (runner, version) in runners {
        let _ = write!(text, "|{runner}:{version}");
    }
    // FNV-1a, twice: names are unique forever, so that even a weak hash of them will do.
    let fnv = |seed: u64| text.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    BatchId::parse(&format!("{:016x}{:016x}", fnv(0xcbf2_9ce4_8422_2325), fnv(0x9ae1_6a3b_2f90_404f))).ok()
}
