//! What others do while a run is in the middle of something: nothing of it is lost, and nothing is left behind.

use std::sync::Arc;

use crate::support::{Gate, REPO, SET, World, block};
use runnersmith_issueops::change::State;
use runnersmith_issueops_engine::{Drift, ProvisionError, Rights, Runs as _};
use runnersmith_ports::{Clock as _, RecordStore as _};
use runnersmith_types::ChangeTrigger;
use tokio::sync::Notify;

#[tokio::test]
async fn who_finds_another_look_going_on_notes_it_there_and_what_was_noted_outlives_it() {
    let world = World::new().await;
    let issue = world.open_issue("ann", &block("team", 3), SET);
    let other = world.runs.begin();
    let (change_store, now) = (world.planner.change_store(), world.clock.now());
    assert!(change_store.update_issue(issue, |note| note.claim(other.name(), false, None, now)).await.unwrap().1);
    let edited = ChangeTrigger::Issue { number: issue, editor: Some("wanda".into()) };
    world.planner.handle(&edited).await.unwrap();
    world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    assert!(!world.is_open("team").await, "it is the other's to look at");
    let note = change_store.issue(issue).await.unwrap();
    assert!(note.again && note.named_editors.contains(&"wanda".into()), "{note:?}");
    drop(other);
    world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    let note = change_store.issue(issue).await.unwrap();
    assert!(!note.waits() && note.editors.contains(&"wanda".into()), "{note:?}");
    let (pull, line) = (world.record("team").await.change.pull, world.approve_line("team").await);
    world.order(pull, "wanda", &line).await;
    assert!(world.answer(pull).contains("may not approve"), "who edited took part: {}", world.answer(pull));
}

#[tokio::test]
async fn a_look_that_was_informed_of_more_looks_again() {
    let world = World::new().await;
    let issue = world.open_issue("ann", &block("team", 3), SET);
    let gate = Gate::new(&world.record_store, "change.json");
    let first = world.reconciler_on(gate.clone(), Rights::Plan);
    let looking =
        tokio::spawn(async move { first.handle(&ChangeTrigger::Issue { number: issue, editor: None }).await });
    gate.reached.notified().await;
    world.github.edit_issue_as(REPO, issue, "ann", &block("team", 8));
    world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: Some("ann".into()) }).await.unwrap();
    assert!(!world.is_open("team").await, "the second does not wait");
    gate.go_on.notify_one();
    looking.await.unwrap().unwrap();
    let record = world.record("team").await;
    assert!(matches!(record.change.state, State::Planned(_)), "{:?}", record.change.state);
    let shown = world.shown(record.change.pull);
    assert!(shown.contains("Maximum: 8"), "{shown}");
    assert!(!world.planner.change_store().issue(issue).await.unwrap().waits());
}

#[tokio::test]
async fn an_editor_whom_no_look_has_taken_up_may_not_approve_what_was_planned_meanwhile() {
    let world = World::new().await;
    let issue = world.ask("ann", &block("team", 3), SET).await;
    let pull = world.record("team").await.change.pull;
    world.github.edit_issue_as(REPO, issue, "wanda", &block("team", 8));
    let other = world.runs.begin();
    let (change_store, now) = (world.planner.change_store(), world.clock.now());
    change_store.update_issue(issue, |note| note.claim(other.name(), false, None, now)).await.unwrap();
    world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: Some("wanda".into()) }).await.unwrap();
    world.order(pull, "walt", "/plan").await;
    assert!(world.shown(pull).contains("Maximum: 8"), "{}", world.shown(pull));
    let line = world.approve_line("team").await;
    world.order(pull, "wanda", &line).await;
    assert!(world.provisioner.cloud.lock().unwrap().applied.is_empty(), "{}", world.said(pull));
    drop(other);
    world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    let line = world.approve_line("team").await;
    world.order(pull, "walt", &line).await;
    assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
}

#[tokio::test]
async fn a_lock_that_is_taken_for_a_change_that_was_given_up_meanwhile_is_given_back() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    world.comment(pull, "wanda", &line).await;
    let gate = Gate::new(&world.record_store, "lock.json");
    let applier = world.reconciler_on(gate.clone(), Rights::Apply);
    let applying = tokio::spawn(async move { applier.proceed().await });
    gate.reached.notified().await;
    world.comment(pull, "wanda", "/cancel").await;
    gate.go_on.notify_one();
    applying.await.unwrap().unwrap();
    assert!(world.provisioner.cloud.lock().unwrap().applied.is_empty());
    assert_eq!(world.planner.change_store().lock("team").await.unwrap(), None, "nobody would ever release it");
}

