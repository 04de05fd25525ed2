//! From evidence to states. Any source that says busy is believed; idle needs all that speak; absence proves nothing
//! unless a list is complete or an id was asked for.

use runnersmith_types::{
    Action, Job, JobStatus, Machine, MachineState, Mark, Registration, Runner, RunnerName, RunnerState as S, Voice, WaitingOn,
};

use crate::draft::Draft;

/// Turns what was seen into marks.
pub(crate) fn observe(draft: &mut Draft<'_>) {
    let names: Vec<RunnerName> = draft.runners.keys().cloned().collect();
    for name in names {
        let Some(runner) = draft.runners.get(&name).cloned() else { continue };
        let job = draft.job_of.get(&name).copied();
        let machine = runner.machine.as_ref().and_then(|id| draft.machines.get(id).copied());
        let registration = draft.registrations.get(&(&runner.target.at, runner.registration_name().as_str())).copied();
        match runner.state {
            S::Gone | S::Intended | S::Launching => {}
            S::Booting | S::Idle | S::Busy | S::Draining | S::Finished | S::Lost => {
                if is_there(draft, &runner, machine) {
                    alive(draft, &runner, job, machine, registration);
                } else {
                    ended(draft, &runner, job, machine);
                }
            }
        }
    }
}

/// Whether the machine is, or must be taken to be, there.
fn is_there(draft: &mut Draft<'_>, runner: &Runner, machine: Option<&Machine>) -> bool {
    if let Some(machine) = machine {
        if machine.state != MachineState::Ended && runner.machine_missing_since.is_some() {
            draft.mark(&runner.name, Mark::MachineSeen, "its machine is in the list again");
        }
        return machine.state != MachineState::Ended;
    }
    // Absent from a list that is not complete, or from no list: unknown is not gone.
    if draft.snapshot.machines.complete().is_none() {
        return true;
    }
    let grace = draft.policy.timing.ghost_grace;
    if !draft.passed(runner.machine_at.unwrap_or(runner.intended_at), grace) {
        return true;
    }
    match runner.machine_missing_since {
        None => {
            draft.mark(&runner.name, Mark::MachineMissing, "its machine is not in the provider's complete list");
            let _ = draft.passed(draft.now, grace);
            true
        }
        Some(since) => !draft.passed(since, grace),
    }
}

/// The job that the runner has now, by GitHub's word.
fn has(job: Option<&Job>) -> Option<&Job> {
    job.filter(|job| job.fact.status == JobStatus::InProgress)
}

fn alive(draft: &mut Draft<'_>, runner: &Runner, job: Option<&Job>, machine: Option<&Machine>, registration: Option<&Registration>) {
    let name = &runner.name;
    let voice = machine.and_then(|machine| machine.voice.as_ref());
    let over = job.filter(|job| !job.fact.status.is_open());
    if let Some(job) = has(job) {
        if runner.state != S::Busy || runner.job != Some(job.id()) {
            draft.mark(name, Mark::Busy(Some(job.id())), format!("job {} runs on it", job.id()));
        }
        return;
    }
    let done_by_github = over.is_some() && (runner.job.is_none() || runner.job == over.map(Job::id));
    if runner.ephemeral && done_by_github && runner.state != S::Draining {
        draft.mark(name, Mark::Finished, "its one job is over");
        return;
    }
    if matches!(voice, Some(Voice::Busy)) {
        if runner.state != S::Busy {
            draft.mark(name, Mark::Busy(None), "the machine says that a job started");
        }
        return;
    }
    if runner.ephemeral && matches!(voice, Some(Voice::JobDone | Voice::Ended(_))) && runner.online_at.is_some() {
        // The machine's own word comes before GitHub's delivery; its end is near and needs nothing from us.
        if !matches!(runner.state, S::Finished | S::Draining) {
            draft.mark(name, Mark::Finished, "the machine says that its job is done");
        }
        return;
    }
    if registration.is_some_and(|registration| registration.busy) {
        if runner.state != S::Busy && runner.state != S::Finished {
            draft.mark(name, Mark::Busy(None), "GitHub shows it busy");
        }
        return;
    }
    let listens = matches!(voice, Some(Voice::Listening)) || (!runner.ephemeral && matches!(voice, Some(Voice::JobDone)));
    let shown_online = registration.is_some_and(|registration| registration.online);
    match runner.state {
        S::Booting if listens || shown_online => {
            draft.mark(name, Mark::Idle(registration.map(|registration| registration.id)), "it is online");
        }
        S::Busy if runner.job.is_some_and(|id| over.is_some_and(|job| job.id() == id)) || listens || shown_online => {
            draft.mark(name, Mark::Idle(registration.map(|registration| registration.id)), "its job is over, and no source says busy");
        }
        S::Idle => {
            if runner.registration.is_none()
                && let Some(registration) = registration
            {
                draft.mark(name, Mark::Registered(registration.id), "GitHub shows its registration");
            }
        }
        S::Booting | S::Busy | S::Draining | S::Finished | S::Lost | S::Intended | S::Launching | S::Gone => {}
    }
    if runner.state == S::Finished {
        draft.wait_runner(
            name,
            WaitingOn::Grace {
                what: "its job is over; it ends by itself",
                until: runner.finished_at.unwrap_or(draft.now).plus(draft.policy.timing.finished_grace),
            },
        );
    }
}

