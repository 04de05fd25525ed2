//! Which of the open jobs are this set's demand, and where. Every set's planner works this out for itself from the same
//! jobs and policies, so that two sets never both buy a machine for one job.

use std::collections::{BTreeMap, HashMap, VecDeque};

use runnersmith_types::{
    EffectAction, Job, JobFact, JobStatus, Label, RunnerScope, RunnerState as S, RunnerUpdate, ScaleSet, ScaleSetName,
    Stalled, Target, Timestamp, WaitingOn,
};

use crate::draft::{Draft, age};
use crate::observe;
use crate::route::{self, Candidate};

/// This set's share of the open jobs.
pub(crate) struct Shared<'a> {
    /// Jobs that are demand now, by place, oldest first.
    pub wanted: BTreeMap<RunnerScope, Vec<&'a Job>>,
    /// Jobs that no set serves, if this set is the one to say so.
    pub impossible: Vec<(&'a Job, String)>,
}

/// Shares the open jobs out among the sets and keeps this set's. Jobs are given out one by one, the oldest first, each to the
/// best set that has a runner for it, else to the best that has room for one more: so a job stays where a machine was
/// bought for it, and what exceeds one set's maximum goes to the next at once.
pub(crate) fn share<'a>(draft: &mut Draft<'a>) -> Shared<'a> {
    let policy: &'a ScaleSet = draft.policy;
    let policies = draft.policies();
    let notifier = route::notifier(&policies).is_some_and(|notifier| notifier.name == policy.name);
    let mut capacity = Capacity::of(draft);
    let mut idle = idle_runners(draft);
    let mut open: Vec<&'a Job> =
        draft.jobs.iter().copied().filter(|job| job.fact.status <= JobStatus::Queued).collect();
    open.sort_by_key(|job| (age(job), job.id()));
    let mut shared = Shared { wanted: BTreeMap::new(), impossible: Vec::new() };
    for job in open {
        let candidates = match route::candidates(&job.fact, &policies) {
            Ok(candidates) => candidates,
            Err(none) => {
                if notifier {
                    draft.wait_job(job.id(), WaitingOn::NoSet { why: none.to_string() });
                    shared.impossible.push((job, none.to_string()));
                }
                continue;
            }
        };
        if job.fact.status == JobStatus::Queued && candidates.iter().any(|at| capacity.has_taken(&at.target, job)) {
            draft.wait_job(job.id(), WaitingOn::Runner { supply: 1 });
            continue;
        }
        // Held and gated jobs take nobody's place. When all sets are full, the best keeps the job in its line.
        let stalled = job.stalled.is_some_and(|stalled| stalled.until > draft.now);
        let counts = job.fact.status == JobStatus::Queued && !stalled;
        let found = if counts { capacity.take(&candidates) } else { None };
        if let Some(chosen) = found.or_else(|| candidates.first())
            && chosen.set == policy.name
            && wants(draft, job, idle.get_mut(&chosen.target.at))
        {
            shared.wanted.entry(chosen.target.at.clone()).or_default().push(job);
        }
    }
    shared
}

/// What each set can still take while the jobs are given out.
struct Capacity<'a> {
    own: &'a ScaleSetName,
    /// Since when runners of this set have had a job of which nothing else is known, by place, the longest first.
    taken: BTreeMap<RunnerScope, VecDeque<Timestamp>>,
    /// How many runners of each set can take a job, wherever they are: more is not known of other sets, and every set must
    /// come to the same answer, or a job would be nobody's.
    supply: BTreeMap<&'a ScaleSetName, usize>,
    /// Machines that may still be bought.
    room: BTreeMap<&'a ScaleSetName, usize>,
}

impl<'a> Capacity<'a> {
    fn of(draft: &Draft<'a>) -> Self {
        let own = &draft.policy.name;
        let mut capacity = Self {
            own,
            taken: BTreeMap::new(),
            supply: BTreeMap::new(),
            room: BTreeMap::from([(own, (draft.policy.runners_max as usize).saturating_sub(draft.alive()))]),
        };
        for peer in &draft.snapshot.peers {
            capacity.supply.insert(&peer.policy.name, peer.supply as usize);
            let room = peer.policy.runners_max.saturating_sub(peer.alive);
            capacity.room.insert(&peer.policy.name, room as usize);
        }
        for (index, runner) in draft.runners.iter().enumerate() {
            if runner.state.is_supply() {
                *capacity.supply.entry(own).or_default() += 1;
            } else if observe::took_unknown(draft, index) {
                capacity
                    .taken
                    .entry(runner.target.at.clone())
                    .or_default()
                    .push_back(runner.busy_at.unwrap_or(draft.now));
            }
        }
        for taken in capacity.taken.values_mut() {
            taken.make_contiguous().sort_unstable();
        }
        capacity
    }

    /// Whether a runner of this set whose job is unknown may have taken this one; the late delivery will say. A job that GitHub
    /// still called queued after the runner took its own is another.
    fn has_taken(&mut self, target: &Target, job: &Job) -> bool {
        if &target.set != self.own {
            return false;
        }
        let Some(taken) = self.taken.get_mut(&target.at) else { return false };
        let one = job.verified_at.map_or(0, |verified| taken.partition_point(|at| *at < verified));
        taken.remove(one).is_some()
    }

