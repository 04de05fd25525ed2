//! What lies on the default branch is not believed for lying there: anybody who may write can bring it there, and a plan runs it.

use crate::support::{DELETE, Gate, POLICY, REPO, SET, World, block};
use runnersmith_issueops::change::State;
use runnersmith_issueops_engine::{Drift, ProvisionError, Rights};
use runnersmith_types::ChangeTrigger;

const EVIL: (&str, Option<&str>) = ("actions-runner-envs/team/x.tf", Some("data \"external\" \"x\" {}\n"));
const MAIN: &str = "actions-runner-envs/team/main.tf";

/// Whether a file was ever in a workspace that was planned.
fn was_planned(world: &World, path: &str) -> bool {
    world.provisioner.cloud.lock().unwrap().planned.iter().any(|workspace| workspace.files().contains_key(path))
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
    world.order_of_files(pull).await;
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
    world.order_of_files(pull).await;
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

/// Files that a branch gets after it was planned: a program, and a state elsewhere.
const LATE: [(&str, Option<&str>); 2] = [
    EVIL,
    (
        "actions-runner-envs/team/backend.tf.json",
        Some(r#"{"terraform": {"backend": {"s3": {"bucket": "theirs", "key": "k", "region": "eu-west-1"}}}}"#),
    ),
];

fn saw_nothing_of(world: &World) {
    for text in ["external", "theirs"] {
        assert!(!world.provisioner.saw(text), "{text} was laid out");
    }
}

#[tokio::test]
async fn what_is_pushed_after_the_approval_is_not_laid_out_to_read_the_state() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    world.comment(pull, "wanda", &line).await;
    world.github.push_as(REPO, "runnersmith/team-1", "walt", &LATE, "quick");
    world.applier.proceed().await.unwrap();
    assert!(world.answer(pull).contains("head commit"), "{}", world.answer(pull));
    assert!(!world.provisioner.cloud.lock().unwrap().states.is_empty(), "the state was read");
    saw_nothing_of(&world);
}

#[tokio::test]
async fn what_is_pushed_after_an_apply_died_is_not_laid_out_to_release_its_lock() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    world.comment(pull, "wanda", &line).await;
    world.dies_applying().await;
    world.github.push_as(REPO, "runnersmith/team-1", "walt", &LATE, "quick");
    world.order(pull, "walt", "/unlock").await;
    assert_eq!(world.provisioner.cloud.lock().unwrap().released, ["tester@here"], "{}", world.said(pull));
    saw_nothing_of(&world);
}

#[tokio::test]
async fn what_is_pushed_after_a_planner_died_is_not_laid_out_to_release_its_lock() {
    let world = World::new().await;
    let issue = world.open_issue("ann", &block("team", 3), SET);
    let gate = Gate::new(&world.record_store, ".plan");
    world.dies(&gate, Rights::Plan, ChangeTrigger::Issue { number: issue, editor: None }).await;
    world.github.push_as(REPO, "runnersmith/team-1", "walt", &LATE, "quick");
    world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    assert_eq!(world.provisioner.cloud.lock().unwrap().released, ["tester@here"]);
    assert_eq!(world.record("team").await.change.state, State::HandEdited);
    saw_nothing_of(&world);
}

#[tokio::test]
async fn where_the_state_is_the_policy_says_and_no_file() {
    let world = World::new().await;
    let (pull, _) = world.planned().await;
    world.github.push_as(REPO, "runnersmith/team-1", "walt", &LATE[1..], "elsewhere");
    world.planner.handle(&ChangeTrigger::Pull { number: pull }).await.unwrap();
    world.order_of_files(pull).await;
    assert!(world.answer(pull).contains("only the policy says where states are"), "{}", world.answer(pull));
    // How it is locked is the policy's too, whatever a file says.
    let path = LATE[1].0;
    let own = String::from_utf8(world.provisioner.cloud.lock().unwrap().planned[0].files()[path].clone()).unwrap();
    let unlocked = own.replace("\"use_lockfile\": true", "\"use_lockfile\": false");
    assert_ne!(own, unlocked);
    world.github.push_as(REPO, "runnersmith/team-1", "walt", &[(path, Some(&unlocked))], "without a lock");
    world.planner.handle(&ChangeTrigger::Pull { number: pull }).await.unwrap();
    world.order_of_files(pull).await;
    let cloud = world.provisioner.cloud.lock().unwrap();
    assert_eq!(cloud.planned.len(), 2);
    assert_eq!(cloud.planned[1].files()[path], own.as_bytes());
}

