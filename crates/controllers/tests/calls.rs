//! What a control plane asks of GitHub in an hour, counted: while a day's jobs run, and while GitHub does not answer. What it asks while
//! nothing happens is counted at the simulator, with the real client (`github/tests/calls.rs`).

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that fails panics; the figures are printed")]

use std::time::Duration;

use crate::support::{Bed, policy, run, set};
use runnersmith_controllers::{Depth, timer};
use runnersmith_ports::contract::ledger::fact;
use runnersmith_types::*;

/// An hour of GitHub's: the least that an installation may ask ("Rate limits for the REST API").
const LIMIT: u64 = 5_000;
const HOUR: u64 = 3_600;
/// The ids of other fleets' jobs and runners begin here.
const OTHERS: u64 = 1_000_000;

/// A fleet whose machines boot in 20 seconds and whose jobs take five minutes.
struct Fleet {
    bed: Bed,
    second: u64,
    next: u64,
    woken: bool,
    wake: Option<Timestamp>,
    /// So many repositories have jobs, one after the other.
    busy_repositories: u64,
}

impl Fleet {
    fn new() -> Self {
        Self::with_repositories(51, 1)
    }

    fn with_repositories(count: u32, busy_repositories: u64) -> Self {
        let mut policy = policy(20);
        policy.scope.at = Some(RunnerScope::Organization(Owner::parse("acme").unwrap()));
        let bed = Bed::new(policy);
        bed.doubles.script().install("acme", (1..count).map(|n| format!("r-{n}")).chain(["shop".to_owned()]));
        Self { bed, second: 0, next: 1, woken: false, wake: None, busy_repositories }
    }

    /// Jobs come, a batch each half hour, as many in a day as said.
    async fn hour(&mut self, a_day: u64) -> u64 {
        let before = self.bed.doubles.script().http;
        for _ in 0..HOUR {
            if self.second.is_multiple_of(HOUR / 2) {
                let count = a_day / 48;
                if count > 0 {
                    self.queued(count).await;
                }
            }
            self.pass_a_second().await;
        }
        self.bed.doubles.script().http - before
    }

    /// Jobs that GitHub knows, and whose runs go on.
    async fn queued(&mut self, count: u64) {
        let ids = self.next..=self.next + count - 1;
        for id in ids {
            self.delivered(id, JobStatus::Queued, None).await;
        }
        self.next += count;
        self.woken = true;
    }

    /// A delivery of a job is in the ledger, and GitHub has of the job what the ledger has.
    async fn delivered(&self, id: u64, status: JobStatus, runner: Option<&Runner>) {
        let mut fact = fact(id, id, status, FactSource::Delivery, self.bed.clock_now());
        fact.runner_name = runner.map(|runner| runner.registration_name().to_string());
        if self.busy_repositories > 1 {
            fact.repo = RepoFullName::parse(&format!("acme/r-{}", 1 + id % self.busy_repositories)).unwrap();
        }
        self.bed.world.ports.ledger.record_facts(vec![fact], &[set("linux")]).await.unwrap();
        let fact = self.bed.world.ports.ledger.job(JobId(id)).await.unwrap().unwrap().fact;
        let mut script = self.bed.doubles.script();
        script.runs.insert(fact.run, run(fact.run.0, "in_progress", None));
        script.jobs.insert(fact.id, JobFact { source: FactSource::Get, ..fact });
    }

    /// What other fleets of the organisation have at GitHub in this hour: their runners, and jobs of theirs that wait in three repositories.
    fn others(&mut self, hour: u64) {
        let mut script = self.bed.doubles.script();
        script.jobs.retain(|id, _| id.0 < OTHERS);
        let labels = ["self-hosted", "other"].map(Label::of_job).to_vec();
        for (n, repo) in ["shop", "r-1", "r-2"].into_iter().cycle().take(30).enumerate() {
            let id = OTHERS + 1_000 * hour + n as u64;
            let mut fact = fact(id, id, JobStatus::Queued, FactSource::Get, self.bed.clock_now());
            (fact.repo, fact.labels) = (RepoFullName::parse(&format!("acme/{repo}")).unwrap(), labels.clone());
            script.jobs.insert(fact.id, fact);
            let name = format!("other-{n}");
            let busy = !n.is_multiple_of(3);
            let runner = Registration {
                id: RegistrationId(OTHERS + n as u64),
                name,
                online: true,
                busy,
                labels: labels.clone(),
            };
            script.registrations.insert(runner.id.0, runner);
        }
    }

