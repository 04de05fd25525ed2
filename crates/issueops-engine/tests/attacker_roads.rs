//! More roads of one who may write and not approve, or who may approve and not alone: whose hands an issue went through, what others do
//! meanwhile, and where the policy leads.

use crate::attacker::{BRANCH, EVIL, GONE, MAIN, MARK, goes_on, held, orders_all, orders_all_as, world};
use crate::support::{DELETE, POLICY, REPO, SET, World, block};
use runnersmith_types::ChangeTrigger;

/// Who may approve, as wanda may, does not approve alone what they turned another's finished request into.
#[tokio::test]
async fn an_approver_who_labels_or_reopens_anothers_issue_does_not_approve_what_it_asks_for_then() {
    let roads = [
        "labelled",
        "unlabelled",
        "reopened",
        "moved here",
        "renamed label",
        "renamed other label",
        "renamed before an upgrade",
    ];
    for road in roads {
        let world = world().await;
        world.made("team").await;
        // Another's words, with all that a deletion needs but what wanda brings.
        let (github, ann) = (&world.github, "ann");
        let open = |repo: &str, labels: &[&str]| github.open_issue(repo, ann, "old", GONE, labels).unwrap();
        let issue = match road {
            "labelled" => {
                let issue = open(REPO, &[]);
                github.label_issue_as(REPO, issue, "wanda", DELETE);
                issue
            }
            "unlabelled" => {
                let issue = open(REPO, &[SET, DELETE]);
                github.unlabel_issue_as(REPO, issue, "wanda", SET);
                issue
            }
            "reopened" => {
                let issue = open(REPO, &[DELETE]);
                github.close_issue_as(REPO, issue, ann);
                github.reopen_issue_as(REPO, issue, "wanda");
                issue
            }
            "moved here" => {
                github.add_repository("acme/elsewhere");
                let there = open("acme/elsewhere", &[DELETE]);
                github.transfer_issue_as("acme/elsewhere", there, "wanda", REPO)
            }
            "renamed other label" => {
                let issue = open(REPO, &[DELETE, "idea"]);
                github.unlabel_issue_as(REPO, issue, ann, DELETE);
                world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: None }).await.unwrap();
                github.rename_label(REPO, "idea", DELETE);
                issue
            }
            _ => {
                let issue = world.ask(ann, &block("team", 9), SET).await;
                if road == "renamed before an upgrade" {
                    let forgets = world.planner.change_store().update_issue(issue, |note| note.asked = None);
                    forgets.await.unwrap();
                }
                github.rename_label(REPO, SET, DELETE);
                issue
            }
        };
        world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: None }).await.unwrap();
        world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
        let pull = world.record("team").await.change.pull;
        for order in ["/plan".to_owned(), world.approve_line("team").await] {
            world.order(pull, "wanda", &order).await;
        }
        orders_all_as(&world, pull, "wanda").await;
        held(&world).await;
        assert!(world.provisioner.cloud.lock().unwrap().there.contains_key("team"), "{road}: {}", world.said(pull));
        // Two who had no part in it can: an attack must not make a deletion impossible.
        world.order(pull, "adam", "/plan").await;
        let line = world.approve_line("team").await;
        github.add_team("acme", "platform", &["wanda", "walt", "adam"]);
        world.order(pull, "walt", &line).await;
        assert!(!world.provisioner.cloud.lock().unwrap().there.contains_key("team"), "{road}: {}", world.said(pull));
    }
}

/// A bot that labels is anybody who may write a workflow.
#[tokio::test]
async fn a_label_that_a_bot_puts_on_needs_two_people() {
    let world = world().await;
    world.made("team").await;
    let issue = world.github.open_issue(REPO, "ann", "old", GONE, &[]).unwrap();
    world.github.label_issue_as(REPO, issue, "github-actions[bot]", DELETE);
    world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: None }).await.unwrap();
    let (pull, line) = (world.record("team").await.change.pull, world.approve_line("team").await);
    world.order(pull, "wanda", &line).await;
    assert!(world.answer(pull).contains("needs two people"), "{}", world.answer(pull));
    assert!(world.provisioner.cloud.lock().unwrap().there.contains_key("team"), "{}", world.said(pull));
}

// --- what happens meanwhile ---------------------------------------------------------------------------------------

