//! Small builders, and a quiet world: one that does exactly what a plan says and in which nothing else happens.

#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part; a test that fails panics")]

pub mod passes;

use std::collections::BTreeMap;
use std::time::Duration;

use runnersmith_plan::plan;
use runnersmith_types::{
    Action, Batch, BatchId, BootFailures, Budget, CapacityPool, Conclusion, ControlPlaneId, EffectAction, FactSource,
    FallbackOrder, HandOffAction, HandOffFaults, HandOffMeans, Job, JobFact, JobId, JobStatus, JobUpdate, Label,
    LaunchAction, Machine, MachineId, MachineState, MachineStatus, Notification, Notified, Observed, Owner, OwnerKind,
    Plan, PlanStep, RecordAction, RecordVersion, Registration, RegistrationId, RepoFullName, RunId, Runner, RunnerName,
    RunnerScope, RunnerState, RunnerUpdate, ScaleSet, ScaleSetName, Snapshot, Stalled, Target, Timestamp, WaitKind,
    WaitReason, WaitingOn,
};

/// Any moment will do; this one is a Thursday at noon, UTC.
pub const NOW: Timestamp = Timestamp(1_795_694_400_000);

pub fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
pub fn mins(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}
pub fn ago(duration: Duration) -> Timestamp {
    NOW.minus(duration)
}
pub fn labels(texts: &[&str]) -> std::collections::BTreeSet<Label> {
    texts.iter().map(|text| Label::of_set(text).unwrap()).collect()
}
pub fn acme() -> RunnerScope {
    RunnerScope::Organization(Owner::parse("acme").unwrap())
}
pub fn org(name: &str) -> RunnerScope {
    RunnerScope::Organization(Owner::parse(name).unwrap())
}

/// An ephemeral set `linux` for any organisation, at most 10 runners.
pub fn policy() -> ScaleSet {
    let labels = labels(&["self-hosted", "linux", "x64"]);
    ScaleSet { runners_max: 10, ..ScaleSet::new(ScaleSetName::parse("linux").unwrap(), labels) }
}

pub fn pool(n: u32) -> CapacityPool {
    CapacityPool { market: runnersmith_types::Market::Spot, machine_type: format!("m{n}.large"), zone: "a".into() }
}

/// A job of acme/shop that wants `self-hosted, linux`, reported a while ago.
pub fn job(id: u64, status: JobStatus) -> Job {
    job_of("acme/shop", id, status, ago(secs(30)))
}

pub fn job_of(repo: &str, id: u64, status: JobStatus, at: Timestamp) -> Job {
    Job::first(JobFact {
        source: FactSource::Delivery,
        received_at: at,
        delivery: None,
        id: JobId(id),
        run: RunId(id / 10 + 1),
        run_attempt: 1,
        repo: RepoFullName::parse(repo).unwrap(),
        owner_kind: OwnerKind::Organization,
        head_sha: "c0ffee".into(),
        name: format!("job {id}"),
        workflow: "ci".into(),
        labels: vec![Label::of_job("self-hosted"), Label::of_job("Linux")],
        labels_cut: false,
        status,
        conclusion: (status == JobStatus::Completed).then(|| Conclusion("success".into())),
        runner_name: None,
        runner_id: None,
        created_at: None,
        started_at: None,
        completed_at: None,
    })
}

pub fn queued(id: u64) -> Job {
    job(id, JobStatus::Queued)
}

pub fn on(mut job: Job, runner: &Runner) -> Job {
    job.fact.runner_name = Some(runner.registration_name().to_string());
    job
}

pub fn name(serial: u64) -> RunnerName {
    RunnerName::parse(&format!("linux-abcdef-{serial}")).unwrap()
}

/// A runner that has come as far as this state in the usual way, each step ten minutes before now.
pub fn runner(serial: u64, state: RunnerState) -> Runner {
    runner_at(serial, state, ago(mins(10)), &acme())
}

