//! Jobs: one item each, changed only from the version that was read.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use futures_util::{StreamExt as _, TryStreamExt as _};
use runnersmith_ports::{JobLedger, LedgerError, Recorded};
use runnersmith_types::job::Merged;
use runnersmith_types::{
    FactSource, HistoryEvent, Job, JobFact, JobId, JobStatus, JobUpdate, RepoFullName, RunId, ScaleSetName, Stalled,
    Timestamp,
};

use super::DynamoLedger;
use super::table::{
    Fault, Item, Page, Terms, Times, as_ledger, key, number, read_number, read_text, record, text, with_record,
};

/// Open jobs are spread over so many partitions. It must never change: it says where a job is.
const SHARDS: u64 = 8;
/// Two writers of one job: so often the later one reads again.
const ATTEMPTS_MAX: usize = 20;
/// Jobs that are updated side by side.
const UPDATED_AT_ONCE: usize = 16;

/// Passes look back twenty minutes; a job that ended so long ago is history, unless something is left to do about it.
const LONG_OVER: Duration = Duration::from_secs(3600);

fn partition(id: JobId) -> String {
    format!("jobs#{}", id.0 % SHARDS)
}

fn open_key(id: JobId) -> String {
    format!("open#{:020}", id.0)
}

fn done_key(id: JobId) -> String {
    format!("done#{:020}", id.0)
}

/// Its author was notified, or it was interrupted: it is shown for a while after its end.
fn is_noted(job: &Job) -> bool {
    job.notified.is_some() || job.interrupted_at.is_some()
}

#[async_trait]
impl JobLedger for DynamoLedger {
    async fn record_facts(&self, facts: Vec<JobFact>, wake: &[ScaleSetName]) -> Result<Vec<Recorded>, LedgerError> {
        self.record_all(facts, wake).await.map_err(as_ledger("record facts"))
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>, LedgerError> {
        self.read_job(id).await.map_err(as_ledger("job"))
    }

    async fn open_jobs(&self, ended_since: Timestamp) -> Result<Vec<Job>, LedgerError> {
        self.read_open_jobs(ended_since).await.map_err(as_ledger("open jobs"))
    }

    async fn recent_jobs(&self, limit: usize) -> Result<Vec<Job>, LedgerError> {
        self.read_recent_jobs(limit).await.map_err(as_ledger("recent jobs"))
    }

    async fn jobs_before(&self, before: Timestamp, limit: usize) -> Result<Vec<Job>, LedgerError> {
        self.read_jobs_before(before, limit).await.map_err(as_ledger("jobs before"))
    }

    async fn stall_job(&self, id: JobId, stalled: Stalled) -> Result<bool, LedgerError> {
        self.stall(id, stalled).await.map_err(as_ledger("mark a job stalled"))
    }

    async fn update_jobs(&self, updates: Vec<(JobId, JobUpdate)>) -> Result<Vec<JobId>, LedgerError> {
        self.update_each(updates).await.map_err(as_ledger("update jobs"))
    }

    async fn rerun(&self, repo: &RepoFullName, run: RunId) -> Result<bool, LedgerError> {
        let item = self.expiring(key("rerun", format!("{repo}#{run}")), self.clock.now());
        match self.table.put(item, Terms::when("attribute_not_exists(pk)")).await {
            Ok(()) => Ok(true),
            Err(Fault::Condition(..)) => Ok(false),
            Err(fault) => Err(fault.ledger("re-run")),
        }
    }

    async fn reruns(&self) -> Result<Vec<(RepoFullName, RunId)>, LedgerError> {
        let items = self.table.query("rerun", "", Page::default()).await.map_err(as_ledger("re-runs"))?;
        let read = |item| {
            let (repo, run) = read_text(item, "sk")?.rsplit_once('#')?;
            Some((RepoFullName::parse(repo).ok()?, RunId(run.parse().ok()?)))
        };
        Ok(items.iter().filter_map(read).collect())
    }
}

impl DynamoLedger {
    fn job_item(&self, job: &Job, open: bool) -> Result<Item, Fault> {
        let sk = if open { open_key(job.id()) } else { done_key(job.id()) };
        let mut item = with_record(key(partition(job.id()), sk), job)?;
        item.insert("version".into(), number(job.version));
        item.insert("kind".into(), text("job"));
        item.insert("at".into(), number(job.first_seen_at.as_millis()));
        match job.ended_at {
            Some(ended_at) => Ok(self.expiring(item, ended_at)),
            None => Ok(item),
        }
    }

