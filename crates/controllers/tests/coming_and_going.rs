//! Scale sets that come and go while the loops run. Only signals act here: the timers are far longer than the tests.

use std::time::Duration;

use crate::support::{Bed, Fault, policy, set};
use runnersmith_controllers::loops::{self, Rhythm};
use runnersmith_controllers::pass;
use runnersmith_ports::Message;
use runnersmith_ports::contract::ledger::fact;
use runnersmith_types::{
    FactSource, JobStatus, Label, MachineState, MachineStatus, MinIdleEntry, Owner, Runner, RunnerScope, RunnerState,
    ScaleSet, ScaleSetName,
};
use tokio::sync::watch;
use tokio::task::JoinSet;

struct Running {
    bed: Bed,
    stop: watch::Sender<bool>,
    loops: JoinSet<()>,
}

impl Running {
    /// The loops over these sets.
    fn over(sets: Vec<ScaleSet>) -> Self {
        let mut bed = Bed::new(policy(5));
        // The clock runs a hundred times as fast: a pass that waits for the disk must not lose its lease.
        bed.world.lease_ttl = Duration::from_secs(3_600);
        bed.world.sets.replace(sets);
        let never = Duration::from_secs(3_600);
        Self::begun(bed, Rhythm { sweep: never, full_pass: never, ..Rhythm::default() })
    }

    /// The loops of this bed.
    fn begun(bed: Bed, rhythm: Rhythm) -> Self {
        let (stop, stopped) = watch::channel(false);
        let loops = loops::start(&bed.world, rhythm, &stopped);
        Self { bed, stop, loops }
    }

    /// A delivery, as the intake hands it on.
    async fn says(&self, id: u64, status: JobStatus, runner: Option<&Runner>) {
        let mut fact = fact(id, id, status, FactSource::Delivery, self.bed.world.ports.clock.now());
        fact.labels.push(Label::of_job("self-hosted"));
        fact.runner_name = runner.map(|runner| runner.registration_name().to_string());
        self.bed.world.ports.queue.send(&Message::Job(Box::new(fact)).to_body(), Duration::ZERO).await.unwrap();
    }

    async fn wake(&self, name: &str) {
        let body = Message::Wake { set: set(name) }.to_body();
        self.bed.world.ports.queue.send(&body, Duration::ZERO).await.unwrap();
    }

    async fn runners(&self, name: &str) -> Vec<Runner> {
        self.bed.world.ports.ledger.live_runners(&set(name)).await.unwrap()
    }

    fn machines_of(&self, name: &str) -> usize {
        let script = self.bed.doubles.script();
        script
            .machines
            .values()
            .filter(|machine| machine.set == set(name) && machine.state != MachineState::Ended)
            .count()
    }

    /// All machines listen, but that of the busy runner.
    fn listen(&self, busy: Option<&Runner>) {
        let mut script = self.bed.doubles.script();
        for machine in script.machines.values_mut() {
            let is_busy = busy.is_some_and(|busy| busy.machine.as_ref() == Some(&machine.id));
            machine.status = Some(if is_busy { MachineStatus::Busy } else { MachineStatus::Listening });
        }
        script.registrations.values_mut().for_each(|registration| registration.online = true);
    }

    async fn stop(mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.loops.join_next().await {
            ended.unwrap();
        }
    }
}

/// Waits for a condition while the clock goes on, a hundred times as fast as ours. It sleeps, because nothing reports when a pass
/// is over, and SQLite's threads do not stand still when tokio's time does.
async fn until(running: &Running, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = tokio::time::Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "not within 30 s: {what}");
        running.bed.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_set_that_comes_takes_the_jobs_that_waited_for_one() {
    let running = Running::over(Vec::new());
    running.says(1, JobStatus::Queued, None).await;
    let ledger = &running.bed.world.ports.ledger;
    until(&running, "the job is recorded", async || ledger.job(runnersmith_types::JobId(1)).await.unwrap().is_some())
        .await;
    assert_eq!(running.bed.machines_made(), 0);
    running.bed.world.sets.update(|sets| sets.push(policy(5)));
    until(&running, "a machine is launched for it", async || running.machines_of("linux") == 1).await;
    running.says(2, JobStatus::Queued, None).await;
    until(&running, "and one for the next", async || running.machines_of("linux") == 2).await;
    running.stop().await;
}

