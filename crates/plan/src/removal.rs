//! Rules 5 to 7: what has to go, and what is kept although it might. Unknown means keep.

use std::collections::BTreeMap;

use runnersmith_types::{
    EffectAction, Observed, PoolFailure, RunnerScope, RunnerState as S, RunnerUpdate, Timestamp, WaitingOn,
};

use crate::draft::Draft;
use crate::hand_off;

/// Orphans past the boot deadline, machines past their lifetime, registrations that a list does not show.
pub(crate) fn expired(draft: &mut Draft<'_>) {
    let timing = &draft.policy.timing;
    for index in 0..draft.runners.len() {
        let runner = &draft.runners[index];
        let born = runner.machine_at.unwrap_or(runner.intended_at);
        match runner.state {
            S::Booting => {
                let handed = runner.handed_at;
                // Without its configuration it cannot boot; that is no place's fault, but ends as well.
                let deadline = handed.unwrap_or_else(|| born.plus(timing.ghost_grace));
                let patience = match handed {
                    Some(_) => timing.boot_deadline,
                    None => hand_off::patience(draft, &runner.target.at, born),
                };
                if draft.passed(deadline, patience) && is_known(draft, index) {
                    let why = match handed {
                        Some(_) => "it was never seen online within the boot deadline, and no job names it",
                        None => "it could not be given its configuration within the boot deadline",
                    };
                    draft.update(index, RunnerUpdate::Draining, why);
                    if handed.is_some() {
                        pool_failure(draft, index);
                    }
                }
            }
            S::Idle => idle_expired(draft, index, born),
            S::Busy => {
                if draft.passed(born, timing.lifetime_max) {
                    let until = born.plus(timing.lifetime_max).plus(timing.hard_end_after);
                    let what = "past its lifetime, but it has a job: kept until its hard end";
                    draft.wait_runner(index, WaitingOn::Grace { what, until });
                    // It goes at its job's end. Where no delivery says so, its machine does, which has no signal of its own everywhere.
                    draft.wake_at(draft.now.plus(draft.policy.timing.idle_confirm));
                }
                look_up(draft, index);
            }
            S::Intended | S::Launching | S::Draining | S::Finished | S::Lost | S::Gone => {}
        }
    }
}

/// An idle runner that is too old, or that can take no job.
fn idle_expired(draft: &mut Draft<'_>, index: usize, born: Timestamp) {
    let timing = &draft.policy.timing;
    let offline_since = draft.runners[index].offline_since;
    if draft.passed(born, timing.lifetime_max) && may_be_asked(draft, index) {
        draft.update(index, RunnerUpdate::Draining, "it is past its lifetime and not busy");
    } else if let Some(since) = offline_since
        && draft.passed(since, timing.boot_deadline)
        && is_known(draft, index)
    {
        let never = draft.runners[index].was_never_online(timing.ghost_grace);
        draft.update(index, RunnerUpdate::Draining, "GitHub shows it offline: it can take no job");
        if never {
            pool_failure(draft, index);
        }
    } else {
        look_up(draft, index);
    }
}

/// Whether GitHub can be asked by the removal itself, which it refuses for a runner with a job: so a job's end is a moment at which a
/// runner may go, although GitHub's list is not read then. Its machine must be known: its word counts as well.
fn may_be_asked(draft: &mut Draft<'_>, index: usize) -> bool {
    let Observed::Unknown { why } = &draft.snapshot.machines else { return true };
    draft.wait_runner(index, WaitingOn::UnknownSource { why: format!("machines: {why}") });
    false
}

/// Whether every source that can speak about the runner does; if not, says so.
fn is_known(draft: &mut Draft<'_>, index: usize) -> bool {
    let Some(why) = draft.unknown(&draft.runners[index].target.at) else { return true };
    draft.wait_runner(index, WaitingOn::UnknownSource { why });
    false
}

