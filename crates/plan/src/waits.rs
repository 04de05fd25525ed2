//! What jobs wait for, as it is recorded when it changes, so that `why` can say it afterwards.
//!
//! It is apart from the plan because it is no action: nothing is decided from it, and a pass that only records it has come to rest.

use std::collections::BTreeMap;

use runnersmith_types::{Job, JobId, Plan, ScaleSetName, Snapshot, Timestamp, Wait, WaitingOn};

/// The most characters of a wait's text.
const TEXT_MAX: usize = 300;

/// Returns the jobs that wait for something else than their records say, each with what it waits for now.
#[must_use]
pub fn changed_waits(set: &ScaleSetName, snapshot: &Snapshot, plan: &Plan, now: Timestamp) -> Vec<(JobId, Wait)> {
    let jobs: BTreeMap<JobId, &Job> = snapshot.jobs.iter().map(|job| (job.id(), job)).collect();
    let waiting = plan.waiting.iter().filter_map(|waiting| Some((jobs.get(&waiting.job?)?, &waiting.on)));
    waiting.filter(|(job, on)| job.is_news(on.word())).map(|(job, on)| (job.id(), wait(set, on, now))).collect()
}

fn wait(set: &ScaleSetName, on: &WaitingOn, at: Timestamp) -> Wait {
    let text = match on {
        // Its place in the line changes all the time.
        WaitingOn::Maximum { runners_max, .. } => format!("scale set {set} is at its maximum of {runners_max}"),
        on => on.to_string(),
    };
    Wait { at, on: on.word().to_owned(), text: text.chars().take(TEXT_MAX).collect() }
}