#[tokio::test]
async fn an_admin_orders_a_plan_of_the_files_that_they_have_read_and_of_no_others() {
    let world = World::new().await;
    let (pull, _) = world.planned().await;
    let harmless = (MAIN, Some("# a harmless comment\n"));
    world.github.push_as(REPO, "runnersmith/team-1", "walt", &[harmless], "harmless");
    world.order(pull, "adam", "/plan").await;
    let line = world.record("team").await.change.edited_files.unwrap().plan_line();
    assert!(world.answer(pull).contains(&line), "{}", world.answer(pull));
    let shown = world.shown(pull);
    let head = world.record("team").await.head;
    assert!(shown.contains(&line) && shown.contains(&head), "the commit that has what is to be read: {shown}");
    // The comment is written, and then something else is pushed, before anybody looks.
    world.github.comment_as(REPO, pull, "adam", &line);
    world.github.push_as(REPO, "runnersmith/team-1", "walt", &LATE, "quick");
    world.planner.handle(&ChangeTrigger::Pull { number: pull }).await.unwrap();
    assert!(world.answer(pull).contains("not the digest of the files that are there now"), "{}", world.answer(pull));
    assert_eq!(world.provisioner.cloud.lock().unwrap().planned.len(), 1, "the one before anybody pushed");
    saw_nothing_of(&world);
    // Taken back, the digest is another one: it names the commit too.
    world.github.push_as(REPO, "runnersmith/team-1", "walt", &[(EVIL.0, None), (LATE[1].0, None)], "sorry");
    world.order(pull, "adam", &line).await;
    assert!(world.answer(pull).contains("not the digest"), "{}", world.answer(pull));
    world.order_of_files(pull).await;
    assert_eq!(world.provisioner.cloud.lock().unwrap().planned.len(), 2, "{}", world.said(pull));
}

#[tokio::test]
async fn an_admins_order_of_a_deletion_is_of_the_default_branch_as_they_have_read_it() {
    let world = World::new().await;
    world.made("team").await;
    world.github.push_as(REPO, "main", "walt", &[(MAIN, Some("# another module\n"))], "harmless");
    world.ask("ann", "```json\n{\"environment\": \"team\"}\n```", DELETE).await;
    let record = world.record("team").await;
    let (pull, line) = (record.change.pull, record.change.edited_files.unwrap().plan_line());
    let before = world.provisioner.cloud.lock().unwrap().planned.len();
    world.github.push_as(REPO, "main", "walt", &[EVIL], "quick");
    world.order(pull, "adam", &line).await;
    assert!(world.answer(pull).contains("not the digest"), "{}", world.answer(pull));
    assert_eq!(world.provisioner.cloud.lock().unwrap().planned.len(), before);
    assert!(!was_planned(&world, EVIL.0));
    world.order_of_files(pull).await;
    assert_eq!(world.provisioner.cloud.lock().unwrap().planned.len(), before + 1, "{}", world.said(pull));
}

#[tokio::test]
async fn zips_of_the_repository_are_those_of_the_default_branch() {
    let world = World::with_policy(&format!("{POLICY}\n[zips]\nwebhook = \"../../zips/webhook.zip\"\n")).await;
    let zip = "zips/webhook.zip";
    world.github.push_as(REPO, "main", "adam", &[(zip, Some("the platform's"))], "a zip");
    let (pull, line) = world.planned().await;
    assert_eq!(world.provisioner.cloud.lock().unwrap().planned[0].files()[zip], b"the platform's");
    world.github.push_as(REPO, "runnersmith/team-1", "walt", &[(zip, Some("theirs"))], "mine");
    world.order(pull, "wanda", &line).await;
    world.order_of_files(pull).await;
    assert_eq!(world.provisioner.cloud.lock().unwrap().planned.len(), 2, "{}", world.said(pull));
    saw_nothing_of(&world);
    // Another zip on the default branch is another base: what was approved is not what is there.
    let line = world.approve_line("team").await;
    world.github.push_as(REPO, "main", "adam", &[(zip, Some("a newer one"))], "a zip");
    world.order(pull, "adam", &line).await;
    assert!(world.answer(pull).contains("base branch"), "{}", world.answer(pull));
}

