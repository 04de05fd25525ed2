//! `serve` when GitHub misbehaves, one fault at a time: every job runs exactly once, and nothing is left over.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use runnersmith_github_sim::{Faults, JobSpec, Limit, WorkflowSpec};
use support::{Bed, jobs, until};

/// Six jobs on at most three runners while the fault is on.
async fn survives(fault: impl FnOnce(&mut Faults)) {
    let bed = Bed::new(3).await;
    let serve = bed.serve();
    bed.ready().await;
    bed.github.set_faults(fault);
    let run = bed.github.dispatch("acme/shop", jobs(6, Duration::from_millis(100))).unwrap();
    whole(&bed, run, 6).await;
    assert_eq!(serve.stop().await, Some(0), "{}", bed.log());
}

async fn whole(bed: &Bed, run: u64, count: usize) {
    let more = || format!("{:?}\n{:?}\n{}", bed.github.jobs(run), bed.github.runners(), bed.log());
    let over = async || bed.github.jobs(run).iter().all(|job| job.conclusion.is_some());
    until("every job is over", Duration::from_secs(90), more, over).await;
    let all = bed.github.jobs(run);
    assert!(all.iter().all(|job| job.conclusion.as_deref() == Some("success")), "{}", more());
    let names: BTreeSet<String> = all.into_iter().filter_map(|job| job.runner_name).collect();
    assert_eq!(names.len(), count, "one runner for each job");
    let gone = async || bed.machines_alive().is_empty() && bed.github.runners().is_empty();
    until("nothing is left over", Duration::from_secs(60), more, gone).await;
    assert_eq!(bed.machine_directories().len(), count, "one machine for each job");
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_deliveries_are_asked_for_again_or_swept() {
    survives(|faults| faults.lose_deliveries = 9).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doubled_deliveries_are_one() {
    survives(|faults| faults.double_deliveries = 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_deliveries_do_not_matter() {
    survives(|faults| faults.delay_deliveries_ms = 700).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_that_overtake_each_other_do_not_set_a_job_back() {
    survives(|faults| faults.reorder_deliveries_ms = 1_500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payloads_installation_is_never_trusted() {
    survives(|faults| faults.wrong_installation = Some(999_999)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_errors_are_outlived() {
    survives(|faults| _ = faults.fail.insert("*".into(), (502, 12))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_jit_answer_leaves_no_registration_behind() {
    survives(|faults| faults.lose_jit_answers = 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_is_waited_out() {
    survives(|faults| faults.limit = Some((Limit::RetryAfter(3), 1))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_busy_flag_does_not_get_a_busy_runner_removed() {
    survives(|faults| faults.stale_busy = true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_shift_lose_nobody() {
    survives(|faults| faults.shift_pages = true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_runs_of_old_apps_and_workflow_jobs_are_one_job() {
    survives(|faults| faults.check_runs = true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_need_others_wait_for_them() {
    let bed = Bed::new(3).await;
    let serve = bed.serve();
    bed.ready().await;
    let job = |name: &str, needs: &[&str]| JobSpec {
        name: name.into(),
        labels: vec!["self-hosted".into(), "LINUX".into()],
        duration: Duration::from_millis(100),
        needs: needs.iter().map(|name| (*name).to_owned()).collect(),
        ..JobSpec::default()
    };
    let chain =
        vec![job("build", &[]), job("test", &["build"]), job("lint", &["build"]), job("deploy", &["test", "lint"])];
    let run = bed.github.dispatch("acme/shop", WorkflowSpec { name: "ci".into(), jobs: chain }).unwrap();
    whole(&bed, run, 4).await;
    assert_eq!(serve.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_leaves_no_runner_behind() {
    let bed = Bed::with_sets(
        "[[scale_set]]\nname = \"linux\"\nlabels = [\"self-hosted\", \"linux\"]\nat = \"acme\"\nrunners_max = 3\n\
         minimum_running_time_in_minutes = 0\nidle_confirm_seconds = 1\nsettle_seconds = 1\n",
    )
    .await;
    let serve = bed.serve();
    bed.ready().await;
    let run = bed.github.dispatch("acme/shop", jobs(3, Duration::from_secs(60))).unwrap();
    let under_way = async || !bed.github.runners().is_empty();
    until("a runner is registered", Duration::from_secs(30), || bed.log(), under_way).await;
    bed.github.cancel_run(run);
    let gone = async || bed.machines_alive().is_empty() && bed.github.runners().is_empty();
    until(
        "nothing is left over",
        Duration::from_secs(60),
        || format!("{:?}\n{}", bed.github.runners(), bed.log()),
        gone,
    )
    .await;
    assert_eq!(serve.stop().await, Some(0));
}

/// Reusable runners register with a token, run several jobs, and go when nothing wants them any more.
#[tokio::test(flavor = "multi_thread")]
async fn reusable_runners_run_several_jobs_and_go() {
    let bed = Bed::with_sets(
        "[[scale_set]]\nname = \"linux\"\nlabels = [\"self-hosted\", \"linux\"]\nat = \"acme\"\nrunners_max = 1\nephemeral = false\n\
         delay_seconds = 0\nminimum_running_time_in_minutes = 0\nidle_confirm_seconds = 1\nsettle_seconds = 1\n",
    )
    .await;
    let serve = bed.serve();
    bed.ready().await;
    let run = bed.github.dispatch("acme/shop", jobs(3, Duration::from_millis(100))).unwrap();
    let more = || format!("{:?}\n{:?}\n{}", bed.github.jobs(run), bed.github.runners(), bed.log());
    let over = async || bed.github.jobs(run).iter().all(|job| job.conclusion.as_deref() == Some("success"));
    until("every job is over", Duration::from_secs(90), more, over).await;
    let names: BTreeSet<Option<String>> = bed.github.jobs(run).into_iter().map(|job| job.runner_name).collect();
    assert_eq!(names.len(), 1, "one runner ran them all: {names:?}");
    let gone = async || bed.machines_alive().is_empty() && bed.github.runners().is_empty();
    until("nothing is left over", Duration::from_secs(60), more, gone).await;
    assert_eq!(serve.stop().await, Some(0));
}
