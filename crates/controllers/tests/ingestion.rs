//! Deliveries become facts before anything else happens, and none of them waits for GitHub or for its neighbours.

use std::time::Duration;

use crate::support::{Bed, Fault, policy, set};
use runnersmith_controllers::loops::{self, Rhythm};
use runnersmith_controllers::why::why;
use runnersmith_controllers::{Depth, consume, lookups};
use runnersmith_ports::contract::ledger::fact;
use runnersmith_ports::{Clock as _, MachineEvent, Message, Queue};
use runnersmith_types::{FactSource, JobFact, JobId, JobStatus, Label, MachineId, RepoFullName};
use tokio::sync::watch;

fn job(bed: &Bed, id: u64) -> String {
    Message::Job(Box::new(fact(id, id, JobStatus::Queued, FactSource::Delivery, bed.clock.now()))).to_body()
}

fn sweep(number: usize) -> String {
    Message::Sweep { repo: RepoFullName::parse(&format!("acme/shop-{number}")).unwrap() }.to_body()
}

async fn send(queue: &dyn Queue, bodies: impl IntoIterator<Item = String>) {
    for body in bodies {
        queue.send(&body, Duration::ZERO).await.unwrap();
    }
}

async fn jobs(bed: &Bed) -> usize {
    bed.world.ports.ledger.recent_jobs(1_000).await.unwrap().len()
}

#[tokio::test]
async fn a_job_behind_a_hundred_sweeps_is_a_fact_before_github_is_asked() {
    let bed = Bed::new(policy(2));
    send(bed.world.ports.queue.as_ref(), (0..100).map(sweep).chain([job(&bed, 1)])).await;
    let batch = bed.world.ports.queue.receive(200, consume::VISIBILITY).await.unwrap();
    let consumed = consume::consume(&bed.world, batch).await;
    assert!(consumed.woken.contains(&set("linux")) && consumed.failed.is_empty(), "{consumed:?}");
    assert_eq!((jobs(&bed).await, bed.doubles.script().count("sweep")), (1, 0));
    assert_eq!(bed.world.ports.queue.depth().await.unwrap(), (0, 0, 0));
    let waiting = bed.world.ports.lookups.as_ref().unwrap();
    assert_eq!(waiting.depth().await.unwrap(), (100, 0, 0));

    let batch = waiting.receive(100, lookups::VISIBILITY).await.unwrap();
    lookups::look_up(&bed.world, waiting.as_ref(), batch).await;
    assert_eq!(bed.doubles.script().count("sweep"), 100);
    assert_eq!(waiting.depth().await.unwrap(), (0, 0, 0));
}

#[tokio::test]
async fn where_look_ups_have_no_queue_of_their_own_facts_still_come_first() {
    let mut bed = Bed::new(policy(2));
    bed.world.ports.lookups = None;
    bed.doubles.script().fail("sweep", Fault::Unavailable);
    send(bed.world.ports.queue.as_ref(), [sweep(1), sweep(2), job(&bed, 1)]).await;
    let batch = bed.world.ports.queue.receive(10, consume::VISIBILITY).await.unwrap();
    let consumed = consume::consume(&bed.world, batch).await;
    assert_eq!((jobs(&bed).await, consumed.failed.len()), (1, 1));
    assert_eq!(bed.world.ports.queue.depth().await.unwrap(), (0, 1, 0), "one sweep is done, the other waits");
    bed.clock.advance(Duration::from_secs(30));
    let batch = bed.world.ports.queue.receive(10, consume::VISIBILITY).await.unwrap();
    assert!(consume::consume(&bed.world, batch).await.failed.is_empty());
    assert_eq!(bed.world.ports.queue.depth().await.unwrap(), (0, 0, 0));
}