    async fn pass_a_second(&mut self) {
        self.bed.clock.advance(Duration::from_secs(1));
        self.second += 1;
        let now = self.bed.clock_now();
        if self.second.is_multiple_of(5) {
            self.machines(now).await;
        }
        if self.second.is_multiple_of(300) {
            let _ = timer::redeliver(&self.bed.world).await.unwrap();
            let _ = timer::sweep(&self.bed.world, Duration::from_secs(300)).await.unwrap();
        }
        let full = self.second.is_multiple_of(60);
        if full || self.woken || self.wake.is_some_and(|wake| wake <= now) {
            self.woken = false;
            self.wake = self.bed.pass(if full { Depth::Full } else { Depth::Partial }).await.next_wake;
        }
    }

    /// Machines come online, take the oldest job, end with it; GitHub removes the registration of an ephemeral runner.
    async fn machines(&mut self, now: Timestamp) {
        if self.bed.doubles.script().is_down {
            return;
        }
        let jobs = self.bed.world.ports.ledger.open_jobs(Timestamp(i64::MAX)).await.unwrap();
        let mut queued = jobs.iter().filter(|job| job.fact.status == JobStatus::Queued);
        for runner in self.bed.runners().await {
            let Some(id) = runner.machine.clone() else { continue };
            let status = {
                let script = self.bed.doubles.script();
                let Some(machine) = script.machines.get(&id).filter(|machine| machine.state == MachineState::Running)
                else {
                    continue;
                };
                let put_for = script.put_at.get(&id).map(|at| now.since(*at).as_secs());
                match (&machine.status, put_for) {
                    (Some(MachineStatus::Booting), Some(20..)) => MachineStatus::Listening,
                    (Some(MachineStatus::Listening), _) => MachineStatus::Busy,
                    (Some(MachineStatus::Busy), Some(320..)) => MachineStatus::JobDone,
                    _ => continue,
                }
            };
            let job = match status {
                MachineStatus::Busy => queued.next(),
                _ => jobs.iter().find(|job| job.runner().as_ref() == Some(&runner.name)),
            };
            match (&status, job) {
                (MachineStatus::Busy, Some(job)) => {
                    self.delivered(job.id().0, JobStatus::InProgress, Some(&runner)).await;
                }
                (MachineStatus::Busy, None) => continue,
                (MachineStatus::JobDone, Some(job)) => {
                    self.delivered(job.id().0, JobStatus::Completed, Some(&runner)).await;
                }
                _ => {}
            }
            let mut script = self.bed.doubles.script();
            let name = runner.registration_name().to_string();
            if status == MachineStatus::JobDone {
                script.registrations.retain(|_, found| found.name != name);
                script.machines.get_mut(&id).unwrap().state = MachineState::Ended;
            }
            for found in script.registrations.values_mut().filter(|found| found.name == name) {
                (found.online, found.busy) = (true, status == MachineStatus::Busy);
            }
            script.machines.get_mut(&id).unwrap().status = Some(status);
            self.woken = true;
        }
    }

    /// How often each kind of call was made, the most frequent first.
    fn kinds(&self) -> Vec<(usize, String)> {
        let mut kinds = std::collections::BTreeMap::<String, usize>::new();
        for call in &self.bed.doubles.script().calls {
            *kinds.entry(call.split(' ').next().unwrap_or_default().to_owned()).or_default() += 1;
        }
        let mut kinds: Vec<_> = kinds.into_iter().map(|(kind, count)| (count, kind)).collect();
        kinds.sort_unstable_by(|a, b| b.cmp(a));
        kinds
    }

    async fn completed(&self) -> usize {
        let jobs = self.bed.world.ports.ledger.recent_jobs(10_000).await.unwrap();
        jobs.iter().filter(|job| job.fact.status == JobStatus::Completed).count()
    }
}

