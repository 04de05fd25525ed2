//! What the pages show, as plain values: made from records here, laid out by templates, which escape everything.

use std::collections::BTreeMap;

use askama::Template;
use runnersmith_controllers::levels::SetLevel;
use runnersmith_controllers::tasks::TaskStatus;
use runnersmith_controllers::why::{JobStory, duration, until, utc};
use runnersmith_ports::LedgerError;
use runnersmith_types::{
    EventKind, HistoryEvent, Job, JobStatus, Runner, RunnerName, RunnerState, Timestamp, WaitingOn,
};
use serde::Serialize;

use crate::WebState;
use crate::fault_row::{FaultRow, fault_row};

/// The most rows of one table; what is beyond is counted.
const ROWS_MAX: usize = 100;
/// Jobs that ended this lately are still shown.
const ENDED_LOOK_BACK: std::time::Duration = std::time::Duration::from_secs(15 * 60);
const ENDED_MAX: usize = 8;
const DECISIONS_MAX: usize = 25;
/// So many lines of failed machines may be between them, as three machines leave in one pass: those are on their runners' pages.
const OUTPUT_READ_MAX: usize = 60;

/// Why a page could not be made.
#[derive(Debug)]
pub(crate) enum ViewError {
    /// The ledger failed.
    Ledger(LedgerError),
    /// A template failed.
    Render(askama::Error),
}

impl std::fmt::Display for ViewError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ledger(error) => error.fmt(f),
            Self::Render(error) => error.fmt(f),
        }
    }
}

impl From<LedgerError> for ViewError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl From<askama::Error> for ViewError {
    fn from(error: askama::Error) -> Self {
        Self::Render(error)
    }
}

fn task_row(task: &TaskStatus, now: Timestamp) -> TaskRow {
    TaskRow {
        name: task.name.clone(),
        purpose: task.purpose.clone(),
        last: task.last_run(now),
        next: task.next_run(now),
        failing: task.is_failing(),
    }
}

#[derive(Template)]
#[template(path = "notice.html")]
pub(crate) struct Notice {
    pub title: String,
    pub text: String,
}

/// One piece of a set's bar, in hundredths of its width.
#[derive(Serialize)]
pub(crate) struct Segment {
    class: &'static str,
    x: f64,
    width: f64,
}

#[derive(Serialize)]
pub(crate) struct SetRow {
    name: String,
    labels: String,
    demand: u32,
    booting: u32,
    idle: u32,
    busy: u32,
    ending: u32,
    alive: u32,
    maximum: u32,
    min_idle: u32,
    seen: String,
    #[serde(skip)]
    bar: Vec<Segment>,
}

