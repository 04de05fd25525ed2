//! What is stored beside the state is read again as it was: records, and the steps that wait in their outbox.

use std::collections::BTreeSet;
use std::mem::discriminant;

use crate::support::world::{World, edited, parts, person_lock, run_lock};
use runnersmith_issueops::change::{
    Approval, Change, ChangeFailure, ChangeKind, ChangeStage, ChangeStep, Changed, Denial, GivenUp, HeldLock, Left,
    Liveness, Misread, PlanRecord, Reaction, Reply, RequestOutcome, State, Stopped, VoidWhy,
};
use runnersmith_types::Account;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Text that storing could lose.
const TEXT: &str = "a \"quoted\"\nline, \u{202e}é😀\u{0}\\";

fn survives<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(all: &[T]) {
    for one in all {
        let text = serde_json::to_string(one).unwrap();
        assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), one, "{text}");
        let bytes = serde_json::to_vec_pretty(one).unwrap();
        assert_eq!(&serde_json::from_reader::<_, T>(bytes.as_slice()).unwrap(), one, "from a reader");
    }
}

fn plan() -> PlanRecord {
    let world = World::new(ChangeKind::Set);
    let mut parts = parts(TEXT);
    parts.continuations = vec![parts.digest(), parts.base];
    parts.state_serial = u64::MAX;
    let ordered_files = Some(edited(TEXT).digest);
    PlanRecord { parts, posted_at: world.now, loses_state: true, is_hand_edited: true, ordered_files }
}

fn approval() -> Approval {
    let world = World::new(ChangeKind::Set);
    let digest = plan().parts.digest();
    Approval { by: TEXT.into(), comment: u64::MAX, at: world.now, digest, kills_jobs: true, has_drained: true }
}

fn failures() -> Vec<ChangeFailure> {
    [(ChangeStage::Plan, None), (ChangeStage::Apply, Some(TEXT.to_owned())), (ChangeStage::Destroy, None)]
        .into_iter()
        .map(|(stage, resource)| ChangeFailure {
            resource,
            stopped: (stage == ChangeStage::Destroy).then_some(Stopped::AtWork),
            ..ChangeFailure::new(stage, TEXT)
        })
        .collect()
}

fn left() -> Left {
    Left { jobs: 1, machines: 2, registrations: 3, hand_offs: 4, log_groups: u32::MAX }
}

fn locks() -> Vec<HeldLock> {
    let mut locks: Vec<HeldLock> =
        [Liveness::Alive, Liveness::Dead, Liveness::Unknown].map(|liveness| run_lock(6, liveness)).into();
    locks.push(person_lock(TEXT));
    locks
}

/// Its place among the denials. Does not compile when there is a new one; then it goes into [`denials`], too.
fn place_of_denial(denial: &Denial) -> usize {
    match denial {
        Denial::NeedsWrite => 0,
        Denial::NeedsTeam(_) => 1,
        Denial::TeamUnknown(_) => 2,
        Denial::IsAuthor => 3,
        Denial::NeedsAdmin => 4,
        Denial::NoPlan => 5,
        Denial::OtherDigest { .. } => 6,
        Denial::NeedsDigest { .. } => 7,
        Denial::NeedsDestroy { .. } => 8,
        Denial::NotADeletion => 9,
        Denial::IsLocked(_) => 10,
        Denial::NotYourLock(_) => 11,
        Denial::RunNotDead(_) => 12,
        Denial::NotLocked => 13,
        Denial::Busy(_) => 14,
        Denial::HalfDone(_) => 15,
        Denial::Over(_) => 16,
        Denial::NotMergeable(_) => 17,
        Denial::NeedsTwo => 18,
        Denial::NeedsFiles { .. } => 19,
        Denial::OtherFiles { .. } => 20,
        Denial::EditorsUnknown => 21,
    }
}

fn denials() -> Vec<Denial> {
    let lock = || person_lock(TEXT).lock;
    vec![
        Denial::NeedsWrite,
        Denial::NeedsTeam(TEXT.into()),
        Denial::TeamUnknown(TEXT.into()),
        Denial::IsAuthor,
        Denial::NeedsAdmin,
        Denial::NoPlan,
        Denial::OtherDigest { current: TEXT.into() },
        Denial::NeedsDigest { line: TEXT.into() },
        Denial::NeedsDestroy { line: TEXT.into() },
        Denial::NotADeletion,
        Denial::IsLocked(run_lock(6, Liveness::Alive).lock),
        Denial::NotYourLock(lock()),
        Denial::RunNotDead(lock()),
        Denial::NotLocked,
        Denial::Busy("applying".into()),
        Denial::HalfDone("interrupted".into()),
        Denial::Over("done".into()),
        Denial::NotMergeable(TEXT.into()),
        Denial::NeedsTwo,
        Denial::NeedsFiles { line: TEXT.into() },
        Denial::OtherFiles { line: TEXT.into() },
        Denial::EditorsUnknown,
    ]
}

