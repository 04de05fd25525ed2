//! Failures by their causes: whose they are, how often what failed is tried again, and what is said of it meanwhile. Time is virtual,
//! and moves second by second.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::{Bed, policy, run, set};
use runnersmith_controllers::{Depth, Passed, why};
use runnersmith_types::*;

const MINUTE: u64 = 60;

/// A world that lives: machines boot when they have their configuration, GitHub gives waiting jobs to idle runners, and passes are
/// made when something happened, when the last one said so, and every half minute.
struct Life {
    bed: Bed,
    woken: bool,
    wake: Option<Timestamp>,
    seconds: u64,
    full_every: u64,
    /// Runners come online and then end, as those of a version that GitHub does not take any more.
    is_outdated: bool,
    /// GitHub gives nobody a job.
    gives_no_job: bool,
}

impl Life {
    async fn with_jobs(policy: ScaleSet, jobs: u64) -> Self {
        let bed = Bed::new(policy);
        let mut life =
            Self { bed, woken: true, wake: None, seconds: 0, full_every: 30, is_outdated: false, gives_no_job: false };
        life.queued(1..=jobs).await;
        life
    }

    /// Jobs that GitHub knows, and whose runs are not over.
    async fn queued(&mut self, ids: std::ops::RangeInclusive<u64>) {
        self.bed.queued(ids.clone()).await;
        for id in ids {
            let fact = self.bed.world.ports.ledger.job(JobId(id)).await.unwrap().unwrap().fact;
            let mut script = self.bed.doubles.script();
            script.runs.insert(fact.run, run(fact.run.0, "in_progress", None));
            script.jobs.insert(fact.id, JobFact { source: FactSource::Get, ..fact });
        }
        self.woken = true;
    }

    async fn jobs_in(&self, status: JobStatus) -> usize {
        let jobs = self.bed.world.ports.ledger.recent_jobs(1_000).await.unwrap();
        jobs.iter().filter(|job| job.fact.status == status).count()
    }

    async fn second(&mut self) {
        self.bed.clock.advance(Duration::from_secs(1));
        self.seconds += 1;
        let now = self.bed.world.ports.clock.now();
        self.machines(now);
        if !self.gives_no_job && !self.bed.doubles.script().is_down {
            self.assign().await;
        }
        let full = self.seconds.is_multiple_of(self.full_every);
        if full || self.woken || self.wake.is_some_and(|wake| wake <= now) {
            self.woken = false;
            let Passed { next_wake, .. } = self.bed.pass(if full { Depth::Full } else { Depth::Partial }).await;
            self.wake = next_wake;
        }
    }

    async fn seconds(&mut self, count: u64) {
        for _ in 0..count {
            self.second().await;
        }
    }

    /// Three seconds after its configuration was put a runner is online; an outdated one ends four seconds later.
    fn machines(&mut self, now: Timestamp) {
        let mut script = self.bed.doubles.script();
        let script = &mut *script;
        for (id, machine) in script.machines.iter_mut().filter(|(_, machine)| machine.state == MachineState::Running) {
            let put_for = script.put_at.get(id).map(|at| now.since(*at).as_secs());
            match (&machine.status, put_for) {
                (Some(MachineStatus::Booting), Some(3..)) if !script.is_down => {
                    machine.status = Some(MachineStatus::Listening);
                    script.handed.remove(id);
                }
                (Some(MachineStatus::Listening), Some(7..)) if self.is_outdated => {
                    machine.status = Some(MachineStatus::Ended("1".into()));
                    machine.state = MachineState::Ended;
                }
                _ => continue,
            }
            self.woken = true;
        }
        for registration in script.registrations.values_mut() {
            registration.online = true;
        }
    }

    async fn assign(&mut self) {
        if self.is_outdated {
            return;
        }
        let jobs = self.bed.world.ports.ledger.open_jobs(Timestamp(i64::MAX)).await.unwrap();
        let mut jobs = jobs.into_iter().filter(|job| job.fact.status == JobStatus::Queued);
        for runner in self.bed.runners().await.into_iter().filter(|runner| runner.state == RunnerState::Idle) {
            let Some(job) = jobs.next() else { break };
            if let Some(machine) = self.bed.doubles.script().machines.get_mut(runner.machine.as_ref().unwrap()) {
                machine.status = Some(MachineStatus::Busy);
            }
            self.bed.fact(job.id().0, JobStatus::InProgress, Some(&runner)).await;
            let fact = self.bed.world.ports.ledger.job(job.id()).await.unwrap().unwrap().fact;
            self.bed.doubles.script().jobs.insert(job.id(), JobFact { source: FactSource::Get, ..fact });
            self.woken = true;
        }
    }

