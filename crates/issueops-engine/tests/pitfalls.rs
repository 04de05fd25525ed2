//! What goes wrong between a plan and its apply, and that nothing but what was approved is ever applied. Each test is one of
//! the field's incidents, through GitHub's own interface.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{DELETE, POLICY, REPO, SET, World, block};
use runnersmith_issueops::change::State;
use runnersmith_issueops_engine::{ProvisionError, Rights, open_key};
use runnersmith_ports::{Expect, RecordStore};
use runnersmith_types::ChangeTrigger;
use tokio::sync::Notify;

const VALUES: &str = "actions-runner-envs/team/terraform.tfvars.json";

fn nothing_applied(world: &World) {
    assert!(world.provisioner.cloud.lock().unwrap().applied.is_empty());
}

#[tokio::test]
async fn a_push_between_plan_and_approve_voids_the_plan_and_needs_an_admin() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    world.github.push_as(
        REPO,
        "runnersmith/team-1",
        "walt",
        &[(VALUES, Some("{\"runners_maximum_count\": 100}"))],
        "more",
    );
    world.order(pull, "wanda", &line).await;
    nothing_applied(&world);
    assert!(world.said(pull).contains("Somebody pushed, and files are no longer what the request renders"));
    // A writer cannot have it planned, an admin can; and an admin's approval is needed, not that of who pushed.
    world.order(pull, "wanda", "/plan").await;
    assert!(world.answer(pull).contains("needs an admin"), "{}", world.answer(pull));
    world.order_of_files(pull).await;
    let shown = world.shown(pull);
    assert!(shown.contains("Files were edited by hand") && shown.contains(VALUES), "{shown}");
    let line = world.approve_line("team").await;
    world.order(pull, "wanda", &line).await;
    assert!(world.answer(pull).contains("needs an admin"), "{}", world.answer(pull));
    nothing_applied(&world);
    world.order(pull, "adam", &line).await;
    assert_eq!(world.provisioner.cloud.lock().unwrap().applied.len(), 1, "{}", world.said(pull));
}

#[tokio::test]
async fn a_push_that_nobody_reported_is_found_when_everything_is_read_again() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    // The comment was read before the push; the job that applies comes after it.
    let handled = world.comment(pull, "wanda", &line).await;
    assert_eq!(handled.needs_apply, ["team"]);
    world.github.push_as(REPO, "runnersmith/team-1", "walt", &[(VALUES, Some("{}"))], "quick");
    world.applier.proceed().await.unwrap();
    nothing_applied(&world);
    let answer = world.answer(pull);
    assert!(answer.contains("Nothing was applied") && answer.contains("head commit"), "{answer}");
    assert!(world.planner.change_store().lock("team").await.unwrap().is_none(), "the lock is given back");
}

#[tokio::test]
async fn a_push_while_it_is_applied_changes_neither_what_is_applied_nor_what_is_merged() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    world.comment(pull, "wanda", &line).await;
    let (go_on, applying) = world.applying().await;
    world.github.push_as(REPO, "runnersmith/team-1", "walt", &[(VALUES, Some("{}"))], "late");
    world.planner.handle(&ChangeTrigger::Pull { number: pull }).await.unwrap();
    go_on.notify_one();
    applying.await.unwrap();
    let values = world.provisioner.cloud.lock().unwrap().there["team"].clone();
    assert!(values.contains("\"runners_maximum_count\": 3"), "what was approved is applied: {values}");
    assert!(!world.github.pull(REPO, pull).merged, "another head is not merged");
    assert!(world.shown(pull).contains("applied, not merged"), "{}", world.shown(pull));
    // The way out: a plan of what is there, by an admin, is approved and merged.
    world.order_of_files(pull).await;
    let line = world.approve_line("team").await;
    *world.provisioner.hold.lock().unwrap() = None;
    world.order(pull, "adam", &line).await;
    assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
}

