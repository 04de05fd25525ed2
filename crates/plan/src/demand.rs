//! Rules 1 to 4: what is wanted, per target; what is there; what is launched for the difference; what waits, and on what.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use runnersmith_types::{
    Action, BatchId, HandOffMeans, Intent, Job, JobId, JobStatus, RegisterAt, Runner, RunnerName, RunnerState as S, ScaleSet,
    Snapshot, Target, Timestamp, WaitingOn, policy::LAUNCH_BATCH_MAX,
};

use crate::draft::Draft;
use crate::{ladder, route, schedule};

/// What the demand of this set is, per target.
pub(crate) struct Demand<'a> {
    /// Jobs that are demand now, oldest first.
    pub wanted: BTreeMap<RegisterAt, Vec<&'a Job>>,
    /// Jobs that no set serves, if this set is the one to say so.
    pub impossible: Vec<(&'a Job, String)>,
}

/// Shares the open jobs out among the sets and keeps this set's.
pub(crate) fn demand<'a>(draft: &mut Draft<'a>) -> Demand<'a> {
    let snapshot: &'a Snapshot = draft.snapshot;
    let policy: &'a ScaleSet = draft.policy;
    let mut policies: Vec<&ScaleSet> = snapshot.peers.iter().map(|peer| &peer.policy).collect();
    policies.push(policy);
    let teller = policies.iter().map(|policy| &policy.name).min() == Some(&policy.name);
    let mut full: BTreeSet<_> =
        snapshot.peers.iter().filter(|peer| peer.alive >= peer.policy.runners_max && peer.supply == 0).map(|peer| peer.policy.name.clone()).collect();
    let own_supply = draft.runners.values().any(|runner| runner.state.is_supply());
    if draft.alive() >= policy.runners_max as usize && !own_supply {
        full.insert(policy.name.clone());
    }
    let mut open: Vec<&'a Job> = snapshot.jobs.iter().filter(|job| job.fact.status <= JobStatus::Queued).collect();
    open.sort_by_key(|job| (job.queued_at.unwrap_or(job.first_seen_at), job.id()));
    let mut demand = Demand { wanted: BTreeMap::new(), impossible: Vec::new() };
    for job in open {
        let candidates = match route::candidates(&job.fact, &policies) {
            Ok(candidates) => candidates,
            Err(none) => {
                if teller {
                    draft.wait_job(job.id(), WaitingOn::NoSet { why: none.to_string() });
                    demand.impossible.push((job, none.to_string()));
                }
                continue;
            }
        };
        // When the best set is full the job may go to the next; when all are, the best keeps it in its line.
        let Some(chosen) = candidates.iter().find(|candidate| !full.contains(&candidate.set)).or_else(|| candidates.first()) else { continue };
        if chosen.set != policy.name {
            continue;
        }
        let target = chosen.target.at.clone();
        take(draft, job, target, &mut demand);
    }
    demand
}

fn take<'a>(draft: &mut Draft<'a>, job: &'a Job, at: RegisterAt, demand: &mut Demand<'a>) {
    let id = job.id();
    if job.fact.status == JobStatus::Waiting {
        draft.wait_job(id, WaitingOn::Gate);
        return;
    }
    let queued_at = job.queued_at.unwrap_or(job.first_seen_at);
    if let Some(held) = job.held
        && held.until > draft.now
    {
        draft.wake_at(held.until);
        draft.wait_job(id, WaitingOn::Held { until: held.until });
        return;
    }
    let delay = draft.policy.timing.delay;
    if !delay.is_zero() && !draft.passed(queued_at, delay) {
        draft.wait_job(id, WaitingOn::Delay { until: queued_at.plus(delay) });
        return;
    }
    if hold(draft, job, &at, queued_at) {
        return;
    }
    demand.wanted.entry(at).or_default().push(job);
}

/// A job still queued although a runner of its target was idle all the while is not what we can help by launching.
fn hold(draft: &mut Draft<'_>, job: &Job, at: &RegisterAt, queued_at: Timestamp) -> bool {
    let since = draft
        .runners
        .values()
        .filter(|runner| runner.state == S::Idle && &runner.target.at == at)
        .filter_map(|runner| runner.idle_since)
        .min();
    let Some(idle_since) = since else { return false };
    let tested_from = job.held.map_or(queued_at, |held| held.until).max(queued_at);
    let both_since = idle_since.max(tested_from);
    if !draft.passed(both_since, draft.policy.timing.hold_after) {
        return false;
    }
    let until = draft.now.plus(draft.policy.timing.hold_for);
    draft.step(Action::Hold { job: job.id(), until }, "a matching runner was idle and GitHub did not give it the job");
    draft.wait_job(job.id(), WaitingOn::Held { until });
    draft.wake_at(until);
    true
}