    fn count(&self, beginning: &str) -> usize {
        self.bed.doubles.script().count(beginning)
    }

    fn faults(&self) -> Vec<String> {
        let faults = self.bed.world.levels.get(&set("linux")).unwrap().faults;
        faults.iter().map(|fault| fault.cause.clone()).collect()
    }

    async fn boot_failures(&self) -> usize {
        self.bed.world.ports.ledger.boot_failures(&set("linux")).await.unwrap().total()
    }

    async fn why(&self, job: u64) -> String {
        let ledger = self.bed.world.ports.ledger.as_ref();
        let waiting = self.bed.world.levels.waiting_on(JobId(job));
        why::why(ledger, waiting.as_ref(), JobId(job)).await.unwrap().unwrap().sentence
    }
}

/// B: ten machines that wait for their configuration while GitHub is down are no failed boots, and run their jobs at its end.
#[tokio::test]
async fn ten_jobs_run_within_half_a_minute_of_the_end_of_an_outage_of_80_seconds() {
    // Also where machines have so little time that all of them have to be ended while the outage lasts.
    for boot_deadline in [300, 20] {
        let mut policy = policy(10);
        policy.timing.boot_deadline = Duration::from_secs(boot_deadline);
        policy.timing.ghost_grace = Duration::from_secs(boot_deadline / 5);
        let mut life = Life::with_jobs(policy, 10).await;
        life.bed.doubles.script().is_down = true;
        life.seconds(80).await;
        life.bed.doubles.script().is_down = false;
        life.seconds(30).await;
        assert_eq!(life.jobs_in(JobStatus::InProgress).await, 10, "{boot_deadline}: {:?}", life.faults());
        assert_eq!(life.boot_failures().await, 0, "GitHub's outage never blames the image");
        assert!(life.count("jit ") + life.count("by name") < 60, "{:?}", life.bed.doubles.script().calls);
    }
}

#[tokio::test]
async fn after_an_outage_all_jobs_are_asked_about_together_as_soon_as_one_was_answered_for() {
    let bed = Bed::new(policy(1));
    bed.queued(1..=20).await;
    bed.clock.advance(Duration::from_secs(600));
    bed.doubles.script().is_down = true;
    bed.pass(Depth::Partial).await;
    // They were cancelled long ago, and no delivery said so.
    let at = bed.clock_now().minus(Duration::from_secs(580));
    for id in 1..=20 {
        let fact = bed.world.ports.ledger.job(JobId(id)).await.unwrap().unwrap().fact;
        let ended = JobFact { source: FactSource::Get, status: JobStatus::Completed, completed_at: Some(at), ..fact };
        bed.doubles.script().jobs.insert(JobId(id), ended);
    }
    bed.clock.advance(Duration::from_secs(30));
    bed.doubles.script().is_down = false;
    let before = bed.doubles.script().count("job ");
    let passed = bed.pass(Depth::Partial).await;
    assert_eq!(bed.doubles.script().count("job ") - before, 20);
    assert!(passed.rounds <= 4, "{passed:?}");
    let jobs = bed.world.ports.ledger.open_jobs(bed.clock_now()).await.unwrap();
    assert!(jobs.iter().all(|job| !job.fact.status.is_open()), "{jobs:?}");
}

/// B: an outage that is longer than machines wait costs one machine at a time, and no launch is held back after it.
#[tokio::test]
async fn an_outage_of_an_hour_keeps_no_fleet_waiting_and_blames_nobody() {
    // With the machines that had their configurations just before it, and with those that had none.
    for before in [1, 0] {
        hour_of_outage(before).await;
    }
}

