//! What must hold when the quiet hours are over, and what may not have happened in all the time before.

use std::collections::BTreeSet;
use std::time::Duration;

use runnersmith_types::{JobId, Label, MachineStatus, RegistrationName, RunnerState, ScaleSet};

use crate::check_runs;
use crate::checks::Rule;
use crate::github_wire::SECRET;
use crate::ledger::MemoryLedger;
use crate::options::min_idle;
use crate::outside::{Delivery, Outside, SimJob, SimMachine, Whose};
use crate::process::Shared;
use crate::time::secs;

/// The notification's bound runs from our receipt: a job whose delivery was lost is received at the next sweep, within five minutes.
/// Then a full pass and slow calls take their time.
const NOTIFY_SLACK: Duration = secs(300 + 180);

/// Checks the world at its end.
pub fn check(shared: &Shared, panics: u32) {
    let ledger = shared.ledger.text();
    let records = shared.ledger.alive();
    let dead = shared.queue.dead();
    let messages = shared.queue.bodies().join("\n");
    shared.with(|outside| {
        if panics > 0 {
            outside.broken(Rule::NoPanic, format!("{panics} panics"));
        }
        jobs(outside);
        let recorded: Vec<_> = outside.jobs.keys().map(|id| (*id, shared.ledger.recorded(*id))).collect();
        for (id, job) in recorded {
            let open = job.filter(|job| job.fact.status.is_open());
            let over = !outside.jobs[&id].status.is_open();
            if let Some(job) = open.filter(|_| over) {
                outside
                    .broken(Rule::NoRecordLeft, format!("job {id} is over and recorded as {}", job.fact.status.word()));
            }
        }
        left_over(outside);
        check_runs::are_closed(outside);
        foreign_jobs(outside, &shared.ledger);
        min_idle_is_kept(outside, &shared.ledger);
        let kept: usize = outside.options.sets.iter().map(min_idle).sum();
        let idle = records.iter().filter(|runner| runner.state == RunnerState::Idle).count();
        for runner in records.iter().filter(|runner| runner.state != RunnerState::Idle || idle > kept) {
            outside.broken(Rule::NoRecordLeft, format!("runner recorded as {}: {}", runner.state.word(), runner.name));
        }
        dead_letters(outside, &dead);
        if ledger.contains(SECRET) || messages.contains(SECRET) {
            outside.broken(Rule::NoSecretStored, "a secret is in the ledger or the queue");
        }
        launches(outside);
    });
}

/// What a sweep finds of other fleets is not stored. A delivery of a job that asks for a self-hosted runner is: nobody may serve it.
fn foreign_jobs(outside: &mut Outside, ledger: &MemoryLedger) {
    let foreign = outside.jobs.values().filter(|job| job.whose == Whose::Foreign).map(|job| job.id);
    let is_stored = |id: &JobId| !outside.delivered.contains_key(id) && ledger.recorded(*id).is_some();
    let stored: Vec<JobId> = foreign.filter(is_stored).collect();
    for id in stored {
        outside.broken(Rule::ForeignJobsAreLeftAlone, format!("job {id} of another fleet is stored"));
    }
}

/// A machine that was launched so recently may still come.
const COMES_WITHIN: Duration = secs(10 * 60);

/// The minimum of idle runners, from below: so many runners of a set can take a job now, or are about to.
fn min_idle_is_kept(outside: &mut Outside, ledger: &MemoryLedger) {
    let now = outside.now();
    let mut found = Vec::new();
    for set in outside.options.sets.iter().filter(|set| min_idle(set) > 0) {
        let of_set = outside.machines_alive().filter(|machine| machine.shown.set == set.name && !machine.hung);
        let serves = |machine: &&SimMachine| {
            let registration = machine.registration.and_then(|id| outside.registrations.get(&id));
            let is_online = registration.is_some_and(|known| known.online && known.removed_at.is_none());
            is_online || machine.shown.launched_at.plus(COMES_WITHIN) > now
        };
        let (there, least) = (of_set.filter(serves).count(), min_idle(set).min(set.runners_max as usize));
        // The breaker is open: what it says is in the ledger.
        let is_paused = ledger.boot_failures_of(&set.name) >= set.timing.boot_failures_max as usize;
        if there < least && !is_paused {
            found.push(format!("{there} idle runners of {}, whose minimum is {least}", set.name));
        }
    }
    found.into_iter().for_each(|text| outside.broken(Rule::MinIdleIsKept, text));
}

