//! A change with people around it, for tests of what follows from what.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeSet;

use runnersmith_issueops::change::{
    Actor, Change, ChangeKind, ChangeStep, Comment, Decision, Denial, Digest, DigestInput, EditedFiles, Editors,
    HeldLock, Holder, LifecycleEvent, Liveness, Lock, Membership, Permission, PlanRecord, Reply, Reread, State, decide,
};
use runnersmith_issueops::policy::ApprovalRules;
use runnersmith_types::Timestamp;

/// A change, its time and its surroundings. Every event goes through [`World::event`].
pub struct World {
    pub change: Change,
    pub rules: ApprovalRules,
    pub now: Timestamp,
    pub parts: DigestInput,
    pub lock: Option<HeldLock>,
    pub run: Liveness,
    pub next_comment: u64,
}

/// Parts of a plan of this head.
pub fn parts(head: &str) -> DigestInput {
    DigestInput {
        plan_file: Digest::of(head.as_bytes()),
        head: head.to_owned(),
        base: Digest::of(b"base"),
        state_lineage: "lineage".into(),
        state_serial: 3,
        lock_file: Digest::of(b"lock"),
        terraform_version: "1.14.0".into(),
        runnersmith_version: "0.1.0".into(),
        continuations: Vec::new(),
    }
}

/// Files that somebody edited, at this commit.
pub fn edited(commit: &str) -> EditedFiles {
    EditedFiles { commit: commit.to_owned(), digest: Digest::of(commit.as_bytes()) }
}

/// Somebody with this permission.
pub fn actor(login: &str, permission: Permission) -> Actor {
    Actor { account: login.into(), is_person: true, permission, membership: Membership::Unknown }
}

/// A writer who took no part.
pub fn writer() -> Actor {
    actor("wanda", Permission::Write)
}

/// A lock that a run of this pull request holds.
pub fn run_lock(pull: u64, liveness: Liveness) -> HeldLock {
    let holder = Holder::Run { run: "4711".into(), pull };
    HeldLock {
        lock: Lock { id: "l1".into(), holder, reason: "apply".into(), since: Timestamp::from_secs(0) },
        liveness,
    }
}

/// A lock that somebody took.
pub fn person_lock(login: &str) -> HeldLock {
    let holder = Holder::Person(login.into());
    let lock = Lock { id: "l2".into(), holder, reason: "moving the VPC".into(), since: Timestamp::from_secs(0) };
    HeldLock { lock, liveness: Liveness::Unknown }
}

impl World {
    /// A change that waits for its first plan, asked for by `ann`.
    pub fn new(kind: ChangeKind) -> Self {
        let mut change = Change::new(kind, "linux_large", 5, "ann", 6, "runnersmith/linux_large");
        change.state = State::Planning;
        Self {
            change,
            rules: super::policy().approval,
            now: Timestamp::from_secs(1_000_000),
            parts: parts("aaaa"),
            lock: None,
            run: Liveness::Unknown,
            next_comment: 100,
        }
    }

    /// One whose plan was just posted.
    pub fn planned(kind: ChangeKind) -> Self {
        let mut world = Self::new(kind);
        world.post_plan(false);
        world
    }

    /// Posts a plan of the current parts.
    pub fn post_plan(&mut self, loses_state: bool) {
        let plan = PlanRecord {
            parts: self.parts.clone(),
            posted_at: self.now,
            loses_state,
            is_hand_edited: self.change.is_hand_edited,
            ordered_files: self.change.ordered_files,
        };
        self.event(&LifecycleEvent::PlanPosted(plan));
    }

    /// The digest of the current parts, short.
    pub fn digest(&self) -> String {
        self.parts.digest().short()
    }

    /// Lets time go by.
    pub fn wait(&mut self, seconds: i64) {
        self.now = Timestamp::from_millis(self.now.as_millis() + seconds * 1000);
    }

    /// Something happens; the record moves on.
    pub fn event(&mut self, event: &LifecycleEvent) -> Vec<ChangeStep> {
        let Decision { change, steps } = decide(&self.change, event, &self.rules, self.now);
        self.change = change;
        steps
    }

    /// A comment as it would come.
    pub fn comment(&mut self, actor: &Actor, body: &str) -> Comment {
        self.next_comment += 1;
        Comment {
            id: self.next_comment,
            body: body.into(),
            created_at: self.now,
            is_new: true,
            is_edited: false,
            pull: 6,
            is_fork: false,
            actor: actor.clone(),
        }
    }

    /// Somebody comments.
    pub fn says(&mut self, actor: &Actor, body: &str) -> Vec<ChangeStep> {
        let comment = self.comment(actor, body);
        self.received(comment)
    }

    /// A comment comes.
    pub fn received(&mut self, comment: Comment) -> Vec<ChangeStep> {
        let (lock, run) = (self.lock.clone(), self.run);
        let edited = self.change.edited_files.clone();
        self.event(&LifecycleEvent::Comment { comment, lock, run, editors: Editors::NONE, edited })
    }

    /// What a look at everything gives now.
    pub fn reread(&self) -> Reread {
        Reread {
            parts: self.parts.clone(),
            mergeable: Ok(()),
            lock: self.lock.clone(),
            run: "4711".into(),
            committers: BTreeSet::new(),
            editors: Editors::NONE,
        }
    }

    /// The look is done, with nothing changed.
    pub fn checks(&mut self) -> Vec<ChangeStep> {
        let reread = self.reread();
        self.event(&LifecycleEvent::Reread(Box::new(reread)))
    }
}

/// Why a command was denied, if it was.
pub fn denial(steps: &[ChangeStep]) -> Option<&Denial> {
    replies(steps).into_iter().find_map(|reply| match reply {
        Reply::Denied { why, .. } => Some(why),
        _ => None,
    })
}

/// What is said.
pub fn replies(steps: &[ChangeStep]) -> Vec<&Reply> {
    steps
        .iter()
        .filter_map(|step| if let ChangeStep::Say(reply) = step { Some(reply.as_ref()) } else { None })
        .collect()
}

/// Whether anything is applied.
pub fn applies(steps: &[ChangeStep]) -> bool {
    steps.iter().any(|step| matches!(step, ChangeStep::Apply { .. }))
}

/// Whether an approval was accepted so far that everything is read again.
pub fn rereads(steps: &[ChangeStep]) -> bool {
    steps.iter().any(|step| matches!(step, ChangeStep::Reread { .. }))
}
