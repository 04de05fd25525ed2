//! What the sources say of a runner, and which of them is believed.
//!
//! It is apart from the states, because every rule needs the same answer. Each source's word has a time, and the newest counts: a
//! record of what GitHub last said counts in a pass that does not ask it, and a machine's word that is not renewed loses against GitHub
//! and the ledger when both say the contrary for long enough.

use std::collections::BTreeSet;
use std::time::Duration;

use runnersmith_types::{Job, Label, Machine, MachineState, Observed, RunnerState, RunnerUpdate, Timestamp};

use crate::draft::{Draft, Evidence};

const SECOND: Duration = Duration::from_secs(1);

/// Who says that a runner has a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BusyBy {
    /// A job that names it runs, by a delivery, a sweep or an answer.
    Job,
    /// Its machine's status.
    Machine,
    /// GitHub's flag or refusal, and nobody else.
    GitHub,
}

impl BusyBy {
    /// Returns it in words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Job => "GitHub says that a job runs on it",
            Self::Machine => "the machine says that a job runs on it",
            Self::GitHub => "GitHub shows it busy",
        }
    }
}

/// Returns which source says that the runner has a job, if the newest words say so.
pub(crate) fn busy(draft: &Draft<'_>, index: usize) -> Option<BusyBy> {
    busy_by(draft, index, &draft.evidence(index))
}

/// The same, where it is known what the sources say.
pub(crate) fn busy_by(draft: &Draft<'_>, index: usize, seen: &Evidence<'_>) -> Option<BusyBy> {
    if seen.running().is_some() {
        Some(BusyBy::Job)
    } else if status_counts(draft, index, seen) {
        Some(BusyBy::Machine)
    } else {
        github_said_busy_at(draft, index, seen, list_word(draft, index, seen)).map(|_| BusyBy::GitHub)
    }
}

/// Whether a pass that does not ask GitHub would call the runner busy, by what is recorded.
fn is_busy_without_the_list(draft: &Draft<'_>, index: usize, seen: &Evidence<'_>) -> bool {
    seen.running().is_some()
        || status_counts(draft, index, seen)
        || github_said_busy_at(draft, index, seen, None).is_some()
}

/// Whether the machine says that a job runs on it, and is believed.
fn status_counts(draft: &Draft<'_>, index: usize, seen: &Evidence<'_>) -> bool {
    let after = draft.policy.timing.stale_status_after;
    seen.status_is_busy() && !draft.runners[index].is_status_stale(after, draft.now)
}

/// What GitHub's list says of the runner's flag, and when it was asked; `None` when the list was not read or does not show it.
fn list_word(draft: &Draft<'_>, index: usize, seen: &Evidence<'_>) -> Option<(Timestamp, bool)> {
    let registration = seen.registration?;
    let Some(Observed::Seen { at, .. }) = draft.snapshot.registrations.get(&draft.runners[index].target.at) else {
        return None;
    };
    Some((*at, registration.busy))
}

/// Returns when GitHub last said that the runner has a job, unless something newer says otherwise. `list` is the list's word.
fn github_said_busy_at(
    draft: &Draft<'_>,
    index: usize,
    seen: &Evidence<'_>,
    list: Option<(Timestamp, bool)>,
) -> Option<Timestamp> {
    let runner = &draft.runners[index];
    // GitHub lets go of a runner only if it has no job (204), and gives it none from then on: what a list shows later lags behind. And
    // its flag stays for minutes after a job (actions/runner#4422), so it does not count when an ephemeral runner's one job is over.
    if runner.deregistered_at.is_some() || (runner.ephemeral && seen.completed().is_some()) {
        return None;
    }
    let flag_at = list.filter(|(_, busy)| *busy).map(|(at, _)| at);
    let said_at = flag_at.max(runner.github_said_busy_at())?;
    // When it ended, not when that was known: what GitHub said in between may be of the next job.
    // GitHub's times are cut to seconds.
    let ended_at = |job: &Job| job.fact.completed_at.map_or(job.changed_at, |at| at.plus(SECOND).min(job.changed_at));
    let job_ended = seen.completed().is_some_and(|job| ended_at(job) > said_at);
    let is_unknown = runner.missing_registration > 0 && runner.looked_up_at.is_some_and(|at| at > said_at);
    // Lists lag behind a refusal, which is GitHub's own look at this one runner.
    let refused_until = runner.removal_refused_at.map(|at| at.plus(draft.policy.timing.idle_confirm));
    let is_listed_idle =
        list.is_some_and(|(at, busy)| !busy && at > said_at && refused_until.is_none_or(|until| at >= until));
    (!job_ended && !is_unknown && !is_listed_idle).then_some(said_at)
}

