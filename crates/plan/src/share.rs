//! Which of the open jobs are this set's demand, and where. Every set's planner works this out for itself from the same
//! jobs and policies, so that two sets never both buy a machine for one job.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use runnersmith_types::{
    Action, Job, JobStatus, RegisterAt, RunnerState as S, ScaleSet, ScaleSetName, Snapshot, Timestamp, WaitingOn,
};

use crate::draft::{Draft, age};
use crate::route;

/// This set's share of the open jobs.
pub(crate) struct Shared<'a> {
    /// Jobs that are demand now, by place, oldest first.
    pub wanted: BTreeMap<RegisterAt, Vec<&'a Job>>,
    /// Jobs that no set serves, if this set is the one to say so.
    pub impossible: Vec<(&'a Job, String)>,
}

/// Shares the open jobs out among the sets and keeps this set's.
pub(crate) fn share<'a>(draft: &mut Draft<'a>) -> Shared<'a> {
    let (snapshot, policy): (&'a Snapshot, &'a ScaleSet) = (draft.snapshot, draft.policy);
    let mut policies: Vec<&ScaleSet> = snapshot.peers.iter().map(|peer| &peer.policy).collect();
    policies.push(policy);
    let teller = policies.iter().map(|policy| &policy.name).min() == Some(&policy.name);
    let full = full(draft);
    let idle_since = idle_since(draft);
    let mut open: Vec<&'a Job> =
        draft.jobs.iter().copied().filter(|job| job.fact.status <= JobStatus::Queued).collect();
    open.sort_by_key(|job| (age(job), job.id()));
    let mut shared = Shared { wanted: BTreeMap::new(), impossible: Vec::new() };
    for job in open {
        let candidates = match route::candidates(&job.fact, &policies) {
            Ok(candidates) => candidates,
            Err(none) => {
                if teller {
                    draft.wait_job(job.id(), WaitingOn::NoSet { why: none.to_string() });
                    shared.impossible.push((job, none.to_string()));
                }
                continue;
            }
        };
        // When the best set is full the job may go to the next; when all are, the best keeps it in its line.
        let free = candidates.iter().find(|candidate| !full.contains(&candidate.set));
        if let Some(chosen) = free.or_else(|| candidates.first())
            && chosen.set == policy.name
            && wants(draft, job, idle_since.get(&chosen.target.at).copied())
        {
            shared.wanted.entry(chosen.target.at.clone()).or_default().push(job);
        }
    }
    shared
}

/// Sets at their maximum with no runner to spare.
fn full<'a>(draft: &Draft<'a>) -> BTreeSet<&'a ScaleSetName> {
    let peers = draft.snapshot.peers.iter();
    let mut full: BTreeSet<&ScaleSetName> = peers
        .filter(|peer| peer.alive >= peer.policy.runners_max && peer.supply == 0)
        .map(|peer| &peer.policy.name)
        .collect();
    let supply = draft.runners.iter().any(|runner| runner.state.is_supply());
    if !supply && draft.alive() >= draft.policy.runners_max as usize {
        full.insert(&draft.policy.name);
    }
    full
}

/// Since when each place has had an idle runner, the longest idle one.
fn idle_since(draft: &Draft<'_>) -> HashMap<RegisterAt, Timestamp> {
    let mut longest: HashMap<RegisterAt, Timestamp> = HashMap::new();
    for runner in draft.runners.iter().filter(|runner| runner.state == S::Idle) {
        if let Some(since) = runner.idle_since {
            let slot = longest.entry(runner.target.at.clone()).or_insert(since);
            *slot = since.min(*slot);
        }
    }
    longest
}

/// Whether the job is demand now; if not, says what it waits for.
fn wants(draft: &mut Draft<'_>, job: &Job, idle_since: Option<Timestamp>) -> bool {
    let id = job.id();
    if job.fact.status == JobStatus::Waiting {
        draft.wait_job(id, WaitingOn::Gate);
        return false;
    }
    if let Some(held) = job.held
        && held.until > draft.now
    {
        draft.wake_at(held.until);
        draft.wait_job(id, WaitingOn::Held { until: held.until });
        return false;
    }
    let delay = draft.policy.timing.delay;
    if !delay.is_zero() && !draft.passed(age(job), delay) {
        draft.wait_job(id, WaitingOn::Delay { until: age(job).plus(delay) });
        return false;
    }
    !hold(draft, job, idle_since)
}

/// A job still queued although a runner of its target was idle all the while is not what we can help by launching.
fn hold(draft: &mut Draft<'_>, job: &Job, idle_since: Option<Timestamp>) -> bool {
    let Some(idle_since) = idle_since else { return false };
    let tested_from = job.held.map_or(age(job), |held| held.until.max(age(job)));
    if !draft.passed(idle_since.max(tested_from), draft.policy.timing.hold_after) {
        return false;
    }
    let until = draft.now.plus(draft.policy.timing.hold_for);
    draft.step(Action::Hold { job: job.id(), until }, "a matching runner was idle and GitHub did not give it the job");
    draft.wait_job(job.id(), WaitingOn::Held { until });
    draft.wake_at(until);
    true
}
