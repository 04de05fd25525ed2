//! Rules 5 to 7: what goes, and what is kept although it might. Unknown means keep.

use std::collections::{BTreeMap, BTreeSet};

use runnersmith_types::{
    Action, MachineId, MachineState, Mark, RegisterAt, Runner, RunnerName, RunnerState as S, Strike, Voice, WaitingOn,
};

use crate::draft::Draft;

/// Everything that ends runners and machines. `need` is how many runners each place wants, floor included.
pub(crate) fn removal(draft: &mut Draft<'_>, need: &BTreeMap<RegisterAt, usize>) {
    overdue(draft);
    surplus(draft, need);
    going(draft);
    unknown_machines(draft);
}

/// Boot deadline, finished machines that stay, lifetimes, lost registrations.
fn overdue(draft: &mut Draft<'_>) {
    let timing = draft.policy.timing.clone();
    for runner in draft.runners.values().cloned().collect::<Vec<_>>() {
        let name = &runner.name;
        match runner.state {
            S::Booting => {
                let Some(handed_at) = runner.handed_at else { continue };
                if !draft.passed(handed_at, timing.boot_deadline) {
                    continue;
                }
                if is_unseen(draft) {
                    wait_unknown(draft, name);
                    continue;
                }
                draft.mark(name, Mark::Draining, "it was never seen online within the boot deadline, and no job names it");
                strike(draft, &runner);
            }
            S::Finished => {
                let since = runner.finished_at.unwrap_or(runner.intended_at);
                if draft.passed(since, timing.finished_grace) {
                    terminate(draft, &runner, "its job is over and its machine does not end by itself");
                }
            }
            S::Idle => {
                if draft.passed(runner.machine_at.unwrap_or(runner.intended_at), timing.lifetime_max) && !is_unseen(draft) {
                    draft.mark(name, Mark::Draining, "it is past its lifetime and not busy");
                } else if runner.missing_registration >= 2 {
                    draft.mark(name, Mark::Draining, "GitHub does not know its registration, asked twice by id");
                } else {
                    look_up(draft, &runner);
                }
            }
            S::Busy => {
                if draft.passed(runner.machine_at.unwrap_or(runner.intended_at), timing.lifetime_max) {
                    let until = runner.machine_at.unwrap_or(runner.intended_at).plus(timing.lifetime_max).plus(timing.hard_end_after);
                    draft.wait_runner(name, WaitingOn::Grace { what: "past its lifetime, but it has a job: kept until its hard end", until });
                }
            }
            S::Intended | S::Launching | S::Draining | S::Lost | S::Gone => {}
        }
    }
}

/// An idle registration that the timer's list did not show is asked for by id, at most once in a grace time.
fn look_up(draft: &mut Draft<'_>, runner: &Runner) {
    let listed = draft.snapshot.registrations.get(&runner.target.at).is_some_and(|seen| seen.value().is_some());
    let shown = draft.registrations.contains_key(&(&runner.target.at, runner.registration_name().as_str()));
    let Some(registration) = runner.registration else { return };
    let again = runner.looked_up_at.is_none_or(|at| at.plus(draft.policy.timing.ghost_grace) <= draft.now);
    let young = runner.online_at.is_none_or(|at| at.plus(draft.policy.timing.ghost_grace) > draft.now);
    if listed && !shown && again && !young {
        let action = Action::LookUp { runner: runner.name.clone(), registration, at: runner.target.at.clone() };
        draft.step(action, "GitHub's list does not show it; lists shift, so it is asked for by id");
    }
}

fn strike(draft: &mut Draft<'_>, runner: &Runner) {
    let others_boot = draft.runners.values().any(|other| other.online_at.is_some_and(|at| at > runner.intended_at));
    if let (true, Some(rung)) = (others_boot, runner.rung.clone()) {
        let strike = Strike { rung, at: draft.now, why: format!("{} never came online while others did", runner.name) };
        draft.step(Action::Strike(strike), "boot failure");
    }
}

/// Idle runners beyond demand and floor: confirmed idle, past the minimum running time, oldest first.
fn surplus(draft: &mut Draft<'_>, need: &BTreeMap<RegisterAt, usize>) {
    let timing = draft.policy.timing.clone();
    let places: BTreeSet<RegisterAt> = draft.runners.values().map(|runner| runner.target.at.clone()).collect();
    for at in places {
        let have = draft.runners.values().filter(|runner| runner.state.is_supply() && runner.target.at == at).count();
        let mut left = have.saturating_sub(need.get(&at).copied().unwrap_or(0));
        let mut idle: Vec<Runner> =
            draft.runners.values().filter(|runner| runner.state == S::Idle && runner.target.at == at).cloned().collect();
        idle.sort_by_key(|runner| (runner.intended_at, runner.serial));
        for runner in idle {
            let name = &runner.name;
            if left == 0 {
                if draft.floor > 0 {
                    draft.wait_runner(name, WaitingOn::Floor);
                }
                continue;
            }
            let born = runner.machine_at.unwrap_or(runner.intended_at);
            if !draft.passed(born, timing.running_min) {
                draft.wait_runner(name, WaitingOn::Grace { what: "surplus, but younger than the minimum running time", until: born.plus(timing.running_min) });
                continue;
            }
            let Some(idle_since) = runner.idle_since else { continue };
            if !draft.passed(idle_since, timing.idle_confirm) {
                draft.wait_runner(name, WaitingOn::Grace { what: "surplus, being confirmed idle", until: idle_since.plus(timing.idle_confirm) });
                continue;
            }
            // The last word before a removal is GitHub's: without it nothing goes.
            let Some(seen) = draft.snapshot.registrations.get(&at).and_then(|seen| seen.value()) else {
                wait_unknown(draft, name);
                continue;
            };
            if is_unseen(draft) {
                wait_unknown(draft, name);
                continue;
            }
            if seen.iter().any(|found| found.busy && found.name == runner.registration_name()) {
                continue;
            }
            left -= 1;
            draft.mark(name, Mark::Draining, "surplus: idle by every source, and nothing wants it");
        }
    }
}

