//! What is counted and timed, for Prometheus.
//!
//! All metrics are in one place so that their names, help texts and labels can be checked and documented together, and
//! so that every label has few values: nothing foreign (a job's name, an unknown event) ever becomes one.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use runnersmith_plan::fault::Fault;
use runnersmith_plan::story::{self, StageName};
use runnersmith_types::{Job, JobStatus, Runner, ScaleSetName};

use crate::levels::SetLevel;
use crate::tasks::TaskStatus;

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;
type Gauges = Family<Labels, Gauge>;
type Seconds = Family<Labels, Gauge<f64, AtomicU64>>;
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// Seconds. Fine where a decision is made, coarse where a machine boots.
const BUCKETS: [f64; 14] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0, 900.0];

const DELIVERIES: &str = "runnersmith_deliveries";
const ACTIONS: &str = "runnersmith_actions";
const GITHUB_CALLS: &str = "runnersmith_github_calls";
const LAUNCHES: &str = "runnersmith_launches";
const LAUNCHED_RUNNERS: &str = "runnersmith_launched_runners";
const BOOT_FAILURES: &str = "runnersmith_boot_failures";
const DEAD_LETTERS: &str = "runnersmith_dead_letters";
const DEMAND: &str = "runnersmith_demand";
const SUPPLY: &str = "runnersmith_supply";
const MIN_IDLE: &str = "runnersmith_min_idle";
const MAXIMUM: &str = "runnersmith_runners_max";
const RUNNERS: &str = "runnersmith_runners";
const WAITING: &str = "runnersmith_jobs_waiting";
const STAGE: &str = "runnersmith_stage_seconds";
const TASK_RUNS: &str = "runnersmith_task_runs";
const TASK_FAILING: &str = "runnersmith_task_failing";
const TASK_LAST_RUN: &str = "runnersmith_task_last_run_timestamp_seconds";
const TASK_DURATION: &str = "runnersmith_task_duration_seconds";
const FAULTS: &str = "runnersmith_faults";

/// The table of all metrics. A counter's samples carry `_total` after its name.
const REFERENCE: [(&str, &str, &str); 19] = [
    (DELIVERIES, "counter", "Webhook deliveries by event and by the HTTP status of our answer"),
    (ACTIONS, "counter", "Executed actions by kind and outcome (done, put_off, failed)"),
    (GITHUB_CALLS, "counter", "Calls to GitHub by operation and by what came of them"),
    (LAUNCHES, "counter", "Launch calls by scale set, each for one or more machines"),
    (LAUNCHED_RUNNERS, "counter", "Runners in launch calls by scale set"),
    (BOOT_FAILURES, "counter", "Machines whose runner was never seen online, by scale set"),
    (DEAD_LETTERS, "counter", "Messages that could not be read and were set aside"),
    (DEMAND, "gauge", "Jobs that want a runner of the scale set, at its last pass"),
    (SUPPLY, "gauge", "Runners of the scale set that are idle or on their way, at its last pass"),
    (MIN_IDLE, "gauge", "Idle runners that the schedule asks for now"),
    (MAXIMUM, "gauge", "The most runners that the scale set may have alive"),
    (RUNNERS, "gauge", "Alive runners by scale set and state"),
    (WAITING, "gauge", "Jobs for which nothing is done, by scale set and reason"),
    (
        STAGE,
        "histogram",
        "Seconds per stage of a job's way to its runner: delivery, github_queue, decision, launch, boot, register, assign, total",
    ),
    (TASK_RUNS, "gauge", "Runs of each background task since the start of the process"),
    (TASK_FAILING, "gauge", "1 when the last run of a background task failed or panicked"),
    (TASK_LAST_RUN, "gauge", "When the last run of a background task began"),
    (TASK_DURATION, "gauge", "How long the last run of a background task took"),
    (FAULTS, "gauge", "What is wrong now, by kind, as `runnersmith status` lists it"),
];

/// (name, kind, help) of every metric, for the generated documentation.
#[must_use]
pub fn reference() -> Vec<(&'static str, &'static str, &'static str)> {
    REFERENCE.to_vec()
}

fn help(name: &str) -> &'static str {
    REFERENCE.iter().find(|(known, ..)| *known == name).map_or("", |(_, _, help)| help)
}

/// Events that get a label of their own; all others are `other`, so that a caller cannot invent time series.
const EVENTS: [&str; 8] = [
    "workflow_job",
    "check_run",
    "workflow_run",
    "installation",
    "installation_repositories",
    "ping",
    "push",
    "issue_comment",
];

/// All metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    deliveries: Counters,
    actions: Counters,
    github_calls: Counters,
    launches: Counters,
    launched_runners: Counters,
    boot_failures: Counters,
    dead_letters: Counter,
    demand: Gauges,
    supply: Gauges,
    min_idle: Gauges,
    maximum: Gauges,
    runners: Gauges,
    waiting: Gauges,
    stage: Histograms,
    task_runs: Gauges,
    task_failing: Gauges,
    task_last_run: Seconds,
    task_duration: Seconds,
    faults: Gauges,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn register<M: Metric + Clone>(registry: &mut Registry, name: &'static str, metric: M) -> M {
    registry.register(name, help(name), metric.clone());
    metric
}

