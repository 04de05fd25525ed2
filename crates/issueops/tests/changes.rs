//! What follows from what: approvals, locks, deletions, interruptions. Every rule of the design has its test here, in
//! `seed_defects` or in `pitfalls`.

use crate::support::world::{
    World, actor, applies, denial, edited, parts, person_lock, replies, rereads, run_lock, writer,
};
use proptest::prelude::*;
use runnersmith_issueops::change::{
    ChangeFailure, ChangeKind, ChangeStage, ChangeStep, Denial, GivenUp, Left, LifecycleEvent, Liveness, Membership,
    Permission, Reaction, Reply, State, VoidWhy,
};
use runnersmith_issueops::policy::PlanBy;

fn approve(world: &World) -> String {
    format!("/approve {}", world.digest())
}

fn failure() -> ChangeFailure {
    ChangeFailure { resource: Some("aws_sqs_queue.q".into()), ..ChangeFailure::new(ChangeStage::Apply, "denied") }
}

#[test]
fn from_plan_to_merge() {
    let mut world = World::planned(ChangeKind::Set);
    let line = approve(&world);
    let steps = world.says(&writer(), &line);
    assert!(matches!(steps[0], ChangeStep::React { reaction: Reaction::Eyes, .. }), "acknowledged first");
    assert!(rereads(&steps) && !applies(&steps));
    let steps = world.checks();
    let digest = world.parts.digest();
    assert_eq!(steps, [ChangeStep::ShowState, ChangeStep::Apply { digest, head: "aaaa".into() }]);
    let steps = world.event(&LifecycleEvent::Applied);
    assert_eq!(steps.last(), Some(&ChangeStep::Merge { expected_head: "aaaa".into() }));
    assert!(steps.contains(&ChangeStep::DropPlan));
    let steps = world.event(&LifecycleEvent::Merged);
    assert_eq!(world.change.state, State::Done);
    assert_eq!(steps, [ChangeStep::ShowState, ChangeStep::ReleaseOwnLock, ChangeStep::CloseIssue]);
}

#[test]
fn a_comment_is_followed_once() {
    let mut world = World::planned(ChangeKind::Set);
    let line = approve(&world);
    let comment = world.comment(&writer(), &line);
    assert!(rereads(&world.received(comment.clone())));
    assert_eq!(world.received(comment.clone()), []);
    world.checks();
    world.event(&LifecycleEvent::ApplyFailed(failure()));
    assert_eq!(world.received(comment), [], "nor after the change went on");
}

#[test]
fn old_comments_stay_handled_when_they_are_forgotten() {
    let mut world = World::planned(ChangeKind::Set);
    let first = world.comment(&writer(), "/help");
    world.received(first.clone());
    for _ in 0..1000 {
        world.says(&writer(), "/help");
    }
    assert!(world.change.handled.len() <= 500);
    assert_eq!(world.received(first), []);
}

#[test]
fn a_plain_approve_needs_one_plan_that_was_there_for_a_minute() {
    let mut world = World::planned(ChangeKind::Set);
    let wanted = Denial::NeedsDigest { line: approve(&world) };
    world.wait(59);
    assert_eq!(denial(&world.says(&writer(), "/approve")), Some(&wanted));
    world.wait(1);
    assert!(rereads(&world.says(&writer(), "/approve")));
    let mut world = World::planned(ChangeKind::Set);
    world.says(&writer(), "/plan");
    world.post_plan(false);
    world.wait(3600);
    assert!(
        matches!(denial(&world.says(&writer(), "/approve")), Some(Denial::NeedsDigest { .. })),
        "two plans were posted"
    );
    let mut world = World::planned(ChangeKind::Set);
    world.rules.plain_approve = false;
    world.wait(3600);
    assert!(matches!(denial(&world.says(&writer(), "/approve")), Some(Denial::NeedsDigest { .. })));
}

#[test]
fn losing_state_needs_the_word() {
    let mut world = World::new(ChangeKind::Set);
    world.post_plan(true);
    world.wait(100);
    assert!(matches!(denial(&world.says(&writer(), "/approve")), Some(Denial::NeedsDigest { .. })));
    let line = approve(&world);
    let wanted = Denial::NeedsDestroy { line: format!("{line} destroy") };
    assert_eq!(denial(&world.says(&writer(), &line)), Some(&wanted));
    assert_eq!(denial(&world.says(&writer(), &format!("{line} destroy kill-jobs"))), Some(&Denial::NotADeletion));
    assert!(rereads(&world.says(&writer(), &format!("{line} destroy"))));
}

