//! A runner whose first registration was lost registers again under another name, and GitHub gives that name to its job. What
//! happens to the job must be found under the runner all the same.

use std::time::Duration;

use crate::support::{Bed, policy, set};
use runnersmith_controllers::{Depth, consume};
use runnersmith_ports::Message;
use runnersmith_ports::contract::ledger::fact;
use runnersmith_types::{FactSource, JobId, JobStatus, Label, RunnerUpdate};

#[tokio::test]
async fn the_job_of_a_later_attempt_is_recorded_measured_and_shown_under_its_runner() {
    let bed = Bed::new(policy(2));
    let ledger = &bed.world.ports.ledger;
    bed.queued(1..=1).await;
    bed.pass(Depth::Full).await;
    let name = bed.runners().await[0].name.clone();
    let lease = ledger.acquire(&set("linux"), "test", Duration::from_secs(60)).await.unwrap().unwrap();
    ledger.update(&lease, vec![(name.clone(), RunnerUpdate::NextAttempt)]).await.unwrap();
    let runner = ledger.runner(&name).await.unwrap().unwrap();
    assert_eq!(runner.registration_name().to_string(), format!("{name}.2"));

    let mut runs = fact(1, 1, JobStatus::InProgress, FactSource::Delivery, bed.world.ports.clock.now());
    runs.labels.push(Label::of_job("self-hosted"));
    runs.runner_name = Some(runner.registration_name().to_string());
    let queue = &bed.world.ports.queue;
    queue.send(&Message::Job(Box::new(runs)).to_body(), Duration::ZERO).await.unwrap();
    let woken = consume::consume(&bed.world, queue.receive(10, consume::VISIBILITY).await.unwrap()).await.woken;

    assert!(woken.contains(&set("linux")), "the runner's set reconciles: {woken:?}");
    let job = ledger.job(JobId(1)).await.unwrap().unwrap();
    assert_eq!(job.runner().as_ref(), Some(&name));
    let history = ledger.history_of_job(JobId(1), 100).await.unwrap();
    assert!(history.iter().any(|event| event.runner.as_ref() == Some(&name)), "{history:?}");
    let metrics = bed.world.metrics.encode();
    assert!(metrics.contains("stage=\"total\""), "its stages are measured: {metrics}");
}