/// Whether something of the attacker's was merged by us; what walt merges is walt's to merge.
fn brought(world: &World) -> bool {
    world.github.files(REPO, "main").iter().any(|(_, content)| String::from_utf8_lossy(content).contains(MARK))
}

/// A change waits for days; what happens to its branch meanwhile decides nothing but that it is planned again, or not at all.
#[tokio::test]
async fn a_branch_that_is_changed_while_its_change_waits_is_not_laid_out_and_not_merged() {
    for (is_seen, is_put_back) in [(true, false), (false, false), (true, true), (false, true)] {
        let world = world().await;
        let (pull, line) = world.planned().await;
        let ours = world.record("team").await.head;
        world.github.push_as(REPO, BRANCH, "walt", &[EVIL, MAIN], "meanwhile");
        if is_seen {
            world.planner.handle(&ChangeTrigger::Branch { name: BRANCH.into() }).await.unwrap();
        }
        if is_put_back {
            world.control().move_branch(BRANCH, &ours, true).await.unwrap();
        }
        world.order(pull, "wanda", &line).await;
        if world.is_open("team").await {
            orders_all(&world, pull).await;
        }
        held(&world).await;
        let applied = world.provisioner.cloud.lock().unwrap().applied.len();
        assert!(!brought(&world) && (applied == 0 || is_put_back), "{is_seen} {is_put_back}: {}", world.said(pull));
    }
}

#[tokio::test]
async fn a_branch_that_is_changed_while_it_is_applied_is_not_merged() {
    let world = world().await;
    let (pull, line) = world.planned().await;
    world.comment(pull, "wanda", &line).await;
    let (go_on, applying) = world.applying().await;
    world.github.push_as(REPO, BRANCH, "walt", &[EVIL], "quick");
    go_on.notify_one();
    applying.await.unwrap();
    *world.provisioner.hold.lock().unwrap() = None;
    orders_all(&world, pull).await;
    held(&world).await;
    assert!(!brought(&world), "only what was applied is merged: {}", world.said(pull));
}

#[tokio::test]
async fn a_default_branch_that_is_moved_meanwhile_brings_nothing_along() {
    for when in ["before the approval", "after it", "while it is applied", "while a deletion drains"] {
        let world = world().await;
        let is_deletion = when == "while a deletion drains";
        if is_deletion {
            world.made("team").await;
            world.fleet.left.lock().unwrap().jobs = 1;
            world.ask("ann", GONE, DELETE).await;
        } else {
            world.ask("ann", &block("team", 3), SET).await;
        }
        let (pull, line) = (world.record("team").await.change.pull, world.approve_line("team").await);
        let moves = || world.github.push_as(REPO, "main", "walt", &[EVIL], "harmless");
        match when {
            "before the approval" => {
                moves();
                world.order(pull, "wanda", &line).await;
            }
            "after it" => {
                world.comment(pull, "wanda", &line).await;
                moves();
                world.applier.proceed().await.unwrap();
            }
            "while it is applied" => {
                world.comment(pull, "wanda", &line).await;
                let (go_on, applying) = world.applying().await;
                moves();
                go_on.notify_one();
                applying.await.unwrap();
                *world.provisioner.hold.lock().unwrap() = None;
            }
            _ => {
                world.order(pull, "wanda", &line).await;
                moves();
                world.fleet.left.lock().unwrap().jobs = 0;
                world.applier.proceed().await.unwrap();
            }
        }
        if world.is_open("team").await {
            orders_all(&world, pull).await;
        }
        held(&world).await;
        let is_there = world.provisioner.cloud.lock().unwrap().there.contains_key("team");
        assert!(is_there || !is_deletion, "{when}: destroyed by files that nobody read: {}", world.said(pull));
    }
}

