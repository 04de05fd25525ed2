//! The way out: deregister, wait until it is quiet, terminate, and nothing left behind (no hand-off, no registration, no machine).

use std::collections::BTreeSet;
use std::time::Duration;

use runnersmith_types::{
    Action, BatchId, EffectAction, Machine, MachineId, MachineState, MachineStatus, RunnerName, RunnerState as S,
    RunnerUpdate, Timestamp, WaitingOn,
};

use crate::draft::Draft;
use crate::evidence;

/// So long after its machine has ended a runner is not kept for a job that GitHub shows as running.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);
/// So long after its machine has ended a runner is not kept for a registration that cannot be removed.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Everything that draining, lost and finished runners still need.
pub(crate) fn draining(draft: &mut Draft<'_>) {
    for index in 0..draft.runners.len() {
        if end_at_its_hard_end(draft, index) {
            continue;
        }
        let runner = &draft.runners[index];
        match runner.state {
            S::Finished => {
                let since = runner.finished_at.unwrap_or(runner.intended_at);
                if draft.passed(since, draft.policy.timing.finished_grace) {
                    terminate(draft, index, "its job is over and its machine does not end by itself");
                }
            }
            S::Draining | S::Lost => drain_step(draft, index),
            S::Intended | S::Launching | S::Booting | S::Idle | S::Busy | S::Gone => {}
        }
        expire(draft, index);
    }
}

/// No hand-off outlives its use: once the runner is online or will never be, what was put for it is deleted.
fn expire(draft: &mut Draft<'_>, index: usize) {
    let runner = &draft.runners[index];
    let needed = matches!(runner.state, S::Intended | S::Launching | S::Booting | S::Gone);
    if !needed
        && runner.may_have_hand_off()
        && let Some(machine) = runner.machine.clone()
    {
        let action = EffectAction::ExpireHandOff { runner: runner.name.clone(), machine };
        draft.step(action, "no hand-off outlives its use");
    }
}

/// A draining or lost runner: its job's end, its registration, a quiet time, its machine. Each is waited for before the next.
fn drain_step(draft: &mut Draft<'_>, index: usize) {
    let runner = &draft.runners[index];
    let since = runner.lost_at.max(runner.draining_at).unwrap_or(draft.now);
    if waits_for_its_job(draft, index, since) {
        return;
    }
    if draft.is_gone(index) && draft.passed(since, GIVEN_UP_AFTER) {
        let why = "its machine ended a day ago, and GitHub does not let us remove its registration";
        draft.update(index, RunnerUpdate::Gone(why.into()), why);
        return;
    }
    if waits_while_busy(draft, index, since) || waits_for_its_registration(draft, index, since) {
        return;
    }
    if draft.is_gone(index) {
        let runner = &draft.runners[index];
        if !runner.may_have_hand_off() {
            draft.update(
                index,
                RunnerUpdate::Gone("its machine has ended".into()),
                "its machine has ended; nothing is left of it",
            );
        }
        return;
    }
    let quiet = draft.policy.timing.settle;
    let since = draft.runners[index].deregistered_at.unwrap_or(since);
    if draft.passed(since, quiet) {
        terminate(draft, index, "not registered any more, settled and still idle");
    } else {
        draft.wait_runner(index, WaitingOn::Grace { what: "settling", until: since.plus(quiet) });
    }
}

/// Whether GitHub still says that a job runs on it; only a machine that is gone comes here with one.
fn waits_for_its_job(draft: &mut Draft<'_>, index: usize, since: Timestamp) -> bool {
    let timing = &draft.policy.timing;
    // GitHub ends a job by itself a quarter of an hour after its runner was lost; one that it still shows after an hour is one
    // that we cannot ask about any more.
    let forgotten = draft.is_gone(index) && draft.passed(since, FORGOTTEN_AFTER);
    let Some(job) = draft.evidence(index).running().filter(|_| !forgotten) else { return false };
    // The delivery of a good end may be late; after a grace it counts as lost, and GitHub refuses to deregister until it has
    // noticed too. GitHub is asked first (`verify`): what it says after the machine was lost counts.
    let still = job.verified_at.is_some_and(|at| at >= since);
    if draft.passed(since, timing.ghost_grace) && still && job.interrupted_at.is_none() {
        let name = &draft.runners[index].name;
        let reason = format!("the machine of {name} is gone while GitHub says that the job runs on it");
        let rerun = draft.policy.rerun_interrupted;
        draft.step(EffectAction::Interrupted { job: job.id(), rerun }, reason);
    }
    let what = "its machine is gone; GitHub has not ended its job yet";
    draft.wait_runner(index, WaitingOn::Grace { what, until: job.changed_at.plus(timing.verify_after) });
    true
}

/// Whether any source says that it has a job, and its machine is there.
fn waits_while_busy(draft: &mut Draft<'_>, index: usize, since: Timestamp) -> bool {
    let Some(by) = evidence::busy(draft, index) else { return false };
    if draft.is_gone(index) {
        return false;
    }
    let what = by.text();
    let until = since.plus(draft.policy.timing.lifetime_max).plus(draft.policy.timing.hard_end_after);
    draft.wait_runner(index, WaitingOn::Grace { what, until });
    true
}

