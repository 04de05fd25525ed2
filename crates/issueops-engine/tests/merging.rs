//! Merging what was applied: others merge at the same time, and the branch has rules.

use crate::support::{REPO, World};
use runnersmith_github_sim::BranchRules;
use runnersmith_issueops::change::State;
use runnersmith_types::ChangeTrigger;

#[tokio::test]
async fn a_default_branch_that_others_move_meanwhile_is_merged_into_all_the_same() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    world.comment(pull, "wanda", &line).await;
    world.github.set_faults(|faults| faults.modified_bases = 2);
    world.applier.proceed().await.unwrap();
    assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
    assert!(!world.said(pull).contains("was not merged"), "{}", world.said(pull));
}

#[tokio::test]
async fn a_merge_that_is_not_possible_yet_is_left_to_the_next_tick() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    world.comment(pull, "wanda", &line).await;
    world.github.set_faults(|faults| faults.modified_bases = 100);
    let handled = world.applier.proceed().await.unwrap();
    assert!(handled.failed[0].contains("the next tick merges it"), "{handled:?}");
    assert!(matches!(world.record("team").await.change.state, State::Applied { .. }));
    world.github.set_faults(|faults| faults.modified_bases = 0);
    world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
    assert_eq!(world.provisioner.cloud.lock().unwrap().applied.len(), 1);
}

#[tokio::test]
async fn the_way_of_merging_is_one_that_the_rules_of_the_branch_allow() {
    for (rules, method) in [
        (BranchRules { linear_history: true, ..BranchRules::default() }, "squash"),
        (BranchRules { merge_methods: Some(vec!["rebase"]), ..BranchRules::default() }, "rebase"),
    ] {
        let world = World::new().await;
        world.github.set_rules(REPO, rules);
        let (pull, line) = world.planned().await;
        world.order(pull, "wanda", &line).await;
        assert!(world.github.pull(REPO, pull).merged, "by {method}: {}", world.said(pull));
    }
}

#[tokio::test]
async fn what_the_rules_would_not_let_be_merged_is_not_applied() {
    for (rules, why) in [
        (BranchRules { merge_queue: true, ..BranchRules::default() }, "merge queue"),
        (
            BranchRules { linear_history: true, merge_methods: Some(vec!["merge"]), ..BranchRules::default() },
            "no common way of merging",
        ),
        (
            BranchRules { required_checks: vec!["ci", "lint"], ..BranchRules::default() },
            "a check that is still missing. These checks must have passed: ci, lint",
        ),
    ] {
        let world = World::new().await;
        let (pull, line) = world.planned().await;
        world.github.set_rules(REPO, rules);
        world.order(pull, "wanda", &line).await;
        assert!(world.provisioner.cloud.lock().unwrap().applied.is_empty());
        let answer = world.answer(pull);
        assert!(answer.contains("nothing was applied") && answer.contains(why), "{answer}");
    }
}
