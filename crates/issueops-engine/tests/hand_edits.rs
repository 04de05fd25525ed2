//! What lies on the default branch is not believed for lying there: anybody who may write can bring it there, and a plan runs it.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod support;

use runnersmith_issueops::change::State;
use runnersmith_issueops_engine::Drift;
use support::{DELETE, REPO, SET, World, block};

const EVIL: (&str, Option<&str>) = ("actions-runner-envs/team/x.tf", Some("data \"external\" \"x\" {}\n"));
const MAIN: &str = "actions-runner-envs/team/main.tf";

/// Whether a file was ever in a workspace that was planned.
fn was_planned(world: &World, path: &str) -> bool {
    world.provisioner.cloud.lock().unwrap().planned.iter().any(|workspace| workspace.files.contains_key(path))
}

#[tokio::test]
async fn a_file_that_a_writer_merged_is_planned_only_when_an_admin_asks() {
    let world = World::new().await;
    world.made("team").await;
    world.github.push_as(REPO, "main", "walt", &[EVIL], "harmless");
    assert_eq!(world.planner.drift().await.unwrap(), [("team".to_owned(), Drift::HandEdited { files: 1 })]);
    world.ask("ann", &block("team", 4), SET).await;
    let pull = world.record("team").await.change.pull;
    assert_eq!(world.record("team").await.change.state, State::HandEdited);
    world.order(pull, "wanda", "/plan").await;
    assert!(world.answer(pull).contains("needs an admin"), "{}", world.answer(pull));
    // The request is rendered again and planned by itself: not with that file.
    let issue = world.record("team").await.change.issue;
    world.github.edit_issue_as(REPO, issue, "ann", &block("team", 5));
    world.planner.handle(&runnersmith_types::ChangeTrigger::Issue { number: issue, editor: None }).await.unwrap();
    assert!(!was_planned(&world, EVIL.0));
    world.order(pull, "adam", "/plan").await;
    assert!(was_planned(&world, EVIL.0));
    assert!(world.shown(pull).contains("x.tf was added"), "{}", world.shown(pull));
    let line = world.approve_line("team").await;
    world.order(pull, "wanda", &line).await;
    assert!(world.answer(pull).contains("needs an admin"), "{}", world.answer(pull));
}

#[tokio::test]
async fn a_deletion_of_a_folder_that_somebody_edited_is_planned_only_when_an_admin_asks() {
    let world = World::new().await;
    world.made("team").await;
    world.github.push_as(REPO, "main", "walt", &[(MAIN, Some("# another module\n"))], "harmless");
    let before = world.provisioner.cloud.lock().unwrap().planned.len();
    world.ask("ann", "```json\n{\"environment\": \"team\"}\n```", DELETE).await;
    assert_eq!(world.record("team").await.change.state, State::HandEdited);
    assert_eq!(world.provisioner.cloud.lock().unwrap().planned.len(), before);
    let pull = world.record("team").await.change.pull;
    world.order(pull, "adam", "/plan").await;
    assert_eq!(world.provisioner.cloud.lock().unwrap().planned.len(), before + 1, "{}", world.said(pull));
}

#[tokio::test]
async fn a_rendered_file_that_was_changed_stops_drift_and_the_next_request_renders_it_again() {
    let world = World::new().await;
    world.made("team").await;
    assert_eq!(world.planner.drift().await.unwrap(), [("team".to_owned(), Drift::None)]);
    world.github.push_as(REPO, "main", "walt", &[(MAIN, Some("# another module\n"))], "harmless");
    assert_eq!(world.planner.drift().await.unwrap(), [("team".to_owned(), Drift::HandEdited { files: 1 })]);
    world.made("team").await;
    assert_eq!(world.planner.drift().await.unwrap(), [("team".to_owned(), Drift::None)]);
}

#[tokio::test]
async fn a_folder_that_no_request_rendered_is_not_believed_and_words_for_people_are_no_matter() {
    let world = World::new().await;
    world.made("team").await;
    let words = ("actions-runner-envs/team/notes.md", Some("# ours"));
    world.github.push_as(REPO, "main", "walt", &[words], "words");
    assert_eq!(world.planner.drift().await.unwrap(), [("team".to_owned(), Drift::None)]);
    let own = ("actions-runner-envs/own/main.tf", Some("# by hand"));
    world.github.push_as(REPO, "main", "walt", &[own], "an environment");
    let found = world.planner.drift().await.unwrap();
    assert_eq!(found[0], ("own".to_owned(), Drift::HandEdited { files: 1 }));
}
