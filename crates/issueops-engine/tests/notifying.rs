//! That people are notified: GitHub notifies of new comments and of mentions, never of an edited comment, and who asked takes no part in
//! the pull request.

use crate::support::{POLICY, REPO, World};
use runnersmith_issueops_engine::{Drift, ProvisionError};

/// Comments that are there to notify, on an issue or pull request.
fn notices(world: &World, number: u64) -> Vec<String> {
    let comments = world.github.issue(REPO, number).comments.into_iter().map(|comment| comment.body);
    comments.filter(|body| body.starts_with("<!-- runnersmith:notice -->")).collect()
}

#[tokio::test]
async fn each_plan_is_a_new_comment_that_mentions_who_approves_and_who_asked() {
    let world = World::with_policy(&format!("{POLICY}\n[approval]\nteam = \"platform\"\n")).await;
    world.github.add_team("acme", "platform", &["wanda"]);
    let (pull, line) = world.planned().await;
    let found = notices(&world, pull);
    assert_eq!(found.len(), 1, "{}", world.said(pull));
    assert!(
        found[0].contains("@acme/platform") && found[0].contains("@ann") && found[0].contains(&line),
        "{}",
        found[0]
    );
    world.order(pull, "wanda", "/plan").await;
    assert_eq!(notices(&world, pull).len(), 2, "GitHub notifies of no edit");
}

#[tokio::test]
async fn how_it_came_out_is_said_on_the_issue_where_who_asked_is() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    let issue = world.record("team").await.change.issue;
    assert!(notices(&world, issue).is_empty());
    let error = ProvisionError::Failed { resource: None, message: "AccessDenied".into() };
    world.provisioner.cloud.lock().unwrap().fails = Some(error);
    world.order(pull, "wanda", &line).await;
    let found = notices(&world, issue);
    assert!(found.len() == 1 && found[0].contains("@ann: `team` could not be applied"), "{found:?}");
    world.order(pull, "wanda", "/plan").await;
    let line = world.approve_line("team").await;
    world.order(pull, "wanda", &line).await;
    let found = notices(&world, issue);
    assert!(found.len() == 2 && found[1].contains("is applied") && found[1].contains(&format!("#{pull}")), "{found:?}");
}

#[tokio::test]
async fn a_request_that_was_given_up_by_a_command_says_so_on_the_issue() {
    let world = World::new().await;
    let (pull, _) = world.planned().await;
    let issue = world.record("team").await.change.issue;
    world.order(pull, "wanda", "/cancel").await;
    let found = notices(&world, issue);
    assert!(found.len() == 1 && found[0].contains("was given up"), "{found:?}");
}

/// A run ends after an hour, in the middle of many environments.
#[tokio::test]
async fn drift_goes_on_after_the_environment_that_was_looked_at_last() {
    let world = World::new().await;
    for environment in ["alpha", "beta", "gamma"] {
        world.made(environment).await;
    }
    let order = |found: Vec<(String, Drift)>| found.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(order(world.planner.drift().await.unwrap()), ["alpha", "beta", "gamma"]);
    world.planner.change_store().set_drift_cursor("alpha").await.unwrap();
    assert_eq!(order(world.planner.drift().await.unwrap()), ["beta", "gamma", "alpha"]);
    world.planner.change_store().set_drift_cursor("bet").await.unwrap();
    assert_eq!(order(world.planner.drift().await.unwrap()), ["beta", "gamma", "alpha"], "one that is gone");
}
