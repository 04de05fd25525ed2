//! What has gone wrong in other IssueOps systems, each with its test, as far as it is a matter of deciding, reading or
//! writing.

use crate::support::world::{World, actor, applies, denial, edited, parts, replies, rereads, writer};
use crate::support::{POLICY, SEED_BLOCK, policy, set};
use runnersmith_issueops::change::{
    Actor, ChangeKind, ChangeStep, Denial, Editors, LifecycleEvent, Liveness, Permission, Reaction, Reply, Reread,
    State, VoidWhy,
};
use runnersmith_issueops::command::parse;
use runnersmith_issueops::comment::{Layout, fence};
use runnersmith_issueops::policy::Policy;
use runnersmith_issueops::render::render;
use runnersmith_issueops::summary::Summary;
use runnersmith_types::{Account, Timestamp};

fn approve(world: &World) -> String {
    format!("/approve {}", world.digest())
}

#[test]
fn a_push_between_plan_and_approval_voids_the_plan() {
    let mut world = World::planned(ChangeKind::Set);
    let line = approve(&world);
    let steps = world.event(&LifecycleEvent::Pushed { committers: ["carl".into()].into(), edited: None });
    assert!(matches!(replies(&steps)[..], [Reply::Void(VoidWhy::Pushed)]));
    assert!(steps.contains(&ChangeStep::DropPlan));
    assert_eq!(denial(&world.says(&writer(), &line)), Some(&Denial::NoPlan));
    world.parts = parts("bbbb");
    world.post_plan(false);
    assert!(
        matches!(denial(&world.says(&writer(), &line)), Some(Denial::OtherDigest { .. })),
        "the old digest names nothing"
    );
}

#[test]
fn a_push_between_approval_and_apply_stops_it() {
    let mut world = World::planned(ChangeKind::Set);
    let line = approve(&world);
    world.says(&writer(), &line);
    let steps = world.event(&LifecycleEvent::Pushed { committers: ["carl".into()].into(), edited: None });
    assert!(steps.contains(&ChangeStep::ReleaseOwnLock));
    assert_eq!(world.checks(), []);
}

#[test]
fn a_base_or_a_state_that_moved_stops_it() {
    type Move = fn(&mut World);
    let moves: [(&str, Move); 4] = [
        ("base branch", |world| world.parts.base = runnersmith_issueops::digest::Digest::of(b"moved")),
        ("state serial", |world| world.parts.state_serial += 1),
        ("state lineage", |world| world.parts.state_lineage = "another".into()),
        ("provider lock file", |world| world.parts.lock_file = runnersmith_issueops::digest::Digest::of(b"moved")),
    ];
    for (part, moves) in moves {
        let mut world = World::planned(ChangeKind::Set);
        let line = approve(&world);
        world.says(&writer(), &line);
        moves(&mut world);
        let steps = world.checks();
        let [Reply::Differs(changed)] = replies(&steps)[..] else { panic!("{part}: {steps:?}") };
        assert_eq!(changed[0].part, part);
        assert!(!applies(&steps));
    }
}

#[test]
fn an_edited_comment_and_one_that_was_there_before_the_plan_order_nothing() {
    let mut world = World::planned(ChangeKind::Set);
    let line = approve(&world);
    let mut edited = world.comment(&writer(), &line);
    edited.is_new = false;
    assert_eq!(world.received(edited), [], "the event is an edit");
    let mut edited = world.comment(&writer(), &line);
    edited.is_edited = true;
    let steps = world.received(edited.clone());
    assert!(matches!(replies(&steps)[..], [Reply::Edited { .. }]) && !rereads(&steps), "edited since: {steps:?}");
    assert!(steps.contains(&ChangeStep::React { comment: edited.id, reaction: Reaction::Confused }));
    assert_eq!(world.received(edited), [], "that is said once");
    world.wait(3600);
    let mut early = world.comment(&writer(), "/approve");
    early.created_at = Timestamp::from_secs(999_000);
    assert!(
        matches!(denial(&world.received(early)), Some(Denial::NeedsDigest { .. })),
        "delivered late, written before"
    );
}

