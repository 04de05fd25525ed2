//! What authors read in GitHub: one check run for each commit, with its title, its table and its conclusion.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod support;

use std::time::Duration;

use runnersmith_controllers::Depth;
use runnersmith_ports::contract::ledger::fact;
use runnersmith_ports::{BudgetKind, CheckRun};
use runnersmith_types::{FactSource, JobId, JobStatus, Label, RepoFullName, Runner};
use support::{Bed, Fault, policy};

/// GitHub goes on to say this of a job when it is asked by id.
fn github_says(bed: &Bed, id: u64, status: JobStatus) {
    let fact = fact(id, id, status, FactSource::Get, bed.world.ports.clock.now());
    bed.doubles.script().jobs.insert(JobId(id), fact);
}

fn posted(bed: &Bed) -> Vec<CheckRun> {
    bed.doubles.script().notified.clone()
}

/// A set for one runner, which has job 1 and waits for no other; jobs 2 and 3 wait long enough to be notified of.
async fn two_wait() -> (Bed, Runner) {
    let bed = Bed::new(policy(1));
    bed.queued(1..=1).await;
    bed.pass(Depth::Partial).await;
    bed.online().await;
    let runner = bed.runners().await.remove(0);
    bed.fact(1, JobStatus::InProgress, Some(&runner)).await;
    bed.queued(2..=3).await;
    for (id, status) in [(1, JobStatus::InProgress), (2, JobStatus::Queued), (3, JobStatus::Queued)] {
        github_says(&bed, id, status);
    }
    bed.pass(Depth::Full).await;
    assert_eq!(posted(&bed), [], "nobody is notified before the bound");
    bed.clock.advance(Duration::from_secs(600));
    bed.pass(Depth::Full).await;
    (bed, runner)
}

#[tokio::test]
async fn the_jobs_of_a_commit_that_wait_are_one_check_run_with_a_row_for_each() {
    let (bed, _) = two_wait().await;
    let summary = "| job | why |\n| --- | --- |\n\
        | job 2 | the scale set is at its maximum of 1 runners; the job keeps its place in the line |\n\
        | job 3 | the scale set is at its maximum of 1 runners; the job keeps its place in the line |\n";
    let expected = CheckRun {
        repo: RepoFullName::parse("acme/shop").unwrap(),
        head_sha: "c0ffee".into(),
        id: None,
        title: "2 job(s) wait for a runner".into(),
        summary: summary.into(),
        conclusion: None,
    };
    assert_eq!(posted(&bed), [expected]);
    for id in [2, 3] {
        let job = bed.world.ports.ledger.job(JobId(id)).await.unwrap().unwrap();
        assert_eq!(job.notified.map(|notified| notified.check_run), Some(7), "job {id}");
    }
    bed.clock.advance(Duration::from_secs(60));
    bed.pass(Depth::Full).await;
    assert_eq!(posted(&bed).len(), 1, "the same cause is not posted twice");
}

/// As it is today, which issue 14 changes: one of two waiting jobs gets a runner, and the commit's one check run says that all have one
/// and succeeds, because it shows only what is new.
#[tokio::test]
async fn one_job_that_gets_a_runner_closes_the_check_run_of_its_commit_although_another_waits() {
    let (bed, runner) = two_wait().await;
    bed.fact(2, JobStatus::Completed, Some(&runner)).await;
    bed.pass(Depth::Full).await;
    let posted = posted(&bed);
    let last = posted.last().unwrap();
    assert_eq!(posted.len(), 2);
    assert_eq!(last.id, Some(7), "it is the same check run");
    assert_eq!(last.title, "Every job that waited has a runner or is over");
    assert_eq!(last.conclusion.as_deref(), Some("success"));
    assert_eq!(last.summary, "| job | why |\n| --- | --- |\n| job 2 | it is running or over |\n");
}

#[tokio::test]
async fn a_job_that_no_set_serves_ends_its_check_run_as_a_failure() {
    let mut other = policy(1);
    other.labels = ["self-hosted", "gpu"].iter().map(|label| Label::of_set(label).unwrap()).collect();
    let bed = Bed::new(other);
    bed.queued(1..=1).await;
    github_says(&bed, 1, JobStatus::Queued);
    bed.clock.advance(Duration::from_secs(600));
    bed.pass(Depth::Full).await;
    let posted = posted(&bed);
    assert_eq!(posted.len(), 1);
    assert_eq!(posted[0].title, "1 job(s) can never run here");
    assert_eq!(posted[0].conclusion.as_deref(), Some("failure"));
    assert!(posted[0].summary.contains("linux is nearest, its runners lack linux"), "{}", posted[0].summary);
}

#[tokio::test]
async fn a_notification_that_cannot_be_posted_is_posted_by_a_later_pass() {
    for (fault, used_up) in [(Some(Fault::Unavailable), false), (Some(Fault::RateLimited), false), (None, true)] {
        let bed = Bed::new(policy(0));
        bed.queued(1..=1).await;
        github_says(&bed, 1, JobStatus::Queued);
        bed.clock.advance(Duration::from_secs(600));
        for fault in std::iter::repeat_n(fault, 10).flatten() {
            bed.doubles.script().fail("notify", fault);
        }
        if used_up {
            bed.world.ports.ledger.take_budget(BudgetKind::Jit, 150, 150).await.unwrap().unwrap();
        }
        bed.pass(Depth::Full).await;
        assert_eq!(posted(&bed), [], "{fault:?}");
        bed.doubles.script().faults.clear();
        bed.clock.advance(Duration::from_secs(61));
        bed.pass(Depth::Full).await;
        assert_eq!(posted(&bed).len(), 1, "{fault:?}");
        assert_eq!(posted(&bed)[0].title, "1 job(s) wait for a runner", "{fault:?}");
    }
}
