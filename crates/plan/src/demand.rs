//! Rules 1 to 4: what is wanted, per target; what is there; which of the difference gets a slot; what waits, and on what.

use std::collections::{BTreeMap, BTreeSet};

use runnersmith_types::{Job, RunnerScope, RunnerState as S, Timestamp, WaitingOn, saturating_u32};

use crate::draft::{Draft, age};
use crate::share::Shared;
use crate::{evidence, fallback_order, hand_off, launch, schedule};

/// Launches what demand and the minimum of idle runners need beyond the supply, within the maximum, the fallback order and the breaker. Returns how
/// many runners each place needs, its minimum of idle runners included.
pub(crate) fn meet(draft: &mut Draft<'_>, shared: &Shared<'_>) -> BTreeMap<RunnerScope, usize> {
    draft.min_idle = schedule::min_idle(&draft.policy.min_idle, draft.now);
    if !draft.policy.min_idle.is_empty() {
        // A schedule changes at the minute.
        draft.wake_at(Timestamp::from_secs((draft.now.as_secs() / 60 + 1) * 60));
    }
    let lines = &shared.wanted;
    draft.demand = saturating_u32(lines.values().map(|line| line.len()).sum());
    let mut need: BTreeMap<RunnerScope, usize> = lines.iter().map(|(at, line)| (at.clone(), line.len())).collect();
    if let Some(at) = &draft.policy.scope.at
        && draft.min_idle > 0
    {
        *need.entry(at.clone()).or_default() += draft.min_idle as usize;
    }
    withdraw(draft, &need);
    let have = supply(draft, |_| true);
    let missing: BTreeMap<&RunnerScope, usize> = need
        .iter()
        .map(|(at, need)| (at, need.saturating_sub(have.get(at).copied().unwrap_or(0))))
        .map(|(at, missing)| (at, hand_off::launchable(draft, at, missing)))
        .filter(|(_, missing)| *missing > 0)
        .collect();
    let way = fallback_order::decide(draft);
    let room = (draft.policy.runners_max as usize).saturating_sub(draft.alive());
    let slots = match &way {
        fallback_order::LaunchDecision::Allow(_) => room,
        // An intent of an earlier pass is the probe, if there is one.
        fallback_order::LaunchDecision::Probe(..) => room.min(usize::from(draft.in_state(S::Intended).is_empty())),
        fallback_order::LaunchDecision::Deny(_) => 0,
    };
    // One probe after the other goes round the places, so that one that cannot boot does not stop the others.
    let turn = if matches!(way, fallback_order::LaunchDecision::Probe(..)) { draft.boot_failures.total() } else { 0 };
    let granted = round_robin(&missing, slots, lines, turn);
    // Intents are on their way only where launching goes on.
    let coming = match &way {
        fallback_order::LaunchDecision::Allow(_) => have,
        fallback_order::LaunchDecision::Probe(..) | fallback_order::LaunchDecision::Deny(_) => {
            supply(draft, |state| state != S::Intended)
        }
    };
    explain(draft, lines, &coming, &granted, &way, room);
    launch::launch(draft, &granted, &way);
    need
}

/// Runners that can take the set's jobs, by place.
fn supply(draft: &Draft<'_>, counts: impl Fn(S) -> bool) -> BTreeMap<RunnerScope, usize> {
    let mut have = BTreeMap::new();
    for runner in draft.runners.iter().filter(|runner| draft.is_supply(runner) && counts(runner.state)) {
        *have.entry(runner.target.at.clone()).or_default() += 1;
    }
    have
}

/// Takes back intents that nothing wants any more, newest first, and those beyond a maximum that was lowered.
fn withdraw(draft: &mut Draft<'_>, need: &BTreeMap<RunnerScope, usize>) {
    let mut surplus = supply(draft, |_| true);
    for (at, count) in &mut surplus {
        *count = count.saturating_sub(need.get(at).copied().unwrap_or(0));
    }
    let mut beyond = draft.alive().saturating_sub(draft.policy.runners_max as usize);
    let mut intents = draft.in_state(S::Intended);
    // A name that a source calls busy is not taken back, whatever the record says.
    intents.retain(|index| evidence::busy(draft, *index).is_none());
    intents.sort_by_key(|index| std::cmp::Reverse(draft.runners[*index].serial));
    for index in intents {
        let here = surplus.get_mut(&draft.runners[index].target.at);
        let reason = match here {
            Some(count) if *count > 0 => {
                *count -= 1;
                "never launched, and nothing wants it any more"
            }
            Some(_) | None if beyond > 0 => "never launched, and the maximum was lowered",
            Some(_) | None => continue,
        };
        beyond = beyond.saturating_sub(1);
        draft.withdraw(index, reason);
    }
}

/// Slots go round-robin over targets, the one with the oldest job first.
fn round_robin(
    missing: &BTreeMap<&RunnerScope, usize>,
    slots: usize,
    lines: &BTreeMap<RunnerScope, Vec<&Job>>,
    turn: usize,
) -> BTreeMap<RunnerScope, usize> {
    let oldest = |at: &RunnerScope| lines.get(at).and_then(|line| line.first()).map(|job| (age(job), job.id()));
    let mut places: Vec<&RunnerScope> = missing.keys().copied().collect();
    places.sort_by_key(|at| (oldest(at).is_none(), oldest(at), *at));
    if !places.is_empty() {
        let turn = turn % places.len();
        places.rotate_left(turn);
    }
    let mut granted: BTreeMap<RunnerScope, usize> = BTreeMap::new();
    let mut left = slots;
    while left > 0 && !places.is_empty() {
        for at in &places {
            if left > 0 {
                *granted.entry((*at).clone()).or_default() += 1;
                left -= 1;
            }
        }
        places.retain(|at| granted.get(*at).copied().unwrap_or(0) < missing[*at]);
    }
    granted
}

/// Says of every wanted job what it waits for.
fn explain(
    draft: &mut Draft<'_>,
    lines: &BTreeMap<RunnerScope, Vec<&Job>>,
    have: &BTreeMap<RunnerScope, usize>,
    granted: &BTreeMap<RunnerScope, usize>,
    way: &fallback_order::LaunchDecision,
    room: usize,
) {
    let count = |map: &BTreeMap<RunnerScope, usize>, at| map.get(at).copied().unwrap_or(0);
    let mut behind: BTreeSet<(Timestamp, runnersmith_types::JobId)> = BTreeSet::new();
    for (at, line) in lines {
        let coming = count(have, at) + count(granted, at);
        let stopped = hand_off::stopped(draft, at);
        let configured = if stopped.is_some() { hand_off::configured(draft, at) } else { 0 };
        for (place, job) in line.iter().enumerate() {
            let on = if let Some(on) = stopped.as_ref().filter(|_| place >= configured) {
                on.clone()
            } else if place < coming {
                WaitingOn::Runner { supply: saturating_u32(coming) }
            } else {
                match way {
                    fallback_order::LaunchDecision::Deny(on) => on.clone(),
                    fallback_order::LaunchDecision::Probe(_, on) if room > 0 => on.clone(),
                    fallback_order::LaunchDecision::Allow(_) | fallback_order::LaunchDecision::Probe(..) => {
                        behind.insert((age(job), job.id()));
                        continue;
                    }
                }
            };
            draft.wait_job(job.id(), on);
        }
    }
    // The place in the line is by age over all targets.
    for (place, (_, job)) in behind.into_iter().enumerate() {
        let (runners_max, position) = (draft.policy.runners_max, saturating_u32(place + 1));
        draft.wait_job(job, WaitingOn::Maximum { runners_max, position });
    }
}
