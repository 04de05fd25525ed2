//! From evidence to states. Any source that says busy is believed until a newer word says otherwise; idle needs all that speak; absence
//! proves nothing unless a list is complete or an id was asked for.

use std::collections::HashMap;

use runnersmith_types::{BatchId, JobStatus, MachineId, MachineStatus, RunnerState as S, RunnerUpdate, WaitingOn};

use crate::draft::{Draft, Evidence};
use crate::evidence::{self, BusyBy};

/// Turns what was seen into updates.
pub(crate) fn observe(draft: &mut Draft<'_>) {
    bind(draft);
    for index in 0..draft.runners.len() {
        match draft.runners[index].state {
            S::Gone | S::Intended | S::Launching => {}
            // That its machine has ended may be what it is lost by; no list takes that back.
            S::Lost if draft.machines_unknown() => {}
            S::Booting | S::Idle | S::Busy | S::Draining | S::Finished | S::Lost => {
                if is_there(draft, index) {
                    observe_present(draft, index);
                } else {
                    ended(draft, index);
                }
            }
        }
    }
}

/// Machines of a stored batch: sorted ids to sorted names, when all of them are to be seen. A list that shows only some
/// (a cloud's lists lag behind its launches) would bind others than the call's own answer, so the call is made again instead.
fn bind(draft: &mut Draft<'_>) {
    let snapshot = draft.snapshot;
    let mut seen: HashMap<&BatchId, Vec<&MachineId>> = HashMap::new();
    for (id, machine) in &draft.machines {
        seen.entry(&machine.batch).or_default().push(id);
    }
    let mut bound = Vec::new();
    for batch in &snapshot.batches {
        let Some(machines) = seen.get(&batch.id).filter(|machines| machines.len() == batch.runners.len()) else {
            continue;
        };
        let mut names: Vec<_> = batch.runners.iter().collect();
        names.sort();
        bound.extend(names.into_iter().zip(machines.iter().copied()));
    }
    for (name, machine) in bound {
        let found = draft.runners.binary_search_by(|runner| runner.name.cmp(name));
        if let Ok(index) = found
            && draft.runners[index].state == S::Launching
        {
            draft.update(index, RunnerUpdate::Machine(machine.clone()), "its batch's machines are all there");
        }
    }
}

/// Whether the machine is, or must be taken to be, there.
fn is_there(draft: &mut Draft<'_>, index: usize) -> bool {
    let grace = draft.policy.timing.ghost_grace;
    let listed = draft.evidence(index).machine.is_some();
    let runner = &draft.runners[index];
    let (missing_since, born) = (runner.machine_missing_since, runner.machine_at.unwrap_or(runner.intended_at));
    if listed {
        if missing_since.is_some() && !draft.is_gone(index) {
            draft.update(index, RunnerUpdate::MachineSeen, "its machine is in the list again");
        }
    } else if draft.snapshot.machines.complete().is_some() && draft.passed(born, grace) {
        // Absent from a list that is not complete, or from no list: unknown is not gone.
        draft.update(index, RunnerUpdate::MachineMissing, "its machine is not in the provider's complete list");
        let since = missing_since.unwrap_or(draft.now);
        let _ = draft.passed(since, grace);
    }
    !draft.is_gone(index)
}

/// The machine is there: what does the runner do?
fn observe_present(draft: &mut Draft<'_>, index: usize) {
    let seen = draft.evidence(index);
    let runner = &draft.runners[index];
    let (state, ephemeral) = (runner.state, runner.ephemeral);
    let handed = runner.handed_at.is_some();
    if handed && runner.handoff_gone_at.is_none() && was_read(&seen) {
        draft.update(index, RunnerUpdate::HandOffGone, "the machine has read its hand-off and deleted its copy");
    }
    let runner = &draft.runners[index];
    // A runner that registered by a token learns its number from GitHub's list.
    if let Some(registration) = seen.registration
        && handed
        && runner.registration.is_none()
        && runner.deregistered_at.is_none()
    {
        draft.update(index, RunnerUpdate::Registered(registration.id), "GitHub shows its registration");
    }
    evidence::record_labels(draft, index, &seen);
    evidence::doubt(draft, index, &seen);
    // The machine's own word that the one job is over is newer than GitHub's that it runs; and a machine that said busy at the end of
    // its one job, and still does, says nothing new.
    let by = evidence::busy_by(draft, index, &seen);
    let says_nothing_new = by == Some(BusyBy::Machine) && draft.runners[index].status_doubted_since.is_some();
    let over = state == S::Finished && (seen.ended_its_job(ephemeral) || says_nothing_new);
    if let Some(job) = seen.running() {
        if !over && (state != S::Busy || draft.runners[index].job != Some(job.id())) {
            draft.update(index, RunnerUpdate::Busy(Some(job.id())), format!("job {} runs on it", job.id()));
        }
    } else if ephemeral && seen.completed().is_some() {
        // A draining one is on its way out already, by a shorter grace.
        if state != S::Draining {
            draft.update(index, RunnerUpdate::Finished, "its one job is over");
        }
    } else if let Some(by) = by {
        if !over {
            evidence::record_busy(draft, index, &seen, by);
        }
    } else {
        observe_idle(draft, index, seen);
    }
    let runner = &draft.runners[index];
    if runner.state == S::Finished {
        let until = runner.finished_at.unwrap_or(draft.now).plus(draft.policy.timing.finished_grace);
        draft.wait_runner(index, WaitingOn::Grace { what: "its job is over; its machine ends by itself", until });
    }
}

