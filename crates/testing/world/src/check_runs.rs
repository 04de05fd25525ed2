//! Check runs and re-runs: what our control plane writes at GitHub, which people read and pay for.

use std::collections::BTreeMap;

use runnersmith_ports::CheckRun;
use runnersmith_types::{FactSource, JobFact, JobId, JobStatus, RepoFullName, RunId, ScaleSetName, Timestamp};

use crate::bugs::Bug;
use crate::checks::Rule;
use crate::outside::{Outside, SimCheckRun, SimJob, Whose};
use crate::time::secs;

/// What was recorded of a job so shortly before a check run was written may have come after it was planned.
const RECORDED_JUST_NOW: std::time::Duration = secs(60);

impl Outside {
    /// The set whose passes write check runs: the first by name.
    fn notifier(&self) -> Option<ScaleSetName> {
        self.options.sets.iter().map(|set| set.name.clone()).min()
    }

    fn jobs_of<'a>(&'a self, repo: &'a RepoFullName, sha: &'a str) -> impl Iterator<Item = &'a SimJob> {
        self.jobs.values().filter(move |job| job.repo == *repo && job.sha == sha)
    }

    /// A check run is written. `waiting` are the jobs of its commit that are recorded as queued, each with since when.
    pub(crate) fn posts(&mut self, check: CheckRun, waiting: &[(JobId, Timestamp)]) -> u64 {
        let now = self.now();
        self.check_posted(&check, waiting);
        let id = check.id.unwrap_or_else(|| self.number());
        let CheckRun { repo, head_sha, title, summary, mut conclusion, .. } = check;
        if self.options.bug == Some(Bug::KeepsCheckRunsOpen) {
            conclusion = None;
        }
        let before = self.check_runs.get(&id);
        let says = |run: &SimCheckRun| (run.title.clone(), run.summary.clone(), run.conclusion.clone());
        let created_at = before.map_or(now, |run| run.created_at);
        let mut named = before.map(|run| run.named.clone()).unwrap_or_default();
        named.extend(self.jobs_of(&repo, &head_sha).map(|job| job.id).filter(|id| names(&summary, *id)));
        let made = SimCheckRun { repo, sha: head_sha, created_at, title, summary, named, conclusion };
        let is_new = before.is_none_or(|before| says(before) != says(&made));
        if let Some(set) = self.notifier() {
            self.effect(&set, format!("check run {id}"), is_new);
        }
        self.check_runs.insert(id, made);
        id
    }

    fn check_posted(&mut self, check: &CheckRun, waiting: &[(JobId, Timestamp)]) {
        let conclusion = check.conclusion.as_deref();
        if self.jobs_of(&check.repo, &check.head_sha).all(|job| job.whose == Whose::Foreign) {
            let text = format!("a check run on {}, whose jobs are all another fleet's", check.head_sha);
            self.broken(Rule::ForeignJobsAreLeftAlone, text);
        }
        // No set here is marked as the only fleet, so nothing is known to be impossible.
        if conclusion == Some("failure") {
            self.broken(Rule::ForeignJobsAreLeftAlone, format!("a failing check run on {}", check.head_sha));
        }
        let now = self.now();
        // Whom it named once it still is about, also when it leaves it out now.
        let before = check.id.and_then(|id| self.check_runs.get(&id));
        let named = |id: JobId| names(&check.summary, id) || before.is_some_and(|run| run.named.contains(&id));
        let still = waiting.iter().find(|(id, since)| since.plus(RECORDED_JUST_NOW) < now && named(*id));
        if let Some((id, _)) = still.filter(|_| conclusion == Some("success")) {
            let text = format!("{} says success while job {id} waits", check.head_sha);
            self.broken(Rule::CheckRunsAreTrue, text);
        }
    }

    /// A run's failed jobs are asked to be run again: once, and only when it has failed.
    pub(crate) fn check_rerun(&mut self, id: RunId) {
        let times = self.reruns.entry(id).or_default();
        *times += 1;
        if *times > 1 {
            let text = format!("run {id} is re-run {times} times");
            self.broken(Rule::RerunsAreRight, text);
        }
        let run = self.run_summary(id);
        let conclusion = run.conclusion.map(|conclusion| conclusion.0);
        if run.status != "completed" || conclusion.as_deref() != Some("failure") {
            let text = format!("run {id} is re-run, which is {} {}", run.status, conclusion.unwrap_or_default());
            self.broken(Rule::RerunsAreRight, text);
        }
    }

    /// What a bug makes of a sweep's findings.
    pub(crate) fn lies_about(&mut self, repo: &RepoFullName, found: &mut Vec<JobFact>) {
        let Some(like) = self.jobs.values().find(|job| job.whose == Whose::Ours).cloned() else { return };
        match self.options.bug {
            Some(Bug::InventsJobs) => {
                let (id, queued_at, repo) = (JobId(self.number()), Some(self.now()), repo.clone());
                let (status, conclusion, started_at, ended_at, runner) = (JobStatus::Queued, None, None, None, None);
                let job = SimJob { id, repo, status, queued_at, conclusion, started_at, ended_at, runner, ..like };
                found.push(self.fact(&job, FactSource::Sweep));
            }
            Some(Bug::RelabelsForeignJobs) => {
                let is_foreign = |fact: &&mut JobFact| self.jobs[&fact.id].whose == Whose::Foreign;
                found.iter_mut().filter(is_foreign).for_each(|fact| fact.labels.clone_from(&like.labels));
            }
            Some(_) | None => {}
        }
    }
}

fn names(summary: &str, id: JobId) -> bool {
    summary.contains(&format!("| job {id} |"))
}

/// At the end, when every job of ours is over: the check run that people see is closed, of each commit, whether the ledger knows of it
/// or not. That is the newest: GitHub shows one of a name.
pub(crate) fn are_closed(outside: &mut Outside) {
    let mut newest = BTreeMap::new();
    for (id, run) in &outside.check_runs {
        let seen = newest.entry((run.repo.clone(), run.sha.clone())).or_insert((run.created_at, *id));
        *seen = (*seen).max((run.created_at, *id));
    }
    for (_, id) in newest.into_values() {
        let run = &outside.check_runs[&id];
        if run.conclusion.is_none() {
            let text = format!("check run {id} is open at the end: {} {}", run.sha, run.title);
            outside.broken(Rule::CheckRunsAreTrue, text);
        }
    }
}