fn set_label(set: &ScaleSetName) -> Labels {
    vec![("set", set.to_string())]
}

impl Metrics {
    /// All metrics at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let r = &mut registry;
        let stages: fn() -> Histogram = || Histogram::new(BUCKETS);
        Self {
            deliveries: register(r, DELIVERIES, Counters::default()),
            actions: register(r, ACTIONS, Counters::default()),
            github_calls: register(r, GITHUB_CALLS, Counters::default()),
            launches: register(r, LAUNCHES, Counters::default()),
            launched_runners: register(r, LAUNCHED_RUNNERS, Counters::default()),
            boot_failures: register(r, BOOT_FAILURES, Counters::default()),
            dead_letters: register(r, DEAD_LETTERS, Counter::default()),
            demand: register(r, DEMAND, Gauges::default()),
            supply: register(r, SUPPLY, Gauges::default()),
            min_idle: register(r, MIN_IDLE, Gauges::default()),
            maximum: register(r, MAXIMUM, Gauges::default()),
            runners: register(r, RUNNERS, Gauges::default()),
            waiting: register(r, WAITING, Gauges::default()),
            stage: register(r, STAGE, Histograms::new_with_constructor(stages)),
            task_runs: register(r, TASK_RUNS, Gauges::default()),
            task_failing: register(r, TASK_FAILING, Gauges::default()),
            task_last_run: register(r, TASK_LAST_RUN, Seconds::default()),
            task_duration: register(r, TASK_DURATION, Seconds::default()),
            faults: register(r, FAULTS, Gauges::default()),
            registry,
        }
    }

    /// A delivery was answered with an HTTP status.
    pub fn delivery(&self, event: &str, answer: u16) {
        let event = EVENTS.iter().find(|known| **known == event).copied().unwrap_or("other");
        self.deliveries.get_or_create(&vec![("event", event.to_owned()), ("answer", answer.to_string())]).inc();
    }

    /// An action was executed.
    pub fn action(&self, kind: &'static str, outcome: &'static str) {
        self.actions.get_or_create(&vec![("kind", kind.to_owned()), ("outcome", outcome.to_owned())]).inc();
    }

    /// GitHub was called and answered with this status; 0: it did not answer.
    pub fn github_call(&self, operation: &'static str, status: u16) {
        self.github_calls
            .get_or_create(&vec![("operation", operation.to_owned()), ("status", status.to_string())])
            .inc();
    }

    /// A launch call for so many runners is about to be made.
    pub fn launch_called(&self, set: &ScaleSetName, runners: usize) {
        self.launches.get_or_create(&set_label(set)).inc();
        self.launched_runners.get_or_create(&set_label(set)).inc_by(u64::try_from(runners).unwrap_or(u64::MAX));
    }

    /// A machine's runner was never seen online.
    pub fn boot_failed(&self, set: &ScaleSetName) {
        self.boot_failures.get_or_create(&set_label(set)).inc();
    }

    /// A message was set aside.
    pub fn dead_letter(&self) {
        self.dead_letters.inc();
    }

    /// A job changed its status: when it begins to run, the stages of its way are measured, once.
    pub fn job_moved(&self, job: &Job, runner: Option<&Runner>) {
        if job.fact.status != JobStatus::InProgress {
            return;
        }
        for stage in story::stages(job, runner) {
            if stage.name != StageName::Run {
                self.stage_took(stage.name.word(), stage.took);
            }
        }
        let begun = job.fact.created_at.unwrap_or(job.first_seen_at);
        if let Some(running) = job.in_progress_at {
            self.stage_took("total", running.since(begun));
        }
    }

    /// A stage took so long.
    pub fn stage_took(&self, stage: &'static str, took: Duration) {
        self.stage.get_or_create(&vec![("stage", stage.to_owned())]).observe(took.as_secs_f64());
    }

    /// Takes the gauges from what the last passes saw. Done when metrics are read, so that they never disagree with the pages.
    pub fn levels<'a>(&self, levels: impl IntoIterator<Item = &'a SetLevel>) {
        // A set that is gone has no gauge any more.
        for gauges in [&self.demand, &self.supply, &self.min_idle, &self.maximum, &self.runners, &self.waiting] {
            gauges.clear();
        }
        for level in levels {
            let name = &level.policy.name;
            let put = |gauges: &Gauges, value: u32| {
                gauges.get_or_create(&set_label(name)).set(i64::from(value));
            };
            put(&self.demand, level.plan.demand);
            put(&self.supply, level.plan.supply);
            put(&self.min_idle, level.plan.min_idle);
            put(&self.maximum, level.policy.runners_max);
            for (state, count) in &level.runners_by_state {
                let labels = vec![("set", name.to_string()), ("state", (*state).to_owned())];
                self.runners.get_or_create(&labels).set(i64::from(*count));
            }
            let mut reasons: BTreeMap<&'static str, i64> = BTreeMap::new();
            for waiting in level.plan.waiting.iter().filter(|waiting| waiting.job.is_some()) {
                *reasons.entry(waiting.on.word()).or_default() += 1;
            }
            for (reason, count) in reasons {
                let labels = vec![("set", name.to_string()), ("reason", reason.to_owned())];
                self.waiting.get_or_create(&labels).set(count);
            }
        }
    }

    /// Takes the gauges of background tasks; done when metrics are read.
    pub fn tasks(&self, tasks: &[TaskStatus]) {
        self.task_runs.clear();
        self.task_failing.clear();
        self.task_last_run.clear();
        self.task_duration.clear();
        for task in tasks {
            let labels = vec![("task", task.name.clone())];
            self.task_runs.get_or_create(&labels).set(i64::try_from(task.runs).unwrap_or(i64::MAX));
            self.task_failing.get_or_create(&labels).set(i64::from(task.is_failing()));
            if let Some(begun) = task.started_at {
                self.task_last_run.get_or_create(&labels).set(millis_to_seconds(begun.as_millis()));
            }
            if let Some(took) = task.took_ms {
                self.task_duration.get_or_create(&labels).set(Duration::from_millis(took).as_secs_f64());
            }
        }
    }

    /// Takes the gauge of faults; done when metrics are read.
    pub fn faults<'a>(&self, faults: impl IntoIterator<Item = &'a Fault>) {
        self.faults.clear();
        for fault in faults {
            self.faults.get_or_create(&vec![("kind", fault.kind.word().to_owned())]).inc();
        }
    }

    /// Everything, as OpenMetrics text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        if encode(&mut text, &self.registry).is_err() {
            tracing::error!("metrics could not be encoded");
        }
        text
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of centuries are exact")]
fn millis_to_seconds(millis: i64) -> f64 {
    millis as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_in_the_table_is_encoded_with_its_help_and_ends_as_openmetrics_asks() {
        let metrics = Metrics::new();
        metrics.delivery("workflow_job", 202);
        metrics.action("launch", "done");
        metrics.github_call("jit_config", 201);
        metrics.dead_letter();
        metrics.stage_took("boot", Duration::from_secs(3));
        let text = metrics.encode();
        for (name, kind, help) in reference() {
            if text.contains(&format!("# TYPE {name} ")) {
                assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}: {text}");
                assert!(text.contains(&format!("# HELP {name} {help}.\n")), "{name}: {text}");
            }
        }
        assert!(text.contains("runnersmith_deliveries_total{event=\"workflow_job\",answer=\"202\"} 1\n"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn a_set_that_is_gone_has_no_gauge_any_more() {
        let metrics = Metrics::new();
        let set = ScaleSetName::parse("linux").unwrap();
        let labels = [runnersmith_types::Label::of_set("linux").unwrap()].into();
        let policy = runnersmith_types::ScaleSet::new(set, labels);
        let level = SetLevel::of_plan(&policy, &runnersmith_types::Plan::default(), runnersmith_types::Timestamp(0));
        metrics.levels([&level]);
        assert!(metrics.encode().contains(r#"runnersmith_runners_max{set="linux"}"#), "{}", metrics.encode());
        metrics.levels([]);
        assert!(!metrics.encode().contains("linux"), "{}", metrics.encode());
    }

    #[test]
    fn background_tasks_are_gauges() {
        let (metrics, tasks) = (Metrics::new(), std::sync::Arc::new(crate::tasks::Tasks::default()));
        let now = runnersmith_types::Timestamp::from_millis(1_800_000_000_500);
        let task = tasks.register("sweep", "finds jobs", None);
        task.begin(now);
        task.end(now.plus(Duration::from_millis(1_500)), Err("GitHub is down".into()));
        metrics.tasks(&tasks.all());
        let text = metrics.encode();
        for line in [
            r#"runnersmith_task_runs{task="sweep"} 1"#,
            r#"runnersmith_task_failing{task="sweep"} 1"#,
            r#"runnersmith_task_last_run_timestamp_seconds{task="sweep"} 1800000000.5"#,
            r#"runnersmith_task_duration_seconds{task="sweep"} 1.5"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn faults_are_counted_by_kind_and_are_gone_when_they_are_over() {
        use runnersmith_plan::fault::FaultKind;
        let metrics = Metrics::new();
        let fault = |about: &str| Fault::new(FaultKind::Capacity, about, "no capacity", Default::default());
        metrics.faults(&[fault("linux"), fault("gpu")]);
        let text = metrics.encode();
        assert!(text.contains(r#"runnersmith_faults{kind="capacity"} 2"#), "{text}");
        metrics.faults(&[]);
        assert!(!metrics.encode().contains(r#"kind="capacity""#));
    }

    #[test]
    fn an_unknown_event_makes_no_time_series_of_its_own() {
        let metrics = Metrics::new();
        metrics.delivery("evil\"}\n", 401);
        metrics.delivery("another", 401);
        let text = metrics.encode();
        assert!(text.contains("event=\"other\",answer=\"401\"} 2"), "{text}");
        assert!(!text.contains("evil"), "{text}");
    }
}
