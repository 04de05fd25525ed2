//! Which machine gets its runner's config now, and by which means. It is a decision of its own because GitHub's budget
//! for JIT configs, not the machines, bounds a burst, and because hand-offs that fail must wait without being forgotten.

use std::collections::BTreeMap;
use std::time::Duration;

use runnersmith_types::{
    HandOffAction, HandOffFault, HandOffMeans, HandOffTrouble, RunnerScope, RunnerState as S, Timestamp, WaitingOn,
};

use crate::draft::Draft;

/// Plans a hand-off for every machine that waits for one, oldest first, within the budget. Where hand-offs fail, one machine tries
/// for all when the pause is over; they take turns, so that one that can never get its config does not stop the others.
pub(crate) fn hand_off(draft: &mut Draft<'_>) {
    let mut jit_left = draft.snapshot.budget.jit_left;
    let mut ready = draft.in_state(S::Booting);
    ready.retain(|index| draft.runners[*index].handed_at.is_none() && draft.runners[*index].machine.is_some());
    ready.sort_by_key(|index| draft.runners[*index].serial);
    let mut by_place: BTreeMap<RunnerScope, Vec<usize>> = BTreeMap::new();
    for index in &ready {
        by_place.entry(draft.runners[*index].target.at.clone()).or_default().push(*index);
    }
    for (at, waiting) in by_place {
        let Some(fault) = draft.snapshot.hand_off_faults.active(&at) else { continue };
        let tries = (fault.until <= draft.now).then(|| waiting[fault.rounds as usize % waiting.len()]);
        draft.wake_at(fault.until);
        for index in waiting.into_iter().filter(|index| Some(*index) != tries) {
            draft.wait_runner(index, waits_for(fault));
            ready.retain(|other| *other != index);
        }
    }
    for index in ready {
        hand_over(draft, index, &mut jit_left);
    }
}

fn hand_over(draft: &mut Draft<'_>, index: usize, jit_left: &mut u32) {
    let runner = &draft.runners[index];
    let Some(machine) = runner.machine.clone() else { return };
    let (name, asked_before) = (runner.name.clone(), runner.jit_requested_at.is_some());
    let (means, reason) = if !draft.policy.ephemeral {
        (HandOffMeans::Token, "its machine is there; reusable runners register with a token")
    } else if asked_before {
        // What that request left behind has to be found and cleared; it was paid for already.
        (HandOffMeans::Jit, "an earlier request was cut off")
    } else if *jit_left > 0 {
        *jit_left -= 1;
        (HandOffMeans::Jit, "its machine is there")
    } else if draft.policy.token_when_jit_exhausted {
        (HandOffMeans::Token, "its machine is there, and this minute's JIT budget is used up: a shared token")
    } else {
        let until = draft.snapshot.budget.refills_at;
        draft.wake_at(until);
        draft.wait_runner(index, WaitingOn::Budget { until });
        return;
    };
    draft.step(HandOffAction { runner: name, machine, means }, reason);
}

fn waits_for(fault: &HandOffFault) -> WaitingOn {
    WaitingOn::HandOff { trouble: fault.trouble, why: fault.to_string(), until: fault.until }
}

/// How long a machine that was there since `born` may wait for its configuration: where hand-offs have failed since, as long as it
/// waits itself, so that it is there when they are well again.
pub(crate) fn patience(draft: &Draft<'_>, at: &RunnerScope, born: Timestamp) -> Duration {
    let deadline = draft.policy.timing.boot_deadline;
    if draft.snapshot.hand_off_faults.failed_since(at, born) { deadline.max(MACHINE_WAITS) } else { deadline }
}

/// A machine ends by itself when it has waited for so long.
const MACHINE_WAITS: Duration = Duration::from_secs(600);

/// What a place's jobs wait for, where hand-offs fail for so long that a machine launched now would only wait.
pub(crate) fn stopped(draft: &Draft<'_>, at: &RunnerScope) -> Option<WaitingOn> {
    let fault = draft.snapshot.hand_off_faults.active(at)?;
    fault.stops_launches(draft.now).then(|| waits_for(fault))
}

/// How many of a place's runners have their configuration.
pub(crate) fn configured(draft: &Draft<'_>, at: &RunnerScope) -> usize {
    let there = draft.runners.iter().filter(|runner| &runner.target.at == at && runner.state.is_supply());
    there.filter(|runner| runner.state == S::Idle || runner.handed_at.is_some()).count()
}

/// Of what a place lacks, what may be launched: where hand-offs fail, one machine at most, which tries for all.
pub(crate) fn launchable(draft: &mut Draft<'_>, at: &RunnerScope, missing: usize) -> usize {
    let Some(fault) = draft.snapshot.hand_off_faults.active(at).filter(|fault| fault.stops_launches(draft.now)) else {
        return missing;
    };
    let waits = draft.runners.iter().any(|runner| {
        &runner.target.at == at
            && matches!(runner.state, S::Intended | S::Launching | S::Booting)
            && runner.handed_at.is_none()
    });
    draft.wake_at(fault.until);
    // Where GitHub only does not answer, the machine boots while it does not, to be there when it does.
    let due = fault.until <= draft.now || fault.trouble == HandOffTrouble::Unavailable;
    missing.min(usize::from(due && !waits))
}
