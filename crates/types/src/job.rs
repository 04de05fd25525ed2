//! A job, and how facts about it are merged.
//!
//! Deliveries are lost, late, doubled and out of order. The merge here is the only place where a
//! fact changes a job, so that every store and every signal agrees on the outcome.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::follow_up::{FailedTries, PendingRerun, WaitReason};
use crate::ids::{DeliveryId, JobId, Label, RegistrationId, RepoFullName, RunId, RunnerName};
use crate::names::RegistrationName;
use crate::time::Timestamp;
use crate::version::RecordVersion;
use crate::wait::Wait;

/// Where a job stands. The order is the order of life: a later state never goes back by a late delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Waits for an environment's gate or a concurrency group (`waiting`, `pending`, `requested`): no demand yet.
    Waiting,
    /// Wants a runner.
    Queued,
    /// A runner has it.
    InProgress,
    /// Over, whatever its conclusion.
    Completed,
    /// GitHub does not know it any more (404 or 403 by id).
    Gone,
}

impl Stalled {
    /// The longest pause between two tests.
    pub const PAUSE_MAX: Duration = Duration::from_secs(2 * 3600);

    /// Stalled from now on: for the first pause, or for twice as long as the last time.
    #[must_use]
    pub fn again(last: Option<Self>, first: Duration, now: Timestamp) -> Self {
        let doubled = last.map_or(Duration::ZERO, |last| last.until.since(last.since) * 2).min(Self::PAUSE_MAX);
        Self { since: now, until: now.plus(doubled.max(first)) }
    }
}

impl JobStatus {
    /// GitHub's word for a job's or check run's status.
    #[must_use]
    pub fn from_github(word: &str) -> Option<Self> {
        match word {
            "waiting" | "pending" | "requested" => Some(Self::Waiting),
            "queued" => Some(Self::Queued),
            "in_progress" => Some(Self::InProgress),
            "completed" => Some(Self::Completed),
            _ => None,
        }
    }
    /// Whether the job may still want or have a runner.
    #[must_use]
    pub const fn is_open(self) -> bool {
        match self {
            Self::Waiting | Self::Queued | Self::InProgress => true,
            Self::Completed | Self::Gone => false,
        }
    }
    /// A word for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::InProgress => "in progress",
            Self::Completed => "completed",
            Self::Gone => "gone",
        }
    }
}

/// GitHub's conclusion of a completed job, kept as its word (`success`, `failure`, `cancelled`, …), at most 32 characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Conclusion(pub String);

/// What kind of account owns the repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnerKind {
    /// An organisation.
    Organization,
    /// A person; organisation runners cannot serve it.
    User,
    /// The payload did not say; taken as an organisation until GitHub says otherwise.
    #[default]
    Unknown,
}

/// How we came to know a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactSource {
    /// A webhook delivery: may be late, so it never sets a job back.
    Delivery,
    /// A list call: a level, but lists shift.
    Sweep,
    /// GET by id: may correct anything but completed.
    Get,
}

/// One bounded fact about a job: at most 8 KB and 100 labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFact {
    /// How we know.
    pub source: FactSource,
    /// When we received it.
    pub received_at: Timestamp,
    /// The delivery, if it was one.
    pub delivery: Option<DeliveryId>,
    /// The job.
    pub id: JobId,
    /// Its workflow run.
    pub run: RunId,
    /// The attempt of the run, from 1; 0 where an old server does not say.
    pub run_attempt: u32,
    /// Its repository.
    pub repo: RepoFullName,
    /// Who owns the repository.
    pub owner_kind: OwnerKind,
    /// The commit; empty where unknown.
    pub head_sha: String,
    /// The job's name, at most 200 characters.
    pub name: String,
    /// The workflow's name, at most 200 characters.
    pub workflow: String,
    /// Its labels.
    pub labels: Vec<Label>,
    /// It had more labels than we keep (100): then it matches no set.
    pub labels_cut: bool,
    /// Where it stands; `Gone` comes only from a GET.
    pub status: JobStatus,
    /// How it ended.
    pub conclusion: Option<Conclusion>,
    /// The runner that has it.
    pub runner_name: Option<String>,
    /// The runner's registration.
    pub runner_id: Option<RegistrationId>,
    /// GitHub's own creation time.
    pub created_at: Option<Timestamp>,
    /// GitHub's own start time.
    pub started_at: Option<Timestamp>,
    /// GitHub's own end time.
    pub completed_at: Option<Timestamp>,
}