    /// A place for one job: a runner that is there or comes, else room for another; in the order of the candidates.
    fn take<'c>(&mut self, candidates: &'c [Candidate]) -> Option<&'c Candidate> {
        let supplied = candidates.iter().find(|candidate| take_one(self.supply.get_mut(&candidate.set)));
        supplied.or_else(|| candidates.iter().find(|candidate| take_one(self.room.get_mut(&candidate.set))))
    }
}

fn take_one(count: Option<&mut usize>) -> bool {
    match count {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        Some(_) | None => false,
    }
}

/// Runners that could have taken a job all the while: idle, and online by GitHub's own word in this pass. Each with since when it was
/// idle and its index, the longest idle first; of one group all have the same labels, so that none is looked at for nothing.
struct IdleRunners<'a> {
    /// The labels that GitHub shows of each; where it shows none, they are the policy's.
    labels: &'a [Label],
    runners: VecDeque<IdleSince>,
}

/// A runner by its index, and since when it has been idle.
type IdleSince = (Timestamp, usize);

/// Those runners by place. Only where machines are known too: what is proved by one ends it.
fn idle_runners<'a>(draft: &Draft<'a>) -> HashMap<RunnerScope, Vec<IdleRunners<'a>>> {
    let mut idle: HashMap<RunnerScope, BTreeMap<&'a [Label], Vec<IdleSince>>> = HashMap::new();
    for (index, runner) in draft.runners.iter().enumerate().filter(|(_, runner)| runner.state == S::Idle) {
        let seen =
            draft.evidence(index).registration.filter(|seen| seen.online && !seen.busy && draft.is_supply(runner));
        if let (Some(since), Some(registration), None) = (runner.idle_since, seen, draft.unknown(&runner.target.at)) {
            let groups = idle.entry(runner.target.at.clone()).or_default();
            groups.entry(registration.labels.as_slice()).or_default().push((since, index));
        }
    }
    let group = |(labels, mut runners): (&'a [Label], Vec<IdleSince>)| {
        runners.sort_unstable();
        IdleRunners { labels, runners: runners.into() }
    };
    idle.into_iter().map(|(at, groups)| (at, groups.into_iter().map(group).collect())).collect()
}

/// Whether the job is demand now; if not, says what it waits for.
fn wants(draft: &mut Draft<'_>, job: &Job, idle: Option<&mut Vec<IdleRunners<'_>>>) -> bool {
    let id = job.id();
    if job.fact.status == JobStatus::Waiting {
        draft.wait_job(id, WaitingOn::Gate);
        return false;
    }
    if is_over(draft, job) {
        return false;
    }
    if let Some(stalled) = job.stalled
        && stalled.until > draft.now
    {
        draft.wake_at(stalled.until);
        draft.wait_job(id, WaitingOn::Stalled { until: stalled.until });
        return false;
    }
    let delay = draft.policy.timing.delay;
    if !delay.is_zero() && !draft.passed(age(job), delay) {
        draft.wait_job(id, WaitingOn::Delay { until: age(job).plus(delay) });
        return false;
    }
    !idle.is_some_and(|idle| stall(draft, job, idle))
}

/// GitHub ends a job that nobody took within 24 hours. One that it still calls queued after that, by its own word, is over.
fn is_over(draft: &mut Draft<'_>, job: &Job) -> bool {
    let since = job.changed_at.max(age(job));
    let end = since.plus(JobFact::QUEUED_MAX);
    if !draft.passed(since, JobFact::QUEUED_MAX) {
        return false;
    }
    let until = draft.now.plus(draft.policy.timing.verify_after);
    draft.wake_at(until);
    draft.wait_job(job.id(), WaitingOn::Overdue { until });
    if job.verified_at.is_some_and(|at| at >= end) {
        draft.step(EffectAction::EndJob { job: job.id() }, "nobody took it within GitHub's limit of 24 hours");
    }
    true
}

/// A job that is still queued although a runner of its target was idle all the while is not what we can help by launching. Each such
/// runner proves it of one job, the oldest first, and goes: all other jobs stay demand.
fn stall(draft: &mut Draft<'_>, job: &Job, idle: &mut [IdleRunners<'_>]) -> bool {
    let tested_from = job.stalled.map_or(age(job), |stalled| stalled.until.max(age(job)));
    let after = draft.policy.timing.stall_after;
    // The longest idle comes first: where it does not prove it yet, no other does.
    let matching = idle.iter_mut().filter(|group| matches(group.labels, job));
    let first = matching.filter_map(|group| Some((*group.runners.front()?, group))).min_by_key(|(first, _)| *first);
    let Some(((since, index), group)) = first else { return false };
    if !draft.passed(since.max(tested_from), after) {
        return false;
    }
    group.runners.pop_front();
    let stalled = Stalled::again(job.stalled, draft.policy.timing.stall_for, draft.now);
    let until = stalled.until;
    draft.update(index, RunnerUpdate::Draining, format!("it was idle and GitHub did not give it job {}", job.id()));
    draft.step(
        EffectAction::Stall { job: job.id(), until },
        "a matching runner was idle and GitHub did not give it the job",
    );
    draft.wait_job(job.id(), WaitingOn::Stalled { until });
    draft.wake_at(until);
    true
}

/// Whether the labels that GitHub shows of the runner are all that the job asks for; where it shows none, they are the policy's.
fn matches(labels: &[Label], job: &Job) -> bool {
    labels.is_empty() || job.fact.labels.iter().all(|wanted| labels.contains(wanted))
}
