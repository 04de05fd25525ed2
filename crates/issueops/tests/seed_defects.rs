//! The ten defects of the demo that this system descends from. Each has a test that fails when it comes back, as far as
//! it is a matter of deciding, reading or writing; what is a matter of running is shown by the shell's tests.

use crate::support::world::{
    World, actor, applies, denial, edited, parts, person_lock, replies, rereads, run_lock, writer,
};
use crate::support::{SEED_BLOCK, check, policy, set};
use runnersmith_issueops::change::{
    ChangeFailure, ChangeKind, ChangeStage, ChangeStep, Denial, LifecycleEvent, Liveness, Permission, Reply, State,
};
use runnersmith_issueops::comment::drift_issue;
use runnersmith_issueops::render::render;
use runnersmith_issueops::request::{Field, Known, RequestKind};
use runnersmith_issueops::summary::{EnvironmentFleet, FleetChange, GroupAccess, Summary, cost};

#[test]
fn defect_01_no_plan_before_approval() {
    let mut world = World::new(ChangeKind::Set);
    for state in [State::Requested, State::Planning, State::HandEdited, State::Expired] {
        world.change.state = state;
        assert_eq!(denial(&world.says(&writer(), "/approve")), Some(&Denial::NoPlan));
        assert_eq!(denial(&world.says(&writer(), "/approve 0123456789ab destroy")), Some(&Denial::NoPlan));
        assert!(!applies(&world.checks()));
    }
}

#[test]
fn defect_02_a_push_after_the_approval_wins() {
    let mut world = World::planned(ChangeKind::Set);
    let line = format!("/approve {}", world.digest());
    assert!(rereads(&world.says(&writer(), &line)));
    world.event(&LifecycleEvent::Pushed { committers: ["mallory".into()].into(), edited: Some(edited("aaaa")) });
    assert!(!applies(&world.checks()), "the event came in time");
    let mut world = World::planned(ChangeKind::Set);
    world.says(&writer(), &line);
    world.parts = parts("bbbb");
    let steps = world.checks();
    assert!(!applies(&steps) && matches!(replies(&steps)[..], [Reply::Differs(_)]), "the event was lost");
}

#[test]
fn defect_03_fields_are_validated_by_another_fields_value() {
    let evil =
        "x\"\n}\nresource \"null_resource\" \"x\" {\n  provisioner \"local-exec\" {\n    command = \"id\"\n  }\n}\n#";
    for field in Field::ALL.into_iter().filter(|field| *field != Field::Reason) {
        for value in [evil, "${file(\"/etc/passwd\")}", "$(id)", "'; id; '", "a\nb: c", "%{ if true }x%{ endif }"] {
            let mut block: serde_json::Value = serde_json::from_str(SEED_BLOCK).unwrap();
            block[field.key()] = value.into();
            let problems = check(&block.to_string(), RequestKind::Set, &Known::default()).unwrap_err();
            assert!(problems.iter().all(|problem| problem.field == field.title()), "{field}: {problems:?}");
        }
    }
    // The two that the demo left out, right by themselves and wrong by themselves.
    assert!(
        check(&SEED_BLOCK.replace("amzn2-ami-hvm-2.*-x86_64-ebs", "amazon"), RequestKind::Set, &Known::default())
            .is_ok()
    );
    let problems =
        check(&SEED_BLOCK.replace("\"default\"", "\"undefined\""), RequestKind::Set, &Known::default()).unwrap_err();
    assert_eq!(problems[0].field, Field::RunnerGroup.title());
}

#[test]
fn defect_04_the_author_may_approve_their_own_change() {
    let mut world = World::planned(ChangeKind::Set);
    let line = format!("/approve {}", world.digest());
    let ann = actor("ANN", Permission::Admin);
    assert_eq!(denial(&world.says(&ann, &line)), Some(&Denial::IsAuthor), "logins have no case");
    world.change.committers.insert("carl".into());
    assert_eq!(denial(&world.says(&actor("carl", Permission::Admin), &line)), Some(&Denial::IsAuthor));
    // Who committed only after approving is found by the second look.
    assert!(rereads(&world.says(&writer(), &line)));
    let mut reread = world.reread();
    reread.committers.insert("Wanda".into());
    let steps = world.event(&LifecycleEvent::Reread(Box::new(reread)));
    assert_eq!(denial(&steps), Some(&Denial::IsAuthor));
    world.rules.author_may_approve = true;
    assert!(rereads(&world.says(&ann, &line)), "unless the policy says so");
}

#[test]
fn defect_05_static_keys() {
    let files = render(&set(SEED_BLOCK), &policy()).unwrap();
    for (path, content) in &files {
        for word in ["access_key", "secret_key", "AWS_SECRET", "AWS_ACCESS", "shared_credentials", "profile"] {
            assert!(!content.contains(word), "{path}: {word}");
        }
    }
}