impl JobFact {
    /// The most labels of a job that are kept.
    pub const LABELS_MAX: usize = 100;
    /// GitHub ends a job that no self-hosted runner took within 24 hours ("Usage limits" of self-hosted runners: job queue time).
    pub const QUEUED_MAX: Duration = Duration::from_secs(24 * 3600);

    /// The fact that a job is over, by what is known of its run, although GitHub still calls the job queued. The run's own end and a
    /// later attempt of it end the job; `None` while neither is there.
    #[must_use]
    pub fn by_its_run(&self, status: &str, attempt: u32, conclusion: Option<&str>, now: Timestamp) -> Option<Self> {
        let later_attempt = self.run_attempt > 0 && attempt > self.run_attempt;
        let over = status == "completed" || later_attempt;
        over.then(|| self.ended(conclusion.filter(|_| !later_attempt).unwrap_or("cancelled"), now))
    }

    /// The fact that the job is over since now, with GitHub's word for how.
    #[must_use]
    pub fn ended(&self, conclusion: &str, now: Timestamp) -> Self {
        Self {
            source: FactSource::Get,
            received_at: now,
            status: JobStatus::Completed,
            conclusion: Some(Conclusion(conclusion.chars().take(32).collect())),
            ..self.clone()
        }
    }

    /// Returns the runner that GitHub names, whatever the attempt of its registration, if it may be one of ours.
    #[must_use]
    pub fn runner(&self) -> Option<RunnerName> {
        self.runner_name.as_deref().and_then(RegistrationName::parse).map(RegistrationName::into_runner)
    }
}

/// Still queued although a matching runner was idle: not demand for a while, and its author is notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stalled {
    /// Since when.
    pub since: Timestamp,
    /// Until when; then it is tested again.
    pub until: Timestamp,
}

/// Its author can read in GitHub why it does not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notified {
    /// When last notified.
    pub at: Timestamp,
    /// The check run that says it.
    pub check_run: u64,
    /// What was said; a change is reported again.
    pub text: String,
    /// Whether it said that nothing is waited for any more. Older records do not say; they are closed once more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
}

/// The durable record of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The newest fact, merged.
    pub fact: JobFact,
    /// When a fact about it was first received.
    pub first_seen_at: Timestamp,
    /// When it was first received that it is queued: its age counts from here.
    pub queued_at: Option<Timestamp>,
    /// When it was received that it runs.
    pub in_progress_at: Option<Timestamp>,
    /// When it was received that it is over or gone.
    pub ended_at: Option<Timestamp>,
    /// The last change of its status.
    pub changed_at: Timestamp,
    /// The last time GitHub itself was asked, by id or by sweep.
    pub verified_at: Option<Timestamp>,
    /// Stalled, if it is.
    #[serde(rename = "held")]
    pub stalled: Option<Stalled>,
    /// What its author was notified of, if anything.
    #[serde(rename = "told")]
    pub notified: Option<Notified>,
    /// Why it waits, as far as its author is to know; of a queued job.
    #[serde(default)]
    pub waits: Option<WaitReason>,
    /// Tries to notify its author that failed since the last one that did not.
    #[serde(default)]
    pub notify_failed: Option<FailedTries>,
    /// Its machine was interrupted while it ran.
    pub interrupted_at: Option<Timestamp>,
    /// The re-run of its run that the interruption asks for.
    #[serde(default)]
    pub rerun: Option<PendingRerun>,
    /// What it waited for, oldest first; the newest [`Job::WAITS_MAX`]. A time without an entry was the usual way to its runner.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wait_history: Vec<Wait>,
    /// Grows by one with each stored change.
    pub version: u64,
    /// The version of the stored form.
    #[serde(default)]
    pub record_version: RecordVersion<1>,
}

/// What a fact changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    /// Nothing worth a wake-up.
    Nothing,
    /// Details, not the status.
    Details,
    /// The status.
    Status,
}

