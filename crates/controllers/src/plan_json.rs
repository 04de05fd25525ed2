//! A plan as JSON, for programs: `runnersmith plan --json` and the dashboard's `/api/plan` show the same fields.

use runnersmith_types::{Plan, ScaleSetName, Timestamp};
use serde::Serialize;

/// What was decided for one scale set. Times are milliseconds since the epoch.
#[derive(Debug, Serialize)]
pub struct PlanJson {
    /// The set's name.
    pub set: String,
    /// When it was planned.
    pub at_ms: i64,
    /// Runners that jobs ask for.
    pub demand: u32,
    /// Runners that can take a job, or will soon.
    pub supply: u32,
    /// The minimum of idle runners at that time.
    pub min_idle: u32,
    /// When the set is planned again without a message; `null`: with the timer.
    pub next_wake_ms: Option<i64>,
    /// What is done, in order.
    pub steps: Vec<PlanStepJson>,
    /// What is not done yet.
    pub waiting: Vec<PlanWaitingJson>,
}

/// One step.
#[derive(Debug, Serialize)]
pub struct PlanStepJson {
    /// The kind of action.
    pub action: &'static str,
    /// What is done, in words.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// What a job, a runner or, if neither is named, the set waits for.
#[derive(Debug, Serialize)]
pub struct PlanWaitingJson {
    /// The job.
    pub job: Option<u64>,
    /// The runner.
    pub runner: Option<String>,
    /// For what, in words.
    pub on: String,
}

impl PlanJson {
    /// Returns a set's plan as it was made at a time.
    #[must_use]
    pub fn of(set: &ScaleSetName, plan: &Plan, at: Timestamp) -> Self {
        let steps = plan.steps.iter().map(|step| PlanStepJson {
            action: step.action.kind(),
            what: step.action.to_string(),
            reason: step.reason.to_string(),
        });
        let waiting = plan.waiting.iter().map(|waiting| PlanWaitingJson {
            job: waiting.job.map(|id| id.0),
            runner: waiting.runner.as_ref().map(ToString::to_string),
            on: waiting.on.to_string(),
        });
        Self {
            set: set.to_string(),
            at_ms: at.as_millis(),
            demand: plan.demand,
            supply: plan.supply,
            min_idle: plan.min_idle,
            next_wake_ms: plan.next_wake.map(Timestamp::as_millis),
            steps: steps.collect(),
            waiting: waiting.collect(),
        }
    }
}