#[test]
fn who_may_approve() {
    let line = |world: &World| approve(world);
    for (who, is_allowed) in [
        (actor("r", Permission::Read), false),
        (actor("t", Permission::Triage), false),
        (actor("w", Permission::Write), true),
        (actor("m", Permission::Maintain), true),
        (actor("a", Permission::Admin), true),
    ] {
        let mut world = World::planned(ChangeKind::Set);
        let line = line(&world);
        assert_eq!(rereads(&world.says(&who, &line)), is_allowed, "{who:?}");
    }
    let mut world = World::planned(ChangeKind::Set);
    world.rules.team = Some("platform".into());
    let text = approve(&world);
    let mut who = writer();
    assert_eq!(denial(&world.says(&who, &text)), Some(&Denial::TeamUnknown("platform".into())));
    who.membership = Membership::Outsider;
    assert_eq!(denial(&world.says(&who, &text)), Some(&Denial::NeedsTeam("platform".into())));
    who.membership = Membership::Member;
    assert!(rereads(&world.says(&who, &text)));
}

#[test]
fn who_may_plan() {
    let mut world = World::planned(ChangeKind::Set);
    let plans = |steps: &[ChangeStep]| steps.iter().any(|step| matches!(step, ChangeStep::Plan { .. }));
    assert!(!plans(&world.says(&actor("eve", Permission::Read), "/plan")));
    assert!(plans(&world.says(&actor("Ann", Permission::Read), "/plan")), "for their own request");
    let mut world = World::planned(ChangeKind::Set);
    world.rules.plan_by = PlanBy::Writers;
    assert_eq!(denial(&world.says(&actor("ann", Permission::Read), "/plan")), Some(&Denial::NeedsWrite));
}

#[test]
fn an_expired_plan_is_void_and_another_can_be_made() {
    let mut world = World::planned(ChangeKind::Set);
    world.wait(24 * 3600 - 1);
    assert_eq!(world.event(&LifecycleEvent::Tick), []);
    world.wait(1);
    let line = approve(&world);
    assert!(matches!(denial(&world.says(&writer(), &line)), Some(Denial::NoPlan)), "also before the tick");
    assert_eq!(world.change.state, State::Expired);
    world.says(&writer(), "/plan");
    world.post_plan(false);
    assert!(rereads(&world.says(&writer(), &line)));
    world.wait(25 * 3600);
    assert!(!applies(&world.checks()), "nor when it expires between the approval and the look");
}

#[test]
fn two_approvals_at_once_apply_once() {
    let mut world = World::planned(ChangeKind::Set);
    let line = approve(&world);
    assert!(rereads(&world.says(&writer(), &line)));
    assert_eq!(denial(&world.says(&actor("otto", Permission::Admin), &line)), Some(&Denial::Busy("approved".into())));
    assert!(applies(&world.checks()));
    assert!(!applies(&world.checks()));
    assert_eq!(denial(&world.says(&writer(), &line)), Some(&Denial::Busy("applying".into())));
}

#[test]
fn locks_keep_others_out_and_end_by_their_holder_or_an_admin() {
    let mut world = World::planned(ChangeKind::Set);
    let steps = world.says(&writer(), "/lock moving the VPC");
    assert!(steps.contains(&ChangeStep::TakeLock { by: "wanda".into(), reason: "moving the VPC".into() }));
    world.lock = Some(person_lock("wanda"));
    let line = approve(&world);
    let otto = actor("otto", Permission::Write);
    assert!(matches!(denial(&world.says(&otto, &line)), Some(Denial::IsLocked(_))));
    assert!(matches!(denial(&world.says(&otto, "/lock")), Some(Denial::IsLocked(_))));
    assert!(matches!(denial(&world.says(&otto, "/unlock")), Some(Denial::NotYourLock(_))));
    let release = ChangeStep::ReleaseLock { id: "l2".into() };
    assert!(world.says(&writer(), "/unlock").contains(&release));
    assert!(world.says(&actor("root", Permission::Admin), "/unlock").contains(&release));
    assert!(rereads(&world.says(&writer(), &line)), "one's own lock keeps nobody out but others");
    assert!(applies(&world.checks()));
    world.lock = None;
    assert_eq!(denial(&world.says(&otto, "/unlock")), Some(&Denial::NotLocked));
}

