//! Notifications: which check runs are posted, by which set, and what they say.

use crate::support::*;
use runnersmith_plan::{RerunDecision, decide_rerun, is_superseded, plan};
use runnersmith_types::{
    Action, CheckRunText, Conclusion, EffectAction, FailedTries, Job, JobId, JobStatus, JobUpdate, Label, Notified,
    Observed, Peer, RegistrationId, RunId, RunSummary, ScaleSet, ScaleSetName, Snapshot, WaitKind, WaitReason,
};

/// A set of that name for jobs that want `arm`.
fn arm(name: &str) -> ScaleSet {
    ScaleSet { runners_max: 0, ..ScaleSet::new(ScaleSetName::parse(name).unwrap(), labels(&["self-hosted", "arm"])) }
}

fn peer(policy: ScaleSet) -> Peer {
    Peer { policy, alive: 0, supply: 0 }
}

/// A queued job for the set of [`arm`], which has waited for so many minutes.
fn of_arm(id: u64, minutes: u64) -> Job {
    let mut job = job_of("acme/shop", id, JobStatus::Queued, ago(mins(minutes)));
    job.fact.labels = ["self-hosted", "arm"].map(Label::of_job).to_vec();
    (job.fact.run, job.verified_at) = (RunId(id), Some(NOW));
    job
}

/// A queued job for the set of [`policy`], likewise.
fn of_linux(id: u64, minutes: u64) -> Job {
    let mut job = of_arm(id, minutes);
    job.fact.labels = ["self-hosted", "linux"].map(Label::of_job).to_vec();
    job
}

fn texts(plan: &runnersmith_types::Plan) -> Vec<&CheckRunText> {
    let text = |action| match action {
        &Action::Effect(EffectAction::Notify { ref text, .. }) => Some(text),
        _ => None,
    };
    plan.steps.iter().filter_map(|step| text(&step.action)).collect()
}

fn full() -> ScaleSet {
    ScaleSet { runners_max: 0, ..policy() }
}

#[test]
fn only_the_first_set_by_name_that_notifies_posts_and_the_others_record_for_it() {
    let mut world = snapshot();
    world.jobs.extend([of_arm(1, 10), of_linux(2, 10)]);
    world.peers = vec![peer(arm("arm"))];
    let linux = plan(&full(), &world, NOW);
    has_not(&linux, "notify");
    has(
        &linux,
        "record job 2 served, the scale set is at its maximum of 0 runners; the job keeps its place in the line",
    );
    execute(&full(), &mut world, &linux, NOW);
    has_not(&plan(&full(), &world, NOW), "record");
    world.peers = vec![peer(full())];
    let posts = plan(&arm("arm"), &world, NOW);
    let text = texts(&posts)[0];
    assert_eq!((text.title.as_str(), text.conclusion), ("2 jobs wait for a runner", None));
    assert!(text.summary.contains("| job 1 |") && text.summary.contains("| job 2 |"), "{}", text.summary);
    // The first by name notifies nobody: the next one posts.
    world.peers = vec![peer(ScaleSet { notify: false, ..arm("arm") })];
    has(&plan(&full(), &world, NOW), "notify job 2 waits");
}

#[test]
fn a_job_that_runs_has_no_reason_any_more_and_that_is_recorded_once() {
    let mut world = snapshot();
    world.peers = vec![peer(arm("arm"))];
    let mut runs = on(of_linux(2, 10), &runner(1, runnersmith_types::RunnerState::Busy));
    runs.fact.status = JobStatus::InProgress;
    runs.waits = Some(WaitReason { at: ago(mins(1)), kind: WaitKind::Served, text: "a runner is on its way".into() });
    world.jobs.push(runs);
    let plan_1 = plan(&full(), &world, NOW);
    has(&plan_1, "record job 2 no more");
    execute(&full(), &mut world, &plan_1, NOW);
    has_not(&plan(&full(), &world, NOW), "record");
}

#[test]
fn a_check_run_is_written_once_for_each_new_text_and_at_most_every_ten_seconds() {
    let mut world = snapshot();
    world.jobs.extend((1..=3).map(|id| of_linux(id, 10)));
    let first = plan(&full(), &world, NOW);
    assert_eq!(texts(&first).len(), 1);
    execute(&full(), &mut world, &first, NOW);
    has_not(&plan(&full(), &world, NOW), "notify");
    world.jobs[0].fact.status = JobStatus::InProgress;
    let soon = plan(&full(), &world, NOW.plus(secs(9)));
    has_not(&soon, "notify");
    assert!(soon.next_wake.is_some_and(|at| at <= NOW.plus(secs(10))), "{:?}", soon.next_wake);
    let later = plan(&full(), &world, NOW.plus(secs(10)));
    assert_eq!(texts(&later)[0].title, "2 jobs wait for a runner");
    assert_eq!(texts(&later)[0].summary.lines().count(), 2 + 3, "the complete list");
}