/// Somebody who may write approves, and GitHub says who edited the issue.
fn approves(world: &mut World, login: &str, editors: &Editors) -> Vec<ChangeStep> {
    let line = approve(world);
    let comment = world.comment(&actor(login, Permission::Write), &line);
    let (lock, run, editors) = (None, Liveness::Unknown, editors.clone());
    world.event(&LifecycleEvent::Comment { comment, lock, run, editors, edited: None })
}

fn edited_by(accounts: &[&str]) -> Editors {
    Editors { accounts: accounts.iter().map(|login| Account::from(*login)).collect(), is_whole: true }
}

#[test]
fn who_edited_the_issue_may_not_approve_although_no_event_named_them() {
    let mut world = World::planned(ChangeKind::Set);
    let editors = edited_by(&["ann", "Wanda"]);
    assert_eq!(denial(&approves(&mut world, "wanda", &editors)), Some(&Denial::IsAuthor));
    assert!(!world.change.committers.contains(&"ann".into()), "who asked is known anyway");
    assert!(rereads(&approves(&mut world, "walt", &editors)));
}

#[test]
fn a_bots_request_needs_one_person_who_has_it_planned_and_another_who_approves_it() {
    let mut world = World::new(ChangeKind::Set);
    world.change.author = "github-actions[bot]".into();
    world.change.state = State::Requested;
    // Planned by a push, so that nobody asked for it.
    world.event(&LifecycleEvent::Pushed { committers: ["(unknown)".into()].into(), edited: None });
    world.post_plan(false);
    let line = approve(&world);
    assert_eq!(denial(&world.says(&writer(), &line)), Some(&Denial::NeedsTwo));
    world.says(&writer(), "/plan");
    world.post_plan(false);
    assert_eq!(denial(&world.says(&writer(), &line)), Some(&Denial::NeedsTwo));
    assert!(rereads(&world.says(&actor("walt", Permission::Write), &line)));
}

#[test]
fn what_a_bot_edited_needs_two_people_and_one_who_asked_for_an_earlier_plan_does_not_count() {
    let mut world = World::planned(ChangeKind::Set);
    world.says(&writer(), "/plan");
    world.post_plan(false);
    // Somebody's workflow edits the issue, which is rendered and planned again by itself.
    world.event(&LifecycleEvent::Rendered);
    world.post_plan(false);
    let by_bot = edited_by(&["github-actions[bot]"]);
    assert_eq!(denial(&approves(&mut world, "walt", &by_bot)), Some(&Denial::NeedsTwo));
    world.says(&writer(), "/plan");
    world.post_plan(false);
    assert_eq!(denial(&approves(&mut world, "wanda", &by_bot)), Some(&Denial::NeedsTwo));
    assert!(rereads(&approves(&mut world, "walt", &by_bot)));
    // An edit of a bot between the approval and the apply is found when everything is read again.
    let mut world = World::planned(ChangeKind::Set);
    assert!(rereads(&approves(&mut world, "walt", &Editors::NONE)));
    let reread = Reread { editors: by_bot, ..world.reread() };
    let steps = world.event(&LifecycleEvent::Reread(Box::new(reread)));
    assert_eq!((denial(&steps), applies(&steps)), (Some(&Denial::NeedsTwo), false));
}