#[test]
fn a_lock_taken_between_the_approval_and_the_look_stops_the_apply() {
    let mut world = World::planned(ChangeKind::Set);
    let line = approve(&world);
    world.says(&writer(), &line);
    world.lock = Some(person_lock("otto"));
    let steps = world.checks();
    assert!(matches!(denial(&steps), Some(Denial::IsLocked(_))) && !applies(&steps));
    assert!(matches!(world.change.state, State::Planned(_)), "the plan stays");
}

#[test]
fn an_apply_that_was_killed_is_explained_planned_again_and_applied() {
    let mut world = World::planned(ChangeKind::Set);
    let line = approve(&world);
    world.says(&writer(), &line);
    world.checks();
    world.lock = Some(run_lock(6, Liveness::Unknown));
    assert!(matches!(denial(&world.says(&writer(), "/unlock")), Some(Denial::RunNotDead(_))), "unknown is not dead");
    assert_eq!(denial(&world.says(&writer(), "/plan")), Some(&Denial::Busy("applying".into())));
    world.lock = Some(run_lock(6, Liveness::Dead));
    world.run = Liveness::Dead;
    world.says(&writer(), "/status");
    assert_eq!(world.change.state, State::Interrupted { run: "4711".into() });
    assert_eq!(
        denial(&world.says(&writer(), "/cancel")),
        Some(&Denial::HalfDone("interrupted".into())),
        "half done is not undone"
    );
    let steps = world.says(&writer(), "/plan");
    assert!(steps.contains(&ChangeStep::Plan { without_terraform_lock: true }));
    assert!(!steps.iter().any(|step| matches!(step, ChangeStep::ReleaseLock { .. })), "a plan never unlocks");
    world.parts.state_serial += 1;
    world.post_plan(false);
    let line = approve(&world);
    assert!(rereads(&world.says(&writer(), &line)));
    let steps = world.checks();
    assert!(steps.contains(&ChangeStep::TakeOver { lock: "l1".into() }) && applies(&steps));
}

#[test]
fn the_lock_of_another_changes_dead_run_is_not_taken_over() {
    let mut world = World::planned(ChangeKind::Set);
    world.lock = Some(run_lock(99, Liveness::Dead));
    let line = approve(&world);
    assert!(matches!(denial(&world.says(&writer(), &line)), Some(Denial::IsLocked(_))));
    assert!(world.says(&writer(), "/unlock").contains(&ChangeStep::ReleaseLock { id: "l1".into() }));
}

#[test]
fn what_differs_is_said_and_nothing_is_applied() {
    let mut world = World::planned(ChangeKind::Set);
    let line = approve(&world);
    world.says(&writer(), &line);
    world.parts.state_serial = 4;
    let steps = world.checks();
    let [Reply::Differs(changed)] = replies(&steps)[..] else { panic!("{steps:?}") };
    assert_eq!((changed[0].part.as_str(), changed[0].was.as_str(), changed[0].is.as_str()), ("state serial", "3", "4"));
    assert!(!applies(&steps) && steps.contains(&ChangeStep::ReleaseOwnLock) && steps.contains(&ChangeStep::DropPlan));
}

#[test]
fn what_cannot_be_merged_is_not_applied() {
    let mut world = World::planned(ChangeKind::Set);
    let line = approve(&world);
    world.says(&writer(), &line);
    let mut reread = world.reread();
    reread.mergeable = Err("a required check failed".into());
    let steps = world.event(&LifecycleEvent::Reread(Box::new(reread)));
    assert!(matches!(denial(&steps), Some(Denial::NotMergeable(_))) && !applies(&steps));
}

