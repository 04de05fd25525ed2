//! The life of an environment from issue to archive, and what people see of it.

use crate::support::{DELETE, POLICY, REPO, SET, World, block};
use runnersmith_github_sim::BranchRules;
use runnersmith_issueops::change::{Left, State};
use runnersmith_issueops_engine::Drift;
use runnersmith_types::ChangeTrigger;

#[tokio::test]
async fn an_issue_becomes_a_plan_that_is_approved_applied_and_merged() {
    let world = World::new().await;
    world.provisioner.cloud.lock().unwrap().lock_file = Some("# locks\n".into());
    // Only writers cause plans of themselves; ann's own request is planned since the policy's default lets authors.
    let issue = world.ask("ann", &block("linux_large", 5), SET).await;
    let record = world.record("linux_large").await;
    let pull = record.change.pull;
    assert!(world.said(issue).contains(&format!("#{pull}")), "{}", world.said(issue));
    let shown = world.shown(pull);
    assert!(matches!(record.change.state, State::Planned(_)), "{:?}", record.change.state);
    let line = world.approve_line("linux_large").await;
    for part in ["linux_large", "Maximum: 5 (new)", "1 added", line.as_str(), "every repository may use it"] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    assert!(
        world
            .files("runnersmith/linux_large-1")
            .contains(&"actions-runner-envs/linux_large/.terraform.lock.hcl".into())
    );
    assert!(world.provisioner.cloud.lock().unwrap().there.is_empty(), "nothing is applied before the approval");
    let workspace = world.provisioner.cloud.lock().unwrap().planned[0].clone();
    assert!(workspace.files().contains_key("modules/runners/main.tf") && !workspace.files().contains_key("README.md"));

    let handled = world.comment(pull, "wanda", &line).await;
    assert_eq!(handled.needs_apply, ["linux_large"], "the job that plans does not apply");
    assert!(world.provisioner.cloud.lock().unwrap().there.is_empty());
    world.applier.proceed().await.unwrap();

    let pull_view = world.github.pull(REPO, pull);
    assert!(pull_view.merged && !world.github.issue(REPO, issue).open, "{}", world.said(pull));
    let values = world.provisioner.cloud.lock().unwrap().there["linux_large"].clone();
    assert!(values.contains("\"runners_maximum_count\": 5"), "{values}");
    let answer = world.answer(pull);
    for part in
        ["https://linux_large.example/webhook", "/runnersmith/linux_large/secrets/webhook", "runs-on:", "`linux_large`"]
    {
        assert!(answer.contains(part), "{part} is not in\n{answer}");
    }
    assert!(world.shown(pull).contains("State: **done**"));
    assert!(world.files("main").contains(&"actions-runner-envs/linux_large/terraform.tfvars.json".into()));
    assert_eq!(world.github.branch(REPO, "runnersmith/linux_large-1"), None, "the branch is gone");
    assert!(!world.is_open("linux_large").await);
    let reactions: Vec<String> =
        world.github.issue(REPO, pull).comments.iter().flat_map(|c| c.reactions.clone()).collect();
    assert_eq!(reactions, ["eyes"]);
    // A command on a change that is over is answered.
    world.order(pull, "wanda", "/plan").await;
    assert!(world.answer(pull).contains("the change is done"), "{}", world.answer(pull));
}

#[tokio::test]
async fn looking_again_does_nothing_twice() {
    let world = World::new().await;
    let issue = world.ask("ann", &block("team", 5), SET).await;
    let pull = world.record("team").await.change.pull;
    let (before, calls) = (world.said(pull), world.github.branch(REPO, "runnersmith/team-1"));
    for _ in 0..3 {
        world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: None }).await.unwrap();
        world.planner.handle(&ChangeTrigger::Pull { number: pull }).await.unwrap();
        world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    }
    assert_eq!(world.said(pull), before);
    assert_eq!(world.github.branch(REPO, "runnersmith/team-1"), calls);
    assert_eq!(world.provisioner.cloud.lock().unwrap().planned.len(), 1);
    assert_eq!(world.github.issue(REPO, issue).comments.len(), 1);
}