async fn hour_of_outage(seconds_before: u64) {
    let mut life = Life::with_jobs(policy(10), 10).await;
    life.seconds(seconds_before).await;
    life.bed.doubles.script().is_down = true;
    for minute in 0..60 {
        life.seconds(MINUTE).await;
        // A machine ends by itself when it has waited for ten minutes.
        let now = life.bed.world.ports.clock.now();
        let mut script = life.bed.doubles.script();
        let waits = |machine: &&mut Machine| {
            machine.state == MachineState::Running
                && machine.status == Some(MachineStatus::Booting)
                && now.since(machine.launched_at) >= Duration::from_secs(600)
        };
        for machine in script.machines.values_mut().filter(waits) {
            machine.status = Some(MachineStatus::Ended("no hand-off within the boot deadline".into()));
            machine.state = MachineState::Ended;
            life.woken = true;
        }
        let alive = script.machines.values().filter(|machine| machine.state == MachineState::Running).count();
        assert!(minute < 20 || alive <= 2, "{alive} machines wait in minute {minute}");
    }
    assert!(life.bed.machines_made() < 30, "{} machines", life.bed.machines_made());
    life.bed.doubles.script().is_down = false;
    // What the machines that ended have left at GitHub goes first.
    life.seconds(3 * MINUTE).await;
    assert_eq!(life.boot_failures().await, 0);
    assert_eq!(life.jobs_in(JobStatus::InProgress).await, 10, "{:?}", life.faults());
}

/// D: runners that come online and end without a job are failures, with their reason, and launches pause.
#[tokio::test]
async fn runners_that_end_without_a_job_are_counted_and_launches_pause() {
    let mut life = Life::with_jobs(policy(3), 1).await;
    life.is_outdated = true;
    life.seconds(10 * MINUTE).await;
    let launched = life.count("launch");
    assert!((4..=9).contains(&launched), "{launched} launches in ten minutes");
    let faults = life.faults().join("\n");
    assert!(faults.contains("came online and ended without a job"), "{faults}");
    let why = life.why(1).await;
    assert!(why.contains("launches are paused after") && why.contains("ended without a job"), "{why}");
    // The machine's own reason is there too, in the history of each.
    let history = life.bed.world.ports.ledger.recent_history(1_000).await.unwrap();
    assert!(history.iter().any(|event| event.what == "boot_failed" && event.text.contains("and said: 1")));
    life.is_outdated = false;
    life.seconds(20 * MINUTE).await;
    assert_eq!(life.jobs_in(JobStatus::InProgress).await, 1);
    assert_eq!(life.boot_failures().await, 0, "a job that was taken proves that machines work");
}

/// Of machines that fail together the last lines of three are recorded with their runners, once; that they cannot be had changes nothing.
#[tokio::test]
async fn the_last_lines_of_failed_machines_are_in_their_runners_histories() {
    let mut life = Life::with_jobs(policy(5), 5).await;
    life.is_outdated = true;
    for machine in 1..=5 {
        let lines = (1..=2).map(|line| format!("line {line} of {machine}\u{1b}")).collect();
        life.bed.doubles.script().outputs.insert(MachineId::parse(&format!("m-{machine:04}")).unwrap(), lines);
    }
    life.seconds(50).await;
    assert_eq!(life.boot_failures().await, 5);
    let history = life.bed.world.ports.ledger.recent_history(1_000).await.unwrap();
    let mut said: Vec<(String, String)> = history
        .iter()
        .filter(|event| event.what == "machine_output")
        .map(|event| (event.machine.as_ref().unwrap().to_string(), event.text.clone()))
        .collect();
    said.sort();
    let expected = ["3", "4", "5"].into_iter().flat_map(|machine| {
        (1..=2).map(move |line| (format!("m-000{machine}"), format!("line {line} of {machine}\\u{{1b}}")))
    });
    assert_eq!(said, expected.collect::<Vec<_>>());
    // The fault names the last that failed.
    let named = life.bed.world.ports.ledger.boot_failures(&set("linux")).await.unwrap().newest.pop().unwrap().runner;
    let with_lines =
        history.iter().filter(|event| event.what == "machine_output").filter_map(|event| event.runner.as_ref());
    let with_lines: BTreeSet<&RunnerName> = with_lines.collect();
    assert!(with_lines.len() == 3 && with_lines.contains(&named), "{named}: {with_lines:?}");
    // Those of later rounds have said nothing.
    life.seconds(10 * MINUTE).await;
    assert!(life.boot_failures().await > 5 && life.count("output m-") > 3);
    life.is_outdated = false;
    life.seconds(30 * MINUTE).await;
    assert_eq!(life.jobs_in(JobStatus::InProgress).await, 5);
}