#[test]
fn what_was_said_of_a_job_stands_while_its_set_says_nothing() {
    let mut world = snapshot();
    let mut known = of_arm(1, 20);
    known.update(JobUpdate::Notified(Notified { at: ago(mins(5)), check_run: 4, text: "x".into(), closed: false }));
    known.update(JobUpdate::Waits(Some(WaitReason { at: NOW, kind: WaitKind::Served, text: "x".into() })));
    world.jobs.extend([known, of_linux(2, 10)]);
    world.peers = vec![peer(arm("zz"))];
    let plan = plan(&full(), &world, NOW);
    assert_eq!(texts(&plan)[0].title, "2 jobs wait for a runner");
    assert!(texts(&plan)[0].summary.contains("| job 1 | x |"), "{}", texts(&plan)[0].summary);
    assert!(plan.steps.iter().any(|step| matches!(
        &step.action,
        Action::Effect(EffectAction::Notify { check_run: Some(4), jobs, .. }) if jobs.len() == 1
    )));
}

#[test]
fn a_job_that_goes_back_to_waiting_for_an_approval_is_closed_and_opened_again_when_it_is_queued() {
    let mut world = snapshot();
    let mut job = of_linux(1, 20);
    job.fact.status = JobStatus::Waiting;
    job.update(JobUpdate::Notified(Notified { at: ago(mins(5)), check_run: 4, text: "x".into(), closed: false }));
    world.jobs.push(job);
    let closed = plan(&full(), &world, NOW);
    has(&closed, "notify job 1 is over, it waits for an approval or a concurrency group, not for a runner");
    execute(&full(), &mut world, &closed, NOW);
    world.jobs[0].fact.status = JobStatus::Queued;
    has(&plan(&full(), &world, NOW.plus(mins(1))), "notify job 1 waits");
}

#[test]
fn after_a_refusal_the_commit_waits_for_its_pause_and_others_do_not() {
    let mut world = snapshot();
    world.jobs.extend([of_linux(1, 10), of_linux(2, 10), of_linux(3, 10)]);
    world.jobs[2].fact.head_sha = "decaf".into();
    let until = NOW.plus(mins(4));
    world.jobs[0].update(JobUpdate::NotifyTried(FailedTries { count: 3, last_at: NOW, next_at: until }));
    let plan_1 = plan(&full(), &world, NOW);
    has(&plan_1, "notify job 3 waits");
    has_not(&plan_1, "notify job 1");
    has_not(&plan_1, "notify job 2");
    assert!(plan_1.next_wake.is_some_and(|at| at <= until));
    has(&plan(&full(), &world, until), "notify job 2 waits");
}

#[test]
fn no_more_check_runs_are_planned_than_the_minute_has_room_for() {
    let mut world = snapshot();
    for id in 1..=30 {
        let mut job = of_linux(id, 10 + id);
        job.fact.head_sha = format!("c0ffee{id}");
        world.jobs.push(job);
    }
    let plan_1 = plan(&full(), &world, NOW);
    assert_eq!(texts(&plan_1).len(), 20);
    has(&plan_1, "notify job 30 waits");
    has_not(&plan_1, "notify job 1 waits");
    assert!(plan_1.next_wake.is_some_and(|at| at <= world.budget.refills_at));
    world.budget.notifications_left = 0;
    has_not(&plan(&full(), &world, NOW), "notify");
}

/// A world in which no set serves job 1, and another fleet's runner is registered.
fn another_fleet(online: bool, carries: &[&str]) -> Snapshot {
    let mut world = snapshot();
    world.jobs.push(of_arm(1, 10));
    let mut found = registration(1, online, true);
    (found.id, found.name) = (RegistrationId(7), "arc-1".into());
    found.labels = carries.iter().map(|label| Label::of_job(label)).collect();
    world.registrations.insert(acme(), Observed::seen(vec![found], NOW));
    world
}