#[tokio::test]
async fn a_lost_webhook_is_made_up_for_by_the_next_tick() {
    let world = World::new().await;
    world.open_issue("ann", &block("team", 5), SET);
    world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    let pull = world.record("team").await.change.pull;
    let line = world.approve_line("team").await;
    world.github.comment_as(REPO, pull, "wanda", &line);
    let handled = world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    assert_eq!(handled.needs_apply, ["team"]);
    world.applier.proceed().await.unwrap();
    assert!(world.github.pull(REPO, pull).merged);
}

#[tokio::test]
async fn an_invalid_request_is_answered_once_field_by_field_and_fixed_by_an_edit() {
    let world = World::new().await;
    let issue = world.ask("ann", &block("my-env", 500), SET).await;
    world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: None }).await.unwrap();
    world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    let said = world.said(issue);
    assert_eq!(world.github.issue(REPO, issue).comments.len(), 1, "{said}");
    for part in ["**Environment**", "**Maximum runners**", "`my-env`", "`500`", "Nothing was created"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(world.github.files(REPO, "main").keys().all(|path| !path.contains("my-env")));
    world.github.edit_issue_as(REPO, issue, "ann", &block("my_env", 5));
    world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: Some("ann".into()) }).await.unwrap();
    assert!(matches!(world.record("my_env").await.change.state, State::Planned(_)));
    assert!(world.said(issue).contains("they are fixed"), "{}", world.said(issue));
    // Edited to nonsense, what was planned cannot be approved any more.
    let line = world.approve_line("my_env").await;
    world.github.edit_issue_as(REPO, issue, "ann", &block("my_env", 500));
    world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: Some("ann".into()) }).await.unwrap();
    let pull = world.record("my_env").await.change.pull;
    world.order(pull, "wanda", &line).await;
    assert!(world.answer(pull).contains("no plan"), "{}", world.answer(pull));
    assert!(world.provisioner.cloud.lock().unwrap().applied.is_empty());
}

#[tokio::test]
async fn an_edited_issue_makes_a_new_plan_of_what_it_says_now() {
    let world = World::new().await;
    let issue = world.ask("ann", &block("team", 5), SET).await;
    let pull = world.record("team").await.change.pull;
    let old = world.approve_line("team").await;
    world.github.edit_issue_as(REPO, issue, "wanda", &block("team", 7));
    world.planner.handle(&ChangeTrigger::Issue { number: issue, editor: Some("wanda".into()) }).await.unwrap();
    let new = world.approve_line("team").await;
    assert_ne!(old, new);
    world.order(pull, "walt", &old).await;
    assert!(world.answer(pull).contains("not the digest of the current plan"));
    // Who edited what is asked for takes part in it.
    world.order(pull, "wanda", &new).await;
    assert!(world.answer(pull).contains("may not approve"), "{}", world.answer(pull));
    world.order(pull, "walt", &new).await;
    assert!(world.provisioner.cloud.lock().unwrap().there["team"].contains("\"runners_maximum_count\": 7"));
}

#[tokio::test]
async fn an_environment_is_edited_and_the_plan_says_what_that_means() {
    let world = World::new().await;
    world.made("team").await;
    world.ask("ann", &block("team", 9), SET).await;
    let pull = world.record("team").await.change.pull;
    assert!(world.shown(pull).contains("Maximum: 3 → 9"), "{}", world.shown(pull));
    let line = world.approve_line("team").await;
    world.order(pull, "wanda", &line).await;
    assert!(world.provisioner.cloud.lock().unwrap().there["team"].contains("\"runners_maximum_count\": 9"));
}

