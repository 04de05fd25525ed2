//! Jobs, and the history of everything.

use async_trait::async_trait;
use runnersmith_ports::{HistoryLedger, JobLedger, LedgerError, Recorded};
use runnersmith_types::job::Merged;
use runnersmith_types::{
    FactSource, HistoryEvent, Job, JobFact, JobId, JobStatus, JobUpdate, RepoFullName, RunId, RunnerName, ScaleSetName,
    Stalled, Timestamp,
};

use super::{MemoryLedger, Tables};

impl Tables {
    fn record(&mut self, fact: JobFact) -> Recorded {
        let recorded = self.merge(fact);
        self.history.extend(recorded.event());
        recorded
    }

    fn merge(&mut self, fact: JobFact) -> Recorded {
        let asked = fact.source != FactSource::Delivery;
        let Some(mut job) = self.jobs.get(&fact.id).cloned() else {
            let job = Job::first(fact);
            self.put_job(job.clone());
            self.release_run(&job);
            return Recorded { merged: Merged::Status, new: true, job };
        };
        let merged = job.merge(fact);
        if merged != Merged::Nothing || asked {
            job.version += 1;
            self.put_job(job.clone());
        }
        if merged == Merged::Status {
            self.release_run(&job);
        }
        Recorded { merged, new: false, job }
    }

    /// A run that changes may have freed its stalled jobs.
    fn release_run(&mut self, changed: &Job) {
        let open: Vec<JobId> = self.open.iter().copied().filter(|id| *id != changed.id()).collect();
        for id in open {
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            let same = job.fact.repo == changed.fact.repo && job.fact.run == changed.fact.run;
            if same && job.stalled.take().is_some() {
                job.version += 1;
            }
        }
    }

    fn change_job(&mut self, id: JobId, change: impl FnOnce(&mut Job) -> bool) -> bool {
        let Some(mut job) = self.jobs.get(&id).cloned() else { return false };
        let changed = change(&mut job);
        if changed {
            job.version += 1;
            self.put_job(job);
        }
        changed
    }
}

#[async_trait]
impl JobLedger for MemoryLedger {
    async fn record_facts(&self, facts: Vec<JobFact>, wake: &[ScaleSetName]) -> Result<Vec<Recorded>, LedgerError> {
        let mut tables = self.tables();
        let recorded = facts.into_iter().map(|fact| tables.record(fact)).collect();
        wake.iter().for_each(|set| tables.wake(set));
        Ok(recorded)
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>, LedgerError> {
        Ok(self.recorded(id))
    }

    async fn open_jobs(&self, ended_since: Timestamp) -> Result<Vec<Job>, LedgerError> {
        let tables = self.tables();
        let open = tables.open.iter().filter_map(|id| tables.jobs.get(id));
        let ended = tables.ended.range((ended_since, JobId(0))..).filter_map(|(_, id)| tables.jobs.get(id));
        let followed = ended.filter(|job| {
            let alive = || job.runner().is_some_and(|runner| tables.is_alive(&runner));
            job.notified.is_some() || job.interrupted_at.is_some() || alive()
        });
        let mut found: Vec<Job> = open.chain(followed).cloned().collect();
        found.sort_by_key(Job::id);
        Ok(found)
    }

    async fn recent_jobs(&self, limit: usize) -> Result<Vec<Job>, LedgerError> {
        let mut jobs: Vec<Job> = self.tables().jobs.values().cloned().collect();
        jobs.sort_by_key(|job| std::cmp::Reverse((job.first_seen_at, job.id())));
        jobs.truncate(limit);
        Ok(jobs)
    }

    async fn jobs_before(&self, before: Timestamp, limit: usize) -> Result<Vec<Job>, LedgerError> {
        let mut jobs: Vec<Job> =
            self.tables().jobs.values().filter(|job| job.first_seen_at < before).cloned().collect();
        jobs.sort_by_key(|job| std::cmp::Reverse((job.first_seen_at, job.id())));
        if let Some(last) = jobs.get(limit.saturating_sub(1)).map(|job| job.first_seen_at) {
            jobs.retain(|job| job.first_seen_at >= last);
        }
        Ok(jobs)
    }

    async fn stall_job(&self, id: JobId, stalled: Stalled) -> Result<bool, LedgerError> {
        Ok(self.tables().change_job(id, |job| {
            let queued = job.fact.status == JobStatus::Queued;
            if queued {
                job.stalled = Some(stalled);
            }
            queued
        }))
    }

    async fn update_jobs(&self, updates: Vec<(JobId, JobUpdate)>) -> Result<Vec<JobId>, LedgerError> {
        let mut tables = self.tables();
        let mut changed = Vec::new();
        for (id, update) in updates {
            if tables.change_job(id, |job| job.update(update)) && !changed.contains(&id) {
                changed.push(id);
            }
        }
        Ok(changed)
    }

    async fn rerun(&self, repo: &RepoFullName, run: RunId) -> Result<bool, LedgerError> {
        let now = self.clock.now();
        let mut tables = self.tables();
        if tables.reruns.iter().any(|(_, at, again)| at == repo && *again == run) {
            return Ok(false);
        }
        tables.reruns.push((now, repo.clone(), run));
        Ok(true)
    }

    async fn reruns(&self) -> Result<Vec<(RepoFullName, RunId)>, LedgerError> {
        let tables = self.tables();
        Ok(tables.reruns.iter().rev().take(1_000).map(|(_, repo, run)| (repo.clone(), *run)).collect())
    }
}

#[async_trait]
impl HistoryLedger for MemoryLedger {
    async fn append(&self, events: Vec<HistoryEvent>) -> Result<(), LedgerError> {
        self.tables().history.extend(events);
        Ok(())
    }