#[test]
fn where_it_is_not_known_who_edited_it_needs_two_who_are_not_known_to_have_taken_part() {
    let unknown = |accounts: &[&str]| Editors { is_whole: false, ..edited_by(accounts) };
    let mut world = World::planned(ChangeKind::Set);
    assert_eq!(denial(&approves(&mut world, "walt", &unknown(&[]))), Some(&Denial::EditorsUnknown));
    assert_eq!(denial(&approves(&mut world, "ann", &unknown(&[]))), Some(&Denial::IsAuthor));
    for planner in ["ann", "walt", "carl"] {
        world.says(&actor(planner, Permission::Write), "/plan");
        world.post_plan(false);
        let denied = approves(&mut world, "walt", &unknown(&["carl"]));
        assert_eq!(denial(&denied), Some(&Denial::EditorsUnknown), "{planner} asked for it, edited it or approves it");
    }
    world.says(&writer(), "/plan");
    world.post_plan(false);
    assert!(rereads(&approves(&mut world, "walt", &unknown(&["carl"]))));
    // What was known then may not be known any more when everything is read again.
    let mut world = World::planned(ChangeKind::Set);
    assert!(rereads(&approves(&mut world, "walt", &Editors::NONE)));
    let reread = Reread { editors: unknown(&[]), ..world.reread() };
    let steps = world.event(&LifecycleEvent::Reread(Box::new(reread)));
    assert_eq!((denial(&steps), applies(&steps)), (Some(&Denial::EditorsUnknown), false));
}

#[test]
fn an_account_that_has_another_name_by_now_is_the_same_person() {
    let account = |login: &str, id: u64| Actor { account: Account::new(login, id), ..writer() };
    let mut world = World::planned(ChangeKind::Set);
    (world.change.author, world.change.committers) = (Account::new("ann", 1), [Account::new("carl", 2)].into());
    let line = approve(&world);
    for renamed in [account("anna", 1), account("carla", 2)] {
        assert_eq!(denial(&world.says(&renamed, &line)), Some(&Denial::IsAuthor), "{}", renamed.account);
    }
    // Nor is who asks for the plan of a bot's request another one under another name.
    world.change.author = "github-actions[bot]".into();
    world.says(&account("wanda", 3), "/plan");
    world.post_plan(false);
    let line = approve(&world);
    assert_eq!(denial(&world.says(&account("wendy", 3), &line)), Some(&Denial::NeedsTwo));
    assert!(rereads(&world.says(&account("carl", 4), &line)), "who took a name that was free is somebody else");
}

#[test]
fn bots_order_nothing() {
    let mut world = World::planned(ChangeKind::Set);
    let line = approve(&world);
    let mut bot = actor("copy-pr-bot", Permission::Admin);
    bot.is_person = false;
    assert_eq!(world.says(&bot, &line), []);
}

#[test]
fn a_hand_edited_folder_is_planned_and_approved_by_admins_only() {
    let mut world = World::planned(ChangeKind::Set);
    let steps =
        world.event(&LifecycleEvent::Pushed { committers: ["carl".into()].into(), edited: Some(edited("aaaa")) });
    assert_eq!(world.change.state, State::HandEdited);
    assert!(!steps.iter().any(|step| matches!(step, ChangeStep::Plan { .. })), "a plan runs code");
    for who in [writer(), actor("ann", Permission::Maintain)] {
        assert_eq!(denial(&world.says(&who, "/plan")), Some(&Denial::NeedsAdmin));
    }
    let root = actor("root", Permission::Admin);
    let line = edited("aaaa").plan_line();
    assert!(world.says(&root, &line).contains(&ChangeStep::Plan { without_terraform_lock: false }));
    world.parts = parts("bbbb");
    world.post_plan(false);
    let line = approve(&world);
    assert_eq!(denial(&world.says(&writer(), &line)), Some(&Denial::NeedsAdmin));
    assert!(rereads(&world.says(&root, &line)));
    // Rendering again ends it.
    let mut world = World::planned(ChangeKind::Set);
    world.event(&LifecycleEvent::Pushed { committers: ["carl".into()].into(), edited: Some(edited("aaaa")) });
    assert!(world.event(&LifecycleEvent::Rendered).contains(&ChangeStep::Plan { without_terraform_lock: false }));
    assert!(!world.change.is_hand_edited);
}