#[derive(Serialize)]
pub(crate) struct JobRow {
    id: u64,
    name: String,
    workflow: String,
    repository: String,
    labels: String,
    status: &'static str,
    class: &'static str,
    waits: String,
    since: String,
    runner: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct RunnerRow {
    name: String,
    set: String,
    state: &'static str,
    job: Option<u64>,
    machine: String,
    age: String,
}

#[derive(Serialize)]
pub(crate) struct EventRow {
    at: String,
    clock: String,
    kind: &'static str,
    class: &'static str,
    what: String,
    text: String,
    job: Option<u64>,
    runner: Option<String>,
    since: String,
}

#[derive(Serialize)]
pub(crate) struct TaskRow {
    name: String,
    purpose: String,
    last: String,
    next: String,
    failing: bool,
}

#[derive(Template, Serialize)]
#[template(path = "overview.html")]
pub(crate) struct Overview {
    pub summary: String,
    sets: Vec<SetRow>,
    jobs: Vec<JobRow>,
    jobs_more: usize,
    runners: Vec<RunnerRow>,
    runners_more: usize,
    decisions: Vec<EventRow>,
    faults: Vec<FaultRow>,
    tasks: Vec<TaskRow>,
}

impl Overview {
    /// Reads everything.
    pub(crate) async fn load(web: &WebState) -> Result<Self, ViewError> {
        let now = web.clock.now();
        let levels = web.levels.all();
        let mut waiting = BTreeMap::new();
        for level in levels.values() {
            for entry in &level.plan.waiting {
                if let Some(job) = entry.job {
                    waiting.entry(job).or_insert_with(|| entry.on.clone());
                }
            }
        }
        let mut jobs = web.ledger.open_jobs(Timestamp(i64::MAX)).await?;
        let since = Some(now.minus(ENDED_LOOK_BACK));
        let recent = web.ledger.recent_jobs(ENDED_MAX * 4).await?;
        jobs.extend(recent.into_iter().filter(|job| !job.fact.status.is_open() && job.ended_at >= since));
        jobs.sort_by_key(|job| (order(job.fact.status), job.ended_at.map(|at| -at.0), job.queued_at, job.id()));
        let queued = jobs.iter().filter(|job| job.fact.status == JobStatus::Queued).count();
        let running = jobs.iter().filter(|job| job.fact.status == JobStatus::InProgress).count();
        let open = jobs.iter().filter(|job| job.fact.status.is_open()).count();
        jobs.truncate(open + ENDED_MAX);
        let jobs_more = jobs.len().saturating_sub(ROWS_MAX);
        let jobs = jobs.iter().take(ROWS_MAX).map(|job| job_row(job, waiting.get(&job.id()), now)).collect();
        let mut runners = Vec::new();
        for set in levels.keys() {
            runners.extend(web.ledger.live_runners(set).await?);
        }
        let alive = runners.len();
        let runners_more = alive.saturating_sub(ROWS_MAX);
        let runners = runners.iter().take(ROWS_MAX).map(|runner| runner_row(runner, now)).collect();
        let mut history = web.ledger.recent_history(DECISIONS_MAX + OUTPUT_READ_MAX).await?;
        history.retain(|event| event.what != HistoryEvent::MACHINE_OUTPUT);
        history.truncate(DECISIONS_MAX);
        let own = web.faults.all(&web.tasks.all(), now);
        let mut faults: Vec<FaultRow> = own.iter().map(|fault| fault_row(fault, None, now)).collect();
        let of_sets = levels.iter().flat_map(|(set, level)| level.faults.iter().map(move |fault| (set, fault)));
        faults.extend(of_sets.map(|(set, fault)| fault_row(fault, Some(set), now)));
        let trouble = match faults.len() {
            0 => "no faults".to_owned(),
            1 => "1 fault".to_owned(),
            count => format!("{count} faults"),
        };
        Ok(Self {
            summary: format!(
                "{} waiting, {running} running, {alive} {}, {trouble}",
                count(queued, "job", "jobs"),
                if alive == 1 { "runner" } else { "runners" }
            ),
            sets: levels.values().map(|level| set_row(level, now)).collect(),
            jobs,
            jobs_more,
            runners,
            runners_more,
            decisions: history.iter().map(|event| event_row(event, String::new())).collect(),
            faults,
            tasks: web.tasks.all().iter().map(|task| task_row(task, now)).collect(),
        })
    }

