//! Four eyes: whose words count, and that who asked for a change, in whatever way, is not who approves it.

use std::time::Duration;

use crate::support::{Gate, POLICY, REPO, SET, World, block};
use runnersmith_issueops::change::State;
use runnersmith_issueops_engine::Rights;
use runnersmith_types::ChangeTrigger;

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

/// GraphQL never says who edited, from the beginning to the end: what the event said is all that is known.
#[tokio::test]
async fn where_edits_may_not_be_read_the_editor_that_an_event_named_may_not_approve() {
    let world = World::new().await;
    world.github.set_faults(|faults| faults.hide_edits = true);
    let issue = world.ask("ann", &block("team", 3), SET).await;
    world.github.edit_issue_as(REPO, issue, "wanda", &block("team", 9));
    world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: Some("wanda".into()) }).await.unwrap();
    // Another one has it planned, so that nothing but the event keeps wanda from approving.
    let pull = world.record("team").await.change.pull;
    world.order(pull, "walt", "/plan").await;
    let line = world.approve_line("team").await;
    world.order(pull, "wanda", &line).await;
    assert!(world.answer(pull).contains("may not approve"), "{}", world.answer(pull));
    nothing_applied(&world);
}

#[tokio::test]
async fn where_edits_may_not_be_read_it_needs_two_who_did_not_ask_and_that_is_said() {
    for (edits, timelines) in [
        (None, None),
        (Some("SOMETHING_NEW"), None),
        (Some("NOT_FOUND"), None),
        (Some(""), Some("FORBIDDEN")),
        (Some(""), Some("NOT_FOUND")),
    ] {
        let world = World::new().await;
        world.github.set_faults(|faults| {
            faults.hide_edits = edits.is_none();
            faults.refuse_edits = edits.filter(|kind| !kind.is_empty());
            faults.refuse_timelines = timelines;
        });
        let (pull, line) = world.planned().await;
        world.order(pull, "wanda", &line).await;
        assert!(
            world.answer(pull).contains("does not say who edited, labelled or reopened the issue"),
            "{}",
            world.answer(pull)
        );
        world.order(pull, "ann", "/plan").await;
        let line = world.approve_line("team").await;
        world.order(pull, "wanda", &line).await;
        assert!(
            world.answer(pull).contains("does not say who edited, labelled or reopened the issue"),
            "{}",
            world.answer(pull)
        );
        nothing_applied(&world);
        world.order(pull, "walt", "/plan").await;
        let line = world.approve_line("team").await;
        world.order(pull, "wanda", &line).await;
        assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
    }
}

/// A comment of which something cannot be read now keeps no later one from being followed, and is followed when it can be read.
#[tokio::test]
async fn an_approval_whose_editors_cannot_be_read_now_stops_no_later_comment() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    world.github.set_faults(|faults| faults.refuse_edits = Some("SERVICE_UNAVAILABLE"));
    world.github.comment_as(REPO, pull, "wanda", &line);
    world.github.comment_as(REPO, pull, "rita", "/status");
    world.planner.handle(&ChangeTrigger::Pull { number: pull }).await.unwrap_err();
    assert!(world.answer(pull).contains("State: **planned**"), "{}", world.said(pull));
    world.advance(Duration::from_secs(3600));
    world.github.set_faults(|faults| faults.refuse_edits = None);
    world.planner.handle(&ChangeTrigger::Pull { number: pull }).await.unwrap();
    world.applier.proceed().await.unwrap();
    assert!(world.github.pull(REPO, pull).merged, "it is read again: {}", world.said(pull));

    let world = World::new().await;
    let (pull, line) = world.planned().await;
    world.github.set_faults(|faults| faults.refuse_edits = Some("SERVICE_UNAVAILABLE"));
    world.github.comment_as(REPO, pull, "wanda", &line);
    world.github.comment_as(REPO, pull, "ann", "/cancel");
    let handled = world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    assert_eq!(handled.failed.len(), 1, "{handled:?}");
    assert!(!world.is_open("team").await, "it is given up: {}", world.said(pull));
    nothing_applied(&world);
}

#[tokio::test]
async fn a_thousand_edits_stop_no_comment_and_it_is_said_that_more_are_not_known() {
    let world = World::new().await;
    let issue = world.ask("ann", &block("team", 3), SET).await;
    for n in 0..1_005 {
        world.github.edit_issue_as(REPO, issue, "ann", &block("team", 3 + n % 2));
    }
    let (pull, line) = (world.record("team").await.change.pull, world.approve_line("team").await);
    world.order(pull, "wanda", &format!("{line}\n/status")).await;
    let said = world.said(pull);
    assert!(
        said.contains("does not say who edited, labelled or reopened the issue") && said.contains("State: **"),
        "{said}"
    );
    nothing_applied(&world);
}

#[tokio::test]
async fn who_asked_may_not_approve_under_another_name() {
    let world = World::new().await;
    world.ask("wanda", &block("team", 3), SET).await;
    let (pull, line) = (world.record("team").await.change.pull, world.approve_line("team").await);
    world.github.rename_user("wanda", "wendy");
    world.order(pull, "wendy", &line).await;
    assert!(world.answer(pull).contains("may not approve"), "{}", world.answer(pull));
    nothing_applied(&world);
    // Somebody else takes the name that is free.
    world.github.set_role(REPO, "wanda", "write");
    world.order(pull, "wanda", &line).await;
    assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
}