    async fn history_of_job(&self, job: JobId, limit: usize) -> Result<Vec<HistoryEvent>, LedgerError> {
        let tables = self.tables();
        let its = |event: &&HistoryEvent| {
            let runner = || event.runner.as_ref().and_then(|name| tables.runners.get(name));
            event.job == Some(job) || runner().is_some_and(|runner| runner.job == Some(job))
        };
        Ok(tables.history.iter().filter(its).take(limit).cloned().collect())
    }

    async fn history_of_runner(&self, runner: &RunnerName, limit: usize) -> Result<Vec<HistoryEvent>, LedgerError> {
        let tables = self.tables();
        Ok(tables.history.iter().filter(|event| event.runner.as_ref() == Some(runner)).take(limit).cloned().collect())
    }

    async fn recent_history(&self, limit: usize) -> Result<Vec<HistoryEvent>, LedgerError> {
        Ok(self.tables().history.iter().rev().take(limit).cloned().collect())
    }

    async fn ping(&self) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn prune(&self, before: Timestamp, limit: usize) -> Result<u64, LedgerError> {
        let mut tables = self.tables();
        let old: Vec<(Timestamp, JobId)> = tables.ended.range(..(before, JobId(0))).take(limit).copied().collect();
        let mut gone = old.len();
        for (at, id) in old {
            tables.ended.remove(&(at, id));
            tables.jobs.remove(&id);
        }
        let is_old = |at: Option<Timestamp>| at.is_some_and(|at| at < before);
        gone += drop_some(&mut tables.runners, limit, |runner| !runner.state.is_alive() && is_old(runner.gone_at));
        gone += drop_some(&mut tables.batches, limit, |batch| batch.settled && batch.stored_at < before);
        let mut drop_from = |count: usize| gone += count;
        drop_from(drop_rows(&mut tables.history, limit, |event| event.at < before));
        drop_from(drop_rows(&mut tables.pool_failures, limit, |(_, failure)| failure.at < before));
        drop_from(drop_rows(&mut tables.boot_failures, limit, |(_, failure)| failure.at < before));
        drop_from(drop_rows(&mut tables.reruns, limit, |(at, _, _)| *at < before));
        Ok(gone as u64)
    }
}

fn drop_some<K: Ord + Clone, V>(
    table: &mut std::collections::BTreeMap<K, V>,
    limit: usize,
    is_old: impl Fn(&V) -> bool,
) -> usize {
    let keys: Vec<K> = table.iter().filter(|(_, row)| is_old(row)).take(limit).map(|(key, _)| key.clone()).collect();
    keys.iter().for_each(|key| drop(table.remove(key)));
    keys.len()
}

fn drop_rows<T>(table: &mut Vec<T>, limit: usize, is_old: impl Fn(&T) -> bool) -> usize {
    let before = table.len();
    let mut left = limit;
    table.retain(|row| {
        let goes = left > 0 && is_old(row);
        left -= usize::from(goes);
        !goes
    });
    before - table.len()
}