#[test]
fn applied_and_not_merged_is_a_state_with_a_way_out() {
    let mut world = World::planned(ChangeKind::Set);
    let line = approve(&world);
    world.says(&writer(), &line);
    world.checks();
    world.event(&LifecycleEvent::Applied);
    let steps = world.event(&LifecycleEvent::MergeRefused("head moved".into()));
    assert!(matches!(replies(&steps)[..], [Reply::NotMerged { .. }]));
    world.says(&writer(), "/plan");
    world.parts = parts("bbbb");
    world.post_plan(false);
    let line = approve(&world);
    assert!(rereads(&world.says(&writer(), &line)) && applies(&world.checks()));
    assert!(world.event(&LifecycleEvent::Applied).contains(&ChangeStep::Merge { expected_head: "bbbb".into() }));
    // Somebody may also merge by hand.
    world.event(&LifecycleEvent::MergeRefused("again".into()));
    world.event(&LifecycleEvent::Merged);
    assert_eq!(world.change.state, State::Done);
}

#[test]
fn a_failed_apply_merges_nothing_and_can_be_planned_again() {
    let mut world = World::planned(ChangeKind::Set);
    let line = approve(&world);
    world.says(&writer(), &line);
    world.checks();
    let steps = world.event(&LifecycleEvent::ApplyFailed(failure()));
    assert!(
        steps.contains(&ChangeStep::ReleaseOwnLock)
            && !steps.iter().any(|step| matches!(step, ChangeStep::Merge { .. }))
    );
    let steps = world.event(&LifecycleEvent::Merged);
    assert!(matches!(replies(&steps)[..], [Reply::MergedEarly { plans: false }]), "by hand: {steps:?}");
    assert_eq!(world.event(&LifecycleEvent::Merged), [], "that is said once");
    assert!(world.says(&writer(), "/plan").contains(&ChangeStep::Plan { without_terraform_lock: false }));
}

fn left(jobs: u32, machines: u32) -> Left {
    Left { jobs, machines, ..Left::default() }
}

#[test]
fn a_deletion_drains_checks_again_and_destroys() {
    let mut world = World::planned(ChangeKind::Delete);
    let line = approve(&world);
    assert!(matches!(denial(&world.says(&writer(), &line)), Some(Denial::NeedsDestroy { .. })));
    world.says(&writer(), &format!("{line} destroy"));
    let steps = world.checks();
    assert!(steps.contains(&ChangeStep::Drain { kill_jobs: false }) && !applies(&steps));
    assert_eq!(world.event(&LifecycleEvent::Drained(left(1, 1))), [ChangeStep::ShowState], "the waiting is shown");
    assert_eq!(world.event(&LifecycleEvent::Drained(left(1, 1))), [], "once");
    assert!(world.event(&LifecycleEvent::Tick).contains(&ChangeStep::Drain { kill_jobs: false }));
    assert!(!rereads(&world.event(&LifecycleEvent::Drained(Left { log_groups: 1, ..Left::default() }))));
    assert!(rereads(&world.event(&LifecycleEvent::Drained(Left::default()))));
    assert!(applies(&world.checks()));
}

#[test]
fn a_deletion_whose_wait_has_ended_asks_and_kills_only_by_its_own_word() {
    let mut world = World::planned(ChangeKind::Delete);
    let line = approve(&world);
    world.says(&writer(), &format!("{line} destroy"));
    world.checks();
    world.wait(6 * 3600);
    let steps = world.event(&LifecycleEvent::Drained(left(1, 1)));
    assert!(matches!(replies(&steps)[..], [Reply::DrainOverdue { .. }]));
    assert_eq!(world.event(&LifecycleEvent::Drained(left(1, 1))), [], "asked once");
    assert_eq!(denial(&world.says(&writer(), &format!("{line} destroy"))), Some(&Denial::Busy("draining".into())));
    let steps = world.says(&writer(), &format!("{line} destroy kill-jobs"));
    assert!(steps.contains(&ChangeStep::Drain { kill_jobs: true }));
    let steps = world.says(&writer(), "/cancel");
    assert!(steps.contains(&ChangeStep::EndDrain) && steps.contains(&ChangeStep::ReleaseOwnLock));
    assert_eq!(world.change.state, State::Cancelled);
}