#[tokio::test]
async fn a_record_that_cannot_be_written_delays_none_of_its_nine_neighbours_and_comes_again_at_once() {
    let bed = Bed::new(policy(2));
    bed.refuse_job(5, true);
    send(bed.world.ports.queue.as_ref(), (1..=10).map(|id| job(&bed, id))).await;
    let batch = bed.world.ports.queue.receive(10, consume::VISIBILITY).await.unwrap();
    let consumed = consume::consume(&bed.world, batch).await;
    assert_eq!((jobs(&bed).await, consumed.failed.len()), (9, 1));
    assert!(consumed.woken.contains(&set("linux")));
    assert_eq!(bed.world.ports.queue.depth().await.unwrap(), (0, 1, 0));
    bed.clock.advance(Duration::from_secs(1));
    bed.refuse_job(5, false);
    let batch = bed.world.ports.queue.receive(10, consume::VISIBILITY).await.unwrap();
    assert!(consume::consume(&bed.world, batch).await.failed.is_empty());
    assert!(bed.world.ports.ledger.job(JobId(5)).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_launches_for_a_job_while_a_look_up_hangs() {
    let bed = Bed::new(policy(2));
    let lookups = bed.world.ports.lookups.clone().unwrap();
    bed.doubles.script().hangs = vec!["sweep".into()];
    send(bed.world.ports.queue.as_ref(), (0..100).map(sweep)).await;
    let (stop, stopped) = watch::channel(false);
    let never = Duration::from_secs(3_600);
    let rhythm = Rhythm { sweep: never, full_pass: never, ..Rhythm::default() };
    let mut running = loops::start(&bed.world, rhythm, &stopped);
    let seen = async |what: &str, holds: &(dyn Fn() -> bool + Sync)| {
        for _ in 0..600 {
            if holds() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("never seen: {what}");
    };
    seen("a look-up", &|| bed.doubles.script().count("sweep") > 0).await;
    send(bed.world.ports.queue.as_ref(), [job(&bed, 1)]).await;
    seen("a launch", &|| bed.doubles.script().count("launch") > 0).await;
    assert!(bed.doubles.script().count("sweep") <= lookups::AT_ONCE, "a few at once, and the others wait");
    drop(lookups);
    stop.send_replace(true);
    running.shutdown().await;
}

#[tokio::test]
async fn a_look_up_that_cannot_be_passed_on_takes_no_wake_from_the_jobs_beside_it() {
    let bed = Bed::new(policy(2));
    send(bed.world.ports.queue.as_ref(), [job(&bed, 1), sweep(1)]).await;
    bed.refuse("INSERT ON messages WHEN NEW.queue = 'lookups'", true);
    let batch = bed.world.ports.queue.receive(10, consume::VISIBILITY).await.unwrap();
    let consumed = consume::consume(&bed.world, batch).await;
    assert!(consumed.woken.contains(&set("linux")), "{consumed:?}");
    assert_eq!((jobs(&bed).await, consumed.failed.len()), (1, 1), "{consumed:?}");
    assert_eq!(bed.world.ports.queue.depth().await.unwrap(), (0, 1, 0));
    bed.refuse("", false);
    bed.clock.advance(Duration::from_secs(1));
    let batch = bed.world.ports.queue.receive(10, consume::VISIBILITY).await.unwrap();
    assert!(consume::consume(&bed.world, batch).await.failed.is_empty());
    assert_eq!(bed.world.ports.lookups.as_ref().unwrap().depth().await.unwrap(), (1, 0, 0));
}

#[tokio::test]
async fn a_message_of_a_newer_program_is_left_to_it() {
    let bed = Bed::new(policy(2));
    let queue = bed.world.ports.queue.as_ref();
    send(queue, [r#"{"wake":{"set":"linux","record_version":9}}"#.to_owned(), "no message".to_owned()]).await;
    let consumed = consume::consume(&bed.world, queue.receive(10, consume::VISIBILITY).await.unwrap()).await;
    assert!(consumed.woken.is_empty(), "{consumed:?}");
    assert_eq!(queue.depth().await.unwrap(), (0, 1, 1), "the other is a dead letter");
}

#[tokio::test]
async fn a_look_up_that_github_does_not_answer_waits_longer_and_longer() {
    let bed = Bed::new(policy(2));
    let queue = bed.world.ports.lookups.clone().unwrap();
    send(queue.as_ref(), [sweep(1)]).await;
    let mut waited = Duration::ZERO;
    for receives in 1..=30 {
        let batch = queue.receive(10, lookups::VISIBILITY).await.unwrap();
        assert_eq!(batch.len(), 1, "{receives}");
        bed.doubles.script().fail("sweep", Fault::Unavailable);
        let consumed = lookups::look_up(&bed.world, queue.as_ref(), batch).await;
        assert_eq!(consumed.failed, ["github sweep a double failed: 502"]);
        let pause = consume::retry_after(receives).max(Duration::from_secs(30));
        bed.clock.advance(pause - Duration::from_secs(1));
        assert!(queue.receive(10, lookups::VISIBILITY).await.unwrap().is_empty(), "{receives}");
        bed.clock.advance(Duration::from_secs(1));
        waited += pause;
    }
    assert!(waited > Duration::from_secs(2 * 3600), "{waited:?}");
    assert_eq!(bed.doubles.script().count("sweep"), 30);
    assert_eq!(queue.depth().await.unwrap(), (1, 0, 0));
}

#[tokio::test]
async fn a_look_up_that_github_limits_comes_again_when_the_limit_is_over() {
    let bed = Bed::new(policy(2));
    let queue = bed.world.ports.lookups.clone().unwrap();
    send(queue.as_ref(), [sweep(1)]).await;
    bed.doubles.script().fail("sweep", Fault::RateLimited);
    let batch = queue.receive(10, lookups::VISIBILITY).await.unwrap();
    let consumed = lookups::look_up(&bed.world, queue.as_ref(), batch).await;
    assert_eq!(consumed.failed.len(), 1, "{consumed:?}");
    bed.clock.advance(Duration::from_secs(1_799));
    assert!(queue.receive(10, lookups::VISIBILITY).await.unwrap().is_empty());
    bed.clock.advance(Duration::from_secs(1));
    let batch = queue.receive(10, lookups::VISIBILITY).await.unwrap();
    assert!(lookups::look_up(&bed.world, queue.as_ref(), batch).await.failed.is_empty());
    assert_eq!(queue.depth().await.unwrap(), (0, 0, 0));
}

#[tokio::test]
async fn a_check_run_that_leads_to_no_job_of_ours_is_in_the_jobs_history() {
    let bed = Bed::new(policy(2));
    let hosted = JobFact {
        labels: vec![Label::of_job("ubuntu-latest")],
        ..fact(5, 5, JobStatus::Queued, FactSource::Get, bed.clock_now())
    };
    bed.doubles.script().jobs.insert(JobId(5), hosted);
    let repo = RepoFullName::parse("acme/shop").unwrap();
    let body = |job| Message::CheckRun { repo: repo.clone(), job: JobId(job) }.to_body();
    let waiting = bed.world.ports.lookups.as_ref().unwrap();
    send(waiting.as_ref(), [body(4), body(5)]).await;
    let batch = waiting.receive(10, lookups::VISIBILITY).await.unwrap();
    lookups::look_up(&bed.world, waiting.as_ref(), batch).await;
    assert_eq!((jobs(&bed).await, waiting.depth().await.unwrap()), (0, (0, 0, 0)));
    let why = async |job| {
        let story = why(bed.world.ports.ledger.as_ref(), None, JobId(job)).await.unwrap().unwrap();
        story.sentence.split_once(" UTC ").unwrap().1.to_owned()
    };
    let unknown = why(4).await;
    assert!(unknown.starts_with("and was not used: GitHub does not show the job of this check run: "), "{unknown}");
    let hosted = why(5).await;
    assert!(hosted.starts_with("and was not used: no scale set serves it: "), "{hosted}");
}

/// A provider takes many machines back at once, and reports each of them; others of the account are among them.
#[tokio::test]
async fn what_is_reported_of_many_machines_is_taken_down_together_and_of_each_alone_where_that_fails() {
    let bed = Bed::new(policy(3));
    bed.queued(1..=3).await;
    bed.pass(Depth::Partial).await;
    let machines: Vec<MachineId> = bed.doubles.script().machines.keys().cloned().collect();
    let at = bed.clock.now().plus(Duration::from_secs(120));
    let foreign = MachineId::parse("i-foreign").unwrap();
    let report = |machine: &MachineId| {
        Message::Machine(MachineEvent { machine: machine.clone(), taken_back_at: Some(at) }).to_body()
    };
    let queue = bed.world.ports.queue.clone();
    let consume_all = async || {
        let batch = queue.receive(10, consume::VISIBILITY).await.unwrap();
        consume::consume(&bed.world, batch).await
    };
    let warned = || bed.doubles.script().machines.values().filter(|one| one.interrupted_at == Some(at)).count();

    send(queue.as_ref(), [&machines[0], &foreign].map(report)).await;
    let consumed = consume_all().await;
    assert_eq!((consumed.woken, consumed.failed.len()), ([set("linux")].into(), 0));
    let calls = bed.doubles.script().count("reported");
    assert_eq!((calls, warned()), (1, 1), "one call for both");

    // Two calls fail: the one for all, and the machine's own.
    bed.doubles.script().fail(&format!("report of {}", machines[1]), Fault::Unavailable);
    bed.doubles.script().fail(&format!("report of {}", machines[1]), Fault::Unavailable);
    send(queue.as_ref(), machines[1..].iter().map(report)).await;
    let consumed = consume_all().await;
    assert_eq!((consumed.woken, consumed.failed.len(), warned()), ([set("linux")].into(), 1, 2));
    bed.clock.advance(Duration::from_secs(30));
    assert!(consume_all().await.failed.is_empty());
    assert_eq!(warned(), 3, "it came again");
    // A provider that is busy, or gone, is not asked once more for each.
    for (fault, asked) in [(Fault::RateLimited, 1), (Fault::Unavailable, 3)] {
        let before = bed.doubles.script().count("reported");
        (0..20).for_each(|_| bed.doubles.script().fail("report of", fault));
        send(queue.as_ref(), machines.iter().chain(&machines).map(report)).await;
        assert_eq!(consume_all().await.failed.len(), 6);
        assert_eq!(bed.doubles.script().count("reported") - before, asked, "{fault:?}");
        bed.doubles.script().faults.clear();
        bed.clock.advance(Duration::from_secs(60));
        assert!(consume_all().await.failed.is_empty());
    }
    send(queue.as_ref(), [report(&foreign)]).await;
    assert!(consume_all().await.woken.is_empty(), "another's machine is of no concern");
}