pub fn runner_at(serial: u64, state: RunnerState, at: Timestamp, place: &RunnerScope) -> Runner {
    use RunnerState as S;
    let target = Target { set: ScaleSetName::parse("linux").unwrap(), at: place.clone() };
    let mut runner = Runner::intended(name(serial), serial, target, true, at);
    let mut update = |update: RunnerUpdate| assert!(runner.update(update.clone(), at), "{update:?} changes nothing");
    if state == S::Intended {
        return runner;
    }
    update(RunnerUpdate::Launching {
        batch: BatchId::parse(&format!("batch-{serial}")).unwrap(),
        pool: FallbackOrder::local().pools[0].clone(),
    });
    if state == S::Launching {
        return runner;
    }
    update(RunnerUpdate::Machine(machine_id(serial)));
    if state == S::Booting {
        return runner;
    }
    update(RunnerUpdate::JitRequested);
    update(RunnerUpdate::Registered(RegistrationId(1_000 + serial)));
    update(RunnerUpdate::HandedOff);
    update(RunnerUpdate::HandOffGone);
    update(RunnerUpdate::Idle(None));
    match state {
        S::Busy => update(RunnerUpdate::Busy(None)),
        S::Draining => update(RunnerUpdate::Draining),
        S::Finished => update(RunnerUpdate::Finished),
        S::Lost => update(RunnerUpdate::Lost),
        S::Gone => update(RunnerUpdate::Gone("over".into())),
        S::Intended | S::Launching | S::Booting | S::Idle => {}
    }
    runner
}

pub fn machine_id(serial: u64) -> MachineId {
    MachineId::parse(&format!("m-{serial}")).unwrap()
}

pub fn machine(serial: u64, status: Option<MachineStatus>) -> Machine {
    Machine {
        id: machine_id(serial),
        set: ScaleSetName::parse("linux").unwrap(),
        control_plane: ControlPlaneId::parse("abcdef").unwrap(),
        batch: BatchId::parse(&format!("batch-{serial}")).unwrap(),
        state: MachineState::Running,
        status,
        launched_at: ago(mins(10)),
        pool: FallbackOrder::local().pools[0].clone(),
        interrupted_at: None,
    }
}

pub fn registration(serial: u64, online: bool, busy: bool) -> Registration {
    Registration {
        id: RegistrationId(1_000 + serial),
        name: name(serial).to_string(),
        online,
        busy,
        labels: Vec::new(),
    }
}

/// Everything known, nothing there.
pub fn snapshot() -> Snapshot {
    Snapshot {
        control_plane: ControlPlaneId::parse("abcdef").unwrap(),
        next_serial: 100,
        jobs: Vec::new(),
        runners: Vec::new(),
        batches: Vec::new(),
        peers: Vec::new(),
        machines: Observed::seen(Vec::new(), NOW),
        registrations: BTreeMap::from([(acme(), Observed::seen(Vec::new(), NOW))]),
        budget: Budget { jit_left: 100, calls_left: 500, notifications_left: 20, refills_at: NOW.plus(secs(60)) },
        pool_failures: Vec::new(),
        boot_failures: BootFailures::default(),
        reruns: Vec::new(),
        hand_off_faults: HandOffFaults::default(),
    }
}

/// What a case of the tables sets up: runners with what the sources say of each.
pub fn with(snapshot: &mut Snapshot, runner: Runner, machine: Option<Machine>, registration: Option<Registration>) {
    let place = runner.target.at.clone();
    snapshot.runners.push(runner);
    if let (Some(machine), Observed::Seen { value, .. }) = (machine, &mut snapshot.machines) {
        value.push(machine);
    }
    let seen = snapshot.registrations.entry(place).or_insert_with(|| Observed::seen(Vec::new(), NOW));
    if let (Some(registration), Observed::Seen { value, .. }) = (registration, seen) {
        value.push(registration);
    }
}

/// How the lines of [`shown`] begin.
const VERBS: [&str; 20] = [
    "deregister",
    "end",
    "expire",
    "fail",
    "find",
    "forget",
    "hand",
    "intend",
    "interrupt",
    "launch",
    "leave",
    "look",
    "notify",
    "record",
    "relaunch",
    "rerun",
    "stall",
    "update",
    "verify",
    "withdraw",
];