const fn was_read(seen: &Evidence<'_>) -> bool {
    let Some(machine) = seen.machine else { return false };
    match &machine.status {
        Some(MachineStatus::Configured | MachineStatus::Listening | MachineStatus::Busy | MachineStatus::JobDone) => {
            true
        }
        Some(MachineStatus::Booting | MachineStatus::Ended(_)) | None => false,
    }
}

/// No source says busy.
fn observe_idle(draft: &mut Draft<'_>, index: usize, seen: Evidence<'_>) {
    let runner = &draft.runners[index];
    let (state, ephemeral) = (runner.state, runner.ephemeral);
    if !matches!(state, S::Booting | S::Idle | S::Busy) || ended_by_its_own_word(draft, index, seen) {
        return;
    }
    let dropped = is_dropped(&seen);
    // A job that GitHub does not show any more may run all the same (the App's rights may have gone): only when every
    // other source says that nothing runs is it over.
    if ephemeral && dropped && draft.unknown(&draft.runners[index].target.at).is_none() {
        draft.update(index, RunnerUpdate::Finished, "GitHub does not know its job any more, and no source says busy");
        return;
    }
    let runner = &draft.runners[index];
    if runner.missing_registration >= 2 && seen.registration.is_none() {
        draft.update(
            index,
            RunnerUpdate::Lost,
            "GitHub does not know its registration, asked twice by id, and it has no job",
        );
        return;
    }
    let listens = listens(&seen);
    let online = seen.registration.is_some_and(|registration| registration.online);
    let offline = seen.registration.is_some() && !online;
    let registration = seen.registration.map(|registration| registration.id);
    match state {
        S::Booting if online || (listens && !offline) => {
            draft.update(index, RunnerUpdate::Idle(registration), "it is online")
        }
        S::Idle if offline => draft.update(index, RunnerUpdate::Offline, "GitHub shows it offline"),
        S::Idle if online && runner.offline_since.is_some() => {
            draft.update(index, RunnerUpdate::Idle(registration), "it is online again");
        }
        S::Busy => idle_again(draft, index, seen),
        S::Booting | S::Idle | S::Intended | S::Launching | S::Draining | S::Finished | S::Lost | S::Gone => {}
    }
}

/// Whether the machine itself says that the runner, or an ephemeral runner's job, has ended; then that is recorded.
fn ended_by_its_own_word(draft: &mut Draft<'_>, index: usize, seen: Evidence<'_>) -> bool {
    let runner = &draft.runners[index];
    let ephemeral = runner.ephemeral;
    let worked = runner.busy_at.is_some() || seen.job.is_some();
    match seen.status() {
        Some(MachineStatus::JobDone) if ephemeral => {
            draft.update(index, RunnerUpdate::Busy(None), "the machine says that a job ran on it");
            draft.update(index, RunnerUpdate::Finished, "the machine says that its job is done");
        }
        Some(MachineStatus::Ended(_)) if ephemeral && worked => {
            draft.update(index, RunnerUpdate::Finished, "its runner ended after its job");
        }
        Some(MachineStatus::Ended(_)) if ended_as_after_a_job(draft, index, &seen) => {
            draft.update(index, RunnerUpdate::Busy(None), "the machine says that its runner ended after a job");
            draft.update(index, RunnerUpdate::Finished, "its runner ended after its job");
        }
        Some(MachineStatus::Ended(_)) => {
            draft.update(index, RunnerUpdate::Lost, "its runner ended without a job");
        }
        Some(
            MachineStatus::Booting
            | MachineStatus::Configured
            | MachineStatus::Listening
            | MachineStatus::Busy
            | MachineStatus::JobDone,
        )
        | None => return false,
    }
    true
}

/// A busy runner of which no source says busy any more: idle again, when one says so by more than its silence.
fn idle_again(draft: &mut Draft<'_>, index: usize, seen: Evidence<'_>) {
    let runner = &draft.runners[index];
    let over = runner.job.is_some() && seen.job.is_some_and(|job| Some(job.id()) == runner.job);
    // That GitHub does not show the job ends it only with every other source's word: see `observe_idle`.
    let over = over && !(runner.ephemeral && is_dropped(&seen));
    // GitHub alone had said busy, and a job of it ended later.
    let was_github = runner.github_said_busy_at().is_some();
    let over = over || (was_github && seen.completed().is_some());
    let online = seen.registration.is_some_and(|registration| registration.online);
    // What its machine says was contradicted for too long.
    let stale = seen.status_is_busy();
    // Its machine may say that it is busy, and could not be asked: unknown is not idle.
    if draft.machines_unknown() || !(over || listens(&seen) || online || stale) {
        return;
    }
    if runner.deregistered_at.is_some() {
        draft.update(index, RunnerUpdate::Draining, "its job is over, and it is not registered any more");
    } else {
        let registration = seen.registration.map(|registration| registration.id);
        draft.update(index, RunnerUpdate::Idle(registration), "its job is over, and no source says busy");
    }
}

