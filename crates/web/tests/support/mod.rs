//! A small world to look at: a ledger that only reads, and a webhook handler that answers as the signature says.
#![allow(dead_code, clippy::unwrap_used, reason = "each test program uses its own part, and fails by unwrapping")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use runnersmith_controllers::faults::{Fault, FaultKind};
use runnersmith_controllers::levels::{Levels, SetLevel};
use runnersmith_controllers::metrics::Metrics;
use runnersmith_ports::Clock;
use runnersmith_ports::ledger::{HistoryLedger, JobLedger, Lease, LedgerError, Recorded, RunnerLedger};
use runnersmith_types::{
    Action, Batch, BatchId, Conclusion, ControlPlaneId, EventKind, FactSource, FallbackOrder, HistoryEvent, Intent,
    Job, JobFact, JobId, JobStatus, JobUpdate, Label, MachineId, Owner, Plan, PlanStep, Reason, RecordAction,
    RepoFullName, RunId, Runner, RunnerGroupName, RunnerName, RunnerScope, RunnerState, RunnerUpdate, ScaleSet,
    ScaleSetName, Scope, Secret, Stalled, Target, Timestamp, Waiting, WaitingOn, WebhookPath,
};
use runnersmith_web::{Answer, DeliveryHandler, RawDelivery, Readiness, WebState};

pub const NOW: i64 = 1_790_000_000;

/// What the ledger shows. `broken` makes every read fail.
#[derive(Default)]
pub struct Shown {
    pub jobs: Vec<Job>,
    pub runners: Vec<Runner>,
    pub history: Vec<HistoryEvent>,
    pub broken: bool,
}

#[derive(Default)]
pub struct FakeLedger(pub Mutex<Shown>);

fn not_here<T>(operation: &'static str) -> Result<T, LedgerError> {
    Err(LedgerError::Full { operation })
}

impl FakeLedger {
    fn read<T>(&self, get: impl FnOnce(&Shown) -> T) -> Result<T, LedgerError> {
        let shown = self.0.lock().unwrap();
        if shown.broken { not_here("read") } else { Ok(get(&shown)) }
    }
}

#[async_trait]
impl JobLedger for FakeLedger {
    async fn record_facts(&self, _: Vec<JobFact>, _: &[ScaleSetName]) -> Result<Vec<Recorded>, LedgerError> {
        not_here("record_facts")
    }
    async fn job(&self, id: JobId) -> Result<Option<Job>, LedgerError> {
        self.read(|shown| shown.jobs.iter().find(|job| job.id() == id).cloned())
    }
    async fn open_jobs(&self, since: Timestamp) -> Result<Vec<Job>, LedgerError> {
        self.read(|shown| {
            let wanted = |job: &&Job| job.fact.status.is_open() || job.ended_at >= Some(since);
            shown.jobs.iter().filter(wanted).cloned().collect()
        })
    }
    async fn recent_jobs(&self, _: usize) -> Result<Vec<Job>, LedgerError> {
        self.read(|shown| shown.jobs.clone())
    }
    async fn jobs_before(&self, before: Timestamp, _: usize) -> Result<Vec<Job>, LedgerError> {
        self.read(|shown| shown.jobs.iter().filter(|job| job.first_seen_at < before).cloned().collect())
    }
    async fn stall_job(&self, _: JobId, _: Stalled) -> Result<bool, LedgerError> {
        not_here("hold_job")
    }
    async fn update_jobs(&self, _: Vec<(JobId, JobUpdate)>) -> Result<Vec<JobId>, LedgerError> {
        not_here("update_jobs")
    }
    async fn rerun(&self, _: &RepoFullName, _: RunId) -> Result<bool, LedgerError> {
        not_here("rerun")
    }
    async fn reruns(&self) -> Result<Vec<(RepoFullName, RunId)>, LedgerError> {
        not_here("reruns")
    }
}