#[test]
fn a_job_whose_labels_an_online_runner_of_another_fleet_has_is_not_our_business() {
    for (online, carries, ours) in [
        (true, &["self-hosted", "ARM", "large"][..], false),
        (true, &["self-hosted", "arm64"], true),
        (true, &[], true),
        (false, &["self-hosted", "arm"], true),
    ] {
        let mut world = another_fleet(online, carries);
        let plan_1 = plan(&policy(), &world, NOW);
        has_not(&plan_1, "find");
        assert_eq!(!texts(&plan_1).is_empty(), ours, "{online} {carries:?}");
        execute(&policy(), &mut world, &plan_1, NOW);
        has_not(&plan(&policy(), &world, NOW.plus(mins(1))), "notify");
    }
}

#[test]
fn the_registrations_are_asked_for_where_they_were_not_read_and_at_each_level_that_this_fleet_uses() {
    let mut world = another_fleet(true, &["self-hosted", "arm"]);
    world.registrations.insert(acme(), Observed::Unknown { why: "not asked for in this pass".into() });
    has(&plan(&policy(), &world, NOW), "find runners at acme for 1 jobs");
    let mut of_repository = arm("zz");
    of_repository.scope.level = runnersmith_types::ScopeLevel::Repository;
    of_repository.labels = labels(&["windows"]);
    world.peers = vec![peer(of_repository)];
    has(&plan(&policy(), &world, NOW), "find runners at acme/shop and acme for 1 jobs");
    world.jobs[0].first_seen_at = ago(secs(599));
    world.jobs[0].queued_at = Some(ago(secs(599)));
    has_not(&plan(&policy(), &world, NOW), "find");
}

#[test]
fn a_check_is_red_only_where_the_operator_says_that_this_is_the_only_fleet_that_serves_the_repository() {
    let world = another_fleet(true, &["self-hosted", "arm"]);
    let only = ScaleSet { only_fleet: true, ..policy() };
    assert_eq!(texts(&plan(&only, &world, NOW))[0].conclusion, Some("failure"));
    let mut of_others = only;
    of_others.scope.allowed = vec![runnersmith_types::RepoPattern("other/*".into())];
    assert!(texts(&plan(&of_others, &world, NOW)).is_empty(), "it says nothing of acme/shop");
}

#[test]
fn a_red_check_of_an_earlier_version_becomes_neutral_or_is_closed() {
    for (carries, conclusion) in [(&["linux"][..], "neutral"), (&["self-hosted", "arm"], "success")] {
        let mut world = another_fleet(true, carries);
        let text = "no scale set serves it: linux is nearest, its runners lack arm".into();
        world.jobs[0].update(JobUpdate::Notified(Notified { at: ago(mins(5)), check_run: 4, text, closed: false }));
        let plan = plan(&policy(), &world, NOW);
        assert_eq!(texts(&plan)[0].conclusion, Some(conclusion));
    }
}

#[test]
fn a_job_of_which_github_could_not_say_who_serves_it_is_looked_at_again_within_the_bound_however_long_it_has_waited() {
    let mut world = another_fleet(true, &["linux"]);
    world.jobs = vec![of_arm(1, 60)];
    world.registrations.insert(acme(), Observed::Unknown { why: "not asked for in this pass".into() });
    let text = "no scale set serves it".to_owned();
    let unknown = WaitReason { at: ago(mins(11)), kind: WaitKind::Unknown, text };
    world.jobs[0].update(JobUpdate::Waits(Some(unknown)));
    has(&plan(&policy(), &world, NOW), "find runners at acme for 1 jobs");
    world.jobs[0].waits.iter_mut().for_each(|waits| waits.at = ago(mins(5)));
    has_not(&plan(&policy(), &world, NOW), "find");
}

#[test]
fn what_was_said_last_stands_until_the_registrations_are_known() {
    let mut world = another_fleet(true, &["linux"]);
    world.registrations.insert(acme(), Observed::Unknown { why: "not asked for in this pass".into() });
    let text = "a runner is on its way".into();
    world.jobs[0].update(JobUpdate::Notified(Notified { at: ago(mins(5)), check_run: 4, text, closed: false }));
    let asks = plan(&policy(), &world, NOW);
    has_not(&asks, "notify");
    execute(&policy(), &mut world, &asks, NOW);
    has(&plan(&policy(), &world, NOW), "notify job 1 is unserved");
}

fn ended(attempt: u32, conclusion: &str) -> RunSummary {
    RunSummary {
        id: RunId(5),
        status: "completed".into(),
        conclusion: Some(Conclusion(conclusion.into())),
        run_attempt: attempt,
        workflow: 3,
        branch: "main".into(),
        event: "push".into(),
        head_repository: 5,
    }
}