#[tokio::test]
async fn a_thousand_jobs_a_day_take_a_small_part_of_the_hours_limit() {
    let mut fleet = Fleet::new();
    let mut hours = Vec::new();
    for _ in 0..4 {
        hours.push(fleet.hour(1_000).await);
    }
    let jobs = fleet.completed().await;
    println!("1,000 jobs a day, 51 repositories: {hours:?} calls an hour, {jobs} jobs in four hours");
    assert!(jobs >= 140, "{jobs} jobs ran");
    assert!(hours.iter().all(|calls| *calls < LIMIT / 10), "{hours:?}");
    let jits = fleet.bed.doubles.script().count("jit ");
    assert!(jits <= jobs + 25, "{jits} configurations for {jobs} jobs");
}

/// Two environments with a control plane of their own and one that is shared, by one App and in one organisation: they have one limit, and
/// each sees what is the others'.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_control_planes_of_one_app_run_a_days_jobs_under_one_limit() {
    let day = async || {
        let mut fleet = Fleet::with_repositories(200, 199);
        let mut hours = Vec::new();
        for hour in 0..24 {
            fleet.others(hour);
            hours.push(fleet.hour(1_008 / 3).await);
        }
        // The last ones end.
        hours.push(fleet.hour(0).await);
        (fleet, hours)
    };
    let [one, two, three] = [day(), day(), day()].map(tokio::spawn);
    let (one, two, three) = tokio::join!(one, two, three);
    let fleets = [one.unwrap(), two.unwrap(), three.unwrap()];
    let hours: Vec<u64> = (0..25).map(|hour| fleets.iter().map(|(_, hours)| hours[hour]).sum()).collect();
    println!("three control planes, 1,008 jobs a day, 200 repositories: {hours:?} calls an hour");
    assert!(hours.iter().all(|calls| *calls < LIMIT), "{hours:?}");
    for (fleet, _) in &fleets {
        assert_eq!(fleet.completed().await, 336, "every job ran");
        {
            let script = fleet.bed.doubles.script();
            let others = script.registrations.values().filter(|found| found.name.starts_with("other-")).count();
            assert_eq!(
                (script.registrations.len(), others),
                (30, 30),
                "theirs are left alone, and of ours none is left"
            );
            assert!(script.notified.is_empty(), "{:?}", script.notified);
        }
        let jobs = fleet.bed.world.ports.ledger.recent_jobs(10_000).await.unwrap();
        assert_eq!(jobs.len(), 336, "theirs are not stored");
    }
}

#[tokio::test]
async fn an_outage_costs_few_calls_however_many_jobs_wait() {
    let mut fleet = Fleet::new();
    fleet.hour(1_000).await;
    fleet.bed.doubles.script().is_down = true;
    let hours = [fleet.hour(1_000).await, fleet.hour(1_000).await];
    println!("GitHub answers nothing, and 20 jobs wait more each half hour: {hours:?} calls an hour");
    assert!(hours.iter().all(|calls| *calls < 700), "{hours:?}: {:?}", fleet.kinds());
    fleet.bed.doubles.script().is_down = false;
    let after = fleet.hour(1_000).await;
    println!("the hour after it: {after} calls");
    assert!(after < LIMIT / 10);
    assert!(fleet.completed().await >= 100, "{} jobs ran", fleet.completed().await);
}

/// A place whose hand-offs failed long ago, and that no machine waits for any more, is nobody's next try.
#[tokio::test]
async fn a_fault_of_long_ago_wakes_no_pass_while_github_does_not_answer() {
    let bed = Bed::new(policy(1));
    bed.queued(1..=3).await;
    let mut faults = HandOffFaults::default();
    let elsewhere = RunnerScope::Organization(Owner::parse("elsewhere").unwrap());
    for _ in 0..3 {
        faults.failed(&elsewhere, HandOffTrouble::Refused, "404", None, bed.clock_now());
    }
    let text = serde_json::to_string(&faults).unwrap();
    bed.world.ports.ledger.set("hand_off_faults:linux", &text).await.unwrap();
    bed.clock.advance(Duration::from_secs(86_400));
    bed.doubles.script().is_down = true;
    let (mut passes, end) = (0, bed.clock_now().plus(Duration::from_secs(60)));
    while bed.clock_now() < end {
        let passed = bed.pass(Depth::Partial).await;
        passes += 1;
        let pause = passed.next_wake.unwrap_or(end).since(bed.clock_now());
        bed.clock.advance(pause.max(Duration::from_millis(100)));
    }
    assert!(bed.doubles.script().count("job ") > 0, "{:?}", bed.doubles.script().calls);
    assert!(passes < 30, "{passes} passes in a minute");
}