/// What the author may do is asked under the name that the account has now: the old one may be somebody else's.
#[tokio::test]
async fn what_is_planned_by_itself_goes_by_the_author_and_not_by_who_took_their_name() {
    for (author, other, plans) in [("rita", "write", false), ("wanda", "read", true)] {
        let world = World::with_policy(&format!("{POLICY}\n[approval]\nplan_by = \"writers\"\n")).await;
        let issue = world.ask(author, &block("team", 3), SET).await;
        world.github.rename_user(author, "another");
        world.github.set_role(REPO, author, other);
        world.github.edit_issue_as(REPO, issue, "another", &block("team", 5));
        world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: None }).await.unwrap();
        let state = world.record("team").await.change.state;
        assert_eq!(matches!(state, State::Planned(_)), plans, "{author}: {state:?}");
    }
}

/// A look reads the issue before the comments: an order that is older than what it then finds is of what was there before.
#[tokio::test]
async fn who_asked_for_a_plan_before_the_issue_was_edited_did_not_ask_for_one_of_that() {
    let world = World::new().await;
    let issue = world.ask("github-actions[bot]", &block("team", 3), SET).await;
    let pull = world.record("team").await.change.pull;
    world.github.comment_as(REPO, pull, "wanda", "/plan");
    world.advance(Duration::from_secs(30));
    world.github.edit_issue_as(REPO, issue, "github-actions[bot]", &block("team", 9));
    world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    world.advance(Duration::from_secs(30));
    let line = world.approve_line("team").await;
    world.order(pull, "walt", &line).await;
    assert!(world.answer(pull).contains("needs two people"), "{}", world.said(pull));
    nothing_applied(&world);
    world.order(pull, "wanda", "/plan").await;
    let line = world.approve_line("team").await;
    world.order(pull, "walt", &line).await;
    assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
}

#[tokio::test]
async fn what_a_bot_edited_for_somebody_needs_two_people() {
    let world = World::new().await;
    let issue = world.ask("ann", &block("team", 3), SET).await;
    // walt has a workflow do it.
    world.github.edit_issue_as(REPO, issue, "github-actions[bot]", &block("team", 9));
    world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: None }).await.unwrap();
    let (pull, line) = (world.record("team").await.change.pull, world.approve_line("team").await);
    world.order(pull, "walt", &line).await;
    assert!(world.answer(pull).contains("needs two people"), "{}", world.answer(pull));
    nothing_applied(&world);
    world.order(pull, "wanda", "/plan").await;
    let line = world.approve_line("team").await;
    world.order(pull, "walt", &line).await;
    assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
}

/// wanda asks for the plan of what she has read; the workflow of walt edits it before that plan is made.
#[tokio::test]
async fn who_asked_for_a_plan_did_not_ask_for_one_of_what_was_edited_before_it_was_made() {
    let world = World::new().await;
    let issue = world.ask("ann", &block("team", 3), SET).await;
    let pull = world.record("team").await.change.pull;
    world.github.edit_issue_as(REPO, issue, "github-actions[bot]", &block("team", 9));
    world.order(pull, "wanda", "/plan").await;
    assert!(world.shown(pull).contains("Maximum: 9"), "{}", world.shown(pull));
    let line = world.approve_line("team").await;
    world.order(pull, "walt", &line).await;
    assert!(world.answer(pull).contains("needs two people"), "{}", world.answer(pull));
    nothing_applied(&world);
}

#[tokio::test]
async fn an_issue_that_is_gone_gives_its_change_up() {
    for by in [None, Some(())] {
        let world = World::new().await;
        let (pull, line) = world.planned().await;
        let issue = world.record("team").await.change.issue;
        world.github.add_repository("acme/elsewhere");
        world.github.transfer_issue_as(REPO, issue, "walt", "acme/elsewhere");
        match by {
            None => drop(world.planner.handle(&ChangeTrigger::Tick).await.unwrap()),
            Some(()) => world.order(pull, "wanda", &line).await,
        }
        assert!(!world.is_open("team").await, "{}", world.said(pull));
        nothing_applied(&world);
    }
}

/// Our own commit of the lock file is on the branch before the record says so: a look in between takes nobody's order away.
#[tokio::test]
async fn an_order_that_stands_for_a_bot_outlives_a_look_while_our_lock_file_is_being_committed() {
    let world = World::new().await;
    world.provisioner.cloud.lock().unwrap().lock_file = Some("# ours\n".into());
    world.ask("github-actions[bot]", &block("team", 3), SET).await;
    let pull = world.record("team").await.change.pull;
    let gate = Gate::new(&world.record_store, ".plan");
    world.github.comment_as(REPO, pull, "wanda", "/plan");
    world.dies(&gate, Rights::Plan, ChangeTrigger::Pull { number: pull }).await;
    world.order(pull, "rita", "/status").await;
    world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    let record = world.record("team").await;
    assert!(record.change.planned_by.as_ref().is_some_and(|planner| planner.login == "wanda"), "{}", world.said(pull));
    assert!(!world.said(pull).contains("Somebody pushed"), "{}", world.said(pull));
    let line = world.approve_line("team").await;
    world.order(pull, "walt", &line).await;
    assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
}

/// The job that may apply goes on with every change, and looks at none: what a run that died put on the branch is planned all the same.
#[tokio::test]
async fn a_plan_whose_run_died_after_it_committed_our_lock_file_is_made_by_the_next_run() {
    let world = World::new().await;
    world.provisioner.cloud.lock().unwrap().lock_file = Some("# ours\n".into());
    let issue = world.open_issue("ann", &block("team", 3), SET);
    let gate = Gate::new(&world.record_store, ".plan");
    world.dies(&gate, Rights::Plan, ChangeTrigger::Issue { number: issue, editor: None }).await;
    assert_eq!(world.record("team").await.change.state, State::Planning);
    world.applier.proceed().await.unwrap();
    let (pull, line) = (world.record("team").await.change.pull, world.approve_line("team").await);
    world.order(pull, "wanda", &line).await;
    assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
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