/// Launches what demand and floor want beyond the supply, within the maximum, the ladder and the breaker.
pub(crate) fn supply(draft: &mut Draft<'_>, demand: &Demand<'_>) -> BTreeMap<RegisterAt, usize> {
    draft.floor = schedule::floor(&draft.policy.floor, draft.now);
    if !draft.policy.floor.is_empty() {
        // A schedule changes at the minute.
        draft.wake_at(Timestamp::from_secs((draft.now.as_secs() / 60 + 1) * 60));
    }
    let mut wanted: BTreeMap<RegisterAt, usize> = BTreeMap::new();
    let mut lines: BTreeMap<RegisterAt, VecDeque<JobId>> = BTreeMap::new();
    let mut total = 0;
    for (at, jobs) in &demand.wanted {
        // A busy runner whose job is unknown has taken one of these; which one, the late delivery will say.
        let unknown = draft.runners.values().filter(|r| r.state == S::Busy && r.job.is_none() && &r.target.at == at).count();
        let jobs: Vec<&&Job> = jobs.iter().skip(unknown.min(jobs.len())).collect();
        total += jobs.len();
        wanted.insert(at.clone(), jobs.len());
        lines.insert(at.clone(), jobs.iter().map(|job| job.id()).collect());
        for job in demand.wanted[at].iter().take(unknown) {
            draft.wait_job(job.id(), WaitingOn::Runner { supply: u32::try_from(unknown).unwrap_or(u32::MAX) });
        }
    }
    draft.demand = u32::try_from(total).unwrap_or(u32::MAX);
    let mut need = wanted.clone();
    if let Some(at) = &draft.policy.scope.at
        && draft.floor > 0
    {
        *need.entry(at.clone()).or_default() += draft.floor as usize;
    }
    withdraw_surplus(draft, &need);
    let mut missing: BTreeMap<RegisterAt, usize> = BTreeMap::new();
    for (at, need) in &need {
        let have = draft.runners.values().filter(|runner| runner.state.is_supply() && &runner.target.at == at).count();
        missing.insert(at.clone(), need.saturating_sub(have));
    }
    let blocked = ladder::blocked(draft);
    let room = (draft.policy.runners_max as usize).saturating_sub(draft.alive());
    let allowed = match &blocked {
        ladder::Way::Open(_) => room,
        ladder::Way::Probe(_) => room.min(1),
        ladder::Way::Shut(_) => 0,
    };
    let granted = round_robin(&missing, allowed, &demand.wanted);
    tell_lines(draft, &lines, &granted, &blocked, room);
    launch(draft, &granted, &blocked);
    need
}

/// Intents that nothing wants any more, newest first.
fn withdraw_surplus(draft: &mut Draft<'_>, need: &BTreeMap<RegisterAt, usize>) {
    let mut places: BTreeSet<RegisterAt> = BTreeSet::new();
    places.extend(draft.runners.values().map(|runner| runner.target.at.clone()));
    for at in places {
        let have = draft.runners.values().filter(|runner| runner.state.is_supply() && runner.target.at == at).count();
        let surplus = have.saturating_sub(need.get(&at).copied().unwrap_or(0));
        let mut intents: Vec<(u64, RunnerName)> = draft
            .runners
            .values()
            .filter(|runner| runner.state == S::Intended && runner.target.at == at)
            .map(|runner| (runner.serial, runner.name.clone()))
            .collect();
        intents.sort_unstable();
        for (_, name) in intents.into_iter().rev().take(surplus) {
            draft.runners.remove(&name);
            draft.step(Action::Withdraw { runner: name }, "never launched, and nothing wants it any more");
        }
    }
}

/// Slots go round-robin over targets, the one with the oldest job first.
fn round_robin(missing: &BTreeMap<RegisterAt, usize>, slots: usize, wanted: &BTreeMap<RegisterAt, Vec<&Job>>) -> BTreeMap<RegisterAt, usize> {
    let age = |at: &RegisterAt| wanted.get(at).and_then(|jobs| jobs.first()).map_or((Timestamp(i64::MAX), 0), |job| (job.queued_at.unwrap_or(job.first_seen_at), job.id().0));
    let mut places: Vec<&RegisterAt> = missing.keys().collect();
    places.sort_by_key(|at| (age(at), (*at).clone()));
    let mut granted: BTreeMap<RegisterAt, usize> = BTreeMap::new();
    let mut left = slots;
    while left > 0 {
        let before = left;
        for at in &places {
            let slot = granted.entry((*at).clone()).or_default();
            if left > 0 && *slot < missing[*at] {
                *slot += 1;
                left -= 1;
            }
        }
        if left == before {
            break;
        }
    }
    granted
}

/// Says of every wanted job what it waits for.
fn tell_lines(draft: &mut Draft<'_>, lines: &BTreeMap<RegisterAt, VecDeque<JobId>>, granted: &BTreeMap<RegisterAt, usize>, way: &ladder::Way, room: usize) {
    let mut position = 0;
    for (at, line) in lines {
        let have = draft.runners.values().filter(|runner| runner.state.is_supply() && &runner.target.at == at).count();
        let coming = have + granted.get(at).copied().unwrap_or(0);
        for (place, job) in line.iter().enumerate() {
            let on = if place < coming {
                WaitingOn::Runner { supply: u32::try_from(coming).unwrap_or(u32::MAX) }
            } else {
                match way {
                    ladder::Way::Shut(on) => on.clone(),
                    ladder::Way::Probe(on) if room > 0 => on.clone(),
                    ladder::Way::Open(_) | ladder::Way::Probe(_) => {
                        position += 1;
                        WaitingOn::Maximum { runners_max: draft.policy.runners_max, position }
                    }
                }
            };
            draft.wait_job(*job, on);
        }
    }
}