#[test]
fn a_deletion_that_changed_while_it_drained_destroys_nothing() {
    let mut world = World::planned(ChangeKind::Delete);
    let line = approve(&world);
    world.says(&writer(), &format!("{line} destroy"));
    world.checks();
    world.event(&LifecycleEvent::Drained(Left::default()));
    world.parts.state_serial += 1;
    let steps = world.checks();
    assert!(!applies(&steps) && steps.contains(&ChangeStep::EndDrain) && steps.contains(&ChangeStep::ReleaseOwnLock));
}

#[test]
fn ending_jobs_needs_what_an_approval_needs() {
    let mut world = World::planned(ChangeKind::Delete);
    let line = approve(&world);
    world.says(&writer(), &format!("{line} destroy"));
    world.checks();
    let kills = |steps: &[ChangeStep]| steps.contains(&ChangeStep::Drain { kill_jobs: true });
    let kill = format!("{line} destroy kill-jobs");
    for (who, why) in
        [(actor("ann", Permission::Admin), Denial::IsAuthor), (actor("passer", Permission::Read), Denial::NeedsWrite)]
    {
        let steps = world.says(&who, &kill);
        assert!(denial(&steps) == Some(&why) && !kills(&steps), "{who:?}");
    }
    let steps = world.says(&writer(), "/approve 000000000000 destroy kill-jobs");
    assert!(matches!(denial(&steps), Some(Denial::OtherDigest { .. })) && !kills(&steps));
    assert!(kills(&world.says(&writer(), &kill)));
    assert!(kills(&world.event(&LifecycleEvent::Tick)), "from then on");
}

#[test]
fn who_asked_may_give_up_and_an_outsider_may_not() {
    let mut world = World::planned(ChangeKind::Set);
    assert_eq!(denial(&world.says(&actor("eve", Permission::Read), "/cancel")), Some(&Denial::NeedsWrite));
    world.says(&actor("Ann", Permission::Read), "/cancel");
    assert_eq!(world.change.state, State::Cancelled);
    for command in ["/plan", "/cancel", "/approve"] {
        assert_eq!(denial(&world.says(&writer(), command)), Some(&Denial::Over("cancelled".into())), "{command}");
    }
}

/// A deletion that was approved, has drained, and is being checked a second time.
fn drained_and_checking() -> World {
    let mut world = World::planned(ChangeKind::Delete);
    let line = approve(&world);
    world.says(&writer(), &format!("{line} destroy"));
    world.checks();
    world.event(&LifecycleEvent::Drained(Left::default()));
    assert!(matches!(world.change.state, State::Checking(..)));
    world
}

#[test]
fn whatever_ends_a_drained_deletion_gives_the_drain_back() {
    type End = fn(&mut World) -> Vec<ChangeStep>;
    let ends: [(&str, End); 9] = [
        ("cancelled", |world| world.says(&writer(), "/cancel")),
        ("closed", |world| world.event(&LifecycleEvent::Closed)),
        ("superseded", |world| world.event(&LifecycleEvent::Superseded)),
        ("invalid", |world| world.event(&LifecycleEvent::RequestInvalid)),
        ("nothing was applied", |world| {
            world.checks();
            world.event(&LifecycleEvent::NotApplied(failure()))
        }),
        ("pushed", |world| world.event(&LifecycleEvent::Pushed { committers: ["carl".into()].into(), edited: None })),
        ("the run died", |world| world.event(&LifecycleEvent::RunDied)),
        ("the run died, and a comment says so", |world| {
            world.run = Liveness::Dead;
            world.says(&writer(), "/status")
        }),
        ("locked", |world| {
            world.lock = Some(person_lock("otto"));
            world.checks()
        }),
    ];
    for (name, end) in ends {
        let mut world = drained_and_checking();
        let steps = end(&mut world);
        assert!(
            steps.contains(&ChangeStep::EndDrain) && steps.contains(&ChangeStep::ReleaseOwnLock),
            "{name}: {steps:?}"
        );
        assert!(!applies(&steps), "{name}");
    }
}

