//! Which machine gets its runner's config now, and by which means. It is a decision of its own because GitHub's budget
//! for JIT configs, not the machines, bounds a burst.

use runnersmith_types::{EffectAction, HandOffMeans, RunnerState as S, WaitingOn};

use crate::draft::Draft;

/// Plans a hand-off for every machine that waits for one, oldest first, within the budget.
pub(crate) fn hand_off(draft: &mut Draft<'_>) {
    let mut jit_left = draft.snapshot.budget.jit_left;
    let mut ready = draft.in_state(S::Booting);
    ready.retain(|index| draft.runners[*index].handed_at.is_none());
    ready.sort_by_key(|index| draft.runners[*index].serial);
    for index in ready {
        let runner = &draft.runners[index];
        let Some(machine) = runner.machine.clone() else { continue };
        let (name, asked_before) = (runner.name.clone(), runner.jit_requested_at.is_some());
        let (means, reason) = if !draft.policy.ephemeral {
            (HandOffMeans::Token, "its machine is there; reusable runners register with a token")
        } else if asked_before {
            // What that request left behind has to be found and cleared; it was paid for already.
            (HandOffMeans::Jit, "an earlier request was cut off")
        } else if jit_left > 0 {
            jit_left -= 1;
            (HandOffMeans::Jit, "its machine is there")
        } else if draft.policy.token_when_jit_exhausted {
            (HandOffMeans::Token, "its machine is there, and this minute's JIT budget is used up: a shared token")
        } else {
            let until = draft.snapshot.budget.refills_at;
            draft.wake_at(until);
            draft.wait_runner(index, WaitingOn::Budget { until });
            continue;
        };
        draft.step(EffectAction::HandOff { runner: name, machine, means }, reason);
    }
}