#[tokio::test]
async fn a_plan_that_another_run_makes_again_is_of_the_files_that_were_ordered() {
    let world = World::new().await;
    world.made("team").await;
    world.github.push_as(REPO, "main", "walt", &[(MAIN, Some("# another module\n"))], "harmless");
    world.ask("ann", "```json\n{\"environment\": \"team\"}\n```", DELETE).await;
    let record = world.record("team").await;
    let (pull, line) = (record.change.pull, record.change.edited_files.unwrap().plan_line());
    let gate = Gate::new(&world.record_store, ".plan");
    world.github.comment_as(REPO, pull, "adam", &line);
    world.dies(&gate, Rights::Plan, ChangeTrigger::Pull { number: pull }).await;
    world.github.push_as(REPO, "main", "walt", &[EVIL], "quick");
    world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    assert_eq!(world.record("team").await.change.state, State::HandEdited, "{}", world.said(pull));
    saw_nothing_of(&world);
}

#[tokio::test]
async fn hand_edits_that_an_admin_ordered_and_another_approved_are_applied_with_the_lock_file_that_we_commit() {
    let world = World::new().await;
    world.github.set_role(REPO, "eve", "admin");
    world.provisioner.cloud.lock().unwrap().lock_file = Some("# ours\n".into());
    let (pull, _) = world.planned().await;
    world.provisioner.cloud.lock().unwrap().lock_file = Some("# newer, by what was added\n".into());
    world.github.push_as(REPO, "runnersmith/team-1", "walt", &[EVIL], "ours");
    world.order_of_files(pull).await;
    let change = world.record("team").await.change;
    assert_eq!(
        change.edited_files.map(|edited| edited.digest),
        change.ordered_files,
        "what was ordered is what is there, with our lock file"
    );
    let line = world.approve_line("team").await;
    world.order(pull, "eve", &line).await;
    assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
    let files = world.github.files(REPO, "main");
    assert_eq!(files["actions-runner-envs/team/.terraform.lock.hcl"], b"# newer, by what was added\n");
    assert!(files.contains_key(EVIL.0));
}

/// An admin's order is of what was there when it was given: our own commit on top of it is, until somebody pushes something else.
#[tokio::test]
async fn a_commit_of_ours_that_is_put_back_after_other_files_were_ordered_is_not_ordered() {
    let world = World::new().await;
    world.provisioner.cloud.lock().unwrap().lock_file = Some("# ours\n".into());
    let (pull, _) = world.planned().await;
    let branch = "runnersmith/team-1";
    world.provisioner.cloud.lock().unwrap().lock_file = Some("# newer\n".into());
    world.github.push_as(REPO, branch, "walt", &[EVIL], "one");
    world.planner.handle(&ChangeTrigger::Pull { number: pull }).await.unwrap();
    let line = world.record("team").await.change.edited_files.unwrap().plan_line();
    world.github.comment_as(REPO, pull, "adam", &line);
    let gate = Gate::new(&world.record_store, ".plan");
    world.dies(&gate, Rights::Plan, ChangeTrigger::Pull { number: pull }).await;
    let ours = world.control().branch(branch).await.unwrap().unwrap();
    world.github.push_as(REPO, branch, "walt", &[(EVIL.0, Some("# harmless\n"))], "two");
    world.order_of_files(pull).await;
    let ordered = world.record("team").await.change.ordered_files;
    assert!(ordered.is_some(), "{}", world.said(pull));
    let plans = world.provisioner.cloud.lock().unwrap().locked_plans.len();
    world.control().move_branch(branch, &ours, true).await.unwrap();
    world.planner.handle(&ChangeTrigger::Branch { name: branch.into() }).await.unwrap();
    world.applier.proceed().await.unwrap();
    let change = world.record("team").await.change;
    assert_eq!((change.state, change.ordered_files), (State::HandEdited, None), "{}", world.said(pull));
    assert_eq!(world.provisioner.cloud.lock().unwrap().locked_plans.len(), plans, "nobody ordered a plan of these");
}

/// A process may die between its commit and the record of it; GitHub says that a bot committed, and no person did.
#[tokio::test]
async fn a_commit_of_ours_that_no_record_followed_is_nobodys_part_in_the_change() {
    let world = World::new().await;
    world.provisioner.cloud.lock().unwrap().lock_file = Some("# ours\n".into());
    let issue = world.open_issue("ann", &block("team", 3), SET);
    let gate = Gate::new(&world.record_store, ".plan");
    world.dies(&gate, Rights::Plan, ChangeTrigger::Issue { number: issue, editor: None }).await;
    world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    let record = world.record("team").await;
    assert!(record.change.committers.is_empty(), "{:?}", record.change.committers);
    assert!(!world.said(record.change.pull).contains("Somebody pushed"), "{}", world.said(record.change.pull));
    let line = world.approve_line("team").await;
    world.order(record.change.pull, "wanda", &line).await;
    assert!(world.github.pull(REPO, record.change.pull).merged, "{}", world.said(record.change.pull));
}