/// I1: all jobs of ours ran; who waited beyond the bound had a notification; what nobody serves has one.
fn jobs(outside: &mut Outside) {
    let mut found = Vec::new();
    let end = outside.now();
    let calm_at = outside.calm_at();
    for job in outside.jobs.values() {
        if job.whose == Whose::Ours && job.status.is_open() {
            found.push((Rule::EveryJobRuns, format!("job {} is {}", job.id, job.status.word())));
        }
        let Some(queued_at) = job.queued_at.filter(|_| job.whose != Whose::Foreign) else { continue };
        // A sweep stores no job that no set serves: it is known only if GitHub sent a delivery of it, one that failed included.
        let was_sent = |entry: &Delivery| entry.fact.id == job.id;
        if job.whose == Whose::Nobody && !outside.deliveries.values().any(was_sent) {
            continue;
        }
        // Only a delivery brings what nobody serves, and it may be late.
        let received_at = outside.delivered.get(&job.id).filter(|_| job.whose == Whose::Nobody);
        // Calm for the whole of the bound: before, GitHub may have refused.
        let from = queued_at.max(calm_at).max(received_at.copied().unwrap_or(queued_at));
        let due = from.plus(notify_after(outside, job)).plus(NOTIFY_SLACK);
        let ran_at = job.started_at.or(job.ended_at).unwrap_or(end);
        let notified = outside.check_runs.values().filter(|run| run.repo == job.repo && run.sha == job.sha);
        if ran_at > due && notified.map(|run| run.created_at).min().is_none_or(|at| at > due) {
            let text = format!("job {} waited from {:?} and nobody was notified", job.id, queued_at);
            found.push((Rule::AuthorIsNotified, text));
        }
    }
    found.extend(waits_with_room(outside));
    found.into_iter().for_each(|(rule, text)| outside.broken(rule, text));
}

/// A job that still waits so long after the faults, or after it was queued, is one too many if its set has room then.
const ROOM_IS_USED_WITHIN: Duration = secs(15 * 60);

/// Jobs that wait although their set has room, and nothing is wrong any more.
fn waits_with_room(outside: &Outside) -> Vec<(Rule, String)> {
    let mut found = Vec::new();
    for job in outside.jobs.values().filter(|job| job.whose == Whose::Ours) {
        let Some(queued_at) = job.queued_at else { continue };
        let at = queued_at.max(outside.calm_at()).plus(ROOM_IS_USED_WITHIN);
        let waited_at = |at| job.started_at.or(job.ended_at).is_none_or(|ran_at| ran_at > at);
        let serves = |set: &&ScaleSet| job.labels.iter().all(|label| set.labels.contains(label));
        let room = |set: &ScaleSet, at| {
            let is_there = |machine: &&SimMachine| {
                let shown = &machine.shown;
                shown.set == set.name && shown.launched_at <= at && machine.ended_at.is_none_or(|ended| ended > at)
            };
            outside.machines.values().filter(is_there).count() < set.runners_max as usize
        };
        let set = outside.options.sets.iter().find(serves);
        // At several moments of two minutes: a machine may just have made room, or the last one wanted may boot.
        let moments = [0, 40, 80, 120].map(|after| at.plus(secs(after)));
        if let Some(set) = set.filter(|set| moments.iter().all(|at| waited_at(*at) && room(set, *at))) {
            found.push((Rule::RoomIsUsed, format!("job {} waits, and {} has room", job.id, set.name)));
        }
    }
    found
}