#[test]
fn a_run_is_re_run_only_when_it_failed_at_the_attempt_that_was_interrupted() {
    use RerunDecision::{Again, Leave, NotYet};
    for (interrupted, run, decision) in [
        (1, ended(1, "failure"), Again),
        (2, ended(2, "timed_out"), Again),
        (0, ended(4, "failure"), Again),
        (1, RunSummary { status: "in_progress".into(), conclusion: None, ..ended(1, "") }, NotYet),
        (
            1,
            RunSummary { status: "queued".into(), conclusion: None, ..ended(2, "") },
            Leave("its run was re-run before"),
        ),
        (1, ended(2, "failure"), Leave("its run was re-run before")),
        (1, ended(1, "cancelled"), Leave("its run was cancelled")),
        (1, ended(1, "success"), Leave("its run did not fail")),
    ] {
        assert_eq!(decide_rerun(interrupted, &run), decision, "{interrupted} {run:?}");
    }
}

#[test]
fn a_newer_run_of_the_same_workflow_branch_and_event_supersedes_a_run() {
    let run = ended(1, "failure");
    let newer = RunSummary { id: RunId(6), ..run.clone() };
    assert!(is_superseded(&run, &[run.clone(), newer.clone()]));
    for other in [
        RunSummary { id: RunId(4), ..newer.clone() },
        RunSummary { workflow: 4, ..newer.clone() },
        RunSummary { branch: "next".into(), ..newer.clone() },
        RunSummary { event: "schedule".into(), ..newer.clone() },
        RunSummary { head_repository: 6, ..newer },
    ] {
        assert!(!is_superseded(&run, &[run.clone(), other.clone()]), "{other:?}");
    }
}

#[test]
fn the_pass_names_the_attempt_that_was_interrupted_and_looks_again_after_the_pause() {
    let set = ScaleSet { rerun_interrupted: true, ..policy() };
    let mut world = snapshot();
    let mut lost = on(job(1, JobStatus::InProgress), &runner(1, runnersmith_types::RunnerState::Busy));
    lost.fact.run_attempt = 3;
    lost.update(JobUpdate::Interrupted { at: ago(mins(300)), rerun: true });
    (lost.fact.status, lost.fact.conclusion) = (JobStatus::Completed, Some(Conclusion("failure".into())));
    world.jobs.push(lost);
    has(&plan(&set, &world, NOW), "rerun 1 after 3");
    let until = NOW.plus(mins(2));
    world.jobs[0].update(JobUpdate::RerunTried(FailedTries { count: 2, last_at: NOW, next_at: until }));
    let waits = plan(&set, &world, NOW);
    has_not(&waits, "rerun");
    assert_eq!(waits.next_wake, Some(until));
    has(&plan(&set, &world, until), "rerun 1 after 3");
    let mut open = job(2, JobStatus::InProgress);
    (open.fact.run, world.jobs[0].ended_at) = (world.jobs[0].fact.run, Some(ago(mins(50))));
    world.jobs.push(open);
    has_not(&plan(&set, &world, until), "rerun");
    has(&plan(&set, &world, NOW.plus(mins(10))), "rerun 1 after 3");
    world.jobs[0].fact.conclusion = Some(Conclusion("cancelled".into()));
    has(&plan(&set, &world, until), "leave rerun of 1 jobs: the job was cancelled");
    has(&plan(&policy(), &world, until), "leave rerun of 1 jobs");
    world.jobs[0].update(JobUpdate::RerunSettled("the job was cancelled".into()));
    has_not(&plan(&set, &world, until), "leave");
    assert_eq!(world.jobs[0].id(), JobId(1));
}

#[test]
fn a_check_run_that_a_post_without_an_answer_may_have_opened_again_is_closed_again() {
    let mut world = snapshot();
    let mut over = job_of("acme/shop", 1, JobStatus::Completed, ago(mins(30)));
    let text = "it is running or over".to_owned();
    over.update(JobUpdate::Notified(Notified { at: ago(mins(20)), check_run: 4, text, closed: true }));
    world.jobs.push(over);
    has_not(&plan(&policy(), &world, NOW), "notify");
    let tries = FailedTries { count: 1, last_at: ago(mins(10)), next_at: ago(mins(9)) };
    world.jobs[0].update(JobUpdate::NotifyTried(tries));
    assert!(world.jobs[0].is_followed(), "however long ago it ended");
    has(&plan(&policy(), &world, NOW), "notify");
}