#[tokio::test]
async fn files_that_were_taken_back_go_away_when_the_issue_is_edited_although_it_asks_for_the_same() {
    let world = World::new().await;
    world.made("team").await;
    world.github.push_as(REPO, "main", "walt", &[EVIL], "harmless");
    let issue = world.ask("ann", &block("team", 4), SET).await;
    assert_eq!(world.record("team").await.change.state, State::HandEdited);
    world.github.push_as(REPO, "main", "walt", &[(EVIL.0, None)], "sorry");
    world.github.edit_issue_as(REPO, issue, "ann", &format!("{}\nThank you.\n", block("team", 4)));
    world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    let (pull, line) = (world.record("team").await.change.pull, world.approve_line("team").await);
    world.order(pull, "wanda", &line).await;
    assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
    assert!(!was_planned(&world, EVIL.0));
}

/// Also after the plan that an admin ordered failed, or was not approved in time.
#[tokio::test]
async fn files_that_were_taken_back_after_a_plan_of_them_failed_go_away_when_the_issue_is_edited() {
    let world = World::new().await;
    world.made("team").await;
    world.github.push_as(REPO, "main", "walt", &[EVIL], "harmless");
    let issue = world.ask("ann", &block("team", 4), SET).await;
    let record = world.record("team").await;
    let fails = ProvisionError::Failed { resource: None, message: "no such type".into() };
    world.provisioner.cloud.lock().unwrap().fails = Some(fails);
    world.order(record.change.pull, "adam", &record.change.edited_files.unwrap().plan_line()).await;
    assert!(matches!(world.record("team").await.change.state, State::Failed(_)), "{}", world.said(record.change.pull));
    world.github.push_as(REPO, "main", "walt", &[(EVIL.0, None)], "sorry");
    world.github.edit_issue_as(REPO, issue, "ann", &format!("{}\nThank you.\n", block("team", 4)));
    world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    let (pull, line) = (world.record("team").await.change.pull, world.approve_line("team").await);
    world.order(pull, "wanda", &line).await;
    assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
}

/// What a run renders again stands on the branch before the record says so: a run that dies in between edited nothing by hand.
#[tokio::test]
async fn a_rendering_whose_run_died_before_its_record_is_nobodys_edit() {
    for is_edited in [false, true] {
        let world = World::new().await;
        let (pull, _) = world.planned().await;
        let record = world.record("team").await;
        let policy = POLICY.replace("subnet-0123456789abcdef0", "subnet-0fedcba9876543210");
        world.github.push_as(REPO, "main", "adam", &[("runnersmith-policy.toml", Some(&policy))], "another subnet");
        // The first write of the record that does not know the commit before any more.
        let gate = Gate::without(&world.record_store, "change.json", &record.head);
        let trigger = if is_edited {
            world.github.edit_issue_as(REPO, record.change.issue, "ann", &block("team", 5));
            ChangeTrigger::Issue { number: record.change.issue, editor: None }
        } else {
            world.github.comment_as(REPO, pull, "walt", "/plan");
            ChangeTrigger::Pull { number: pull }
        };
        world.dies(&gate, Rights::Plan, trigger).await;
        assert_ne!(world.github.pull(REPO, pull).head, record.head, "it died after the branch was moved");
        world.planner.handle(&ChangeTrigger::Pull { number: pull }).await.unwrap();
        world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
        let record = world.record("team").await;
        assert!(!record.change.is_hand_edited, "{is_edited}: {}", world.said(pull));
        assert!(record.change.committers.is_empty(), "{:?}", record.change.committers);
        assert!(!world.said(pull).contains("edited by hand"), "{}", world.said(pull));
        let line = world.approve_line("team").await;
        world.order(pull, "wanda", &line).await;
        assert!(world.github.pull(REPO, pull).merged, "{is_edited}: {}", world.said(pull));
        let there = format!("{:?}", world.provisioner.cloud.lock().unwrap().there);
        assert!(there.contains("subnet-0fedcba9876543210"), "the policy of now: {there}");
    }
}
