//! Why a job runs, waits or failed: one sentence, the stages of its way, and everything that was recorded about it.
//!
//! It is here, apart from what loads it and from the pages that show it, because it is a function of the records alone; so the
//! command line, the dashboard and the metrics give the same story with the same numbers.

use std::fmt;
use std::time::Duration;

use crate::fault::FaultKind;
pub use crate::words::{duration, escaped, utc, utc_seconds};
use runnersmith_types::{EventKind, HistoryEvent, Job, JobId, JobStatus, Runner, Timestamp, Wait, WaitingOn};

/// A part of a job's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StageName {
    /// GitHub created the job → our first news of it.
    Delivery,
    /// Our first news of it → the news that it is queued: GitHub itself held it back (an approval, a concurrency group).
    GithubQueue,
    /// Queued → its runner was intended.
    Decision,
    /// Intended → its machine was known.
    Launch,
    /// Machine known → its runner's configuration was handed over.
    Boot,
    /// Handed over → seen online.
    Register,
    /// Online → the job runs on it.
    Assign,
    /// The job runs.
    Run,
}

impl StageName {
    /// A stable word, as in metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::GithubQueue => "github_queue",
            Self::Decision => "decision",
            Self::Launch => "launch",
            Self::Boot => "boot",
            Self::Register => "register",
            Self::Assign => "assign",
            Self::Run => "run",
        }
    }
    /// What happens in it, for people.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Delivery => "GitHub reported it",
            Self::GithubQueue => "waiting at GitHub",
            Self::Decision => "a runner was decided on",
            Self::Launch => "its machine was launched",
            Self::Boot => "the machine got its configuration",
            Self::Register => "the runner came online",
            Self::Assign => "GitHub assigned the job",
            Self::Run => "the job ran",
        }
    }
}

/// A part of a job's way and how long it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobStage {
    /// Which.
    pub name: StageName,
    /// Its begin.
    pub from: Timestamp,
    /// How long.
    pub took: Duration,
}

/// One line of the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineEntry {
    /// When.
    pub at: Timestamp,
    /// Since the line before; zero for the first.
    pub since: Duration,
    /// What kind of thing.
    pub kind: EventKind,
    /// A stable word.
    pub what: String,
    /// For people. May hold foreign text: anyone who shows it escapes it.
    pub text: String,
}

/// The whole story of one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobStory {
    /// The job.
    pub id: JobId,
    /// `owner/name` of its repository; empty when only a dropped delivery named the job.
    pub repo: String,
    /// Its name.
    pub name: String,
    /// Its workflow's name.
    pub workflow: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// Where it stands, in a word.
    pub status: &'static str,
    /// The runner that has or had it.
    pub runner: Option<String>,
    /// One sentence.
    pub sentence: String,
    /// What it waited for, and how long, when that is over and was not the usual way to its runner: `waited 2 min 10 s: …, then …`.
    pub waited: Option<String>,
    /// The stages that are over, in order.
    pub stages: Vec<JobStage>,
    /// Everything, oldest first.
    pub timeline: Vec<TimelineEntry>,
}

impl JobStory {
    /// The story of a job from its record, its runner's record, the history, and what the last plan said of it.
    #[must_use]
    pub fn of(job: &Job, runner: Option<&Runner>, history: &[HistoryEvent], waiting: Option<&WaitingOn>) -> Self {
        let fact = &job.fact;
        Self {
            id: job.id(),
            repo: fact.repo.to_string(),
            name: fact.name.clone(),
            workflow: fact.workflow.clone(),
            labels: fact.labels.iter().map(ToString::to_string).collect(),
            status: fact.status.word(),
            runner: fact.runner_name.clone().or_else(|| runner.map(|runner| runner.name.to_string())),
            sentence: sentence(job, history, waiting),
            waited: waited_words(job),
            stages: stages(job, runner),
            timeline: timeline(job, runner, history),
        }
    }