/// A registration that GitHub's list does not show is asked for by id, at most once in a grace time: lists shift while
/// their pages are read. A second answer that it is missing is final.
fn look_up(draft: &mut Draft<'_>, index: usize) {
    let seen = draft.evidence(index);
    let runner = &draft.runners[index];
    let (Some(registration), Some(online_at)) = (runner.registration, runner.online_at) else { return };
    let at = runner.target.at.clone();
    let (asked_at, missing) = (runner.looked_up_at, runner.missing_registration);
    let doubted = (missing == 1 || draft.listed(&at)) && seen.registration.is_none();
    if missing >= 2 || !doubted || seen.running().is_some() {
        return;
    }
    let grace = draft.policy.timing.ghost_grace;
    if draft.passed(online_at, grace) && asked_at.is_none_or(|asked_at| draft.passed(asked_at, grace)) {
        let action = EffectAction::LookUp { runner: draft.runners[index].name.clone(), registration, at };
        draft.step(action, "GitHub's list does not show it; lists shift, so it is asked for by id");
    }
}

/// The place is to blame only while others boot; else it is the image, and that is the breaker's matter.
fn pool_failure(draft: &mut Draft<'_>, index: usize) {
    let runner = &draft.runners[index];
    let others_boot = draft.runners.iter().any(|other| other.online_at.is_some_and(|at| at > runner.intended_at));
    if let (true, Some(pool)) = (others_boot, runner.pool.clone()) {
        let why = format!("{} never came online while others did", runner.name);
        draft.step(EffectAction::PoolFailure(PoolFailure::new(pool, draft.now, why)), "boot failure");
    }
}

/// Idle runners beyond demand and the minimum of idle runners, oldest first. `need` is how many runners each place wants, its minimum of idle runners included.
pub(crate) fn surplus(draft: &mut Draft<'_>, need: &BTreeMap<RunnerScope, usize>) {
    outdated(draft);
    let mut spare: BTreeMap<RunnerScope, usize> = BTreeMap::new();
    for runner in draft.runners.iter().filter(|runner| draft.is_supply(runner)) {
        *spare.entry(runner.target.at.clone()).or_default() += 1;
    }
    for (at, count) in &mut spare {
        *count = count.saturating_sub(need.get(at).copied().unwrap_or(0));
    }
    // A minimum of idle runners without a place of its own launches nothing, but spares as many wherever they are.
    let spared = if draft.policy.scope.at.is_none() { draft.min_idle as usize } else { 0 };
    let mut left = spare.values().sum::<usize>().saturating_sub(spared);
    let mut idle = draft.in_state(S::Idle);
    idle.retain(|index| draft.is_supply(&draft.runners[*index]));
    idle.sort_by_key(|index| (draft.runners[*index].intended_at, draft.runners[*index].serial));
    for index in idle {
        let Some(here) = spare.get_mut(&draft.runners[index].target.at) else { continue };
        if left == 0 || *here == 0 {
            if draft.min_idle > 0 {
                draft.wait_runner(index, WaitingOn::MinIdle);
            }
        } else if may_go(draft, index) {
            (left, *here) = (left - 1, *here - 1);
            draft.update(index, RunnerUpdate::Draining, "surplus: idle by every source, and nothing wants it");
        }
    }
}

/// Idle runners whose labels are not the set's: nothing that the set serves is certain to go to them, so others come in their place.
fn outdated(draft: &mut Draft<'_>) {
    let labels = &draft.policy.labels;
    for index in draft.in_state(S::Idle) {
        let Some(label) = draft.runners[index].lacks_label(labels) else { continue };
        if may_go(draft, index) {
            let why = format!("its registration lacks the label {label}, which the scale set has now");
            draft.update(index, RunnerUpdate::Draining, why);
        }
    }
}

/// Old enough, confirmed idle for long enough, and no source silent: GitHub's is the last word before a removal.
fn may_go(draft: &mut Draft<'_>, index: usize) -> bool {
    let timing = &draft.policy.timing;
    let runner = &draft.runners[index];
    let born = runner.machine_at.unwrap_or(runner.intended_at);
    let idle_since = runner.idle_since.unwrap_or(draft.now);
    if !draft.passed(born, timing.running_min) {
        let until = born.plus(timing.running_min);
        draft
            .wait_runner(index, WaitingOn::Grace { what: "surplus, but younger than the minimum running time", until });
        return false;
    }
    if !draft.passed(idle_since, timing.idle_confirm) {
        let until = idle_since.plus(timing.idle_confirm);
        draft.wait_runner(index, WaitingOn::Grace { what: "surplus, being confirmed idle", until });
        return false;
    }
    is_known(draft, index)
}