#[test]
fn a_run_that_died_while_it_checked_leaves_the_plan_and_no_approval() {
    let mut world = World::planned(ChangeKind::Set);
    let line = approve(&world);
    world.says(&writer(), &line);
    let steps = world.event(&LifecycleEvent::RunDied);
    assert_eq!(steps, [ChangeStep::ShowState, ChangeStep::ReleaseOwnLock]);
    assert!(!applies(&world.checks()), "what it read comes late");
    assert!(rereads(&world.says(&writer(), &line)), "it can be approved again");
    // A plan that is waited for is no run that applies.
    let mut world = World::new(ChangeKind::Set);
    assert_eq!(world.event(&LifecycleEvent::RunDied), []);
}

#[test]
fn machines_that_do_not_go_are_reported_as_jobs_are() {
    let mut world = World::planned(ChangeKind::Delete);
    let line = approve(&world);
    world.says(&writer(), &format!("{line} destroy kill-jobs"));
    world.checks();
    for now in [left(0, 1), left(1, 1)] {
        let mut world = World {
            change: world.change.clone(),
            rules: world.rules.clone(),
            parts: world.parts.clone(),
            ..World::new(ChangeKind::Delete)
        };
        world.wait(6 * 3600);
        let steps = world.event(&LifecycleEvent::Drained(now));
        assert!(matches!(replies(&steps)[..], [Reply::DrainOverdue { .. }]), "{now:?}");
        assert_eq!(world.event(&LifecycleEvent::Drained(now)), [], "once");
    }
}

#[test]
fn what_was_done_is_remembered_until_it_is_merged() {
    let mut world = World::planned(ChangeKind::Set);
    let line = approve(&world);
    let tries = |world: &mut World, event: &LifecycleEvent| {
        world.says(&writer(), &line);
        world.checks();
        world.event(event);
    };
    let plans = |world: &mut World| {
        world.says(&writer(), "/plan");
        world.post_plan(false);
    };
    tries(&mut world, &LifecycleEvent::NotApplied(failure()));
    assert!(!world.change.is_half_done, "nothing was done");
    plans(&mut world);
    tries(&mut world, &LifecycleEvent::ApplyFailed(failure()));
    assert!(world.change.is_half_done);
    plans(&mut world);
    tries(&mut world, &LifecycleEvent::NotApplied(failure()));
    plans(&mut world);
    assert!(world.change.is_half_done, "what was done before is done, and a new plan undoes nothing");
    let given_up = world.says(&writer(), "/cancel");
    assert!(matches!(replies(&given_up)[..], [Reply::Cancelled { .. }]) && world.change.is_half_done);
    let mut world = World::planned(ChangeKind::Set);
    tries(&mut world, &LifecycleEvent::RunDied);
    assert!(world.change.is_half_done, "nobody knows what a run did that died");
    let mut world = World::planned(ChangeKind::Set);
    tries(&mut world, &LifecycleEvent::Applied);
    world.event(&LifecycleEvent::MergeRefused("no".into()));
    assert_eq!(denial(&world.says(&writer(), "/cancel")), Some(&Denial::HalfDone("applied, not merged".into())));
    assert!(world.change.is_half_done);
    world.event(&LifecycleEvent::Merged);
    assert!(!world.change.is_half_done);
}

#[test]
fn a_plan_is_not_made_twice_at_once_nor_while_anything_goes_on() {
    let mut world = World::new(ChangeKind::Set);
    world.run = Liveness::Alive;
    assert_eq!(denial(&world.says(&writer(), "/plan")), Some(&Denial::Busy("planning".into())));
    world.run = Liveness::Dead;
    assert!(
        world.says(&writer(), "/plan").contains(&ChangeStep::Plan { without_terraform_lock: false }),
        "a dead run's plan is not waited for"
    );
    let mut world = World::planned(ChangeKind::Delete);
    let line = approve(&world);
    world.says(&writer(), &format!("{line} destroy"));
    assert_eq!(denial(&world.says(&writer(), "/plan")), Some(&Denial::Busy("approved".into())));
    world.checks();
    assert_eq!(denial(&world.says(&writer(), "/plan")), Some(&Denial::Busy("draining".into())));
    assert!(matches!(world.change.state, State::Draining { .. }));
}