/// The plan's actions in plain words, one line each: verb, subject, detail, and after a colon the reason. It is the tests' own
/// rendering: no name in the code and no word of a metric changes it.
pub fn shown(plan: &Plan) -> Vec<String> {
    let lines = |step: &PlanStep| {
        let reason = &step.reason;
        let whats = match &step.action {
            Action::Record(RecordAction::Update { runner, update }) => {
                vec![format!("update {runner} {}", update.word())]
            }
            Action::Record(RecordAction::Withdraw { runner }) => vec![format!("withdraw {runner}")],
            Action::Record(RecordAction::BootFailed(failure)) => {
                vec![format!("fail {} {:?}", failure.runner, failure.cause)]
            }
            Action::Record(RecordAction::Silent { at, .. }) => vec![format!("update {at} is silent")],
            Action::Record(RecordAction::Booted { runner }) => vec![format!("forget failures by {runner}")],
            Action::Intend { runners } => vec![format!("intend {}", runners.len())],
            Action::Launch(LaunchAction::First { runners, pool, .. }) => {
                vec![format!("launch {} {pool}", runners.len())]
            }
            Action::Launch(LaunchAction::Again { batch }) => vec![format!("relaunch {batch}")],
            Action::HandOff(HandOffAction { runner, means, .. }) => {
                let means = match means {
                    HandOffMeans::Jit => "jit",
                    HandOffMeans::Token => "token",
                };
                vec![format!("hand off {runner} {means}")]
            }
            Action::Effect(EffectAction::Notify { jobs, .. }) => jobs.iter().map(shown_notification).collect(),
            Action::Effect(EffectAction::RecordWaits { jobs, .. }) => jobs.iter().map(shown_wait).collect(),
            Action::Effect(effect) => vec![shown_effect(effect)],
            Action::Terminate { machine, .. } => vec![format!("end {machine}")],
        };
        whats.into_iter().map(|what| format!("{what}: {reason}")).collect::<Vec<_>>()
    };
    plan.steps.iter().flat_map(lines).collect()
}

fn shown_wait((job, reason): &(JobId, Option<WaitReason>)) -> String {
    match reason {
        Some(reason) => format!("record job {job} {:?}, {}", reason.kind, reason.text).to_lowercase(),
        None => format!("record job {job} no more"),
    }
}

fn shown_notification((job, notification): &(JobId, Notification)) -> String {
    let (kind, text) = match notification {
        Notification::Waiting(text) => ("waits", text),
        Notification::Unserved(text) => ("is unserved", text),
        Notification::Impossible(text) => ("is impossible", text),
        Notification::Settled(text) => ("is over", text),
    };
    format!("notify job {job} {kind}, {text}")
}

fn shown_effect(effect: &EffectAction) -> String {
    match effect {
        EffectAction::LookUp { runner, .. } => format!("look up {runner}"),
        EffectAction::Deregister { runner, .. } => format!("deregister {runner}"),
        EffectAction::ExpireHandOff { runner, .. } => format!("expire {runner}"),
        EffectAction::PoolFailure(failure) => format!("fail pool {}", failure.pool),
        EffectAction::VerifyJob { job, .. } => format!("verify {job}"),
        EffectAction::EndJob { job } => format!("end job {job}"),
        EffectAction::Stall { job, .. } => format!("stall {job}"),
        EffectAction::Notify { jobs, .. } => format!("notify {} jobs", jobs.len()),
        EffectAction::RecordWaits { jobs, .. } => format!("record {} jobs", jobs.len()),
        EffectAction::FindRunners { at, jobs } => {
            let at: Vec<String> = at.iter().map(ToString::to_string).collect();
            format!("find runners at {} for {} jobs", at.join(" and "), jobs.len())
        }
        EffectAction::Interrupted { job, .. } => format!("interrupt {job}"),
        EffectAction::Rerun { run, run_attempt, .. } if *run_attempt > 1 => format!("rerun {run} after {run_attempt}"),
        EffectAction::Rerun { run, .. } => format!("rerun {run}"),
        EffectAction::NoRerun { jobs, .. } => format!("leave rerun of {} jobs", jobs.len()),
    }
}

/// The lines that begin so. A beginning that no line can have is a slip of the test, which would see nothing.
#[track_caller]
fn beginning<'a>(lines: &'a [String], so: &str) -> Vec<&'a String> {
    let verb = so.split([' ', ':']).next().unwrap_or_default();
    assert!(VERBS.contains(&verb), "no line begins with {verb:?}");
    lines.iter().filter(|line| line.starts_with(so)).collect()
}

/// Asserts that a line of the plan begins so.
#[track_caller]
pub fn has(plan: &Plan, so: &str) {
    let lines = shown(plan);
    assert!(!beginning(&lines, so).is_empty(), "no {so:?} in\n{}", lines.join("\n"));
}

/// Asserts that no line of the plan begins so.
#[track_caller]
pub fn has_not(plan: &Plan, so: &str) {
    let lines = shown(plan);
    assert!(beginning(&lines, so).is_empty(), "{so:?} in\n{}", lines.join("\n"));
}

/// What a job waits for, in the plan.
pub fn waits(plan: &Plan, id: u64) -> Option<&WaitingOn> {
    plan.waiting.iter().find(|waiting| waiting.job == Some(JobId(id))).map(|waiting| &waiting.on)
}

