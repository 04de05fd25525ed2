//! Every step, answer, denial and state that a record can hold.

use runnersmith_issueops::change::{
    Approval, Change, ChangeKind, Changed, Denial, Failure, GivenUp, HeldLock, Left, Liveness, Misread, PlanRecord,
    Reaction, Reply, Stage, State, Step, Stopped, VoidWhy,
};

use crate::issueops::world::{World, parts, person_lock, run_lock};

/// Text that storing could lose.
pub const TEXT: &str = "a \"quoted\"\nline, \u{202e}é😀\u{0}\\";

fn plan() -> PlanRecord {
    let world = World::new(ChangeKind::Set);
    let mut parts = parts(TEXT);
    parts.continuations = vec![parts.digest(), parts.base];
    parts.state_serial = u64::MAX;
    PlanRecord { parts, posted_at: world.now, loses_state: true, is_hand_edited: true }
}

fn approval() -> Approval {
    let world = World::new(ChangeKind::Set);
    let digest = plan().parts.digest();
    Approval { by: TEXT.into(), comment: u64::MAX, at: world.now, digest, kills_jobs: true, has_drained: true }
}

fn failures() -> Vec<Failure> {
    [(Stage::Plan, None), (Stage::Apply, Some(TEXT.to_owned())), (Stage::Destroy, None)]
        .into_iter()
        .map(|(stage, resource)| Failure {
            resource,
            stopped: (stage == Stage::Destroy).then_some(Stopped::AtWork),
            ..Failure::new(stage, TEXT)
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
    ]
}

fn voids() -> [VoidWhy; 5] {
    [VoidWhy::Expired, VoidWhy::Pushed, VoidWhy::HandEdited, VoidWhy::OtherApplied, VoidWhy::RequestInvalid]
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

pub fn steps() -> Vec<Step> {
    let digest = plan().parts.digest();
    let mut steps = vec![
        Step::ShowState,
        Step::Plan { without_terraform_lock: true },
        Step::Plan { without_terraform_lock: false },
        Step::DropPlan,
        Step::Reread { digest },
        Step::TakeOver { lock: TEXT.into() },
        Step::Apply { digest, head: "aaaa".into() },
        Step::Drain { kill_jobs: true },
        Step::EndDrain,
        Step::Merge { expected_head: "aaaa".into() },
        Step::VoidOthers,
        Step::TakeLock { by: TEXT.into(), reason: TEXT.into() },
        Step::ReleaseLock { id: TEXT.into() },
        Step::ReleaseOwnLock,
        Step::CloseIssue,
        Step::ClosePull,
    ];
    let reactions = [Reaction::Eyes, Reaction::Confused, Reaction::No];
    steps.extend(reactions.map(|reaction| Step::React { comment: u64::MAX, reaction }));
    steps.extend(replies().into_iter().map(|reply| Step::Say(Box::new(reply))));
    steps
}

/// A change in each state.
pub fn changes() -> Vec<Change> {
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
    let change = |state: State| {
        let mut change = Change::new(ChangeKind::Delete, "linux_large", u64::MAX, TEXT, 6, "runnersmith/linux_large");
        (change.is_half_done, change.is_hand_edited, change.plans_posted) = (true, true, u32::MAX);
        change.committers = [TEXT.to_owned()].into();
        (change.handled, change.handled_up_to) = ([1, u64::MAX].into(), 7);
        change.state = state;
        change
    };
    let mut changes: Vec<Change> = states.into_iter().map(change).collect();
    changes.push(Change::new(ChangeKind::Set, "team", 5, "ann", 6, "runnersmith/team-5"));
    changes
}