fn notify_after(outside: &Outside, job: &SimJob) -> Duration {
    let serves = |labels: &BTreeSet<Label>| job.labels.iter().all(|label| labels.contains(label));
    let sets = outside.options.sets.iter();
    sets.filter(|set| serves(&set.labels)).map(|set| set.timing.notify_after).max().unwrap_or(secs(600))
}

/// I6: what nobody can read is a dead letter, once, and nothing else is.
fn dead_letters(outside: &mut Outside, dead: &[(String, String)]) {
    let (poison, good): (Vec<_>, Vec<_>) = dead.iter().partition(|(_, why)| why.starts_with("cannot be read"));
    for (body, why) in good {
        outside.broken(Rule::NoDeadLetter, format!("{why}: {body}"));
    }
    if poison.len() != outside.counts.poison as usize {
        let text = format!("{} unreadable messages are set aside, {} came", poison.len(), outside.counts.poison);
        outside.broken(Rule::NoDeadLetter, text);
    }
}

/// I4: machines, registrations and hand-offs.
fn left_over(outside: &mut Outside) {
    let now = outside.now();
    let mut found = Vec::new();
    for set in &outside.options.sets {
        let mut alive: Vec<_> = outside.machines_alive().filter(|machine| machine.shown.set == set.name).collect();
        // What serves nobody is the one too many.
        alive.sort_by_key(|machine| (!machine.hung, machine.shown.status != Some(MachineStatus::Busy)));
        if alive.len() > min_idle(set) {
            let extra = alive.len() - min_idle(set);
            for machine in alive.iter().take(extra) {
                let state = if machine.hung { "hung" } else { "idle" };
                let (age, status) = (now.since(machine.shown.launched_at).as_secs() / 60, &machine.shown.status);
                let text = format!("{state} machine, says {status:?}, {age} min old: {}", machine.shown.id);
                found.push((Rule::NoMachineLeft, text));
            }
        }
    }
    for registration in outside.registrations.values().filter(|known| known.is_ours() && known.removed_at.is_none()) {
        let machine = registration.machine.as_ref().and_then(|id| outside.machines.get(id));
        let runner = RegistrationName::parse(&registration.name).map(RegistrationName::into_runner);
        let of = machine.or_else(|| outside.machines.values().find(|machine| Some(&machine.runner) == runner.as_ref()));
        if of.is_none_or(|machine| machine.ended_at.is_some()) {
            found.push((Rule::NoRegistrationLeft, format!("registration of no machine: {}", registration.name)));
        }
    }
    for (machine, (_, put_at)) in &outside.hand_offs {
        let age = now.since(*put_at).as_secs() / 60;
        let alive = outside.machines.get(machine).is_some_and(|machine| machine.ended_at.is_none());
        if !alive || age > 60 {
            found.push((Rule::NoHandOffLeft, format!("{age} min old: {machine}")));
        }
    }
    found.into_iter().for_each(|(rule, text)| outside.broken(rule, text));
}

/// I7: a launch is for a job, for the minimum of idle runners, or because a machine failed. A job whose delivery was lost may be
/// launched for once more, and so may one that was cancelled meanwhile; both are jobs.
fn launches(outside: &mut Outside) {
    let counts = outside.counts;
    let idle: usize = outside.options.sets.iter().map(min_idle).sum();
    // Each minimum is renewed for each job that takes one of it.
    let idle = u32::try_from(idle).unwrap_or(0) + if idle > 0 { counts.jobs } else { 0 };
    let most = counts.jobs + idle + 2 * counts.failed_machines + counts.lost_deliveries + 5;
    if counts.launched > most {
        let text = format!("{} launches, at most {most} have a reason: {counts:?}", counts.launched);
        outside.broken(Rule::LaunchesAreBounded, text);
    }
}