/// Whether GitHub does not know its job any more.
fn is_dropped(seen: &Evidence<'_>) -> bool {
    seen.job.is_some_and(|job| job.fact.status == JobStatus::Gone)
}

/// Whether the machine says that its runner waits for a job.
fn listens(seen: &Evidence<'_>) -> bool {
    matches!(seen.status(), Some(MachineStatus::Listening | MachineStatus::JobDone))
}

fn ended_well(seen: &Evidence<'_>) -> bool {
    match seen.status() {
        Some(MachineStatus::JobDone) => true,
        Some(MachineStatus::Ended(how)) => how.split(' ').next_back() == Some("0"),
        Some(MachineStatus::Booting | MachineStatus::Configured | MachineStatus::Listening | MachineStatus::Busy)
        | None => false,
    }
}

/// The machine says that a job ran on it before its runner ended. Short jobs are over before any delivery about them has come,
/// and that is no failure to boot. The exit code alone says nothing: the runner's scripts end with 0 for most failures too.
fn ended_as_after_a_job(draft: &Draft<'_>, index: usize, seen: &Evidence<'_>) -> bool {
    let runner = &draft.runners[index];
    runner.ephemeral
        && runner.handed_at.is_some()
        && runner.deregistered_at.is_none()
        && matches!(seen.status(), Some(MachineStatus::Ended(how)) if how.starts_with("job "))
}

/// The machine is gone: what is left of the runner?
fn ended(draft: &mut Draft<'_>, index: usize) {
    let seen = draft.evidence(index);
    let runner = &draft.runners[index];
    // Its whole life may lie between two looks: that it worked is recorded, so that it is no failure to boot.
    if matches!(runner.state, S::Booting | S::Idle) {
        if let Some(job) = seen.job.filter(|job| job.fact.started_at.is_some() || !job.fact.status.is_open()) {
            draft.update(index, RunnerUpdate::Busy(Some(job.id())), format!("job {} ran on it", job.id()));
        } else if ended_as_after_a_job(draft, index, &seen) {
            draft.update(index, RunnerUpdate::Busy(None), "the machine says that its runner ended after a job");
        }
    }
    let runner = &draft.runners[index];
    let ended_well = ended_well(&seen);
    let worked = runner.busy_at.is_some() || runner.finished_at.is_some() || seen.job.is_some();
    // GitHub itself removes the registration of an ephemeral runner that ran its job to the end.
    let over = runner.finished_at.is_some() || (seen.job.is_some() && seen.running().is_none()) || ended_well;
    let done = runner.ephemeral && worked && over;
    let asked = runner.handed_at.or(runner.jit_requested_at).is_some() && runner.deregistered_at.is_none();
    let registered = runner.registration.is_some() || asked;
    let nothing_left = done || !registered || runner.missing_registration >= 2;
    let handed = runner.may_have_hand_off();
    if done && took_unknown(draft, index) {
        draft.update(index, RunnerUpdate::Finished, "its machine has ended; which job it had is not known yet");
        let since = draft.runners[index].finished_at.unwrap_or(draft.now);
        let grace = draft.policy.timing.ghost_grace;
        if !draft.passed(since, grace) {
            let what = "its machine has ended; the delivery that names its job has not come yet";
            draft.wait_runner(index, WaitingOn::Grace { what, until: since.plus(grace) });
            return;
        }
    }
    let runner = &draft.runners[index];
    if runner.state == S::Booting {
        // Never online: a failure to boot, also when it never got its configuration.
        draft.update(index, RunnerUpdate::Lost, "its machine has ended and was never online");
    } else if nothing_left && !handed && seen.running().is_none_or(|_| done) {
        let why = if done { "its job is over and its machine has ended" } else { "its machine has ended" };
        draft.update(index, RunnerUpdate::Gone(why.into()), why);
    } else if matches!(runner.state, S::Idle | S::Busy) {
        draft.update(index, RunnerUpdate::Lost, "its machine has ended; its registration may be left");
    }
}

/// Whether the runner has or had a job of which nothing is known yet but that it is one of the queued ones.
pub(crate) fn took_unknown(draft: &Draft<'_>, index: usize) -> bool {
    let runner = &draft.runners[index];
    let took = match runner.state {
        S::Busy => true,
        S::Finished => runner.busy_at.is_some(),
        S::Intended | S::Launching | S::Booting | S::Idle | S::Draining | S::Lost | S::Gone => false,
    };
    took && runner.job.is_none() && draft.evidence(index).job.is_none()
}