#[async_trait]
impl RunnerLedger for FakeLedger {
    async fn control_plane(&self) -> Result<ControlPlaneId, LedgerError> {
        not_here("control_plane")
    }
    async fn next_serial(&self) -> Result<u64, LedgerError> {
        not_here("next_serial")
    }
    async fn intend(&self, _: &Lease, _: Vec<Intent>, _: bool, _: u32) -> Result<(), LedgerError> {
        not_here("intend")
    }
    async fn store_batch(&self, _: &Lease, _: Batch) -> Result<(), LedgerError> {
        not_here("store_batch")
    }
    async fn batch(&self, _: &BatchId) -> Result<Option<Batch>, LedgerError> {
        not_here("batch")
    }
    async fn open_batches(&self, _: &ScaleSetName) -> Result<Vec<Batch>, LedgerError> {
        not_here("open_batches")
    }
    async fn complete_batch(
        &self,
        _: &Lease,
        _: &BatchId,
        _: Vec<(RunnerName, RunnerUpdate)>,
    ) -> Result<(), LedgerError> {
        not_here("complete_batch")
    }
    async fn update(&self, _: &Lease, _: Vec<(RunnerName, RunnerUpdate)>) -> Result<Vec<Runner>, LedgerError> {
        not_here("mark")
    }
    async fn live_runners(&self, set: &ScaleSetName) -> Result<Vec<Runner>, LedgerError> {
        self.read(|shown| shown.runners.iter().filter(|runner| &runner.target.set == set).cloned().collect())
    }
    async fn counts(&self) -> Result<Vec<(ScaleSetName, u32, u32)>, LedgerError> {
        not_here("counts")
    }
    async fn runner(&self, name: &RunnerName) -> Result<Option<Runner>, LedgerError> {
        self.read(|shown| shown.runners.iter().find(|runner| &runner.name == name).cloned())
    }
    async fn recent_runners(&self, _: usize) -> Result<Vec<Runner>, LedgerError> {
        not_here("recent_runners")
    }
}

#[async_trait]
impl HistoryLedger for FakeLedger {
    async fn append(&self, _: Vec<HistoryEvent>) -> Result<(), LedgerError> {
        not_here("append")
    }
    async fn history_of_job(&self, job: JobId, _: usize) -> Result<Vec<HistoryEvent>, LedgerError> {
        self.read(|shown| shown.history.iter().filter(|event| event.job == Some(job)).cloned().collect())
    }
    async fn history_of_runner(&self, runner: &RunnerName, _: usize) -> Result<Vec<HistoryEvent>, LedgerError> {
        self.read(|shown| shown.history.iter().filter(|event| event.runner.as_ref() == Some(runner)).cloned().collect())
    }
    async fn recent_history(&self, limit: usize) -> Result<Vec<HistoryEvent>, LedgerError> {
        self.read(|shown| shown.history.iter().rev().take(limit).cloned().collect())
    }
    async fn ping(&self) -> Result<(), LedgerError> {
        not_here("ping")
    }
    async fn prune(&self, _: Timestamp, _: usize) -> Result<u64, LedgerError> {
        not_here("prune")
    }
}

struct FixedClock;
impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(NOW)
    }
}

/// Accepts what is signed `good` and remembers it.
#[derive(Default)]
pub struct WebhookReceiver(pub Mutex<Vec<RawDelivery>>);

#[async_trait]
impl DeliveryHandler for WebhookReceiver {
    async fn deliver(&self, delivery: RawDelivery) -> Answer {
        if delivery.signature_256.as_deref() != Some("good") {
            return Answer::new(401, "the signature is missing or wrong");
        }
        self.0.lock().unwrap().push(delivery);
        Answer { stored: true, ..Answer::new(202, "accepted") }
    }
}

struct Ready(Arc<Levels>);

#[async_trait]
impl Readiness for Ready {
    async fn ready(&self) -> Result<(), String> {
        if self.0.all().is_empty() { Err("no scale set was looked at".into()) } else { Ok(()) }
    }
}

pub struct World {
    pub ledger: Arc<FakeLedger>,
    pub receiver: Arc<WebhookReceiver>,
    pub state: WebState,
}