/// Whether a registration of it is there, which is removed, or may be.
fn waits_for_its_registration(draft: &mut Draft<'_>, index: usize, since: Timestamp) -> bool {
    let grace = draft.policy.timing.ghost_grace;
    let runner = &draft.runners[index];
    if let Some(registration) = draft.evidence(index).registration
        && runner.registration.is_none()
        && runner.deregistered_at.is_none()
    {
        draft.update(index, RunnerUpdate::Registered(registration.id), "GitHub shows its registration");
    }
    let runner = &draft.runners[index];
    let at = runner.target.at.clone();
    let missing = runner.missing_registration >= 2 || runner.deregistered_at.is_some();
    if let Some(registration) = runner.registration.filter(|_| !missing) {
        // A refusal counts whenever it was: a runner that is lost or taken out again is no newer word.
        let asked_at = runner.looked_up_at.filter(|asked_at| *asked_at >= since).max(runner.removal_refused_at);
        if asked_at.is_none_or(|asked_at| draft.passed(asked_at, grace)) {
            let runner = &draft.runners[index];
            let (name, reason) = (runner.name.clone(), format!("it is {}", runner.state.word()));
            draft.step(EffectAction::Deregister { runner: name, registration, at }, reason);
        } else {
            let until = asked_at.unwrap_or(draft.now).plus(grace);
            draft.wait_runner(index, WaitingOn::Grace { what: "GitHub still says that it has a job", until });
        }
        return true;
    }
    // It may have registered by a token or by a request whose answer was lost: GitHub's list would show it.
    let asked = runner.handed_at.or(runner.jit_requested_at).is_some() && !missing;
    if !asked {
        return false;
    }
    if !draft.passed(since, grace) {
        let until = since.plus(grace);
        draft.wait_runner(index, WaitingOn::Grace { what: "its registration may still be shown", until });
        return true;
    }
    if !draft.listed(&at) {
        let why = format!("registrations at {at}: not known in this pass");
        draft.wait_runner(index, WaitingOn::UnknownSource { why });
        return true;
    }
    false
}

/// Ends the machine of a runner, unless a source says that it has a job; asked again only after a quiet time.
fn terminate(draft: &mut Draft<'_>, index: usize, why: &str) {
    let seen = draft.evidence(index);
    let runner = &draft.runners[index];
    let (name, asked_at, ephemeral) = (runner.name.clone(), runner.terminated_at, runner.ephemeral);
    let Some(machine) = seen.machine.filter(|machine| machine.state != MachineState::Ended) else {
        if draft.snapshot.machines.value().is_none() {
            draft.wait_runner(index, WaitingOn::UnknownSource { why: "machines are not known".into() });
        }
        return;
    };
    if let Some(by) = evidence::busy_by(draft, index, &seen) {
        let timing = &draft.policy.timing;
        let until = machine.launched_at.plus(timing.lifetime_max).plus(timing.hard_end_after);
        draft.wait_runner(index, WaitingOn::Grace { what: by.text(), until });
        return;
    }
    let unregistered = runner.deregistered_at.is_some() || runner.missing_registration >= 2;
    if !seen.ended_its_job(ephemeral)
        && !unregistered
        && let Some(why) = draft.unknown(&draft.runners[index].target.at)
    {
        draft.wait_runner(index, WaitingOn::UnknownSource { why });
        return;
    }
    if asked_at.is_none_or(|asked_at| draft.passed(asked_at, draft.policy.timing.settle)) {
        draft.step(Action::Terminate { machine: machine.id.clone(), runner: Some(name) }, why);
    }
}

/// Ends a machine that has outlived its own hard end, whatever is said of it: no source may keep one forever. Returns whether it is
/// such a machine.
fn end_at_its_hard_end(draft: &mut Draft<'_>, index: usize) -> bool {
    let Some(machine) = draft.evidence(index).machine else { return false };
    if !evidence::is_past_its_hard_end(draft, machine) {
        return false;
    }
    let runner = &draft.runners[index];
    let (name, asked_at) = (runner.name.clone(), runner.terminated_at);
    if asked_at.is_none_or(|asked_at| draft.passed(asked_at, draft.policy.timing.ghost_grace)) {
        let action = Action::Terminate { machine: machine.id.clone(), runner: Some(name) };
        draft.step(action, "it is past its hard end and did not end itself");
    }
    true
}

/// Machines with our tags but without a record, past grace: the record was never written or is history.
pub(crate) fn untracked_machines(draft: &mut Draft<'_>) {
    let known: BTreeSet<&MachineId> = draft.runners.iter().filter_map(|runner| runner.machine.as_ref()).collect();
    let launching: BTreeSet<&BatchId> = draft
        .snapshot
        .batches
        .iter()
        .map(|batch| &batch.id)
        .chain(draft.runners.iter().filter(|runner| runner.state == S::Launching).filter_map(|r| r.batch.as_ref()))
        .collect();
    let untracked_machines: Vec<&Machine> = draft
        .machines
        .values()
        .filter(|machine| machine.control_plane == draft.snapshot.control_plane && machine.set == draft.policy.name)
        .filter(|machine| machine.state != MachineState::Ended)
        .filter(|machine| !known.contains(&machine.id) && !launching.contains(&machine.batch))
        .copied()
        .collect();
    for machine in untracked_machines {
        let says_busy = machine.status == Some(MachineStatus::Busy);
        let is_due = if says_busy {
            evidence::is_past_its_hard_end(draft, machine)
        } else {
            draft.passed(machine.launched_at, draft.policy.timing.ghost_grace)
        };
        if is_due {
            let (machine, runner): (MachineId, Option<RunnerName>) = (machine.id.clone(), None);
            draft.step(Action::Terminate { machine, runner }, "it has our tags and no record");
        }
    }
}
