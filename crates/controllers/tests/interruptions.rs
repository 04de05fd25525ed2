//! What becomes of a run of which an interruption took a machine: re-run once, when it has ended, and only when nobody ended it.

use std::time::Duration;

use crate::support::{Bed, Fault, policy, run};
use runnersmith_controllers::Depth;
use runnersmith_ports::contract::ledger::fact;
use runnersmith_types::{Conclusion, FactSource, JobFact, JobId, JobStatus, RunId, ScaleSet, Timestamp};

fn rerunning() -> ScaleSet {
    ScaleSet { rerun_interrupted: true, ..policy(1) }
}

fn reruns(bed: &Bed) -> usize {
    bed.doubles.script().count("rerun")
}

fn github_shows(bed: &Bed, status: &str, conclusion: Option<&str>) {
    bed.doubles.script().runs.insert(RunId(1), run(1, status, conclusion));
}

/// Job 1 of run 1 loses its machine while it runs and ends so; other jobs of its run, which are not ours, go on.
async fn interrupted(set: ScaleSet, conclusion: &str) -> Bed {
    let bed = Bed::new(set);
    bed.queued(1..=1).await;
    bed.pass(Depth::Partial).await;
    bed.online().await;
    let runner = bed.runners().await.remove(0);
    bed.fact(1, JobStatus::InProgress, Some(&runner)).await;
    bed.pass(Depth::Partial).await;
    let warned = bed.clock_now().plus(Duration::from_secs(120));
    for machine in bed.doubles.script().machines.values_mut() {
        machine.interrupted_at = Some(warned);
    }
    bed.pass(Depth::Partial).await;
    github_shows(&bed, "in_progress", None);
    let ended = fact(1, 1, JobStatus::Completed, FactSource::Delivery, bed.clock_now());
    let ended = JobFact {
        conclusion: Some(Conclusion(conclusion.into())),
        runner_name: Some(runner.registration_name().to_string()),
        ..ended
    };
    bed.world.ports.ledger.record_facts(vec![ended], &[]).await.unwrap();
    bed.pass(Depth::Partial).await;
    bed
}

async fn minutes(bed: &Bed, count: u32) {
    for _ in 0..count {
        bed.clock.advance(Duration::from_secs(60));
        bed.pass(Depth::Full).await;
    }
}

async fn open_jobs(bed: &Bed) -> usize {
    bed.world.ports.ledger.open_jobs(Timestamp(i64::MAX)).await.unwrap().len()
}

#[tokio::test]
async fn a_run_that_goes_on_for_hours_after_the_interrupted_job_is_re_run_when_it_ends() {
    for hours in [0, 1, 30] {
        let bed = interrupted(rerunning(), "failure").await;
        minutes(&bed, 1).await;
        for _ in 0..(hours * 12) {
            bed.clock.advance(Duration::from_secs(300));
            bed.pass(Depth::Full).await;
        }
        assert_eq!(reruns(&bed), 0, "GitHub refuses it until the run has ended");
        let looked = bed.doubles.script().count("run 1");
        assert!(looked <= 5 + 6 * hours as usize, "{looked} looks in {hours} h");
        github_shows(&bed, "completed", Some("failure"));
        minutes(&bed, 11).await;
        assert_eq!(reruns(&bed), 1, "after {hours} h");
        minutes(&bed, 60).await;
        assert_eq!((reruns(&bed), open_jobs(&bed).await), (1, 0), "once, and then it is history");
    }
}

#[tokio::test]
async fn what_was_cancelled_or_superseded_or_did_not_fail_is_never_re_run() {
    for (conclusion, run_conclusion) in [
        ("failure", "cancelled"),
        ("cancelled", "cancelled"),
        ("cancelled", "failure"),
        ("success", "failure"),
        ("failure", "success"),
    ] {
        let bed = interrupted(rerunning(), conclusion).await;
        github_shows(&bed, "completed", Some(run_conclusion));
        minutes(&bed, 60).await;
        assert_eq!(reruns(&bed), 0, "a {conclusion} job of a {run_conclusion} run");
        assert_eq!(
            open_jobs(&bed).await,
            0,
            "nothing is left to do about a {conclusion} job of a {run_conclusion} run"
        );
    }
    let bed = interrupted(rerunning(), "failure").await;
    github_shows(&bed, "completed", Some("failure"));
    bed.doubles.script().runs.insert(RunId(9), run(9, "in_progress", None));
    minutes(&bed, 60).await;
    assert_eq!((reruns(&bed), open_jobs(&bed).await), (0, 0), "a newer run of the branch would be cancelled");
}

#[tokio::test]
async fn a_re_run_that_github_refuses_is_tried_again_with_growing_pauses() {
    let bed = interrupted(rerunning(), "failure").await;
    github_shows(&bed, "completed", Some("failure"));
    for _ in 0..50 {
        bed.doubles.script().fail("rerun", Fault::Unavailable);
    }
    for _ in 0..(60 * 6) {
        bed.clock.advance(Duration::from_secs(10));
        bed.pass(Depth::Partial).await;
    }
    let tried = reruns(&bed);
    assert!((4..=7).contains(&tried), "{tried} tries in an hour");
    bed.doubles.script().faults.clear();
    minutes(&bed, 61).await;
    assert_eq!(reruns(&bed), tried + 1, "the 502 does not make it forgotten");
    minutes(&bed, 60).await;
    assert_eq!((reruns(&bed), open_jobs(&bed).await), (tried + 1, 0));
}

#[tokio::test]
async fn a_re_run_whose_answer_or_record_was_lost_is_not_made_twice() {
    for crashes in [false, true] {
        let bed = interrupted(rerunning(), "failure").await;
        github_shows(&bed, "completed", Some("failure"));
        if crashes {
            bed.refuse("INSERT ON reruns", true);
        } else {
            bed.doubles.script().fail("rerun", Fault::AnswerLost);
        }
        minutes(&bed, 11).await;
        if crashes {
            bed.refuse("INSERT ON reruns", false);
        }
        minutes(&bed, 60).await;
        assert_eq!(reruns(&bed), 1, "the run's attempt says that it was made");
        assert_eq!(open_jobs(&bed).await, 0);
        let job = bed.world.ports.ledger.job(JobId(1)).await.unwrap().unwrap();
        assert!(job.rerun.unwrap().outcome.is_some());
    }
}

#[tokio::test]
async fn an_interrupted_job_of_a_set_that_re_runs_nothing_is_not_followed() {
    let bed = interrupted(policy(1), "failure").await;
    github_shows(&bed, "completed", Some("failure"));
    minutes(&bed, 5).await;
    let looked = bed.doubles.script().count("run 1");
    assert_eq!((reruns(&bed), looked, open_jobs(&bed).await), (0, 0, 0));
}