#[tokio::test]
async fn comments_of_a_plan_that_came_too_late_are_taken_away() {
    let world = World::new().await;
    world.provisioner.cloud.lock().unwrap().destroys = 5_000;
    let issue = world.open_issue("ann", &block("team", 3), SET);
    let gate = Gate::new(&world.record_store, ".plan");
    let planner = world.reconciler_on(gate.clone(), Rights::Plan);
    let planning =
        tokio::spawn(async move { planner.handle(&ChangeTrigger::Issue { number: issue, editor: None }).await });
    gate.reached.notified().await;
    let pull = world.record("team").await.change.pull;
    world.comment(pull, "wanda", "/cancel").await;
    gate.go_on.notify_one();
    planning.await.unwrap().unwrap();
    let comments = world.github.issue(REPO, pull).comments;
    assert!(!comments.iter().any(|comment| comment.body.contains("queue-0")), "a plan that never counted");
    let left = world.record_store.list("changes/team/").await.unwrap();
    assert!(!left.iter().any(|key| key.ends_with(".plan") || key.ends_with(".txt")), "{left:?}");
}

#[tokio::test]
async fn a_pull_request_that_was_turned_to_another_branch_is_not_applied() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    world.github.push_as(REPO, "release", "adam", &[("README.md", Some("# Release\n"))], "release");
    world.github.retarget_pull_as(REPO, pull, "walt", "release");
    world.order(pull, "wanda", &line).await;
    assert!(world.provisioner.cloud.lock().unwrap().applied.is_empty());
    assert!(world.answer(pull).contains("into another branch"), "{}", world.answer(pull));
    world.github.retarget_pull_as(REPO, pull, "walt", "main");
    world.order(pull, "wanda", &line).await;
    assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
}

#[tokio::test]
async fn a_merge_into_another_branch_is_none() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    world.github.push_as(REPO, "release", "adam", &[("README.md", Some("# Release\n"))], "release");
    world.comment(pull, "wanda", &line).await;
    let (go_on, applying) = world.applying().await;
    world.github.retarget_pull_as(REPO, pull, "walt", "release");
    go_on.notify_one();
    applying.await.unwrap();
    assert!(!world.github.pull(REPO, pull).merged, "{}", world.said(pull));
    assert!(world.said(pull).contains("into another branch"), "{}", world.said(pull));
    world.github.merge_pull_as(REPO, pull, "walt").unwrap();
    world.planner.handle(&ChangeTrigger::Pull { number: pull }).await.unwrap();
    let record = world.record("team").await;
    assert!(matches!(record.change.state, State::NotMerged { .. }), "{:?}", record.change.state);
}

#[tokio::test]
async fn what_is_applied_while_drift_is_looked_for_is_no_drift() {
    // One is applied and over, one fails half way.
    for fails in [None, Some(ProvisionError::Failed { resource: None, message: "half way".into() })] {
        let world = World::new().await;
        world.made("team").await;
        world.provisioner.cloud.lock().unwrap().drifted = vec!["module.runners.aws_sqs_queue.this".into()];
        let hold = Arc::new(Notify::new());
        *world.provisioner.hold_drift.lock().unwrap() = Some(hold.clone());
        let planner = world.planner.clone();
        let looking = tokio::spawn(async move { planner.drift().await });
        world.provisioner.drift_begun.notified().await;
        world.ask("ann", &block("team", 5), SET).await;
        let (pull, line) = (world.record("team").await.change.pull, world.approve_line("team").await);
        world.comment(pull, "wanda", &line).await;
        world.provisioner.cloud.lock().unwrap().fails = fails.clone();
        world.applier.proceed().await.unwrap();
        assert_eq!(world.github.pull(REPO, pull).merged, fails.is_none(), "{}", world.said(pull));
        hold.notify_one();
        assert_eq!(looking.await.unwrap().unwrap(), [("team".to_owned(), Drift::Busy)]);
        *world.provisioner.hold_drift.lock().unwrap() = None;
        let found = world.planner.drift().await.unwrap();
        assert!(matches!(found[0].1, Drift::Differs { .. }), "the next look reports it: {found:?}");
    }
}