pub fn world(token: Option<&str>) -> World {
    let (ledger, receiver, levels) =
        (Arc::new(FakeLedger::default()), Arc::new(WebhookReceiver::default()), Arc::new(Levels::default()));
    let state = WebState {
        ledger: ledger.clone(),
        levels: levels.clone(),
        metrics: Arc::new(Metrics::new()),
        tasks: Arc::default(),
        faults: Arc::default(),
        handler: receiver.clone(),
        readiness: Arc::new(Ready(levels)),
        clock: Arc::new(FixedClock),
        version: "0.1.0",
        webhook_path: WebhookPath::default(),
        dashboard_token: token.map(Secret::new),
        hosts: Vec::new(),
    };
    World { ledger, receiver, state }
}

pub fn at(seconds_ago: i64) -> Timestamp {
    Timestamp::from_secs(NOW - seconds_ago)
}

pub fn set_name(name: &str) -> ScaleSetName {
    ScaleSetName::parse(name).unwrap()
}

pub fn policy(name: &str, labels: &[&str], runners_max: u32) -> ScaleSet {
    ScaleSet {
        name: set_name(name),
        labels: labels.iter().map(|label| Label::of_job(label)).collect::<BTreeSet<_>>(),
        serves_unlabelled: false,
        scope: Scope { level: runnersmith_types::ScopeLevel::Organization, at: None, allowed: Vec::new() },
        group: RunnerGroupName::parse("Default").unwrap(),
        ephemeral: true,
        runners_max,
        priority: 0,
        min_idle: Vec::new(),
        timing: runnersmith_types::Timing::default(),
        fallback_order: FallbackOrder::local(),
        token_when_jit_exhausted: true,
        rerun_interrupted: true,
        notify: true,
        only_fleet: false,
    }
}

pub fn job(id: u64, name: &str, status: JobStatus, begun: i64, labels: &[&str], runner: Option<&str>) -> Job {
    let fact = |status, seconds_ago: i64| JobFact {
        repo: RepoFullName::parse("acme/storefront").unwrap(),
        head_sha: "abc".into(),
        name: name.into(),
        workflow: "CI".into(),
        labels: labels.iter().map(|label| Label::of_job(label)).collect(),
        conclusion: (status == JobStatus::Completed).then(|| Conclusion("success".into())),
        runner_name: runner.filter(|_| status >= JobStatus::InProgress).map(str::to_owned),
        created_at: Some(at(begun + 1)),
        ..runnersmith_ports::contract::ledger::fact(id, id / 10, status, FactSource::Delivery, at(seconds_ago))
    };
    let begin = if status == JobStatus::Waiting { status } else { JobStatus::Queued };
    let mut job = Job::first(fact(begin, begun));
    if status >= JobStatus::InProgress {
        job.merge(fact(JobStatus::InProgress, begun - 8));
    }
    if status == JobStatus::Completed {
        job.merge(fact(status, begun / 2));
    }
    job
}

pub fn runner(set: &str, serial: u64, state: RunnerState, seconds_ago: i64, job: Option<u64>) -> Runner {
    let target = Target { set: set_name(set), at: RunnerScope::Organization(Owner::parse("acme").unwrap()) };
    let name = RunnerName::parse(&format!("{set}-q7xk-{serial}")).unwrap();
    let mut runner = Runner::intended(name, serial, target, true, at(seconds_ago));
    runner.state = state;
    runner.machine = Some(MachineId::parse(&format!("m-{serial:05}")).unwrap());
    runner.pool = FallbackOrder::local().pools.first().cloned();
    runner.machine_at = Some(at(seconds_ago - 1));
    runner.handed_at = Some(at(seconds_ago - 2));
    if !matches!(state, RunnerState::Booting) {
        runner.online_at = Some(at(seconds_ago - 6));
    }
    runner.job = job.map(JobId);
    runner
}

fn event(
    seconds_ago: i64,
    kind: EventKind,
    what: &str,
    text: &str,
    job: Option<u64>,
    runner: Option<&str>,
) -> HistoryEvent {
    let mut event = HistoryEvent::new(at(seconds_ago), kind, what, text);
    event.job = job.map(JobId);
    event.runner = runner.map(|name| RunnerName::parse(name).unwrap());
    event
}