#[test]
fn defect_06_locks_are_broken_by_force_on_any_failure() {
    let mut world = World::planned(ChangeKind::Set);
    let line = format!("/approve {}", world.digest());
    world.says(&writer(), &line);
    world.checks();
    let failure = ChangeFailure::new(ChangeStage::Apply, "Error acquiring the state lock");
    let steps = world.event(&LifecycleEvent::ApplyFailed(failure.clone()));
    let breaks = |steps: &[ChangeStep]| {
        steps.iter().any(|step| matches!(step, ChangeStep::ReleaseLock { .. } | ChangeStep::TakeOver { .. }))
    };
    assert!(!breaks(&steps) && steps.contains(&ChangeStep::ReleaseOwnLock));
    world.change.state = State::Planning;
    assert!(!breaks(&world.event(&LifecycleEvent::PlanFailed(failure))));
    for liveness in [Liveness::Alive, Liveness::Unknown] {
        for pull in [6, 7] {
            world.lock = Some(run_lock(pull, liveness));
            assert!(matches!(
                denial(&world.says(&actor("root", Permission::Admin), "/unlock")),
                Some(Denial::RunNotDead(_))
            ));
        }
    }
}

#[test]
fn defect_07_approvexyz_is_an_approval() {
    let mut world = World::planned(ChangeKind::Set);
    world.wait(3600);
    for line in
        ["/approvexyz", "/approve-all", "/approve: yes", "/approved", "/approve please", "I would /approve this"]
    {
        let steps = world.says(&writer(), line);
        assert!(!rereads(&steps), "{line}");
    }
    let steps = world.says(&writer(), "/approvexyz");
    assert!(matches!(replies(&steps)[..], [Reply::Help(_)]));
}

#[test]
fn defect_08_the_pull_request_is_known_by_its_title() {
    // No event has a title; a pull request is its number, and its branch is in this repository.
    let mut world = World::planned(ChangeKind::Set);
    let line = format!("/approve {}", world.digest());
    let mut elsewhere = world.comment(&writer(), &line);
    elsewhere.pull = 7;
    assert_eq!(world.received(elsewhere), []);
    let mut fork = world.comment(&writer(), &line);
    fork.is_fork = true;
    assert_eq!(world.received(fork), []);
}

#[test]
fn defect_09_no_drift_cost_policy_or_lock() {
    // A policy bounds what may be asked.
    let problems = check(&SEED_BLOCK.replace("\"3\"", "\"11\""), RequestKind::Set, &Known::default()).unwrap_err();
    assert_eq!(problems[0].field, Field::MaxRunners.title());
    // What the worst hour costs is known before it is approved.
    let files = render(&set(SEED_BLOCK), &policy()).unwrap();
    let values = &files["actions-runner-envs/linux_large/terraform.tfvars.json"];
    let fleet =
        FleetChange { before: None, after: EnvironmentFleet::of_values(values).ok(), access: GroupAccess::Unknown };
    assert!(cost(&Summary::default(), &fleet, &policy()).after.unwrap().worst.is_some());
    // A lock keeps others out.
    let mut world = World::planned(ChangeKind::Set);
    world.lock = Some(person_lock("otto"));
    let line = format!("/approve {}", world.digest());
    assert!(matches!(denial(&world.says(&writer(), &line)), Some(Denial::IsLocked(_))));
    // Drift opens one issue and closes it.
    let drifted = r#"{"format_version": "1.2", "resource_drift": [{"address": "aws_sqs_queue.a", "change": {"actions": ["update"]}}]}"#;
    let summary = Summary::of_show_json(drifted.as_bytes()).unwrap();
    let issue = drift_issue(set(SEED_BLOCK).environment(), &summary).unwrap();
    assert!(
        issue.body.starts_with("<!-- runnersmith:drift:linux_large -->\n") && issue.body.contains("aws_sqs_queue.a")
    );
    let none = Summary::of_show_json(br#"{"format_version": "1.2"}"#).unwrap();
    assert_eq!(drift_issue(set(SEED_BLOCK).environment(), &none), None);
}

#[test]
fn defect_10_merges_without_looking_whether_the_head_is_what_was_applied() {
    let mut world = World::planned(ChangeKind::Set);
    let line = format!("/approve {}", world.digest());
    world.says(&writer(), &line);
    world.checks();
    world.event(&LifecycleEvent::Pushed { committers: ["mallory".into()].into(), edited: Some(edited("aaaa")) });
    let steps = world.event(&LifecycleEvent::Applied);
    assert!(
        steps.contains(&ChangeStep::Merge { expected_head: "aaaa".into() }),
        "the head that was applied, not the newest"
    );
    world.event(&LifecycleEvent::MergeRefused("head moved".into()));
    assert_eq!(world.change.state.word(), "applied, not merged");
    assert_eq!(
        denial(&world.says(&writer(), "/plan")),
        Some(&Denial::NeedsAdmin),
        "what was pushed meanwhile is still checked"
    );
}