/// Q: a hand-off that can never succeed is said where users look, and tried again slowly.
#[tokio::test]
async fn a_runner_group_that_is_not_there_is_said_and_asked_for_slowly() {
    let mut life = Life::with_jobs(policy(5), 5).await;
    life.bed.doubles.script().has_no_group = true;
    life.seconds(30 * MINUTE).await;
    assert!(life.count("jit ") < 20, "{} calls in half an hour", life.count("jit "));
    assert!(life.bed.machines_made() < 10, "{} machines", life.bed.machines_made());
    let cause = "GitHub refuses registrations at acme: runner groups runner group \"Default\" of acme: not found";
    let faults = life.faults();
    assert!(faults.iter().any(|fault| fault.starts_with(cause)), "{faults:?}");
    for job in 1..=5 {
        let why = life.why(job).await;
        assert!(why.starts_with(&format!("waits: {cause} (tried again at ")), "{why}");
    }
    assert_eq!(life.boot_failures().await, 0, "no image is to blame");
    life.bed.doubles.script().has_no_group = false;
    life.seconds(16 * MINUTE).await;
    assert_eq!(life.jobs_in(JobStatus::InProgress).await, 5, "{:?}", life.faults());
    assert!(life.faults().iter().all(|fault| !fault.contains("refuses")), "{:?}", life.faults());
}

/// B10: GitHub's limit ends the tries until it is over; no attempt, no mark and no budget is used up meanwhile.
#[tokio::test]
async fn a_rate_limit_costs_no_attempt_and_is_waited_for() {
    let mut life = Life::with_jobs(policy(5), 5).await;
    for _ in 0..5 {
        life.bed.doubles.script().fail("jit", crate::support::Fault::RateLimited);
    }
    life.seconds(1).await;
    assert_eq!(life.count("jit "), 5);
    for runner in life.bed.runners().await {
        assert_eq!((runner.attempt, runner.jit_requested_at), (1, None), "{}", runner.name);
    }
    // The limit holds for half an hour.
    let wake = life.bed.pass(Depth::Partial).await.next_wake.unwrap();
    assert!(wake.since(life.bed.world.ports.clock.now()) <= Duration::from_secs(1_800));
    life.seconds(29 * MINUTE).await;
    assert_eq!(life.count("jit "), 5, "and nothing is asked before");
    assert!(
        life.faults().iter().any(|fault| fault.starts_with("GitHub's rate limit holds registrations at acme back"))
    );
    assert!(life.why(1).await.contains("GitHub's rate limit"), "{}", life.why(1).await);
    life.seconds(3 * MINUTE).await;
    assert_eq!(life.jobs_in(JobStatus::InProgress).await, 5, "{:?}", life.faults());
}

/// N: registration tokens are asked for once in a round, less and less often while that fails, and from a budget of their own.
#[tokio::test]
async fn registration_tokens_that_fail_are_asked_for_less_and_less() {
    let mut set = policy(10);
    set.ephemeral = false;
    let mut life = Life::with_jobs(set, 10).await;
    life.bed.doubles.script().is_down = true;
    life.seconds(75).await;
    assert!((2..=10).contains(&life.count("token")), "{} calls in 75 seconds", life.count("token"));
    life.bed.doubles.script().is_down = false;
    life.seconds(30).await;
    assert_eq!(life.jobs_in(JobStatus::InProgress).await, 10);
    let used = life.bed.world.ports.ledger.used_budget(runnersmith_ports::BudgetKind::Jit).await.unwrap();
    assert_eq!(used, 0, "the budget of JIT configs is not touched");
}

/// B17: a configuration that cannot be had again is put again, and not thrown away.
#[tokio::test(start_paused = true)]
async fn a_configuration_is_put_again_before_it_is_given_up() {
    let bed = Bed::new(policy(1));
    bed.queued(1..=1).await;
    for _ in 0..6 {
        bed.doubles.script().fail("put", crate::support::Fault::Unavailable);
    }
    bed.pass(Depth::Partial).await;
    let script = bed.doubles.script();
    assert_eq!((script.handed.len(), script.count("jit "), script.count("put")), (1, 1, 7));
}