#[tokio::test]
async fn a_deletion_drains_waits_for_jobs_and_archives() {
    let world = World::new().await;
    world.made("team").await;
    *world.fleet.left.lock().unwrap() = Left { jobs: 1, machines: 1, registrations: 1, ..Left::default() };
    let issue = world.ask("ann", "```json\n{\"environment\": \"team\"}\n```", DELETE).await;
    let pull = world.record("team").await.change.pull;
    let branch = format!("runnersmith/team-{issue}");
    assert_eq!(
        world.files(&branch).iter().filter(|path| path.contains("team/")).count(),
        world.files("main").iter().filter(|path| path.contains("team/")).count(),
        "every file moves"
    );
    let line = world.approve_line("team").await;
    assert!(line.ends_with(" destroy"));
    world.order(pull, "wanda", line.trim_end_matches(" destroy")).await;
    assert!(world.answer(pull).contains("If that is meant"), "{}", world.answer(pull));
    world.order(pull, "wanda", &line).await;
    assert!(world.shown(pull).contains("1 running job, 1 machine, 1 registration"), "{}", world.shown(pull));
    assert!(world.provisioner.cloud.lock().unwrap().there.contains_key("team"));
    world.order(pull, "rita", "/status").await;
    assert!(world.answer(pull).contains("1 running job"), "{}", world.answer(pull));
    world.applier.proceed().await.unwrap();
    assert!(world.is_open("team").await, "the job still runs");
    *world.fleet.left.lock().unwrap() = Left::default();
    world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    world.applier.proceed().await.unwrap();
    assert!(!world.is_open("team").await, "{}", world.said(pull));
    assert!(world.provisioner.cloud.lock().unwrap().there.is_empty());
    let files = world.files("main");
    assert!(files.iter().any(|path| path.starts_with("actions-runner-envs-archive/team/")), "{files:?}");
    assert!(!files.iter().any(|path| path.starts_with("actions-runner-envs/team/")), "{files:?}");
    assert!(!world.github.issue(REPO, issue).open);
    assert_eq!(*world.fleet.forgotten.lock().unwrap(), ["team"]);
    // Made again, it leaves what is archived where it is. The plan of the owner has no rules for branches any more.
    world.github.set_rules(REPO, BranchRules { not_offered: true, ..BranchRules::default() });
    world.made("team").await;
    let again = world.files("main");
    let archived = |path: &&String| path.starts_with("actions-runner-envs-archive/team/");
    assert_eq!(again.iter().filter(archived).count(), files.iter().filter(archived).count(), "{again:?}");
    assert!(again.iter().any(|path| path.starts_with("actions-runner-envs/team/")), "{again:?}");
}

#[tokio::test]
async fn a_deletion_ends_jobs_only_by_its_own_word_and_can_be_cancelled() {
    let world = World::new().await;
    world.made("team").await;
    world.fleet.ended.lock().unwrap().clear();
    let busy = Left { jobs: 2, machines: 2, ..Left::default() };
    *world.fleet.left.lock().unwrap() = busy;
    world.ask("ann", "```json\n{\"environment\": \"team\"}\n```", DELETE).await;
    let pull = world.record("team").await.change.pull;
    let line = world.approve_line("team").await;
    world.order(pull, "wanda", &line).await;
    world.order(pull, "walt", "/cancel").await;
    assert_eq!(*world.fleet.ended.lock().unwrap(), ["team"], "it is in service again");
    assert!(!world.is_open("team").await && world.provisioner.cloud.lock().unwrap().there.contains_key("team"));

    let issue = world.ask("ann", "```json\n{\"environment\": \"team\"}\n```", DELETE).await;
    let pull = world.record("team").await.change.pull;
    let line = world.approve_line("team").await;
    world.order(pull, "wanda", &line).await;
    world.order(pull, "wanda", &format!("{line} kill-jobs")).await;
    assert!(!world.github.issue(REPO, issue).open, "{}", world.said(pull));
    assert!(world.fleet.drained.lock().unwrap().contains(&("team".into(), true)));
}

