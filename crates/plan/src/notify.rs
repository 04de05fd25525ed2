//! Rule 10: nobody waits in silence.
//!
//! A commit has one check run, however many sets serve its jobs. So one set's pass posts them all (see [`route::notifier`]), and
//! every other set only records why its own jobs wait. What is posted is made each time from the complete list of the commit's
//! jobs in the ledger; it is posted when a row of it is new.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use runnersmith_types::{
    BootFailureCause, EffectAction, HandOffTrouble, Job, JobId, JobStatus, Notification, RepoFullName, ScaleSetName,
    Timestamp, WaitKind, WaitReason, WaitingOn,
};

use crate::check_run::check_run_text;
use crate::draft::{Draft, age};
use crate::elsewhere::{Finding, Unserved, unserved};
use crate::route;
use crate::share::Shared;
use crate::verify::is_mine;

/// A commit's check run is not written more often: the jobs of a matrix get their runners one after the other.
const WRITE_PAUSE: Duration = Duration::from_secs(10);

/// A repository and a commit of it.
type Commit<'a> = (&'a RepoFullName, &'a str);

/// A job's row of its commit's check run.
struct Row<'a> {
    job: &'a Job,
    notification: Notification,
    /// Whether it is not what the last check run said.
    is_new: bool,
}

/// A check run that has something new to say.
struct Due<'a> {
    /// Since when the longest waiting of the jobs that are new to it has been queued.
    since: Timestamp,
    commit: Commit<'a>,
    check_run: Option<u64>,
    /// Whether a job of the commit is in a check run that is known to be open.
    is_open: bool,
    rows: Vec<Row<'a>>,
}

/// Notifies authors why their jobs do not run, and closes notifications that are over.
pub(crate) fn notify(draft: &mut Draft<'_>, shared: &Shared<'_>) {
    let policies = draft.policies();
    let Some(notifier) = route::notifier(&policies).filter(|policy| policy.notify) else { return };
    let own = explained(draft);
    if notifier.name != draft.policy.name {
        let notifier = notifier.name.clone();
        return record(draft, &own, notifier);
    }
    let unserved = unserved(draft, &policies, &shared.impossible);
    post(draft, &own, &unserved);
}

/// The queued jobs of this set that have waited for as long as the bound, each with the reason for its author.
fn explained(draft: &mut Draft<'_>) -> BTreeMap<JobId, String> {
    let mut reasons = BTreeMap::new();
    if !draft.policy.notify {
        return reasons;
    }
    let waits: HashMap<JobId, WaitingOn> =
        draft.waiting.iter().filter_map(|waiting| waiting.job.map(|job| (job, waiting.on.clone()))).collect();
    for job in draft.jobs.clone().into_iter().filter(|job| job.fact.status == JobStatus::Queued) {
        let Some(on) = waits.get(&job.id()).filter(|on| !matches!(on, WaitingOn::NoSet { .. })) else { continue };
        // It waits already for longer than it should.
        let at_once = matches!(on, WaitingOn::Stalled { .. } | WaitingOn::Overdue { .. });
        if at_once || draft.passed(age(job), draft.policy.timing.notify_after) {
            reasons.insert(job.id(), waiting_text(on));
        }
    }
    reasons
}

/// Records the reasons that are new, and the end of those that are over, for the set that posts them.
fn record(draft: &mut Draft<'_>, own: &BTreeMap<JobId, String>, notifier: ScaleSetName) {
    let now = draft.now;
    let mut jobs = Vec::new();
    for job in &draft.jobs {
        match (own.get(&job.id()), &job.waits) {
            (Some(text), was) if was.as_ref().is_none_or(|was| was.kind != WaitKind::Served || was.text != *text) => {
                let reason = WaitReason { at: now, kind: WaitKind::Served, text: text.clone() };
                jobs.push((job.id(), Some(reason)));
            }
            (None, Some(_)) if job.fact.status != JobStatus::Queued && is_mine(draft, job) => {
                jobs.push((job.id(), None));
            }
            (Some(_) | None, _) => {}
        }
    }
    if !jobs.is_empty() {
        draft.step(
            EffectAction::RecordWaits { jobs, notifier: Some(notifier) },
            "their authors are to be notified why they wait",
        );
    }
}

/// Posts the check runs in which a row is new, the longest waiting first.
fn post(draft: &mut Draft<'_>, own: &BTreeMap<JobId, String>, unserved: &Unserved) {
    let mut commits: BTreeMap<Commit<'_>, Vec<&Job>> = BTreeMap::new();
    let matters = |job: &&Job| {
        let is_recorded = job.notified.is_some() || job.waits.is_some() || job.notify_failed.is_some();
        let is_found = || own.contains_key(&job.id()) || unserved.contains_key(&job.id());
        !job.fact.head_sha.is_empty() && (is_recorded || is_found())
    };
    for job in draft.jobs.iter().copied().filter(matters) {
        commits.entry((&job.fact.repo, job.fact.head_sha.as_str())).or_default().push(job);
    }
    let mut due: Vec<Due<'_>> = Vec::new();
    for (commit, jobs) in commits {
        let mut rows: Vec<Row<'_>> = jobs.iter().filter_map(|job| row(job, own, unserved)).collect();
        let last = jobs.iter().filter_map(|job| job.notified.as_ref()).max_by_key(|last| (last.at, last.check_run));
        let written = last.map(|last| last.at.plus(WRITE_PAUSE));
        let refused = jobs.iter().filter_map(|job| job.notify_failed).max_by_key(|tries| tries.last_at);
        let refused = refused.filter(|tries| last.is_none_or(|last| last.at <= tries.last_at));
        // A post without an answer may have opened again what the others of the commit had closed.
        rows.iter_mut().for_each(|row| row.is_new |= refused.is_some());
        let Some(since) = rows.iter().filter(|row| row.is_new).map(|row| age(row.job)).min() else { continue };
        let is_open = jobs.iter().any(|job| job.notified.as_ref().is_some_and(|last| !last.closed));
        match written.max(refused.map(|tries| tries.next_at)) {
            Some(at) if at > draft.now => draft.wake_at(at),
            Some(_) | None => {
                due.push(Due { since, commit, check_run: last.map(|last| last.check_run), is_open, rows });
            }
        }
    }
    due.sort_by_key(|due| (due.since, due.commit));
    let most = draft.snapshot.budget.notifications_left as usize;
    if due.len() > most {
        draft.wake_at(draft.snapshot.budget.refills_at);
    }
    for due in due.into_iter().take(most) {
        write(draft, due);
    }
}