#[tokio::test]
async fn a_branch_that_brings_a_workflow_along_is_hand_edited() {
    let world = World::new().await;
    let (pull, _) = world.planned().await;
    let evil = [(".github/workflows/evil.yml", Some("on: push"))];
    world.github.push_as(REPO, "runnersmith/team-1", "walt", &evil, "harmless");
    world.planner.handle(&ChangeTrigger::Branch { name: "runnersmith/team-1".into() }).await.unwrap();
    assert_eq!(world.record("team").await.change.state, State::HandEdited);
    world.order_of_files(pull).await;
    assert!(world.shown(pull).contains(".github/workflows/evil.yml was added"), "{}", world.shown(pull));
}

#[tokio::test]
async fn a_base_branch_that_moved_under_what_the_plan_read_is_found() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    world.github.push_as(REPO, "main", "adam", &[("modules/runners/main.tf", Some("# another module\n"))], "module");
    world.order(pull, "wanda", &line).await;
    nothing_applied(&world);
    assert!(world.answer(pull).contains("base branch"), "{}", world.answer(pull));
    // The next plan is made on top of it.
    world.order(pull, "wanda", "/plan").await;
    let line = world.approve_line("team").await;
    world.order(pull, "walt", &line).await;
    assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
}

#[tokio::test]
async fn a_base_branch_that_moved_elsewhere_is_no_obstacle() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    world.github.push_as(REPO, "main", "adam", &[("docs/more.md", Some("more"))], "docs");
    world.order(pull, "wanda", &line).await;
    assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
    assert!(world.files("main").contains(&"docs/more.md".to_owned()));
}

#[tokio::test]
async fn a_state_that_changed_underneath_is_found() {
    let world = World::new().await;
    world.made("team").await;
    let (pull, line) = world.planned().await;
    world.provisioner.touch("team");
    world.order(pull, "wanda", &line).await;
    assert_eq!(world.provisioner.cloud.lock().unwrap().applied.len(), 1, "only the first");
    assert!(
        world.answer(pull).contains("state serial: was 1, is 2") || world.answer(pull).contains("state serial"),
        "{}",
        world.answer(pull)
    );
}

#[tokio::test]
async fn who_may_not_write_is_denied_with_why() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    for login in ["rita", "tom", "outsider"] {
        world.order(pull, login, &line).await;
        assert!(world.answer(pull).contains("permission to write"), "{login}: {}", world.answer(pull));
    }
    nothing_applied(&world);
    let last = world.github.issue(REPO, pull).comments.iter().rfind(|c| c.author == "outsider").unwrap().clone();
    assert!(last.reactions.contains(&"-1".to_owned()), "{last:?}");
}

#[tokio::test]
async fn the_author_and_who_committed_may_not_approve_unless_the_policy_lets_them() {
    let world = World::new().await;
    world.ask("wanda", &block("team", 3), SET).await;
    let (pull, line) = (world.record("team").await.change.pull, world.approve_line("team").await);
    world.order(pull, "wanda", &line).await;
    assert!(world.answer(pull).contains("may not approve"), "{}", world.answer(pull));
    nothing_applied(&world);
    let lenient = World::with_policy(&format!("{POLICY}\n[approval]\nauthor_may_approve = true\n")).await;
    lenient.ask("wanda", &block("team", 3), SET).await;
    let (pull, line) = (lenient.record("team").await.change.pull, lenient.approve_line("team").await);
    lenient.order(pull, "wanda", &line).await;
    assert!(lenient.github.pull(REPO, pull).merged);
}

#[tokio::test]
async fn a_team_that_the_policy_names_is_asked_for() {
    let world = World::with_policy(&format!("{POLICY}\n[approval]\nteam = \"platform\"\n")).await;
    world.github.add_team("acme", "platform", &["walt"]);
    let (pull, line) = world.planned().await;
    world.order(pull, "wanda", &line).await;
    assert!(world.answer(pull).contains("member of the team `platform`"), "{}", world.answer(pull));
    world.order(pull, "walt", &line).await;
    assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
}