#[tokio::test]
async fn several_environments_are_asked_for_at_once_and_do_not_wait_for_each_other() {
    let world = World::new().await;
    let names = ["one", "two", "three"];
    let issues: Vec<u64> = names.iter().map(|name| world.open_issue("ann", &block(name, 3), SET)).collect();
    let looks = issues.iter().map(|issue| {
        let reconciler = world.planner.clone();
        let number = *issue;
        tokio::spawn(async move { reconciler.handle(&ChangeTrigger::Issue { number, editor: None }).await.unwrap() })
    });
    for look in looks.collect::<Vec<_>>() {
        look.await.unwrap();
    }
    for name in names {
        let (pull, line) = (world.record(name).await.change.pull, world.approve_line(name).await);
        world.comment(pull, "wanda", &line).await;
    }
    world.applier.proceed().await.unwrap();
    assert_eq!(world.provisioner.cloud.lock().unwrap().there.len(), 3);
}

#[tokio::test]
async fn several_commands_in_one_comment_are_followed_in_order() {
    let world = World::new().await;
    world.ask("ann", &block("team", 3), SET).await;
    let pull = world.record("team").await.change.pull;
    let line = world.approve_line("team").await;
    world.order(pull, "wanda", &format!("Looks good.\n\n/status\n{line}\n/nonsense")).await;
    let said = world.said(pull);
    assert!(said.contains("State: **") && said.contains("`/nonsense`: this is not a command"), "{said}");
    assert!(world.github.pull(REPO, pull).merged, "{said}");
}

#[tokio::test]
async fn drift_is_reported_in_one_issue_that_closes_by_itself() {
    let world = World::new().await;
    world.made("team").await;
    assert_eq!(world.planner.drift().await.unwrap(), [("team".to_owned(), Drift::None)]);
    world.provisioner.cloud.lock().unwrap().drifted = vec!["module.runners.aws_sqs_queue.this".into()];
    let found = world.planner.drift().await.unwrap();
    let [(_, Drift::Differs { resources: 1, issue })] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(world.planner.drift().await.unwrap(), found, "the same issue");
    assert!(world.github.issue(REPO, *issue).body.contains("aws_sqs_queue"));
    world.provisioner.cloud.lock().unwrap().drifted.clear();
    world.planner.drift().await.unwrap();
    assert!(!world.github.issue(REPO, *issue).open);
}

#[tokio::test]
async fn the_webhook_is_pointed_to_the_environment_when_the_policy_says_so() {
    let world = World::new().await;
    world.made("team").await;
    assert!(world.webhooks.pointed.lock().unwrap().is_empty(), "not unless it is wanted");
    let world = World::with_policy(&format!("{POLICY}\n[webhook]\nset = \"app\"\n")).await;
    world.ask("ann", &block("team", 3), SET).await;
    let (pull, line) = (world.record("team").await.change.pull, world.approve_line("team").await);
    world.order(pull, "wanda", &line).await;
    // Whose environment it is makes no difference to the App's webhook, and is not asked.
    let pointed = ["", "https://team.example/webhook", "/runnersmith/team/secrets/webhook"];
    assert_eq!(*world.webhooks.pointed.lock().unwrap(), [pointed]);
    assert!(world.answer(pull).contains("points there now"), "{}", world.answer(pull));
    // What GitHub refuses is said, and is no reason not to merge.
    *world.webhooks.fails.lock().unwrap() = Some("the App may not".into());
    world.ask("ann", &block("team", 4), SET).await;
    let (pull, line) = (world.record("team").await.change.pull, world.approve_line("team").await);
    world.order(pull, "wanda", &line).await;
    assert!(world.answer(pull).contains("could not be set: `the App may not`"), "{}", world.answer(pull));
    assert!(world.github.pull(REPO, pull).merged);
}