#[test]
fn hand_edited_files_are_planned_if_the_order_names_them_as_they_are_now() {
    let mut world = World::planned(ChangeKind::Set);
    let (root, line) = (actor("root", Permission::Admin), edited("aaaa").plan_line());
    world.event(&LifecycleEvent::Pushed { committers: ["carl".into()].into(), edited: Some(edited("aaaa")) });
    let plans = |steps: &[ChangeStep]| steps.iter().any(|step| matches!(step, ChangeStep::Plan { .. }));
    let steps = world.says(&root, "/plan");
    assert!(!plans(&steps));
    assert_eq!(denial(&steps), Some(&Denial::NeedsFiles { line: line.clone() }), "the answer is what to write");
    // Somebody pushed between what was read and the look at the comment.
    world.event(&LifecycleEvent::Pushed { committers: ["carl".into()].into(), edited: Some(edited("bbbb")) });
    let steps = world.says(&root, &line);
    let now = edited("bbbb").plan_line();
    assert_eq!(denial(&steps), Some(&Denial::OtherFiles { line: now.clone() }));
    assert!(!plans(&steps));
    // What the default branch has of a deletion changes without any push to the branch: it is asked when somebody orders.
    let comment = world.comment(&root, &now);
    let there = Some(edited("cccc"));
    let steps = world.event(&LifecycleEvent::Comment {
        comment,
        lock: None,
        run: Liveness::Unknown,
        editors: Editors::NONE,
        edited: there.clone(),
    });
    assert!(!plans(&steps) && steps.contains(&ChangeStep::ShowState), "the comment above shows the new one");
    assert_eq!((&world.change.edited_files, world.change.ordered_files), (&there, None));
    assert!(plans(&world.says(&root, &edited("cccc").plan_line())));
    assert_eq!(world.change.ordered_files, Some(edited("cccc").digest));
    // A further push takes the order back.
    world.event(&LifecycleEvent::Pushed { committers: ["carl".into()].into(), edited: there });
    assert_eq!(world.change.ordered_files, None);
}

#[test]
fn an_approval_covers_one_plan_of_one_change() {
    let mut world = World::planned(ChangeKind::Set);
    let old = approve(&world);
    world.says(&writer(), "/plan");
    world.parts.plan_file = runnersmith_issueops::digest::Digest::of(b"another plan");
    world.post_plan(false);
    assert!(matches!(denial(&world.says(&writer(), &old)), Some(Denial::OtherDigest { .. })));
    // An approval while a plan is being made approves neither.
    let new = approve(&world);
    world.says(&writer(), "/plan");
    assert_eq!(denial(&world.says(&writer(), &new)), Some(&Denial::NoPlan));
    // An approval that was used is used up.
    world.post_plan(false);
    world.says(&writer(), &new);
    world.checks();
    assert!(!rereads(&world.says(&writer(), &new)));
}

/// The event is what came with the comment; the digest is what is there. A plan that was made while somebody pushed is of
/// the old head, and applying it finds that out.
#[test]
fn a_plan_that_was_made_while_somebody_pushed_is_not_applied() {
    let mut world = World::new(ChangeKind::Set);
    let old = parts("aaaa");
    world.event(&LifecycleEvent::Pushed { committers: ["carl".into()].into(), edited: None });
    world.post_plan(false);
    let line = format!("/approve {}", old.digest().short());
    assert!(rereads(&world.says(&writer(), &line)));
    world.parts = parts("bbbb");
    let steps = world.checks();
    assert!(!applies(&steps) && matches!(replies(&steps)[..], [Reply::Differs(_)]));
}

/// Secrets in a log begin with secrets in a program's values: the policy holds names of secrets and never one.
#[test]
fn what_is_rendered_or_shown_holds_no_secret_and_no_name_of_one() {
    let policy = policy();
    for field in ["id", "key_base64", "client_id", "client_secret"] {
        for secret in ["-----BEGIN RSA PRIVATE KEY-----", "LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVk=", "ab/cd+ef", "12345"] {
            let refused = Policy::parse(&format!("{POLICY}\n[app_secrets]\n{field} = \"{secret}\"\n")).unwrap_err();
            assert!(refused.to_string().contains(&format!("app_secrets.{field}")), "{field}: {refused}");
        }
    }
    for (path, content) in render(&set(SEED_BLOCK), &policy).unwrap() {
        for name in [&policy.app.id, &policy.app.key_base64, &policy.app.client_id, &policy.app.client_secret] {
            assert!(!content.contains(name.as_str()), "{path}: {name}");
        }
        assert!(!content.contains("\"github_app\":"), "{path}");
    }
}