fn is_unseen(draft: &Draft<'_>) -> bool {
    draft.snapshot.machines.value().is_none()
}

fn wait_unknown(draft: &mut Draft<'_>, name: &RunnerName) {
    draft.wait_runner(name, WaitingOn::UnknownSource { why: "nothing is removed on missing evidence".into() });
}

/// Draining: deregister, settle, terminate.
fn going(draft: &mut Draft<'_>) {
    for runner in draft.runners.values().cloned().collect::<Vec<_>>() {
        if runner.state != S::Draining {
            continue;
        }
        let name = &runner.name;
        if let Some(registration) = runner.registration {
            let action = Action::Deregister { runner: name.clone(), registration, at: runner.target.at.clone() };
            draft.step(action, "it is draining");
            continue;
        }
        if runner.handed_at.is_some() && runner.deregistered_at.is_none() && runner.online_at.is_some() {
            // Registered by a token: its id comes with GitHub's list.
            let found = draft.registrations.get(&(&runner.target.at, runner.registration_name().as_str())).map(|found| found.id);
            match found {
                Some(id) => draft.mark(name, Mark::Registered(id), "GitHub shows its registration"),
                None => wait_unknown(draft, name),
            }
            continue;
        }
        if busy_by_machine(draft, &runner) {
            continue;
        }
        let since = runner.deregistered_at.or(runner.draining_at).unwrap_or(draft.now);
        let settle = draft.policy.timing.settle;
        if draft.passed(since, settle) {
            terminate(draft, &runner, "deregistered, settled and still idle");
        } else {
            draft.wait_runner(name, WaitingOn::Grace { what: "deregistered; settling", until: since.plus(settle) });
        }
        if runner.online_at.is_none() && runner.handoff_gone_at.is_none() && runner.handed_at.is_some()
            && let Some(machine) = runner.machine.clone()
        {
            draft.step(Action::ExpireHandOff { runner: name.clone(), machine }, "no hand-off outlives its use");
        }
    }
}

fn busy_by_machine(draft: &Draft<'_>, runner: &Runner) -> bool {
    let machine = runner.machine.as_ref().and_then(|id| draft.machines.get(id));
    machine.is_some_and(|machine| machine.voice == Some(Voice::Busy))
}

fn terminate(draft: &mut Draft<'_>, runner: &Runner, why: &str) {
    let again = runner.terminated_at.is_none_or(|at| at.plus(draft.policy.timing.settle) <= draft.now);
    let Some(machine) = runner.machine.clone() else {
        draft.mark(&runner.name, Mark::Gone(why.to_owned()), why);
        return;
    };
    let there = draft.machines.get(&machine).is_some_and(|machine| machine.state != MachineState::Ended);
    if there && again && !busy_by_machine(draft, runner) {
        draft.step(Action::Terminate { machine, runner: Some(runner.name.clone()) }, why);
    }
    draft.wake_at(draft.now.plus(draft.policy.timing.settle));
}

/// A machine with our tags but without a record, past grace, is ours to end: its record was never written or is history.
fn unknown_machines(draft: &mut Draft<'_>) {
    let grace = draft.policy.timing.ghost_grace;
    let known: BTreeSet<&MachineId> = draft.snapshot.runners.iter().filter_map(|runner| runner.machine.as_ref()).collect();
    let launching: BTreeSet<_> = draft.snapshot.batches.iter().map(|batch| &batch.id).collect();
    let mut strangers = Vec::new();
    for machine in draft.snapshot.machines.complete().into_iter().flatten() {
        let ours = machine.plane == draft.snapshot.plane && machine.set == draft.policy.name;
        if ours && machine.state != MachineState::Ended && !known.contains(&machine.id) && !launching.contains(&machine.batch) {
            strangers.push((machine.id.clone(), machine.launched_at, machine.voice == Some(Voice::Busy)));
        }
    }
    for (machine, launched_at, busy) in strangers {
        if draft.passed(launched_at, grace) && !busy {
            draft.step(Action::Terminate { machine, runner: None }, "it has our tags and no record");
        }
    }
}