#[tokio::test]
async fn a_set_that_is_taken_out_drains_at_once_and_its_running_job_runs_on() {
    let running = Running::over(vec![policy(5)]);
    running.says(1, JobStatus::Queued, None).await;
    running.says(2, JobStatus::Queued, None).await;
    until(&running, "two machines have their configuration", async || {
        let runners = running.runners("linux").await;
        runners.len() == 2 && runners.iter().all(|runner| runner.handed_at.is_some())
    })
    .await;
    let busy = running.runners("linux").await[0].clone();
    running.listen(Some(&busy));
    running.says(1, JobStatus::InProgress, Some(&busy)).await;
    until(&running, "one is busy, one idle", async || {
        running.wake("linux").await;
        let states: Vec<RunnerState> = running.runners("linux").await.iter().map(|runner| runner.state).collect();
        states == [RunnerState::Busy, RunnerState::Idle]
    })
    .await;

    running.bed.world.sets.replace(Vec::new());
    until(&running, "the idle one is gone", async || running.runners("linux").await.len() == 1).await;
    let left = running.runners("linux").await;
    assert_eq!((&left[0].name, left[0].state), (&busy.name, RunnerState::Busy), "the busy one stays");
    assert_eq!(running.machines_of("linux"), 1);
    assert!(running.bed.doubles.script().registrations.len() == 1, "the idle one's registration is gone too");

    running
        .bed
        .doubles
        .script()
        .machines
        .values_mut()
        .for_each(|machine| machine.status = Some(MachineStatus::JobDone));
    running.says(1, JobStatus::Completed, Some(&busy)).await;
    until(&running, "nothing is left of it, and pages do not show it", async || {
        running.runners("linux").await.is_empty() && running.bed.world.levels.all().is_empty()
    })
    .await;

    running.bed.world.sets.replace(vec![policy(5)]);
    until(&running, "it comes back for the job that waited", async || running.machines_of("linux") == 1).await;
    running.stop().await;
}

#[tokio::test]
async fn a_set_that_comes_back_while_it_drains_stays() {
    let running = Running::over(vec![policy(5)]);
    running.says(1, JobStatus::Queued, None).await;
    until(&running, "it has its configuration", async || {
        running.runners("linux").await.iter().any(|runner| runner.handed_at.is_some())
    })
    .await;
    let busy = running.runners("linux").await[0].clone();
    running.listen(Some(&busy));
    running.says(1, JobStatus::InProgress, Some(&busy)).await;
    running.bed.world.sets.replace(Vec::new());
    until(&running, "it is on its way out", async || {
        running.bed.world.levels.get(&set("linux")).is_some_and(|level| level.policy.runners_max == 0)
    })
    .await;
    running.bed.world.sets.replace(vec![policy(5)]);
    running.says(2, JobStatus::Queued, None).await;
    until(&running, "it takes the next job", async || running.machines_of("linux") == 2).await;
    assert_eq!(running.bed.world.levels.get(&set("linux")).unwrap().policy.runners_max, 5);
    running.stop().await;
}

#[tokio::test]
async fn a_loop_that_ended_by_a_mistake_of_ours_is_begun_again_by_the_next_round() {
    let bed = Bed::new(policy(5));
    bed.doubles.script().fail("list", Fault::Panics);
    // The lease of the pass that panicked runs out by itself; the next full pass has it.
    let often = Duration::from_millis(200);
    let running = Running::begun(bed, Rhythm { sweep: often, full_pass: often, ..Rhythm::default() });
    until(&running, "it panicked", async || running.bed.doubles.script().faults.is_empty()).await;
    running.says(1, JobStatus::Queued, None).await;
    until(&running, "the job has its machine", async || running.machines_of("linux") == 1).await;
    running.stop().await;
}