/// Records that the runner has a job, and what the next rounds have to know of it, which do not ask GitHub: that it alone said so.
pub(crate) fn record_busy(draft: &mut Draft<'_>, index: usize, seen: &Evidence<'_>, by: BusyBy) {
    let is_recorded = draft.runners[index].state == RunnerState::Busy;
    match by {
        BusyBy::Job | BusyBy::Machine => {
            if !is_recorded {
                draft.update(index, RunnerUpdate::Busy(None), by.text());
            }
        }
        BusyBy::GitHub => {
            if let Some(at) = github_said_busy_at(draft, index, seen, list_word(draft, index, seen))
                && !(is_recorded && is_busy_without_the_list(draft, index, seen))
            {
                draft.update(index, RunnerUpdate::BusyAtGitHub(at), by.text());
            }
        }
    }
}

/// A machine that alone says busy is doubted from the first time that GitHub and the ledger say the contrary.
pub(crate) fn doubt(draft: &mut Draft<'_>, index: usize, seen: &Evidence<'_>) {
    let runner = &draft.runners[index];
    let is_doubted = runner.status_doubted_since.is_some();
    // A machine that could not be asked, or that a list does not show, has said nothing that ends the doubt.
    if seen.machine.is_none() || (!is_doubted && !seen.status_is_busy()) {
        return;
    }
    let github_says_busy = github_said_busy_at(draft, index, seen, list_word(draft, index, seen)).is_some();
    if seen.running().is_some() || github_says_busy || !seen.status_is_busy() {
        // The end of an ephemeral runner's job is the last word of its machine: nothing of it need be recorded.
        let is_over = runner.state == RunnerState::Finished && !seen.status_is_busy();
        if is_doubted && !is_over {
            draft.update(index, RunnerUpdate::StatusBelieved, "its machine's word and the others' agree again");
        }
        return;
    }
    let is_over = runner.ephemeral && seen.completed().is_some();
    let is_missing = runner.missing_registration > 0 || runner.deregistered_at.is_some();
    let is_idle_at_github = match seen.registration {
        Some(registration) => !registration.busy || runner.deregistered_at.is_some(),
        None => is_missing && draft.listed(&runner.target.at),
    };
    if !is_doubted && (is_over || is_idle_at_github) {
        let why = "its machine says that it has a job; GitHub and the ledger say that it has none";
        draft.update(index, RunnerUpdate::StatusDoubted, why);
    }
    if let Some(since) = draft.runners[index].status_doubted_since {
        let _ = draft.passed(since, draft.policy.timing.stale_status_after);
    }
}

/// GitHub's list says which labels a registration really has.
pub(crate) fn record_labels(draft: &mut Draft<'_>, index: usize, seen: &Evidence<'_>) {
    let Some(registration) = seen.registration else { return };
    let known = &draft.runners[index].labels;
    let is_known = registration.labels.iter().all(|label| known.contains(label))
        && known.iter().all(|label| registration.labels.contains(label));
    if !registration.labels.is_empty() && !is_known {
        let labels: BTreeSet<Label> = registration.labels.iter().cloned().collect();
        draft.update(index, RunnerUpdate::Labels(labels), "GitHub shows its labels");
    }
}

/// Whether the machine should have ended itself: its lifetime, its hard end after it and a grace time are over.
pub(crate) fn is_past_its_hard_end(draft: &mut Draft<'_>, machine: &Machine) -> bool {
    let timing = &draft.policy.timing;
    let after = timing.lifetime_max + timing.hard_end_after + timing.ghost_grace;
    machine.state != MachineState::Ended && draft.passed(machine.launched_at, after)
}