#[tokio::test]
async fn an_outsider_causes_no_plan_where_only_writers_may() {
    let world = World::with_policy(&format!("{POLICY}\n[approval]\nplan_by = \"writers\"\n")).await;
    world.ask("ann", &block("team", 3), SET).await;
    let record = world.record("team").await;
    assert_eq!(record.change.state, State::Requested);
    assert!(world.provisioner.cloud.lock().unwrap().planned.is_empty());
    world.order(record.change.pull, "ann", "/plan").await;
    assert!(world.answer(record.change.pull).contains("permission to write"));
    world.order(record.change.pull, "wanda", "/plan").await;
    assert!(matches!(world.record("team").await.change.state, State::Planned(_)));
}

#[tokio::test]
async fn an_expired_plan_cannot_be_approved() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    world.advance(Duration::from_secs(25 * 3600));
    world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    assert!(world.answer(pull).contains("not approved within 24 hours"), "{}", world.answer(pull));
    world.order(pull, "wanda", &line).await;
    assert!(world.answer(pull).contains("no plan that can be approved"), "{}", world.answer(pull));
    nothing_applied(&world);
    let plans = world.record_store.list("changes/team/").await.unwrap();
    assert!(!plans.iter().any(|key| key.ends_with(".plan")), "{plans:?}");
}

#[tokio::test]
async fn a_plain_approve_counts_only_for_the_only_plan_after_a_minute() {
    let world = World::new().await;
    let (pull, _) = world.planned().await;
    world.order(pull, "wanda", "/approve").await;
    assert!(world.answer(pull).contains("/approve "), "the digest is shown: {}", world.answer(pull));
    nothing_applied(&world);
    world.advance(Duration::from_secs(61));
    world.order(pull, "wanda", "/approve").await;
    assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
}

#[tokio::test]
async fn two_approvals_at_once_apply_once() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    world.github.comment_as(REPO, pull, "wanda", &line);
    world.github.comment_as(REPO, pull, "walt", &line);
    // Two jobs of two events, each with a home of its own, and then two that apply.
    let looks: Vec<_> = (0..2)
        .map(|_| {
            let reconciler = world.reconciler(Rights::Plan);
            tokio::spawn(async move { reconciler.handle(&ChangeTrigger::Pull { number: pull }).await.unwrap() })
        })
        .collect();
    for look in looks {
        look.await.unwrap();
    }
    let applies: Vec<_> = (0..2)
        .map(|_| {
            let reconciler = world.reconciler(Rights::Apply);
            tokio::spawn(async move { reconciler.proceed().await.unwrap() })
        })
        .collect();
    for apply in applies {
        apply.await.unwrap();
    }
    assert_eq!(world.provisioner.cloud.lock().unwrap().applied.len(), 1, "{}", world.said(pull));
    assert!(world.github.pull(REPO, pull).merged);
}

#[tokio::test]
async fn an_apply_that_is_killed_half_way_is_explained_planned_again_and_finished() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    world.comment(pull, "wanda", &line).await;
    // The job is gone, in the midst of it, and what it did is in the state.
    world.dies_applying().await;
    world.provisioner.touch("team");
    assert!(world.planner.change_store().lock("team").await.unwrap().is_some(), "it held the lock");

    world.order(pull, "rita", "/status").await;
    let answer = world.answer(pull);
    assert!(answer.contains("State: **interrupted**") && answer.contains("That run is dead"), "{answer}");
    world.order(pull, "wanda", "/cancel").await;
    assert!(!world.github.pull(REPO, pull).merged && world.github.pull(REPO, pull).open, "half done is not forgotten");
    world.order(pull, "wanda", "/plan").await;
    assert_eq!(
        world.provisioner.cloud.lock().unwrap().locked_plans.last(),
        Some(&false),
        "the dead run's lock is left"
    );
    let line = world.approve_line("team").await;
    world.order(pull, "wanda", &line).await;
    assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
    assert_eq!(world.provisioner.cloud.lock().unwrap().released, ["tester@here"], "Terraform's lock of the dead run");
    assert!(world.planner.change_store().lock("team").await.unwrap().is_none());
}