fn launch(draft: &mut Draft<'_>, granted: &BTreeMap<RegisterAt, usize>, way: &ladder::Way) {
    let (policy, plane) = (draft.policy, &draft.snapshot.plane);
    let mut serial = draft.snapshot.next_serial;
    let mut intents = Vec::new();
    for (at, count) in granted {
        for _ in 0..*count {
            let Ok(name) = RunnerName::parse(&format!("{}-{plane}-{serial}", policy.name)) else { continue };
            intents.push(Intent { name, serial, target: Target { set: policy.name.clone(), at: at.clone() } });
            serial += 1;
        }
    }
    let rung = match way {
        ladder::Way::Open(rung) => Some(rung.clone()),
        ladder::Way::Probe(_) => ladder::first_warm(draft),
        ladder::Way::Shut(_) => None,
    };
    if !intents.is_empty() {
        for intent in &intents {
            draft.runners.insert(intent.name.clone(), Runner::intended(intent.name.clone(), intent.serial, intent.target.clone(), policy.ephemeral, draft.now));
        }
        let reason = format!("{} job(s) and a floor of {} want more runners than there are", draft.demand, draft.floor);
        draft.step(Action::Intend { runners: intents }, reason);
    }
    let Some(rung) = rung else { return };
    let mut names: Vec<(u64, RunnerName)> =
        draft.runners.values().filter(|runner| runner.state == S::Intended).map(|runner| (runner.serial, runner.name.clone())).collect();
    names.sort_unstable();
    let most = if matches!(way, ladder::Way::Probe(_)) { 1 } else { usize::MAX };
    let names: Vec<RunnerName> = names.into_iter().map(|(_, name)| name).take(most).collect();
    for names in names.chunks(LAUNCH_BATCH_MAX) {
        let mut runners = names.to_vec();
        runners.sort();
        let Some(batch) = batch_id(draft, &runners) else { continue };
        draft.step(Action::Launch { batch, rung: rung.clone(), runners }, format!("{} runner(s) are intended", names.len()));
    }
}

/// The token of a launch call: a hash of what it launches. Another try of the same intents, after a refusal, is another call
/// and needs another token; the time of the refusal makes it so.
fn batch_id(draft: &Draft<'_>, runners: &[RunnerName]) -> Option<BatchId> {
    let last_strike = draft.snapshot.strikes.iter().map(|strike| strike.at.as_millis()).max().unwrap_or(0);
    let mut text = format!("{}|{}|{last_strike}", draft.policy.name, draft.snapshot.plane);
    for runner in runners {
        text.push('|');
        text.push_str(runner.as_str());
    }
    // FNV-1a, twice: names are unique for ever, so that even a weak hash of them will do.
    let fnv = |seed: u64| text.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    BatchId::parse(&format!("{:016x}{:016x}", fnv(0xcbf2_9ce4_8422_2325), fnv(0x9ae1_6a3b_2f90_404f))).ok()
}

/// Machines that wait for their config, and calls that were stored but whose answer is not known.
pub(crate) fn hand_offs(draft: &mut Draft<'_>) {
    let mut batches = BTreeSet::new();
    let mut jit_left = draft.snapshot.budget.jit_left;
    let mut ready: Vec<(u64, RunnerName)> = Vec::new();
    for runner in draft.runners.values() {
        if runner.state == S::Launching
            && let Some(batch) = &runner.batch
        {
            batches.insert(batch.clone());
        }
        if runner.state == S::Booting && runner.machine.is_some() && runner.handed_at.is_none() {
            ready.push((runner.serial, runner.name.clone()));
        }
    }
    for batch in batches {
        draft.step(Action::Relaunch { batch }, "its answer is not known; the same token launches nothing twice");
    }
    ready.sort_unstable();
    for (_, name) in ready {
        let Some(machine) = draft.runners.get(&name).and_then(|runner| runner.machine.clone()) else { continue };
        let means = if !draft.policy.ephemeral {
            HandOffMeans::Token
        } else if jit_left > 0 {
            jit_left -= 1;
            HandOffMeans::Jit
        } else if draft.policy.token_when_jit_exhausted {
            HandOffMeans::Token
        } else {
            let until = draft.snapshot.budget.refills_at;
            draft.wake_at(until);
            draft.wait_runner(&name, WaitingOn::Budget { until });
            continue;
        };
        let reason = match means {
            HandOffMeans::Jit => "its machine is there",
            HandOffMeans::Token if draft.policy.ephemeral => "its machine is there, and this minute's JIT budget is used up: a shared token",
            HandOffMeans::Token => "its machine is there; reusable runners register with a token",
        };
        draft.step(Action::HandOff { runner: name, machine, means }, reason);
    }
}
