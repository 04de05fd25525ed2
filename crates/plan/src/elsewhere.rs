//! Jobs that no set serves may be another fleet's: GitHub reports every job of an organisation to every App.
//!
//! It is apart because it says when to be silent. The author is notified only after the bound, and only when no online runner
//! that we may see has the job's labels; nobody but the operator knows that there is no other fleet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use runnersmith_types::{
    EffectAction, Job, JobId, JobStatus, Label, Notification, Observed, OwnerKind, Registration, RunnerScope, ScaleSet,
    ScopeLevel, Timestamp, WaitKind, WaitReason,
};

use crate::draft::{Draft, age};
use crate::route;

/// How long at most until runners are looked for again.
const LOOK_PAUSE_MAX: Duration = Duration::from_secs(3_600);
/// How long at least, when GitHub could not be asked.
const LOOK_PAUSE_MIN: Duration = Duration::from_secs(60);

/// What is known of a job that no set serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Nobody else serves it either, as far as anybody can see.
    Unserved(Notification),
    /// Another fleet may serve it.
    Elsewhere,
    /// It has not waited for the bound, or GitHub has not said yet.
    NotKnown,
}

/// Jobs that no set serves.
pub(crate) type Unserved = BTreeMap<JobId, Finding>;

/// Whether an online runner has all labels of a job, so that it may get it.
#[must_use]
pub fn has_labels<'a>(labels: &[Label], registrations: impl IntoIterator<Item = &'a Registration>) -> bool {
    registrations.into_iter().any(|found| found.online && labels.iter().all(|label| found.labels.contains(label)))
}

/// What is recorded of a job after its labels were looked for among these registrations.
#[must_use]
pub fn wait_reason<'a>(
    labels: &[Label],
    registrations: impl IntoIterator<Item = &'a Registration>,
    at: Timestamp,
    text: String,
) -> WaitReason {
    let kind = if has_labels(labels, registrations) { WaitKind::Elsewhere } else { WaitKind::Unserved };
    WaitReason { at, kind, text }
}

/// Finds out about the jobs that no set serves, each with why. Where the registrations were not read in this pass, GitHub is to be
/// asked.
pub(crate) fn unserved(draft: &mut Draft<'_>, policies: &[&ScaleSet], jobs: &[(&Job, String)]) -> Unserved {
    let mut unserved = Unserved::new();
    let mut found = Vec::new();
    let mut to_ask: BTreeMap<Vec<RunnerScope>, Vec<(JobId, String)>> = BTreeMap::new();
    for (job, why) in
        jobs.iter().filter(|(job, _)| job.fact.status == JobStatus::Queued && route::asks_for_self_hosted(&job.fact))
    {
        let mut says = Finding::NotKnown;
        if draft.passed(age(job), draft.policy.timing.notify_after) {
            if policies.iter().any(|policy| policy.only_fleet && route::may_serve(policy, &job.fact.repo)) {
                says = Finding::Unserved(Notification::Impossible(format!("no scale set serves it: {why}")));
            } else if !is_known(draft, job) {
                let places = places(policies, job);
                match listed(draft, &places) {
                    Some(all) => {
                        let reason = wait_reason(&job.fact.labels, all, draft.now, why.clone());
                        says = finding(reason.kind, why);
                        found.push((job.id(), Some(reason)));
                    }
                    None => to_ask.entry(places).or_default().push((job.id(), why.clone())),
                }
            } else if let Some(reason) = &job.waits {
                says = finding(reason.kind, why);
            }
        }
        unserved.insert(job.id(), says);
    }
    if !found.is_empty() {
        let why = "the registrations say whether another fleet may serve them";
        draft.step(EffectAction::RecordWaits { jobs: found, notifier: None }, why);
    }
    // Removals and look-ups come first: half of what is left of the minute is for them.
    let most = draft.snapshot.budget.calls_left as usize / 2;
    if to_ask.len() > most {
        draft.wake_at(draft.snapshot.budget.refills_at);
    }
    for (at, jobs) in to_ask.into_iter().take(most) {
        draft.step(EffectAction::FindRunners { at, jobs }, "no scale set serves them; another fleet may");
    }
    unserved
}

fn finding(kind: WaitKind, why: &str) -> Finding {
    match kind {
        WaitKind::Unserved => Finding::Unserved(Notification::Unserved(format!(
            "no scale set serves it, and no online runner that is visible here has all its labels: {why}"
        ))),
        WaitKind::Elsewhere => Finding::Elsewhere,
        WaitKind::Served | WaitKind::Unknown => Finding::NotKnown,
    }
}

/// Whether it is known well enough who may serve the job. That nobody does is found out once; that another fleet does is looked at
/// again after a pause that grows with the time that the job waits. So is that GitHub did not say, but within the bound: its author
/// has not been notified.
fn is_known(draft: &mut Draft<'_>, job: &Job) -> bool {
    let Some(reason) = &job.waits else { return false };
    let bound = draft.policy.timing.notify_after;
    let (least, most) = match reason.kind {
        WaitKind::Unserved => return true,
        WaitKind::Served => return false,
        WaitKind::Elsewhere => (bound.max(LOOK_PAUSE_MIN), LOOK_PAUSE_MAX),
        WaitKind::Unknown => (LOOK_PAUSE_MIN, bound),
    };
    let waited = reason.at.since(age(job).plus(bound));
    let pause = waited.clamp(least, most.max(least));
    !draft.passed(reason.at, pause)
}

/// Where another fleet's runners for the job may be registered, as far as this App may look there: at the levels at which its own
/// runners are.
fn places(policies: &[&ScaleSet], job: &Job) -> Vec<RunnerScope> {
    let repository = RunnerScope::Repository(job.fact.repo.clone());
    if job.fact.owner_kind == OwnerKind::User {
        return vec![repository];
    }
    let mut places = BTreeSet::from([RunnerScope::Organization(job.fact.repo.owner())]);
    for policy in policies {
        match policy.scope.level {
            ScopeLevel::Organization => {}
            ScopeLevel::Repository => drop(places.insert(repository.clone())),
            ScopeLevel::Enterprise => places.extend(policy.scope.at.clone()),
        }
    }
    places.into_iter().collect()
}

/// The registrations at all these places, if each was read in this pass.
fn listed<'a>(draft: &Draft<'a>, places: &[RunnerScope]) -> Option<Vec<&'a Registration>> {
    let mut all = Vec::new();
    for at in places {
        all.extend(draft.snapshot.registrations.get(at).and_then(Observed::value)?.iter());
    }
    Some(all)
}