/// The machine is gone: what is left of the runner?
fn ended(draft: &mut Draft<'_>, runner: &Runner, job: Option<&Job>, machine: Option<&Machine>) {
    let name = &runner.name;
    if let Some(job) = has(job)
        && job.interrupted_at.is_none()
    {
        let id = job.id();
        let good_end = machine.is_some_and(|machine| machine.voice == Some(Voice::Ended("0".into())));
        // A runner that ended well did its job; only GitHub's delivery is late.
        if !good_end {
            draft.step(Action::Interrupted { job: id }, format!("the machine of {name} is gone while GitHub says that job {id} runs on it"));
        }
    }
    let worked = job.is_some() || runner.busy_at.is_some() || runner.finished_at.is_some();
    let registered = runner.registration.is_some() || (runner.handed_at.is_some() && runner.deregistered_at.is_none());
    if runner.ephemeral && worked || !registered || runner.missing_registration >= 2 {
        let why = if worked { "its job is over and its machine has ended" } else { "its machine has ended" };
        draft.mark(name, Mark::Gone(why.into()), why);
        return;
    }
    if runner.state != S::Lost {
        draft.mark(name, Mark::Lost, "its machine has ended, its registration may be left");
    }
    match runner.registration {
        Some(registration) => {
            let action = Action::Deregister { runner: name.clone(), registration, at: runner.target.at.clone() };
            draft.step(action, "its machine has ended: no registration outlives its machine");
        }
        // Registered by a token: GitHub's list, read by the timer's pass, gives the id.
        None => {
            let grace = draft.policy.timing.ghost_grace;
            let since = runner.lost_at.unwrap_or(draft.now);
            if draft.passed(since, grace) && draft.snapshot.registrations.get(&runner.target.at).is_some_and(|seen| seen.value().is_some()) {
                let found = draft.registrations.get(&(&runner.target.at, runner.registration_name().as_str())).map(|r| r.id);
                match found {
                    Some(id) => draft.mark(name, Mark::Registered(id), "GitHub still shows its registration"),
                    None => draft.mark(name, Mark::Gone("its machine has ended".into()), "its machine has ended and GitHub shows no registration"),
                }
            }
        }
    }
    if runner.handed_at.is_some() && runner.online_at.is_none() && runner.handoff_gone_at.is_none()
        && let Some(machine) = &runner.machine
    {
        let action = Action::ExpireHandOff { runner: name.clone(), machine: machine.clone() };
        draft.step(action, "no hand-off outlives its use");
    }
}