#[tokio::test]
async fn a_planner_that_is_killed_is_followed_by_another() {
    let world = World::new().await;
    let issue = world.open_issue("ann", &block("team", 3), SET);
    // It dies right after the record was stored: the record store takes no more writes of that run.
    let reconciler = world.reconciler(Rights::Plan);
    let looking =
        tokio::spawn(async move { reconciler.handle(&ChangeTrigger::Issue { number: issue, editor: None }).await });
    loop {
        let has_plan_to_make = world
            .planner
            .change_store()
            .record(&open_key("team"))
            .await
            .unwrap()
            .is_some_and(|(record, _)| !record.outbox.is_empty());
        if has_plan_to_make || looking.is_finished() {
            break;
        }
        tokio::task::yield_now().await;
    }
    looking.abort();
    let _ = looking.await;
    world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    assert!(matches!(world.record("team").await.change.state, State::Planned(_)));
}

#[tokio::test]
async fn a_failed_apply_names_the_resource_merges_nothing_and_goes_on_by_a_new_plan() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    world.comment(pull, "wanda", &line).await;
    world.provisioner.cloud.lock().unwrap().fails = Some(ProvisionError::Failed {
        resource: Some("module.runners.aws_iam_role.this".into()),
        message: "AccessDenied: not allowed to create ``` roles".into(),
    });
    world.applier.proceed().await.unwrap();
    let answer = world.answer(pull);
    assert!(answer.contains("`module.runners.aws_iam_role.this`") && answer.contains("AccessDenied"), "{answer}");
    assert!(!world.github.pull(REPO, pull).merged);
    assert!(world.planner.change_store().lock("team").await.unwrap().is_none());
    world.order(pull, "wanda", "/plan").await;
    let line = world.approve_line("team").await;
    world.order(pull, "wanda", &line).await;
    assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
}

#[tokio::test]
async fn a_failed_plan_says_so_and_a_lock_of_the_state_is_explained() {
    let world = World::new().await;
    world.provisioner.cloud.lock().unwrap().fails = Some(ProvisionError::Locked {
        id: "0f".into(),
        who: "adam@laptop".into(),
        operation: "OperationTypeApply".into(),
        created: "2026-01-01".into(),
    });
    world.ask("ann", &block("team", 3), SET).await;
    let pull = world.record("team").await.change.pull;
    assert!(world.answer(pull).contains("adam@laptop"), "{}", world.answer(pull));
    world.order(pull, "wanda", "/plan").await;
    assert!(matches!(world.record("team").await.change.state, State::Planned(_)));
}

/// B11: a plan file of 50 MB is 67 MB in Base64, and a record has at most 64. Planning it again at each tick would never end.
#[tokio::test]
async fn a_plan_that_is_too_large_to_be_stored_is_reported_and_not_made_again_and_again() {
    let world = World::new().await;
    world.provisioner.cloud.lock().unwrap().padding = 50 * 1024 * 1024;
    world.ask("ann", &block("team", 3), SET).await;
    let pull = world.record("team").await.change.pull;
    let answer = world.answer(pull);
    assert!(answer.contains("the plan takes 67 MB when it is stored, and 64 MB can be stored"), "{answer}");
    for _ in 0..3 {
        world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    }
    assert_eq!(world.provisioner.cloud.lock().unwrap().planned.len(), 1, "nobody asked for another plan");
    world.provisioner.cloud.lock().unwrap().padding = 0;
    world.order(pull, "wanda", "/plan").await;
    assert!(matches!(world.record("team").await.change.state, State::Planned(_)), "{}", world.said(pull));
}