    /// The story of a job whose deliveries were not used: there is no record of it but that.
    #[must_use]
    pub fn dropped(id: JobId, history: &[HistoryEvent]) -> Option<Self> {
        let last = history.iter().rev().find(|event| event.kind == EventKind::Dropped)?;
        Some(Self {
            id,
            repo: String::new(),
            name: String::new(),
            workflow: String::new(),
            labels: Vec::new(),
            status: "dropped",
            runner: None,
            sentence: format!(
                "a delivery for this job came at {} and was not used: {}",
                utc_seconds(last.at),
                last.text
            ),
            waited: None,
            stages: Vec::new(),
            timeline: lines(history.iter().map(line).collect()),
        })
    }
}

/// The stages of a job's way that are over. A stage that ended before the job was queued is not part of its way (its
/// runner was there already), and one that began before counts from then.
#[must_use]
pub fn stages(job: &Job, runner: Option<&Runner>) -> Vec<JobStage> {
    let mut stages = Vec::new();
    let mut add = |name, from: Option<Timestamp>, to: Option<Timestamp>| {
        if let (Some(from), Some(to)) = (from, to)
            && to >= from
        {
            stages.push(JobStage { name, from, took: to.since(from) });
        }
    };
    add(StageName::Delivery, job.fact.created_at, Some(job.first_seen_at));
    if job.queued_at > Some(job.first_seen_at) {
        add(StageName::GithubQueue, Some(job.first_seen_at), job.queued_at);
    }
    // Where the delivery that said "queued" was lost, the way begins with the first one that came.
    let begun = job.queued_at.unwrap_or(job.first_seen_at);
    let clip = |at: Option<Timestamp>| at.map(|at| at.max(begun));
    // The delivery of the start is often quicker than our own look at the runner: then it was online at the latest by then.
    let online = runner.and_then(|runner| runner.online_at).or(job.in_progress_at);
    if let Some(runner) = runner {
        add(StageName::Decision, Some(begun), Some(runner.intended_at));
        for (name, from, to) in [
            (StageName::Launch, Some(runner.intended_at), runner.machine_at),
            (StageName::Boot, runner.machine_at, runner.handed_at.or(online)),
            (StageName::Register, runner.handed_at, online),
        ] {
            add(name, clip(from), to);
        }
    }
    let ready = if runner.is_some() { clip(online) } else { job.queued_at };
    add(StageName::Assign, ready.min(job.in_progress_at), job.in_progress_at);
    add(StageName::Run, job.in_progress_at, job.ended_at);
    stages
}

/// Returns where a job stands and why, in one sentence: by its record, what happened to it, and what the last plan said of it.
#[must_use]
pub fn sentence(job: &Job, history: &[HistoryEvent], waiting: Option<&WaitingOn>) -> String {
    let on = job.fact.runner_name.as_deref().map(|name| format!(" on {}", name.escape_debug())).unwrap_or_default();
    match job.fact.status {
        JobStatus::Completed => {
            let how = job.fact.conclusion.as_ref().map_or("unknown", |conclusion| conclusion.0.as_str()).escape_debug();
            let lost = if job.interrupted_at.is_some() { "; its machine was interrupted while it ran" } else { "" };
            format!("completed{on}: {how}{lost}")
        }
        JobStatus::Gone => "gone: GitHub does not know the job any more".to_owned(),
        JobStatus::InProgress => {
            let lost = if job.interrupted_at.is_some() { ", but its machine was interrupted" } else { "" };
            format!("running{on}{lost}")
        }
        JobStatus::Waiting => waits_words(&WaitingOn::Gate),
        JobStatus::Queued => queued_sentence(job, history, waiting),
    }
}