    /// Whether it ended so long ago that it is no longer shown; one that is followed is read all the same.
    fn is_long_over(&self, job: &Job) -> bool {
        job.ended_at.is_some_and(|at| self.clock.now().since(at) >= LONG_OVER)
    }

    /// Moves jobs that are long over out of what every pass reads.
    pub(super) async fn archive_old(&self) -> Result<(), Fault> {
        for shard in 0..SHARDS {
            for item in self.table.query(&format!("jobs#{shard}"), "open#", Page::default()).await? {
                let job: Job = record(&item)?;
                if self.is_long_over(&job) && !job.is_followed() {
                    self.change_job(job.id(), |_| true).await?;
                }
            }
        }
        Ok(())
    }

    /// The job, and whether it lies among the open ones.
    async fn find_job(&self, id: JobId) -> Result<Option<(Job, bool)>, Fault> {
        let partition = partition(id);
        if let Some(item) = self.table.get(&partition, &open_key(id)).await? {
            return Ok(Some((record(&item)?, true)));
        }
        match self.table.get(&partition, &done_key(id)).await? {
            Some(item) => Ok(Some((record(&item)?, false))),
            None => Ok(None),
        }
    }

    pub(super) async fn read_job(&self, id: JobId) -> Result<Option<Job>, Fault> {
        Ok(self.find_job(id).await?.map(|(job, _)| job))
    }

    /// Writes a job that was read at `version`, moving it between open and done where its life says so, and its line of history with
    /// it, if it has one.
    async fn write_job(
        &self,
        job: &Job,
        version: u64,
        was_open: bool,
        event: Option<&HistoryEvent>,
    ) -> Result<(), Fault> {
        let mut lines = Vec::new();
        for item in event.map_or(Ok(Vec::new()), |event| self.event_items(event))? {
            lines.push(self.table.putting(item, Terms::default())?);
        }
        let stays = job.fact.status.is_open()
            || job.is_followed()
            || (!self.is_long_over(job) && (is_noted(job) || self.has_live_runner(job).await?));
        let unchanged = || Terms::when("version = :version").value(":version", number(version));
        if version == 0 {
            // Whether it is new is asked of both places where it could be.
            let absent = || Terms::when("attribute_not_exists(pk)");
            let other = key(partition(job.id()), if stays { done_key(job.id()) } else { open_key(job.id()) });
            let mut items =
                vec![self.table.putting(self.job_item(job, stays)?, absent())?, self.table.checking(other, absent())?];
            items.append(&mut lines);
            return self.table.transact(items).await;
        }
        if stays == was_open {
            let item = self.job_item(job, stays)?;
            if lines.is_empty() {
                return self.table.put(item, unchanged()).await;
            }
            lines.push(self.table.putting(item, unchanged())?);
            return self.table.transact(lines).await;
        }
        let (old, absent) = (
            key(partition(job.id()), if was_open { open_key(job.id()) } else { done_key(job.id()) }),
            Terms::when("attribute_not_exists(pk)"),
        );
        lines.push(self.table.deleting_when(old, unchanged())?);
        lines.push(self.table.putting(self.job_item(job, stays)?, absent)?);
        self.table.transact(lines).await
    }

    async fn has_live_runner(&self, job: &Job) -> Result<bool, Fault> {
        match job.runner() {
            Some(name) => Ok(self.read_runner(&name).await?.is_some_and(|runner| runner.state.is_alive())),
            None => Ok(false),
        }
    }

