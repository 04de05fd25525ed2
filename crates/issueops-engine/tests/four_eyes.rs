//! Four eyes: whose words count, and that who asked for a change, in whatever way, is not who approves it.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod support;

use std::time::Duration;

use runnersmith_issueops::change::State;
use runnersmith_types::ChangeTrigger;
use support::{REPO, SET, World, block};

fn nothing_applied(world: &World) {
    assert!(world.provisioner.cloud.lock().unwrap().applied.is_empty());
}

#[tokio::test]
async fn an_edited_comment_orders_nothing() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    let id = world.github.comment_as(REPO, pull, "wanda", "Let me see.");
    world.planner.handle(&ChangeTrigger::Pull { number: pull }).await.unwrap();
    world.advance(Duration::from_secs(5));
    world.github.edit_comment_as(REPO, id, "walt", &line);
    let handled = world.planner.handle(&ChangeTrigger::Pull { number: pull }).await.unwrap();
    assert!(handled.needs_apply.is_empty());
    assert!(matches!(world.record("team").await.change.state, State::Planned(_)));
    // Silence would be the worst answer: nobody knows then why nothing happens.
    assert!(world.answer(pull).contains("An edited comment orders nothing"), "{}", world.said(pull));
    let comment = |id: u64| world.github.issue(REPO, pull).comments.into_iter().find(|one| one.id == id).unwrap();
    assert_eq!(comment(id).reactions, ["confused"]);
    let before = world.said(pull);
    world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    assert_eq!(world.said(pull), before, "it is said once");
}

/// GitHub stamps `updated_at` a second later now and then, and the simulator always.
#[tokio::test]
async fn an_approval_counts_whatever_its_two_times_say() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    let id = world.github.comment_as(REPO, pull, "wanda", &line);
    let comment = world.control().comment(id).await.unwrap().unwrap();
    assert_ne!(comment.created_at, comment.updated_at, "nobody edited it");
    world.planner.handle(&ChangeTrigger::Pull { number: pull }).await.unwrap();
    world.applier.proceed().await.unwrap();
    assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
}

/// Labels taken off and put back, a disabled workflow, a lost delivery: nothing names the editor but GitHub itself.
#[tokio::test]
async fn who_edited_the_issue_while_nobody_listened_may_not_approve_it() {
    let world = World::new().await;
    let issue = world.ask("ann", &block("team", 3), SET).await;
    world.github.edit_issue_as(REPO, issue, "wanda", &block("team", 9));
    world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: None }).await.unwrap();
    let (pull, line) = (world.record("team").await.change.pull, world.approve_line("team").await);
    assert!(world.shown(pull).contains("Maximum: 9"), "{}", world.shown(pull));
    world.order(pull, "wanda", &line).await;
    assert!(world.answer(pull).contains("may not approve"), "{}", world.answer(pull));
    nothing_applied(&world);
    world.order(pull, "walt", &line).await;
    assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
}

#[tokio::test]
async fn where_edits_may_not_be_read_the_editor_that_an_event_named_may_not_approve() {
    let world = World::new().await;
    let issue = world.ask("ann", &block("team", 3), SET).await;
    world.github.edit_issue_as(REPO, issue, "wanda", &block("team", 9));
    world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: Some("wanda".into()) }).await.unwrap();
    let (pull, line) = (world.record("team").await.change.pull, world.approve_line("team").await);
    world.github.set_faults(|faults| _ = faults.fail.insert("POST /graphql".into(), (403, 100)));
    // What cannot be read of a comment is answered, too: its times differ.
    world.order(pull, "wanda", &line).await;
    assert!(world.answer(pull).contains("orders nothing"), "{}", world.answer(pull));
    world.github.set_faults(|faults| faults.fail.clear());
    world.order(pull, "wanda", &line).await;
    assert!(world.answer(pull).contains("may not approve"), "{}", world.answer(pull));
    nothing_applied(&world);
}

#[tokio::test]
async fn a_request_by_a_bot_is_not_planned_and_approved_by_one_person() {
    let world = World::new().await;
    // A writer's workflow opens it.
    world.ask("github-actions[bot]", &block("team", 3), SET).await;
    let pull = world.record("team").await.change.pull;
    assert_eq!(world.record("team").await.change.state, State::Requested);
    world.order(pull, "wanda", "/plan").await;
    let line = world.approve_line("team").await;
    world.order(pull, "wanda", &line).await;
    assert!(world.answer(pull).contains("needs two people"), "{}", world.answer(pull));
    nothing_applied(&world);
    world.order(pull, "walt", &line).await;
    assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
}

#[tokio::test]
async fn who_edited_an_issue_takes_part_in_it_also_while_it_was_closed() {
    let world = World::new().await;
    let issue = world.ask("ann", &block("team", 3), SET).await;
    world.github.close_issue_as(REPO, issue, "ann");
    world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: None }).await.unwrap();
    world.github.edit_issue_as(REPO, issue, "wanda", &block("team", 8));
    world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: Some("wanda".into()) }).await.unwrap();
    world.github.reopen_issue_as(REPO, issue, "wanda");
    world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: None }).await.unwrap();
    let (pull, line) = (world.record("team").await.change.pull, world.approve_line("team").await);
    world.order(pull, "wanda", &line).await;
    assert!(world.answer(pull).contains("may not approve"), "{}", world.answer(pull));
    nothing_applied(&world);
    world.order(pull, "walt", &line).await;
    assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
}
