//! What `why` says, apart from the code so that both stay short.

use runnersmith_types::{
    FactSource, JobFact, Label, Owner, OwnerKind, RepoFullName, RunId, RunnerName, RunnerScope, RunnerUpdate,
    ScaleSetName, Target,
};

use super::*;

fn job(status: JobStatus, at: i64) -> Job {
    Job::first(fact(status, at))
}

fn fact(status: JobStatus, at: i64) -> JobFact {
    JobFact {
        source: FactSource::Delivery,
        received_at: Timestamp::from_secs(at),
        delivery: None,
        id: JobId(7),
        run: RunId(1),
        run_attempt: 1,
        repo: RepoFullName::parse("acme/app").unwrap(),
        owner_kind: OwnerKind::Organization,
        head_sha: String::new(),
        name: "build \u{1b}[2J".into(),
        workflow: "ci".into(),
        labels: vec![Label::of_job("linux")],
        labels_cut: false,
        status,
        conclusion: None,
        runner_name: (status >= JobStatus::InProgress).then(|| "small-p1aa-1".into()),
        runner_id: None,
        created_at: Some(Timestamp::from_secs(98)),
        started_at: None,
        completed_at: None,
    }
}

fn runner(intended: i64) -> Runner {
    let target = Target {
        set: ScaleSetName::parse("small").unwrap(),
        at: RunnerScope::Organization(Owner::parse("acme").unwrap()),
    };
    let name = RunnerName::parse("small-p1aa-1").unwrap();
    let mut runner = Runner::intended(name, 1, target, true, Timestamp::from_secs(intended));
    runner.machine_at = Some(Timestamp::from_secs(intended + 3));
    runner.handed_at = Some(Timestamp::from_secs(intended + 4));
    runner.online_at = Some(Timestamp::from_secs(intended + 10));
    runner
}

fn took(stages: &[JobStage]) -> Vec<(&'static str, u64)> {
    stages.iter().map(|stage| (stage.name.word(), stage.took.as_secs())).collect()
}

#[test]
fn the_stages_of_a_job_add_up_to_its_wait() {
    let mut job = job(JobStatus::Queued, 100);
    job.merge(fact(JobStatus::InProgress, 113));
    let stages = stages(&job, Some(&runner(101)));
    assert_eq!(
        took(&stages),
        [("delivery", 2), ("decision", 1), ("launch", 3), ("boot", 1), ("register", 6), ("assign", 2)]
    );
    assert_eq!(stages.iter().map(|stage| stage.took.as_secs()).sum::<u64>(), 113 - 98);
}

#[test]
fn a_runner_that_was_there_already_costs_its_job_only_the_assignment() {
    let mut job = job(JobStatus::Queued, 100);
    job.merge(fact(JobStatus::InProgress, 101));
    assert_eq!(took(&stages(&job, Some(&runner(50)))), [("delivery", 2), ("assign", 1)]);
}

#[test]
fn what_is_said_is_one_sentence_for_every_state() {
    let waiting = WaitingOn::Maximum { runners_max: 4, position: 2 };
    let why = JobStory::of(&job(JobStatus::Queued, 100), None, &[], Some(&waiting));
    assert_eq!(why.sentence, "waits: the set is at its maximum of 4; place 2 in the line");
    assert_eq!(JobStory::of(&job(JobStatus::InProgress, 100), None, &[], None).sentence, "running on small-p1aa-1");
    assert!(
        JobStory::of(&job(JobStatus::Completed, 100), None, &[], None)
            .sentence
            .starts_with("completed on small-p1aa-1")
    );
    assert!(JobStory::of(&job(JobStatus::Gone, 100), None, &[], None).sentence.starts_with("gone"));
    assert!(
        JobStory::of(&job(JobStatus::Waiting, 100), None, &[], None)
            .sentence
            .starts_with("waits: GitHub holds it back for an environment")
    );
    let failed = HistoryEvent::new(Timestamp(1), EventKind::Failed, "launch", "no capacity");
    let why = JobStory::of(&job(JobStatus::Queued, 100), None, &[failed], None);
    assert!(why.sentence.ends_with("failed last: launch (no capacity)"), "{}", why.sentence);
}