#[test]
fn closing_while_it_applies_is_followed_by_a_refused_merge_and_not_by_silence() {
    let mut world = World::planned(ChangeKind::Set);
    let line = approve(&world);
    world.says(&writer(), &line);
    world.checks();
    assert_eq!(world.event(&LifecycleEvent::Closed), []);
    assert!(world.event(&LifecycleEvent::Applied).contains(&ChangeStep::Merge { expected_head: "aaaa".into() }));
    let steps = world.event(&LifecycleEvent::MergeRefused("pull request is closed".into()));
    assert!(matches!(replies(&steps)[..], [Reply::NotMerged { .. }]) && steps.contains(&ChangeStep::ReleaseOwnLock));
}

#[test]
fn several_commands_are_followed_in_their_order() {
    let mut world = World::planned(ChangeKind::Set);
    let line = approve(&world);
    let steps = world.says(&writer(), &format!("/status\n{line}\n/plan\n/nonsense"));
    assert!(rereads(&steps));
    assert_eq!(denial(&steps), Some(&Denial::Busy("approved".into())), "the plan after it");
    assert!(matches!(replies(&steps).last(), Some(Reply::Help(misread)) if misread.len() == 1));
}

#[test]
fn closing_cancels_what_is_not_begun() {
    let mut world = World::planned(ChangeKind::Set);
    let steps = world.event(&LifecycleEvent::Closed);
    assert!(steps.contains(&ChangeStep::ClosePull));
    assert_eq!(world.event(&LifecycleEvent::Rendered), [], "a cancelled change stays so");
    let mut world = World::planned(ChangeKind::Set);
    let line = approve(&world);
    world.says(&writer(), &line);
    world.checks();
    assert_eq!(world.event(&LifecycleEvent::Closed), [], "an apply goes on");
}

#[test]
fn a_change_that_another_kind_of_request_supersedes_leaves_the_issue_open() {
    let mut world = World::planned(ChangeKind::Set);
    let steps = world.event(&LifecycleEvent::Superseded);
    assert_eq!(world.change.state, State::Cancelled);
    assert!(matches!(replies(&steps)[..], [Reply::Cancelled(GivenUp::Superseded)]));
    assert!(
        steps.contains(&ChangeStep::DropPlan)
            && steps.contains(&ChangeStep::ClosePull)
            && !steps.contains(&ChangeStep::CloseIssue)
    );
}

#[test]
fn an_issue_that_cannot_be_handled_any_more_voids_the_plan() {
    let mut world = World::planned(ChangeKind::Set);
    let line = approve(&world);
    let steps = world.event(&LifecycleEvent::RequestInvalid);
    assert!(matches!(replies(&steps)[..], [Reply::Void(VoidWhy::RequestInvalid)]));
    assert!(steps.contains(&ChangeStep::DropPlan) && !steps.iter().any(|step| matches!(step, ChangeStep::Plan { .. })));
    assert_eq!(denial(&world.says(&writer(), &line)), Some(&Denial::NoPlan));
}

#[test]
fn an_approved_deletion_that_has_not_drained_yet_takes_no_drain_back() {
    type End = fn(&mut World) -> Vec<ChangeStep>;
    let ends: [End; 4] = [
        |world| world.says(&writer(), "/cancel"),
        |world| world.event(&LifecycleEvent::Closed),
        |world| world.event(&LifecycleEvent::Superseded),
        |world| world.event(&LifecycleEvent::RequestInvalid),
    ];
    for end in ends {
        let mut world = World::planned(ChangeKind::Delete);
        let line = approve(&world);
        world.says(&writer(), &format!("{line} destroy"));
        assert!(matches!(world.change.state, State::Checking(..)));
        let steps = end(&mut world);
        // A deletion that failed half way may be out of service since: that is not undone by giving up the next.
        assert!(!steps.contains(&ChangeStep::EndDrain) && steps.contains(&ChangeStep::ReleaseOwnLock), "{steps:?}");
    }
}