fn queued_sentence(job: &Job, history: &[HistoryEvent], waiting: Option<&WaitingOn>) -> String {
    let text = match (waiting, job.stalled) {
        (Some(on), _) => waits_words(on),
        (None, Some(stalled)) => waits_words(&WaitingOn::Stalled { until: stalled.until }),
        (None, None) => match (&job.waits, &job.notified) {
            (Some(reason), _) => format!("waits: {}", reason.text),
            (None, Some(notified)) => format!("waits: {}", notified.text),
            (None, None) => "queued: the next pass over its scale set decides".to_owned(),
        },
    };
    match history.last() {
        Some(last) if last.kind == EventKind::Failed => format!("{text}; failed last: {} ({})", last.what, last.text),
        Some(_) | None => text,
    }
}

/// What a job that waits no more has waited for. Waits of no length are left out.
fn waited_words(job: &Job) -> Option<String> {
    let over = job.in_progress_at.or(job.ended_at)?;
    let waits = job.waited(over).into_iter().filter(|waited| !waited.took.is_zero());
    let parts: Vec<String> =
        waits.map(|waited| format!("{}: {}", duration(waited.took), escaped(&waited.wait.text))).collect();
    (!parts.is_empty()).then(|| format!("waited {}", parts.join(", then ")))
}

/// What is waited for, until when or when it is tried again, and what somebody can do about it.
fn waits_words(on: &WaitingOn) -> String {
    let time = match (until(on), on) {
        (None, _) => String::new(),
        (Some(until), WaitingOn::Delay { .. } | WaitingOn::Grace { .. }) => format!(" (until {})", utc(until)),
        (Some(until), WaitingOn::Overdue { .. }) => format!(" (it is asked again at {})", utc(until)),
        (Some(until), WaitingOn::Breaker { .. }) => format!(" (the next probe at {})", utc(until)),
        (Some(until), _) => format!(" (tried again at {})", utc(until)),
    };
    let fix = fix(on).map(|fix| format!("; {fix}")).unwrap_or_default();
    format!("waits: {on}{time}{fix}")
}

/// What somebody can do about a wait; `None` where waiting is all there is.
#[must_use]
pub const fn fix(on: &WaitingOn) -> Option<&'static str> {
    match on {
        WaitingOn::Stalled { .. } => {
            Some("if it is not max-parallel, let the scale set's runner group have the repository")
        }
        WaitingOn::Overdue { .. } => Some("run it again if GitHub does not end it"),
        WaitingOn::NoSet { .. } => Some("correct the job's `runs-on`, or give a scale set its labels"),
        WaitingOn::Capacity { is_quota: true, .. } => Some(FaultKind::Quota.fix()),
        WaitingOn::Capacity { is_quota: false, .. } => Some(FaultKind::Capacity.fix()),
        WaitingOn::Breaker { .. } => Some(FaultKind::BootFailures.fix()),
        WaitingOn::HandOff { trouble, .. } => Some(FaultKind::of_hand_offs(*trouble).fix()),
        WaitingOn::Delay { .. }
        | WaitingOn::Runner { .. }
        | WaitingOn::Maximum { .. }
        | WaitingOn::Gate
        | WaitingOn::Budget { .. }
        | WaitingOn::UnknownSource { .. }
        | WaitingOn::MinIdle
        | WaitingOn::Grace { .. } => None,
    }
}

/// When a wait ends at the earliest, if that is known.
#[must_use]
pub const fn until(on: &WaitingOn) -> Option<Timestamp> {
    match on {
        WaitingOn::Delay { until }
        | WaitingOn::Stalled { until }
        | WaitingOn::Overdue { until }
        | WaitingOn::Capacity { until, .. }
        | WaitingOn::Budget { until }
        | WaitingOn::HandOff { until, .. }
        | WaitingOn::Grace { until, .. } => Some(*until),
        WaitingOn::Breaker { probe_at, .. } => Some(*probe_at),
        WaitingOn::Runner { .. }
        | WaitingOn::Maximum { .. }
        | WaitingOn::Gate
        | WaitingOn::NoSet { .. }
        | WaitingOn::UnknownSource { .. }
        | WaitingOn::MinIdle => None,
    }
}

