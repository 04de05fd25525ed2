//! The same small plane for every ledger: jobs in every status, runners in every state, and all that is kept beside them.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use runnersmith_ports::{BudgetKind, Clock, Lease, Ledger};
use runnersmith_types::{
    Batch, BatchId, BootFailure, Conclusion, DeliveryId, Event, EventKind, FactSource, Held, Intent, JobFact, JobId,
    JobStatus, Label, MachineId, Mark, Market, Owner, OwnerKind, RegisterAt, RegistrationId, RepoFullName, RunId, Rung,
    RunnerName, ScaleSetName, Strike, Target, Timestamp, Told,
};

/// The plane's identity in all names.
pub const PLANE: &str = "k3x9ab";
/// When it begins: 15 January 2027, 08:00 UTC.
pub const START: Timestamp = Timestamp::from_secs(1_800_000_000);
/// Leases are long: the clock moves by a second with each step.
const TTL: Duration = Duration::from_secs(3600);

/// A clock that moves only when it is told to.
pub struct StepClock(AtomicI64);

impl StepClock {
    pub const fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.as_millis()))
    }
    pub fn tick(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for StepClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

pub fn set(name: &str) -> ScaleSetName {
    ScaleSetName::parse(name).unwrap()
}

fn repo(name: &str) -> RepoFullName {
    RepoFullName::parse(name).unwrap()
}

pub fn runner(set: &str, serial: u64) -> RunnerName {
    RunnerName::parse(&format!("{set}-{PLANE}-{serial}")).unwrap()
}

fn machine(n: u64) -> MachineId {
    MachineId::parse(&format!("i-{n:017x}")).unwrap()
}

pub fn spot() -> Rung {
    Rung { market: Market::Spot, machine_type: "m7i.large+m6i.large".into(), zone: "eu-west-1a+eu-west-1b".into() }
}

fn on_demand() -> Rung {
    Rung { market: Market::OnDemand, ..spot() }
}

fn local() -> Rung {
    Rung { market: Market::Local, machine_type: "process".into(), zone: "here".into() }
}

/// A fact with nothing optional in it.
pub fn fact(id: u64, status: JobStatus, source: FactSource, at: Timestamp) -> JobFact {
    JobFact {
        source,
        received_at: at,
        delivery: None,
        id: JobId(id),
        run: RunId(id + 1000),
        run_attempt: 1,
        repo: repo("acme/shop"),
        owner_kind: OwnerKind::Organization,
        head_sha: "c0ffee".into(),
        name: format!("build \"{id}\" é"),
        workflow: "ci".into(),
        labels: vec![Label::of_job("self-hosted"), Label::of_job("Linux")],
        labels_cut: false,
        status,
        conclusion: None,
        runner_name: None,
        runner_id: None,
        created_at: None,
        started_at: None,
        completed_at: None,
    }
}

/// One with everything optional in it.
pub fn full(id: u64, status: JobStatus, runner: &RunnerName, at: Timestamp) -> JobFact {
    JobFact {
        delivery: Some(DeliveryId::parse("72d3162e-cc78-11e3-81ab-4c9367dc0958").unwrap()),
        conclusion: (status == JobStatus::Completed).then(|| Conclusion("success".into())),
        runner_name: Some(runner.to_string()),
        runner_id: Some(RegistrationId(9000 + id)),
        created_at: Some(START.minus(Duration::from_secs(60))),
        started_at: Some(START.minus(Duration::from_secs(30))),
        completed_at: (status == JobStatus::Completed).then_some(START),
        ..fact(id, status, FactSource::Delivery, at)
    }
}

async fn jobs(ledger: &dyn Ledger, clock: &StepClock) {
    use FactSource::{Delivery, Get, Sweep};
    let at = clock.now();
    let (busy, gone, finished) = (runner("linux", 5), runner("linux", 9), runner("linux", 7));
    let personal = JobFact {
        repo: repo("ann/dotfiles"),
        owner_kind: OwnerKind::User,
        labels_cut: true,
        labels: Vec::new(),
        run_attempt: 3,
        ..fact(109, JobStatus::Queued, Sweep, at)
    };
    let unknown = JobFact { owner_kind: OwnerKind::Unknown, ..fact(110, JobStatus::Queued, Delivery, at) };
    let first = vec![
        fact(101, JobStatus::Waiting, Delivery, at),
        fact(102, JobStatus::Queued, Delivery, at),
        fact(103, JobStatus::Queued, Delivery, at),
        fact(104, JobStatus::Queued, Delivery, at),
        fact(105, JobStatus::Queued, Delivery, at),
        fact(106, JobStatus::Queued, Delivery, at),
        fact(107, JobStatus::Queued, Delivery, at),
        fact(108, JobStatus::Queued, Delivery, at),
        personal,
        unknown,
    ];
    ledger.record_facts(first, &[set("linux")]).await.unwrap();
    clock.tick(5);
    let at = clock.now();
    let second = vec![
        full(104, JobStatus::InProgress, &busy, at),
        full(105, JobStatus::InProgress, &gone, at),
        full(107, JobStatus::InProgress, &runner("linux", 8), at),
        full(108, JobStatus::InProgress, &finished, at),
        fact(106, JobStatus::Gone, Get, at),
    ];
    ledger.record_facts(second, &[set("linux"), set("windows")]).await.unwrap();
    clock.tick(5);
    let at = clock.now();
    ledger.interrupted_job(JobId(107), at).await.unwrap();
    ledger.interrupted_job(JobId(108), at).await.unwrap();
    let told = |text: &str| Told { at, check_run: 4711, text: text.into() };
    ledger.told_job(JobId(108), told("its machine was interrupted")).await.unwrap();
    let ended = [(105, &gone), (108, &finished)].map(|(id, name)| full(id, JobStatus::Completed, name, at));
    ledger.record_facts(ended.into(), &[]).await.unwrap();
    let held = Held { since: at, until: at.plus(Duration::from_secs(600)) };
    ledger.hold_job(JobId(103), held).await.unwrap();
    ledger.told_job(JobId(103), told("held: a matching runner was idle")).await.unwrap();
}

async fn life(ledger: &dyn Ledger, clock: &StepClock, lease: &Lease, name: &RunnerName, marks: Vec<Mark>) {
    for mark in marks {
        clock.tick(1);
        ledger.mark(lease, vec![(name.clone(), mark)]).await.unwrap();
    }
}

fn batch(id: &str, lease: &Lease, rung: Rung, runners: Vec<RunnerName>, at: Timestamp) -> Batch {
    let hard_end_at = at.plus(Duration::from_secs(5 * 24 * 3600));
    let (id, set) = (BatchId::parse(id).unwrap(), lease.set.clone());
    Batch { id, set, rung, runners, stored_at: at, hard_end_at, settled: false }
}

/// How the runners of "linux" came where they stand, by serial. The first is only intended, the second launching.
fn lives() -> Vec<(u64, Vec<Mark>)> {
    let begun = |n: u64| {
        vec![Mark::Machine(machine(n)), Mark::JitRequested, Mark::Registered(RegistrationId(9000 + n)), Mark::HandedOff]
    };
    let then = |n: u64, more: Vec<Mark>| (n, [begun(n), more].concat());
    vec![
        then(3, vec![Mark::NextAttempt, Mark::JitRequested, Mark::Registered(RegistrationId(9303)), Mark::HandedOff]),
        then(4, vec![Mark::Idle(Some(RegistrationId(9004))), Mark::Offline, Mark::RegistrationMissing]),
        then(5, vec![Mark::HandOffGone, Mark::Idle(None), Mark::Busy(Some(JobId(104))), Mark::RegistrationSeen]),
        then(6, vec![Mark::Idle(None), Mark::Draining, Mark::Deregistered, Mark::Terminated]),
        then(7, vec![Mark::Busy(Some(JobId(108))), Mark::Finished]),
        then(8, vec![Mark::Busy(Some(JobId(107))), Mark::MachineMissing, Mark::Lost]),
        then(
            9,
            vec![
                Mark::Busy(Some(JobId(105))),
                Mark::Finished,
                Mark::Deregistered,
                Mark::Terminated,
                Mark::MachineMissing,
                Mark::HandOffGone,
                Mark::Gone("its job is completed".into()),
            ],
        ),
    ]
}

async fn intend(ledger: &dyn Ledger, lease: &Lease, serials: std::ops::RangeInclusive<u64>, at: RegisterAt, one: bool) {
    let name = lease.set.clone();
    let intent = |serial| Intent {
        name: runner(name.as_str(), serial),
        serial,
        target: Target { set: name.clone(), at: at.clone() },
    };
    ledger.intend(lease, serials.map(intent).collect(), one, 20).await.unwrap();
}

async fn runners(ledger: &dyn Ledger, clock: &StepClock) {
    let mut linux = ledger.acquire(&set("linux"), "function-1", TTL).await.unwrap().unwrap();
    let owner = |name: &str| Owner::parse(name).unwrap();
    intend(ledger, &linux, 1..=9, RegisterAt::Organization(owner("acme")), true).await;
    let launched = batch("batch-1", &linux, spot(), (2..=9).map(|n| runner("linux", n)).collect(), clock.now());
    ledger.store_batch(&linux, launched).await.unwrap();
    for (serial, marks) in lives() {
        life(ledger, clock, &linux, &runner("linux", serial), marks).await;
    }
    ledger.settle_batch(&linux, &BatchId::parse("batch-1").unwrap()).await.unwrap();
    while ledger.release(&mut linux, TTL).await.unwrap() != runnersmith_ports::Release::Released {}

    let windows = ledger.acquire(&set("windows"), "function-2", TTL).await.unwrap().unwrap();
    intend(ledger, &windows, 10..=10, RegisterAt::Repository(repo("acme/shop")), false).await;
    intend(ledger, &windows, 11..=12, RegisterAt::Enterprise(owner("big-corp")), false).await;
    let launching = batch("batch-2", &windows, local(), vec![runner("windows", 10)], clock.now());
    ledger.store_batch(&windows, launching).await.unwrap();
    let idle = vec![Mark::Machine(machine(12)), Mark::Idle(Some(RegistrationId(9012))), Mark::NotConfirmed];
    life(ledger, clock, &windows, &runner("windows", 12), idle).await;
    // The lease on "windows" stays held.
}

/// Lines of history: of each kind, one with all that an event can name and one with nothing.
pub fn events(at: Timestamp) -> Vec<Event> {
    let mut seen = Event::new(at, EventKind::Seen, "queued", "the job 104 is queued");
    (seen.job, seen.delivery) = (Some(JobId(104)), Some(DeliveryId::parse("72d3162e-cc78").unwrap()));
    let mut decided = Event::new(at, EventKind::Decided, "intend", "1 job wants a runner, 0 can take one");
    decided.set = Some(set("linux"));
    let mut done = Event::new(at, EventKind::Done, "launch", "launched on spot");
    (done.set, done.job, done.runner) = (Some(set("linux")), Some(JobId(104)), Some(runner("linux", 5)));
    (done.machine, done.delivery) = (Some(machine(5)), Some(DeliveryId::parse("72d3162e-cc79").unwrap()));
    let mut failed = Event::new(at, EventKind::Failed, "deregister", "GitHub answered 500");
    failed.runner = Some(runner("linux", 6));
    let dropped = Event::new(at, EventKind::Dropped, "signature", "the signature is wrong");
    let mut all = vec![seen, decided, done, failed, dropped];
    for (n, event) in all.iter_mut().enumerate() {
        event.at = at.plus(Duration::from_secs(n as u64));
    }
    all
}

/// Rungs that failed.
pub fn strikes(at: Timestamp) -> Vec<Strike> {
    let strike = |rung, seconds, why: &str| Strike { rung, at: at.plus(Duration::from_secs(seconds)), why: why.into() };
    vec![strike(spot(), 0, "no capacity"), strike(on_demand(), 1, "the quota is used up")]
}

/// Machines that never came online.
pub fn boot_failures(at: Timestamp) -> Vec<BootFailure> {
    let failure = |serial, rung, seconds| BootFailure {
        runner: runner("linux", serial),
        rung,
        at: at.plus(Duration::from_secs(seconds)),
    };
    vec![failure(2, spot(), 0), failure(3, local(), 1)]
}

/// Fills a ledger that is empty.
pub async fn populate(ledger: &dyn Ledger, clock: &StepClock) {
    jobs(ledger, clock).await;
    runners(ledger, clock).await;
    let (linux, at) = (set("linux"), clock.now());
    ledger.append(events(at)).await.unwrap();
    for strike in strikes(at) {
        ledger.strike(&linux, strike).await.unwrap();
    }
    for failure in boot_failures(at) {
        ledger.boot_failed(&linux, failure).await.unwrap();
    }
    ledger.rerun(&repo("acme/shop"), RunId(1107)).await.unwrap();
    ledger.rerun(&repo("acme/docs"), RunId(7)).await.unwrap();
    ledger.take_budget(BudgetKind::Jit, 3, 100).await.unwrap();
    ledger.take_budget(BudgetKind::Calls, 7, 1000).await.unwrap();
    ledger.wake(&set("gpu")).await.unwrap();
    ledger.close(&set("gpu"), true).await.unwrap();
    ledger.close(&set("old-set"), true).await.unwrap();
    // What the timer keeps.
    ledger.set("redelivered_until", "1799999400000").await.unwrap();
    ledger.set("redelivered", "72d3162e-cc78 72d3162e-cc79").await.unwrap();
}