    pub(crate) fn html(&self) -> Result<String, askama::Error> {
        self.render()
    }
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn order(status: JobStatus) -> u8 {
    match status {
        JobStatus::Queued => 0,
        JobStatus::InProgress => 1,
        JobStatus::Waiting => 2,
        JobStatus::Completed | JobStatus::Gone => 3,
    }
}

fn ago(now: Timestamp, at: Timestamp) -> String {
    // Whole seconds: a page that changes by milliseconds would be sent again for nothing.
    duration(std::time::Duration::from_secs(now.since(at).as_secs())).replace(".0 s", " s")
}

fn set_row(level: &SetLevel, now: Timestamp) -> SetRow {
    use RunnerState as S;
    let booting = level.count(&[S::Intended, S::Launching, S::Booting]);
    let (idle, busy) = (level.count(&[S::Idle]), level.count(&[S::Busy]));
    let ending = level.count(&[S::Draining, S::Finished, S::Lost]);
    let whole = f64::from(level.policy.runners_max.max(level.alive()).max(1));
    let mut x = 0.0;
    let bar = [("busy", busy), ("idle", idle), ("booting", booting), ("ending", ending)]
        .into_iter()
        .filter(|(_, runners)| *runners > 0)
        .map(|(class, runners)| {
            let segment = Segment { class, x, width: f64::from(runners) * 100.0 / whole };
            x += segment.width;
            segment
        })
        .collect();
    let labels: Vec<String> = level.policy.labels.iter().map(ToString::to_string).collect();
    SetRow {
        name: level.policy.name.to_string(),
        labels: labels.join(", "),
        demand: level.plan.demand,
        booting,
        idle,
        busy,
        ending,
        alive: level.alive(),
        maximum: level.policy.runners_max,
        min_idle: level.plan.min_idle,
        seen: ago(now, level.at),
        bar,
    }
}

fn on_text(on: &WaitingOn, now: Timestamp) -> String {
    match until(on) {
        Some(until) if until > now => format!("{on} (for another {})", ago(until, now)),
        Some(_) | None => on.to_string(),
    }
}

fn job_row(job: &Job, waiting: Option<&WaitingOn>, now: Timestamp) -> JobRow {
    let status = job.fact.status;
    let runner = job.fact.runner_name.clone();
    let (class, waits, since) = match status {
        JobStatus::Queued => {
            let waits = match (waiting, job.stalled) {
                (Some(on), _) => on_text(on, now),
                (None, Some(stalled)) => on_text(&WaitingOn::Stalled { until: stalled.until }, now),
                (None, None) => "the next pass decides".to_owned(),
            };
            ("queued", waits, job.queued_at)
        }
        JobStatus::Waiting => ("waiting", WaitingOn::Gate.to_string(), Some(job.first_seen_at)),
        JobStatus::InProgress => ("running", String::new(), job.in_progress_at),
        JobStatus::Completed | JobStatus::Gone => {
            let how = job.fact.conclusion.as_ref().map_or("", |conclusion| conclusion.0.as_str());
            (if matches!(how, "success" | "") { "done" } else { "failed" }, how.to_owned(), job.ended_at)
        }
    };
    let labels: Vec<String> = job.fact.labels.iter().map(ToString::to_string).collect();
    JobRow {
        id: job.id().0,
        name: job.fact.name.clone(),
        workflow: job.fact.workflow.clone(),
        repository: job.fact.repo.to_string(),
        labels: labels.join(", "),
        status: status.word(),
        class,
        waits,
        since: since.map(|at| ago(now, at)).unwrap_or_default(),
        runner,
    }
}

fn runner_row(runner: &Runner, now: Timestamp) -> RunnerRow {
    let machine = runner.machine.as_ref().map(ToString::to_string).unwrap_or_default();
    let pool = runner.pool.as_ref().map(ToString::to_string).unwrap_or_default();
    RunnerRow {
        name: runner.name.to_string(),
        set: runner.target.set.to_string(),
        state: runner.state.word(),
        job: runner.job.map(|id| id.0),
        machine: [machine, pool].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", "),
        age: ago(now, runner.intended_at),
    }
}

fn kind(kind: EventKind) -> (&'static str, &'static str) {
    match kind {
        EventKind::Seen => ("seen", "seen"),
        EventKind::Decided => ("decided", "decided"),
        EventKind::Done => ("done", "done"),
        EventKind::Failed => ("failed", "failed"),
        EventKind::Dropped => ("dropped", "waiting"),
    }
}

fn event_row(event: &HistoryEvent, since: String) -> EventRow {
    let (kind, class) = kind(event.kind);
    EventRow {
        at: utc(event.at),
        clock: utc(event.at).chars().skip(11).take(8).collect(),
        kind,
        class,
        what: event.what.replace('_', " "),
        text: event.text.clone(),
        job: event.job.map(|id| id.0),
        runner: event.runner.as_ref().map(ToString::to_string),
        since,
    }
}

fn with_since(history: &[HistoryEvent]) -> Vec<EventRow> {
    let mut before: Option<Timestamp> = None;
    history
        .iter()
        .map(|event| {
            let since = before.replace(event.at).map_or_else(String::new, |before| duration(event.at.since(before)));
            event_row(event, since)
        })
        .collect()
}

pub(crate) struct StageRow {
    word: &'static str,
    text: &'static str,
    took: String,
    x: f64,
    width: f64,
}

#[derive(Template)]
#[template(path = "job.html")]
pub(crate) struct JobView {
    id: u64,
    name: String,
    workflow: String,
    repository: String,
    labels: String,
    status: &'static str,
    class: &'static str,
    runner: Option<String>,
    result: String,
    waited: Option<String>,
    stages: Vec<StageRow>,
    timeline: Vec<EventRow>,
}

impl JobView {
    pub(crate) fn of(why: &JobStory) -> Self {
        let begin = why.stages.iter().map(|stage| stage.from).min().unwrap_or_default();
        let end = why.stages.iter().map(|stage| stage.from.plus(stage.took)).max().unwrap_or_default();
        let whole = end.since(begin).as_secs_f64().max(0.001);
        let stages = why
            .stages
            .iter()
            .map(|stage| StageRow {
                word: stage.name.word(),
                text: stage.name.text(),
                took: duration(stage.took),
                x: stage.from.since(begin).as_secs_f64() * 99.0 / whole,
                width: (stage.took.as_secs_f64() * 99.0 / whole).max(0.5),
            })
            .collect();
        let timeline = why
            .timeline
            .iter()
            .map(|line| {
                let event = HistoryEvent::new(line.at, line.kind, line.what.clone(), line.text.clone());
                event_row(&event, duration(line.since))
            })
            .collect();
        Self {
            id: why.id.0,
            name: why.name.clone(),
            workflow: why.workflow.clone(),
            repository: why.repo.clone(),
            labels: why.labels.join(", "),
            status: why.status,
            class: match why.status {
                "queued" => "queued",
                "in progress" => "running",
                "completed" => "done",
                _ => "waiting",
            },
            runner: why.runner.clone(),
            result: why.sentence.clone(),
            waited: why.waited.clone(),
            stages,
            timeline,
        }
    }
}

pub(crate) struct PlanRow {
    what: String,
    why: String,
}

#[derive(Template)]
#[template(path = "set.html")]
pub(crate) struct SetView {
    set: SetRow,
    group: String,
    ephemeral: bool,
    fallback_order: Vec<String>,
    faults: Vec<FaultRow>,
    steps: Vec<PlanRow>,
    waiting: Vec<PlanRow>,
    runners: Vec<RunnerRow>,
}

impl SetView {
    pub(crate) async fn load(web: &WebState, level: &SetLevel) -> Result<Self, ViewError> {
        let now = web.clock.now();
        let runners = web.ledger.live_runners(&level.policy.name).await?;
        let plan = &level.plan;
        let who = |waiting: &runnersmith_types::Waiting| match (&waiting.job, &waiting.runner) {
            (Some(job), _) => format!("job {job}"),
            (None, Some(runner)) => format!("runner {runner}"),
            (None, None) => "the scale set".to_owned(),
        };
        let steps = plan.steps.iter().take(ROWS_MAX);
        let waiting = plan.waiting.iter().take(ROWS_MAX);
        Ok(Self {
            set: set_row(level, now),
            group: level.policy.group.to_string(),
            ephemeral: level.policy.ephemeral,
            fallback_order: level.policy.fallback_order.pools.iter().map(ToString::to_string).collect(),
            faults: level.faults.iter().map(|fault| fault_row(fault, None, now)).collect(),
            steps: steps.map(|s| PlanRow { what: s.action.to_string(), why: s.reason.to_string() }).collect(),
            waiting: waiting.map(|w| PlanRow { what: who(w), why: on_text(&w.on, now) }).collect(),
            runners: runners.iter().take(ROWS_MAX).map(|runner| runner_row(runner, now)).collect(),
        })
    }
}

#[derive(Template)]
#[template(path = "runner.html")]
pub(crate) struct RunnerView {
    runner: RunnerRow,
    target: String,
    end_reason: Option<String>,
    timeline: Vec<EventRow>,
}

impl RunnerView {
    pub(crate) async fn load(web: &WebState, name: &RunnerName) -> Result<Option<Self>, ViewError> {
        let Some(runner) = web.ledger.runner(name).await? else { return Ok(None) };
        let history = web.ledger.history_of_runner(name, 500).await?;
        Ok(Some(Self {
            runner: runner_row(&runner, web.clock.now()),
            target: runner.target.to_string(),
            end_reason: runner.end_reason.clone(),
            timeline: with_since(&history),
        }))
    }
}