fn line(event: &HistoryEvent) -> TimelineEntry {
    TimelineEntry {
        at: event.at,
        since: Duration::ZERO,
        kind: event.kind,
        what: event.what.clone(),
        text: event.text.clone(),
    }
}

fn lines(mut lines: Vec<TimelineEntry>) -> Vec<TimelineEntry> {
    lines.sort_by_key(|line| line.at);
    let mut before = None;
    for line in &mut lines {
        line.since = before.map_or(Duration::ZERO, |before| line.at.since(before));
        before = Some(line.at);
    }
    lines
}

/// History, and from the records what history does not say (it may be pruned, or a delivery may have been lost).
fn timeline(job: &Job, runner: Option<&Runner>, history: &[HistoryEvent]) -> Vec<TimelineEntry> {
    let mut all: Vec<TimelineEntry> = history.iter().map(line).collect();
    for wait in job.wait_history.iter().filter(|wait| wait.on != Wait::RUNNER) {
        all.push(TimelineEntry {
            at: wait.at,
            since: Duration::ZERO,
            kind: EventKind::Decided,
            what: "waits".into(),
            text: wait.text.clone(),
        });
    }
    let mut add = |at: Option<Timestamp>, what: &str, known_as: &[&str], text: String| {
        let known = history.iter().any(|event| event.what == what || known_as.contains(&event.what.as_str()));
        if let Some(at) = at
            && !known
        {
            all.push(TimelineEntry { at, since: Duration::ZERO, kind: EventKind::Seen, what: what.to_owned(), text });
        }
    };
    add(job.fact.created_at, "created", &[], "GitHub created the job".into());
    add(job.queued_at, "queued", &[], "GitHub reported that it is queued".into());
    if let Some(runner) = runner {
        let name = &runner.name;
        add(Some(runner.intended_at), "intend", &[], format!("runner {name} was intended"));
        let machine = runner.machine.as_ref().map(|machine| format!(" {machine}")).unwrap_or_default();
        let pool = runner.pool.as_ref().map(|pool| format!(", {pool}")).unwrap_or_default();
        add(runner.machine_at, "machine", &[], format!("its machine{machine} is known{pool}"));
        add(runner.handed_at, "hand_off", &["handed_off"], "the runner's configuration was handed over".into());
        add(runner.online_at, "online", &["idle", "busy"], format!("runner {name} was seen online"));
        add(runner.gone_at, "runner_gone", &["gone"], format!("nothing is left of runner {name}"));
    }
    add(job.in_progress_at, "in progress", &[], "GitHub reported that it runs".into());
    add(job.interrupted_at, "interrupted", &[], "its machine was interrupted".into());
    add(
        job.notified.as_ref().map(|notified| notified.at),
        "tell",
        &[],
        "its author was notified by a check run".into(),
    );
    add(job.ended_at, "completed", &["gone"], "GitHub reported that it is over".into());
    lines(all)
}

impl fmt::Display for JobStory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Foreign text is escaped: a terminal obeys control characters.
        write!(f, "job {}", self.id)?;
        if !self.repo.is_empty() {
            write!(f, "  {}  {} / {}", self.repo, escaped(&self.workflow), escaped(&self.name))?;
        }
        writeln!(f, "\n{}", self.sentence)?;
        if let Some(waited) = &self.waited {
            writeln!(f, "{waited}")?;
        }
        if !self.stages.is_empty() {
            writeln!(f)?;
        }
        for stage in &self.stages {
            writeln!(f, "  {:<13}{:>10}  {}", stage.name.word(), duration(stage.took), stage.name.text())?;
        }
        if !self.timeline.is_empty() {
            writeln!(f)?;
        }
        let width = self.timeline.iter().map(|line| line.what.chars().count()).max().unwrap_or(0).min(24);
        for line in &self.timeline {
            let since = format!("+{}", duration(line.since));
            let (what, text) = (escaped(&line.what), escaped(&line.text));
            writeln!(f, "  {}  {since:>10}  {what:<width$}  {text}", utc(line.at))?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "story_tests.rs"]
mod tests;