#[tokio::test]
async fn a_set_that_comes_has_its_minimum_of_idle_runners() {
    let running = Running::over(Vec::new());
    let mut floored = policy(5);
    floored.scope.at = Some(RunnerScope::Organization(Owner::parse("acme").unwrap()));
    floored.min_idle = vec![MinIdleEntry::Cron { cron: "* * * * * *".into(), time_zone: "UTC".into(), count: 2 }];
    running.bed.world.sets.replace(vec![floored]);
    until(&running, "two runners idle", async || {
        running.listen(None);
        running.wake("linux").await;
        running.runners("linux").await.iter().filter(|runner| runner.state == RunnerState::Idle).count() == 2
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn of_two_sets_that_are_swapped_the_new_one_takes_what_comes() {
    let renamed = |name: &str| ScaleSet { name: ScaleSetName::parse(name).unwrap(), ..policy(5) };
    let running = Running::over(vec![renamed("blue")]);
    running.says(1, JobStatus::Queued, None).await;
    until(&running, "blue has it", async || running.machines_of("blue") == 1).await;
    running.listen(None);
    running.says(1, JobStatus::Completed, running.runners("blue").await.first()).await;
    // No pass goes on that began before: its round could still take what comes.
    let ledger = &running.bed.world.ports.ledger;
    let mut lease = None;
    until(&running, "blue is at rest", async || {
        lease = ledger.acquire(&set("blue"), "the test", Duration::from_secs(60)).await.unwrap();
        lease.is_some()
    })
    .await;
    running.bed.world.sets.replace(vec![renamed("green")]);
    drop(lease);
    running.says(2, JobStatus::Queued, None).await;
    until(&running, "green has the next", async || running.machines_of("green") == 1).await;
    until(&running, "nothing is left of blue", async || running.runners("blue").await.is_empty()).await;
    let made: Vec<ScaleSetName> = running.bed.doubles.script().machines.values().map(|made| made.set.clone()).collect();
    assert_eq!(made, [set("blue"), set("green")], "no job has two machines");
    running.stop().await;
}

#[tokio::test]
async fn a_pass_keeps_the_policy_that_it_began_with_and_the_next_sees_the_new_one() {
    let bed = Bed::new(policy(5));
    bed.queued(1..=3).await;
    let before = bed.world.sets.load();
    bed.world.sets.replace(vec![policy(1)]);
    assert_eq!(before[0].runners_max, 5, "what was loaded stays");
    bed.pass(runnersmith_controllers::Depth::Partial).await;
    assert_eq!(bed.machines_made(), 1, "the new maximum holds");
    bed.world.sets.replace(Vec::new());
    let passed = pass(&bed.world, &set("linux"), runnersmith_controllers::Depth::Partial).await.unwrap();
    assert_eq!(passed, runnersmith_controllers::Passed::default(), "a set that is gone is not planned for");
}

#[tokio::test]
async fn a_pass_ends_when_the_sets_change_and_looks_again_at_once() {
    let bed = Bed::new(policy(5));
    bed.queued(1..=2).await;
    let (sets, linux) = (bed.world.sets.clone(), set("linux"));
    let passes = pass(&bed.world, &linux, runnersmith_controllers::Depth::Partial);
    let changing = async {
        while bed.machines_made() == 0 {
            tokio::task::yield_now().await;
        }
        sets.replace(vec![policy(1)]);
    };
    let (passed, ()) = tokio::join!(passes, changing);
    let passed = passed.unwrap();
    assert!(passed.rounds < 4 && passed.next_wake.is_some(), "{passed:?}");
    let (_, delayed, _) = bed.world.ports.queue.depth().await.unwrap();
    assert_eq!(delayed, 1, "it looks again by a message to itself");
}