#[tokio::test]
async fn a_branch_that_cannot_be_merged_is_not_applied() {
    let world = World::new().await;
    world.github.protect(REPO, "main", true);
    let (pull, line) = world.planned().await;
    world.order(pull, "wanda", &line).await;
    assert!(world.answer(pull).contains("a rule of the default branch blocks it"), "{}", world.answer(pull));
    nothing_applied(&world);
    world.github.protect(REPO, "main", false);
    world.order(pull, "wanda", &line).await;
    assert!(world.github.pull(REPO, pull).merged, "the plan is still good: {}", world.said(pull));
}

#[tokio::test]
async fn a_lock_keeps_others_out_and_is_ended_by_its_holder_or_an_admin() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    world.order(pull, "walt", "/lock we move the VPC").await;
    world.order(pull, "wanda", &line).await;
    let answer = world.answer(pull);
    assert!(answer.contains("locked by `walt`"), "{answer}");
    nothing_applied(&world);
    world.order(pull, "wanda", "/lock me too").await;
    assert!(world.answer(pull).contains("locked by `walt`"), "{}", world.answer(pull));
    world.order(pull, "wanda", "/unlock").await;
    assert!(world.answer(pull).contains("they, or an admin"), "{}", world.answer(pull));
    world.order(pull, "adam", "/unlock").await;
    world.order(pull, "wanda", &line).await;
    assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
}

#[tokio::test]
async fn a_plan_that_was_exchanged_in_the_store_is_not_applied() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    let key = world.record("team").await.plan_key.unwrap();
    let sealed = world.record_store.get(&key).await.unwrap().unwrap().bytes;
    assert!(!sealed.windows(20).any(|part| part == b"a secret of the plan"), "a plan is stored encrypted");
    let mut changed = sealed.clone();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    world.record_store.put(&key, &changed, &Expect::Any).await.unwrap();
    world.order(pull, "wanda", &line).await;
    nothing_applied(&world);
    assert!(world.answer(pull).contains("plan file"), "{}", world.answer(pull));
}

#[tokio::test]
async fn our_comments_are_shown_again_when_somebody_alters_them_and_alone_they_order_nothing() {
    let world = World::new().await;
    let (pull, _) = world.planned().await;
    let shown = world.shown(pull);
    let id = world.github.issue(REPO, pull).comments.iter().find(|c| c.body == shown).unwrap().id;
    world.github.edit_comment_as(REPO, id, "walt", &shown.replace("Maximum: 3", "Maximum: 1"));
    world.planner.handle(&ChangeTrigger::Pull { number: pull }).await.unwrap();
    assert_eq!(world.shown(pull), shown);
    world.github.delete_comment_as(REPO, id, "walt");
    world.planner.handle(&ChangeTrigger::Pull { number: pull }).await.unwrap();
    assert_eq!(world.shown(pull), shown);
}

#[tokio::test]
async fn a_fork_triggers_nothing() {
    let world = World::new().await;
    let pull = world.github.open_fork_pull(REPO, "rita", &[(VALUES, Some("{}"))], "Runners: team", "please");
    let handled = world.comment(pull, "wanda", "/plan").await;
    assert_eq!(handled, runnersmith_issueops_engine::Handled::default());
    assert!(world.provisioner.cloud.lock().unwrap().planned.is_empty());
}

#[tokio::test]
async fn one_open_change_of_an_environment_whatever_its_case() {
    let world = World::new().await;
    world.planned().await;
    let issue = world.ask("wanda", &block("TEAM", 5), SET).await;
    assert!(world.said(issue).contains("Nothing was created"), "{}", world.said(issue));
    // Two issues for the same new environment at the same time: one of them gets it.
    let issues = [world.open_issue("ann", &block("both", 3), SET), world.open_issue("wanda", &block("both", 4), SET)];
    let looks: Vec<_> = issues
        .iter()
        .map(|issue| {
            let (reconciler, number) = (world.reconciler(Rights::Plan), *issue);
            tokio::spawn(
                async move { reconciler.handle(&ChangeTrigger::Issue { number, editor: None }).await.unwrap() },
            )
        })
        .collect();
    for look in looks {
        look.await.unwrap();
    }
    world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    let refused = issues.iter().filter(|issue| world.said(**issue).contains("Nothing was created")).count();
    assert_eq!(refused, 1, "{} {}", world.said(issues[0]), world.said(issues[1]));
}