/// What a runner waits for, in the plan.
pub fn keeps(plan: &Plan, serial: u64) -> Option<&WaitingOn> {
    let name = name(serial);
    plan.waiting.iter().find(|waiting| waiting.runner.as_ref() == Some(&name)).map(|waiting| &waiting.on)
}

/// Does exactly what the plan says, at once and without fault; nothing else happens.
pub fn execute(policy: &ScaleSet, snapshot: &mut Snapshot, plan: &Plan, now: Timestamp) {
    for step in &plan.steps {
        act(policy, snapshot, &step.action, now);
    }
}

fn act(policy: &ScaleSet, snapshot: &mut Snapshot, action: &Action, now: Timestamp) {
    let place = |snapshot: &Snapshot, name: &RunnerName| {
        snapshot.runners.iter().find(|runner| &runner.name == name).map(|runner| runner.target.at.clone())
    };
    match action {
        Action::Intend { runners } => {
            for intent in runners {
                let (name, target) = (intent.name.clone(), intent.target.clone());
                snapshot.runners.push(Runner::intended(name, intent.serial, target, policy.ephemeral, now));
                snapshot.next_serial = snapshot.next_serial.max(intent.serial + 1);
            }
        }
        Action::Record(RecordAction::Withdraw { runner }) => snapshot.runners.retain(|other| &other.name != runner),
        Action::Launch(LaunchAction::First { batch, pool, runners }) => {
            snapshot.batches.push(Batch {
                id: batch.clone(),
                set: policy.name.clone(),
                pool: pool.clone(),
                runners: runners.clone(),
                stored_at: now,
                hard_end_at: now.plus(policy.timing.lifetime_max),
                settled: false,
                record_version: RecordVersion::CURRENT,
            });
            for name in runners {
                update(snapshot, name, RunnerUpdate::Launching { batch: batch.clone(), pool: pool.clone() }, now);
            }
            made(snapshot, batch, now);
        }
        Action::Launch(LaunchAction::Again { batch }) => made(snapshot, batch, now),
        Action::HandOff(HandOffAction { runner, means, .. }) => {
            if *means == HandOffMeans::Jit {
                update(snapshot, runner, RunnerUpdate::JitRequested, now);
                let id = RegistrationId(5_000 + serial(runner));
                update(snapshot, runner, RunnerUpdate::Registered(id), now);
                let found =
                    Registration { id, name: runner.to_string(), online: false, busy: false, labels: Vec::new() };
                if let Some(at) = place(snapshot, runner)
                    && let Observed::Seen { value, .. } =
                        snapshot.registrations.entry(at).or_insert_with(|| Observed::seen(Vec::new(), now))
                {
                    value.push(found);
                }
            }
            update(snapshot, runner, RunnerUpdate::HandedOff, now);
            if let Some(at) = place(snapshot, runner) {
                snapshot.hand_off_faults.succeeded(&at);
            }
        }
        Action::Record(RecordAction::Update { runner, update: change }) => {
            update(snapshot, runner, change.clone(), now)
        }
        Action::Effect(EffectAction::LookUp { runner, registration, at }) => {
            let observe_present = listed(snapshot, at).iter().any(|found| found.id == *registration);
            let change =
                if observe_present { RunnerUpdate::RegistrationSeen } else { RunnerUpdate::RegistrationMissing };
            update(snapshot, runner, change, now);
        }
        Action::Effect(EffectAction::Deregister { runner, registration, at }) => {
            if let Some(Observed::Seen { value, .. }) = snapshot.registrations.get_mut(at) {
                value.retain(|found| found.id != *registration);
            }
            update(snapshot, runner, RunnerUpdate::Deregistered, now);
        }
        Action::Terminate { machine, runner } => {
            if let Observed::Seen { value, .. } = &mut snapshot.machines {
                for found in value.iter_mut().filter(|found| &found.id == machine) {
                    found.state = MachineState::Ended;
                }
            }
            if let Some(runner) = runner {
                update(snapshot, runner, RunnerUpdate::Terminated, now);
            }
        }
        Action::Effect(EffectAction::ExpireHandOff { runner, .. }) => {
            update(snapshot, runner, RunnerUpdate::HandOffGone, now)
        }
        Action::Effect(EffectAction::PoolFailure(pool_failure)) => snapshot.pool_failures.push(pool_failure.clone()),
        Action::Effect(EffectAction::VerifyJob { job, .. }) => {
            change_job(snapshot, *job, |job| job.verified_at = Some(now));
            let places: Vec<RunnerScope> =
                snapshot.hand_off_faults.faults.iter().map(|fault| fault.at.clone()).collect();
            // GitHub answers: of each place, for what is asked of the planner is where the jobs of one set register.
            for at in places {
                snapshot.hand_off_faults.answered(&at, now);
            }
        }
        Action::Record(RecordAction::BootFailed(failure)) => snapshot.boot_failures.newest.push(failure.clone()),
        Action::Record(RecordAction::Silent { at, why }) => snapshot.hand_off_faults.silent(at, why, now),
        Action::Record(RecordAction::Booted { .. }) => snapshot.boot_failures = BootFailures::default(),
        Action::Effect(EffectAction::EndJob { job }) => {
            change_job(snapshot, *job, |job| job.fact.status = JobStatus::Completed);
        }
        Action::Effect(EffectAction::Stall { job, until }) => {
            change_job(snapshot, *job, |job| job.stalled = Some(Stalled { since: now, until: *until }));
        }
        Action::Effect(EffectAction::RecordWaits { jobs, .. }) => {
            for (id, reason) in jobs {
                update_job(snapshot, *id, JobUpdate::Waits(reason.clone()));
            }
        }
        Action::Effect(EffectAction::FindRunners { jobs, .. }) => {
            for (id, text) in jobs {
                let reason = WaitReason { at: now, kind: WaitKind::Unserved, text: text.clone() };
                update_job(snapshot, *id, JobUpdate::Waits(Some(reason)));
            }
        }
        Action::Effect(EffectAction::Notify { jobs, .. }) => {
            for (id, notification) in jobs {
                let (text, closed) = (notification.text().to_owned(), notification.is_settled());
                update_job(snapshot, *id, JobUpdate::Notified(Notified { at: now, check_run: 1, text, closed }));
            }
        }
        Action::Effect(EffectAction::Interrupted { job, rerun }) => {
            update_job(snapshot, *job, JobUpdate::Interrupted { at: now, rerun: *rerun })
        }
        Action::Effect(EffectAction::Rerun { repo, run, jobs, .. }) => {
            snapshot.reruns.push((repo.clone(), *run));
            jobs.iter().for_each(|id| update_job(snapshot, *id, JobUpdate::RerunSettled("it is re-run".into())));
        }
        Action::Effect(EffectAction::NoRerun { jobs, why }) => {
            jobs.iter().for_each(|id| update_job(snapshot, *id, JobUpdate::RerunSettled((*why).to_owned())));
        }
    }
}