fn write(draft: &mut Draft<'_>, due: Due<'_>) {
    let Due { commit: (repo, head_sha), check_run, is_open, mut rows, .. } = due;
    // What still waits comes first.
    rows.sort_by_key(|row| (row.notification.is_settled(), row.job.id()));
    let text = check_run_text(rows.iter().map(|row| (row.job.fact.name.as_str(), row.job.id(), &row.notification)));
    let jobs: Vec<(JobId, Notification)> =
        rows.into_iter().filter(|row| row.is_new).map(|row| (row.job.id(), row.notification)).collect();
    let waits = |(_, notification): &&(JobId, Notification)| !notification.is_settled();
    let opens = jobs.iter().find(waits).map(|(job, _)| *job).filter(|_| !is_open);
    let reason = format!("{} job(s) of one commit have a notification to post or to update", jobs.len());
    let (repo, head_sha) = (repo.clone(), head_sha.to_owned());
    draft.step(EffectAction::Notify { repo, head_sha, check_run, opens, text, jobs }, reason);
}

/// What the check run says of a job; nothing of one whose author was not notified and need not be.
fn row<'a>(job: &'a Job, own: &BTreeMap<JobId, String>, unserved: &Unserved) -> Option<Row<'a>> {
    let notification = notification(job, own, unserved)?;
    let is_new = match &job.notified {
        None => true,
        Some(last) if notification.is_settled() => !last.closed,
        Some(last) => last.closed || last.text != notification.text(),
    };
    Some(Row { job, notification, is_new })
}

fn notification(job: &Job, own: &BTreeMap<JobId, String>, unserved: &Unserved) -> Option<Notification> {
    let last = job.notified.as_ref();
    let settled = |text: &str| {
        let text = last.filter(|last| last.closed).map_or(text, |last| last.text.as_str());
        (last.is_some() || job.may_have_opened()).then(|| Notification::Settled(text.to_owned()))
    };
    match job.fact.status {
        JobStatus::Queued => {
            if let Some(text) = own.get(&job.id()) {
                return Some(Notification::Waiting(text.clone()));
            }
            match (unserved.get(&job.id()), &job.waits) {
                (Some(Finding::Unserved(found)), _) => Some(found.clone()),
                (Some(Finding::Elsewhere), _) => settled("an online runner of another fleet has its labels"),
                (None, Some(reason)) if reason.kind == WaitKind::Served => {
                    Some(Notification::Waiting(reason.text.clone()))
                }
                // Why it waits now is not known: what was said last stands.
                (Some(Finding::NotKnown) | None, _) => {
                    last.filter(|last| !last.closed).map(|last| Notification::Waiting(last.text.clone()))
                }
            }
        }
        JobStatus::Waiting => settled("it waits for an approval or a concurrency group, not for a runner"),
        JobStatus::InProgress | JobStatus::Completed => settled("it is running or over"),
        JobStatus::Gone => settled("it is not known to GitHub any more"),
    }
}

/// What is notified changes only when the cause changes: a place in the line does not make a new notification.
fn waiting_text(on: &WaitingOn) -> String {
    match on {
        WaitingOn::Maximum { runners_max, .. } => {
            let runners = if *runners_max == 1 { "1 runner".to_owned() } else { format!("{runners_max} runners") };
            format!("the scale set is at its maximum of {runners}; the job keeps its place in the line")
        }
        WaitingOn::Breaker { cause: BootFailureCause::NoJob, .. } => {
            "runners of this scale set end without a job at the moment; one is tried at a time".to_owned()
        }
        WaitingOn::Breaker { cause: BootFailureCause::NeverOnline, .. } => {
            "machines of this scale set do not boot at the moment; one is tried at a time".to_owned()
        }
        WaitingOn::Breaker { cause: BootFailureCause::Refused, .. } => {
            "launches of this scale set are refused at the moment; one is tried at a time".to_owned()
        }
        WaitingOn::Runner { .. } => "a runner is on its way".to_owned(),
        WaitingOn::Capacity { .. } => {
            "no machine of this scale set could be had; each kind is tried again in turn".to_owned()
        }
        WaitingOn::HandOff { trouble: HandOffTrouble::Limited | HandOffTrouble::Unavailable, why, .. } => {
            format!("{why}; the job starts when that is over")
        }
        WaitingOn::HandOff { trouble: HandOffTrouble::Refused | HandOffTrouble::NotStored, why, .. } => {
            format!("{why}; somebody who runs Runnersmith has to correct that")
        }
        WaitingOn::Delay { .. }
        | WaitingOn::Stalled { .. }
        | WaitingOn::Overdue { .. }
        | WaitingOn::Gate
        | WaitingOn::NoSet { .. }
        | WaitingOn::Budget { .. }
        | WaitingOn::UnknownSource { .. }
        | WaitingOn::MinIdle
        | WaitingOn::Grace { .. } => on.to_string(),
    }
}