#[tokio::test]
async fn closing_gives_up_and_reopening_begins_again() {
    let world = World::new().await;
    let issue = world.ask("ann", &block("team", 3), SET).await;
    let pull = world.record("team").await.change.pull;
    world.github.close_issue_as(REPO, issue, "ann");
    world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: None }).await.unwrap();
    assert!(!world.github.pull(REPO, pull).open && !world.is_open("team").await, "{}", world.said(pull));
    world.github.reopen_issue_as(REPO, issue, "ann");
    world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: None }).await.unwrap();
    let again = world.record("team").await.change.pull;
    assert_ne!(again, pull);
    let line = world.approve_line("team").await;
    world.order(again, "wanda", &line).await;
    assert!(world.github.pull(REPO, again).merged);
}

#[tokio::test]
async fn a_merge_by_hand_before_the_apply_is_said_at_once_and_goes_on_by_a_plan_of_what_was_merged() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    world.github.merge_pull_as(REPO, pull, "adam").unwrap();
    world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    assert!(world.said(pull).contains("merged by hand, and is not applied"), "{}", world.said(pull));
    nothing_applied(&world);
    let again = world.approve_line("team").await;
    assert_ne!(again, line, "the branch is not what the first plan read");
    world.order(pull, "wanda", &line).await;
    nothing_applied(&world);
    world.order(pull, "wanda", &again).await;
    assert_eq!(world.provisioner.cloud.lock().unwrap().applied.len(), 1, "{}", world.said(pull));
    assert!(!world.is_open("team").await, "its place is free");
    assert_eq!(world.said(pull).matches("merged by hand").count(), 1, "{}", world.said(pull));
}

/// The lock file of provider versions is not in what was merged, and no commit can bring it there.
#[tokio::test]
async fn a_merge_by_hand_before_the_first_plan_is_planned_and_applied_without_a_commit() {
    let world = World::new().await;
    let (pull, _) = world.planned().await;
    world.provisioner.cloud.lock().unwrap().lock_file = Some("# locks\n".into());
    world.github.merge_pull_as(REPO, pull, "adam").unwrap();
    let head = world.record("team").await.head;
    world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    assert_eq!(world.record("team").await.head, head, "nothing is committed to a branch that is merged");
    let again = world.approve_line("team").await;
    world.order(pull, "wanda", &again).await;
    assert_eq!(world.provisioner.cloud.lock().unwrap().applied.len(), 1, "{}", world.said(pull));
    assert!(!world.is_open("team").await, "its place is free");
}

