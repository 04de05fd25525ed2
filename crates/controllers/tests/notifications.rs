//! What authors read in GitHub: one check run for each commit, with its title, its table and its conclusion.

use std::time::Duration;

use crate::support::{Bed, Fault, policy, set};
use runnersmith_controllers::{Depth, pass};
use runnersmith_ports::contract::ledger::fact;
use runnersmith_ports::{BudgetKind, CheckRun};
use runnersmith_types::{
    FactSource, JobFact, JobId, JobStatus, Label, Registration, RegistrationId, RepoFullName, Runner, ScaleSet,
};

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
        | job 2 | the scale set is at its maximum of 1 runner; the job keeps its place in the line |\n\
        | job 3 | the scale set is at its maximum of 1 runner; the job keeps its place in the line |\n";
    let expected = CheckRun {
        repo: RepoFullName::parse("acme/shop").unwrap(),
        head_sha: "c0ffee".into(),
        id: None,
        title: "2 jobs wait for a runner".into(),
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

#[tokio::test]
async fn one_job_that_gets_a_runner_leaves_the_check_run_of_its_commit_open_while_another_waits() {
    let (bed, runner) = two_wait().await;
    bed.fact(2, JobStatus::Completed, Some(&runner)).await;
    bed.clock.advance(Duration::from_secs(10));
    bed.pass(Depth::Full).await;
    let last = posted(&bed).pop().unwrap();
    assert_eq!(posted(&bed).len(), 2);
    assert_eq!((last.id, last.title.as_str(), last.conclusion), (Some(7), "1 job waits for a runner", None));
    let rows: Vec<&str> = last.summary.lines().skip(2).collect();
    let waits = "the scale set is at its maximum of 1 runner; the job keeps its place in the line";
    assert_eq!(rows, [format!("| job 3 | {waits} |"), "| job 2 | it is running or over |".to_owned()]);
    bed.fact(3, JobStatus::Completed, None).await;
    bed.clock.advance(Duration::from_secs(10));
    bed.pass(Depth::Full).await;
    let last = posted(&bed).pop().unwrap();
    assert_eq!(posted(&bed).len(), 3);
    assert_eq!(last.title, "Every job that waited has a runner or is over");
    assert_eq!(last.conclusion.as_deref(), Some("success"));
    bed.clock.advance(Duration::from_secs(3_600));
    bed.pass(Depth::Full).await;
    assert_eq!(posted(&bed).len(), 3, "what is closed is not written again");
}

#[tokio::test]
async fn the_jobs_of_a_matrix_that_get_their_runners_one_by_one_are_few_check_run_writes() {
    let bed = Bed::new(policy(0));
    bed.queued(1..=50).await;
    for id in 1..=50 {
        github_says(&bed, id, JobStatus::Queued);
    }
    bed.clock.advance(Duration::from_secs(600));
    bed.pass(Depth::Full).await;
    for id in 1..=50 {
        bed.fact(id, JobStatus::InProgress, None).await;
        bed.clock.advance(Duration::from_secs(1));
        bed.pass(Depth::Partial).await;
    }
    bed.clock.advance(Duration::from_secs(10));
    bed.pass(Depth::Full).await;
    let posted = posted(&bed);
    assert!(posted.len() <= 7, "{} writes within a minute", posted.len());
    assert_eq!(posted.last().unwrap().conclusion.as_deref(), Some("success"));
}

/// The sets `arm` and `linux`, both full, and one job for each in one commit, which have waited for the bound.
async fn two_sets() -> Bed {
    let bed = Bed::new(policy(0));
    let labels = ["self-hosted", "arm"].iter().map(|label| Label::of_set(label).unwrap()).collect();
    let arm = ScaleSet { runners_max: 1, ..ScaleSet::new(set("arm"), labels) };
    bed.world.sets.update(|sets| sets.push(arm));
    let of_arm = JobFact { labels: vec![Label::of_job("arm")], ..queued_fact(&bed, 2) };
    bed.world.ports.ledger.record_facts(vec![queued_fact(&bed, 1), of_arm.clone()], &[]).await.unwrap();
    github_says(&bed, 1, JobStatus::Queued);
    bed.doubles.script().jobs.insert(JobId(2), JobFact { source: FactSource::Get, ..of_arm });
    bed.clock.advance(Duration::from_secs(600));
    bed
}

fn queued_fact(bed: &Bed, id: u64) -> JobFact {
    fact(id, id, JobStatus::Queued, FactSource::Delivery, bed.world.ports.clock.now())
}

async fn passes(bed: &Bed, sets: &[&str]) {
    for name in sets {
        pass(&bed.world, &set(name), Depth::Full).await.unwrap();
    }
}

#[tokio::test]
async fn the_jobs_of_two_sets_share_their_commits_check_run_and_keep_each_others_rows() {
    let orders: [&[&str]; 2] = [&["linux", "arm", "linux", "arm"], &["arm", "linux", "arm", "linux"]];
    for order in orders {
        let bed = two_sets().await;
        passes(&bed, order).await;
        bed.clock.advance(Duration::from_secs(10));
        passes(&bed, order).await;
        let last = posted(&bed).pop().unwrap();
        assert_eq!(last.title, "2 jobs wait for a runner", "{order:?}");
        assert!(last.summary.contains("| job 1 | the scale set is at its maximum of 0 runners"), "{}", last.summary);
        assert!(last.summary.contains("| job 2 | a runner is on its way |"), "{}", last.summary);
        let writes = posted(&bed).len();
        assert!(writes <= 2, "{order:?}: {writes} writes for two texts");
        assert_eq!(posted(&bed).iter().filter(|check| check.id.is_none()).count(), 1, "{order:?}: one check run");
        bed.fact(1, JobStatus::InProgress, None).await;
        bed.clock.advance(Duration::from_secs(60));
        passes(&bed, order).await;
        let last = posted(&bed).pop().unwrap();
        assert_eq!((last.title.as_str(), last.conclusion), ("1 job waits for a runner", None), "{order:?}");
        bed.clock.advance(Duration::from_secs(60));
        passes(&bed, order).await;
        assert_eq!(posted(&bed).len(), writes + 1, "{order:?}: the same texts are not written twice");
    }
}

#[tokio::test]
async fn the_set_that_posts_is_woken_when_another_has_something_to_say() {
    let bed = two_sets().await;
    passes(&bed, &["arm", "linux"]).await;
    let waiting = bed.world.ports.queue.receive(10, Duration::from_secs(60)).await.unwrap();
    let woken = runnersmith_controllers::consume::consume(&bed.world, waiting).await.woken;
    assert!(woken.contains(&set("arm")), "{woken:?}");
}

/// A job that wants `self-hosted, gpu`, which no set serves.
async fn unserved(change: impl FnOnce(&mut ScaleSet)) -> Bed {
    let mut linux = policy(1);
    change(&mut linux);
    let bed = Bed::new(linux);
    let labels = ["self-hosted", "gpu", "a, b"].map(Label::of_job).to_vec();
    let of_gpu = JobFact { labels, ..queued_fact(&bed, 1) };
    bed.world.ports.ledger.record_facts(vec![of_gpu.clone()], &[]).await.unwrap();
    bed.doubles.script().jobs.insert(JobId(1), JobFact { source: FactSource::Get, ..of_gpu });
    bed
}

#[tokio::test]
async fn a_job_that_no_set_serves_has_a_neutral_check_run_only_after_the_bound() {
    let bed = unserved(|_| {}).await;
    bed.pass(Depth::Full).await;
    bed.clock.advance(Duration::from_secs(599));
    bed.pass(Depth::Full).await;
    assert_eq!(posted(&bed), [], "another fleet may have it within seconds");
    bed.clock.advance(Duration::from_secs(1));
    bed.pass(Depth::Full).await;
    let posted = posted(&bed);
    assert_eq!(posted.len(), 1);
    assert_eq!(posted[0].title, "1 job has no scale set here");
    assert_eq!(posted[0].conclusion.as_deref(), Some("neutral"));
    let why = "no scale set serves it, and no online runner that is visible here has all its labels: \
        linux is nearest, its runners lack \"gpu\", \"a, b\"";
    assert_eq!(posted[0].summary.lines().nth(2).unwrap(), format!("| job 1 | {why} |"));
}

#[tokio::test]
async fn a_job_that_no_set_serves_fails_its_check_run_where_this_is_the_only_fleet() {
    let bed = unserved(|linux| linux.only_fleet = true).await;
    bed.clock.advance(Duration::from_secs(600));
    bed.pass(Depth::Full).await;
    let posted = posted(&bed);
    assert_eq!(posted.len(), 1);
    assert_eq!(posted[0].conclusion.as_deref(), Some("failure"));
    assert_eq!(bed.doubles.script().count("registrations acme"), 0, "nobody is asked for other fleets");
    assert!(posted[0].summary.contains("linux is nearest, its runners lack \"gpu\""), "{}", posted[0].summary);
}

fn other_fleet(bed: &Bed, online: bool) {
    let labels = ["self-hosted", "gpu", "a, b", "large"].map(Label::of_job).to_vec();
    let arc = Registration { id: RegistrationId(40), name: "arc-x7".into(), online, busy: true, labels };
    bed.doubles.script().registrations.insert(40, arc);
}

#[tokio::test]
async fn nobody_is_notified_of_another_fleets_job_however_long_it_waits_and_github_is_seldom_asked() {
    let bed = unserved(|_| {}).await;
    other_fleet(&bed, true);
    for _ in 0..(4 * 60) {
        bed.clock.advance(Duration::from_secs(60));
        bed.pass(Depth::Full).await;
    }
    assert_eq!(posted(&bed), [], "another fleet will run it");
    let asked = bed.doubles.script().count("registrations acme");
    assert!((2..=10).contains(&asked), "{asked} lists in four hours");
    other_fleet(&bed, false);
    for _ in 0..60 {
        bed.clock.advance(Duration::from_secs(60));
        bed.pass(Depth::Full).await;
    }
    assert_eq!(posted(&bed).len(), 1, "the other fleet is gone, and its author is notified");
    assert_eq!(posted(&bed)[0].conclusion.as_deref(), Some("neutral"));
}

#[tokio::test]
async fn a_job_of_githubs_own_runners_is_no_matter_of_ours() {
    let bed = Bed::new(policy(1));
    let hosted = JobFact { labels: vec![Label::of_job("ubuntu-latest")], ..queued_fact(&bed, 1) };
    bed.world.ports.ledger.record_facts(vec![hosted.clone()], &[]).await.unwrap();
    bed.doubles.script().jobs.insert(JobId(1), JobFact { source: FactSource::Get, ..hosted });
    bed.clock.advance(Duration::from_secs(3_600));
    bed.pass(Depth::Full).await;
    assert_eq!(posted(&bed), []);
    assert_eq!(bed.doubles.script().count("registrations acme"), 0);
}

#[tokio::test]
async fn the_authors_of_jobs_that_no_set_serves_are_notified_although_the_first_set_by_name_notifies_nobody() {
    let bed = unserved(|_| {}).await;
    let labels = ["self-hosted", "arm"].iter().map(|label| Label::of_set(label).unwrap()).collect();
    let silent = ScaleSet { notify: false, ..ScaleSet::new(set("arm"), labels) };
    bed.world.sets.update(|sets| sets.push(silent));
    bed.clock.advance(Duration::from_secs(600));
    passes(&bed, &["arm", "linux"]).await;
    assert_eq!(posted(&bed).len(), 1);
}

#[tokio::test]
async fn while_github_does_not_list_runners_nothing_is_said_and_it_is_asked_with_growing_pauses() {
    let bed = unserved(|_| {}).await;
    bed.clock.advance(Duration::from_secs(600));
    for _ in 0..100 {
        bed.doubles.script().fail("registrations acme", Fault::Unavailable);
    }
    for _ in 0..(60 * 6) {
        bed.pass(Depth::Partial).await;
        bed.clock.advance(Duration::from_secs(10));
    }
    assert_eq!(posted(&bed), []);
    let asked = bed.doubles.script().count("registrations acme");
    // The pauses grow to the bound of ten minutes, within which the author is to be notified once GitHub answers.
    assert!((5..=10).contains(&asked), "{asked} lists in an hour");
    bed.doubles.script().faults.clear();
    bed.clock.advance(Duration::from_secs(3_600));
    bed.pass(Depth::Partial).await;
    assert_eq!(posted(&bed).len(), 1);
}

#[tokio::test]
async fn a_notification_that_github_refuses_is_retried_slowly_and_takes_nothing_from_hand_offs() {
    let bed = Bed::new(policy(0));
    let of_commit = |id: u64| JobFact { head_sha: format!("c0ffee{id}"), ..queued_fact(&bed, id) };
    bed.world.ports.ledger.record_facts((1..=6).map(of_commit).collect(), &[]).await.unwrap();
    for id in 1..=6 {
        bed.doubles.script().jobs.insert(JobId(id), JobFact { source: FactSource::Get, ..of_commit(id) });
    }
    bed.clock.advance(Duration::from_secs(600));
    for _ in 0..500 {
        bed.doubles.script().fail("notify", Fault::Refused);
    }
    for _ in 0..(10 * 30) {
        bed.pass(Depth::Partial).await;
        let jit = bed.world.ports.ledger.used_budget(BudgetKind::Jit).await.unwrap();
        assert_eq!(jit, 0, "the budget of JIT configs is for JIT configs");
        bed.clock.advance(Duration::from_secs(2));
    }
    let tried = bed.doubles.script().count("notify");
    assert_eq!(tried, 6 * 4, "six commits in ten minutes, at once and after 1, 3 and 7 minutes");
    bed.doubles.script().faults.clear();
    bed.clock.advance(Duration::from_secs(3_600));
    bed.pass(Depth::Partial).await;
    assert_eq!(posted(&bed).len(), 6, "the permission was granted");
    let job = bed.world.ports.ledger.job(JobId(1)).await.unwrap().unwrap();
    assert_eq!(job.notify_failed, None);
}

#[tokio::test]
async fn more_commits_than_the_minutes_budget_are_notified_of_in_the_next_minutes_the_oldest_first() {
    let bed = Bed::new(policy(0));
    let of_commit = |id: u64| JobFact { head_sha: format!("c0ffee{id}"), ..queued_fact(&bed, id) };
    for id in (1..=50).rev() {
        bed.world.ports.ledger.record_facts(vec![of_commit(id)], &[]).await.unwrap();
        bed.doubles.script().jobs.insert(JobId(id), JobFact { source: FactSource::Get, ..of_commit(id) });
        bed.clock.advance(Duration::from_millis(10));
    }
    bed.clock.advance(Duration::from_secs(600));
    let mut counts = Vec::new();
    for _ in 0..4 {
        let passed = bed.pass(Depth::Partial).await;
        counts.push(posted(&bed).len());
        assert!(passed.rounds <= 4, "{passed:?}");
        bed.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(counts, [20, 40, 50, 50]);
    assert_eq!(posted(&bed)[0].head_sha, "c0ffee50", "it has waited longest");
}

#[tokio::test]
async fn a_check_run_is_closed_although_github_refused_for_longer_than_ended_jobs_are_shown() {
    let (bed, runner) = two_wait().await;
    for id in [2, 3] {
        bed.fact(id, JobStatus::Completed, Some(&runner)).await;
    }
    for _ in 0..100 {
        bed.doubles.script().fail("notify", Fault::Unavailable);
    }
    for _ in 0..90 {
        bed.clock.advance(Duration::from_secs(60));
        bed.pass(Depth::Full).await;
    }
    assert_eq!(posted(&bed).len(), 1);
    bed.doubles.script().faults.clear();
    bed.clock.advance(Duration::from_secs(3_600));
    bed.pass(Depth::Full).await;
    let last = posted(&bed).pop().unwrap();
    assert_eq!((last.id, last.conclusion.as_deref()), (Some(7), Some("success")));
}

#[tokio::test]
async fn a_check_run_that_a_process_opened_in_its_last_moment_is_closed() {
    for is_known in [false, true] {
        let bed = Bed::new(policy(0));
        if is_known {
            // Another job of the commit waited before, and is over.
            bed.queued(1..=1).await;
            github_says(&bed, 1, JobStatus::Queued);
            bed.clock.advance(Duration::from_secs(600));
            bed.pass(Depth::Full).await;
            bed.fact(1, JobStatus::Completed, None).await;
            bed.clock.advance(Duration::from_secs(60));
            bed.pass(Depth::Full).await;
            assert_eq!(posted(&bed).pop().unwrap().conclusion.as_deref(), Some("success"));
        }
        bed.queued(2..=2).await;
        github_says(&bed, 2, JobStatus::Queued);
        bed.clock.advance(Duration::from_secs(600));
        let before = posted(&bed).len();
        bed.doubles.script().hangs = vec!["notify".into()];
        let opened = async {
            while posted(&bed).len() == before {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = opened => {}
            _ = bed.pass(Depth::Full) => panic!("it did not hang"),
        }
        bed.doubles.script().hangs.clear();
        assert_eq!(posted(&bed).pop().unwrap().conclusion, None);
        bed.fact(2, JobStatus::Completed, None).await;
        bed.clock.advance(Duration::from_secs(61));
        bed.pass(Depth::Full).await;
        let last = posted(&bed).pop().unwrap();
        assert_eq!((last.id, last.conclusion.as_deref()), (is_known.then_some(7), Some("success")));
    }
}

#[tokio::test]
async fn a_check_run_that_github_does_not_know_any_more_is_made_again() {
    let (bed, runner) = two_wait().await;
    bed.fact(2, JobStatus::Completed, Some(&runner)).await;
    bed.doubles.script().fail("notify", Fault::Unknown);
    bed.clock.advance(Duration::from_secs(10));
    bed.pass(Depth::Full).await;
    bed.clock.advance(Duration::from_secs(60));
    bed.pass(Depth::Full).await;
    let last = posted(&bed).pop().unwrap();
    assert_eq!((last.id, last.title.as_str()), (None, "1 job waits for a runner"));
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
            bed.world.ports.ledger.take_budget(BudgetKind::Notifications, 20, 20).await.unwrap().unwrap();
        }
        bed.pass(Depth::Full).await;
        assert_eq!(posted(&bed), [], "{fault:?}");
        bed.doubles.script().faults.clear();
        // A limit has an end, before which GitHub is not asked.
        let pause = if fault == Some(Fault::RateLimited) { 1_800 } else { 61 };
        bed.clock.advance(Duration::from_secs(pause));
        bed.pass(Depth::Full).await;
        assert_eq!(posted(&bed).len(), 1, "{fault:?}");
        assert_eq!(posted(&bed)[0].title, "1 job waits for a runner", "{fault:?}");
    }
}