pub fn serial(name: &RunnerName) -> u64 {
    name.as_str().rsplit('-').next().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn listed<'a>(snapshot: &'a Snapshot, at: &RunnerScope) -> &'a [Registration] {
    snapshot.registrations.get(at).and_then(Observed::value).map_or(&[], Vec::as_slice)
}

fn update(snapshot: &mut Snapshot, name: &RunnerName, change: RunnerUpdate, now: Timestamp) {
    for runner in snapshot.runners.iter_mut().filter(|runner| &runner.name == name) {
        if runner.update(change.clone(), now) {
            runner.version += 1;
        }
    }
    snapshot.runners.retain(|runner| runner.state.is_alive());
}

fn update_job(snapshot: &mut Snapshot, id: JobId, update: JobUpdate) {
    change_job(snapshot, id, |job| {
        job.update(update);
    });
}

fn change_job(snapshot: &mut Snapshot, id: JobId, change: impl FnOnce(&mut Job)) {
    if let Some(job) = snapshot.jobs.iter_mut().find(|job| job.id() == id) {
        change(job);
    }
}

/// The machines of a batch come to be and are bound; a call made again with its token makes none twice.
fn made(snapshot: &mut Snapshot, id: &BatchId, now: Timestamp) {
    let Some(batch) = snapshot.batches.iter().find(|batch| &batch.id == id).cloned() else { return };
    for name in &batch.runners {
        let machine = MachineId::parse(&format!("x-{name}")).unwrap();
        if let Observed::Seen { value, .. } = &mut snapshot.machines
            && !value.iter().any(|found| found.id == machine)
        {
            value.push(Machine {
                id: machine.clone(),
                set: batch.set.clone(),
                control_plane: snapshot.control_plane.clone(),
                batch: batch.id.clone(),
                state: MachineState::Running,
                status: Some(MachineStatus::Booting),
                launched_at: now,
                pool: batch.pool.clone(),
                interrupted_at: None,
            });
        }
        update(snapshot, name, RunnerUpdate::Machine(machine), now);
    }
    snapshot.batches.retain(|other| other.id != *id);
}

/// Plans for the standing policy at [`NOW`].
pub fn planned(snapshot: &Snapshot) -> Plan {
    plan(&policy(), snapshot, NOW)
}
