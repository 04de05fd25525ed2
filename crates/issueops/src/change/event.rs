//! What happens to a change: facts that the shell has found, each with everything that a decision needs to know of it.

use std::collections::BTreeSet;

use runnersmith_types::{Account, Timestamp};

use super::failure::ChangeFailure;
use super::lock::{HeldLock, Liveness};
use super::state::{EditedFiles, Left, PlanRecord};
use super::who::Actor;
use crate::digest::DigestInput;

/// A comment on the pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// GitHub's id.
    pub id: u64,
    /// Its text.
    pub body: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether the event says that it was just made; edits and deletions are none.
    pub is_new: bool,
    /// Whether its text was changed since.
    pub is_edited: bool,
    /// The pull request that it is on.
    pub pull: u64,
    /// Whether the pull request's branch is in another repository.
    pub is_fork: bool,
    /// Who wrote it.
    pub actor: Actor,
}

/// Who had a part in what a change's issue asks for, as GitHub says it now: who edited its text, labelled it, took a label off, reopened it
/// or brought it from another repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Editors {
    /// Those who are known; the author may be among them.
    pub accounts: BTreeSet<Account>,
    /// Whether these are all. Else anybody may be among them, and who approves for one.
    pub is_whole: bool,
}

impl Editors {
    /// Nobody had, or it is no matter.
    pub const NONE: Self = Self { accounts: BTreeSet::new(), is_whole: true };
}

/// What a look at everything in the digest gave, just before applying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reread {
    /// The parts now.
    pub parts: DigestInput,
    /// Whether GitHub would merge this head; `Err` says why not. Foreign text.
    pub mergeable: Result<(), String>,
    /// Who holds the environment's lock, if it is not the run that looks.
    pub lock: Option<HeldLock>,
    /// The run that looks, and would apply.
    pub run: String,
    /// Who committed to the branch, ourselves left out.
    pub committers: BTreeSet<Account>,
    /// Who had a part in what the issue asks for.
    pub editors: Editors,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LifecycleEvent {
    /// A comment was made.
    Comment {
        /// The comment.
        comment: Comment,
        /// The environment's lock.
        lock: Option<HeldLock>,
        /// The run that plans, checks or applies this change.
        run: Liveness,
        /// Who had a part in what the issue asks for; asked where somebody approves.
        editors: Editors,
        /// Files that were edited by hand, as they are now; asked where the change has such files and a plan is ordered.
        edited: Option<EditedFiles>,
    },
    /// The branch has what the request renders: plan it. Follows the making of the pull request and each edit of the issue.
    Rendered,
    /// The same, but who asked may not cause a plan: somebody who may must ask for it.
    RenderedOnly,
    /// The branch has another head, which is not our commit.
    Pushed {
        /// Who committed, ourselves left out.
        committers: BTreeSet<Account>,
        /// Files that differ from what the request renders, if some do.
        edited: Option<EditedFiles>,
    },
    /// A plan was made, stored and posted.
    PlanPosted(PlanRecord),
    /// Planning failed.
    PlanFailed(ChangeFailure),
    /// Everything in the digest was read again.
    Reread(Box<Reread>),
    /// What is left of a draining environment.
    Drained(Left),
    /// The plan was applied.
    Applied,
    /// Applying failed; the run says so itself.
    ApplyFailed(ChangeFailure),
    /// Applying failed before anything was applied.
    NotApplied(ChangeFailure),
    /// The run that checked or applied is proved dead.
    RunDied,
    /// The branch was merged.
    Merged,
    /// GitHub did not merge. Foreign text.
    MergeRefused(String),
    /// The issue or the pull request was closed.
    Closed,
    /// The issue asks for another kind of change now.
    Superseded,
    /// The issue was edited, and what it says now cannot be handled.
    RequestInvalid,
    /// Time went by.
    Tick,
}