/// As [`place_of_denial`].
fn place_of_reply(reply: &Reply) -> usize {
    match reply {
        Reply::Help(_) => 0,
        Reply::Status { .. } => 1,
        Reply::Denied { .. } => 2,
        Reply::Differs(_) => 3,
        Reply::Locked { .. } => 4,
        Reply::Unlocked(_) => 5,
        Reply::Cancelled(_) => 6,
        Reply::Void(_) => 7,
        Reply::Draining { .. } => 8,
        Reply::DrainOverdue { .. } => 9,
        Reply::Failed(_) => 10,
        Reply::Interrupted { .. } => 11,
        Reply::NotMerged { .. } => 12,
        Reply::Applied => 13,
        Reply::Edited { .. } => 14,
        Reply::MergedEarly { .. } => 15,
        Reply::PlanReady => 16,
    }
}

/// As [`place_of_denial`].
fn place_of_void(why: VoidWhy) -> usize {
    match why {
        VoidWhy::Expired => 0,
        VoidWhy::Pushed => 1,
        VoidWhy::HandEdited => 2,
        VoidWhy::RequestInvalid => 3,
    }
}

fn voids() -> [VoidWhy; 4] {
    [VoidWhy::Expired, VoidWhy::Pushed, VoidWhy::HandEdited, VoidWhy::RequestInvalid]
}

fn replies() -> Vec<Reply> {
    let now = World::new(ChangeKind::Set).now;
    let misread = Misread { line: TEXT.into(), why: "this is not a command".into() };
    let changed = Changed { part: "head commit".into(), was: TEXT.into(), is: String::new() };
    let mut replies = vec![
        Reply::Help(Vec::new()),
        Reply::Help(vec![misread]),
        Reply::Status { lock: None, run: Liveness::Dead },
        Reply::Differs(vec![changed]),
        Reply::Locked { by: TEXT.into(), reason: String::new() },
        Reply::Unlocked(person_lock(TEXT).lock),
        Reply::Cancelled(GivenUp::Closed),
        Reply::Cancelled(GivenUp::Superseded),
        Reply::Cancelled(GivenUp::By(TEXT.into())),
        Reply::Draining { until: now },
        Reply::DrainOverdue { left: left(), digest: plan().parts.digest() },
        Reply::Interrupted { run: TEXT.into() },
        Reply::NotMerged { head: "aaaa".into(), why: TEXT.into() },
        Reply::Applied,
        Reply::Edited { author: TEXT.into() },
        Reply::MergedEarly { plans: true },
        Reply::PlanReady,
    ];
    replies.extend(locks().into_iter().map(|lock| Reply::Status { lock: Some(lock), run: Liveness::Alive }));
    replies.extend(voids().map(Reply::Void));
    replies.extend(failures().into_iter().map(Reply::Failed));
    replies.extend(denials().into_iter().map(|why| Reply::Denied {
        command: "approve".into(),
        actor: TEXT.into(),
        why,
    }));
    replies
}

/// As [`place_of_denial`].
fn place_of_step(step: &ChangeStep) -> usize {
    match step {
        ChangeStep::React { .. } => 0,
        ChangeStep::Say(_) => 1,
        ChangeStep::ShowState => 2,
        ChangeStep::Plan { .. } => 3,
        ChangeStep::DropPlan => 4,
        ChangeStep::Reread { .. } => 5,
        ChangeStep::TakeOver { .. } => 6,
        ChangeStep::Apply { .. } => 7,
        ChangeStep::Drain { .. } => 8,
        ChangeStep::EndDrain => 9,
        ChangeStep::Merge { .. } => 10,
        ChangeStep::TakeLock { .. } => 11,
        ChangeStep::ReleaseLock { .. } => 12,
        ChangeStep::ReleaseOwnLock => 13,
        ChangeStep::CloseIssue => 14,
        ChangeStep::ClosePull => 15,
        ChangeStep::NotifyIssue(_) => 16,
    }
}