#[test]
fn a_job_that_waited_says_for_what_and_how_long_afterwards() {
    let mut job = job(JobStatus::Queued, 100);
    let mut waits = |at, on: &str, text: &str| {
        job.waits_for(Wait { at: Timestamp::from_secs(at), on: on.into(), text: text.into() })
    };
    assert!(!waits(100, Wait::RUNNER, "a runner is on its way"), "that is the usual way");
    assert!(waits(101, "maximum", "scale set linux is at its maximum of 8"));
    assert!(!waits(150, "maximum", "scale set linux is at its maximum of 8"));
    assert!(waits(231, "capacity", "no capacity\u{1b}"));
    assert!(waits(262, Wait::RUNNER, "a runner is on its way"));
    let now = JobStory::of(&job, None, &[], None);
    assert_eq!(now.waited, None, "what it waits for now is in the sentence");
    job.merge(fact(JobStatus::InProgress, 290));
    let why = JobStory::of(&job, Some(&runner(262)), &[], None);
    let waited = "waited 2 min 10 s: scale set linux is at its maximum of 8, then 31.0 s: no capacity\\u{1b}";
    assert_eq!(why.waited.as_deref(), Some(waited));
    assert!(why.to_string().contains(&format!("\nrunning on small-p1aa-1\n{waited}\n")), "{why}");
    let lines = why.timeline.iter().filter(|line| line.what == "waits");
    assert_eq!(lines.map(|line| line.at).collect::<Vec<_>>(), [101, 231].map(Timestamp::from_secs));
}

#[test]
fn of_very_many_waits_the_newest_are_kept() {
    let mut job = job(JobStatus::Queued, 100);
    for at in 0..100 {
        let on = if at % 2 == 0 { "maximum" } else { "capacity" };
        job.waits_for(Wait { at: Timestamp::from_secs(100 + at), on: on.into(), text: on.into() });
    }
    let waited = job.waited(Timestamp::from_secs(300));
    assert_eq!((waited.len(), waited[0].wait.at), (Job::WAITS_MAX, Timestamp::from_secs(180)));
    assert_eq!(waited[19].took, Duration::from_secs(101), "it waits for the last one still");
}

#[test]
fn the_text_is_aligned_and_no_foreign_control_character_reaches_a_terminal() {
    let mut job = job(JobStatus::Queued, 100);
    job.merge(fact(JobStatus::InProgress, 113));
    let text = JobStory::of(&job, Some(&runner(101)), &[], None).to_string();
    assert!(text.contains("  1970-01-01 00:01:38.000Z        +0 s  created"), "{text}");
    assert!(text.contains("  register          6.0 s  the runner came online"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn quotes_stay_as_they_are_and_what_cannot_be_seen_is_escaped() {
    assert_eq!(escaped("GitHub's \"gpu\""), "GitHub's \"gpu\"");
    assert_eq!(escaped("a\u{1b}[2J\nb\u{202e}"), "a\\u{1b}[2J\\nb\\u{202e}");
    let seen = HistoryEvent::new(Timestamp::from_secs(100), EventKind::Seen, "queued", "GitHub's word");
    let text = JobStory::of(&job(JobStatus::Queued, 100), None, &[seen], None).to_string();
    assert!(text.contains("GitHub's word"), "{text}");
}

#[test]
fn what_history_says_is_not_said_again_from_the_records() {
    let mut runner = runner(101);
    runner.update(RunnerUpdate::Gone("done".into()), Timestamp::from_secs(130));
    let seen = HistoryEvent::new(Timestamp::from_secs(100), EventKind::Seen, "queued", "GitHub says queued");
    let why = JobStory::of(&job(JobStatus::Queued, 100), Some(&runner), &[seen], None);
    assert_eq!(why.timeline.iter().filter(|line| line.what == "queued").count(), 1);
    assert!(why.timeline.is_sorted_by_key(|line| line.at));
}

#[test]
fn a_dropped_job_has_a_story_too() {
    let at = Timestamp::from_secs(1_780_056_191);
    let dropped = HistoryEvent::new(at, EventKind::Dropped, "delivery", "no scale set serves it");
    let why = JobStory::dropped(JobId(9), &[dropped]).unwrap();
    assert_eq!(
        why.sentence,
        "a delivery for this job came at 2026-05-29 12:03:11 UTC and was not used: no scale set serves it"
    );
    assert_eq!(JobStory::dropped(JobId(9), &[]), None);
}

#[test]
fn durations_have_at_most_two_parts() {
    let text = |ms| duration(Duration::from_millis(ms));
    assert_eq!(
        [text(0), text(20), text(1_900), text(61_000), text(3_660_000), text(90_000_000)],
        ["0 s", "20 ms", "1.9 s", "1 min 01 s", "1 h 01 min", "1 d 01 h"]
    );
}