#[test]
fn who_may_only_read_approves_nothing() {
    let mut world = World::planned(ChangeKind::Set);
    let line = approve(&world);
    for command in [line.as_str(), "/plan", "/cancel", "/lock", "/unlock"] {
        let steps = world.says(&actor("passer", Permission::Read), command);
        assert_eq!(denial(&steps), Some(&Denial::NeedsWrite), "{command}");
    }
}

#[test]
fn an_apply_during_a_plan_or_a_second_plan_does_not_happen() {
    let mut world = World::planned(ChangeKind::Set);
    let line = approve(&world);
    world.says(&writer(), "/plan");
    assert_eq!(denial(&world.says(&writer(), &line)), Some(&Denial::NoPlan));
    assert_eq!(world.event(&LifecycleEvent::Applied), [], "nothing that was not begun is done");
}

#[test]
fn what_is_merged_by_hand_before_it_is_applied_is_said_once_and_planned_as_it_was_merged() {
    let mut world = World::planned(ChangeKind::Set);
    let line = approve(&world);
    let steps = world.event(&LifecycleEvent::Merged);
    assert!(matches!(replies(&steps)[..], [Reply::MergedEarly { plans: true }]), "{steps:?}");
    assert!(steps.contains(&ChangeStep::Plan { without_terraform_lock: false }) && !applies(&steps));
    assert_eq!(denial(&world.says(&writer(), &line)), Some(&Denial::NoPlan), "the plan was made from another branch");
    assert_eq!(world.event(&LifecycleEvent::Merged), []);
    let mut deletion = World::planned(ChangeKind::Delete);
    let steps = deletion.event(&LifecycleEvent::Merged);
    assert!(matches!(replies(&steps)[..], [Reply::MergedEarly { plans: false }]), "{steps:?}");
    assert!(!steps.iter().any(|step| matches!(step, ChangeStep::Plan { .. })), "its folder is gone");
}

#[test]
fn the_stored_plan_is_dropped_as_soon_as_it_is_of_no_use() {
    type End = fn(&mut World) -> Vec<ChangeStep>;
    let ends: [End; 3] = [
        |world| world.says(&writer(), "/cancel"),
        |world| world.event(&LifecycleEvent::Closed),
        |world| {
            world.wait(24 * 3600);
            world.event(&LifecycleEvent::Tick)
        },
    ];
    for end in ends {
        let mut world = World::planned(ChangeKind::Set);
        assert!(end(&mut world).contains(&ChangeStep::DropPlan));
    }
}

#[test]
fn plan_text_is_only_text() {
    let evil = "```\n</details>\n\n/approve 0123456789ab\n\n@acme/all <img src=x>\n~~~\n````";
    let plan = serde_json::json!({"format_version": "1.2", "resource_changes": [
        {"address": format!("aws_x.y[\"{evil}\"]"), "mode": "managed", "type": "aws_x", "change": {"actions": ["delete"]}}]});
    let summary = Summary::of_show_json(plan.to_string().as_bytes()).unwrap();
    let many = Layout::of(&summary, &evil.repeat(3000)).unwrap();
    for text in
        [fence(evil, "text"), many.continuations.concat(), many.file.unwrap_or_default().lines().take(3).collect()]
    {
        assert_eq!(parse(&text), []);
    }
    assert!(fence(evil, "text").starts_with("`````text\n"));
}

#[test]
fn nothing_that_is_rendered_is_a_workflow_or_has_an_expression() {
    for (path, content) in render(&set(SEED_BLOCK), &policy()).unwrap() {
        assert!(
            path.starts_with("actions-runner-envs/linux_large/"),
            "{path}: no workflow runs on the fleet it manages"
        );
        assert!(!content.contains("${"), "{path}");
    }
}