/// Whether the branch is still there or GitHub has deleted it, whether somebody has looked since the merge or nobody has, and whether it
/// was ever planned: an edit moves nothing any more, and says so.
#[tokio::test]
async fn an_issue_that_is_edited_after_a_merge_by_hand_moves_no_branch() {
    let by_writers = format!("{POLICY}\n[approval]\nplan_by = \"writers\"\n");
    for (is_deleted, is_seen, policy) in
        [(false, true, POLICY), (false, false, POLICY), (true, true, POLICY), (true, false, &by_writers)]
    {
        let case = format!("deleted: {is_deleted}, seen: {is_seen}, {policy}");
        let world = World::with_policy(policy).await;
        world.provisioner.cloud.lock().unwrap().lock_file = Some("# locks\n".into());
        let issue = world.ask("ann", &block("team", 3), SET).await;
        let (pull, branch) = (world.record("team").await.change.pull, format!("runnersmith/team-{issue}"));
        assert_eq!(world.record("team").await.change.state == State::Requested, policy != POLICY, "{case}");
        world.github.merge_pull_as(REPO, pull, "adam").unwrap();
        if is_deleted {
            world.github.delete_branch_as(REPO, &branch, "adam");
        }
        if is_seen {
            world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
        }
        let merged = (world.github.branch(REPO, &branch), world.github.pull(REPO, pull).head);
        world.github.edit_issue_as(REPO, issue, "ann", &block("team", 7));
        for _ in 0..2 {
            world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: Some("ann".into()) }).await.unwrap();
            world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
        }
        let now = (world.github.branch(REPO, &branch), world.github.pull(REPO, pull).head);
        assert_eq!(now, merged, "{case}");
        let said = world.said(issue);
        assert_eq!(said.matches("merged already, so this edit is no part of it").count(), 1, "{case}: {said}");
        world.order(pull, "wanda", "/plan").await;
        let line = world.approve_line("team").await;
        world.order(pull, "walt", &line).await;
        let values = world.provisioner.cloud.lock().unwrap().there["team"].clone();
        assert!(values.contains("\"runners_maximum_count\": 3"), "{case}: what was merged is applied: {values}");
        assert!(!world.is_open("team").await, "{case}: {}", world.said(pull));
        // There is no lock file of provider versions on the default branch now, and what is there can be deleted all the same.
        world.ask("ann", "```json\n{\"environment\": \"team\"}\n```", DELETE).await;
        let deletion = world.record("team").await.change.pull;
        if policy != POLICY {
            world.order(deletion, "wanda", "/plan").await;
        }
        let line = world.approve_line("team").await;
        world.order(deletion, "wanda", &line).await;
        assert!(!world.is_open("team").await, "{case}: {}", world.said(deletion));
    }
}

/// The branch is merged, and deleted by GitHub, while Terraform makes the first plan.
#[tokio::test]
async fn a_merge_by_hand_while_it_is_planned_takes_no_commit() {
    let world = World::new().await;
    world.provisioner.cloud.lock().unwrap().lock_file = Some("# locks\n".into());
    let go_on = Arc::new(Notify::new());
    *world.provisioner.hold_plan.lock().unwrap() = Some(go_on.clone());
    let issue = world.open_issue("ann", &block("team", 3), SET);
    let planner = world.planner.clone();
    let planning =
        tokio::spawn(async move { planner.handle(&ChangeTrigger::Issue { number: issue, editor: None }).await });
    world.provisioner.plan_begun.notified().await;
    *world.provisioner.hold_plan.lock().unwrap() = None;
    let (pull, branch) = (world.record("team").await.change.pull, format!("runnersmith/team-{issue}"));
    world.github.merge_pull_as(REPO, pull, "adam").unwrap();
    world.github.delete_branch_as(REPO, &branch, "adam");
    go_on.notify_one();
    planning.await.unwrap().unwrap();
    assert_eq!(world.github.branch(REPO, &branch), None);
    world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    let line = world.approve_line("team").await;
    world.order(pull, "wanda", &line).await;
    assert!(!world.is_open("team").await, "{}", world.said(pull));
}

#[tokio::test]
async fn deleting_what_is_not_there_is_refused() {
    let world = World::new().await;
    let issue = world.ask("ann", "```json\n{\"environment\": \"nowhere\"}\n```", DELETE).await;
    assert!(world.said(issue).contains("Nothing was deleted"), "{}", world.said(issue));
}