impl Job {
    /// The record that a first fact makes.
    #[must_use]
    pub fn first(fact: JobFact) -> Self {
        let at = fact.received_at;
        let mut job = Self {
            first_seen_at: at,
            queued_at: None,
            in_progress_at: None,
            ended_at: None,
            changed_at: at,
            verified_at: None,
            stalled: None,
            notified: None,
            waits: None,
            notify_failed: None,
            interrupted_at: None,
            rerun: None,
            wait_history: Vec::new(),
            version: 1,
            record_version: RecordVersion::CURRENT,
            fact,
        };
        job.stamp(at);
        job
    }

    /// GitHub's number.
    #[must_use]
    pub const fn id(&self) -> JobId {
        self.fact.id
    }

    /// Returns the runner that has or had it, whatever the attempt of its registration, if it may be one of ours.
    #[must_use]
    pub fn runner(&self) -> Option<RunnerName> {
        self.fact.runner()
    }

    /// Merges a later-received fact. Order is waiting < queued < in progress < completed: an older state
    /// that arrives late is a no-op, except that a GET may correct anything but completed. A sweep may not: it lists what waits, and a
    /// list may be older than a delivery.
    pub fn merge(&mut self, new: JobFact) -> Merged {
        let (old, at) = (self.fact.status, new.received_at);
        let asked = new.source != FactSource::Delivery;
        if asked {
            self.verified_at = Some(at);
        }
        let may_set_back = new.source == FactSource::Get && old != JobStatus::Completed;
        if old == JobStatus::Completed || (new.status < old && !may_set_back) {
            return Merged::Nothing;
        }
        let status_changed = new.status != old;
        let before = self.fact.clone();
        let keep = &before;
        let mut fact = new;
        // A server or a call that leaves a detail out does not erase what we know.
        fact.delivery = fact.delivery.or_else(|| keep.delivery.clone());
        fact.runner_name = fact.runner_name.filter(|n| !n.is_empty());
        if fact.status >= JobStatus::InProgress {
            fact.runner_name = fact.runner_name.or_else(|| keep.runner_name.clone());
            fact.runner_id = fact.runner_id.or(keep.runner_id);
        }
        fact.created_at = fact.created_at.or(keep.created_at);
        fact.started_at = fact.started_at.or(keep.started_at);
        fact.completed_at = fact.completed_at.or(keep.completed_at);
        fact.conclusion = fact.conclusion.or_else(|| keep.conclusion.clone());
        if fact.run_attempt == 0 {
            fact.run_attempt = keep.run_attempt;
        }
        for (new, old) in
            [(&mut fact.head_sha, &keep.head_sha), (&mut fact.name, &keep.name), (&mut fact.workflow, &keep.workflow)]
        {
            if new.is_empty() {
                new.clone_from(old);
            }
        }
        if fact.owner_kind == OwnerKind::Unknown {
            fact.owner_kind = keep.owner_kind;
        }
        if fact.status == JobStatus::Gone || (fact.labels.is_empty() && !keep.labels.is_empty()) {
            fact.labels.clone_from(&keep.labels);
            fact.labels_cut = keep.labels_cut;
        }
        self.fact = fact;
        if status_changed {
            self.changed_at = at;
            self.stalled = None;
            if self.fact.status < JobStatus::InProgress {
                self.in_progress_at = None;
                self.ended_at = None;
            }
        }
        self.stamp(at);
        let same_but_for_its_way = JobFact {
            received_at: before.received_at,
            source: before.source,
            delivery: before.delivery.clone(),
            ..self.fact.clone()
        };
        if status_changed {
            Merged::Status
        } else if same_but_for_its_way == before {
            Merged::Nothing
        } else {
            Merged::Details
        }
    }

    fn stamp(&mut self, at: Timestamp) {
        match self.fact.status {
            JobStatus::Waiting => {}
            JobStatus::Queued => {
                self.queued_at.get_or_insert(at);
            }
            JobStatus::InProgress => {
                self.in_progress_at.get_or_insert(at);
            }
            JobStatus::Completed | JobStatus::Gone => {
                self.ended_at.get_or_insert(at);
            }
        }
        if self.fact.source != FactSource::Delivery {
            self.verified_at = Some(at);
        }
    }
}