/// One of many things that can happen, by number.
fn happens(world: &mut World, what: u8) -> Vec<ChangeStep> {
    let line = approve(world);
    match what % 28 {
        0 => world.says(&writer(), &line),
        1 => world.says(&writer(), &format!("{line} destroy")),
        2 => world.says(&writer(), "/plan"),
        3 => world.says(&writer(), "/cancel"),
        4 => world.event(&LifecycleEvent::Pushed { committers: ["carl".into()].into(), edited: Some(edited("aaaa")) }),
        5 => world.event(&LifecycleEvent::Pushed { committers: ["carl".into()].into(), edited: None }),
        6 => {
            world.parts.state_serial += 1;
            Vec::new()
        }
        7 => {
            world.post_plan(what > 127);
            Vec::new()
        }
        8..=10 => world.checks(),
        11 => world.event(&LifecycleEvent::Drained(Left::default())),
        12 => world.event(&LifecycleEvent::Applied),
        13 => world.event(&LifecycleEvent::ApplyFailed(failure())),
        14 => world.event(&LifecycleEvent::Merged),
        15 => world.event(&LifecycleEvent::MergeRefused("no".into())),
        16 => {
            world.wait(7 * 3600);
            world.event(&LifecycleEvent::Tick)
        }
        17 => world.event(&LifecycleEvent::RunDied),
        18 => world.event(&LifecycleEvent::Rendered),
        19 => world.event(&LifecycleEvent::Closed),
        20 => world.event(&LifecycleEvent::PlanFailed(failure())),
        21 => world.event(&LifecycleEvent::Drained(left(1, 1))),
        23 => world.event(&LifecycleEvent::Superseded),
        24 => world.event(&LifecycleEvent::RequestInvalid),
        25 => world.event(&LifecycleEvent::RenderedOnly),
        26 => world.event(&LifecycleEvent::NotApplied(failure())),
        22 => {
            world.run = Liveness::Dead;
            let steps = world.says(&writer(), "/status");
            world.run = Liveness::Unknown;
            steps
        }
        _ => world.says(&actor("ann", Permission::Admin), &format!("{line} destroy kill-jobs")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Whatever happens in whatever order: what is applied was approved by somebody who may, is what is there, and is
    /// applied once for each approval; a deletion was approved with its word and has drained.
    #[test]
    fn nothing_is_applied_without_an_approval_of_exactly_that(kind in any::<bool>(), events in prop::collection::vec(any::<u8>(), 0..60)) {
        let kind = if kind { ChangeKind::Set } else { ChangeKind::Delete };
        let mut world = World::new(kind);
        let (mut approved, mut drained) = (None, false);
        let (mut is_out_of_service, mut is_locked) = (false, false);
        for what in events {
            let steps = happens(&mut world, what);
            for step in &steps {
                match step {
                    ChangeStep::Reread { digest } => approved = Some(*digest),
                    ChangeStep::EndDrain => drained = false,
                    ChangeStep::Apply { digest, head } => {
                        prop_assert_eq!(approved.take(), Some(*digest));
                        prop_assert_eq!(*digest, world.parts.digest());
                        prop_assert_eq!(head, &world.parts.head);
                        prop_assert!(kind == ChangeKind::Set || drained);
                    }
                    ChangeStep::Merge { expected_head } => prop_assert_eq!(expected_head, "aaaa"),
                    _ => {}
                }
            }
            for step in &steps {
                match step {
                    ChangeStep::Drain { .. } => is_out_of_service = true,
                    ChangeStep::EndDrain | ChangeStep::Apply { .. } => is_out_of_service = false,
                    ChangeStep::Plan { .. } => prop_assert!(!world.change.is_hand_edited, "nobody who may has asked"),
                    _ => {}
                }
                match step {
                    ChangeStep::Reread { .. } => is_locked = true,
                    ChangeStep::ReleaseOwnLock => is_locked = false,
                    _ => {}
                }
            }
            // What an approval began ends with it, however that is.
            let goes_on = matches!(world.change.state, State::Checking(..) | State::Draining { .. });
            prop_assert!(goes_on || !is_out_of_service, "drained, and {}", world.change.state.word());
            let applies = matches!(world.change.state, State::Applying { .. } | State::Applied { .. });
            // A dead run's lock is found by looking, and taken over.
            is_locked &= !matches!(world.change.state, State::Interrupted { .. });
            prop_assert!(goes_on || applies || !is_locked, "locked, and {}", world.change.state.word());
            drained |= what % 28 == 11 && matches!(world.change.state, State::Checking(..));
            if let State::Checking(_, approval) | State::Draining { approval, .. } | State::Applying { approval, .. } = &world.change.state {
                prop_assert_eq!(&approval.by.login, "wanda", "the author never");
            }
        }
    }
}