#[tokio::test]
async fn five_thousand_destroys_are_all_named_each_comment_fits_and_all_is_in_the_digest() {
    let world = World::new().await;
    world.provisioner.cloud.lock().unwrap().destroys = 5_000;
    world.ask("ann", &block("team", 3), SET).await;
    let record = world.record("team").await;
    let pull = record.change.pull;
    let comments = world.github.issue(REPO, pull).comments;
    assert!(comments.iter().all(|comment| comment.body.encode_utf16().count() < 65_536));
    let all: String = comments.iter().map(|comment| comment.body.as_str()).collect();
    for n in 0..5_000 {
        assert!(all.contains(&format!("queue-{n:05}")), "queue-{n:05} is named nowhere");
    }
    let text =
        world.record_store.list("changes/team/").await.unwrap().into_iter().find(|key| key.ends_with(".txt")).unwrap();
    let text = String::from_utf8(world.record_store.get(&text).await.unwrap().unwrap().bytes).unwrap();
    assert!((0..5_000).all(|n| text.contains(&format!("queue-{n:05}"))), "the file has them all too");
    assert!(record.continuations.len() >= 2);
    // One word in the last comment is changed: nothing is applied.
    let last = record.continuations.last().unwrap().id;
    let body = comments.iter().find(|comment| comment.id == last).unwrap().body.clone();
    world.github.edit_comment_as(REPO, last, "walt", &body.replacen("destroyed", "kept     ", 1));
    let line = world.approve_line("team").await;
    assert!(line.ends_with(" destroy"));
    world.order(pull, "wanda", &line).await;
    nothing_applied(&world);
    assert!(world.answer(pull).contains("further comments and files"), "{}", world.answer(pull));
    // The next plan shows it rightly again, and is applied.
    world.order(pull, "wanda", "/plan").await;
    let line = world.approve_line("team").await;
    world.order(pull, "wanda", &line).await;
    assert!(world.github.pull(REPO, pull).merged, "{}", world.answer(pull));
    let left = world.github.issue(REPO, pull).comments.len();
    assert!(left < 20, "further comments of plans that are void are gone: {left}");
}

#[tokio::test]
async fn a_policy_that_allows_less_by_now_is_kept_by_the_next_plan() {
    let world = World::new().await;
    let issue = world.ask("ann", &block("team", 9), SET).await;
    let pull = world.record("team").await.change.pull;
    let line = world.approve_line("team").await;
    let policy = format!("{POLICY}\n[runners]\nmaximum = 5\n");
    world.github.push_as(REPO, "main", "adam", &[("runnersmith-policy.toml", Some(&policy))], "less");
    world.order(pull, "wanda", &line).await;
    assert!(world.answer(pull).contains("base branch"), "{}", world.answer(pull));
    world.order(pull, "wanda", "/plan").await;
    assert_eq!(world.record("team").await.change.state, State::Requested, "{}", world.said(pull));
    assert!(world.said(issue).contains("a whole number from 1 to 5"), "{}", world.said(issue));
    nothing_applied(&world);
}

#[tokio::test]
async fn many_comments_at_once_stop_nobody() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    for _ in 0..12 {
        world.github.comment_as(REPO, pull, "rita", &[line.as_str(); 10].join("\n"));
    }
    world.github.comment_as(REPO, pull, "wanda", &line);
    for _ in 0..10 {
        // Bounded in one look; the next goes on.
        let _ = world.planner.handle(&ChangeTrigger::Pull { number: pull }).await;
        world.applier.proceed().await.unwrap();
        if world.github.pull(REPO, pull).merged {
            break;
        }
    }
    assert!(world.github.pull(REPO, pull).merged);
    assert_eq!(world.provisioner.cloud.lock().unwrap().applied.len(), 1);
}

#[tokio::test]
async fn an_edit_that_comes_while_it_is_applied_is_answered_once_and_kept_for_later() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    let issue = world.record("team").await.change.issue;
    world.comment(pull, "wanda", &line).await;
    world.github.edit_issue_as(REPO, issue, "ann", &block("team", 7));
    for _ in 0..3 {
        world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: Some("ann".into()) }).await.unwrap();
    }
    assert_eq!(world.said(issue).matches("is no part of it").count(), 1, "{}", world.said(issue));
    world.provisioner.cloud.lock().unwrap().fails =
        Some(ProvisionError::Failed { resource: None, message: "no".into() });
    world.applier.proceed().await.unwrap();
    // It has failed: the tick takes the edit up.
    world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    assert!(world.shown(pull).contains("Maximum: 7"), "{}", world.shown(pull));
}