/// GitHub allows 20 webhooks for an event in an organisation: an environment takes one, in its own.
#[tokio::test]
async fn the_webhook_is_made_in_the_environments_own_organisation_and_in_no_other_of_the_policy() {
    let policy = POLICY.replace("[\"acme\"]", "[\"acme\", \"Apex\"]");
    let world = World::with_policy(&format!("{policy}\n[webhook]\nset = \"organization\"\n")).await;
    for (environment, organization) in [("team", "acme"), ("crew", "apex")] {
        let body = block(environment, 3).replace("\"acme\"", &format!("\"{organization}\""));
        world.ask("ann", &body, SET).await;
        let (pull, line) = (world.record(environment).await.change.pull, world.approve_line(environment).await);
        world.order(pull, "wanda", &line).await;
        assert!(world.github.pull(REPO, pull).merged, "{}", world.said(pull));
    }
    let pointed: Vec<[String; 2]> =
        world.webhooks.pointed.lock().unwrap().iter().map(|[at, to, _]| [at.clone(), to.clone()]).collect();
    assert_eq!(pointed, [["acme", "https://team.example/webhook"], ["Apex", "https://crew.example/webhook"]]);
}

/// Values that an admin let through by hand may name any organisation; the App may be installed in more than the policy names.
#[tokio::test]
async fn no_webhook_is_made_in_an_organisation_that_the_policy_does_not_name() {
    let world = World::with_policy(&format!("{POLICY}\n[webhook]\nset = \"organization\"\n")).await;
    world.github.set_role(REPO, "eve", "admin");
    let (pull, _) = world.planned().await;
    let values = "actions-runner-envs/team/terraform.tfvars.json";
    let text = String::from_utf8(world.github.files(REPO, "runnersmith/team-1")[values].clone()).unwrap();
    let other = text.replace("\"acme\"", "\"elsewhere\"");
    assert_ne!(text, other);
    world.github.push_as(REPO, "runnersmith/team-1", "walt", &[(values, Some(&other))], "another organisation");
    world.order_of_files(pull).await;
    let line = world.approve_line("team").await;
    world.order(pull, "eve", &line).await;
    assert!(world.answer(pull).contains("does not name the organisation"), "{}", world.said(pull));
    assert!(world.webhooks.pointed.lock().unwrap().is_empty() && world.github.pull(REPO, pull).merged);
}

#[tokio::test]
async fn what_leads_to_an_environment_that_is_gone_is_removed() {
    for fails in [None, Some("the App may not")] {
        let world = World::new().await;
        world.made("team").await;
        world.made("other").await;
        *world.webhooks.fails.lock().unwrap() = fails.map(str::to_owned);
        world.ask("ann", "```json\n{\"environment\": \"team\"}\n```", DELETE).await;
        let (pull, line) = (world.record("team").await.change.pull, world.approve_line("team").await);
        world.order(pull, "wanda", &line).await;
        let (answer, forgotten) = (world.answer(pull), world.webhooks.forgotten.lock().unwrap().clone());
        assert!(world.github.pull(REPO, pull).merged && answer.contains("is gone"), "{answer}");
        match fails {
            None => {
                assert_eq!(forgotten, ["https://team.example/webhook"]);
                assert!(answer.contains("led there is removed"), "{answer}");
            }
            Some(why) => assert!(
                answer.contains(&format!("could not be removed; it does no harm, and can go by hand: `{why}`")),
                "{answer}"
            ),
        }
    }
}

#[tokio::test]
async fn a_deletion_that_applied_nothing_puts_the_environment_back_into_service() {
    let world = World::new().await;
    world.made("team").await;
    world.fleet.ended.lock().unwrap().clear();
    world.ask("ann", "```json\n{\"environment\": \"team\"}\n```", DELETE).await;
    let (pull, line) = (world.record("team").await.change.pull, world.approve_line("team").await);
    world.provisioner.cloud.lock().unwrap().fails = Some(runnersmith_issueops_engine::ProvisionError::Stale);
    world.order(pull, "wanda", &line).await;
    assert_eq!(*world.fleet.ended.lock().unwrap(), ["team"], "{}", world.said(pull));
    assert!(world.answer(pull).contains("nothing was applied"), "{}", world.answer(pull));
}