/// A busy afternoon.
pub fn fill(world: &World) {
    use JobStatus as J;
    use RunnerState as S;
    let small = ["self-hosted", "linux", "small"];
    let large = ["self-hosted", "linux", "large"];
    let mut shown = world.ledger.0.lock().unwrap();
    shown.jobs = vec![
        job(4127, "test (stable)", J::InProgress, 134, &small, Some("small-q7xk-41")),
        job(4128, "test (beta)", J::InProgress, 131, &small, Some("small-q7xk-42")),
        job(4129, "lint", J::Queued, 6, &small, None),
        job(4130, "integration (postgres)", J::Queued, 48, &large, None),
        job(4131, "integration (mysql)", J::Queued, 47, &large, None),
        job(4132, "bench", J::InProgress, 412, &large, Some("large-q7xk-12")),
        job(4133, "deploy to production", J::Waiting, 95, &small, None),
        job(4121, "format", J::Completed, 240, &small, Some("small-q7xk-40")),
    ];
    shown.runners = vec![
        runner("large", 12, S::Busy, 411, Some(4132)),
        runner("large", 13, S::Busy, 420, Some(4134)),
        runner("small", 41, S::Busy, 133, Some(4127)),
        runner("small", 42, S::Busy, 130, Some(4128)),
        runner("small", 43, S::Idle, 80, None),
        runner("small", 44, S::Booting, 5, None),
        runner("small", 40, S::Finished, 239, Some(4121)),
    ];
    shown.history = vec![
        event(134, EventKind::Seen, "queued", "GitHub says queued", Some(4127), None),
        event(133, EventKind::Decided, "intend", "1 job waits and no runner is idle", None, Some("small-q7xk-41")),
        event(132, EventKind::Done, "launch", "1 of 1 machines on local process", None, Some("small-q7xk-41")),
        event(
            131,
            EventKind::Done,
            "hand_off",
            "its machine is up; JIT config handed over",
            None,
            Some("small-q7xk-41"),
        ),
        event(
            126,
            EventKind::Seen,
            "in progress",
            "GitHub says in progress on small-q7xk-41",
            Some(4127),
            Some("small-q7xk-41"),
        ),
        event(
            60,
            EventKind::Failed,
            "terminate",
            "settled; machines terminate: throttled",
            None,
            Some("small-q7xk-40"),
        ),
        event(
            47,
            EventKind::Decided,
            "tell",
            "the set is at its maximum; put off: it waits for less than 10 min",
            Some(4130),
            None,
        ),
        event(
            6,
            EventKind::Decided,
            "intend",
            "2 jobs or idle places want a runner, 1 is there",
            None,
            Some("small-q7xk-44"),
        ),
        event(5, EventKind::Done, "launch", "1 of 1 machines on local process", None, Some("small-q7xk-44")),
    ];
    drop(shown);
    let count = |pairs: &[(&'static str, u32)]| pairs.iter().copied().collect::<BTreeMap<_, _>>();
    let waiting = |id, on| Waiting { job: Some(JobId(id)), runner: None, on };
    world.state.levels.put(SetLevel {
        policy: policy("large", &large, 2),
        plan: Plan {
            waiting: vec![
                waiting(4130, WaitingOn::Maximum { runners_max: 2, position: 1 }),
                waiting(4131, WaitingOn::Maximum { runners_max: 2, position: 2 }),
            ],
            demand: 2,
            ..Plan::default()
        },
        runners_by_state: count(&[("busy", 2)]),
        at: at(3),
        faults: vec![Fault::new(
            FaultKind::RegistrationsUnknown,
            "small, acme",
            "registrations at acme are not known: github registrations acme: rate limited",
            Timestamp::from_secs(NOW - 250),
        )],
        asked_github: true,
    });
    world.state.levels.put(SetLevel {
        policy: policy("small", &small, 10),
        plan: Plan {
            steps: vec![PlanStep {
                action: Action::Record(RecordAction::Withdraw { runner: RunnerName::parse("small-q7xk-45").unwrap() }),
                reason: Reason("one more than is wanted".into()),
            }],
            waiting: vec![waiting(4129, WaitingOn::Runner { supply: 2 })],
            demand: 1,
            supply: 2,
            min_idle: 1,
            ..Plan::default()
        },
        runners_by_state: count(&[("busy", 2), ("idle", 1), ("booting", 1), ("finished", 1)]),
        at: at(2),
        faults: Vec::new(),
        asked_github: true,
    });
}