    pub(super) async fn merge_fact(&self, fact: JobFact) -> Result<Recorded, Fault> {
        let asked = fact.source != FactSource::Delivery;
        for _ in 0..ATTEMPTS_MAX {
            let found = self.find_job(fact.id).await?;
            let recorded = match found {
                None => {
                    let recorded = Recorded { merged: Merged::Status, new: true, job: Job::first(fact.clone()) };
                    match self.write_job(&recorded.job, 0, false, recorded.event().as_ref()).await {
                        Ok(()) => recorded,
                        Err(Fault::Condition(..)) => continue,
                        Err(fault) => return Err(fault),
                    }
                }
                Some((mut job, was_open)) => {
                    let (version, stalled) = (job.version, job.stalled.is_some());
                    let merged = job.merge(fact.clone());
                    let is_news = merged != Merged::Nothing || asked;
                    job.version += u64::from(is_news);
                    let recorded = Recorded { merged, new: false, job };
                    let job = &recorded.job;
                    if is_news {
                        match self.write_job(job, version, was_open, recorded.event().as_ref()).await {
                            Ok(()) => {}
                            Err(Fault::Condition(..)) => continue,
                            Err(fault) => return Err(fault),
                        }
                    }
                    if stalled && job.stalled.is_none() {
                        self.table.delete(&held_partition(job), &job.id().to_string()).await?;
                    }
                    recorded
                }
            };
            if recorded.merged == Merged::Status {
                self.free_run(&recorded.job).await?;
            }
            return Ok(recorded);
        }
        Err(Fault::other(format!("job {} is changed by others all the time", fact.id)))
    }

    /// A run that changes may have freed its stalled jobs.
    async fn free_run(&self, changed: &Job) -> Result<(), Fault> {
        let partition = held_partition(changed);
        for item in self.table.query(&partition, "", Page::default()).await? {
            let sk = read_text(&item, "sk").unwrap_or_default().to_owned();
            let Ok(id) = sk.parse().map(JobId) else { continue };
            if id != changed.id() {
                self.change_job(id, |job| job.stalled.take().is_some()).await?;
            }
            self.table.delete(&partition, &sk).await?;
        }
        Ok(())
    }

    /// Changes a job; `false` when it is not there, or the change says that there is nothing to do.
    pub(super) async fn change_job(&self, id: JobId, change: impl Fn(&mut Job) -> bool) -> Result<bool, Fault> {
        for _ in 0..ATTEMPTS_MAX {
            let Some((mut job, was_open)) = self.find_job(id).await? else { return Ok(false) };
            let version = job.version;
            if !change(&mut job) {
                return Ok(false);
            }
            job.version += 1;
            match self.write_job(&job, version, was_open, None).await {
                Ok(()) => return Ok(true),
                Err(Fault::Condition(..)) => {}
                Err(fault) => return Err(fault),
            }
        }
        Err(Fault::other(format!("job {id} is changed by others all the time")))
    }

    /// The updates of one job are applied together and in order; different jobs are changed side by side.
    async fn update_each(&self, updates: Vec<(JobId, JobUpdate)>) -> Result<Vec<JobId>, Fault> {
        let mut by_job: BTreeMap<JobId, Vec<JobUpdate>> = BTreeMap::new();
        for (id, update) in updates {
            by_job.entry(id).or_default().push(update);
        }
        let change = |(id, updates): (JobId, Vec<JobUpdate>)| async move {
            let apply = |job: &mut Job| {
                let news: Vec<bool> = updates.iter().map(|update| job.update(update.clone())).collect();
                news.contains(&true)
            };
            Ok::<_, Fault>(self.change_job(id, apply).await?.then_some(id))
        };
        let changed: Vec<Option<JobId>> =
            futures_util::stream::iter(by_job).map(change).buffered(UPDATED_AT_ONCE).try_collect().await?;
        Ok(changed.into_iter().flatten().collect())
    }

