//! What is asked of GitHub about jobs: a lost delivery must not leave a job in a state forever.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use runnersmith_types::{EffectAction, Job, JobId, JobStatus, RunnerScope, RunnerState as S, ScaleSetName};

use crate::draft::{Draft, age};
use crate::observe::took_unknown;
use crate::route;

/// Calls that are left for removals and look-ups: verifying is of less value and is shed first.
const CALLS_RESERVED: u32 = 20;

/// GitHub gives the oldest job first, mostly: so many of them are asked for each runner whose job is not known.
const ASKED_PER_RUNNER: usize = 2;

/// What is due so soon after others is asked with them: one pass for all, not one round for each.
const ASKED_TOGETHER: Duration = Duration::from_secs(5);

/// So long GitHub is believed silent after it gave no answer; the timer's passes ask it each minute.
const SILENT_FOR: Duration = Duration::from_secs(150);

/// Open jobs of this set that had no news for long are asked for by id, the longest silent first.
pub(crate) fn verify(draft: &mut Draft<'_>) {
    let after = draft.policy.timing.verify_after;
    let mut asked = lost_jobs(draft);
    asked.extend(taken_jobs(draft));
    let queued: HashSet<JobId> = draft.waiting.iter().filter_map(|waiting| waiting.job).collect();
    let (mut due, mut soon) = (Vec::new(), Vec::new());
    for job in draft.jobs.clone() {
        let ours = match job.fact.status {
            JobStatus::Waiting | JobStatus::Queued => queued.contains(&job.id()),
            JobStatus::InProgress => is_mine(draft, job),
            JobStatus::Completed | JobStatus::Gone => false,
        };
        if !ours {
            continue;
        }
        let news_at = job.verified_at.map_or(job.changed_at, |at| at.max(job.changed_at));
        // What stalls a job may be that it is over: its run is asked at once.
        let doubted = job.stalled.is_some_and(|stalled| news_at < stalled.since);
        if doubted || asked.contains(&job.id()) || draft.passed(news_at, after) {
            due.push((news_at, job));
        } else if news_at.plus(after) <= draft.now.plus(ASKED_TOGETHER) {
            soon.push((news_at, job));
        }
    }
    if !due.is_empty() {
        due.append(&mut soon);
    }
    due.sort_by_key(|(news_at, job)| (*news_at, job.id()));
    let mut calls = draft.snapshot.budget.calls_left.saturating_sub(CALLS_RESERVED) as usize;
    for job in in_turns(draft, due.into_iter().map(|(_, job)| job).collect()) {
        let run = job.stalled.map(|_| job.fact.run);
        // A run is asked for by a call of its own.
        let Some(left) = calls.checked_sub(1 + usize::from(run.is_some())) else {
            draft.wake_at(draft.snapshot.budget.refills_at);
            break;
        };
        calls = left;
        let action = EffectAction::VerifyJob { job: job.id(), repo: job.fact.repo.clone(), run };
        let reason = match run {
            Some(_) => "it is stalled: its run may be over",
            None => "there was no news of it for a while",
        };
        draft.step(action, reason);
    }
}

/// All jobs of places where GitHub answers, and one of each place where it does not: another one each second, so that one which can
/// never be answered for does not stand before the others.
fn in_turns<'a>(draft: &Draft<'a>, due: Vec<&'a Job>) -> Vec<&'a Job> {
    let mut by_place: BTreeMap<RunnerScope, Vec<&Job>> = BTreeMap::new();
    for job in &due {
        by_place.entry(route::place(draft.policy, &job.fact)).or_default().push(job);
    }
    by_place.retain(|at, _| is_silent(draft, at));
    let second = usize::try_from(draft.now.as_secs()).unwrap_or(0);
    let is_asked = |job: &&Job| {
        let waiting = by_place.get(&route::place(draft.policy, &job.fact));
        waiting.is_none_or(|waiting| waiting.get(second % waiting.len().max(1)).is_some_and(|one| one.id() == job.id()))
    };
    due.into_iter().filter(is_asked).collect()
}

/// Whether GitHub gave no answer for a place lately, whatever it was asked, and none about a job or a list of registrations since. Passes
/// are many while something happens, and a question that failed leaves nothing: each would ask for all jobs again.
fn is_silent(draft: &Draft<'_>, at: &RunnerScope) -> bool {
    if draft.snapshot.registrations.get(at).is_some_and(|seen| seen.value().is_some()) {
        return false;
    }
    draft.snapshot.hand_off_faults.is_silent(at, SILENT_FOR, draft.now)
}

/// Running jobs whose machine has been gone for a grace time and that were not asked for since.
fn lost_jobs(draft: &mut Draft<'_>) -> HashSet<JobId> {
    let grace = draft.policy.timing.ghost_grace;
    let mut lost = HashSet::new();
    for index in draft.in_state(S::Lost) {
        let (Some(job), Some(since)) = (draft.evidence(index).running(), draft.runners[index].lost_at) else {
            continue;
        };
        let asked = job.verified_at.is_some_and(|at| at >= since);
        if !asked && draft.passed(since, grace) {
            lost.insert(job.id());
        }
    }
    lost
}

/// The oldest queued jobs, a few for each runner that took one before any delivery said which: one of them it was. A runner
/// that is still busy gets some time first, in which the delivery usually comes.
fn taken_jobs(draft: &mut Draft<'_>) -> HashSet<JobId> {
    let mut ended = draft.in_state(S::Finished);
    let quiet = draft.policy.timing.settle;
    for index in draft.in_state(S::Busy) {
        let since = draft.runners[index].busy_at;
        if took_unknown(draft, index) && since.is_some_and(|since| draft.passed(since, quiet)) {
            ended.push(index);
        }
    }
    ended.retain(|index| took_unknown(draft, *index));
    let taken_at = |index: &usize| draft.runners[*index].finished_at.or(draft.runners[*index].busy_at);
    let Some(last) = ended.iter().filter_map(taken_at).max() else {
        return HashSet::new();
    };
    let waiting: HashSet<JobId> = draft.waiting.iter().filter_map(|waiting| waiting.job).collect();
    let mine = |job: &&&Job| job.fact.status == JobStatus::Queued && waiting.contains(&job.id());
    let mut queued: Vec<&&Job> = draft.jobs.iter().filter(mine).collect();
    queued.sort_by_key(|job| (age(job), job.id()));
    let oldest = queued.into_iter().take(ended.len() * ASKED_PER_RUNNER);
    oldest.filter(|job| job.verified_at.is_none_or(|at| at < last)).map(|job| job.id()).collect()
}

/// Whether a job that runs or ran is this set's to follow: its runner is this set's, or nobody's and this is the first set.
pub(crate) fn is_mine(draft: &Draft<'_>, job: &Job) -> bool {
    match runs_on(draft, job) {
        Some(set) => *set == draft.policy.name,
        None => draft.snapshot.peers.iter().all(|peer| peer.policy.name >= draft.policy.name),
    }
}

/// The set whose runner a job names.
pub(crate) fn runs_on<'a>(draft: &Draft<'a>, job: &Job) -> Option<&'a ScaleSetName> {
    let parts = job.runner()?.parts()?;
    if parts.control_plane != draft.snapshot.control_plane {
        return None;
    }
    let policies = draft.snapshot.peers.iter().map(|peer| &peer.policy.name);
    policies.chain([&draft.policy.name]).find(|policy| **policy == parts.set)
}