/// C: as many jobs are stalled as idle runners prove it, and those runners go; the other jobs stay demand.
#[tokio::test]
async fn three_idle_runners_stall_three_of_six_jobs_and_the_others_get_machines() {
    let mut life = Life::with_jobs(policy(3), 6).await;
    life.gives_no_job = true;
    life.seconds(3 * MINUTE).await;
    let open = life.bed.world.ports.ledger.open_jobs(Timestamp(i64::MAX)).await.unwrap();
    let stalled: Vec<u64> = open.iter().filter(|job| job.stalled.is_some()).map(|job| job.id().0).collect();
    assert_eq!(stalled, [1, 2, 3]);
    life.gives_no_job = false;
    life.seconds(3 * MINUTE).await;
    assert_eq!(life.bed.machines_made(), 6, "the idle runners went, and the other jobs got theirs");
    assert_eq!(life.jobs_in(JobStatus::InProgress).await, 3);
}

/// F: a job that GitHub leaves queued although its run is over is asked about by its run, and ends.
#[tokio::test]
async fn a_queued_job_whose_run_is_over_costs_one_machine_and_ends() {
    let mut life = Life::with_jobs(policy(3), 1).await;
    life.bed.doubles.script().runs.clear();
    life.gives_no_job = true;
    life.seconds(30 * MINUTE).await;
    let job = life.bed.world.ports.ledger.job(JobId(1)).await.unwrap().unwrap();
    assert_eq!(job.fact.status, JobStatus::Completed, "{}", life.why(1).await);
    assert_eq!(life.bed.machines_made(), 1);
    assert_eq!(life.count("run "), 1);
}

/// F: pauses grow while the run goes on, and GitHub's own limit of a day is the end.
#[tokio::test]
async fn a_job_that_github_never_gives_away_costs_fewer_and_fewer_machines_and_ends_after_a_day() {
    let mut life = Life::with_jobs(policy(3), 1).await;
    (life.gives_no_job, life.full_every) = (true, 300);
    life.seconds(23 * 60 * MINUTE).await;
    assert_eq!(life.jobs_in(JobStatus::Queued).await, 1);
    assert!((10..=20).contains(&life.bed.machines_made()), "{} machines in 23 hours", life.bed.machines_made());
    life.seconds(80 * MINUTE).await;
    assert_eq!(life.why(1).await, "completed: cancelled");
}

/// An operator who has repaired something need not wait for the pause's end.
#[tokio::test]
async fn a_reset_ends_the_pauses_at_once() {
    let mut life = Life::with_jobs(policy(3), 1).await;
    life.bed.doubles.script().has_no_group = true;
    life.seconds(20 * MINUTE).await;
    life.bed.doubles.script().has_no_group = false;
    let now = life.bed.world.ports.clock.now();
    runnersmith_controllers::pauses::reset(life.bed.world.ports.ledger.as_ref(), &set("linux"), now).await.unwrap();
    life.woken = true;
    life.seconds(15).await;
    assert_eq!(life.jobs_in(JobStatus::InProgress).await, 1, "{:?}", life.faults());
}

/// What keeps failing is tried less and less, and once in a pass.
#[tokio::test]
async fn a_removal_that_fails_is_tried_less_and_less() {
    let bed = Bed::new(policy(2));
    bed.queued(1..=1).await;
    bed.pass(Depth::Partial).await;
    bed.online().await;
    bed.fact(1, JobStatus::Completed, None).await;
    bed.clock.advance(Duration::from_secs(360));
    for _ in 0..1_000 {
        bed.doubles.script().fail("deregister", crate::support::Fault::Unavailable);
    }
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let before = bed.doubles.script().count("deregister");
        let wake = bed.pass(Depth::Full).await.next_wake.unwrap();
        assert_eq!(bed.doubles.script().count("deregister"), before + 1);
        let pause = wake.since(bed.world.ports.clock.now());
        pauses.push(pause.as_secs());
        bed.clock.advance(pause);
    }
    assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60]);
}

/// What GitHub refuses for good is asked for less and less: a check run here, by an App that may not write any.
#[tokio::test]
async fn a_notification_that_is_refused_is_posted_less_and_less() {
    let mut life = Life::with_jobs(policy(0), 1).await;
    for _ in 0..10_000 {
        life.bed.doubles.script().fail("notify", crate::support::Fault::Refused);
    }
    life.full_every = 300;
    life.seconds(70 * MINUTE).await;
    assert!(life.count("notify") > 2, "it is tried again");
    assert!(life.count("notify") <= 8, "{} calls in an hour", life.count("notify"));
}