/// One branch brings another change's files along, and something more; each change answers for its own files alone.
#[tokio::test]
async fn two_changes_that_are_merged_together_bring_nothing_of_somebody_elses() {
    for is_approved_before in [false, true] {
        let world = world().await;
        let (pull, line) = world.planned().await;
        world.ask("ann", &block("crew", 3), SET).await;
        let crew = world.record("crew").await.change;
        let other_line = world.approve_line("crew").await;
        let evil = (EVIL.0.replace("/team/", "/crew/"), EVIL.1);
        let files = world.github.files(REPO, &crew.branch);
        let of_crew = files.iter().filter(|(path, _)| path.contains("/crew/"));
        let texts: Vec<(String, String)> =
            of_crew.map(|(path, text)| (path.clone(), String::from_utf8(text.clone()).unwrap())).collect();
        let mut together: Vec<(&str, Option<&str>)> =
            texts.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
        together.push((&evil.0, evil.1));
        if is_approved_before {
            world.comment(crew.pull, "wanda", &other_line).await;
        }
        world.github.push_as(REPO, BRANCH, "walt", &together, "both at once");
        world.github.merge_pull_as(REPO, pull, "walt").unwrap();
        world.applier.proceed().await.unwrap();
        goes_on(&world).await;
        world.order(crew.pull, "wanda", &other_line).await;
        world.order(pull, "wanda", &line).await;
        for pull in [pull, crew.pull] {
            for order in ["/plan", "/approve", "/unlock"] {
                world.order(pull, "walt", order).await;
            }
        }
        held(&world).await;
        let applied = format!("{:?}", world.provisioner.cloud.lock().unwrap().applied);
        assert!(!applied.contains("\"team\""), "what was merged with more is not applied: {applied}");
    }
}

// --- forks, and where the policy leads ----------------------------------------------------------------------------

/// A fork in the same organisation has the same owner, and may have a branch of the same name: its pull request is still no change's.
#[tokio::test]
async fn a_fork_of_the_same_owner_with_a_branch_of_the_same_name_is_not_taken_for_ours() {
    for is_first in [true, false] {
        let world = world().await;
        let opens = || {
            let fork = ("acme/control-fork", BRANCH);
            world.github.open_pull_of_fork(REPO, fork, "walt", &[EVIL, MAIN], ("Runners: team", MARK))
        };
        let before = is_first.then(opens);
        world.ask("ann", &block("team", 3), SET).await;
        let record = world.record("team").await.change;
        let (line, pull) = (world.approve_line("team").await, record.pull);
        let fork = before.unwrap_or_else(opens);
        assert_ne!(fork, pull);
        for login in ["walt", "wanda", "adam"] {
            for order in ["/plan", &line, "/cancel"] {
                world.order(fork, login, order).await;
            }
        }
        assert_eq!(world.record("team").await.change.state.word(), "planned", "{}", world.said(fork));
        held(&world).await;
        assert!(world.provisioner.cloud.lock().unwrap().applied.is_empty());
    }
}

/// Terraform would take such a module from a branch and a folder that any writer may write to.
#[tokio::test]
async fn a_policy_that_takes_the_module_from_this_repository_by_a_url_is_used_for_nothing() {
    for source in [
        "git::https://github.com/acme/control.git//modules/runners?ref=ATTACKER",
        "git::ssh://git@github.com/Acme/Control.git//actions-runner-envs/team?ref=main",
        "github.com/acme/control//actions-runner-envs/team",
    ] {
        let world = world().await;
        let policy = POLICY.replace("../../modules/runners", source);
        world.github.push_as(REPO, "main", "adam", &[("runnersmith-policy.toml", Some(&policy))], "by a URL");
        world.github.push_as(REPO, "ATTACKER", "walt", &[("modules/runners/main.tf", Some("# ATTACKER\n"))], "mine");
        let issue = world.open_issue("ann", &block("team", 3), SET);
        let refused = world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: None }).await.unwrap_err();
        let said = runnersmith_ports::chain(&refused);
        assert!(said.contains("leads by a URL to this repository itself"), "{said}");
        assert!(world.provisioner.cloud.lock().unwrap().laid_out.is_empty());
    }
}

/// A policy that begins to lead to a folder without a code owner is not used from then on, and what waits is not applied by it.
#[tokio::test]
async fn a_policy_that_begins_to_lead_to_a_folder_without_a_code_owner_stops_what_waits() {
    let world = world().await;
    let (pull, line) = world.planned().await;
    world.comment(pull, "wanda", &line).await;
    let own = ("actions-runner-envs/module/main.tf", Some("# ATTACKER\n"));
    let policy = POLICY.replace("../../modules/runners", "../module");
    world.github.push_as(REPO, "main", "walt", &[own, ("runnersmith-policy.toml", Some(&policy))], "harmless");
    world.applier.proceed().await.unwrap_err();
    world.planner.drift().await.unwrap_err();
    assert!(!world.provisioner.saw(MARK) && world.provisioner.cloud.lock().unwrap().applied.is_empty());
}