    pub(super) async fn stall(&self, id: JobId, stalled: Stalled) -> Result<bool, Fault> {
        let Some(job) = self.read_job(id).await? else { return Ok(false) };
        // The pointer first: one without a stalled job is harmless, a stalled job without one would not be freed by its run.
        self.table.put(key(held_partition(&job), id.to_string()), Terms::default()).await?;
        self.change_job(id, move |job| {
            let queued = job.fact.status == JobStatus::Queued;
            if queued {
                job.stalled = Some(stalled);
            }
            queued
        })
        .await
    }

    /// All jobs among the open ones that matter.
    pub(super) async fn read_open_jobs(&self, ended_since: Timestamp) -> Result<Vec<Job>, Fault> {
        let shards = (0..SHARDS)
            .map(|shard| async move { self.table.query(&format!("jobs#{shard}"), "open#", Page::default()).await });
        // Many jobs that ended together are asked about together.
        let wanted = |item: Item| async move {
            let job: Job = record(&item)?;
            let ended_lately = job.ended_at.is_some_and(|at| at >= ended_since);
            let matters = job.fact.status.is_open() || job.is_followed();
            let is_wanted = matters || (ended_lately && (is_noted(&job) || self.has_live_runner(&job).await?));
            Ok::<_, Fault>(is_wanted.then_some(job))
        };
        let items = try_join_all(shards).await?.into_iter().flatten();
        let found: Vec<Option<Job>> =
            futures_util::stream::iter(items).map(wanted).buffered(UPDATED_AT_ONCE).try_collect().await?;
        let mut jobs: Vec<Job> = found.into_iter().flatten().collect();
        jobs.sort_by_key(Job::id);
        Ok(jobs)
    }

    /// A runner is gone: its job, if it has ended, is history.
    pub(super) async fn archive_job(&self, id: JobId) -> Result<(), Fault> {
        self.change_job(id, |job| !job.fact.status.is_open() && !job.is_followed() && !is_noted(job)).await.map(drop)
    }

    pub(super) async fn read_recent_jobs(&self, limit: usize) -> Result<Vec<Job>, Fault> {
        let page = Page { limit: Some(limit), newest_first: true };
        self.table.by_kind("job", Times::All, page).await?.iter().map(record).collect()
    }

    /// The index does not order items of one moment, so that the last moment of a page is read whole.
    pub(super) async fn read_jobs_before(&self, before: Timestamp, limit: usize) -> Result<Vec<Job>, Fault> {
        let page = Page { limit: Some(limit.max(1)), newest_first: true };
        let mut items = self.table.by_kind("job", Times::Before(before.as_millis()), page).await?;
        if items.len() >= limit
            && let Some(last) = items.last().map(|item| read_number(item, "at"))
        {
            items.retain(|item| read_number(item, "at") != last);
            items.extend(self.table.by_kind("job", Times::At(last), Page::default()).await?);
        }
        let mut jobs: Vec<Job> = items.iter().map(record).collect::<Result<_, _>>()?;
        // The newest record first: the index may show a job twice while it is moved from the open ones to the others.
        jobs.sort_by_key(|job| Reverse((job.first_seen_at, job.id(), job.version)));
        jobs.dedup_by_key(|job| job.id());
        Ok(jobs)
    }

    pub(super) async fn record_all(&self, facts: Vec<JobFact>, wake: &[ScaleSetName]) -> Result<Vec<Recorded>, Fault> {
        let mut recorded = Vec::with_capacity(facts.len());
        for fact in facts {
            recorded.push(self.merge_fact(fact).await?);
        }
        // After the facts: a pass that is woken sees them.
        try_join_all(wake.iter().map(|set| self.wake_set(set))).await?;
        Ok(recorded)
    }
}

fn held_partition(job: &Job) -> String {
    format!("held#{}#{}", job.fact.repo, job.fact.run)
}
