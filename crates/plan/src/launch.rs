//! Intents and launch calls. A call is stored, with a token that is a hash of what it launches, before it is made; so a
//! crash at any point makes it again with the same token, and nothing is launched twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use runnersmith_types::{
    Action, BatchId, Intent, LaunchAction, Runner, RunnerName, RunnerScope, RunnerState as S, Target, WaitingOn,
    policy::{INTENTS_MAX, LAUNCH_BATCH_MAX},
};

use crate::draft::Draft;
use crate::fallback_order::LaunchDecision;

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

fn again(draft: &mut Draft<'_>) {
    let launching = draft.in_state(S::Launching);
    let batches: BTreeSet<BatchId> =
        launching.into_iter().filter_map(|index| draft.runners[index].batch.clone()).collect();
    for batch in batches {
        draft.step(LaunchAction::Again { batch }, "its answer is not known; the same token launches nothing twice");
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
            draft.runners.push(Runner::intended(name, serial, target, policy.ephemeral, draft.now));
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