fn steps() -> Vec<ChangeStep> {
    let digest = plan().parts.digest();
    let mut steps = vec![
        ChangeStep::ShowState,
        ChangeStep::Plan { without_terraform_lock: true },
        ChangeStep::Plan { without_terraform_lock: false },
        ChangeStep::DropPlan,
        ChangeStep::Reread { digest },
        ChangeStep::TakeOver { lock: TEXT.into() },
        ChangeStep::Apply { digest, head: "aaaa".into() },
        ChangeStep::Drain { kill_jobs: true },
        ChangeStep::EndDrain,
        ChangeStep::Merge { expected_head: "aaaa".into() },
        ChangeStep::TakeLock { by: TEXT.into(), reason: TEXT.into() },
        ChangeStep::ReleaseLock { id: TEXT.into() },
        ChangeStep::ReleaseOwnLock,
        ChangeStep::CloseIssue,
        ChangeStep::ClosePull,
        ChangeStep::NotifyIssue(RequestOutcome::Applied),
        ChangeStep::NotifyIssue(RequestOutcome::NotPlanned),
        ChangeStep::NotifyIssue(RequestOutcome::NotApplied),
        ChangeStep::NotifyIssue(RequestOutcome::GivenUp),
    ];
    let reactions = [Reaction::Eyes, Reaction::Confused, Reaction::No];
    steps.extend(reactions.map(|reaction| ChangeStep::React { comment: u64::MAX, reaction }));
    steps.extend(replies().into_iter().map(|reply| ChangeStep::Say(Box::new(reply))));
    steps
}

fn has_all<T>(all: &[T], place: impl Fn(&T) -> usize, count: usize) {
    let places: BTreeSet<usize> = all.iter().map(place).collect();
    assert_eq!(places, (0..count).collect());
}

#[test]
fn every_step_and_every_answer_is_read_as_it_was_stored() {
    has_all(&denials(), place_of_denial, 22);
    has_all(&voids(), |why| place_of_void(*why), 4);
    has_all(&replies(), place_of_reply, 17);
    has_all(&steps(), place_of_step, 17);
    survives(&steps());
    survives(&replies());
    survives(&[steps()]);
}

#[test]
fn a_step_that_is_no_more_is_read_as_one_that_does_no_harm() {
    let stored: Vec<ChangeStep> = serde_json::from_str("[\"drop_plan\",\"void_others\"]").unwrap();
    assert_eq!(stored, [ChangeStep::DropPlan, ChangeStep::DropPlan]);
}

#[test]
fn every_state_of_a_record_is_read_as_it_was_stored() {
    let (plan, approval, until) = (plan(), approval(), World::new(ChangeKind::Set).now);
    let mut states = vec![
        State::Requested,
        State::HandEdited,
        State::Planning,
        State::Planned(plan.clone()),
        State::Expired,
        State::Checking(plan.clone(), approval.clone()),
        State::Draining { plan: plan.clone(), approval: approval.clone(), until, left: None, is_overdue: false },
        State::Draining { plan: plan.clone(), approval: approval.clone(), until, left: Some(left()), is_overdue: true },
        State::Applying { plan, approval, run: TEXT.into() },
        State::Applied { head: TEXT.into() },
        State::NotMerged { head: TEXT.into(), why: TEXT.into() },
        State::Done,
        State::Interrupted { run: TEXT.into() },
        State::Cancelled,
    ];
    states.extend(failures().into_iter().map(State::Failed));
    assert_eq!(states.iter().map(discriminant).collect::<std::collections::HashSet<_>>().len(), 14, "all of them");
    let change = |state: State| {
        let mut change = Change::new(ChangeKind::Delete, "linux_large", u64::MAX, TEXT, 6, "runnersmith/linux_large");
        (change.is_half_done, change.is_hand_edited, change.plans_posted) = (true, true, u32::MAX);
        change.is_merged_early = true;
        change.planned_by = Some(Account::new(TEXT, 7));
        change.contents_since = Some(runnersmith_types::Timestamp(1_700_000_000_000));
        (change.edited_files, change.ordered_files) = (Some(edited(TEXT)), Some(edited("other").digest));
        change.committers = [Account::from(TEXT), Account::new(TEXT, u64::MAX)].into();
        (change.handled, change.handled_up_to) = ([1, u64::MAX].into(), 7);
        change.state = state;
        change
    };
    survives(&states.into_iter().map(change).collect::<Vec<_>>());
}

#[test]
fn a_failure_that_was_stored_before_it_said_whether_it_was_stopped_is_read() {
    let old = r#"{ "stage": "apply", "resource": null, "message": "denied" }"#;
    assert_eq!(serde_json::from_str::<ChangeFailure>(old).unwrap(), ChangeFailure::new(ChangeStage::Apply, "denied"));
}
